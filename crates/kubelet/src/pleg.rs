//! The Pod lifecycle event generator: turns the runtime's stream of container events into wake-ups.
//!
//! A wake-up says which Pod to look at, never what happened. When the stream is new or was interrupted nobody knows
//! what was missed, so every Pod is looked at once; and every five minutes, as upstream does, should an event get lost.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use crate::labels;
use crate::pod::Uid;
use crate::sync_loop::Event;

const RESUBSCRIBE_DELAY: Duration = Duration::from_secs(1);
/// How often every Pod is looked at without any event, as upstream's kubelet does with a runtime that has events.
const RELIST_PERIOD: Duration = Duration::from_secs(300);

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeChange {
    /// One Pod.
    Pod(Uid),
    /// Everything: events may have been missed.
    All,
}

/// Forwards wake-ups until the receiver is gone.
pub async fn run(runtime: Arc<dyn cri::RuntimeService>, events: mpsc::Sender<Event>) {
    loop {
        let stream = runtime.container_events().await;
        if events.send(Event::Runtime(RuntimeChange::All)).await.is_err() {
            return;
        }
        match stream {
            Ok(mut stream) => {
                let mut relist = tokio::time::interval_at(Instant::now() + RELIST_PERIOD, RELIST_PERIOD);
                loop {
                    let change = tokio::select! {
                        event = stream.next() => match event {
                            Some(event) => change(&event),
                            None => break,
                        },
                        _ = relist.tick() => RuntimeChange::All,
                    };
                    if events.send(Event::Runtime(change)).await.is_err() {
                        return;
                    }
                }
                warn!("lost the runtime's event stream, subscribing again");
            }
            Err(error) => warn!(%error, "could not subscribe to the runtime's events"),
        }
        tokio::time::sleep(RESUBSCRIBE_DELAY).await;
    }
}

fn change(event: &cri::ContainerEventResponse) -> RuntimeChange {
    let sandbox = event.pod_sandbox_status.as_ref();
    let uid = sandbox
        .and_then(|sandbox| sandbox.labels.get(labels::POD_UID).cloned())
        .or_else(|| sandbox.and_then(|sandbox| sandbox.metadata.as_ref()).map(|metadata| metadata.uid.clone()))
        .or_else(|| event.containers_statuses.iter().find_map(|status| status.labels.get(labels::POD_UID).cloned()));
    uid.filter(|uid| !uid.is_empty()).map_or(RuntimeChange::All, |uid| RuntimeChange::Pod(Uid::new(&uid)))
}
