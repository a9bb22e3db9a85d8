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
fn this_machine_has_what_every_machine_has() {
    let machine = Machine::read(Path::new("/"));
    assert!(machine.cpus > 0 && machine.memory_bytes > 0 && machine.disk_bytes > 0);
    assert!(!machine.kernel_version.is_empty() && !machine.boot_id.is_empty());
}
