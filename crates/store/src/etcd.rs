//! etcd as the engine, for clusters with more than one server.
//!
//! Keys are those of upstream's API server, and so are the transactions, leases and compactions: `etcdctl` and
//! upstream's habits of running etcd apply. Values are what the API server makes them.
//!
//! Every commit is as durable as etcd makes it, volatile ones too. Reads are linearizable. A call during which etcd is
//! away fails with [`Error::Remote`], and whether a commit took place is then unknown; watches resume by themselves.

mod client;
mod compaction;
mod endpoints;
mod leases;
mod messages;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use platform::tasks::{self, TaskKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::endpoints::{Endpoint, NoEndpoint, Tls, TlsError};

use self::client::{Client, Failure, signed, unsigned};
use self::endpoints::Endpoints;
use self::leases::Leases;
use self::messages::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, Request, TxnRequest};
use self::watch::Watch;
use crate::{Error, EventStream, Expect, KeyValue, Op, Revision, Snapshot, Store};

/// So many keys are read at a time.
const PAGE_KEYS: i64 = 1000;
/// How long to wait for etcd at the start, and between two attempts.
const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(200);

/// How to reach etcd.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its members listen; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Certificates, for secure endpoints.
    pub tls: Tls,
    /// How often to forget history.
    pub compaction_interval: Duration,
}

impl Config {
    /// With upstream's interval.
    pub fn new(endpoints: Vec<Endpoint>, tls: Tls) -> Self {
        Self { endpoints, tls, compaction_interval: Duration::from_secs(300) }
    }

    /// Whether the certificates are of use, before anything is connected.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        Endpoints::new(self.endpoints.clone(), &self.tls).map(drop)
    }
}

/// Why etcd can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The certificates are of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It does not answer.
    #[error("etcd does not answer at {endpoints}: {cause}")]
    NoAnswer {
        /// Where it was looked for.
        endpoints: String,
        /// What came instead of an answer.
        cause: Error,
    },
}

/// A store in etcd. Dropping it ends its watches.
#[derive(Debug)]
pub struct EtcdStore {
    client: Client,
    leases: Leases,
    closed: CancellationToken,
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl EtcdStore {
    /// Connects, and waits a while for an etcd that is just starting.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let endpoints = Endpoints::new(config.endpoints, &config.tls)?;
        let names = endpoints.to_string();
        let store =
            Self { client: Client::new(endpoints), leases: Leases::default(), closed: CancellationToken::new() };
        store.wait_for_answer().await.map_err(|cause| ConnectError::NoAnswer { endpoints: names, cause })?;
        let (client, closed) = (store.client.clone(), store.closed.clone());
        tasks::spawn(TaskKind::Component, "etcd compaction", async move {
            closed.run_until_cancelled(compaction::run(client, config.compaction_interval)).await;
        });
        Ok(store)
    }

    async fn wait_for_answer(&self) -> Result<(), Error> {
        let started = Instant::now();
        let mut told = false;
        while let Err(error) = self.latest().await {
            if started.elapsed() > START_PATIENCE {
                return Err(error);
            }
            if !std::mem::replace(&mut told, true) {
                info!(%error, "waiting for etcd");
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.closed.is_cancelled() { Err(Error::closed()) } else { Ok(()) }
    }

    /// All keys under a prefix at one revision, page by page; fails when that is forgotten in between.
    async fn pages(&self, prefix: &str) -> Result<Snapshot, Failure> {
        let mut request = RangeRequest {
            key: first_key(prefix),
            range_end: end_of(prefix),
            limit: PAGE_KEYS,
            ..RangeRequest::default()
        };
        let mut items = Vec::new();
        loop {
            let page = self.client.range(&request).await?;
            if request.revision == 0 {
                request.revision = page.header.map_or(0, |header| header.revision);
            }
            let last = page.kvs.last().map(|kv| kv.key.clone());
            items.extend(page.kvs.into_iter().filter_map(key_value));
            match last.filter(|_| page.more) {
                Some(last) => request.key = [&last[..], b"\0"].concat().into(),
                None => return Ok(Snapshot { revision: unsigned(request.revision), items }),
            }
        }
    }
}

#[async_trait]
impl Store for EtcdStore {
    fn revision(&self) -> Revision {
        self.client.known()
    }

    async fn latest(&self) -> Result<Revision, Error> {
        // Any read tells; this one reads nothing.
        let nothing = RangeRequest { key: first_key(""), count_only: true, ..RangeRequest::default() };
        let answer = self.client.range(&nothing).await?;
        Ok(unsigned(answer.header.map_or(0, |header| header.revision)))
    }

    fn keeps_time(&self) -> bool {
        true
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        let answer = self.client.range(&RangeRequest { key: bytes(key), ..RangeRequest::default() }).await?;
        Ok(answer.kvs.into_iter().find_map(key_value))
    }

    async fn list(&self, prefix: &str) -> Result<Snapshot, Error> {
        loop {
            match self.pages(prefix).await {
                Err(failure) if failure.is_compacted() => {}
                outcome => return outcome.map_err(Error::from),
            }
        }
    }

    async fn commit(&self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error> {
        self.check_open()?;
        let Some(expected) = expected_revision(expect, &op) else {
            return Err(Error::Conflict { current: self.get(key).await? });
        };
        let key = bytes(key);
        let write = match op {
            Op::Put { value, time_to_live, .. } => {
                let lease = match time_to_live {
                    Some(time_to_live) => self.leases.lease(&self.client, time_to_live).await?,
                    None => 0,
                };
                Request::Put(PutRequest { key: key.clone(), value, lease })
            }
            Op::Delete => Request::DeleteRange(DeleteRangeRequest { key: key.clone() }),
        };
        let transaction = TxnRequest {
            compare: vec![Compare::last_written(key.clone(), expected)],
            success: vec![write.into()],
            failure: vec![Request::Range(RangeRequest { key, ..RangeRequest::default() }).into()],
        };
        let (revision, answer) = self.client.transact(&transaction).await?;
        if answer.succeeded {
            Ok(revision)
        } else {
            Err(Error::Conflict { current: answer.found().and_then(key_value) })
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<EventStream, Error> {
        self.check_open()?;
        let mut watch = Watch::new(self.client.clone(), prefix, after);
        let first = RangeRequest {
            key: first_key(""),
            count_only: true,
            revision: signed(Revision(after.0 + 1)),
            ..RangeRequest::default()
        };
        if self.client.range(&first).await.is_err_and(|failure| failure.is_compacted()) {
            // The watch ends at once, and only it says what is left.
            watch.wait().await?;
        }
        let notices = futures::stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            let notice = watch.next().await;
            let rest = notice.is_ok().then_some(watch);
            Some((notice, rest))
        });
        Ok(notices.take_until(self.closed.clone().cancelled_owned()).boxed())
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.check_open()?;
        let newest = self.latest().await?;
        match self.client.compact(before.min(newest)).await {
            Err(failure) if failure.is_compacted() => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    async fn close(&self) -> Result<(), Error> {
        self.closed.cancel();
        Ok(())
    }
}

/// The revision that etcd must find at the key, 0 for none; `None` for what can't be.
fn expected_revision(expect: Expect, op: &Op) -> Option<i64> {
    match expect {
        Expect::Absent if *op == Op::Delete => None,
        Expect::Absent => Some(0),
        Expect::Revision(Revision(0)) => None,
        Expect::Revision(revision) => Some(signed(revision)),
    }
}

fn bytes(key: &str) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

/// Where keys under a prefix begin. etcd knows no empty key.
fn first_key(prefix: &str) -> Bytes {
    if prefix.is_empty() { Bytes::from_static(b"\0") } else { bytes(prefix) }
}

/// The first key after all those under a prefix; etcd has a sign for the end of all keys.
fn end_of(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        // No byte of UTF-8 is the highest there is.
        Some(last) => *last += 1,
        None => end.push(0),
    }
    end.into()
}

/// Keys that are no text are not of this project's making.
fn key_value(kv: messages::KeyValue) -> Option<KeyValue> {
    let key = std::str::from_utf8(&kv.key).ok()?.into();
    Some(KeyValue { key, value: kv.value, revision: unsigned(kv.mod_revision) })
}
