//! KaTeX, which renders the equations: fetched once, and copied next to the pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::equations::Equation;
use crate::workspace::{self, Workspace};
use crate::{Result, command, no_faults, npm};

const PACKAGE: &str = "katex@0.19.1";
const SHA256: &str = "24da5a599eb2fcede2e270b99a6ff48bca816beecc95feeb84e8cccbd1bb34fd";

/// Reads equations, and prints each as MathML, which browsers show by themselves, without the LaTeX that it would carry
/// along, or as the reason why it is wrong; `strict` refuses what LaTeX would not understand.
const RENDER: &str = r#"
const katex = require(process.argv[1]);
const rendered = JSON.parse(require("fs").readFileSync(0, "utf8")).map(({ place, tex, display }) => {
    try {
        const mathml = katex.renderToString(tex, { displayMode: display, output: "mathml", strict: "error" });
        return { mathml: mathml.replace(/^<span class="katex">|<annotation .*<\/annotation>|<\/?semantics>|<\/span>$/gs, "") };
    } catch (error) {
        return { fault: `${place}: ${error.message}` };
    }
});
console.log(JSON.stringify(rendered));
"#;

/// The folder of KaTeX's built files.
pub(super) fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    Ok(npm::unpack(PACKAGE, SHA256, &workspace.target.join("katex"))?.join("dist"))
}

/// The equations as MathML, in their order; fails unless KaTeX understands all of them.
pub(super) fn render(katex: &Path, equations: &[Equation]) -> Result<Vec<String>> {
    let input: Value = equations.iter().map(Equation::to_json).collect();
    let mut node = Command::new("node");
    node.args(["-e", RENDER]).arg(katex.join("katex.js"));
    let rendered: Vec<Value> = serde_json::from_str(&command::output(&mut node, &input.to_string())?)?;
    let texts = |key: &str| rendered.iter().filter_map(|one| Some(one[key].as_str()?.to_owned())).collect::<Vec<_>>();
    let mut faults = texts("fault");
    if !faults.is_empty() {
        faults.insert(0, "equations that KaTeX does not understand:".into());
    }
    no_faults(&faults)?;
    Ok(texts("mathml"))
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
