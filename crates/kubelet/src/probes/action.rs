//! What a probe does once: a command, an HTTP request, a TCP connection or a gRPC health check.

use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use super::{grpc, seconds};
use crate::go_duration;
use crate::http_check::{self, HttpCheckError, Purpose, host_port, port_number};

/// The most of an output or body that is read.
const OUTPUT_MAX: usize = 10 << 10;
/// How long the runtime gets to answer after it has ended a command that took too long.
const EXEC_SLACK: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All is well.
    Success,
    /// All is well, but users may want to know something.
    Warning(String),
    /// The container said no, or nothing in time; what users see after `probe failed: `.
    Failure(String),
    /// The container could not be asked.
    Unknown(String),
}

/// Runs the probe's action within its timeout.
pub(super) async fn run(
    runtime: &dyn cri::RuntimeService,
    container_id: &str,
    container: &Container,
    probe: &Probe,
    pod_ip: Option<&str>,
) -> Outcome {
    let limit = seconds(probe.timeout_seconds, 1);
    if let Some(exec) = &probe.exec {
        return run_command(runtime, container_id, exec, limit).await;
    }
    // A Pod without an address is one whose sandbox is being replaced.
    let Some(pod_ip) = pod_ip else { return Outcome::Unknown("the Pod has no address".to_owned()) };
    if let Some(get) = &probe.http_get {
        return http_get(container, get, pod_ip, limit).await;
    }
    if let Some(socket) = &probe.tcp_socket {
        return connect(container, socket, pod_ip, limit).await;
    }
    if let Some(check) = &probe.grpc {
        let address = host_port(pod_ip, u16::try_from(check.port).unwrap_or_default());
        return grpc::check(&address, check.service.as_deref().unwrap_or_default(), limit).await;
    }
    Outcome::Unknown(format!("missing probe handler for {}", container.name))
}

async fn run_command(
    runtime: &dyn cri::RuntimeService,
    container_id: &str,
    exec: &ExecAction,
    limit: Duration,
) -> Outcome {
    let cmd = exec.command.clone().unwrap_or_default();
    let too_long = || {
        let command = exec.command.clone().unwrap_or_default().join(" ");
        Outcome::Failure(format!("command timed out: \"{command}\" timed out after {}", go_duration::format(limit)))
    };
    let timeout = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let request = cri::ExecSyncRequest { container_id: container_id.to_owned(), cmd, timeout };
    match tokio::time::timeout(limit + EXEC_SLACK, runtime.exec_sync(request)).await {
        Ok(Ok(response)) if response.exit_code == 0 => Outcome::Success,
        Ok(Ok(response)) => Outcome::Failure(output(&[response.stdout, response.stderr].concat())),
        Ok(Err(cri::Error::DeadlineExceeded(_))) | Err(_) => too_long(),
        Ok(Err(error)) => Outcome::Unknown(error.to_string()),
    }
}

async fn http_get(container: &Container, get: &HTTPGetAction, pod_ip: &str, limit: Duration) -> Outcome {
    let url = match http_check::url(container, get, pod_ip) {
        Ok(url) => url,
        Err(error) => return Outcome::Unknown(error.to_string()),
    };
    let asking = http_check::get(&url, get, Purpose::Probe, OUTPUT_MAX);
    let answer = match tokio::time::timeout(limit, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(HttpCheckError { url, problem })) => return Outcome::Failure(format!("Get \"{url}\": {problem}")),
        Err(_) => {
            let cause = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            return Outcome::Failure(format!("Get \"{url}\": {cause}"));
        }
    };
    match answer.status {
        200..=299 => Outcome::Success,
        300..=399 => Outcome::Warning(format!("Probe terminated redirects, Response body: {}", output(&answer.body))),
        status => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

async fn connect(container: &Container, socket: &TCPSocketAction, pod_ip: &str, limit: Duration) -> Outcome {
    let host = socket.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip);
    let port = match port(container, &socket.port) {
        Ok(port) => port,
        Err(problem) => return Outcome::Unknown(problem),
    };
    let address = host_port(host, port);
    match tokio::time::timeout(limit, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(error)) => Outcome::Failure(dial_problem(&address, &error)),
        Err(_) => Outcome::Failure(format!("dial tcp {address}: i/o timeout")),
    }
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    port_number(container, port).map_err(|problem| problem.to_string())
}

/// Why a connection was not made, in Go's words.
fn dial_problem(address: &str, error: &io::Error) -> String {
    format!("dial tcp {address}: connect: {}", http_check::cause(error))
}

fn output(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(OUTPUT_MAX)]).into_owned()
}
