//! `metrics.k8s.io`: answered from what the nodes measure.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::quantity::Quantity;
use http::StatusCode;
use serde_json::{Value, json};
use tracing::debug;

use super::Target;
use super::options::ListOptions;
use crate::api_server::Server;
use crate::error::{Error, GroupResource};
use crate::filters::request_info::ResourcePath;
use crate::negotiate;
use crate::node_usage::{self, Used, Window};
use crate::registry::{Metrics, Resource};
use crate::request::{Request, Response};
use crate::watch_cache::{Entry, ListRequest};

/// What metrics can be written as.
const MEDIA_TYPES: &[&str] = &["application/json", "application/yaml"];

/// Answers `get` and `list`.
///
/// # Errors
/// [`Error::NotFound`] for what does not exist or is not measured yet.
pub async fn answer(
    server: &Arc<Server>,
    resource: &'static Resource,
    metrics: Metrics,
    path: &ResourcePath,
    request: Request,
) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, false)?;
    let plural = resource.info.plural;
    let kept = server.core(plural).ok_or(Error::UnknownPath)?;
    let target = Target { server, kept, path };
    server.caches.fresh().await?;
    let answer = match request.info.verb.as_str() {
        "get" if path.named_in_path => {
            let missing = || Error::not_found(GroupResource { group: "", resource: plural }, &path.name);
            let entry = kept.cache.get(&kept.cache_key(&path.namespace, &path.name)).ok_or_else(missing)?;
            let mut found = of_entries(server, metrics, std::slice::from_ref(&entry)).await;
            found.pop().ok_or_else(|| unmeasured(metrics, path))?
        }
        "list" => {
            let filter = ListOptions::parse(&target, &request.query, false)?.filter;
            let listing = kept.cache.list(&ListRequest { filter, ..ListRequest::default() });
            let entries = listing.map(|listing| listing.entries).unwrap_or_default();
            let items = of_entries(server, metrics, &entries).await;
            let gvk = resource.gvk();
            json!({ "kind": format!("{}List", gvk.kind), "apiVersion": gvk.api_version(), "metadata": {}, "items": items })
        }
        _ => return Err(Error::MethodNotAllowed),
    };
    let text = serde_json::to_vec(&answer).expect("a tree always encodes");
    Ok(negotiate::object(StatusCode::OK, accepted, text))
}

fn unmeasured(metrics: Metrics, path: &ResourcePath) -> Error {
    let (resource, name) = match metrics {
        Metrics::Nodes => ("nodemetrics", path.name.clone()),
        Metrics::Pods => ("podmetrics", format!("{}/{}", path.namespace, path.name)),
    };
    Error::not_found(GroupResource { group: "metrics.k8s.io", resource }, &name)
}

/// The metrics of those that are measured; a node that does not answer hides its Pods.
async fn of_entries(server: &Arc<Server>, metrics: Metrics, entries: &[Arc<Entry>]) -> Vec<Value> {
    let node_of = |entry: &Entry| match metrics {
        Metrics::Nodes => entry.facts.name.to_string(),
        Metrics::Pods => {
            let selectable = server.core("pods").map(|kept| kept.cache.selectable()).unwrap_or_default();
            entry.facts.field("spec.nodeName", selectable).to_owned()
        }
    };
    let mut windows: BTreeMap<String, Option<Window>> = BTreeMap::new();
    let mut items = Vec::new();
    for entry in entries {
        let node = node_of(entry);
        if node.is_empty() {
            continue;
        }
        if !windows.contains_key(&node) {
            let window = node_usage::measure(server, &node).await;
            let window = window.inspect_err(|error| debug!(node, %error, "no metrics")).ok();
            windows.insert(node.clone(), window);
        }
        let window = windows.get(&node).and_then(Option::as_ref);
        items.extend(window.and_then(|window| match metrics {
            Metrics::Nodes => node_metrics(entry, window.node()?),
            Metrics::Pods => pod_metrics(entry, window.pod(&entry.facts.namespace, &entry.facts.name)?),
        }));
    }
    items
}

fn node_metrics(entry: &Entry, used: Used) -> Option<Value> {
    let mut value = head("NodeMetrics", entry, used);
    value["usage"] = usage(used);
    Some(value)
}

fn pod_metrics(entry: &Entry, containers: BTreeMap<String, Used>) -> Option<Value> {
    // The container that was measured last speaks for the Pod.
    let last = containers.values().max_by_key(|used| used.at)?;
    let mut value = head("PodMetrics", entry, *last);
    let containers = containers.iter().map(|(name, used)| json!({ "name": name, "usage": usage(*used) }));
    value["containers"] = containers.collect();
    Some(value)
}

fn head(kind: &str, entry: &Entry, used: Used) -> Value {
    let facts = &entry.facts;
    let seconds = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut metadata = json!({ "name": &*facts.name, "creationTimestamp": seconds(used.at) });
    if !facts.namespace.is_empty() {
        metadata["namespace"] = json!(&*facts.namespace);
    }
    if let Some(labels) = &facts.labels {
        metadata["labels"] = json!(labels);
    }
    json!({
        "kind": kind,
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": metadata,
        "timestamp": seconds(used.at),
        "window": go_seconds(used.window),
    })
}

fn usage(used: Used) -> Value {
    let bounded = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    json!({
        "cpu": Quantity::from_nano(bounded(used.cpu_nanocores)).to_string(),
        "memory": Quantity::from_bytes(bounded(used.memory_bytes)).to_string(),
    })
}

/// As Go writes a duration below a minute, and above one: `15.123s`, `1m5.5s`.
fn go_seconds(window: jiff::SignedDuration) -> String {
    let (minutes, millis) = (window.as_secs() / 60, window.as_millis() % 60_000);
    let mut text = if minutes > 0 { format!("{minutes}m") } else { String::new() };
    text.push_str(&format!("{}.{:03}", millis / 1000, millis % 1000));
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_written_as_go_does() {
        for (millis, text) in [(1010, "1.01s"), (15_000, "15s"), (65_500, "1m5.5s"), (60_000, "1m0s")] {
            assert_eq!(go_seconds(jiff::SignedDuration::from_millis(millis)), text);
        }
    }
}
