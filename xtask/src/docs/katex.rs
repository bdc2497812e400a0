//! KaTeX, which renders the equations: fetched once, and copied next to the pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::equations::Equation;
use crate::workspace::{self, Workspace};
use crate::{Result, command, npm};

const PACKAGE: &str = "katex@0.19.1";
const SHA256: &str = "24da5a599eb2fcede2e270b99a6ff48bca816beecc95feeb84e8cccbd1bb34fd";

/// Reads equations, and prints a line for each that is wrong; `strict` refuses what LaTeX would not understand.
const CHECK: &str = r#"
const katex = require(process.argv[1]);
for (const { place, tex, display } of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    try {
        katex.renderToString(tex, { displayMode: display, strict: "error" });
    } catch (error) {
        console.log(`${place}: ${error.message}`);
    }
}
"#;

/// Renders equations to MathML, which browsers show by themselves, and without the LaTeX that it would carry along.
const RENDER: &str = r#"
const katex = require(process.argv[1]);
const rendered = JSON.parse(require("fs").readFileSync(0, "utf8")).map(({ tex, display }) =>
    katex.renderToString(tex, { displayMode: display, output: "mathml" })
        .replace(/^<span class="katex">|<annotation .*<\/annotation>|<\/?semantics>|<\/span>$/gs, ""));
console.log(JSON.stringify(rendered));
"#;

/// The folder of KaTeX's built files.
pub(super) fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    Ok(npm::unpack(PACKAGE, SHA256, &workspace.target.join("katex"))?.join("dist"))
}

/// Fails unless KaTeX understands all equations.
pub(super) fn check(katex: &Path, equations: &[Equation]) -> Result {
    let input: Value = equations.iter().map(Equation::to_json).collect();
    let errors =
        command::output(Command::new("node").args(["-e", CHECK]).arg(katex.join("katex.js")), &input.to_string())?;
    if errors.is_empty() { Ok(()) } else { Err(format!("equations that KaTeX does not understand:\n{errors}").into()) }
}

/// The equations as MathML, in their order.
pub(super) fn render(katex: &Path, equations: &[&Equation]) -> Result<Vec<String>> {
    let input: Value = equations.iter().map(|equation| equation.to_json()).collect();
    let output =
        command::output(Command::new("node").args(["-e", RENDER]).arg(katex.join("katex.js")), &input.to_string())?;
    Ok(serde_json::from_str(&output)?)
}

/// Copies what a page loads to `folder`.
pub(super) fn install(katex: &Path, folder: &Path) -> Result {
    fs::create_dir_all(folder.join("fonts"))?;
    for (from, to) in [("katex.min.css", "katex.min.css"), ("katex.min.js", "katex.min.js"), ("../LICENSE", "LICENSE")]
    {
        fs::copy(katex.join(from), folder.join(to))?;
    }
    // The style sheet also names older formats, for browsers that don't know this one.
    for font in workspace::files(&katex.join("fonts"), "woff2")? {
        fs::copy(&font, folder.join("fonts").join(font.file_name().unwrap_or_default()))?;
    }
    Ok(())
}
