use serde_json::json;

use super::{Cluster, send};

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn pods_get_account_token_priority_and_tolerations() {
    let cluster = Cluster::start_with_policy().await;
    let pod = cluster.pod("p", json!({})).await;
    let spec = &pod["spec"];
    assert_eq!((&spec["serviceAccountName"], &spec["serviceAccount"]), (&json!("default"), &json!("default")));
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(0), &json!("PreemptLowerPriority")));
    assert_eq!(spec["tolerations"].as_array().map(Vec::len), Some(2));
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(mount["name"], spec["volumes"][0]["name"]);
    let sources = &spec["volumes"][0]["projected"]["sources"];
    assert_eq!(sources[0]["serviceAccountToken"], json!({"expirationSeconds": 3607, "path": "token"}));
    assert_eq!((&pod["status"]["phase"], &pod["status"]["qosClass"]), (&json!("Pending"), &json!("BestEffort")));
    assert_eq!(pod["metadata"]["generation"], 1);
}

#[tokio::test]
async fn pods_are_refused_for_what_is_not_there() {
    let cluster = Cluster::start_with_policy().await;
    let check = async |spec: serde_json::Value, expected: &str| {
        let mut spec = spec;
        spec["containers"] = json!([{"name": "c", "image": "i"}]);
        let answer = cluster.post(PODS, json!({"metadata": {"name": "p"}, "spec": spec})).await;
        assert_eq!(answer.failure(), (403, format!("pods \"p\" is forbidden: {expected}")));
    };
    check(
        json!({"serviceAccountName": "x"}),
        "error looking up service account default/x: serviceaccount \"x\" not found",
    )
    .await;
    check(json!({"priorityClassName": "x"}), "no PriorityClass with name x was found").await;
    check(json!({"runtimeClassName": "x"}), "pod rejected: RuntimeClass \"x\" not found").await;
    check(
        json!({"priority": 5}),
        "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 \
         from the given PriorityClass name",
    )
    .await;
    let answer = cluster.post("/api/v1/namespaces/none/pods", json!({"metadata": {"name": "p"}})).await;
    assert_eq!(answer.code.as_u16(), 404, "{answer:?}");
}

#[tokio::test]
async fn new_nodes_are_tainted_until_ready() {
    let cluster = Cluster::start_with_policy().await;
    let node = cluster.post("/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await.expect(201);
    assert_eq!(node["spec"]["taints"], json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]));
}

#[tokio::test]
async fn kubelets_write_their_own_objects_only() {
    let cluster = Cluster::start_with_policy().await;
    let kubelet = cluster.user("system:node:n1", &["system:nodes"]);
    let post = async |path: &str, body: serde_json::Value| {
        let headers = [("content-type", "application/json")];
        send(&kubelet, "POST", path, &headers, body.to_string().into()).await
    };
    post("/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await.expect(201);
    let answer = post("/api/v1/nodes", json!({"metadata": {"name": "n2"}})).await;
    let text = "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"";
    assert_eq!(answer.failure(), (403, text.to_owned()));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let answer = post(PODS, pod).await;
    let text = "pods \"p\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can \
                only create mirror pods";
    assert_eq!(answer.failure(), (403, text.to_owned()));
}

#[tokio::test]
async fn kubelets_read_what_their_pods_refer_to_and_nothing_else() {
    let cluster = Cluster::start_with_policy().await;
    for name in ["mine", "other"] {
        let body = json!({"metadata": {"name": name}, "stringData": {"k": "v"}});
        cluster.post("/api/v1/namespaces/default/secrets", body).await.expect(201);
    }
    let volumes = json!([{"name": "v", "secret": {"secretName": "mine"}}]);
    cluster.pod("p", json!({ "volumes": volumes })).await;
    let kubelet = cluster.user("system:node:n1", &["system:nodes"]);
    let get = async |path: &str| {
        let path = format!("/api/v1/namespaces/default/{path}");
        send(&kubelet, "GET", &path, &[], "".into()).await
    };
    let unrelated = |name: &str| {
        let text = format!(
            "secrets \"{name}\" is forbidden: User \"system:node:n1\" cannot get resource \"secrets\" in API group \"\" \
             in the namespace \"default\": no relationship found between node 'n1' and this object"
        );
        (403, text)
    };
    assert_eq!(get("secrets/mine").await.failure(), unrelated("mine"));
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    cluster.post(&format!("{PODS}/p/binding"), binding).await.expect(201);
    get("pods/p").await.expect(200);
    get("secrets/mine").await.expect(200);
    get("configmaps?fieldSelector=metadata.name=kube-root-ca.crt").await.expect(200);
    assert_eq!(get("secrets/other").await.failure(), unrelated("other"));
    assert_eq!(get("secrets").await.code.as_u16(), 403);
    let token = json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let headers = [("content-type", "application/json")];
    send(&kubelet, "POST", path, &headers, token.to_string().into()).await.expect(201);
}

#[tokio::test]
async fn claims_get_a_class_and_a_guard_and_nodes_read_their_own() {
    let cluster = Cluster::start_with_policy().await;
    let class = json!({
        "metadata": { "name": "usual", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": "x/p"
    });
    cluster.post("/apis/storage.k8s.io/v1/storageclasses", class).await.expect(201);
    const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = |name: &str| {
        let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
        json!({ "metadata": { "name": name }, "spec": spec })
    };
    let made = cluster.post(CLAIMS, claim("used")).await.expect(201);
    assert_eq!(made["spec"]["storageClassName"], "usual");
    assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    assert_eq!(made["status"], json!({ "phase": "Pending" }));
    cluster.post(CLAIMS, claim("other")).await.expect(201);
    let volumes = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "used" } }]);
    cluster.pod("p", json!({ "nodeName": "n1", "volumes": volumes })).await;
    cluster.get(&format!("{PODS}/p")).await.expect(200);
    let kubelet = cluster.user("system:node:n1", &["system:nodes"]);
    for (name, code) in [("used", 200), ("other", 403), ("missing", 403)] {
        let answer = send(&kubelet, "GET", &format!("{CLAIMS}/{name}"), &[], "".into()).await;
        assert_eq!(answer.code.as_u16(), code, "{name}");
    }
}

#[tokio::test]
async fn quotas_are_charged_once_for_what_is_stored() {
    let cluster = Cluster::start_with_policy().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let quota = cluster.post(quotas, json!({"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "5"}}})).await;
    let mut quota = quota.expect(201);
    let maps = "/api/v1/namespaces/default/configmaps";
    // Until the controller has counted, the quota says nothing.
    cluster.post(maps, json!({"metadata": {"name": "early"}})).await.expect(201);
    quota["status"] = json!({"hard": {"configmaps": "5"}, "used": {"configmaps": "1"}});
    cluster.put(&format!("{quotas}/q/status"), quota).await.expect(200);
    let used = async || cluster.get(&format!("{quotas}/q")).await.expect(200)["status"]["used"]["configmaps"].clone();
    cluster.post(&format!("{maps}?dryRun=All"), json!({"metadata": {"name": "dry"}})).await.expect(201);
    assert_eq!(used().await, "1");
    // One that exists already is given back.
    assert_eq!(cluster.post(maps, json!({"metadata": {"name": "early"}})).await.code.as_u16(), 409);
    assert_eq!(used().await, "1");
    let many = (0..12).map(|index| cluster.post(maps, json!({"metadata": {"name": format!("m{index}")}})));
    let answers = futures::future::join_all(many).await;
    let stored = answers.iter().filter(|answer| answer.code.as_u16() == 201).count();
    assert_eq!((stored, used().await), (4, json!("5")));
    let refused = answers.into_iter().find(|answer| answer.code.as_u16() == 403).unwrap().failure().1;
    let text = "is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=5, limited: configmaps=5";
    assert!(refused.ends_with(text), "{refused}");
}
