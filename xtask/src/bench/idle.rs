//! What a server costs that has nothing to do.

use std::time::Duration;

use anyhow::Result;

use super::cluster::Cluster;
use super::processes::{Family, Usage};
use super::report::{Report, mebibytes};

/// After the start things settle: certificates are flushed, caches fill.
const SETTLE: Duration = Duration::from_secs(5);

/// Memory, CPU and disk writes of all processes of a server that is left alone.
pub async fn measure(cluster: &Cluster, what: &str, period: Duration, report: &mut Report) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    memory(cluster, &format!("{what}: memory (PSS)"), report)?;
    let family = cluster.family()?;
    let before = total(&family)?;
    tokio::time::sleep(period).await;
    let after = total(&family)?;
    let cpu = after.cpu.saturating_sub(before.cpu);
    let share = 100.0 * cpu.as_secs_f64() / period.as_secs_f64();
    let seconds = period.as_secs();
    report.line(&format!("{what}: CPU over {seconds} s"), format!("{} ms = {share:.2} % of a core", cpu.as_millis()));
    let written = after.written_bytes.saturating_sub(before.written_bytes);
    report.line(&format!("{what}: disk writes over {seconds} s"), format!("{written} bytes"));
    Ok(())
}

/// Memory of all processes.
pub fn memory(cluster: &Cluster, name: &str, report: &mut Report) -> Result<()> {
    let family = cluster.family()?;
    let mut bytes = 0;
    let mut count = 0;
    for process in family.all() {
        bytes += process.memory()?.pss_bytes;
        count += 1;
    }
    let plural = if count == 1 { "" } else { "es" };
    report.line(name, format!("{} in {count} process{plural}", mebibytes(bytes)));
    Ok(())
}

fn total(family: &Family) -> Result<Usage> {
    let mut total = Usage::default();
    for process in family.all() {
        let usage = process.usage()?;
        total.cpu += usage.cpu;
        total.written_bytes += usage.written_bytes;
    }
    Ok(total)
}
