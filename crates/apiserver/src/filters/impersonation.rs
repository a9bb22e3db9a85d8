//! Acting as someone else: the `Impersonate-*` headers, for those who may.

use http::HeaderMap;

use crate::authorization::{Attributes, Authorizer, Decision, Target, refusal};
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::identity::{ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNT_PREFIX, UNAUTHENTICATED, UserInfo};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";

/// Whether a request wants to act as somebody.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(USER).is_some_and(|name| !name.is_empty())
}

/// The user a request acts as.
///
/// # Errors
/// [`Error::Internal`] when groups or the like come without a user, [`Error::ForbiddenResource`] when the caller may not
/// act as that user.
pub fn impersonate(authorizer: &dyn Authorizer, caller: UserInfo, headers: &HeaderMap) -> Result<UserInfo, Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = text(USER);
    let groups: Vec<&str> = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok()).collect();
    let extra: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(key, value)| Some((key.as_str().strip_prefix(EXTRA)?, value.to_str().ok()?)))
        .collect();
    let uid = text(UID);
    if name.is_empty() {
        if groups.is_empty() && extra.is_empty() && uid.is_empty() {
            return Ok(caller);
        }
        let message = "requested impersonation without impersonating a user";
        return Err(Error::Internal(message.to_owned()));
    }
    let check = |resource: &str, namespace: &str, name: &str| {
        let path = ResourcePath {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: "v1".to_owned(),
            ..ResourcePath::default()
        };
        let attributes = Attributes { user: &caller, verb: "impersonate", target: Target::Resource(&path) };
        match authorizer.authorize(&attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(refusal(&attributes, &reason)),
        }
    };
    let account = name.strip_prefix(SERVICE_ACCOUNT_PREFIX).and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, account)) => check("serviceaccounts", namespace, account)?,
        None => check("users", "", name)?,
    }
    groups.iter().try_for_each(|group| check("groups", "", group))?;
    if !uid.is_empty() || !extra.is_empty() {
        check("uids", "", uid)?;
    }
    Ok(build(name, uid, &groups, &extra, account))
}

fn build(name: &str, uid: &str, groups: &[&str], extra: &[(&str, &str)], account: Option<(&str, &str)>) -> UserInfo {
    let mut user = match account {
        Some((namespace, account)) if groups.is_empty() => UserInfo::service_account(namespace, account),
        _ if name == ANONYMOUS => UserInfo::anonymous(),
        _ => UserInfo { name: name.to_owned(), ..UserInfo::default() },
    };
    user.groups.extend(groups.iter().map(|group| (*group).to_owned()));
    if name != ANONYMOUS && !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    uid.clone_into(&mut user.uid);
    for (key, value) in extra {
        user.extra.entry(crate::query::decode_path(key)).or_default().push((*value).to_owned());
    }
    user
}
