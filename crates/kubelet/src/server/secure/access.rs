//! What a request to the kubelet API needs permission for. Pure.

use http::Method;

/// A verb on one of these subresources of the node: one of them is enough.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub verb: &'static str,
    pub subresources: Vec<&'static str>,
}

impl Wish {
    /// What a method and a path need. `proxy` allows everything that has no subresource of its own, and what had none
    /// in earlier versions.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let subresources = match first {
            "stats" => vec!["stats"],
            "metrics" => vec!["metrics"],
            "logs" => vec!["log"],
            "checkpoint" => vec!["checkpoint"],
            "statusz" => vec!["statusz"],
            "healthz" => vec!["healthz", "proxy"],
            "configz" => vec!["configz", "proxy"],
            "pods" | "runningpods" => vec!["pods", "proxy"],
            _ => vec!["proxy"],
        };
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        };
        Self { verb, subresources }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_need_what_upstream_asks_for() {
        let cases: [(Method, &str, &str, &[&str]); 7] = [
            (Method::GET, "/stats/summary", "get", &["stats"]),
            (Method::GET, "/metrics/cadvisor", "get", &["metrics"]),
            (Method::HEAD, "/healthz", "get", &["healthz", "proxy"]),
            (Method::GET, "/runningpods/", "get", &["pods", "proxy"]),
            (Method::POST, "/exec/default/web/app", "create", &["proxy"]),
            (Method::GET, "/containerLogs/default/web/app", "get", &["proxy"]),
            (Method::GET, "/statsx", "get", &["proxy"]),
        ];
        for (method, path, verb, subresources) in cases {
            let expected = Wish { verb, subresources: subresources.to_vec() };
            assert_eq!(Wish::of(&method, path), expected, "{method} {path}");
        }
    }
}
