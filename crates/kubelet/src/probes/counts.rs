//! How often probes succeeded and failed, for who watches the node.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;

use super::ProbeKind;
use crate::pod::{self, Uid};

/// Which outcomes are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountKey {
    /// The Pod.
    pub pod_uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// The container, whichever instance of it.
    pub container: String,
    /// The probe.
    pub kind: ProbeKind,
    /// What it said.
    pub success: bool,
}

/// Counts of the probes of all Pods that are here.
#[derive(Debug, Default)]
pub struct ProbeCounts(Mutex<BTreeMap<CountKey, u64>>);

impl ProbeCounts {
    /// Counts one more.
    pub fn add(&self, pod: &Pod, container: &str, kind: ProbeKind, success: bool) {
        let key = CountKey {
            pod_uid: pod::uid(pod).to_string(),
            namespace: pod::namespace(pod).to_owned(),
            pod: pod::name(pod).to_owned(),
            container: container.to_owned(),
            kind,
            success,
        };
        *self.lock().entry(key).or_default() += 1;
    }

    /// Drops what was counted of a Pod that is gone.
    pub fn forget(&self, uid: &Uid) {
        self.lock().retain(|key, _| key.pod_uid != uid.as_str());
    }

    /// Everything that was counted.
    pub fn read(&self) -> BTreeMap<CountKey, u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CountKey, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
