//! Role-based access control: what the roles allow that bindings give to a user.

use std::ops::ControlFlow;
use std::sync::Arc;

use api::k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use api::rbac::v1::{ALL, CLUSTER_ROLE, GROUP_KIND, ROLE, SERVICE_ACCOUNT_KIND, USER_KIND, covers_path};

use super::{Attributes, Authorizer, Decision, HeldRules, Target};
use crate::identity::UserInfo;
use crate::watch_cache::{Caches, Decoded, in_namespace};

/// Decides by the RBAC objects in the caches, as they are at that moment.
pub struct Rbac {
    roles: Decoded<Role>,
    cluster_roles: Decoded<ClusterRole>,
    role_bindings: Decoded<RoleBinding>,
    cluster_role_bindings: Decoded<ClusterRoleBinding>,
}

/// By which binding a user has a rule.
struct Source<'a> {
    /// For instance `ClusterRoleBinding`.
    kind: &'static str,
    /// `name`, or `name/namespace`.
    name: String,
    role: &'a RoleRef,
    subject: &'a Subject,
    namespace: &'a str,
}

impl Source<'_> {
    fn describe(&self) -> String {
        let subject = match self.subject.kind.as_str() {
            SERVICE_ACCOUNT_KIND => {
                let namespace = self.subject.namespace.as_deref().unwrap_or(self.namespace);
                format!("{SERVICE_ACCOUNT_KIND} \"{}/{namespace}\"", self.subject.name)
            }
            kind => format!("{kind} \"{}\"", self.subject.name),
        };
        format!("{} \"{}\" of {} \"{}\" to {subject}", self.kind, self.name, self.role.kind, self.role.name)
    }
}

/// What a visitor is shown: a rule, or why a binding gives none.
type Found<'a> = Result<(&'a Source<'a>, &'a PolicyRule), String>;

impl Rbac {
    /// An authorizer that looks at the objects in the caches; `None` when those do not keep RBAC objects.
    pub fn new(caches: &Caches) -> Option<Self> {
        let cache = |path| caches.of(path).map(Arc::clone);
        Some(Self {
            roles: Decoded::new(cache("roles")?),
            cluster_roles: Decoded::new(cache("clusterroles")?),
            role_bindings: Decoded::new(cache("rolebindings")?),
            cluster_role_bindings: Decoded::new(cache("clusterrolebindings")?),
        })
    }

    /// The rules of a role as a binding in `namespace` names it; empty for the whole cluster.
    ///
    /// # Errors
    /// That there is no such role, in upstream's words.
    pub fn rules_of(&self, role: &RoleRef, namespace: &str) -> Result<Vec<PolicyRule>, String> {
        self.with_rules(role, namespace, <[PolicyRule]>::to_vec)
    }

    fn with_rules<T>(
        &self,
        role: &RoleRef,
        namespace: &str,
        look: impl FnOnce(&[PolicyRule]) -> T,
    ) -> Result<T, String> {
        let missing = |kind: &str| format!("{kind}.rbac.authorization.k8s.io \"{}\" not found", role.name);
        match role.kind.as_str() {
            ROLE => {
                let item = self.roles.get(&format!("{namespace}/{}", role.name));
                let object = item.as_ref().and_then(|item| item.object()).ok_or_else(|| missing("role"))?;
                Ok(look(object.rules.as_deref().unwrap_or_default()))
            }
            CLUSTER_ROLE => {
                let item = self.cluster_roles.get(&role.name);
                let object = item.as_ref().and_then(|item| item.object()).ok_or_else(|| missing("clusterrole"))?;
                Ok(look(object.rules.as_deref().unwrap_or_default()))
            }
            kind => Err(format!("unsupported role reference kind: \"{kind}\"")),
        }
    }

    /// Shows every rule that a user has in a namespace, until the visitor has seen enough.
    fn visit(&self, user: &UserInfo, namespace: &str, visitor: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>) {
        let _enough = self.visit_cluster(user, visitor).is_break()
            || (!namespace.is_empty() && self.visit_namespace(user, namespace, visitor).is_break());
    }

    fn visit_cluster(&self, user: &UserInfo, visitor: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        for item in self.cluster_role_bindings.all().iter() {
            let Some(binding) = item.object() else { continue };
            let Some(subject) = applicable(user, binding.subjects.as_deref(), "") else { continue };
            let name = binding.metadata.name.clone().unwrap_or_default();
            let kind = "ClusterRoleBinding";
            self.visit_role(&Source { kind, name, role: &binding.role_ref, subject, namespace: "" }, visitor)?;
        }
        ControlFlow::Continue(())
    }

    fn visit_namespace(
        &self,
        user: &UserInfo,
        namespace: &str,
        visitor: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for item in in_namespace(&self.role_bindings.all(), namespace) {
            let Some(binding) = item.object() else { continue };
            let Some(subject) = applicable(user, binding.subjects.as_deref(), namespace) else { continue };
            let name = format!("{}/{namespace}", binding.metadata.name.as_deref().unwrap_or_default());
            let kind = "RoleBinding";
            self.visit_role(&Source { kind, name, role: &binding.role_ref, subject, namespace }, visitor)?;
        }
        ControlFlow::Continue(())
    }

    fn visit_role(
        &self,
        source: &Source<'_>,
        visitor: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let shown = self.with_rules(source.role, source.namespace, |rules| {
            rules.iter().try_for_each(|rule| visitor(Ok((source, rule))))
        });
        shown.unwrap_or_else(|missing| visitor(Err(missing)))
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let namespace = match attributes.target {
            Target::Path(_) => "",
            Target::Resource(at) => at.namespace.as_str(),
        };
        let (mut reason, mut errors) = (None, Vec::new());
        self.visit(attributes.user, namespace, &mut |found| match found {
            Ok((source, rule)) if allows(rule, attributes) => {
                reason = Some(format!("RBAC: allowed by {}", source.describe()));
                ControlFlow::Break(())
            }
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                errors.push(error);
                ControlFlow::Continue(())
            }
        });
        match (reason, aggregate(errors)) {
            (Some(reason), _) => Decision::Allow(reason),
            (None, None) => Decision::NoOpinion(String::new()),
            (None, Some(error)) => Decision::NoOpinion(format!("RBAC: {error}")),
        }
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> HeldRules {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        self.visit(user, namespace, &mut |found| {
            match found {
                Ok((_, rule)) => rules.push(rule.clone()),
                Err(error) => errors.push(error),
            }
            ControlFlow::Continue(())
        });
        HeldRules { rules, error: aggregate(errors) }
    }
}

/// Several errors in one text, each once, as upstream joins them.
fn aggregate(mut errors: Vec<String>) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    errors.retain(|error| seen.insert(error.clone()));
    match errors.len() {
        0 => None,
        1 => errors.pop(),
        _ => Some(format!("[{}]", errors.join(", "))),
    }
}

/// The first subject that is the user or a group of theirs.
fn applicable<'a>(user: &UserInfo, subjects: Option<&'a [Subject]>, namespace: &str) -> Option<&'a Subject> {
    subjects.unwrap_or_default().iter().find(|subject| match subject.kind.as_str() {
        USER_KIND => user.name == subject.name,
        GROUP_KIND => user.is_in(&subject.name),
        SERVICE_ACCOUNT_KIND => {
            let own = subject.namespace.as_deref().filter(|own| !own.is_empty()).unwrap_or(namespace);
            !own.is_empty() && user.service_account_name() == Some((own, &subject.name))
        }
        _ => false,
    })
}

/// Whether a rule is about an action, whoever wants it.
pub fn allows(rule: &PolicyRule, attributes: &Attributes<'_>) -> bool {
    has(Some(&rule.verbs), attributes.verb)
        && match attributes.target {
            Target::Path(path) => {
                rule.non_resource_urls.iter().flatten().any(|pattern| pattern == ALL || covers_path(pattern, path))
            }
            Target::Resource(at) => {
                let names = rule.resource_names.as_ref().filter(|names| !names.is_empty());
                has(rule.api_groups.as_ref(), &at.group)
                    && rule.resources.iter().flatten().any(|it| resource_matches(it, &at.resource, &at.subresource))
                    && names.is_none_or(|names| names.contains(&at.name))
            }
        }
}

fn has(list: Option<&Vec<String>>, wanted: &str) -> bool {
    list.into_iter().flatten().any(|entry| entry == ALL || entry == wanted)
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    match pattern.split_once('/') {
        _ if pattern == ALL => true,
        None => subresource.is_empty() && pattern == resource,
        Some((parent, child)) => child == subresource && (parent == ALL || parent == resource),
    }
}

#[cfg(test)]
mod tests;
