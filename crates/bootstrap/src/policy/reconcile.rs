//! Bringing the default policy back where something of it is missing. Nothing is taken away: what administrators added
//! stays, as upstream does it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use api::k8s_openapi::NamespaceResourceScope;
use api::k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use api::rbac::v1::uncovered;
use futures::future::try_join_all;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::AUTO_UPDATE;

/// An object of the policy.
pub(super) trait Policy:
    Resource<DynamicType = ()> + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Adds what `wanted` has beyond this.
    fn extend(&mut self, wanted: &Self);

    /// Whether it is about something else for good, so that only a new object will do.
    fn is_another(&self, _wanted: &Self) -> bool {
        false
    }
}

impl Policy for ClusterRole {
    fn extend(&mut self, wanted: &Self) {
        extend_metadata(&mut self.metadata, &wanted.metadata);
        let Some(aggregation) = &wanted.aggregation_rule else {
            return extend_rules(&mut self.rules, wanted.rules.as_deref());
        };
        let selectors = self.aggregation_rule.get_or_insert_default().cluster_role_selectors.get_or_insert_default();
        for selector in aggregation.cluster_role_selectors.iter().flatten() {
            if !selectors.contains(selector) {
                selectors.push(selector.clone());
            }
        }
    }
}

impl Policy for Role {
    fn extend(&mut self, wanted: &Self) {
        extend_metadata(&mut self.metadata, &wanted.metadata);
        extend_rules(&mut self.rules, wanted.rules.as_deref());
    }
}

impl Policy for ClusterRoleBinding {
    fn extend(&mut self, wanted: &Self) {
        extend_metadata(&mut self.metadata, &wanted.metadata);
        extend_subjects(&mut self.subjects, wanted.subjects.as_deref());
    }

    fn is_another(&self, wanted: &Self) -> bool {
        self.role_ref != wanted.role_ref
    }
}

impl Policy for RoleBinding {
    fn extend(&mut self, wanted: &Self) {
        extend_metadata(&mut self.metadata, &wanted.metadata);
        extend_subjects(&mut self.subjects, wanted.subjects.as_deref());
    }

    fn is_another(&self, wanted: &Self) -> bool {
        self.role_ref != wanted.role_ref
    }
}

fn extend_metadata(there: &mut ObjectMeta, wanted: &ObjectMeta) {
    extend_map(&mut there.labels, wanted.labels.as_ref());
    extend_map(&mut there.annotations, wanted.annotations.as_ref());
}

/// What is there keeps its value.
fn extend_map(there: &mut Option<BTreeMap<String, String>>, wanted: Option<&BTreeMap<String, String>>) {
    for (key, value) in wanted.into_iter().flatten() {
        there.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
    }
}

fn extend_rules(there: &mut Option<Vec<PolicyRule>>, wanted: Option<&[PolicyRule]>) {
    let missing = uncovered(there.as_deref().unwrap_or_default(), wanted.unwrap_or_default());
    if !missing.is_empty() {
        there.get_or_insert_default().extend(missing);
    }
}

fn extend_subjects(there: &mut Option<Vec<Subject>>, wanted: Option<&[Subject]>) {
    for subject in wanted.unwrap_or_default() {
        if !there.as_ref().is_some_and(|subjects| subjects.contains(subject)) {
            there.get_or_insert_default().push(subject.clone());
        }
    }
}

/// Reconciles the cluster-scoped objects of one kind.
pub(super) async fn cluster<K: Policy>(client: &Client, wanted: Vec<K>) -> kube::Result<()> {
    let api: Api<K> = Api::all(client.clone());
    reconcile(&api, |_| api.clone(), wanted).await
}

/// Reconciles the namespaced objects of one kind.
pub(super) async fn namespaced<K>(client: &Client, wanted: Vec<K>) -> kube::Result<()>
where
    K: Policy + Resource<Scope = NamespaceResourceScope>,
{
    let api: Api<K> = Api::all(client.clone());
    reconcile(&api, |namespace| Api::namespaced(client.clone(), namespace), wanted).await
}

async fn reconcile<K: Policy>(all: &Api<K>, api: impl Fn(&str) -> Api<K>, wanted: Vec<K>) -> kube::Result<()> {
    let there = all.list(&ListParams::default()).await?.items;
    let there: HashMap<_, _> = there.iter().map(|object| (key(object), object)).collect();
    let writes = wanted.iter().map(|wanted| {
        let (namespace, name) = key(wanted);
        let (api, present) = (api(&namespace), there.get(&(namespace, name)).copied());
        async move { bring_about(&api, present, wanted).await }
    });
    try_join_all(writes).await.map(drop)
}

fn key<K: Policy>(object: &K) -> (String, String) {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

async fn bring_about<K: Policy>(api: &Api<K>, present: Option<&K>, wanted: &K) -> kube::Result<()> {
    let Some(present) = present else {
        return api.create(&PostParams::default(), wanted).await.map(drop);
    };
    let annotations = present.meta().annotations.as_ref();
    if annotations.and_then(|all| all.get(AUTO_UPDATE)).is_some_and(|value| value == "false") {
        return Ok(());
    }
    let name = wanted.meta().name.as_deref().unwrap_or_default();
    if present.is_another(wanted) {
        api.delete(name, &DeleteParams::default()).await?;
        return api.create(&PostParams::default(), wanted).await.map(drop);
    }
    let mut complete = present.clone();
    complete.extend(wanted);
    if complete == *present {
        return Ok(());
    }
    api.replace(name, &PostParams::default(), &complete).await.map(drop)
}
