//! Pods without constraints are spread by default, as far as something says which Pods belong together.

use std::sync::Arc;

use api::labels::{Labels, Requirement, Selector};
use client::{Lister, ObjectKey};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ReplicationController, Service, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};

use crate::pod_info::{PodInfo, SpreadConstraint};

/// The constraints of Pods that have none.
#[derive(Debug, Clone)]
pub struct Defaults {
    constraints: Arc<[SpreadConstraint]>,
    systems: bool,
}

impl Defaults {
    /// Those that hold when nobody says otherwise: over nodes, and a little over zones, where nodes have zones.
    pub fn system() -> Self {
        let constraint = |key: &str, max_skew| TopologySpreadConstraint {
            max_skew,
            topology_key: key.into(),
            when_unsatisfiable: "ScheduleAnyway".into(),
            ..TopologySpreadConstraint::default()
        };
        let constraints = [constraint("kubernetes.io/hostname", 3), constraint("topology.kubernetes.io/zone", 5)];
        Self { systems: true, ..Self::list(&constraints) }
    }

    /// These.
    pub fn list(constraints: &[TopologySpreadConstraint]) -> Self {
        let none = Labels::new();
        let constraints = constraints.iter().map(|constraint| SpreadConstraint::of(&none, constraint));
        Self { constraints: constraints.collect(), systems: false }
    }

    pub(super) fn constraints(&self) -> &[SpreadConstraint] {
        &self.constraints
    }

    /// Whether nodes without some of the labels are ranked as well.
    pub(super) fn are_systems(&self) -> bool {
        self.systems
    }
}

/// What says which Pods belong together.
#[derive(Clone)]
pub struct Workloads {
    pub services: Lister<Service>,
    pub replication_controllers: Lister<ReplicationController>,
    pub replica_sets: Lister<ReplicaSet>,
    pub stateful_sets: Lister<StatefulSet>,
}

impl Workloads {
    /// Makes the constraints count the Pods that belong together with this one; none are left where nothing says which.
    pub(super) fn for_pod(&self, pod: &PodInfo, mut constraints: Vec<SpreadConstraint>) -> Vec<SpreadConstraint> {
        if constraints.is_empty() {
            return constraints;
        }
        let selector = self.selector(pod);
        if selector.is_everything() {
            return Vec::new();
        }
        for constraint in &mut constraints {
            constraint.selector = selector.clone();
        }
        constraints
    }

    fn selector(&self, pod: &PodInfo) -> Selector {
        let mut labels = Labels::new();
        let services = self.services.matching(|service| selects(service, pod));
        for service in &services {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone());
            labels.extend(selector.unwrap_or_default());
        }
        let mut requirements = Vec::new();
        if let Some(owner) = pod.facts.owner.as_ref().filter(|owner| owner.controller == Some(true)) {
            let key = ObjectKey::new(pod.key.namespace.as_str(), owner.name.as_str());
            match self.owners_selector(owner, &key) {
                Some(Owned::Labels(own)) => labels.extend(own),
                Some(Owned::Selector(selector)) => requirements = requirements_of(&selector),
                None => {}
            }
        }
        let Selector::All(mut all) = Selector::from_labels(&labels) else { return Selector::Nothing };
        all.append(&mut requirements);
        Selector::All(all)
    }

    fn owners_selector(&self, owner: &OwnerReference, key: &ObjectKey) -> Option<Owned> {
        match (owner.api_version.as_str(), owner.kind.as_str()) {
            ("v1", "ReplicationController") => {
                let controller = self.replication_controllers.get(key)?;
                controller.spec.as_ref()?.selector.clone().map(Owned::Labels)
            }
            ("apps/v1", "ReplicaSet") => {
                let set = self.replica_sets.get(key)?;
                set.spec.as_ref().map(|spec| Owned::Selector(spec.selector.clone()))
            }
            ("apps/v1", "StatefulSet") => {
                let set = self.stateful_sets.get(key)?;
                set.spec.as_ref().map(|spec| Owned::Selector(spec.selector.clone()))
            }
            _ => None,
        }
    }
}

/// What an owner selects by.
enum Owned {
    Labels(Labels),
    Selector(LabelSelector),
}

fn selects(service: &Service, pod: &PodInfo) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).filter(|labels| !labels.is_empty());
    service.metadata.namespace.as_deref() == Some(pod.key.namespace.as_str())
        && selector.is_some_and(|labels| labels.iter().all(|(key, value)| pod.facts.labels.get(key) == Some(value)))
}

fn requirements_of(selector: &LabelSelector) -> Vec<Requirement> {
    match Selector::from_label_selector(Some(selector)) {
        Ok(Selector::All(requirements)) => requirements,
        Ok(Selector::Nothing) | Err(_) => Vec::new(),
    }
}
