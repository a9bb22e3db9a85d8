//! IP addresses and ranges as users write them, with upstream's checks and wording.
//!
//! Objects from older days may carry values that nobody would accept today (`010.0.0.1`), so there are two ways to read:
//! leniently, which only asks what a value means, and strictly, which refuses what could mean something else elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::field::{ErrorList, Path, invalid};
use crate::names::INVALID_IP;

#[cfg(test)]
mod tests;
pub mod webhook;

const INVALID_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

const INVALID_INTERFACE_ADDRESS: &str = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";

/// A range of addresses. `address` may have bits beyond the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// The address before the slash.
    pub address: IpAddr,
    /// So many leading bits are fixed.
    pub length: u8,
}

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct ParseCidrError(String);

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, ParseCidrError> {
        parse_cidr_leniently(text).ok_or_else(|| ParseCidrError(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

impl Cidr {
    /// Whether it is a range of IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// The range with its first address before the slash.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self { address: from_bits(bits(self.address) & !self.host_mask(), self.is_ipv4()), length: self.length }
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        from_bits(bits(self.address) | self.host_mask(), self.is_ipv4())
    }

    /// The address so far from the first one; `None` beyond the last one.
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        let first = bits(self.masked().address);
        (offset <= self.host_mask()).then(|| from_bits(first + offset, self.is_ipv4()))
    }

    /// The offset of the last address.
    pub fn last_offset(&self) -> u128 {
        self.host_mask()
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && Self { address, length: self.length }.masked() == self.masked()
    }

    /// Whether every address of another range lies in it.
    pub fn contains_range(&self, other: &Self) -> bool {
        other.length >= self.length && self.contains(other.address)
    }

    fn host_mask(&self) -> u128 {
        let width = if self.is_ipv4() { 32 } else { 128 };
        let host_bits = u32::from(width - self.length);
        if host_bits == 128 { u128::MAX } else { (1 << host_bits) - 1 }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn from_bits(bits: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).expect("an IPv4 range has 32 bits")))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

/// What an address means, leading zeros and all.
pub fn parse_ip_leniently(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok().filter(|_| !text.contains('%'));
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        *octet = parse_decimal(parts.next()?)?;
    }
    parts.next().is_none().then(|| IpAddr::from(octets))
}

fn parse_cidr_leniently(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/')?;
    let address = parse_ip_leniently(address)?;
    let length = parse_decimal(length)?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    (length <= width).then_some(Cidr { address, length })
}

fn parse_decimal(digits: &str) -> Option<u8> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// An address without its IPv4-in-IPv6 disguise.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// An address in a field that has always been there: values that were accepted once stay.
pub fn validate_ip_unless_known(path: &Path<'_>, value: &str, known: Option<&[String]>) -> ErrorList {
    if known.is_some_and(|known| known.iter().any(|other| other == value)) {
        return ErrorList::new();
    }
    parse_ip(path, value).err().into_iter().collect()
}

/// An address in a newer field, which takes each address in one form only.
pub fn validate_ip(path: &Path<'_>, value: &str) -> ErrorList {
    match parse_ip(path, value) {
        Err(error) => vec![error],
        Ok(address) if address.to_string() != value => {
            vec![invalid(path, value, format!("must be in canonical form (\"{address}\")"))]
        }
        Ok(_) => ErrorList::new(),
    }
}

fn parse_ip(path: &Path<'_>, value: &str) -> Result<IpAddr, crate::field::Error> {
    let address = parse_ip_leniently(value).ok_or_else(|| invalid(path, value, INVALID_IP))?;
    if value.parse::<IpAddr>().is_err() {
        return Err(invalid(path, value, "must not have leading 0s"));
    }
    if is_mapped(address) {
        return Err(invalid(path, value, "must not be an IPv4-mapped IPv6 address"));
    }
    Ok(address)
}

/// A range in a field that has always been there: values that were accepted once stay.
pub fn validate_cidr_unless_known(path: &Path<'_>, value: &str, known: Option<&[String]>) -> ErrorList {
    if known.is_some_and(|known| known.iter().any(|other| other == value)) {
        return ErrorList::new();
    }
    parse_cidr(path, value).err().into_iter().collect()
}

/// A range in a newer field, which takes each range in one form only.
pub fn validate_cidr(path: &Path<'_>, value: &str) -> ErrorList {
    match parse_cidr(path, value) {
        Err(error) => vec![error],
        Ok(range) if range.to_string() != value => {
            vec![invalid(path, value, format!("must be in canonical form (\"{range}\")"))]
        }
        Ok(_) => ErrorList::new(),
    }
}

fn parse_cidr(path: &Path<'_>, value: &str) -> Result<Cidr, crate::field::Error> {
    let range = parse_cidr_leniently(value).ok_or_else(|| invalid(path, value, INVALID_CIDR))?;
    let problem = if !is_plain_cidr(value) {
        "must not have leading 0s in IP or prefix length"
    } else if is_mapped(range.address) {
        "must not have an IPv4-mapped IPv6 address"
    } else if range.masked() != range {
        "must not have bits set beyond the prefix length"
    } else {
        return Ok(range);
    };
    Err(invalid(path, value, problem))
}

/// The address of an interface with the length of its network's prefix, in one form only.
pub fn validate_interface_address(value: &str, path: &Path<'_>) -> ErrorList {
    let address = parse_cidr_leniently(value).filter(|_| is_plain_cidr(value));
    match address.filter(|address| !is_mapped(address.address)) {
        None => vec![invalid(path, value, INVALID_INTERFACE_ADDRESS)],
        Some(address) if address.to_string() != value => {
            vec![invalid(path, value, format!("must be in canonical form (\"{address}\")"))]
        }
        Some(_) => ErrorList::new(),
    }
}

/// Whether neither the address nor the length of a range has leading zeros.
fn is_plain_cidr(value: &str) -> bool {
    let (address, length) = value.split_once('/').unwrap_or((value, ""));
    address.parse::<IpAddr>().is_ok() && (length == "0" || !length.starts_with('0'))
}

/// An address that an endpoint, or anybody outside the cluster, can have.
pub fn validate_endpoint_ip(path: &Path<'_>, value: &str) -> ErrorList {
    let Some(address) = parse_ip_leniently(value) else {
        return vec![invalid(path, value, "must be a valid IP address")];
    };
    let address = unmapped(address);
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), address.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(address) => (address.is_unicast_link_local(), address.segments()[0] & 0xff0f == 0xff02),
    };
    let mut errors = ErrorList::new();
    if address.is_unspecified() {
        errors.push(invalid(path, value, format!("may not be unspecified ({value})")));
    }
    if address.is_loopback() {
        errors.push(invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    if link_local {
        errors.push(invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
    }
    if link_local_multicast {
        errors.push(invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"));
    }
    errors
}

/// What is fine about an address today, but not what anybody should write.
pub fn warn_of_ip(path: &Path<'_>, value: &str) -> Option<String> {
    let address = parse_ip_leniently(value)?;
    if value.parse::<IpAddr>().is_err() || is_mapped(address) {
        let better = unmapped(address);
        return Some(format!(
            "{path}: non-standard IP address \"{value}\" will be considered invalid in a future Kubernetes release: use \
             \"{better}\""
        ));
    }
    (address.is_ipv6() && address.to_string() != value)
        .then(|| format!("{path}: IPv6 address \"{value}\" should be in RFC 5952 canonical format (\"{address}\")"))
}

/// The same of a range.
pub fn warn_of_cidr(path: &Path<'_>, value: &str) -> Vec<String> {
    let Some(range) = parse_cidr_leniently(value) else { return Vec::new() };
    let mut warnings = Vec::new();
    let masked = range.masked();
    if masked != range {
        let single = Cidr { length: if range.is_ipv4() { 32 } else { 128 }, ..range };
        warnings.push(format!(
            "{path}: CIDR value \"{value}\" is ambiguous in this context (should be \"{masked}\" or \"{single}\"?)"
        ));
    }
    if !is_plain_cidr(value) || is_mapped(range.address) {
        warnings.push(format!(
            "{path}: non-standard CIDR value \"{value}\" will be considered invalid in a future Kubernetes release: use \
             \"{masked}\""
        ));
    }
    if warnings.is_empty() && !range.is_ipv4() && range.to_string() != value {
        warnings
            .push(format!("{path}: IPv6 CIDR value \"{value}\" should be in RFC 5952 canonical format (\"{range}\")"));
    }
    warnings
}
