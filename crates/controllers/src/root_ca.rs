//! Every active namespace publishes how to recognise the API server: the ConfigMap `kube-root-ca.crt`.

use client::{Client, Lister, ObjectKey, is_already_exists, is_not_found};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::assembly::{Controllers, Wiring};
use crate::namespace::is_active;
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::PublishedCa;

/// The ConfigMap's name.
pub const CONFIG_MAP_NAME: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";
/// As on every Kubernetes cluster, so that people who find the ConfigMap know what it is.
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
     endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
     distributions of Kubernetes clusters.";

/// Keys are names of namespaces.
struct RootCa {
    client: Client,
    bundle: String,
    namespaces: Lister<Namespace>,
    published: Lister<PublishedCa>,
}

/// What is to be done in one namespace.
#[derive(Debug, PartialEq)]
enum Action<'a> {
    Nothing,
    Create,
    Restore(&'a ConfigMap),
}

/// Whether a ConfigMap says exactly what it should.
pub fn is_intact(config_map: &ConfigMap, bundle: &str) -> bool {
    let data = config_map.data.as_ref();
    data.is_some_and(|data| data.len() == 1 && data.get(FILE).is_some_and(|present| present == bundle))
}

fn plan(active: bool, published: Option<&PublishedCa>) -> Action<'_> {
    match published {
        _ if !active => Action::Nothing,
        None => Action::Create,
        Some(published) => published.altered.as_deref().map_or(Action::Nothing, Action::Restore),
    }
}

/// Starts the controller: it wakes when a namespace or one of the ConfigMaps changes.
pub fn start(controllers: &mut Controllers, bundle: &str) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.namespaces, |change| change.object()?.metadata.name.clone());
    wiring.wakes(&mut controllers.watches.published_cas, |change| Some(change.object()?.namespace.clone()));
    let controller = RootCa {
        client: controllers.client_of("root-ca-cert-publisher"),
        bundle: bundle.to_owned(),
        namespaces: wiring.reads(&controllers.watches.namespaces),
        published: wiring.reads(&controllers.watches.published_cas),
    };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for RootCa {
    type Key = String;
    const NAME: &'static str = "root CA publisher";

    async fn reconcile(&self, namespace: &String) -> Result<Next, Error> {
        let active = self.namespaces.get(&ObjectKey::cluster(namespace)).is_some_and(|namespace| is_active(&namespace));
        let published = self.published.get(&ObjectKey::new(namespace, CONFIG_MAP_NAME));
        let config_maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let result = match plan(active, published.as_deref()) {
            Action::Nothing => return Ok(Next::OnWakeUp),
            Action::Create => config_maps.create(&PostParams::default(), &self.config_map()).await,
            Action::Restore(altered) => self.restore(&config_maps, altered).await,
        };
        match result {
            // Whoever was faster, or took the namespace away, woke us too.
            Err(error) if !is_already_exists(&error) && !is_not_found(&error) => {
                Err(Error::during("publishing the CA bundle")(error))
            }
            _ => Ok(Next::OnWakeUp),
        }
    }
}

impl RootCa {
    /// Replaces the whole data, whatever somebody added to it.
    async fn restore(&self, config_maps: &Api<ConfigMap>, altered: &ConfigMap) -> Result<ConfigMap, kube::Error> {
        let mut config_map = altered.clone();
        config_map.data = self.config_map().data;
        config_maps.replace(CONFIG_MAP_NAME, &PostParams::default(), &config_map).await
    }

    fn config_map(&self) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(CONFIG_MAP_NAME.into()),
                annotations: Some([("kubernetes.io/description".into(), DESCRIPTION.into())].into()),
                ..ObjectMeta::default()
            },
            data: Some([(FILE.to_owned(), self.bundle.clone())].into()),
            ..ConfigMap::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn publishes_where_missing_and_restores_what_was_altered() {
        let altered = ConfigMap::default();
        let published = |altered: Option<&ConfigMap>| PublishedCa {
            namespace: "ns".into(),
            altered: altered.cloned().map(Box::new),
        };
        assert_eq!(plan(true, None), Action::Create);
        assert_eq!(plan(true, Some(&published(None))), Action::Nothing);
        assert_eq!(plan(true, Some(&published(Some(&altered)))), Action::Restore(&altered));
        assert_eq!(plan(false, None), Action::Nothing);
    }

    #[test]
    fn a_bundle_with_anything_else_beside_it_is_altered() {
        let config_map = |data: serde_json::Value| {
            let config_map = serde_json::from_value(json!({ "metadata": {}, "data": data }));
            config_map.expect("a ConfigMap")
        };
        assert!(is_intact(&config_map(json!({ "ca.crt": "pem" })), "pem"));
        for altered in [json!(null), json!({}), json!({ "ca.crt": "other" }), json!({ "ca.crt": "pem", "x": "y" })] {
            assert!(!is_intact(&config_map(altered.clone()), "pem"), "{altered}");
        }
    }
}
