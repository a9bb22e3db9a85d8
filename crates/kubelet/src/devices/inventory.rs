//! Which devices there are and who has them. Pure.
//!
//! A Pod is first *promised* a number of devices, when it is let in; which ones it gets is chosen when its first
//! container starts, because the plugin may have a preference. What is promised and not chosen yet is nobody else's.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::messages::ContainerAllocateResponse;
use crate::pod::{self, ContainerKind, Uid};
use crate::resources::Amounts;

/// Ids of devices of one resource.
pub type Ids = BTreeSet<String>;

/// Why devices cannot be had, in upstream's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The plugin is gone, or all devices are broken.
    #[error("no healthy devices present; cannot allocate unhealthy devices {0}")]
    NoneHealthy(String),
    /// Others have them.
    #[error("requested number of devices unavailable for {resource}. Requested: {requested}, Available: {available}")]
    Unavailable {
        /// Which.
        resource: String,
        /// How many more are needed.
        requested: usize,
        /// How many are left.
        available: usize,
    },
}

/// All devices of the node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// By resource name. A resource that was here once is kept: that it has no devices now says something.
    pub(super) stocks: BTreeMap<String, Stock>,
    pub(super) shares: BTreeMap<Uid, Share>,
}

/// The devices of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Can be given away.
    pub healthy: Ids,
    /// Are there, but cannot.
    pub unhealthy: Ids,
}

/// What a Pod has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Share {
    /// How many devices of each resource it was let in with.
    pub promised: BTreeMap<String, usize>,
    /// By container and resource.
    pub grants: BTreeMap<(String, String), Grant>,
}

/// The devices a container has of one resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grant {
    /// Which.
    pub devices: Ids,
    /// What the plugin answered when it was told; none before.
    pub answer: Option<ContainerAllocateResponse>,
}

/// What a container can choose from.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer {
    /// How many it asks for.
    pub needed: usize,
    /// Devices of init containers that are over by then: to be taken first.
    pub reusable: Ids,
    /// Devices that nobody has.
    pub free: Ids,
}

impl Inventory {
    /// What a resource's plugin says that there is.
    pub fn set(&mut self, resource: &str, stock: Stock) {
        self.stocks.insert(resource.to_owned(), stock);
    }

    /// The plugin is gone: nothing can be given away any more.
    pub fn lose(&mut self, resource: &str) {
        if let Some(stock) = self.stocks.get_mut(resource) {
            stock.unhealthy.append(&mut stock.healthy);
        }
    }

    /// Capacity and allocatable of the Node.
    pub fn amounts(&self) -> (Amounts, Amounts) {
        let count = |count: usize| Quantity::from_value(i64::try_from(count).unwrap_or(i64::MAX));
        let stocks = || self.stocks.iter();
        let all = stocks().map(|(name, stock)| (name.clone(), count(stock.healthy.len() + stock.unhealthy.len())));
        let healthy = stocks().map(|(name, stock)| (name.clone(), count(stock.healthy.len())));
        (all.collect(), healthy.collect())
    }

    /// Promises a Pod what it asks for.
    ///
    /// # Errors
    /// [`Shortage`] of the first resource that is short.
    pub fn reserve(&mut self, pod: &Pod) -> Result<(), Shortage> {
        let uid = pod::uid(pod);
        let mut promised = BTreeMap::new();
        for (resource, stock) in &self.stocks {
            let needed = devices_of(pod, resource);
            if needed > 0 {
                let available = self.takeable(&uid, resource, stock).len();
                let available = available.saturating_sub(self.promised_to_others(&uid, resource));
                check(resource, stock, needed, available)?;
                promised.insert(resource.clone(), needed);
            }
        }
        if !promised.is_empty() {
            self.shares.entry(uid).or_default().promised = promised;
        }
        Ok(())
    }

    /// The Pod needs nothing any more.
    pub fn release(&mut self, uid: &Uid) {
        self.shares.remove(uid);
    }

    /// Forgets Pods that are not among these.
    pub fn retain(&mut self, pods: &HashSet<Uid>) {
        self.shares.retain(|uid, _| pods.contains(uid));
    }

    /// Containers and resources of which the plugin has not been told yet, in the order in which containers start.
    pub fn untold(&self, pod: &Pod) -> Vec<(String, String)> {
        let uid = pod::uid(pod);
        let all = pod::all_containers(pod).flat_map(|(_, container)| {
            let asked = self.stocks.keys().filter(|resource| limit(container, resource) > 0);
            asked.map(|resource| (container.name.clone(), resource.clone()))
        });
        all.filter(|(name, resource)| self.grant(&uid, name, resource).is_none_or(|grant| grant.answer.is_none()))
            .collect()
    }

    /// What a container has of a resource.
    pub fn grant(&self, uid: &Uid, container: &str, resource: &str) -> Option<&Grant> {
        self.shares.get(uid)?.grants.get(&(container.to_owned(), resource.to_owned()))
    }

    /// All that a container has, by resource.
    pub fn grants<'a>(&'a self, uid: &Uid, container: &'a str) -> impl Iterator<Item = (&'a str, &'a Grant)> {
        let grants = self.shares.get(uid).into_iter().flat_map(|share| &share.grants);
        grants.filter(move |((name, _), _)| name == container).map(|((_, resource), grant)| (resource.as_str(), grant))
    }

    /// What a container can choose from.
    ///
    /// # Errors
    /// [`Shortage`] if that is not enough.
    pub fn offer(&self, pod: &Pod, container: &str, resource: &str) -> Result<Offer, Shortage> {
        let uid = pod::uid(pod);
        let stock = self.stocks.get(resource).ok_or_else(|| Shortage::NoneHealthy(resource.to_owned()))?;
        let needed = pod::find_container(pod, container).map_or(0, |(_, container)| limit(&container, resource));
        let reusable: Ids = self.reusable(pod, container, resource).intersection(&stock.healthy).cloned().collect();
        let mut free = self.takeable(&uid, resource, stock);
        free.retain(|id| !self.devices(&uid, resource).contains(id.as_str()));
        let more = needed.saturating_sub(reusable.len());
        let available = free.len().saturating_sub(self.promised_to_others(&uid, resource));
        check(resource, stock, more, available)?;
        Ok(Offer { needed, reusable, free })
    }

    /// Gives a container its devices: reusable ones, then those the plugin prefers, then any.
    ///
    /// # Errors
    /// [`Shortage`] if there are not enough.
    pub fn take(&mut self, pod: &Pod, container: &str, resource: &str, preferred: &[String]) -> Result<Ids, Shortage> {
        let devices = self.offer(pod, container, resource)?.choose(preferred);
        let grant = Grant { devices: devices.clone(), answer: None };
        let share = self.shares.entry(pod::uid(pod)).or_default();
        share.grants.insert((container.to_owned(), resource.to_owned()), grant);
        Ok(devices)
    }

    /// Notes what the plugin answered. A Pod that is gone has no use for it.
    pub fn answered(&mut self, uid: &Uid, container: &str, resource: &str, answer: ContainerAllocateResponse) {
        let key = (container.to_owned(), resource.to_owned());
        if let Some(grant) = self.shares.get_mut(uid).and_then(|share| share.grants.get_mut(&key)) {
            grant.answer = Some(answer);
        }
    }

    /// Healthy devices that no other Pod has.
    fn takeable(&self, uid: &Uid, resource: &str, stock: &Stock) -> Ids {
        let others = self.shares.keys().filter(|other| *other != uid);
        let taken: BTreeSet<&str> = others.flat_map(|other| self.devices(other, resource)).collect();
        stock.healthy.iter().filter(|id| !taken.contains(id.as_str())).cloned().collect()
    }

    /// Devices a Pod has.
    fn devices(&self, uid: &Uid, resource: &str) -> BTreeSet<&str> {
        let grants = self.shares.get(uid).into_iter().flat_map(|share| &share.grants);
        let devices = grants.filter(|((_, of), _)| of == resource).flat_map(|(_, grant)| &grant.devices);
        devices.map(String::as_str).collect()
    }

    /// How many devices other Pods will choose yet.
    fn promised_to_others(&self, uid: &Uid, resource: &str) -> usize {
        let others = self.shares.iter().filter(|(other, _)| *other != uid);
        let open = others.map(|(other, share)| {
            let promised = share.promised.get(resource).copied().unwrap_or(0);
            promised.saturating_sub(self.devices(other, resource).len())
        });
        open.sum()
    }

    /// Devices of init containers that end before this container starts, less those somebody took over already.
    fn reusable(&self, pod: &Pod, container: &str, resource: &str) -> Ids {
        let uid = pod::uid(pod);
        let mut reusable = Ids::new();
        for (kind, earlier) in pod::all_containers(pod).take_while(|(_, earlier)| earlier.name != container) {
            let Some(grant) = self.grant(&uid, &earlier.name, resource) else { continue };
            match kind {
                ContainerKind::Init => reusable.extend(grant.devices.iter().cloned()),
                _ => reusable.retain(|id| !grant.devices.contains(id)),
            }
        }
        reusable
    }
}

impl Offer {
    fn choose(self, preferred: &[String]) -> Ids {
        let preferred_free = preferred.iter().filter(|id| self.free.contains(*id));
        let in_order = self.reusable.iter().chain(preferred_free).chain(&self.free);
        let mut chosen = Ids::new();
        for id in in_order {
            if chosen.len() == self.needed {
                break;
            }
            chosen.insert(id.clone());
        }
        chosen
    }
}

fn check(resource: &str, stock: &Stock, needed: usize, available: usize) -> Result<(), Shortage> {
    if stock.healthy.is_empty() {
        return Err(Shortage::NoneHealthy(resource.to_owned()));
    }
    if available < needed {
        return Err(Shortage::Unavailable { resource: resource.to_owned(), requested: needed, available });
    }
    Ok(())
}

/// How many different devices a Pod has in the end: containers take over those of init containers that are over.
fn devices_of(pod: &Pod, resource: &str) -> usize {
    let (mut all, mut reusable) = (0, 0);
    for (kind, container) in pod::all_containers(pod) {
        let needed = limit(container, resource);
        let reused = needed.min(reusable);
        all += needed - reused;
        match kind {
            ContainerKind::Init => reusable += needed - reused,
            _ => reusable -= reused,
        }
    }
    all
}

/// How many devices a container asks for. Limits and requests of such resources are the same.
fn limit(container: &Container, resource: &str) -> usize {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let quantity = limits.and_then(|limits| limits.get(resource)).and_then(|text| Quantity::parse(&text.0).ok());
    quantity.map_or(0, |quantity| usize::try_from(quantity.value()).unwrap_or(0))
}
