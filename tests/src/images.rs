//! The test images, served on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use registry::{Options, Registry};

/// The project's root directory.
pub fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the project")
}

/// The directory with the images, which are made if they are not there.
///
/// # Errors
/// When `images/build.sh` fails.
pub fn layout() -> Result<&'static Path> {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(layout) = LAYOUT.get() {
        return Ok(layout);
    }
    let layout = build(&[])?;
    Ok(LAYOUT.get_or_init(|| PathBuf::from(layout.trim())))
}

/// Writes an image as an archive; `format` is nothing for OCI or `--docker`.
///
/// # Errors
/// When `images/build.sh` fails.
pub fn archive(format: Option<&str>, image: &str, file: &Path) -> Result<()> {
    let file = file.to_str().context("paths of tests are text")?;
    let arguments: Vec<&str> = ["archive"].into_iter().chain(format).chain([image, file]).collect();
    build(&arguments).map(drop)
}

fn build(arguments: &[&str]) -> Result<String> {
    let script = project_root().join("images/build.sh");
    let output = Command::new(&script).args(arguments).output().with_context(|| format!("running {script:?}"))?;
    ensure!(output.status.success(), "{script:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A registry on a thread of its own.
pub struct ImageServer {
    runtime: tokio::runtime::Runtime,
    registry: Option<Registry>,
}

impl ImageServer {
    /// Starts to serve the test images on a free port.
    ///
    /// # Errors
    /// When there are none or no port is free.
    pub fn start(options: Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let registry = runtime.block_on(Registry::start(listen, layout()?, options))?;
        Ok(Self { runtime, registry: Some(registry) })
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        self.registry.as_ref().expect("present until dropped")
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.registry.take();
    }
}
