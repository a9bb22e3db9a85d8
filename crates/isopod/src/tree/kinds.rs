//! The kinds the server knows, by all names that people use for them.

use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use futures::future::join_all;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::discovery::ApiResource;

/// A kind of objects that can be listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// How to address it.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Other names of it, in small letters.
    names: Vec<String>,
}

impl Kind {
    /// Its objects in a namespace, or cluster-wide if it has none.
    pub fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        self.all(client, Some(namespace))
    }

    /// Its objects in a namespace, or everywhere.
    pub fn all(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// All kinds that can be listed, in the versions that the server prefers. A group that does not answer is left out.
///
/// # Errors
/// When the server does not say which groups there are.
pub async fn discover(client: &Client) -> kube::Result<Vec<Kind>> {
    let groups = client.list_api_groups().await?.groups;
    let versions: Vec<String> = groups
        .iter()
        .filter_map(|group| group.preferred_version.as_ref().or(group.versions.first()))
        .map(|version| version.group_version.clone())
        .collect();
    let lists = join_all(versions.iter().map(|version| client.list_api_group_resources(version))).await;
    let core = client.list_core_api_resources("v1").await?;
    Ok(std::iter::once(&core).chain(lists.iter().flatten()).flat_map(kinds_of).collect())
}

fn kinds_of(list: &APIResourceList) -> Vec<Kind> {
    let (group, version) = list.group_version.split_once('/').unwrap_or(("", &list.group_version));
    let usable = list.resources.iter().filter(|resource| {
        // Measurements are nobody's.
        let can = |verb: &str| resource.verbs.iter().any(|has| has == verb);
        !resource.name.contains('/') && can("list") && can("get") && group != "metrics.k8s.io"
    });
    let kinds = usable.map(|resource| {
        let mut names = vec![resource.name.clone(), resource.singular_name.clone(), resource.kind.to_lowercase()];
        names.extend(resource.short_names.iter().flatten().cloned());
        let qualified = names.iter().map(|name| format!("{name}.{group}"));
        let qualified: Vec<_> = qualified.collect();
        names.extend(qualified);
        Kind {
            resource: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: list.group_version.clone(),
                kind: resource.kind.clone(),
                plural: resource.name.clone(),
            },
            namespaced: resource.namespaced,
            names,
        }
    });
    kinds.collect()
}

/// The kind of this name: plural, singular, kind or short, alone or with its group. The first one of several, as kubectl.
pub fn named<'a>(kinds: &'a [Kind], name: &str) -> Option<&'a Kind> {
    let name = name.to_lowercase();
    kinds.iter().find(|kind| kind.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_many_names() {
        let list = serde_json::json!({"groupVersion": "apps/v1", "resources": [
            {"name": "deployments/scale", "singularName": "", "kind": "Scale", "namespaced": true, "verbs": ["get"]},
            {"name": "deployments", "singularName": "deployment", "kind": "Deployment", "namespaced": true,
             "shortNames": ["deploy"], "verbs": ["get", "list"]},
        ]});
        let kinds = kinds_of(&serde_json::from_value(list).unwrap());
        assert_eq!(kinds.len(), 1);
        for name in ["deploy", "deployment", "deployments", "Deployment", "deploy.apps", "deployments.apps"] {
            assert_eq!(named(&kinds, name).map(|kind| kind.resource.plural.as_str()), Some("deployments"), "{name}");
        }
        assert_eq!(named(&kinds, "scale"), None);
    }
}
