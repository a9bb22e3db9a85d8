//! Tokens of Secrets bear the day of their last use, so that those nobody uses any more can be found.

use http::header::CONTENT_TYPE;
use http_body_util::Full;
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;
use tower::ServiceExt as _;
use tracing::warn;

use super::{Arc, Server};
use crate::identity::{MASTERS, UserInfo};
use crate::in_process::InProcess;
use crate::tokens::{LAST_USED_LABEL, UsedSecret};

/// Notes a use, once a day, as upstream's server does: through its own front door. A use that cannot be noted is no
/// reason to turn anybody away.
pub async fn note(server: &Arc<Server>, used: &UsedSecret) {
    let Some(today) = day_to_note(used.last_used.as_deref(), server.now()) else { return };
    let UsedSecret { namespace, name, uid, .. } = used;
    let patch = json!({ "metadata": { "name": name, "namespace": namespace, "uid": uid,
                                      "labels": { LAST_USED_LABEL: today } } });
    let request = http::Request::patch(format!("/api/v1/namespaces/{namespace}/secrets/{name}"))
        .header(CONTENT_TYPE, "application/merge-patch+json")
        .body(Full::from(patch.to_string()));
    let Ok(request) = request else { return };
    let itself = InProcess::new(Arc::clone(server), UserInfo::new("system:apiserver", [MASTERS]));
    let Ok(answer) = itself.oneshot(request).await;
    if !answer.status().is_success() {
        warn!(namespace, name, status = %answer.status(), "cannot note that the token of a Secret was used");
    }
}

/// Today, unless that is noted. Tomorrow is also good: clocks of servers differ.
fn day_to_note(last_used: Option<&str>, now: Timestamp) -> Option<String> {
    let day = |moment: Timestamp| moment.strftime("%Y-%m-%d").to_string();
    let (today, tomorrow) = (day(now), now.checked_add(24.hours()).map(day));
    let is_noted = last_used.is_some_and(|noted| noted == today || tomorrow.is_ok_and(|tomorrow| noted == tomorrow));
    (!is_noted).then_some(today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_noted_once_a_day() {
        let now = "2026-02-28T23:59:59Z".parse().unwrap();
        for (noted, expected) in [
            (None, Some("2026-02-28")),
            (Some("2026-02-27"), Some("2026-02-28")),
            (Some("someday"), Some("2026-02-28")),
            (Some("2026-02-28"), None),
            (Some("2026-03-01"), None),
        ] {
            assert_eq!(day_to_note(noted, now).as_deref(), expected, "{noted:?}");
        }
    }
}
