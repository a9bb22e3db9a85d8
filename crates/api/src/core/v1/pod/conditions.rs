//! Conditions of Pods and Nodes: finding one by its type, and replacing one.

use k8s_openapi::api::core::v1::{NodeCondition, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// All containers of the Pod are ready.
pub const CONTAINERS_READY: &str = "ContainersReady";
/// All init containers have completed.
pub const INITIALIZED: &str = "Initialized";
/// The Pod has a node.
pub const POD_SCHEDULED: &str = "PodScheduled";
/// The Pod can serve requests.
pub const READY: &str = "Ready";
/// The sandbox is there and has its network.
pub const POD_READY_TO_START_CONTAINERS: &str = "PodReadyToStartContainers";
/// The Pod is about to end because of a disruption.
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// What conditions of all kinds have in common.
pub trait Condition {
    /// Its type, such as `Ready`.
    fn kind(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// When its status last changed.
    fn last_transition_time(&mut self) -> &mut Option<Time>;
}

macro_rules! conditions {
    ($($type:ty),+) => {
        $(impl Condition for $type {
            fn kind(&self) -> &str {
                &self.type_
            }

            fn status(&self) -> &str {
                &self.status
            }

            fn last_transition_time(&mut self) -> &mut Option<Time> {
                &mut self.last_transition_time
            }
        })+
    };
}
conditions!(PodCondition, NodeCondition);

/// The condition of a type, if it is there.
pub fn get<'a, C: Condition>(conditions: Option<&'a Vec<C>>, kind: &str) -> Option<&'a C> {
    conditions?.iter().find(|condition| condition.kind() == kind)
}

/// Whether the condition of a type is there and `True`.
pub fn is_true<C: Condition>(conditions: Option<&Vec<C>>, kind: &str) -> bool {
    get(conditions, kind).is_some_and(|condition| condition.status() == "True")
}

/// Puts a condition in the place of the one of its type, or at the end. The transition time stays when the status
/// does. Says whether anything changed.
pub fn set<C: Condition + PartialEq>(conditions: &mut Option<Vec<C>>, mut condition: C) -> bool {
    let conditions = conditions.get_or_insert_with(Vec::new);
    let Some(present) = conditions.iter_mut().find(|present| present.kind() == condition.kind()) else {
        conditions.push(condition);
        return true;
    };
    if present.status() == condition.status() {
        *condition.last_transition_time() = present.last_transition_time().clone();
    }
    let changed = *present != condition;
    *present = condition;
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: &str, second: i64) -> PodCondition {
        let time = k8s_openapi::jiff::Timestamp::from_second(second).unwrap();
        PodCondition {
            type_: READY.into(),
            status: status.into(),
            last_transition_time: Some(Time(time)),
            ..Default::default()
        }
    }

    #[test]
    fn the_transition_time_moves_with_the_status() {
        let mut conditions = None;
        assert!(set(&mut conditions, condition("False", 1)));
        assert!(!set(&mut conditions, condition("False", 2)));
        assert_eq!(get(conditions.as_ref(), READY), Some(&condition("False", 1)));
        assert!(set(&mut conditions, condition("True", 3)));
        assert_eq!(get(conditions.as_ref(), READY), Some(&condition("True", 3)));
        assert!(is_true(conditions.as_ref(), READY));
        assert!(!is_true(conditions.as_ref(), INITIALIZED));
    }
}
