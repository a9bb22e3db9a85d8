//! A server that speaks `grpc.health.v1` over TCP, in threads of the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use grpc::{Code, Router, Status};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

#[derive(Clone, PartialEq, prost::Message)]
struct Check {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

type Services = Arc<Mutex<BTreeMap<String, i32>>>;

/// The server; it ends with this.
pub struct HealthServer {
    port: u16,
    services: Services,
    _directory: tempfile::TempDir,
    _runtime: Runtime,
}

impl HealthServer {
    /// `ServingStatus` of a service that works.
    pub const SERVING: i32 = 1;
    /// `ServingStatus` of one that does not.
    pub const NOT_SERVING: i32 = 2;

    /// Listens at a free port of this address; it knows no service yet.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(address: &str) -> Result<Self> {
        let (services, directory) = (Services::default(), tempfile::tempdir()?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listen = async {
            let socket = directory.path().join("health.sock");
            let inner = UnixListener::bind(&socket)?;
            let outer = TcpListener::bind((address, 0)).await.with_context(|| format!("listening at {address}"))?;
            anyhow::Ok((socket, inner, outer))
        };
        let (socket, inner, outer) = runtime.block_on(listen)?;
        let port = outer.local_addr()?.port();
        let shown = Arc::clone(&services);
        let router = Router::new().unary("/grpc.health.v1.Health/Check", move |check: Check| {
            let status = shown.lock().unwrap_or_else(PoisonError::into_inner).get(&check.service).copied();
            async move {
                status.map(|status| Health { status }).ok_or_else(|| Status::new(Code::NotFound, "unknown service"))
            }
        });
        runtime.spawn(grpc::serve(inner, router, CancellationToken::new()));
        // The crate serves unix sockets; what comes by TCP is carried there.
        let tasks = runtime.handle().clone();
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = outer.accept().await {
                let socket = socket.clone();
                tasks.spawn(async move {
                    let mut server = UnixStream::connect(socket).await?;
                    tokio::io::copy_bidirectional(&mut stream, &mut server).await
                });
            }
        });
        Ok(Self { port, services, _directory: directory, _runtime: runtime })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Says how a service is from now on; one that was never spoken of is unknown.
    pub fn turn(&self, service: &str, status: i32) {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), status);
    }
}
