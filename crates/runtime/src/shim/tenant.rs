//! A container as the shim holds it.
//!
//! ```text
//! start -> Starting --(executes its program)--> Running --(first process reaped)--> gone, exit on disk
//!             '------(setup failed)-----------------------------------------------> gone, exit on disk
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::cgroup::Cgroups;
use linux::process::{self, Child, CloneRequest, ExitStatus};
use linux::{clock, namespace};

use super::birth::{self, Surroundings};
use super::client::ReplyTo;
use super::log::{LogFile, Source};
use super::output::Output;
use super::protocol::Streams;
use super::setup::{self, Birth};
use super::spec::{ContainerExit, ContainerPhase, ContainerSpec, PidNamespace, ProcessSpec, ResolvedUser};
use super::stdio::{self, ChildStdio};

/// A container with processes.
#[derive(Debug)]
pub struct Tenant {
    /// CRI id.
    pub id: String,
    /// Its first process.
    pub child: Child,
    /// How far it is.
    pub stage: Stage,
    /// Its cgroup.
    pub cgroup: String,
    /// For processes executed in it later.
    pub oom_score_adj: i32,
    /// What its first process is, and what those are like that are executed later.
    pub process: ProcessSpec,
    own_pid_namespace: bool,
    log: Option<LogFile>,
    outputs: Vec<Output>,
    input: Input,
}

/// How far a container is.
#[derive(Debug)]
pub enum Stage {
    /// Its process sets itself up.
    Starting {
        /// What the process tells us.
        birth: Birth,
        /// Who waits for it.
        reply_to: ReplyTo,
    },
    /// Its program runs.
    Running {
        /// Nanoseconds since the epoch.
        started_at: i64,
        /// Who it runs as.
        user: ResolvedUser,
    },
}

/// Where a container's input comes from.
#[derive(Debug)]
enum Input {
    /// It has none.
    None,
    /// A pipe; once it is given away for good nobody else can write.
    Pipe { writer: OwnedFd, once: bool },
    /// A terminal, which carries input and output.
    Terminal(OwnedFd),
}

impl Tenant {
    /// Creates the container's first process, which sets itself up from now on.
    ///
    /// # Errors
    /// When no process can be created, its cgroup is missing, or its log cannot be opened.
    pub fn start(
        spec: &ContainerSpec,
        surroundings: &Surroundings<'_>,
        pid_namespace: Option<BorrowedFd<'_>>,
        reply_to: ReplyTo,
    ) -> io::Result<Self> {
        let log = spec.log_path.as_deref().map(LogFile::open).transpose()?;
        let entrance = surroundings.cgroups.entrance(&spec.cgroup).map_err(io::Error::other)?;
        let (birth, reporter) = setup::line()?;
        let (stdio, outputs, input) = streams(spec)?;
        let request = CloneRequest { namespaces: birth::birth_namespaces(spec), cgroup: entrance.clone_directory() };
        let clone = || {
            process::clone_child(&request, || birth::become_container(spec, surroundings, &entrance, stdio, &reporter))
        };
        let child = match pid_namespace {
            Some(pidfd) => namespace::with_pid_namespace_of(pidfd, clone)?,
            None => clone()?,
        };
        Ok(Self {
            id: spec.id.clone(),
            child,
            stage: Stage::Starting { birth, reply_to },
            cgroup: spec.cgroup.clone(),
            oom_score_adj: spec.oom_score_adj,
            process: spec.process.clone(),
            own_pid_namespace: spec.pid == PidNamespace::Own,
            log,
            outputs,
            input,
        })
    }

    /// The program runs: the container has its terminal now, if it has one. Returns when and as whom it started.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn run(&mut self) -> io::Result<(i64, ResolvedUser, Vec<String>)> {
        let Stage::Starting { birth, .. } = &mut self.stage else {
            return Err(io::Error::other("the container runs already"));
        };
        if let Some(master) = birth.terminal.take() {
            self.outputs.push(Output::new(master.try_clone()?, Source::Stdout)?);
            self.input = Input::Terminal(master);
        }
        let (user, warnings) = (std::mem::take(&mut birth.user), std::mem::take(&mut birth.warnings));
        let started_at = clock::realtime_nanoseconds();
        self.stage = Stage::Running { started_at, user: user.clone() };
        Ok((started_at, user, warnings))
    }

    /// What a daemon is told of it while its program runs.
    pub fn running(&self) -> Option<ContainerPhase> {
        let Stage::Running { started_at, user } = &self.stage else { return None };
        Some(ContainerPhase::Running { pid: self.child.pid, started_at: *started_at, user: user.clone() })
    }

    /// Its streams of output.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Moves output along after the poll said something about stream `index`.
    pub fn pump(&mut self, index: usize, buffer: &mut [u8]) {
        if let Some(output) = self.outputs.get_mut(index) {
            output.flush();
            if output.readable().is_some() {
                output.pump(buffer, self.log.as_mut(), clock::realtime_nanoseconds());
            }
        }
    }

    /// Opens the log anew.
    ///
    /// # Errors
    /// What the file system says.
    pub fn reopen_log(&mut self) -> io::Result<()> {
        self.log.as_mut().map_or(Ok(()), LogFile::reopen)
    }

    /// Connects a client to the container's streams; returns the file to write input to, if wanted and there is one.
    ///
    /// # Errors
    /// When fewer files came than were announced.
    pub fn attach(&mut self, streams: Streams, files: Vec<OwnedFd>) -> io::Result<Option<OwnedFd>> {
        let mut files = files.into_iter();
        for (index, wanted) in [streams.stdout, streams.stderr].into_iter().enumerate() {
            if wanted {
                let file = files.next().ok_or(io::ErrorKind::InvalidInput)?;
                // A terminal has one stream; its second client sees the end at once.
                if let Some(output) = self.outputs.get_mut(index) {
                    output.attach(file)?;
                }
            }
        }
        if !streams.stdin {
            return Ok(None);
        }
        match std::mem::replace(&mut self.input, Input::None) {
            Input::None => Ok(None),
            Input::Pipe { writer, once: true } => Ok(Some(writer)),
            kept @ (Input::Pipe { .. } | Input::Terminal(_)) => {
                let copy = kept.file().map(OwnedFd::try_clone).transpose();
                self.input = kept;
                copy
            }
        }
    }

    /// The terminal, for whoever has to tell it its size.
    ///
    /// # Errors
    /// When no more files can be opened.
    pub fn terminal(&self) -> io::Result<Option<OwnedFd>> {
        match &self.input {
            Input::Terminal(master) => master.try_clone().map(Some),
            _ => Ok(None),
        }
    }

    /// Sends a signal to the first process.
    ///
    /// # Errors
    /// `ESRCH` when it has ended.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        process::signal(self.child.pidfd.as_fd(), signal)
    }

    /// Kills everything in the container.
    ///
    /// # Errors
    /// What the kernel says; that it has ended already is fine.
    pub fn kill(&self, cgroups: &Cgroups) -> io::Result<()> {
        match self.signal(libc::SIGKILL) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            outcome => outcome?,
        }
        if self.own_pid_namespace {
            // With its first process the kernel ends the whole namespace.
            return Ok(());
        }
        cgroups.kill(&self.cgroup).map_err(io::Error::other)
    }

    /// Winds the container up after its first process was reaped: what is left of it ends, its output is complete, its
    /// cgroup is gone. Returns how it ended and streams that slow clients have still to take.
    pub fn finish(
        mut self,
        status: ExitStatus,
        cgroups: &Cgroups,
        buffer: &mut [u8],
        start_error: Option<String>,
    ) -> (ContainerExit, Vec<Output>) {
        let finished_at = clock::realtime_nanoseconds();
        if !self.own_pid_namespace
            && let Err(error) = cgroups.kill(&self.cgroup)
        {
            eprintln!("cannot kill what is left of container {}: {error}", self.id);
        }
        for output in &mut self.outputs {
            output.drain(buffer, self.log.as_mut(), finished_at);
        }
        let oom_killed = cgroups.oom_kills(&self.cgroup).is_ok_and(|kills| kills > 0);
        if let Err(error) = cgroups.remove(&self.cgroup) {
            eprintln!("{error}");
        }
        let started_at = match self.stage {
            Stage::Running { started_at, .. } => started_at,
            Stage::Starting { .. } => 0,
        };
        self.outputs.retain(|output| !output.is_finished());
        (ContainerExit { code: status.code(), started_at, finished_at, oom_killed, start_error }, self.outputs)
    }
}

impl Input {
    fn file(&self) -> Option<&OwnedFd> {
        match self {
            Self::None => None,
            Self::Pipe { writer, .. } => Some(writer),
            Self::Terminal(master) => Some(master),
        }
    }
}

fn streams(spec: &ContainerSpec) -> io::Result<(ChildStdio, Vec<Output>, Input)> {
    if spec.process.tty {
        return Ok((ChildStdio::Terminal, Vec::new(), Input::None));
    }
    let (child, parent) = stdio::pipes(spec.stdin)?;
    let outputs = vec![Output::new(parent.stdout, Source::Stdout)?, Output::new(parent.stderr, Source::Stderr)?];
    let input = parent.stdin.map_or(Input::None, |writer| Input::Pipe { writer, once: spec.stdin_once });
    Ok((child, outputs, input))
}
