//! What a probe does once: a command, an HTTP request or a TCP connection.

use std::io;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use tokio::net::TcpStream;

use crate::go_duration;
use crate::http_check::{self, HttpCheckError};

/// The most of an output that an Event repeats.
const OUTPUT_MAX: usize = 1024;

/// Runs the probe's action; a failure says what users see after `probe failed: `.
pub(super) async fn run(
    runtime: &dyn cri::RuntimeService,
    container_id: &str,
    container: &Container,
    probe: &Probe,
    pod_ip: Option<&str>,
) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        let cmd = exec.command.clone().unwrap_or_default();
        // The caller bounds the time and drops this; the runtime needs a bound of its own to end the command.
        let timeout = i64::from(probe.timeout_seconds.unwrap_or(1).max(1));
        let request = cri::ExecSyncRequest { container_id: container_id.to_owned(), cmd, timeout };
        return match runtime.exec_sync(request).await {
            Ok(response) if response.exit_code == 0 => Ok(()),
            Ok(response) => Err(output(&[response.stdout, response.stderr].concat())),
            Err(error) => Err(error.to_string()),
        };
    }
    if let Some(get) = &probe.http_get {
        return match http_check::get(container, get, pod_ip).await.map_err(|error| http_problem(&error))? {
            200..=399 => Ok(()),
            status => Err(format!("HTTP probe failed with statuscode: {status}")),
        };
    }
    if let Some(socket) = &probe.tcp_socket {
        let host = socket.host.as_deref().filter(|host| !host.is_empty()).or(pod_ip).ok_or("the Pod has no address")?;
        let port = http_check::port_number(container, &socket.port).ok_or("couldn't find port")?;
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        return match TcpStream::connect(&address).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("dial tcp {address}: connect: {}", cause(&error))),
        };
    }
    Err("missing or unsupported probe handler".to_owned())
}

/// What is said of a probe that took too long.
pub(super) fn timeout_message(probe: &Probe, limit: Duration) -> String {
    match (&probe.exec, &probe.tcp_socket) {
        (Some(exec), _) => {
            let command = exec.command.clone().unwrap_or_default().join(" ");
            format!("command timed out: \"{command}\" timed out after {}", go_duration::format(limit))
        }
        (None, Some(_)) => "dial tcp: i/o timeout".to_owned(),
        (None, None) => "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned(),
    }
}

fn http_problem(error: &HttpCheckError) -> String {
    match error {
        HttpCheckError::Connect { address, source } => {
            format!("Get \"http://{address}\": dial tcp {address}: connect: {}", cause(source))
        }
        other => other.to_string(),
    }
}

/// The cause in the words of a Unix message.
fn cause(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by peer",
        io::ErrorKind::HostUnreachable => "no route to host",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::TimedOut => "i/o timeout",
        _ => "connection failed",
    }
}

fn output(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(OUTPUT_MAX)]).into_owned()
}
