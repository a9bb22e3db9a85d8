//! `isopod server`: one process from its first line to its last.

use std::time::Instant;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli;
use crate::logging;
use crate::memory;
use crate::roles::{ControlPlane, Node};
use crate::settings::Settings;

/// Worker threads: the control plane and the node of a small machine need no more, and each costs memory.
const WORKER_THREADS: usize = 2;

/// Runs the command: returns when the server was told to stop. Containers go on.
pub fn run(arguments: cli::Server) -> Result<()> {
    let started = Instant::now();
    linux::memory::share_one_heap();
    logging::start();
    if let Err(error) = linux::open_files::raise() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let settings = Settings::resolve(arguments)?;
    let lock = settings.data_dir.lock()?;
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()?;
    threads.block_on(serve(&settings, started))?;
    drop(lock);
    Ok(())
}

async fn serve(settings: &Settings, started: Instant) -> Result<()> {
    let mut stop = Stop::listen()?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {} (--bind-address, --https-listen-port)", settings.listen))?;
    let cancel = CancellationToken::new();
    let control_plane = ControlPlane::start(settings, listener, &cancel).await?;
    println!("API server is ready at {} after {} ms", settings.server_url(), started.elapsed().as_millis());
    let node = Node::start(settings, &control_plane, &cancel).await?;
    let end = tokio::select! {
        ready = node.wait_until_ready() => {
            ready?;
            println!("Node {} is Ready after {} ms", settings.node_name, started.elapsed().as_millis());
            println!("\n  export KUBECONFIG={}\n", settings.kubeconfig().display());
            memory::keep_small(cancel.child_token());
            stop.wait().await
        }
        end = stop.wait() => end,
    };
    match end {
        End::Server => info!("stopping; containers go on running"),
        End::Machine => node.shut_down().await,
    }
    cancel.cancel();
    node.stopped().await;
    control_plane.stopped().await
}

/// What is to end.
enum End {
    /// This process.
    Server,
    /// The machine, and all Pods before it.
    Machine,
}

/// The signals that end a server.
struct Stop {
    power: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        Ok(Self {
            power: signal(SignalKind::from_raw(rustix::process::Signal::POWER.as_raw()))?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) -> End {
        tokio::select! {
            _ = self.power.recv() => End::Machine,
            _ = self.terminate.recv() => End::Server,
            _ = self.interrupt.recv() => End::Server,
        }
    }
}
