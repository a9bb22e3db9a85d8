//! The checks of the standards: one table, in the order in which violations are told.

use api::k8s_openapi::api::core::v1::{ContainerPort, Lifecycle, PodSpec, Probe, SecurityContext};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::policy::{Level, Standard, Version};

mod baseline;
mod restricted;
#[cfg(test)]
mod tests;

/// What a check finds: in a few words, and what exactly.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    reason: &'static str,
    detail: String,
}

/// Looks at one Pod.
type Look = fn(&Subject<'_>) -> Option<Violation>;

/// A check with its revisions.
struct Check {
    level: Level,
    /// Since which release it looks how, the oldest first.
    revisions: &'static [(u32, Look)],
    /// The restricted check that takes its place where that is in force.
    replaced_by: Option<&'static Check>,
}

const fn baseline(revisions: &'static [(u32, Look)]) -> Check {
    Check { level: Level::Baseline, revisions, replaced_by: None }
}

const fn replaced(revisions: &'static [(u32, Look)], by: &'static Check) -> Check {
    Check { level: Level::Baseline, revisions, replaced_by: Some(by) }
}

const fn restricted(revisions: &'static [(u32, Look)]) -> Check {
    Check { level: Level::Restricted, revisions, replaced_by: None }
}

static CAPABILITIES: Check = restricted(&[(22, restricted::capabilities), (25, restricted::capabilities_on_linux)]);
static PROC_MOUNT: Check = restricted(&[(35, baseline::proc_mount)]);
static VOLUMES: Check = restricted(&[(0, restricted::volumes)]);
static SECCOMP: Check = restricted(&[(19, restricted::seccomp), (25, restricted::seccomp_on_linux)]);

/// All checks: baseline by upstream's ids, then restricted by theirs.
static CHECKS: &[&Check] = &[
    &baseline(&[(0, baseline::app_armor)]),
    &replaced(&[(0, baseline::capabilities)], &CAPABILITIES),
    &baseline(&[(0, baseline::host_namespaces)]),
    &replaced(&[(0, baseline::host_path_volumes)], &VOLUMES),
    &baseline(&[(0, baseline::host_ports)]),
    &baseline(&[(34, baseline::probe_hosts)]),
    &baseline(&[(0, baseline::privileged)]),
    &replaced(&[(0, baseline::proc_mount), (35, baseline::proc_mount_of_host_users)], &PROC_MOUNT),
    &baseline(&[(0, baseline::se_linux), (31, baseline::se_linux_with_engine)]),
    &replaced(&[(0, baseline::seccomp_annotations), (19, baseline::seccomp)], &SECCOMP),
    &baseline(&[
        (0, baseline::sysctls),
        (27, baseline::sysctls_of_27),
        (29, baseline::sysctls_of_29),
        (32, baseline::sysctls_of_32),
    ]),
    &baseline(&[(0, baseline::host_process)]),
    &restricted(&[(8, restricted::privilege_escalation), (25, restricted::privilege_escalation_on_linux)]),
    &CAPABILITIES,
    &PROC_MOUNT,
    &VOLUMES,
    &restricted(&[(0, restricted::non_root), (35, restricted::non_root_of_host_users)]),
    &restricted(&[(23, restricted::root_user), (35, restricted::root_user_of_host_users)]),
    &SECCOMP,
];

impl Check {
    fn as_of(&self, version: Version) -> Option<Look> {
        let since = |minor: u32| version == Version::Latest || Version::Minor(minor) <= version;
        self.revisions.iter().rev().find(|(minor, _)| since(*minor)).map(|(_, look)| *look)
    }

    /// How it looks at Pods that must keep to a standard, if it does.
    fn under(&self, standard: Standard) -> Option<Look> {
        let replaced = standard.level == Level::Restricted
            && self.replaced_by.is_some_and(|other| other.as_of(standard.version).is_some());
        if standard.level < self.level || replaced { None } else { self.as_of(standard.version) }
    }
}

/// Everything by which a Pod breaks a standard; there is at least one thing.
#[derive(Debug)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// In a few words.
    pub fn reasons(&self) -> String {
        self.0.iter().map(|violation| violation.reason).collect::<Vec<_>>().join(", ")
    }

    /// With what exactly is wrong.
    pub fn details(&self) -> String {
        let each = self.0.iter().map(|Violation { reason, detail }| format!("{reason} ({detail})"));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// How a Pod breaks a standard, if it does.
pub fn evaluate(standard: Standard, metadata: &ObjectMeta, spec: &PodSpec) -> Option<Violations> {
    if standard.level == Level::Privileged {
        return None;
    }
    let subject = Subject { metadata, spec, containers: containers(spec) };
    let violations = CHECKS.iter().filter_map(|check| check.under(standard)).filter_map(|look| look(&subject));
    Some(violations.collect::<Vec<_>>()).filter(|found| !found.is_empty()).map(Violations)
}

/// What is looked at.
struct Subject<'a> {
    metadata: &'a ObjectMeta,
    spec: &'a PodSpec,
    containers: Vec<Part<'a>>,
}

/// A container of any kind.
struct Part<'a> {
    name: &'a str,
    security: Option<&'a SecurityContext>,
    ports: &'a [ContainerPort],
    probes: [Option<&'a Probe>; 3],
    lifecycle: Option<&'a Lifecycle>,
}

/// All containers: init, own, ephemeral.
fn containers(spec: &PodSpec) -> Vec<Part<'_>> {
    let usual = spec.init_containers.iter().flatten().chain(&spec.containers).map(|container| Part {
        name: &container.name,
        security: container.security_context.as_ref(),
        ports: container.ports.as_deref().unwrap_or_default(),
        probes: [&container.liveness_probe, &container.readiness_probe, &container.startup_probe].map(Option::as_ref),
        lifecycle: container.lifecycle.as_ref(),
    });
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| Part {
        name: &container.name,
        security: container.security_context.as_ref(),
        ports: container.ports.as_deref().unwrap_or_default(),
        probes: [&container.liveness_probe, &container.readiness_probe, &container.startup_probe].map(Option::as_ref),
        lifecycle: container.lifecycle.as_ref(),
    });
    usual.chain(ephemeral).collect()
}

impl<'a> Subject<'a> {
    /// The names of the containers that are bad.
    fn bad(&self, is_bad: impl Fn(&Part<'a>) -> bool) -> Vec<&'a str> {
        self.containers.iter().filter(|part| is_bad(part)).map(|part| part.name).collect()
    }

    /// Whether the Pod runs in a user namespace of its own.
    fn has_own_users(&self) -> bool {
        self.spec.host_users == Some(false)
    }

    fn is_windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|os| os.name == "windows")
    }
}

/// `container "a"`, or `containers "a", "b"`.
fn named(containers: &[&str]) -> String {
    format!("{} {}", plural(containers.len(), "container", "containers"), quoted(containers))
}

/// Who sets something: the Pod, containers, or both. `None` when nobody does.
fn setters(pod: bool, containers: &[&str]) -> Option<String> {
    match (pod, containers.is_empty()) {
        (false, true) => None,
        (true, true) => Some("pod".to_owned()),
        (false, false) => Some(named(containers)),
        (true, false) => Some(format!("pod and {}", named(containers))),
    }
}

fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// `"a", "b"`
fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}
