//! `audit.k8s.io/v1 Policy`: how much is told of which requests. Pure.

use serde::Deserialize;

use crate::filters::request_info::{RequestInfo, ResourcePath};
use crate::identity::UserInfo;

/// How much is told of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Level {
    /// Nothing.
    None = 0,
    /// Who asked for what, and how it ended.
    Metadata = 1,
    /// Also what was sent.
    Request = 2,
    /// Also what was answered.
    RequestResponse = 3,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Metadata, Self::Request, Self::RequestResponse];

    /// As policies write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// A moment in a request's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Stage {
    /// It has come.
    RequestReceived,
    /// Its answer begins, which takes as long as it likes.
    ResponseStarted,
    /// Its answer has ended.
    ResponseComplete,
    /// It ended in a defect of the server.
    Panic,
}

impl Stage {
    /// As events write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// Rules, of which the first that fits a request decides. A request that none fits is not told of.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is no YAML, or has a value that is not known.
    #[error("the audit policy cannot be read: {0}")]
    Malformed(String),
    /// It is something else.
    #[error("the audit policy must be a Policy of audit.k8s.io/v1, not {kind:?} of {api_version:?}")]
    Kind {
        /// What it says it is.
        kind: String,
        /// Its version.
        api_version: String,
    },
    /// It has no rules.
    #[error("the audit policy has no rules")]
    Empty,
    /// A rule contradicts itself.
    #[error("rules[{rule}].{field}: {problem}")]
    Rule {
        /// Which one.
        rule: usize,
        /// Where.
        field: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
}

/// How a request is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// How much.
    pub level: Level,
    /// Whether field managers are left out.
    pub omit_managed_fields: bool,
    omit_stages: Vec<Stage>,
}

impl Decision {
    /// Whether a stage is not told.
    pub fn omits(&self, stage: Stage) -> bool {
        self.omit_stages.contains(&stage)
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = serde_saphyr::from_str(text).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        if policy.kind != "Policy" || policy.api_version != "audit.k8s.io/v1" {
            return Err(PolicyError::Kind { kind: policy.kind, api_version: policy.api_version });
        }
        if policy.rules.is_empty() {
            return Err(PolicyError::Empty);
        }
        for (rule, checked) in policy.rules.iter().enumerate() {
            checked.check().map_err(|(field, problem)| PolicyError::Rule { rule, field, problem })?;
        }
        Ok(policy)
    }

    /// How a request is told of.
    pub fn decide(&self, user: &UserInfo, info: &RequestInfo) -> Decision {
        let rule = self.rules.iter().find(|rule| rule.fits(user, info));
        let of_rule = rule.map(|rule| rule.omit_stages.as_slice()).unwrap_or_default();
        Decision {
            level: rule.map_or(Level::None, |rule| rule.level),
            omit_managed_fields: rule.and_then(|rule| rule.omit_managed_fields).unwrap_or(self.omit_managed_fields),
            omit_stages: self.omit_stages.iter().chain(of_rule).copied().collect(),
        }
    }
}

impl Rule {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let about_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if about_resources && !self.non_resource_urls.is_empty() {
            return Err(("nonResourceURLs", "rules cannot apply to both regular resources and non-resource URLs"));
        }
        for url in self.non_resource_urls.iter().filter(|url| *url != "*") {
            if !url.starts_with('/') {
                return Err(("nonResourceURLs", "non-resource URL rules must begin with a '/' character"));
            }
            if url.trim_end_matches('*').contains('*') || url.ends_with("**") {
                return Err((
                    "nonResourceURLs",
                    "non-resource URL wildcards '*' must be the final character of the rule",
                ));
            }
        }
        if self.resources.iter().any(|of| !of.resource_names.is_empty() && of.resources.is_empty()) {
            return Err(("resources", "using resourceNames requires at least one resource"));
        }
        Ok(())
    }

    fn fits(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        let listed = |list: &[String], value: &str| list.iter().any(|one| one == value);
        if !self.users.is_empty() && !listed(&self.users, &user.name) {
            return false;
        }
        if !self.user_groups.is_empty() && !self.user_groups.iter().any(|group| user.is_in(group)) {
            return false;
        }
        if !self.verbs.is_empty() && !listed(&self.verbs, &info.verb) {
            return false;
        }
        match &info.resource {
            _ if self.resources.is_empty() && self.namespaces.is_empty() && self.non_resource_urls.is_empty() => true,
            Some(at) if self.non_resource_urls.is_empty() => {
                (self.namespaces.is_empty() || listed(&self.namespaces, &at.namespace))
                    && (self.resources.is_empty() || self.resources.iter().any(|of| of.fits(at)))
            }
            None if !self.non_resource_urls.is_empty() => {
                self.non_resource_urls.iter().any(|url| match url.strip_suffix('*') {
                    Some(stem) => info.path.starts_with(stem),
                    None => info.path == *url,
                })
            }
            _ => false,
        }
    }
}

impl GroupResources {
    fn fits(&self, at: &ResourcePath) -> bool {
        let named = self.resource_names.is_empty() || self.resource_names.contains(&at.name);
        self.group == at.group
            && (self.resources.is_empty() || named && self.resources.iter().any(|resource| means(resource, at)))
    }
}

/// Whether `pods`, `pods/log`, `pods/*`, `*/scale` or `*` means a place. Without a slash, subresources are not meant.
fn means(wanted: &str, at: &ResourcePath) -> bool {
    match wanted.split_once('/') {
        None => wanted == "*" || at.subresource.is_empty() && wanted == at.resource,
        Some(("*", subresource)) => !at.subresource.is_empty() && subresource == at.subresource,
        Some((resource, "*")) => resource == at.resource,
        Some((resource, subresource)) => resource == at.resource && subresource == at.subresource,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::query::Query;

    const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  users: ['system:kube-proxy']
  verbs: [watch]
  resources: [{group: '', resources: [endpoints, services]}]
- level: None
  nonResourceURLs: ['/healthz*', /version]
- level: Metadata
  resources: [{group: '', resources: [secrets, configmaps, pods/log]}]
- level: Request
  userGroups: ['system:authenticated']
  namespaces: [kube-system]
- level: None
  resources: [{group: apps, resources: [deployments], resourceNames: [web]}]
- level: RequestResponse
  omitStages: [ResponseStarted]
  omitManagedFields: false
  resources: [{group: apps, resources: ['*/scale']}, {group: batch}]
- level: Metadata
  resources: [{group: '', resources: ['pods/*']}]
";

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = Policy::parse(POLICY).expect("valid");
        let proxy = UserInfo::new("system:kube-proxy", [] as [&str; 0]);
        let anonymous = UserInfo::anonymous();
        let check = |user: &UserInfo, method: &str, path: &str, level: Level| {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let method: Method = method.parse().expect("method");
            let info = RequestInfo::parse(&method, path, &Query::parse(query));
            assert_eq!(policy.decide(user, &info).level, level, "{method} {path}");
        };
        check(&proxy, "GET", "/api/v1/services?watch=1", Level::None);
        check(&proxy, "GET", "/api/v1/secrets", Level::Metadata);
        check(&proxy, "GET", "/healthz/ping", Level::None);
        check(&proxy, "GET", "/api/v1/namespaces/kube-system/pods", Level::Request);
        check(&anonymous, "GET", "/api/v1/namespaces/kube-system/services", Level::None);
        check(&proxy, "GET", "/api/v1/namespaces/a/pods/p/log", Level::Metadata);
        check(&proxy, "GET", "/api/v1/namespaces/a/pods/p/exec", Level::Metadata);
        check(&proxy, "GET", "/apis/apps/v1/namespaces/a/deployments/web", Level::None);
        check(&proxy, "GET", "/apis/apps/v1/namespaces/a/deployments/other", Level::None);
        check(&proxy, "PUT", "/apis/apps/v1/namespaces/a/deployments/web/scale", Level::RequestResponse);
        check(&proxy, "POST", "/apis/batch/v1/namespaces/a/jobs", Level::RequestResponse);
        check(&proxy, "GET", "/apis", Level::None);
    }

    #[test]
    fn stages_add_up_and_a_rule_overrides_the_default() {
        let policy = Policy::parse(POLICY).expect("valid");
        let user = UserInfo::new("u", [] as [&str; 0]);
        let decide = |path: &str| policy.decide(&user, &RequestInfo::parse(&Method::GET, path, &Query::default()));
        let decision = decide("/apis/batch/v1/jobs");
        assert!(decision.omits(Stage::RequestReceived) && decision.omits(Stage::ResponseStarted));
        assert!(!decision.omits(Stage::ResponseComplete) && !decision.omit_managed_fields);
        assert!(decide("/api/v1/secrets").omit_managed_fields);
    }

    #[test]
    fn policies_that_make_no_sense_are_refused() {
        let refuse = |rules: &str| {
            let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: {rules}\n");
            Policy::parse(&text).expect_err("refused").to_string()
        };
        assert_eq!(refuse("[]"), "the audit policy has no rules");
        assert!(refuse("[{level: Everything}]").starts_with("the audit policy cannot be read: "));
        let both = refuse("[{level: None}, {level: None, namespaces: [a], nonResourceURLs: ['/a']}]");
        let expected = "rules[1].nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs";
        assert_eq!(both, expected);
        assert!(refuse("[{level: None, nonResourceURLs: [a]}]").contains("must begin with a '/'"));
        assert!(refuse("[{level: None, nonResourceURLs: ['/a*b']}]").contains("final character"));
        assert!(
            refuse("[{level: None, resources: [{resourceNames: [a]}]}]").contains("requires at least one resource")
        );
        let error = Policy::parse("apiVersion: v1\nkind: Pod\n").expect_err("refused").to_string();
        assert_eq!(error, "the audit policy must be a Policy of audit.k8s.io/v1, not \"Pod\" of \"v1\"");
    }
}
