//! A program that is nothing but a shim: what tests of the runtime start, as the isopod binary starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    if !runtime::shim::is_shim(std::env::args_os()) {
        eprintln!("this program is started by the runtime");
        return ExitCode::from(64);
    }
    runtime::shim::main()
}
