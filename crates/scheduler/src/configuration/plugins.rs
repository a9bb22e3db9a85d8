//! Which plugins a profile has at which extension point.

use serde::Deserialize;

use super::{ConfigurationError, invalid};
use crate::framework::PluginName;
use crate::profile::{FILTERS, ProfileConfig, SCORES};

/// Changes to the standard plugins. Each filter brings its preparation and each ranking plugin its own, so these points
/// are not chosen apart; the queue's order and the binding are not to be exchanged.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Plugins {
    #[serde(default)]
    multi_point: PluginChanges,
    #[serde(default)]
    filter: PluginChanges,
    #[serde(default)]
    post_filter: PluginChanges,
    #[serde(default)]
    score: PluginChanges,
}

/// Changes at one point.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PluginChanges {
    #[serde(default)]
    enabled: Vec<Choice>,
    #[serde(default)]
    disabled: Vec<Choice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    name: String,
    #[serde(default)]
    weight: i64,
}

impl Plugins {
    /// First what is said of all points, then what is said of each.
    pub(super) fn apply(&self, path: &str, config: &mut ProfileConfig) -> Result<(), ConfigurationError> {
        for (changes, point, everywhere) in [
            (&self.multi_point, "multiPoint", true),
            (&self.filter, "filter", false),
            (&self.score, "score", false),
            (&self.post_filter, "postFilter", false),
        ] {
            let path = format!("{path}.{point}");
            if everywhere || point == "filter" {
                changes.apply_filters(&path, config)?;
            }
            if everywhere || point == "score" {
                changes.apply_scores(&path, config)?;
            }
            if everywhere || point == "postFilter" {
                let preempts = changes.of(&path, PluginName::DefaultPreemption)?;
                config.preempts = preempts.map_or(config.preempts, |change| change.is_some());
            }
        }
        Ok(())
    }
}

impl PluginChanges {
    fn apply_filters(&self, path: &str, config: &mut ProfileConfig) -> Result<(), ConfigurationError> {
        let mut filters = Vec::new();
        for plugin in FILTERS {
            let now = config.filters.contains(&plugin);
            if self.of(path, plugin)?.map_or(now, |change| change.is_some()) {
                filters.push(plugin);
            }
        }
        config.filters = filters;
        Ok(())
    }

    fn apply_scores(&self, path: &str, config: &mut ProfileConfig) -> Result<(), ConfigurationError> {
        let mut scores = Vec::new();
        for (plugin, standard) in SCORES {
            let now = config.scores.iter().find(|(other, _)| *other == plugin).map(|(_, weight)| *weight);
            let weight = match self.of(path, plugin)? {
                None => now,
                Some(None) => None,
                Some(Some(0)) => Some(if path.ends_with("multiPoint") { standard } else { 1 }),
                Some(Some(weight)) => Some(weight),
            };
            scores.extend(weight.map(|weight| (plugin, weight)));
        }
        config.scores = scores;
        Ok(())
    }

    /// What becomes of a plugin: nothing is said of it, it is disabled, or enabled with a weight.
    fn of(&self, path: &str, plugin: PluginName) -> Result<Option<Option<i64>>, ConfigurationError> {
        for (list, choices) in [("enabled", &self.enabled), ("disabled", &self.disabled)] {
            for (position, choice) in choices.iter().enumerate() {
                let known = PluginName::parse(&choice.name).is_some() || (list == "disabled" && choice.name == "*");
                if !known {
                    let problem = format!("plugin {:?} does not exist", choice.name);
                    return Err(invalid(format!("{path}.{list}[{position}].name"), problem));
                }
                if !(0..=i64::from(i32::MAX)).contains(&choice.weight) {
                    return Err(invalid(
                        format!("{path}.{list}[{position}].weight"),
                        "must not be negative or so large",
                    ));
                }
            }
        }
        if let Some(choice) = self.enabled.iter().find(|choice| choice.name == plugin.as_str()) {
            return Ok(Some(Some(choice.weight)));
        }
        let disabled = self.disabled.iter().any(|choice| choice.name == "*" || choice.name == plugin.as_str());
        Ok(disabled.then_some(None))
    }
}
