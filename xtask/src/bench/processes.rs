//! What the kernel says about isopod's processes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel's unit of CPU time in `/proc/PID/stat`, the same on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process(u32);

/// Memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Its share of everything it maps.
    pub pss_bytes: u64,
    /// What it alone maps.
    pub private_bytes: u64,
}

/// What a process has used up so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU time.
    pub cpu: Duration,
    /// Bytes it caused to be written to disks.
    pub written_bytes: u64,
}

impl Process {
    /// By its PID.
    pub fn new(pid: u32) -> Self {
        Self(pid)
    }

    fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    /// Its memory now.
    pub fn memory(self) -> io::Result<Memory> {
        Ok(parse_memory(&std::fs::read_to_string(self.path("smaps_rollup"))?))
    }

    /// What it has used so far.
    pub fn usage(self) -> io::Result<Usage> {
        let stat = parse_stat(&std::fs::read_to_string(self.path("stat"))?).ok_or(io::ErrorKind::InvalidData)?;
        let written_bytes = parse_written(&std::fs::read_to_string(self.path("io"))?);
        Ok(Usage { cpu: stat.cpu, written_bytes })
    }
}

/// All processes of one isopod server.
#[derive(Debug, Default)]
pub struct Family {
    /// The server and what it started that is not a shim.
    pub daemon: Vec<Process>,
    /// Shims: one per Pod.
    pub shims: Vec<Process>,
    /// Further processes of the same binary inside Pods, such as pause.
    pub pauses: Vec<Process>,
}

/// Facts of one process for telling who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    parent: Process,
    /// Whether it runs the isopod binary.
    is_isopod: bool,
    /// Whether it is a shim of this data directory, or was forked by one.
    is_of_shim: bool,
}

impl Family {
    /// Finds them: whatever runs the binary and descends from the server, or is a shim of its data directory.
    pub fn find(server: Process, binary: &Path, data_directory: &Path) -> Result<Self> {
        let binary = binary.canonicalize().with_context(|| format!("find {}", binary.display()))?;
        let mut facts = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").context("read /proc")? {
            let name = entry.context("read /proc")?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that ends meanwhile is none of ours to count.
            if let Ok(known) = observe(Process(pid), &binary, data_directory) {
                facts.insert(Process(pid), known);
            }
        }
        Ok(sort_out(server, &facts))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Process> + '_ {
        self.daemon.iter().chain(&self.shims).chain(&self.pauses).copied()
    }
}

fn observe(process: Process, binary: &Path, data_directory: &Path) -> io::Result<Facts> {
    let stat = parse_stat(&std::fs::read_to_string(process.path("stat"))?).ok_or(io::ErrorKind::InvalidData)?;
    let executable = std::fs::read_link(process.path("exe")).unwrap_or_default();
    let arguments = std::fs::read(process.path("cmdline"))?;
    let is_of_shim = is_shim_of(&arguments, data_directory);
    Ok(Facts { parent: stat.parent, is_isopod: executable == binary, is_of_shim })
}

/// `isopod shim DIRECTORY`, with the directory inside the data directory.
fn is_shim_of(arguments: &[u8], data_directory: &Path) -> bool {
    let mut arguments = arguments.split(|byte| *byte == 0).skip(1);
    let is_shim = arguments.next() == Some(b"shim");
    is_shim && arguments.any(|argument| Path::new(&*String::from_utf8_lossy(argument)).starts_with(data_directory))
}

fn sort_out(server: Process, facts: &BTreeMap<Process, Facts>) -> Family {
    let mut family = Family::default();
    for (process, known) in facts.iter().filter(|(_, known)| known.is_isopod) {
        let is_child_of_shim = facts.get(&known.parent).is_some_and(|parent| parent.is_of_shim);
        if known.is_of_shim && is_child_of_shim {
            family.pauses.push(*process);
        } else if known.is_of_shim {
            family.shims.push(*process);
        } else if descends(*process, server, facts) {
            family.daemon.push(*process);
        }
    }
    family
}

fn descends(process: Process, ancestor: Process, facts: &BTreeMap<Process, Facts>) -> bool {
    let mut next = Some(process);
    // The tree is read process by process, so a reused PID could close a circle: no chain is longer than the list.
    for _ in 0..=facts.len() {
        match next {
            Some(process) if process == ancestor => return true,
            Some(process) => next = facts.get(&process).map(|known| known.parent),
            None => return false,
        }
    }
    false
}

fn parse_memory(smaps_rollup: &str) -> Memory {
    let kibibytes = |name: &str| -> u64 {
        let line = smaps_rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Memory {
        pss_bytes: kibibytes("Pss:") << 10,
        private_bytes: (kibibytes("Private_Clean:") + kibibytes("Private_Dirty:")) << 10,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: Process,
    cpu: Duration,
}

/// The command name, in parentheses, may hold anything; what follows its last parenthesis is numbers.
fn parse_stat(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = Process(fields.get(1)?.parse().ok()?);
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Stat { parent, cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND) })
}

fn parse_written(io: &str) -> u64 {
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let rollup = "00400000-7ffd [rollup]\nRss: 900 kB\nPss:     512 kB\nPss_Dirty: 9 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty: 92 kB\n";
        assert_eq!(parse_memory(rollup), Memory { pss_bytes: 512 << 10, private_bytes: 100 << 10 });
        let stat = "77 (a) b (c) S 12 77 77 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 9 0 100 1 2";
        assert_eq!(parse_stat(stat), Some(Stat { parent: Process(12), cpu: Duration::from_millis(1750) }));
        assert_eq!(parse_written("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n"), 4096);
        let this = Process::new(std::process::id());
        assert!(this.memory().unwrap().pss_bytes > 0);
        this.usage().unwrap();
    }

    #[test]
    fn tells_a_shim_of_this_data_directory_from_others() {
        let data = Path::new("/data/one");
        for (arguments, expected) in [
            ("/usr/bin/isopod\0shim\0/data/one/runtime/x\0", true),
            ("/usr/bin/isopod\0shim\0/data/one2/runtime/x\0", false),
            ("/usr/bin/isopod\0server\0--data-dir\0/data/one\0", false),
            ("", false),
        ] {
            assert_eq!(is_shim_of(arguments.as_bytes(), data), expected, "{arguments:?}");
        }
    }

    #[test]
    fn sorts_processes_into_daemon_shims_and_pauses() {
        let facts = |parent, is_isopod, is_of_shim| Facts { parent: Process(parent), is_isopod, is_of_shim };
        let facts = BTreeMap::from([
            (Process(1), facts(0, false, false)),
            (Process(10), facts(1, true, false)),
            (Process(11), facts(10, true, false)),
            (Process(20), facts(1, true, true)),
            (Process(21), facts(20, true, true)),
            (Process(22), facts(20, false, false)),
            (Process(30), facts(1, true, false)),
        ]);
        let family = sort_out(Process(10), &facts);
        assert_eq!(family.daemon, [Process(10), Process(11)]);
        assert_eq!((family.shims, family.pauses), (vec![Process(20)], vec![Process(21)]));
    }
}
