//! [`EmbeddedRuntime`]: CRI's `RuntimeService` over shims.

mod open;
mod service;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;

use cri::PodNetwork;
use platform::clock::SharedClock;
use platform::random::SharedRandom;

use crate::root_filesystem::RootFilesystems;
use crate::shim_client::ShimCommand;
use crate::streaming::StreamingServer;
pub use open::OpenError;
pub use shared::Shared;

/// What a runtime needs.
pub struct Config {
    /// Its directory: `<data-dir>/runtime`. Made if it is not there.
    pub root: PathBuf,
    /// Name of the cgroup below which sandboxes go that have no parent: `isopod-<id>`.
    pub cgroup_root: String,
    /// Gives Pods their network.
    pub network: Arc<dyn PodNetwork>,
    /// Gives containers their root file systems: an [`ImageStore`](crate::image::ImageStore).
    pub root_filesystems: Arc<dyn RootFilesystems>,
    /// How to start shims.
    pub shim: ShimCommand,
    /// For times of creation.
    pub clock: SharedClock,
    /// For ids.
    pub random: SharedRandom,
}

/// The embedded runtime.
///
/// Dropping it ends nothing: sandboxes go on under their shims, and the next [`EmbeddedRuntime::open`] finds them.
pub struct EmbeddedRuntime {
    shared: Arc<Shared>,
    streaming: Arc<StreamingServer>,
}

impl EmbeddedRuntime {
    /// Opens the runtime and adopts every sandbox whose shim still runs. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`] when the directory or the host cannot be used. Single sandboxes that cannot be adopted are
    /// reported as not ready, or removed when they never were complete.
    pub async fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        let shared = open::open(config).await?;
        let streaming = StreamingServer::new(shared.random.clone());
        Ok(Arc::new(Self { shared, streaming }))
    }
}
