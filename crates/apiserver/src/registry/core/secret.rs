//! Secrets.

use api::Gvk;
use api::k8s_openapi::api::core::v1::Secret;

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};
use crate::watch_cache::SelectableField;

/// The row.
pub static SECRETS: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "", version: "v1", kind: "Secret" },
        plural: "secrets",
        singular: "secret",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored {
        path: "secrets",
        strategy: &Rules,
        selectable: &[SelectableField::text("type")],
    }),
    actions: &[],
};

/// The rules of Secrets.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Secret;

    fn prepare_for_create(&self, secret: &mut Secret, _preparation: &mut Preparation) {
        fold_string_data(secret);
    }

    fn prepare_for_update(&self, _part: Part, new: &mut Secret, old: &Secret) {
        fold_string_data(new);
        // Clients that predate types leave it out; it cannot change anyway.
        if new.type_.as_deref().unwrap_or_default().is_empty() {
            new.type_.clone_from(&old.type_);
        }
    }
}

/// `stringData` is only a way to write `data`.
fn fold_string_data(secret: &mut Secret) {
    for (key, text) in secret.string_data.take().into_iter().flatten() {
        let bytes = api::k8s_openapi::ByteString(text.into_bytes());
        secret.data.get_or_insert_default().insert(key, bytes);
    }
}
