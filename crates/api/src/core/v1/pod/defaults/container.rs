//! Defaults of containers.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvFromSource, EnvVar, EphemeralContainer, HTTPGetAction, LifecycleHandler,
    ObjectFieldSelector, Probe, ResourceFieldSelector, ResourceRequirements, TCPSocketAction, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::security;
use crate::core::v1::pod::image::default_pull_policy;
use crate::core::v1::resource_list;
use crate::omit_empty::omit_empty;

/// The file a container leaves its last words in.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";

/// The same defaults for the two types of containers, which share all these fields.
macro_rules! default_container {
    ($container:expr) => {{
        let container = $container;
        omit_empty!(container => args, command, env, env_from, image, image_pull_policy, ports, resize_policy,
            restart_policy_rules, stdin, stdin_once, termination_message_path, termination_message_policy, tty,
            volume_devices, volume_mounts, working_dir);
        let image = container.image.as_deref().unwrap_or_default();
        container.image_pull_policy.get_or_insert_with(|| default_pull_policy(image).to_owned());
        container.termination_message_path.get_or_insert_with(|| TERMINATION_MESSAGE_PATH.to_owned());
        container.termination_message_policy.get_or_insert_with(|| "File".to_owned());
        default_resources(container.resources.get_or_insert_with(ResourceRequirements::default));
        container.ports.iter_mut().flatten().for_each(default_port);
        container.env.iter_mut().flatten().for_each(default_env);
        container.env_from.iter_mut().flatten().for_each(default_env_from);
        container.volume_mounts.iter_mut().flatten().for_each(default_mount);
        let probes = [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
        probes.into_iter().flatten().for_each(default_probe);
        if let Some(lifecycle) = &mut container.lifecycle {
            lifecycle.post_start.iter_mut().chain(&mut lifecycle.pre_stop).for_each(default_handler);
        }
        container.security_context.iter_mut().for_each(security::default_container);
    }};
}

pub(super) fn default_container(container: &mut Container) {
    default_container!(container);
}

pub(super) fn default_ephemeral_container(container: &mut EphemeralContainer) {
    default_container!(&mut *container);
    omit_empty!(container => target_container_name);
}

pub(super) fn default_resources(resources: &mut ResourceRequirements) {
    omit_empty!(resources => claims, limits, requests);
    resource_list::canonicalize(resources.limits.as_mut());
    resource_list::canonicalize(resources.requests.as_mut());
    for claim in resources.claims.iter_mut().flatten() {
        omit_empty!(claim => request);
    }
}

fn default_port(port: &mut ContainerPort) {
    omit_empty!(port => host_ip, host_port, name, protocol);
    port.protocol.get_or_insert_with(|| "TCP".to_owned());
}

fn default_env(variable: &mut EnvVar) {
    omit_empty!(variable => value);
    let Some(source) = &mut variable.value_from else { return };
    source.field_ref.iter_mut().for_each(default_field_ref);
    source.resource_field_ref.iter_mut().for_each(default_resource_ref);
}

pub(super) fn default_field_ref(selector: &mut ObjectFieldSelector) {
    omit_empty!(selector => api_version);
    selector.api_version.get_or_insert_with(|| "v1".to_owned());
}

pub(super) fn default_resource_ref(selector: &mut ResourceFieldSelector) {
    omit_empty!(selector => container_name);
    let divisor = selector.divisor.get_or_insert_with(|| ApiQuantity("0".to_owned()));
    resource_list::canonicalize_one(divisor, false);
}

fn default_env_from(source: &mut EnvFromSource) {
    omit_empty!(source => prefix);
}

fn default_mount(mount: &mut VolumeMount) {
    omit_empty!(mount => read_only, sub_path, sub_path_expr);
}

fn default_probe(probe: &mut Probe) {
    omit_empty!(probe => failure_threshold, initial_delay_seconds, period_seconds, success_threshold, timeout_seconds);
    probe.timeout_seconds.get_or_insert(1);
    probe.period_seconds.get_or_insert(10);
    probe.success_threshold.get_or_insert(1);
    probe.failure_threshold.get_or_insert(3);
    probe.http_get.iter_mut().for_each(default_http_get);
    probe.tcp_socket.iter_mut().for_each(default_tcp_socket);
    if let Some(exec) = &mut probe.exec {
        omit_empty!(exec => command);
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_with(String::new);
    }
}

fn default_handler(handler: &mut LifecycleHandler) {
    handler.http_get.iter_mut().for_each(default_http_get);
    handler.tcp_socket.iter_mut().for_each(default_tcp_socket);
    if let Some(exec) = &mut handler.exec {
        omit_empty!(exec => command);
    }
}

fn default_http_get(action: &mut HTTPGetAction) {
    omit_empty!(action => host, http_headers, path, scheme);
    action.path.get_or_insert_with(|| "/".to_owned());
    action.scheme.get_or_insert_with(|| "HTTP".to_owned());
}

fn default_tcp_socket(action: &mut TCPSocketAction) {
    omit_empty!(action => host);
}
