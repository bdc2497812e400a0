//! The texts that people read: documents, and the comments and strings of sources.

use std::fs;
use std::path::Path;

use crate::{Result, workspace};

/// A document, a comment or a string.
#[derive(Debug, PartialEq)]
pub(crate) struct Text {
    /// Its file, from the root.
    pub(crate) file: String,
    /// The line where it begins.
    pub(crate) line: usize,
    /// Its lines, without the marks of comments.
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Whether it stands in the tests at the foot of a source.
    pub(crate) is_test: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A file of Markdown.
    Page,
    /// The documentation of a crate or a module.
    Module,
    /// The documentation of an item.
    Item,
    Comment,
    String,
}

impl Text {
    /// A whole document.
    pub(crate) fn page(file: &str, text: String) -> Self {
        Self { file: file.to_owned(), line: 1, text, kind: Kind::Page, is_test: false }
    }

    /// Whether it is Markdown that is shown to users.
    pub(crate) fn is_documentation(&self) -> bool {
        matches!(self.kind, Kind::Page | Kind::Module | Kind::Item)
    }
}

/// The documents that lie next to the folders.
pub(crate) const PAGES: [&str; 4] = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"];

/// All texts of the project, by their files.
pub(crate) fn read(root: &Path) -> Result<Vec<Text>> {
    let mut files = PAGES.map(|page| root.join(page)).to_vec();
    for folder in ["benches", "crates", "docs", "xtask"] {
        files.extend(workspace::files(&root.join(folder), "md")?);
        files.extend(workspace::files(&root.join(folder), "rs")?);
    }
    let mut texts = Vec::new();
    for path in files {
        let file = workspace::name(root, &path);
        let text = fs::read_to_string(&path).map_err(|error| format!("{file} can't be read: {error}"))?;
        match file.ends_with(".rs") {
            true => texts.extend(of_source(&file, &text)),
            false => texts.push(Text::page(&file, text)),
        }
    }
    texts.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(texts)
}

/// The comments and the strings of a source; comments with the same mark on lines that follow each other are one text.
pub(crate) fn of_source(file: &str, source: &str) -> Vec<Text> {
    let tests = source.find("#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    let mut texts: Vec<Text> = Vec::new();
    // The line and the mark of the comment that the next line may go on with.
    let mut last = (0, "");
    let (mut rest, mut line) = (source, 1);
    while let Some(c) = rest.chars().next() {
        let is_test = source.len() - rest.len() >= tests;
        let new = |text: &str, kind| Text { file: file.to_owned(), line, text: text.to_owned(), kind, is_test };
        let length = match c {
            '/' if rest.starts_with("//") => {
                let end = rest.find('\n').unwrap_or(rest.len());
                let (mark, kind) = match () {
                    () if rest.starts_with("////") => ("//", Kind::Comment),
                    () if rest.starts_with("///") => ("///", Kind::Item),
                    () if rest.starts_with("//!") => ("//!", Kind::Module),
                    () => ("//", Kind::Comment),
                };
                let text = &rest[mark.len()..end];
                let text = text.strip_prefix(' ').unwrap_or(text);
                match texts.last_mut() {
                    Some(comment) if last == (line - 1, mark) && comment.kind == kind => {
                        comment.text.push('\n');
                        comment.text.push_str(text);
                    }
                    _ => texts.push(new(text, kind)),
                }
                last = (line, mark);
                end
            }
            '/' if rest.starts_with("/*") => {
                let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
                texts.push(new(&rest[2..end], Kind::Comment));
                end
            }
            '"' => {
                let end = string_end(&rest[1..]) + 1;
                texts.push(new(rest[1..end].trim_end_matches('"'), Kind::String));
                end
            }
            'r' if raw_string(rest).is_some() => {
                let (text, end) = raw_string(rest).unwrap_or_default();
                texts.push(new(text, Kind::String));
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
    texts
}

/// The place where a string ends, its closing mark included, from what follows the opening one.
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

/// The text of the raw string that begins here, such as `r#"..."#`, and its whole length.
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

    #[test]
    fn comments_keep_their_lines_and_kinds() {
        let source = "//! A\n//!\n//!  b\n\n    /// C\n    fn c() {} // d\n//// e\n/// \"f\"\n#[cfg(test)]\nmod tests { /// g\n}";
        let texts = of_source("a.rs", source);
        let found: Vec<_> = texts.iter().map(|text| (text.line, text.text.as_str(), text.kind)).collect();
        assert_eq!(
            found,
            [
                (1, "A\n\n b", Kind::Module),
                (5, "C", Kind::Item),
                (6, "d\n// e", Kind::Comment),
                (8, "\"f\"", Kind::Item),
                (10, "g", Kind::Item)
            ]
        );
        assert_eq!(texts.iter().filter(|text| text.is_test).count(), 1);
    }

    #[test]
    fn a_comment_behind_a_string_is_no_part_of_it() {
        let texts = of_source("a.rs", "// a\nb(\"c\"); // d\n// e");
        let found: Vec<_> = texts.iter().map(|text| (text.line, text.text.as_str(), text.kind)).collect();
        assert_eq!(found, [(1, "a", Kind::Comment), (2, "c", Kind::String), (2, "d\ne", Kind::Comment)]);
    }

    #[test]
    fn the_project_is_read() {
        let texts = read(&workspace::root()).unwrap();
        for file in ["README.md", "docs/guide/src/chain-rule.md", "crates/tensor/README.md", "crates/tensor/src/lib.rs"]
        {
            assert!(texts.iter().any(|text| text.file == file), "{file}");
        }
    }
}
