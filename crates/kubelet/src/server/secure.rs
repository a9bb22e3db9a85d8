//! The kubelet API over HTTPS: who calls, and may they? Clients show a certificate of the cluster's authority or a token
//! that the API server knows; the API server decides what they may do.

mod access;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use platform::tasks::{TaskKind, spawn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, warn};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Body, KubeletApi, text};
use access::Wish;

/// Connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// After an error of the listener, such as no free descriptors, the next attempt waits.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The kubelet API on a socket. Runs as long as it is polled.
pub struct SecureServer {
    /// Where it listens.
    pub listener: TcpListener,
    /// Its certificate, and the authority of its clients'. Speaks HTTP/1.1 only.
    pub tls: Arc<ServerConfig>,
    /// What it serves.
    pub api: KubeletApi,
    /// Who asks the API server about clients: this node.
    pub client: kube::Client,
    /// The node's name.
    pub node_name: String,
}

/// Somebody who made a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Caller {
    name: String,
    uid: Option<String>,
    groups: Vec<String>,
}

impl SecureServer {
    /// Accepts and serves connections until the future is dropped.
    pub async fn run(self) {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.tls));
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let gate = Arc::new(Gate { client: self.client, node_name: self.node_name });
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await;
            let tcp = match self.listener.accept().await {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    warn!(%error, "accepting a connection to the kubelet API");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (acceptor, api, gate) = (acceptor.clone(), self.api.clone(), Arc::clone(&gate));
            spawn(TaskKind::Worker, "kubelet connection", async move {
                serve(acceptor, tcp, api, gate).await;
                drop(slot);
            });
        }
    }
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream, api: KubeletApi, gate: Arc<Gate>) {
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "TLS handshake"),
        Err(_) => return debug!("TLS handshake timed out"),
    };
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let known = certificate.and_then(|certificate| caller_of_certificate(certificate));
    let service = service_fn(move |request: Request<Incoming>| {
        let (api, gate, known) = (api.clone(), Arc::clone(&gate), known.clone());
        async move {
            Ok::<_, Infallible>(match gate.admit(known, &request).await {
                Ok(()) => api.answer(request).await,
                Err(refusal) => refusal,
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        debug!(%error, "connection to the kubelet API");
    }
}

/// The caller that a verified certificate names.
fn caller_of_certificate(der: &[u8]) -> Option<Caller> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|organization| organization.as_str().ok());
    let groups = groups.map(str::to_owned).chain(["system:authenticated".to_owned()]).collect();
    (!name.is_empty()).then_some(Caller { name, uid: None, groups })
}

/// Lets requests in.
struct Gate {
    client: kube::Client,
    node_name: String,
}

impl Gate {
    async fn admit(&self, known: Option<Caller>, request: &Request<Incoming>) -> Result<(), Response<Body>> {
        let unauthorized = || text(StatusCode::UNAUTHORIZED, "Unauthorized");
        let failed = |error: kube::Error| {
            warn!(%error, "the API server does not say who calls the kubelet, or whether they may");
            text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Error")
        };
        let caller = match (known, bearer_token(request.headers())) {
            (Some(caller), _) => caller,
            (None, Some(token)) => self.review(token).await.map_err(failed)?.ok_or_else(unauthorized)?,
            (None, None) => return Err(unauthorized()),
        };
        let wish = Wish::of(request.method(), request.uri().path());
        for subresource in &wish.subresources {
            if self.allows(&caller, wish.verb, subresource).await.map_err(failed)? {
                return Ok(());
            }
        }
        let message = format!(
            "Forbidden (user={}, verb={}, resource=nodes, subresource(s)=[{}])\n",
            caller.name,
            wish.verb,
            wish.subresources.join(" ")
        );
        Err(text(StatusCode::FORBIDDEN, &message))
    }

    /// Whose token it is, if it is anybody's.
    async fn review(&self, token: &str) -> Result<Option<Caller>, kube::Error> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).unwrap_or_default();
        let caller = |name| Caller { name, uid: user.uid, groups: user.groups.unwrap_or_default() };
        Ok(user.username.filter(|name| !name.is_empty()).map(caller))
    }

    async fn allows(&self, caller: &Caller, verb: &str, subresource: &str) -> Result<bool, kube::Error> {
        let text = |text: &str| Some(text.to_owned());
        let spec = SubjectAccessReviewSpec {
            user: text(&caller.name),
            uid: caller.uid.clone(),
            groups: Some(caller.groups.clone()),
            resource_attributes: Some(ResourceAttributes {
                verb: text(verb),
                version: text("v1"),
                resource: text("nodes"),
                subresource: text(subresource),
                name: text(&self.node_name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status;
        Ok(status.is_some_and(|status| status.allowed))
    }
}

/// The token of an `Authorization: Bearer` header.
fn bearer_token(headers: &http::HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
