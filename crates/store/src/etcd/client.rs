//! etcd's calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use grpc::{Channel, Code, Messages, Options, Status};
use prost::Message;

use super::endpoints::Endpoints;
use super::messages::{
    CompactionRequest, CompactionResponse, LeaseGrantRequest, LeaseGrantResponse, RangeRequest, RangeResponse,
    ResponseHeader, TxnRequest, TxnResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::{Error, Revision};

/// A call that takes longer has failed. Upstream gives a whole request as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// etcd refuses larger requests, but its answers are as large as what they hold.
const OPTIONS: Options = Options { max_message_bytes: i32::MAX as usize, keep_alive: Some(Duration::from_secs(30)) };

/// A way to etcd, shared by all who use it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    channel: Arc<Channel>,
    known: Arc<AtomicU64>,
}

impl Client {
    pub(super) fn new(endpoints: Endpoints) -> Self {
        Self { channel: Arc::new(Channel::over(endpoints, OPTIONS)), known: Arc::default() }
    }

    /// The newest revision that an answer has told of.
    pub(super) fn known(&self) -> Revision {
        Revision(self.known.load(Ordering::Acquire))
    }

    pub(super) async fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Failure> {
        let answer: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        self.learn(answer.header.as_ref());
        Ok(answer)
    }

    pub(super) async fn transact(&self, request: &TxnRequest) -> Result<(Revision, TxnResponse), Failure> {
        let answer: TxnResponse = self.call("/etcdserverpb.KV/Txn", request).await?;
        Ok((self.learn(answer.header.as_ref()), answer))
    }

    pub(super) async fn compact(&self, before: Revision) -> Result<(), Failure> {
        let request = CompactionRequest { revision: signed(before) };
        self.call::<_, CompactionResponse>("/etcdserverpb.KV/Compact", &request).await.map(drop)
    }

    pub(super) async fn grant_lease(&self, seconds: i64) -> Result<i64, Failure> {
        let request = LeaseGrantRequest { ttl: seconds };
        let answer: LeaseGrantResponse = self.call("/etcdserverpb.Lease/LeaseGrant", &request).await?;
        Ok(answer.id)
    }

    /// Every commit from a revision on, of all keys there are.
    pub(super) async fn watch_everything(&self, start: Revision) -> Result<Messages<WatchResponse>, Failure> {
        let everything = Bytes::from_static(b"\0");
        let create = WatchCreateRequest {
            key: everything.clone(),
            range_end: everything,
            start_revision: signed(start),
            prev_kv: true,
        };
        // The stream of requests ends after the first one; etcd goes on answering until it is dropped.
        let request = WatchRequest { create: Some(create) };
        self.channel.server_stream("/etcdserverpb.Watch/Watch", &request).await.map_err(Failure)
    }

    async fn call<Q: Message, A: Message + Default>(&self, path: &'static str, request: &Q) -> Result<A, Failure> {
        self.channel.unary(path, request, Some(PATIENCE)).await.map_err(Failure)
    }

    fn learn(&self, header: Option<&ResponseHeader>) -> Revision {
        let revision = unsigned(header.map_or(0, |header| header.revision));
        self.known.fetch_max(revision.0, Ordering::AcqRel);
        revision
    }
}

/// etcd counts in signed numbers, and never below zero.
pub(super) fn unsigned(revision: i64) -> Revision {
    Revision(u64::try_from(revision).unwrap_or(0))
}

/// The other way round. What is too large for etcd no one has ever seen.
pub(super) fn signed(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure(pub(super) Status);

impl Failure {
    /// Whether a revision was named that etcd has forgotten.
    pub(super) fn is_compacted(&self) -> bool {
        self.0.code == Code::OutOfRange && self.0.message.contains("has been compacted")
    }
}

/// In the words that upstream's clients have for it.
impl From<Failure> for Error {
    fn from(Failure(status): Failure) -> Self {
        if status.message.starts_with("etcdserver: ") {
            return Self::Remote(status.message);
        }
        Self::Remote(format!("rpc error: code = {} desc = {}", status.code.name(), status.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_worded_as_upstream_does() {
        for (code, message, expected) in [
            (Code::Unavailable, "etcdserver: request timed out", "etcdserver: request timed out"),
            (Code::Unavailable, "connection error: x", "rpc error: code = Unavailable desc = connection error: x"),
            (Code::Cancelled, "x", "rpc error: code = Canceled desc = x"),
        ] {
            assert_eq!(Error::from(Failure(Status::new(code, message))).to_string(), expected);
        }
    }
}
