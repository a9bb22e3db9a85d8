use api::quantity::Quantity;
use serde_json::{Value, json};
use testkit::fake_api::FakeApi;

use super::*;
use crate::history::History;
use crate::resources::{Amounts, ResourceConfig};
use crate::testing::{EventLog, at};

fn node() -> NodeConfig {
    NodeConfig {
        name: "n1".to_owned(),
        labels: BTreeMap::from([("disktype".to_owned(), "ssd".to_owned())]),
        addresses: vec!["192.0.2.1".parse().unwrap()],
        taints: Vec::new(),
        kubelet_port: 10250,
        pod_cidrs: vec!["10.42.0.0/24".to_owned()],
        version: "v1.36.2+isopod".to_owned(),
        max_pods: 110,
    }
}

fn machine() -> Machine {
    Machine { cpus: 2, memory_bytes: 8 << 30, disk_bytes: 100 << 30, ..Machine::default() }
}

const FINE: &[&str] = &[];

fn status(
    pressure: &[&'static str],
    runtime: Result<&cri::StatusResponse, String>,
    before: Option<&NodeStatus>,
) -> NodeStatus {
    let images = [image("small", 1), image("large", 9)];
    node_status(&StatusFacts {
        node: &node(),
        machine: &machine(),
        resources: &NodeResources::of(&machine(), 110, &ResourceConfig::default()),
        cpu_manager: Policy::None,
        runtime_version: "isopod://0.1.0",
        runtime,
        images: &images,
        shutting_down: false,
        pressure,
        devices: &DeviceAmounts::default(),
        seen: &Node::default(),
        before,
        now: at(100),
    })
}

fn image(name: &str, size: u64) -> cri::Image {
    cri::Image { id: name.to_owned(), repo_tags: vec![format!("{name}:latest")], size, ..cri::Image::default() }
}

fn condition(status: &NodeStatus, type_: &str) -> Value {
    let value = serde_json::to_value(status).unwrap();
    value["conditions"].as_array().unwrap().iter().find(|one| one["type"] == type_).unwrap().clone()
}

#[test]
fn extended_resources_come_from_plugins_and_by_hand() {
    let amount = |count| Quantity::from_value(count);
    let amounts = |count| Amounts::from([("example.com/thing".to_owned(), amount(count))]);
    let devices = DeviceAmounts { capacity: amounts(3), allocatable: amounts(2) };
    let seen =
        json!({ "status": { "capacity": { "example.com/dongle": "4", "example.com/thing": "9", "cpu": "64" } } });
    let seen: Node = serde_json::from_value(seen).unwrap();
    let status = node_status(&StatusFacts {
        node: &node(),
        machine: &machine(),
        resources: &NodeResources::of(&machine(), 110, &ResourceConfig::default()),
        cpu_manager: Policy::None,
        runtime_version: "isopod://0.1.0",
        runtime: Ok(&cri::StatusResponse::default()),
        images: &[],
        shutting_down: false,
        pressure: FINE,
        devices: &devices,
        seen: &seen,
        before: None,
        now: at(100),
    });
    let status = serde_json::to_value(&status).unwrap();
    let (capacity, allocatable) = (&status["capacity"], &status["allocatable"]);
    assert_eq!((&capacity["example.com/thing"], &allocatable["example.com/thing"]), (&json!("3"), &json!("2")));
    assert_eq!((&capacity["example.com/dongle"], &allocatable["example.com/dongle"]), (&Value::Null, &json!("4")));
    assert_eq!((&capacity["cpu"], &allocatable["cpu"]), (&json!("2"), &json!("2")));
}

#[test]
fn a_healthy_node_is_ready_and_says_what_it_has() {
    let status = status(FINE, Ok(&cri::StatusResponse::default()), None);
    let value = serde_json::to_value(&status).unwrap();
    assert_eq!(value["capacity"]["memory"], "8Gi");
    assert_eq!((&value["capacity"]["cpu"], &value["capacity"]["pods"]), (&json!("2"), &json!("110")));
    assert_eq!(value["allocatable"]["memory"], "8092Mi");
    let addresses = json!([{ "type": "InternalIP", "address": "192.0.2.1" }, { "type": "Hostname", "address": "n1" }]);
    assert_eq!(value["addresses"], addresses);
    assert_eq!(value["images"][0]["names"], json!(["large:latest"]));
    assert_eq!(value["nodeInfo"]["containerRuntimeVersion"], "isopod://0.1.0");
    assert_eq!(value["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
    let ready = condition(&status, "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!("KubeletReady")));
    assert_eq!(ready["message"], "kubelet is posting ready status");
    for type_ in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        assert_eq!(condition(&status, type_)["status"], "False");
    }
}

#[test]
fn a_node_says_what_its_runtime_can_do() {
    let features = cri::RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: false };
    let response = cri::StatusResponse {
        runtime_handlers: vec![cri::RuntimeHandler { name: String::new(), features: Some(features) }],
        features: Some(cri::RuntimeFeatures { supplemental_groups_policy: true }),
        ..cri::StatusResponse::default()
    };
    let told = status(FINE, Ok(&response), None);
    let value = serde_json::to_value(&told).unwrap();
    assert_eq!(value["features"], json!({ "supplementalGroupsPolicy": true }));
    let handler = json!({ "name": "", "features": { "recursiveReadOnlyMounts": true, "userNamespaces": false } });
    assert_eq!(value["runtimeHandlers"], json!([handler]));
    let down = status(FINE, Err("no answer".to_owned()), Some(&told));
    assert_eq!((down.features, down.runtime_handlers), (told.features, told.runtime_handlers));
}

#[test]
fn a_runtime_that_is_down_or_unready_makes_the_node_unready() {
    let down = status(FINE, Err("no answer".to_owned()), None);
    assert_eq!(condition(&down, "Ready")["message"], "container runtime is down: no answer");
    let unready = cri::RuntimeCondition {
        r#type: "NetworkReady".to_owned(),
        status: false,
        reason: "NoBridge".to_owned(),
        message: "no bridge".to_owned(),
    };
    let response = cri::StatusResponse {
        status: Some(cri::RuntimeStatus { conditions: vec![unready] }),
        ..cri::StatusResponse::default()
    };
    let ready = condition(&status(FINE, Ok(&response), None), "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("KubeletNotReady")));
    assert_eq!(ready["message"], "NetworkReady is false: NoBridge: no bridge");
}

#[test]
fn transition_times_stay_while_a_condition_holds() {
    let response = cri::StatusResponse::default();
    let mut before = status(FINE, Ok(&response), None);
    for condition in before.conditions.as_mut().unwrap() {
        condition.last_transition_time = Some(crate::pod_status::seconds(at(1)));
        condition.last_heartbeat_time = Some(crate::pod_status::seconds(at(1)));
    }
    let short: &[&str] = &["MemoryPressure"];
    let after = status(short, Ok(&response), Some(&before));
    assert_eq!(condition(&after, "Ready")["lastTransitionTime"], "1970-01-01T00:00:01Z");
    assert_eq!(condition(&after, "MemoryPressure")["lastTransitionTime"], "1970-01-01T00:01:40Z");
    assert_eq!(condition(&after, "MemoryPressure")["reason"], "KubeletHasInsufficientMemory");
    assert!(!compute::says_same(&before, &after));
    assert!(compute::says_same(&before, &status(FINE, Ok(&response), Some(&before))));
}

fn writer(api: &FakeApi) -> NodeStatusWriter {
    logging_writer(api, &EventLog::default())
}

fn logging_writer(api: &FakeApi, log: &EventLog) -> NodeStatusWriter {
    let clock: SharedClock = Arc::new(crate::testing::TokioClock::new());
    let history = History::start(tempfile::tempdir().unwrap().path().join("history"), Arc::clone(&clock));
    NodeStatusWriter {
        cpu_manager: Policy::None,
        devices: watch::channel(DeviceAmounts::default()).1,
        seen: watch::channel(Arc::default()).1,
        shutting_down: tokio::sync::watch::channel(false).1,
        resources: NodeResources::default(),
        nodes: Api::all(api.client()),
        node: node(),
        machine: machine(),
        runtime: testkit::fake_cri::FakeCri::new(Arc::clone(&clock), &[]).runtime(),
        runtime_version: "isopod://0.1.0".to_owned(),
        clock,
        pressure: watch::channel(Vec::new()).1,
        written: None,
        ready: Arc::new(Notify::new()),
        events: Events::new(Arc::new(log.clone()), history),
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_registers_itself_and_is_written_again_only_when_due() {
    let api = FakeApi::new();
    let mut writer = writer(&api);
    writer.register().await;
    let node = api.get("/api/v1/nodes/n1").unwrap();
    assert_eq!(node["metadata"]["labels"]["disktype"], "ssd");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
    assert_eq!(node["spec"]["podCIDR"], "10.42.0.0/24");
    let writes = || api.requests().iter().filter(|request| request.starts_with("PATCH")).count();
    for _ in 0..12 {
        writer.report().await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(writes(), 1);
    tokio::time::sleep(REPORT_INTERVAL).await;
    writer.report().await.unwrap();
    assert_eq!(writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_exists_keeps_its_labels_and_taints() {
    let api = FakeApi::new();
    let taints = json!([{ "key": "mine", "effect": "NoSchedule" }]);
    api.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1", "labels": { "own": "yes" } },
        "spec": { "taints": taints },
    }));
    writer(&api).register().await;
    let node = api.get("/api/v1/nodes/n1").unwrap();
    assert_eq!(
        (&node["metadata"]["labels"]["own"], &node["metadata"]["labels"]["disktype"]),
        (&json!("yes"), &json!("ssd"))
    );
    assert_eq!(node["spec"]["taints"], json!([{ "key": "mine", "effect": "NoSchedule" }]));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_told_once() {
    let (api, log) = (FakeApi::new(), EventLog::default());
    let machine = |boot: &str| Machine { boot_id: boot.to_owned(), ..machine() };
    for boot in ["first", "second", "second"] {
        let mut writer = NodeStatusWriter { machine: machine(boot), ..logging_writer(&api, &log) };
        writer.register().await;
        writer.report().await.unwrap();
        writer.report().await.unwrap();
    }
    let reboots: Vec<_> = log.all().into_iter().filter(|event| event.starts_with("Rebooted")).collect();
    assert_eq!(reboots, ["Rebooted: Node n1 has been rebooted, boot id: second"]);
    assert_eq!(log.count("NodeHasSufficientMemory"), 1);
}
