//! Whether the guide says the same in both languages, as far as a program can tell.
//!
//! A chapter is a row of blocks: headings, paragraphs, items, cells of tables, blocks of code and of equations. Block by
//! block, both languages must have the same of everything that no language changes: levels and addresses of headings,
//! code without its comments, equations, figures and tables to include, links, names in code, numbers in digits.
//! Words of a sentence stand in another order in the other language, so within a block the order is free.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::texts::{self, Kind};
use crate::{Result, no_faults, workspace};

const ENGLISH: &str = "docs/guide/src";
const KOREAN: &str = "docs/guide/ko/src";

/// Fails with a line for each chapter that one of the languages lacks, and for the first difference in each other one.
pub(super) fn check(root: &Path) -> Result {
    let [english, korean] = [chapters(&root.join(ENGLISH))?, chapters(&root.join(KOREAN))?];
    let mut faults: Vec<String> = Vec::new();
    faults.extend(english.difference(&korean).map(|name| format!("{KOREAN}/{name} is missing: {ENGLISH} has it")));
    faults.extend(korean.difference(&english).map(|name| format!("{ENGLISH}/{name} is missing: {KOREAN} has it")));
    let mut count = 0;
    for name in english.intersection(&korean) {
        let read = |folder| fs::read_to_string(root.join(folder).join(name));
        // The summary has no page, and so its heading no address.
        let english = blocks(&read(ENGLISH)?, name != "SUMMARY.md");
        count += english.len();
        if let Some((line, korean_line, fault)) = difference(&english, &blocks(&read(KOREAN)?, false)) {
            faults.push(format!("{KOREAN}/{name}:{korean_line}: {fault} ({ENGLISH}/{name}:{line})"));
        }
    }
    no_faults(&faults)?;
    println!("{} chapters with {count} blocks are the same in both languages", english.len());
    Ok(())
}

/// The names of the chapters below a folder.
fn chapters(folder: &Path) -> Result<BTreeSet<String>> {
    let names = workspace::files(folder, "md")?.iter().map(|file| workspace::name(folder, file)).collect::<Vec<_>>();
    // The tables in the folder of figures are made from the English ones.
    Ok(names.into_iter().filter(|name| !name.starts_with("figures/")).collect())
}

/// A block, and what of it no language changes.
#[derive(Debug, Default)]
struct Block {
    line: usize,
    /// Such as "paragraph".
    name: &'static str,
    /// What must be there as it is: the address of a heading, lines of code.
    whole: String,
    /// What must be there in any order, such as "the equation `x + y`".
    parts: Vec<String>,
    /// Its words, without code and equations.
    prose: String,
}

/// The blocks of a chapter, in their order; `has_addresses` if mdBook gives each heading an address made of its words.
fn blocks(text: &str, has_addresses: bool) -> Vec<Block> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_MATH | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut blocks = vec![Block::default()];
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let line = 1 + text[..range.start].matches('\n').count();
        let mut begin = |name, whole| blocks.push(Block { line, name, whole, ..Block::default() });
        match &event {
            Event::Start(Tag::Heading { level, id, .. }) => {
                let id = id.as_ref().map_or(String::new(), |id| format!("#{id}"));
                begin("heading", format!("{level} {id}"));
            }
            Event::Start(Tag::Paragraph) => begin("paragraph", String::new()),
            Event::Start(Tag::List(start)) => begin("list", format!("{start:?}")),
            Event::Start(Tag::Item) => begin("item of a list", String::new()),
            Event::Start(Tag::Table(columns)) => begin("table", format!("{} columns", columns.len())),
            Event::Start(Tag::TableRow) => begin("row of a table", String::new()),
            Event::Start(Tag::TableCell) => begin("cell of a table", String::new()),
            Event::Start(Tag::BlockQuote(_)) => begin("quotation", String::new()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) if &**language == "math" => {
                begin("equation", String::new());
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = if let CodeBlockKind::Fenced(language) = kind { &**language } else { "" };
                begin("block of code", language.to_owned());
            }
            Event::Rule => begin("rule", String::new()),
            _ => {}
        }
        let Some(block) = blocks.last_mut() else { continue };
        match event {
            Event::Start(Tag::Emphasis) => block.parts.push("an emphasis".to_owned()),
            Event::Start(Tag::Strong) => block.parts.push("a strong emphasis".to_owned()),
            Event::Start(Tag::Image { dest_url, .. }) => block.parts.push(format!("the figure {dest_url}")),
            Event::Start(Tag::Link { dest_url, .. }) => {
                // The Korean book lies in a folder below the reference's.
                let address = dest_url.strip_prefix("../").unwrap_or(&dest_url);
                block.parts.push(format!("the link to {address}"));
            }
            Event::Text(text) => block.prose.push_str(&text),
            Event::SoftBreak | Event::HardBreak => block.prose.push(' '),
            Event::Code(code) => block.parts.push(format!("`{code}`")),
            Event::InlineMath(tex) | Event::DisplayMath(tex) => {
                block.parts.push(format!("the equation {}", without_words(tex.trim_matches('`'))));
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let tags = html.split('<').skip(1).filter_map(|tag| Some(tag.split_once('>')?.0));
                block.parts.extend(tags.map(|tag| format!("the tag <{tag}>")));
            }
            Event::End(TagEnd::CodeBlock) => {
                // The Korean chapters lie a folder deeper.
                let code = std::mem::take(&mut block.prose).replace("{{#include ../../", "{{#include ../");
                match block.name {
                    "equation" => block.whole = without_words(&code),
                    _ => block.whole = format!("{}\n{}", block.whole, without_comments(&block.whole, &code)),
                }
            }
            Event::End(TagEnd::Heading(_)) if has_addresses && !block.whole.contains('#') => {
                block.whole += &format!("#{}", address(&block.prose));
            }
            _ => {}
        }
    }
    for block in &mut blocks {
        let (directives, prose): (Vec<_>, Vec<_>) =
            block.prose.split_inclusive("}}").flat_map(|text| text.split("{{")).partition(|text| text.ends_with("}}"));
        block.parts.extend(directives.iter().map(|directive| format!("the line {{{{{directive}")));
        block.prose = prose.concat();
    }
    blocks
}

/// An equation without the words in it.
fn without_words(tex: &str) -> String {
    let mut pieces = tex.split("\\text{");
    let mut rest = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        rest += "\\text";
        rest += piece.split_once('}').map_or(piece, |(_, after)| after);
    }
    rest.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Code without its comments and without the lines that hold nothing else.
fn without_comments(language: &str, code: &str) -> String {
    let mut lines: Vec<String> = code.lines().map(str::to_owned).collect();
    let mut has_comment = vec![false; lines.len()];
    if language.starts_with("rust") {
        let is_comment = |text: &texts::Text| text.kind != Kind::String;
        for comment in texts::of_source("", code).iter().filter(|text| is_comment(text)) {
            for (at, words) in (comment.line - 1..).zip(comment.text.split('\n')) {
                if let Some(before) = lines[at].strip_suffix(words) {
                    lines[at] = before.trim_end().trim_end_matches(['/', '!']).trim_end().to_owned();
                    has_comment[at] = true;
                }
            }
        }
    } else if ["sh", "toml"].contains(&language) {
        for (line, has_comment) in lines.iter_mut().zip(&mut has_comment) {
            let mark = line.match_indices('#').find(|(at, _)| *at == 0 || line[..*at].ends_with(' '));
            if let Some((at, _)) = mark {
                *line = line[..at].trim_end().to_owned();
                *has_comment = true;
            }
        }
    }
    let kept = lines.iter().zip(has_comment).filter(|(line, has)| !has || !["", "#"].contains(&line.trim()));
    kept.map(|(line, _)| line.as_str()).collect::<Vec<_>>().join("\n")
}

/// The address of a heading, as mdBook makes it of its words.
fn address(words: &str) -> String {
    let letters = words.trim().to_lowercase();
    let letters = letters.chars().map(|c| if c.is_whitespace() { '-' } else { c });
    letters.filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

/// The numbers of a text, as 1,797 and 0.5.
fn numbers(prose: &str) -> Vec<String> {
    let is_number = |text: &&str| text.contains(|c: char| c.is_ascii_digit());
    let texts = prose.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').filter(is_number);
    texts.map(|text| text.trim_matches(['.', ',']).to_owned()).collect()
}

/// The first difference of two chapters: its lines in the English and in the Korean one, and what it is.
fn difference(english: &[Block], korean: &[Block]) -> Option<(usize, usize, String)> {
    let mut pairs = english.iter().zip(korean);
    let found = pairs.find_map(|(one, other)| Some((one.line, other.line, fault(one, other)?)));
    let (one, other) = (english.len(), korean.len());
    found.or_else(|| match one.cmp(&other) {
        Ordering::Equal => None,
        Ordering::Less => Some((english[one - 1].line, korean[one].line, "the English chapter ends here".to_owned())),
        Ordering::Greater => {
            Some((english[other].line, korean[other - 1].line, "the English chapter goes on".to_owned()))
        }
    })
}

/// What is wrong with a Korean block.
fn fault(english: &Block, korean: &Block) -> Option<String> {
    let name = korean.name;
    if english.name != name {
        return Some(format!("here is a {name}, but in English a {}", english.name));
    }
    if english.whole != korean.whole {
        let ends = ["(nothing)"; 1].iter().copied().cycle();
        let (ours, theirs) = (korean.whole.lines().chain(ends.clone()), english.whole.lines().chain(ends));
        let (ours, theirs) = ours.zip(theirs).find(|(one, other)| one != other)?;
        return Some(format!("the {name} has `{ours}`, but in English `{theirs}`"));
    }
    if let Some(part) = lacking(&english.parts, &korean.parts) {
        return Some(format!("the {name} lacks {part}"));
    }
    if let Some(part) = lacking(&korean.parts, &english.parts) {
        return Some(format!("the {name} has {part}, which the English one lacks"));
    }
    if let Some(number) = lacking(&numbers(&english.prose), &numbers(&korean.prose)) {
        return Some(format!("the {name} lacks the number {number}"));
    }
    if korean.prose.contains('*') {
        return Some(format!("the {name} shows an asterisk, since Markdown sees no emphasis there"));
    }
    let words = english.prose.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1).count();
    (words > 1 && english.prose == korean.prose).then(|| format!("the {name} is still in English"))
}

/// The first of the parts that the others lack, counted as often as it is there.
fn lacking<'a>(parts: &'a [String], others: &[String]) -> Option<&'a String> {
    let count = |parts: &[String], part: &String| parts.iter().filter(|other| *other == part).count();
    parts.iter().find(|part| count(parts, part) > count(others, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH_PAGE: &str = "# Steps, *long* ones\n\nTake $`x`$ and $`y`$ of 12; `f` says it [there](api/a.html).\n\n\
        ![a walk](figures/a.svg)\n\n{{#include figures/a.md}}\n\n```math\nx \\text{ if } y\n```\n\n\
        ```rust\n// Two steps.\nlet a = \"//\"; // one\n# // hidden\nlet b = 2;\n```\n\n\
        ```sh\ncargo run # it runs\n```\n\n```python\n{{#include ../peers/a.py:b}}\n```\n\n* one **word**\n\n| a | b |\n|---|---|\n| c | 3 |\n";

    const KOREAN_PAGE: &str = "# *긴* 걸음 {#steps-long-ones}\n\n[거기](../api/a.html)에 적힌 대로 `f`는 12의 $`y`$와 $`x`$입니다.\n\n\
        ![걸음](figures/a.svg)\n\n{{#include figures/a.md}}\n\n```math\nx \\text{ 단 } y\n```\n\n\
        ```rust\nlet a = \"//\"; // 하나\n// 두\n// 줄.\nlet b = 2;\n```\n\n\
        ```sh\n# 실행\ncargo run\n```\n\n```python\n{{#include ../../peers/a.py:b}}\n```\n\n* 한 **낱말**\n\n| 가 | 나 |\n|---|---|\n| 다 | 3 |\n";

    fn differs(korean: &str) -> Option<(usize, usize, String)> {
        difference(&blocks(ENGLISH_PAGE, true), &blocks(korean, false))
    }

    #[test]
    fn words_comments_and_the_order_within_a_sentence_are_free() {
        assert_eq!(differs(KOREAN_PAGE), None);
    }

    #[test]
    fn any_other_difference_is_named_with_its_place() {
        for (from, to, line, fault) in [
            ("# *긴*", "## *긴*", 1, "the heading has `h2 #steps-long-ones`, but in English `h1 #steps-long-ones`"),
            ("{#steps-long-ones}", "{#steps}", 1, "the heading has `h1 #steps`"),
            ("*긴*", "긴", 1, "the heading lacks an emphasis"),
            ("$`y`$", "", 3, "the paragraph lacks the equation y"),
            ("$`y`$", "$`y^2`$", 3, "the paragraph lacks the equation y"),
            ("`f`", "`g`", 3, "the paragraph lacks `f`"),
            ("12", "13", 3, "the paragraph lacks the number 12"),
            ("a.html", "b.html", 3, "the paragraph lacks the link to api/a.html"),
            ("입니다.", "이고 $`z`$입니다.", 3, "the paragraph has the equation z, which the English one lacks"),
            ("a.svg", "b.svg", 5, "the paragraph lacks the figure figures/a.svg"),
            ("{{#include figures/a.md}}", "{{#include figures/b.md}}", 7, "lacks the line {{#include figures/a.md}}"),
            ("x \\text", "y \\text", 9, "the equation has `y \\text y`, but in English `x \\text y`"),
            ("let b = 2;", "let b = 3;", 13, "the block of code has `let b = 3;`, but in English `let b = 2;`"),
            ("\"//\"", "\"/\"", 13, "the block of code has `let a = \"/\";`"),
            ("let b = 2;\n", "", 13, "the block of code has `(nothing)`, but in English `let b = 2;`"),
            ("```rust", "```rust,no_run", 13, "the block of code has `rust,no_run`, but in English `rust`"),
            (":b}}", ":c}}", 25, "the block of code has `{{#include ../peers/a.py:c}}`"),
            ("cargo run", "cargo test", 20, "the block of code has `cargo test`, but in English `cargo run`"),
            ("한 **낱말**", "한 낱말**", 29, "the item of a list lacks a strong emphasis"),
            ("| 다 | 3 |\n", "", 31, "the English chapter goes on"),
            ("| 다 | 3 |\n", "| 다 | 3 |\n\n끝.\n", 35, "the English chapter ends here"),
            ("* 한 **낱말**", "한 **낱말**", 29, "here is a paragraph, but in English a list"),
        ] {
            assert!(KOREAN_PAGE.contains(from), "{from}");
            let (_, at, found) = differs(&KOREAN_PAGE.replacen(from, to, 1)).unwrap_or_else(|| panic!("{from}"));
            assert!(found.contains(fault) && at == line, "{line}: {fault}\n{at}: {found}");
        }
    }

    #[test]
    fn english_left_over_and_emphasis_that_markdown_does_not_see_are_faults() {
        let fault = |english, korean| Some(difference(&blocks(english, true), &blocks(korean, false))?.2);
        assert!(fault("Take a step.", "Take a step.").unwrap().contains("still in English"));
        assert_eq!(fault("Adam", "Adam"), None);
        assert!(fault("A.", "**\"걸음.\"**을 \\*").unwrap().contains("asterisk"));
    }

    #[test]
    fn the_guide_says_the_same_in_both_languages() {
        check(&workspace::root()).unwrap();
    }

    #[test]
    fn a_chapter_in_one_language_alone_is_a_fault() {
        let root = tempfile::tempdir().unwrap();
        for (folder, names) in [(ENGLISH, ["a.md", "b.md"]), (KOREAN, ["b.md", "c.md"])] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            for name in names {
                fs::write(root.path().join(folder).join(name), "").unwrap();
            }
        }
        let faults = check(root.path()).unwrap_err().to_string();
        assert_eq!(faults.lines().count(), 2, "{faults}");
        assert!(faults.contains("docs/guide/ko/src/a.md is missing"), "{faults}");
        assert!(faults.contains("docs/guide/src/c.md is missing"), "{faults}");
    }
}
