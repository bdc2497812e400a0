//! Links to the documentation of other projects' crates.
//!
//! rustdoc takes their addresses from the crates themselves, and some name an older version there or whatever is newest.
//! It can be told better ones, but only by an option that stable compilers don't have: so its pages are rewritten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::workspace::{Workspace, library};
use crate::{Result, command, workspace};

/// The crates that ours are built of, by the names of their libraries, each with its package and version.
#[derive(Debug, Default)]
pub(super) struct External(BTreeMap<String, (String, String)>);

impl External {
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let mut tree = command::cargo();
        tree.args(["tree", "--edges", "normal", "--target", "all", "--all-features", "--prefix", "depth"]);
        tree.args(workspace.crates.iter().flat_map(|package| ["--package", &package.name]));
        Ok(Self::parse(&command::output(tree.current_dir(&workspace.root), "")?))
    }

    /// From what `cargo tree` prints; of several versions the one that our crates ask for.
    fn parse(tree: &str) -> Self {
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut asked = BTreeMap::new();
        for line in tree.lines() {
            // `2rand v0.9.5 (*)`; the crates whose dependencies are at the depth 1 are ours.
            let package = line.trim_start_matches(|c: char| c.is_ascii_digit());
            let depth = &line[..line.len() - package.len()];
            let mut words = package.split(' ');
            let (Some(name), Some(version)) = (words.next(), words.next().and_then(|word| word.strip_prefix('v')))
            else {
                continue;
            };
            // One of the workspace has a path.
            if words.next().is_some_and(|path| path.contains(['/', '\\'])) {
                continue;
            }
            versions.entry(name).or_default().insert(version);
            if depth == "1" {
                asked.insert(name, version);
            }
        }
        let one = |(name, versions): (&str, BTreeSet<&str>)| {
            let only = versions.first().filter(|_| versions.len() == 1);
            let version = asked.get(name).or(only)?;
            Some((library(name), (name.to_owned(), (*version).to_owned())))
        };
        Self(versions.into_iter().filter_map(one).collect())
    }

    /// Has the links on every page below `folder` lead to the versions in use.
    pub(super) fn rewrite(&self, folder: &Path) -> Result {
        for path in workspace::files(folder, "html")? {
            let page = fs::read_to_string(&path)?;
            let rewritten = self.rewritten(&page);
            if rewritten != page {
                fs::write(path, rewritten)?;
            }
        }
        Ok(())
    }

    fn rewritten(&self, page: &str) -> String {
        let mut parts = page.split("href=\"");
        // What stands before the first is no address.
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let address = part.split('"').next().unwrap_or_default();
            text.push_str("href=\"");
            text.push_str(&self.address(address).unwrap_or_else(|| address.to_owned()));
            text.push_str(&part[address.len()..]);
        }
        text
    }

    /// The address that a link to an item of one of the crates should have: the folder of its library and what follows stay.
    fn address(&self, address: &str) -> Option<String> {
        let segments: Vec<&str> = address.strip_prefix("https://")?.split('/').collect();
        let last = *segments.last()?;
        let file = last.split(['#', '?']).next()?;
        // `struct.Array.html`; a page of prose is left alone.
        if !file.ends_with(".html") || (file != "index.html" && file.matches('.').count() != 2) {
            return None;
        }
        let at = segments.iter().rposition(|segment| self.0.contains_key(*segment))?;
        let (package, version) = &self.0[segments[at]];
        Some(format!("https://docs.rs/{package}/{version}/{}", segments[at..].join("/")))
    }

    /// A sentence if the address is that of a version on docs.rs other than the one in use.
    pub(super) fn fault(&self, address: &str) -> Option<String> {
        let mut segments = address.strip_prefix("https://docs.rs/")?.split('/');
        let (package, version) = (segments.next()?, segments.next()?);
        let (_, used) = self.0.get(&library(package))?;
        (version != used).then(|| format!("{address} leads to version {version}, and {used} is used"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external() -> External {
        External::parse(
            "0downhill-tensor v0.1.0 (/home/a b/crates/tensor)\n1ndarray v0.17.2\n2rand v0.8.1\n1rand v0.9.5\n\
             2rand_core v0.9.6\n\n0downhill-layers v0.1.0 (C:\\layers)\n1downhill-tensor v0.1.0 (/crates/tensor) (*)\n\
             1rayon-core v1.13.0\n2syn v2.0.1\n2syn v3.0.1 (*)\n2ndarray v0.17.2 (*)\n",
        )
    }

    #[test]
    fn versions_are_those_that_our_crates_are_built_of() {
        let found = external().0;
        assert_eq!(found["ndarray"], ("ndarray".into(), "0.17.2".into()));
        assert_eq!(found["rand"], ("rand".into(), "0.9.5".into()));
        assert_eq!(found["rayon_core"], ("rayon-core".into(), "1.13.0".into()));
        assert!(!found.contains_key("syn") && !found.contains_key("downhill_tensor"));
    }

    #[test]
    fn links_to_a_crate_lead_to_the_version_in_use() {
        let external = external();
        for (from, to) in [
            (
                "https://docs.rs/ndarray/0.15/ndarray/struct.ArrayBase.html",
                "ndarray/0.17.2/ndarray/struct.ArrayBase.html",
            ),
            (
                "https://docs.rs/ndarray/0.15/ndarray/a/type.B.html#method.c",
                "ndarray/0.17.2/ndarray/a/type.B.html#method.c",
            ),
            (
                "https://rust-random.github.io/rand/rand_core/trait.RngCore.html",
                "rand_core/0.9.6/rand_core/trait.RngCore.html",
            ),
            ("https://rust-random.github.io/rand/rand/index.html", "rand/0.9.5/rand/index.html"),
            ("https://docs.rs/rayon-core/1/rayon_core/fn.join.html", "rayon-core/1.13.0/rayon_core/fn.join.html"),
        ] {
            let page = format!(r#"<a href="a.html">a</a> <a class="struct" href="{from}" title="b">"b"</a>"#);
            let better =
                format!(r#"<a href="a.html">a</a> <a class="struct" href="https://docs.rs/{to}" title="b">"b"</a>"#);
            assert_eq!(external.rewritten(&page), better);
        }
    }

    #[test]
    fn other_links_are_left_alone() {
        for address in [
            "https://doc.rust-lang.org/1.95.0/core/option/enum.Option.html",
            "https://example.org/rand/paper.html",
            "https://example.org/rand",
            "../ndarray/struct.ArrayBase.html",
            "https://docs.rs/syn/2.0.1/syn/struct.Error.html",
        ] {
            let page = format!(r#"{address} <a href="{address}">"#);
            assert_eq!(external().rewritten(&page), page);
        }
    }

    #[test]
    fn a_link_to_another_version_is_a_fault() {
        let external = external();
        let fault = external.fault("https://docs.rs/ndarray/0.15/ndarray/struct.ArrayBase.html").unwrap();
        assert!(fault.ends_with("leads to version 0.15, and 0.17.2 is used"), "{fault}");
        assert!(external.fault("https://docs.rs/ndarray/latest/ndarray/").is_some());
        for address in ["https://docs.rs/ndarray/0.17.2/ndarray/", "https://docs.rs/ndarray", "https://docs.rs/syn/1/"]
        {
            assert_eq!(external.fault(address), None, "{address}");
        }
    }
}
