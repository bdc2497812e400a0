//! Where the workspace lies and what it holds, as Cargo tells it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, command};

/// The workspace that this task belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever the user has put it.
    pub(crate) target: PathBuf,
    /// The published crates, by name.
    pub(crate) crates: Vec<Package>,
}

/// A published crate.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its features but `default`.
    pub(crate) features: Vec<String>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let root = root();
        let metadata = command::output(
            command::cargo().args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(&root),
            "",
        )?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"].as_str().ok_or("`cargo metadata` names no target directory")?.into();
        let mut crates: Vec<Package> = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            // `publish = false` is an empty list of registries.
            .filter(|package| package["publish"].is_null())
            .filter_map(|package| {
                let features = package["features"].as_object()?.keys().filter(|name| *name != "default").cloned();
                Some(Package { name: package["name"].as_str()?.to_owned(), features: features.collect() })
            })
            .collect();
        crates.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, target, crates })
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // As Cargo runs it; what was compiled in could be another checkout's that shares the target directory.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).with_file_name("")
}

/// All files below `folder` that end in `extension`, in order; none where the folder is missing.
pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
