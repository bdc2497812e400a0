//! What a program costs that trains a small network: the seconds from nothing to a release build, and the bytes of it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use super::table::{significant, width};
use crate::peers::CRATES;
use crate::workspace::Workspace;
use crate::{Result, command};

/// A build from nothing, all dependencies included.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) name: String,
    pub(super) seconds: f64,
    /// Of the program without its symbols; libraries have none.
    pub(super) bytes: Option<u64>,
}

/// What is built.
struct Plan {
    name: String,
    /// The folder of its workspace.
    folder: PathBuf,
    /// Which of its packages, and with which features.
    arguments: Vec<String>,
    /// The program, below the folder of release builds.
    program: Option<String>,
}

/// The crates that a network is made of and stepped by.
const CORE: [&str; 5] = ["tensor", "layers", "losses", "optim", "network"];

/// Builds ours, and where they are wanted those of other Rust libraries, one after the other in a folder of their own.
pub(super) fn run(workspace: &Workspace, peers: bool) -> Result<Vec<Build>> {
    let mut plans = vec![
        Plan {
            name: "downhill, a program that trains a network".into(),
            folder: workspace.root.clone(),
            arguments: ["-p", "downhill-program"].map(Into::into).into(),
            program: Some("downhill-program".into()),
        },
        Plan {
            name: "downhill, example `digits` with its data".into(),
            folder: workspace.root.clone(),
            arguments: ["-p", "downhill", "--example", "digits"].map(Into::into).into(),
            program: Some("examples/digits".into()),
        },
        Plan {
            name: "downhill, five core crates without default features".into(),
            folder: workspace.root.clone(),
            arguments: CORE
                .iter()
                .flat_map(|name| ["-p".into(), format!("downhill-{name}")])
                .chain(["--no-default-features".into()])
                .collect(),
            program: None,
        },
    ];
    let others = if peers { &CRATES[..] } else { &[] };
    plans.extend(others.iter().map(|name| Plan {
        name: format!("{name}, the steps that are compared here"),
        folder: workspace.root.join("benches/peers/rust"),
        arguments: ["--no-default-features", "--features", name].map(Into::into).into(),
        program: Some("downhill-peers".into()),
    }));
    plans.iter().map(|plan| plan.build(workspace)).collect()
}

impl Plan {
    fn build(&self, workspace: &Workspace) -> Result<Build> {
        // What has to be loaded from elsewhere is no part of a build.
        command::run(command::cargo().args(["fetch", "--quiet", "--locked"]).current_dir(&self.folder))?;
        let target = workspace.target.join("bench/build");
        remove(&target)?;
        let mut cargo = command::cargo();
        cargo.args(["build", "--release", "--quiet", "--locked", "--offline"]).args(&self.arguments);
        cargo.arg("--target-dir").arg(&target).current_dir(&self.folder).env("CARGO_PROFILE_RELEASE_STRIP", "true");
        let start = Instant::now();
        command::run(&mut cargo)?;
        let seconds = start.elapsed().as_secs_f64();
        let program = self.program.as_ref().map(|program| {
            let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
            fs::metadata(target.join("release").join(file))
        });
        let bytes = program.transpose()?.map(|file| file.len());
        remove(&target)?;
        Ok(Build { name: self.name.clone(), seconds, bytes })
    }
}

fn remove(folder: &PathBuf) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{} can't be removed: {error}", folder.display()))?;
    }
    Ok(())
}

impl Build {
    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "time": { "value": self.seconds, "unit": "s" },
            "size": self.bytes.map(|bytes| json!({ "value": bytes, "unit": "B" })),
        })
    }

    /// The size in millions of bytes, as far as there is one.
    pub(super) fn megabytes(&self) -> String {
        self.bytes.map_or_else(|| "–".into(), |bytes| significant(bytes as f64 / 1e6))
    }
}

/// A line for each.
pub(super) fn table(builds: &[Build]) -> String {
    let width = width(builds.iter().map(|build| build.name.as_str()));
    let mut text = format!("{:<width$} {:>8} {:>12}", "release build from nothing", "seconds", "stripped, MB");
    for build in builds {
        let _ = write!(text, "\n{:<width$} {:>8} {:>12}", build.name, significant(build.seconds), build.megabytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_has_no_size() {
        let builds = [
            Build { name: "a".into(), seconds: 31.26, bytes: Some(1_610_000) },
            Build { name: "b".into(), seconds: 9.0, bytes: None },
        ];
        let text = table(&builds);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("a ") && lines[1].ends_with("31.3         1.61"), "{text}");
        assert!(lines[2].ends_with("9.00            –"), "{text}");
        assert_eq!(builds[1].json()["size"], Value::Null);
        assert_eq!(builds[0].json()["size"]["value"], 1_610_000);
    }
}
