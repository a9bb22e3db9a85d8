//! Executing processes in a running container.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use cri::ExecSyncResponse;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::Container;
use crate::runtime::Shared;
use crate::shim::protocol::{Answer, Call, Streams};
use crate::shim_client::{ShimClient, ShimError};
use crate::stdio::{self, ProcessStreams, Reader, TerminalIo};

/// The most output `exec_sync` keeps of each stream.
const MAX_OUTPUT: u64 = 16 << 20;

/// A process that was executed.
pub struct Execution {
    /// Its standard streams.
    pub streams: ProcessStreams,
    exit: oneshot::Receiver<i32>,
    id: String,
    shim: ShimClient,
}

impl Execution {
    /// Waits for the process to end; returns its exit code.
    ///
    /// # Errors
    /// When the shim ended before.
    pub async fn wait(&mut self) -> cri::Result<i32> {
        let exit = (&mut self.exit).await;
        exit.map_err(|_| cri::Error::Unavailable("the shim of the sandbox is gone".into()))
    }

    /// Kills the process, whoever holds the execution meanwhile.
    fn killer(&self) -> impl Future<Output = Result<(), ShimError>> + Send + use<> {
        let (shim, exec) = (self.shim.clone(), self.id.clone());
        async move { shim.command(Call::KillExec { exec }).await }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.shim.forget_exit_of(&self.id);
    }
}

/// Executes a process in a container; returns once its program runs.
///
/// # Errors
/// [`cri::Error::Failed`] when the container does not run or the program cannot be executed.
pub async fn execute(
    shared: &Shared,
    container: &Container,
    argv: Vec<String>,
    tty: bool,
    wanted: Streams,
) -> cri::Result<Execution> {
    let shim = running(container)?;
    let id = shared.new_id();
    let failed = |error: io::Error| cri::Error::Failed(format!("exec: {error}"));
    let (mut streams, files) = if tty { Default::default() } else { pipes(wanted).map_err(failed)? };
    let exit = shim.exit_of(&id);
    let call = Call::Exec { exec: id.clone(), container: container.id().to_owned(), argv, tty, streams: wanted };
    let execution = |streams| Execution { streams, exit, id, shim: shim.clone() };
    let mut files = match shim.call(call, files).await {
        Ok((Answer::Executing { .. }, files)) => files,
        Ok(_) => return Err(ShimError::Protocol.into()),
        Err(error) => {
            drop(execution(streams));
            let words = format!("failed to exec in container: {}", cri::Error::from(error));
            return Err(cri::Error::Failed(words));
        }
    };
    if let Some(master) = files.pop() {
        let terminal = TerminalIo::new(master).map_err(failed)?;
        streams.stdin = wanted.stdin.then(|| Box::new(terminal.clone()) as stdio::Writer);
        streams.stdout = Some(Box::new(terminal.clone()));
        streams.terminal = Some(terminal);
    }
    Ok(execution(streams))
}

/// The shim of a container that runs.
///
/// # Errors
/// [`cri::Error::Failed`] when it does not.
pub fn running(container: &Container) -> cri::Result<ShimClient> {
    let shim = container.sandbox.shim().filter(|_| container.is_running());
    shim.ok_or_else(|| cri::Error::Failed(format!("container {} is not running", container.id())))
}

/// Pipes for the wanted streams: our ends, and those of the process in the order of their numbers.
pub(super) fn pipes(wanted: Streams) -> io::Result<(ProcessStreams, Vec<OwnedFd>)> {
    let (mut streams, mut files) = (ProcessStreams::default(), Vec::new());
    if wanted.stdin {
        let (theirs, ours) = stdio::input_pipe()?;
        files.push(theirs);
        streams.stdin = Some(ours);
    }
    if wanted.stdout {
        let (theirs, ours) = stdio::output_pipe()?;
        files.push(theirs);
        streams.stdout = Some(ours);
    }
    if wanted.stderr {
        let (theirs, ours) = stdio::output_pipe()?;
        files.push(theirs);
        streams.stderr = Some(ours);
    }
    Ok((streams, files))
}

/// Executes a command to its end.
///
/// # Errors
/// As [`cri::RuntimeService::exec_sync`].
pub async fn execute_to_end(
    shared: &Shared,
    container: &Container,
    argv: Vec<String>,
    timeout_seconds: i64,
) -> cri::Result<ExecSyncResponse> {
    let words = format!("command {argv:?} timed out");
    let wanted = Streams { stdin: false, stdout: true, stderr: true };
    let mut execution = execute(shared, container, argv, false, wanted).await?;
    let kill = execution.killer();
    let end = collect(&mut execution);
    let Ok(seconds @ 1..) = u64::try_from(timeout_seconds) else { return end.await };
    match tokio::time::timeout(Duration::from_secs(seconds), end).await {
        Ok(outcome) => outcome,
        Err(_) => {
            // Whether or not it could be killed, the answer is that it took too long.
            if let Err(error) = kill.await {
                tracing::debug!(%error, "process past its time was not killed");
            }
            Err(cri::Error::DeadlineExceeded(words))
        }
    }
}

async fn collect(execution: &mut Execution) -> cri::Result<ExecSyncResponse> {
    let (stdout, stderr) = (execution.streams.stdout.take(), execution.streams.stderr.take());
    let (stdout, stderr, exit) = tokio::join!(read_all(stdout), read_all(stderr), execution.wait());
    let failed = |error: io::Error| cri::Error::Failed(format!("read output: {error}"));
    Ok(ExecSyncResponse { stdout: stdout.map_err(failed)?, stderr: stderr.map_err(failed)?, exit_code: exit? })
}

/// Reads to the end, keeping at most [`MAX_OUTPUT`] bytes.
async fn read_all(reader: Option<Reader>) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(mut reader) = reader {
        (&mut reader).take(MAX_OUTPUT).read_to_end(&mut output).await?;
        tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    }
    Ok(output)
}
