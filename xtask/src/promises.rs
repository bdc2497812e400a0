//! `cargo xtask promises`: every sentence of the documents that promises something is held by a test.
//!
//! A promise is known by its words, as "never" and "always". `docs/promises.md` lists each sentence that has one of them
//! with the tests that fail where it is broken, or with the reason why it promises nothing: a definition, a sentence of
//! mathematics, what another framework does. A sentence that the list lacks, an entry whose sentence is gone and a test
//! that doesn't exist all fail the task.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::ci::is_step;
use crate::texts::{self, Text};
use crate::{Result, no_faults, workspace};

/// The words that make a sentence a promise: these words, in capitals or not, or that it begins with "nothing".
const WORDS: [&str; 16] = [
    "never",
    "always",
    "before",
    "exactly",
    "guarantee",
    "guarantees",
    "guaranteed",
    "panic",
    "panics",
    "identical",
    "heap",
    "allocate",
    "allocates",
    "allocated",
    "bit for bit",
    "same bits",
];

const LIST: &str = "docs/promises.md";

pub(crate) fn run() -> Result {
    let root = workspace::root();
    let entries = entries(&fs::read_to_string(root.join(LIST))?)?;
    let promises = promises(&root)?;
    let mut faults = faults(&entries, &promises);
    let mut held = 0;
    for entry in &entries {
        let mut is_held = false;
        for (line, holder) in &entry.holders {
            match is_check(holder, &root) {
                Ok(is_check) => is_held |= is_check,
                Err(fault) => faults.push(format!("{LIST}:{line}: {fault}")),
            }
        }
        held += usize::from(is_held);
    }
    no_faults(&faults)?;
    let count: usize = promises.values().map(Vec::len).sum();
    println!("{count} sentences are listed; checks hold {held} of the entries, and reasons the rest");
    Ok(())
}

/// The sentences with a promise, by the path of their file.
type Promises = BTreeMap<String, Vec<String>>;

/// The promises of all documents and of the crates' documentation.
fn promises(root: &Path) -> Result<Promises> {
    let mut found = Promises::new();
    for text in texts::read(root)?.iter().filter(|text| is_for_users(text)) {
        let sentences: Vec<_> = sentences(&text.text).into_iter().filter(|sentence| is_promise(sentence)).collect();
        if !sentences.is_empty() {
            found.entry(text.file.clone()).or_default().extend(sentences);
        }
    }
    Ok(found)
}

/// Whether users rely on what a text says: documents, and what documents the crates.
fn is_for_users(text: &Text) -> bool {
    let file = text.file.as_str();
    let in_crate = file.strip_prefix("crates/").and_then(|file| Some(file.split_once('/')?.1));
    let is_read = ["README.md", "CONTRIBUTING.md", "docs/architecture.md"].contains(&file)
        || file.starts_with("docs/guide/src/")
        || in_crate.is_some_and(|file| file == "README.md" || file.starts_with("src/"));
    is_read && text.is_documentation() && !text.is_test
}

/// Whether a sentence has one of the words outside code, or begins with "nothing".
fn is_promise(sentence: &str) -> bool {
    let sentence = sentence.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let letters: String = sentence
        .chars()
        .map(|letter| if letter.is_alphanumeric() { letter } else { ' ' })
        .collect::<String>()
        .to_lowercase();
    let words = format!(" {} ", letters.split_whitespace().collect::<Vec<_>>().join(" "));
    words.starts_with(" nothing ") || WORDS.iter().any(|word| words.contains(&format!(" {word} ")))
}

/// The sentences of a Markdown text, code in a line included; blocks of code and headings, as "Panics", left out.
fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut prose = String::new();
    let mut is_left_out = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(_) | Tag::Heading { .. }) => is_left_out = true,
            Event::End(TagEnd::CodeBlock | TagEnd::Heading(_)) => is_left_out = false,
            _ if is_left_out => {}
            Event::Text(text) => prose.push_str(&text),
            Event::Code(code) => {
                let _ = write!(prose, "`{code}`");
            }
            Event::SoftBreak | Event::HardBreak => prose.push(' '),
            Event::Start(Tag::Paragraph | Tag::Item | Tag::List(_) | Tag::TableCell)
            | Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell) => {
                split(&std::mem::take(&mut prose), &mut sentences);
            }
            _ => {}
        }
    }
    split(&prose, &mut sentences);
    sentences
}

/// Appends the sentences of a paragraph: one ends where what follows can begin another.
fn split(prose: &str, sentences: &mut Vec<String>) {
    let mut sentence = String::new();
    for word in prose.split_whitespace() {
        let ended = sentence.trim_end_matches([')', '"', '*']).ends_with(['.', '?', '!']);
        if ended && !word.starts_with(|first: char| first.is_lowercase()) {
            sentences.push(std::mem::take(&mut sentence));
        }
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
    }
    if !sentence.is_empty() {
        sentences.push(sentence);
    }
}

/// An entry of the list.
#[derive(Debug)]
struct Entry {
    line: usize,
    /// The file that promises it.
    file: String,
    /// A piece of the sentence, or all of it.
    piece: String,
    /// What holds it, each with its line.
    holders: Vec<(usize, String)>,
}

impl Entry {
    fn covers(&self, file: &str, sentence: &str) -> bool {
        self.file == file && sentence.contains(&self.piece)
    }
}

/// Whether what is said to hold a sentence is a check, and not a reason why it is no promise; fails if there is no such
/// check.
fn is_check(holder: &str, root: &Path) -> std::result::Result<bool, String> {
    let has_reason = |reason: &str| reason.split_whitespace().count() >= 2;
    let code = |text: &'_ str| text.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
    let read =
        |file: &str| fs::read_to_string(root.join(file)).map_err(|error| format!("`{file}` can't be read ({error})"));
    let (what, rest) = holder.split_once(": ").unwrap_or_default();
    let (exists, fault) = match (what, code(what), code(rest)) {
        ("no promise", ..) if has_reason(rest) => return Ok(false),
        ("by its types", ..) if has_reason(rest) => return Ok(true),
        ("step", _, Some(step)) => (is_step(&step), format!("`cargo xtask ci` has no step `{step}`")),
        ("example", _, Some(file)) => {
            (read(&file)?.lines().any(|line| is_example(&file, line)), format!("`{file}` has no example that asserts"))
        }
        (_, Some(file), Some(test)) => (has_test(&read(&file)?, &test), format!("`{file}` has no test `{test}`")),
        _ => {
            return Err(
                "this is neither a test (`FILE`: `NAME`) nor an example (example: `FILE`) nor a step of CI (step: \
                        `NAME`) nor a reason (no promise: ..., by its types: ...)"
                    .into(),
            );
        }
    };
    if exists { Ok(true) } else { Err(fault) }
}

/// Whether the line of a source or of a page is one of an example that can fail.
fn is_example(file: &str, line: &str) -> bool {
    let line = line.trim_start();
    let code = match file.ends_with(".rs") {
        true => line.strip_prefix("///").or_else(|| line.strip_prefix("//!")),
        false => Some(line),
    };
    code.is_some_and(|code| code.trim_start().starts_with("assert"))
}

/// Whether a source has a test of this name: a function that is marked as one, or that a macro makes one of.
fn has_test(source: &str, name: &str) -> bool {
    let heads = [format!("fn {name}("), format!("fn {name}<")];
    let mut is_marked = false;
    for line in source.lines().map(str::trim) {
        if heads.iter().any(|head| line.contains(head)) {
            return is_marked;
        }
        // Other attributes and comments may stand between.
        is_marked = line == "#[test]" || (is_marked && (line.starts_with("#[") || line.starts_with("//")));
    }
    false
}

/// The entries of the list.
fn entries(list: &str) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut file = None;
    for (line, text) in (1..).zip(list.lines()) {
        let wrong = |what: &str| format!("{LIST}:{line}: {what}");
        if let Some(name) = text.strip_prefix("## ") {
            file = Some(name.to_owned());
        } else if let Some(piece) = text.strip_prefix("* ") {
            let file = file.clone().ok_or_else(|| wrong("no heading says whose sentence this is"))?;
            if !is_promise(piece) {
                return Err(wrong("none of the words of a promise is in this piece of a sentence").into());
            }
            entries.push(Entry { line, file, piece: piece.to_owned(), holders: Vec::new() });
        } else if let Some(holder) = text.strip_prefix("  * ") {
            let entry = entries.last_mut().filter(|entry| file.as_ref() == Some(&entry.file));
            entry.ok_or_else(|| wrong("no sentence stands above this"))?.holders.push((line, holder.to_owned()));
        } else if file.is_some() && !text.trim().is_empty() {
            return Err(wrong("this is neither a heading nor a sentence nor what holds it").into());
        }
    }
    Ok(entries)
}

/// A sentence for each promise that is not listed and for each entry that has no sentence or holder.
fn faults(entries: &[Entry], promises: &Promises) -> Vec<String> {
    let mut faults = Vec::new();
    for Entry { line, file, piece, holders } in entries {
        if !promises.get(file).is_some_and(|sentences| sentences.iter().any(|sentence| sentence.contains(piece))) {
            faults.push(format!("{LIST}:{line}: {file} no longer says this: {piece}"));
        }
        if holders.is_empty() {
            faults.push(format!("{LIST}:{line}: nothing is said to hold this: {piece}"));
        }
    }
    let lacking = lacking(entries, promises);
    if !lacking.is_empty() {
        faults.push(format!("{LIST} lacks these; say there what holds them, or say it without a promise:\n{lacking}"));
    }
    faults
}

/// The sentences that no entry covers, in the form of the list.
fn lacking(entries: &[Entry], promises: &Promises) -> String {
    let mut text = String::new();
    for (file, sentences) in promises {
        let is_unlisted = |sentence: &&String| !entries.iter().any(|entry| entry.covers(file, sentence));
        let unlisted: String =
            sentences.iter().filter(is_unlisted).map(|sentence| format!("* {sentence}\n  * \n")).collect();
        if !unlisted.is_empty() {
            let _ = write!(text, "\n## {file}\n\n{unlisted}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promised(file: &str, sentences: &[&str]) -> Promises {
        Promises::from([(file.to_owned(), sentences.iter().map(|&sentence| sentence.to_owned()).collect())])
    }

    const LISTED: &str = "# Promises\n\nProse.\n\n## a.md\n\n* it never fails\n  * `tests/a.rs`: `it_holds`\n";

    #[test]
    fn promises_are_known_by_whole_words() {
        for promise in [
            "It Never fails.",
            "the same\nbits",
            "a run is, bit for bit, the other",
            "Nothing fails.",
            "Nothing panics.",
        ] {
            assert!(is_promise(promise), "{promise}");
        }
        for other in
            ["nevertheless", "mark it `#[inline(always)]`", "beforehand", "the same bit", "for nothing", "It holds."]
        {
            assert!(!is_promise(other), "{other}");
        }
    }

    #[test]
    fn sentences_are_told_apart_and_blocks_of_code_left_out() {
        let text = "# Head\n\nOne `a.b()` is\n**here**, i.e. there. Two? Yes.\n\n* three [four](five)\n* six.\n\n\
            ```rust\n// never\n```\n\n| a | b c. D |\n|---|---|\n| e | f |\n";
        assert_eq!(
            sentences(text),
            ["One `a.b()` is here, i.e. there.", "Two?", "Yes.", "three four", "six.", "a", "b c.", "D", "e", "f"]
        );
    }

    #[test]
    fn a_sentence_is_covered_by_a_piece_of_it() {
        let entries = entries(LISTED).unwrap();
        assert_eq!(faults(&entries, &promised("a.md", &["Here it never fails."])), [""; 0]);
    }

    #[test]
    fn a_sentence_that_is_not_listed_is_a_fault() {
        let entries = entries(LISTED).unwrap();
        let found = faults(&entries, &promised("a.md", &["Here it never fails.", "It always ends."]));
        let [fault] = found.as_slice() else { panic!("{found:?}") };
        assert!(fault.contains("## a.md\n\n* It always ends.\n") && !fault.contains("fails"), "{fault}");
        // The same words in another file are another promise.
        assert_eq!(faults(&entries, &promised("b.md", &["Here it never fails."])).len(), 2);
    }

    #[test]
    fn an_entry_whose_sentence_is_gone_or_that_nothing_holds_is_a_fault() {
        let list = "## a.md\n* it never fails\n* it always ends\n  * no promise: a definition\n";
        let found = faults(&entries(list).unwrap(), &promised("a.md", &["Here it never fails."]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with(":2: nothing is said to hold this: it never fails"), "{found:?}");
        assert!(found[1].ends_with(":3: a.md no longer says this: it always ends"), "{found:?}");
    }

    #[test]
    fn holders_are_tests_that_exist_steps_or_reasons() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tests")).unwrap();
        let source = "/// assert!(true);\n#[test]\n#[cfg(unix)]\nfn it_holds() {}\n\nfn helper() {}\n";
        fs::write(root.path().join("tests/a.rs"), source).unwrap();
        fs::write(root.path().join("tests/c.rs"), "fn none() {\n    assert!(true);\n}\n").unwrap();
        let is_check = |holder: &str| super::is_check(holder, root.path());
        for good in
            ["`tests/a.rs`: `it_holds`", "step: `gradcheck`", "no promise: a definition", "by its types: &self is lent"]
        {
            assert_eq!(is_check(good), Ok(!good.starts_with("no promise")), "{good}");
        }
        for bad in [
            "`tests/a.rs`: `it_hold`",
            "`tests/a.rs`: `helper`",
            "`tests/b.rs`: `it_holds`",
            "example: `tests/c.rs`",
            "step: `none`",
        ] {
            assert!(!is_check(bad).unwrap_err().starts_with("this is neither"), "{bad}");
        }
        for neither in ["", "?", "no promise: ", "no promise: word", "tests/a.rs: it_holds", "`tests/a.rs`"] {
            assert!(is_check(neither).unwrap_err().starts_with("this is neither"), "{neither}");
        }
    }

    #[test]
    fn a_list_that_can_not_be_read_names_the_line() {
        for (text, line) in [
            ("* it never fails\n", 1),
            ("## a.md\n\n* it works\n", 3),
            ("## a.md\n  * no promise: a definition\n", 2),
            ("## a.md\nprose\n", 2),
        ] {
            let error = entries(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{LIST}:{line}: ")), "{error}");
        }
    }

    #[test]
    fn the_documents_are_read() {
        let promises = promises(&workspace::root()).unwrap();
        for file in
            ["README.md", "docs/architecture.md", "docs/guide/src/chain-rule.md", "crates/tensor/src/threads.rs"]
        {
            assert!(promises.contains_key(file), "{file}");
        }
    }
}
