//! `/healthz`, `/livez`, `/readyz` and their checks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

use crate::api_server::Server;
use crate::negotiate;
use crate::query::Query;
use crate::request::Response;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Whether this server answers at all.
    Ping,
    /// Whether the store answers, and the caches with it.
    Store,
    /// Whether what a server makes at its start is there.
    Started,
    /// Whether it goes on.
    Shutdown,
}

/// Checks of every endpoint, under upstream's names.
const COMMON: &[(&str, Check)] = &[("ping", Check::Ping), ("log", Check::Ping), ("etcd", Check::Store)];
/// Further checks before the hooks, for readiness.
const READY: &[(&str, Check)] = &[("etcd-readiness", Check::Store), ("informer-sync", Check::Store)];
/// What upstream does after its start, and this server before or while it begins to answer.
const HOOKS: &[&str] = &[
    "poststarthook/start-kube-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/aggregator-reload-proxy-client-cert",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-status-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
];
/// A store that does not answer for so long is taken for dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// The endpoints.
pub const ENDPOINTS: [&str; 3] = ["healthz", "livez", "readyz"];

/// Checks of an endpoint, in their order.
fn checks(endpoint: &str) -> impl Iterator<Item = (&'static str, Check)> {
    let ready = endpoint == "readyz";
    let shutdown: &[_] = &[("shutdown", Check::Shutdown)];
    let (more, last) = if ready { (READY, shutdown) } else { (&[][..], &[][..]) };
    let hooks = HOOKS.iter().map(|name| (*name, Check::Started));
    COMMON.iter().chain(more).copied().chain(hooks).chain(last.iter().copied())
}

/// All paths below the endpoints.
pub fn paths() -> Vec<String> {
    let of = |endpoint: &'static str| checks(endpoint).map(move |(check, _)| format!("/{endpoint}/{check}"));
    ENDPOINTS.into_iter().flat_map(of).collect()
}

/// Why a check fails, if it does.
async fn problem(server: &Server, check: Check) -> Option<&'static str> {
    match check {
        Check::Ping => None,
        Check::Store => {
            let follows = follows_the_store(server).await;
            (!follows).then_some("the store does not answer, or the caches do not follow it")
        }
        Check::Started => (!server.started.load(Ordering::Relaxed)).then_some("not finished"),
        Check::Shutdown => server.stopping.load(Ordering::Relaxed).then_some("process is shutting down"),
    }
}

/// Whether the caches show what the store has.
pub async fn follows_the_store(server: &Server) -> bool {
    matches!(tokio::time::timeout(PATIENCE, server.caches.fresh()).await, Ok(Ok(_)))
}

/// Answers a health check, or one part of it. Every method is answered, as upstream does. `None` for other paths.
pub async fn answer(server: &Server, path: &str, query: &Query) -> Option<Response> {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (first, check) = (parts.next()?, parts.next().filter(|check| !check.is_empty()));
    let endpoint = ENDPOINTS.into_iter().find(|endpoint| *endpoint == first)?;
    Some(match check {
        None => all(server, endpoint, query).await,
        Some(check) => one(server, endpoint, check).await,
    })
}

async fn one(server: &Server, endpoint: &'static str, name: &str) -> Response {
    let Some((name, check)) = checks(endpoint).find(|(known, _)| *known == name) else {
        return negotiate::text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let problem = problem(server, check).await;
    server.slis.note(name, endpoint, problem.is_none());
    match problem {
        None => negotiate::text(StatusCode::OK, "ok"),
        Some(problem) => {
            let text = format!("internal server error: {problem}\n");
            negotiate::text(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

async fn all(server: &Server, endpoint: &'static str, query: &Query) -> Response {
    let mut excluded: Vec<&str> = query.all("exclude").collect();
    let (mut report, mut healthy) = (String::new(), true);
    for (name, check) in checks(endpoint) {
        let asked_for = excluded.len();
        excluded.retain(|excluded| *excluded != name);
        if excluded.len() < asked_for {
            report.push_str(&format!("[+]{name} excluded: ok\n"));
            continue;
        }
        let passes = problem(server, check).await.is_none();
        server.slis.note(name, endpoint, passes);
        healthy &= passes;
        let line = if passes { format!("[+]{name} ok\n") } else { format!("[-]{name} failed: reason withheld\n") };
        report.push_str(&line);
    }
    if !excluded.is_empty() {
        excluded.sort_unstable();
        excluded.dedup();
        let names: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(",");
        report.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
    }
    match (healthy, query.get("verbose").is_some()) {
        (true, false) => negotiate::text(StatusCode::OK, "ok"),
        (true, true) => negotiate::text(StatusCode::OK, format!("{report}{endpoint} check passed\n")),
        (false, _) => negotiate::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{report}{endpoint} check failed\n")),
    }
}
