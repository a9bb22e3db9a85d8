//! Links the binary at a fixed address. Every Pod's shim is this binary: position-independent, each would relocate (and
//! so privately own) a megabyte of vtables and string tables it never reads; fixed, those pages stay shared and clean.

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rerun-if-changed=build.rs");
}
