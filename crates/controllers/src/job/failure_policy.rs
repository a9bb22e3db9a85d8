//! What a Job's policy says about a Pod that failed. Pure.

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};

use crate::pod_facts::{ContainerFacts, PodFacts};

/// What a failure means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It counts towards the limit.
    Counts,
    /// It does not.
    Ignored,
    /// Its index has failed for good.
    FailsIndex,
    /// The Job has failed, with this message.
    FailsJob(String),
}

/// Judges a failed Pod by the first rule that matches.
pub fn judge(spec: &JobSpec, pod: &PodFacts) -> Meaning {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    let matches = rules.enumerate().find_map(|(index, rule)| Some((index, rule, matched(rule, pod)?)));
    let Some((index, rule, what)) = matches else { return Meaning::Counts };
    match rule.action.as_str() {
        "Ignore" => Meaning::Ignored,
        "FailIndex" => Meaning::FailsIndex,
        "FailJob" => Meaning::FailsJob(format!("{what} matching FailJob rule at index {index}")),
        _ => Meaning::Counts,
    }
}

/// What about the Pod matches, in words.
fn matched(rule: &PodFailurePolicyRule, pod: &PodFacts) -> Option<String> {
    let (namespace, name) = (pod.namespace(), pod.name());
    if let Some(requirement) = &rule.on_exit_codes {
        let (container, code) = by_exit_code(requirement, pod)?;
        let container = &container.name;
        return Some(format!("Container {container} for pod {namespace}/{name} failed with exit code {code}"));
    }
    let condition = by_condition(rule.on_pod_conditions.as_deref()?, pod)?;
    Some(format!("Pod {namespace}/{name} has condition {condition}"))
}

fn by_exit_code<'a>(
    requirement: &PodFailurePolicyOnExitCodesRequirement,
    pod: &'a PodFacts,
) -> Option<(&'a ContainerFacts, i32)> {
    let named =
        |container: &ContainerFacts| requirement.container_name.as_ref().is_none_or(|name| *name == container.name);
    let fits = |code: i32| match requirement.operator.as_str() {
        "In" => requirement.values.contains(&code),
        "NotIn" => !requirement.values.contains(&code),
        _ => false,
    };
    let (init, regular): (Vec<_>, Vec<_>) = pod.containers.iter().partition(|container| container.is_init);
    let ended = regular.into_iter().chain(init).filter(|container| named(container));
    let ended = ended.filter_map(|container| Some((container, container.exit_code?)));
    ended.into_iter().find(|(_, code)| *code != 0 && fits(*code))
}

fn by_condition<'a>(patterns: &[PodFailurePolicyOnPodConditionsPattern], pod: &'a PodFacts) -> Option<&'a str> {
    let fits = |condition: &&crate::pod_facts::Condition| {
        patterns.iter().any(|pattern| {
            pattern.type_ == condition.kind && pattern.status.as_deref().unwrap_or("True") == condition.status
        })
    };
    pod.conditions.iter().find(fits).map(|condition| condition.kind.as_str())
}
