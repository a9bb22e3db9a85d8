//! `AdmissionConfiguration` of `apiserver.config.k8s.io/v1`: what plugins are told beyond whether they take part.

use std::path::{Path, PathBuf};

use api::field::ErrorList;
use serde::Deserialize;
use serde_json::Value;

use super::pod_security::configuration::{Configuration as PodSecurity, Document as PodSecurityDocument};

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "AdmissionConfiguration";
const POD_SECURITY: &str = "PodSecurity";
const POD_SECURITY_GROUP: &str = "pod-security.admission.config.k8s.io/";
const POD_SECURITY_KIND: &str = "PodSecurityConfiguration";

/// Why a configuration is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// It is not such a document.
    #[error("{0}")]
    Syntax(#[from] serde_saphyr::Error),
    /// What it says of a plugin is no such document.
    #[error("plugins[{position}].configuration: {source}")]
    Plugin {
        /// Which of them.
        position: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// The file of a plugin cannot be used.
    #[error("plugins[{position}].path: {path}: {problem}")]
    File {
        /// Which of them.
        position: usize,
        /// Where it is.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// It is something else.
    #[error("no kind \"{kind}\" is registered for version \"{version}\"")]
    Kind {
        /// What it says it is.
        kind: String,
        /// In which version.
        version: String,
    },
    /// It tells a plugin something that takes no configuration.
    #[error("plugins[{position}].name: {name:?} takes no configuration; {POD_SECURITY} does")]
    Name {
        /// Which of them.
        position: usize,
        /// What it is called.
        name: String,
    },
    /// It breaks rules.
    #[error("plugins[{position}]: invalid configuration: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Invalid {
        /// Which plugin's.
        position: usize,
        /// Which rules.
        problems: ErrorList,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    #[serde(default)]
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugin {
    #[serde(default)]
    name: String,
    /// Relative to the file that says so.
    #[serde(default)]
    path: String,
    configuration: Option<Value>,
}

/// What plugins are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The Pod Security Standards.
    pub pod_security: PodSecurity,
}

impl Configuration {
    /// Reads a configuration, YAML. `file` is where it was found, and `read` reads what it points to.
    ///
    /// # Errors
    /// [`ConfigurationError`] names the field.
    pub fn parse(
        text: &str,
        file: &Path,
        read: impl Fn(&Path) -> std::io::Result<String>,
    ) -> Result<Self, ConfigurationError> {
        let document: Document = serde_saphyr::from_str(text)?;
        if document.kind != KIND || document.api_version != API_VERSION {
            return Err(ConfigurationError::Kind { kind: document.kind, version: document.api_version });
        }
        let mut configuration = Self::default();
        for (position, plugin) in document.plugins.into_iter().enumerate() {
            if plugin.name != POD_SECURITY {
                return Err(ConfigurationError::Name { position, name: plugin.name });
            }
            let told = match plugin.configuration {
                Some(value) => {
                    serde_json::from_value(value).map_err(|source| ConfigurationError::Plugin { position, source })?
                }
                None if plugin.path.is_empty() => continue,
                None => {
                    let path = file.parent().unwrap_or(Path::new("")).join(&plugin.path);
                    let refuse = |problem: String| ConfigurationError::File { position, path: path.clone(), problem };
                    let text = read(&path).map_err(|error| refuse(error.to_string()))?;
                    serde_saphyr::from_str(&text).map_err(|error| refuse(error.to_string()))?
                }
            };
            configuration.pod_security = pod_security(told, position)?;
        }
        Ok(configuration)
    }
}

fn pod_security(document: PodSecurityDocument, position: usize) -> Result<PodSecurity, ConfigurationError> {
    let version = document.api_version.strip_prefix(POD_SECURITY_GROUP);
    if document.kind != POD_SECURITY_KIND || !matches!(version, Some("v1" | "v1beta1" | "v1alpha1")) {
        return Err(ConfigurationError::Kind { kind: document.kind, version: document.api_version });
    }
    match document.check() {
        (configuration, problems) if problems.is_empty() => Ok(configuration),
        (_, problems) => Err(ConfigurationError::Invalid { position, problems }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n";
    const POD_SECURITY_HEAD: &str =
        "apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration";

    fn parse(plugins: &str) -> Result<Configuration, String> {
        let read = |path: &Path| match path == Path::new("/etc/pss.yaml") {
            true => Ok(format!("{{{POD_SECURITY_HEAD}, defaults: {{audit: restricted}}}}")),
            false => Err(std::io::ErrorKind::NotFound.into()),
        };
        let parsed = Configuration::parse(&format!("{HEAD}{plugins}"), Path::new("/etc/admission.yaml"), read);
        parsed.map_err(|error| error.to_string())
    }

    fn told(rest: &str) -> Result<Configuration, String> {
        parse(&format!("- {{name: PodSecurity, configuration: {{{POD_SECURITY_HEAD}, {rest}}}}}"))
    }

    #[test]
    fn defaults_and_exemptions_are_read() {
        let found =
            told("defaults: {enforce: baseline, enforce-version: v1.30}, exemptions: {namespaces: [a]}").unwrap();
        assert_eq!(found.pod_security.defaults.enforce.to_string(), "baseline:v1.30");
        assert_eq!(found.pod_security.defaults.warn.to_string(), "privileged:latest");
        assert_eq!(found.pod_security.exemptions.namespaces, ["a"]);
        let found = parse("- {name: PodSecurity, path: pss.yaml}").unwrap();
        assert_eq!(found.pod_security.defaults.audit.to_string(), "restricted:latest");
        assert_eq!(parse(" []").unwrap(), Configuration::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (plugins, expected) in [
            ("- {name: Odd}", "plugins[0].name: \"Odd\" takes no configuration"),
            ("- {name: PodSecurity, path: none.yaml}", "plugins[0].path: /etc/none.yaml: "),
            (
                "- {name: PodSecurity, configuration: {apiVersion: v1, kind: Pod}}",
                "no kind \"Pod\" is registered for version \"v1\"",
            ),
        ] {
            let problem = parse(plugins).unwrap_err();
            assert!(problem.starts_with(expected), "{problem}");
        }
        for (rest, expected) in [
            ("defaults: {enforce: odd}", "defaults.enforce: Invalid value: \"odd\": must be one of privileged"),
            ("defaults: {warn-version: x}", "defaults.warn-version: Invalid value: \"x\": must be \"latest\" or"),
            ("exemptions: {namespaces: [a, a]}", "exemptions.namespaces[1]: Duplicate value: \"a\""),
            ("exemptions: {usernames: ['']}", "exemptions.usernames[0]: Invalid value: \"\": username must not be"),
            ("exemptions: {runtimeClasses: [A]}", "exemptions.runtimeClasses[0]: Invalid value: \"A\": a lowercase"),
            ("odd: 1", "plugins[0].configuration: unknown field `odd`"),
        ] {
            let problem = told(rest).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
