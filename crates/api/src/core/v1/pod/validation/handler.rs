//! Probes and lifecycle hooks.

use k8s_openapi::api::core::v1::{
    ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, PodSpec, Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{check_not_negative, check_optional_choice};
use crate::core::v1::pod::ContainerRef;
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, required};
use crate::meta::text;
use crate::names;

pub(super) fn validate_lifecycle_and_probes(
    container: &ContainerRef<'_>,
    spec: &PodSpec,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let grace_period = spec.termination_grace_period_seconds;
    if let Some(lifecycle) = container.lifecycle {
        let path = path.child("lifecycle");
        if let Some(handler) = &lifecycle.post_start {
            Handler::from(handler).validate(grace_period, &path.child("postStart"), errors);
        }
        if let Some(handler) = &lifecycle.pre_stop {
            Handler::from(handler).validate(grace_period, &path.child("preStop"), errors);
        }
        if let Some(signal) = &lifecycle.stop_signal {
            validate_stop_signal(signal, spec, &path.child("stopSignal"), errors);
        }
    }
    if let Some(probe) = container.liveness_probe {
        validate_restarting_probe(probe, &path.child("livenessProbe"), errors);
    }
    if let Some(probe) = container.readiness_probe {
        let path = path.child("readinessProbe");
        validate_probe(probe, &path, errors);
        if probe.termination_grace_period_seconds.is_some() {
            let (path, message) = (path.child("terminationGracePeriodSeconds"), "must not be set for readinessProbes");
            errors.push(invalid(&path, probe.termination_grace_period_seconds, message));
        }
    }
    if let Some(probe) = container.startup_probe {
        validate_restarting_probe(probe, &path.child("startupProbe"), errors);
    }
}

/// One success is enough to spare the container.
fn validate_restarting_probe(probe: &Probe, path: &Path<'_>, errors: &mut ErrorList) {
    validate_probe(probe, path, errors);
    let successes = probe.success_threshold.unwrap_or(0);
    if successes != 1 {
        errors.push(invalid(&path.child("successThreshold"), successes, "must be 1"));
    }
}

fn validate_probe(probe: &Probe, path: &Path<'_>, errors: &mut ErrorList) {
    Handler::from(probe).validate(None, path, errors);
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (field, value) in numbers {
        check_not_negative(value, &path.child(field), errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        errors.push(invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"));
    }
}

/// The action of a probe or hook, of which there must be exactly one.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

impl<'a> From<&'a Probe> for Handler<'a> {
    fn from(probe: &'a Probe) -> Self {
        Self {
            exec: probe.exec.as_ref(),
            http_get: probe.http_get.as_ref(),
            tcp_socket: probe.tcp_socket.as_ref(),
            grpc: probe.grpc.as_ref(),
            sleep: None,
        }
    }
}

impl<'a> From<&'a LifecycleHandler> for Handler<'a> {
    fn from(handler: &'a LifecycleHandler) -> Self {
        Self {
            exec: handler.exec.as_ref(),
            http_get: handler.http_get.as_ref(),
            tcp_socket: handler.tcp_socket.as_ref(),
            grpc: None,
            sleep: handler.sleep.as_ref(),
        }
    }
}

impl Handler<'_> {
    fn validate(&self, grace_period: Option<i64>, path: &Path<'_>, errors: &mut ErrorList) {
        let mut only = OnlyOne { path, found: false };
        if let Some(exec) = self.exec.filter(|_| only.admits("exec", errors))
            && exec.command.as_ref().is_none_or(Vec::is_empty)
        {
            errors.push(required(&path.child("exec").child("command"), ""));
        }
        if let Some(http) = self.http_get.filter(|_| only.admits("httpGet", errors)) {
            validate_http_get(http, &path.child("httpGet"), errors);
        }
        if let Some(tcp) = self.tcp_socket.filter(|_| only.admits("tcpSocket", errors)) {
            validate_port(&tcp.port, &path.child("tcpSocket").child("port"), errors);
        }
        if let Some(grpc) = self.grpc.filter(|_| only.admits("grpc", errors)) {
            validate_port(&IntOrString::Int(grpc.port), &path.child("grpc").child("port"), errors);
        }
        if let Some(sleep) = self.sleep.filter(|_| only.admits("sleep", errors)) {
            validate_sleep(sleep, grace_period, &path.child("sleep"), errors);
        }
        if !only.found {
            errors.push(required(path, "must specify a handler type"));
        }
    }
}

/// Lets the first action through and complains about any other.
struct OnlyOne<'a> {
    path: &'a Path<'a>,
    found: bool,
}

impl OnlyOne<'_> {
    fn admits(&mut self, field: &'static str, errors: &mut ErrorList) -> bool {
        if self.found {
            errors.push(forbidden(&self.path.child(field), "may not specify more than 1 handler type"));
            return false;
        }
        self.found = true;
        true
    }
}

fn validate_http_get(http: &HTTPGetAction, path: &Path<'_>, errors: &mut ErrorList) {
    super::require(text(&http.path), &path.child("path"), errors);
    validate_port(&http.port, &path.child("port"), errors);
    check_optional_choice(Some(text(&http.scheme)), &["HTTP", "HTTPS"], &path.child("scheme"), errors);
    for header in http.http_headers.iter().flatten() {
        extend_invalid(errors, &path.child("httpHeaders"), &header.name, names::http_header_name(&header.name));
    }
}

fn validate_port(port: &IntOrString, path: &Path<'_>, errors: &mut ErrorList) {
    match port {
        IntOrString::Int(number) => {
            errors.extend(names::port_number(*number).map(|problem| invalid(path, *number, problem)));
        }
        IntOrString::String(name) => extend_invalid(errors, path, name, names::port_name(name)),
    }
}

fn validate_sleep(sleep: &SleepAction, grace_period: Option<i64>, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(grace_period) = grace_period else { return };
    if sleep.seconds < 0 || sleep.seconds > grace_period {
        let message = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace_period})");
        errors.push(invalid(path, sleep.seconds, message));
    }
}

/// The signals a container can be stopped with are those of its operating system, which the Pod must name.
fn validate_stop_signal(signal: &str, spec: &PodSpec, path: &Path<'_>, errors: &mut ErrorList) {
    match spec.os.as_ref().map(|os| os.name.as_str()) {
        None | Some("") => errors.push(forbidden(path, "may not be set for containers with empty `spec.os.name`")),
        Some("windows") => check_optional_choice(Some(signal), &["SIGKILL", "SIGTERM"], path, errors),
        Some(_) if is_linux_signal(signal) => {}
        Some(_) => errors.push(invalid(path, signal, "must be a valid signal name")),
    }
}

fn is_linux_signal(signal: &str) -> bool {
    let named = [
        "SIGABRT",
        "SIGALRM",
        "SIGBUS",
        "SIGCHLD",
        "SIGCLD",
        "SIGCONT",
        "SIGFPE",
        "SIGHUP",
        "SIGILL",
        "SIGINT",
        "SIGIO",
        "SIGIOT",
        "SIGKILL",
        "SIGPIPE",
        "SIGPOLL",
        "SIGPROF",
        "SIGPWR",
        "SIGQUIT",
        "SIGSEGV",
        "SIGSTKFLT",
        "SIGSTOP",
        "SIGSYS",
        "SIGTERM",
        "SIGTRAP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGUSR1",
        "SIGUSR2",
        "SIGVTALRM",
        "SIGWINCH",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGRTMIN",
        "SIGRTMAX",
    ];
    let real_time = |prefix| {
        let offset = signal.strip_prefix(prefix).and_then(|offset: &str| offset.parse::<u8>().ok());
        offset.is_some_and(|offset| (1..=15).contains(&offset))
    };
    named.contains(&signal) || real_time("SIGRTMIN+") || real_time("SIGRTMAX-")
}
