//! `cargo xtask figures`: the guide's figures and tables, each drawn from a run that is made here.
//!
//! All are the same bytes on every machine: seeds are fixed, numbers are `f64`, and what is shown is rounded long before
//! the last bits, which alone depend on the processor.
//! So `--check` can tell what is stale.

mod bowls;
mod chain;
mod depth;
mod digits;
mod landscape;
mod learning;
mod penguins;
mod sexes;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{Result, no_faults, workspace};

/// Draws the guide's figures and writes its tables, each from a run made for it.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Only checks that the committed ones are what the runs give.
    #[arg(long)]
    pub(crate) check: bool,
}

/// The contents of the folder of figures: texts by the names of their files.
type Files = BTreeMap<String, String>;

/// The figures and tables of one part of the guide.
type Part = fn(&mut Files) -> Result;

const PARTS: [Part; 8] =
    [bowls::add, penguins::add, landscape::add, chain::add, depth::add, digits::add, learning::add, sexes::add];

pub(crate) fn run(arguments: &Arguments) -> Result {
    let mut files = Files::new();
    for part in PARTS {
        part(&mut files)?;
    }
    let folder = workspace::root().join("docs/guide/src/figures");
    let stale = stale(&folder, &files)?;
    if arguments.check {
        let fault = |name: &String| format!("{name}: stale; run `cargo xtask figures`");
        return no_faults(&stale.iter().map(fault).collect::<Vec<_>>());
    }
    fs::create_dir_all(&folder)?;
    for name in stale {
        let path = folder.join(&name);
        match files.get(&name) {
            Some(text) => fs::write(path, text)?,
            None => fs::remove_file(path)?,
        }
        println!("{name}: written anew");
    }
    Ok(())
}

/// The names of files that are missing, other than they should be, or no longer made.
fn stale(folder: &Path, files: &Files) -> Result<Vec<String>> {
    let mut stale: Vec<String> = files
        .iter()
        .filter(|(name, text)| fs::read(folder.join(name)).ok().as_deref() != Some(text.as_bytes()))
        .map(|(name, _)| name.clone())
        .collect();
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !files.contains_key(&name) {
                stale.push(name);
            }
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_changed_or_left_over_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let text = |text: &str| text.to_owned();
        let files = Files::from([("a", "1"), ("b", "2"), ("c", "3")].map(|(name, it)| (text(name), text(it))));
        fs::write(folder.path().join("a"), "1").unwrap();
        fs::write(folder.path().join("b"), "0").unwrap();
        fs::write(folder.path().join("d"), "4").unwrap();
        assert_eq!(stale(folder.path(), &files).unwrap(), ["b", "c", "d"]);
        assert_eq!(stale(&folder.path().join("none"), &files).unwrap(), ["a", "b", "c"]);
    }
}
