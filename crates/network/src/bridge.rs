//! [`BridgeNetwork`]: one bridge, one veth pair per Pod.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cri::{PodNetwork, PodNetworkAttachment, PodNetworkRequest};
use linux::netlink::{InterfaceAddress, Netlink, VethPeer};
use linux::nftables;
use tracing::info;

use crate::cidr::Cidr;
use crate::ipam::Pool;
use crate::records::{HostPort, Record, Records};
use crate::rules;

/// What a server's Pod network is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where records are kept.
    pub directory: PathBuf,
    /// Tells this server's bridge and table from others' on the host; at most 10 characters.
    pub id: String,
    /// The node's ranges, the primary family first, at most one per family.
    pub ranges: Vec<Cidr>,
}

impl Config {
    fn bridge(&self) -> String {
        format!("iso-{}", self.id)
    }
}

/// The nftables table of a server.
fn table_name(id: &str) -> String {
    format!("isopod-{id}")
}

/// Why the Pod network could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The records cannot be read or written.
    #[error("records of the Pod network")]
    Records(#[source] io::Error),
    /// A kernel setting cannot be made.
    #[error("cannot set {0}")]
    Setting(String, #[source] io::Error),
    /// Links, addresses or routes.
    #[error(transparent)]
    Netlink(#[from] linux::netlink::Error),
    /// Packet rules.
    #[error(transparent)]
    Rules(#[from] nftables::Error),
    /// Something else on the host has an address that would be a Pod's.
    #[error("{range} is in use on this host: {interface} has {address}; choose another --cluster-cidr")]
    RangeInUse {
        /// The node's range.
        range: Cidr,
        /// Whose address it is.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// Every address is taken.
    #[error("no free address in {0}")]
    Exhausted(Cidr),
}

impl From<Error> for cri::Error {
    fn from(error: Error) -> Self {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Self::Failed(format!("Pod network: {error}{cause}"))
    }
}

/// The built-in Pod network of one server.
#[derive(Debug)]
pub struct BridgeNetwork {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    bridge_index: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    files: Records,
    records: BTreeMap<String, Record>,
    pools: Vec<Pool>,
    netlink: Netlink,
}

impl BridgeNetwork {
    /// Makes bridge and rules if they are not there, and takes up what earlier runs recorded.
    ///
    /// Turns on IP forwarding on the host, which Pods need to reach anything beyond it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(config: Config) -> Result<Self, Error> {
        let files = Records::open(config.directory.clone()).map_err(Error::Records)?;
        let records = files.load().map_err(Error::Records)?;
        let taken = || records.values().flat_map(|record| record.addresses.iter().copied());
        let pools: Vec<Pool> = config.ranges.iter().map(|range| Pool::new(*range, taken())).collect();
        let mut netlink = Netlink::open()?;
        let bridge_index = ensure_bridge(&mut netlink, &config.bridge(), &pools)?;
        let state = Mutex::new(State { files, records, pools, netlink });
        let inner = Inner { config, bridge_index, state };
        inner.apply_rules(&inner.state())?;
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn ensure_bridge(netlink: &mut Netlink, name: &str, pools: &[Pool]) -> Result<u32, Error> {
    refuse_ranges_in_use(netlink, name, pools)?;
    let gateways: Vec<(IpAddr, u8)> =
        pools.iter().filter_map(|pool| Some((pool.gateway()?, pool.range().prefix_length()))).collect();
    if netlink.link_index(name)?.is_none() {
        let hardware_address = gateways.first().map_or([2, 0, 0, 0, 0, 1], |(address, _)| hardware_address(*address));
        netlink.create_bridge(name, hardware_address)?;
        info!(bridge = name, "created the Pod network's bridge");
    }
    let index =
        netlink.link_index(name)?.ok_or_else(|| Error::Setting(name.to_owned(), io::ErrorKind::NotFound.into()))?;
    for (address, prefix_length) in gateways {
        netlink.add_address(index, InterfaceAddress { address, prefix_length })?;
        let forwarding =
            if address.is_ipv4() { "/proc/sys/net/ipv4/ip_forward" } else { "/proc/sys/net/ipv6/conf/all/forwarding" };
        set(forwarding)?;
    }
    // Lets the node reach host ports through 127.0.0.1.
    set(&format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"))?;
    Ok(index)
}

/// Packets to Pods would go to whoever had the range first, such as what another cluster left on the host.
fn refuse_ranges_in_use(netlink: &mut Netlink, bridge: &str, pools: &[Pool]) -> Result<(), Error> {
    let own = netlink.link_index(bridge)?;
    for (index, address) in netlink.addresses()? {
        let pool = pools.iter().find(|pool| pool.range().contains(address));
        if let Some(pool) = pool.filter(|_| Some(index) != own) {
            return Err(Error::RangeInUse { range: pool.range(), interface: netlink.link_name(index)?, address });
        }
    }
    Ok(())
}

fn set(path: &str) -> Result<(), Error> {
    let failed = |error| Error::Setting(path.to_owned(), error);
    if std::fs::read(path).map_err(failed)?.starts_with(b"1") {
        return Ok(());
    }
    std::fs::write(path, "1").map_err(failed)
}

/// A hardware address that goes with an address: when the address passes to another Pod, its neighbours' caches hold.
fn hardware_address(address: IpAddr) -> [u8; 6] {
    let tail = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => v6.octets()[12..].try_into().expect("four bytes"),
    };
    [0x0a, 0x58, tail[0], tail[1], tail[2], tail[3]]
}

/// The host end of a sandbox's veth pair.
fn interface_name(sandbox_id: &str) -> String {
    format!("veth{}", sandbox_id.get(..11).unwrap_or(sandbox_id))
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_rules(&self, state: &State) -> Result<(), Error> {
        let (name, bridge) = (table_name(&self.config.id), self.config.bridge());
        Ok(nftables::apply(&rules::table(&name, &bridge, &self.config.ranges, state.records.values()))?)
    }

    fn attach(&self, request: &PodNetworkRequest, netns: BorrowedFd<'_>) -> Result<PodNetworkAttachment, Error> {
        let mut state = self.state();
        let record = match state.records.get(&request.sandbox_id) {
            Some(record) => record.clone(),
            None => state.reserve(request)?,
        };
        let connected = self.connect(&mut state, &record, netns);
        let applied = connected.and_then(|()| if record.ports.is_empty() { Ok(()) } else { self.apply_rules(&state) });
        if let Err(error) = applied {
            self.release(&mut state, &request.sandbox_id, LinkFate::Delete)?;
            return Err(error);
        }
        Ok(PodNetworkAttachment { addresses: record.addresses })
    }

    fn connect(&self, state: &mut State, record: &Record, netns: BorrowedFd<'_>) -> Result<(), Error> {
        let primary = record.addresses.first().copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let peer = VethPeer { name: "eth0", hardware_address: hardware_address(primary), netns };
        state.netlink.create_veth(&record.interface, self.bridge_index, &peer)?;
        let mut inside = Netlink::open_in(netns)?;
        inside.set_up(1)?; // loopback is always the first link
        let eth0 = inside
            .link_index("eth0")?
            .ok_or_else(|| Error::Setting("eth0".to_owned(), io::ErrorKind::NotFound.into()))?;
        for address in &record.addresses {
            if let Some(pool) = state.pools.iter().find(|pool| pool.range().contains(*address)) {
                let prefix_length = pool.range().prefix_length();
                inside.add_address(eth0, InterfaceAddress { address: *address, prefix_length })?;
            }
        }
        inside.set_up(eth0)?;
        for gateway in state.pools.iter().filter_map(Pool::gateway) {
            inside.add_default_route(gateway)?;
        }
        Ok(())
    }

    fn release(&self, state: &mut State, sandbox_id: &str, link: LinkFate) -> Result<(), Error> {
        let Some(record) = state.records.get(sandbox_id).cloned() else { return Ok(()) };
        if link == LinkFate::Delete {
            state.netlink.delete_link(&record.interface)?;
        }
        state.files.remove(sandbox_id).map_err(Error::Records)?;
        state.records.remove(sandbox_id);
        state.give_back(&record.addresses);
        if record.ports.is_empty() { Ok(()) } else { self.apply_rules(state) }
    }
}

/// What happens to a sandbox's veth pair when its addresses are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkFate {
    /// The namespace is going away and takes the pair with it; deleting it here would only cost time.
    GoesWithNamespace,
    /// Nobody else will.
    Delete,
}

impl State {
    /// Chooses addresses for a sandbox and records them; nothing is taken on error.
    fn reserve(&mut self, request: &PodNetworkRequest) -> Result<Record, Error> {
        let mut addresses = Vec::with_capacity(self.pools.len());
        let reserved = self.reserve_into(&mut addresses, request);
        if reserved.is_err() {
            self.give_back(&addresses);
        }
        reserved
    }

    fn reserve_into(&mut self, addresses: &mut Vec<IpAddr>, request: &PodNetworkRequest) -> Result<Record, Error> {
        for pool in &mut self.pools {
            addresses.push(pool.allocate().ok_or(Error::Exhausted(pool.range()))?);
        }
        let record = Record {
            addresses: addresses.clone(),
            interface: interface_name(&request.sandbox_id),
            ports: request.port_mappings.iter().map(host_port).collect(),
        };
        self.files.save(&request.sandbox_id, &record).map_err(Error::Records)?;
        self.records.insert(request.sandbox_id.clone(), record.clone());
        Ok(record)
    }

    fn give_back(&mut self, addresses: &[IpAddr]) {
        for pool in &mut self.pools {
            addresses.iter().for_each(|address| pool.release(*address));
        }
    }
}

fn host_port(mapping: &cri::PodPortMapping) -> HostPort {
    let protocol = match mapping.protocol {
        cri::Protocol::Tcp => "tcp",
        cri::Protocol::Udp => "udp",
        cri::Protocol::Sctp => "sctp",
    };
    HostPort {
        protocol: protocol.to_owned(),
        host_port: mapping.host_port,
        host_ip: mapping.host_ip,
        container_port: mapping.container_port,
    }
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> cri::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(cri::Error::Failed(format!("Pod network: {error}"))),
    }
}

#[async_trait]
impl PodNetwork for BridgeNetwork {
    async fn attach(&self, request: &PodNetworkRequest, netns: BorrowedFd<'_>) -> cri::Result<PodNetworkAttachment> {
        let netns: OwnedFd = netns.try_clone_to_owned().map_err(|error| cri::Error::Failed(error.to_string()))?;
        let (inner, request) = (Arc::clone(&self.inner), request.clone());
        blocking(move || inner.attach(&request, netns.as_fd())).await
    }

    async fn detach(&self, sandbox_id: &str) -> cri::Result<()> {
        let (inner, sandbox_id) = (Arc::clone(&self.inner), sandbox_id.to_owned());
        blocking(move || inner.release(&mut inner.state(), &sandbox_id, LinkFate::GoesWithNamespace)).await
    }

    async fn retain(&self, live_sandbox_ids: &[String]) -> cri::Result<()> {
        let (inner, live) = (Arc::clone(&self.inner), live_sandbox_ids.to_vec());
        blocking(move || {
            let mut state = inner.state();
            let dead: Vec<String> = state.records.keys().filter(|id| !live.contains(id)).cloned().collect();
            dead.iter().try_for_each(|id| inner.release(&mut state, id, LinkFate::Delete))
        })
        .await
    }
}

/// Removes bridge, veth pairs, rules and records of a server that does not run; what is not there is fine.
///
/// # Errors
/// [`Error`] when the host refuses.
pub fn reset(directory: &Path, id: &str) -> Result<(), Error> {
    let mut netlink = Netlink::open()?;
    if directory.is_dir() {
        let files = Records::open(directory.to_owned()).map_err(Error::Records)?;
        for (sandbox_id, record) in files.load().map_err(Error::Records)? {
            netlink.delete_link(&record.interface)?;
            files.remove(&sandbox_id).map_err(Error::Records)?;
        }
    }
    netlink.delete_link(&format!("iso-{id}"))?;
    Ok(nftables::delete_table(&table_name(id))?)
}

#[cfg(test)]
mod tests;
