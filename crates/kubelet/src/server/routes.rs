//! Paths and queries of the kubelet API, parsed.

use std::collections::HashMap;

use http::{Method, StatusCode, Uri};

use super::logs::LogOptions;
use super::metrics::Page;
use super::{Refusal, is_read};
use crate::stats::Detail;

/// A request the kubelet API knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Healthz,
    Configz,
    Stats(Detail),
    Metrics(Page),
    /// How often probes succeeded and failed.
    ProbeMetrics,
    Pods,
    RunningPods,
    Logs {
        pod: PodName,
        container: String,
        options: LogOptions,
    },
    Exec {
        pod: PodName,
        container: String,
        streams: Streams,
        command: Vec<String>,
    },
    Attach {
        pod: PodName,
        container: String,
        streams: Streams,
    },
    PortForward {
        pod: PodName,
        ports: Vec<i32>,
    },
    /// What befell the Pods of a name; a path of ours.
    Story {
        pod: PodName,
    },
}

/// How a Pod is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodName {
    pub namespace: String,
    pub name: String,
    pub uid: Option<String>,
}

/// What of a process a session is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

pub(super) fn parse(method: &Method, uri: &Uri) -> Result<Route, Refusal> {
    let segments: Vec<String> = uri.path().split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let query = Query::parse(uri.query().unwrap_or_default());
    let pod = |namespace: &str, name: &str, uid: Option<&str>| PodName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
    };
    let route = match segments[..] {
        ["healthz"] if is_read(method) => Route::Healthz,
        ["configz"] if is_read(method) => Route::Configz,
        // Older clients post what newer ones ask for in the query.
        ["stats", "summary"] if is_read(method) || method == Method::POST => {
            let brief = query.flag("only_cpu_and_memory");
            Route::Stats(if brief { Detail::CpuAndMemory } else { Detail::All })
        }
        ["metrics"] if is_read(method) => Route::Metrics(Page::Kubelet),
        ["metrics", "cadvisor"] if is_read(method) => Route::Metrics(Page::Cadvisor),
        ["metrics", "resource"] if is_read(method) => Route::Metrics(Page::Resource),
        ["metrics", "probes"] if is_read(method) => Route::ProbeMetrics,
        ["pods"] if is_read(method) => Route::Pods,
        ["runningpods"] if is_read(method) => Route::RunningPods,
        ["containerLogs", namespace, name, container] if is_read(method) => Route::Logs {
            pod: pod(namespace, name, None),
            container: container.to_owned(),
            options: LogOptions::parse(&query)?,
        },
        ["story", namespace, name] if is_read(method) => Route::Story { pod: pod(namespace, name, query.first("uid")) },
        ["exec", namespace, name, ref rest @ .., container] if rest.len() < 2 => Route::Exec {
            pod: pod(namespace, name, rest.first().copied()),
            container: container.to_owned(),
            streams: query.streams()?,
            command: query.all("command"),
        },
        ["attach", namespace, name, ref rest @ .., container] if rest.len() < 2 => Route::Attach {
            pod: pod(namespace, name, rest.first().copied()),
            container: container.to_owned(),
            streams: query.streams()?,
        },
        ["portForward", namespace, name, ref rest @ ..] if rest.len() < 2 => {
            let ports = query.all("port").iter().map(|port| port.parse()).collect::<Result<_, _>>();
            let ports = ports.map_err(|_| Refusal::bad_request("invalid port"))?;
            Route::PortForward { pod: pod(namespace, name, rest.first().copied()), ports }
        }
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "404 page not found")),
    };
    Ok(route)
}

/// A query string's parameters in order.
pub(super) struct Query {
    pairs: HashMap<String, Vec<String>>,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let mut pairs: HashMap<String, Vec<String>> = HashMap::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            pairs.entry(decode(&name.replace('+', " "))).or_default().push(decode(&value.replace('+', " ")));
        }
        Self { pairs }
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.pairs.get(name)?.first().map(String::as_str).filter(|value| !value.is_empty())
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.pairs.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.first(name), Some("1" | "true" | "True" | "TRUE" | "t" | "T"))
    }

    fn streams(&self) -> Result<Streams, Refusal> {
        let streams = Streams {
            stdin: self.flag("input") || self.flag("stdin"),
            stdout: self.flag("output") || self.flag("stdout"),
            stderr: self.flag("error") || self.flag("stderr"),
            tty: self.flag("tty"),
        };
        if !streams.stdin && !streams.stdout && !streams.stderr {
            return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        Ok(streams)
    }
}

/// Undoes percent-encoding; what is no encoding stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let digits = (bytes[index] == b'%').then(|| bytes.get(index + 1..index + 3)).flatten();
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        plain.push(byte.unwrap_or(bytes[index]));
        index += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}
