//! What the workspace's own text shows of its invariants; `docs/architecture.md` states them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use serde_json::Value;
use xtask::command;
use xtask::workspace::{files, metadata, name, root};

/// The floor of each crate: it stands only on floors below its own.
const FLOORS: [(&str, u8); 18] = [
    ("downhill-tensor", 1),
    ("downhill-layers", 2),
    ("downhill-losses", 2),
    ("downhill-optim", 2),
    ("downhill-data", 2),
    ("downhill-network", 3),
    ("downhill-gradcheck", 4),
    ("downhill-formats", 4),
    ("downhill-train", 5),
    ("downhill-model", 5),
    ("downhill-explain", 5),
    ("downhill-log", 6),
    ("downhill-tune", 6),
    ("downhill-plot", 7),
    ("downhill", 8),
    ("downhill-cli", 9),
    ("downhill-playground", 9),
    ("downhill-mpi", 10),
];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The packages of the workspace, as Cargo tells them, and those of crates that are workspaces of their own.
fn packages() -> Vec<Value> {
    let mut packages = metadata().unwrap()["packages"].as_array().unwrap().clone();
    for manifest in ["crates/mpi/Cargo.toml", "crates/playground/Cargo.toml"] {
        let arguments = ["metadata", "--format-version", "1", "--no-deps", "--manifest-path", manifest];
        let alone = command::output(command::cargo().args(arguments).current_dir(root()), "").unwrap();
        let alone: Value = serde_json::from_str(&alone).unwrap();
        packages.extend(alone["packages"].as_array().unwrap().iter().cloned());
    }
    packages
}

/// The names of the crates that a package is built of on this machine, itself included.
fn tree(package: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", "--package", package];
    let tree = command::output(command::cargo().args(arguments).current_dir(root()), "").unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The folder of a package, from the root.
fn folder(package: &Value) -> String {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    name(&root(), manifest.parent().unwrap())
}

/// The Rust sources below a folder, as paths from the root.
fn sources(folder: &str) -> Vec<String> {
    files(&root().join(folder), "rs").unwrap().iter().map(|path| name(&root(), path)).collect()
}

/// The lines whose code, up to a comment, holds the word.
fn lines_with<'a>(source: &'a str, word: &str) -> Vec<&'a str> {
    let is_in = |line: &&str| {
        let code = line.split("//").next().unwrap_or_default();
        code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
    };
    source.lines().filter(is_in).collect()
}

/// The attribute of an exported function, written apart as well.
const EXPORTED: &str = concat!("#[un", "safe(no_mangle)]");

#[test]
fn unsafe_code_lives_in_tensor_alone() {
    let mut count = 0;
    for package in packages() {
        let folder = folder(&package);
        if folder == "crates/tensor" {
            continue;
        }
        for target in package["targets"].as_array().unwrap() {
            if matches!(target["kind"][0].as_str(), Some("lib" | "bin")) {
                let path = Path::new(target["src_path"].as_str().unwrap());
                let source = fs::read_to_string(path).unwrap();
                assert!(source.contains("#![forbid(unsafe_code)]"), "{} does not forbid it", path.display());
            }
        }
        // An attribute covers its own target only; examples, tests and benchmarks are targets too.
        for path in sources(&folder) {
            // Written apart, since this source is searched as well.
            let source = read(&path);
            let found = lines_with(&source, concat!("un", "safe"));
            // A name that a module exports is an attribute: the pages of the playground call it, and no code is within.
            let is_name = |line: &&str| path == "crates/playground/src/module.rs" && *line == EXPORTED;
            let found = found.into_iter().filter(|line| !is_name(line)).collect::<Vec<_>>().join("\n");
            assert!(found.is_empty(), "{path} holds what only crates/tensor may:\n{found}");
            count += 1;
        }
    }
    assert!(count > 50, "only {count} sources were found");
}

#[test]
fn a_word_in_a_comment_or_in_another_word_is_not_code() {
    let source = "a { word }\nb // word\npassword(words)\n#![forbid(word_code)]\nword fn c() {}";
    assert_eq!(lines_with(source, "word"), ["a { word }", "word fn c() {}"]);
}

#[test]
fn each_crate_shows_itself_alone_in_its_readme_which_is_its_documentation() {
    for package in packages().iter().map(folder).filter(|folder| folder.starts_with("crates/")) {
        let readme = read(&format!("{package}/README.md"));
        let has_example = Parser::new(&readme).any(|event| match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => ["", "rust"].contains(&&*language),
            _ => false,
        });
        assert!(has_example, "{package}/README.md shows no Rust");
        let documented = read(&format!("{package}/src/lib.rs")).contains(r#"doc = include_str!("../README.md")"#);
        assert!(documented, "{package}/src/lib.rs does not include the README as its documentation");
    }
}

#[test]
fn each_crate_stands_on_floors_below_its_own() {
    let floors = BTreeMap::from(FLOORS);
    for package in packages().iter().filter(|package| folder(package).starts_with("crates/")) {
        let name = package["name"].as_str().unwrap();
        let floor = floors.get(name).unwrap_or_else(|| panic!("{name} has no floor in this test"));
        for dependency in package["dependencies"].as_array().unwrap() {
            // What only the tests need may stand higher.
            let below = dependency["name"].as_str().filter(|_| dependency["kind"].is_null());
            if let Some((below, its_floor)) = below.and_then(|below| Some((below, floors.get(below)?))) {
                assert!(its_floor < floor, "{name} on floor {floor} depends on {below} on floor {its_floor}");
            }
        }
    }
}

#[test]
fn the_readme_and_the_citation_say_what_the_manifest_says() {
    let package = packages().into_iter().find(|package| package["name"] == "downhill").unwrap();
    let field = |name: &str| package[name].as_str().unwrap().to_owned();
    let (readme, citation) = (read("README.md"), read("CITATION.cff"));
    let oldest = format!("Rust {} or later", field("rust_version"));
    assert!(readme.contains(&oldest), "README.md does not say \"{oldest}\"");
    let licence = field("license").replace(" OR ", " or ");
    assert!(readme.contains(&licence), "README.md does not say \"{licence}\"");
    for licence in field("license").split(" OR ") {
        assert!(citation.contains(&format!("\n  - {licence}\n")), "CITATION.cff does not name {licence}");
    }
    let version = format!("\nversion: {}\n", field("version"));
    assert!(citation.contains(&version), "CITATION.cff lacks \"{}\"", version.trim());
}

#[test]
fn each_outside_dependency_has_its_reason() {
    let reasons = read("docs/architecture.md");
    let packages = packages();
    let dependencies = packages.iter().flat_map(|package| package["dependencies"].as_array().unwrap());
    // One of the workspace has a path instead of a source.
    let outside = dependencies.filter(|dependency| dependency["source"].is_string());
    let names: BTreeSet<_> = outside.map(|dependency| dependency["name"].as_str().unwrap()).collect();
    assert!(names.contains("ndarray"));
    for name in names {
        assert!(reasons.contains(&format!("`{name}`")), "docs/architecture.md does not say why `{name}`");
    }
}

#[test]
fn the_figures_of_the_guide_are_drawn_with_the_crate_for_pictures() {
    for package in packages() {
        let draws =
            package["dependencies"].as_array().unwrap().iter().any(|dependency| dependency["name"] == "plotters");
        assert_eq!(draws, package["name"] == "downhill-plot", "{}", package["name"]);
    }
    let pictures = files(&root().join("docs/guide/src/figures"), "svg").unwrap();
    assert!(pictures.len() > 10, "{pictures:?}");
    for path in pictures {
        let svg = fs::read_to_string(&path).unwrap();
        // As the crate begins a picture of both themes.
        let is_ours = svg.contains(" role=\"img\">\n<title>") && svg.contains("svg:root { color-scheme: light dark; }");
        assert!(is_ours, "{}", path.display());
    }
}

/// The most crates that `cargo xtask` may build before it lists the tasks, itself included; 35 are enough today.
const MOST_CRATES: usize = 40;

#[test]
fn the_list_of_tasks_waits_for_few_crates_and_none_of_the_library() {
    let packages = packages();
    let xtask = packages.iter().find(|package| package["name"] == "xtask").unwrap();
    let dependencies = xtask["dependencies"].as_array().unwrap().iter();
    let own: BTreeSet<_> = dependencies
        .filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect();
    assert_eq!(own, BTreeSet::from(["clap", "pulldown-cmark", "serde_json", "sha2"]));

    let built = tree("xtask");
    assert!(built.contains("xtask") && built.contains("clap_builder"), "{built:?}");
    assert!(built.len() <= MOST_CRATES, "{} crates: {built:?}", built.len());
    let ours = packages.iter().filter_map(|package| package["name"].as_str());
    let ours: Vec<_> = ours.filter(|name| *name != "xtask" && built.contains(*name)).collect();
    assert!(ours.is_empty(), "{ours:?} belong behind `xtask/heavy`");
}

/// The most lines of Rust that each part of the workspace may have, tests and comments included.
const MOST_LINES: [(&[&str], usize); 19] = [
    (&["crates/tensor"], 11_700),
    (&["crates/layers"], 14_300),
    (&["crates/losses"], 9_600),
    (&["crates/optim"], 15_900),
    (&["crates/data"], 16_500),
    (&["crates/network"], 6_500),
    (&["crates/gradcheck"], 1_850),
    (&["crates/train"], 16_500),
    (&["crates/formats"], 14_100),
    (&["crates/model"], 1_650),
    (&["crates/explain"], 6_900),
    (&["crates/mpi"], 3_250),
    (&["crates/tune"], 3_200),
    (&["crates/log"], 3_600),
    (&["crates/plot"], 7_300),
    (&["crates/downhill"], 4_900),
    (&["crates/cli"], 4_300),
    (&["crates/playground"], 3_400),
    (&["xtask", "benches"], 14_000),
];

#[test]
fn no_part_outgrows_its_budget_of_lines() {
    let budgeted: BTreeSet<_> = MOST_LINES.iter().flat_map(|(folders, _)| *folders).collect();
    for folder in packages().iter().map(folder).filter(|folder| folder.starts_with("crates/")) {
        assert!(budgeted.contains(&folder.as_str()), "{folder} has no budget in MOST_LINES");
    }
    for (folders, most) in MOST_LINES {
        let sources = folders.iter().flat_map(|folder| sources(folder));
        let lines: usize = sources.map(|path| read(&path).lines().count()).sum();
        assert!(
            lines <= most,
            "{} has {lines} lines and a budget of {most}: look for what it can do without; if all of it is worth its \
             lines, raise the budget in MOST_LINES and say why in the commit",
            folders.join(" with ")
        );
        assert!(
            lines * 10 >= most * 9,
            "{} has {lines} lines, a tenth below its budget of {most}: lower the budget in MOST_LINES, so that what was \
             won is kept",
            folders.join(" with ")
        );
    }
}

#[test]
fn the_lock_files_beside_the_workspace_are_current() {
    for folder in ["crates/mpi", "crates/playground", "xtask/fuzz", "benches/peers/rust"] {
        let mut cargo = command::cargo();
        cargo.args(["metadata", "--locked", "--format-version", "1"]).current_dir(root().join(folder));
        let output = cargo.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`cargo metadata` in {folder} brings its lock file up to date: {error}");
    }
}
