//! An ephemeral container as upstream shows it when it may not change: every field, in declaration order.

use k8s_openapi::api::core::v1::EphemeralContainer;
use serde::Serialize;
use serde_json::Value;

/// The fields that messages show first, under their names in upstream's internal type.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Internal<'a> {
    name: &'a str,
    image: &'a str,
    command: &'a Option<Vec<String>>,
    args: &'a Option<Vec<String>>,
    working_dir: &'a str,
    ports: Value,
    env_from: Value,
    env: Value,
    resources: Value,
    resize_policy: Value,
    restart_policy: &'a Option<String>,
    restart_policy_rules: Value,
    volume_mounts: Value,
    volume_devices: Value,
    liveness_probe: Value,
    readiness_probe: Value,
    startup_probe: Value,
    lifecycle: Value,
    termination_message_path: &'a str,
    termination_message_policy: &'a str,
    image_pull_policy: &'a str,
    security_context: Value,
    stdin: bool,
    stdin_once: bool,
    #[serde(rename = "TTY")]
    tty: bool,
    target_container_name: &'a str,
}

pub(super) fn internal(container: &EphemeralContainer) -> Internal<'_> {
    fn text(field: &Option<String>) -> &str {
        field.as_deref().unwrap_or_default()
    }
    fn tree<T: Serialize>(field: &Option<T>) -> Value {
        serde_json::to_value(field).expect("API types always encode")
    }
    Internal {
        name: &container.name,
        image: text(&container.image),
        command: &container.command,
        args: &container.args,
        working_dir: text(&container.working_dir),
        ports: tree(&container.ports),
        env_from: tree(&container.env_from),
        env: tree(&container.env),
        resources: tree(&container.resources),
        resize_policy: tree(&container.resize_policy),
        restart_policy: &container.restart_policy,
        restart_policy_rules: tree(&container.restart_policy_rules),
        volume_mounts: tree(&container.volume_mounts),
        volume_devices: tree(&container.volume_devices),
        liveness_probe: tree(&container.liveness_probe),
        readiness_probe: tree(&container.readiness_probe),
        startup_probe: tree(&container.startup_probe),
        lifecycle: tree(&container.lifecycle),
        termination_message_path: text(&container.termination_message_path),
        termination_message_policy: text(&container.termination_message_policy),
        image_pull_policy: text(&container.image_pull_policy),
        security_context: tree(&container.security_context),
        stdin: container.stdin.unwrap_or_default(),
        stdin_once: container.stdin_once.unwrap_or_default(),
        tty: container.tty.unwrap_or_default(),
        target_container_name: text(&container.target_container_name),
    }
}
