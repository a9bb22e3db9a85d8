//! `nfs`: a directory of a server, mounted by the kernel itself.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::NFSVolumeSource;

use super::{VolumeProblem, is_mount_point};
use crate::host::Host;

/// Where NFS servers listen, unless an option says otherwise.
const PORT: u16 = 2049;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NfsPlan {
    pub directory: PathBuf,
    server: String,
    export: String,
    pub read_only: bool,
    options: Vec<String>,
}

pub(super) fn plan(source: &NFSVolumeSource, options: &[String], directory: PathBuf) -> NfsPlan {
    NfsPlan {
        directory,
        server: source.server.clone(),
        export: source.path.clone(),
        read_only: source.read_only == Some(true) || options.iter().any(|option| option == "ro"),
        options: options.to_vec(),
    }
}

impl NfsPlan {
    /// What is mounted, as mount tables show it.
    fn source(&self) -> String {
        let server = if self.server.contains(':') { format!("[{}]", self.server) } else { self.server.clone() };
        format!("{server}:{}", self.export)
    }

    /// What the kernel is told: it resolves no names and speaks version 4 unless an option says otherwise.
    fn data(&self, address: IpAddr) -> String {
        let flags = |option: &&String| !matches!(option.as_str(), "ro" | "rw" | "defaults" | "_netdev" | "auto");
        let mut data: Vec<String> = self.options.iter().filter(flags).cloned().collect();
        if !data.iter().any(|option| option.starts_with("vers=") || option.starts_with("nfsvers=")) {
            data.push("vers=4.2".to_owned());
        }
        data.push(format!("addr={address}"));
        data.join(",")
    }
}

pub(super) async fn set_up(plan: &NfsPlan, host: &dyn Host) -> Result<(), VolumeProblem> {
    std::fs::create_dir_all(&plan.directory).map_err(VolumeProblem::io("create", &plan.directory))?;
    if is_mount_point(&plan.directory) {
        return Ok(());
    }
    let failed = |source| VolumeProblem::Io { act: "find", path: PathBuf::from(&plan.server), source };
    let mut addresses = tokio::net::lookup_host((plan.server.as_str(), PORT)).await.map_err(failed)?;
    let address = addresses.next().as_ref().map(SocketAddr::ip);
    let address = address.ok_or_else(|| failed(std::io::Error::from(std::io::ErrorKind::NotFound)))?;
    mount(plan, address, host).map_err(VolumeProblem::io("mount nfs on", &plan.directory))
}

fn mount(plan: &NfsPlan, address: IpAddr, host: &dyn Host) -> std::io::Result<()> {
    host.mount_remote(Path::new(&plan.source()), &plan.directory, "nfs", &plan.data(address), plan.read_only)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    #[test]
    fn the_kernel_is_told_where_and_how() {
        let source = |server: &str| NFSVolumeSource { server: server.into(), path: "/data".into(), read_only: None };
        let directory = PathBuf::from("/pods/x");
        let address = "192.0.2.7".parse().unwrap();
        let plain = plan(&source("files.example"), &[], directory.clone());
        assert_eq!((plain.source().as_str(), plain.read_only), ("files.example:/data", false));
        assert_eq!(plain.data(address), "vers=4.2,addr=192.0.2.7");
        let options = ["ro", "nfsvers=4.1", "hard"].map(str::to_owned);
        let tuned = plan(&source("2001:db8::7"), &options, directory);
        assert_eq!((tuned.source().as_str(), tuned.read_only), ("[2001:db8::7]:/data", true));
        assert_eq!(tuned.data(address), "nfsvers=4.1,hard,addr=192.0.2.7");
        let host = FakeHost::default();
        mount(&tuned, address, &host).unwrap();
        assert_eq!(host.mounts(), [PathBuf::from("/pods/x")]);
    }
}
