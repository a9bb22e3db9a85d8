//! Where exec and attach URLs lead: a loopback port in front of the runtime's own streaming server.
//!
//! A URL carries a secret of 128 bits and is good for one connection within a minute. What is spoken behind the first
//! request line is between the client and the runtime; here bytes are copied.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform::random::SharedRandom;
use platform::tasks::{self, TaskKind};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long a URL is good for, and how long its client may take for its first line.
const LIFETIME: Duration = Duration::from_secs(60);
/// The most a client may write before the end of its first line.
const MAX_LINE_BYTES: u64 = 4096;
/// How long to wait before accepting again when the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The port and the sessions that wait for their client.
pub struct StreamingGate {
    listener: TcpListener,
    address: SocketAddr,
    runtime: Arc<dyn cri::RuntimeService>,
    random: SharedRandom,
    /// The runtime's URL by our secret.
    waiting: Mutex<HashMap<String, (Instant, String)>>,
}

impl StreamingGate {
    /// Takes a free loopback port.
    pub async fn listen(runtime: Arc<dyn cri::RuntimeService>, random: SharedRandom) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Arc::new(Self { listener, address, runtime, random, waiting: Mutex::default() }))
    }

    /// The runtime behind the gate.
    pub fn runtime(&self) -> &dyn cri::RuntimeService {
        &*self.runtime
    }

    /// A URL that anybody on this host can dial, for one that only the runtime understands.
    pub fn open(&self, runtime_url: String) -> String {
        let secret = format!("{:016x}{:016x}", self.random.bits(), self.random.bits());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (since, _)| since.elapsed() < LIFETIME);
        waiting.insert(secret.clone(), (Instant::now(), runtime_url));
        format!("http://{}/{secret}", self.address)
    }

    /// Lets clients in until cancelled; sessions go on.
    pub async fn run(self: Arc<Self>, cancel: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = cancel.cancelled() => return,
            };
            match accepted {
                Ok((client, _)) => {
                    let gate = Arc::clone(&self);
                    tasks::spawn(TaskKind::Worker, "streaming session", async move {
                        if let Err(error) = gate.admit(client).await {
                            debug!(%error, "streaming session");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a streaming connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn admit(&self, client: TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(client);
        let mut line = String::new();
        let mut head = (&mut client).take(MAX_LINE_BYTES);
        let read = head.read_line(&mut line);
        tokio::time::timeout(LIFETIME, read).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let Some((url, line)) = self.redeem(&line) else { return client.write_all(NOT_FOUND).await };
        let mut server = match self.runtime.dial_streaming(&url).await {
            Ok(server) => server,
            Err(error) => {
                debug!(%error, "the runtime's streaming server");
                return client.write_all(BAD_GATEWAY).await;
            }
        };
        server.write_all(line.as_bytes()).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    }

    /// The runtime's URL for a request line that has a good secret, once, and the line as the runtime expects it.
    fn redeem(&self, line: &str) -> Option<(String, String)> {
        let mut words = line.split_ascii_whitespace();
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let secret = target.strip_prefix('/')?.split('?').next()?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, url) = waiting.remove(secret)?;
        let path = url.parse::<http::Uri>().ok()?.path_and_query()?.as_str().to_owned();
        (since.elapsed() < LIFETIME).then(|| (url, format!("{method} {path} {version}\r\n")))
    }
}
