//! Cluster addresses. An IPAddress object is the claim: whoever creates it has the address, across writes at once and
//! across crashes.

use std::net::IpAddr;
use std::sync::Mutex;

use api::k8s_openapi::api::networking::v1::{IPAddress, IPAddressSpec, ParentReference, ServiceCIDR};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use api::net::Cidr;
use api::networking::v1::ip_address::{FAMILY_LABEL, MANAGED_BY_LABEL};
use api::networking::v1::service_cidr;

use super::families::{IPV4, IPV6};
use crate::api_server::Server;
use crate::audit::Annotations;
use crate::error::Error;
use crate::identity::{MASTERS, UserInfo};
use crate::registry::store::{DeleteOptions, WriteContext};
use crate::registry::{self, Kept};

const GROUP: &str = "networking.k8s.io";
/// Who makes IPAddresses for Services.
pub const MANAGER: &str = "ipallocator.k8s.io";

/// Why an address cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// No range has it.
    #[error("the provided network does not match the current range")]
    MismatchedNetwork,
    /// Another Service has it.
    #[error("provided IP is already allocated")]
    Allocated,
    /// All are taken.
    #[error("range is full")]
    Full,
    /// The claim could not be stored, or not be looked up.
    #[error("{0}")]
    Failed(#[from] Error),
}

/// Whose address it is to be.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The Service's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// The pool of addresses.
#[derive(Clone, Copy)]
pub struct ClusterIps<'a>(pub &'a Server);

impl ClusterIps<'_> {
    /// Takes an address for a Service.
    ///
    /// # Errors
    /// [`AddressError`].
    pub async fn take(self, address: IpAddr, owner: Owner<'_>, dry_run: bool) -> Result<(), AddressError> {
        let ranges = self.ready_ranges(family_of(address)).await?;
        if !ranges.iter().any(|range| offers(range, address)) {
            return Err(AddressError::MismatchedNetwork);
        }
        if dry_run { Ok(()) } else { self.claim(address, owner).await }
    }

    /// Takes any address of a family for a Service. A dry run answers the range's own, which nobody can have.
    ///
    /// # Errors
    /// [`AddressError`].
    pub async fn take_any(self, family: &str, owner: Owner<'_>, dry_run: bool) -> Result<IpAddr, AddressError> {
        let ranges = self.ready_ranges(family).await?;
        if dry_run {
            return ranges.first().map(|range| range.masked().address).ok_or(AddressError::Full);
        }
        for range in ranges {
            for offset in search_order(&range, self.0.random.bits()) {
                let Some(address) = range.nth(offset) else { continue };
                if self.kept()?.cache.get(&address.to_string()).is_some() {
                    continue;
                }
                match self.claim(address, owner).await {
                    Err(AddressError::Allocated) => {} // by another write, a moment ago
                    outcome => return outcome.map(|()| address),
                }
            }
        }
        Err(AddressError::Full)
    }

    /// Gives an address back.
    ///
    /// # Errors
    /// Whatever keeps the IPAddress from being deleted.
    pub async fn give_back(self, address: IpAddr) -> Result<(), Error> {
        let (user, warnings) = (server_itself(), Mutex::default());
        let name = address.to_string();
        match self.context(&user, &warnings)?.delete(&name, &DeleteOptions::default()).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the IPAddress of a Service.
    pub(super) async fn claim(self, address: IpAddr, owner: Owner<'_>) -> Result<(), AddressError> {
        let object = IPAddress {
            metadata: ObjectMeta {
                name: Some(address.to_string()),
                labels: Some(
                    [(FAMILY_LABEL, family_of(address)), (MANAGED_BY_LABEL, MANAGER)]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
                ..ObjectMeta::default()
            },
            spec: IPAddressSpec {
                parent_ref: ParentReference {
                    group: None,
                    resource: "services".to_owned(),
                    namespace: Some(owner.namespace.to_owned()),
                    name: owner.name.to_owned(),
                },
            },
        };
        let (user, warnings) = (server_itself(), Mutex::default());
        match self.context(&user, &warnings)?.create(Box::new(object)).await {
            Ok(_) => Ok(()),
            Err(Error::AlreadyExists { .. }) => Err(AddressError::Allocated),
            Err(error) => Err(error.into()),
        }
    }

    /// Every IPAddress.
    pub(super) async fn all(self) -> Result<Vec<IPAddress>, Error> {
        self.0.all(GROUP, "ipaddresses").await
    }

    async fn ready_ranges(self, family: &str) -> Result<Vec<Cidr>, Error> {
        let objects: Vec<ServiceCIDR> = self.0.all(GROUP, "servicecidrs").await?;
        let ready = objects.iter().filter(|object| service_cidr::is_ready(object));
        let ranges = ready.flat_map(service_cidr::ranges);
        Ok(ranges.filter(|range| range.is_ipv4() == (family == IPV4)).collect())
    }

    fn kept(&self) -> Result<&Kept, Error> {
        let kept = registry::lookup(GROUP, "v1", "ipaddresses").and_then(|resource| self.0.kept(resource));
        kept.map(AsRef::as_ref).ok_or_else(|| Error::Internal("there are no IPAddresses here".to_owned()))
    }

    fn context<'s>(&'s self, user: &'s UserInfo, warnings: &'s Mutex<Vec<String>>) -> Result<WriteContext<'s>, Error> {
        let kept = self.kept()?;
        let (server, annotations) = (self.0, Annotations::UNREAD);
        Ok(WriteContext { server, kept, namespace: "", subresource: "", user, dry_run: false, warnings, annotations })
    }
}

fn server_itself() -> UserInfo {
    UserInfo::new("system:apiserver", [MASTERS])
}

fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { IPV4 } else { IPV6 }
}

/// The offsets of the first and last address that can be had: not the network's own, nor IPv4's broadcast address.
fn usable(range: &Cidr) -> (u128, u128) {
    let last = range.last_offset();
    (1, if range.is_ipv4() { last.saturating_sub(1) } else { last })
}

fn offers(range: &Cidr, address: IpAddr) -> bool {
    let (first, last) = usable(range);
    range.contains(address)
        && range.nth(first).is_some_and(|first| first <= address)
        && range.nth(last).is_some_and(|last| address <= last)
}

/// The offsets to try: from a random one on through the upper band, then likewise the lower one, which is for those who
/// ask for an address by number.
fn search_order(range: &Cidr, random: u64) -> impl Iterator<Item = u128> + use<> {
    let (first, last) = usable(range);
    let count = (last + 1).saturating_sub(first);
    let band = static_band(range.last_offset()).min(count);
    let from = move |first: u128, count: u128| {
        let start = u128::from(random) % count.max(1);
        (0..count).map(move |step| first + (start + step) % count)
    };
    from(first + band, count - band).chain(from(first, band))
}

/// How many addresses the lower band has.
fn static_band(last_offset: u128) -> u128 {
    let size = last_offset.saturating_add(1);
    if size <= 16 { 0 } else { (size / 16).clamp(16, 256) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_address_is_tried_once_and_the_low_ones_last() {
        for (range, band, count) in [("10.0.0.0/24", 16, 254), ("10.0.0.0/29", 0, 6), ("10.0.0.0/16", 256, 65_534)] {
            let range: Cidr = range.parse().expect("a range");
            let order: Vec<u128> = search_order(&range, 7_777_777_777).collect();
            assert_eq!(order.len(), count, "{range}");
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), count, "{range}");
            assert_eq!((order.iter().min(), order.iter().max()), (Some(&1), Some(&(count as u128))), "{range}");
            assert!(order[..count - band].iter().all(|offset| *offset > band as u128), "{range}");
        }
        let wide: Cidr = "fd00::/64".parse().expect("a range");
        assert!(search_order(&wide, u64::MAX).take(3).all(|offset| offset > 256));
    }

    #[test]
    fn the_networks_own_addresses_are_not_offered() {
        let range: Cidr = "10.0.0.0/24".parse().expect("a range");
        for (address, want) in [("10.0.0.0", false), ("10.0.0.1", true), ("10.0.0.254", true), ("10.0.0.255", false)] {
            assert_eq!(offers(&range, address.parse().expect("an address")), want, "{address}");
        }
        let range: Cidr = "fd00::/64".parse().expect("a range");
        assert!(offers(&range, "fd00::ffff:ffff:ffff:ffff".parse().expect("an address")));
    }
}
