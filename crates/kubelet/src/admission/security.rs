//! What a Pod asks of the kernel that this node does not give. Pure.

use k8s_openapi::api::core::v1::{AppArmorProfile, Node, Pod};

use super::rejection;
use crate::pod;
use crate::pod_status::Verdict;

/// What this node allows and has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSecurity {
    /// Kernel parameters a Pod may set beyond the safe ones: names, or prefixes that end in `*`.
    pub allowed_unsafe_sysctls: Vec<String>,
    /// What becomes of AppArmor profiles.
    pub app_armor: AppArmor,
}

/// Why AppArmor profiles are not enforced here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AppArmor {
    /// The kernel does not know them.
    #[default]
    NotEnabled,
    /// The kernel would, but containers are not given any.
    NotApplied,
}

impl AppArmor {
    fn problem(self) -> &'static str {
        match self {
            Self::NotEnabled => "AppArmor is not enabled on the host",
            Self::NotApplied => "this node does not apply AppArmor profiles to containers",
        }
    }
}

/// Kernel parameters that stay within the Pod and harm nobody else.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Why the Pod is not let in.
pub fn refuse(pod: &Pod, node: &NodeSecurity) -> Option<Verdict> {
    forbidden_sysctl(pod, &node.allowed_unsafe_sysctls)
        .map(|problem| rejection("SysctlForbidden", &format!("forbidden sysctl: {problem}")))
        .or_else(|| {
            let problem = node.app_armor.problem();
            wants_app_armor(pod).then(|| rejection("AppArmor", &format!("Cannot enforce AppArmor: {problem}")))
        })
}

/// Why the Pod is not let in when its groups are to be its own and the runtime would add those of the image. A node that
/// has never said what it can do is not asked.
pub fn refuse_groups_policy(pod: &Pod, node: &Node) -> Option<Verdict> {
    let policy = pod.spec.as_ref()?.security_context.as_ref()?.supplemental_groups_policy.as_deref();
    let status = node.status.as_ref().filter(|status| status.conditions.is_some())?;
    let supported = status.features.as_ref().and_then(|features| features.supplemental_groups_policy).unwrap_or(false);
    (policy == Some("Strict") && !supported).then(|| {
        let message = "SupplementalGroupsPolicy=Strict is not supported in this node";
        rejection("SupplementalGroupsPolicyNotSupported", message)
    })
}

fn forbidden_sysctl(pod: &Pod, allowed: &[String]) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let host_ipc = spec.host_ipc.unwrap_or(false);
    let sysctls = spec.security_context.as_ref()?.sysctls.as_ref()?;
    sysctls.iter().find_map(|sysctl| {
        let name = normalize(&sysctl.name);
        let listed = SAFE_SYSCTLS.contains(&name.as_str()) || allowed.iter().any(|pattern| matches(pattern, &name));
        let namespace = namespace_of(&name);
        match namespace {
            Some("IPC") if listed && host_ipc => Some("IPC"),
            Some("Net") if listed && pod::is_host_network(pod) => Some("Net"),
            _ if listed => None,
            _ => return Some(format!("\"{name}\" not allowlisted")),
        }
        .map(|namespace| format!("\"{name}\" not allowed with host {namespace} enabled"))
    })
}

/// Names may be written with slashes; the first separator says which of the two separates.
fn normalize(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(first) if name.as_bytes()[first] == b'/' => name
            .chars()
            .map(|letter| {
                if letter == '/' {
                    '.'
                } else if letter == '.' {
                    '/'
                } else {
                    letter
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let pattern = normalize(pattern);
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// The namespace that keeps a parameter from other Pods.
fn namespace_of(name: &str) -> Option<&'static str> {
    let ipc = name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|p| name.starts_with(p));
    if ipc { Some("IPC") } else { name.starts_with("net.").then_some("Net") }
}

/// Whether a pattern of `--allowed-unsafe-sysctls` names parameters that a namespace keeps from other Pods.
pub fn is_namespaced(pattern: &str) -> bool {
    let pattern = normalize(pattern);
    namespace_of(pattern.strip_suffix('*').unwrap_or(&pattern)).is_some()
}

fn wants_app_armor(pod: &Pod) -> bool {
    let enforced = |profile: Option<&AppArmorProfile>| profile.is_some_and(|profile| profile.type_ != "Unconfined");
    let shared = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    enforced(shared.and_then(|shared| shared.app_armor_profile.as_ref()))
        || pod::all_containers(pod).any(|(_, container)| {
            enforced(container.security_context.as_ref().and_then(|own| own.app_armor_profile.as_ref()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod as spec_pod;

    fn verdict(spec: &str, allowed: &[&str]) -> String {
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
        let node = NodeSecurity { allowed_unsafe_sysctls: allowed, app_armor: AppArmor::NotEnabled };
        let verdict = refuse(&spec_pod(spec), &node);
        verdict.map_or_else(|| "admitted".to_owned(), |verdict| format!("{}: {}", verdict.reason, verdict.message))
    }

    #[test]
    fn strict_groups_need_a_runtime_that_knows_them() {
        let node = |status: serde_json::Value| -> Node {
            serde_json::from_value(serde_json::json!({ "metadata": {}, "status": status })).unwrap()
        };
        let pod = |policy: &str| {
            spec_pod(&format!(
                "{{securityContext: {{supplementalGroupsPolicy: {policy}}}, containers: [{{name: a, image: x}}]}}"
            ))
        };
        let unable = node(serde_json::json!({ "conditions": [] }));
        let able = node(serde_json::json!({ "conditions": [], "features": { "supplementalGroupsPolicy": true } }));
        let verdict = refuse_groups_policy(&pod("Strict"), &unable).unwrap();
        assert_eq!(verdict.reason, "SupplementalGroupsPolicyNotSupported");
        assert_eq!(refuse_groups_policy(&pod("Merge"), &unable), None);
        assert_eq!(refuse_groups_policy(&pod("Strict"), &able), None);
        assert_eq!(refuse_groups_policy(&pod("Strict"), &node(serde_json::json!({}))), None, "it has said nothing yet");
    }

    #[test]
    fn only_safe_and_allowed_parameters_are_set() {
        let of = |name: &str, rest: &str| {
            format!(
                "{{containers: [{{name: a, image: x}}], {rest} securityContext: {{sysctls: [{{name: {name}, value: \
                 '1'}}]}}}}"
            )
        };
        for (name, rest, allowed, expected) in [
            ("net.ipv4.tcp_syncookies", "", &[][..], "admitted"),
            ("net/ipv4/tcp_syncookies", "", &[], "admitted"),
            ("kernel.msgmax", "", &[], "\"kernel.msgmax\" not allowlisted"),
            ("kernel.msgmax", "", &["kernel.msg*"], "admitted"),
            ("kernel.msgmax", "", &["kernel/msgmax"], "admitted"),
            (
                "kernel.msgmax",
                "hostIPC: true,",
                &["kernel.msg*"],
                "\"kernel.msgmax\" not allowed with host IPC enabled",
            ),
            (
                "net.ipv4.tcp_syncookies",
                "hostNetwork: true,",
                &[],
                "\"net.ipv4.tcp_syncookies\" not allowed with host Net enabled",
            ),
            ("net/ipv4/conf/eth0.1/forwarding", "", &["net.*"], "admitted"),
        ] {
            let verdict = verdict(&of(name, rest), allowed);
            let problem = verdict.strip_prefix("SysctlForbidden: Pod was rejected: forbidden sysctl: ");
            assert_eq!(problem.unwrap_or(&verdict), expected, "{name}");
        }
        assert!(is_namespaced("kernel.shm*") && is_namespaced("net.core.somaxconn") && !is_namespaced("vm.swappiness"));
    }

    #[test]
    fn app_armor_is_not_pretended() {
        let of = |kind: &str| {
            format!("{{containers: [{{name: a, image: x, securityContext: {{appArmorProfile: {{type: {kind}}}}}}}]}}")
        };
        assert_eq!(verdict(&of("Unconfined"), &[]), "admitted");
        assert_eq!(
            verdict(&of("RuntimeDefault"), &[]),
            "AppArmor: Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host"
        );
        let shared = "{securityContext: {appArmorProfile: {type: RuntimeDefault}}, containers: [{name: a, image: x}]}";
        assert!(verdict(shared, &[]).starts_with("AppArmor:"));
        let capable = NodeSecurity { app_armor: AppArmor::NotApplied, ..NodeSecurity::default() };
        assert_eq!(
            refuse(&spec_pod(shared), &capable).unwrap().message,
            "Pod was rejected: Cannot enforce AppArmor: this node does not apply AppArmor profiles to containers"
        );
    }
}
