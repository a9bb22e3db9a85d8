//! The audit log, under the names that upstream's API server gives the flags.

use std::path::PathBuf;

use anyhow::{Context, Result};
use apiserver::audit::log::{Log, Rotation};
use apiserver::audit::policy::Policy;
use clap::Args;

/// What is told of requests, and where.
#[derive(Debug, Clone, Args)]
pub struct Audit {
    /// What the audit log tells: a Policy of audit.k8s.io/v1
    #[arg(long, value_name = "FILE")]
    pub audit_policy_file: Option<PathBuf>,
    /// The audit log, one JSON line per event; - for the standard output [default: none is written]
    #[arg(long, value_name = "FILE")]
    pub audit_log_path: Option<String>,
    /// Megabytes after which the audit log is put aside and begun anew [0: 100]
    #[arg(long, default_value_t = 0, value_name = "MEGABYTES")]
    pub audit_log_maxsize: u64,
    /// Logs to keep beside the one that grows [0: all]
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub audit_log_maxbackup: usize,
    /// Days to keep logs that were put aside [0: for ever]
    #[arg(long, default_value_t = 0, value_name = "DAYS")]
    pub audit_log_maxage: u32,
}

impl Audit {
    /// Reads the policy and opens the log, if both are given: as upstream has it, one does nothing without the other.
    pub fn open(&self) -> Result<Option<apiserver::audit::Audit>> {
        let (Some(policy), Some(path)) = (&self.audit_policy_file, &self.audit_log_path) else { return Ok(None) };
        let text = std::fs::read_to_string(policy).with_context(|| format!("--audit-policy-file {policy:?}"))?;
        let policy = Policy::parse(&text).with_context(|| format!("--audit-policy-file {policy:?}"))?;
        let rotation = Rotation {
            max_size: self.audit_log_maxsize,
            max_backup: self.audit_log_maxbackup,
            max_age: self.audit_log_maxage,
        };
        let log = Log::open(path, rotation).with_context(|| format!("--audit-log-path {path:?}"))?;
        Ok(Some(apiserver::audit::Audit::new(policy, log)))
    }
}
