//! `cargo xtask embedded`: the example of a network in a program without an operating system.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::workspace::Workspace;
use crate::{Result, command};

/// Machines without an operating system.
const TARGETS: [&str; 4] =
    ["thumbv7em-none-eabihf", "thumbv6m-none-eabi", "riscv32imac-unknown-none-elf", "wasm32-unknown-unknown"];

/// Checks the predictor of the example `embedded`, and compiles it for those machines without an operating system whose
/// `core` is installed.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Trains the network and writes the predictor first.
    #[arg(long)]
    write: bool,
    /// Compiles `core` itself for this target; the compiler's sources must be installed.
    #[arg(long, value_name = "TARGET")]
    build_core: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let example = || {
        let mut cargo = command::cargo();
        cargo.args(["run", "--release", "--quiet", "-p", "downhill", "--features", "full", "--example", "embedded"]);
        cargo.current_dir(&workspace.root);
        cargo
    };
    if arguments.write {
        command::run(example().args(["--", "--write"]))?;
    }
    command::run(&mut example())?;

    let folder = workspace.target.join("embedded");
    fs::create_dir_all(&folder)?;
    let source = workspace.root.join("crates/downhill/examples/embedded/bare.rs");
    if let Some(target) = &arguments.build_core {
        // A package of its own: Cargo builds `core` for packages alone.
        let manifest = format!(
            "[package]\nname = \"bare\"\nedition = \"2024\"\n\n[lib]\npath = {:?}\n\n[workspace]\n",
            source.display().to_string()
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        let mut cargo = command::cargo();
        cargo.args(["build", "--release", "-Z", "build-std=core", "--target", target]);
        return command::run(cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(&folder));
    }
    let rustc = || Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let sysroot = command::output(rustc().args(["--print", "sysroot"]), "")?;
    let libraries = PathBuf::from(sysroot.trim()).join("lib/rustlib");
    let installed = TARGETS.iter().filter(|&target| libraries.join(target).join("lib").is_dir());
    let mut compiled = 0;
    for target in installed {
        let mut rustc = rustc();
        rustc.args(["--edition", "2024", "--crate-type", "rlib", "-O", "-D", "warnings", "--target", target]);
        command::run(rustc.arg("--out-dir").arg(&folder).arg(&source))?;
        compiled += 1;
    }
    match compiled {
        0 => println!("no `core` of {} is installed: rustup target add {}", TARGETS.join(", "), TARGETS[0]),
        _ => println!("compiled for {compiled} machines without an operating system"),
    }
    Ok(())
}
