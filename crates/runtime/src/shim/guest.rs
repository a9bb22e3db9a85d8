//! A process executed in a running container. Its streams belong to whoever asked for it; the shim only waits for it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use linux::cgroup::Cgroups;
use linux::namespace;
use linux::process::{self, Child, CloneRequest};

use super::birth;
use super::client::ReplyTo;
use super::protocol::Streams;
use super::setup::{self, Birth};
use super::spec::ProcessSpec;
use super::stdio::{self, ChildStdio};
use super::tenant::Tenant;
use super::users::Users;

/// An executed process.
#[derive(Debug)]
pub struct Guest {
    /// The process.
    pub child: Child,
    /// Set until its program runs: what it tells us, and who waits for it.
    pub birth: Option<(Birth, ReplyTo)>,
}

impl Guest {
    /// Creates the process, which sets itself up from now on.
    ///
    /// # Errors
    /// When the container has ended or no process can be created.
    pub fn start(
        tenant: &Tenant,
        spec: &ProcessSpec,
        cgroups: &Cgroups,
        users: Option<&Users>,
        (streams, files): (Streams, Vec<OwnedFd>),
        reply_to: ReplyTo,
    ) -> io::Result<Self> {
        let entrance = cgroups.entrance(&tenant.cgroup).map_err(io::Error::other)?;
        let stdio = if spec.tty { ChildStdio::Terminal } else { stdio::given(streams, files)? };
        let (birth, reporter) = setup::line()?;
        let container = tenant.child.pidfd.as_fd();
        let request = CloneRequest { cgroup: entrance.clone_directory(), ..CloneRequest::default() };
        let child = namespace::with_pid_namespace_of(container, || {
            process::clone_child(&request, || {
                birth::become_exec(spec, container, &entrance, tenant.oom_score_adj, stdio, users, &reporter)
            })
        })?;
        Ok(Self { child, birth: Some((birth, reply_to)) })
    }
}
