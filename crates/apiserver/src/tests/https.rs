use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use platform::tasks::{self, TaskKind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::Cluster;

/// An authority that signs for servers and clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    fn sign(&self, name: &str, group: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }
}

fn client(authority: &Authority, identity: Option<(rcgen::Certificate, KeyPair)>, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.0.der().to_vec())).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
            builder.with_client_auth_cert(vec![certificate.der().clone()], key).expect("an identity")
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn whoami(address: std::net::SocketAddr, connector: TlsConnector, h2: bool) -> Value {
    let tcp = TcpStream::connect(address).await.expect("connects");
    let stream = connector.connect("localhost".try_into().expect("a name"), tcp).await.expect("a handshake");
    let io = TokioIo::new(stream);
    let request = http::Request::post("https://localhost/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(b"{}")))
        .expect("a request");
    let response = if h2 {
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.expect("http2");
        tasks::spawn(TaskKind::Worker, "client", async { connection.await.expect("a connection") });
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("http1");
        tasks::spawn(TaskKind::Worker, "client", async { connection.await.expect("a connection") });
        sender.send_request(request).await
    };
    let body = response.expect("a response").into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test]
async fn client_certificates_identify_over_both_protocols() {
    let cluster = Cluster::start_with_policy().await;
    let authority = Authority::new();
    let (certificate, key) = authority.sign("server", "servers");
    let tls =
        crate::tls_config(certificate.pem().as_bytes(), key.serialize_pem().as_bytes(), authority.0.pem().as_bytes())
            .expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let cancel = CancellationToken::new();
    let (api, stop) = (Arc::clone(&cluster.api), cancel.clone());
    let server = tasks::spawn(TaskKind::Worker, "server", async move { api.serve(listener, tls, stop).await });

    for (protocol, h2) in [(b"h2".as_slice(), true), (b"http/1.1".as_slice(), false)] {
        let (certificate, key) = authority.sign("jane", "developers");
        let fingerprint = digest::digest(&digest::SHA256, certificate.der());
        let hex: String = fingerprint.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let review = whoami(address, client(&authority, Some((certificate, key)), protocol), h2).await;
        let user = &review["status"]["userInfo"];
        assert_eq!(user["username"], "jane");
        assert_eq!(user["groups"], serde_json::json!(["developers", "system:authenticated"]));
        let credential = format!("X509SHA256={hex}");
        assert_eq!(user["extra"]["authentication.kubernetes.io/credential-id"][0], credential);
        let anonymous = whoami(address, client(&authority, None, protocol), h2).await;
        assert_eq!(anonymous["code"], 403);
    }
    cancel.cancel();
    server.await.expect("ends");
}
