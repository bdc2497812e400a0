//! The derivations: a book of its own in the site, and the links to it.
//!
//! Their pages lie outside the guide's folder, from which alone mdBook reads: so they are copied, each with a link to
//! the reference, and their summary is made of what is there.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::workspace::{self, Workspace};
use crate::{Result, command};

/// The folders of the pages, each with the heading above their names and the crate that they are about.
const PARTS: [(&str, &str, &str); 3] = [
    ("layers", "Layers", "downhill_layers"),
    ("losses", "Losses", "downhill_losses"),
    ("optimizers", "Optimizers", "downhill_optim"),
];

const SETTINGS: &str = r#"[book]
title = "Derivations"
description = "How each layer, loss and optimizer of downhill comes to its derivatives or its rule."
authors = ["the downhill developers"]
language = "en"

[output.html]
input-404 = ""
no-section-label = true
"#;

/// Builds the book of derivations into the site, whose guide and reference are there.
pub(super) fn build(workspace: &Workspace, mdbook: &Path, site: &Path) -> Result {
    let folder = workspace.target.join("derivations");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let pages = workspace.root.join("docs/derivations");
    let mut summary = String::from("# Summary\n\n[Derivations](README.md)\n");
    copy(&pages.join("README.md"), &folder.join("src/README.md"), "")?;
    for (part, heading, library) in PARTS {
        let _ = write!(summary, "\n# {heading}\n\n");
        for path in workspace::files(&pages.join(part), "md")? {
            let file = workspace::name(&pages, &path);
            let title = copy(&path, &folder.join("src").join(&file), &reference(site, library, &path)?)?;
            let _ = writeln!(summary, "- [{title}]({file})");
        }
    }
    fs::write(folder.join("src/SUMMARY.md"), summary)?;
    fs::write(folder.join("book.toml"), SETTINGS)?;
    // What the pages load lies in the guide's folder, one above.
    let head = fs::read_to_string(workspace.root.join("docs/theme/head.hbs"))?;
    fs::create_dir_all(folder.join("theme"))?;
    fs::write(folder.join("theme/head.hbs"), head.replace("{{ path_to_root }}", "{{ path_to_root }}../"))?;
    command::run(Command::new(mdbook).arg("build").arg(&folder).arg("--dest-dir").arg(site.join("derivations")))
}

/// Copies a page, `link` put below its title, and gives the title.
fn copy(from: &Path, to: &Path, link: &str) -> Result<String> {
    let text = fs::read_to_string(from)?;
    let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    // The chapters of the guide lie at the site's root.
    fs::write(to, format!("{title}\n{link}{}", rest.replace("../guide/src/", "../")))?;
    Ok(title.trim_start_matches('#').trim().to_owned())
}

/// The paragraph that links a page to the reference of its type.
fn reference(site: &Path, library: &str, page: &Path) -> Result<String> {
    let text = fs::read_to_string(page)?;
    let name = text.lines().next().unwrap_or_default().trim_start_matches('#').trim();
    let address = ["struct", "type", "enum"].map(|kind| format!("api/{library}/{kind}.{name}.html"));
    let Some(address) = address.iter().find(|address| site.join(address).exists()) else {
        return Err(format!("{}: {library} documents no {name}", page.display()).into());
    };
    Ok(format!("\n[`{library}::{name}`](../../{address})\n"))
}

/// Makes links of the paths of pages in the reference.
pub(super) fn link(site: &Path) -> Result {
    for path in workspace::files(&site.join("api"), "html")? {
        let page = fs::read_to_string(&path)?;
        let up = "../".repeat(workspace::name(site, &path).matches('/').count());
        let linked = linked(&page, &up);
        if linked != page {
            fs::write(path, linked)?;
        }
    }
    Ok(())
}

/// A page of the reference with its links; `up` leads to the site's root.
fn linked(page: &str, up: &str) -> String {
    let mut parts = page.split("<code>docs/derivations/");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(".md</code>") {
            Some((file, rest)) if !file.contains('<') => {
                // mdBook makes the index of a README.
                let page = file.replace("README", "index");
                let _ = write!(
                    text,
                    r#"<a href="{up}derivations/{page}.html"><code>docs/derivations/{file}.md</code></a>{rest}"#
                );
            }
            _ => {
                let _ = write!(text, "<code>docs/derivations/{part}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_pages_become_links() {
        let page = "<p>Derivation: <code>docs/derivations/layers/relu.md</code>.</p><code>docs/derivations/</code>";
        assert_eq!(
            linked(page, "../../"),
            "<p>Derivation: <a href=\"../../derivations/layers/relu.html\">\
             <code>docs/derivations/layers/relu.md</code></a>.</p><code>docs/derivations/</code>"
        );
        assert_eq!(
            linked("<code>docs/derivations/README.md</code>", ""),
            "<a href=\"derivations/index.html\"><code>docs/derivations/README.md</code></a>"
        );
        assert_eq!(linked("<p>Prose.</p>", ""), "<p>Prose.</p>");
    }

    #[test]
    fn a_copy_has_its_link_below_the_title_and_leads_to_the_guide() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["a.md", "b/c.md"].map(|file| folder.path().join(file));
        fs::write(&from, "# Affine\n\nSee [a](../../guide/src/a.md).\n").unwrap();
        assert_eq!(copy(&from, &to, "\n[link](d.html)\n").unwrap(), "Affine");
        assert_eq!(fs::read_to_string(to).unwrap(), "# Affine\n\n[link](d.html)\n\nSee [a](../../a.md).\n");
    }
}
