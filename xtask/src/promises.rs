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
    let list = List::parse(&fs::read_to_string(root.join(LIST))?)?;
    let promises = promises(&root)?;
    let mut faults = list.faults(&promises);
    faults.extend(list.untrue(&root));
    no_faults(&faults)?;
    let count: usize = promises.values().map(Vec::len).sum();
    let held = list.0.values().flatten().filter(|entry| entry.holders.iter().any(Holder::is_check)).count();
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

/// The list, by the path of the file that promises it.
#[derive(Debug)]
struct List(BTreeMap<String, Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    /// A piece of the sentence, or all of it.
    piece: String,
    holders: Vec<Holder>,
}

/// Why one may rely on a sentence.
#[derive(Debug, PartialEq)]
enum Holder {
    /// A test: its file, from the root, and its function.
    Test(String, String),
    /// An example in the documentation of this file.
    Example(String),
    /// A step of `cargo xtask ci`.
    Step(String),
    /// The compiler lets no program break it.
    Compiler,
    /// It promises nothing.
    None,
}

impl Holder {
    fn is_check(&self) -> bool {
        *self != Self::None
    }

    fn parse(text: &str) -> Option<Self> {
        let has_reason = |reason: &str| reason.split_whitespace().count() >= 2;
        if let Some(reason) = text.strip_prefix("no promise: ") {
            return has_reason(reason).then_some(Self::None);
        }
        if let Some(reason) = text.strip_prefix("by its types: ") {
            return has_reason(reason).then_some(Self::Compiler);
        }
        let code = |text: &str| Some(text.strip_prefix('`')?.strip_suffix('`')?.to_owned());
        match text.split_once(": ")? {
            ("step", step) => Some(Self::Step(code(step)?)),
            ("example", file) => Some(Self::Example(code(file)?)),
            (file, test) => Some(Self::Test(code(file)?, code(test)?)),
        }
    }

    /// Says what is wrong with it, if anything.
    fn fault(&self, root: &Path) -> Option<String> {
        match self {
            Self::Test(file, test) => match fs::read_to_string(root.join(file)) {
                Err(error) => Some(format!("`{file}` can't be read ({error})")),
                Ok(source) if !has_test(&source, test) => Some(format!("`{file}` has no test `{test}`")),
                Ok(_) => None,
            },
            Self::Example(file) => match fs::read_to_string(root.join(file)) {
                Err(error) => Some(format!("`{file}` can't be read ({error})")),
                Ok(source) if !source.lines().any(|line| is_example(file, line)) => {
                    Some(format!("`{file}` has no example that asserts"))
                }
                Ok(_) => None,
            },
            Self::Step(step) => (!is_step(step)).then(|| format!("`cargo xtask ci` has no step `{step}`")),
            Self::Compiler | Self::None => None,
        }
    }
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

impl List {
    fn parse(text: &str) -> Result<Self> {
        let mut files: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut file = None;
        for (index, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("{LIST}:{}: {what}", index + 1);
            if let Some(name) = line.strip_prefix("## ") {
                file = Some(name.to_owned());
            } else if let Some(piece) = line.strip_prefix("* ") {
                let file = file.as_ref().ok_or_else(|| wrong("no heading says whose sentence this is"))?;
                if !is_promise(piece) {
                    return Err(wrong("none of the words of a promise is in this piece of a sentence").into());
                }
                let entry = Entry { piece: piece.to_owned(), holders: Vec::new() };
                files.entry(file.clone()).or_default().push(entry);
            } else if let Some(holder) = line.strip_prefix("  * ") {
                let entry = file.as_ref().and_then(|file| files.get_mut(file)?.last_mut());
                let entry = entry.ok_or_else(|| wrong("no sentence stands above this"))?;
                let holder = Holder::parse(holder).ok_or_else(|| {
                    wrong(
                        "this is neither a test (`FILE`: `NAME`) nor an example (example: `FILE`) nor a step of CI (step: \
                         `NAME`) nor a reason (no promise: ..., by its types: ...)",
                    )
                })?;
                entry.holders.push(holder);
            } else if file.is_some() && !line.trim().is_empty() {
                return Err(wrong("this is neither a heading nor a sentence nor what holds it").into());
            }
        }
        Ok(Self(files))
    }

    fn entries(&self, file: &str) -> &[Entry] {
        self.0.get(file).map_or(&[], Vec::as_slice)
    }

    /// The sentences that no entry covers, in the form of the list.
    fn lacking(&self, promises: &Promises) -> String {
        let mut text = String::new();
        for (file, sentences) in promises {
            let mut unlisted = sentences
                .iter()
                .filter(|sentence| !self.entries(file).iter().any(|entry| sentence.contains(&entry.piece)))
                .peekable();
            if unlisted.peek().is_some() {
                let _ = writeln!(text, "## {file}\n");
                for sentence in unlisted {
                    let _ = writeln!(text, "* {sentence}\n  * ");
                }
                text.push('\n');
            }
        }
        text
    }

    /// A sentence for each promise that is not listed and for each entry that has no sentence or holder.
    fn faults(&self, promises: &Promises) -> Vec<String> {
        let mut faults = Vec::new();
        let lacking = self.lacking(promises);
        if !lacking.is_empty() {
            faults.push(format!(
                "{LIST} lacks these; say there what holds them, or say it without a promise:\n\n{lacking}"
            ));
        }
        for (file, entries) in &self.0 {
            let sentences = promises.get(file).map_or(&[][..], Vec::as_slice);
            for entry in entries {
                if !sentences.iter().any(|sentence| sentence.contains(&entry.piece)) {
                    faults.push(format!("{LIST} lists what {file} no longer says: {}", entry.piece));
                }
                if entry.holders.is_empty() {
                    faults.push(format!("{LIST} says of {file} not what holds this: {}", entry.piece));
                }
            }
        }
        faults
    }

    /// A sentence for each test or step that does not exist.
    fn untrue(&self, root: &Path) -> Vec<String> {
        let holders =
            self.0.values().flatten().flat_map(|entry| entry.holders.iter().map(move |holder| (entry, holder)));
        let fault =
            |(entry, holder): (&Entry, &Holder)| Some(format!("{LIST}: {}: {}", entry.piece, holder.fault(root)?));
        holders.filter_map(fault).collect()
    }
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
        let list = List::parse(LISTED).unwrap();
        assert_eq!(list.faults(&promised("a.md", &["Here it never fails."])), [""; 0]);
        assert_eq!(list.lacking(&promised("a.md", &["Here it never fails."])), "");
    }

    #[test]
    fn a_sentence_that_is_not_listed_is_a_fault() {
        let list = List::parse(LISTED).unwrap();
        let faults = list.faults(&promised("a.md", &["Here it never fails.", "It always ends."]));
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.contains("## a.md\n\n* It always ends.\n") && !fault.contains("fails"), "{fault}");
        // The same words in another file are another promise.
        assert_eq!(list.faults(&promised("b.md", &["Here it never fails."])).len(), 2);
    }

    #[test]
    fn an_entry_whose_sentence_is_gone_or_that_nothing_holds_is_a_fault() {
        let list = List::parse("## a.md\n* it never fails\n* it always ends\n  * no promise: a definition\n").unwrap();
        let faults = list.faults(&promised("a.md", &["Here it never fails."]));
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("not what holds this: it never fails"), "{faults:?}");
        assert!(faults[1].contains("no longer says: it always ends"), "{faults:?}");
    }

    #[test]
    fn holders_are_tests_that_exist_steps_or_reasons() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tests")).unwrap();
        let source = "/// assert!(true);\n#[test]\n#[cfg(unix)]\nfn it_holds() {}\n\nfn helper() {}\n";
        fs::write(root.path().join("tests/a.rs"), source).unwrap();
        fs::write(root.path().join("tests/c.rs"), "fn none() {\n    assert!(true);\n}\n").unwrap();
        let fault = |holder: &str| Holder::parse(holder).unwrap().fault(root.path());
        for good in
            ["`tests/a.rs`: `it_holds`", "step: `gradcheck`", "no promise: a definition", "by its types: &self is lent"]
        {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "`tests/a.rs`: `it_hold`",
            "`tests/a.rs`: `helper`",
            "`tests/b.rs`: `it_holds`",
            "example: `tests/c.rs`",
            "step: `none`",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        for neither in ["", "?", "no promise: ", "no promise: word", "tests/a.rs: it_holds", "`tests/a.rs`"] {
            assert_eq!(Holder::parse(neither), None, "{neither}");
        }
    }

    #[test]
    fn a_list_that_can_not_be_read_names_the_line() {
        for (text, line) in [
            ("* it never fails\n", 1),
            ("## a.md\n\n* it works\n", 3),
            ("## a.md\n  * no promise: a definition\n", 2),
            ("## a.md\n* it never fails\n  * perhaps\n", 3),
            ("## a.md\nprose\n", 2),
        ] {
            let error = List::parse(text).unwrap_err().to_string();
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
