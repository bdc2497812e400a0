//! Screenshots of the site's pages, and what is wrong with them in a browser.
//!
//! A script, `shots/look.js`, opens them in the machine's own Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::workspace::{self, Workspace, library};
use crate::{Result, browser, command, no_faults};

const SCRIPT: &str = include_str!("shots/look.js");

/// A page with one of each fault, and words of each fault that must be found in it.
const FAULTY: &str = include_str!("shots/faulty.html");
const FOUND: [&str; 11] = [
    "scrolls horizontally",
    "sticks out to the right: <p> \"Too wide.\"",
    "shows no image for missing.png",
    "asks the network for https://example.invalid/picture.png",
    "has an equation left as text: An equation $x$",
    "has an equation that KaTeX does not understand: Expected",
    "lacks the letters \u{378}",
    "axe color-contrast",
    "axe button-name",
    "console: a message",
    "script: a mistake",
];

/// Takes the screenshots of those pages of the site that have one of the words in their address, or of all without words,
/// and fails with a line for each fault.
pub(super) fn take(workspace: &Workspace, site: &Path, words: &[String]) -> Result {
    let mut pages = pages(workspace, site)?;
    pages.retain(|page| words.is_empty() || words.iter().any(|word| page.contains(word.as_str())));
    if pages.is_empty() {
        return Err(format!("no page of {} has {} in its address", site.display(), words.join(" or ")).into());
    }
    let folder = workspace.target.join("shots");
    fs::create_dir_all(&folder)?;
    let browser = Browser {
        playwright: browser::playwright(workspace)?,
        axe: browser::axe(workspace)?,
        chromium: browser::chromium()?,
        folder,
    };
    browser.try_out(workspace)?;
    let faults = browser.look(site, &pages)?;
    println!("{} pages, each at two widths in light and dark: {}", pages.len(), browser.folder.display());
    no_faults(&faults)
}

/// What looks at pages, and where it leaves its pictures.
struct Browser {
    playwright: PathBuf,
    axe: PathBuf,
    chromium: PathBuf,
    folder: PathBuf,
}

impl Browser {
    /// Fails unless each fault of a page that has all of them is found.
    fn try_out(&self, workspace: &Workspace) -> Result {
        let site = workspace.target.join("faulty");
        fs::create_dir_all(&site)?;
        fs::write(site.join("faulty.html"), FAULTY)?;
        let faults = self.look(&site, &["faulty.html".into()])?.join("\n");
        let missed = FOUND.iter().filter(|fault| !faults.contains(**fault));
        no_faults(&missed.map(|fault| format!("a page with this fault looks right: {fault}")).collect::<Vec<_>>())
    }

    /// Takes the screenshots of pages and gives a line for each fault.
    fn look(&self, site: &Path, pages: &[String]) -> Result<Vec<String>> {
        let Self { playwright, axe, chromium, folder } = self;
        let task = json!({
            "playwright": playwright, "axe": axe, "chromium": chromium, "folder": folder, "site": site, "pages": pages,
        });
        let said = command::output(Command::new("node").args(["-e", SCRIPT]), &task.to_string())?;
        let said = said.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<Value>, _>>()?;
        let done = said.iter().filter(|line| line["done"].is_string()).count();
        if done != pages.len() {
            return Err(format!("the browser showed {done} of {} pages", pages.len()).into());
        }
        Ok(said.iter().filter_map(|line| Some(line["fault"].as_str()?.to_owned())).collect())
    }
}

/// The pages to show, by their addresses in the site: those of the guide, of the derivations, and each crate's front page.
fn pages(workspace: &Workspace, site: &Path) -> Result<Vec<String>> {
    let mut pages = Vec::new();
    for folder in [".", super::languages::KOREAN, "derivations"] {
        for path in workspace::files(&site.join(folder), "html")? {
            let page = workspace::name(site, &path);
            let page = page.trim_start_matches("./").to_owned();
            // Frames and pages for printers are no pages of their own.
            let is_page = !["toc.html", "print.html"].iter().any(|name| page.ends_with(name));
            let is_elsewhere = folder == "." && page.contains('/');
            if is_page && !is_elsewhere && !is_forward(&path)? {
                pages.push(page);
            }
        }
    }
    let fronts = workspace.crates.iter().map(|package| format!("api/{}/index.html", library(&package.name)));
    // With the guide alone there are none.
    pages.extend(fronts.filter(|page| site.join(page).exists()));
    Ok(pages)
}

/// Whether a page only sends its reader on to another.
fn is_forward(page: &Path) -> Result<bool> {
    Ok(fs::read_to_string(page)?.contains("http-equiv=\"refresh\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_those_of_the_guide_of_the_derivations_and_the_front_pages_of_crates() {
        let site = tempfile::tempdir().unwrap();
        let [page, front] = ["derivations/layers/b.html", "api/c_c/index.html"];
        for name in ["a.html", "toc.html", "ko/a.html", "ko/print.html", page, front, "api/c_c/d.html"] {
            let path = site.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "<p>").unwrap();
        }
        fs::write(site.path().join("old.html"), "<meta http-equiv=\"refresh\">").unwrap();
        let package = |name: &str| workspace::Package { name: name.into(), features: Vec::new(), below: Vec::new() };
        let workspace =
            Workspace { root: PathBuf::new(), target: PathBuf::new(), crates: vec![package("c-c"), package("d")] };
        let pages = pages(&workspace, site.path()).unwrap();
        assert_eq!(pages, ["a.html", "ko/a.html", page, front]);
    }
}
