//! Nobody gives away more than they hold: writing a role takes every right in it or the verb `escalate`, writing a binding
//! every right of its role or the verb `bind` on it.

use std::collections::BTreeSet;

use api::Object;
use api::k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef};
use api::rbac::v1::{CLUSTER_ROLE, GROUP, uncovered};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::authorization::{self, Authorizer, Decision, Target, everything};
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::identity::MASTERS;

/// The plugin. Upstream has this as storage around the four kinds.
pub struct RoleEscalation;

#[async_trait]
impl Plugin for RoleEscalation {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.resource.gvk().group != GROUP
            || attributes.operation == Operation::Delete
            || attributes.user.is_in(MASTERS)
            || attributes.old.is_some_and(|old| only_for_the_collector(object, old))
        {
            return Ok(());
        }
        let object: &dyn Object = object;
        if let Some(role) = object.as_any().downcast_ref::<Role>() {
            return check_role(attributes, object, role.rules.as_deref());
        }
        if let Some(role) = object.as_any().downcast_ref::<ClusterRole>() {
            check_role(attributes, object, role.rules.as_deref())?;
            return check_aggregation(attributes, object, role);
        }
        let role_ref = object.as_any().downcast_ref::<RoleBinding>().map(|binding| &binding.role_ref);
        let role_ref =
            role_ref.or_else(|| object.as_any().downcast_ref::<ClusterRoleBinding>().map(|binding| &binding.role_ref));
        role_ref.map_or(Ok(()), |role| check_binding(attributes, object, role))
    }
}

/// Whether nothing changes but what the garbage collector needs to change for an object to go.
fn only_for_the_collector(new: &dyn Object, old: &dyn Object) -> bool {
    let mut same = new.clone_object();
    let (meta, before) = (same.metadata_mut(), old.metadata());
    meta.owner_references.clone_from(&before.owner_references);
    meta.finalizers.clone_from(&before.finalizers);
    meta.managed_fields.clone_from(&before.managed_fields);
    meta.resource_version.clone_from(&before.resource_version);
    same.equals(old)
}

fn check_role(attributes: &Attributes<'_>, object: &dyn Object, rules: Option<&[PolicyRule]>) -> Result<(), Error> {
    let plural = attributes.resource.info.plural;
    if is_allowed(attributes, "escalate", plural, attributes.name) {
        return Ok(());
    }
    confirm(attributes, rules.unwrap_or_default()).map_err(|reason| attributes.forbidden(object, reason))
}

/// An aggregate can gather anything, also later.
fn check_aggregation(attributes: &Attributes<'_>, object: &dyn Object, role: &ClusterRole) -> Result<(), Error> {
    let gathers = |role: &ClusterRole| {
        role.aggregation_rule.as_ref().is_some_and(|rule| rule.cluster_role_selectors.iter().flatten().next().is_some())
    };
    let old = attributes.old.and_then(|old| old.as_any().downcast_ref::<ClusterRole>());
    if !(gathers(role) || old.is_some_and(gathers))
        || is_allowed(attributes, "escalate", attributes.resource.info.plural, attributes.name)
    {
        return Ok(());
    }
    confirm(attributes, &everything())
        .map_err(|_| attributes.forbidden(object, "must have cluster-admin privileges to use the aggregationRule"))
}

fn check_binding(attributes: &Attributes<'_>, object: &dyn Object, role: &RoleRef) -> Result<(), Error> {
    let plural = if role.kind == CLUSTER_ROLE { "clusterroles" } else { "roles" };
    if is_allowed(attributes, "bind", plural, &role.name) {
        return Ok(());
    }
    let rules = attributes.server.rbac.rules_of(role, attributes.namespace).map_err(|_| Error::NotFound {
        resource: crate::error::GroupResource { group: GROUP, resource: plural.strip_suffix('s').unwrap_or(plural) },
        name: role.name.clone(),
    })?;
    confirm(attributes, &rules).map_err(|reason| attributes.forbidden(object, reason))
}

fn is_allowed(attributes: &Attributes<'_>, verb: &str, plural: &str, name: &str) -> bool {
    let at = ResourcePath {
        group: GROUP.to_owned(),
        version: "*".to_owned(),
        resource: plural.to_owned(),
        namespace: attributes.namespace.to_owned(),
        name: name.to_owned(),
        ..ResourcePath::default()
    };
    let question = authorization::Attributes { user: attributes.user, verb, target: Target::Resource(&at) };
    matches!(attributes.server.authorizer.authorize(&question), Decision::Allow(_))
}

/// Whether the user holds all of `rules` where they write.
///
/// # Errors
/// What is missing, in upstream's words.
fn confirm(attributes: &Attributes<'_>, rules: &[PolicyRule]) -> Result<(), String> {
    let user = attributes.user;
    let held = attributes.server.rbac.rules(user, attributes.namespace);
    let missing = uncovered(&held.rules, rules);
    if missing.is_empty() {
        return Ok(());
    }
    let missing: BTreeSet<String> = compact(missing).iter().map(describe).collect();
    let missing: Vec<String> = missing.into_iter().collect();
    let mut text = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        missing.join("\n")
    );
    if let Some(error) = held.error {
        text = format!("{text}; resolution errors: [{error}]");
    }
    Err(text)
}

/// Pieces about the same resource as one rule with all their verbs.
fn compact(pieces: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut compacted: Vec<PolicyRule> = Vec::new();
    for piece in pieces {
        let is_simple = piece.resource_names.is_none() && piece.non_resource_urls.is_none();
        let same = compacted.iter_mut().find(|rule| {
            is_simple
                && rule.resource_names.is_none()
                && rule.api_groups == piece.api_groups
                && rule.resources == piece.resources
        });
        match same {
            Some(rule) => rule.verbs.extend(piece.verbs),
            None => compacted.push(piece),
        }
    }
    compacted
}

fn describe(rule: &PolicyRule) -> String {
    let lists = [
        ("APIGroups", rule.api_groups.as_ref()),
        ("Resources", rule.resources.as_ref()),
        ("NonResourceURLs", rule.non_resource_urls.as_ref()),
        ("ResourceNames", rule.resource_names.as_ref()),
        ("Verbs", Some(&rule.verbs)),
    ];
    let set = lists.into_iter().filter_map(|(name, list)| Some((name, list.filter(|list| !list.is_empty())?)));
    let parts: Vec<String> = set.map(|(name, list)| format!("{name}:{}", quoted(list))).collect();
    format!("{{{}}}", parts.join(", "))
}

/// A list as Go's `%q` prints it.
fn quoted(list: &[String]) -> String {
    format!("[{}]", list.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" "))
}
