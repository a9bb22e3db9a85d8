//! Kubernetes as one small binary: the command line and the assembly of the roles.

mod cli;
mod companions;
mod data_dir;
mod datastore;
mod hollow;
mod identity;
mod images;
mod local_node;
mod logging;
mod memory;
mod remote_runtime;
mod reset;
mod roles;
mod server;
mod settings;
mod snapshot;
mod story;
mod tree;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    // A Pod's shim is this same binary. It must never start the async runtime, and starts before anything else is read.
    if runtime::shim::is_shim(std::env::args_os()) {
        return runtime::shim::main();
    }
    let outcome = match Cli::parse().command {
        Command::Server(arguments) => server::run(*arguments),
        Command::Reset(arguments) => reset::run(&arguments),
        Command::Images(arguments) => images::run(arguments),
        Command::Snapshot(arguments) => snapshot::run(arguments),
        Command::Story(arguments) => story::run(&arguments),
        Command::Why(arguments) => story::why(&arguments),
        Command::Tree(arguments) => tree::run(&arguments),
        Command::Hollow(arguments) => hollow::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isopod: {error:#}");
            ExitCode::FAILURE
        }
    }
}
