//! Namespaces. One is deleted in two steps: a delete makes it terminating; when a controller has removed what is in it,
//! it takes `kubernetes` off `spec.finalizers` through `finalize`, and the namespace goes.

use api::Gvk;
use api::k8s_openapi::api::core::v1::{Namespace, NamespaceSpec, NamespaceStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};
use crate::watch_cache::SelectableField;

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "Namespace" };

/// The finalizer that stands for a namespace's content.
pub const CONTENT_FINALIZER: &str = "kubernetes";

/// The row.
pub static NAMESPACES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        categories: &[],
        namespaced: false,
        verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
        subresources: &[
            SubresourceInfo { name: "finalize", gvk: GVK, verbs: &["update"] },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored {
        path: "namespaces",
        strategy: &Rules,
        selectable: &[SelectableField::text("status.phase")],
    }),
    actions: &[("finalize", Action::Part(Part::Finalize)), ("status", Action::Part(Part::Status))],
};

/// The rules of Namespaces.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Namespace;

    fn prepare_for_create(&self, namespace: &mut Namespace, _preparation: &mut Preparation) {
        namespace.status = Some(NamespaceStatus { phase: Some("Active".to_owned()), ..NamespaceStatus::default() });
        let finalizers = namespace.spec.get_or_insert_with(NamespaceSpec::default).finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == CONTENT_FINALIZER) {
            finalizers.push(CONTENT_FINALIZER.to_owned());
        }
    }

    fn prepare_for_update(&self, part: Part, new: &mut Namespace, old: &Namespace) {
        match part {
            Part::Whole => {
                new.spec.clone_from(&old.spec);
                new.status.clone_from(&old.status);
            }
            Part::Status | Part::Approval | Part::Binding | Part::Resize | Part::EphemeralContainers => {
                new.spec.clone_from(&old.spec);
            }
            Part::Finalize => new.status.clone_from(&old.status),
        }
    }

    fn holds_content(&self, namespace: &Namespace) -> bool {
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
        finalizers.is_some_and(|finalizers| !finalizers.is_empty())
    }

    fn mark_terminating(&self, namespace: &mut Namespace) {
        namespace.status.get_or_insert_default().phase = Some("Terminating".to_owned());
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
