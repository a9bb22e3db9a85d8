//! Choosing CPUs so that a container's CPUs are close to each other and the rest stays whole. Pure.

use std::collections::BTreeMap;

use super::cpu_set::CpuSet;
use super::topology::{Level, Topology};

/// Fewer CPUs are free than are asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not enough cpus available to satisfy request: requested={requested}, available={available}")]
pub struct NotEnough {
    requested: usize,
    available: usize,
}

/// Takes CPUs of those that are free: whole NUMA nodes and sockets where the request fills them, then whole cores, then
/// single ones, always where the least is left.
///
/// # Errors
/// [`NotEnough`].
pub fn take(topology: &Topology, free: &CpuSet, count: usize) -> Result<CpuSet, NotEnough> {
    if free.len() < count {
        return Err(NotEnough { requested: count, available: free.len() });
    }
    let (mut free, mut taken) = (free.clone(), CpuSet::default());
    let levels = levels(topology);
    for depth in 1..=levels.len() {
        let (outer, level) = (&levels[..depth], levels[depth - 1]);
        for part in parts(topology, &free, outer) {
            let is_whole = topology.widen(level, &part) == part;
            if is_whole && part.len() <= count - taken.len() {
                taken = taken.union(&part);
                free = free.difference(&part);
            }
        }
    }
    debug_assert_eq!(taken.len(), count, "single CPUs fill what is left");
    Ok(taken)
}

/// The parts of a machine from the largest to the smallest: a NUMA node may hold sockets, or the other way round.
fn levels(topology: &Topology) -> [Level; 4] {
    if topology.count(Level::Socket) >= topology.count(Level::NumaNode) {
        [Level::NumaNode, Level::Socket, Level::Core, Level::Cpu]
    } else {
        [Level::Socket, Level::NumaNode, Level::Core, Level::Cpu]
    }
}

/// Free CPUs by parts of the innermost of these levels: those with the fewest free ones first, on each level.
fn parts(topology: &Topology, free: &CpuSet, levels: &[Level]) -> Vec<CpuSet> {
    let Some((level, inner)) = levels.split_first() else { return vec![free.clone()] };
    let mut by_part: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for cpu in free.iter() {
        if let Some(part) = topology.part(*level, cpu) {
            by_part.entry(part).or_default().push(cpu);
        }
    }
    let mut sorted: Vec<(u32, Vec<u32>)> = by_part.into_iter().collect();
    sorted.sort_by_key(|(part, cpus)| (cpus.len(), *part));
    sorted.into_iter().flat_map(|(_, cpus)| parts(topology, &cpus.into_iter().collect(), inner)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::topology::Place;
    use super::*;

    /// Eight CPUs: one socket, four cores; CPU n and n + 4 share a core.
    fn one_socket() -> Topology {
        Topology::new((0..8).map(|cpu| (cpu, Place { core: cpu % 4, socket: 0, numa_node: 0 })))
    }

    /// Twelve CPUs: two sockets, each a NUMA node, alternating; CPU n and n + 6 share a core.
    fn two_sockets() -> Topology {
        Topology::new((0..12).map(|cpu| (cpu, Place { core: cpu % 6, socket: cpu % 2, numa_node: cpu % 2 })))
    }

    #[test]
    fn cpus_are_taken_where_they_leave_the_most_whole() {
        for (topology, free, count, taken) in [
            (one_socket(), "0-7", 0, ""),
            (one_socket(), "0-7", 1, "0"),
            (one_socket(), "1-7", 1, "4"),
            (one_socket(), "0-7", 2, "0,4"),
            (one_socket(), "1-3,5-7", 2, "1,5"),
            (one_socket(), "0-7", 3, "0-1,4"),
            (one_socket(), "0-7", 8, "0-7"),
            (two_sockets(), "0-11", 1, "0"),
            (two_sockets(), "1-11", 1, "6"),
            (two_sockets(), "0-11", 6, "0,2,4,6,8,10"),
            (two_sockets(), "1-11", 6, "1,3,5,7,9,11"),
            (two_sockets(), "0,2-11", 2, "3,9"),
            (two_sockets(), "0-11", 8, "0-2,4,6-8,10"),
        ] {
            let free: CpuSet = free.parse().unwrap();
            assert_eq!(take(&topology, &free, count).unwrap().to_string(), taken, "{count} of {free}");
        }
        let error = take(&one_socket(), &"0,2,4,6".parse().unwrap(), 5).unwrap_err();
        let expected = "not enough cpus available to satisfy request: requested=5, available=4";
        assert_eq!(error.to_string(), expected);
    }
}
