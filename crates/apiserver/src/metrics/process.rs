//! This process, as the kernel sees it.

use std::fs;

use super::{Kind, Text};

/// Clock ticks per second and bytes per page, which Linux has had everywhere for long.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

/// Writes `process_*`. What cannot be read is left out.
pub fn write(text: &mut Text) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold anything; what follows the last bracket is numbers, from the third field on.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok());
    let mut gauge = |name: &str, kind: Kind, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            text.family(name, kind, help);
            text.sample(name, &[], value);
        }
    };
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) as f64 / TICKS_PER_SECOND);
    gauge("process_cpu_seconds_total", Kind::Counter, "Total user and system CPU time spent in seconds.", cpu);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let limit = limit.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    gauge("process_max_fds", Kind::Gauge, "Maximum number of open file descriptors.", limit);
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    gauge("process_open_fds", Kind::Gauge, "Number of open file descriptors.", open);
    let resident = field(24).map(|pages| (pages * PAGE_BYTES) as f64);
    gauge("process_resident_memory_bytes", Kind::Gauge, "Resident memory size in bytes.", resident);
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    let started = boot.zip(field(22)).map(|(boot, ticks)| boot + ticks as f64 / TICKS_PER_SECOND);
    let help = "Start time of the process since unix epoch in seconds.";
    gauge("process_start_time_seconds", Kind::Gauge, help, started);
    let memory = field(23).map(|bytes| bytes as f64);
    gauge("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory size in bytes.", memory);
}
