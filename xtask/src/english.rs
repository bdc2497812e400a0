//! `cargo xtask english`: phrases that the project's texts don't use, each with what to write instead.
//!
//! Documents are read whole, and of a source its comments, its documentation and its strings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use self::Place::{Anywhere, Line, Summary};
use crate::{Result, workspace};

/// Where a phrase is not to stand.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Anywhere,
    /// At the beginning of a line of documentation.
    Line,
    /// At the beginning of an item's documentation.
    Summary,
}

/// Each phrase, where it is not to stand, and what to write instead.
///
/// A phrase is found in capitals or not, as whole words, and across the end of a line.
const PHRASES: [(&str, Place, &str); 34] = [
    ("where", Line, "\"If ...\", \"For ...\" or \"Returns an error if ...\""),
    ("with this", Summary, "a verb and an object: \"Sets the cell.\""),
    ("the same", Summary, "what it is or does"),
    ("so many", Anywhere, "\"the number of\", or the number"),
    ("on the way back", Anywhere, "\"in the backward pass\""),
    ("on the way forward", Anywhere, "\"in the forward pass\""),
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

/// Lists the phrases of `PHRASES` in the project's texts, and fails if there are any.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Counts them, by phrase and by folder, instead of listing them.
    #[arg(long)]
    count: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let found = search(&workspace::root())?;
    if arguments.count {
        print_counts(&found);
    } else {
        for Found { file, line, phrase } in &found {
            let (phrase, place, write) = PHRASES[*phrase];
            let place = match place {
                Anywhere => "",
                Line => " at the beginning of a line",
                Summary => " at the beginning of a summary",
            };
            println!("{file}:{line}: \"{phrase}\"{place} -> {write}");
        }
    }
    match found.len() {
        0 => Ok(()),
        count => Err(format!("{count} phrases are to be written in plainer English").into()),
    }
}

/// A phrase, and where it stands.
#[derive(Debug)]
struct Found {
    /// From the root.
    file: String,
    line: usize,
    /// Its place among the `PHRASES`.
    phrase: usize,
}

/// Prints the number of each phrase, and of those in each crate or other folder.
fn print_counts(found: &[Found]) {
    let (mut phrases, mut folders) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    for Found { file, phrase, .. } in found {
        *phrases.entry(PHRASES[*phrase].0).or_default() += 1;
        let depth = if file.starts_with("crates/") { 2 } else { 1 };
        *folders.entry(file.split('/').take(depth).collect::<Vec<_>>().join("/")).or_default() += 1;
    }
    for (name, count) in phrases.iter().map(|(name, count)| (*name, count)) {
        println!("{count:>5}  {name}");
    }
    println!();
    for (name, count) in &folders {
        println!("{count:>5}  {name}");
    }
}

fn search(root: &Path) -> Result<Vec<Found>> {
    let mut files = Vec::new();
    for folder in ["benches", "crates", "xtask"] {
        files.extend(workspace::files(&root.join(folder), "rs")?);
        files.extend(workspace::files(&root.join(folder), "md")?);
    }
    files.extend(workspace::files(&root.join("docs"), "md")?);
    files.extend(["CONTRIBUTING.md", "README.md", "SECURITY.md"].map(|name| root.join(name)));
    let mut found = Vec::new();
    for path in files {
        let file = path.strip_prefix(root).unwrap_or(&path).display().to_string().replace('\\', "/");
        // The list itself holds them all.
        if file == "xtask/src/english.rs" {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let pieces = match file.ends_with(".rs") {
            true => pieces(&text),
            false => vec![Piece::new(1, &text, Kind::Document)],
        };
        let phrases = pieces.iter().flat_map(Piece::phrases);
        found.extend(phrases.map(|(line, phrase)| Found { file: file.clone(), line, phrase }));
    }
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(found)
}

/// A text that people read: a document, a comment or a string.
#[derive(Debug, PartialEq)]
struct Piece {
    /// The line where it begins.
    line: usize,
    /// Its lines in lower case, without the marks of comments and without spaces at their ends.
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A file of Markdown, or the documentation of a crate or a module: its first line is no summary of an item.
    Document,
    /// The documentation of an item.
    Item,
    /// Another comment, or a string.
    Other,
}

impl Piece {
    fn new(line: usize, text: &str, kind: Kind) -> Self {
        let lines: Vec<&str> = text.lines().map(|line| line.trim().trim_end_matches('\\').trim_end()).collect();
        Self { line, text: lines.join("\n").to_lowercase(), kind }
    }

    /// Each phrase in it: its line, and its place among the `PHRASES`.
    fn phrases(&self) -> Vec<(usize, usize)> {
        // A space for each end of a line, so that places stay the same.
        let flat = self.text.replace('\n', " ");
        let mut found = Vec::new();
        for (index, (phrase, place, _)) in PHRASES.iter().enumerate() {
            for (at, _) in flat.match_indices(phrase) {
                let (before, after) = (&self.text[..at], &flat[at + phrase.len()..]);
                let is_there = match place {
                    Anywhere => true,
                    Line => self.kind != Kind::Other && (before.is_empty() || before.ends_with('\n')),
                    Summary => self.kind == Kind::Item && before.is_empty(),
                };
                // A letter next to it makes another word of it; a phrase that ends in a quotation mark needs one.
                let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                let is_followed = is_letter(after.chars().next()) == phrase.ends_with('`');
                let is_preceded = is_letter(before.chars().next_back()) && is_letter(phrase.chars().next());
                if is_there && is_followed && !is_preceded {
                    found.push((self.line + before.matches('\n').count(), index));
                }
            }
        }
        found
    }
}

/// The comments and the strings of a source; comments on lines that follow each other are one piece.
fn pieces(source: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    // The comment that goes on with the next line, where it began, and what marks it.
    let mut comment = String::new();
    let (mut first, mut last, mut mark) = (0, 0, "");
    let close = |comment: &mut String, first: usize, mark: &str| {
        let kind = match mark {
            "///" => Kind::Item,
            "//!" => Kind::Document,
            _ => Kind::Other,
        };
        let text = std::mem::take(comment);
        if text.is_empty() { None } else { Some(Piece::new(first, &text, kind)) }
    };
    let (mut rest, mut line) = (source, 1);
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => {
                let end = rest.find('\n').unwrap_or(rest.len());
                let found = ["///", "//!", "//"].into_iter().find(|mark| rest.starts_with(mark)).unwrap_or_default();
                if found != mark || line != last + 1 {
                    pieces.extend(close(&mut comment, first, mark));
                    (first, mark) = (line, found);
                }
                comment += &rest[found.len()..end];
                comment.push('\n');
                last = line;
                end
            }
            '/' if rest.starts_with("/*") => {
                let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
                pieces.push(Piece::new(line, &rest[2..end], Kind::Other));
                end
            }
            '"' => {
                let end = string_end(&rest[1..]) + 1;
                pieces.push(Piece::new(line, rest[1..end].trim_end_matches('"'), Kind::Other));
                end
            }
            'r' if raw_string(rest).is_some() => {
                let (text, end) = raw_string(rest).unwrap_or_default();
                pieces.push(Piece::new(line, text, Kind::Other));
                end
            }
            // A quotation mark as a character begins no string.
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\\"'") => 4,
            // A word is passed whole, since an r at its end begins no string.
            _ if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            _ => c.len_utf8(),
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    pieces.extend(close(&mut comment, first, mark));
    pieces
}

/// Where a string ends, its closing mark included, given what follows the opening one.
fn string_end(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !is_escaped => return at + 1,
            _ => is_escaped = c == '\\' && !is_escaped,
        }
    }
    text.len()
}

/// The text of the raw string that begins here, as `r#"..."#`, and its whole length.
fn raw_string(text: &str) -> Option<(&str, usize)> {
    let marks = text[1..].bytes().take_while(|&byte| byte == b'#').count();
    let start = marks + 2;
    if text.as_bytes().get(start - 1) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(marks));
    let length = text[start..].find(&close)?;
    Some((&text[start..start + length], start + length + close.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The phrases of a source, as line and phrase.
    fn phrases(source: &str) -> Vec<(usize, &'static str)> {
        let found = pieces(source).into_iter().flat_map(|piece| piece.phrases());
        found.map(|(line, index)| (line, PHRASES[index].0)).collect()
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
        assert_eq!(phrases("fn f() {\n    /// One on the way\n    /// back.\n}"), [(2, "on the way back")]);
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
        let page = Piece::new(1, "# A\n\nWhere a is.\nThe same.", Kind::Document);
        assert_eq!(page.phrases(), [(3, 0)]);
    }

    #[test]
    fn every_phrase_of_the_table_can_be_found() {
        for (index, (phrase, _, _)) in PHRASES.iter().enumerate() {
            let text = format!("{phrase}{}", if phrase.ends_with('`') { "x`" } else { "" });
            assert_eq!(Piece::new(1, &text, Kind::Item).phrases(), [(1, index)], "{phrase}");
        }
    }

    #[test]
    fn the_project_is_read() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("crates/a/src")).unwrap();
        fs::write(root.path().join("crates/a/src/lib.rs"), "\n// nobody\n").unwrap();
        for name in ["CONTRIBUTING.md", "README.md", "SECURITY.md"] {
            fs::write(root.path().join(name), "It makes\nsense.\n").unwrap();
        }
        let found = search(root.path()).unwrap();
        let places: Vec<_> = found.iter().map(|found| (found.file.as_str(), found.line)).collect();
        assert_eq!(places, [("CONTRIBUTING.md", 1), ("README.md", 1), ("SECURITY.md", 1), ("crates/a/src/lib.rs", 2)]);
    }
}
