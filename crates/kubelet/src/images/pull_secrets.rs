//! Credentials from a Pod's `imagePullSecrets`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::Value;
use tracing::warn;

use super::name::split_registry;
use crate::objects::Objects;
use crate::pod;

/// The registry of names that have none, as `docker login` files it.
const DEFAULT_REGISTRY: &str = "docker.io";

/// The first credentials that fit the image. A Secret that is missing or malformed is skipped, as upstream does: the
/// image may be public.
pub async fn credentials(objects: &Objects, pod: &Pod, image: &str) -> Option<cri::AuthConfig> {
    let references = pod.spec.as_ref()?.image_pull_secrets.as_deref().unwrap_or_default();
    for reference in references {
        match objects.secret(pod::namespace(pod), &reference.name).await {
            Ok(Some(secret)) => {
                if let Some(auth) = from_secret(&secret, image) {
                    return Some(auth);
                }
            }
            Ok(None) => warn!(pod = pod::full_name(pod), secret = reference.name, "image pull secret not found"),
            Err(error) => warn!(pod = pod::full_name(pod), secret = reference.name, %error, "image pull secret"),
        }
    }
    None
}

fn from_secret(secret: &Secret, image: &str) -> Option<cri::AuthConfig> {
    let data = secret.data.as_ref()?;
    let auths = match data.get(".dockerconfigjson") {
        Some(config) => serde_json::from_slice::<Value>(&config.0).ok()?.get("auths")?.clone(),
        None => serde_json::from_slice::<Value>(&data.get(".dockercfg")?.0).ok()?,
    };
    let registry = split_registry(image).0.unwrap_or(DEFAULT_REGISTRY);
    let (server, entry) = auths.as_object()?.iter().find(|(server, _)| host_of(server) == registry)?;
    auth_config(server, entry)
}

/// `https://index.docker.io/v1/` is filed for `docker.io`.
fn host_of(server: &str) -> &str {
    let bare = server.trim_start_matches("https://").trim_start_matches("http://");
    match bare.split('/').next().unwrap_or(bare) {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
        host => host,
    }
}

fn auth_config(server: &str, entry: &Value) -> Option<cri::AuthConfig> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (mut username, mut password) = (text("username"), text("password"));
    if let Some(auth) = entry.get("auth").and_then(Value::as_str) {
        let decoded = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (user, secret) = decoded.split_once(':')?;
        (username, password) = (user.to_owned(), secret.to_owned());
    }
    Some(cri::AuthConfig {
        username,
        password,
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
        server_address: server.to_owned(),
        ..cri::AuthConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn finds_the_entry_of_the_images_registry() {
        let config =
            r#"{"auths": {"r.example:5000": {"auth": "dTpwOng="}, "https://index.docker.io/v1/": {"username": "d"}}}"#;
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), ByteString(config.as_bytes().to_vec()))]);
        let secret = Secret { data: Some(data), ..Secret::default() };
        let auth = from_secret(&secret, "r.example:5000/team/app:1").unwrap();
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("u", "p:x"));
        assert_eq!(from_secret(&secret, "busybox").unwrap().username, "d");
        assert_eq!(from_secret(&secret, "other.example/app"), None);
    }
}
