//! `/metrics`: everything that is counted, as text.

use std::sync::atomic::Ordering;

use super::requests::About;
use super::{Kind, Text, process};
use crate::api_server::Server;
use crate::discovery;
use crate::flow_control::FlowControl;
use crate::flow_control::stats::REFUSALS;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// All of it.
pub fn text(server: &Server) -> String {
    let mut text = Text::default();
    requests(&mut text, server);
    watches(&mut text, server);
    objects(&mut text, server);
    server.timed_store.write_metrics(&mut text);
    if let Some(audit) = &server.audit {
        audit.write_metrics(&mut text);
    }
    if let Some(flow_control) = server.limiter.flow_control() {
        flow_control_metrics(&mut text, flow_control);
    }
    server.companions.write_metrics(&mut text);
    build_info(&mut text);
    process::write(&mut text);
    text.finish()
}

fn build_info(text: &mut Text) {
    let version: serde_json::Value = serde_json::from_slice(&discovery::version()).unwrap_or_default();
    let labels = [
        ("build_date", "buildDate"),
        ("compiler", "compiler"),
        ("git_commit", "gitCommit"),
        ("git_tree_state", "gitTreeState"),
        ("git_version", "gitVersion"),
        ("go_version", "goVersion"),
        ("major", "major"),
        ("minor", "minor"),
        ("platform", "platform"),
    ]
    .map(|(label, field)| (label, version[field].as_str().unwrap_or_default()));
    let help = "[ALPHA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree \
                state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it \
                is running.";
    text.family("kubernetes_build_info", Kind::Gauge, help);
    text.sample("kubernetes_build_info", &labels, 1);
}

fn requests(text: &mut Text, server: &Server) {
    let all = server.requests.all();
    let kinds = ["mutating", "readOnly"].map(|kind| [("request_kind", kind)]);
    let name = "apiserver_current_inflight_requests";
    let help = "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in \
                last second.";
    text.family(name, Kind::Gauge, help);
    for (labels, writes) in kinds.iter().zip([1, 0]) {
        text.sample(name, labels, server.requests.in_flight[writes].load(Ordering::Relaxed));
    }
    let name = "apiserver_dropped_requests_total";
    text.family(name, Kind::Counter, "[ALPHA] Number of requests dropped with 'Try again later' response");
    for (labels, writes) in kinds.iter().zip([1, 0]) {
        text.sample(name, labels, server.requests.dropped[writes].load(Ordering::Relaxed));
    }
    let name = "apiserver_request_duration_seconds";
    let help = "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, \
                resource, subresource, scope and component.";
    text.family(name, Kind::Histogram, help);
    for (about, series) in &all {
        text.histogram(name, &labels(about, true), &series.duration);
    }
    let name = "apiserver_request_total";
    let help = "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, \
                resource, scope, component, and HTTP response code.";
    text.family(name, Kind::Counter, help);
    for (about, series) in &all {
        for (code, count) in series.codes() {
            let code = code.to_string();
            let mut with_code = vec![("code", code.as_str())];
            with_code.extend(labels(about, true));
            text.sample(name, &with_code, count);
        }
    }
    let name = "apiserver_response_sizes";
    let help = "[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, \
                scope and component.";
    text.family(name, Kind::Histogram, help);
    for (about, series) in all.iter().filter(|(about, _)| matches!(about.verb, "GET" | "LIST")) {
        text.histogram(name, &labels(about, false), &series.size);
    }
    let name = "apiserver_longrunning_requests";
    let help = "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, \
                resource, scope and component. Not all requests are tracked this way.";
    text.family(name, Kind::Gauge, help);
    for (about, series) in all.iter().filter(|(about, _)| matches!(about.verb, "WATCH" | "CONNECT")) {
        text.sample(name, &labels(about, false), series.running.load(Ordering::Relaxed));
    }
}

/// The labels of a kind of request, in their order.
fn labels(about: &About, dry_run: bool) -> Vec<(&'static str, &'static str)> {
    let mut labels = vec![("component", "apiserver")];
    if dry_run {
        labels.push(("dry_run", about.dry_run));
    }
    labels.extend([
        ("group", about.group),
        ("resource", about.resource),
        ("scope", about.scope),
        ("subresource", about.subresource),
        ("verb", about.verb),
        ("version", about.version),
    ]);
    labels
}

fn watches(text: &mut Text, server: &Server) {
    let name = "apiserver_watch_events_sizes";
    text.family(name, Kind::Histogram, "[ALPHA] Watch event size distribution in bytes");
    let all = server.requests.all();
    let watched: Vec<_> = all.iter().filter(|(about, _)| about.verb == "WATCH" && about.scope == "cluster").collect();
    let of = |about: &About| [("group", about.group), ("resource", about.resource), ("version", about.version)];
    for (about, series) in &watched {
        text.histogram(name, &of(about), &series.events);
    }
    let name = "apiserver_watch_events_total";
    text.family(name, Kind::Counter, "[ALPHA] Number of events sent in watch clients");
    for (about, series) in &watched {
        text.sample(name, &of(about), series.events.count());
    }
}

fn objects(text: &mut Text, server: &Server) {
    let name = "apiserver_resource_objects";
    let help = "[ALPHA] Number of stored objects at the time of last check split by kind. In case of a fetching error, \
                the value will be -1.";
    text.family(name, Kind::Gauge, help);
    let kept: Vec<_> = server.kept.iter().filter(|kept| !kept.is_view()).collect();
    for kept in &kept {
        let info = &kept.resource.info;
        text.sample(name, &[("group", info.gvk.group), ("resource", info.plural)], kept.cache.len());
    }
    let name = "apiserver_storage_objects";
    let help = "[STABLE] [DEPRECATED, consider using apiserver_resource_objects instead] Number of stored objects at \
                the time of last check split by kind. In case of a fetching error, the value will be -1.";
    text.family(name, Kind::Gauge, help);
    for kept in &kept {
        let info = &kept.resource.info;
        let resource = match info.gvk.group {
            "" => info.plural.to_owned(),
            group => format!("{}.{group}", info.plural),
        };
        text.sample(name, &[("resource", resource.as_str())], kept.cache.len());
    }
}

fn flow_control_metrics(text: &mut Text, flow_control: &FlowControl) {
    let flows = flow_control.flows();
    let mut per_flow = |name: &str, kind: Kind, help: &str, write: &dyn Fn(&mut Text, &str, usize)| {
        let name = format!("apiserver_flowcontrol_{name}");
        text.family(&name, kind, help);
        (0..flows.len()).for_each(|place| write(text, &name, place));
    };
    let of = |place: usize| {
        [("flow_schema", flows[place].name.as_str()), ("priority_level", flows[place].level.name.as_str())]
    };
    let help = "[BETA] Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API \
                Priority and Fairness subsystem";
    per_flow("current_executing_requests", Kind::Gauge, help, &|text, name, place| {
        text.sample(name, &of(place), flows[place].stats.executing.load(Ordering::Relaxed));
    });
    let help = "[ALPHA] Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, \
                any stage otherwise) requests in the API Priority and Fairness subsystem";
    per_flow("current_executing_seats", Kind::Gauge, help, &|text, name, place| {
        text.sample(name, &of(place), flows[place].stats.seats.load(Ordering::Relaxed));
    });
    let help = "[BETA] Number of requests currently pending in queues of the API Priority and Fairness subsystem";
    per_flow("current_inqueue_requests", Kind::Gauge, help, &|text, name, place| {
        text.sample(name, &of(place), flows[place].stats.waiting.load(Ordering::Relaxed));
    });
    let help = "[BETA] Number of requests executed by API Priority and Fairness subsystem";
    per_flow("dispatched_requests_total", Kind::Counter, help, &|text, name, place| {
        text.sample(name, &of(place), flows[place].stats.dispatched.load(Ordering::Relaxed));
    });
    let help = "[BETA] Number of requests rejected by API Priority and Fairness subsystem";
    per_flow("rejected_requests_total", Kind::Counter, help, &|text, name, place| {
        for (refusal, count) in REFUSALS.iter().zip(&flows[place].stats.refused) {
            let [schema, level] = of(place);
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => text.sample(name, &[schema, level, ("reason", refusal.name())], count),
            }
        }
    });
    let help = "[ALPHA] Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in \
                the API Priority and Fairness subsystem";
    per_flow("request_execution_seconds", Kind::Histogram, help, &|text, name, place| {
        text.histogram(name, &of(place), &flows[place].stats.execution);
    });
    let help = "[BETA] Length of time a request spent waiting in its queue";
    per_flow("request_wait_duration_seconds", Kind::Histogram, help, &|text, name, place| {
        text.histogram(name, &of(place), &flows[place].stats.wait);
    });
    let levels = flow_control.levels();
    let mut per_level = |name: &str, help: &str, value: &dyn Fn(usize) -> usize| {
        let name = format!("apiserver_flowcontrol_{name}");
        text.family(&name, Kind::Gauge, help);
        for (place, one) in levels.iter().enumerate() {
            text.sample(&name, &[("priority_level", one.level.name.as_str())], value(place));
        }
    };
    let help = "[ALPHA] current derived number of execution seats available to each priority level";
    per_level("current_limit_seats", help, &|place| levels[place].level.set().limit());
    let help = "[ALPHA] Configured lower bound on number of execution seats available to each priority level";
    per_level("lower_limit_seats", help, &|place| levels[place].seats.min);
    let help = "[BETA] Nominal number of execution seats configured for each priority level";
    per_level("nominal_limit_seats", help, &|place| levels[place].seats.nominal);
    let help = "[ALPHA] Configured upper bound on number of execution seats available to each priority level";
    per_level("upper_limit_seats", help, &|place| levels[place].seats.max);
}
