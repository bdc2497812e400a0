//! `cargo xtask peers`: installs the libraries that `cargo xtask bench --peers` measures next to this one.
//!
//! They are not needed to build or use the library: they lie below the target directory.

use std::path::PathBuf;

use crate::workspace::Workspace;
use crate::{Result, command, python};

/// The Python libraries, each with its script in `benches/peers`.
pub(crate) const SCRIPTS: [(&str, &str); 4] = [
    ("PyTorch", "with_torch.py"),
    ("JAX", "with_jax.py"),
    ("NumPy", "with_numpy.py"),
    ("ONNX Runtime", "with_onnxruntime.py"),
];

/// The Rust libraries, as the program in `benches/peers/rust` names them.
pub(crate) const CRATES: [&str; 3] = ["candle", "burn", "tract"];

/// Installs the libraries that `bench --peers` compares with; all of them, or those of one language.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(value_enum)]
    language: Option<Language>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// PyTorch, JAX, NumPy and ONNX Runtime, in a virtual environment.
    Python,
    /// candle, burn and tract, built from their own workspace and lock file.
    Rust,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    if arguments.language != Some(Language::Rust) {
        python::environment(&workspace.root.join("benches/peers/requirements.txt"), &folder(&workspace, "python"))?;
    }
    if arguments.language != Some(Language::Python) {
        command::run(
            command::cargo()
                .args(["build", "--release", "--locked", "--target-dir"])
                .arg(folder(&workspace, "rust"))
                .current_dir(workspace.root.join("benches/peers/rust")),
        )?;
    }
    Ok(())
}

/// The Python that has the libraries, if it is installed.
pub(crate) fn python(workspace: &Workspace) -> PathBuf {
    python::interpreter(&folder(workspace, "python"))
}

/// The program that has the Rust libraries, if it is built.
pub(crate) fn rust(workspace: &Workspace) -> PathBuf {
    let name = format!("downhill-peers{}", std::env::consts::EXE_SUFFIX);
    folder(workspace, "rust").join("release").join(name)
}

fn folder(workspace: &Workspace, language: &str) -> PathBuf {
    workspace.target.join("peers").join(language)
}
