//! What a namespace's labels ask for.

use std::fmt;

use api::field::{self, ErrorList, Path};
use api::labels::Labels;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// A standard, from lax to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything is allowed.
    Privileged,
    /// Known ways to more privileges are not.
    Baseline,
    /// Pods must be hardened.
    Restricted,
}

/// The release whose standard it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `v1.x`
    Minor(u32),
    /// The newest there is.
    Latest,
}

/// A standard as one release defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standard {
    /// How strict.
    pub level: Level,
    /// As of when.
    pub version: Version,
}

/// What a namespace asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What Pods must keep to.
    pub enforce: Standard,
    /// What is told to the audit log.
    pub audit: Standard,
    /// What is told to those who write Pods and templates.
    pub warn: Standard,
}

impl fmt::Display for Standard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.level {
            Level::Privileged => "privileged:",
            Level::Baseline => "baseline:",
            Level::Restricted => "restricted:",
        })?;
        match self.version {
            Version::Minor(minor) => write!(formatter, "v1.{minor}"),
            Version::Latest => formatter.write_str("latest"),
        }
    }
}

impl Standard {
    /// Everything is allowed.
    pub const PRIVILEGED: Self = Self { level: Level::Privileged, version: Version::Latest };

    /// Whether Pods that kept to `before` may break this.
    pub fn is_stricter_than(self, before: Self) -> bool {
        self.level != Level::Privileged
            && self != before
            && (self.version != before.version || self.level > before.level)
    }
}

impl Policy {
    /// Everything is allowed.
    pub const PRIVILEGED: Self =
        Self { enforce: Standard::PRIVILEGED, audit: Standard::PRIVILEGED, warn: Standard::PRIVILEGED };

    /// What labels ask for, or the defaults, and what is wrong with them. Wrong levels fail closed for `enforce` and open
    /// otherwise.
    pub fn of(labels: Option<&Labels>, defaults: Self) -> (Self, ErrorList) {
        let mut problems = ErrorList::new();
        let mut standard = |mode: &str, mut found: Standard, fallback: Level| {
            if let Some(text) = labels.and_then(|labels| labels.get(&format!("{PREFIX}{mode}"))) {
                found.level = level(text).unwrap_or_else(|detail| {
                    problems.push(problem(mode, text, detail));
                    fallback
                });
            }
            let mode = format!("{mode}-version");
            if let Some(text) = labels.and_then(|labels| labels.get(&format!("{PREFIX}{mode}"))) {
                found.version = version(text).unwrap_or_else(|detail| {
                    problems.push(problem(&mode, text, detail));
                    Version::Latest
                });
            }
            found
        };
        if labels.is_none_or(|labels| !labels.keys().any(|key| key.starts_with(PREFIX))) {
            return (defaults, ErrorList::new());
        }
        let enforce = standard("enforce", defaults.enforce, Level::Restricted);
        let audit = standard("audit", defaults.audit, Level::Privileged);
        let warn = standard("warn", defaults.warn, Level::Privileged);
        (Self { enforce, audit, warn }, problems)
    }
}

fn problem(label: &str, value: &str, detail: &str) -> field::Error {
    let path = Path::new("metadata");
    field::invalid(&path.child("labels").key(&format!("{PREFIX}{label}")), value, detail)
}

pub(super) fn level(text: &str) -> Result<Level, &'static str> {
    match text {
        "privileged" => Ok(Level::Privileged),
        "baseline" => Ok(Level::Baseline),
        "restricted" => Ok(Level::Restricted),
        _ => Err("must be one of privileged, baseline, restricted"),
    }
}

pub(super) fn version(text: &str) -> Result<Version, &'static str> {
    if text == "latest" {
        return Ok(Version::Latest);
    }
    let minor = text.strip_prefix("v1.").filter(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()));
    let minor = minor.filter(|minor| *minor == "0" || !minor.starts_with('0')).and_then(|minor| minor.parse().ok());
    minor.map(Version::Minor).ok_or("must be \"latest\" or \"v1.x\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(labels: &[(&str, &str)]) -> (String, String, Vec<String>) {
        let labels = labels.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect();
        let (policy, problems) = Policy::of(Some(&labels), Policy::PRIVILEGED);
        (policy.enforce.to_string(), policy.warn.to_string(), problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn labels_say_level_and_version_by_mode() {
        let privileged = "privileged:latest".to_owned();
        assert_eq!(policy(&[]), (privileged.clone(), privileged.clone(), Vec::new()));
        assert_eq!(
            policy(&[("enforce", "baseline"), ("enforce-version", "v1.22"), ("warn", "restricted")]),
            ("baseline:v1.22".to_owned(), "restricted:latest".to_owned(), Vec::new())
        );
        assert_eq!(policy(&[("enforce-version", "v1.0")]).0, "privileged:v1.0");
    }

    #[test]
    fn wrong_labels_are_told_and_fail_to_the_safe_side() {
        let path = "metadata.labels[pod-security.kubernetes.io/";
        let (enforce, warn, problems) = policy(&[("enforce", "odd"), ("audit", ""), ("warn", "Baseline")]);
        assert_eq!((enforce.as_str(), warn.as_str()), ("restricted:latest", "privileged:latest"));
        let text = "must be one of privileged, baseline, restricted";
        let wanted = [("enforce", "odd"), ("audit", ""), ("warn", "Baseline")]
            .map(|(mode, value)| format!("{path}{mode}]: Invalid value: {value:?}: {text}"));
        assert_eq!(problems, wanted);
        for version in ["x", "1.22", "v1.022", "v1.", "v2.1", "v1.-1", ""] {
            let (enforce, _, problems) = policy(&[("enforce", "baseline"), ("enforce-version", version)]);
            assert_eq!(enforce, "baseline:latest");
            let text = "must be \"latest\" or \"v1.x\"";
            assert_eq!(problems, [format!("{path}enforce-version]: Invalid value: {version:?}: {text}")]);
        }
    }

    #[test]
    fn existing_pods_matter_only_to_what_became_stricter() {
        let standard = |level, version| Standard { level, version };
        let latest = |level| standard(level, Version::Latest);
        assert!(latest(Level::Baseline).is_stricter_than(latest(Level::Privileged)));
        assert!(!latest(Level::Baseline).is_stricter_than(latest(Level::Restricted)));
        assert!(!latest(Level::Privileged).is_stricter_than(standard(Level::Baseline, Version::Minor(9))));
        assert!(standard(Level::Baseline, Version::Minor(30)).is_stricter_than(latest(Level::Restricted)));
    }
}
