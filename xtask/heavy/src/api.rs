//! `cargo xtask api`: the public interface of every crate, an item to a line, in `docs/api`.
//!
//! rustdoc says what a crate offers as JSON, whose format changes with the compiler; `public-api` reads one of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rustdoc_types::FORMAT_VERSION;

use crate::workspace::{Workspace, library};
use crate::{Result, command, no_faults};

/// Writes the public interface of every crate to `docs/api`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Writes nothing, and fails with the difference if a list is not what the crate offers today.
    #[arg(long)]
    check: bool,
    /// The crates, such as `downhill-losses`; all of them by default.
    crates: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let all: Vec<&str> = workspace.crates.iter().map(|package| package.name.as_str()).collect();
    if let Some(unknown) = arguments.crates.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(format!("there is no crate {unknown}; the crates are {}", all.join(", ")).into());
    }
    let folder = workspace.root.join("docs/api");
    fs::create_dir_all(&folder)?;
    let mut stale = Vec::new();
    let is_chosen = |name: &&str| arguments.crates.is_empty() || arguments.crates.iter().any(|chosen| chosen == name);
    let chosen: Vec<&str> = all.into_iter().filter(is_chosen).collect();
    let documents = rustdoc(&workspace, &chosen)?;
    for name in chosen {
        let json = documents.join(library(name)).with_extension("json");
        let format = format_version(&fs::read_to_string(&json)?)?;
        if format != FORMAT_VERSION {
            let unreadable = format!(
                "This compiler's rustdoc writes JSON of format {format}, and `public-api` of this version reads \
                 {FORMAT_VERSION}: raise `public-api` and `rustdoc-types` in Cargo.toml."
            );
            // Another compiler is no fault of the interface: the check says so, and leaves it to one that can.
            if arguments.check {
                println!("The public interface is not checked. {unreadable}");
                return Ok(());
            }
            return Err(unreadable.into());
        }
        let api = public_api::Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .build()
            .map_err(|error| format!("the JSON of {name} can't be read: {error}"))?;
        let now: String = api.items().map(|item| format!("{item}\n")).collect();
        let list = folder.join(name).with_extension("txt");
        if arguments.check {
            let Ok(listed) = fs::read_to_string(&list) else {
                stale.push(format!("docs/api/{name}.txt is missing"));
                continue;
            };
            stale.extend(difference(&listed, &now).map(|lines| format!("docs/api/{name}.txt:\n{lines}")));
        } else {
            fs::write(&list, &now)?;
            println!("docs/api/{name}.txt: {} items", now.lines().count());
        }
    }
    if !stale.is_empty() {
        stale
            .push("The public interface is not what is listed: if it is meant to be so, run `cargo xtask api`.".into());
    }
    no_faults(&stale)
}

/// Has rustdoc describe the crates with all of their features, and gives the folder of the JSON.
fn rustdoc(workspace: &Workspace, names: &[&str]) -> Result<PathBuf> {
    // A target directory of its own: some build scripts run again, with all that depends on them, when the variable
    // that allows unstable options comes or goes.
    let target = workspace.target.join("api");
    let mut cargo = command::cargo();
    // One command for all crates: what they depend on is built once, and not once for each choice of its features.
    cargo.args(["doc", "--quiet", "--no-deps", "--lib", "--all-features", "--target-dir"]).arg(&target);
    cargo.args(names.iter().flat_map(|name| ["--package", name]));
    cargo.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json").env("RUSTC_BOOTSTRAP", "1");
    command::run(cargo.current_dir(&workspace.root))?;
    Ok(target.join("doc"))
}

/// The version of the format of rustdoc's JSON, found without reading the rest.
fn format_version(json: &str) -> Result<u32> {
    let key = r#""format_version":"#;
    let digits = json.rfind(key).map(|at| json[at + key.len()..].trim_start());
    let digits = digits.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    Ok(digits.ok_or("rustdoc's JSON does not say of what format it is")?.parse()?)
}

/// The lines that are only in one of the lists, if there are any.
fn difference(listed: &str, now: &str) -> Option<String> {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (listed.lines().collect(), now.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}\n"));
    let come = new.difference(&old).map(|line| format!("+ {line}\n"));
    let lines: String = gone.chain(come).collect();
    (!lines.is_empty()).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_and_what_is_gone_is_a_difference() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "b\nc\n").unwrap(), "- a\n+ c\n");
        assert_eq!(difference("", "a\n").unwrap(), "+ a\n");
    }

    #[test]
    fn the_format_is_read_wherever_it_stands() {
        assert_eq!(format_version(r#"{"index":{},"format_version":57}"#).unwrap(), 57);
        assert_eq!(format_version(r#"{"format_version": 60, "index": {}}"#).unwrap(), 60);
        assert!(format_version("{}").is_err());
        assert!(format_version(r#"{"format_version":"x"}"#).is_err());
    }
}
