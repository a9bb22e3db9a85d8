//! Which plugins there are, in upstream's order, and which of them take part.

use std::fmt;

use super::configuration::Configuration;
use super::{
    Plugin, always_pull_images, certificates, default_ingress_class, default_toleration_seconds, limit_ranger,
    namespace_lifecycle, node_restriction, owner_references, pod_security, pod_topology_labels, priority,
    resource_quota, role_escalation, runtime_class, service_account, storage, taint_nodes_by_condition,
};

/// When a plugin takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Unless it is disabled.
    On,
    /// When it is enabled.
    Off,
    /// Always: upstream does this outside of plugins, so it has no name to be disabled by.
    Fixed,
}
use Use::{Fixed, Off, On};

/// All plugins in the order they are asked.
static ALL: &[(&str, Use, &dyn Plugin)] = &[
    ("NamespaceLifecycle", On, &namespace_lifecycle::NamespaceLifecycle),
    ("LimitRanger", On, &limit_ranger::LimitRanger),
    ("ServiceAccount", On, &service_account::ServiceAccountAdmission),
    // Upstream leaves it off; every set-up tool turns it on, and kubelets of this cluster are held to it.
    ("NodeRestriction", On, &node_restriction::NodeRestriction),
    ("TaintNodesByCondition", On, &taint_nodes_by_condition::TaintNodesByCondition),
    ("AlwaysPullImages", Off, &always_pull_images::AlwaysPullImages),
    ("PodSecurity", On, &pod_security::PodSecurity),
    ("Priority", On, &priority::Priority),
    ("DefaultTolerationSeconds", On, &default_toleration_seconds::DefaultTolerationSeconds),
    ("DefaultStorageClass", On, &storage::DefaultStorageClass),
    ("StorageObjectInUseProtection", On, &storage::StorageObjectInUseProtection),
    ("OwnerReferencesPermissionEnforcement", Off, &owner_references::OwnerReferencesPermissionEnforcement),
    ("PersistentVolumeClaimResize", On, &storage::PersistentVolumeClaimResize),
    ("RuntimeClass", On, &runtime_class::RuntimeClass),
    ("RoleEscalation", Fixed, &role_escalation::RoleEscalation),
    ("CertificateRequester", Fixed, &certificates::CertificateRequester),
    ("CertificateApproval", On, &certificates::CertificateApproval),
    ("CertificateSigning", On, &certificates::CertificateSigning),
    ("ClusterTrustBundleAttest", On, &certificates::ClusterTrustBundleAttest),
    ("CertificateSubjectRestriction", On, &certificates::CertificateSubjectRestriction),
    ("DefaultIngressClass", On, &default_ingress_class::DefaultIngressClass),
    ("PodTopologyLabels", On, &pod_topology_labels::PodTopologyLabels),
    // Nothing may be charged that is refused afterwards.
    ("ResourceQuota", On, &resource_quota::ResourceQuotaAdmission),
];

/// Plugins of upstream that have nothing to do here, or whose work is not a plugin's here, so that the flags of existing
/// set-ups are understood.
const ELSEWHERE: &[&str] = &[
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "NodeDeclaredFeatureValidator",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
];

/// Plugins of upstream that are off there unless enabled, and that nobody can enable here.
const NEVER_ON: &[&str] = &[
    "AlwaysAdmit",
    "AlwaysDeny",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "PodNodeSelector",
    "PodTolerationRestriction",
];

/// The plugins that take part, in their order, and what they are told.
#[derive(Clone)]
pub struct Plugins {
    chosen: Vec<(&'static str, &'static dyn Plugin)>,
    configuration: Configuration,
}

impl fmt::Debug for Plugins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.chosen.iter().map(|(name, _)| name)).finish()
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self::chosen(&[], &[])
    }
}

impl Plugins {
    /// The default ones with some more and some less.
    ///
    /// # Errors
    /// A name nobody has, or that is both enabled and disabled.
    pub fn choose(enable: &[String], disable: &[String]) -> Result<Self, String> {
        for (flag, names) in [("enable-admission-plugins", enable), ("disable-admission-plugins", disable)] {
            if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
                return Err(format!("{flag} plugin {unknown:?} is unknown"));
            }
        }
        if let Some(off) = enable.iter().find(|name| NEVER_ON.contains(&name.as_str())) {
            return Err(format!("enable-admission-plugins plugin {off:?} is not part of isopod"));
        }
        if let Some(both) = enable.iter().find(|name| disable.contains(name)) {
            return Err(format!("[{both}] in enable-admission-plugins and disable-admission-plugins overlapped"));
        }
        Ok(Self::chosen(enable, disable))
    }

    fn chosen(enable: &[String], disable: &[String]) -> Self {
        let takes_part = |name: &str, by_default: Use| match by_default {
            Fixed => true,
            On => !disable.iter().any(|disabled| disabled == name),
            Off => enable.iter().any(|enabled| enabled == name),
        };
        let chosen = ALL.iter().filter(|(name, by_default, _)| takes_part(name, *by_default));
        let chosen = chosen.map(|(name, _, plugin)| (*name, *plugin)).collect();
        Self { chosen, configuration: Configuration::default() }
    }

    /// The same plugins, told something.
    #[must_use]
    pub fn told(self, configuration: Configuration) -> Self {
        Self { configuration, ..self }
    }

    pub(super) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'static dyn Plugin> {
        self.chosen.iter().map(|(_, plugin)| *plugin)
    }
}

fn is_known(name: &str) -> bool {
    ELSEWHERE.contains(&name)
        || NEVER_ON.contains(&name)
        || ALL.iter().any(|(known, by_default, _)| *known == name && *by_default != Fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(enable: &[&str], disable: &[&str]) -> Result<usize, String> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Plugins::choose(&owned(enable), &owned(disable)).map(|plugins| plugins.chosen.len())
    }

    #[test]
    fn plugins_are_turned_on_and_off_by_name() {
        let usual = choose(&[], &[]).unwrap();
        assert_eq!(choose(&["AlwaysPullImages", "LimitRanger"], &[]), Ok(usual + 1));
        assert_eq!(choose(&["OwnerReferencesPermissionEnforcement"], &["Priority", "PodSecurity"]), Ok(usual - 1));
        assert_eq!(choose(&["MutatingAdmissionWebhook"], &["AlwaysPullImages"]), Ok(usual));
    }

    #[test]
    fn names_are_checked() {
        let unknown = "disable-admission-plugins plugin \"Limits\" is unknown";
        assert_eq!(choose(&[], &["Limits"]), Err(unknown.to_owned()));
        assert!(choose(&["RoleEscalation"], &[]).is_err());
        assert!(choose(&[], &["EventRateLimit"]).is_ok());
        let never = "enable-admission-plugins plugin \"EventRateLimit\" is not part of isopod";
        assert_eq!(choose(&["EventRateLimit"], &[]), Err(never.to_owned()));
        let both = "[Priority] in enable-admission-plugins and disable-admission-plugins overlapped";
        assert_eq!(choose(&["Priority"], &["Priority"]), Err(both.to_owned()));
    }
}
