//! `isopod reset`: stops every Pod and removes everything isopod made on the host, and only that.
//!
//! Works after a crash at any moment, and again after it was itself interrupted: every step finds what is left on the
//! host by the server's id or below its data directory, and the data directory goes last.

use anyhow::{Context, Result};
use kubelet::host::{Host, LinuxHost};

use crate::cli;
use crate::data_dir::DataDir;
use crate::remote_runtime;
use crate::roles::cgroup_root;

/// Runs the command.
pub fn run(arguments: &cli::DataDir) -> Result<()> {
    if !arguments.data_dir.exists() {
        println!("Nothing to do: {} does not exist", arguments.data_dir.display());
        return Ok(());
    }
    let data_dir = DataDir::open(&arguments.data_dir)?;
    let lock = data_dir.lock_after_stopping_server()?;
    let id = data_dir.id();
    let pods = kubelet::Paths::below(data_dir.path()).root.join("pods");
    remote_runtime::reset(&data_dir, &pods).context("cannot stop the Pods")?;
    runtime::reset(&data_dir.runtime(), &cgroup_root(&id)).context("cannot stop the Pods")?;
    let host = LinuxHost::detect().context("cannot use this machine's cgroups")?;
    for mount in host.mounts_below(data_dir.path())? {
        host.unmount(&mount).with_context(|| format!("cannot unmount {}", mount.display()))?;
    }
    host.remove_cgroup(&cgroup_root(&id)).context("cannot remove the cgroups")?;
    network::reset(&data_dir.network(), &id).context("cannot remove the Pod network")?;
    let path = data_dir.path().to_owned();
    data_dir.remove(lock)?;
    println!("Removed every Pod and all state of {}", path.display());
    Ok(())
}
