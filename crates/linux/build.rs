//! Compiles the infra container, a program of its own without any library, to be embedded in this crate.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    const SOURCE: &str = "pause/pause.rs";
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let output = Path::new(&variable("OUT_DIR")).join("pause");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--crate-name=pause", "--crate-type=bin", "--edition=2024", SOURCE, "-o"])
        .arg(&output)
        .args(["--target", &variable("TARGET")])
        .args(["-Cpanic=abort", "-Copt-level=s", "-Cstrip=symbols", "-Crelocation-model=static"])
        .args(["-Ctarget-feature=+crt-static"])
        .args(["-Clink-args=-nostartfiles -nostdlib -static -no-pie -Wl,--build-id=none,-z,noseparate-code,-n"]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let status = rustc.status().unwrap_or_else(|error| panic!("cannot run rustc: {error}"));
    assert!(status.success(), "rustc could not compile {SOURCE}");
}
