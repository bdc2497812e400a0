//! Whether the chapters that lead to and from other places say what is true there: other libraries' code, the names in
//! the tables, and the times that the page on performance has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of code of a chapter, as language and text.
fn blocks(chapter: &str) -> Vec<(&str, String)> {
    let (mut blocks, mut open): (Vec<(&str, String)>, bool) = (Vec::new(), false);
    for line in chapter.lines() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(language), false) => (blocks.push((language, String::new())), open = true).1,
            (Some(_), true) => open = false,
            (None, true) => blocks.last_mut().expect("it is open").1 += &format!("{line}\n"),
            (None, false) => {}
        }
    }
    blocks
}

/// The numbers in quotation marks, such as `"-3.0325"`, which both sides compare with.
fn quoted(code: &str) -> BTreeSet<String> {
    let is_number = |text: &&str| text.contains('.') && text.parse::<f64>().is_ok();
    code.split('"').filter(is_number).map(str::to_owned).collect()
}

/// The cells of the tables of a chapter, row by row.
fn rows(chapter: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = chapter.lines().filter(|line| line.starts_with("| "));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

#[test]
fn both_sides_assert_the_same_numbers() {
    let chapter = read("docs/guide/src/coming-from.md");
    let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
    let mut files = BTreeSet::new();
    for (language, code) in blocks(&chapter) {
        if language == "rust" {
            ours.extend(quoted(&code));
            continue;
        }
        let include = code.trim().strip_prefix("{{#include ../").and_then(|rest| rest.strip_suffix("}}"));
        let Some((file, anchor)) = include.and_then(|include| include.split_once(':')) else { continue };
        let source = read(&format!("docs/guide/{file}"));
        let (_, region) = source.split_once(&format!("ANCHOR: {anchor}\n")).expect(anchor);
        let (region, _) = region.split_once(&format!("ANCHOR_END: {anchor}\n")).expect(anchor);
        let numbers = quoted(region);
        assert!(!numbers.is_empty(), "{file}:{anchor} asserts no number");
        theirs.extend(numbers);
        files.insert(file.to_owned());
    }
    assert_eq!(files.len(), 5, "{files:?}");
    for number in &theirs {
        // burn and candle compute in f32, and are compared with fewer digits.
        let digits = number.split_once('.').expect("it has a point").1.len();
        let is_same = |ours: &String| format!("{:.digits$}", ours.parse::<f64>().unwrap_or(f64::NAN)) == *number;
        assert!(ours.iter().any(is_same), "no Rust code of the chapter asserts {number}: {ours:?}");
    }
}

#[test]
fn the_names_on_the_right_of_the_tables_are_in_the_public_interface() {
    let interface: String = fs::read_dir(root().join("docs/api"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let known: BTreeSet<&str> = interface.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut count = 0;
    for row in rows(&read("docs/guide/src/coming-from.md")) {
        for code in row[1].split('`').skip(1).step_by(2) {
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            for name in words.filter(|word| word.starts_with(char::is_alphabetic)) {
                assert!(known.contains(name), "`{code}`: {name} is not in docs/api");
                count += 1;
            }
        }
    }
    assert!(count > 150, "{count}");
}

#[test]
fn the_versions_are_those_that_the_code_was_run_with() {
    let python = read("xtask/golden/requirements.txt");
    let rust = read("benches/peers/rust/Cargo.toml");
    let rows: Vec<_> = read("docs/guide/src/coming-from.md").lines().map(str::to_owned).collect();
    for (library, pin, pins) in [
        ("PyTorch", "torch==", &python),
        ("Keras, computing with PyTorch", "keras==", &python),
        ("scikit-learn", "scikit-learn==", &python),
        ("burn, on its CPU backend", "burn = { version = \"=", &rust),
        ("candle", "candle-nn = { version = \"=", &rust),
    ] {
        let line = pins.lines().find_map(|line| line.strip_prefix(pin)).expect(pin);
        let version = line.split('"').next().unwrap_or(line);
        assert!(rows.contains(&format!("| {library} | {version} |")), "{library} is {version}");
    }
}

#[test]
fn the_times_are_those_of_the_page_on_performance() {
    let page = read("docs/performance.md");
    let chapter = read("docs/guide/src/speed-and-threads.md");
    let (mut workloads, mut builds) = (0, 0);
    for row in rows(&chapter).filter(|row| row.len() > 2 && row[1].starts_with(|c: char| c.is_ascii_digit())) {
        if row.len() == 3 {
            let there = rows(&page).find(|there| there[0] == row[0] && there.len() > 5).expect(row[0]);
            assert_eq!((row[1], row[2]), (there[1], there[5]), "{}", row[0]);
            workloads += 1;
        } else {
            let has_all = |there: &Vec<&str>| {
                there.len() == row.len()
                    && there[0].starts_with(row[0].split(',').next().unwrap_or_default())
                    && row.iter().zip(there).skip(1).all(|(here, there)| there.starts_with(here))
            };
            assert!(rows(&page).any(|there| has_all(&there)), "{row:?}");
            builds += 1;
        }
    }
    assert_eq!((workloads, builds), (6, 2));
    // In the text too.
    let prose: String = chapter.split("```").step_by(2).collect();
    let words: Vec<&str> = prose.split_whitespace().collect();
    let units = ["µs", "ms", "GFLOP/s"];
    let mut count = 0;
    for pair in words.windows(2).filter(|pair| units.contains(&pair[1].trim_end_matches(['.', ',', ';', ':']))) {
        let unit = pair[1].trim_end_matches(['.', ',', ';', ':']);
        let is_there = page.contains(&format!("{} {unit}", pair[0])) || page.contains(&format!("{} and ", pair[0]));
        assert!(is_there, "{} {unit} is not on the page", pair[0]);
        count += 1;
    }
    assert!(count > 15, "{count}");
}
