//! Structures as upstream's messages show them: every field under its name in the internal type, in the order of its
//! declaration, also where nothing is set.

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, NodeSelectorRequirement, NodeSelectorTerm, ScopeSelector,
    ScopedResourceSelectorRequirement, SecurityContext, VolumeNodeAffinity,
};
use serde::ser::{Serialize, SerializeMap, Serializer};

#[cfg(test)]
mod tests;

/// Something to show.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Shown {
    /// A value that is the same in both types.
    Plain(serde_json::Value),
    /// A list of structures.
    List(Vec<Shown>),
    /// A structure.
    Fields(Fields),
}

/// The fields of a structure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fields(pub Vec<(&'static str, Shown)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A structure of these fields.
macro_rules! fields {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::internal::Shown::Fields($crate::internal::Fields(vec![$(($name, $value)),*]))
    };
}
pub(crate) use fields;

/// A value that is the same in both types.
pub(crate) fn plain<T: Serialize>(value: &T) -> Shown {
    Shown::Plain(serde_json::to_value(value).expect("API types always encode"))
}

/// A text that is empty where it is not set.
pub(crate) fn text(value: &Option<String>) -> Shown {
    plain(&value.as_deref().unwrap_or_default())
}

/// A structure, or nothing.
pub(crate) fn optional<T>(value: Option<&T>, show: impl Fn(&T) -> Shown) -> Shown {
    value.map_or(Shown::Plain(serde_json::Value::Null), show)
}

/// A list of structures, or nothing.
pub(crate) fn list<T>(values: Option<&Vec<T>>, show: impl Fn(&T) -> Shown) -> Shown {
    optional(values, |values| Shown::List(values.iter().map(&show).collect()))
}

/// One term of a node selector.
pub(crate) fn node_selector_term(term: &NodeSelectorTerm) -> Shown {
    let requirement = |requirement: &NodeSelectorRequirement| {
        fields! {
            "Key": plain(&requirement.key),
            "Operator": plain(&requirement.operator),
            "Values": plain(&requirement.values),
        }
    };
    fields! {
        "MatchExpressions": list(term.match_expressions.as_ref(), requirement),
        "MatchFields": list(term.match_fields.as_ref(), requirement),
    }
}

/// The terms of a node selector.
pub(crate) fn node_selector_terms(terms: &[NodeSelectorTerm]) -> Shown {
    Shown::List(terms.iter().map(node_selector_term).collect())
}

/// Where a volume can be reached from.
pub(crate) fn volume_node_affinity(affinity: &VolumeNodeAffinity) -> Shown {
    let terms = |selector: &k8s_openapi::api::core::v1::NodeSelector| {
        fields! { "NodeSelectorTerms": node_selector_terms(&selector.node_selector_terms) }
    };
    fields! { "Required": optional(affinity.required.as_ref(), terms) }
}

/// What a quota selects.
pub(crate) fn scope_selector(selector: &ScopeSelector) -> Shown {
    let requirement = |requirement: &ScopedResourceSelectorRequirement| {
        fields! {
            "ScopeName": plain(&requirement.scope_name),
            "Operator": plain(&requirement.operator),
            "Values": plain(&requirement.values),
        }
    };
    fields! { "MatchExpressions": list(selector.match_expressions.as_ref(), requirement) }
}

/// The projection of trust bundles.
pub(crate) fn trust_bundle(bundle: &ClusterTrustBundleProjection) -> Shown {
    fields! {
        "Name": plain(&bundle.name),
        "SignerName": plain(&bundle.signer_name),
        "LabelSelector": plain(&bundle.label_selector),
        "Optional": plain(&bundle.optional),
        "Path": plain(&bundle.path),
    }
}

/// The security context of a container.
pub(crate) fn security_context(context: &SecurityContext) -> Shown {
    let profile = |type_: &String, file: &Option<String>| {
        fields! { "Type": plain(type_), "LocalhostProfile": plain(file) }
    };
    fields! {
        "Capabilities": optional(context.capabilities.as_ref(), |set| fields! {
            "Add": plain(&set.add),
            "Drop": plain(&set.drop),
        }),
        "Privileged": plain(&context.privileged),
        "SELinuxOptions": optional(context.se_linux_options.as_ref(), |set| fields! {
            "User": text(&set.user),
            "Role": text(&set.role),
            "Type": text(&set.type_),
            "Level": text(&set.level),
        }),
        "WindowsOptions": optional(context.windows_options.as_ref(), |set| fields! {
            "GMSACredentialSpecName": plain(&set.gmsa_credential_spec_name),
            "GMSACredentialSpec": plain(&set.gmsa_credential_spec),
            "RunAsUserName": plain(&set.run_as_user_name),
            "HostProcess": plain(&set.host_process),
        }),
        "RunAsUser": plain(&context.run_as_user),
        "RunAsGroup": plain(&context.run_as_group),
        "RunAsNonRoot": plain(&context.run_as_non_root),
        "ReadOnlyRootFilesystem": plain(&context.read_only_root_filesystem),
        "AllowPrivilegeEscalation": plain(&context.allow_privilege_escalation),
        "ProcMount": plain(&context.proc_mount),
        "SeccompProfile": optional(context.seccomp_profile.as_ref(), |set| profile(&set.type_, &set.localhost_profile)),
        "AppArmorProfile": optional(context.app_armor_profile.as_ref(), |set| {
            profile(&set.type_, &set.localhost_profile)
        }),
    }
}
