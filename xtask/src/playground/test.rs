//! The pages in a browser: what they promise, and pictures of them.
//!
//! A script, `test.js`, drives the machine's own Chromium, and its Firefox if there is one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{native, roots};
use crate::server::Server;
use crate::workspace::Workspace;
use crate::{Result, browser, command};

const SCRIPT: &str = include_str!("test.js");

/// Tries the pages of a site, and gives the folder of the screenshots.
pub(super) fn run(workspace: &Workspace, site: &Path) -> Result<PathBuf> {
    let shots = workspace.target.join("playground/shots");
    fs::create_dir_all(&shots)?;
    let server = Server::open(0, roots(workspace, site), "")?;
    let task = json!({
        "playwright": browser::playwright(workspace)?,
        "axe": browser::axe(workspace)?,
        "chromium": browser::chromium()?,
        "firefox": browser::firefox(),
        "address": format!("http://{}/playground/", server.address()),
        "site": site,
        "sources": workspace.root.join("crates/playground/src"),
        "shots": shots,
        "native": answer(workspace)?,
        "portable": portable(),
        "scratch": workspace.target.join("playground"),
    });
    let mut node = Command::new("node").args(["-e", SCRIPT]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = node.stdin.take() {
        stdin.write_all(task.to_string().as_bytes())?;
    }
    println!("screenshots: {}", shots.display());
    if node.wait()?.success() { Ok(shots) } else { Err("the playground does not do what it should (above)".into()) }
}

/// Compiles the crate's program that answers requests as the pages' module does.
fn answer(workspace: &Workspace) -> Result<PathBuf> {
    command::run(native(workspace).args(["build", "--locked", "--example", "answer"]))?;
    let program = workspace.target.join("playground/native/debug/examples/answer");
    Ok(program.with_extension(std::env::consts::EXE_EXTENSION))
}

/// What runs a program as on a processor without AVX2, which takes the portable path; nothing where this one has none.
fn portable() -> Value {
    let qemu = || Command::new("qemu-x86_64").arg("--version").stdout(Stdio::null()).status();
    #[cfg(target_arch = "x86_64")]
    let has_avx2 = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let has_avx2 = false;
    match has_avx2 {
        false => json!([]),
        true if qemu().is_ok_and(|status| status.success()) => json!(["qemu-x86_64", "-cpu", "Nehalem"]),
        true => Value::Null,
    }
}
