//! The default RBAC policy: what each of the system's parts may do, and the roles that administrators hand out.
//!
//! The tables hold upstream's rules, one line each, with lists as words (`core` is the group without a name). At every
//! start [`reconcile`] brings back what is missing of them, and leaves alone what somebody marked with
//! `rbac.authorization.kubernetes.io/autoupdate: "false"`.

use std::collections::BTreeMap;

use api::k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use api::rbac::v1::{CLUSTER_ROLE, GROUP, GROUP_KIND, ROLE, SERVICE_ACCOUNT_KIND, USER_KIND};
use kube::Client;

mod cluster_roles;
mod controllers;
mod reconcile;
mod roles;
#[cfg(test)]
mod tests;

use cluster_roles::CLUSTER_ROLES;
use controllers::CONTROLLERS;
use roles::{ROLE_BINDINGS, ROLES};

/// The namespace of the system's ServiceAccounts.
const SYSTEM: &str = "kube-system";
/// Set to `"false"` by administrators who want a default object left as it is.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// Marks what is part of the default policy.
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");
/// The label, without its end, by which one role becomes part of another.
const AGGREGATE_TO: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// One line of a role.
#[derive(Debug)]
struct Rule {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
    paths: &'static str,
}

const fn resources(verbs: &'static str, groups: &'static str, resources: &'static str) -> Rule {
    Rule { verbs, groups, resources, names: "", paths: "" }
}

/// Only objects of these names.
const fn named(verbs: &'static str, groups: &'static str, resources: &'static str, names: &'static str) -> Rule {
    Rule { verbs, groups, resources, names, paths: "" }
}

/// Paths that are no resources.
const fn paths(verbs: &'static str, paths: &'static str) -> Rule {
    Rule { verbs, groups: "", resources: "", names: "", paths }
}

/// Who has a role.
#[derive(Debug)]
enum Who {
    User(&'static str),
    Group(&'static str),
    /// A ServiceAccount of the system's namespace.
    Account(&'static str),
}

const fn user(name: &'static str) -> Who {
    Who::User(name)
}

const fn group(name: &'static str) -> Who {
    Who::Group(name)
}

const fn account(name: &'static str) -> Who {
    Who::Account(name)
}

#[derive(Debug)]
struct ClusterRoleRow {
    name: &'static str,
    /// The role this one becomes part of.
    aggregates_to: Option<&'static str>,
    /// Whose parts make this role.
    aggregated_from: Option<&'static str>,
    /// Who has it by the binding of its name; `None` without such a binding.
    subjects: Option<&'static [Who]>,
    rules: &'static [Rule],
}

#[derive(Debug)]
struct ControllerRow {
    name: &'static str,
    rules: &'static [Rule],
}

#[derive(Debug)]
struct RoleRow {
    namespace: &'static str,
    name: &'static str,
    rules: &'static [Rule],
}

#[derive(Debug)]
struct BindingRow {
    namespace: &'static str,
    name: &'static str,
    role: &'static str,
    subjects: &'static [Who],
}

/// Makes what is missing of the default policy, whole objects or parts of them. The system's namespaces must be there.
///
/// # Errors
/// The first request that failed.
pub async fn reconcile(client: &Client) -> kube::Result<()> {
    futures::try_join!(
        reconcile::cluster(client, cluster_roles()),
        reconcile::cluster(client, cluster_role_bindings()),
        reconcile::namespaced(client, namespaced_roles()),
        reconcile::namespaced(client, role_bindings()),
    )
    .map(drop)
}

/// Every default ClusterRole.
pub fn cluster_roles() -> Vec<ClusterRole> {
    let controllers = CONTROLLERS.iter().map(|row| ClusterRole {
        metadata: metadata(&controller_role(row.name), None),
        rules: Some(rules(row.rules)),
        aggregation_rule: None,
    });
    CLUSTER_ROLES.iter().map(cluster_role).chain(controllers).collect()
}

fn cluster_role(row: &ClusterRoleRow) -> ClusterRole {
    let mut metadata = metadata(row.name, None);
    if let Some(target) = row.aggregates_to {
        metadata.labels.get_or_insert_default().extend(aggregation_label(target));
    }
    let aggregation_rule = row.aggregated_from.map(|target| AggregationRule {
        cluster_role_selectors: Some(vec![LabelSelector {
            match_labels: Some(aggregation_label(target)),
            match_expressions: None,
        }]),
    });
    // The rules of an aggregate are its controller's to write.
    let rules = aggregation_rule.is_none().then(|| rules(row.rules));
    ClusterRole { metadata, rules, aggregation_rule }
}

/// Every default ClusterRoleBinding.
pub fn cluster_role_bindings() -> Vec<ClusterRoleBinding> {
    let binding = |name: &str, who: &[Who]| ClusterRoleBinding {
        metadata: metadata(name, None),
        role_ref: role_ref(CLUSTER_ROLE, name),
        subjects: Some(subjects(who)),
    };
    let controllers = CONTROLLERS.iter().map(|row| binding(&controller_role(row.name), &[Who::Account(row.name)]));
    let others = CLUSTER_ROLES.iter().filter_map(|row| Some(binding(row.name, row.subjects?)));
    others.chain(controllers).collect()
}

/// Every default Role.
pub fn namespaced_roles() -> Vec<Role> {
    let role =
        |row: &RoleRow| Role { metadata: metadata(row.name, Some(row.namespace)), rules: Some(rules(row.rules)) };
    ROLES.iter().map(role).collect()
}

/// Every default RoleBinding.
pub fn role_bindings() -> Vec<RoleBinding> {
    let binding = |row: &BindingRow| RoleBinding {
        metadata: metadata(row.name, Some(row.namespace)),
        role_ref: role_ref(ROLE, row.role),
        subjects: Some(subjects(row.subjects)),
    };
    ROLE_BINDINGS.iter().map(binding).collect()
}

fn controller_role(name: &str) -> String {
    format!("system:controller:{name}")
}

fn metadata(name: &str, namespace: Option<&str>) -> ObjectMeta {
    let (label, value) = BOOTSTRAPPING;
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some([(label.to_owned(), value.to_owned())].into()),
        annotations: Some([(AUTO_UPDATE.to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    }
}

fn aggregation_label(target: &str) -> BTreeMap<String, String> {
    [(format!("{AGGREGATE_TO}{target}"), "true".to_owned())].into()
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some(GROUP.to_owned()), kind: kind.to_owned(), name: name.to_owned() }
}

fn rules(rows: &[Rule]) -> Vec<PolicyRule> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let some = |text: &str| Some(words(text)).filter(|list| !list.is_empty());
    let groups = |text: &str| {
        let named = |group: &str| if group == "core" { String::new() } else { group.to_owned() };
        Some(text.split_whitespace().map(named).collect::<Vec<_>>()).filter(|list| !list.is_empty())
    };
    let rule = |row: &Rule| PolicyRule {
        api_groups: groups(row.groups),
        non_resource_urls: some(row.paths),
        resource_names: some(row.names),
        resources: some(row.resources),
        verbs: words(row.verbs),
    };
    rows.iter().map(rule).collect()
}

fn subjects(who: &[Who]) -> Vec<Subject> {
    let member = |kind: &str, name: &str| Subject {
        api_group: Some(GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: None,
    };
    let subject = |who: &Who| match *who {
        Who::User(name) => member(USER_KIND, name),
        Who::Group(name) => member(GROUP_KIND, name),
        Who::Account(name) => Subject {
            api_group: None,
            kind: SERVICE_ACCOUNT_KIND.to_owned(),
            name: name.to_owned(),
            namespace: Some(SYSTEM.to_owned()),
        },
    };
    who.iter().map(subject).collect()
}
