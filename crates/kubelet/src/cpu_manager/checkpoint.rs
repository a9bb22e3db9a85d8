//! Who has which CPUs, on disk: `cpu_manager_state`, in the shape and with the checksum upstream gives it, which tools
//! that look after CPUs read as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::policy::Assignments;
use crate::pod::Uid;

/// The file's name.
pub const FILE: &str = "cpu_manager_state";

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is no JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Somebody changed it.
    #[error("checkpoint is corrupted")]
    Corrupt,
    /// It was written under another policy.
    #[error("configured policy {configured:?} differs from state checkpoint policy {found:?}")]
    Policy {
        /// The policy in force.
        configured: String,
        /// That of the checkpoint.
        found: String,
    },
    /// CPUs nobody understands.
    #[error("could not parse default cpu set {text:?}: {problem}")]
    Shared {
        /// What is written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A container's CPUs nobody understands.
    #[error("could not parse cpuset {text:?} for container {container:?} in pod {pod:?}: {problem}")]
    Exclusive {
        /// What is written.
        text: String,
        /// Whose they are.
        container: String,
        /// The container's Pod.
        pod: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checkpoint {
    policy_name: String,
    #[serde(alias = "defaultCPUSet")]
    default_cpu_set: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    entries: BTreeMap<String, BTreeMap<String, String>>,
    checksum: u32,
}

impl Checkpoint {
    /// FNV-1a over the text in which Go prints upstream's structure.
    fn sum(&self) -> u32 {
        let pod = |containers: &BTreeMap<String, String>| {
            let pairs = containers.iter().map(|(name, cpus)| format!("{name}:{cpus}"));
            pairs.collect::<Vec<_>>().join(" ")
        };
        let pods = self.entries.iter().map(|(uid, containers)| format!("{uid}:map[{}]", pod(containers)));
        let mut text = String::from("(*state.CPUManagerCheckpoint){");
        write!(
            text,
            "PolicyName:(string){} DefaultCPUSet:(string){} Entries:(map[string]map[string]string)map[{}] \
             Checksum:(checksum.Checksum)0}}",
            self.policy_name,
            self.default_cpu_set,
            pods.collect::<Vec<_>>().join(" "),
        )
        .expect("a string takes everything");
        text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

/// What was written under this policy; nothing if there is no file.
///
/// # Errors
/// [`CheckpointError`].
pub fn read(directory: &Path, policy: &str) -> Result<Option<Assignments>, CheckpointError> {
    let text = match std::fs::read(directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let checkpoint: Checkpoint = serde_json::from_slice(&text)?;
    // Zero is what very old ones have.
    if checkpoint.checksum != 0 && checkpoint.checksum != checkpoint.sum() {
        return Err(CheckpointError::Corrupt);
    }
    if checkpoint.policy_name != policy {
        return Err(CheckpointError::Policy { configured: policy.to_owned(), found: checkpoint.policy_name });
    }
    restore(&checkpoint).map(Some)
}

fn restore(checkpoint: &Checkpoint) -> Result<Assignments, CheckpointError> {
    let text = &checkpoint.default_cpu_set;
    let shared = text.parse().map_err(|problem| CheckpointError::Shared { text: text.clone(), problem })?;
    let mut assignments = Assignments { shared, ..Assignments::default() };
    for (pod, containers) in &checkpoint.entries {
        for (container, text) in containers {
            let cpus = text.parse().map_err(|problem| CheckpointError::Exclusive {
                text: text.clone(),
                container: container.clone(),
                pod: pod.clone(),
                problem,
            })?;
            assignments.exclusive.entry(Uid::new(pod)).or_default().insert(container.clone(), cpus);
        }
    }
    Ok(assignments)
}

/// Writes beside and renames into place.
///
/// # Errors
/// What the disk said.
pub fn write(directory: &Path, policy: &str, assignments: &Assignments) -> io::Result<()> {
    let entries = assignments.exclusive.iter().map(|(uid, containers)| {
        let containers = containers.iter().map(|(name, cpus)| (name.clone(), cpus.to_string()));
        (uid.as_str().to_owned(), containers.collect())
    });
    let mut checkpoint = Checkpoint {
        policy_name: policy.to_owned(),
        default_cpu_set: assignments.shared.to_string(),
        entries: entries.collect(),
        checksum: 0,
    };
    checkpoint.checksum = checkpoint.sum();
    let new = directory.join(format!("{FILE}.new"));
    std::fs::write(&new, serde_json::to_vec(&checkpoint)?)?;
    std::fs::rename(&new, directory.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignments(shared: &str, exclusive: &[(&str, &str, &str)]) -> Assignments {
        let mut assignments = Assignments { shared: shared.parse().unwrap(), ..Assignments::default() };
        for (pod, container, cpus) in exclusive {
            let containers = assignments.exclusive.entry(Uid::new(pod)).or_default();
            containers.insert((*container).to_owned(), cpus.parse().unwrap());
        }
        assignments
    }

    #[test]
    fn is_what_upstream_writes() {
        let two = assignments("1-3", &[("pod", "container1", "4-6"), ("pod", "container2", "1-3")]);
        for (assignments, expected) in [
            (assignments("", &[]), r#"{"policyName":"none","defaultCpuSet":"","checksum":1353318690}"#),
            (assignments("4-6", &[]), r#"{"policyName":"none","defaultCpuSet":"4-6","checksum":354655845}"#),
            (
                two,
                r#"{"policyName":"none","defaultCpuSet":"1-3","entries":{"pod":{"container1":"4-6","container2":"1-3"}},"checksum":3610638499}"#,
            ),
        ] {
            let directory = tempfile::tempdir().unwrap();
            write(directory.path(), "none", &assignments).unwrap();
            assert_eq!(std::fs::read_to_string(directory.path().join(FILE)).unwrap(), expected);
            assert_eq!(read(directory.path(), "none").unwrap(), Some(assignments));
        }
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path(), "static").unwrap().is_none());
        for (text, problem) in [
            (
                r#"{"policyName":"other","defaultCPUSet":"1-3","entries":{},"checksum":1394507217}"#,
                r#"configured policy "none" differs from state checkpoint policy "other""#,
            ),
            (
                r#"{"policyName":"none","defaultCPUSet":"1.3","entries":{},"checksum":3021697696}"#,
                r#"could not parse default cpu set "1.3": "1.3" is not the number of a CPU"#,
            ),
            (
                r#"{"policyName":"none","defaultCPUSet":"1-3","entries":{"pod":{"container1":"4-6","container2":"asd"}},"checksum":962272150}"#,
                r#"could not parse cpuset "asd" for container "container2" in pod "pod": "asd" is not the number of a CPU"#,
            ),
            (r#"{"policyName":"none","defaultCPUSet":"4-6","checksum":1337}"#, "checkpoint is corrupted"),
            ("{", "EOF while parsing an object at line 1 column 1"),
        ] {
            std::fs::write(directory.path().join(FILE), text).unwrap();
            assert_eq!(read(directory.path(), "none").unwrap_err().to_string(), problem);
        }
    }
}
