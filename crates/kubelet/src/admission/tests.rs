use std::collections::BTreeMap;

use super::*;
use crate::testing::pod as spec_pod;

fn pod(uid: &str, spec: &str) -> Pod {
    let mut pod = spec_pod(spec);
    pod.metadata.uid = Some(uid.to_owned());
    pod
}

/// A Pod that requests this much, with a limit on memory if Guaranteed.
fn sized(uid: &str, cpu: &str, memory: &str) -> Pod {
    pod(
        uid,
        &format!("{{containers: [{{name: a, image: x, resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}}}]}}"),
    )
}

fn allocatable() -> Amounts {
    let of = |name: &str, text: &str| (name.to_owned(), Quantity::parse(text).unwrap());
    Amounts::from([of("cpu", "2"), of("memory", "1Gi"), of("pods", "3"), of("ephemeral-storage", "1Gi")])
}

fn node() -> Node {
    let mut node = Node::default();
    node.metadata.labels = Some(BTreeMap::from([("disktype".to_owned(), "ssd".to_owned())]));
    node
}

fn ask(pod: &Pod, others: &[Pod], pressure: &[&'static str]) -> Admission {
    let others: Vec<Demand> = others.iter().map(Demand::of).collect();
    let others: Vec<&Demand> = others.iter().collect();
    let input = AdmissionInput {
        pod,
        demand: &Demand::of(pod),
        others: &others,
        node: &node(),
        allocatable: &allocatable(),
        pressure,
        security: &NodeSecurity::default(),
        unavailable: None,
    };
    admit(&input)
}

fn rejected(pod: &Pod, others: &[Pod], pressure: &[&'static str]) -> String {
    match ask(pod, others, pressure) {
        Admission::Rejected(verdict) => format!("{}: {}", verdict.reason, verdict.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_rejected_with_upstreams_words() {
    let others = [sized("u2", "1500m", "100Mi")];
    assert_eq!(
        rejected(&sized("u1", "600m", "1Mi"), &others, &[]),
        "OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000"
    );
    assert_eq!(
        rejected(&sized("u1", "0", "1Gi"), &others, &[]),
        "OutOfmemory: Pod was rejected: Node didn't have enough resource: memory, requested: 1073741824, used: \
         104857600, capacity: 1073741824"
    );
    assert_eq!(ask(&sized("u1", "500m", "924Mi"), &others, &[]), Admission::Admitted);
    let full = ["u2", "u3", "u4"].map(|uid| sized(uid, "0", "0"));
    assert_eq!(
        rejected(&sized("u1", "9", "0"), &full, &[]),
        "OutOfpods: Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"
    );
}

#[test]
fn resources_of_the_cluster_are_not_the_nodes_to_count() {
    let spec = "{containers: [{name: a, image: x, resources: {requests: {example.com/x: 3}}}]}";
    assert_eq!(ask(&pod("u1", spec), &[], &[]), Admission::Admitted);
}

#[test]
fn what_is_at_the_wrong_place_is_rejected() {
    let selecting = pod("u1", "{nodeSelector: {disktype: hdd}, containers: []}");
    assert_eq!(
        rejected(&selecting, &[], &[]),
        "NodeAffinity: Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node \
         affinity/selector"
    );
    let port = "{containers: [{name: a, image: x, ports: [{containerPort: 80, hostPort: 8080}]}]}";
    assert!(rejected(&pod("u1", port), &[pod("u2", port)], &[]).starts_with("NodePorts: "));
    let windows = pod("u1", "{os: {name: windows}, containers: []}");
    assert!(rejected(&windows, &[], &[]).starts_with("PodOSNotSupported: "));
}

#[test]
fn a_node_under_pressure_takes_what_it_must() {
    let best_effort = pod("u1", "{containers: [{name: a, image: x}]}");
    let tolerating = "{tolerations: [{operator: Exists}], containers: [{name: a, image: x}]}";
    let burstable = sized("u1", "1m", "1Mi");
    let critical = pod("u1", "{priority: 2000000000, containers: [{name: a, image: x}]}");
    assert_eq!(
        rejected(&best_effort, &[], &["MemoryPressure"]),
        "Evicted: Pod was rejected: The node had condition: [MemoryPressure]. "
    );
    assert_eq!(ask(&burstable, &[], &["MemoryPressure"]), Admission::Admitted);
    assert_eq!(ask(&pod("u1", tolerating), &[], &["MemoryPressure"]), Admission::Admitted);
    assert!(matches!(ask(&burstable, &[], &["DiskPressure"]), Admission::Rejected(_)));
    assert_eq!(ask(&critical, &[], &["DiskPressure", "MemoryPressure"]), Admission::Admitted);
}

fn critical(cpu: &str) -> Pod {
    let mut pod = sized("u1", cpu, "1Mi");
    pod.spec.as_mut().unwrap().priority = Some(2_000_001_000);
    pod
}

#[test]
fn a_critical_pod_makes_the_fewest_and_smallest_go() {
    let victims = |pod: &Pod, others: &[Pod]| match ask(pod, others, &[]) {
        Admission::AfterPreempting(victims) => victims.iter().map(Uid::to_string).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let others = [sized("small", "200m", "1Mi"), sized("large", "1600m", "1Mi")];
    assert_eq!(victims(&critical("300m"), &others), ["small"]);
    assert_eq!(victims(&critical("1"), &others), ["large"]);
    assert_eq!(victims(&critical("2"), &others), ["large", "small"]);
    assert_eq!(ask(&critical("100m"), &others, &[]), Admission::Admitted);
}

#[test]
fn a_critical_pod_that_cannot_fit_is_rejected() {
    let mut peer = sized("u2", "1500m", "1Mi");
    peer.spec.as_mut().unwrap().priority = Some(2_000_001_000);
    let words = rejected(&critical("1"), &[peer], &[]);
    let expected = "UnexpectedAdmissionError: Pod was rejected: Unexpected error while attempting to recover from \
                    admission failure: preemption: error finding a set of pods to preempt: no set of running pods \
                    found to reclaim resources: [(res: cpu, q: 500), ]";
    assert_eq!(words, expected);
}
