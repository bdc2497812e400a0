//! The workspace's folder and contents, as Cargo reports them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, command};

/// The crates of a program that only trains.
pub const CORE: [&str; 5] =
    ["downhill-tensor", "downhill-layers", "downhill-losses", "downhill-optim", "downhill-network"];

/// The workspace that this task belongs to.
#[derive(Debug)]
pub struct Workspace {
    /// Its folder.
    pub root: PathBuf,
    /// Cargo's target directory, wherever the user has put it.
    pub target: PathBuf,
    /// The published crates, by name.
    pub crates: Vec<Package>,
}

/// A published crate.
#[derive(Debug)]
pub struct Package {
    /// As Cargo knows it.
    pub name: String,
    /// Its features but `default`.
    pub features: Vec<String>,
    /// The published crates of the workspace that it stands on, its tests aside.
    pub below: Vec<String>,
}

impl Workspace {
    /// Asks Cargo.
    pub fn load() -> Result<Self> {
        let (root, metadata) = (root(), metadata()?);
        let target = metadata["target_directory"].as_str().ok_or("`cargo metadata` names no target directory")?.into();
        let mut crates: Vec<Package> = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            // `publish = false` is an empty list of registries.
            .filter(|package| package["publish"].is_null())
            .filter_map(|package| {
                let features = package["features"].as_object()?.keys().filter(|name| *name != "default").cloned();
                let dependencies = package["dependencies"].as_array()?.iter();
                let below = dependencies
                    // One of the workspace has a path instead of a source.
                    .filter(|dependency| dependency["kind"].is_null() && dependency["source"].is_null())
                    .filter_map(|dependency| Some(dependency["name"].as_str()?.to_owned()));
                Some(Package {
                    name: package["name"].as_str()?.to_owned(),
                    features: features.collect(),
                    below: below.collect(),
                })
            })
            .collect();
        crates.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, target, crates })
    }

    /// The published crates floor by floor: each stands only on those of earlier floors.
    pub fn floors(&self) -> Vec<Vec<&Package>> {
        let mut floors: Vec<Vec<&Package>> = Vec::new();
        let mut rest: Vec<&Package> = self.crates.iter().collect();
        while !rest.is_empty() {
            let stands =
                |package: &&Package| package.below.iter().all(|name| rest.iter().all(|above| above.name != *name));
            let (floor, above): (Vec<_>, Vec<_>) = rest.iter().copied().partition(stands);
            // Cargo allows no circle of dependencies.
            assert!(!floor.is_empty(), "crates that stand on each other: {above:?}");
            floors.push(floor);
            rest = above;
        }
        floors
    }
}

/// All that `cargo metadata` says of the workspace's own packages.
pub fn metadata() -> Result<Value> {
    let mut cargo = command::cargo();
    cargo.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root());
    Ok(serde_json::from_str(&command::output(&mut cargo, "")?)?)
}

/// The name of a package's library.
pub fn library(package: &str) -> String {
    package.replace('-', "_")
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    // As Cargo runs it; what was compiled in could be another checkout's that shares the target directory.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = Path::new(&package);
    package.ancestors().find(|folder| folder.join("Cargo.lock").exists()).unwrap_or(package).to_owned()
}

/// The path from `root` to a file, as the project's texts write it.
pub fn name(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string().replace('\\', "/")
}

/// All files below `folder` that end in `extension`, in order; none where the folder is missing.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_hold_what_stands_on_earlier_ones() {
        let package = |name: &str, below: &[&str]| Package {
            name: name.into(),
            features: Vec::new(),
            below: below.iter().map(|&name| name.into()).collect(),
        };
        let crates = vec![package("a", &["b", "c"]), package("b", &["d"]), package("c", &["d"]), package("d", &[])];
        let workspace = Workspace { root: PathBuf::new(), target: PathBuf::new(), crates };
        let names: Vec<Vec<&str>> = workspace
            .floors()
            .iter()
            .map(|floor| floor.iter().map(|package| package.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["d"], vec!["b", "c"], vec!["a"]]);
    }

    #[test]
    fn every_crate_of_this_workspace_is_on_a_floor() {
        let workspace = Workspace::load().unwrap();
        let floors = workspace.floors();
        assert_eq!(floors.iter().flatten().count(), workspace.crates.len());
        assert_eq!(floors[0].iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["downhill-tensor"]);
        assert_eq!(floors.last().unwrap()[0].name, "downhill");
    }
}
