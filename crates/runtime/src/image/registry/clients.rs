//! HTTP clients, kept for a while: an image with the pull policy `Always` is asked for at every Pod start, and a client
//! holds the connection, the registry's token and the trusted certificates, which take long to read. Unused ones are let
//! go, because they also take memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oci_client::Client;
use platform::tasks::{TaskKind, spawn};
use tokio::time::{Instant, sleep_until};

use super::client_config;
use crate::image::error::RegistryError;
use crate::image::registries::{Credentials, Source};

const KEPT_UNUSED: Duration = Duration::from_secs(30);

/// A client knows one set of credentials per server and one token per repository, so all of that tells clients apart.
type Key = (Source, Option<Credentials>);

/// Clients by server and credentials.
#[derive(Default)]
pub struct Clients {
    clients: Mutex<HashMap<Key, Kept>>,
}

struct Kept {
    client: Client,
    let_go_at: Instant,
}

impl Clients {
    /// A client for this source, made or kept.
    ///
    /// # Errors
    /// [`RegistryError::Request`] when the TLS settings can't be used.
    pub fn get(self: &Arc<Self>, source: &Source, credentials: Option<&Credentials>) -> Result<Client, RegistryError> {
        let key = (source.clone(), credentials.cloned());
        let let_go_at = Instant::now() + KEPT_UNUSED;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = clients.get_mut(&key) {
            kept.let_go_at = let_go_at;
            return Ok(kept.client.clone());
        }
        let client = Client::try_from(client_config(source)).map_err(|error| RegistryError::Request {
            endpoint: source.endpoint.to_string(),
            source: Box::new(error),
        })?;
        clients.insert(key.clone(), Kept { client: client.clone(), let_go_at });
        drop(spawn(TaskKind::Worker, "registry-client", self.clone().let_go(key, let_go_at)));
        Ok(client)
    }

    /// Waits until the client was unused for long enough, then drops it.
    async fn let_go(self: Arc<Self>, key: Key, mut at: Instant) {
        loop {
            sleep_until(at).await;
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            match clients.get(&key) {
                Some(kept) if kept.let_go_at > at => at = kept.let_go_at,
                _ => {
                    clients.remove(&key);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::reference::ImageReference;
    use crate::image::registries::Registries;

    #[tokio::test(start_paused = true)]
    async fn clients_are_shared_and_let_go() {
        let clients = Arc::new(Clients::default());
        let image = ImageReference::parse("127.0.0.1:1/app").expect("a name");
        let source = Registries::default().sources(&image).remove(0);
        let token = Credentials::Token("t".to_owned());
        let count = || clients.clients.lock().expect("no panic").len();
        clients.get(&source, None).expect("a client");
        tokio::time::sleep(KEPT_UNUSED / 2).await;
        clients.get(&source, None).expect("the same");
        clients.get(&source, Some(&token)).expect("another");
        assert_eq!(count(), 2);
        tokio::time::sleep(KEPT_UNUSED * 3 / 4).await;
        assert_eq!(count(), 2, "both were used since");
        tokio::time::sleep(KEPT_UNUSED).await;
        assert_eq!(count(), 0);
    }
}
