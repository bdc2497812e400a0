//! `cargo xtask golden`: numbers that other frameworks computed, for the tests to compare with.
//!
//! Each script `xtask/golden/NAME.py` writes fixtures `crates/*/tests/fixtures/*.safetensors`, whose headers name
//! the script, what it reads from `xtask/golden/support`, and the SHA-256 of their texts.
//! So a script that was changed without being run shows, with no Python at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::workspace::{self, Workspace};
use crate::{Result, command, no_faults, python};

/// The pinned frameworks, a line `name==version` for each.
const REQUIREMENTS: &str = "xtask/golden/requirements.txt";

/// Writes the fixtures again, or checks that they belong to the scripts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only checks that every fixture was written by its script as it stands; needs no Python.
    #[arg(long)]
    pub(crate) check: bool,
    /// The one script to run or check, such as `losses`; all without it.
    pub(crate) name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let root = workspace::root();
    let scripts = scripts(&root, arguments.name.as_deref())?;
    if !arguments.check {
        let folder = Workspace::load()?.target.join("golden-venv");
        let python = python::environment(&root.join(REQUIREMENTS), &folder)?;
        for script in &scripts {
            command::run(Command::new(&python).arg(script).current_dir(&root))?;
        }
    }
    check(&root, &scripts)
}

/// The scripts of this name, or all, as paths from the root.
fn scripts(root: &Path, name: Option<&str>) -> Result<BTreeSet<String>> {
    let mut scripts = BTreeSet::new();
    let folder = root.join("xtask/golden");
    for path in workspace::files(&folder, "py")? {
        if path.parent() != Some(&folder) {
            continue; // what the scripts share
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if name.is_none_or(|name| name == stem) {
            scripts.insert(script(&stem));
        }
    }
    match name {
        Some(name) if scripts.is_empty() => Err(format!("there is no {}", script(name)).into()),
        _ => Ok(scripts),
    }
}

/// The path of the script `name`, as a fixture records it.
fn script(name: &str) -> String {
    format!("xtask/golden/{name}.py")
}

/// Says of each fixture of the wanted scripts that it is in order; fails where one is stale or a script has none.
fn check(root: &Path, wanted: &BTreeSet<String>) -> Result {
    let all = scripts(root, None)?;
    let pins = fs::read_to_string(root.join(REQUIREMENTS))?;
    let mut unseen = wanted.clone();
    let mut faults = Vec::new();
    for path in fixtures(root)? {
        let name = workspace::name(root, &path);
        let verdict = match origin(&path) {
            Err(error) => Err(error.to_string()),
            Ok(Origin { script, .. }) if !all.contains(&script) => {
                Err(format!("it names the script {script}, which does not exist"))
            }
            Ok(origin) if !wanted.contains(&origin.script) => continue,
            Ok(origin) => {
                unseen.remove(&origin.script);
                origin.is_current(root, &pins)
            }
        };
        match verdict {
            Ok(()) => println!("{name}: in order"),
            Err(reason) => faults.push(format!("{name}: {reason}")),
        }
    }
    faults.extend(unseen.iter().map(|script| format!("{script}: no fixture names it")));
    no_faults(&faults)
}

fn fixtures(root: &Path) -> Result<Vec<PathBuf>> {
    let mut fixtures = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        fixtures.extend(workspace::files(&entry?.path().join("tests/fixtures"), "safetensors")?);
    }
    fixtures.sort();
    Ok(fixtures)
}

/// The writer of a fixture.
struct Origin {
    script: String,
    /// The files that decided what was written, with their sums: the script and what it reads.
    sources: BTreeMap<String, String>,
    /// All that the fixture says of itself; the version of a framework under the framework's name.
    metadata: Value,
}

impl Origin {
    /// Whether the script and the pinned versions of what it used are still the same.
    fn is_current(&self, root: &Path, pins: &str) -> std::result::Result<(), String> {
        for (source, sum) in &self.sources {
            let text = fs::read(root.join(source)).map_err(|error| format!("{source} can't be read: {error}"))?;
            if sha256(&text) != *sum {
                return Err(format!("stale, since {source} has changed; run `cargo xtask golden`"));
            }
        }
        for (framework, pinned) in pins.lines().filter_map(|line| line.split_once("==")) {
            if let Some(used) = self.metadata[framework].as_str().filter(|used| *used != pinned) {
                return Err(format!("stale, from {framework} {used}, not {pinned}; run `cargo xtask golden`"));
            }
        }
        Ok(())
    }
}

/// Who wrote a fixture, from its header: eight bytes of length, little-endian, then JSON.
fn origin(path: &Path) -> Result<Origin> {
    let bytes = fs::read(path)?;
    let header = bytes
        .split_first_chunk()
        .and_then(|(length, rest)| rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?))
        .ok_or("it is not a safetensors file: it is shorter than its header says")?;
    let header: Value = serde_json::from_slice(header).map_err(|error| format!("its header is not JSON: {error}"))?;
    let metadata = header["__metadata__"].clone();
    let entry = |key: &str| {
        let value = metadata[key].as_str().map(str::to_owned);
        value.ok_or_else(|| format!("its header has no `{key}` under `__metadata__`"))
    };
    let script = entry("script")?;
    let mut sources: BTreeMap<String, String> = match metadata["support"].as_str() {
        Some(support) => serde_json::from_str(support)?,
        None => BTreeMap::new(),
    };
    sources.insert(script.clone(), entry("script_sha256")?);
    Ok(Origin { script, sources, metadata })
}

/// The SHA-256 of `bytes` in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A sentence if the file is missing or other than this sum says.
pub(crate) fn sum_fault(file: &Path, sum: &str) -> Option<String> {
    match fs::read(file).map(|bytes| sha256(&bytes)) {
        Err(error) => Some(format!("{} can't be read ({error})", file.display())),
        Ok(found) => (found != sum).then(|| format!("{} has the SHA-256 {found}, not {sum}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with one script and one fixture that says it was written by a script with this text.
    fn workspace(script: &str, written_by: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let fixtures = root.path().join("crates/layers/tests/fixtures");
        fs::create_dir_all(&fixtures).unwrap();
        fs::create_dir_all(root.path().join("xtask/golden")).unwrap();
        fs::write(root.path().join("xtask/golden/layers.py"), script).unwrap();
        fs::write(root.path().join(REQUIREMENTS), "# pins\nnumpy==2.4.6\ntorch==2.15.0\n").unwrap();
        let header = serde_json::json!({
            "__metadata__": {
                "script": "xtask/golden/layers.py",
                "script_sha256": sha256(written_by.as_bytes()),
                "torch": "2.15.0",
            },
        })
        .to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.bytes());
        fs::write(fixtures.join("affine.safetensors"), file).unwrap();
        root
    }

    fn verdict(root: &Path) -> Result {
        check(root, &scripts(root, None)?)
    }

    #[test]
    fn a_fixture_passes_until_its_script_changes() {
        verdict(workspace("print(1)", "print(1)").path()).unwrap();
        assert!(verdict(workspace("print(2)", "print(1)").path()).is_err());
    }

    #[test]
    fn a_fixture_of_another_version_of_a_framework_is_stale() {
        let root = workspace("print(1)", "print(1)");
        fs::write(root.path().join(REQUIREMENTS), "torch==2.16.0").unwrap();
        assert!(verdict(root.path()).is_err());
    }

    #[test]
    fn a_script_without_a_fixture_is_found() {
        let root = workspace("print(1)", "print(1)");
        fs::write(root.path().join("xtask/golden/losses.py"), "").unwrap();
        assert!(verdict(root.path()).is_err());
        check(root.path(), &scripts(root.path(), Some("layers")).unwrap()).unwrap();
        assert!(scripts(root.path(), Some("absent")).is_err());
    }

    #[test]
    fn a_fixture_without_a_script_is_found() {
        let root = workspace("print(1)", "print(1)");
        fs::rename(root.path().join("xtask/golden/layers.py"), root.path().join("xtask/golden/other.py")).unwrap();
        assert!(verdict(root.path()).is_err());
    }

    #[test]
    fn a_broken_fixture_is_an_error_and_not_a_panic() {
        let root = workspace("print(1)", "print(1)");
        let fixture = root.path().join("crates/layers/tests/fixtures/affine.safetensors");
        let good = fs::read(&fixture).unwrap();
        for bytes in [&good[..4], &good[..20], &[0; 8][..], &[255; 64][..], b"\x02\0\0\0\0\0\0\0{}"] {
            fs::write(&fixture, bytes).unwrap();
            assert!(origin(&fixture).is_err());
            assert!(verdict(root.path()).is_err());
        }
    }

    #[test]
    fn the_hash_is_sha256() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
