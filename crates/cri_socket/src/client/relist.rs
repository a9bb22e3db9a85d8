//! Container events of a runtime behind a socket.
//!
//! Runtimes that have events (containerd 1.7 and later) send them. Of others everything is listed once a second, as
//! upstream's kubelet does, and besides at once after each call of ours that changed something, so that only what
//! happens on its own, an exit, waits for the next look.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::time::Duration;

use cri::{
    Container, ContainerEventResponse, ContainerEventType, ContainerFilter, ContainerState, GetEventsRequest,
    PodSandbox, PodSandboxFilter, PodSandboxState, PodSandboxStatus, RuntimeService as _,
};
use futures::stream::{self, BoxStream, StreamExt as _};
use grpc::Code;
use tracing::{info, warn};

use super::Client;
use crate::runtime_method;

/// As upstream's generic PLEG.
const PERIOD: Duration = Duration::from_secs(1);

/// Events from now on; ends when the runtime cannot be reached. The stream asks when it is first polled: a runtime that
/// has events may be silent until the first of them.
pub fn events(client: Client) -> BoxStream<'static, ContainerEventResponse> {
    stream::once(choose(client)).flatten().boxed()
}

async fn choose(client: Client) -> BoxStream<'static, ContainerEventResponse> {
    let request = GetEventsRequest {};
    let sent = client.0.channel.server_stream(runtime_method!("GetContainerEvents"), &request).await;
    let first = match sent {
        Ok(mut messages) => messages.next().await.map(|first| first.map(|event| (event, messages))),
        Err(status) => Some(Err(status)),
    };
    match first {
        Some(Ok((event, messages))) => {
            let rest = messages.take_while(|message| ready(message.is_ok())).filter_map(|message| ready(message.ok()));
            stream::once(ready(event)).chain(rest).boxed()
        }
        Some(Err(status)) if status.code == Code::Unimplemented => {
            info!("the runtime has no events, its Pods are listed every second");
            relist(client)
        }
        Some(Err(error)) => {
            warn!(%error, "no events from the runtime");
            stream::empty().boxed()
        }
        None => stream::empty().boxed(),
    }
}

/// What a listing showed, by id.
#[derive(Debug, Default, Clone, PartialEq)]
struct Snapshot {
    sandboxes: BTreeMap<String, PodSandbox>,
    containers: BTreeMap<String, Container>,
}

impl Snapshot {
    async fn take(client: &Client) -> cri::Result<Self> {
        let (sandboxes, containers) = tokio::try_join!(
            client.list_pod_sandbox(PodSandboxFilter::default()),
            client.list_containers(ContainerFilter::default()),
        )?;
        Ok(Self {
            sandboxes: sandboxes.into_iter().map(|sandbox| (sandbox.id.clone(), sandbox)).collect(),
            containers: containers.into_iter().map(|container| (container.id.clone(), container)).collect(),
        })
    }
}

struct Relisting {
    client: Client,
    last: Snapshot,
    found: VecDeque<ContainerEventResponse>,
    /// Whether to wait before the next look.
    looked: bool,
}

fn relist(client: Client) -> BoxStream<'static, ContainerEventResponse> {
    // Starting from nothing, so that whatever is there is looked at.
    let start = Relisting { client, last: Snapshot::default(), found: VecDeque::new(), looked: false };
    let next = |mut state: Relisting| async move {
        loop {
            if let Some(event) = state.found.pop_front() {
                return Some((event, state));
            }
            if state.looked {
                // Whichever comes first, the next step is to look.
                let _ = tokio::time::timeout(PERIOD, state.client.0.changed.notified()).await;
            }
            state.looked = true;
            match Snapshot::take(&state.client).await {
                Ok(snapshot) => {
                    state.found = changes(&state.last, &snapshot).into();
                    state.last = snapshot;
                }
                Err(error) => {
                    warn!(%error, "cannot list the runtime's Pods");
                    return None;
                }
            }
        }
    };
    stream::unfold(start, next).boxed()
}

/// What must have happened between two looks.
fn changes(before: &Snapshot, after: &Snapshot) -> Vec<ContainerEventResponse> {
    let sandbox_of = |id: &str| after.sandboxes.get(id).or_else(|| before.sandboxes.get(id));
    let mut events = Vec::new();
    for (id, kind) in differences(&before.sandboxes, &after.sandboxes, sandbox_event) {
        events.push(event(id, kind, sandbox_of(id)));
    }
    for (id, kind) in differences(&before.containers, &after.containers, container_event) {
        let container = after.containers.get(id).or_else(|| before.containers.get(id));
        events.push(event(id, kind, container.and_then(|container| sandbox_of(&container.pod_sandbox_id))));
    }
    events
}

/// Ids whose event now differs from what it was.
fn differences<'a, T>(
    before: &'a BTreeMap<String, T>,
    after: &'a BTreeMap<String, T>,
    kind: fn(&T) -> ContainerEventType,
) -> impl Iterator<Item = (&'a str, ContainerEventType)> {
    let changed = after.iter().filter_map(move |(id, now)| {
        let now = kind(now);
        (before.get(id).map(kind) != Some(now)).then_some((id.as_str(), now))
    });
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    changed.chain(gone.map(|id| (id.as_str(), ContainerEventType::ContainerDeletedEvent)))
}

fn sandbox_event(sandbox: &PodSandbox) -> ContainerEventType {
    match sandbox.state() {
        PodSandboxState::SandboxReady => ContainerEventType::ContainerStartedEvent,
        PodSandboxState::SandboxNotReady => ContainerEventType::ContainerStoppedEvent,
    }
}

/// The event that led to a container's state. One in an unknown state is to be looked at like one that stopped.
fn container_event(container: &Container) -> ContainerEventType {
    match container.state() {
        ContainerState::ContainerCreated => ContainerEventType::ContainerCreatedEvent,
        ContainerState::ContainerRunning => ContainerEventType::ContainerStartedEvent,
        ContainerState::ContainerExited | ContainerState::ContainerUnknown => ContainerEventType::ContainerStoppedEvent,
    }
}

fn event(id: &str, kind: ContainerEventType, sandbox: Option<&PodSandbox>) -> ContainerEventResponse {
    ContainerEventResponse {
        container_id: id.to_owned(),
        container_event_type: kind.into(),
        pod_sandbox_status: sandbox.map(|sandbox| PodSandboxStatus {
            id: sandbox.id.clone(),
            metadata: sandbox.metadata.clone(),
            state: sandbox.state,
            created_at: sandbox.created_at,
            labels: sandbox.labels.clone(),
            annotations: sandbox.annotations.clone(),
            runtime_handler: sandbox.runtime_handler.clone(),
            ..PodSandboxStatus::default()
        }),
        ..ContainerEventResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(sandboxes: &[(&str, PodSandboxState)], containers: &[(&str, ContainerState)]) -> Snapshot {
        let sandbox = |(id, state): &(&str, PodSandboxState)| {
            let labels = BTreeMap::from([("pod".to_owned(), format!("of {id}"))]);
            (
                (*id).to_owned(),
                PodSandbox { id: (*id).to_owned(), state: (*state).into(), labels, ..PodSandbox::default() },
            )
        };
        let container = |(id, state): &(&str, ContainerState)| {
            let pod_sandbox_id = "s".to_owned();
            let container =
                Container { id: (*id).to_owned(), pod_sandbox_id, state: (*state).into(), ..Container::default() };
            ((*id).to_owned(), container)
        };
        Snapshot {
            sandboxes: sandboxes.iter().map(sandbox).collect(),
            containers: containers.iter().map(container).collect(),
        }
    }

    #[test]
    fn differences_between_looks_are_events() {
        use ContainerEventType as Event;
        use ContainerState::{ContainerCreated, ContainerExited, ContainerRunning, ContainerUnknown};
        use PodSandboxState::{SandboxNotReady, SandboxReady};
        type Look = (&'static [(&'static str, PodSandboxState)], &'static [(&'static str, ContainerState)]);
        type Found = &'static [(&'static str, Event)];
        let cases: [(Look, Look, Found); 6] = [
            ((&[], &[]), (&[], &[]), &[]),
            (
                (&[], &[]),
                (&[("s", SandboxReady)], &[("c", ContainerCreated)]),
                &[("s", Event::ContainerStartedEvent), ("c", Event::ContainerCreatedEvent)],
            ),
            (
                (&[("s", SandboxReady)], &[("c", ContainerRunning)]),
                (&[("s", SandboxReady)], &[("c", ContainerRunning)]),
                &[],
            ),
            (
                (&[("s", SandboxReady)], &[("c", ContainerCreated), ("d", ContainerRunning)]),
                (&[("s", SandboxReady)], &[("c", ContainerRunning), ("d", ContainerExited)]),
                &[("c", Event::ContainerStartedEvent), ("d", Event::ContainerStoppedEvent)],
            ),
            (
                (&[("s", SandboxReady)], &[("c", ContainerRunning)]),
                (&[("s", SandboxNotReady)], &[("c", ContainerUnknown)]),
                &[("s", Event::ContainerStoppedEvent), ("c", Event::ContainerStoppedEvent)],
            ),
            (
                (&[("s", SandboxNotReady)], &[("c", ContainerExited)]),
                (&[], &[]),
                &[("s", Event::ContainerDeletedEvent), ("c", Event::ContainerDeletedEvent)],
            ),
        ];
        for (before, after, expected) in cases {
            let events = changes(&snapshot(before.0, before.1), &snapshot(after.0, after.1));
            let found: Vec<_> =
                events.iter().map(|event| (event.container_id.as_str(), event.container_event_type())).collect();
            assert_eq!(found, expected);
            for event in &events {
                assert_eq!(event.pod_sandbox_status.as_ref().unwrap().labels["pod"], "of s", "leads to its Pod");
            }
        }
    }
}
