//! System call filters as files, compiled once and shared by all containers that want the same.

use std::fs;
use std::path::{Path, PathBuf};

use linux::capability::CapabilitySet;
use linux::seccomp::{Action, Comparison, Condition, Filter, compile, default_profile};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::plan::SeccompChoice;
use crate::layout;

/// The compiled filter for a choice, if it filters at all.
///
/// # Errors
/// [`cri::Error::InvalidArgument`] when a profile cannot be read.
pub fn filter_file(root: &Path, choice: &SeccompChoice, capabilities: u64) -> cri::Result<Option<PathBuf>> {
    let (name, filter) = match choice {
        SeccompChoice::Unconfined => return Ok(None),
        SeccompChoice::RuntimeDefault => {
            let name = format!("default-{capabilities:x}.bpf");
            let path = layout::seccomp(root).join(&name);
            if path.exists() {
                return Ok(Some(path));
            }
            (name, default_profile::filter(CapabilitySet::from_bits(capabilities)))
        }
        SeccompChoice::Localhost(path) => {
            let failed = |error: &dyn std::fmt::Display| {
                cri::Error::InvalidArgument(format!("failed to load seccomp profile {}: {error}", path.display()))
            };
            let text = fs::read(path).map_err(|error| failed(&error))?;
            let profile: Profile = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
            let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
            (format!("{hash}-{capabilities:x}.bpf"), profile.filter(CapabilitySet::from_bits(capabilities)))
        }
    };
    let path = layout::seccomp(root).join(name);
    layout::replace_file(&path, compile(&filter).as_bytes())
        .map_err(|error| cri::Error::Failed(format!("write seccomp filter: {error}")))?;
    Ok(Some(path))
}

/// A profile as users write it, the JSON of the OCI runtime specification with Docker's additions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: ActionName,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    syscalls: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default)]
    names: Vec<String>,
    name: Option<String>,
    action: ActionName,
    errno_ret: Option<u16>,
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Scope,
    #[serde(default)]
    excludes: Scope,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Scope {
    caps: Vec<String>,
    arches: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Operator,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum ActionName {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Operator {
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

impl ActionName {
    fn action(self, errno: Option<u16>) -> Action {
        match self {
            Self::Allow => Action::Allow,
            Self::Log => Action::Log,
            Self::Errno => Action::Errno(errno.unwrap_or(libc::EPERM as u16)),
            Self::Trap => Action::Trap,
            Self::KillThread => Action::KillThread,
            Self::KillProcess => Action::KillProcess,
        }
    }
}

impl Profile {
    fn filter(&self, capabilities: CapabilitySet) -> Filter {
        let mut filter = Filter::new(self.default_action.action(self.default_errno_ret));
        for group in self.syscalls.iter().filter(|group| group.applies(capabilities)) {
            let conditions: Vec<Condition> = group.args.iter().flatten().filter_map(Argument::condition).collect();
            for name in group.names.iter().chain(&group.name) {
                filter.add(name, conditions.clone(), group.action.action(group.errno_ret));
            }
        }
        filter
    }
}

impl Group {
    fn applies(&self, capabilities: CapabilitySet) -> bool {
        let has = |name: &String| CapabilitySet::parse([name]).is_ok_and(|set| capabilities.intersection(set) == set);
        let here = |arch: &String| {
            let names: [&str; 2] =
                if cfg!(target_arch = "x86_64") { ["amd64", "x86_64"] } else { ["arm64", "aarch64"] };
            names.contains(&arch.as_str())
        };
        let included = self.includes.caps.iter().all(has)
            && (self.includes.arches.is_empty() || self.includes.arches.iter().any(here));
        included && !self.excludes.caps.iter().any(has) && !self.excludes.arches.iter().any(here)
    }
}

impl Argument {
    fn condition(&self) -> Option<Condition> {
        let comparison = match self.op {
            Operator::Equal => Comparison::Equal,
            Operator::NotEqual => Comparison::NotEqual,
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            Operator::MaskedEqual => Comparison::MaskedEqual { mask: self.value },
        };
        let value = if matches!(self.op, Operator::MaskedEqual) { self.value_two } else { self.value };
        (self.index < 6).then_some(Condition { argument: self.index, comparison, value })
    }
}
