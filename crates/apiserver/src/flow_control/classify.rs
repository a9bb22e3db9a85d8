//! Which FlowSchema a request belongs to. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use api::k8s_openapi::api::flowcontrol::v1::{
    FlowSchemaSpec, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject,
};

use crate::filters::request_info::{RequestInfo, ResourcePath};
use crate::identity::{SERVICE_ACCOUNT_PREFIX, UserInfo};

const ALL: &str = "*";

/// Whether a schema is about this request.
pub fn matches(spec: &FlowSchemaSpec, user: &UserInfo, info: &RequestInfo) -> bool {
    spec.rules
        .iter()
        .flatten()
        .any(|rules| rules.subjects.iter().any(|subject| is_subject(subject, user)) && matches_a_rule(rules, info))
}

/// A number for the requests that a schema takes to belong together.
pub fn flow(name: &str, spec: &FlowSchemaSpec, user: &UserInfo, info: &RequestInfo) -> u64 {
    let distinguisher = match spec.distinguisher_method.as_ref().map(|method| method.type_.as_str()) {
        Some("ByUser") => user.name.as_str(),
        Some("ByNamespace") => info.resource.as_ref().map_or("", |at| at.namespace.as_str()),
        _ => "",
    };
    let mut hasher = DefaultHasher::new();
    (name, distinguisher).hash(&mut hasher);
    hasher.finish()
}

fn is_subject(subject: &Subject, user: &UserInfo) -> bool {
    match subject.kind.as_str() {
        "User" => subject.user.as_ref().is_some_and(|wanted| wanted.name == ALL || wanted.name == user.name),
        "Group" => subject.group.as_ref().is_some_and(|wanted| wanted.name == ALL || user.is_in(&wanted.name)),
        "ServiceAccount" => subject.service_account.as_ref().is_some_and(|wanted| {
            let rest = user.name.strip_prefix(SERVICE_ACCOUNT_PREFIX);
            let name = rest.and_then(|rest| rest.strip_prefix(wanted.namespace.as_str())?.strip_prefix(':'));
            name.is_some_and(|name| wanted.name == ALL || wanted.name == name)
        }),
        _ => false,
    }
}

fn matches_a_rule(rules: &PolicyRulesWithSubjects, info: &RequestInfo) -> bool {
    match &info.resource {
        Some(at) => rules.resource_rules.iter().flatten().any(|rule| matches_resource(rule, &info.verb, at)),
        None => rules.non_resource_rules.iter().flatten().any(|rule| matches_path(rule, &info.verb, &info.path)),
    }
}

fn matches_resource(rule: &ResourcePolicyRule, verb: &str, at: &ResourcePath) -> bool {
    let named = |wanted: &String| match wanted.split_once('/') {
        Some((resource, subresource)) => resource == at.resource && subresource == at.subresource,
        None => at.subresource.is_empty() && *wanted == at.resource,
    };
    let namespaces = rule.namespaces.as_deref().unwrap_or_default();
    (is_all(&rule.resources) || rule.resources.iter().any(named))
        && lists(&rule.verbs, verb)
        && lists(&rule.api_groups, &at.group)
        && if at.namespace.is_empty() { rule.cluster_scope == Some(true) } else { lists(namespaces, &at.namespace) }
}

fn matches_path(rule: &NonResourcePolicyRule, verb: &str, path: &str) -> bool {
    // Each path stands for those below it as well, with or without a star.
    let covers = |wanted: &String| {
        let stem = wanted.strip_suffix('*').unwrap_or(wanted);
        let stem = stem.strip_suffix('/').unwrap_or(stem);
        wanted == ALL || path == wanted || path.strip_prefix(stem).is_some_and(|rest| rest.starts_with('/'))
    };
    lists(&rule.verbs, verb) && rule.non_resource_urls.iter().any(covers)
}

fn is_all(list: &[String]) -> bool {
    matches!(list, [only] if only == ALL)
}

fn lists(list: &[String], value: &str) -> bool {
    is_all(list) || list.iter().any(|one| one == value)
}

#[cfg(test)]
mod tests {
    use api::flowcontrol::v1::defaults::flow_schemas;
    use http::Method;

    use super::*;
    use crate::query::Query;

    /// The first of the default schemas, as the server would choose.
    fn check(user: &UserInfo, method: &str, path: &str, expected: &str) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let method: Method = method.parse().expect("method");
        let info = RequestInfo::parse(&method, path, &Query::parse(query));
        let mut schemas = flow_schemas();
        schemas.sort_by_key(|schema| schema.spec.as_ref().and_then(|spec| spec.matching_precedence));
        let found = schemas.iter().find(|schema| schema.spec.as_ref().is_some_and(|spec| matches(spec, user, &info)));
        let name = found.and_then(|schema| schema.metadata.name.as_deref()).unwrap_or("none");
        assert_eq!(name, expected, "{} {method} {path}", user.name);
    }

    #[test]
    fn the_default_schemas_sort_requests_as_upstream() {
        let node = UserInfo::new("system:node:a", ["system:nodes"]);
        let scheduler = UserInfo::new("system:kube-scheduler", [] as [&str; 0]);
        let system = UserInfo::service_account("kube-system", "generic-garbage-collector");
        let account = UserInfo::service_account("kube-system-2", "default");
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a";
        check(&UserInfo::new("admin", ["system:masters"]), "GET", "/api/v1/pods", "exempt");
        check(&UserInfo::anonymous(), "GET", "/livez/ping", "probes");
        check(&UserInfo::anonymous(), "GET", "/version", "global-default");
        check(&node, "PUT", lease, "system-node-high");
        check(&node, "PATCH", "/api/v1/nodes/a/status", "system-node-high");
        check(&node, "GET", "/api/v1/nodes/a/proxy", "system-nodes");
        check(&node, "GET", "/api/v1/pods?watch=1", "system-nodes");
        check(&scheduler, "PUT", lease, "system-leader-election");
        check(&scheduler, "DELETE", lease, "kube-scheduler");
        check(&system, "GET", "/api/v1/pods", "kube-system-service-accounts");
        check(&account, "GET", "/api/v1/pods", "service-accounts");
        check(&UserInfo::new("jane", [] as [&str; 0]), "POST", "/api/v1/namespaces/a/pods", "global-default");
    }

    #[test]
    fn rules_mean_scopes_paths_and_subresources() {
        let rule = |clusters: bool, namespaces: &[&str], resources: &[&str]| ResourcePolicyRule {
            api_groups: vec![String::new()],
            cluster_scope: Some(clusters),
            namespaces: Some(namespaces.iter().map(|name| (*name).to_owned()).collect()),
            resources: resources.iter().map(|name| (*name).to_owned()).collect(),
            verbs: vec!["get".to_owned()],
        };
        let at = |namespace: &str, resource: &str, subresource: &str| ResourcePath {
            namespace: namespace.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            ..ResourcePath::default()
        };
        for (rule, at, expected) in [
            (rule(true, &[], &["nodes"]), at("", "nodes", ""), true),
            (rule(false, &["*"], &["nodes"]), at("", "nodes", ""), false),
            (rule(true, &[], &["pods"]), at("a", "pods", ""), false),
            (rule(false, &["a"], &["pods"]), at("a", "pods", ""), true),
            (rule(false, &["a"], &["pods"]), at("a", "pods", "status"), false),
            (rule(false, &["a"], &["pods/status"]), at("a", "pods", "status"), true),
            (rule(false, &["*"], &["*"]), at("b", "pods", "log"), true),
        ] {
            assert_eq!(matches_resource(&rule, "get", &at), expected, "{rule:?} {at:?}");
            assert!(!matches_resource(&rule, "list", &at));
        }
        let path =
            |url: &str| NonResourcePolicyRule { non_resource_urls: vec![url.to_owned()], verbs: vec![ALL.to_owned()] };
        for (url, asked, expected) in [
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/ping", true),
            ("/healthz", "/healthzy", false),
            ("/openapi/*", "/openapi/v2", true),
            ("/openapi/*", "/openapi", false),
            ("*", "/anything", true),
        ] {
            assert_eq!(matches_path(&path(url), "get", asked), expected, "{url} {asked}");
        }
    }
}
