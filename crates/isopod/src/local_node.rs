//! The way from the API server to the kubelet of the same process: an in-memory byte stream that speaks HTTP/1.1.

use std::io;
use std::sync::OnceLock;

use apiserver::{NodeDialer, NodeStream};
use async_trait::async_trait;
use hyper_util::rt::TokioIo;
use kubelet::KubeletApi;
use platform::tasks::{self, TaskKind};
use tracing::debug;

/// How much either side may write before the other reads.
const BUFFER_BYTES: usize = 64 << 10;

/// Dials the one kubelet of this process. The API server is up before the kubelet is, so the kubelet comes later.
#[derive(Default)]
pub struct LocalNode {
    kubelet: OnceLock<(String, KubeletApi)>,
}

impl LocalNode {
    /// Says which node is here; the first word counts.
    pub fn set(&self, node_name: String, service: KubeletApi) {
        // A second kubelet in one process would be a mistake of the assembly, not of a user.
        assert!(self.kubelet.set((node_name, service)).is_ok(), "one kubelet per process");
    }
}

#[async_trait]
impl NodeDialer for LocalNode {
    async fn dial(&self, node_name: &str) -> io::Result<Box<dyn NodeStream>> {
        let here = self.kubelet.get().filter(|(name, _)| name == node_name);
        let Some((_, service)) = here else {
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, format!("no route to node {node_name:?}")));
        };
        let (near, far) = tokio::io::duplex(BUFFER_BYTES);
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service.clone())
            .with_upgrades();
        drop(tasks::spawn(TaskKind::Worker, "kubelet connection", async move {
            if let Err(error) = connection.await {
                debug!(%error, "connection to the kubelet ended");
            }
        }));
        Ok(Box::new(near))
    }
}
