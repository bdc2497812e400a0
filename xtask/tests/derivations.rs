//! Each layer, each loss and each optimizer has its page in `docs/derivations`, as the README there describes them.

use std::collections::BTreeSet;
use std::fs;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use xtask::workspace::{files, root};

/// What stands below the title of the page of a layer or a loss.
const HEADINGS: &[&str] =
    &["Equation", "Shapes", "Derivatives", "In matrix form", "Kinks and edge cases", "Cost", "Source"];

/// What stands below the title of the page of an optimizer.
const HEADINGS_OF_OPTIMIZERS: &[&str] = &["Rule", "Derivation", "State", "Edge cases", "Cost", "Source"];

/// The layers that are in no list of descriptions: that of all cells of which recurrent layers are made.
const UNLISTED_LAYERS: [&str; 1] = ["Recurrent"];

/// The loss whose derivative its user writes.
const FROM_A_USER: &str = "FromFn";

/// The types of one kind, of which each has a page.
struct Family {
    /// The folder of the pages.
    folder: &'static str,
    /// The folder of the crate.
    package: &'static str,
    headings: &'static [&'static str],
    names: BTreeSet<String>,
}

fn families() -> [Family; 3] {
    let layers = between(&read("crates/layers/src/description.rs"), "\ndescription! {\n", "\n}");
    let layers = layers.lines().map(|line| line.trim().trim_end_matches(',').to_owned());
    let losses = exports(&read("crates/losses/src/lib.rs"));
    let sources = sources("crates/losses");
    let losses = losses.into_iter().filter(|name| sources.iter().any(|source| is_loss(source, name)));
    let losses = losses.filter(|name| name != FROM_A_USER);
    // The first optimizer of a file; any other there is a variant of it.
    let rules = files(&root().join("crates/optim/src/rules"), "rs").unwrap();
    let optimizers = rules.iter().map(|path| between(&fs::read_to_string(path).unwrap(), "\npub type ", "<"));
    let family = |folder, package, headings, names| Family { folder, package, headings, names };
    [
        family("layers", "crates/layers", HEADINGS, layers.chain(UNLISTED_LAYERS.map(str::to_owned)).collect()),
        family("losses", "crates/losses", HEADINGS, losses.collect()),
        family("optimizers", "crates/optim", HEADINGS_OF_OPTIMIZERS, optimizers.collect()),
    ]
}

/// The names that a crate's root exports from its modules.
fn exports(root: &str) -> Vec<String> {
    let lines = root.lines().filter_map(|line| line.strip_prefix("pub use ")?.split_once("::"));
    let names = lines.flat_map(|(_, names)| names.split(|c: char| !c.is_alphanumeric() && c != '_'));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether a source implements the trait of losses, or that of pointwise ones, for this type.
fn is_loss(source: &str, name: &str) -> bool {
    source.lines().filter(|line| line.starts_with("impl")).any(|line| {
        let implemented = line.split_once(" Loss for ").or_else(|| line.split_once(" PointwiseLoss for "));
        implemented.is_some_and(|(_, line)| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '<'])))
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sources(folder: &str) -> Vec<String> {
    let paths = files(&root().join(folder).join("src"), "rs").unwrap();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What stands between two marks.
fn between(text: &str, start: &str, end: &str) -> String {
    let (_, text) = text.split_once(start).unwrap_or_else(|| panic!("{start:?} is gone"));
    text.split_once(end).unwrap_or_else(|| panic!("{end:?} is gone")).0.to_owned()
}

/// The page of a type, from the root: small letters, and a hyphen before each capital that begins a word.
fn page(folder: &str, name: &str) -> String {
    let mut file = String::new();
    let mut before = None;
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_some_and(|before: char| !before.is_uppercase()) {
            file.push('-');
        }
        file.extend(letter.to_lowercase());
        before = Some(letter);
    }
    format!("docs/derivations/{folder}/{file}.md")
}

/// The documentation of a type, if the source declares it: the comment before its declaration or its row of a macro.
fn documentation(source: &str, name: &str) -> Option<String> {
    let mut comment = String::new();
    for line in source.lines().map(str::trim_start) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text.strip_prefix(' ').unwrap_or(text));
            comment.push('\n');
        } else if !line.starts_with("#[") {
            let code = ["pub struct ", "pub enum ", "pub type "].iter().find_map(|start| line.strip_prefix(start));
            let declared = code.unwrap_or(line).split(|c: char| !c.is_alphanumeric() && c != '_').next();
            if declared == Some(name) && !comment.is_empty() {
                return Some(comment);
            }
            comment.clear();
        }
    }
    None
}

/// A sentence for each thing that a page lacks.
fn faults(page: &str, name: &str, parts: &[&str], text: &str) -> Vec<String> {
    let mut headings: Vec<(HeadingLevel, String, bool)> = Vec::new();
    let mut is_heading = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                is_heading = true;
                headings.push((level, String::new(), false));
            }
            Event::End(TagEnd::Heading(_)) => is_heading = false,
            Event::Text(text) | Event::Code(text) => match headings.last_mut() {
                Some((_, heading, _)) if is_heading => heading.push_str(&text),
                Some((_, _, has_text)) => *has_text = true,
                None => {}
            },
            _ => {}
        }
    }
    let mut faults = Vec::new();
    let titles = headings.iter().filter(|(level, ..)| *level == HeadingLevel::H1).map(|(_, title, _)| title);
    if titles.collect::<Vec<_>>() != [name] {
        faults.push(format!("{page}: its one title must be \"# {name}\""));
    }
    let found = headings.iter().filter(|(level, ..)| *level == HeadingLevel::H2).map(|(_, part, _)| part);
    if !found.clone().eq(parts) {
        faults.push(format!("{page}: the headings must be {parts:?}, but are {:?}", found.collect::<Vec<_>>()));
    }
    let empty = headings.iter().filter(|(.., has_text)| !has_text);
    faults.extend(empty.map(|(_, heading, _)| format!("{page}: nothing stands below \"{heading}\"")));
    faults
}

#[test]
fn each_layer_loss_and_optimizer_has_its_page_and_each_page_its_type() {
    let expected: BTreeSet<_> = families()
        .into_iter()
        .flat_map(|Family { folder, names, .. }| names.into_iter().map(move |name| page(folder, &name)))
        .collect();
    assert!(expected.len() > 110, "only {} layers, losses and optimizers were found", expected.len());
    let folder = root().join("docs/derivations");
    let found = files(&folder, "md").unwrap();
    let found = found.iter().map(|path| xtask::workspace::name(&root(), path));
    let found: BTreeSet<_> = found.filter(|path| path != "docs/derivations/README.md").collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let strange: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty(), "types without their pages: {missing:#?}");
    assert!(strange.is_empty(), "pages without their types: {strange:#?}");
}

#[test]
fn each_page_has_its_headings_in_order() {
    let mut found = Vec::new();
    for Family { folder, headings, names, .. } in families() {
        for name in names {
            let page = page(folder, &name);
            // That a page is missing is said by the test above.
            if let Ok(text) = fs::read_to_string(root().join(&page)) {
                found.extend(faults(&page, &name, headings, &text));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_documentation_of_each_type_names_its_page() {
    let mut found = Vec::new();
    for Family { folder, package, names, .. } in families() {
        let sources = sources(package);
        for name in names {
            let line = format!("Derivation: `{}`", page(folder, &name));
            let mut documentation = sources.iter().filter_map(|source| documentation(source, &name));
            if !documentation.any(|text| text.contains(&line)) {
                found.push(format!("the documentation of {name} lacks {line}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn losses_are_found_by_what_they_implement() {
    assert_eq!(exports("mod a;\npub use a::A;\npub use b::{B, c};\n"), ["A", "B", "c"]);
    let source =
        "impl Loss for A {\nimpl<L: Loss> PointwiseLoss for B<'_, L> {\nimpl Clone for C {\n    impl Loss for D {";
    assert_eq!(["A", "B", "C", "D", "L"].map(|name| is_loss(source, name)), [true, true, false, false, false]);
}

#[test]
fn names_of_pages_are_in_small_letters_with_hyphens() {
    for (name, file) in [
        ("Relu", "relu"),
        ("PRelu", "prelu"),
        ("Conv1d", "conv1d"),
        ("AdaptiveAveragePool2d", "adaptive-average-pool2d"),
        ("SmoothL1", "smooth-l1"),
        ("KlDivergence", "kl-divergence"),
    ] {
        assert_eq!(page("a", name), format!("docs/derivations/a/{file}.md"));
    }
}

#[test]
fn documentation_is_that_before_the_declaration() {
    let source = "/// Of A.\n#[derive(Clone)]\npub struct A;\n/// Of B.\n///\n/// More.\nB, |x| x,\n/// Of C.\nc!();\npub type C = A;";
    assert_eq!(documentation(source, "A").unwrap(), "Of A.\n");
    assert_eq!(documentation(source, "B").unwrap(), "Of B.\n\nMore.\n");
    assert_eq!(documentation(source, "C"), None);
}

#[test]
fn a_page_that_lacks_something_is_a_fault() {
    let whole: String = HEADINGS.iter().map(|heading| format!("\n## {heading}\n\nText.\n")).collect();
    let whole = format!("# A\n\nText.\n{whole}");
    assert_eq!(faults("a.md", "A", HEADINGS, &whole), [""; 0]);
    assert_eq!(faults("a.md", "B", HEADINGS, &whole).len(), 1);
    for (from, to) in [
        ("## Cost\n", "## Costs\n"),
        ("## Cost\n\nText.\n\n", ""),
        ("## Cost\n\nText.\n", "## Cost\n"),
        ("## Shapes\n", "## Cost\n\nText.\n\n## Shapes\n"),
    ] {
        assert!(whole.contains(from));
        assert_eq!(faults("a.md", "A", HEADINGS, &whole.replacen(from, to, 1)).len(), 1, "{from:?} -> {to:?}");
    }
}
