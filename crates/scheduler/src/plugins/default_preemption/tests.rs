use serde_json::{Value, json};

use super::*;
use crate::cache::Cache;
use crate::fixtures::{cache, node, pod_of, profile};
use crate::schedule_one::{Decision, Turn, schedule_one};

fn asking(cpu: &str, priority: i32, started: u32) -> Value {
    let container = json!({ "name": "c", "resources": { "requests": { "cpu": cpu } } });
    json!({ "spec": { "containers": [container], "priority": priority },
            "status": { "startTime": format!("2026-01-01T00:00:{started:02}Z") } })
}

/// A Pod: name, CPUs, priority, second it started.
type Placed<'a> = (&'a str, &'a str, i32, u32);
/// A node with its Pods.
type Filled<'a> = (&'a str, &'a [Placed<'a>]);

/// Nodes of 4 CPUs with Pods on them.
fn cluster(nodes: &[Filled<'_>]) -> Cache {
    let mut cache = cache(nodes.iter().map(|(name, _)| node(name, json!({}))));
    for (node, pods) in nodes {
        for (name, cpu, priority, started) in *pods {
            cache.assume(pod_of(name, json!({ "app": name }), asking(cpu, *priority, *started)), &(*node).into());
        }
    }
    cache
}

fn budget(app: &str, allowed: i32) -> PodDisruptionBudget {
    let budget = json!({ "metadata": { "name": app, "namespace": "ns" },
                         "spec": { "selector": { "matchLabels": { "app": app } } },
                         "status": { "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1,
                                     "expectedPods": 1 } });
    serde_json::from_value(budget).unwrap()
}

fn outcome(pod: &PodInfo, cache: &Cache, budgets: Vec<PodDisruptionBudget>) -> Outcome {
    let profile = profile();
    let (decision, _) = schedule_one(&profile, pod, cache.snapshot(), Turn::default());
    let Decision::Unfit { unfit, state } = decision else { panic!("{decision:?}") };
    let preemption = DefaultPreemption {
        min_candidate_nodes_percentage: 10,
        min_candidate_nodes_absolute: 100,
        budgets: Lister::of_objects(budgets),
    };
    preemption.post_filter(&profile, &state, pod, cache.snapshot(), &unfit, 0)
}

/// "node: victims" for a Pod of priority 10 that asks for so much.
fn chosen(cpu: &str, cache: &Cache, budgets: Vec<PodDisruptionBudget>) -> String {
    match outcome(&pod_of("p", json!({}), asking(cpu, 10, 0)), cache, budgets) {
        Outcome::Nominated { node, victims } => {
            let names: Vec<&str> = victims.iter().map(|pod| pod.key.name.as_str()).collect();
            format!("{node}: {}", names.join(" "))
        }
        Outcome::NotEligible(text) => text.to_owned(),
        Outcome::NotHelpful(text) => text,
    }
}

#[test]
fn as_few_and_as_unimportant_pods_as_possible_go() {
    let crowded: &[Placed<'_>] = &[("low", "1", 1, 0), ("late", "1", 2, 9), ("early", "1", 2, 1), ("top", "1", 3, 0)];
    assert_eq!(chosen("1", &cluster(&[("a", crowded)]), vec![]), "a: low");
    assert_eq!(chosen("2", &cluster(&[("a", crowded)]), vec![]), "a: late low");
    assert_eq!(chosen("3", &cluster(&[("a", crowded)]), vec![]), "a: early late low");
}

#[test]
fn the_node_with_the_smallest_loss_is_taken() {
    let cases: [(&str, &[Filled<'_>], &str); 4] = [
        ("least important victim", &[("a", &[("x", "4", 5, 0)]), ("b", &[("y", "4", 4, 0)])], "b: y"),
        (
            "smallest sum of priorities",
            &[("a", &[("x", "2", 5, 0), ("y", "2", 5, 0)]), ("b", &[("z", "2", 5, 0), ("w", "2", 1, 0)])],
            "b: z w",
        ),
        ("fewest victims", &[("a", &[("x", "2", 5, 0), ("y", "2", 5, 0)]), ("b", &[("z", "4", 5, 0)])], "b: z"),
        ("latest start", &[("a", &[("x", "4", 5, 3)]), ("b", &[("y", "4", 5, 7)])], "b: y"),
    ];
    for (case, nodes, expected) in cases {
        assert_eq!(chosen("4", &cluster(nodes), vec![]), expected, "{case}");
    }
}

#[test]
fn budgets_are_broken_only_when_nothing_else_helps() {
    let two = cluster(&[("a", &[("x", "4", 1, 0)]), ("b", &[("y", "4", 5, 0)])]);
    assert_eq!(chosen("4", &two, vec![budget("x", 0)]), "b: y");
    assert_eq!(chosen("4", &two, vec![budget("x", 1)]), "a: x");
    assert_eq!(chosen("4", &two, vec![budget("x", 0), budget("y", 0)]), "a: x");
    let one = cluster(&[("a", &[("x", "2", 1, 0), ("y", "2", 5, 0)])]);
    assert_eq!(chosen("2", &one, vec![budget("x", 0)]), "a: y", "the protected one comes back first");
}

#[test]
fn nobody_goes_in_vain() {
    let equals = cluster(&[("a", &[("x", "4", 10, 0)])]);
    assert_eq!(
        chosen("2", &equals, vec![]),
        "0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    let large = cluster(&[("a", &[("x", "4", 1, 0)])]);
    assert_eq!(chosen("5", &large, vec![]), "0/1 nodes are available: 1 Preemption is not helpful for scheduling.");
    let mixed = cluster(&[("a", &[("x", "3", 10, 0), ("y", "1", 1, 0)])]);
    assert_eq!(chosen("2", &mixed, vec![]), "0/1 nodes are available: 1 Insufficient cpu.");
}

#[test]
fn a_pod_waits_for_those_who_already_go_for_it() {
    let mut nodes = cluster(&[("a", &[("kept", "2", 1, 0)])]);
    let leaving = |reason: &str| {
        let mut leaving = asking("2", 1, 0);
        crate::fixtures::merge(
            &mut leaving,
            json!({
            "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" },
            "status": { "conditions": [{ "type": "DisruptionTarget", "status": "True", "reason": reason }] } }),
        );
        pod_of("leaving", json!({}), leaving)
    };
    let mut nominated = asking("3", 10, 0);
    nominated["status"] = json!({ "nominatedNodeName": "a" });
    let pod = pod_of("p", json!({}), nominated);
    nodes.assume(leaving("PreemptionByScheduler"), &"a".into());
    let waits = Outcome::NotEligible("not eligible due to a terminating pod on the nominated node.");
    assert_eq!(outcome(&pod, &nodes, vec![]), waits);
    nodes.assume(leaving("EvictionByEvictionAPI"), &"a".into());
    assert_ne!(outcome(&pod, &nodes, vec![]), waits);
}

#[test]
fn whom_required_anti_affinity_names_may_have_to_go() {
    let mut cache = cache([node("a", json!({ "metadata": { "labels": { "host": "a" } } }))]);
    cache.assume(pod_of("x", json!({ "app": "x" }), asking("1", 1, 0)), &"a".into());
    cache.assume(pod_of("y", json!({ "app": "y" }), asking("1", 1, 0)), &"a".into());
    let mut far = asking("1", 10, 0);
    far["spec"]["affinity"] = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": "host", "labelSelector": { "matchLabels": { "app": "y" } } }] } });
    let Outcome::Nominated { victims, .. } = outcome(&pod_of("p", json!({}), far), &cache, vec![]) else { panic!() };
    assert_eq!(victims.iter().map(|pod| pod.key.name.as_str()).collect::<Vec<_>>(), ["y"]);
}
