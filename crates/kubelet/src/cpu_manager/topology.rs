//! Which CPUs share a core, a socket or a NUMA node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::cpu_set::CpuSet;

/// Where a CPU sits. Numbers are unique on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its core, by the lowest number of a CPU in it.
    pub core: u32,
    /// Its socket.
    pub socket: u32,
    /// Its NUMA node.
    pub numa_node: u32,
}

/// The parts of a machine that CPUs sit in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A NUMA node.
    NumaNode,
    /// A socket.
    Socket,
    /// A core.
    Core,
    /// A CPU alone.
    Cpu,
}

/// The CPUs of a machine that are online.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology(BTreeMap<u32, Place>);

impl Topology {
    /// A machine by where its CPUs sit.
    pub fn new(cpus: impl IntoIterator<Item = (u32, Place)>) -> Self {
        Self(cpus.into_iter().collect())
    }

    /// Reads it from `/sys/devices/system`.
    ///
    /// # Errors
    /// When the kernel does not say which CPUs are online. A CPU of which it says nothing more sits alone.
    pub fn read(system: &Path) -> io::Result<Self> {
        let list = |path: &Path| fs::read_to_string(path)?.parse::<CpuSet>().map_err(io::Error::other);
        let mut numa_nodes = BTreeMap::new();
        for entry in fs::read_dir(system.join("node")).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(node) = name.to_str().and_then(|name| name.strip_prefix("node")?.parse().ok()) else { continue };
            let cpus = list(&entry.path().join("cpulist"))?;
            numa_nodes.extend(cpus.iter().map(|cpu| (cpu, node)));
        }
        let place = |cpu: u32| {
            let directory = system.join(format!("cpu/cpu{cpu}/topology"));
            let siblings = list(&directory.join("thread_siblings_list")).unwrap_or_default();
            let socket = fs::read_to_string(directory.join("physical_package_id")).unwrap_or_default();
            Place {
                core: siblings.iter().next().unwrap_or(cpu),
                socket: socket.trim().parse().unwrap_or(0),
                numa_node: numa_nodes.get(&cpu).copied().unwrap_or(0),
            }
        };
        Ok(Self::new(list(&system.join("cpu/online"))?.iter().map(|cpu| (cpu, place(cpu)))))
    }

    /// All CPUs.
    pub fn cpus(&self) -> CpuSet {
        self.0.keys().copied().collect()
    }

    /// How many CPUs a core has.
    pub fn cpus_per_core(&self) -> usize {
        self.0.len() / self.count(Level::Core).max(1)
    }

    /// How many parts of a kind there are.
    pub fn count(&self, level: Level) -> usize {
        self.0.keys().filter_map(|cpu| self.part(level, *cpu)).collect::<BTreeSet<_>>().len()
    }

    /// The part that a CPU sits in; none for a CPU that is not there.
    pub fn part(&self, level: Level, cpu: u32) -> Option<u32> {
        let place = self.0.get(&cpu)?;
        Some(match level {
            Level::NumaNode => place.numa_node,
            Level::Socket => place.socket,
            Level::Core => place.core,
            Level::Cpu => cpu,
        })
    }

    /// These CPUs and all others in the same parts.
    pub fn widen(&self, level: Level, cpus: &CpuSet) -> CpuSet {
        let parts: BTreeSet<_> = cpus.iter().filter_map(|cpu| self.part(level, cpu)).collect();
        let inside = |cpu: &u32| self.part(level, *cpu).is_some_and(|part| parts.contains(&part));
        self.0.keys().copied().filter(inside).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_the_kernel_shows_it() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(Topology::read(directory.path()).is_err());
        write("cpu/online", "0-2\n");
        for (cpu, siblings, socket) in [(0, "0,2", "0"), (2, "0,2", "0")] {
            write(&format!("cpu/cpu{cpu}/topology/thread_siblings_list"), siblings);
            write(&format!("cpu/cpu{cpu}/topology/physical_package_id"), socket);
        }
        write("node/node0/cpulist", "0,2\n");
        write("node/node1/cpulist", "1\n");
        write("node/possible", "0-1\n");
        let place = |core, socket, numa_node| Place { core, socket, numa_node };
        let expected = Topology::new([(0, place(0, 0, 0)), (1, place(1, 0, 1)), (2, place(0, 0, 0))]);
        let topology = Topology::read(directory.path()).unwrap();
        assert_eq!(topology, expected);
        assert_eq!(topology.widen(Level::Core, &"2".parse().unwrap()).to_string(), "0,2");
    }
}
