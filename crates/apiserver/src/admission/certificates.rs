//! Requests for certificates: who made them, who may approve and sign them, and whom no certificate is for.

use api::Object;
use api::certificates::request::CertificateRequest;
use api::certificates::v1::certificate_signing_request::certificate;
use api::certificates::v1beta1::cluster_trust_bundle::signer_of;
use api::k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use api::k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use async_trait::async_trait;
use jiff::Timestamp;

use super::{Attributes, Operation, Plugin};
use crate::authorization::{self, Decision, Target};
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::identity::MASTERS;

const GROUP: &str = "certificates.k8s.io";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Notes who made a request, and when conditions were written. Upstream does this in the resource's strategy; nothing
/// between both looks at it.
pub struct CertificateRequester;

#[async_trait]
impl Plugin for CertificateRequester {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        let Some(request) = object.as_any_mut().downcast_mut::<CertificateSigningRequest>() else { return Ok(()) };
        match attributes.operation {
            Operation::Create => {
                let (user, spec) = (attributes.user, &mut request.spec);
                let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
                spec.username = given(&user.name);
                spec.uid = given(&user.uid);
                spec.groups = Some(user.groups.clone()).filter(|groups| !groups.is_empty());
                spec.extra = Some(user.extra.clone()).filter(|extra| !extra.is_empty());
            }
            Operation::Update if !attributes.subresource.is_empty() => {
                let now = attributes.server.now();
                let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
                let old = attributes.old.and_then(typed).and_then(|old| old.status.as_ref()?.conditions.as_deref());
                let conditions = request.status.as_mut().and_then(|status| status.conditions.as_mut());
                complete_times(conditions.into_iter().flatten(), old.unwrap_or_default(), &now);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A condition that does not say when is of now; one that was there before has turned when it did.
fn complete_times<'a>(
    conditions: impl Iterator<Item = &'a mut CertificateSigningRequestCondition>,
    old: &[CertificateSigningRequestCondition],
    now: &Time,
) {
    for condition in conditions {
        if condition.last_transition_time.is_none() {
            let same = |old: &&CertificateSigningRequestCondition| {
                old.type_ == condition.type_ && old.status == condition.status && old.last_transition_time.is_some()
            };
            let before = old.iter().find(same).and_then(|old| old.last_transition_time.clone());
            condition.last_transition_time = before.or_else(|| Some(now.clone()));
        }
        condition.last_update_time.get_or_insert_with(|| now.clone());
    }
}

/// Only who may `approve` for the signer gives a verdict.
pub struct CertificateApproval;

#[async_trait]
impl Plugin for CertificateApproval {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        let Some(old) = updated(attributes, "approval") else { return Ok(()) };
        check_signer(attributes, object, "approve", &old.spec.signer_name, "approve requests with signerName")
    }
}

/// Only who may `sign` for the signer issues a certificate, or says why not.
pub struct CertificateSigning;

#[async_trait]
impl Plugin for CertificateSigning {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        let (Some(old), Some(new)) = (updated(attributes, "status"), typed(object)) else { return Ok(()) };
        let conditions = |request: &CertificateSigningRequest| {
            request.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default()
        };
        if certificate(old) == certificate(new) && conditions(old) == conditions(new) {
            return Ok(());
        }
        check_signer(attributes, object, "sign", &old.spec.signer_name, "sign requests with signerName")
    }
}

/// Only who may `attest` for a signer says what its clients trust.
pub struct ClusterTrustBundleAttest;

#[async_trait]
impl Plugin for ClusterTrustBundleAttest {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        let Some(bundle) = object.as_any().downcast_ref::<ClusterTrustBundle>() else { return Ok(()) };
        let old = attributes.old.and_then(|old| old.as_any().downcast_ref::<ClusterTrustBundle>());
        let unchanged = attributes.operation == Operation::Update
            && old.is_some_and(|old| old.spec.trust_bundle == bundle.spec.trust_bundle);
        if attributes.operation == Operation::Delete || signer_of(bundle).is_empty() || unchanged {
            return Ok(());
        }
        check_signer(attributes, object, "attest", signer_of(bundle), "attest for signerName")
    }
}

/// No certificate makes its holder a member of `system:masters`.
pub struct CertificateSubjectRestriction;

#[async_trait]
impl Plugin for CertificateSubjectRestriction {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        let Some(request) = typed(object).filter(|request| request.spec.signer_name == CLIENT_SIGNER) else {
            return Ok(());
        };
        if attributes.operation != Operation::Create {
            return Ok(());
        }
        let asked = CertificateRequest::from_pem(&request.spec.request.0)
            .map_err(|error| attributes.forbidden(object, format!("failed to parse CSR: {error}")))?;
        if asked.organizations.iter().any(|organization| organization == MASTERS) {
            let text = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
            return Err(attributes.forbidden(object, text));
        }
        Ok(())
    }
}

fn typed(object: &dyn Object) -> Option<&CertificateSigningRequest> {
    object.as_any().downcast_ref()
}

/// The request before an update of one of its parts.
fn updated<'a>(attributes: &Attributes<'a>, part: &str) -> Option<&'a CertificateSigningRequest> {
    (attributes.operation == Operation::Update && attributes.subresource == part)
        .then_some(attributes.old)?
        .and_then(typed)
}

/// Whether the user may do something for a signer, by its name or by `domain/*`.
fn check_signer(
    attributes: &Attributes<'_>,
    object: &dyn Object,
    verb: &str,
    signer: &str,
    act: &str,
) -> Result<(), Error> {
    let domain = signer.split_once('/').map_or(signer, |(domain, _)| domain);
    let may = |name: &str| {
        let at = ResourcePath {
            group: GROUP.to_owned(),
            version: "*".to_owned(),
            resource: "signers".to_owned(),
            name: name.to_owned(),
            ..ResourcePath::default()
        };
        let question = authorization::Attributes { user: attributes.user, verb, target: Target::Resource(&at) };
        matches!(attributes.server.authorizer.authorize(&question), Decision::Allow(_))
    };
    if may(signer) || may(&format!("{domain}/*")) {
        return Ok(());
    }
    Err(attributes.forbidden(object, format!("user not permitted to {act} {signer:?}")))
}
