//! What is in URLs and headers: paths, selectors, continue tokens, options.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use serde_json::json;
use testkit::fuzz::{Campaign, Shape};

use super::{Target, encoded};

const COLLECTIONS: [&str; 4] =
    ["/api/v1/pods", "/api/v1/namespaces/default/configmaps", "/apis/apps/v1/deployments", "/api/v1/events"];

/// Lists with a parameter made of the input; its first byte chooses of what.
fn list(name: &'static str, parameter: &str, seeds: &[&str]) {
    let target = Target::start();
    let seeds = seeds.iter().map(|seed| [b"\0", seed.as_bytes()].concat()).collect();
    Campaign::new(name, Shape::Bytes).with_head(1).run(seeds, |input| {
        let [place, text @ ..] = input else { return String::new() };
        let path = COLLECTIONS[usize::from(*place) % COLLECTIONS.len()];
        let request = Request::get(format!("{path}?limit=2&{parameter}={}", encoded(text)));
        target.answer(request, b"").unwrap_or_default()
    });
}

#[test]
fn label_selectors() {
    let seeds = ["a=b", "a==b,c!=d", "a in (b,c),!d", "a notin (b),e", "x>1,y<2", "example.com/a", "", ",", "a in ()"];
    list("label_selectors", "labelSelector", &seeds);
}

#[test]
fn field_selectors() {
    let seeds = [
        "metadata.name=p",
        "metadata.namespace!=default,spec.nodeName==",
        "status.phase=Running",
        "spec.nodeName=a\\,b\\=c\\\\",
        "involvedObject.name=p",
        "=",
        "a",
    ];
    list("field_selectors", "fieldSelector", &seeds);
}

#[test]
fn continue_tokens() {
    let target = Target::start();
    let made = target.runtime.block_on(async {
        for name in ["a", "b", "c"] {
            target.cluster.config_map(name, json!({})).await;
        }
        let list = target.cluster.get("/api/v1/namespaces/default/configmaps?limit=1").await.json();
        list["metadata"]["continue"].as_str().expect("there are more").to_owned()
    });
    let inside = URL_SAFE_NO_PAD.decode(made.trim_end_matches('=')).expect("base64");
    let seeds = vec![
        [b"\0", made.as_bytes()].concat(),
        [b"\x01", inside.as_slice()].concat(),
        b"\x01{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"../../secrets/\"}".to_vec(),
        b"\x01{\"v\":\"meta.k8s.io/v1\",\"rv\":-1,\"start\":\"a\\u0000\"}".to_vec(),
        b"\x01{\"v\":\"meta.k8s.io/v1\",\"rv\":-1,\"start\":\"zzz\"}".to_vec(),
    ];
    Campaign::new("continue_tokens", Shape::Json).with_head(1).run(seeds, |input| {
        let [form, token @ ..] = input else { return String::new() };
        let token = if *form % 2 == 0 { token.to_vec() } else { URL_SAFE_NO_PAD.encode(token).into_bytes() };
        let url = format!("/api/v1/namespaces/default/configmaps?limit=1&continue={}", encoded(&token));
        target.answer(Request::get(url), b"").unwrap_or_default()
    });
}

const LINES: &[&str] = &[
    "GET /api/v1/namespaces/default/pods?watch=1&timeoutSeconds=1&resourceVersion=0&allowWatchBookmarks=true",
    "GET /api/v1/pods?limit=1&resourceVersion=5&resourceVersionMatch=NotOlderThan\n\
     Accept: application/json;as=Table;v=v1;g=meta.k8s.io",
    "GET /apis/apps/v1/namespaces/default/deployments/p/scale\n\
     Accept: application/vnd.kubernetes.protobuf,application/json;q=0.5",
    "GET /api/v1/namespaces/default/pods/p/log?tailLines=1&container=c",
    "POST /api/v1/namespaces/default/pods/p/exec?command=a&stdin=1\nUpgrade: websocket\nConnection: Upgrade",
    "GET /api/v1/nodes/n:1/proxy/a/../b?x=%2F",
    "GET /api/v1/watch/namespaces/default/pods/p?timeout=1s",
    "GET /apis\nAccept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "GET /openapi/v3/apis/apps/v1?hash=A\nIf-None-Match: \"A\"\nAccept-Encoding: gzip",
    "GET /api/v1/namespaces/default/configmaps/p\nAccept: application/yaml\nAccept-Encoding: gzip;q=0.1",
    "DELETE /api/v1/namespaces/default/configmaps/p?dryRun=All&propagationPolicy=Foreground&gracePeriodSeconds=0",
    "DELETE /api/v1/namespaces/default/configmaps?dryRun=All&labelSelector=a&limit=1",
    "PATCH /api/v1/namespaces/default/pods/p/status?dryRun=All&fieldManager=m&force=true\n\
     Content-Type: application/merge-patch+json",
    "PUT /api/v1/namespaces/default/finalize?dryRun=All&pretty=true\nImpersonate-User: a\nImpersonate-Group: b",
    "GET /livez?verbose&exclude=a",
    "GET /metrics",
    "GET /version\nAuthorization: Bearer a.b.c",
    "GET /.well-known/openid-configuration",
];

#[test]
fn request_lines() {
    let target = Target::start();
    let seeds = LINES.iter().map(|line| line.as_bytes().to_vec()).collect();
    Campaign::new("request_lines", Shape::Bytes).run(seeds, |input| {
        let text = String::from_utf8_lossy(input);
        let (line, headers) = text.split_once('\n').unwrap_or((&text, ""));
        let (method, url) = line.split_once(' ').unwrap_or((line, "/"));
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        target.answer(request, b"{}").unwrap_or_else(|| "no request".to_owned())
    });
}
