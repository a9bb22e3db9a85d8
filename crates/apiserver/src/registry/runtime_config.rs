//! `--runtime-config`: which resources are served that are not by default.

use super::Resource;
use super::certificates::cluster_trust_bundle::CLUSTER_TRUST_BUNDLES;

/// Resources of which upstream says that one has to ask for them.
static ON_REQUEST: &[&Resource] = &[&CLUSTER_TRUST_BUNDLES];

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct RuntimeConfig(Vec<String>);

impl RuntimeConfig {
    /// From `group/version/resource=true` and the like; a group's version stands for all of its resources.
    ///
    /// # Errors
    /// What is not understood, or names nothing that could be asked for.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let mut asked = Vec::new();
        for entry in entries {
            let (name, value) = entry.split_once('=').unwrap_or((entry, "true"));
            if !ON_REQUEST.iter().any(|resource| name == path(resource) || name == group_version(resource)) {
                return Err(format!("{name:?} is nothing that is off by default"));
            }
            match value {
                "true" => asked.push(name.to_owned()),
                "false" => {}
                _ => return Err(format!("{value:?} is neither true nor false")),
            }
        }
        Ok(Self(asked))
    }

    /// Whether a resource is served.
    pub fn serves(&self, resource: &Resource) -> bool {
        !ON_REQUEST.iter().any(|one| std::ptr::eq(*one, resource))
            || self.0.iter().any(|asked| *asked == path(resource) || *asked == group_version(resource))
    }
}

fn group_version(resource: &Resource) -> String {
    resource.gvk().api_version()
}

fn path(resource: &Resource) -> String {
    format!("{}/{}", group_version(resource), resource.info.plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_by_default_is_served_when_asked_for() {
        let bundles = &CLUSTER_TRUST_BUNDLES;
        let parse =
            |entries: &[&str]| RuntimeConfig::parse(&entries.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(!RuntimeConfig::default().serves(bundles));
        assert!(RuntimeConfig::default().serves(&super::super::core::pod::PODS));
        for entry in ["certificates.k8s.io/v1beta1=true", "certificates.k8s.io/v1beta1/clustertrustbundles"] {
            assert!(parse(&[entry]).unwrap().serves(bundles), "{entry}");
        }
        assert!(!parse(&["certificates.k8s.io/v1beta1=false"]).unwrap().serves(bundles));
        assert!(parse(&["no/such=true"]).is_err() && parse(&["certificates.k8s.io/v1beta1=maybe"]).is_err());
    }
}
