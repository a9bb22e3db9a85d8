//! Objects encrypted in the store, as an `EncryptionConfiguration` says.
//!
//! [`EncryptedStore`] stands between the server and its store: everything above sees plain values. Which keys encrypt and
//! which only decrypt is in [`Encryption`]; values carry upstream's prefixes and are bound to their keys as upstream's
//! are, so that either can read what the other wrote. A value that was not written by the first key of its resource is
//! stale: the next write of the object rewrites it, even when nothing else changes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use store::{Error, EventStream, Expect, KeyValue, Notice, Op, Revision, Snapshot, Store};

use crate::registry::{Backing, RESOURCES};
use crate::watch_cache::ROOT;

mod cipher;
mod config;
#[cfg(test)]
mod tests;

use cipher::{Keyring, Opened};
pub use config::ConfigError;

/// Which resources are encrypted with what.
pub struct Encryption {
    keyrings: Vec<Keyring>,
    /// The keyring of each resource, by the place of its keys below the root. What is not here is not encrypted.
    by_path: HashMap<&'static str, usize>,
    /// Keys whose values wait to be rewritten.
    stale: Mutex<HashSet<Arc<str>>>,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encryption").field("resources", &self.by_path.keys()).finish_non_exhaustive()
    }
}

impl Encryption {
    /// Reads an `EncryptionConfiguration`, YAML.
    ///
    /// # Errors
    /// [`ConfigError`] names the field.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let rules = config::parse(text)?;
        let mut by_path = HashMap::new();
        for resource in RESOURCES {
            let Backing::Stored(stored) = &resource.backing else { continue };
            let of = resource.group_resource();
            if let Some(position) = rules.iter().position(|rule| rule.covers(of)) {
                by_path.insert(stored.path, position);
            }
        }
        let keyrings = rules.into_iter().map(|rule| rule.keyring).collect();
        Ok(Self { keyrings, by_path, stale: Mutex::default() })
    }

    /// Whether the value of a key is to be rewritten at the next occasion.
    pub(crate) fn is_stale(&self, key: &str) -> bool {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn keyring(&self, key: &str) -> &Keyring {
        static PLAIN: Keyring = Keyring::PLAIN;
        let below = key.strip_prefix(ROOT).unwrap_or(key);
        let mut ends = below.match_indices('/').map(|(end, _)| &below[..end]).take(2);
        let found = ends.find_map(|path| self.by_path.get(path));
        found.and_then(|position| self.keyrings.get(*position)).unwrap_or(&PLAIN)
    }

    fn encrypt(&self, key: &str, value: &Bytes) -> Result<Bytes, Error> {
        let encrypted = self.keyring(key).encrypt(key, value);
        encrypted.map_err(|error| Error::Engine(format!("encrypting {key}: {error}")))
    }

    fn decrypt(&self, key: &str, value: &Bytes) -> Result<Opened, Error> {
        let opened = self.keyring(key).decrypt(key, value);
        opened.map_err(|error| Error::Engine(format!("decrypting {key}: {error}")))
    }

    fn open(&self, mut item: KeyValue) -> Result<KeyValue, Error> {
        let opened = self.decrypt(&item.key, &item.value)?;
        self.note(&item.key, opened.stale);
        item.value = opened.value;
        Ok(item)
    }

    fn open_notice(&self, notice: Notice) -> Result<Notice, Error> {
        let Notice::Commit(mut event) = notice else { return Ok(notice) };
        let opened = event.value.map(|value| self.decrypt(&event.key, &value)).transpose()?;
        self.note(&event.key, opened.as_ref().is_some_and(|opened| opened.stale));
        event.value = opened.map(|opened| opened.value);
        if let Some((value, _)) = &mut event.previous {
            *value = self.decrypt(&event.key, value)?.value;
        }
        Ok(Notice::Commit(event))
    }

    fn note(&self, key: &Arc<str>, is_stale: bool) {
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        if is_stale {
            stale.insert(Arc::clone(key));
        } else {
            stale.remove(key);
        }
    }
}

/// A store whose values are encrypted.
pub struct EncryptedStore {
    inner: Arc<dyn Store>,
    encryption: Arc<Encryption>,
}

impl EncryptedStore {
    /// Encrypts what goes into `inner`, and decrypts what comes out.
    pub fn new(inner: Arc<dyn Store>, encryption: Arc<Encryption>) -> Self {
        Self { inner, encryption }
    }
}

#[async_trait]
impl Store for EncryptedStore {
    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    async fn latest(&self) -> Result<Revision, Error> {
        self.inner.latest().await
    }

    fn keeps_time(&self) -> bool {
        self.inner.keeps_time()
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        self.inner.get(key).await?.map(|item| self.encryption.open(item)).transpose()
    }

    async fn list(&self, prefix: &str) -> Result<Snapshot, Error> {
        let mut snapshot = self.inner.list(prefix).await?;
        let opened = snapshot.items.into_iter().map(|item| self.encryption.open(item));
        snapshot.items = opened.collect::<Result<_, _>>()?;
        Ok(snapshot)
    }

    async fn commit(&self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error> {
        let op = match op {
            Op::Put { value, tier, time_to_live } => {
                Op::Put { value: self.encryption.encrypt(key, &value)?, tier, time_to_live }
            }
            Op::Delete => Op::Delete,
        };
        match self.inner.commit(key, expect, op).await {
            Err(Error::Conflict { current }) => {
                let current = current.map(|item| self.encryption.open(item)).transpose()?;
                Err(Error::Conflict { current })
            }
            outcome => outcome,
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<EventStream, Error> {
        let events = self.inner.watch(prefix, after).await?;
        let encryption = Arc::clone(&self.encryption);
        Ok(events.map(move |notice| encryption.open_notice(notice?)).boxed())
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.inner.compact(before).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
