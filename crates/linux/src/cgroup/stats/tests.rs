use super::*;

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn scratch(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("linux-stats-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    root
}

#[test]
fn version_2_files_are_read() {
    let root = scratch("v2");
    write(
        &root,
        &[
            ("pod/memory.current", "1000\n"),
            ("pod/memory.max", "max\n"),
            ("pod/memory.swap.current", "7\n"),
            ("pod/memory.stat", "anon 300\nfile 700\ninactive_file 400\npgfault 5\npgmajfault 1\n"),
            ("pod/cpu.stat", "usage_usec 12\nuser_usec 10\n"),
            ("pod/pids.current", "3\n"),
            ("pod/memory.events", "low 0\noom 2\noom_kill 1\n"),
        ],
    );
    let layout = Layout::V2(root.clone());
    let expected = Usage {
        cpu_nanoseconds: 12_000,
        memory_usage_bytes: 1000,
        memory_working_set_bytes: 600,
        memory_rss_bytes: 300,
        page_faults: 5,
        major_page_faults: 1,
        memory_limit_bytes: None,
        swap_bytes: Some(7),
        tasks: Some(3),
    };
    assert_eq!(usage(&layout, Path::new("pod")).unwrap(), expected);
    assert_eq!(oom_kills(&layout, Path::new("pod")).unwrap(), 1);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn version_1_files_are_read() {
    let root = scratch("v1");
    write(
        &root,
        &[
            ("memory/pod/memory.usage_in_bytes", "1000"),
            ("memory/pod/memory.limit_in_bytes", "9223372036854771712"),
            ("memory/pod/memory.memsw.usage_in_bytes", "1500"),
            ("memory/pod/memory.stat", "rss 1\ntotal_rss 300\ntotal_inactive_file 400\ntotal_pgfault 5\n"),
            ("cpuacct/pod/cpuacct.usage", "99"),
        ],
    );
    let layout =
        Layout::V1(vec![(Controller::Memory, root.join("memory")), (Controller::Cpuacct, root.join("cpuacct"))]);
    let read = usage(&layout, Path::new("pod")).unwrap();
    assert_eq!((read.cpu_nanoseconds, read.memory_working_set_bytes, read.memory_rss_bytes), (99, 600, 300));
    assert_eq!((read.memory_limit_bytes, read.swap_bytes, read.tasks), (None, Some(500), None));
    write(&root, &[("memory/pod/memory.limit_in_bytes", "4096\n")]);
    assert_eq!(usage(&layout, Path::new("pod")).unwrap().memory_limit_bytes, Some(4096));
    std::fs::remove_dir_all(root).unwrap();
}
