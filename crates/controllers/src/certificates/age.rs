//! When a request is over.

use api::certificates::pem;
use api::certificates::v1::certificate_signing_request::{APPROVED, DENIED, FAILED, certificate, conditions_of};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Requests with a verdict stay so long.
const DECIDED: SignedDuration = SignedDuration::from_hours(1);
/// Those that nobody looked at.
const PENDING: SignedDuration = SignedDuration::from_hours(24);

/// The first moment at which nobody needs the request any more; `None` while nothing tells.
pub fn over_at(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.is_empty() {
        return Some(after(request.metadata.creation_timestamp.as_ref()?.0, PENDING));
    }
    let decided = [APPROVED, DENIED, FAILED].iter().flat_map(|kind| conditions_of(request, kind));
    let decided = decided.filter_map(|condition| Some(after(condition.last_update_time.as_ref()?.0, DECIDED))).min();
    let expires = conditions_of(request, APPROVED).next().and_then(|_| expiry(certificate(request)));
    decided.into_iter().chain(expires).min()
}

fn after(moment: Timestamp, age: SignedDuration) -> Timestamp {
    moment.saturating_add(age).unwrap_or(Timestamp::MAX)
}

/// When the certificate that was issued ends.
fn expiry(issued: &[u8]) -> Option<Timestamp> {
    let block = pem::blocks(&String::from_utf8_lossy(issued)).into_iter().next()?;
    let (_, certificate) = X509Certificate::from_der(&block.data).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn over(conditions: Value) -> Option<String> {
        let request = serde_json::from_value(json!({
            "metadata": { "name": "r", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "request": "", "signerName": "example.com/s" },
            "status": { "conditions": conditions },
        }));
        over_at(&request.unwrap()).map(|at| at.to_string())
    }

    #[test]
    fn verdicts_shorten_the_wait() {
        let condition = |kind: &str, at: &str| json!({ "type": kind, "status": "True", "lastUpdateTime": at });
        assert_eq!(over(json!([])).as_deref(), Some("2026-01-02T00:00:00Z"));
        for kind in [APPROVED, DENIED, FAILED] {
            let told = over(json!([condition(kind, "2026-01-01T02:00:00Z")]));
            assert_eq!(told.as_deref(), Some("2026-01-01T03:00:00Z"), "{kind}");
        }
        let both = json!([condition(APPROVED, "2026-01-01T02:00:00Z"), condition(FAILED, "2026-01-01T05:00:00Z")]);
        assert_eq!(over(both).as_deref(), Some("2026-01-01T03:00:00Z"));
        assert_eq!(over(json!([condition("Other", "2026-01-01T02:00:00Z")])), None);
    }
}
