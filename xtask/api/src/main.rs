//! `cargo xtask api`: the public interface of every crate, an item to a line, in `docs/api`.
//!
//! rustdoc says what a crate offers as JSON, whose format changes with the compiler; `public-api` reads one of them.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use rustdoc_types::FORMAT_VERSION;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Writes the public interface of every crate to `docs/api`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask api", bin_name = "cargo xtask api")]
struct Arguments {
    /// Writes nothing, and fails with the difference if a list is not what the crate offers today.
    #[arg(long)]
    check: bool,
    /// The crates, such as `downhill-losses`; all of them by default.
    crates: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result {
    let root = root();
    let all = crates(&root)?;
    if let Some(unknown) = arguments.crates.iter().find(|name| !all.contains(*name)) {
        let known: Vec<&str> = all.iter().map(String::as_str).collect();
        return Err(format!("there is no crate {unknown}; the crates are {}", known.join(", ")).into());
    }
    let folder = root.join("docs/api");
    fs::create_dir_all(&folder)?;
    let mut stale = Vec::new();
    for name in all.iter().filter(|name| arguments.crates.is_empty() || arguments.crates.contains(name)) {
        let json = rustdoc(&root, name)?;
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
    if stale.is_empty() {
        return Ok(());
    }
    let faults = stale.join("\n");
    Err(format!(
        "{faults}\nThe public interface is not what is listed: if it is meant to be so, run `cargo xtask api`."
    )
    .into())
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../..")
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The names of the published crates: each lies in a folder of `crates`, and `downhill` is a prefix of its name.
fn crates(root: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let folder = entry?.file_name().into_string().map_err(|name| format!("{name:?} is not Unicode"))?;
        names.insert(if folder == "downhill" { folder } else { format!("downhill-{folder}") });
    }
    Ok(names)
}

/// Has rustdoc describe the crate with all of its features, and gives the path of the JSON.
fn rustdoc(root: &Path, name: &str) -> Result<PathBuf> {
    // A target directory of its own: some build scripts run again, with all that depends on them, when the variable
    // that allows unstable options comes or goes.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("api");
    let mut command = cargo();
    command
        .args(["rustdoc", "--quiet", "--lib", "--all-features", "--package", name])
        .args(["-Z", "unstable-options", "--output-format", "json", "--target-dir"])
        .arg(&target)
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(root);
    if !command.status()?.success() {
        return Err(format!("rustdoc could not describe {name}").into());
    }
    Ok(target.join("doc").join(name.replace('-', "_")).with_extension("json"))
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

    #[test]
    fn every_crate_has_a_name() {
        let names = crates(&root()).unwrap();
        assert!(names.contains("downhill") && names.contains("downhill-losses"), "{names:?}");
    }
}
