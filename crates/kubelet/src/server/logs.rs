//! Container logs: found, read from the end or from a time, followed.
//!
//! A reader that follows sleeps until the log's directory changes (inotify) or the runtime reports something; it never
//! polls. It goes on in the new file when the log is rotated, and ends when the container has.

mod format;
mod options;
mod reader;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::Pod;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::mpsc;

use super::{Body, KubeletApi, Refusal};
use crate::observed::{ContainerState, ObservedContainer, ObservedPod};
use crate::pod;

pub use options::{LogOptions, LogStream};
pub use reader::last_lines;

/// Chunks that may wait for a slow caller.
const BACKLOG: usize = 16;

/// Answers a request for a container's log.
pub(super) fn answer(
    api: &KubeletApi,
    pod: &Arc<Pod>,
    observed: &ObservedPod,
    container: &str,
    options: LogOptions,
) -> Result<Response<Body>, Refusal> {
    let instance = find_instance(pod, observed, container, options.previous)?;
    let path = PathBuf::from(&instance.log_path);
    let (chunks, receiver) = mpsc::channel::<std::io::Result<Bytes>>(BACKLOG);
    let follow = (options.follow && instance.is_running()).then(|| reader::Follow {
        runtime: Arc::clone(&api.context.runtime),
        container_id: instance.id.clone(),
        runtime_changes: api.runtime_changes.clone(),
    });
    let now = api.context.clock.now();
    spawn(TaskKind::Worker, "log reader", async move {
        reader::copy(&path, &options, now, follow, chunks).await;
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk.map(Frame::data), receiver))
    });
    let mut response = Response::new(StreamBody::new(stream.boxed()).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// The instance whose log is meant, or upstream's words for why there is none.
fn find_instance<'a>(
    pod: &Pod,
    observed: &'a ObservedPod,
    name: &str,
    previous: bool,
) -> Result<&'a ObservedContainer, Refusal> {
    let pod_name = pod::name(pod);
    let Some((kind, container)) = pod::find_container(pod, name) else {
        return Err(Refusal::bad_request(format!("container {name} is not valid for pod {pod_name}")));
    };
    let waiting = || {
        let reason = waiting_reason(pod, name);
        Refusal::bad_request(format!("container \"{name}\" in pod \"{pod_name}\" is waiting to start: {reason}"))
    };
    let no_previous =
        || Refusal::bad_request(format!("previous terminated container \"{name}\" in pod \"{pod_name}\" not found"));
    let mut instances = observed.containers.iter().filter(|instance| instance.name == name);
    let Some(latest) = instances.next() else { return Err(if previous { no_previous() } else { waiting() }) };
    if previous {
        // A container that waits to be restarted is already previous itself.
        let is_past = match &latest.state {
            ContainerState::Exited(exit) => pod::restarts(pod, kind, &container, exit.exit_code),
            _ => false,
        };
        return if is_past { Ok(latest) } else { instances.next().ok_or_else(no_previous) };
    }
    match latest.state {
        ContainerState::Created => Err(waiting()),
        _ => Ok(latest),
    }
}

fn waiting_reason(pod: &Pod, name: &str) -> String {
    let status = pod.status.as_ref();
    let statuses = status.iter().flat_map(|status| {
        let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
        lists.into_iter().flatten().flatten()
    });
    let found = statuses.into_iter().find(|status| status.name == name);
    let reason = found.and_then(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    reason.unwrap_or_else(|| "ContainerCreating".to_owned())
}

/// Whether a rotated log is compressed.
pub(crate) fn is_compressed(log: &Path) -> bool {
    log.extension().is_some_and(|extension| extension == "gz")
}

/// Whether a path is a log that was rotated away from `log`.
pub(crate) fn is_rotated(log: &Path, path: &Path) -> bool {
    let (Some(log), Some(name)) = (log.file_name(), path.file_name()) else { return false };
    let (log, name) = (log.to_string_lossy(), name.to_string_lossy());
    name.strip_prefix(&*log).is_some_and(|rest| rest.starts_with('.') && !rest.ends_with(".tmp"))
}
