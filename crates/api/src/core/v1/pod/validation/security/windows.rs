//! The names of users on Windows: an optional domain, a backslash, the user.

use crate::field::{ErrorList, Path, invalid};

const MAX_DOMAIN_BYTES: usize = 256;
const MAX_USER_BYTES: usize = 104;

pub(super) fn validate_user_name(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    errors.extend(problems(name).into_iter().map(|problem| invalid(path, name, problem)));
}

fn problems(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string".into()];
    }
    if name.bytes().any(|byte| byte.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters".into()];
    }
    let (domain, user) = match name.split_once('\\') {
        Some((_, user)) if user.contains('\\') => {
            return vec!["runAsUserName cannot contain more than one backslash".into()];
        }
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    let mut problems = Vec::new();
    if domain.is_some_and(|domain| domain.len() >= MAX_DOMAIN_BYTES) {
        problems.push(format!("runAsUserName's Domain length must be under {MAX_DOMAIN_BYTES} characters"));
    }
    if domain.is_some_and(|domain| !is_net_bios(domain) && !is_dns(domain)) {
        problems.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".into());
    }
    if user.is_empty() {
        problems.push("runAsUserName's User cannot be empty".into());
    } else if user.len() > MAX_USER_BYTES {
        problems.push(format!("runAsUserName's User length must not be longer than {MAX_USER_BYTES} characters"));
    }
    if !user.is_empty() && user.chars().all(|character| matches!(character, '.' | ' ')) {
        problems.push("runAsUserName's User cannot contain only periods or spaces".into());
    }
    if user.contains(|character| "\"/\\:;|=,+*?<>@[]".contains(character)) {
        problems.push("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]".into());
    }
    problems
}

fn is_net_bios(domain: &str) -> bool {
    (1..=15).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(|character| "\\/:*?\"<>|".contains(character))
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}
