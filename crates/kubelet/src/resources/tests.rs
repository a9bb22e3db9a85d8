use super::*;

fn machine() -> Machine {
    Machine { cpus: 2, memory_bytes: 4 << 30, disk_bytes: 1000, ..Machine::default() }
}

#[test]
fn what_is_reserved_is_not_for_pods() {
    let config = ResourceConfig {
        system_reserved: "cpu=100m,memory=512Mi".parse().unwrap(),
        kube_reserved: "memory=512Mi,ephemeral-storage=100".parse().unwrap(),
        ..ResourceConfig::default()
    };
    let resources = NodeResources::of(&machine(), 110, &config);
    let text = |name: &str| resources.allocatable[name].to_string();
    assert_eq!(text("cpu"), "1900m");
    // Without 1 GiB of reservations and 100 MiB of the hard threshold.
    assert_eq!(text("memory"), "2972Mi");
    assert_eq!(text("ephemeral-storage"), "800", "a tenth of the disk is where eviction begins");
    assert_eq!(text("pods"), "110");
    assert_eq!(resources.pods_limit["memory"].value(), 3 << 30);
    assert_eq!(resources.capacity["memory"].to_string(), "4Gi");
}

#[test]
fn reserving_everything_leaves_nothing() {
    let config = ResourceConfig { kube_reserved: "cpu=3".parse().unwrap(), ..ResourceConfig::default() };
    assert!(NodeResources::of(&machine(), 110, &config).allocatable["cpu"].is_zero());
}

#[test]
fn bad_reservations_are_refused_with_their_words() {
    for (text, problem) in [
        ("cpu", "\"cpu\" is not RESOURCE=QUANTITY"),
        ("pods=3", "cannot reserve \"pods\" resource"),
        ("cpu=-1", "resource quantity for \"cpu\" cannot be negative: -1"),
    ] {
        assert_eq!(text.parse::<Reserved>().unwrap_err(), problem);
    }
    assert_eq!("".parse::<Reserved>().unwrap(), Reserved::default());
}
