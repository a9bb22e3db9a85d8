use super::*;
use crate::stats::summary::{ComputeStats, ContainerStats, MemoryStats, ProcessStats};
use crate::testing::{at, pod as spec_pod};

fn candidate(name: &str, priority: i32, request_mebibytes: u64, used_mebibytes: u64) -> Candidate {
    let mut pod = spec_pod(&format!(
        "{{priority: {priority}, containers: [{{name: a, image: x, resources: {{requests: {{memory: {request_mebibytes}Mi}}}}}}]}}"
    ));
    pod.metadata.name = Some(name.to_owned());
    let memory = MemoryStats {
        time: at(0),
        available_bytes: None,
        usage_bytes: None,
        working_set_bytes: Some(used_mebibytes << 20),
        rss_bytes: None,
        page_faults: None,
        major_page_faults: None,
    };
    let compute = ComputeStats { memory: Some(memory), ..ComputeStats::default() };
    let process_stats = Some(ProcessStats { process_count: used_mebibytes });
    Candidate { pod: Arc::new(pod), stats: Some(PodStats { compute, process_stats, ..PodStats::default() }) }
}

fn order(mut candidates: Vec<Candidate>, signal: Signal) -> Vec<String> {
    rank(&mut candidates, signal, Disks::Shared);
    candidates.iter().map(|one| pod::name(&one.pod).to_owned()).collect()
}

#[test]
fn who_exceeds_its_request_goes_first_then_who_matters_less_then_who_uses_most() {
    let candidates = vec![
        candidate("modest", 0, 100, 90),
        candidate("large", 0, 10, 500),
        candidate("huge-but-important", 5, 10, 900),
        candidate("small", 0, 10, 20),
    ];
    assert_eq!(order(candidates, Signal::MemoryAvailable), ["large", "small", "huge-but-important", "modest"]);
}

#[test]
fn who_cannot_be_measured_goes_first() {
    let mut unknown = candidate("unknown", 9, 0, 0);
    unknown.stats = None;
    assert_eq!(order(vec![candidate("a", 0, 0, 5), unknown], Signal::MemoryAvailable), ["unknown", "a"]);
}

#[test]
fn requests_do_not_count_for_process_ids() {
    let candidates = vec![candidate("few", 0, 0, 5), candidate("many", 0, 100, 50), candidate("important", 1, 0, 99)];
    assert_eq!(order(candidates, Signal::PidAvailable), ["many", "few", "important"]);
}

#[test]
fn what_counts_is_on_the_disk_that_is_short() {
    let used = |used_bytes: u64| FsStats { used_bytes, ..FsStats::default() };
    let container = ContainerStats { rootfs: Some(used(30)), ..ContainerStats::default() };
    let stats = PodStats { containers: vec![container], ephemeral_storage: Some(used(100)), ..PodStats::default() };
    for (disks, signal, expected) in [
        (Disks::Shared, Signal::NodefsAvailable, 100),
        (Disks::Shared, Signal::ImagefsAvailable, 100),
        (Disks::ImagesApart, Signal::NodefsAvailable, 70),
        (Disks::ImagesApart, Signal::ImagefsAvailable, 30),
        (Disks::ImagesApart, Signal::ContainerfsAvailable, 30),
    ] {
        assert_eq!(usage(&stats, signal, disks), expected, "{disks:?} {signal:?}");
    }
}
