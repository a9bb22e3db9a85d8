//! How the binary is linked.
//!
//! At a fixed address: every Pod's shim is this binary; position-independent, each would relocate (and so privately own)
//! a megabyte of vtables and string tables it never reads; fixed, those pages stay shared and clean.
//!
//! With functions of equal code once: drop glue and decoders come out of several crates alike. The linker that Rust
//! brings along for this target can do it; others need not.

use std::env;

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    if env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
