//! What a node costs that is full of Pods which do nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;

use super::cluster::Cluster;
use super::idle;
use super::pods::{Pods, rate};
use super::report::{Report, Samples, mebibytes};

/// Fills the node, looks at it for a while, empties it.
pub async fn measure(
    cluster: &Cluster,
    pods: &mut Pods,
    count: usize,
    period: Duration,
    report: &mut Report,
) -> Result<()> {
    let empty = pss(cluster)?;
    let names: Vec<String> = (0..count).map(|n| format!("full-{n}")).collect();
    let start = Instant::now();
    try_join_all(names.iter().map(|name| pods.create(name))).await?;
    for name in &names {
        pods.until(name, |seen| seen.ready).await?;
    }
    report.line(&format!("full node: {count} Pods, all Ready"), rate(count, start.elapsed()));
    idle::measure(cluster, &format!("full node of {count} Pods"), period, report).await?;
    let each = pss(cluster)?.saturating_sub(empty) / count.max(1) as u64;
    report.line("full node: memory per Pod (PSS)", mebibytes(each));
    private_memory(cluster, report)?;
    try_join_all(names.iter().map(|name| pods.delete(name))).await?;
    for name in &names {
        pods.until(name, |seen| seen.gone).await?;
    }
    idle::memory(cluster, "emptied node: memory (PSS)", report)
}

fn pss(cluster: &Cluster) -> Result<u64> {
    let mut bytes = 0;
    for process in cluster.family()?.all() {
        bytes += process.memory()?.pss_bytes;
    }
    Ok(bytes)
}

fn private_memory(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let mut samples = Samples::default();
    for shim in cluster.family()?.shims {
        samples.push(shim.memory().context("a shim ended")?.private_bytes);
    }
    let [p50, p99] = [0.5, 0.99].map(|share| mebibytes(samples.quantile(share)));
    report.line("full node: private memory of a shim", format!("p50 {p50}, p99 {p99}"));
    Ok(())
}
