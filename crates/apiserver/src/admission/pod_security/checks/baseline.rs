//! What the baseline standard forbids: known ways to more privileges.

use std::collections::BTreeSet;

use api::k8s_openapi::api::core::v1::{LifecycleHandler, SELinuxOptions};

use super::{Part, Subject, Violation, named, plural, quoted, setters};

const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Capabilities that container runtimes give by default, `NET_RAW` left out.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Harmless sysctls; each list holds from its release on.
const SYSCTLS: [&str; 5] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
];
const SYSCTLS_OF_27: [&str; 1] = ["net.ipv4.ip_local_reserved_ports"];
const SYSCTLS_OF_29: [&str; 4] = [
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
];
const SYSCTLS_OF_32: [&str; 2] = ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];

const SE_LINUX_TYPES: [&str; 4] = ["", "container_t", "container_init_t", "container_kvm_t"];
const SE_LINUX_ENGINE: &str = "container_engine_t";

pub(super) fn app_armor(subject: &Subject<'_>) -> Option<Violation> {
    let is_bad = |kind: &str| !matches!(kind, "RuntimeDefault" | "Localhost");
    let security = subject.spec.security_context.as_ref();
    let pod = security.and_then(|security| security.app_armor_profile.as_ref()).map(|profile| profile.type_.as_str());
    let of = |part: &Part<'_>| part.security?.app_armor_profile.as_ref().map(|profile| profile.type_.clone());
    let containers = subject.bad(|part| of(part).is_some_and(|kind| is_bad(&kind)));
    let types = subject.containers.iter().filter_map(of).chain(pod.map(str::to_owned)).filter(|kind| is_bad(kind));
    let types: BTreeSet<String> = types.collect();
    let fine = |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let annotations: Vec<String> = subject
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(key, value)| key.starts_with(APP_ARMOR_ANNOTATION) && !fine(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let annotated =
        (!annotations.is_empty()).then(|| plural(annotations.len(), "annotation", "annotations").to_owned());
    let who: Vec<String> = setters(pod.is_some_and(is_bad), &containers).into_iter().chain(annotated).collect();
    if who.is_empty() {
        return None;
    }
    let values: Vec<String> = types.into_iter().chain(annotations).collect();
    Some(Violation {
        reason: plural(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles"),
        detail: format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(values)),
    })
}

pub(super) fn capabilities(subject: &Subject<'_>) -> Option<Violation> {
    let added = |part: &Part<'_>| -> Vec<String> {
        let capabilities = part.security.and_then(|security| security.capabilities.as_ref());
        let added = capabilities.into_iter().flat_map(|capabilities| capabilities.add.iter().flatten());
        added.filter(|capability| !CAPABILITIES.contains(&capability.as_str())).cloned().collect()
    };
    let containers = subject.bad(|part| !added(part).is_empty());
    let found: BTreeSet<String> = subject.containers.iter().flat_map(added).collect();
    (!containers.is_empty()).then(|| Violation {
        reason: "non-default capabilities",
        detail: format!(
            "{} must not include {} in securityContext.capabilities.add",
            named(&containers),
            quoted(found)
        ),
    })
}

pub(super) fn host_namespaces(subject: &Subject<'_>) -> Option<Violation> {
    let spec = subject.spec;
    let shared =
        [(spec.host_network, "hostNetwork=true"), (spec.host_pid, "hostPID=true"), (spec.host_ipc, "hostIPC=true")];
    let shared: Vec<_> = shared.into_iter().filter(|(set, _)| *set == Some(true)).map(|(_, text)| text).collect();
    (!shared.is_empty()).then(|| Violation { reason: "host namespaces", detail: shared.join(", ") })
}

pub(super) fn host_path_volumes(subject: &Subject<'_>) -> Option<Violation> {
    let volumes = subject.spec.volumes.iter().flatten().filter(|volume| volume.host_path.is_some());
    let names: Vec<_> = volumes.map(|volume| volume.name.as_str()).collect();
    (!names.is_empty()).then(|| Violation {
        reason: "hostPath volumes",
        detail: format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(names)),
    })
}

pub(super) fn host_ports(subject: &Subject<'_>) -> Option<Violation> {
    let ports = |part: &Part<'_>| -> Vec<i32> {
        part.ports.iter().filter_map(|port| port.host_port).filter(|port| *port != 0).collect()
    };
    let containers = subject.bad(|part| !ports(part).is_empty());
    let found: BTreeSet<String> = subject.containers.iter().flat_map(ports).map(|port| port.to_string()).collect();
    (!containers.is_empty()).then(|| Violation {
        reason: "hostPort",
        detail: format!(
            "{} {} {} {}",
            named(&containers),
            plural(containers.len(), "uses", "use"),
            plural(found.len(), "hostPort", "hostPorts"),
            found.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

pub(super) fn probe_hosts(subject: &Subject<'_>) -> Option<Violation> {
    let containers: BTreeSet<_> = subject.bad(|part| !hosts(part).is_empty()).into_iter().collect();
    let found: BTreeSet<&str> = subject.containers.iter().flat_map(hosts).collect();
    let containers: Vec<_> = containers.into_iter().collect();
    (!containers.is_empty()).then(|| Violation {
        reason: "probe or lifecycle host",
        detail: format!(
            "{} {} {} {}",
            named(&containers),
            plural(containers.len(), "uses", "use"),
            plural(found.len(), "probe or lifecycle host", "probe or lifecycle hosts"),
            quoted(found)
        ),
    })
}

/// Hosts that the probes and hooks of a container speak to.
fn hosts<'a>(part: &Part<'a>) -> Vec<&'a str> {
    let of_hook = |handler: &'a LifecycleHandler| {
        let http = handler.http_get.as_ref().and_then(|action| action.host.as_deref());
        [http, handler.tcp_socket.as_ref().and_then(|action| action.host.as_deref())]
    };
    let probes = part.probes.into_iter().flatten().flat_map(|probe| {
        let http = probe.http_get.as_ref().and_then(|action| action.host.as_deref());
        [http, probe.tcp_socket.as_ref().and_then(|action| action.host.as_deref())]
    });
    let hooks = part.lifecycle.into_iter().flat_map(|lifecycle| lifecycle.post_start.iter().chain(&lifecycle.pre_stop));
    probes.chain(hooks.flat_map(of_hook)).flatten().filter(|host| !host.is_empty()).collect()
}

pub(super) fn privileged(subject: &Subject<'_>) -> Option<Violation> {
    let containers = subject.bad(|part| part.security.is_some_and(|security| security.privileged == Some(true)));
    (!containers.is_empty()).then(|| Violation {
        reason: "privileged",
        detail: format!("{} must not set securityContext.privileged=true", named(&containers)),
    })
}

pub(super) fn proc_mount(subject: &Subject<'_>) -> Option<Violation> {
    fn mount<'a>(part: &Part<'a>) -> Option<&'a str> {
        part.security?.proc_mount.as_deref().filter(|kind| *kind != "Default")
    }
    let containers = subject.bad(|part| mount(part).is_some());
    let found: BTreeSet<&str> = subject.containers.iter().filter_map(mount).collect();
    (!containers.is_empty()).then(|| Violation {
        reason: "procMount",
        detail: format!("{} must not set securityContext.procMount to {}", named(&containers), quoted(found)),
    })
}

pub(super) fn proc_mount_of_host_users(subject: &Subject<'_>) -> Option<Violation> {
    if subject.has_own_users() { None } else { proc_mount(subject) }
}

pub(super) fn se_linux(subject: &Subject<'_>) -> Option<Violation> {
    se_linux_of_types(subject, |kind| SE_LINUX_TYPES.contains(&kind))
}

pub(super) fn se_linux_with_engine(subject: &Subject<'_>) -> Option<Violation> {
    se_linux_of_types(subject, |kind| SE_LINUX_TYPES.contains(&kind) || kind == SE_LINUX_ENGINE)
}

fn se_linux_of_types(subject: &Subject<'_>, is_fine: impl Fn(&str) -> bool) -> Option<Violation> {
    let is_set = |field: &Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
    let bad_type = |options: &SELinuxOptions| options.type_.clone().filter(|kind| !is_fine(kind));
    let is_bad =
        |options: &SELinuxOptions| bad_type(options).is_some() || is_set(&options.user) || is_set(&options.role);
    let pod = subject.spec.security_context.as_ref().and_then(|security| security.se_linux_options.as_ref());
    let containers =
        subject.bad(|part| part.security.and_then(|security| security.se_linux_options.as_ref()).is_some_and(is_bad));
    let who = setters(pod.is_some_and(is_bad), &containers)?;
    let options = subject.containers.iter().filter_map(|part| part.security?.se_linux_options.as_ref()).chain(pod);
    let options: Vec<&SELinuxOptions> = options.collect();
    let types: BTreeSet<String> = options.iter().copied().filter_map(bad_type).collect();
    let mut wrong = Vec::new();
    if !types.is_empty() {
        wrong.push(format!("{} {}", plural(types.len(), "type", "types"), quoted(&types)));
    }
    if options.iter().any(|options| is_set(&options.user)) {
        wrong.push("user may not be set".to_owned());
    }
    if options.iter().any(|options| is_set(&options.role)) {
        wrong.push("role may not be set".to_owned());
    }
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", wrong.join("; "));
    Some(Violation { reason: "seLinuxOptions", detail })
}

pub(super) fn seccomp_annotations(subject: &Subject<'_>) -> Option<Violation> {
    let fine = |value: &str| matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
    let annotations = subject.metadata.annotations.as_ref()?;
    let containers = subject.containers.iter().map(|part| format!("{SECCOMP_CONTAINER_ANNOTATION}{}", part.name));
    let keys: BTreeSet<String> = containers.chain([SECCOMP_POD_ANNOTATION.to_owned()]).collect();
    let found = keys.iter().filter_map(|key| Some((key, annotations.get(key)?)));
    let bad: Vec<String> =
        found.filter(|(_, value)| !fine(value)).map(|(key, value)| format!("{key}={value:?}")).collect();
    (!bad.is_empty()).then(|| Violation {
        reason: "seccompProfile",
        detail: format!("forbidden {} {}", plural(bad.len(), "annotation", "annotations"), bad.join(", ")),
    })
}

pub(super) fn seccomp(subject: &Subject<'_>) -> Option<Violation> {
    let is_bad = |kind: &str| !matches!(kind, "RuntimeDefault" | "Localhost");
    let security = subject.spec.security_context.as_ref();
    let pod = security.and_then(|security| security.seccomp_profile.as_ref()).map(|profile| profile.type_.as_str());
    let of = |part: &Part<'_>| part.security?.seccomp_profile.as_ref().map(|profile| profile.type_.clone());
    let containers = subject.bad(|part| of(part).is_some_and(|kind| is_bad(&kind)));
    let who = setters(pod.is_some_and(is_bad), &containers)?;
    let types = subject.containers.iter().filter_map(of).chain(pod.map(str::to_owned)).filter(|kind| is_bad(kind));
    let types: BTreeSet<String> = types.collect();
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(types));
    Some(Violation { reason: "seccompProfile", detail })
}

pub(super) fn sysctls(subject: &Subject<'_>) -> Option<Violation> {
    sysctls_beyond(subject, &[&SYSCTLS])
}

pub(super) fn sysctls_of_27(subject: &Subject<'_>) -> Option<Violation> {
    sysctls_beyond(subject, &[&SYSCTLS, &SYSCTLS_OF_27])
}

pub(super) fn sysctls_of_29(subject: &Subject<'_>) -> Option<Violation> {
    sysctls_beyond(subject, &[&SYSCTLS, &SYSCTLS_OF_27, &SYSCTLS_OF_29])
}

pub(super) fn sysctls_of_32(subject: &Subject<'_>) -> Option<Violation> {
    sysctls_beyond(subject, &[&SYSCTLS, &SYSCTLS_OF_27, &SYSCTLS_OF_29, &SYSCTLS_OF_32])
}

fn sysctls_beyond(subject: &Subject<'_>, allowed: &[&[&str]]) -> Option<Violation> {
    let set = subject.spec.security_context.as_ref()?.sysctls.as_ref()?;
    let names = set.iter().map(|sysctl| sysctl.name.as_str());
    let bad: Vec<_> = names.filter(|name| !allowed.iter().any(|list| list.contains(name))).collect();
    (!bad.is_empty()).then(|| Violation { reason: "forbidden sysctls", detail: bad.join(", ") })
}

pub(super) fn host_process(subject: &Subject<'_>) -> Option<Violation> {
    let security = subject.spec.security_context.as_ref();
    let pod = security.and_then(|security| security.windows_options.as_ref()?.host_process) == Some(true);
    let of = |part: &Part<'_>| part.security?.windows_options.as_ref()?.host_process;
    let who = setters(pod, &subject.bad(|part| of(part) == Some(true)))?;
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation { reason: "hostProcess", detail })
}
