//! May this user do that? A union of those who may always, nodes by what their Pods refer to, and everybody by RBAC.

use std::sync::Arc;

use api::k8s_openapi::api::rbac::v1::PolicyRule;
use api::rbac::v1::ALL;

use crate::audit::Annotations;
use crate::error::Error;
use crate::filters::request_info::{RequestInfo, ResourcePath};
use crate::identity::{MASTERS, UserInfo};

mod node;
mod rbac;

pub use node::NodeAuthorizer;
pub use rbac::Rbac;

/// What someone wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a UserInfo,
    /// For instance `list`.
    pub verb: &'a str,
    /// On what.
    pub target: Target<'a>,
}

/// What a request acts on.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A path that is no resource.
    Path(&'a str),
    /// A resource.
    Resource(&'a ResourcePath),
}

/// An authorizer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, with the reason where there is one to tell.
    Allow(String),
    /// Nothing allows it, with the reason where there is one to tell.
    NoOpinion(String),
}

/// What a user may do, as far as rules can say it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldRules {
    /// The rules.
    pub rules: Vec<PolicyRule>,
    /// Why there may be more that could not be found.
    pub error: Option<String>,
}

/// Decides what users may do.
pub trait Authorizer: Send + Sync {
    /// Decides on one action.
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision;

    /// All rules that hold for a user in a namespace, for `kubectl auth can-i --list`.
    fn rules(&self, user: &UserInfo, namespace: &str) -> HeldRules;
}

/// Members of `system:masters` may do everything, whatever RBAC says, so that nobody locks everybody out.
#[derive(Debug, Clone, Copy)]
pub struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.is_in(MASTERS) { Decision::Allow(String::new()) } else { Decision::NoOpinion(String::new()) }
    }

    fn rules(&self, user: &UserInfo, _namespace: &str) -> HeldRules {
        let rules = if user.is_in(MASTERS) { everything() } else { Vec::new() };
        HeldRules { rules, error: None }
    }
}

/// Rules that allow everything.
pub fn everything() -> Vec<PolicyRule> {
    let all = || Some(vec![ALL.to_owned()]);
    let verbs = vec![ALL.to_owned()];
    let resources = PolicyRule { api_groups: all(), resources: all(), verbs: verbs.clone(), ..PolicyRule::default() };
    vec![resources, PolicyRule { non_resource_urls: all(), verbs, ..PolicyRule::default() }]
}

/// Several authorizers: what one of them allows is allowed.
pub struct Union(pub Vec<Arc<dyn Authorizer>>);

impl Authorizer for Union {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut reasons = Vec::new();
        for authorizer in &self.0 {
            match authorizer.authorize(attributes) {
                Decision::NoOpinion(reason) if reason.is_empty() => {}
                Decision::NoOpinion(reason) => reasons.push(reason),
                allowed @ Decision::Allow(_) => return allowed,
            }
        }
        Decision::NoOpinion(reasons.join(", "))
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> HeldRules {
        let mut union = HeldRules::default();
        for held in self.0.iter().map(|authorizer| authorizer.rules(user, namespace)) {
            union.rules.extend(held.rules);
            union.error = union.error.or(held.error);
        }
        union
    }
}

/// Decides on a request and words the refusal.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::ForbiddenPath`].
pub fn check(
    authorizer: &dyn Authorizer,
    user: &UserInfo,
    info: &RequestInfo,
    annotations: &Annotations,
) -> Result<(), Error> {
    // A story ends with the last lines of logs: whoever may read those may read it.
    let story = info.resource.as_ref().filter(|at| at.subresource == "story");
    let as_log = story.map(|at| ResourcePath { subresource: "log".to_owned(), ..at.clone() });
    let target = as_log.as_ref().or(info.resource.as_ref()).map_or(Target::Path(&info.path), Target::Resource);
    let attributes = Attributes { user, verb: &info.verb, target };
    let note = |decision: &str, reason: &str| {
        annotations.add("authorization.k8s.io/decision", || decision.to_owned());
        annotations.add("authorization.k8s.io/reason", || reason.to_owned());
    };
    match authorizer.authorize(&attributes) {
        Decision::Allow(reason) => {
            note("allow", &reason);
            Ok(())
        }
        Decision::NoOpinion(reason) => {
            note("forbid", &reason);
            Err(refusal(&attributes, &reason))
        }
    }
}

/// The error for an action that is not allowed.
pub fn refusal(attributes: &Attributes<'_>, reason: &str) -> Error {
    let user = attributes.user.name.clone();
    let verb = attributes.verb;
    let at = match attributes.target {
        Target::Path(path) => return Error::ForbiddenPath { user, verb: verb.to_owned(), path: path.to_owned() },
        Target::Resource(at) => at,
    };
    let resource = match at.subresource.as_str() {
        "" => at.resource.clone(),
        subresource => format!("{}/{subresource}", at.resource),
    };
    let place = match at.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let mut text =
        format!("User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {place}", at.group);
    if !reason.is_empty() {
        text = format!("{text}: {reason}");
    }
    Error::ForbiddenResource {
        group: at.group.clone(),
        resource: at.resource.clone(),
        name: at.name.clone(),
        reason: text,
    }
}
