//! `authentication.k8s.io`: who am I, whose token is that.

use api::Gvk;

use super::{Backing, CREATE, Resource, ResourceInfo, Virtual};

const fn row(plural: &'static str, singular: &'static str, kind: &'static str, backing: Virtual) -> Resource {
    Resource {
        info: ResourceInfo {
            gvk: Gvk { group: "authentication.k8s.io", version: "v1", kind },
            plural,
            singular,
            short_names: &[],
            categories: &[],
            namespaced: false,
            verbs: CREATE,
            subresources: &[],
        },
        backing: Backing::Virtual(backing),
        actions: &[],
    }
}

/// The row.
pub static SELF_SUBJECT_REVIEWS: Resource =
    row("selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", Virtual::SelfSubjectReview);
/// The row.
pub static TOKEN_REVIEWS: Resource = row("tokenreviews", "tokenreview", "TokenReview", Virtual::TokenReview);
