//! Tells the crate how it is optimised, which only a build script knows.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(optimized)");
    println!("cargo::rustc-check-cfg=cfg(unshared_generics)");
    let level = env::var("OPT_LEVEL").unwrap_or_default();
    if level != "0" {
        println!("cargo::rustc-cfg=optimized");
    }
    // At these levels the compiler lets each crate compile its own copy of the generic code of others.
    if level == "2" || level == "3" {
        println!("cargo::rustc-cfg=unshared_generics");
    }
}
