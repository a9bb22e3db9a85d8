//! CertificateSigningRequests.

use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::certificates::{pem, request};
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
        if let Err(problem) = check_certificate(certificate(self)) {
            errors.push(invalid(&STATUS.child("certificate"), "<certificate data>", problem));
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_any_update(self, old);
        keeps_verdict(self, old, &mut errors);
        if certificate(self) != certificate(old) {
            errors.push(forbidden(&STATUS.child("certificate"), "updates may not set certificate content"));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_any_update(self, old);
        keeps_verdict(self, old, &mut errors);
        if !certificate(old).is_empty() && certificate(self) != certificate(old) {
            let path = STATUS.child("certificate");
            errors.push(forbidden(&path, "updates may not modify existing certificate content"));
        }
        errors
    }
}

/// Every problem of a verdict.
pub fn validate_approval_update(new: &CertificateSigningRequest, old: &CertificateSigningRequest) -> ErrorList {
    let mut errors = validate_any_update(new, old);
    if certificate(new) != certificate(old) {
        errors.push(forbidden(&STATUS.child("certificate"), "updates may not set certificate content"));
    }
    errors
}

fn validate_any_update(new: &CertificateSigningRequest, old: &CertificateSigningRequest) -> ErrorList {
    let mut errors = new.validate();
    errors.extend(validate_meta_update(&new.metadata, &old.metadata));
    for kind in [APPROVED, DENIED, FAILED] {
        if conditions_of(new, kind).count() < conditions_of(old, kind).count() {
            let text = format!("updates may not remove a condition of type {kind:?}");
            errors.push(forbidden(&STATUS.child("conditions"), text));
        }
    }
    errors
}

/// Only a verdict gives or changes a verdict.
fn keeps_verdict(new: &CertificateSigningRequest, old: &CertificateSigningRequest, errors: &mut ErrorList) {
    for kind in [APPROVED, DENIED] {
        let (mut now, mut before) = (conditions_of(new, kind), conditions_of(old, kind));
        let act = match (now.clone().count(), before.clone().count()) {
            (many, few) if many > few => "add",
            (few, many) if few < many => continue, // told above
            _ if now.by_ref().eq(before.by_ref()) => continue,
            _ => "modify",
        };
        let text = format!("updates may not {act} a condition of type {kind:?}");
        errors.push(forbidden(&STATUS.child("conditions"), text));
    }
}

/// The conditions of one type.
pub fn conditions_of<'a>(
    request: &'a CertificateSigningRequest,
    kind: &'a str,
) -> impl Iterator<Item = &'a CertificateSigningRequestCondition> + Clone {
    let lists = request.status.iter().filter_map(|status| status.conditions.as_ref());
    lists.flatten().filter(move |condition| condition.type_ == kind)
}

/// The certificate that was issued; empty while none was.
pub fn certificate(request: &CertificateSigningRequest) -> &[u8] {
    let issued = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    issued.map_or(&[], |certificate| certificate.0.as_slice())
}

fn check_certificate(text: &[u8]) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let blocks = pem::blocks(&String::from_utf8_lossy(text));
    if blocks.is_empty() {
        return Err("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    for block in blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        if !X509Certificate::from_der(&block.data).is_ok_and(|(rest, _)| rest.is_empty()) {
            return Err("x509: malformed certificate".to_owned());
        }
    }
    Ok(())
}

fn validate_request(spec: &CertificateSigningRequestSpec, errors: &mut ErrorList) {
    if let Err(problem) = request::verify(&spec.request.0) {
        errors.push(invalid(&SPEC.child("request"), Json(&spec.request), problem.to_string()));
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

    /// A request for `system:node:a` of `system:nodes`, made with a key nobody kept.
    const REQUEST: &str = "-----BEGIN CERTIFICATE REQUEST-----
MIHqMIGRAgEAMC8xFTATBgNVBAoMDHN5c3RlbTpub2RlczEWMBQGA1UEAwwNc3lz
dGVtOm5vZGU6YTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAfpy89EBsGe8Sd5
AbRuIb0H4AFoiFAOfXTlie5/m5/gEUUe3hOo7ERDm+LJv6LCzgxdzWG6JYLe6KJq
Xuer4MKgADAKBggqhkjOPQQDAgNIADBFAiEA6DK0MhWv5C+naSqgBAO2KhOEFl0B
U0updI5QNznTsPcCIG1STc93pZLWfJNAM0FNnWn9QTvOsEi3hdDAyeUbArlH
-----END CERTIFICATE REQUEST-----
";

    fn request(signer: &str, usage: &str) -> CertificateSigningRequest {
        let spec = json!({"signerName": signer, "usages": [usage], "request": ""});
        let mut request: CertificateSigningRequest =
            serde_json::from_value(json!({"metadata": {"name": "r", "resourceVersion": "1"}, "spec": spec})).unwrap();
        request.spec.request = ByteString(REQUEST.as_bytes().to_vec());
        request.set_defaults();
        request
    }

    fn fields(errors: &ErrorList) -> Vec<&str> {
        errors.iter().map(|error| error.field.as_str()).collect()
    }

    #[test]
    fn requests_name_their_signer_and_known_usages() {
        assert!(request("example.com/a", "client auth").validate().is_empty());
        for (signer, usage, field) in [
            ("bad", "client auth", "spec.signerName"),
            ("kubernetes.io/legacy-unknown", "client auth", "spec.signerName"),
            ("example.com/a", "odd", "spec.usages[0]"),
        ] {
            assert_eq!(fields(&request(signer, usage).validate()), [field], "{signer}");
        }
    }

    #[test]
    fn requests_are_signed_by_their_key() {
        let with = |text: &str| {
            let mut request = request("example.com/a", "client auth");
            request.spec.request = ByteString(text.as_bytes().to_vec());
            request.validate().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        for (text, problem) in [
            (String::new(), "PEM block type must be CERTIFICATE REQUEST"),
            (REQUEST.replace(" REQUEST", ""), "PEM block type must be CERTIFICATE REQUEST"),
            (REQUEST.replace("MIHq", "AIHq"), "asn1: structure error"),
            (
                REQUEST.replace(
                    "U0updI5QNznTsPcCIG1STc93pZLWfJNAM0FNnWn9QTvOsEi3hdDAyeUbArlH",
                    "U0updIAQNznTsPcCIG1STc93pZLWfJNAM0FNnWn9QTvOsEi3hdDAyeUbArlH",
                ),
                "x509: verification failure",
            ),
        ] {
            let told = with(&text);
            assert!(told.starts_with("spec.request: Invalid value: ") && told.contains(problem), "{told}");
        }
    }

    #[test]
    fn each_part_changes_its_own() {
        let plain = request("example.com/a", "client auth");
        let with = |kinds: &[&str]| {
            let list: Vec<_> = kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
            let mut request = plain.clone();
            request.status = serde_json::from_value(json!({"conditions": list})).unwrap();
            request
        };
        let approved = with(&[APPROVED]);
        assert!(validate_approval_update(&approved, &plain).is_empty());
        assert_eq!(validate_approval_update(&plain, &approved).len(), 1, "a verdict stays");
        assert_eq!(with(&[APPROVED, DENIED]).validate().len(), 1);
        assert_eq!(fields(&approved.validate_status_update(&plain)), ["status.conditions"]);
        assert!(with(&[FAILED]).validate_status_update(&plain).is_empty());
        let mut reworded = approved.clone();
        reworded.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].message = Some("m".to_owned());
        assert_eq!(fields(&reworded.validate_status_update(&approved)), ["status.conditions"]);
        let mut issued = plain.clone();
        issued.status.as_mut().unwrap().certificate = Some(ByteString(b"junk".to_vec()));
        assert_eq!(fields(&issued.validate_status_update(&plain)), ["status.certificate"]);
        assert_eq!(fields(&validate_approval_update(&issued, &plain)), ["status.certificate", "status.certificate"]);
    }
}
