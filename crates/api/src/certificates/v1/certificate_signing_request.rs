//! CertificateSigningRequests.

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};

use crate::field::{ErrorList, Json, Path, duplicate, forbidden, invalid, not_supported, required};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::{dns1123_label, dns1123_subdomain, path_segment_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// Someone wants it signed.
pub const APPROVED: &str = "Approved";
/// Someone does not.
pub const DENIED: &str = "Denied";
/// The signer could not.
pub const FAILED: &str = "Failed";

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const PEM_END: &str = "-----END CERTIFICATE REQUEST-----";
/// The shortest life a certificate may be asked for.
const MIN_SECONDS: i32 = 600;
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

impl Kind for CertificateSigningRequest {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = &mut self.spec;
        omit_empty!(spec => groups, uid, usages, username, extra);
        let status = self.status.get_or_insert_default();
        omit_empty!(status => conditions);
        for condition in status.conditions.iter_mut().flatten() {
            omit_empty!(condition => message, reason);
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, path_segment_name);
        validate_request(&self.spec, &mut errors);
        validate_usages(&self.spec, &mut errors);
        validate_signer(&self.spec.signer_name, &mut errors);
        if let Some(seconds) = self.spec.expiration_seconds.filter(|seconds| *seconds < MIN_SECONDS) {
            let path = SPEC.child("expirationSeconds");
            errors.push(invalid(&path, seconds, "may not specify a duration less than 600 seconds (10 minutes)"));
        }
        validate_conditions(self, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = self.validate();
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        let path = STATUS.child("conditions");
        for kind in [APPROVED, DENIED, FAILED] {
            if has_condition(old, kind) && !has_condition(self, kind) {
                errors.push(forbidden(&path, format!("updates may not remove a condition of type {kind:?}")));
            }
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = Kind::validate_update(self, old);
        let certificate = |request: &Self| {
            request.status.as_ref().and_then(|status| status.certificate.clone()).filter(|data| !data.0.is_empty())
        };
        if certificate(old).is_some() && certificate(self) != certificate(old) {
            errors.push(forbidden(&STATUS.child("certificate"), "updates may not modify a set certificate"));
        }
        errors
    }
}

fn has_condition(request: &CertificateSigningRequest, kind: &str) -> bool {
    let lists = request.status.iter().filter_map(|status| status.conditions.as_ref());
    lists.flatten().any(|condition| condition.type_ == kind)
}

fn validate_request(spec: &CertificateSigningRequestSpec, errors: &mut ErrorList) {
    let text = String::from_utf8_lossy(&spec.request.0);
    let text = text.trim();
    if !text.starts_with(PEM_BEGIN) || !text.ends_with(PEM_END) {
        let message = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(invalid(&SPEC.child("request"), Json(&spec.request), message));
    }
}

fn validate_usages(spec: &CertificateSigningRequestSpec, errors: &mut ErrorList) {
    let path = SPEC.child("usages");
    let usages = spec.usages.as_deref().unwrap_or_default();
    if usages.is_empty() {
        errors.push(required(&path, ""));
    }
    for (position, usage) in usages.iter().enumerate() {
        if !USAGES.contains(&usage.as_str()) {
            errors.push(not_supported(&path.index(position), usage, USAGES));
        }
        if usages[..position].contains(usage) {
            errors.push(duplicate(&path.index(position), usage));
        }
    }
}

/// A signer's name is a domain, a slash and the rest.
fn validate_signer(signer: &str, errors: &mut ErrorList) {
    let path = SPEC.child("signerName");
    if signer.is_empty() {
        errors.push(required(&path, ""));
        return;
    }
    let Some((domain, rest)) = signer.split_once('/') else {
        let message = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(invalid(&path, signer, message));
        return;
    };
    let labelled = |part: &str, problem: &str| invalid(&path, part, format!("validating label {part:?}: {problem}"));
    errors.extend(dns1123_subdomain(domain).iter().map(|problem| labelled(domain, problem)));
    if !domain.contains('.') {
        errors.push(invalid(&path, signer, "should be a domain with at least two segments separated by dots"));
    }
    for part in rest.split('.') {
        errors.extend(dns1123_label(part).iter().map(|problem| labelled(part, problem)));
    }
    if signer == "kubernetes.io/legacy-unknown" {
        errors.push(invalid(&path, signer, "the legacy signerName is not allowed via this API version"));
    }
}

fn validate_conditions(request: &CertificateSigningRequest, errors: &mut ErrorList) {
    let list_path = STATUS.child("conditions");
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    for (position, condition) in conditions.iter().enumerate() {
        let path = list_path.index(position);
        let kind = condition.type_.as_str();
        let (type_path, status_path) = (path.child("type"), path.child("status"));
        if kind.is_empty() {
            errors.push(required(&type_path, ""));
        }
        match condition.status.as_str() {
            "" => errors.push(required(&status_path, "")),
            "True" => {}
            status if matches!(kind, APPROVED | DENIED | FAILED) => {
                errors.push(not_supported(&status_path, status, &["True"]));
            }
            "False" | "Unknown" => {}
            status => errors.push(not_supported(&status_path, status, &["True", "False", "Unknown"])),
        }
        let before = |wanted: &str| conditions[..position].iter().any(|other| other.type_ == wanted);
        if (kind == APPROVED && before(DENIED)) || (kind == DENIED && before(APPROVED)) {
            errors.push(invalid(&type_path, kind, "Approved and Denied conditions are mutually exclusive"));
        }
        if before(kind) {
            errors.push(duplicate(&type_path, kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn request(signer: &str, usage: &str) -> CertificateSigningRequest {
        let spec = json!({"signerName": signer, "usages": [usage], "request": ""});
        let mut request: CertificateSigningRequest =
            serde_json::from_value(json!({"metadata": {"name": "r", "resourceVersion": "1"}, "spec": spec})).unwrap();
        request.spec.request = ByteString(format!("{PEM_BEGIN}\nAAAA\n{PEM_END}\n").into_bytes());
        request.set_defaults();
        request
    }

    #[test]
    fn requests_name_their_signer_and_known_usages() {
        assert!(request("example.com/a", "client auth").validate().is_empty());
        for (signer, usage, field) in [
            ("bad", "client auth", "spec.signerName"),
            ("kubernetes.io/legacy-unknown", "client auth", "spec.signerName"),
            ("example.com/a", "odd", "spec.usages[0]"),
        ] {
            let errors = request(signer, usage).validate();
            assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), [field], "{signer}");
        }
    }

    #[test]
    fn verdicts_stay() {
        let plain = request("example.com/a", "client auth");
        let with = |kinds: &[&str]| {
            let list: Vec<_> = kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
            let mut request = plain.clone();
            request.status = serde_json::from_value(json!({"conditions": list})).unwrap();
            request
        };
        assert!(Kind::validate_update(&with(&[APPROVED]), &plain).is_empty());
        assert_eq!(Kind::validate_update(&plain, &with(&[APPROVED])).len(), 1);
        assert_eq!(with(&[APPROVED, DENIED]).validate().len(), 1);
    }
}
