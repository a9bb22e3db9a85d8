//! Who looks after what: controller references, and taking in and letting go by selector. Pure.

use std::collections::BTreeMap;

use api::labels::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use serde_json::{Value, json};

/// The owner that looks after an object.
pub fn controller_of(owners: Option<&[OwnerReference]>) -> Option<&OwnerReference> {
    owners?.iter().find(|owner| owner.controller == Some(true))
}

/// The reference by which an owner looks after what it makes.
pub fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether a reference means objects of this kind, in whatever version of its group.
pub fn is_of_kind<K: Resource<DynamicType = ()>>(reference: &OwnerReference) -> bool {
    let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
    reference.kind == K::kind(&()) && group == K::group(&())
}

/// The owner, as far as claiming goes.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Its uid.
    pub uid: &'a str,
    /// What it selects.
    pub selector: &'a Selector,
    /// Whether it is being deleted: then it takes in nothing and lets nothing go.
    pub is_deleting: bool,
}

/// What an owner does about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is its own.
    Keep,
    /// It has no owner and is taken in.
    Adopt,
    /// It is its own but no longer selected.
    Release,
    /// It is none of its business.
    Ignore,
}

/// Decides about an object of the owner's namespace.
pub fn claim(
    owner: Owner<'_>,
    controller: Option<&OwnerReference>,
    labels: &BTreeMap<String, String>,
    object_is_deleting: bool,
) -> Claim {
    let selected = owner.selector.matches(Some(labels));
    match controller {
        Some(controller) if controller.uid != owner.uid => Claim::Ignore,
        Some(_) if selected => Claim::Keep,
        Some(_) if owner.is_deleting => Claim::Ignore,
        Some(_) => Claim::Release,
        None if selected && !owner.is_deleting && !object_is_deleting => Claim::Adopt,
        None => Claim::Ignore,
    }
}

/// The strategic patch that takes an object in; `finalizers` hold it from then on.
pub fn adoption(owner: &OwnerReference, uid: &str, finalizers: &[&str]) -> Value {
    let mut metadata = json!({ "uid": uid, "ownerReferences": [owner] });
    if !finalizers.is_empty() {
        metadata["finalizers"] = json!(finalizers);
    }
    json!({ "metadata": metadata })
}

/// The strategic patch that lets an object go.
pub fn release(owner_uid: &str, uid: &str, finalizers: &[&str]) -> Value {
    let mut metadata = json!({ "uid": uid, "ownerReferences": [{ "$patch": "delete", "uid": owner_uid }] });
    if !finalizers.is_empty() {
        metadata["$deleteFromPrimitiveList/finalizers"] = json!(finalizers);
    }
    json!({ "metadata": metadata })
}

/// The uid of whoever looks after an object.
pub fn controller_uid(metadata: &ObjectMeta) -> Option<&str> {
    controller_of(metadata.owner_references.as_deref()).map(|controller| controller.uid.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_claim_what_they_select_and_nobody_else_has() {
        let selector = Selector::parse("app=a").unwrap();
        let reference = |uid: &str| OwnerReference { uid: uid.into(), controller: Some(true), ..Default::default() };
        let (mine, other) = (reference("me"), reference("other"));
        let cases = [
            (Some(&mine), "a", false, false, Claim::Keep),
            (Some(&mine), "b", false, false, Claim::Release),
            (Some(&mine), "b", true, false, Claim::Ignore),
            (Some(&mine), "a", true, false, Claim::Keep),
            (Some(&other), "a", false, false, Claim::Ignore),
            (None, "a", false, false, Claim::Adopt),
            (None, "a", true, false, Claim::Ignore),
            (None, "a", false, true, Claim::Ignore),
            (None, "b", false, false, Claim::Ignore),
        ];
        for (controller, label, owner_deleting, deleting, expected) in cases {
            let owner = Owner { uid: "me", selector: &selector, is_deleting: owner_deleting };
            let labels = BTreeMap::from([("app".to_owned(), label.to_owned())]);
            let found = claim(owner, controller, &labels, deleting);
            assert_eq!(found, expected, "{controller:?} {label} {owner_deleting} {deleting}");
        }
    }
}
