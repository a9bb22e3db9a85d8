//! Carrying out planned writes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, Patch, PatchParams, PostParams};
use tracing::{debug, warn};

use super::correlate::Write;
use crate::{Client, is_not_found, is_transient};

/// Attempts on one Event while the server is in trouble; the queue is bounded, so waiting here is safe.
const ATTEMPTS: u32 = 6;
const RETRY_INITIAL: Duration = Duration::from_millis(50);

/// Writes one Event, or gives it up: nobody can be told about the failure but the log.
pub(super) async fn execute(client: &Client, write: Write) {
    let mut delay = RETRY_INITIAL;
    for attempt in 1..=ATTEMPTS {
        let Err(error) = try_once(client, &write).await else { return };
        if !is_transient(&error) {
            // The namespace is going away, most likely.
            debug!(%error, "Event refused");
            return;
        }
        if attempt == ATTEMPTS {
            warn!(%error, "Event given up");
            return;
        }
        tokio::time::sleep(delay).await;
        delay *= 4;
    }
}

async fn try_once(client: &Client, write: &Write) -> Result<(), kube::Error> {
    match write {
        Write::Create(event) => create(client, event).await,
        Write::Repeat { namespace, name, patch, whole } => {
            let events: Api<Event> = Api::namespaced(client.clone(), namespace);
            match events.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Err(error) if is_not_found(&error) => create(client, whole).await,
                result => result.map(drop),
            }
        }
    }
}

async fn create(client: &Client, event: &Event) -> Result<(), kube::Error> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), event).await.map(drop)
}
