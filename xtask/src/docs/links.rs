//! Checks the links between the pages of a site.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::{Result, workspace};

/// The contents of a page: the names that a link can point to, and its own links.
struct Page {
    anchors: BTreeSet<String>,
    /// Those within the site.
    links: Vec<String>,
    /// Those that lead out of it.
    outward: Vec<String>,
    /// The address that the page redirects to, with the anchor, as rustdoc's do that stand at a private module's path.
    onward: Option<String>,
}

/// The links of a site.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The number of links from page to page.
    pub(super) count: usize,
    /// The number of those that lead from the reference of one crate to that of another, by the names of both.
    pub(super) between: BTreeMap<(String, String), usize>,
    /// The addresses that lead out of the site, each with one of the pages that name it.
    pub(super) outward: BTreeMap<String, PathBuf>,
}

/// Follows every relative link of every page below `site`; fails with those that lead nowhere.
pub(super) fn check(site: &Path) -> Result<Links> {
    let mut pages = BTreeMap::new();
    for path in workspace::files(site, "html")? {
        let html = fs::read_to_string(&path)?;
        pages.insert(path, Page::read(&html));
    }
    let mut broken = Vec::new();
    let mut links = Links::default();
    for (path, page) in &pages {
        let name = path.strip_prefix(site).unwrap_or(path);
        let from = crate_of(name);
        for link in &page.links {
            links.count += 1;
            if !leads_somewhere(link, path, &pages) {
                broken.push(format!("{}: {link}", name.display()));
            }
            let target = target(link, path);
            if let Some(pair) = from.zip(target.strip_prefix(site).ok().and_then(crate_of))
                && pair.0 != pair.1
            {
                *links.between.entry((pair.0.to_owned(), pair.1.to_owned())).or_default() += 1;
            }
        }
        links.outward.extend(page.outward.iter().map(|link| (link.clone(), name.to_owned())));
    }
    if broken.is_empty() { Ok(links) } else { Err(format!("links that lead nowhere:\n{}", broken.join("\n")).into()) }
}

impl Page {
    fn read(html: &str) -> Self {
        // Not the scripts: rustdoc names one for every trait, but writes it only where it is needed.
        let links = values(html, "", "href").chain(values(html, "img", "src"));
        // A scheme, as in `https:`, leads out of the site.
        let inside = |link: &String| !link.split(['/', '?', '#']).next().unwrap_or_default().contains(':');
        let (links, outward) = links.partition(inside);
        Self {
            anchors: values(html, "", "id").collect(),
            links,
            outward,
            onward: values(html, "meta http-equiv=\"refresh\"", "content")
                .find_map(|content| content.split_once("URL=").map(|(_, address)| address.to_owned())),
        }
    }
}

/// The values of an attribute in all tags of a page, or in those that start so.
fn values(html: &str, tag: &str, attribute: &str) -> impl Iterator<Item = String> {
    let start = format!(" {attribute}=\"");
    html.split('<')
        .filter(move |text| text.starts_with(tag))
        .filter_map(move |text| text.split_once(&start)?.1.split_once('"'))
        .map(|(value, _)| value.replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&"))
}

/// The crate whose reference holds a page, by its path within the site; the pages of sources are in another folder.
fn crate_of(page: &Path) -> Option<&str> {
    let mut folders = page.strip_prefix("api").ok()?.parent()?.iter();
    folders.next()?.to_str().filter(|name| *name != "src")
}

/// The file that a link leads to from a page.
fn target(link: &str, from: &Path) -> PathBuf {
    let file = link.split(['#', '?']).next().unwrap_or_default();
    if file.is_empty() { from.to_owned() } else { plain(&from.with_file_name("").join(decoded(file))) }
}

fn leads_somewhere(link: &str, from: &Path, pages: &BTreeMap<PathBuf, Page>) -> bool {
    let anchor = link.split_once('#').map_or("", |(_, anchor)| anchor);
    let target = target(link, from);
    let target = if target.is_dir() { target.join("index.html") } else { target };
    match pages.get(&target) {
        // rustdoc encodes some names where it gives them, too.
        Some(Page { onward: Some(onward), .. }) if !onward.contains('#') => {
            // Once: two pages that send their readers to each other lead nowhere.
            let first = pages.get(from).is_none_or(|page| page.onward.is_none());
            first && leads_somewhere(&format!("{onward}#{anchor}"), &target, pages)
        }
        Some(page) => {
            [anchor, &decoded(anchor)].iter().any(|name| page.anchors.contains(*name))
                || anchor.is_empty()
                || is_line(anchor)
        }
        None => target.exists() && anchor.is_empty(),
    }
}

/// `12` or `12-20`: lines of a source, which rustdoc's script marks.
fn is_line(anchor: &str) -> bool {
    anchor.split('-').all(|number| number.parse::<u32>().is_ok())
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The text with each `%41` made the byte it stands for.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) if first == b'%' => {
                bytes.push(code);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(links: &str) -> Result<Links> {
        let site = tempfile::tempdir()?;
        for folder in ["api/one/part", "api/two", "api/src/one"] {
            fs::create_dir_all(site.path().join(folder))?;
        }
        fs::write(site.path().join("index.html"), format!(r#"<p id="top"></p> {links}"#))?;
        fs::write(
            site.path().join("api/index.html"),
            r#"<h2 class="a" id="f(x)">f</h2> <a href="../index.html#top">"#,
        )?;
        fs::write(
            site.path().join("moved.html"),
            r#"<meta http-equiv="refresh" content="0;URL=api/index.html"> <a href="api/index.html">"#,
        )?;
        let two = r#"<a href="../../two/index.html"> <a href="../index.html"> <a href="../../src/one/lib.html">"#;
        fs::write(site.path().join("api/one/part/index.html"), two)?;
        fs::write(site.path().join("api/one/index.html"), r#"<a href="../two/index.html#f">"#)?;
        fs::write(site.path().join("api/two/index.html"), r#"<p id="f"> <a href="https://example.org/a">"#)?;
        fs::write(site.path().join("api/src/one/lib.html"), r#"<a href="../../two/index.html">"#)?;
        fs::write(site.path().join("style.css"), "")?;
        check(site.path())
    }

    #[test]
    fn links_that_lead_somewhere_are_counted() {
        let links = r##"<a href="#top"> <a href="api/index.html"> <a href="api/?search=x"> <a href="api/#f(x)">
            <a href="api/index.html#f%28x%29"> <a href="moved.html"> <a href="moved.html#f(x)">
            <a href="./api/../style.css"> <a href="https://example.org/none#none">"##;
        assert_eq!(site(links).unwrap().count, 8 + 2 + 5);
    }

    #[test]
    fn links_between_crates_and_outward_are_distinguished() {
        let links = site("").unwrap();
        assert_eq!(links.between, BTreeMap::from([(("one".into(), "two".into()), 2)]));
        assert_eq!(links.outward, BTreeMap::from([("https://example.org/a".into(), "api/two/index.html".into())]));
    }

    #[test]
    fn links_that_lead_nowhere_are_named() {
        for link in [
            "#none",
            "none.html",
            "api/none.html",
            "api/index.html#none",
            "moved.html#none",
            "style.css#none",
            "../none.html",
        ] {
            for tag in [format!(r#"<a href="{link}">"#), format!(r#"<img alt="" src="{link}">"#)] {
                let error = site(&tag).unwrap_err().to_string();
                assert!(error.ends_with(&format!("\nindex.html: {link}")), "{error}");
            }
        }
    }
}
