use std::collections::BTreeMap;

use super::topology::Place;
use super::*;
use crate::{labels, testing};

fn topology() -> Topology {
    Topology::new((0..4).map(|cpu| (cpu, Place { core: cpu, socket: 0, numa_node: 0 })))
}

fn config(reserved: &str) -> CpuManagerConfig {
    CpuManagerConfig { policy: Policy::Static, reserved: reserved.parse().unwrap(), ..CpuManagerConfig::default() }
}

fn manager(directory: &Path) -> Result<CpuManager, CpuManagerError> {
    CpuManager::with_policy(Some(static_policy(&config("0"), 1000, topology()).unwrap()), directory)
}

fn pinned() -> Pod {
    testing::pod(
        "containers: [{name: app, image: i, resources: {requests: {cpu: 2, memory: 1Gi}, limits: {cpu: 2, memory: 1Gi}}}]",
    )
}

fn container(uid: &str, name: &str) -> cri::Container {
    let labels = [(labels::POD_UID, uid), (labels::CONTAINER_NAME, name)];
    let labels: BTreeMap<String, String> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    cri::Container { id: format!("{uid}-{name}"), labels, ..cri::Container::default() }
}

#[test]
fn as_many_cpus_are_kept_as_the_node_reserves() {
    for (reserved, milli, kept) in [("", 100, "0"), ("", 1001, "0-1"), ("3", 1000, "3")] {
        let policy = static_policy(&config(reserved), milli, topology()).unwrap();
        assert_eq!(policy.reserved().to_string(), kept);
    }
    for (reserved, milli, problem) in [
        (
            "",
            0,
            "[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero",
        ),
        ("9", 1000, "[cpumanager] unable to reserve the required amount of CPUs (size of  did not equal 1)"),
    ] {
        let error = static_policy(&config(reserved), milli, topology()).unwrap_err();
        assert_eq!(error.to_string(), problem);
    }
}

#[test]
fn cpus_outlive_a_kubelet_but_not_their_pod() {
    let directory = tempfile::tempdir().unwrap();
    let (pod, uid) = (pinned(), pod::uid(&pinned()));
    manager(directory.path()).unwrap().reserve(&pod).unwrap();
    let next = manager(directory.path()).unwrap();
    let mut resources = cri::LinuxContainerResources { cpu_quota: 200_000, ..cri::LinuxContainerResources::default() };
    next.of(&uid, "app").apply_to(&mut resources);
    assert_eq!((resources.cpuset_cpus.as_str(), resources.cpu_quota), ("1-2", -1));
    assert!(next.has_exclusive(&uid));
    next.retain(&HashSet::new());
    assert_eq!(manager(directory.path()).unwrap().of(&uid, "app").cpus.unwrap().to_string(), "0-3");
}

#[test]
fn another_policy_or_a_damaged_file_stops_the_kubelet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(checkpoint::FILE);
    manager(directory.path()).unwrap();
    let none = CpuManager::with_policy(None, directory.path()).err().unwrap().to_string();
    assert!(none.contains("configured policy \"none\" differs from state checkpoint policy \"static\""), "{none}");
    let advice = format!(
        "checkpoint is corrupted, please drain this node and delete the CPU manager checkpoint file {path:?} before \
         restarting Kubelet"
    );
    std::fs::write(&path, r#"{"policyName":"static","defaultCpuSet":"0-2","checksum":1}"#).unwrap();
    let damaged = manager(directory.path()).err().unwrap().to_string();
    assert!(damaged.ends_with(&advice), "{damaged}");
    std::fs::remove_file(&path).unwrap();
    CpuManager::with_policy(None, directory.path()).unwrap();
    assert!(manager(directory.path()).is_err());
    std::fs::write(&path, "{").unwrap();
    assert!(CpuManager::with_policy(None, directory.path()).is_ok(), "nobody needs what is in it");
}

#[test]
fn containers_follow_the_shared_pool_and_are_not_moved_twice() {
    let directory = tempfile::tempdir().unwrap();
    let manager = manager(directory.path()).unwrap();
    let (pod, uid) = (pinned(), pod::uid(&pinned()));
    let other = Uid::new("other");
    let all = [container("other", "web"), container(uid.as_str(), "app")];
    let moves = |containers: &[cri::Container]| {
        let moves = manager.moves(containers).into_iter().map(|one| {
            let text = format!("{} {}", one.id, one.cpus);
            manager.moved(one);
            text
        });
        moves.collect::<Vec<_>>().join(", ")
    };
    let mut woken = manager.changes.subscribe();
    manager.created(&other, "web", "other-web", manager.of(&other, "web").cpus);
    assert!(!woken.has_changed().unwrap());
    assert_eq!(moves(&all[..1]), "");
    let before = manager.of(&uid, "app").cpus;
    manager.reserve(&pod).unwrap();
    woken.mark_unchanged();
    manager.created(&uid, "app", "u1-app", before);
    assert!(woken.has_changed().unwrap(), "created with what was free before");
    assert_eq!(moves(&all), "other-web 0,3, u1-app 1-2");
    assert_eq!(moves(&all), "");
    manager.release(&uid);
    assert_eq!(moves(&all[..1]), "other-web 0-3");
}
