//! Which address a Pod gets: pure bookkeeping over one range.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::cidr::Cidr;

/// The addresses of one range: the network's own and the gateway (the first two) are never handed out, nor is the
/// IPv4 broadcast address. Free addresses are taken in turn, so a released one rests as long as possible.
#[derive(Debug)]
pub struct Pool {
    range: Cidr,
    used: HashSet<IpAddr>,
    next: u64,
}

/// The offset of the first address for Pods.
const FIRST: u64 = 2;

impl Pool {
    /// A pool of which these addresses are taken already; others outside the range do not matter.
    pub fn new(range: Cidr, taken: impl IntoIterator<Item = IpAddr>) -> Self {
        let used = taken.into_iter().filter(|address| range.contains(*address)).collect();
        Self { range, used, next: FIRST }
    }

    /// The range.
    pub fn range(&self) -> Cidr {
        self.range
    }

    /// The node's own address in the range, the Pods' gateway.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.range.nth(1)
    }

    /// Takes a free address, or `None` when all are taken.
    pub fn allocate(&mut self) -> Option<IpAddr> {
        let end = self.end();
        let span = end.checked_sub(FIRST).filter(|span| *span > 0)?;
        if self.used.len() as u64 >= span {
            return None;
        }
        let free = (0..span).map(|step| FIRST + (self.next - FIRST + step) % span).find_map(|offset| {
            let address = self.range.nth(offset)?;
            (!self.used.contains(&address)).then_some((offset, address))
        });
        let (offset, address) = free?;
        self.next = FIRST + (offset + 1 - FIRST) % span;
        self.used.insert(address);
        Some(address)
    }

    /// Gives an address back.
    pub fn release(&mut self, address: IpAddr) {
        self.used.remove(&address);
    }

    /// The offset after the last address for Pods.
    fn end(&self) -> u64 {
        let size = u64::try_from(self.range.size()).unwrap_or(u64::MAX);
        if self.range.is_ipv4() { size.saturating_sub(1) } else { size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(range: &str, taken: &[&str]) -> Pool {
        Pool::new(range.parse().unwrap(), taken.iter().map(|address| address.parse().unwrap()))
    }

    #[test]
    fn hands_out_in_turn_and_lets_released_addresses_rest() {
        let mut pool = pool("10.0.0.0/29", &["10.0.0.3", "192.168.0.1"]);
        assert_eq!(pool.gateway().unwrap().to_string(), "10.0.0.1");
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.2");
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.4");
        pool.release("10.0.0.2".parse().unwrap());
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.5");
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.6");
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.2");
        assert_eq!(pool.allocate(), None);
    }

    #[test]
    fn a_range_too_small_for_pods_is_empty() {
        for range in ["10.0.0.0/31", "10.0.0.0/32", "10.0.0.0/30", "fd00::/128"] {
            let mut pool = pool(range, &[]);
            let allocated = std::iter::from_fn(|| pool.allocate()).count();
            assert_eq!(allocated, usize::from(range.ends_with("/30")), "{range}");
        }
    }
}
