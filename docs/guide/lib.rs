//! The guide's chapters as documentation, so that `cargo test` compiles and runs their code.
//!
//! They have a crate of their own because a published crate can't include files from outside its folder.
#![forbid(unsafe_code)]

// Made by `build.rs`, which forgets no chapter.
#[cfg(doctest)]
include!(concat!(env!("OUT_DIR"), "/chapters.rs"));
