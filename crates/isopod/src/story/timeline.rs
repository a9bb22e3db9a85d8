//! A story as a timeline for people. Pure.

use api::k8s_openapi::api::core::v1::Event;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kubelet::history::{Entry, Transition};

use super::known::{Known, Told, event_time};

/// Conditions that say no more than what containers do.
const INNER: [&str; 4] = ["Initialized", "ContainersReady", "PodReadyToStartContainers", "PodScheduled"];
/// Events that say what the status of a container says.
const DOUBLED: [&str; 2] = ["Created", "Started"];

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at: Timestamp,
    amiss: bool,
    text: String,
}

/// The whole story.
pub fn render(known: &Known, told: &Told) -> String {
    let state = match &told.pod {
        None => "gone".to_owned(),
        Some(pod) if pod.metadata.deletion_timestamp.is_some() => "being deleted".to_owned(),
        Some(pod) => pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default(),
    };
    let node = told.node.as_ref().map_or("on no node".to_owned(), |node| format!("on node {node}"));
    let mut text = format!("Pod {}/{} ({state}), {node}, UID {}\n", known.namespace, known.name, told.uid);
    write_lines(&lines(told), &mut text);
    for (container, log) in &told.logs {
        text.push_str(&format!("\nLast lines of {container}:\n"));
        log.lines().for_each(|line| text.push_str(&format!("  | {line}\n")));
    }
    let others: Vec<&Told> = known.told.iter().filter(|other| other.uid != told.uid).collect();
    if !others.is_empty() {
        text.push_str("\nOther Pods of this name (--uid shows their stories):\n");
        for other in others {
            let began = other.began().map_or("?".to_owned(), |at| format!("{at:.0}"));
            let state = if other.pod.is_some() { "exists" } else { "gone" };
            text.push_str(&format!("  {}  {began}  {state}\n", other.uid));
        }
    }
    if !known.unreachable.is_empty() {
        text.push_str(&format!("\nNodes that do not answer: {}\n", known.unreachable.join(", ")));
    }
    text
}

fn write_lines(lines: &[Line], text: &mut String) {
    let mut day = None;
    let mut previous: Option<Timestamp> = None;
    for line in lines {
        let at = line.at.to_zoned(TimeZone::UTC);
        if day != Some(at.date()) {
            day = Some(at.date());
            text.push_str(&format!("\n{} UTC\n", at.date()));
        }
        // The API keeps some times to the second only: no step can be measured from or to those.
        let exact = line.at.subsec_nanosecond() != 0;
        let time = if exact { at.strftime("%H:%M:%S%.3f").to_string() } else { at.strftime("%H:%M:%S").to_string() };
        let step = match previous {
            Some(before) if exact => format!("+{}", duration(line.at.duration_since(before).as_millis())),
            _ => String::new(),
        };
        let mark = if line.amiss { "!" } else { " " };
        text.push_str(&format!(
            "  {time:<12} {step:>9} {mark} {}\n",
            line.text.replace('\n', "\n                             ")
        ));
        if exact {
            previous = Some(line.at);
        }
    }
}

fn lines(told: &Told) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(at) = told.created_at {
        lines.push(Line { at, amiss: false, text: "created".to_owned() });
    }
    lines.extend(told.events.iter().filter_map(line_of_event));
    let mut adopted = false;
    // The Pod's own readiness says it for its containers.
    let of_pod = |what: &Transition| matches!(what, Transition::Condition { kind, .. } if kind == "Ready");
    let told_by_pod = |entry: &Entry| told.entries.iter().any(|other| other.at == entry.at && of_pod(&other.what));
    for entry in &told.entries {
        if matches!(entry.what, Transition::Ready { .. }) && told_by_pod(entry) {
            continue;
        }
        if let Some((amiss, text)) = describe(entry, adopted) {
            lines.push(Line { at: entry.at, amiss, text });
        }
        adopted |= matches!(entry.what, Transition::Adopted { .. });
    }
    lines.extend(unscheduled(told));
    // Times to the second come before what happened within it.
    lines.sort_by_key(|line| line.at);
    lines
}

/// The scheduler's verdict of a Pod without a node, once the Events that told it are forgotten.
fn unscheduled(told: &Told) -> Option<Line> {
    let conditions = told.pod.as_ref()?.status.as_ref()?.conditions.as_ref()?;
    let verdict = conditions.iter().find(|one| one.type_ == "PodScheduled" && one.status == "False")?;
    if told.events.iter().any(|event| event.reason.as_deref() == Some("FailedScheduling")) {
        return None;
    }
    let at = verdict.last_transition_time.as_ref()?.0;
    let words = [verdict.reason.as_deref(), verdict.message.as_deref()];
    let text = words.into_iter().flatten().collect::<Vec<_>>().join(": ");
    Some(Line { at, amiss: true, text: format!("no node: {text}") })
}

fn line_of_event(event: &Event) -> Option<Line> {
    let at = event_time(event)?;
    let reason = event.reason.as_deref().unwrap_or_default();
    let message = event.message.as_deref().unwrap_or_default();
    let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
    let amiss = event.type_.as_deref() == Some("Warning");
    Some(Line { at, amiss, text: format!("{reason}: {message}{times}") })
}

/// What an entry says, and whether it tells of something amiss; nothing for what another one says as well.
fn describe(entry: &Entry, adopted: bool) -> Option<(bool, String)> {
    let because = |reason: &Option<String>, message: &Option<String>| {
        let parts: Vec<&str> = [reason, message].into_iter().flatten().map(String::as_str).collect();
        if parts.is_empty() { String::new() } else { format!(": {}", parts.join(": ")) }
    };
    Some(match &entry.what {
        Transition::Adopted { .. } if adopted => (false, "the kubelet was started again and goes on".to_owned()),
        Transition::Adopted { generation } => (false, format!("the kubelet takes it up (generation {generation})")),
        Transition::Spec { generation } => (false, format!("the spec changed (generation {generation})")),
        Transition::Event { reason, .. } if DOUBLED.contains(&reason.as_str()) => return None,
        // It comes with the status as well.
        Transition::Event { reason, .. } if reason == "BackOff" => return None,
        Transition::Event { warning, reason, message, container, count } => {
            let whose = container.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            let times = if *warning && *count > 1 { format!(" ({count} times so far)") } else { String::new() };
            (*warning, format!("{whose}{reason}: {}{times}", message.trim_end()))
        }
        Transition::Phase { phase, reason, message } => {
            (phase == "Failed", format!("phase {phase}{}", because(reason, message)))
        }
        Transition::Condition { kind, .. } if INNER.contains(&kind.as_str()) => return None,
        Transition::Condition { kind, status, reason, message } => match (kind.as_str(), status.as_str()) {
            ("Ready", "True") => (false, "the Pod is ready".to_owned()),
            ("Ready", _) => (false, format!("the Pod is not ready any more{}", because(reason, message))),
            _ => (false, format!("{kind} is {status}{}", because(reason, message))),
        },
        Transition::Waiting { container, reason, message } => {
            (true, format!("{container} waits: {reason}{}", because(&None, message)))
        }
        Transition::Running { container, restarts: 0 } => (false, format!("{container} runs")),
        Transition::Running { container, restarts } => (false, format!("{container} runs again (restart {restarts})")),
        Transition::Ready { container, ready: true } => (false, format!("{container} is ready")),
        Transition::Ready { container, ready: false } => (false, format!("{container} is not ready any more")),
        Transition::Exited { container, code, reason, message, ran_ms } => {
            let how = match code {
                129..=192 => format!("was ended by signal {} ({reason})", code - 128),
                _ => format!("exited with code {code} ({reason})"),
            };
            let ran = ran_ms
                .filter(|ms| *ms > 0)
                .map(|ms| format!(" after {}", duration(i128::from(ms))))
                .unwrap_or_default();
            let words = message.as_ref().map(|words| format!(": {}", words.trim())).unwrap_or_default();
            (*code != 0, format!("{container} {how}{ran}{words}"))
        }
        Transition::Sandbox { attempt, reason, took_ms } => {
            let again = if *attempt > 0 { format!(", again (attempt {attempt}): {reason}") } else { String::new() };
            (*attempt > 0, format!("sandbox made in {}{again}", duration(i128::from(*took_ms))))
        }
        Transition::Volumes { took_ms } => (false, format!("volumes set up in {}", duration(i128::from(*took_ms)))),
        Transition::Ending { cause, grace_seconds: 0 } => (false, format!("ends: {cause}")),
        Transition::Ending { cause, grace_seconds } => {
            (false, format!("ends: {cause}; containers have {grace_seconds} s"))
        }
        Transition::Stopped => (false, "nothing of it runs any more".to_owned()),
        Transition::Released => (false, "volumes and cgroups are given back".to_owned()),
        Transition::Removed => (false, "gone".to_owned()),
        Transition::LastLines { .. } => return None,
        Transition::Skipped { entries } => (false, format!("... {entries} entries are not kept ...")),
    })
}

/// Milliseconds as people say them: `12ms`, `3.4s`, `2m05s`, `3h07m`, `2d04h`.
pub fn duration(milliseconds: impl TryInto<i128>) -> String {
    let milliseconds = milliseconds.try_into().unwrap_or(i128::MAX).max(0);
    let (seconds, minutes, hours) = (milliseconds / 1000, milliseconds / 60_000, milliseconds / 3_600_000);
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests;
