//! Columns of CertificateSigningRequests and ClusterTrustBundles.

use api::certificates::v1::certificate_signing_request::{APPROVED, DENIED, FAILED};
use api::certificates::v1beta1::cluster_trust_bundle::signer_of;
use api::k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use api::k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, or_none, typed};

pub(super) static CERTIFICATE_SIGNING_REQUEST: Columns = Columns {
    definitions: &[
        NAME,
        AGE,
        column("SignerName", descriptions::CERTIFICATE_SIGNING_REQUEST_SPEC_SIGNER_NAME),
        column("Requestor", descriptions::CERTIFICATE_SIGNING_REQUEST_SPEC_REQUEST),
        column("RequestedDuration", descriptions::CERTIFICATE_SIGNING_REQUEST_SPEC_EXPIRATION_SECONDS),
        column("Condition", descriptions::CERTIFICATE_SIGNING_REQUEST_STATUS_CONDITIONS),
    ],
    row: |object, now| {
        let request = typed::<CertificateSigningRequest>(object);
        let duration = request.spec.expiration_seconds.map(|seconds| age::human(i64::from(seconds)));
        Row::from(vec![
            name(object),
            age(object, now),
            or_none(Some(&request.spec.signer_name)),
            request.spec.username.clone().unwrap_or_default().into(),
            or_none(duration.as_deref()),
            state(request).into(),
        ])
    },
};

fn state(request: &CertificateSigningRequest) -> String {
    let status = request.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let is = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind);
    let verdict = if is(DENIED) {
        DENIED
    } else if is(APPROVED) {
        APPROVED
    } else {
        "Pending"
    };
    let failed = if is(FAILED) { ",Failed" } else { "" };
    let issued = if status.certificate.is_some_and(|data| !data.0.is_empty()) { ",Issued" } else { "" };
    format!("{verdict}{failed}{issued}")
}

pub(super) static CLUSTER_TRUST_BUNDLE: Columns = Columns {
    definitions: &[NAME, column("SignerName", "Indicates the associated signer, if any.")],
    row: |object, _| Row::from(vec![name(object), or_none(Some(signer_of(typed::<ClusterTrustBundle>(object))))]),
};
