//! The machine's Chromium, and what drives it.
//!
//! Playwright drives it from a script for Node.js: it is one archive of npm that needs nothing else, as KaTeX is, while the
//! crates that speak the browser's protocol bring an asynchronous runtime and more than a hundred others.
//! `axe-core` looks for what a person who does not see a page, or has no mouse, could not use.

use std::path::{Path, PathBuf};

use crate::workspace::Workspace;
use crate::{Result, npm};

const PLAYWRIGHT: (&str, &str) =
    ("playwright-core@1.63.0", "208593d4e1bcd8f8fe5f869cad1cc332dc7f1d70dc1d58c102dc3ac36e30f26c");
const AXE: (&str, &str) = ("axe-core@4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745");

/// What Chromium is called, or its place if that is on no path.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
];

/// The folder of the package by which a script drives the browser.
pub(crate) fn playwright(workspace: &Workspace) -> Result<PathBuf> {
    npm::unpack(PLAYWRIGHT.0, PLAYWRIGHT.1, &workspace.target.join("playwright"))
}

/// The script that checks a page.
pub(crate) fn axe(workspace: &Workspace) -> Result<PathBuf> {
    Ok(npm::unpack(AXE.0, AXE.1, &workspace.target.join("axe"))?.join("axe.min.js"))
}

/// The machine's Chromium, or the one that the variable `CHROMIUM` names.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    find(&NAMES, &path()).ok_or_else(|| {
        "no Chromium is on the PATH: install the package `chromium`, or name the program in the variable CHROMIUM"
            .into()
    })
}

/// The machine's Firefox, if there is one.
pub(crate) fn firefox() -> Option<PathBuf> {
    find(&["firefox", "firefox-esr"], &path())
}

/// The folders of the PATH.
fn path() -> Vec<PathBuf> {
    std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect()
}

/// The first of the names that is a file in one of the folders.
fn find(names: &[&str], folders: &[impl AsRef<Path>]) -> Option<PathBuf> {
    let places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.as_ref().join(name)));
    places.into_iter().find(|place| place.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_go_before_the_folders() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [first, second] = folders.each_ref().map(tempfile::TempDir::path);
        let put = |place: PathBuf| std::fs::write(&place, "").map(|()| place).unwrap();
        let chrome = put(first.join("google-chrome"));
        assert_eq!(find(&NAMES, &[first]), Some(chrome));
        let chromium = put(second.join("chromium"));
        assert_eq!(find(&NAMES, &[first, second]), Some(chromium));
    }
}
