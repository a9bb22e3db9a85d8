//! `PodSecurityConfiguration`: what namespaces without labels ask for, and who is exempt from all of it.

use std::collections::BTreeSet;

use api::field::{self, ErrorList, Path};
use api::names::dns1123_label;
use api::names::dns1123_subdomain;
use serde::Deserialize;

use super::policy::{Policy, Standard, level, version};

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// What namespaces ask for that say nothing.
    pub defaults: Policy,
    /// Who is exempt.
    pub exemptions: Exemptions,
}

impl Default for Configuration {
    /// Everything is allowed, and nobody needs an exemption.
    fn default() -> Self {
        Self { defaults: Policy::PRIVILEGED, exemptions: Exemptions::default() }
    }
}

/// Who is exempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemptions {
    /// Those who write.
    #[serde(default)]
    pub usernames: Vec<String>,
    /// Where Pods are.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// What Pods run in.
    #[serde(default)]
    pub runtime_classes: Vec<String>,
}

/// The document below `configuration`, or in a file of its own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Its version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    exemptions: Exemptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Defaults {
    enforce: Option<String>,
    enforce_version: Option<String>,
    audit: Option<String>,
    audit_version: Option<String>,
    warn: Option<String>,
    warn_version: Option<String>,
}

impl Document {
    /// The configuration it is, and what is wrong with it.
    pub fn check(self) -> (Configuration, ErrorList) {
        let mut problems = ErrorList::new();
        let path = Path::new("defaults");
        let mut standard = |mode: &str, level_text: Option<String>, version_text: Option<String>| {
            let mut found = Standard::PRIVILEGED;
            match level_text.as_deref().filter(|text| !text.is_empty()).map(|text| (text, level(text))) {
                None => {}
                Some((_, Ok(level))) => found.level = level,
                Some((text, Err(detail))) => problems.push(field::invalid(&path.child(mode), text, detail)),
            }
            match version_text.as_deref().filter(|text| !text.is_empty()).map(|text| (text, version(text))) {
                None => {}
                Some((_, Ok(version))) => found.version = version,
                Some((text, Err(detail))) => {
                    problems.push(field::invalid(&path.child(&format!("{mode}-version")), text, detail));
                }
            }
            found
        };
        let Defaults { enforce, enforce_version, audit, audit_version, warn, warn_version } = self.defaults;
        let defaults = Policy {
            enforce: standard("enforce", enforce, enforce_version),
            audit: standard("audit", audit, audit_version),
            warn: standard("warn", warn, warn_version),
        };
        let exemptions = self.exemptions;
        let empty = |name: &str| name.is_empty().then(|| "username must not be empty".to_owned());
        let first = |problems: api::names::Problems| problems.into_iter().next().map(|problem| problem.to_string());
        check_names("namespaces", &exemptions.namespaces, |name| first(dns1123_label(name)), &mut problems);
        check_names(
            "runtimeClasses",
            &exemptions.runtime_classes,
            |name| first(dns1123_subdomain(name)),
            &mut problems,
        );
        check_names("usernames", &exemptions.usernames, empty, &mut problems);
        (Configuration { defaults, exemptions }, problems)
    }
}

fn check_names(list: &str, names: &[String], problem: impl Fn(&str) -> Option<String>, problems: &mut ErrorList) {
    let path = Path::new("exemptions");
    let path = path.child(list);
    let mut seen = BTreeSet::new();
    for (position, name) in names.iter().enumerate() {
        if let Some(detail) = problem(name) {
            problems.push(field::invalid(&path.index(position), name.as_str(), detail));
        } else if !seen.insert(name) {
            problems.push(field::duplicate(&path.index(position), name.as_str()));
        }
    }
}
