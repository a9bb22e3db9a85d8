//! Owners decide when an object goes, so that only those who may delete it may give it owners; and an owner that has to
//! wait for an object is held up by it, so that only those who may change its finalizers may make it wait.

use api::Object;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::authorization::{self, Decision, Target};
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::registry::{RESOURCES, Resource};

/// The plugin.
pub struct OwnerReferencesPermissionEnforcement;

#[async_trait]
impl Plugin for OwnerReferencesPermissionEnforcement {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        // Kubelets of old damaged owner references there; the strategy keeps them as they are.
        if attributes.operation == Operation::Delete || attributes.is("pods", "status") {
            return Ok(());
        }
        let new = owners(object);
        let old = attributes.old.map(owners).unwrap_or_default();
        if new == old {
            return Ok(());
        }
        let gvk = attributes.resource.gvk();
        let target = ResourcePath {
            group: gvk.group.to_owned(),
            version: gvk.version.to_owned(),
            resource: attributes.resource.info.plural.to_owned(),
            subresource: attributes.subresource.to_owned(),
            namespace: attributes.namespace.to_owned(),
            name: attributes.name.to_owned(),
            ..ResourcePath::default()
        };
        if let Some(reason) = refusal(attributes, "delete", &target) {
            let text = format!("cannot set an ownerRef on a resource you can't delete: {reason}, <nil>");
            return Err(attributes.forbidden(object, text));
        }
        newly_blocking(new, old).try_for_each(|reference| check_blocking(attributes, object, reference))
    }
}

fn check_blocking(attributes: &Attributes<'_>, object: &dyn Object, owner: &OwnerReference) -> Result<(), Error> {
    let Some(resource) = resource_of(owner) else {
        let text = format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {} Kind {}: no \
             matches for kind {:?} in version {:?}",
            owner.api_version, owner.kind, owner.kind, owner.api_version
        );
        return Err(attributes.forbidden(object, text));
    };
    let gvk = resource.gvk();
    let target = ResourcePath {
        group: gvk.group.to_owned(),
        version: gvk.version.to_owned(),
        resource: resource.info.plural.to_owned(),
        subresource: "finalizers".to_owned(),
        namespace: if resource.info.namespaced { attributes.namespace.to_owned() } else { String::new() },
        name: owner.name.clone(),
        ..ResourcePath::default()
    };
    match refusal(attributes, "update", &target) {
        None => Ok(()),
        Some(reason) => {
            let text =
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on";
            Err(attributes.forbidden(object, format!("{text}: {reason}, <nil>")))
        }
    }
}

fn owners(object: &dyn Object) -> &[OwnerReference] {
    object.metadata().owner_references.as_deref().unwrap_or_default()
}

/// Owners that have to wait for the object and had not before.
fn newly_blocking<'a>(
    new: &'a [OwnerReference],
    old: &'a [OwnerReference],
) -> impl Iterator<Item = &'a OwnerReference> {
    let blocks = |reference: &OwnerReference| reference.block_owner_deletion == Some(true);
    let blocked = move |reference: &OwnerReference| old.iter().any(|old| old.uid == reference.uid && blocks(old));
    new.iter().filter(move |reference| blocks(reference) && !blocked(reference))
}

fn resource_of(owner: &OwnerReference) -> Option<&'static Resource> {
    let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
    RESOURCES.iter().copied().find(|resource| {
        let gvk = resource.gvk();
        gvk.group == group && gvk.version == version && gvk.kind == owner.kind
    })
}

/// Why the user may not do something, if so.
fn refusal(attributes: &Attributes<'_>, verb: &str, target: &ResourcePath) -> Option<String> {
    let question = authorization::Attributes { user: attributes.user, verb, target: Target::Resource(target) };
    match attributes.server.authorizer.authorize(&question) {
        Decision::Allow(_) => None,
        Decision::NoOpinion(reason) => Some(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str, block: Option<bool>) -> OwnerReference {
        OwnerReference { uid: uid.to_owned(), block_owner_deletion: block, ..OwnerReference::default() }
    }

    #[test]
    fn only_owners_that_begin_to_wait_are_looked_at() {
        let check = |new: &[OwnerReference], old: &[OwnerReference], expected: &[&str]| {
            let found: Vec<_> = newly_blocking(new, old).map(|reference| reference.uid.as_str()).collect();
            assert_eq!(found, expected);
        };
        check(&[owner("a", None), owner("b", Some(false)), owner("c", Some(true))], &[], &["c"]);
        check(&[owner("a", Some(true))], &[owner("a", Some(true))], &[]);
        check(&[owner("a", Some(true))], &[owner("a", Some(false))], &["a"]);
        check(&[owner("a", Some(true))], &[owner("b", Some(true))], &["a"]);
    }

    #[test]
    fn owners_are_found_by_version_and_kind() {
        let plural = |api_version: &str, kind: &str| {
            let reference = OwnerReference {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                ..OwnerReference::default()
            };
            resource_of(&reference).map(|resource| resource.info.plural)
        };
        assert_eq!(plural("v1", "Pod"), Some("pods"));
        assert_eq!(plural("apps/v1", "ReplicaSet"), Some("replicasets"));
        assert_eq!(plural("apps/v2", "ReplicaSet"), None);
    }
}
