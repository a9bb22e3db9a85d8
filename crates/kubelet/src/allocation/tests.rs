use k8s_openapi::api::core::v1::PodStatus;
use serde_json::json;

use super::*;
use crate::admission::Demand;
use crate::cpu_manager::Policy;
use crate::labels::CONTAINER_RESOURCES;
use crate::observed::ObservedPod;
use crate::plan_pod::KillReason;
use crate::resources::Amounts;
use crate::testing::{at, instance, pod as spec_pod, running};
use api::quantity::Quantity;

fn sized(cpu: &str, memory: &str, policy: &str) -> Pod {
    spec_pod(&format!(
        "{{containers: [{{name: app, image: x, resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}, \
         resizePolicy: [{{resourceName: memory, restartPolicy: {policy}}}]}}]}}"
    ))
}

fn node() -> Amounts {
    let of = |name: &str, text: &str| (name.to_owned(), Quantity::parse(text).unwrap());
    Amounts::from([of("cpu", "2"), of("memory", "4Gi"), of("pods", "10")])
}

#[test]
fn a_resize_is_allocated_deferred_or_infeasible() {
    let other = Demand::of(&sized("1", "1Gi", "NotRequired"));
    let ask = |cpu: &str, memory: &str| {
        let pod = sized(cpu, memory, "NotRequired");
        let room = Room { others: &[&other], allocatable: &node(), cpu_manager: Policy::Static };
        decide(&pod, &sized("1", "1Gi", "NotRequired"), &Demand::of(&pod), room)
    };
    let wait = |reason, message: &str| Resize::Wait(reason, message.to_owned());
    assert_eq!(ask("1", "3Gi"), Resize::Allocate);
    let message = "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000";
    assert_eq!(ask("1500m", "1Gi"), wait(PendingReason::Deferred, message));
    let message = "Node didn't have enough capacity: cpu, requested: 5000, capacity: 2000";
    assert_eq!(ask("5", "1Gi"), wait(PendingReason::Infeasible, message));
    let message = "Node didn't have enough capacity: memory, requested: 5368709120, capacity: 4294967296";
    assert_eq!(ask("5", "5Gi"), wait(PendingReason::Infeasible, message));
}

#[test]
fn cpus_of_their_own_are_not_resized() {
    let guaranteed = |cpu: &str, memory: &str| {
        let amounts = format!("{{cpu: {cpu}, memory: {memory}}}");
        spec_pod(&format!(
            "containers: [{{name: app, image: x, resources: {{requests: {amounts}, limits: {amounts}}}}}]"
        ))
    };
    let ask = |cpu: &str, memory: &str, cpu_manager| {
        let pod = guaranteed(cpu, memory);
        decide(
            &pod,
            &guaranteed("1", "1Gi"),
            &Demand::of(&pod),
            Room { others: &[], allocatable: &node(), cpu_manager },
        )
    };
    let message = "Resize is infeasible for Guaranteed Pods alongside CPU Manager policy \"static\"".to_owned();
    assert_eq!(ask("2", "1Gi", Policy::Static), Resize::Wait(PendingReason::Infeasible, message));
    assert_eq!(ask("1000m", "2Gi", Policy::Static), Resize::Allocate);
    assert_eq!(ask("2", "1Gi", Policy::None), Resize::Allocate);
}

#[test]
fn what_is_allocated_outlives_the_kubelet() {
    let directory = tempfile::tempdir().unwrap();
    let (small, large) = (sized("1", "1Gi", "NotRequired"), Arc::new(sized("2", "2Gi", "NotRequired")));
    let allocations = Allocations::default();
    allocations.begin(&small, directory.path());
    assert_eq!(allocations.apply(large.clone()).spec, small.spec, "what is asked for is not what there is");
    allocations.allocate(&large);
    assert!(Arc::ptr_eq(&allocations.apply(large.clone()), &large));
    let next = Allocations::default();
    next.begin(&small, directory.path());
    assert_eq!(next.apply(Arc::new(small.clone())).spec, large.spec);
}

#[test]
fn without_a_record_the_status_tells_what_is_allocated() {
    let directory = tempfile::tempdir().unwrap();
    let mut pod = sized("2", "2Gi", "NotRequired");
    let resources = json!({"requests": {"cpu": "1", "memory": "1Gi"}});
    let status = json!({"containerStatuses": [{"name": "app", "image": "", "imageID": "", "ready": true,
        "restartCount": 0, "resources": resources}]});
    pod.status = Some(serde_json::from_value(status).unwrap());
    let allocations = Allocations::default();
    allocations.begin(&pod, directory.path());
    assert_eq!(allocations.apply(Arc::new(pod)).spec, sized("1", "1Gi", "NotRequired").spec);
}

fn observed(created_as: &Pod) -> ObservedPod {
    let mut app = instance(created_as, "app", 0, running());
    let resources = serde_json::to_string(&created_as.spec.as_ref().unwrap().containers[0].resources).unwrap();
    app.annotations.insert(CONTAINER_RESOURCES.to_owned(), resources);
    ObservedPod { sandboxes: Vec::new(), containers: vec![app] }
}

#[test]
fn running_containers_follow_by_update_or_restart() {
    let before = sized("1", "1Gi", "RestartContainer");
    let follow = |cpu: &str, memory: &str| {
        plan_follow(&sized(cpu, memory, "RestartContainer"), &observed(&before), &Resources::new(), None)
    };
    assert!(follow("1", "1Gi").is_done());
    assert!(follow("1000m", "1024Mi").is_done(), "the same amounts in other words");
    let cpu = follow("2", "1Gi");
    assert_eq!((cpu.update.len(), cpu.kill.len(), cpu.update[0].name.as_str()), (1, 0, "app"));
    let memory = follow("2", "2Gi");
    assert_eq!((memory.update.len(), memory.kill[0].reason), (0, KillReason::Resize));
    let set = Resources::from([("app-0".to_owned(), cpu.update[0].to.clone())]);
    assert!(plan_follow(&sized("2", "1Gi", "RestartContainer"), &observed(&before), &set, None).is_done());
}

#[test]
fn status_shows_what_containers_have_and_what_the_resize_waits_for() {
    let pod = sized("2", "1Gi", "NotRequired");
    let pending = Pending {
        reason: PendingReason::Deferred,
        message: "m".to_owned(),
        generation: Some(2),
        since: crate::pod_status::seconds(at(5)),
    };
    let progress = Progress { pending: Some(pending), in_progress: true, error: Some("e".to_owned()) };
    let mut status = serde_json::from_value(json!({
        "containerStatuses": [{"name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "resources": {"requests": {"cpu": "2"}}}],
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodResizePending", "status": "True"}],
    }))
    .unwrap();
    let before = sized("1", "1Gi", "NotRequired");
    show(
        &mut status,
        &pod,
        &observed(&before),
        &Resources::new(),
        Shown { progress: &progress, actuated_pod: None, now: at(9) },
    );
    let value = serde_json::to_value(&status).unwrap();
    assert_eq!(value["containerStatuses"][0]["resources"]["requests"]["cpu"], "1");
    let conditions: Vec<String> = value["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", one["type"], one["reason"], one["message"]).replace('"', ""))
        .collect();
    assert_eq!(conditions, ["Ready null null", "PodResizePending Deferred m", "PodResizeInProgress Error e"]);
}

/// A Pod with a limit on CPU as a whole, one container that shares it and one with a limit of its own.
fn shared_limit(cpu: &str, policy: &str) -> Pod {
    spec_pod(&format!(
        "{{resources: {{limits: {{cpu: {cpu}}}, requests: {{cpu: {cpu}}}}}, containers: [{{name: app, image: x, resources: {{}}, \
         resizePolicy: [{{resourceName: cpu, restartPolicy: {policy}}}]}}]}}"
    ))
}

#[test]
fn what_a_pod_has_as_a_whole_is_followed_by_its_cgroup_and_by_who_shares_it() {
    let directory = tempfile::tempdir().unwrap();
    let (small, large) = (shared_limit("1", "NotRequired"), Arc::new(shared_limit("2", "NotRequired")));
    let uid = pod::uid(&small);
    let allocations = Allocations::default();
    allocations.begin(&small, directory.path());
    assert_eq!(allocations.apply(large.clone()).spec, small.spec, "what is asked for is not what there is");
    allocations.allocate(&large);
    assert!(Arc::ptr_eq(&allocations.apply(large.clone()), &large));
    let next = Allocations::default();
    next.begin(&small, directory.path());
    assert_eq!(next.actuated_pod(&uid), small.spec.as_ref().unwrap().resources);
    let mut observed = observed(&small);
    observed.sandboxes = vec![crate::testing::sandbox(0, true)];
    let follow = |pod: &Pod| plan_follow(pod, &observed, &Resources::new(), next.actuated_pod(&uid));
    let updated = follow(&large);
    assert_eq!((updated.update.len(), updated.kill.len(), updated.pod_from.is_some()), (1, 0, true));
    let restarted = follow(&shared_limit("2", "RestartContainer"));
    assert_eq!((restarted.update.len(), restarted.kill.len(), restarted.pod_from.is_some()), (0, 1, true));
    assert!(follow(&small).is_done(), "taken back before anything followed");

    let mut status = PodStatus::default();
    let actuated = next.actuated_pod(&uid);
    let shown = Shown { progress: &Progress::default(), actuated_pod: actuated.as_ref(), now: at(9) };
    show(&mut status, &large, &observed, &Resources::new(), shown);
    let value = serde_json::to_value(&status).unwrap();
    assert_eq!((&value["allocatedResources"]["cpu"], &value["resources"]["limits"]["cpu"]), (&json!("2"), &json!("1")));
    next.set_pod_actuated(&uid);
    assert_eq!(next.actuated_pod(&uid), None);
}

#[test]
fn events_show_resources_as_upstream_does() {
    let text = summary(&sized("1", "1Gi", "NotRequired"), Some("no")).to_string();
    let expected = r#"{"containers":[{"name":"app","resources":{"requests":{"cpu":"1","memory":"1Gi"}}}],"generation":1,"error":"no"}"#;
    let sorted = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(sorted(&text), sorted(expected));
}
