//! Columns of Nodes.

use std::collections::BTreeSet;

use api::k8s_openapi::api::core::v1::Node;

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, or_none, typed, wide};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub(super) static COLUMNS: Columns = Columns {
    definitions: &[
        NAME,
        column("Status", "The status of the node"),
        column("Roles", "The roles of the node"),
        AGE,
        column("Version", descriptions::NODE_SYSTEM_INFO_KUBELET_VERSION),
        wide("Internal-IP", descriptions::NODE_STATUS_ADDRESSES),
        wide("External-IP", descriptions::NODE_STATUS_ADDRESSES),
        wide("OS-Image", descriptions::NODE_SYSTEM_INFO_OS_IMAGE),
        wide("Kernel-Version", descriptions::NODE_SYSTEM_INFO_KERNEL_VERSION),
        wide("Container-Runtime", descriptions::NODE_SYSTEM_INFO_CONTAINER_RUNTIME_VERSION),
    ],
    row: |object, now| {
        let node = typed::<Node>(object);
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let known = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or("<unknown>").into();
        Row::from(vec![
            name(object),
            status(node).into(),
            or_none(Some(&roles(node))),
            age(object, now),
            info.map_or("", |info| &info.kubelet_version).into(),
            or_none(address(node, "InternalIP")),
            or_none(address(node, "ExternalIP")),
            known(info.map(|info| info.os_image.as_str())),
            known(info.map(|info| info.kernel_version.as_str())),
            known(info.map(|info| info.container_runtime_version.as_str())),
        ])
    },
};

fn status(node: &Node) -> String {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = match conditions.iter().rev().find(|condition| condition.type_ == "Ready") {
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    if cordoned { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

/// The roles that labels give the node.
fn roles(node: &Node) -> String {
    let labels = node.metadata.labels.iter().flatten();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None if key == ROLE_LABEL => Some(value.as_str()),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn address<'a>(node: &'a Node, kind: &str) -> Option<&'a str> {
    let addresses = node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    addresses.iter().find(|address| address.type_ == kind).map(|address| address.address.as_str())
}
