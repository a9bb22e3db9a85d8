//! Where the hierarchies are mounted.

use std::path::{Path, PathBuf};

use super::{Error, Result};

/// The kernel interface in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy for all controllers.
    V2,
}

/// The controllers isopod uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// CPU shares and quota.
    Cpu,
    /// CPU accounting (version 1 only; part of `cpu` in version 2).
    Cpuacct,
    /// CPU pinning.
    Cpuset,
    /// Memory limit and accounting.
    Memory,
    /// Number of processes.
    Pids,
    /// Large memory pages.
    Hugetlb,
    /// Access to devices (version 1 only).
    Devices,
}

impl Controller {
    const ALL: [Self; 7] =
        [Self::Cpu, Self::Cpuacct, Self::Cpuset, Self::Memory, Self::Pids, Self::Hugetlb, Self::Devices];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Hugetlb => "hugetlb",
            Self::Devices => "devices",
        }
    }
}

impl Controller {
    /// Whether a version 1 cgroup has this controller only when a limit asks for it.
    pub(super) fn is_optional(self) -> bool {
        matches!(self, Self::Cpuset | Self::Hugetlb | Self::Devices)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    V1(Vec<(Controller, PathBuf)>),
    V2(PathBuf),
}

impl Layout {
    /// Reads the text of `/proc/self/mountinfo`.
    pub(super) fn from_mountinfo(text: &str) -> Result<Self> {
        let mut v1 = Vec::new();
        let mut v2 = None;
        for (mount_point, kind, options) in text.lines().filter_map(parse_line) {
            match kind {
                "cgroup2" if v2.is_none() => v2 = Some(PathBuf::from(mount_point)),
                "cgroup" => {
                    for controller in Controller::ALL {
                        let known = v1.iter().any(|(seen, _)| *seen == controller);
                        if !known && options.split(',').any(|option| option == controller.name()) {
                            v1.push((controller, PathBuf::from(mount_point)));
                        }
                    }
                }
                _ => {}
            }
        }
        let has = |wanted: Controller| v1.iter().any(|(controller, _)| *controller == wanted);
        if has(Controller::Cpu) && has(Controller::Memory) {
            return Ok(Self::V1(v1));
        }
        v2.map(Self::V2).ok_or_else(|| Error::Detect("neither cgroup2 nor the cpu and memory controllers".into()))
    }

    /// Mount point of a controller's hierarchy.
    pub(super) fn root(&self, controller: Controller) -> Option<&Path> {
        match self {
            Self::V1(hierarchies) => {
                hierarchies.iter().find(|(name, _)| *name == controller).map(|(_, root)| root.as_path())
            }
            Self::V2(root) => Some(root),
        }
    }

    /// Mount points of all hierarchies, co-mounted controllers once.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Path> {
        let roots: Vec<&Path> = match self {
            Self::V1(hierarchies) => {
                let mut roots: Vec<&Path> = Vec::new();
                for (_, root) in hierarchies {
                    if !roots.contains(&root.as_path()) {
                        roots.push(root);
                    }
                }
                roots
            }
            Self::V2(root) => vec![root],
        };
        roots.into_iter()
    }

    /// Mount points of the hierarchies that are not among [`Self::roots`].
    pub(super) fn other_roots(&self, mountinfo: &str) -> Vec<PathBuf> {
        let mounted =
            mountinfo.lines().filter_map(parse_line).filter(|(_, kind, _)| matches!(*kind, "cgroup" | "cgroup2"));
        let others = mounted.filter(|(mount_point, ..)| !self.roots().any(|root| root == Path::new(mount_point)));
        others.map(|(mount_point, ..)| PathBuf::from(mount_point)).collect()
    }

    /// The hierarchy that says which processes are in a cgroup.
    pub(super) fn main_root(&self) -> &Path {
        self.root(Controller::Memory).expect("detection requires the memory controller")
    }
}

/// Mount point, file system type and super block options of one line.
fn parse_line(line: &str) -> Option<(&str, &str, &str)> {
    let (mount, super_block) = line.split_once(" - ")?;
    let mount_point = mount.split(' ').nth(4)?;
    let mut fields = super_block.split(' ');
    let kind = fields.next()?;
    Some((mount_point, kind, fields.nth(1).unwrap_or_default()))
}
