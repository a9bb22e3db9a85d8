//! Address ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses such as `10.42.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix_length: u8,
}

/// Text that is no address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address range such as 10.42.0.0/16")]
pub struct ParseError(String);

impl Cidr {
    /// Bits of the network part.
    pub fn prefix_length(&self) -> u8 {
        self.prefix_length
    }

    /// Whether the range is IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.network.is_ipv4()
    }

    /// The address at an offset from the range's first, or `None` past its end.
    pub fn nth(&self, offset: u64) -> Option<IpAddr> {
        if u128::from(offset) >= self.size() {
            return None;
        }
        Some(match self.network {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() + u32::try_from(offset).ok()?).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() + u128::from(offset)).into(),
        })
    }

    /// Number of addresses in the range.
    pub fn size(&self) -> u128 {
        let width: u32 = if self.is_ipv4() { 32 } else { 128 };
        1u128.checked_shl(width - u32::from(self.prefix_length)).unwrap_or(u128::MAX)
    }

    /// Whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        mask(address, self.prefix_length) == Some(self.network)
    }

    /// The part of this range that one node hands out: the first with this length of an IPv4 network part, or the first
    /// /64 for IPv6; the whole range if smaller.
    #[must_use]
    pub fn first_node_range(&self, ipv4_prefix_length: u8) -> Self {
        let node_prefix = if self.is_ipv4() { ipv4_prefix_length } else { 64 };
        Self { network: self.network, prefix_length: self.prefix_length.max(node_prefix) }
    }
}

/// The network part of an address; `None` if the prefix is longer than the address.
fn mask(address: IpAddr, prefix_length: u8) -> Option<IpAddr> {
    let prefix = u32::from(prefix_length);
    match address {
        IpAddr::V4(v4) if prefix <= 32 => {
            Some(Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into())
        }
        IpAddr::V6(v6) if prefix <= 128 => {
            Some(Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into())
        }
        _ => None,
    }
}

impl FromStr for Cidr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix_length = prefix.parse().ok()?;
            Some(Self { network: mask(address.parse().ok()?, prefix_length)?, prefix_length })
        };
        parse().ok_or_else(|| ParseError(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_masks_and_counts() {
        let range: Cidr = "10.42.7.9/16".parse().unwrap();
        assert_eq!(range.to_string(), "10.42.0.0/16");
        assert_eq!(range.nth(258).unwrap().to_string(), "10.42.1.2");
        assert_eq!(range.nth(65_536), None);
        assert_eq!(range.first_node_range(24).to_string(), "10.42.0.0/24");
        assert!(range.contains("10.42.255.1".parse().unwrap()));
        assert!(!range.contains("10.43.0.1".parse().unwrap()));
        assert!(!range.contains("fd00::1".parse().unwrap()));
        let v6: Cidr = "fd42::/56".parse().unwrap();
        assert_eq!(v6.first_node_range(24).nth(2).unwrap().to_string(), "fd42::2");
        assert_eq!("0.0.0.0/0".parse::<Cidr>().unwrap().size(), 1 << 32);
    }

    #[test]
    fn refuses_what_is_no_range() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
