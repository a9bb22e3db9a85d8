//! What is read from a kubelet's `/stats/summary`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// The counters of one thing at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub time: Timestamp,
    /// CPU time used since the start.
    pub cpu_nanoseconds: u64,
    /// Memory that cannot be reclaimed.
    pub memory_bytes: u64,
    /// Since when it is counted.
    pub started: Option<Timestamp>,
}

/// A Pod's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct PodKey {
    pub namespace: String,
    pub name: String,
}

/// All counters of a node at one time.
#[derive(Debug)]
pub struct Scrape {
    /// The node as a whole.
    pub node: Reading,
    /// Containers by Pod and name.
    pub pods: BTreeMap<PodKey, BTreeMap<String, Reading>>,
}

impl Scrape {
    /// Reads the document. What was not measured yet is left out.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let summary: Summary = serde_json::from_slice(text)?;
        let pods = summary.pods.into_iter().map(|pod| {
            let measured = |stats: Stats| Some((stats.name.clone()?, stats.reading()?));
            (pod.pod_ref, pod.containers.into_iter().filter_map(measured).collect())
        });
        let node = summary.node.reading();
        let missing = || serde::de::Error::custom("the node itself is not measured");
        Ok(Self { node: node.ok_or_else(missing)?, pods: pods.collect() })
    }
}

#[derive(Deserialize)]
struct Summary {
    node: Stats,
    #[serde(default)]
    pods: Vec<PodStats>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStats {
    pod_ref: PodKey,
    #[serde(default)]
    containers: Vec<Stats>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    name: Option<String>,
    start_time: Option<Timestamp>,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    time: Timestamp,
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    working_set_bytes: Option<u64>,
}

impl Stats {
    fn reading(&self) -> Option<Reading> {
        let cpu = self.cpu.as_ref()?;
        Some(Reading {
            time: cpu.time,
            cpu_nanoseconds: cpu.usage_core_nano_seconds?,
            memory_bytes: self.memory.as_ref()?.working_set_bytes?,
            started: self.start_time,
        })
    }
}
