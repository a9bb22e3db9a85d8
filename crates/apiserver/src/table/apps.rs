//! Columns of the kinds that keep Pods running.

use api::apps::v1::selector_of;
use api::core::v1::pod::template;
use api::k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use api::k8s_openapi::api::core::v1::{Container, PodTemplate, PodTemplateSpec, ReplicationController};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use api::labels::{Labels, Selector};
use serde_json::Value;

use super::{AGE, Column, Columns, NAME, Row, age, column, descriptions, name, or_none, typed, wide};

pub(super) const CONTAINERS: Column = wide("Containers", "Names of each container in the template.");
pub(super) const IMAGES: Column = wide("Images", "Images referenced by each container in the template.");
const READY: Column = column("Ready", "Number of the pod with ready state");

/// A column of numbers.
pub(super) const fn integer(name: &'static str, description: &'static str) -> Column {
    Column { kind: "integer", ..column(name, description) }
}

pub(super) static DEPLOYMENT: Columns = Columns {
    definitions: &[
        NAME,
        READY,
        column("Up-to-date", descriptions::DEPLOYMENT_STATUS_UPDATED_REPLICAS),
        column("Available", descriptions::DEPLOYMENT_STATUS_AVAILABLE_REPLICAS),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", descriptions::DEPLOYMENT_SPEC_SELECTOR),
    ],
    row: |object, now| {
        let deployment = typed::<Deployment>(object);
        let (spec, status) =
            (deployment.spec.clone().unwrap_or_default(), deployment.status.clone().unwrap_or_default());
        let ready = format!("{}/{}", status.ready_replicas.unwrap_or(0), spec.replicas.unwrap_or(0));
        Row::from(vec![
            name(object),
            ready.into(),
            status.updated_replicas.unwrap_or(0).into(),
            status.available_replicas.unwrap_or(0).into(),
            age(object, now),
            container_names(Some(&spec.template)),
            container_images(Some(&spec.template)),
            selector(selector_of(&spec.selector)),
        ])
    },
};

pub(super) static REPLICA_SET: Columns = Columns {
    definitions: &[
        NAME,
        integer("Desired", descriptions::REPLICA_SET_SPEC_REPLICAS),
        integer("Current", descriptions::REPLICA_SET_STATUS_REPLICAS),
        integer("Ready", descriptions::REPLICA_SET_STATUS_READY_REPLICAS),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", descriptions::REPLICA_SET_SPEC_SELECTOR),
    ],
    row: |object, now| {
        let set = typed::<ReplicaSet>(object);
        let (spec, status) = (set.spec.clone().unwrap_or_default(), set.status.clone().unwrap_or_default());
        Row::from(vec![
            name(object),
            spec.replicas.unwrap_or(0).into(),
            status.replicas.into(),
            status.ready_replicas.unwrap_or(0).into(),
            age(object, now),
            container_names(spec.template.as_ref()),
            container_images(spec.template.as_ref()),
            selector(selector_of(&spec.selector)),
        ])
    },
};

pub(super) static REPLICATION_CONTROLLER: Columns = Columns {
    definitions: &[
        NAME,
        integer("Desired", descriptions::REPLICATION_CONTROLLER_SPEC_REPLICAS),
        integer("Current", descriptions::REPLICATION_CONTROLLER_STATUS_REPLICAS),
        integer("Ready", descriptions::REPLICATION_CONTROLLER_STATUS_READY_REPLICAS),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", descriptions::REPLICATION_CONTROLLER_SPEC_SELECTOR),
    ],
    row: |object, now| {
        let controller = typed::<ReplicationController>(object);
        let (spec, status) =
            (controller.spec.clone().unwrap_or_default(), controller.status.clone().unwrap_or_default());
        Row::from(vec![
            name(object),
            spec.replicas.unwrap_or(0).into(),
            status.replicas.into(),
            status.ready_replicas.unwrap_or(0).into(),
            age(object, now),
            container_names(spec.template.as_ref()),
            container_images(spec.template.as_ref()),
            labels(spec.selector.as_ref()),
        ])
    },
};

pub(super) static POD_TEMPLATE: Columns = Columns {
    definitions: &[
        NAME,
        Column { priority: 0, ..CONTAINERS },
        Column { priority: 0, ..IMAGES },
        column("Pod Labels", "The labels for the pod template."),
    ],
    row: |object, _| {
        let pods = typed::<PodTemplate>(object).template.as_ref();
        Row::from(vec![
            name(object),
            container_names(pods),
            container_images(pods),
            labels(pods.and_then(template::labels_of)),
        ])
    },
};

pub(super) static STATEFUL_SET: Columns = Columns {
    definitions: &[NAME, READY, AGE, CONTAINERS, IMAGES],
    row: |object, now| {
        let set = typed::<StatefulSet>(object);
        let (spec, status) = (set.spec.clone().unwrap_or_default(), set.status.clone().unwrap_or_default());
        let ready = format!("{}/{}", status.ready_replicas.unwrap_or(0), spec.replicas.unwrap_or(0));
        Row::from(vec![
            name(object),
            ready.into(),
            age(object, now),
            container_names(Some(&spec.template)),
            container_images(Some(&spec.template)),
        ])
    },
};

pub(super) static DAEMON_SET: Columns = Columns {
    definitions: &[
        NAME,
        integer("Desired", descriptions::DAEMON_SET_STATUS_DESIRED_NUMBER_SCHEDULED),
        integer("Current", descriptions::DAEMON_SET_STATUS_CURRENT_NUMBER_SCHEDULED),
        integer("Ready", descriptions::DAEMON_SET_STATUS_NUMBER_READY),
        integer("Up-to-date", descriptions::DAEMON_SET_STATUS_UPDATED_NUMBER_SCHEDULED),
        integer("Available", descriptions::DAEMON_SET_STATUS_NUMBER_AVAILABLE),
        column("Node Selector", descriptions::POD_SPEC_NODE_SELECTOR),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", descriptions::DAEMON_SET_SPEC_SELECTOR),
    ],
    row: |object, now| {
        let set = typed::<DaemonSet>(object);
        let (spec, status) = (set.spec.clone().unwrap_or_default(), set.status.clone().unwrap_or_default());
        Row::from(vec![
            name(object),
            status.desired_number_scheduled.into(),
            status.current_number_scheduled.into(),
            status.number_ready.into(),
            status.updated_number_scheduled.unwrap_or(0).into(),
            status.number_available.unwrap_or(0).into(),
            labels(template::spec_of(&spec.template).node_selector.as_ref()),
            age(object, now),
            container_names(Some(&spec.template)),
            container_images(Some(&spec.template)),
            selector(Some(&spec.selector)),
        ])
    },
};

pub(super) static CONTROLLER_REVISION: Columns = Columns {
    definitions: &[
        NAME,
        column("Controller", "Controller of the object"),
        column("Revision", descriptions::CONTROLLER_REVISION_REVISION),
        AGE,
    ],
    row: |object, now| {
        let owners = object.metadata().owner_references.iter().flatten();
        let owner = owners.clone().find(|owner| owner.controller == Some(true)).map(|owner| {
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", owner.kind.to_lowercase(), owner.name)
        });
        let revision = typed::<ControllerRevision>(object).revision;
        Row::from(vec![name(object), or_none(owner.as_deref()), revision.into(), age(object, now)])
    },
};

fn of_containers(pods: Option<&PodTemplateSpec>, what: fn(&Container) -> &str) -> Value {
    let containers = pods.iter().flat_map(|pods| &template::spec_of(pods).containers);
    containers.map(what).collect::<Vec<_>>().join(",").into()
}

/// The names of a template's containers.
pub(super) fn container_names(pods: Option<&PodTemplateSpec>) -> Value {
    of_containers(pods, |container| &container.name)
}

/// The images of a template's containers.
pub(super) fn container_images(pods: Option<&PodTemplateSpec>) -> Value {
    of_containers(pods, |container| container.image.as_deref().unwrap_or_default())
}

/// A selector as text.
pub(super) fn selector(selector: Option<&LabelSelector>) -> Value {
    match Selector::from_label_selector(selector) {
        Ok(selector) => or_none(Some(&selector.to_string())),
        Err(_) => "<error>".into(),
    }
}

/// Labels as text.
pub(super) fn labels(labels: Option<&Labels>) -> Value {
    or_none(labels.map(|labels| Selector::from_labels(labels).to_string()).as_deref())
}
