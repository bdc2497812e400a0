//! `cargo xtask docs`: the guide and the reference of all crates as one site that needs no network.
//!
//! mdBook writes the guide to `docs/book`, the Korean one to `ko` below it, and the derivations to `derivations`.
//! rustdoc's pages are put there at `api`, so that chapters can link to `api/downhill/index.html`; equations are rendered
//! in the browser by a copy of KaTeX that lies next to the pages.

mod derivations;
mod equations;
mod external;
mod header;
mod katex;
mod languages;
mod links;
mod parity;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::external::External;
use self::links::Links;
use crate::workspace::{Workspace, library};
use crate::{Result, command, figures, no_faults, playground};

/// The package that `cargo install` builds if the machine has no mdBook of this version.
const MDBOOK: &str = "0.5.4";

/// Builds the guide and the crates' reference, with equations, and checks equations and links.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Shows the guide in a browser.
    #[arg(long)]
    open: bool,
    /// Only writes the headers by which docs.rs shows equations: one for each crate that has any.
    #[arg(long)]
    headers: bool,
    /// Only checks that the guide says and shows the same in both languages, and builds nothing.
    #[arg(long)]
    check: bool,
    /// Builds the guide alone, within seconds: its links to the reference and the derivations lead nowhere, and no link is
    /// checked.
    #[arg(long)]
    guide: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    parity::check(&workspace.root)?;
    figures::translate(true)?;
    if arguments.check {
        return Ok(());
    }
    let katex = katex::fetch(&workspace)?;
    let equations = equations::collect(&workspace.root)?;
    let mathml = katex::render(&katex, &equations)?;
    let equations: Vec<_> = equations.into_iter().zip(mathml).collect();
    if arguments.headers {
        return header::write(&workspace, &equations);
    }
    header::check(&workspace, &equations)?;
    println!("{} equations are in order", equations.len());

    let book = guide(&workspace)?;
    install(&workspace, &katex, &book)?;
    if !arguments.guide {
        let reference = reference(&workspace)?;
        copy(&reference, &book.join("api"))?;
        let external = External::read(&workspace)?;
        external.rewrite(&book.join("api"))?;
        derivations::build(&workspace, &mdbook(&workspace)?, &book)?;
        derivations::link(&book)?;
        // rustdoc has no front page for several crates, but links to one.
        fs::write(book.join("api/index.html"), r#"<meta http-equiv="refresh" content="0; url=downhill/index.html">"#)?;
        install(&workspace, &katex, &book.join("api"))?;
        if playground::can_build() {
            copy(&playground::build(&workspace)?, &book.join("playground"))?;
        } else {
            let reason =
                "the playground was left out: `rustup target add wasm32-unknown-unknown` installs what it needs";
            println!("{reason}");
            fs::create_dir_all(book.join("playground"))?;
            fs::write(book.join("playground/index.html"), reason)?;
        }
        let links = links::check(&book)?;
        no_faults(&faults(&links, &workspace, &external))?;
        let between: usize = links.between.values().sum();
        println!("{} links within the site are in order, {between} of them from crate to crate", links.count);
    }
    let front = book.join("index.html");
    println!("{}", front.display());
    if arguments.open { open(&front) } else { Ok(()) }
}

/// Puts what renders equations next to the pages of a site.
fn install(workspace: &Workspace, katex: &Path, site: &Path) -> Result {
    let folder = site.join("equations");
    katex::install(katex, &folder)?;
    for name in ["equations.css", "equations.js"] {
        fs::copy(workspace.root.join("docs/theme").join(name), folder.join(name))?;
    }
    Ok(())
}

/// Builds the guide in both languages and gives its folder.
fn guide(workspace: &Workspace) -> Result<PathBuf> {
    let mdbook = mdbook(workspace)?;
    // In this order: mdBook empties the folder that it writes to.
    for book in ["docs", "docs/guide/ko"] {
        command::run(Command::new(&mdbook).arg("build").arg(workspace.root.join(book)))?;
    }
    let site = workspace.root.join("docs/book");
    languages::join(&site)?;
    Ok(site)
}

/// An mdBook of the pinned version: the machine's own or one that this installs below the target directory.
fn mdbook(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target.join("tools");
    let ours = tools.join("bin").join(format!("mdbook{}", std::env::consts::EXE_SUFFIX));
    for candidate in [Path::new("mdbook"), &ours] {
        let version = Command::new(candidate).arg("--version").output();
        if version.is_ok_and(|output| output.stdout.trim_ascii() == format!("mdbook v{MDBOOK}").as_bytes()) {
            return Ok(candidate.to_owned());
        }
    }
    let install =
        ["install", "mdbook", "--version", MDBOOK, "--no-default-features", "--features", "search", "--locked"];
    command::run(command::cargo().args(install).arg("--root").arg(tools))?;
    Ok(ours)
}

/// Crates that use another without a word of it in their public interface.
const UNNAMED: [(&str, &str); 10] = [
    ("downhill-cli", "downhill-layers"),
    ("downhill-cli", "downhill-losses"),
    ("downhill-cli", "downhill-network"),
    ("downhill-cli", "downhill-optim"),
    ("downhill-formats", "downhill-data"),
    ("downhill-formats", "downhill-optim"),
    ("downhill-log", "downhill-network"),
    ("downhill-model", "downhill-losses"),
    ("downhill-plot", "downhill-layers"),
    ("downhill-train", "downhill-layers"),
];

/// A sentence for each crate that is used by another whose pages never link to it, and for each link to a version of
/// some crate that is not the one in use.
fn faults(links: &Links, workspace: &Workspace, external: &External) -> Vec<String> {
    let mut faults = Vec::new();
    for package in &workspace.crates {
        for below in &package.below {
            let is_linked = links.between.contains_key(&(library(&package.name), library(below)));
            if !is_linked && !UNNAMED.contains(&(package.name.as_str(), below)) {
                faults.push(format!(
                    "The reference of {} has no link to that of {below}, whose items it uses: rustdoc links only to \
                     what was documented before.",
                    package.name
                ));
            }
        }
    }
    let outward = links.outward.iter();
    faults.extend(outward.filter_map(|(link, page)| Some(format!("{}: {}", page.display(), external.fault(link)?))));
    faults
}

/// Builds the crates' reference, warnings denied, and gives its folder.
fn reference(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("doc");
    // rustdoc removes no page of an item that is gone, and links to such a page would seem to be in order.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let header = workspace.root.join("docs/theme/rustdoc.html");
    // Encoded: the path may hold spaces.
    let flags = ["-Dwarnings", "--html-in-header", header.to_str().ok_or("the workspace's path is not Unicode")?];
    // rustdoc links to a crate only if its folder is there when it begins.
    for floor in workspace.floors() {
        let mut cargo = command::cargo();
        cargo.args(["doc", "--no-deps", "--all-features"]);
        for package in floor {
            cargo.args(["--package", &package.name]);
        }
        let flags = flags.join("\x1f");
        command::run(cargo.current_dir(&workspace.root).env("CARGO_ENCODED_RUSTDOCFLAGS", flags))?;
    }
    Ok(folder)
}

/// Copies the files in `from` and below to `to`.
fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Shows a page in the user's browser.
fn open(page: &Path) -> Result {
    let mut command = match std::env::consts::OS {
        "macos" => Command::new("open"),
        "windows" => Command::new("explorer"),
        _ => Command::new("xdg-open"),
    };
    command::run(command.arg(page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    #[test]
    fn a_crate_that_links_to_none_of_what_it_uses_is_a_fault() {
        let package = |name: &str, below: &[&str]| Package {
            name: name.into(),
            features: Vec::new(),
            below: below.iter().map(|&name| name.into()).collect(),
        };
        let crates = vec![package("a-top", &["a-base", "a-middle"]), package("a-base", &[])];
        let workspace = Workspace { root: PathBuf::new(), target: PathBuf::new(), crates };
        let mut links = Links::default();
        links.between.insert(("a_top".into(), "a_middle".into()), 3);
        let external = External::default();
        let faults = faults(&links, &workspace, &external);
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.starts_with("The reference of a-top has no link to that of a-base,"), "{fault}");
        links.between.insert(("a_top".into(), "a_base".into()), 1);
        assert!(self::faults(&links, &workspace, &external).is_empty());
    }
}
