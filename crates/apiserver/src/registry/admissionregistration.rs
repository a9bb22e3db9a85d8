//! The `admissionregistration.k8s.io` group.

use api::Gvk;
use api::k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};

use super::plain::{counted, counted_with_status};
use crate::registry::strategy::{AnyStrategy, Part};
use crate::registry::{Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const fn gvk(kind: &'static str) -> Gvk {
    Gvk { group: "admissionregistration.k8s.io", version: "v1", kind }
}

const fn info(kind: &'static str, plural: &'static str, singular: &'static str) -> ResourceInfo {
    ResourceInfo { categories: &["api-extensions"], ..ResourceInfo::plain(gvk(kind), plural, singular) }
}

const fn resource(info: ResourceInfo, path: &'static str, strategy: &'static dyn AnyStrategy) -> Resource {
    Resource { info, backing: Backing::Stored(Stored { path, strategy, selectable: &[] }), actions: &[] }
}

/// MutatingAdmissionPolicies.
pub static MUTATING_POLICIES: Resource = resource(
    info("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "mutatingadmissionpolicy"),
    "mutatingadmissionpolicies",
    &MutatingPolicyRules,
);

/// MutatingAdmissionPolicyBindings.
pub static MUTATING_POLICY_BINDINGS: Resource = resource(
    info("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding"),
    "mutatingadmissionpolicybindings",
    &MutatingPolicyBindingRules,
);

/// MutatingWebhookConfigurations.
pub static MUTATING_WEBHOOKS: Resource = resource(
    info("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration"),
    "mutatingwebhookconfigurations",
    &MutatingWebhookRules,
);

/// ValidatingAdmissionPolicies.
pub static VALIDATING_POLICIES: Resource = Resource {
    actions: &[("status", Action::Part(Part::Status))],
    ..resource(
        ResourceInfo {
            subresources: &[SubresourceInfo {
                name: "status",
                gvk: gvk("ValidatingAdmissionPolicy"),
                verbs: PART_VERBS,
            }],
            ..info("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "validatingadmissionpolicy")
        },
        "validatingadmissionpolicies",
        &ValidatingPolicyRules,
    )
};

/// ValidatingAdmissionPolicyBindings.
pub static VALIDATING_POLICY_BINDINGS: Resource = resource(
    info("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding"),
    "validatingadmissionpolicybindings",
    &ValidatingPolicyBindingRules,
);

/// ValidatingWebhookConfigurations.
pub static VALIDATING_WEBHOOKS: Resource = resource(
    info("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "validatingwebhookconfiguration"),
    "validatingwebhookconfigurations",
    &ValidatingWebhookRules,
);

/// Rules that count changes, of kinds whose updates name the version they replace.
macro_rules! rules {
    ($how:ident, $rules:ident, $kind:ty $(, $field:ident)?) => {
        $how!($rules, $kind $(, $field)?, fn allows_unconditional_update(&self) -> bool {
            false
        });
    };
}

rules!(counted, MutatingPolicyRules, MutatingAdmissionPolicy, spec);
rules!(counted, MutatingPolicyBindingRules, MutatingAdmissionPolicyBinding, spec);
rules!(counted, MutatingWebhookRules, MutatingWebhookConfiguration, webhooks);
rules!(counted_with_status, ValidatingPolicyRules, ValidatingAdmissionPolicy);
rules!(counted, ValidatingPolicyBindingRules, ValidatingAdmissionPolicyBinding, spec);
rules!(counted, ValidatingWebhookRules, ValidatingWebhookConfiguration, webhooks);
