//! Facts about the machine: what it is, what it has, and how it is doing. Read from the host, interpreted purely.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::admission::AppArmor;

#[cfg(test)]
mod tests;

/// What does not change while the kubelet runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Number of CPUs this process may use.
    pub cpus: u64,
    /// Memory.
    pub memory_bytes: u64,
    /// Swap space.
    pub swap_bytes: u64,
    /// Size of the file system Pods write to.
    pub disk_bytes: u64,
    /// Huge pages in bytes by resource name.
    pub huge_pages: BTreeMap<String, u64>,
    /// `machine-id`.
    pub machine_id: String,
    /// The firmware's UUID.
    pub system_uuid: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// Kernel release.
    pub kernel_version: String,
    /// The distribution's name.
    pub os_image: String,
    /// The host's name.
    pub hostname: String,
    /// The most processes the kernel allows.
    pub pid_limit: u64,
}

impl Machine {
    /// Reads the facts. What cannot be read is empty or zero.
    pub fn read(data_dir: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let meminfo = text("/proc/meminfo");
        let memory = parse_meminfo(&meminfo);
        let machine_id = text("/etc/machine-id").replace('-', "");
        let uname = rustix::system::uname();
        let system_uuid = text("/sys/class/dmi/id/product_uuid");
        Self {
            cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
            memory_bytes: memory.get("MemTotal").copied().unwrap_or(0),
            swap_bytes: memory.get("SwapTotal").copied().unwrap_or(0),
            disk_bytes: disk(data_dir).map_or(0, |disk| disk.f_blocks * disk.f_frsize),
            huge_pages: huge_pages(),
            system_uuid: if system_uuid.is_empty() { machine_id.clone() } else { system_uuid.to_lowercase() },
            machine_id,
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            kernel_version: uname.release().to_string_lossy().into_owned(),
            os_image: parse_os_release(&text("/etc/os-release")),
            hostname: uname.nodename().to_string_lossy().into_owned(),
            pid_limit: text("/proc/sys/kernel/pid_max").parse().unwrap_or(0),
        }
    }
}

fn disk(path: &Path) -> Option<rustix::fs::StatVfs> {
    rustix::fs::statvfs(path).ok()
}

/// `MemTotal: 1 kB` and its like, in bytes.
pub(crate) fn parse_meminfo(text: &str) -> BTreeMap<&str, u64> {
    let line = |line| -> Option<(&str, u64)> {
        let (name, rest) = str::split_once(line, ':')?;
        let kibibytes: u64 = rest.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some((name, kibibytes * 1024))
    };
    text.lines().filter_map(line).collect()
}

fn parse_os_release(text: &str) -> String {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| "Linux".to_owned())
}

/// What becomes of AppArmor profiles on this machine: containers are not given any, whatever the kernel can do.
pub fn app_armor() -> AppArmor {
    match fs::read_to_string("/sys/module/apparmor/parameters/enabled") {
        Ok(enabled) if enabled.starts_with('Y') => AppArmor::NotApplied,
        _ => AppArmor::NotEnabled,
    }
}

fn huge_pages() -> BTreeMap<String, u64> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kibibytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count: u64 = fs::read_to_string(entry.path().join("nr_hugepages")).ok()?.trim().parse().ok()?;
            Some((huge_page_resource(kibibytes), count * kibibytes * 1024))
        })
        .collect()
}

fn huge_page_resource(kibibytes: u64) -> String {
    match kibibytes {
        size if size % (1 << 20) == 0 => format!("hugepages-{}Gi", size >> 20),
        size if size % (1 << 10) == 0 => format!("hugepages-{}Mi", size >> 10),
        size => format!("hugepages-{size}Ki"),
    }
}
