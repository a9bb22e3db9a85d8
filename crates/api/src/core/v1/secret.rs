//! Secrets.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::config_map::{IMMUTABLE_WHEN_SET, MAX_DATA_BYTES};
use crate::decode::{Node, json};
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, required, too_long};
use crate::meta::{IMMUTABLE, Scope, text, validate_meta, validate_meta_update};
use crate::names::{config_map_key, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

/// The type of Secrets without any.
pub const TYPE_OPAQUE: &str = "Opaque";
/// The type of Secrets that hold ServiceAccount tokens.
pub const TYPE_SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
/// The type of Secrets that hold a certificate and its key.
pub const TYPE_TLS: &str = "kubernetes.io/tls";
/// How PEM blocks begin.
const PEM: &[u8] = b"-----BEGIN ";
/// The annotation that names a token's ServiceAccount.
pub const SERVICE_ACCOUNT_NAME_ANNOTATION: &str = "kubernetes.io/service-account.name";

impl Kind for Secret {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        merge_string_data(self);
        omit_empty!(self => data);
        if text(&self.type_).is_empty() {
            self.type_ = Some(TYPE_OPAQUE.to_owned());
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        errors.extend(validate_data(self));
        errors.extend(validate_type(self));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if self.type_ != old.type_ {
            errors.push(invalid(&Path::new("type"), text(&self.type_), IMMUTABLE));
        }
        if old.immutable == Some(true) {
            if self.immutable != Some(true) {
                errors.push(forbidden(&Path::new("immutable"), IMMUTABLE_WHEN_SET));
            }
            if self.data != old.data {
                errors.push(forbidden(&Path::new("data"), IMMUTABLE_WHEN_SET));
            }
        }
        errors.extend(Kind::validate(self));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let has_pem = |key| get(self, key).is_some_and(|text| text.windows(PEM.len()).any(|window| window == PEM));
        let missing = text(&self.type_) == TYPE_TLS && !has_pem("tls.crt");
        missing.then(|| "tls: failed to find any PEM data in certificate input".to_owned()).into_iter().collect()
    }
}

/// `stringData` is a write-only way to put text into `data`; it wins over what stands there.
fn merge_string_data(secret: &mut Secret) {
    let Some(texts) = secret.string_data.take() else { return };
    let data = secret.data.get_or_insert_with(BTreeMap::new);
    data.extend(texts.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))));
}

fn validate_data(secret: &Secret) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("data");
    let mut bytes = 0;
    for (key, value) in secret.data.iter().flatten() {
        extend_invalid(&mut errors, &path.key(key), key, config_map_key(key));
        bytes += value.0.len();
    }
    if bytes > MAX_DATA_BYTES {
        errors.push(too_long(&path, MAX_DATA_BYTES));
    }
    errors
}

/// What each known type must hold.
fn validate_type(secret: &Secret) -> ErrorList {
    match text(&secret.type_) {
        TYPE_SERVICE_ACCOUNT_TOKEN => validate_token(secret),
        "kubernetes.io/dockercfg" => validate_docker_config(secret, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => validate_docker_config(secret, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" => {
            let empty = get(secret, "username").is_none() && get(secret, "password").is_none();
            if empty { missing(&["username", "password"]) } else { ErrorList::new() }
        }
        "kubernetes.io/ssh-auth" => {
            let empty = get(secret, "ssh-privatekey").is_none_or(<[u8]>::is_empty);
            if empty { missing(&["ssh-privatekey"]) } else { ErrorList::new() }
        }
        TYPE_TLS => {
            let keys = ["tls.crt", "tls.key"].into_iter().filter(|key| get(secret, key).is_none());
            keys.flat_map(|key| missing(&[key])).collect()
        }
        _ => ErrorList::new(),
    }
}

fn get<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|value| value.0.as_slice())
}

fn missing(keys: &[&str]) -> ErrorList {
    keys.iter().map(|key| required(&Path::new("data").key(key), "")).collect()
}

fn validate_token(secret: &Secret) -> ErrorList {
    let annotations = secret.metadata.annotations.as_ref();
    let named =
        annotations.and_then(|map| map.get(SERVICE_ACCOUNT_NAME_ANNOTATION)).is_some_and(|name| !name.is_empty());
    if named {
        return ErrorList::new();
    }
    let path = crate::meta::METADATA.child("annotations");
    vec![required(&path.key(SERVICE_ACCOUNT_NAME_ANNOTATION), "")]
}

fn validate_docker_config(secret: &Secret, key: &str) -> ErrorList {
    let Some(config) = get(secret, key) else { return missing(&[key]) };
    // Upstream unmarshals into a map; only well-formedness and the outer shape matter.
    let problem = match json::parse(config) {
        Ok(Node::Object(_) | Node::Null) => return ErrorList::new(),
        Ok(other) => {
            format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", other.go_kind())
        }
        Err(error) => error.to_string(),
    };
    vec![invalid(&Path::new("data").key(key), "<secret contents redacted>", problem)]
}
