use std::process::{Child, Command, Stdio};

use super::layout::Layout;
use super::limits::{quota_from_milli_cpu, shares_from_milli_cpu, weight_from_shares};
use super::*;

/// A cgroup of this test process alone, removed at the end whatever happens.
struct Scratch {
    cgroups: Cgroups,
    path: String,
    child: Option<Child>,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("linux-test-{}-{name}", std::process::id());
        Self { cgroups: Cgroups::detect().unwrap(), path, child: None }
    }

    fn run(&mut self, program: &str, args: &[&str]) -> i32 {
        let child = Command::new(program).args(args).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id() as i32;
        self.child = Some(child);
        self.cgroups.add_process(&self.path, pid).unwrap();
        pid
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.cgroups.kill(&self.path);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        let _ = self.cgroups.remove(&self.path);
    }
}

#[test]
fn finds_hierarchies_in_mountinfo() {
    let line = |point: &str, kind: &str, options: &str| {
        format!("30 25 0:26 / {point} rw,relatime shared:4 - {kind} cgroup rw,{options}\n")
    };
    let v1 = line("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct")
        + &line("/sys/fs/cgroup/memory", "cgroup", "memory")
        + &line("/sys/fs/cgroup/unified", "cgroup2", "nsdelegate");
    let layout = Layout::from_mountinfo(&v1).unwrap();
    assert_eq!(layout.root(Controller::Cpuacct), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
    assert_eq!(layout.root(Controller::Pids), None);
    assert_eq!(layout.roots().count(), 2, "co-mounted controllers count once");
    let with_others = v1 + &line("/sys/fs/cgroup/blkio", "cgroup", "blkio") + &line("/data", "tmpfs", "cpu");
    let others = layout.other_roots(&with_others);
    assert_eq!(others, [PathBuf::from("/sys/fs/cgroup/unified"), PathBuf::from("/sys/fs/cgroup/blkio")]);

    let v2 = line("/sys/fs/cgroup", "cgroup2", "nsdelegate");
    assert_eq!(Layout::from_mountinfo(&v2).unwrap(), Layout::V2("/sys/fs/cgroup".into()));
    assert!(matches!(Layout::from_mountinfo(""), Err(Error::Detect(_))));
}

#[test]
fn converts_cpu_as_kubernetes_does() {
    for (milli, shares) in [(0, 2), (1, 2), (-5, 2), (100, 102), (250, 256), (1000, 1024), (1_000_000, 262_144)] {
        assert_eq!(shares_from_milli_cpu(milli), shares, "{milli}m");
    }
    for (milli, quota) in [(0, 0), (1, 1000), (10, 1000), (500, 50_000), (2500, 250_000)] {
        assert_eq!(quota_from_milli_cpu(milli, 100_000), quota, "{milli}m");
    }
    for (shares, weight) in [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (500_000, 10_000)] {
        assert_eq!(weight_from_shares(shares), weight, "{shares}");
    }
    assert!((2..262_144).step_by(97).map(weight_from_shares).is_sorted());
}

#[test]
fn states_limits_in_each_versions_words() {
    let limits = Limits {
        cpu_shares: Some(1024),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        memory_bytes: Some(64 << 20),
        pids: Some(-1),
        hugepages: [("2MB".to_owned(), 4 << 20)].into(),
        device_denials: vec!["c 1:5 w".to_owned()],
        unified: [("memory.high".to_owned(), "1000".to_owned())].into(),
        ..Limits::default()
    };
    let words = |version| {
        let writes = limits.writes(version);
        writes.iter().map(|write| format!("{}={}", write.file, write.value)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        words(Version::V1),
        "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 memory.limit_in_bytes=67108864 pids.max=max \
         hugetlb.2MB.limit_in_bytes=4194304 devices.deny=c 1:5 w"
    );
    assert_eq!(
        words(Version::V2),
        "cpu.weight=100 cpu.max=50000 100000 memory.max=67108864 pids.max=max hugetlb.2MB.max=4194304 memory.high=1000"
    );
}

#[test]
fn refuses_paths_that_leave_the_tree() {
    for path in ["", "/", "../x", "a/../b"] {
        assert!(matches!(relative(Path::new(path)), Err(Error::InvalidPath(_))), "{path:?}");
    }
    assert_eq!(relative(Path::new("/a/b")).unwrap(), Path::new("a/b"));
}

#[test]
fn limits_and_accounts_a_process() {
    let mut scratch = Scratch::new("limits");
    let limits = Limits { memory_bytes: Some(32 << 20), cpu_shares: Some(512), pids: Some(20), ..Limits::default() };
    scratch.cgroups.create(format!("{}/child", scratch.path), &Limits::default()).unwrap();
    scratch.cgroups.create(&scratch.path, &limits).unwrap();
    if scratch.cgroups.version() == Version::V1 {
        let unified = Limits { unified: [("memory.high".to_owned(), "1".to_owned())].into(), ..Limits::default() };
        assert!(matches!(scratch.cgroups.apply(&scratch.path, &unified), Err(Error::NoUnified)));
        // More and less of both, in whatever order the kernel wants them.
        for (memory, quota, period) in [(64 << 20, 1_000_000, 1_000_000), (32 << 20, 2000, 100_000)] {
            let limits = Limits {
                memory_bytes: Some(memory),
                memory_swap_bytes: Some(memory),
                cpu_quota_us: Some(quota),
                cpu_period_us: Some(period),
                ..Limits::default()
            };
            scratch.cgroups.apply(&scratch.path, &limits).unwrap();
        }
        let directory = scratch.cgroups.directory(Controller::Memory, &scratch.path).unwrap();
        assert_eq!(read_file(&directory.join("memory.limit_in_bytes")).unwrap().trim(), "33554432");
        let pid = scratch.run("/bin/cat", &[]);
        assert_eq!(scratch.cgroups.processes(&scratch.path).unwrap(), [pid]);
        assert!(scratch.cgroups.usage(&scratch.path).is_ok());
        assert_eq!(scratch.cgroups.oom_kills(&scratch.path).unwrap(), 0);
    }
    scratch.cgroups.kill(&scratch.path).unwrap();
    if let Some(mut child) = scratch.child.take() {
        child.wait().unwrap();
    }
    scratch.cgroups.remove(&scratch.path).unwrap();
    assert!(!scratch.cgroups.exists(&scratch.path));
    scratch.cgroups.remove(&scratch.path).unwrap();
}

/// The hierarchy of large pages, mounted where only this thread sees it, and gone in the end.
struct LargePages(PathBuf);

impl LargePages {
    fn mount() -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("linux-test-{}-hugetlb", std::process::id()));
        fs::create_dir_all(&directory)?;
        let hierarchy = Self(directory);
        crate::namespace::unshare(crate::namespace::Namespaces::MOUNT)?;
        crate::mount::isolate()?;
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", &hierarchy.0, "cgroup", flags, c"hugetlb")?;
        Ok(hierarchy)
    }
}

impl Drop for LargePages {
    fn drop(&mut self) {
        let _ = crate::mount::unmount(&self.0);
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn limits_large_pages() {
    if Cgroups::detect().unwrap().version() == Version::V2 {
        return; // there the controller is one of all
    }
    let hierarchy = match LargePages::mount() {
        Ok(hierarchy) => hierarchy,
        // Somebody uses the controller in the version 2 tree.
        Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::EBUSY), "{error}"),
    };
    let mountinfo = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let cgroups = Cgroups { layout: Layout::from_mountinfo(&mountinfo).unwrap(), others: Vec::new() };
    assert_eq!(cgroups.layout.root(Controller::Hugetlb), Some(hierarchy.0.as_path()));
    let path = format!("linux-test-{}-pages", std::process::id());
    let limits = |size: &str, bytes| Limits { hugepages: [(size.to_owned(), bytes)].into(), ..Limits::default() };
    let file = cgroups.directory(Controller::Hugetlb, &path).unwrap().join("hugetlb.2MB.limit_in_bytes");
    cgroups.create(&path, &limits("2MB", 4 << 20)).unwrap();
    assert_eq!(read_file(&file).unwrap().trim(), "4194304");
    cgroups.apply(&path, &limits("2MB", 2 << 20)).unwrap();
    assert_eq!(read_file(&file).unwrap().trim(), "2097152");
    assert!(matches!(cgroups.apply(&path, &limits("3MB", 1)), Err(Error::Write { .. })));
    cgroups.remove(&path).unwrap();
    assert!(!cgroups.exists(&path));
}

#[test]
fn counts_processes_killed_for_lack_of_memory() {
    let mut scratch = Scratch::new("oom");
    if scratch.cgroups.version() == Version::V2 {
        return; // a test process inside a version 2 tree may not own the controllers
    }
    scratch.cgroups.create(&scratch.path, &Limits { memory_bytes: Some(8 << 20), ..Limits::default() }).unwrap();
    // Waits for the parent to move it, then needs far more than its limit.
    let script = "read line; x=a; while :; do x=$x$x; done";
    scratch.run("/bin/sh", &["-c", script]);
    let mut child = scratch.child.take().unwrap();
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success());
    assert_eq!(scratch.cgroups.oom_kills(&scratch.path).unwrap(), 1);
}

#[test]
fn memory_and_swap_grow_and_shrink_together() {
    let scratch = Scratch::new("memsw");
    if scratch.cgroups.version() == Version::V2 {
        return; // a test process inside a version 2 tree may not own the controllers
    }
    let limits = |bytes| Limits { memory_bytes: Some(bytes), memory_swap_bytes: Some(bytes), ..Limits::default() };
    for bytes in [32 << 20, 64 << 20, 16 << 20] {
        scratch.cgroups.create(&scratch.path, &limits(bytes)).unwrap();
        let directory = scratch.cgroups.directory(Controller::Memory, &scratch.path).unwrap();
        assert_eq!(read_file(&directory.join("memory.limit_in_bytes")).unwrap().trim(), bytes.to_string());
        assert_eq!(read_file(&directory.join("memory.memsw.limit_in_bytes")).unwrap().trim(), bytes.to_string());
    }
}
