//! The pages in a browser: what they promise, and pictures of them.
//!
//! Playwright drives the machine's own Chromium from a script, `test.js`, and `axe-core` looks for what a person who does
//! not see the page, or has no mouse, could not use.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{native, roots, server::Server};
use crate::workspace::Workspace;
use crate::{Result, command, npm};

const PLAYWRIGHT: (&str, &str) =
    ("playwright-core@1.65.1", "6f5a60be62a4fddfbe7d10c448d8fbd54547da3358f2f8a04211440471ee863e");
const AXE: (&str, &str) = ("axe-core@4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745");

const SCRIPT: &str = include_str!("test.js");

/// Tries the pages of a site, and gives the folder of the screenshots.
pub(super) fn run(workspace: &Workspace, site: &Path) -> Result<PathBuf> {
    let unpack = |(package, sum): (&str, &str), name| npm::unpack(package, sum, &workspace.target.join(name));
    let shots = workspace.target.join("playground/shots");
    fs::create_dir_all(&shots)?;
    let server = Server::open(0, roots(workspace, site))?;
    let task = json!({
        "playwright": unpack(PLAYWRIGHT, "playwright")?,
        "axe": unpack(AXE, "axe")?.join("axe.min.js"),
        "chromium": chromium()?,
        "address": format!("http://{}/playground/", server.address()),
        "site": site,
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

/// The machine's Chromium, or the one that the variable `CHROMIUM` names.
fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    let folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"].iter();
    let places = names.flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| place.is_file()).ok_or_else(|| {
        "no Chromium is on the PATH: install the package `chromium`, or name the program in the variable CHROMIUM"
            .into()
    })
}
