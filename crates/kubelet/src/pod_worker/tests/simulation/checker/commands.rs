//! Hooks and probes: every command of the Pod is `word-container`.

use testkit::fake_cri::Trace;

use super::{Checker, Hook, SLACK, Step, deed};

impl Checker<'_> {
    pub(super) fn command_began(&mut self, one: &Trace, command: &str) -> Result<(), String> {
        let (name, word) = (&one.name, command.split('-').next().unwrap_or_default());
        let ending = self.story.deletes.first().map(|(at, _)| *at).or(self.story.vanished);
        let is_ending = ending.is_some_and(|ending| one.at > ending + SLACK);
        let threshold = self.threshold(name, word);
        let instance = self.running.get_mut(name).ok_or_else(|| format!("{command} in a container that is gone"))?;
        let watched = !self.story.restarted_since(instance.since);
        match word {
            "post" => begin_once(&mut instance.post_start, one),
            "pre" => {
                instance.pre_stop = Hook::Runs(one.at);
                // A restarted kubelet begins anew.
                instance.stopping = Some(one.at);
                Ok(())
            }
            "live" | "startup" if is_ending => Err(format!("{command} is asked although the Pod is ending")),
            "live" | "ready" if !instance.up => Err(format!("{command} is asked before {name} has come up")),
            "startup" if instance.up && watched => Err(format!("{command} is asked although {name} has come up")),
            "live" | "startup" if watched && instance.stopping.is_none() && instance.failures(command) > threshold => {
                Err(format!("{command} goes on failing"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn command_ended(&mut self, one: &Trace, command: &str, code: i32) -> Result<(), String> {
        let word = command.split('-').next().unwrap_or_default();
        let threshold = self.threshold(&one.name, word);
        let Some(instance) = self.running.get_mut(&one.name) else { return Ok(()) };
        match word {
            "post" => {
                instance.post_start = Hook::Over(one.at, code);
                instance.given_up = (code != 0).then_some(one.at);
            }
            "pre" => instance.pre_stop = Hook::Over(one.at, code),
            _ => {
                let failures = instance.failures.entry(command.to_owned()).or_default();
                *failures = if code == 0 { 0 } else { *failures + 1 };
                if word != "ready" && *failures >= threshold {
                    instance.given_up.get_or_insert(one.at);
                }
                if word == "startup" && code == 0 {
                    instance.up = true;
                    self.past.insert(deed(one, &one.name, Step::Up));
                }
            }
        }
        Ok(())
    }

    /// After how many failures in a row a probe is believed.
    pub(super) fn threshold(&self, name: &str, word: &str) -> u64 {
        self.pod.container(name)[probe_field(word)]["failureThreshold"].as_u64().unwrap_or(u64::MAX)
    }
}

impl super::Instance {
    pub(super) fn failures(&self, command: &str) -> u64 {
        self.failures.get(command).copied().unwrap_or(0)
    }
}

fn begin_once(hook: &mut Hook, one: &Trace) -> Result<(), String> {
    if *hook != Hook::Waits {
        return Err(format!("the postStart hook of {} runs again", one.name));
    }
    *hook = Hook::Runs(one.at);
    Ok(())
}

/// The probe that asks with a word.
pub(super) fn probe_field(word: &str) -> &'static str {
    match word {
        "live" => "livenessProbe",
        "startup" => "startupProbe",
        _ => "readinessProbe",
    }
}
