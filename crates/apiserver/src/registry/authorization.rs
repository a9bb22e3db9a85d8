//! `authorization.k8s.io`: who may do what.

use api::Gvk;

use super::{Backing, CREATE, Resource, ResourceInfo, Virtual};

const fn row(
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
    backing: Virtual,
) -> Resource {
    Resource {
        info: ResourceInfo {
            gvk: Gvk { group: "authorization.k8s.io", version: "v1", kind },
            plural,
            singular,
            short_names: &[],
            categories: &[],
            namespaced,
            verbs: CREATE,
            subresources: &[],
        },
        backing: Backing::Virtual(backing),
        actions: &[],
    }
}

/// The row.
pub static LOCAL_SUBJECT_ACCESS_REVIEWS: Resource = row(
    "localsubjectaccessreviews",
    "localsubjectaccessreview",
    "LocalSubjectAccessReview",
    true,
    Virtual::LocalSubjectAccessReview,
);
/// The row.
pub static SELF_SUBJECT_ACCESS_REVIEWS: Resource = row(
    "selfsubjectaccessreviews",
    "selfsubjectaccessreview",
    "SelfSubjectAccessReview",
    false,
    Virtual::SelfSubjectAccessReview,
);
/// The row.
pub static SELF_SUBJECT_RULES_REVIEWS: Resource = row(
    "selfsubjectrulesreviews",
    "selfsubjectrulesreview",
    "SelfSubjectRulesReview",
    false,
    Virtual::SelfSubjectRulesReview,
);
/// The row.
pub static SUBJECT_ACCESS_REVIEWS: Resource =
    row("subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", false, Virtual::SubjectAccessReview);
