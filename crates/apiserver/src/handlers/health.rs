//! `/healthz`, `/livez`, `/readyz` and their checks.

use http::StatusCode;

use crate::api_server::Server;
use crate::error::Error;
use crate::negotiate;
use crate::query::Query;
use crate::request::Response;

/// What can be asked for one by one.
pub const CHECKS: [&str; 2] = ["ping", "watch-cache"];

/// Whether a check passes. The cache follows every commit; it is late only while the store is ahead.
async fn passes(server: &Server, check: &str) -> bool {
    match check {
        "watch-cache" => follows_the_store(server).await,
        _ => true,
    }
}

/// Whether the cache shows what the store has.
pub async fn follows_the_store(server: &Server) -> bool {
    let patience = std::time::Duration::from_secs(2);
    matches!(tokio::time::timeout(patience, server.caches.fresh()).await, Ok(Ok(_)))
}

/// Answers a health check, or one part of it.
/// Every method is answered, as upstream does.
///
/// # Errors
/// [`Error::UnknownPath`] for checks there are not.
pub async fn answer(server: &Server, path: &str, query: &Query) -> Result<Option<Response>, Error> {
    let mut parts = path.trim_matches('/').splitn(2, '/');
    let (Some(endpoint @ ("healthz" | "livez" | "readyz")), check) = (parts.next(), parts.next()) else {
        return Ok(None);
    };
    let asked: Vec<&str> = match check {
        None => CHECKS.to_vec(),
        Some(check) => vec![*CHECKS.iter().find(|known| **known == check).ok_or(Error::UnknownPath)?],
    };
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut report = String::new();
    let mut healthy = true;
    for check in asked {
        let line = match (excluded.contains(&check), passes(server, check).await) {
            (true, _) => format!("[+]{check} excluded: ok\n"),
            (false, true) => format!("[+]{check} ok\n"),
            (false, false) => {
                healthy = false;
                format!("[-]{check} failed: reason withheld\n")
            }
        };
        report.push_str(&line);
    }
    Ok(Some(match (healthy, check.is_none() && query.get("verbose").is_some()) {
        (true, false) => negotiate::text(StatusCode::OK, "ok"),
        (true, true) => negotiate::text(StatusCode::OK, format!("{report}{endpoint} check passed\n")),
        (false, _) => negotiate::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{report}{endpoint} check failed\n")),
    }))
}
