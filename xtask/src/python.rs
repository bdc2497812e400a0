//! Virtual environments of Python, with pinned packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, command};

/// The Python of the environment in `folder`, whether it is there or not.
pub(crate) fn interpreter(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// The Python of an environment with what `requirements` pins, made where it is missing or its pins have changed.
pub(crate) fn environment(requirements: &Path, folder: &Path) -> Result<PathBuf> {
    let python = interpreter(folder);
    let installed = folder.join("installed.txt");
    let pins = fs::read_to_string(requirements)?;
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == pins) {
        return Ok(python);
    }
    let base = if cfg!(windows) { "python" } else { "python3" };
    command::run(Command::new(base).args(["-m", "venv", "--clear"]).arg(folder))?;
    command::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    fs::write(installed, pins)?;
    Ok(python)
}
