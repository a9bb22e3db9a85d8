//! The daemon's side of a shim: starting one, finding a running one again, calling it, hearing from it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linux::socket;
use platform::tasks::{self, TaskKind};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::layout::{self, SHIM_SOCKET, SandboxDir};
use crate::shim::protocol::{Answer, Call, Event, Failure, Message, Request};

/// How to start a shim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimCommand {
    /// The program, for the daemon itself `/proc/self/exe`.
    pub program: PathBuf,
    /// Its first argument, [`crate::shim::ARGUMENT`] for a program that calls [`crate::shim::is_shim`].
    pub argument: String,
}

impl Default for ShimCommand {
    /// This very program.
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), argument: crate::shim::ARGUMENT.into() }
    }
}

/// Why a shim could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// It could not be started.
    #[error("start shim")]
    Start(#[source] io::Error),
    /// It does not answer, or not any more.
    #[error("the shim is gone")]
    Gone(#[source] Option<io::Error>),
    /// A message could not be sent.
    #[error("send request to shim")]
    Send(#[source] io::Error),
    /// It answered that it could not do as asked.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// It answered something else than was asked.
    #[error("unexpected answer from shim")]
    Protocol,
}

impl From<ShimError> for cri::Error {
    fn from(error: ShimError) -> Self {
        match error {
            ShimError::Refused(Failure::NotFound(words)) => Self::NotFound(words),
            ShimError::Refused(failure) => Self::Failed(failure.to_string()),
            ShimError::Send(source) if source.raw_os_error() == Some(libc::EMSGSIZE) => {
                Self::InvalidArgument("the request is too large".into())
            }
            ShimError::Start(source) => Self::Failed(format!("start shim: {source}")),
            ShimError::Gone(_) | ShimError::Send(_) => Self::Unavailable("the shim of the sandbox is gone".into()),
            ShimError::Protocol => Self::Failed(error.to_string()),
        }
    }
}

/// A handle on the shim of this sandbox, if `pid` is it: ids are given to new processes after a while.
pub fn find(pid: i32, directory: &SandboxDir) -> Option<OwnedFd> {
    let process = linux::process::open(pid).ok()?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is_shim = command.split(|byte| *byte == 0).any(|word| word == directory.path().as_os_str().as_bytes());
    is_shim.then_some(process)
}

/// What a shim tells without being asked.
#[derive(Debug)]
pub enum ShimNews {
    /// Something happened in the sandbox.
    Event(Event),
    /// The shim has ended; there is nothing more to hear.
    Gone,
}

/// A connection to a shim. Cheap to clone; the connection ends with the last one.
#[derive(Clone)]
pub struct ShimClient(Arc<Connection>);

struct Connection {
    socket: Arc<AsyncFd<OwnedFd>>,
    next: AtomicU64,
    waiting: Arc<Mutex<Waiting>>,
}

type Reply = Result<(Answer, Vec<OwnedFd>), ShimError>;

#[derive(Default)]
struct Waiting {
    /// The shim is.
    gone: bool,
    /// The infra container has ended, or the shim has.
    over: bool,
    replies: HashMap<u64, oneshot::Sender<Reply>>,
    exits: HashMap<String, oneshot::Sender<i32>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Wakes the reading task, which holds the socket, too.
        let _ = rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Both);
    }
}

/// Starts the shim of a sandbox and connects to it. Blocks for the time of an `execve`.
///
/// # Errors
/// [`ShimError::Start`]; no process is left behind.
pub fn start(directory: &SandboxDir, command: &ShimCommand) -> Result<OwnedFd, ShimError> {
    let start = || {
        let listener = socket::listen(directory.path(), SHIM_SOCKET)?;
        let log_path = layout::shim_log(directory.root());
        let log = File::options().append(true).create(true).open(&log_path)?;
        let status = Command::new(&command.program)
            .arg(&command.argument)
            .arg(directory.path())
            .env_clear()
            .envs(linux::open_files::before().map(|files| (crate::shim::OPEN_FILES, files.to_string())))
            .current_dir("/")
            .stdin(Stdio::from(listener))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .status()?;
        // What we started has left the shim behind and exited.
        if !status.success() {
            return Err(io::Error::other(format!("{status}, see {}", log_path.display())));
        }
        connect(directory)
    };
    start().map_err(ShimError::Start)
}

/// Connects to the shim of a sandbox, if it runs.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when it does not.
pub fn connect(directory: &SandboxDir) -> io::Result<OwnedFd> {
    socket::connect(directory.path(), SHIM_SOCKET)
}

impl ShimClient {
    /// Serves a connection; `hear` is called in order with everything the shim tells, last with [`ShimNews::Gone`].
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn new(socket: OwnedFd, hear: impl Fn(ShimNews) + Send + Sync + 'static) -> io::Result<Self> {
        socket::set_nonblocking(socket.as_fd())?;
        // An `OwnedFd` keeps its descriptor for life, which is what the successor of this call has its caller promise.
        #[allow(deprecated)]
        let socket = Arc::new(linux::readiness::register(socket)?);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let connection = Connection { socket: socket.clone(), next: AtomicU64::new(1), waiting: waiting.clone() };
        tasks::spawn(TaskKind::Worker, "shim connection", async move {
            listen(&socket, &waiting, &hear).await;
            let orphans = {
                let mut waiting = lock(&waiting);
                waiting.gone = true;
                waiting.over = true;
                waiting.exits.clear();
                std::mem::take(&mut waiting.replies)
            };
            for reply in orphans.into_values() {
                let _ = reply.send(Err(ShimError::Gone(None)));
            }
            hear(ShimNews::Gone);
        });
        Ok(Self(Arc::new(connection)))
    }

    /// Calls the shim.
    ///
    /// # Errors
    /// [`ShimError`].
    pub async fn call(&self, call: Call, files: Vec<OwnedFd>) -> Reply {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let message = serde_json::to_vec(&Request { number, call }).expect("plain data");
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = lock(&self.0.waiting);
            if waiting.gone {
                return Err(ShimError::Gone(None));
            }
            waiting.replies.insert(number, sender);
        }
        let sent = self
            .0
            .socket
            .async_io(Interest::WRITABLE, |socket| {
                let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
                socket::send(socket.as_fd(), &message, &files)
            })
            .await;
        if let Err(error) = sent {
            lock(&self.0.waiting).replies.remove(&number);
            return Err(match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ShimError::Gone(Some(error)),
                _ => ShimError::Send(error),
            });
        }
        receiver.await.unwrap_or(Err(ShimError::Gone(None)))
    }

    /// As [`ShimClient::call`] for calls that answer nothing in particular.
    ///
    /// # Errors
    /// [`ShimError`].
    pub async fn command(&self, call: Call) -> Result<(), ShimError> {
        self.call(call, Vec::new()).await.map(drop)
    }

    /// Whether the news of the sandbox's end has come. It is known here before it is told, so that whoever makes a
    /// sandbox known and then asks misses no end.
    pub fn is_over(&self) -> bool {
        lock(&self.0.waiting).over
    }

    /// The exit code of a process about to be executed under this name; nothing comes when the shim ends before.
    pub fn exit_of(&self, exec: &str) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.0.waiting).exits.insert(exec.to_owned(), sender);
        receiver
    }

    /// Nobody waits for this process any more.
    pub fn forget_exit_of(&self, exec: &str) {
        lock(&self.0.waiting).exits.remove(exec);
    }
}

async fn listen(socket: &AsyncFd<OwnedFd>, waiting: &Mutex<Waiting>, hear: &(impl Fn(ShimNews) + Send)) {
    loop {
        let received = socket.async_io(Interest::READABLE, |socket| socket::receive(socket.as_fd())).await;
        let received = match received {
            Ok(received) if !received.message.is_empty() => received,
            _ => return,
        };
        match serde_json::from_slice(&received.message) {
            Ok(Message::Reply { number, outcome }) => {
                let reply = lock(waiting).replies.remove(&number);
                if let Some(reply) = reply {
                    let _ = reply.send(outcome.map(|answer| (answer, received.files)).map_err(ShimError::Refused));
                }
            }
            Ok(Message::Event(Event::ExecExited { exec, code })) => {
                let exit = lock(waiting).exits.remove(&exec);
                if let Some(exit) = exit {
                    let _ = exit.send(code);
                }
            }
            Ok(Message::Event(event)) => {
                if event == Event::SandboxExited {
                    lock(waiting).over = true;
                }
                hear(ShimNews::Event(event));
            }
            Err(error) => {
                tracing::error!(socket = socket.get_ref().as_raw_fd(), %error, "message from shim is none");
                return;
            }
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
