//! What a hollow node knows of a Pod: little, as there may be tens of thousands.

use std::time::Duration;

use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

/// The annotation that says after what time a Pod ends, such as `1500ms` or `20s`.
pub const COMPLETE_AFTER: &str = "hollow.isopod.io/complete-after";

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct HollowPod {
    pub key: ObjectKey,
    pub uid: String,
    pub node: String,
    pub phase: Phase,
    /// Its Ready condition.
    pub ready: bool,
    /// Somebody wants it gone.
    pub deleted: bool,
    /// Since when it runs.
    pub started: Option<Timestamp>,
    pub ends: Ends,
    pub generation: Option<i64>,
    /// What its status is made of; empty once it runs.
    pub containers: Box<[Hull]>,
    pub init_containers: Box<[Hull]>,
}

/// Where a Pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Running,
    Ended,
}

/// When a Pod ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Never,
    After(Duration),
    /// Like all Pods of Jobs.
    AsJob,
}

/// All that there is of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hull {
    pub name: Box<str>,
    pub image: Box<str>,
}

impl HollowPod {
    /// What matters of a Pod.
    pub fn of(pod: Pod) -> Self {
        let key = ObjectKey::of(&pod);
        let (metadata, spec) = (pod.metadata, pod.spec.unwrap_or_default());
        let status = pod.status.unwrap_or_default();
        let mut conditions = status.conditions.iter().flatten();
        let phase = match status.phase.as_deref() {
            Some("Running") => Phase::Running,
            Some("Succeeded" | "Failed") => Phase::Ended,
            _ => Phase::Pending,
        };
        let annotation = metadata.annotations.as_ref().and_then(|annotations| annotations.get(COMPLETE_AFTER));
        let job = metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Job");
        let ends = match annotation.and_then(|text| duration(text)) {
            Some(duration) => Ends::After(duration),
            None if job => Ends::AsJob,
            None => Ends::Never,
        };
        let kept = |containers: &[Container]| {
            // Kept as long as the status is to be written.
            let hull = |one: &Container| Hull {
                name: one.name.as_str().into(),
                image: one.image.as_deref().unwrap_or_default().into(),
            };
            let wanted = phase == Phase::Pending || ends != Ends::Never;
            containers.iter().filter(|_| wanted).map(hull).collect()
        };
        Self {
            key,
            uid: metadata.uid.unwrap_or_default(),
            node: spec.node_name.unwrap_or_default(),
            phase,
            ready: conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            deleted: metadata.deletion_timestamp.is_some(),
            started: status.start_time.map(|time| time.0),
            ends,
            generation: metadata.generation,
            containers: kept(&spec.containers),
            init_containers: kept(spec.init_containers.as_deref().unwrap_or_default()),
        }
    }
}

/// `1500ms`, `20s` or `3m`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|character: char| !character.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let cases = [
            ("1500ms", Some(1500)),
            ("20s", Some(20_000)),
            ("3m", Some(180_000)),
            ("3", None),
            ("s", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
