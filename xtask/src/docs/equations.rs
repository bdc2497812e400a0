//! Finds the equations in the documentation, and those that Markdown would spoil before KaTeX sees them.
//!
//! Four forms are rendered. Two are safe, because Markdown leaves code alone, and GitHub renders them as well:
//! ``$`...`$`` in a line, and a fenced block of the language `math`. Plain `$...$` and `$$...$$` are fine as long as
//! Markdown finds nothing in them: `\,` would lose its backslash, and two underscores may turn into italics.

use std::ops::Range;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use serde_json::{Value, json};

use crate::{Result, no_faults, texts};

/// The options that both rustdoc and mdBook turn on.
const MARKDOWN: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_SMART_PUNCTUATION);

/// An equation, and where it stands.
#[derive(Debug, PartialEq)]
pub(super) struct Equation {
    pub(super) tex: String,
    pub(super) display: bool,
    /// `FILE:LINE`
    pub(super) place: String,
}

impl Equation {
    pub(super) fn to_json(&self) -> Value {
        json!({ "place": self.place, "tex": self.tex, "display": self.display })
    }
}

/// All equations of the project's documents and of the crates' documentation; fails where Markdown spoils one.
pub(super) fn collect(root: &Path) -> Result<Vec<Equation>> {
    let mut found = Found::default();
    for text in texts::read(root)?.iter().filter(|text| text.is_documentation()) {
        // The tasks and the benchmarks are on no page; this very file quotes what is spoilt.
        if !text.file.starts_with("xtask/") && !text.file.starts_with("benches/") {
            found.scan(&text.text, &text.file, text.line);
        }
    }
    no_faults(&found.spoilt)?;
    Ok(found.equations)
}

#[derive(Default)]
struct Found {
    equations: Vec<Equation>,
    /// A sentence for each equation that a reader would not see as it was written.
    spoilt: Vec<String>,
}

impl Found {
    /// Goes through a Markdown text that begins in this line of a file.
    fn scan(&mut self, text: &str, file: &str, first_line: usize) {
        // What a renderer that knows no equations makes of the same text.
        let plain: Vec<_> = Parser::new_ext(text, MARKDOWN).into_offset_iter().collect();
        // The block of code that we are in, and what it has held so far.
        let mut block: Option<(CodeBlockKind<'_>, String)> = None;
        for (event, range) in Parser::new_ext(text, MARKDOWN | Options::ENABLE_MATH).into_offset_iter() {
            let place = format!("{file}:{}", first_line + text[..range.start].matches('\n').count());
            let display = matches!(event, Event::DisplayMath(_));
            match (event, &mut block) {
                (Event::Start(Tag::CodeBlock(kind)), _) => block = Some((kind, String::new())),
                (Event::Text(code), Some((_, held))) => held.push_str(&code),
                (Event::End(TagEnd::CodeBlock), _) => {
                    if let Some((CodeBlockKind::Fenced(language), tex)) = block.take()
                        && &*language == "math"
                    {
                        self.equations.push(Equation { tex, display: true, place });
                    }
                }
                (Event::Text(prose), None) if prose.contains('$') && !text[..range.start].ends_with('\\') => {
                    self.spoilt
                        .push(format!("{place}: a $ that begins no equation; close it and its braces, or write \\$"));
                }
                (Event::InlineMath(tex) | Event::DisplayMath(tex), _) => {
                    let quoted = tex.strip_prefix('`').and_then(|tex| tex.strip_suffix('`'));
                    if quoted.is_some() || is_left_alone(&range, text, &plain) {
                        self.equations.push(Equation { tex: quoted.unwrap_or(&tex).to_owned(), display, place });
                    } else {
                        let safe =
                            if display { "put it in a fenced block of the language `math`" } else { "write $`...`$" };
                        self.spoilt.push(format!("{place}: Markdown would spoil {}; {safe}", &text[range]));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether the equation at `range` is still there, letter by letter, once Markdown has been through it.
fn is_left_alone(range: &Range<usize>, text: &str, plain: &[(Event<'_>, Range<usize>)]) -> bool {
    let mut kept = String::new();
    for (event, at) in plain.iter().filter(|(_, at)| at.start < range.end && at.end > range.start) {
        match event {
            Event::Text(same) if **same == text[at.clone()] => {
                kept += &text[at.start.max(range.start)..at.end.min(range.end)];
            }
            Event::SoftBreak => kept.push('\n'),
            Event::Start(_) | Event::End(_) if at.start <= range.start && at.end >= range.end => {}
            _ => return false,
        }
    }
    kept.split_whitespace().eq(text[range.clone()].split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Found {
        let mut found = Found::default();
        found.scan(text, "page.md", 1);
        found
    }

    fn equation(tex: &str, display: bool, line: usize) -> Equation {
        Equation { tex: tex.to_owned(), display, place: format!("page.md:{line}") }
    }

    #[test]
    fn all_four_forms_are_found() {
        let found = scan("Let $x$ be\n$`\\hat{m}_t + x_{i}`$ and\n\n$$y = x$$\n\n```math\na \\\\\n\nb\n```\n");
        assert!(found.spoilt.is_empty(), "{:?}", found.spoilt);
        assert_eq!(
            found.equations,
            [
                equation("x", false, 1),
                equation("\\hat{m}_t + x_{i}", false, 2),
                equation("y = x", true, 4),
                equation("a \\\\\n\nb\n", true, 6),
            ]
        );
    }

    #[test]
    fn code_and_prices_are_not_equations() {
        let found = scan("`$x$` costs \\$5\n\n```sh\necho $A $B\n```\n");
        assert!(found.equations.is_empty() && found.spoilt.is_empty());
    }

    #[test]
    fn what_markdown_changes_is_spoilt() {
        for text in [
            r"$a\,b$",
            r"$\{a\}$",
            r"$\hat{m}_t + x_{i}$",
            "$a*b + c*d$",
            "$f'(x)$",
            "$a -- b$",
            "$[a](b)$",
            "$a <b> c$",
            "$a &lt; b$",
            r"$$a \\ b$$",
            r"$`\frac{a`$",
            "it costs 5 $",
        ] {
            let found = scan(text);
            assert!(found.equations.is_empty() && !found.spoilt.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_markdown_leaves_alone_is_not_spoilt() {
        for text in [
            r"$\theta_t - \eta g_t$",
            r"**$x_i$**",
            "* $x$\n* $a < b$",
            "$$\na +\nb\n$$",
            "| $x$ | $y_1$ |\n|-|-|\n| $z$ | |",
        ] {
            let found = scan(text);
            assert!(found.spoilt.is_empty() && !found.equations.is_empty(), "{text}: {:?}", found.spoilt);
        }
    }
}
