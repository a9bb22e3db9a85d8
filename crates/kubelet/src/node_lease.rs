//! The heartbeat: a Lease renewed every ten seconds, by which the control plane knows that the node lives.

use std::time::Duration;

use client::LeaseHolder;
use platform::clock::SharedClock;
use tracing::warn;

const NAMESPACE: &str = "kube-node-lease";
const DURATION_SECONDS: i32 = 40;
const RENEW_INTERVAL: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// Renews the Lease until the future is dropped.
pub async fn run(client: kube::Client, node_name: &str, clock: SharedClock) {
    let lease = LeaseHolder::new(client, NAMESPACE, node_name, node_name, DURATION_SECONDS);
    let mut retry = RETRY_FIRST;
    loop {
        match lease.renew(clock.now()).await {
            Ok(_) => {
                retry = RETRY_FIRST;
                tokio::time::sleep(RENEW_INTERVAL).await;
            }
            Err(error) => {
                warn!(%error, "node Lease not renewed, will try again");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RENEW_INTERVAL);
            }
        }
    }
}
