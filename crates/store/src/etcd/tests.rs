//! A real etcd, Debian's `etcd-server`.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::tests::{put, take};
use crate::{Event, Notice};

/// What every key of a test begins with, as etcd knows no empty key.
const PREFIX: &str = "test:";

/// A process of its own; ends when dropped.
pub(crate) struct Etcd {
    process: Child,
    arguments: Vec<String>,
    endpoint: Endpoint,
    tls: Tls,
    _directory: TempDir,
}

/// Certificates of an authority, for etcd and for its client.
struct Certificates {
    tls: Tls,
    flags: Vec<String>,
}

impl Certificates {
    fn make(directory: &std::path::Path) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let files = [("ca", authority.pem()), ("cert", certificate.pem()), ("key", key.serialize_pem())];
        let mut flags = vec!["--client-cert-auth".to_owned()];
        for ((name, pem), flag) in files.iter().zip(["trusted-ca-file", "cert-file", "key-file"]) {
            let path = directory.join(name);
            std::fs::write(&path, pem).unwrap();
            flags.push(format!("--{flag}={}", path.display()));
        }
        let [(_, authority), (_, certificate), (_, key)] = files.map(|(name, pem)| (name, pem.into_bytes()));
        Self { tls: Tls { authority: Some(authority), identity: Some((certificate, key)) }, flags }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Etcd {
    pub(crate) fn start() -> Self {
        Self::with("http", |_| Certificates { tls: Tls::default(), flags: Vec::new() })
    }

    fn with(scheme: &str, certificates: impl FnOnce(&std::path::Path) -> Certificates) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let Certificates { tls, flags } = certificates(directory.path());
        let (url, peer) =
            (format!("{scheme}://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
        let data = directory.path().join("data").display().to_string();
        let mut arguments: Vec<String> = [
            ("data-dir", data.as_str()),
            ("listen-client-urls", &url),
            ("advertise-client-urls", &url),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("initial-cluster", &format!("default={peer}")),
        ]
        .iter()
        .map(|(flag, value)| format!("--{flag}={value}"))
        .collect();
        arguments.extend(flags);
        let process = run(&arguments);
        Self { process, arguments, endpoint: url.parse().unwrap(), tls, _directory: directory }
    }

    async fn connect(&self) -> EtcdStore {
        EtcdStore::connect(Config::new(vec![self.endpoint.clone()], self.tls.clone())).await.unwrap()
    }

    /// A store whose keys and revisions look as those of the other engines.
    pub(crate) async fn rebased(&self) -> Rebased {
        let store = self.connect().await;
        let base = store.revision().0;
        Rebased { store, base }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn restart(&mut self) {
        self.kill();
        self.process = run(&self.arguments);
    }
}

fn run(arguments: &[String]) -> Child {
    let mut command = Command::new("etcd");
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("etcd runs (Debian: apt-get install etcd-server, or ./tools.sh)")
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The suite counts revisions from 1, and etcd from where it is.
pub(crate) struct Rebased {
    store: EtcdStore,
    base: u64,
}

impl Rebased {
    fn out(&self, revision: Revision) -> Revision {
        Revision(revision.0 - self.base)
    }

    fn into(&self, revision: Revision) -> Revision {
        Revision(revision.0 + self.base)
    }

    fn key_value(&self, item: KeyValue) -> KeyValue {
        KeyValue { key: item.key[PREFIX.len()..].into(), value: item.value, revision: self.out(item.revision) }
    }

    fn error(&self, error: Error) -> Error {
        match error {
            Error::Conflict { current } => Error::Conflict { current: current.map(|item| self.key_value(item)) },
            error => compacted(error, self.base),
        }
    }
}

/// What was compacted, by revisions since `base`.
fn compacted(error: Error, base: u64) -> Error {
    let out = |revision: Revision| Revision(revision.0 - base);
    match error {
        Error::Compacted { requested, oldest } => Error::Compacted { requested: out(requested), oldest: out(oldest) },
        error => error,
    }
}

#[async_trait]
impl Store for Rebased {
    fn revision(&self) -> Revision {
        self.out(self.store.revision())
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        Ok(self.store.get(&format!("{PREFIX}{key}")).await?.map(|item| self.key_value(item)))
    }

    async fn list(&self, prefix: &str) -> Result<Snapshot, Error> {
        let snapshot = self.store.list(&format!("{PREFIX}{prefix}")).await?;
        let items = snapshot.items.into_iter().map(|item| self.key_value(item)).collect();
        Ok(Snapshot { revision: self.out(snapshot.revision), items })
    }

    async fn commit(&self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error> {
        let expect = match expect {
            Expect::Revision(revision) => Expect::Revision(self.into(revision)),
            Expect::Absent => expect,
        };
        let outcome = self.store.commit(&format!("{PREFIX}{key}"), expect, op).await;
        outcome.map(|revision| self.out(revision)).map_err(|error| self.error(error))
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<EventStream, Error> {
        let watch = self.store.watch(&format!("{PREFIX}{prefix}"), self.into(after)).await;
        let base = self.base;
        let rebased = move |revision: Revision| Revision(revision.0 - base);
        let notices = watch.map_err(|error| self.error(error))?.map(move |notice| {
            Ok(match notice.map_err(|error| compacted(error, base))? {
                Notice::Commit(event) => Notice::Commit(Event {
                    key: event.key[PREFIX.len()..].into(),
                    value: event.value,
                    previous: event.previous.map(|(value, revision)| (value, rebased(revision))),
                    revision: rebased(event.revision),
                }),
                Notice::Reached(revision) => Notice::Reached(rebased(revision)),
            })
        });
        Ok(notices.boxed())
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.store.compact(self.into(before)).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.store.close().await
    }
}

fn passing(time_to_live: Duration) -> Op {
    Op::Put { value: "passing".into(), tier: crate::Tier::Volatile, time_to_live: Some(time_to_live) }
}

#[tokio::test]
async fn secure_endpoints_are_known_by_their_certificates() {
    let etcd = Etcd::with("https", Certificates::make);
    let dead: Endpoint = "https://127.0.0.1:1".parse().unwrap();
    let config = Config::new(vec![dead, etcd.endpoint.clone()], etcd.tls.clone());
    let store = EtcdStore::connect(config).await.unwrap();
    store.commit("/a", Expect::Absent, put("x")).await.unwrap();
    let anonymous = Tls { identity: None, ..etcd.tls.clone() };
    let anonymous = Endpoints::new(vec![etcd.endpoint.clone()], &anonymous).unwrap();
    let stranger =
        EtcdStore { client: Client::new(anonymous), leases: Leases::default(), closed: CancellationToken::new() };
    assert!(matches!(stranger.get("/a").await, Err(Error::Remote(_))), "etcd asks for a certificate");
}

#[tokio::test]
async fn watches_go_on_when_etcd_comes_back_and_lose_nothing() {
    let mut etcd = Etcd::start();
    let store = etcd.connect().await;
    let start = store.revision();
    let mut watch = store.watch("/a/", start).await.unwrap();
    for n in 0..5 {
        store.commit(&format!("/a/{n}"), Expect::Absent, put("x")).await.unwrap();
    }
    assert_eq!(take(&mut watch, 3).await.len(), 3);
    etcd.kill();
    let refused = store.commit("/a/5", Expect::Absent, put("x")).await.unwrap_err();
    assert!(refused.to_string().starts_with("rpc error: code = Unavailable desc = "), "{refused}");
    assert!(store.latest().await.is_err());
    etcd.restart();
    let other = etcd.connect().await;
    other.commit("/a/6", Expect::Absent, put("x")).await.unwrap();
    let keys: Vec<_> = take(&mut watch, 3).await.into_iter().map(|event| event.key.to_string()).collect();
    assert_eq!(keys, ["/a/3", "/a/4", "/a/6"]);
    assert_eq!(store.latest().await.unwrap(), other.revision());
}

#[tokio::test]
async fn a_watch_tells_of_every_revision_whoever_made_it() {
    let etcd = Etcd::start();
    let (one, other) = (etcd.connect().await, etcd.connect().await);
    let mut watch = one.watch("/a/", one.revision()).await.unwrap();
    let elsewhere = other.commit("/b", Expect::Absent, put("x")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap(), Notice::Reached(elsewhere));
    assert!(one.revision() < elsewhere, "nobody has told this process");
    assert_eq!(one.latest().await.unwrap(), elsewhere);
    assert_eq!(one.revision(), elsewhere);
}

#[tokio::test]
async fn a_watch_ends_when_what_comes_next_is_forgotten_while_it_has_no_connection() {
    let etcd = Etcd::start();
    let store = etcd.connect().await;
    let start = store.revision();
    let mut revision = store.commit("/a", Expect::Absent, put("x")).await.unwrap();
    let mut watch = Watch::new(store.client.clone(), "", start);
    for _ in 0..5 {
        revision = store.commit("/a", Expect::Revision(revision), put("y")).await.unwrap();
    }
    for _ in 0..2 {
        store.compact(revision).await.unwrap();
    }
    match watch.next().await {
        Err(Error::Compacted { requested, oldest }) => {
            assert_eq!((requested, oldest), (start, Revision(revision.0 - 1)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_with_a_time_to_live_go_by_themselves() {
    let etcd = Etcd::start();
    let store = etcd.connect().await;
    assert!(store.keeps_time());
    let mut watch = store.watch("/a", store.revision()).await.unwrap();
    for n in 0..3 {
        store.commit(&format!("/a/{n}"), Expect::Absent, passing(Duration::from_secs(1))).await.unwrap();
    }
    store.commit("/a/stays", Expect::Absent, put("x")).await.unwrap();
    let removed: Vec<Event> = take(&mut watch, 7).await.split_off(4);
    assert!(removed.iter().all(|event| event.value.is_none() && event.previous.is_some()), "{removed:?}");
    assert_eq!(store.list("/a").await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn long_lists_are_of_one_revision() {
    let etcd = Etcd::start();
    let store = Arc::new(etcd.connect().await);
    let count = usize::try_from(PAGE_KEYS).unwrap() + 10;
    let writes = (0..count).map(|n| {
        let store = Arc::clone(&store);
        async move { store.commit(&format!("/a/{n:05}"), Expect::Absent, put("x")).await.unwrap() }
    });
    futures::stream::iter(writes).buffer_unordered(64).collect::<Vec<_>>().await;
    let snapshot = store.list("/a/").await.unwrap();
    assert_eq!(snapshot.items.len(), count);
    assert!(snapshot.items.is_sorted_by(|left, right| left.key < right.key));
    assert_eq!(snapshot.revision, store.revision());
}

#[tokio::test]
async fn servers_take_turns_in_forgetting_history() {
    let etcd = Etcd::start();
    let config = Config {
        compaction_interval: Duration::from_millis(100),
        ..Config::new(vec![etcd.endpoint.clone()], Tls::default())
    };
    let store = EtcdStore::connect(config.clone()).await.unwrap();
    let _other = EtcdStore::connect(config).await.unwrap();
    let start = store.revision();
    let mut watch = store.watch("compact_rev_key", start).await.unwrap();
    take(&mut watch, 6).await;
    assert!(matches!(store.watch("", start).await.err(), Some(Error::Compacted { .. })));
}
