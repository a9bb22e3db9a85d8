//! How fast a Pod is encoded and decoded as protobuf, with JSON beside it.
//!
//! `cargo run -p api --release --example protobuf`

use std::hint::black_box;
use std::time::Instant;

use api::decode::{Format, decode};
use api::protobuf::{body, encode};
use api::schema::Type;
use api::{Gvk, decode::FieldValidation};

const POD: Gvk = Gvk { group: "", version: "v1", kind: "Pod" };
const ROUNDS: u32 = 20_000;

/// A Pod as the API server keeps a running one.
fn pod() -> Vec<u8> {
    let container = |name: &str| {
        format!(
            r#"{{"name":"{name}","image":"registry.example.com/team/{name}:v1.2.3","command":["/bin/server","--port=8080"],
            "env":[{{"name":"A","value":"b"}},{{"name":"POD","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.name"}}}}}}],
            "ports":[{{"name":"http","containerPort":8080}}],
            "resources":{{"limits":{{"cpu":"500m","memory":"256Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},
            "livenessProbe":{{"httpGet":{{"path":"/healthz","port":"http"}},"periodSeconds":10}},
            "volumeMounts":[{{"name":"data","mountPath":"/data"}},{{"name":"config","mountPath":"/etc/app"}}]}}"#
        )
    };
    let condition = |kind: &str| {
        format!(
            r#"{{"type":"{kind}","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-02T03:04:05Z"}}"#
        )
    };
    let text = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web-5d4f8c7b9-abcde","namespace":"default",
        "uid":"0b5a2c1e-9d7f-4a3b-8c6d-1e2f3a4b5c6d","resourceVersion":"123456","creationTimestamp":"2026-01-02T03:04:05Z",
        "labels":{{"app":"web","pod-template-hash":"5d4f8c7b9","tier":"front"}},"annotations":{{"example.com/team":"a"}}}},
        "spec":{{"containers":[{},{}],"nodeName":"node-1","restartPolicy":"Always","serviceAccountName":"default",
        "volumes":[{{"name":"data","emptyDir":{{}}}},{{"name":"config","configMap":{{"name":"web","defaultMode":420}}}}],
        "tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}]}},
        "status":{{"phase":"Running","podIP":"10.42.0.17","podIPs":[{{"ip":"10.42.0.17"}}],"hostIP":"192.168.1.2",
        "conditions":[{},{},{}],"startTime":"2026-01-02T03:04:05Z"}}}}"#,
        container("server"),
        container("sidecar"),
        condition("Ready"),
        condition("Initialized"),
        condition("PodScheduled"),
    );
    let decoded = decode(text.as_bytes(), Format::Json, POD, FieldValidation::Strict).expect("a Pod");
    decoded.object.to_json()
}

fn measure(what: &str, mut act: impl FnMut()) {
    (0..ROUNDS / 10).for_each(|_| act()); // warm up
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| act());
    println!("{what:<48} {:>7.2} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

fn main() {
    let json = pod();
    let structure = Type::of_kind("", "v1", "Pod").expect("a built-in kind");
    let object = decode(&json, Format::Json, POD, FieldValidation::Ignore).expect("a Pod").object;
    let message = encode(&json, structure).expect("encodes");
    let bytes = body("v1", "Pod", &message);
    println!("a Pod of {} bytes in JSON, {} in protobuf", json.len(), bytes.len());
    measure("encode: typed object to JSON", || drop(black_box(object.to_json())));
    measure("encode: kept JSON to protobuf", || {
        drop(black_box(body("v1", "Pod", &encode(black_box(&json), structure).expect("encodes"))));
    });
    let read = |body: &[u8], format| decode(body, format, POD, FieldValidation::Ignore).expect("a Pod");
    measure("decode: JSON to typed object", || drop(black_box(read(black_box(&json), Format::Json))));
    measure("decode: protobuf to typed object", || drop(black_box(read(black_box(&bytes), Format::Protobuf))));
}
