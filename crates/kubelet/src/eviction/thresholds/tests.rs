use super::*;

fn resolve(hard: &str, soft: &str, periods: &str, reclaim: &str) -> Result<Vec<Threshold>, String> {
    EvictionConfig::resolve(&hard.parse()?, &soft.parse()?, periods, reclaim)
}

#[test]
fn flags_make_thresholds() {
    let thresholds = resolve(
        "memory.available<150Mi,nodefs.available<10%",
        "memory.available<300Mi",
        "memory.available=1m30s",
        "memory.available=0,nodefs.available=500Mi",
    )
    .unwrap();
    let memory = Limit::Quantity(Quantity::from_bytes(150 << 20));
    assert_eq!(thresholds[0].value, memory);
    assert!(thresholds[0].is_hard());
    assert_eq!(thresholds[3].signal, Signal::AllocatableMemoryAvailable);
    assert_eq!(thresholds[1].value.of(Quantity::from_bytes(1000)).value(), 100);
    assert_eq!(thresholds[1].min_reclaim, Some(Limit::Quantity(Quantity::from_bytes(500 << 20))));
    assert_eq!(thresholds[2].grace_period, Duration::from_secs(90));
    assert!(resolve("memory.available<0%", "", "", "").unwrap().is_empty());
}

#[test]
fn thresholds_of_pods_and_containers_follow_from_the_others() {
    let names =
        |config: &EvictionConfig| config.thresholds.iter().map(|one| one.signal.as_str()).collect::<Vec<_>>().join(" ");
    let config = EvictionConfig::default();
    let flags = "memory.available nodefs.available nodefs.inodesFree imagefs.available imagefs.inodesFree \
                 allocatableMemory.available";
    assert_eq!(names(&config), flags);
    let value = |config: &EvictionConfig, signal: Signal| {
        config.thresholds.iter().find(|one| one.signal == signal).map(|one| one.value)
    };
    for (disks, expected) in [(Disks::Shared, 0.1), (Disks::ImagesApart, 0.15)] {
        // Told twice, it is still what the disks say.
        let config = config.clone().for_disks(Disks::ImagesApart).for_disks(disks);
        assert_eq!(names(&config), format!("{flags} containerfs.available containerfs.inodesFree"));
        assert_eq!(value(&config, Signal::ContainerfsAvailable), Some(Limit::Share(expected)), "{disks:?}");
    }
    let soft = resolve("", "memory.available<300Mi", "memory.available=1m", "").unwrap();
    assert_eq!(soft.len(), 1, "only a hard threshold holds for Pods together");
}

#[test]
fn bad_flags_are_refused_with_upstreams_words() {
    for (flags, problem) in [
        (["mem.available<1Mi", "", "", ""], "unsupported eviction signal mem.available"),
        (["memory.available", "", "", ""], "\"memory.available\" is not SIGNAL<VALUE"),
        (["memory.available<-1Mi", "", "", ""], "eviction threshold memory.available must be positive: -1Mi"),
        (
            ["memory.available<110%", "", "", ""],
            "eviction percentage threshold memory.available must be >= 0% and < 100%: 110%",
        ),
        (
            ["memory.available<1Mi,memory.available<2Mi", "", "", ""],
            "found duplicate eviction threshold for signal memory.available",
        ),
        (
            ["", "memory.available<1Mi", "", ""],
            "grace period must be specified for the soft eviction threshold memory.available",
        ),
        (
            ["", "memory.available<1Mi", "memory.available=-1s", ""],
            "invalid eviction grace period specified: -1s, must be a positive value",
        ),
    ] {
        assert_eq!(resolve(flags[0], flags[1], flags[2], flags[3]).unwrap_err(), problem);
    }
}
