use super::*;

#[test]
fn reads_meminfo_in_bytes() {
    let memory = parse_meminfo("MemTotal:       16384 kB\nMemAvailable:    8192 kB\nHugePages_Total:       0\n");
    assert_eq!(memory.get("MemTotal"), Some(&(16 << 20)));
    assert_eq!(memory.get("MemAvailable"), Some(&(8 << 20)));
}

#[test]
fn names_the_distribution() {
    assert_eq!(parse_os_release("NAME=\"X\"\nPRETTY_NAME=\"X Linux 12\"\n"), "X Linux 12");
    assert_eq!(parse_os_release(""), "Linux");
}

#[test]
fn names_huge_pages_as_resources() {
    assert_eq!(huge_page_resource(2048), "hugepages-2Mi");
    assert_eq!(huge_page_resource(1 << 20), "hugepages-1Gi");
    assert_eq!(huge_page_resource(64), "hugepages-64Ki");
}

#[test]
fn pressure_begins_at_upstreams_thresholds() {
    let fine = Pressure {
        memory_available_bytes: 100 << 20,
        disk_available_bytes: 10,
        disk_bytes: 100,
        inodes_available: 5,
        inodes: 100,
    };
    assert!(!fine.is_short_of_memory() && !fine.is_short_of_disk());
    assert!(Pressure { memory_available_bytes: (100 << 20) - 1, ..fine }.is_short_of_memory());
    assert!(Pressure { disk_available_bytes: 9, ..fine }.is_short_of_disk());
    assert!(Pressure { inodes_available: 4, ..fine }.is_short_of_disk());
    assert!(!Pressure { inodes_available: 0, inodes: 0, ..fine }.is_short_of_disk());
}

#[test]
fn this_machine_has_what_every_machine_has() {
    let machine = Machine::read(Path::new("/"));
    assert!(machine.cpus > 0 && machine.memory_bytes > 0 && machine.disk_bytes > 0);
    assert!(!machine.kernel_version.is_empty() && !machine.boot_id.is_empty());
}
