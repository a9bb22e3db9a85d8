//! Acting as someone else: the `Impersonate-*` headers, for those who may.

use http::{HeaderMap, HeaderName};

use crate::authorization::{Attributes, Authorizer, Decision, Target, refusal};
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::identity::{ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNT_PREFIX, UNAUTHENTICATED, UserInfo};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";
/// The API group of what a user has besides a name and groups.
const API_GROUP: &str = "authentication.k8s.io";

/// Whether a request wants to act as somebody.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(USER).is_some_and(|name| !name.is_empty())
}

/// The user a request acts as. The headers that say so are taken away: nobody behind this server shall read them.
///
/// # Errors
/// [`Error::Internal`] when groups or the like come without a user, [`Error::ForbiddenResource`] when the caller may not
/// act as that user.
pub fn impersonate(authorizer: &dyn Authorizer, caller: UserInfo, headers: &mut HeaderMap) -> Result<UserInfo, Error> {
    let wanted = Wanted::take(headers);
    let parts = wanted.parts();
    if wanted.user.is_empty() {
        if parts.is_empty() {
            return Ok(caller);
        }
        let told: Vec<String> = parts.iter().map(Part::describe).collect();
        return Err(Error::Internal(format!("requested [{}] without impersonating a user", told.join(" "))));
    }
    parts.iter().try_for_each(|part| part.check(authorizer, &caller))?;
    Ok(wanted.into_user())
}

/// What the headers say.
#[derive(Debug, Default)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    /// Keys are lower case, as headers are.
    extra: Vec<(String, String)>,
}

/// One thing to be, each of which must be allowed.
struct Part<'a> {
    kind: &'static str,
    /// The API group, resource and subresource of the right to be it.
    group: &'static str,
    resource: &'static str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl Wanted {
    fn take(headers: &mut HeaderMap) -> Self {
        let is_ours =
            |name: &HeaderName| matches!(name.as_str(), USER | UID | GROUP) || name.as_str().starts_with(EXTRA);
        let ours: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
        let mut wanted = Self::default();
        for name in ours {
            let values = headers.get_all(&name).iter().filter_map(|value| Some(value.to_str().ok()?.to_owned()));
            let values: Vec<String> = values.collect();
            match name.as_str() {
                USER => wanted.user = values.into_iter().next().unwrap_or_default(),
                UID => wanted.uid = values.into_iter().next().unwrap_or_default(),
                GROUP => wanted.groups = values,
                name => {
                    let key = crate::query::decode_path(name.strip_prefix(EXTRA).unwrap_or_default());
                    wanted.extra.extend(values.into_iter().map(|value| (key.clone(), value)));
                }
            }
            headers.remove(&name);
        }
        wanted
    }

    /// Namespace and name, when the user is a ServiceAccount.
    fn service_account(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
        let is_named =
            api::names::dns1123_label(namespace).is_empty() && api::names::dns1123_subdomain(name).is_empty();
        is_named.then_some((namespace, name))
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let plain =
            Part { kind: "User", group: "", resource: "users", subresource: "", namespace: "", name: &self.user };
        let mut parts = Vec::new();
        match self.service_account() {
            Some((namespace, name)) => {
                parts.push(Part { kind: "ServiceAccount", resource: "serviceaccounts", namespace, name, ..plain });
            }
            None if !self.user.is_empty() => parts.push(plain),
            None => {}
        }
        let part =
            |kind, group, resource, subresource, name| Part { kind, group, resource, subresource, namespace: "", name };
        parts.extend(self.groups.iter().map(|group| part("Group", "", "groups", "", group.as_str())));
        let extra = self.extra.iter();
        parts
            .extend(extra.map(|(key, value)| part("UserExtra", API_GROUP, "userextras", key.as_str(), value.as_str())));
        if !self.uid.is_empty() {
            parts.push(part("UID", API_GROUP, "uids", "", &self.uid));
        }
        parts
    }

    fn into_user(self) -> UserInfo {
        let mut user = match self.service_account() {
            Some((namespace, name)) if self.groups.is_empty() => UserInfo::service_account(namespace, name),
            _ => UserInfo { name: self.user.clone(), ..UserInfo::default() },
        };
        user.groups.extend(self.groups);
        let known = if user.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        if !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
            user.groups.push(known.to_owned());
        }
        user.uid = self.uid;
        for (key, value) in self.extra {
            user.extra.entry(key).or_default().push(value);
        }
        user
    }
}

impl Part<'_> {
    fn check(&self, authorizer: &dyn Authorizer, caller: &UserInfo) -> Result<(), Error> {
        let path = ResourcePath {
            group: self.group.to_owned(),
            version: "v1".to_owned(),
            namespace: self.namespace.to_owned(),
            resource: self.resource.to_owned(),
            subresource: self.subresource.to_owned(),
            name: self.name.to_owned(),
            ..ResourcePath::default()
        };
        let attributes = Attributes { user: caller, verb: "impersonate", target: Target::Resource(&path) };
        match authorizer.authorize(&attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(refusal(&attributes, &reason)),
        }
    }

    /// As Go prints the reference upstream makes of it.
    fn describe(&self) -> String {
        let version = if self.group.is_empty() { String::new() } else { format!("{}/v1", self.group) };
        format!("{{{} {} {}  {version}  {}}}", self.kind, self.namespace, self.name, self.subresource)
    }
}

#[cfg(test)]
mod tests {
    use api::k8s_openapi::api::rbac::v1::PolicyRule;

    use super::*;
    use crate::authorization::HeldRules;

    /// Allows what it lists: `group/resource/subresource/namespace/name`.
    struct Listed(&'static [&'static str]);

    impl Authorizer for Listed {
        fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
            let Target::Resource(at) = attributes.target else { return Decision::NoOpinion(String::new()) };
            let asked =
                [&at.group, &at.resource, &at.subresource, &at.namespace, &at.name].map(String::as_str).join("/");
            assert_eq!(attributes.verb, "impersonate");
            if self.0.contains(&asked.as_str()) {
                Decision::Allow(String::new())
            } else {
                Decision::NoOpinion(String::new())
            }
        }

        fn rules(&self, _user: &UserInfo, _namespace: &str) -> HeldRules {
            HeldRules { rules: Vec::<PolicyRule>::new(), error: None }
        }
    }

    fn act(allowed: &'static [&'static str], headers: &[(&'static str, &str)]) -> Result<UserInfo, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let outcome = impersonate(&Listed(allowed), UserInfo::new("caller", ["team"]), &mut map);
        assert!(map.is_empty(), "no header is left");
        outcome
    }

    #[test]
    fn nobody_is_somebody_else_without_a_word() {
        assert_eq!(act(&[], &[]).unwrap().name, "caller");
    }

    #[test]
    fn every_part_must_be_allowed() {
        let all: &[&str] = &[
            "/users///u",
            "/groups///g",
            "authentication.k8s.io/userextras/scopes//a",
            "authentication.k8s.io/userextras/scopes//b",
            "authentication.k8s.io/uids///1",
        ];
        let headers = [
            ("impersonate-user", "u"),
            ("impersonate-group", "g"),
            ("impersonate-extra-scopes", "a"),
            ("impersonate-extra-scopes", "b"),
            ("impersonate-uid", "1"),
        ];
        let user = act(all, &headers).unwrap();
        assert_eq!((user.name.as_str(), user.uid.as_str()), ("u", "1"));
        assert_eq!(user.groups, ["g", AUTHENTICATED]);
        assert_eq!(user.extra["scopes"], ["a", "b"]);
        for missing in 0..headers.len() {
            let some: Vec<&'static str> =
                all.iter().enumerate().filter(|(place, _)| *place != missing).map(|(_, right)| *right).collect();
            assert!(act(some.leak(), &headers).is_err(), "{missing}");
        }
    }

    #[test]
    fn accounts_and_strangers_have_their_groups() {
        let account = act(&["/serviceaccounts//ns/a"], &[("impersonate-user", "system:serviceaccount:ns:a")]).unwrap();
        assert_eq!(account, UserInfo::service_account("ns", "a"));
        let odd = act(&["/users///system:serviceaccount:NS:a"], &[("impersonate-user", "system:serviceaccount:NS:a")]);
        assert_eq!(odd.unwrap().groups, [AUTHENTICATED]);
        let nobody = act(&["/users///system:anonymous"], &[("impersonate-user", ANONYMOUS)]).unwrap();
        assert_eq!(nobody, UserInfo::anonymous());
    }

    #[test]
    fn groups_need_a_user() {
        let error = act(&[], &[("impersonate-group", "g"), ("impersonate-extra-scopes", "a")]).unwrap_err();
        let text =
            "requested [{Group  g    } {UserExtra  a  authentication.k8s.io/v1  scopes}] without impersonating a user";
        assert_eq!(error, Error::Internal(text.to_owned()));
    }
}
