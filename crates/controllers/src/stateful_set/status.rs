//! What a StatefulSet's status says. Pure.

use k8s_openapi::api::apps::v1::StatefulSetStatus;

use super::plan::{View, is_running_and_ready, revision};
use crate::pod_facts::PodFacts;

/// Counts Pods. Once all are made from the new template, that is the current one.
pub fn status(view: &View<'_>) -> StatefulSetStatus {
    let count = |wanted: &dyn Fn(&PodFacts) -> bool| number(view.pods.iter().filter(|pod| wanted(pod)).count());
    let (current, update) = (&view.templates.current.0, &view.templates.update.0);
    let made_from = |name: &str| count(&|pod| is_created(pod) && pod.deleted_at.is_none() && revision(pod) == name);
    let (ready, updated) = (count(&|pod| is_running_and_ready(pod)), made_from(update));
    let mut status = StatefulSetStatus {
        observed_generation: view.set.metadata.generation,
        replicas: count(&is_created),
        ready_replicas: some(ready),
        available_replicas: Some(count(&|pod| view.is_available(pod))),
        current_replicas: some(made_from(current)),
        updated_replicas: some(updated),
        current_revision: Some(current.clone()),
        update_revision: Some(update.clone()),
        ..StatefulSetStatus::default()
    };
    let wanted = view.replicas();
    if view.is_rolling() && [updated, ready, status.replicas] == [wanted; 3] {
        status.current_replicas = status.updated_replicas;
        status.current_revision.clone_from(&status.update_revision);
    }
    status
}

fn is_created(pod: &PodFacts) -> bool {
    !pod.phase.is_empty()
}

/// Whether a status says something new.
pub fn differs(old: Option<&StatefulSetStatus>, new: &StatefulSetStatus) -> bool {
    let plain = |status: &StatefulSetStatus| StatefulSetStatus {
        ready_replicas: Some(status.ready_replicas.unwrap_or(0)),
        current_replicas: Some(status.current_replicas.unwrap_or(0)),
        updated_replicas: Some(status.updated_replicas.unwrap_or(0)),
        conditions: None,
        ..status.clone()
    };
    old.map(plain) != Some(plain(new))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
