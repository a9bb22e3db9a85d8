//! What daemon and shim say to each other, one JSON value per message on a socket that keeps message boundaries.
//!
//! The daemon sends [`Request`]s; the shim answers each with one [`Message::Reply`] carrying its number, in any order,
//! and tells everyone connected about [`Event`]s. Open files travel beside the messages. A shim outlives daemons, so a
//! newer daemon must understand older shims: change these types only by adding optional parts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::spec::{ContainerExit, ContainerPhase, ResolvedUser};

/// A call with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Returned with the reply.
    pub number: u64,
    /// What to do.
    pub call: Call,
}

/// What a daemon asks of a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// What runs? The reply carries the network namespace as a file.
    Status,
    /// Starts a container described in the sandbox's directory.
    Start {
        /// Its id.
        container: String,
    },
    /// Runs another process in a running container. Files: its standard input, output, error, as flagged. With a
    /// terminal there are none and the reply carries the terminal's master.
    Exec {
        /// Names the process from now on.
        exec: String,
        /// In which container.
        container: String,
        /// Program and arguments.
        argv: Vec<String>,
        /// On a terminal of its own.
        tty: bool,
        /// Which standard streams come with the message.
        streams: Streams,
    },
    /// Sends output from now on to files as well. Files: where standard output and error go, as flagged. The reply
    /// carries the file to write standard input (or anything for the terminal) to, if asked for and there is one.
    Attach {
        /// To which container.
        container: String,
        /// What to attach to.
        streams: Streams,
    },
    /// Sends a signal to a container's first process.
    Signal {
        /// Which container.
        container: String,
        /// The signal's number.
        signal: i32,
    },
    /// Kills everything in a container.
    Kill {
        /// Which container.
        container: String,
    },
    /// Kills a process started by `Exec`.
    KillExec {
        /// Which process.
        exec: String,
    },
    /// Opens the log file anew: it was renamed.
    ReopenLog {
        /// Of which container.
        container: String,
    },
    /// Kills everything and exits. The reply comes when nothing is left.
    Stop,
}

/// Standard streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// What a shim sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The answer to a request.
    Reply {
        /// The request's number.
        number: u64,
        /// What came of it.
        outcome: Result<Answer, Failure>,
    },
    /// Something happened.
    Event(Event),
}

/// The good outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing to say.
    Done,
    /// To [`Call::Status`].
    Status {
        /// The shim's process.
        shim_pid: i32,
        /// The infra container's process, 0 once it has ended.
        pause_pid: i32,
        /// Containers whose programs run, by id; an older shim does not tell.
        #[serde(default)]
        running: Option<BTreeMap<String, ContainerPhase>>,
        /// Containers that set themselves up.
        #[serde(default)]
        starting: Vec<String>,
    },
    /// To [`Call::Start`].
    Started {
        /// The process on the host.
        pid: i32,
        /// Nanoseconds since the epoch.
        started_at: i64,
        /// Who it runs as.
        user: ResolvedUser,
        /// What could not be done as asked but did not keep it from starting.
        warnings: Vec<String>,
    },
    /// To [`Call::Exec`].
    Executing {
        /// The process on the host.
        pid: i32,
    },
}

/// The bad outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// There is no such container or process.
    #[error("{0}")]
    NotFound(String),
    /// It is not in a state for the call.
    #[error("{0}")]
    WrongState(String),
    /// The process could not be started; the message is for the user.
    #[error("{0}")]
    Start(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What happens without being asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A container's first process ended.
    ContainerExited {
        /// Which container.
        container: String,
        /// How.
        exit: ContainerExit,
    },
    /// A process started by `Exec` ended.
    ExecExited {
        /// Which process.
        exec: String,
        /// Its exit code.
        code: i32,
    },
    /// The infra container ended: the sandbox is of no use any more.
    SandboxExited,
}
