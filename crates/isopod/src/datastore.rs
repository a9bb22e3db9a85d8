//! The store behind the API server: a file in the data directory, or etcd.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use store::Store;
use store::embedded::{self, EmbeddedStore};
use store::etcd::{self, EtcdStore, Tls};

use crate::cli;
use crate::data_dir::DataDir;

/// Where objects are kept.
#[derive(Debug, Clone)]
pub enum Datastore {
    /// In a file of the data directory.
    Embedded,
    /// In etcd.
    Etcd(etcd::Config),
}

impl Datastore {
    /// Reads the certificates.
    pub fn resolve(arguments: cli::Datastore) -> Result<Self> {
        if arguments.datastore_endpoint.is_empty() {
            return Ok(Self::Embedded);
        }
        let read =
            |flag: &str, path: &Path| fs::read(path).with_context(|| format!("cannot read {flag} {}", path.display()));
        let authority = arguments.datastore_cafile.as_deref().map(|path| read("--datastore-cafile", path));
        let identity = match (&arguments.datastore_certfile, &arguments.datastore_keyfile) {
            (Some(certificate), Some(key)) => {
                Some((read("--datastore-certfile", certificate)?, read("--datastore-keyfile", key)?))
            }
            _ => None,
        };
        let tls = Tls { authority: authority.transpose()?, identity };
        let config = etcd::Config::new(arguments.datastore_endpoint, tls);
        config.check().context("--datastore-endpoint")?;
        Ok(Self::Etcd(config))
    }

    /// Begins to open the store. The future is ready when it can be used.
    pub fn open(
        &self,
        data_dir: &DataDir,
        clock: SharedClock,
        random: SharedRandom,
    ) -> BoxFuture<'static, Result<Arc<dyn Store>>> {
        match self.clone() {
            Self::Embedded => {
                let config = embedded::Config::new(data_dir.store(), clock, random);
                let opening = tokio::task::spawn_blocking(move || EmbeddedStore::open(&config));
                async move { Ok(Arc::new(opening.await?.context("cannot open the store")?) as Arc<dyn Store>) }.boxed()
            }
            Self::Etcd(config) => {
                let connecting = EtcdStore::connect(config);
                async move {
                    let store = connecting.await.context("cannot use the store (--datastore-endpoint)")?;
                    Ok(Arc::new(store) as Arc<dyn Store>)
                }
                .boxed()
            }
        }
    }
}
