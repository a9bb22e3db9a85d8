//! `cargo run -p xtask --release -- bench`: what isopod costs and how fast it is, measured from outside.
//!
//! Starts a server on its own data directory, port and address ranges, measures, and removes every trace. Nothing here
//! asserts anything: it prints numbers.

mod cluster;
mod crud;
mod fan_out;
mod full_node;
mod hollow;
mod idle;
mod latency;
mod pods;
mod processes;
mod report;
mod slow_reader;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use cluster::Cluster;
use report::{Report, milliseconds};

/// What to measure, and with what.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The isopod binary, a release build.
    #[arg(long, default_value = "target/release/isopod")]
    binary: PathBuf,
    /// Image of the Pods; it needs `sh` and `sleep`.
    #[arg(long, default_value = "docker.io/library/busybox:latest")]
    image: String,
    /// Archive to import that image from.
    #[arg(long, value_name = "FILE")]
    image_archive: Option<PathBuf>,
    /// Directory that `images/build.sh` filled, to make that archive from.
    #[arg(long, value_name = "DIR", conflicts_with = "image_archive")]
    images: Option<PathBuf>,
    /// Leave the Pods out.
    #[arg(long)]
    without_pods: bool,
    /// Leave the workloads on hollow nodes out.
    #[arg(long)]
    without_hollow: bool,
    /// How many Pods to start one after the other, and then at once.
    #[arg(long, default_value_t = 50)]
    pods: usize,
    /// How many Pods fill the node.
    #[arg(long, default_value_t = 300)]
    full: usize,
    /// How long to look at the idle server.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    idle_seconds: u64,
    /// Operations of each kind per client for the API's speed.
    #[arg(long, default_value_t = 300)]
    operations: usize,
    /// How many watchers are told of each change.
    #[arg(long, default_value_t = 2000)]
    watchers: usize,
    /// How many changes a watcher sleeps through.
    #[arg(long, default_value_t = 100_000)]
    unread_changes: usize,
    /// Objects of a long list.
    #[arg(long, default_value_t = 10_000)]
    listed: usize,
    /// Port of the server [default: a free one].
    #[arg(long)]
    port: Option<u16>,
    /// Addresses for Pods.
    #[arg(long, default_value = "10.252.0.0/16", value_name = "CIDR")]
    cluster_cidr: String,
    /// Addresses for Services.
    #[arg(long, default_value = "10.253.0.0/16", value_name = "CIDR")]
    service_cidr: String,
    /// Where to make the data directory [default: the system's directory for temporary files].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Further flags for `isopod server`.
    #[arg(last = true)]
    server: Vec<String>,
}

/// Runs the whole measurement.
pub fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    raise_descriptor_limit().context("raise the limit of open files")?;
    let parent = arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = tempfile::Builder::new().prefix("isopod-bench-").tempdir_in(parent).context("make a directory")?;
    let archive = image_archive(arguments, scratch.path())?;
    let mut report = Report::start(&arguments.binary)?;

    let settings = cluster::Settings::new(arguments, scratch.path())?;
    let (mut cluster, times) = Cluster::start(settings).await?;
    report.line("exec to API ready", milliseconds(times.api_ready));
    report.line("exec to Node Ready", milliseconds(times.node_ready));

    let idle_period = Duration::from_secs(arguments.idle_seconds);
    idle::measure(&cluster, "idle", idle_period, &mut report).await?;
    if !arguments.without_pods {
        if let Some(archive) = archive {
            cluster.import(&archive)?;
        }
        let mut pods = pods::measure(&cluster, &arguments.image, arguments.pods, &mut report).await?;
        latency::measure(&cluster, &arguments.image, &mut report).await?;
        full_node::measure(&cluster, &mut pods, arguments.full, idle_period, &mut report).await?;
    }
    for clients in [1, 16] {
        crud::measure(&cluster, clients, arguments.operations, &mut report).await?;
    }
    fan_out::measure(&cluster, arguments.watchers, arguments.listed, &mut report).await?;
    slow_reader::measure(&cluster, arguments.unread_changes, &mut report).await?;
    if !arguments.without_hollow {
        hollow::measure(&cluster, idle_period, &mut report).await?;
    }
    idle::memory(&cluster, "memory after all that (PSS)", &mut report)?;

    let times = cluster.restart().await?;
    report.line("restart: exec to API ready", milliseconds(times.api_ready));
    report.line("restart: exec to Node Ready", milliseconds(times.node_ready));
    cluster.remove()
}

/// Each watcher has a connection of its own, here and in the server, which inherits the limit.
fn raise_descriptor_limit() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// The archive to import, if any.
fn image_archive(arguments: &Arguments, scratch: &Path) -> Result<Option<PathBuf>> {
    let Some(images) = arguments.images.as_ref().filter(|_| !arguments.without_pods) else {
        return Ok(arguments.image_archive.clone());
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask stands in the root of the checkout")?;
    let images = images.canonicalize().with_context(|| format!("find {}", images.display()))?;
    let archive = scratch.join("image.tar");
    let mut build = Command::new(root.join("images/build.sh"));
    build.arg("archive").arg(&arguments.image).arg(&archive).env("ISOPOD_IMAGES", images);
    let status = build.status().context("run images/build.sh")?;
    ensure!(status.success(), "images/build.sh failed: {status}");
    Ok(Some(archive))
}
