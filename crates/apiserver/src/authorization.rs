//! May this user do that? One trait, and for now one implementation: the roles that every cluster starts with.

use crate::error::Error;
use crate::filters::request_info::{RequestInfo, ResourcePath};
use crate::identity::{MASTERS, UserInfo};

mod bootstrap_roles;
mod node;

pub use bootstrap_roles::{ROLES, Role, Rule, Subject};
pub use node::NodeAuthorizer;

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

/// Decides what users may do.
pub trait Authorizer: Send + Sync {
    /// Decides on one action.
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision;

    /// All rules that hold for a user in a namespace, for `kubectl auth can-i --list`.
    fn rules(&self, user: &UserInfo, namespace: &str) -> Vec<&'static Rule>;
}

/// The roles of [`ROLES`], and `system:masters`.
#[derive(Debug, Default, Clone, Copy)]
pub struct BootstrapAuthorizer;

impl Authorizer for BootstrapAuthorizer {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.is_in(MASTERS) {
            return Decision::Allow(String::new());
        }
        let allowing = ROLES.iter().find_map(|role| {
            let subject = role.subjects.iter().find(|subject| subject.matches(attributes.user))?;
            let rule_found = role.rules.iter().any(|rule| rule.allows(attributes));
            rule_found.then_some((role, subject))
        });
        match allowing {
            Some((role, subject)) => Decision::Allow(format!(
                "RBAC: allowed by ClusterRoleBinding \"{0}\" of ClusterRole \"{0}\" to {subject}",
                role.name
            )),
            None => Decision::NoOpinion(String::new()),
        }
    }

    fn rules(&self, user: &UserInfo, _namespace: &str) -> Vec<&'static Rule> {
        static EVERYTHING: [Rule; 2] = [Rule::resources(&["*"], &["*"], &["*"]), Rule::paths(&["*"], &["*"])];
        let masters = user.is_in(MASTERS).then_some(EVERYTHING.iter()).into_iter().flatten();
        let roles = ROLES.iter().filter(|role| role.subjects.iter().any(|subject| subject.matches(user)));
        masters.chain(roles.flat_map(|role| role.rules)).collect()
    }
}

/// Several authorizers: what one of them allows is allowed.
pub struct Union(pub Vec<Box<dyn Authorizer>>);

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

    fn rules(&self, user: &UserInfo, namespace: &str) -> Vec<&'static Rule> {
        self.0.iter().flat_map(|authorizer| authorizer.rules(user, namespace)).collect()
    }
}

/// Decides on a request and words the refusal.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::ForbiddenPath`].
pub fn check(authorizer: &dyn Authorizer, user: &UserInfo, info: &RequestInfo) -> Result<(), Error> {
    // A story ends with the last lines of logs: whoever may read those may read it.
    let story = info.resource.as_ref().filter(|at| at.subresource == "story");
    let as_log = story.map(|at| ResourcePath { subresource: "log".to_owned(), ..at.clone() });
    let target = as_log.as_ref().or(info.resource.as_ref()).map_or(Target::Path(&info.path), Target::Resource);
    let attributes = Attributes { user, verb: &info.verb, target };
    match authorizer.authorize(&attributes) {
        Decision::Allow(_) => Ok(()),
        Decision::NoOpinion(reason) => Err(refusal(&attributes, &reason)),
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
