//! Forgetting history as upstream's API servers do, together with them: every five minutes everything before the revision
//! of five minutes ago. A key of its own says whose turn it is: its version counts the rounds, and only who takes a
//! round compacts.

use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, warn};

use super::client::{Client, Failure};
use super::messages::{Compare, PutRequest, RangeRequest, Request, TxnRequest};
use crate::Revision;

const KEY: &[u8] = b"compact_rev_key";

/// What one server knows of the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Round {
    /// How many rounds there have been.
    number: i64,
    /// The newest revision when this server looked last; none before it has looked.
    newest: Option<Revision>,
}

/// Takes part until it is cancelled.
pub(super) async fn run(client: Client, interval: Duration) {
    let mut round = Round::default();
    loop {
        tokio::time::sleep(interval).await;
        match take_turn(&client, round).await {
            Ok(next) => round = next,
            Err(failure) => warn!(reason = failure.0.message, "compacting etcd"),
        }
    }
}

async fn take_turn(client: &Client, round: Round) -> Result<Round, Failure> {
    let before = round.newest.unwrap_or(Revision(0));
    let key = Bytes::from_static(KEY);
    let put = PutRequest { key: key.clone(), value: before.0.to_string().into(), lease: 0 };
    let (newest, answer) = client
        .transact(&TxnRequest {
            compare: vec![Compare::times_written(key.clone(), round.number)],
            success: vec![Request::Put(put).into()],
            failure: vec![Request::Range(RangeRequest { key, ..RangeRequest::default() }).into()],
        })
        .await?;
    if !answer.succeeded {
        // Somebody else took the round.
        let number = answer.found().map_or(0, |kv| kv.version);
        return Ok(Round { number, newest: Some(newest) });
    }
    if before > Revision(0) {
        match client.compact(before).await {
            Err(failure) if failure.is_compacted() => {}
            outcome => outcome?,
        }
        debug!(before = before.0, "compacted etcd");
    }
    Ok(Round { number: round.number + 1, newest: Some(newest) })
}
