//! The text that docs.rs puts into the head of a crate's pages, so that equations are rendered there too.
//!
//! A page there can load nothing of ours, and KaTeX with its fonts would put 600 KB into each page. So KaTeX renders the
//! equations here, to MathML, and the header of a crate holds what its pages need: those equations, and the script of
//! our own site that finds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::equations::Equation;
use crate::Result;
use crate::workspace::{self, Workspace};

/// The file's name, in the folder of each crate that has equations.
const NAME: &str = "docs-header.html";

/// Writes the header of each crate that has equations.
pub(super) fn write(workspace: &Workspace, rendered: &[(Equation, String)]) -> Result {
    for (path, header) in headers(workspace, rendered)? {
        println!("{}: {} KB", path.display(), header.len() / 1000);
        fs::write(path, header)?;
    }
    Ok(())
}

/// Fails if the equations of a crate are not those of its header, or if docs.rs is not told of the header.
pub(super) fn check(workspace: &Workspace, rendered: &[(Equation, String)]) -> Result {
    let headers = headers(workspace, rendered)?;
    for path in workspace::files(&workspace.root.join("crates"), "html")? {
        if path.ends_with(NAME) && !headers.contains_key(&path) {
            return Err(format!(
                "{}: its crate has no equation; delete it, and its argument in Cargo.toml",
                path.display()
            )
            .into());
        }
    }
    for (path, header) in headers {
        if fs::read_to_string(&path).unwrap_or_default() != header {
            return Err(format!("{} is stale: run `cargo xtask docs --headers`", path.display()).into());
        }
        let manifest = path.with_file_name("Cargo.toml");
        if !fs::read_to_string(&manifest)?.contains(&format!(r#""--html-in-header", "{NAME}""#)) {
            let manifest = manifest.display();
            return Err(format!("{manifest} lacks \"--html-in-header\", \"{NAME}\" in docs.rs' `rustdoc-args`").into());
        }
    }
    Ok(())
}

/// The header of each crate that has equations, by its path.
fn headers(workspace: &Workspace, rendered: &[(Equation, String)]) -> Result<BTreeMap<PathBuf, String>> {
    let mut crates: BTreeMap<&str, serde_json::Map<String, Value>> = BTreeMap::new();
    for (equation, mathml) in rendered {
        let mut parts = equation.place.split('/');
        // What a test expects is on no page.
        if let (Some("crates"), Some(name), Some(folder)) = (parts.next(), parts.next(), parts.next())
            && folder != "tests"
        {
            crates.entry(name).or_default().insert(key(equation), json!(mathml));
        }
    }
    let script = fs::read_to_string(workspace.root.join("docs/theme/equations.js"))?;
    let path = |name| workspace.root.join("crates").join(name).join(NAME);
    Ok(crates.into_iter().map(|(name, table)| (path(name), header(&script, table))).collect())
}

/// An equation as the script asks for it: equations that only break their lines elsewhere are one.
fn key(equation: &Equation) -> String {
    let words: Vec<&str> = equation.tex.split_whitespace().collect();
    format!("{}{}", if equation.display { "display " } else { "" }, words.join(" "))
}

fn header(script: &str, table: serde_json::Map<String, Value>) -> String {
    // An equation to a line, so that a change shows as one.
    let lines: Vec<String> = table.into_iter().map(|(tex, mathml)| format!("{}: {mathml}", json!(tex))).collect();
    // A script ends at its closing tag, wherever that stands.
    let table = lines.join(",\n").replace("</script", "<\\/script");
    format!(
        r#"<!-- Written by `cargo xtask docs --headers`. -->
<style>math[display="block"] {{ margin: 1em 0; overflow-x: auto; overflow-y: hidden; }}</style>
<script>
document.addEventListener("DOMContentLoaded", () => {{
const equations = {{
{table}
}};
const katex = {{
    render(tex, element, {{ displayMode }}) {{
        const mathml = equations[(displayMode ? "display " : "") + tex.trim().split(/\s+/).join(" ")];
        if (mathml === undefined) {{
            element.textContent = tex;
        }} else {{
            element.innerHTML = mathml;
        }}
    }},
}};
{script}}});
</script>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_found_by_their_words() {
        let equation =
            |tex: &str, display| Equation { tex: tex.into(), display, place: "crates/a/src/lib.rs:1".into() };
        assert_eq!(key(&equation("a\n  b\n", true)), "display a b");
        assert_eq!(key(&equation("a b", false)), "a b");
    }

    #[test]
    fn no_equation_ends_the_script() {
        let table = [("a".to_owned(), json!("<math></script></math>"))].into_iter().collect();
        let header = header("", table);
        assert_eq!(header.matches("</script").count(), 1, "{header}");
    }
}
