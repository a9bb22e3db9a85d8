//! Bootstrap tokens: `<id>.<secret>`, kept in Secrets `bootstrap-token-<id>` of `kube-system`, by which new nodes ask for
//! their first certificate.

use api::k8s_openapi::api::core::v1::Secret;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::Timestamp;

use crate::identity::UserInfo;

/// Where the Secrets are.
pub const NAMESPACE: &str = "kube-system";
const SECRET_PREFIX: &str = "bootstrap-token-";
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const USER_PREFIX: &str = "system:bootstrap:";
const GROUP: &str = "system:bootstrappers";
const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
const MAX_GROUP_LENGTH: usize = 256;

/// The parts of a token; `None` when it is of another kind.
pub fn parse(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH && plain(id) && plain(secret)).then_some((id, secret))
}

/// The name of the Secret that a token's id stands for.
pub fn secret_name(id: &str) -> String {
    format!("{SECRET_PREFIX}{id}")
}

/// The user of a token, if its Secret says so.
pub fn user_of(id: &str, secret: &str, kept: &Secret, now: Timestamp) -> Option<UserInfo> {
    let text = |key: &str| {
        let value = kept.data.as_ref().and_then(|data| data.get(key));
        value.and_then(|value| std::str::from_utf8(&value.0).ok()).unwrap_or_default()
    };
    let kind = kept.type_.as_deref() == Some(SECRET_TYPE) && kept.metadata.deletion_timestamp.is_none();
    let same = verify_slices_are_equal(text("token-secret").as_bytes(), secret.as_bytes()).is_ok();
    let current = match text("expiration") {
        "" => true,
        end => end.parse::<Timestamp>().is_ok_and(|end| now < end),
    };
    if !(kind && same && text("token-id") == id && current && text("usage-bootstrap-authentication") == "true") {
        return None;
    }
    let mut groups = vec![GROUP.to_owned()];
    for group in text("auth-extra-groups").split(',').map(str::trim).filter(|group| !group.is_empty()) {
        groups.push(is_group(group).then(|| group.to_owned())?);
    }
    groups.sort();
    groups.dedup();
    Some(UserInfo::new(format!("{USER_PREFIX}{id}"), groups))
}

/// Tokens give no groups but those below `system:bootstrappers:`.
fn is_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix(':')) else { return false };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    rest.len() <= MAX_GROUP_LENGTH
        && rest.bytes().all(|byte| plain(byte) || matches!(byte, b':' | b'-'))
        && rest.bytes().last().is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "abcdef";
    const TOKEN_SECRET: &str = "0123456789abcdef";

    fn user(change: Value) -> Option<UserInfo> {
        let mut secret = json!({
            "metadata": {}, "type": SECRET_TYPE,
            "stringData": { "token-id": ID, "token-secret": TOKEN_SECRET, "usage-bootstrap-authentication": "true",
                            "expiration": "2026-01-02T00:00:00Z" },
        });
        for (key, value) in change.as_object().into_iter().flatten() {
            match key.as_str() {
                "type" | "metadata" => secret[key] = value.clone(),
                _ => secret["stringData"][key] = value.clone(),
            }
        }
        let mut secret: Secret = serde_json::from_value(secret).unwrap();
        let data = secret.string_data.take().into_iter().flatten();
        secret.data = Some(data.map(|(key, text)| (key, api::k8s_openapi::ByteString(text.into_bytes()))).collect());
        user_of(ID, TOKEN_SECRET, &secret, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn tokens_have_one_form() {
        assert_eq!(parse("abcdef.0123456789abcdef"), Some((ID, TOKEN_SECRET)));
        for other in
            ["", "abcdef", "abcdef.0123456789abcde", "Abcdef.0123456789abcdef", "a.b.c", "abcde-.0123456789abcdef"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn groups_are_those_of_the_secret() {
        let groups = |extra: &str| user(json!({ "auth-extra-groups": extra })).map(|user| user.groups);
        let plain = user(json!({})).unwrap();
        assert_eq!(plain.name, "system:bootstrap:abcdef");
        assert_eq!(plain.groups, ["system:bootstrappers", "system:authenticated"]);
        let two = groups("system:bootstrappers:x:y-1, system:bootstrappers:a").unwrap();
        let wanted =
            ["system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:x:y-1", "system:authenticated"];
        assert_eq!(two, wanted);
        for bad in ["system:masters", "system:bootstrappers:", "system:bootstrappers:a-", "system:bootstrappersx"] {
            assert_eq!(groups(bad), None, "{bad}");
        }
    }

    #[test]
    fn anything_amiss_denies() {
        for amiss in [
            json!({ "type": "Opaque" }),
            json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            json!({ "token-id": "abcdeg" }),
            json!({ "token-secret": "0123456789abcdeg" }),
            json!({ "token-secret": "" }),
            json!({ "usage-bootstrap-authentication": "false" }),
            json!({ "usage-bootstrap-authentication": "" }),
            json!({ "expiration": "2026-01-01T00:00:00Z" }),
            json!({ "expiration": "tomorrow" }),
        ] {
            assert_eq!(user(amiss.clone()), None, "{amiss}");
        }
        assert!(user(json!({ "expiration": "" })).is_some());
    }
}
