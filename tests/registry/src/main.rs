//! Serves a directory of test images as a container registry.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use registry::{Options, Registry};

/// Serves an OCI layout directory as a read-only container registry over plain HTTP.
#[derive(Parser)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// Demand these credentials, as name:password.
    #[arg(long, value_name = "NAME:PASSWORD")]
    credentials: Option<String>,
    /// Write a registries.yaml that makes this server the mirror of docker.io.
    #[arg(long, value_name = "FILE")]
    write_registries: Option<PathBuf>,
    /// The directory with index.json and blobs/.
    directory: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let options = Options { credentials: arguments.credentials, ..Options::default() };
    let registry = Registry::start(arguments.listen, &arguments.directory, options).await?;
    if let Some(path) = arguments.write_registries {
        std::fs::write(&path, registry.registries_yaml()).with_context(|| format!("writing {}", path.display()))?;
    }
    // Whoever started this waits for the line.
    println!("serving {} on http://{}", arguments.directory.display(), registry.address());
    std::io::stdout().flush()?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
