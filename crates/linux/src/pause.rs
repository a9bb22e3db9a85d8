//! The infra container: a program of a few hundred bytes that holds namespaces.

/// The program, an executable that needs nothing else.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn waits_under_its_own_name() {
        assert!(PROGRAM.len() < 8192, "{} bytes", PROGRAM.len());
        let memory = rustix::fs::memfd_create("pause", rustix::fs::MemfdFlags::empty()).unwrap();
        std::fs::File::from(memory.try_clone().unwrap()).write_all(PROGRAM).unwrap();
        let mut child = Command::new(format!("/proc/self/fd/{}", memory.as_raw_fd())).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        // The name changes only once the program runs.
        while !std::fs::read_to_string(&status).unwrap().starts_with("Name:\tpause\n") {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
