//! The server's side: who connects to the socket is sent a snapshot. Only root can connect.

use std::io;
use std::path::Path;
use std::sync::Arc;

use platform::tasks::{self, TaskKind};
use store::{Store, snapshot};
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{REFUSAL, USE_ETCDCTL};
use crate::datastore::Datastore;

/// Serves snapshots until cancelled.
///
/// # Errors
/// When the socket can't be made.
pub fn serve(
    socket: &Path,
    datastore: &Datastore,
    store: Arc<dyn Store>,
    cancel: CancellationToken,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = grpc::socket::listen(socket)?;
    // etcd's own tools know more than the keys: members, leases, history.
    let store = matches!(datastore, Datastore::Embedded).then_some(store);
    Ok(async move {
        cancel.run_until_cancelled(accept(listener, store)).await;
    })
}

async fn accept(listener: UnixListener, store: Option<Arc<dyn Store>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let store = store.clone();
                tasks::spawn(TaskKind::Worker, "snapshot", async move {
                    if let Err(error) = answer(stream, store).await {
                        warn!(%error, "a snapshot was not sent to its end");
                    }
                });
            }
            Err(error) => return warn!(%error, "no more snapshots can be taken"),
        }
    }
}

async fn answer(stream: UnixStream, store: Option<Arc<dyn Store>>) -> io::Result<()> {
    let mut stream = BufWriter::new(stream);
    let listed = match store {
        Some(store) => store.list("").await.map_err(|error| error.to_string()),
        None => Err(USE_ETCDCTL.to_owned()),
    };
    match listed {
        Ok(state) => {
            info!(revision = state.revision.0, objects = state.items.len(), "taking a snapshot");
            for piece in snapshot::encode(&state) {
                stream.write_all(&piece).await?;
            }
        }
        Err(reason) => stream.write_all(&[REFUSAL, reason.as_bytes()].concat()).await?,
    }
    stream.shutdown().await
}
