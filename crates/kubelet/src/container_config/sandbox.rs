//! From a Pod to the sandbox the runtime is asked to run.

use std::net::IpAddr;
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use super::dns::{self, ClusterDns, FullNameTooLong, ResolvConf};
use super::{log_directory, sandbox_security};
use crate::labels;
use crate::pod;
use crate::user_namespaces::IdRange;

/// What a sandbox's configuration depends on besides its Pod.
#[derive(Debug, Clone, Copy)]
pub struct SandboxInputs<'a> {
    /// How many sandboxes came before.
    pub attempt: u32,
    /// Its users, if they are not the host's.
    pub users: Option<IdRange>,
    /// The Pod's cgroup.
    pub cgroup_parent: &'a str,
    /// Directory of all Pods' logs.
    pub pod_logs: &'a Path,
    /// The host's resolver configuration.
    pub resolv_conf: &'a ResolvConf,
    /// Addresses of the cluster DNS.
    pub cluster_dns: &'a [IpAddr],
    /// The cluster's domain.
    pub cluster_domain: &'a str,
}

/// The sandbox as the runtime is asked to run it.
///
/// # Errors
/// The Pod's full name is to be its host name and does not fit the kernel.
pub fn sandbox_config(pod: &Pod, inputs: SandboxInputs<'_>) -> Result<cri::PodSandboxConfig, FullNameTooLong> {
    let cluster = ClusterDns { servers: inputs.cluster_dns, domain: inputs.cluster_domain };
    let sysctls = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()?.sysctls.as_ref());
    Ok(cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: pod::name(pod).to_owned(),
            uid: pod::uid(pod).to_string(),
            namespace: pod::namespace(pod).to_owned(),
            attempt: inputs.attempt,
        }),
        // On the host's network the host's name shows.
        hostname: match pod::is_host_network(pod) {
            true => String::new(),
            false => dns::kernel_hostname(pod, inputs.cluster_domain)?,
        },
        log_directory: inputs.pod_logs.join(log_directory(pod)).to_string_lossy().into_owned(),
        dns_config: Some(dns::dns_config(pod, inputs.resolv_conf, cluster)),
        port_mappings: port_mappings(pod),
        labels: labels::sandbox_labels(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        linux: Some(cri::LinuxPodSandboxConfig {
            // From the root of the hierarchy: runc takes other paths to begin at its own cgroup.
            cgroup_parent: format!("/{}", inputs.cgroup_parent),
            security_context: Some(sandbox_security(pod, inputs.users)),
            sysctls: sysctls.into_iter().flatten().map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
            ..cri::LinuxPodSandboxConfig::default()
        }),
        ..cri::PodSandboxConfig::default()
    })
}

/// Host ports; on the host's network there is nothing to forward.
fn port_mappings(pod: &Pod) -> Vec<cri::PortMapping> {
    if pod::is_host_network(pod) {
        return Vec::new();
    }
    let ports = pod::all_containers(pod).flat_map(|(_, container)| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let host_port = port.host_port.filter(|port| *port > 0)?;
            let protocol = match port.protocol.as_deref() {
                Some("UDP") => cri::Protocol::Udp,
                Some("SCTP") => cri::Protocol::Sctp,
                _ => cri::Protocol::Tcp,
            };
            Some(cri::PortMapping {
                protocol: protocol.into(),
                container_port: port.container_port,
                host_port,
                host_ip: port.host_ip.clone().unwrap_or_default(),
            })
        })
        .collect()
}
