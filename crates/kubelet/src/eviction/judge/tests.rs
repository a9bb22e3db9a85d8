use super::super::Thresholds;
use super::*;
use crate::testing::at;

fn config(hard: &str, soft: &str, reclaim: &str) -> EvictionConfig {
    let (hard, soft): (Thresholds, Thresholds) = (hard.parse().unwrap(), soft.parse().unwrap());
    EvictionConfig {
        thresholds: EvictionConfig::resolve(&hard, &soft, "memory.available=30s", reclaim).unwrap(),
        pressure_transition_period: Duration::from_secs(300),
        max_pod_grace_period_seconds: 0,
    }
}

fn memory(available_mebibytes: i64) -> Observations {
    let of = |mebibytes: i64| Quantity::from_bytes(mebibytes << 20);
    Observations::from([(
        Signal::MemoryAvailable,
        Observation { available: of(available_mebibytes), capacity: of(1000) },
    )])
}

#[test]
fn a_hard_threshold_counts_at_once_and_its_condition_lasts() {
    let (config, mut state) = (config("memory.available<100Mi", "", ""), Memory::default());
    assert_eq!(judge(&config, &mut state, &memory(100), at(0)), Judgement::default());
    let short = judge(&config, &mut state, &memory(99), at(10));
    // The node's memory, and what Pods may use of it if somebody told.
    assert_eq!((short.pressure, short.met.len()), (vec!["MemoryPressure"], 1));
    assert_eq!(short.changes_after, Some(Duration::from_secs(300)));
    let after = judge(&config, &mut state, &memory(500), at(20));
    assert_eq!((after.pressure, after.met.len()), (vec!["MemoryPressure"], 0));
    assert_eq!(after.changes_after, Some(Duration::from_secs(290)));
    assert_eq!(judge(&config, &mut state, &memory(500), at(310)), Judgement::default());
}

#[test]
fn a_soft_threshold_waits_for_its_grace_period() {
    let (config, mut state) = (config("", "memory.available<20%", ""), Memory::default());
    let first = judge(&config, &mut state, &memory(150), at(0));
    assert!(first.met.is_empty());
    assert_eq!(first.changes_after, Some(Duration::from_secs(30)), "the grace period is over before the condition");
    assert!(judge(&config, &mut state, &memory(150), at(29)).met.is_empty());
    assert_eq!(judge(&config, &mut state, &memory(150), at(30)).met.len(), 1);
    assert!(judge(&config, &mut state, &memory(250), at(31)).met.is_empty());
    assert!(judge(&config, &mut state, &memory(150), at(40)).met.is_empty(), "it begins anew");
}

#[test]
fn more_than_the_threshold_has_to_be_reclaimed() {
    let (config, mut state) = (config("memory.available<100Mi", "", "memory.available=50Mi"), Memory::default());
    assert_eq!(judge(&config, &mut state, &memory(90), at(0)).met.len(), 1);
    assert_eq!(judge(&config, &mut state, &memory(120), at(10)).met.len(), 1);
    assert!(judge(&config, &mut state, &memory(150), at(20)).met.is_empty());
    assert!(judge(&config, &mut state, &memory(120), at(30)).met.is_empty());
}
