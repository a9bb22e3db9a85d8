//! Where a Pod must have come to once nothing befalls it any more, and what its status may never take back.

use std::time::Duration;

use serde_json::Value;
use testkit::fake_cri::{Happening, Trace};

use super::Node;
use super::random_pod::{Kind, SimulatedPod};
use super::scenario::Story;

/// The longest wait of a crash loop or a pull, and what is done after it.
const PATIENCE: Duration = Duration::from_secs(330);
/// The exit code of a container that could not be started.
pub const START_FAILED: i32 = 128;
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Heals everything and waits until the Pod is what its spec asks for.
pub async fn settle(pod: &SimulatedPod, node: &Node, story: &Story) {
    let init = || pod.containers.iter().filter(|(_, kind)| *kind == Kind::Init).map(|(name, _)| name);
    node.cri.behave(|fake| {
        fake.pull_failures.clear();
        fake.start_failures.clear();
        fake.commands.clear();
        fake.sandbox_failure = None;
        fake.exits_at_once.extend(init().map(|name| (name.clone(), 0)));
    });
    // One back-off may follow the other: of a pull, of a start, of an exit. A clock that was set back prolongs each.
    let set_back: u64 = story.jumps.iter().filter(|jump| **jump < 0).map(|jump| jump.unsigned_abs()).sum();
    let mut left = PATIENCE * 3 + Duration::from_secs(set_back);
    loop {
        tokio::time::sleep(LOOK).await;
        init().filter(|name| node.cri.is_running(name)).for_each(|name| node.cri.exit(name, 0));
        match (is_settled(pod, node), left.checked_sub(LOOK)) {
            (Ok(()), _) => return,
            (Err(problem), None) => {
                panic!("{problem} and nothing happens:\n{}\n{:#?}\n{}", pod.spec, story.told, node.status())
            }
            (Err(_), Some(rest)) => left = rest,
        }
    }
}

fn is_settled(pod: &SimulatedPod, node: &Node) -> Result<(), String> {
    let (status, trace) = (node.status(), node.cri.trace());
    let is_over = status["phase"] == "Succeeded" || status["phase"] == "Failed";
    for (name, kind) in &pod.containers {
        let runs = node.cri.is_running(name);
        match kind {
            _ if is_over && runs => return Err(format!("{name} runs although the Pod is over")),
            Kind::Ephemeral if !is_over && node.cri.instances(name) == 0 => return Err(format!("{name} was not made")),
            Kind::Regular | Kind::Sidecar if !is_over => has_settled(pod, node, &status, &trace, name)?,
            _ => {}
        }
    }
    Ok(())
}

fn has_settled(pod: &SimulatedPod, node: &Node, status: &Value, trace: &[Trace], name: &str) -> Result<(), String> {
    let lists = [&status["initContainerStatuses"], &status["containerStatuses"]];
    let told = lists.into_iter().filter_map(Value::as_array).flatten().find(|one| one["name"] == name);
    let told = told.ok_or_else(|| format!("{name} has no status"))?;
    if !node.cri.is_running(name) {
        let last = trace.iter().rev().find_map(|one| match &one.what {
            Happening::Exited(code) if one.name == name => Some(*code),
            Happening::StartFailed if one.name == name => Some(START_FAILED),
            _ => None,
        });
        let done = last.is_some_and(|code| !pod.restarts(name, code));
        let shown = told["state"]["terminated"]["exitCode"].as_i64() == last.map(i64::from);
        return if done && shown { Ok(()) } else { Err(format!("{name} does not run")) };
    }
    let config = node.cri.container_config(name).expect("it runs");
    let image = config.image.map(|image| image.user_specified_image).unwrap_or_default();
    let attempt = config.metadata.map(|metadata| metadata.attempt);
    let resources = &pod.container(name)["resources"];
    match () {
        () if told["state"]["running"].is_null() => Err(format!("{name} runs, and its status does not say so")),
        () if told["ready"] != true || told["started"] != true => Err(format!("{name} is not ready")),
        () if image != pod.container(name)["image"] => Err(format!("{name} runs {image}")),
        () if told["restartCount"].as_u64() != attempt.map(u64::from) => {
            Err(format!("{name}'s restarts are miscounted"))
        }
        () if !resources.is_null() && told["resources"] != *resources => Err(format!("{name} has other resources")),
        () => Ok(()),
    }
}

/// What has ended stays so, and restarts only become more.
pub fn check_progress(before: &Value, after: &Value) {
    let is_over = before["phase"] == "Succeeded" || before["phase"] == "Failed";
    assert!(!is_over || before["phase"] == after["phase"], "it was {} and is {}", before["phase"], after["phase"]);
    for list in ["initContainerStatuses", "containerStatuses"] {
        for one in before[list].as_array().into_iter().flatten() {
            let now = after[list].as_array().into_iter().flatten().find(|other| other["name"] == one["name"]);
            let now = now.unwrap_or_else(|| panic!("the status of {} is gone", one["name"]));
            assert!(one["restartCount"].as_u64() <= now["restartCount"].as_u64(), "a restart is forgotten: {now}");
        }
    }
}
