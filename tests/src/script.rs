//! Scripts: shell commands, each with what it must say.
//!
//! ```text
//! # a comment
//! $ kubectl create configmap c --from-literal=color=blue
//! configmap/c created
//! ! kubectl apply -f - <<END
//! > {apiVersion: v1, kind: ConfigMap, metadata: {name: UPPER}}
//! > END
//! a lowercase RFC 1123 subdomain
//! @since 30
//! $ kubectl events
//! ```
//!
//! A command begins with `$`, or with `!` when it must fail; `>` continues it. The lines below are texts that it must say
//! in this order, whatever lies between, any white space counting as one blank; `~ text` must not be said anywhere, and
//! `= text` is all there is on standard output. `@since` and `@until` bind the next command to minor versions of
//! `kubectl` from or up to the one named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Output;
use crate::kubectl::{Kubectl, finish};

/// A command ends within so many seconds.
const COMMAND_SECONDS: &str = "90";

/// A command with what is expected of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    line: usize,
    command: String,
    must_fail: bool,
    /// The oldest and the newest minor version that can do it.
    versions: (Option<u32>, Option<u32>),
    wants: Vec<Want>,
}

#[derive(Debug, PartialEq, Eq)]
enum Want {
    Says(String),
    Never(String),
    All(String),
}

/// Where scripts run: a directory, a namespace and a `kubectl`.
pub struct Shell {
    directory: PathBuf,
    minor: u32,
    namespace: String,
}

impl Shell {
    /// A shell in that empty directory whose `kubectl` is that one.
    ///
    /// # Errors
    /// When the directory can't be prepared.
    pub fn new(directory: &Path, kubectl: &Kubectl, minor: u32) -> Result<Self> {
        let programs = directory.join("bin");
        fs::create_dir_all(&programs)?;
        std::os::unix::fs::symlink(kubectl.program()?, programs.join("kubectl"))?;
        fs::copy(kubectl.kubeconfig(), directory.join("kubeconfig"))?;
        let shell = Self { directory: directory.to_owned(), minor, namespace: kubectl.namespace().to_owned() };
        let chosen = shell.run(&format!("kubectl config set-context --current --namespace={}", shell.namespace))?;
        ensure!(chosen.code == Some(0), "{chosen:?}");
        Ok(shell)
    }

    /// Runs a script to its end, whatever its steps do.
    ///
    /// # Errors
    /// The steps that did not do what they should, with what they said.
    pub fn play(&self, name: &str, script: &str) -> Result<()> {
        let mut failures = Vec::new();
        for step in parse(script).with_context(|| name.to_owned())?.iter().filter(|step| step.fits(self.minor)) {
            let output = self.run(&step.command)?;
            if let Err(why) = step.judge(&output, |text| self.fill(text)) {
                let (line, command, said) = (step.line, &step.command, output.both());
                failures.push(format!("{name}:{line}: {why}\n{command}\nended with {:?}:\n{said}", output.code));
            }
        }
        ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
        Ok(())
    }

    fn run(&self, command: &str) -> Result<Output> {
        let path = format!("{}/bin:{}", self.directory.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("timeout");
        shell.args(["--kill-after=5", COMMAND_SECONDS, "bash", "-c", &format!("set -o pipefail\n{command}")]);
        shell.env("PATH", path).env("HOME", &self.directory).env("KUBECONFIG", self.directory.join("kubeconfig"));
        shell.env("NS", &self.namespace).env("EDITOR", "false").current_dir(&self.directory);
        finish(shell, b"").with_context(|| format!("running {command:?}"))
    }

    fn fill(&self, text: &str) -> String {
        text.replace("$NS", &self.namespace)
    }
}

impl Step {
    fn fits(&self, minor: u32) -> bool {
        let (since, until) = self.versions;
        since.is_none_or(|since| since <= minor) && until.is_none_or(|until| minor <= until)
    }

    fn judge(&self, output: &Output, fill: impl Fn(&str) -> String) -> Result<()> {
        ensure!(
            (output.code == Some(0)) != self.must_fail,
            "it should {}",
            if self.must_fail { "fail" } else { "succeed" }
        );
        let said = words(&output.both());
        let mut rest = said.as_str();
        for want in &self.wants {
            match want {
                Want::Says(text) => {
                    let text = words(&fill(text));
                    let at = rest.find(&text).with_context(|| format!("it does not say {text:?} (here)"))?;
                    rest = &rest[at + text.len()..];
                }
                Want::Never(text) => ensure!(!said.contains(&words(&fill(text))), "it says {text:?}"),
                Want::All(text) => ensure!(words(&output.stdout) == words(&fill(text)), "it is not {text:?}"),
            }
        }
        Ok(())
    }
}

/// With single blanks for all white space.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parse(script: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut versions = (None, None);
    for (number, line) in (1..).zip(script.lines()) {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "" if rest.is_empty() => {}
            "#" => {}
            "@since" => versions.0 = Some(rest.parse()?),
            "@until" => versions.1 = Some(rest.parse()?),
            "$" | "!" => steps.push(Step {
                line: number,
                command: rest.to_owned(),
                must_fail: mark == "!",
                versions: std::mem::take(&mut versions),
                wants: Vec::new(),
            }),
            _ => {
                let step = steps.last_mut().with_context(|| format!("line {number} comes before any command"))?;
                match mark {
                    ">" => step.command = format!("{}\n{rest}", step.command),
                    "~" => step.wants.push(Want::Never(rest.to_owned())),
                    "=" => step.wants.push(Want::All(rest.to_owned())),
                    _ => step.wants.push(Want::Says(line.to_owned())),
                }
            }
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str) -> Output {
        Output { code: Some(0), stdout: stdout.to_owned(), stderr: String::new() }
    }

    #[test]
    fn commands_have_their_expectations() {
        let steps =
            parse("# why\n$ one <<END\n> body\n> END\nsaid\n~ never\n\n@since 30\n! two\n= all of it\n").unwrap();
        let one = Step {
            line: 2,
            command: "one <<END\nbody\nEND".into(),
            wants: vec![Want::Says("said".into()), Want::Never("never".into())],
            ..Step::default()
        };
        let two = Step {
            line: 9,
            command: "two".into(),
            must_fail: true,
            versions: (Some(30), None),
            wants: vec![Want::All("all of it".into())],
        };
        assert_eq!(steps, [one, two]);
        assert!(parse("said too early").is_err());
    }

    #[test]
    fn expectations_are_kept_in_their_order() {
        for (script, said, fits) in [
            ("$ c\na b\nc", "a    b\n c", true),
            ("$ c\nc\na b", "a b c", false),
            ("$ c\n~ b", "a b c", false),
            ("$ c\n= a b", "a  b\n", true),
            ("$ c\n= a", "a b", false),
            ("$ c\n$NS there", "here there", true),
            ("! c", "", false),
        ] {
            let steps = parse(script).unwrap();
            let judged = steps[0].judge(&output(said), |text| text.replace("$NS", "here"));
            assert_eq!(judged.is_ok(), fits, "{script}: {judged:?}");
        }
    }
}
