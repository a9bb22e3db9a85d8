//! Links, addresses and routes over rtnetlink: one blocking socket, one request and its acknowledgement at a time.
//!
//! A socket belongs to the network namespace it was opened in, whatever thread uses it later: [`Netlink::open_in`] is
//! how a namespace is configured from outside without any process entering it for longer than one `socket(2)`.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// A request the kernel refused, or could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("netlink: {act}: {source}")]
pub struct Error {
    /// What was asked, with its object.
    pub act: String,
    /// The kernel's answer.
    pub source: io::Error,
}

impl Error {
    /// Whether the object was there already.
    pub fn is_exists(&self) -> bool {
        self.source.raw_os_error() == Some(libc::EEXIST)
    }

    /// Whether the object is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(libc::ENODEV | libc::ENOENT))
    }
}

type Result<T> = std::result::Result<T, Error>;

/// The IPv4 or IPv6 address of an interface with its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of the on-link network.
    pub prefix_length: u8,
}

/// The end of a veth pair that a Pod sees.
#[derive(Debug)]
pub struct VethPeer<'a> {
    /// Name inside the namespace.
    pub name: &'a str,
    /// Its hardware address.
    pub hardware_address: [u8; 6],
    /// The namespace it is born in.
    pub netns: BorrowedFd<'a>,
}

/// A rtnetlink socket in one network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// A socket in the caller's own network namespace.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(Self { socket, sequence: 0 })
        };
        open().map_err(|source| Error { act: "open a socket".to_owned(), source })
    }

    /// A socket in another network namespace. A short-lived thread enters it, so the caller's threads never do.
    ///
    /// # Errors
    /// When the namespace cannot be entered or gives no socket.
    pub fn open_in(netns: BorrowedFd<'_>) -> Result<Self> {
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                crate::netns::enter(netns)
                    .map_err(|source| Error { act: "enter a network namespace".to_owned(), source })?;
                Self::open()
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The index of a link, or `None` if there is no such link.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn link_index(&mut self, name: &str) -> Result<Option<u32>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let act = || format!("look up link {name}");
        match self.request(RouteNetlinkMessage::GetLink(message), 0, act) {
            Ok(Some(RouteNetlinkMessage::NewLink(link))) => Ok(Some(link.header.index)),
            Ok(_) => Err(Error { act: act(), source: io::ErrorKind::InvalidData.into() }),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a bridge with a hardware address of its own (otherwise it changes with its ports), up.
    ///
    /// # Errors
    /// When the kernel refuses; [`Error::is_exists`] if the name is taken.
    pub fn create_bridge(&mut self, name: &str, hardware_address: [u8; 6]) -> Result<()> {
        let mut message = up(LinkMessage::default());
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::Address(hardware_address.to_vec()));
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.create(RouteNetlinkMessage::NewLink(message), || format!("create bridge {name}"))
    }

    /// Creates a veth pair in one message: the host end enslaved to a bridge and up, the peer born inside a network
    /// namespace. (Moving a peer into a namespace afterwards costs the kernel many milliseconds.)
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create_veth(&mut self, host: &str, bridge_index: u32, peer: &VethPeer<'_>) -> Result<()> {
        let mut inner = LinkMessage::default();
        inner.attributes.push(LinkAttribute::IfName(peer.name.to_owned()));
        inner.attributes.push(LinkAttribute::Address(peer.hardware_address.to_vec()));
        inner.attributes.push(LinkAttribute::NetNsFd(peer.netns.as_raw_fd()));
        let mut message = up(LinkMessage::default());
        message.attributes.push(LinkAttribute::IfName(host.to_owned()));
        message.attributes.push(LinkAttribute::Controller(bridge_index));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inner))),
        ]));
        self.create(RouteNetlinkMessage::NewLink(message), || format!("create veth {host}"))
    }

    /// Brings a link up.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_up(&mut self, index: u32) -> Result<()> {
        let mut message = up(LinkMessage::default());
        message.header.index = index;
        self.acknowledge(RouteNetlinkMessage::SetLink(message), 0, || format!("set link {index} up"))
    }

    /// Removes a link; one that is not there is fine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete_link(&mut self, name: &str) -> Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.acknowledge(RouteNetlinkMessage::DelLink(message), 0, || format!("delete link {name}")) {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }

    /// Gives a link an address; one it has already is fine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add_address(&mut self, index: u32, interface: InterfaceAddress) -> Result<()> {
        let InterfaceAddress { address, prefix_length } = interface;
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix_length;
        message.header.index = index;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        match address {
            IpAddr::V4(v4) => message.attributes.push(AddressAttribute::Broadcast(broadcast(v4, prefix_length))),
            // The address is ours alone: waiting for duplicate detection would only delay the first packet.
            IpAddr::V6(_) => {
                message.attributes.push(AddressAttribute::Flags(netlink_packet_route::address::AddressFlags::Nodad));
            }
        }
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.acknowledge(RouteNetlinkMessage::NewAddress(message), flags, || format!("add address {address}"))
    }

    /// The addresses of all links, each with its link's index.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn addresses(&mut self) -> Result<Vec<(u32, IpAddr)>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.dump(request).map_err(|source| Error { act: "list all addresses".to_owned(), source })?;
        let address = |message| match message {
            RouteNetlinkMessage::NewAddress(message) => Some((message.header.index, own_address(&message)?)),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(address).collect())
    }

    /// The name of a link.
    ///
    /// # Errors
    /// When there is no such link, or the kernel cannot be asked.
    pub fn link_name(&mut self, index: u32) -> Result<String> {
        let act = || format!("look up link {index}");
        let mut message = LinkMessage::default();
        message.header.index = index;
        let name = match self.request(RouteNetlinkMessage::GetLink(message), 0, act)? {
            Some(RouteNetlinkMessage::NewLink(link)) => {
                link.attributes.into_iter().find_map(|attribute| match attribute {
                    LinkAttribute::IfName(name) => Some(name),
                    _ => None,
                })
            }
            _ => None,
        };
        name.ok_or_else(|| Error { act: act(), source: io::ErrorKind::InvalidData.into() })
    }

    /// Adds the default route through a gateway.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add_default_route(&mut self, gateway: IpAddr) -> Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(gateway);
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::Gateway(match gateway {
            IpAddr::V4(address) => RouteAddress::Inet(address),
            IpAddr::V6(address) => RouteAddress::Inet6(address),
        }));
        self.create(RouteNetlinkMessage::NewRoute(message), || format!("add default route via {gateway}"))
    }

    fn create(&mut self, message: RouteNetlinkMessage, act: impl Fn() -> String) -> Result<()> {
        self.acknowledge(message, NLM_F_CREATE | NLM_F_EXCL, act)
    }

    fn acknowledge(&mut self, message: RouteNetlinkMessage, flags: u16, act: impl Fn() -> String) -> Result<()> {
        self.request(message, NLM_F_ACK | flags, act).map(|_| ())
    }

    /// Sends one request and reads its one answer: an acknowledgement (`None`), an error, or a message.
    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        act: impl Fn() -> String,
    ) -> Result<Option<RouteNetlinkMessage>> {
        self.exchange(message, flags).map_err(|source| Error { act: act(), source })
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Option<RouteNetlinkMessage>> {
        self.send(message, flags)?;
        loop {
            let Some(payload) = self.receive()?.into_iter().next() else { continue };
            return match payload {
                NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
                NetlinkPayload::InnerMessage(inner) => Ok(Some(inner)),
                _ => Ok(None),
            };
        }
    }

    /// Sends one request and reads answers until the kernel says that there are no more.
    fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.send(message, NLM_F_DUMP)?;
        let mut answers = Vec::new();
        loop {
            for payload in self.receive()? {
                match payload {
                    NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Done(_) => return Ok(answers),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut buffer = vec![0; message.buffer_len()];
        message.serialize(&mut buffer);
        self.socket.send(&buffer, 0).map(|_| ())
    }

    /// What one datagram holds of the answer to the last request.
    fn receive(&mut self) -> io::Result<Vec<NetlinkPayload<RouteNetlinkMessage>>> {
        let (datagram, _) = self.socket.recv_from_full()?;
        let mut payloads = Vec::new();
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            // Messages begin at multiples of four bytes.
            let length = usize::try_from(message.header.length).unwrap_or(rest.len()).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
            if message.header.sequence_number == self.sequence {
                payloads.push(message.payload);
            }
        }
        Ok(payloads)
    }
}

/// The address that a link itself has: of a point-to-point link the attribute `Address` is the peer's.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let any = || {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    };
    local.or_else(any)
}

fn up(mut message: LinkMessage) -> LinkMessage {
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// The broadcast address of the network an address is in.
fn broadcast(address: Ipv4Addr, prefix_length: u8) -> Ipv4Addr {
    let host_bits = u32::MAX.checked_shr(u32::from(prefix_length)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() | host_bits)
}

#[cfg(test)]
mod tests;
