//! What a Pod waits for now, in plain words. Pure.

mod verdicts;

use api::k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus};
use api::k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use jiff::{SignedDuration, Timestamp};
use kubelet::history::{Act, Transition};

use super::known::Told;
use super::timeline::duration;

/// What has been under way for longer is worth a word before anything else.
const SLOW: SignedDuration = SignedDuration::from_secs(1);

/// One line for each thing it waits for; one that says so when there is none.
pub fn reasons(told: &Told, now: Timestamp) -> Vec<String> {
    let Some(pod) = &told.pod else { return vec![gone(told)] };
    let (spec, status) = (pod.spec.clone().unwrap_or_default(), pod.status.clone().unwrap_or_default());
    let view = View { told, pod, spec: &spec, status: &status, now };
    if pod.metadata.deletion_timestamp.is_some() {
        return view.deletion();
    }
    if spec.node_name.as_deref().unwrap_or_default().is_empty() {
        return view.scheduling();
    }
    let phase = status.phase.as_deref().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        let parts = [status.reason.clone(), status.message.clone()];
        let why: Vec<String> = parts.into_iter().flatten().collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(": ")) };
        return vec![format!("It has ended as {phase}{why} and waits for nothing")];
    }
    let mut found = view.containers();
    found.extend(view.gates());
    found.extend(view.resize());
    if found.is_empty() {
        found.push(view.at_rest());
    }
    found
}

fn gone(told: &Told) -> String {
    let last = told.entries.last().map(|entry| format!(" since {:.0}", entry.at)).unwrap_or_default();
    let never = told.scheduling.as_ref().filter(|_| told.entries.is_empty());
    let never = never.map(|attempt| format!(", it never had a node ({})", attempt.message)).unwrap_or_default();
    format!("The Pod is gone{last}{never} and waits for nothing; isopod story tells what befell it")
}

struct View<'a> {
    told: &'a Told,
    pod: &'a Pod,
    spec: &'a PodSpec,
    status: &'a PodStatus,
    now: Timestamp,
}

impl View<'_> {
    fn since(&self, at: Timestamp) -> String {
        duration(self.now.duration_since(at).as_millis())
    }

    fn until(&self, at: Timestamp) -> String {
        let left = at.duration_since(self.now);
        if left.is_positive() {
            format!("until {at:.0}, {} from now", duration(left.as_millis()))
        } else {
            "over".into()
        }
    }

    // The end.

    fn deletion(&self) -> Vec<String> {
        let mut found = Vec::new();
        let deadline = self.pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
        for process in self.told.processes.iter().filter(|process| process.state != "Z") {
            let whose = process.container.as_ref().map_or("the sandbox".to_owned(), |name| format!("container {name}"));
            // The sandbox goes last, and by itself.
            if process.container.is_none() && self.told.processes.iter().any(|other| other.container.is_some()) {
                continue;
            }
            let stuck = if process.state == "D" {
                "; it waits for a device and cannot be killed until that answers"
            } else {
                ""
            };
            let deaf = if process.deaf { "; it does not listen to SIGTERM" } else { "" };
            found.push(format!("PID {} ({}) of {whose} has not ended{stuck}{deaf}", process.pid, process.command));
        }
        if !found.is_empty()
            && let Some(deadline) = deadline.filter(|deadline| *deadline > self.now)
        {
            found.push(format!("Its containers may take their time {}; then they are killed", self.until(deadline)));
        }
        found.extend(self.under_way());
        if found.is_empty() {
            found.extend(self.last_trouble(&["FailedKillPod", "FailedUnMount"]));
        }
        let finalizers = self.pod.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.is_empty() {
            let one = finalizers.len() == 1;
            let (these, have, them) = if one { ("finalizer", "has", "it") } else { ("finalizers", "have", "them") };
            found.push(format!("Its {these} {} {have} not been removed by whoever set {them}", finalizers.join(", ")));
        }
        if found.is_empty() {
            let node = self.spec.node_name.clone().unwrap_or_default();
            found.push(format!("It is being deleted, and node {node} has not said yet that nothing of it is left"));
        }
        found
    }

    // The beginning.

    fn scheduling(&self) -> Vec<String> {
        let gates: Vec<String> = self.spec.scheduling_gates.iter().flatten().map(|gate| gate.name.clone()).collect();
        if !gates.is_empty() {
            return vec![format!(
                "It is not to be scheduled before its scheduling gates are removed: {}",
                gates.join(", ")
            )];
        }
        let verdict =
            self.status.conditions.iter().flatten().find(|one| one.type_ == "PodScheduled" && one.status == "False");
        let scheduler = self.spec.scheduler_name.as_deref().unwrap_or("default-scheduler");
        let mut found = vec![match verdict {
            Some(verdict) => {
                let since = verdict.last_transition_time.as_ref().map(|time| format!(" for {}", self.since(time.0)));
                // What would have to be preempted follows, which helps nobody here.
                let message = verdict.message.as_deref().unwrap_or_default();
                let message = message.split_once(". ").map_or(message, |(verdict, _)| verdict);
                format!("No node fits{}: {message}", since.unwrap_or_default())
            }
            None if scheduler != "default-scheduler" => {
                format!("The scheduler {scheduler:?}, which it asks for, has not given it a node; does it run?")
            }
            None => "The scheduler has not looked at it yet".to_owned(),
        }];
        found.extend(self.told.scheduling.iter().flat_map(|attempt| verdicts::lines(attempt, self.now)));
        found
    }

    // The life.

    fn containers(&self) -> Vec<String> {
        let init: Vec<&Container> = self.spec.init_containers.iter().flatten().collect();
        for (index, container) in init.iter().enumerate() {
            let status = find(self.status.init_container_statuses.as_deref(), &container.name);
            let place = if init.len() > 1 { format!(" ({} of {})", index + 1, init.len()) } else { String::new() };
            if let Some(reason) = self.init_container(container, &place, status) {
                return vec![reason];
            }
        }
        let regular = self.spec.containers.iter();
        let mut found: Vec<String> = regular
            .filter_map(|one| self.container(one, find(self.status.container_statuses.as_deref(), &one.name)))
            .collect();
        found.dedup();
        found
    }

    fn init_container(&self, container: &Container, place: &str, status: Option<&ContainerStatus>) -> Option<String> {
        let name = &container.name;
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        let state = status.and_then(|status| status.state.as_ref());
        if let Some(running) = state.and_then(|state| state.running.as_ref()) {
            if !sidecar {
                let since = running.started_at.as_ref().map(|time| format!(" for {}", self.since(time.0)));
                let since = since.unwrap_or_default();
                return Some(format!("Init container {name}{place} has run{since} and has not ended"));
            }
            let started = status.and_then(|status| status.started) == Some(true);
            return (!started).then(|| format!("Sidecar {name}{place} {}", self.probe(container, "Startup")));
        }
        if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
            let done = !sidecar && ended.exit_code == 0;
            return (!done).then(|| format!("Init container {name}{place} {}", exit(ended)));
        }
        self.waiting(name, status)
    }

    fn container(&self, container: &Container, status: Option<&ContainerStatus>) -> Option<String> {
        let name = &container.name;
        let Some(state) = status.and_then(|status| status.state.as_ref()) else { return self.waiting(name, status) };
        if state.running.is_some() {
            let status = status?;
            return match (status.started, status.ready) {
                (Some(false), _) => Some(format!("Container {name} {}", self.probe(container, "Startup"))),
                (_, false) => Some(format!("Container {name} {}", self.probe(container, "Readiness"))),
                _ => None,
            };
        }
        match &state.terminated {
            Some(ended) => Some(format!("Container {name} {}", exit(ended))),
            None => self.waiting(name, status),
        }
    }

    fn waiting(&self, name: &str, status: Option<&ContainerStatus>) -> Option<String> {
        let none = ContainerStateWaiting::default();
        let waiting = status.and_then(|status| status.state.as_ref()?.waiting.as_ref()).unwrap_or(&none);
        let message = waiting.message.clone().unwrap_or_default();
        Some(match waiting.reason.as_deref().unwrap_or_default() {
            "CrashLoopBackOff" => self.crash_loop(name, status, &message),
            "" | "ContainerCreating" | "PodInitializing" => self.creating(name),
            reason @ ("ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName") => {
                format!("Container {name} waits for its image: {reason}: {message}")
            }
            reason => format!("Container {name} cannot be started: {reason}: {message}"),
        })
    }

    fn crash_loop(&self, name: &str, status: Option<&ContainerStatus>, message: &str) -> String {
        let ended = status.and_then(|status| status.last_state.as_ref()?.terminated.as_ref());
        let how = ended.map(exit).unwrap_or_else(|| "has ended".to_owned());
        let delay = message.strip_prefix("back-off ").and_then(|rest| go_duration(rest.split(' ').next()?));
        let finished = ended.and_then(|ended| ended.finished_at.as_ref()).map(|time| time.0);
        let until = delay.zip(finished).and_then(|(delay, finished)| finished.checked_add(delay).ok());
        let until = until.map_or(message.to_owned(), |until| format!("its back-off lasts {}", self.until(until)));
        let restarts = status.map_or(0, |status| status.restart_count);
        format!("Container {name} {how}, {restarts} restarts so far; {until}")
    }

    /// Before any container: the node, the volumes, the sandbox, the image.
    fn creating(&self, name: &str) -> String {
        let node = self.spec.node_name.clone().unwrap_or_default();
        if self.told.entries.is_empty() {
            return format!("Node {node} has not taken it up yet");
        }
        // What has just begun may be one more try of what failed.
        let slow = |act: &Act| self.now.duration_since(act.since) > SLOW;
        if self.told.under_way.iter().any(slow) {
            return self.under_way().join("; ");
        }
        if let Some(trouble) = self.last_trouble(&["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"]) {
            return trouble;
        }
        let pull = self.told.entries.iter().rev().find_map(|entry| match &entry.what {
            Transition::Event { reason, message, container, .. } if container.as_deref() == Some(name) => {
                Some((entry.at, reason.clone(), message.clone()))
            }
            _ => None,
        });
        match pull {
            Some((at, reason, message)) if reason == "Pulling" => {
                let image = message.trim_start_matches("Pulling image ");
                format!("Container {name} waits for its image {image}, which has been pulled for {}", self.since(at))
            }
            _ => format!("Container {name} is being made: its volumes and sandbox are not ready yet"),
        }
    }

    /// What the node is at, and for how long.
    fn under_way(&self) -> Vec<String> {
        let acts = self.told.under_way.iter();
        acts.map(|act| format!("Its {} since {:.0}, for {}", act.what, act.since, self.since(act.since))).collect()
    }

    fn probe(&self, container: &Container, kind: &str) -> String {
        let name = &container.name;
        let said = self.last_of(|what| match what {
            Transition::Event { reason, message, container: whose, count, .. }
                if reason == "Unhealthy" && whose.as_ref() == Some(name) && message.starts_with(kind) =>
            {
                Some((message.trim().to_owned(), *count))
            }
            _ => None,
        });
        let lower = kind.to_lowercase();
        let Some((said, count)) = said else {
            return format!("runs, but its {lower} probe has not passed; nothing was found so far");
        };
        let probe = container.startup_probe.as_ref().filter(|_| kind == "Startup");
        let limit = probe.and_then(|probe| probe.failure_threshold).filter(|_| count > 1);
        let times = limit.map(|limit| format!(", {count} failures of {limit} that end it")).unwrap_or_default();
        format!("runs, but its {lower} probe has not passed{times}; last: {said}")
    }

    fn gates(&self) -> Vec<String> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        let is_open = |gate: &str| conditions.iter().any(|one| one.type_ == gate && one.status == "True");
        let gates = self.spec.readiness_gates.iter().flatten().map(|gate| &gate.condition_type);
        gates.filter(|gate| !is_open(gate)).map(|gate| format!("Its readiness gate {gate} is not True")).collect()
    }

    fn resize(&self) -> Vec<String> {
        let conditions = self.status.conditions.iter().flatten();
        let resizes = conditions.filter(|one| one.type_.starts_with("PodResize") && one.status == "True");
        let text =
            |parts: [&Option<String>; 2]| parts.into_iter().flatten().cloned().collect::<Vec<String>>().join(": ");
        resizes.map(|one| format!("{}: {}", one.type_, text([&one.reason, &one.message]))).collect()
    }

    fn at_rest(&self) -> String {
        let ready = self.status.conditions.iter().flatten().find(|one| one.type_ == "Ready" && one.status == "True");
        match ready.and_then(|ready| ready.last_transition_time.as_ref()) {
            Some(time) => format!("It has been ready for {} and waits for nothing", self.since(time.0)),
            None => "It waits for nothing that could be named; isopod story tells what befell it".to_owned(),
        }
    }

    /// The newest warning with one of these reasons, unless the Pod got further since.
    fn last_trouble(&self, reasons: &[&str]) -> Option<String> {
        let after = |what: &Transition| matches!(what, Transition::Running { .. } | Transition::Sandbox { .. });
        let recent = self.told.entries.iter().rev().take_while(|entry| !after(&entry.what));
        recent.into_iter().find_map(|entry| match &entry.what {
            Transition::Event { warning: true, reason, message, .. } if reasons.contains(&reason.as_str()) => {
                Some(format!("{reason}, {} ago: {message}", self.since(entry.at)))
            }
            _ => None,
        })
    }

    fn last_of<T>(&self, wanted: impl Fn(&Transition) -> Option<T>) -> Option<T> {
        self.told.entries.iter().rev().find_map(|entry| wanted(&entry.what))
    }
}

fn find<'a>(statuses: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    statuses?.iter().find(|status| status.name == name)
}

fn exit(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let words = ended.message.as_ref().map(|words| format!(": {}", words.trim())).unwrap_or_default();
    format!("has exited with code {}{reason}{words}", ended.exit_code)
}

/// `10s`, `1m20s`, as Go writes them.
fn go_duration(text: &str) -> Option<SignedDuration> {
    let mut seconds = 0;
    let mut number = String::new();
    for char in text.chars() {
        match char {
            '0'..='9' => number.push(char),
            'h' | 'm' | 's' => {
                let unit = if char == 'h' {
                    3600
                } else if char == 'm' {
                    60
                } else {
                    1
                };
                seconds += std::mem::take(&mut number).parse::<i64>().ok()? * unit;
            }
            _ => return None,
        }
    }
    number.is_empty().then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
