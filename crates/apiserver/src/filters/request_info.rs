//! What a request is about, read off its method and URL alone.

use api::fields::Selector;
use http::Method;

use crate::query::Query;

/// A request in the terms that authorization, admission and routing use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestInfo {
    /// The whole path.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths the method.
    pub verb: String,
    /// What the path names, when it is below an API version.
    pub resource: Option<ResourcePath>,
}

/// The parts of a path below an API version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePath {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// The object's name; also when a field selector asks for exactly one.
    pub name: String,
    /// Whether `name` stands in the path.
    pub named_in_path: bool,
    /// What follows the subresource.
    pub rest: Vec<String>,
    /// What of a collection is asked for; everything, where nobody understands the selector.
    pub fields: Selector,
}

/// Subresources of a namespace; anything else behind its name is a resource in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl RequestInfo {
    /// Reads a request line.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let info = Self { path: path.to_owned(), verb: method.as_str().to_ascii_lowercase(), resource: None };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return info,
        };
        let (special, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (Some("watch"), rest),
            _ => (None, rest),
        };
        let mut resource = ResourcePath { group: group.into(), version: version.into(), ..ResourcePath::default() };
        let rest = resource.take_namespace(rest);
        resource.take_names(rest, special.is_some());
        let verb = special.unwrap_or_else(|| verb_of(method));
        let verb = refine_verb(verb, &mut resource, query);
        if matches!(verb, "list" | "watch" | "deletecollection") {
            let selector = query.get("fieldSelector").map(Selector::parse);
            resource.fields = selector.and_then(Result::ok).unwrap_or_default();
        }
        Self { verb: verb.into(), resource: Some(resource), ..info }
    }

    /// Whether the answer may take as long as it likes.
    pub fn is_long_running(&self) -> bool {
        self.verb == "watch"
            || self.resource.as_ref().is_some_and(|path| {
                matches!(path.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
            })
    }
}

impl ResourcePath {
    /// Takes `namespaces/<name>` where it is the place of a resource rather than the resource itself.
    fn take_namespace<'a>(&mut self, parts: &'a [&'a str]) -> &'a [&'a str] {
        match parts {
            ["namespaces", namespace, rest @ ..] => {
                self.namespace = (*namespace).to_owned();
                match rest.first() {
                    Some(next) if !NAMESPACE_SUBRESOURCES.contains(next) => rest,
                    _ => parts,
                }
            }
            _ => parts,
        }
    }

    fn take_names(&mut self, parts: &[&str], no_subresources: bool) {
        let mut parts = parts.iter().map(|part| (*part).to_owned());
        self.resource = parts.next().unwrap_or_default();
        if let Some(name) = parts.next() {
            self.name = name;
            self.named_in_path = true;
        }
        if !no_subresources {
            self.subresource = parts.next().unwrap_or_default();
        }
        self.rest = parts.collect();
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// Without a name, `get` is `list` or `watch`, and `delete` is `deletecollection`.
fn refine_verb(verb: &'static str, resource: &mut ResourcePath, query: &Query) -> &'static str {
    if resource.named_in_path {
        return verb;
    }
    if matches!(verb, "get" | "watch")
        && let Some(name) = query.get("fieldSelector").and_then(exact_name)
    {
        resource.name = name;
    }
    match verb {
        "get" if query.flag("watch") => "watch",
        "get" => "list",
        "delete" => "deletecollection",
        other => other,
    }
}

/// The one name a field selector allows, if it is `metadata.name=x` (among other terms) and could be a path segment.
fn exact_name(selector: &str) -> Option<String> {
    let name = selector.split(',').find_map(|term| {
        let value = term.strip_prefix("metadata.name=")?;
        Some(value.strip_prefix('=').unwrap_or(value))
    })?;
    let usable = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%', '\\']);
    usable.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, target: &str, expected: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method: Method = method.parse().expect("method");
        let info = RequestInfo::parse(&method, path, &Query::parse(query));
        let found = match &info.resource {
            None => info.verb.clone(),
            Some(at) => format!(
                "{} {}/{} {} {} {} {}",
                info.verb, at.group, at.version, at.namespace, at.resource, at.name, at.subresource
            ),
        };
        assert_eq!(found.trim_end(), expected, "{method} {target}");
    }

    #[test]
    fn paths_become_verbs_and_names() {
        check("GET", "/", "get");
        check("POST", "/healthz", "post");
        check("GET", "/api/v1", "get");
        check("GET", "/apis/apps/v1", "get");
        check("GET", "/api/v1/pods", "list /v1  pods");
        check("GET", "/api/v1/pods?watch=1", "watch /v1  pods");
        check("GET", "/api/v1/pods?watch=false", "list /v1  pods");
        check("GET", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name=x", "list /v1 a pods x");
        check("GET", "/api/v1/namespaces/a/pods/b", "get /v1 a pods b");
        check("DELETE", "/api/v1/namespaces/a/pods", "deletecollection /v1 a pods");
        check("PUT", "/api/v1/namespaces/a/pods/b/status", "update /v1 a pods b status");
        check("GET", "/api/v1/namespaces/a", "get /v1 a namespaces a");
        check("PUT", "/api/v1/namespaces/a/finalize", "update /v1 a namespaces a finalize");
        check("GET", "/api/v1/watch/namespaces/a/pods/b", "watch /v1 a pods b");
        check("GET", "/api/v1/watch/pods", "watch /v1  pods");
        check("PATCH", "/apis/g/v1/namespaces/a/leases/x", "patch g/v1 a leases x");
    }
}
