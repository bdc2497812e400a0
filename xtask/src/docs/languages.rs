//! The guide in two languages: one book for each, the Korean one below the English one at `ko`.
//!
//! mdBook makes books of one language, with its own words in English, so the links from a page to the same page in the
//! other language and those words in Korean are put into the pages that it has written.

use std::fs;
use std::path::Path;

use crate::{Result, no_faults, workspace};

/// The folder of the Korean book within the site.
pub(super) const KOREAN: &str = "ko";

/// What mdBook writes into pages and scripts, and the same in Korean.
const WORDS: [(&str, &str); 28] = [
    ("Keyboard shortcuts", "단축키"),
    (
        "Press <kbd>←</kbd> or <kbd>→</kbd> to navigate between chapters",
        "<kbd>←</kbd> 또는 <kbd>→</kbd>: 앞 장이나 다음 장으로",
    ),
    ("Press <kbd>S</kbd> or <kbd>/</kbd> to search in the book", "<kbd>S</kbd> 또는 <kbd>/</kbd>: 찾기"),
    ("Press <kbd>?</kbd> to show this help", "<kbd>?</kbd>: 이 도움말 보기"),
    ("Press <kbd>Esc</kbd> to hide this help", "<kbd>Esc</kbd>: 이 도움말 닫기"),
    ("\"Table of contents\"", "\"차례\""),
    ("\"Toggle Table of Contents\"", "\"차례 보이기/감추기\""),
    ("\"Change theme\"", "\"화면 색 바꾸기\""),
    ("\"Themes\"", "\"화면 색\""),
    (">Auto<", ">자동<"),
    (">Light<", ">밝게<"),
    ("\"Search (`/`)\"", "\"찾기 (`/`)\""),
    ("\"Toggle Searchbar\"", "\"찾기 창 보이기/감추기\""),
    ("\"Search this book ...\"", "\"이 안내서에서 찾기 ...\""),
    ("\"Print this book\"", "\"인쇄하기\""),
    ("\"Page navigation\"", "\"앞뒤 장\""),
    ("\"Previous chapter\"", "\"앞 장\""),
    ("\"Next chapter\"", "\"다음 장\""),
    ("\"Show hidden lines\"", "\"감춘 줄 보이기\""),
    ("'Show hidden lines'", "'감춘 줄 보이기'"),
    ("'Hide lines'", "'줄 감추기'"),
    ("'Copy to clipboard'", "'복사하기'"),
    ("'Copied!'", "'복사했습니다'"),
    ("'Clipboard error!'", "'복사하지 못했습니다'"),
    ("count + ' search result for \\'' + searchterm + '\\':'", "'\\'' + searchterm + '\\' 찾기 결과 ' + count + '개:'"),
    (
        "count + ' search results for \\'' + searchterm + '\\':'",
        "'\\'' + searchterm + '\\' 찾기 결과 ' + count + '개:'",
    ),
    ("'No search results for \\'' + searchterm + '\\'.'", "'\\'' + searchterm + '\\' 찾기 결과가 없습니다.'"),
    ("\"Search Result Teaser\"", "\"찾은 곳의 글\""),
];

/// Links each page of the site to the same page in the other language, and says mdBook's own words in Korean.
pub(super) fn join(site: &Path) -> Result {
    let korean = site.join(KOREAN);
    let mut faults = translate(&korean)?;
    for entry in fs::read_dir(site)? {
        let english = entry?.path();
        // The frame with the contents has no buttons, and the page around it has.
        let is_page =
            english.extension().is_some_and(|extension| extension == "html") && !english.ends_with("toc.html");
        let Some(name) = english.file_name().and_then(|name| name.to_str()).filter(|_| is_page) else { continue };
        let other = korean.join(name);
        if !other.exists() {
            faults.push(format!("the Korean guide has no page {name}"));
            continue;
        }
        let to_korean =
            Switch {
                lang: "ko", address: format!("{KOREAN}/{name}"), text: "한국어", title: "이 쪽을 한국어로 읽기"
            };
        let to_english =
            Switch { lang: "en", address: format!("../{name}"), text: "English", title: "Read this page in English" };
        for (path, switch) in [(&english, to_korean), (&other, to_english)] {
            match switch.put_into(&fs::read_to_string(path)?) {
                Some(page) => fs::write(path, own_script_first(&page))?,
                None => faults.push(format!("{} has no place for the link to the other language", path.display())),
            }
        }
    }
    no_faults(&faults)
}

/// Says mdBook's words in Korean in the pages and scripts of a book; gives a sentence for each phrase that it lacks.
fn translate(book: &Path) -> Result<Vec<String>> {
    let mut missing = WORDS.map(|(english, _)| Some(english));
    for path in [workspace::files(book, "html")?, workspace::files(book, "js")?].concat() {
        let text = fs::read_to_string(&path)?;
        let mut translated = text.clone();
        for ((english, korean), missing) in WORDS.iter().zip(&mut missing) {
            if translated.contains(english) {
                *missing = None;
                translated = translated.replace(english, korean);
            }
        }
        if translated != text {
            fs::write(path, translated)?;
        }
    }
    let fault = |english| format!("mdBook no longer writes {english}, which the Korean guide shows in Korean");
    Ok(missing.into_iter().flatten().map(fault).collect())
}

/// The page with the Korean book's own script before mdBook's search, which begins at once at an address with a query.
fn own_script_first(page: &str) -> String {
    let mut lines: Vec<&str> = page.lines().collect();
    let script = |name: &str| lines.iter().position(|line| line.contains("<script src=") && line.contains(name));
    if let (Some(search), Some(own)) = (script("searcher-"), script("korean-")) {
        let line = lines.remove(own);
        lines.insert(search, line);
    }
    lines.join("\n") + "\n"
}

/// A link to the same page in another language.
struct Switch {
    lang: &'static str,
    address: String,
    text: &'static str,
    title: &'static str,
}

impl Switch {
    /// The page with the link among its buttons, which keeps the place within the page, and with the same in its head,
    /// for search engines; nothing if the page has no such places.
    fn put_into(&self, page: &str) -> Option<String> {
        let Self { lang, address, text, title } = self;
        let buttons = "<div class=\"right-buttons\">";
        let link = format!(
            "{buttons}\n<a class=\"language\" href=\"{address}\" hreflang=\"{lang}\" lang=\"{lang}\" title=\"{title}\" \
             onclick=\"this.hash = location.hash\">{text}</a>"
        );
        let alternate = format!("<link rel=\"alternate\" hreflang=\"{lang}\" href=\"{address}\">\n    </head>");
        let is_ready = page.contains(buttons) && page.contains("</head>");
        is_ready.then(|| page.replacen(buttons, &link, 1).replacen("</head>", &alternate, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<html><head></head><body><div class=\"right-buttons\"></div></body></html>";

    /// A site of two books, whose Korean one has mdBook's words in a page.
    fn site() -> tempfile::TempDir {
        let site = tempfile::tempdir().unwrap();
        fs::create_dir(site.path().join(KOREAN)).unwrap();
        let words = WORDS.map(|(english, _)| english).join("\n");
        fs::write(site.path().join("a.html"), PAGE).unwrap();
        fs::write(site.path().join("toc.html"), "").unwrap();
        fs::write(site.path().join("ko/a.html"), format!("{PAGE}{words}")).unwrap();
        site
    }

    #[test]
    fn a_page_leads_to_the_same_page_in_the_other_language() {
        let site = site();
        join(site.path()).unwrap();
        let read = |name| fs::read_to_string(site.path().join(name)).unwrap();
        let (english, korean) = (read("a.html"), read("ko/a.html"));
        assert!(english.contains("<a class=\"language\" href=\"ko/a.html\" hreflang=\"ko\" lang=\"ko\""), "{english}");
        assert!(korean.contains("<a class=\"language\" href=\"../a.html\" hreflang=\"en\" lang=\"en\""), "{korean}");
        assert!(korean.contains("<link rel=\"alternate\" hreflang=\"en\" href=\"../a.html\">"), "{korean}");
        assert!(korean.contains("\"차례\"") && !korean.contains("Table of"), "{korean}");
    }

    #[test]
    fn the_own_script_goes_before_the_search() {
        let [search, own] = ["<script src=\"searcher-1.js\"></script>", "<script src=\"korean-1.js\"></script>"];
        assert_eq!(own_script_first(&format!("a\n{search}\nb\n{own}\nc")), format!("a\n{own}\n{search}\nb\nc\n"));
        assert_eq!(own_script_first(&format!("{search}\nb\n")), format!("{search}\nb\n"));
    }

    #[test]
    fn a_page_without_its_pair_or_without_buttons_and_a_phrase_that_is_gone_are_faults() {
        let site = site();
        fs::write(site.path().join("b.html"), PAGE).unwrap();
        fs::write(site.path().join("c.html"), "<html>").unwrap();
        fs::write(site.path().join("ko/c.html"), PAGE).unwrap();
        let words = WORDS[1..].iter().map(|(english, _)| *english).collect::<String>();
        fs::write(site.path().join("ko/a.html"), format!("{PAGE}{words}")).unwrap();
        let faults = join(site.path()).unwrap_err().to_string();
        assert_eq!(faults.lines().count(), 3, "{faults}");
        for fault in ["no page b.html", "c.html has no place", "no longer writes Keyboard shortcuts"] {
            assert!(faults.contains(fault), "{faults}");
        }
    }
}
