//! Ids of the host for Pods that want users of their own (`hostUsers: false`): a range for each that no other Pod has.
//!
//! The record in a Pod's directory is the allocation: it comes before anything of the Pod runs and goes with the
//! directory, after everything has ended. A restarted kubelet finds all of them. A damaged record holds up its own Pod
//! only: while there is one, the ranges of running processes count as taken, too, so that nobody gets that Pod's.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};

use crate::pod;

/// Ids each Pod has: as many as a Pod may name.
const LENGTH: u32 = 65536;
/// The record in a Pod's directory, as upstream names and writes it.
const FILE: &str = "userns";

/// A Pod's ids from 0 on and what they are on the host, for users and groups alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// What 0 is.
    pub first: u32,
    /// How many there are.
    pub length: u32,
}

impl IdRange {
    /// The range in CRI's words.
    pub fn mappings(self) -> Vec<cri::IDMapping> {
        vec![cri::IDMapping { host_id: self.first, container_id: 0, length: self.length }]
    }
}

/// Why a Pod has no ids.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// All ranges are taken.
    #[error("could not find an empty slot to allocate a user namespace")]
    Full,
    /// A record that is not one range for users and groups.
    #[error("{} is no record of a user namespace", .0.display())]
    Record(PathBuf),
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    uid_mappings: Vec<Mapping>,
    gid_mappings: Vec<Mapping>,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    host_id: u32,
    container_id: u32,
    length: u32,
}

/// Gives out ranges.
#[derive(Debug)]
pub struct UserNamespaces {
    /// Directory of all Pods' directories.
    pods: PathBuf,
    /// How many Pods can have one.
    slots: u32,
    allocating: Mutex<()>,
}

impl UserNamespaces {
    /// Ranges for so many Pods, recorded below a directory.
    pub fn new(pods: PathBuf, max_pods: u32) -> Self {
        // The first range is the host's own users.
        Self { pods, slots: max_pods.min(u32::MAX / LENGTH - 1), allocating: Mutex::new(()) }
    }

    /// The Pod's range, the same one each time; none for a Pod with the host's users.
    ///
    /// # Errors
    /// When there is none left, or records cannot be read or written.
    pub fn range_of(&self, pod: &Pod) -> Result<Option<IdRange>, Error> {
        if pod.spec.as_ref().and_then(|spec| spec.host_users) != Some(false) {
            return Ok(None);
        }
        let directory = self.pods.join(pod::uid(pod).as_str());
        let path = directory.join(FILE);
        let _one_at_a_time = self.allocating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(range) = read(&path)? {
            return Ok(Some(range));
        }
        let first = first_free(&self.taken(), self.slots).ok_or(Error::Full)?;
        let range = IdRange { first, length: LENGTH };
        write(&directory, range).map_err(|source| Error::Disk { path, source })?;
        Ok(Some(range))
    }

    fn taken(&self) -> HashSet<u32> {
        let entries = fs::read_dir(&self.pods).into_iter().flatten().flatten();
        let records: Vec<_> = entries.filter_map(|entry| read(&entry.path().join(FILE)).transpose()).collect();
        let mut taken: HashSet<u32> = records.iter().flatten().map(|range| range.first).collect();
        for problem in records.iter().filter_map(|record| record.as_ref().err()) {
            tracing::warn!(%problem, "a Pod's ids are unknown");
            taken.extend(ranges_of_processes(Path::new("/proc")));
        }
        taken
    }
}

/// The ranges whose users have processes.
fn ranges_of_processes(proc: &Path) -> HashSet<u32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    // Processes come and go meanwhile; an infra container stays as long as its Pod has anything to lose.
    let maps = entries.filter_map(|entry| fs::read_to_string(entry.path().join("uid_map")).ok());
    maps.filter_map(|map| map.split_whitespace().nth(1)?.parse().ok()).collect()
}

/// The lowest range that nobody has; all are of one length.
fn first_free(taken: &HashSet<u32>, slots: u32) -> Option<u32> {
    (1..=slots).map(|slot| slot * LENGTH).find(|first| !taken.contains(first))
}

fn read(path: &Path) -> Result<Option<IdRange>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Disk { path: path.to_owned(), source }),
    };
    let damaged = || Error::Record(path.to_owned());
    let record: Record = serde_json::from_slice(&text).map_err(|_| damaged())?;
    match record.uid_mappings.as_slice() {
        [Mapping { host_id, container_id: 0, length: LENGTH }]
            if record.gid_mappings == record.uid_mappings && *host_id > 0 && host_id % LENGTH == 0 =>
        {
            Ok(Some(IdRange { first: *host_id, length: LENGTH }))
        }
        _ => Err(damaged()),
    }
}

/// Beside the record and renamed into place: half a record would hold up all Pods of this kind.
fn write(directory: &Path, range: IdRange) -> io::Result<()> {
    use io::Write as _;
    fs::create_dir_all(directory)?;
    let mapping = vec![Mapping { host_id: range.first, container_id: 0, length: range.length }];
    let record = Record { uid_mappings: mapping.clone(), gid_mappings: mapping };
    let path = directory.join(FILE);
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(&record)?)?;
    fs::rename(&new, &path)
}
