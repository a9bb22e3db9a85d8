//! The shim: one small process per Pod that keeps its containers alive whatever becomes of the daemon.
//!
//! Single-threaded, event-driven, without any async runtime. It starts the infra container, then containers and
//! processes as asked, reaps them, writes their logs, and tells connected daemons when they end. What happens while no
//! daemon is there is found in files (`layout`). Its children die with it.
//!
//! ```text
//! protocol   what daemon and shim say         spec      what is to run, on disk
//! server     the loop: clients, signals       tenant    containers: start, output, end
//! birth      from clone to execve             guest     processes executed later
//!   rootfs     the container's file system    output    from a pipe into log and clients
//!   command    identity, privileges, program  log       CRI's log format
//!   users      a Pod's own user namespace
//! ```

mod birth;
mod client;
mod command;
mod guest;
mod log;
mod output;
pub mod protocol;
mod rootfs;
mod server;
mod setup;
pub mod spec;
mod stdio;
mod tenant;
mod users;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use linux::{process, terminal};
use rustix::fd::AsFd;

use crate::layout::{self, SandboxDir};
use server::Shim;
use spec::SandboxFile;

/// The word that makes the binary a shim: `argv[1]`.
pub const ARGUMENT: &str = "shim";
/// The variable that tells how many files containers may have open, as the daemon has raised its own limit.
pub const OPEN_FILES: &str = "ISOPOD_OPEN_FILES";

/// Whether these command line arguments ask for a shim. The binary must look before it does anything else: before
/// threads, allocations of its own, or an async runtime.
pub fn is_shim(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.nth(1).is_some_and(|word| word == ARGUMENT)
}

/// The whole life of a shim: `argv[2]` is the sandbox's directory, standard input the socket to serve on, standard error
/// where to complain. The caller returns the exit code from `main` at once.
pub fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(2) else {
        eprintln!("{ARGUMENT}: the sandbox's directory is missing");
        return ExitCode::from(64);
    };
    match live(SandboxDir::at(PathBuf::from(directory))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{ARGUMENT}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn live(directory: SandboxDir) -> io::Result<()> {
    let listener = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
    if let Some(files) = std::env::var(OPEN_FILES).ok().and_then(|files| files.parse().ok()) {
        linux::open_files::set_soft(files)?;
    }
    terminal::set_standard(File::open("/dev/null")?.as_fd(), 0)?;
    process::daemonize()?;
    process::set_name(c"isopod-shim")?;
    process::become_subreaper()?;
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let file: SandboxFile = layout::read_json(&directory.sandbox_file())?;
    Shim::open(directory, file.spec, listener)?.serve()
}
