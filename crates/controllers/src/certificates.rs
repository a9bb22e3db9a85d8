//! CertificateSigningRequests of the built-in signers: kubelets' are approved, approved ones signed with the cluster's
//! authority, and old ones deleted.

use std::sync::Arc;
use std::time::Duration;

use api::certificates::request::{CertificateRequest, RequestError};
use api::certificates::v1::certificate_signing_request::{APPROVED, DENIED, FAILED, certificate, conditions_of};
use client::{Client, Lister, ObjectKey, is_not_found};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use tracing::{debug, info};

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};

mod age;
mod authority;
mod checks;
mod der;

pub use authority::{AuthorityError, ClusterAuthority};
use checks::Recognized;

/// The identity of all three controllers.
const IDENTITY: &str = "certificate-controller";
const GROUP: &str = "certificates.k8s.io";
/// After a requester was found to lack the right to a certificate.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Approves what kubelets ask for themselves.
struct Approver {
    client: Client,
    requests: Lister<CertificateSigningRequest>,
}

/// Signs what is approved.
struct Signer {
    client: Client,
    clock: SharedClock,
    random: SharedRandom,
    authority: Arc<ClusterAuthority>,
    requests: Lister<CertificateSigningRequest>,
}

/// Deletes what is over.
struct Cleaner {
    client: Client,
    clock: SharedClock,
    requests: Lister<CertificateSigningRequest>,
}

/// Starts the controllers: they wake when a request changes. Without an authority nothing is signed here.
pub fn start(controllers: &mut Controllers, authority: Option<Arc<ClusterAuthority>>, random: &SharedRandom) {
    let client = controllers.client_of(IDENTITY);
    let (wiring, requests) = wire(controllers);
    controllers.add(Approver { client: client.clone(), requests }, wiring, 1);
    let (wiring, requests) = wire(controllers);
    let clock = controllers.clock.clone();
    controllers.add(Cleaner { client: client.clone(), clock: clock.clone(), requests }, wiring, 1);
    if let Some(authority) = authority {
        let (wiring, requests) = wire(controllers);
        controllers.add(Signer { client, clock, random: random.clone(), authority, requests }, wiring, 1);
    }
}

fn wire(controllers: &mut Controllers) -> (Wiring<String>, Lister<CertificateSigningRequest>) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.signing_requests, |change| change.object()?.metadata.name.clone());
    let requests = wiring.reads(&controllers.watches.signing_requests);
    (wiring, requests)
}

fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    conditions_of(request, kind).next().is_some()
}

/// Approved, and by nobody denied.
fn is_approved(request: &CertificateSigningRequest) -> bool {
    has(request, APPROVED) && !has(request, DENIED)
}

fn add_condition(request: &mut CertificateSigningRequest, kind: &str, reason: &str, message: String, at: Option<Time>) {
    let conditions = request.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.push(CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: at,
        last_transition_time: None,
    });
}

impl Reconcile for Approver {
    type Key = String;
    const NAME: &'static str = "certificate approver";

    async fn reconcile(&self, name: &String) -> Result<Next, Error> {
        let Some(request) = self.requests.get(&ObjectKey::cluster(name.as_str())) else { return Ok(Next::OnWakeUp) };
        if !certificate(&request).is_empty() || has(&request, APPROVED) || has(&request, DENIED) {
            return Ok(Next::OnWakeUp);
        }
        let Some(asked) = read(name, &request) else { return Ok(Next::OnWakeUp) };
        // Somebody may give the right later.
        let mut retry = Next::OnWakeUp;
        for recognized in checks::recognize(&request, &asked) {
            if self.may_be_approved(&request, recognized).await? {
                return self.approve(&request, recognized).await;
            }
            info!(request = name, permission = recognized.subresource(), "not approved: the requester may not ask so");
            retry = Next::After(ASK_AGAIN);
        }
        Ok(retry)
    }
}

impl Approver {
    async fn may_be_approved(&self, request: &CertificateSigningRequest, as_: Recognized) -> Result<bool, Error> {
        let spec = &request.spec;
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: spec.username.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: spec.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(GROUP.to_owned()),
                    resource: Some("certificatesigningrequests".to_owned()),
                    subresource: Some(as_.subresource().to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(Error::during("asking whether the requester may have the certificate"))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn approve(&self, request: &CertificateSigningRequest, as_: Recognized) -> Result<Next, Error> {
        let mut approved = request.clone();
        add_condition(&mut approved, APPROVED, "AutoApproved", as_.message().to_owned(), None);
        write(&self.client, "approval", &approved).await.map_err(Error::during("approving a request"))
    }
}

impl Reconcile for Signer {
    type Key = String;
    const NAME: &'static str = "certificate signer";

    async fn reconcile(&self, name: &String) -> Result<Next, Error> {
        let Some(request) = self.requests.get(&ObjectKey::cluster(name.as_str())) else { return Ok(Next::OnWakeUp) };
        if !is_approved(&request) || has(&request, FAILED) || !certificate(&request).is_empty() {
            return Ok(Next::OnWakeUp);
        }
        let Some(asked) = read(name, &request) else { return Ok(Next::OnWakeUp) };
        let usages = request.spec.usages.as_deref().unwrap_or_default();
        let mut answered = (*request).clone();
        match checks::signable(&request.spec.signer_name, &asked, usages) {
            None => return Ok(Next::OnWakeUp), // somebody else's to sign
            Some(Err(problem)) => {
                let now = Some(Time(self.clock.now()));
                add_condition(&mut answered, FAILED, "SignerValidationFailure", problem.to_string(), now);
            }
            Some(Ok(())) => {
                let order = authority::Order {
                    asked: &asked,
                    usages,
                    expiration_seconds: request.spec.expiration_seconds,
                    now: self.clock.now(),
                };
                let issued = self.authority.sign(&order, self.random.as_ref());
                let issued = issued.map_err(|source| Error::Sign { source })?;
                answered.status.get_or_insert_default().certificate = Some(ByteString(issued.into_bytes()));
            }
        }
        write(&self.client, "status", &answered).await.map_err(Error::during("answering a request"))
    }
}

impl Reconcile for Cleaner {
    type Key = String;
    const NAME: &'static str = "certificate request cleaner";

    async fn reconcile(&self, name: &String) -> Result<Next, Error> {
        let Some(request) = self.requests.get(&ObjectKey::cluster(name.as_str())) else { return Ok(Next::OnWakeUp) };
        let (Some(over), now) = (age::over_at(&request), self.clock.now()) else { return Ok(Next::OnWakeUp) };
        if over > now {
            return Ok(Next::After(wait(now, over)));
        }
        let requests: Api<CertificateSigningRequest> = Api::all(self.client.clone());
        match requests.delete(name, &DeleteParams::default()).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("deleting an old request")(error)),
            _ => Ok(Next::OnWakeUp),
        }
    }
}

fn wait(now: Timestamp, until: Timestamp) -> std::time::Duration {
    until.duration_since(now).try_into().unwrap_or_default()
}

/// What is asked for; nothing when nobody can read it, which validation lets nobody store.
fn read(name: &str, request: &CertificateSigningRequest) -> Option<CertificateRequest> {
    let read: Result<_, RequestError> = CertificateRequest::from_pem(&request.spec.request.0);
    read.inspect_err(|error| debug!(request = name, %error, "cannot read the request")).ok()
}

async fn write(client: &Client, part: &str, request: &CertificateSigningRequest) -> kube::Result<Next> {
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    let name = request.metadata.name.as_deref().unwrap_or_default();
    requests.replace_subresource(part, name, &PostParams::default(), request).await?;
    Ok(Next::OnWakeUp)
}
