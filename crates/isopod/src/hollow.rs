//! `isopod hollow`: many nodes in one process, without containers.

use std::sync::Arc;

use anyhow::Result;
use platform::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::logging;
use crate::roles::KUBELET_VERSION;
use crate::story::access;

/// Runs the command until it is told to stop.
pub fn run(arguments: &cli::Hollow) -> Result<()> {
    logging::start();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    threads.block_on(serve(arguments))
}

async fn serve(arguments: &cli::Hollow) -> Result<()> {
    let (client, _) = access::connect(&arguments.api()).await?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancel = CancellationToken::new();
    let nodes = hollow::run(client, config_of(arguments), cancel.clone());
    let mut nodes = std::pin::pin!(nodes);
    tokio::select! {
        ended = &mut nodes => return ended.map_err(Into::into),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    cancel.cancel();
    nodes.await.map_err(Into::into)
}

fn config_of(arguments: &cli::Hollow) -> hollow::Config {
    hollow::Config {
        clock: Arc::new(SystemClock),
        nodes: arguments.nodes,
        prefix: arguments.name_prefix.clone(),
        capacity: arguments.capacity.iter().cloned().collect(),
        zones: arguments.zones,
        heartbeat: arguments.heartbeat,
        job_duration: arguments.job_duration,
        version: KUBELET_VERSION.to_owned(),
    }
}
