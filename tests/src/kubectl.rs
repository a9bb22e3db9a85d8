//! The real `kubectl`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::stream::Stream;

/// No command of a test takes longer; `timeout` ends it.
const COMMAND_SECONDS: &str = "90";
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// `kubectl` for one cluster and namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

/// What a command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code, or `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether `kubectl` threw output away: up to 1.32 it does so with frames that arrive before it has made its streams,
    /// and says so. The first of them is the server's empty greeting, which nobody misses.
    fn lacks_output(&self) -> bool {
        self.stderr.matches("Unknown stream id 1, discarding message").count() > 1
    }

    /// Both outputs.
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Kubectl {
    /// For this kubeconfig and namespace.
    pub fn new(kubeconfig: PathBuf, namespace: &str) -> Self {
        Self { program: PathBuf::from("kubectl"), kubeconfig, namespace: namespace.to_owned() }
    }

    /// The same with every `kubectl` there is: the default one, and those named `kubectl.<version>` beside it.
    ///
    /// # Errors
    /// When the directory of the default one can't be read.
    pub fn every_version(&self) -> Result<Vec<Self>> {
        let default = Self { program: PathBuf::from("kubectl"), ..self.clone() }.program()?.canonicalize()?;
        let mut programs = Vec::new();
        for file in default.parent().context("a program is in a directory")?.read_dir()? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with("kubectl.") {
                programs.push(file.path());
            }
        }
        programs.sort();
        programs.push(self.program.clone());
        Ok(programs.into_iter().map(|program| Self { program, ..self.clone() }).collect())
    }

    /// With the versions that people have: the `kubectl`s that `ISOPOD_TEST_KUBECTLS` lists, as a PATH lists
    /// directories; else those of `minors` among [`Kubectl::every_version`]; else the default one. Each comes with its
    /// minor version.
    ///
    /// # Errors
    /// When one does not say which version it is.
    pub fn of_minors(&self, minors: &[u32]) -> Result<Vec<(u32, Self)>> {
        let listed = std::env::var_os("ISOPOD_TEST_KUBECTLS").unwrap_or_default();
        let listed = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty());
        let mut chosen: Vec<Self> = listed.map(|program| Self { program, ..self.clone() }).collect();
        if chosen.is_empty() {
            let is_wanted = |one: &Self| minors.iter().any(|minor| one.program.ends_with(format!("kubectl.1.{minor}")));
            chosen = self.every_version()?.into_iter().filter(is_wanted).collect();
        }
        if chosen.is_empty() {
            chosen.push(self.clone());
        }
        chosen.into_iter().map(|kubectl| Ok((kubectl.minor()?, kubectl))).collect()
    }

    fn minor(&self) -> Result<u32> {
        let version: Value = serde_json::from_str(&self.ok(&["version", "--client", "-o", "json"])?)?;
        let minor = version["clientVersion"]["minor"].as_str().context("a client has a version")?;
        Ok(minor.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse()?)
    }

    /// The same `kubectl` in another namespace.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// The file of the program.
    ///
    /// # Errors
    /// When there is none.
    pub fn program(&self) -> Result<PathBuf> {
        if self.program.components().count() > 1 {
            return Ok(self.program.clone());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|place| place.join(&self.program))
            .find(|file| file.exists())
            .context("there is no kubectl")
    }

    /// The file that names the cluster and its administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The namespace that commands are about.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The command line, for use in a shell.
    pub fn command_line(&self) -> String {
        format!("kubectl --kubeconfig={} --namespace={}", self.kubeconfig.display(), self.namespace)
    }

    /// Runs a command, however it ends.
    ///
    /// # Errors
    /// When `kubectl` can't be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.run_with_input(arguments, b"")
    }

    /// Runs a command that reads `input`, however it ends.
    ///
    /// # Errors
    /// When `kubectl` can't be started.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let run = || finish(self.command(arguments), input).with_context(|| format!("running kubectl {arguments:?}"));
        let output = run()?;
        if output.lacks_output() { run() } else { Ok(output) }
    }

    /// Runs a command that must succeed; returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.ok_with_input(arguments, b"")
    }

    /// Runs a command that reads `input` and must succeed; returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn ok_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let output = self.run_with_input(arguments, input)?;
        ensure!(output.code == Some(0), "kubectl {arguments:?} ended with {:?}: {}", output.code, output.both());
        Ok(output.stdout)
    }

    /// Runs a command that must fail; returns its standard error.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn fails(&self, arguments: &[&str]) -> Result<String> {
        self.fails_with_input(arguments, b"")
    }

    /// Runs a command that reads `input` and must fail; returns its standard error.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn fails_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let output = self.run_with_input(arguments, input)?;
        ensure!(output.code != Some(0), "kubectl {arguments:?} succeeded: {}", output.both());
        Ok(output.stderr)
    }

    /// Starts a command that goes on, such as `logs -f`; ends when dropped.
    ///
    /// # Errors
    /// When `kubectl` can't be started.
    pub fn stream(&self, arguments: &[&str]) -> Result<Stream> {
        Stream::start(self.command(arguments))
    }

    /// Runs a shell script in which `$KUBECTL` is this `kubectl`, with a terminal, as a user has one.
    ///
    /// # Errors
    /// When `script` can't be started.
    pub fn in_terminal(&self, script: &str, input: &[u8]) -> Result<Output> {
        let mut command = Command::new("timeout");
        command.args(["--foreground", COMMAND_SECONDS, "script", "--quiet", "--return", "--command", script]);
        command.arg("/dev/null").env("KUBECTL", self.command_line()).env("TERM", "xterm");
        finish(command, input).with_context(|| format!("running {script:?} in a terminal"))
    }

    /// `apply -f -`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.ok_with_input(&["apply", "-f", "-"], manifest.as_bytes())
    }

    /// Waits until a Pod is ready.
    ///
    /// # Errors
    /// When it is not within a minute; says what `describe` says.
    pub fn wait_ready(&self, pod: &str) -> Result<()> {
        let name = format!("pod/{pod}");
        let output = self.run(&["wait", "--for=condition=Ready", &name, "--timeout=60s"])?;
        if output.code == Some(0) {
            return Ok(());
        }
        bail!("{name} did not get ready: {}\n{}", output.both(), self.run(&["describe", &name])?.both())
    }

    /// One value of an object, by a JSON pointer such as `/status/podIP`; null when it is not there.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn value(&self, object: &str, pointer: &str) -> Result<Value> {
        let object: Value = serde_json::from_str(&self.ok(&["get", object, "-o", "json"])?)?;
        Ok(object.pointer(pointer).cloned().unwrap_or(Value::Null))
    }

    /// One text of an object; empty when it is not there.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn text(&self, object: &str, pointer: &str) -> Result<String> {
        Ok(self.value(object, pointer)?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until `pointer` of an object has a value that fits.
    ///
    /// # Errors
    /// When it has not within `timeout`.
    pub fn wait_value(
        &self,
        object: &str,
        pointer: &str,
        timeout: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + timeout;
        loop {
            let value = self.value(object, pointer)?;
            if fits(&value) {
                return Ok(value);
            }
            if Instant::now() > deadline {
                bail!("{object}{pointer} is {value} after {timeout:?}\n{}", self.run(&["describe", object])?.both());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", COMMAND_SECONDS]).arg(&self.program);
        command.arg(format!("--kubeconfig={}", self.kubeconfig.display()));
        command.arg(format!("--namespace={}", self.namespace)).args(arguments);
        // Not the user's own settings, and no cache shared with another cluster on the same port; nor one inside the
        // cluster's data directory, where the kubeconfig is.
        let home = self.kubeconfig.ancestors().nth(2).unwrap_or(&self.kubeconfig);
        command.env("HOME", home).env("EDITOR", "false");
        command
    }
}

pub(crate) fn finish(mut command: Command, input: &[u8]) -> Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_owned();
    // A command that ends without reading all of its input is fine; its exit code counts.
    let writing = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output()?;
    writing.join().map_err(|_| anyhow::anyhow!("writing the input panicked"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}
