//! `cargo xtask english`: phrases that the project's texts don't use, each with what to write instead.
//!
//! Documents are read whole, and of a source its comments, its documentation and its strings.

use self::Place::{Anywhere, Line, Summary};
use crate::texts::{self, Kind, Text};
use crate::{Result, no_faults, workspace};

/// The places that a phrase is kept out of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Anywhere,
    /// The beginning of a line of documentation.
    Line,
    /// The beginning of an item's documentation.
    Summary,
}

/// Each phrase, the places that it is kept out of, and what to write instead.
///
/// A phrase is found in capitals or not, as whole words, and across the end of a line.
const PHRASES: [(&str, Place, &str); 34] = [
    ("where", Line, "\"If ...\", \"For ...\" or \"Returns an error if ...\""),
    ("with this", Summary, "a verb and an object: \"Sets the cell.\""),
    ("the same", Summary, "what it is or does"),
    ("so many", Anywhere, "\"the number of\", or the number"),
    ("way back", Anywhere, "\"backward pass\""),
    ("way forward", Anywhere, "\"forward pass\""),
    ("to be overwritten", Anywhere, "\"output\" or \"mutable\""),
    ("to be changed", Anywhere, "\"mutable\""),
    ("nobody", Anywhere, "\"unused\", \"no caller\""),
    ("is handed", Anywhere, "\"receives\" or \"takes\""),
    ("are handed", Anywhere, "\"receive\" or \"take\""),
    ("is told", Anywhere, "\"receives\" or \"knows\""),
    ("are told", Anywhere, "\"receive\" or \"know\""),
    ("is given", Anywhere, "\"receives\", \"takes\" or \"is set\""),
    ("are given", Anywhere, "\"receive\", \"take\" or \"are set\""),
    ("stretch of", Anywhere, "\"slice of\""),
    ("stretches of", Anywhere, "\"slices of\""),
    ("room to work in", Anywhere, "\"scratch space\""),
    ("line of the cache", Anywhere, "\"cache line\""),
    ("lines of the cache", Anywhere, "\"cache lines\""),
    ("near cache", Anywhere, "\"L1\""),
    ("nearest cache", Anywhere, "\"L1\""),
    ("first cache", Anywhere, "\"L1\""),
    ("second cache", Anywhere, "\"L2\""),
    ("third cache", Anywhere, "\"L3\""),
    ("of one's own", Anywhere, "\"custom\""),
    ("by way of", Anywhere, "\"via\" or \"through\""),
    ("in the place of", Anywhere, "\"instead of\""),
    ("a way around", Anywhere, "\"a skip connection\""),
    ("middle networks", Anywhere, "\"medium-sized networks\""),
    ("makes sense", Anywhere, "\"is valid\""),
    ("stands bare", Anywhere, "\"outside any chain\""),
    ("there unasked", Anywhere, "\"unexpected\""),
    // A letter must follow.
    (", as `", Anywhere, "\", such as `\""),
];

pub(crate) fn run() -> Result {
    let mut faults = faults(&texts::read(&workspace::root())?);
    if !faults.is_empty() {
        faults.push(format!("{} phrases are to be written in plainer English", faults.len()));
    }
    no_faults(&faults)
}

/// A line for each phrase that stands in one of the texts.
fn faults(texts: &[Text]) -> Vec<String> {
    // The list holds them all, as strings.
    let read = texts.iter().filter(|text| text.file != "xtask/src/english.rs" || text.kind != Kind::String);
    let found = read.flat_map(|text| phrases(text).into_iter().map(move |(line, index)| (&text.file, line, index)));
    let fault = |(file, line, index): (&String, usize, usize)| {
        let (phrase, place, write) = PHRASES[index];
        let place = match place {
            Anywhere => "",
            Line => " at the beginning of a line",
            Summary => " at the beginning of a summary",
        };
        format!("{file}:{line}: \"{phrase}\"{place} -> {write}")
    };
    found.map(fault).collect()
}

/// Each phrase in a text: its line, and its index in `PHRASES`.
fn phrases(text: &Text) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.text.lines().map(|line| line.trim().trim_end_matches('\\').trim_end()).collect();
    let lines = lines.join("\n").to_lowercase();
    // A space for each end of a line, so that places stay the same.
    let flat = lines.replace('\n', " ");
    let mut found = Vec::new();
    for (index, (phrase, place, _)) in PHRASES.iter().enumerate() {
        for (at, _) in flat.match_indices(phrase) {
            let (before, after) = (&lines[..at], &flat[at + phrase.len()..]);
            let is_there = match place {
                Anywhere => true,
                Line => text.is_documentation() && (before.is_empty() || before.ends_with('\n')),
                Summary => text.kind == Kind::Item && before.is_empty(),
            };
            // A letter next to it makes another word of it; a phrase that ends in a quotation mark needs one.
            let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let is_followed = is_letter(after.chars().next()) == phrase.ends_with('`');
            let is_preceded = is_letter(before.chars().next_back()) && is_letter(phrase.chars().next());
            if is_there && is_followed && !is_preceded {
                found.push((text.line + before.matches('\n').count(), index));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The phrases of a source, as line and phrase.
    fn phrases(source: &str) -> Vec<(usize, &'static str)> {
        let texts = texts::of_source("a.rs", source);
        texts.iter().flat_map(super::phrases).map(|(line, index)| (line, PHRASES[index].0)).collect()
    }

    #[test]
    fn phrases_are_found_in_comments_and_strings_and_not_in_code() {
        assert_eq!(phrases("// For so many\nlet x = 1;"), [(1, "so many")]);
        assert_eq!(phrases("f(\"Nobody\"); /* so\nmany */"), [(1, "nobody"), (1, "so many")]);
        assert_eq!(phrases("f(r#\"a \" nobody\"#, '\"', b\"x\\\" nobody\");"), [(1, "nobody"), (1, "nobody")]);
        assert_eq!(phrases("let nobody = 'a'; for_('\"'); fn f<'a>() {} // '\"' is told"), [(1, "is told")]);
    }

    #[test]
    fn phrases_are_whole_words_across_lines() {
        assert_eq!(phrases("fn f() {\n    /// One on the way\n    /// back.\n}"), [(2, "way back")]);
        assert_eq!(phrases("let s = \"a of so \\\n    many\";"), [(1, "so many")]);
        assert_eq!(phrases("// This told, also many, so manyfold."), []);
        assert_eq!(phrases("// Names, as `x` or, as `()`, or as `y`."), [(1, ", as `")]);
    }

    #[test]
    fn what_only_a_beginning_may_not_be_is_free_elsewhere() {
        assert_eq!(phrases("/// Where a is.\n/// b.\n/// Where c is."), [(1, "where"), (3, "where")]);
        assert_eq!(phrases("// Where a is.\n/// It is where b is."), []);
        assert_eq!(phrases("/// The same.\n///\n/// The same."), [(1, "the same")]);
        assert_eq!(phrases("//! With this.\n\n/// With this."), [(3, "with this")]);
        let page = Text::page("a.md", "# A\n\nWhere a is.\nThe same.".into());
        assert_eq!(super::phrases(&page), [(3, 0)]);
    }

    #[test]
    fn every_phrase_of_the_table_can_be_found() {
        for (index, (phrase, _, _)) in PHRASES.iter().enumerate() {
            let text = format!("{phrase}{}", if phrase.ends_with('`') { "x`" } else { "" });
            let text = Text { kind: Kind::Item, ..Text::page("a.rs", text) };
            assert_eq!(super::phrases(&text), [(1, index)], "{phrase}");
        }
    }

    #[test]
    fn a_fault_names_its_place_and_what_to_write() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("crates/a/src")).unwrap();
        std::fs::write(root.path().join("crates/a/src/lib.rs"), "\n// nobody\n").unwrap();
        for page in texts::PAGES {
            std::fs::write(root.path().join(page), "It makes\nsense.\n").unwrap();
        }
        let pages = texts::PAGES.map(|page| format!("{page}:1: \"makes sense\" -> \"is valid\""));
        let source = "crates/a/src/lib.rs:2: \"nobody\" -> \"unused\", \"no caller\"".to_owned();
        assert_eq!(faults(&texts::read(root.path()).unwrap()), [&pages[..], &[source]].concat());
    }
}
