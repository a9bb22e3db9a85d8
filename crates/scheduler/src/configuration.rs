//! The `KubeSchedulerConfiguration` of a file: profiles, their plugins and what these are told.

mod args;
mod plugins;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::profile::ProfileConfig;
use crate::queue::Backoff;

const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
const KIND: &str = "KubeSchedulerConfiguration";

/// See the module.
#[derive(Debug, Clone)]
pub struct Configuration {
    profiles: Vec<ProfileConfig>,
    backoff: Backoff,
}

impl Default for Configuration {
    fn default() -> Self {
        Self { profiles: vec![ProfileConfig::default()], backoff: Backoff::default() }
    }
}

/// Why a file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// It cannot be read as such an object.
    #[error("{0}")]
    Syntax(String),
    /// A field says what cannot be.
    #[error("{path}: {problem}")]
    Invalid {
        /// The field.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The file. What is about processes, connections and leases of their own has no meaning inside one binary.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    #[serde(default)]
    percentage_of_nodes_to_score: Option<i64>,
    #[serde(default)]
    pod_initial_backoff_seconds: Option<u64>,
    #[serde(default)]
    pod_max_backoff_seconds: Option<u64>,
    #[serde(default)]
    profiles: Vec<ProfileDocument>,
    #[serde(default, rename = "parallelism")]
    _parallelism: IgnoredAny,
    #[serde(default, rename = "leaderElection")]
    _leader_election: IgnoredAny,
    #[serde(default, rename = "clientConnection")]
    _client_connection: IgnoredAny,
    #[serde(default, rename = "enableProfiling")]
    _enable_profiling: IgnoredAny,
    #[serde(default, rename = "enableContentionProfiling")]
    _enable_contention_profiling: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileDocument {
    #[serde(default)]
    scheduler_name: Option<String>,
    #[serde(default)]
    percentage_of_nodes_to_score: Option<i64>,
    #[serde(default)]
    plugins: plugins::Plugins,
    #[serde(default)]
    plugin_config: Vec<PluginConfig>,
}

/// What one plugin is told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginConfig {
    name: String,
    #[serde(default)]
    args: Value,
}

impl Configuration {
    /// Reads the text of a file, YAML or JSON.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn parse(text: &str) -> Result<Self, ConfigurationError> {
        let document: Document =
            serde_saphyr::from_str(text).map_err(|error| ConfigurationError::Syntax(error.to_string()))?;
        if (document.api_version.as_str(), document.kind.as_str()) != (API_VERSION, KIND) {
            let found = format!("{}, Kind={}", document.api_version, document.kind);
            let wanted = format!("no kind but {KIND} of {API_VERSION} is known here, not {found}");
            return Err(ConfigurationError::Syntax(wanted));
        }
        let backoff = document.backoff()?;
        let percentage = percentage("percentageOfNodesToScore", document.percentage_of_nodes_to_score)?;
        let mut profiles: Vec<ProfileConfig> = Vec::new();
        for (position, profile) in document.profiles.into_iter().enumerate() {
            let path = format!("profiles[{position}]");
            let mut profile = profile.resolve(&path)?;
            profile.percentage_of_nodes_to_score = profile.percentage_of_nodes_to_score.or(percentage);
            if profiles.iter().any(|other| other.scheduler_name == profile.scheduler_name) {
                let problem = format!("Duplicate value: {:?}", profile.scheduler_name);
                return Err(invalid(format!("{path}.schedulerName"), problem));
            }
            profiles.push(profile);
        }
        if profiles.is_empty() {
            profiles.push(ProfileConfig { percentage_of_nodes_to_score: percentage, ..ProfileConfig::default() });
        }
        Ok(Self { profiles, backoff })
    }

    pub(crate) fn profiles(&self) -> &[ProfileConfig] {
        &self.profiles
    }

    pub(crate) fn backoff(&self) -> Backoff {
        self.backoff
    }
}

impl Document {
    fn backoff(&self) -> Result<Backoff, ConfigurationError> {
        let seconds = |seconds: Option<u64>, default: Duration| seconds.map_or(default, Duration::from_secs);
        let standard = Backoff::default();
        let backoff = Backoff {
            initial: seconds(self.pod_initial_backoff_seconds, standard.initial),
            max: seconds(self.pod_max_backoff_seconds, standard.max),
        };
        if backoff.initial.is_zero() {
            return Err(invalid("podInitialBackoffSeconds", "must be greater than 0"));
        }
        if backoff.max < backoff.initial {
            return Err(invalid("podMaxBackoffSeconds", "must be greater than or equal to PodInitialBackoffSeconds"));
        }
        Ok(backoff)
    }
}

impl ProfileDocument {
    fn resolve(self, path: &str) -> Result<ProfileConfig, ConfigurationError> {
        let mut config = ProfileConfig {
            percentage_of_nodes_to_score: percentage(
                &format!("{path}.percentageOfNodesToScore"),
                self.percentage_of_nodes_to_score,
            )?,
            ..ProfileConfig::default()
        };
        if let Some(name) = self.scheduler_name {
            if name.is_empty() {
                return Err(invalid(format!("{path}.schedulerName"), "Required value"));
            }
            config.scheduler_name = name;
        }
        self.plugins.apply(&format!("{path}.plugins"), &mut config)?;
        for (position, plugin) in self.plugin_config.into_iter().enumerate() {
            let path = format!("{path}.pluginConfig[{position}]");
            args::apply(&path, &plugin.name, plugin.args, &mut config.args)?;
        }
        Ok(config)
    }
}

/// A share in percent; 0 leaves the choice to the scheduler.
fn percentage(path: &str, percentage: Option<i64>) -> Result<Option<u32>, ConfigurationError> {
    match percentage {
        None | Some(0) => Ok(None),
        Some(percentage @ 1..=100) => Ok(u32::try_from(percentage).ok()),
        Some(_) => Err(invalid(path, "not in valid range [0-100]")),
    }
}

fn invalid(path: impl Into<String>, problem: impl Into<String>) -> ConfigurationError {
    ConfigurationError::Invalid { path: path.into(), problem: problem.into() }
}
