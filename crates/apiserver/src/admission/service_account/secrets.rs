//! Accounts that are marked lend their Pods only the Secrets they list.

use api::core::v1::pod::{ContainerKind, ContainerRef, containers_of};
use api::core::v1::service_account::ENFORCE_MOUNTABLE_SECRETS;
use api::k8s_openapi::api::core::v1::{PodSpec, ServiceAccount};

/// Whether an account says so, in one of the ways Go understands.
pub fn is_limited(account: &ServiceAccount) -> bool {
    let annotations = account.metadata.annotations.as_ref();
    let value = annotations.and_then(|annotations| annotations.get(ENFORCE_MOUNTABLE_SECRETS));
    value.is_some_and(|value| matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// Why a new Pod may not have all the Secrets it asks for. Debug containers come later.
pub fn refusal(account: &ServiceAccount, spec: &PodSpec) -> Option<String> {
    let asked = spec.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref());
    let mut asked = asked.map(|source| source.secret_name.as_deref().unwrap_or_default());
    if let Some(secret) = asked.find(|secret| !lists(account, secret)) {
        return Some(not_listed(account, &format!("volume with secret.secretName={secret:?}")));
    }
    let containers = containers_of(spec).filter(|(_, container)| container.kind != ContainerKind::Ephemeral);
    let mut refusals = containers.filter_map(|(_, container)| container_refusal(account, &container));
    refusals.next().or_else(|| pull_refusal(account, spec))
}

/// Why a Pod may not get the debug containers it has now.
pub fn debug_refusal(account: &ServiceAccount, spec: &PodSpec) -> Option<String> {
    let containers = containers_of(spec).filter(|(_, container)| container.kind == ContainerKind::Ephemeral);
    let mut refusals = containers.filter_map(|(_, container)| container_refusal(account, &container));
    refusals.next()
}

fn container_refusal(account: &ServiceAccount, container: &ContainerRef<'_>) -> Option<String> {
    let what = match container.kind {
        ContainerKind::Init => "init container",
        ContainerKind::Regular => "container",
        ContainerKind::Ephemeral => "ephemeral container",
    };
    let place = format!("{what} {}", container.name);
    for variable in container.env.into_iter().flatten() {
        let source = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        if let Some(source) = source.filter(|source| !lists(account, &source.name)) {
            let secret = format!("referencing secret.secretName={:?}", source.name);
            return Some(not_listed(account, &format!("{place} with envVar {} {secret}", variable.name)));
        }
    }
    let mut sources = container.env_from.into_iter().flatten().filter_map(|source| source.secret_ref.as_ref());
    let unlisted = sources.find(|source| !lists(account, &source.name))?;
    Some(not_listed(account, &format!("{place} with envFrom referencing secret.secretName={:?}", unlisted.name)))
}

fn pull_refusal(account: &ServiceAccount, spec: &PodSpec) -> Option<String> {
    let lent = |name: &str| account.image_pull_secrets.iter().flatten().any(|secret| secret.name == name);
    let mut asked = spec.image_pull_secrets.iter().flatten().enumerate();
    let (position, secret) = asked.find(|(_, secret)| !lent(&secret.name))?;
    Some(format!(
        "imagePullSecrets[{position}].name={:?} is not allowed because service account {} does not reference that \
         imagePullSecret",
        secret.name,
        name_of(account)
    ))
}

fn lists(account: &ServiceAccount, secret: &str) -> bool {
    account.secrets.iter().flatten().any(|listed| listed.name.as_deref() == Some(secret))
}

fn not_listed(account: &ServiceAccount, what: &str) -> String {
    format!("{what} is not allowed because service account {} does not reference that secret", name_of(account))
}

fn name_of(account: &ServiceAccount) -> &str {
    account.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const END: &str = "is not allowed because service account a does not reference that";

    fn account(annotation: &str) -> ServiceAccount {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": {ENFORCE_MOUNTABLE_SECRETS: annotation}},
            "secrets": [{"name": "listed"}], "imagePullSecrets": [{"name": "pull"}],
        }))
        .unwrap()
    }

    #[test]
    fn accounts_are_marked_as_go_reads_it() {
        for (value, limited) in [("true", true), ("T", true), ("1", true), ("yes", false), ("tRUE", false), ("", false)]
        {
            assert_eq!(is_limited(&account(value)), limited, "{value}");
        }
        assert!(!is_limited(&ServiceAccount::default()));
    }

    fn check(spec: Value, expected: Option<&str>) {
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let expected = expected.map(|text| text.replace("END", END));
        assert_eq!(refusal(&account("true"), &spec).or_else(|| debug_refusal(&account("true"), &spec)), expected);
    }

    #[test]
    fn only_listed_secrets_are_lent() {
        let key = |secret: &str| json!({"name": "V", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}});
        check(
            json!({"volumes": [{"name": "v", "secret": {"secretName": "listed"}}], "imagePullSecrets": [{"name": "pull"}],
                "containers": [{"name": "c", "env": [key("listed")]}]}),
            None,
        );
        check(
            json!({"volumes": [{"name": "v", "secret": {"secretName": "other"}}], "containers": []}),
            Some("volume with secret.secretName=\"other\" END secret"),
        );
        check(
            json!({"containers": [], "initContainers": [{"name": "i", "env": [key("other")]}]}),
            Some("init container i with envVar V referencing secret.secretName=\"other\" END secret"),
        );
        check(
            json!({"containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "other"}}]}]}),
            Some("container c with envFrom referencing secret.secretName=\"other\" END secret"),
        );
        check(
            json!({"containers": [], "imagePullSecrets": [{"name": "pull"}, {"name": "other"}]}),
            Some("imagePullSecrets[1].name=\"other\" END imagePullSecret"),
        );
        check(
            json!({"containers": [], "ephemeralContainers": [{"name": "e", "env": [key("other")]}]}),
            Some("ephemeral container e with envVar V referencing secret.secretName=\"other\" END secret"),
        );
    }
}
