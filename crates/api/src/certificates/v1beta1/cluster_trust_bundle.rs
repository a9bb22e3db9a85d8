//! ClusterTrustBundles: certificates that a signer's clients trust.

use std::collections::BTreeMap;

use k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::certificates::pem;
use crate::field::{ErrorList, Path, extend_invalid, invalid, too_long};
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::{Problems, SUBDOMAIN_MAX_LENGTH, dns1123_label, dns1123_subdomain, subdomain_name};
use crate::object::Kind;
use crate::omit_empty;

/// The largest bundle, in bytes.
const MAX_SIZE: usize = 1024 * 1024;
/// What certificates are called in messages: they are too long to be shown.
const OMITTED: &str = "<value omitted>";

impl Kind for ClusterTrustBundle {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        self.spec.signer_name.take_if(|signer| signer.is_empty());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_names(self);
        errors.extend(validate_bundle(&self.spec.trust_bundle));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_names(self);
        // What was taken once may stay.
        if self.spec.trust_bundle != old.spec.trust_bundle {
            errors.extend(validate_bundle(&self.spec.trust_bundle));
        }
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        if self.spec.signer_name != old.spec.signer_name {
            let path = Path::new("spec");
            errors.push(invalid(&path.child("signerName"), signer_of(self), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

/// The signer whose clients trust the bundle, or the empty string.
pub fn signer_of(bundle: &ClusterTrustBundle) -> &str {
    bundle.spec.signer_name.as_deref().unwrap_or_default()
}

fn validate_names(bundle: &ClusterTrustBundle) -> ErrorList {
    // Names of a signer's bundles begin with the signer's, which no other check knows.
    let mut errors = validate_meta(&bundle.metadata, Scope::Cluster, |_, _| Vec::new());
    let metadata = Path::new("metadata");
    let name = bundle.metadata.name.as_deref().unwrap_or_default();
    extend_invalid(&mut errors, &metadata.child("name"), name, check_name(signer_of(bundle), name));
    if !signer_of(bundle).is_empty() {
        let spec = Path::new("spec");
        errors.extend(validate_signer(signer_of(bundle), &spec.child("signerName")));
    }
    errors
}

/// Every problem of a bundle's name; without a signer, `signer` is empty.
pub(crate) fn check_name(signer: &str, name: &str) -> Problems {
    if signer.is_empty() {
        return match name.contains(':') {
            true => vec!["ClusterTrustBundle without signer name must not have \":\" in its name".into()],
            false => subdomain_name(name, false),
        };
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => subdomain_name(rest, false),
        None => vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}").into()],
    }
}

/// Every problem of a signer's name: a domain and a path.
pub(crate) fn validate_signer(signer: &str, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    let parts: Vec<&str> = signer.split('/').collect();
    let &[domain, rest] = parts.as_slice() else {
        let form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(invalid(path, signer, form));
        return errors;
    };
    if domain.len() > SUBDOMAIN_MAX_LENGTH {
        errors.push(too_long(path, SUBDOMAIN_MAX_LENGTH));
    }
    let mut check = |part: &str, label: &str, problems: Problems| {
        errors.extend(
            problems.iter().map(|problem| invalid(path, part, format!("validating label {label:?}: {problem}"))),
        );
    };
    domain.split('.').for_each(|label| check(domain, label, dns1123_label(label)));
    rest.split('.').for_each(|label| check(rest, label, dns1123_subdomain(label)));
    if !domain.contains('.') {
        errors.push(invalid(path, domain, "should be a domain with at least two segments separated by dots"));
    }
    errors
}

fn validate_bundle(text: &str) -> ErrorList {
    let path = Path::new("spec");
    let path = path.child("trustBundle");
    let mut errors = ErrorList::new();
    if text.len() > MAX_SIZE {
        errors.push(too_long(&path, MAX_SIZE));
        return errors;
    }
    let mut seen: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (position, block) in pem::blocks(text).into_iter().enumerate() {
        match problem_of(&block) {
            Some(problem) => errors.push(invalid(&path, OMITTED, format!("entry {position} {problem}"))),
            None => seen.entry(block.data).or_default().push(position),
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    if seen.is_empty() {
        errors.push(invalid(&path, OMITTED, "at least one trust anchor must be provided"));
    }
    for positions in seen.values().filter(|positions| positions.len() > 1) {
        let positions: Vec<String> = positions.iter().map(ToString::to_string).collect();
        let problem = format!("duplicate trust anchor (indices [{}])", positions.join(" "));
        errors.push(invalid(&path, OMITTED, problem));
    }
    errors
}

/// Why a block is no trust anchor.
fn problem_of(block: &pem::Block) -> Option<String> {
    if block.label != "CERTIFICATE" {
        return Some(format!("has bad block type: {}", block.label));
    }
    if block.has_headers {
        return Some("has PEM block headers".to_owned());
    }
    let Ok((_, certificate)) = X509Certificate::from_der(&block.data) else {
        return Some("does not parse as X.509".to_owned());
    };
    match certificate.basic_constraints() {
        Ok(Some(constraints)) if constraints.value.ca => None,
        Ok(_) => Some("does not have the CA bit set".to_owned()),
        Err(_) => Some("has invalid basic constraints".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(name: &str, signer: Option<&str>, bundle: &str) -> Vec<String> {
        let spec = json!({ "signerName": signer, "trustBundle": bundle });
        let bundle: ClusterTrustBundle =
            serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap();
        bundle.validate().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_follow_the_signer() {
        let named = |name, signer| problems(name, signer, "").into_iter().find(|problem| problem.contains("name"));
        assert_eq!(named("plain.name", None), None);
        assert_eq!(named("example.com:foo:v1", Some("example.com/foo")), None);
        assert!(named("a:b", None).unwrap().contains("must not have \":\" in its name"));
        let wrong = named("v1", Some("example.com/foo")).unwrap();
        assert!(
            wrong.ends_with(
                "ClusterTrustBundle for signerName example.com/foo must be named with prefix example.com:foo:"
            )
        );
        assert!(named("x:v1", Some("x")).unwrap().contains("must be a fully qualified domain and path"));
    }

    #[test]
    fn bundles_hold_authorities_once() {
        let only = |bundle: &str| problems("x", None, bundle).join("; ");
        assert!(only("text").ends_with("at least one trust anchor must be provided"));
        assert!(only("-----BEGIN KEY-----\nAQ==\n-----END KEY-----").ends_with("entry 0 has bad block type: KEY"));
        assert!(only(&pem::certificate(b"no")).ends_with("entry 0 does not parse as X.509"));
        let headers = "-----BEGIN CERTIFICATE-----\na: b\n\nAQ==\n-----END CERTIFICATE-----";
        assert!(only(headers).ends_with("entry 0 has PEM block headers"));
    }
}
