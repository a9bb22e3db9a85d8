//! The shim's loop: clients, signals, children that set themselves up, output of containers.
//!
//! Flow: one `poll` over everything, then each ready source is served once; nothing blocks except the disk. Guarantees:
//! what happened is on disk before any daemon hears of it; an answer is sent for every request of a client that stays.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::cgroup::{Cgroups, Limits};
use linux::namespace::{self, Namespaces};
use linux::process::{self, Child, CloneRequest, ExitStatus};
use linux::{signal, socket, user_namespace};
use rustix::event::{PollFd, PollFlags};

use super::birth::{self, Surroundings};
use super::client::{Client, Outcome, ReplyTo};
use super::guest::Guest;
use super::output::{CHUNK, Output};
use super::protocol::{Answer, Call, Event, Failure, Message, Request, Streams};
use super::setup::{self, Stage as BirthStage, describe};
use super::spec::{
    ContainerExit, ContainerFile, ContainerPhase, ContainerSpec, IdRange, PidNamespace, ProcessSpec, SandboxSpec,
};
use super::tenant::{Stage, Tenant};
use super::users::Users;
use crate::layout::{self, SandboxDir};

/// A sandbox and everything in it.
pub struct Shim {
    directory: SandboxDir,
    spec: SandboxSpec,
    cgroups: Cgroups,
    host_mounts: File,
    signals: OwnedFd,
    listener: OwnedFd,
    clients: Vec<Client>,
    next_client: u64,
    /// The infra container, or why there is none.
    pause: Result<Child, String>,
    /// The Pod's users, if they are not the host's.
    users: Option<Users>,
    tenants: BTreeMap<String, Tenant>,
    guests: BTreeMap<String, Guest>,
    /// Output of ended containers that slow clients have still to take.
    lingering: Vec<Output>,
    /// Who asked for the end.
    stopping: Option<ReplyTo>,
    buffer: Vec<u8>,
}

/// What `poll` said is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ready {
    Signal,
    Connection,
    Client(u64),
    Birth(String),
    GuestBirth(String),
    Output(String, usize),
    Lingering,
}

impl Shim {
    /// Starts the infra container. A failure is kept for the first client to hear.
    ///
    /// # Errors
    /// When the host cannot be used at all.
    pub fn open(directory: SandboxDir, spec: SandboxSpec, listener: OwnedFd) -> io::Result<Self> {
        let signals = signal::receiver(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
        socket::set_nonblocking(listener.as_fd())?;
        let cgroups = Cgroups::detect().map_err(io::Error::other)?;
        let (pause, users) = match start_pause(&directory, &spec, &cgroups) {
            Ok((pause, users)) => (Ok(pause), users),
            Err(words) => (Err(words), None),
        };
        Ok(Self {
            directory,
            spec,
            cgroups,
            host_mounts: birth::own_mount_namespace()?,
            signals,
            listener,
            clients: Vec::new(),
            next_client: 0,
            pause,
            users,
            tenants: BTreeMap::new(),
            guests: BTreeMap::new(),
            lingering: Vec::new(),
            stopping: None,
            buffer: vec![0; CHUNK],
        })
    }

    /// Serves until everything has ended on request, or there was nothing to serve.
    ///
    /// # Errors
    /// When the loop itself fails; the children die with this process.
    pub fn serve(mut self) -> io::Result<()> {
        loop {
            for ready in self.wait()? {
                self.handle(ready)?;
            }
            if self.is_over() {
                return self.leave();
            }
        }
    }

    fn wait(&self) -> io::Result<Vec<Ready>> {
        let mut sources: Vec<(Ready, PollFd<'_>)> = Vec::new();
        let mut watch = |ready, file, flags| sources.push((ready, PollFd::from_borrowed_fd(file, flags)));
        watch(Ready::Signal, self.signals.as_fd(), PollFlags::IN);
        watch(Ready::Connection, self.listener.as_fd(), PollFlags::IN);
        for client in &self.clients {
            let flags = if client.is_behind() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            watch(Ready::Client(client.id), client.socket(), flags);
        }
        for (id, tenant) in &self.tenants {
            if let Stage::Starting { birth, .. } = &tenant.stage {
                watch(Ready::Birth(id.clone()), birth.socket(), PollFlags::IN);
            }
            for (index, output) in tenant.outputs().iter().enumerate() {
                if let Some(file) = output.readable() {
                    watch(Ready::Output(id.clone(), index), file, PollFlags::IN);
                }
                output.writable().for_each(|file| watch(Ready::Output(id.clone(), index), file, PollFlags::OUT));
            }
        }
        for (id, guest) in &self.guests {
            if let Some((birth, _)) = &guest.birth {
                watch(Ready::GuestBirth(id.clone()), birth.socket(), PollFlags::IN);
            }
        }
        for file in self.lingering.iter().flat_map(Output::writable) {
            watch(Ready::Lingering, file, PollFlags::OUT);
        }
        let (names, mut polled): (Vec<Ready>, Vec<PollFd<'_>>) = sources.into_iter().unzip();
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready: Vec<Ready> = names
            .into_iter()
            .zip(&polled)
            .filter(|(_, file)| !file.revents().is_empty())
            .map(|(name, _)| name)
            .collect();
        ready.dedup();
        Ok(ready)
    }

    fn handle(&mut self, ready: Ready) -> io::Result<()> {
        match ready {
            Ready::Signal => self.take_signals()?,
            Ready::Connection => self.accept(),
            Ready::Client(id) => self.serve_client(id),
            Ready::Birth(id) => self.observe_birth(&id),
            Ready::GuestBirth(id) => self.observe_guest_birth(&id),
            Ready::Output(id, index) => {
                if let Some(tenant) = self.tenants.get_mut(&id) {
                    tenant.pump(index, &mut self.buffer);
                }
            }
            Ready::Lingering => {
                self.lingering.iter_mut().for_each(Output::flush);
                self.lingering.retain(|output| !output.is_finished());
            }
        }
        Ok(())
    }

    // Clients.

    fn accept(&mut self) {
        let accepted = socket::accept(self.listener.as_fd()).and_then(|socket| Client::new(self.next_client, socket));
        match accepted {
            Ok(client) => {
                self.next_client += 1;
                self.clients.push(client);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => eprintln!("cannot accept connection: {error}"),
        }
    }

    fn serve_client(&mut self, id: u64) {
        loop {
            let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else { return };
            let received = client.flush().and_then(|()| client.receive());
            match received {
                Ok(Some(received)) => match serde_json::from_slice::<Request>(&received.message) {
                    Ok(request) => {
                        let reply_to = ReplyTo { client: id, number: request.number };
                        if let Some(outcome) = self.call(request.call, received.files, reply_to) {
                            self.reply(reply_to, outcome);
                        }
                    }
                    Err(error) => {
                        eprintln!("message that is no request: {error}");
                        self.disconnect(id);
                    }
                },
                Ok(None) => return,
                Err(_) => return self.disconnect(id),
            }
        }
    }

    fn disconnect(&mut self, id: u64) {
        self.clients.retain(|client| client.id != id);
    }

    fn reply(&mut self, to: ReplyTo, outcome: Outcome) {
        let (outcome, files) = match outcome {
            Ok((answer, files)) => (Ok(answer), files),
            Err(failure) => (Err(failure), Vec::new()),
        };
        let Some(client) = self.clients.iter_mut().find(|client| client.id == to.client) else { return };
        if client.send(&Message::Reply { number: to.number, outcome }, files).is_err() {
            self.disconnect(to.client);
        }
    }

    fn announce(&mut self, event: Event) {
        let message = Message::Event(event);
        self.clients.retain_mut(|client| client.send(&message, Vec::new()).is_ok());
    }

    // Calls.

    /// Serves a call; `None` when the answer comes later.
    fn call(&mut self, call: Call, files: Vec<OwnedFd>, reply_to: ReplyTo) -> Option<Outcome> {
        Some(match call {
            Call::Status => self.status(),
            Call::Start { container } => return self.start(&container, reply_to).err().map(Err),
            Call::Exec { exec, container, argv, tty, streams } => {
                return self.exec(exec, &container, (argv, tty), (streams, files), reply_to).err().map(Err);
            }
            Call::Attach { container, streams } => self.attach(&container, streams, files),
            Call::Signal { container, signal } => {
                self.tenant(&container).and_then(|tenant| done(tenant.signal(signal)))
            }
            Call::Kill { container } => {
                let cgroups = self.cgroups.clone();
                self.tenant(&container).and_then(|tenant| done(tenant.kill(&cgroups)))
            }
            Call::KillExec { exec } => match self.guests.get(&exec) {
                Some(guest) => done(process::signal(guest.child.pidfd.as_fd(), libc::SIGKILL)),
                None => Err(Failure::NotFound(format!("no process {exec}"))),
            },
            Call::ReopenLog { container } => self.tenant(&container).and_then(|tenant| done(tenant.reopen_log())),
            Call::Stop => {
                self.stop(Some(reply_to));
                return None;
            }
        })
    }

    fn status(&self) -> Outcome {
        let child = self.pause.as_ref().map_err(|words| Failure::Start(words.clone()))?;
        let running = self.tenants.iter().filter_map(|(id, tenant)| Some((id.clone(), tenant.running()?))).collect();
        let starting = self.tenants.iter().filter(|(_, tenant)| tenant.running().is_none());
        let answer = Answer::Status {
            shim_pid: std::process::id() as i32,
            pause_pid: child.pid,
            running: Some(running),
            starting: starting.map(|(id, _)| id.clone()).collect(),
        };
        if child.pid == 0 {
            return Ok((answer, Vec::new()));
        }
        let network = namespace::open_network(child.pid).map_err(|error| Failure::Other(describe(&error)))?;
        Ok((answer, vec![network]))
    }

    fn tenant(&mut self, id: &str) -> Result<&mut Tenant, Failure> {
        self.tenants.get_mut(id).ok_or_else(|| Failure::NotFound(format!("container {id} is not running")))
    }

    fn start(&mut self, id: &str, reply_to: ReplyTo) -> Result<(), Failure> {
        if self.tenants.contains_key(id) {
            return Err(Failure::WrongState(format!("container {id} is running already")));
        }
        if self.stopping.is_some() {
            return Err(Failure::WrongState("the sandbox is stopping".into()));
        }
        let spec = self.read_spec(id)?;
        match self.start_tenant(&spec, reply_to) {
            Ok(tenant) => {
                self.tenants.insert(id.to_owned(), tenant);
                Ok(())
            }
            Err(error) => {
                let words = format!("unable to start container process: {}", describe(&error));
                let exit = ContainerExit {
                    code: 128,
                    started_at: 0,
                    finished_at: linux::clock::realtime_nanoseconds(),
                    oom_killed: false,
                    start_error: Some(words.clone()),
                };
                self.record(id, &ContainerPhase::Exited(exit));
                Err(Failure::Start(words))
            }
        }
    }

    fn read_spec(&self, id: &str) -> Result<ContainerSpec, Failure> {
        let file: io::Result<ContainerFile> = layout::read_json(&self.directory.container_file(id));
        file.map(|file| file.spec).map_err(|error| Failure::NotFound(format!("container {id}: {}", describe(&error))))
    }

    fn start_tenant(&self, spec: &ContainerSpec, reply_to: ReplyTo) -> io::Result<Tenant> {
        let pause = self.pause.as_ref().map_err(|words| io::Error::other(words.clone()))?;
        let surroundings = Surroundings {
            pause: pause.pidfd.as_fd(),
            sandbox: &self.spec,
            mountpoint: layout::mountpoint(self.directory.root()),
            users: self.users.as_ref(),
            host_mounts: self.host_mounts.as_fd(),
            cgroups: &self.cgroups,
        };
        let pid_namespace: Option<BorrowedFd<'_>> = match &spec.pid {
            PidNamespace::Own | PidNamespace::Host => None,
            PidNamespace::Sandbox => Some(pause.pidfd.as_fd()),
            PidNamespace::Container(id) => {
                let target = self.tenants.get(id);
                let target = target.ok_or_else(|| io::Error::other(format!("target container {id} is not running")))?;
                Some(target.child.pidfd.as_fd())
            }
        };
        Tenant::start(spec, &surroundings, pid_namespace, reply_to)
    }

    fn exec(
        &mut self,
        exec: String,
        container: &str,
        (argv, tty): (Vec<String>, bool),
        stdio: (Streams, Vec<OwnedFd>),
        reply_to: ReplyTo,
    ) -> Result<(), Failure> {
        if argv.is_empty() {
            return Err(Failure::Start("no command was given".into()));
        }
        let Some(tenant) = self.tenants.get(container).filter(|tenant| matches!(tenant.stage, Stage::Running { .. }))
        else {
            return Err(Failure::NotFound(format!("container {container} is not running")));
        };
        let spec = ProcessSpec { argv, tty, ..tenant.process.clone() };
        let guest = Guest::start(tenant, &spec, &self.cgroups, self.users.as_ref(), stdio, reply_to)
            .map_err(|error| Failure::Start(format!("unable to start container process: {}", describe(&error))))?;
        self.guests.insert(exec, guest);
        Ok(())
    }

    fn attach(&mut self, container: &str, streams: Streams, files: Vec<OwnedFd>) -> Outcome {
        let tenant = self.tenant(container)?;
        let attach = || {
            let terminal = tenant.terminal()?;
            let input = tenant.attach(streams, files)?;
            Ok(terminal.or(input))
        };
        let file: io::Result<Option<OwnedFd>> = { attach }();
        file.map(|file| (Answer::Done, file.into_iter().collect())).map_err(|error| Failure::Other(describe(&error)))
    }

    // Children.

    fn take_signals(&mut self) -> io::Result<()> {
        while let Some(signal) = signal::take(&self.signals)? {
            if signal != libc::SIGCHLD {
                // Asked to end: a shim on its own is of no use, and neither are containers without it.
                self.stop(None);
            }
        }
        while let Some((pid, status)) = process::reap()? {
            self.bury(pid, status);
        }
        Ok(())
    }

    /// A child was reaped. Orphans that were never ours to know are only reaped.
    fn bury(&mut self, pid: i32, status: ExitStatus) {
        if let Ok(pause) = &mut self.pause
            && pause.pid == pid
        {
            pause.pid = 0;
            let _ = self.cgroups.remove(&self.spec.cgroup);
            return self.announce(Event::SandboxExited);
        }
        let tenant = self.tenants.iter().find(|(_, tenant)| tenant.child.pid == pid).map(|(id, _)| id.clone());
        if let Some(id) = tenant {
            // Its last words may not have been read yet.
            self.observe_birth(&id);
            return self.finish_tenant(&id, status, None);
        }
        let guest = self.guests.iter().find(|(_, guest)| guest.child.pid == pid).map(|(id, _)| id.clone());
        if let Some(id) = guest {
            self.observe_guest_birth(&id);
            if self.guests.remove(&id).is_some() {
                self.announce(Event::ExecExited { exec: id, code: status.code() });
            }
        }
    }

    fn finish_tenant(&mut self, id: &str, status: ExitStatus, start_error: Option<String>) {
        let Some(tenant) = self.tenants.remove(id) else { return };
        let (exit, lingering) = tenant.finish(status, &self.cgroups, &mut self.buffer, start_error);
        self.lingering.extend(lingering);
        self.record(id, &ContainerPhase::Exited(exit.clone()));
        if exit.start_error.is_none() {
            self.announce(Event::ContainerExited { container: id.to_owned(), exit });
        }
    }

    fn observe_birth(&mut self, id: &str) {
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        let Stage::Starting { birth, reply_to } = &mut tenant.stage else { return };
        let (stage, reply_to) = (birth.observe(), *reply_to);
        match stage {
            BirthStage::Unborn => {}
            BirthStage::Born => self.welcome(id, reply_to),
            BirthStage::Failed(words) => {
                let words = format!("unable to start container process: {words}");
                let _ = process::wait(tenant.child.pid);
                self.finish_tenant(id, ExitStatus::Code(128), Some(words.clone()));
                self.reply(reply_to, Err(Failure::Start(words)));
            }
        }
    }

    fn welcome(&mut self, id: &str, reply_to: ReplyTo) {
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        let pid = tenant.child.pid;
        let outcome = match tenant.run() {
            Ok((started_at, user, warnings)) => {
                self.record(id, &ContainerPhase::Running { pid, started_at, user: user.clone() });
                Ok((Answer::Started { pid, started_at, user, warnings }, Vec::new()))
            }
            Err(error) => Err(Failure::Other(describe(&error))),
        };
        self.reply(reply_to, outcome);
    }

    fn observe_guest_birth(&mut self, id: &str) {
        let Some(guest) = self.guests.get_mut(id) else { return };
        let Some((birth, reply_to)) = &mut guest.birth else { return };
        let (stage, reply_to) = (birth.observe(), *reply_to);
        match stage {
            BirthStage::Unborn => {}
            BirthStage::Born => {
                let (pid, terminal) = (guest.child.pid, birth.terminal.take());
                guest.birth = None;
                self.reply(reply_to, Ok((Answer::Executing { pid }, terminal.into_iter().collect())));
            }
            BirthStage::Failed(words) => {
                // Reaped with the other children; nobody waits for it.
                self.guests.remove(id);
                self.reply(reply_to, Err(Failure::Start(format!("unable to start container process: {words}"))));
            }
        }
    }

    /// What daemons find should none be listening.
    fn record(&self, id: &str, phase: &ContainerPhase) {
        if let Err(error) = layout::write_json(&self.directory.state_file(id), phase) {
            eprintln!("cannot record state of container {id}: {error}");
        }
    }

    // The end.

    fn stop(&mut self, reply_to: Option<ReplyTo>) {
        self.stopping = reply_to.or(self.stopping).or(Some(ReplyTo { client: u64::MAX, number: 0 }));
        for tenant in self.tenants.values() {
            if let Err(error) = tenant.kill(&self.cgroups) {
                eprintln!("cannot kill container {}: {error}", tenant.id);
            }
        }
        if let Ok(pause) = &self.pause
            && pause.pid != 0
        {
            let _ = process::signal(pause.pidfd.as_fd(), libc::SIGKILL);
        }
    }

    /// Whether a wanted end is complete, or there never was a sandbox and whoever asked has heard why.
    fn is_over(&self) -> bool {
        let empty = self.tenants.is_empty() && self.pause.as_ref().map_or(true, |pause| pause.pid == 0);
        let failed = self.pause.is_err() && self.next_client > 0 && self.clients.is_empty();
        empty && (self.stopping.is_some() || failed)
    }

    fn leave(mut self) -> io::Result<()> {
        if let Some(reply_to) = self.stopping {
            self.reply(reply_to, Ok((Answer::Done, Vec::new())));
        }
        Ok(())
    }
}

fn done(outcome: io::Result<()>) -> Outcome {
    match outcome {
        Ok(()) => Ok((Answer::Done, Vec::new())),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(Failure::NotFound("it has ended".into())),
        Err(error) => Err(Failure::Other(describe(&error))),
    }
}

/// Starts the infra container and waits until it executes its program.
fn start_pause(
    directory: &SandboxDir,
    spec: &SandboxSpec,
    cgroups: &Cgroups,
) -> Result<(Child, Option<Users>), String> {
    let start = || -> io::Result<_> {
        cgroups.create(&spec.cgroup, &Limits::default()).map_err(io::Error::other)?;
        let entrance = cgroups.entrance(&spec.cgroup).map_err(io::Error::other)?;
        let memory = rustix::fs::memfd_create("pause", rustix::fs::MemfdFlags::CLOEXEC)?;
        File::from(memory.try_clone()?).write_all(linux::pause::PROGRAM)?;
        let (birth, reporter) = setup::line()?;
        let namespaces = Namespaces::MOUNT
            | Namespaces::NETWORK.when(spec.own_network)
            | Namespaces::IPC.when(spec.own_ipc)
            | Namespaces::UTS.when(spec.hostname.is_some())
            | Namespaces::PID.when(spec.shared_pid)
            | Namespaces::USER.when(spec.users.is_some());
        let request = CloneRequest { namespaces, cgroup: entrance.clone_directory() };
        let mountpoint = layout::mountpoint(directory.root());
        let mapped = spec.users.map(|_| io::pipe()).transpose()?;
        let (wait, go) = mapped.unzip();
        let child = process::clone_child(&request, || {
            birth::become_pause(spec, &mountpoint, memory.as_fd(), &entrance, wait.as_ref(), &reporter)
        })?;
        drop(reporter);
        let users = match (spec.users, go) {
            (Some(range), Some(go)) => Some(map_users(&child, spec.oom_score_adj, range, go)?),
            _ => None,
        };
        Ok((child, users, birth))
    };
    let (child, users, mut birth) = start().map_err(|error| describe(&error))?;
    loop {
        let mut waited_for = [PollFd::from_borrowed_fd(birth.socket(), PollFlags::IN)];
        match rustix::event::poll(&mut waited_for, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
        match birth.observe() {
            BirthStage::Unborn => {}
            BirthStage::Born => return Ok((child, users)),
            BirthStage::Failed(words) => {
                let _ = process::wait(child.pid);
                let _ = cgroups.remove(&spec.cgroup);
                return Err(words);
            }
        }
    }
}

/// Tells the kernel who the infra container's users are, and the infra container to go on.
fn map_users(child: &Child, oom_score_adj: i32, range: IdRange, mut go: io::PipeWriter) -> io::Result<Users> {
    // In its namespace it may not lower its score; it says so itself where nobody may.
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.pid), oom_score_adj.to_string());
    let mapped = user_namespace::map(child.pid, range.first, range.length)
        .and_then(|()| Users::of(child.pid, range))
        .and_then(|users| go.write_all(&[0]).map(|()| users));
    mapped.inspect_err(|_| {
        let _ = process::signal(child.pidfd.as_fd(), libc::SIGKILL);
        let _ = process::wait(child.pid);
    })
}
