//! The cost of a program that trains a small network: the seconds from nothing to a release build and the bytes of it,
//! and in its own workspace, where Cargo's defaults hold, how development builds compare.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::peers::CRATES;
use crate::table::{Row, Table, significant};
use crate::workspace::{CORE, Workspace};
use crate::{Result, command};

/// A cost that is measured, and how much of it is wanted at the most.
#[derive(Debug)]
pub(super) struct Cost {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) wanted: Option<f64>,
}

/// A release build from nothing, all dependencies included.
struct Plan {
    name: String,
    /// The most seconds that it should take, on two cores.
    wanted: Option<f64>,
    /// The folder of its workspace.
    folder: PathBuf,
    /// Which of its packages, and with which features.
    arguments: Vec<String>,
    /// The program, below the folder of release builds; libraries have none.
    program: Option<String>,
}

/// Builds ours, and on request those of other Rust libraries, one after the other in a separate folder.
pub(super) fn run(workspace: &Workspace, peers: bool) -> Result<Vec<Cost>> {
    let ours = |name: &str, wanted, arguments: &[&str], program: Option<&str>| Plan {
        name: format!("downhill, {name}"),
        wanted,
        folder: workspace.root.clone(),
        arguments: arguments.iter().map(|&argument| argument.into()).collect(),
        program: program.map(Into::into),
    };
    let core: Vec<&str> = CORE.iter().flat_map(|name| ["-p", name]).chain(["--no-default-features"]).collect();
    let mut plans = vec![
        ours("a program that trains a network", Some(17.0), &["-p", "downhill-program"], Some("downhill-program")),
        ours(
            "example `digits` with its data",
            None,
            &["-p", "downhill", "--example", "digits"],
            Some("examples/digits"),
        ),
        ours("five core crates without default features", None, &core, None),
    ];
    let others = if peers { &CRATES[..] } else { &[] };
    plans.extend(others.iter().map(|name| Plan {
        name: format!("{name}, the steps that are compared here"),
        wanted: None,
        folder: workspace.root.join("benches/peers/rust"),
        arguments: ["--no-default-features", "--features", name].map(Into::into).into(),
        program: Some("downhill-peers".into()),
    }));
    let costs = plans.iter().map(|plan| plan.build(workspace)).collect::<Result<Vec<_>>>()?;
    Ok(costs.into_iter().flatten().collect())
}

impl Plan {
    /// The seconds of the build, and the size of the program without its symbols.
    fn build(&self, workspace: &Workspace) -> Result<Vec<Cost>> {
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
        let bytes = program.transpose()?.map(|file| file.len() as f64);
        remove(&target)?;
        let cost = |name, value, unit, wanted| Cost { name, value, unit, wanted };
        let size = |bytes| cost(format!("{}: stripped", self.name), bytes / 1e6, "MB", None);
        let time = cost(format!("{}: release build from nothing", self.name), seconds, "s", self.wanted);
        Ok(std::iter::once(time).chain(bytes.map(size)).collect())
    }
}

/// The `Cargo.toml` of an application, as the README says.
const MANIFEST: &str = r#"[package]
name = "application"
version = "0.1.0"
edition = "2024"

# None of the workspace's profiles holds here.
[workspace]

[dependencies]
downhill = { path = 'LIBRARY' }

[profile.dev.package."*"]
opt-level = 3
"#;

/// An edit of the program, as a user makes it.
const EDIT: (&str, &str) = ("Affine::new(32)", "Affine::new(48)");

/// Builds a copy of `benches/program` outside the workspace, as a user's own crate, edits it, and trains with it.
pub(super) fn develop(workspace: &Workspace) -> Result<Vec<Cost>> {
    let folder = workspace.target.join("bench/application");
    remove(&folder)?;
    let program = workspace.root.join("benches/program");
    for name in ["src/main.rs", "examples/epoch.rs"] {
        let copy = folder.join(name);
        fs::create_dir_all(copy.with_file_name(""))?;
        fs::copy(program.join(name), copy)?;
    }
    let library = workspace.root.join("crates/downhill");
    fs::write(folder.join("Cargo.toml"), MANIFEST.replace("LIBRARY", &library.display().to_string()))?;
    // The same versions, which are here already; Cargo takes out what is not needed.
    fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock"))?;

    let cargo = |arguments: &[&str]| {
        let mut cargo = command::cargo();
        cargo.args(arguments).args(["--quiet", "--offline", "--target-dir"]).arg(folder.join("target"));
        // What this task was run with is not what a user has.
        cargo.env_remove("CARGO_INCREMENTAL").current_dir(&folder);
        cargo
    };
    command::run(&mut cargo(&["build"]))?;
    let main = folder.join("src/main.rs");
    let source = fs::read_to_string(&main)?;
    let edited = source.replacen(EDIT.0, EDIT.1, 1);
    if edited == source {
        return Err(format!("benches/program/src/main.rs does not hold `{}`, which is to be edited", EDIT.0).into());
    }
    fs::write(&main, edited)?;
    let before = processor_seconds()?;
    command::run(&mut cargo(&["build"]))?;
    let rebuild = processor_seconds()? - before;

    let cost = |name: &str, value, unit, wanted| Cost { name: name.into(), value, unit, wanted };
    let mut measured = vec![cost("application: rebuild after an edit, of the processor", rebuild, "s", Some(4.0))];
    let networks = [
        ("classifier", "application: epoch of 60,000 × 784, development build"),
        ("autoencoder", "application: epoch of an autoencoder of 20,000 × 784, development build"),
    ];
    for (network, name) in networks {
        let epoch = |profile: &[&str], count: &str| -> Result<f64> {
            let arguments = [&["run", "--example", "epoch"], profile].concat();
            let seconds = command::output(cargo(&arguments).args(["--", network, count]), "")?;
            Ok(seconds.trim().parse()?)
        };
        // In a release build it takes a second at most, in which the machine may have been busy.
        let (development, release) = (epoch(&[], "2")?, epoch(&["--release"], "5")?);
        measured.extend([
            cost(name, development, "s", None),
            cost("the same, release build", release, "s", None),
            cost("development, as a multiple of release", development / release, "×", Some(3.0)),
        ]);
    }
    remove(&folder)?;
    Ok(measured)
}

/// The processor time of all programs that this one has run so far, and of those that they ran.
fn processor_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|error| {
        format!("processor time can be told on Linux only: /proc/self/stat can't be read ({error})")
    })?;
    children_seconds(&stat).ok_or_else(|| format!("/proc/self/stat holds no processor times: {stat}").into())
}

/// From the text of `/proc/self/stat`, which Linux gives in hundredths of a second.
fn children_seconds(stat: &str) -> Option<f64> {
    // The second of the fields is the program's name in parentheses, which may hold anything; `cutime` is the 16th.
    let mut ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(13).map(str::parse::<u32>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((f64::from(user) + f64::from(system)) / 100.0)
}

fn remove(folder: &PathBuf) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{} can't be removed: {error}", folder.display()))?;
    }
    Ok(())
}

impl Cost {
    pub(super) fn json(&self) -> Value {
        json!({ "name": self.name, "value": self.value, "unit": self.unit, "wanted": self.wanted })
    }
}

/// A line for each cost.
pub(super) fn table(costs: &[Cost]) -> Table {
    let row = |cost: &Cost| {
        let wanted = cost.wanted.map_or_else(|| "–".into(), significant);
        let cells = vec![cost.name.clone(), format!("{} {}", significant(cost.value), cost.unit), wanted];
        Row { cells, bar: None }
    };
    Table {
        title: "Builds".into(),
        head: &["measured", "wanted"],
        rows: costs.iter().map(row).collect(),
        ..Table::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_stands_next_to_what_was_measured() {
        let cost = |wanted| Cost { name: "a".into(), value: 31.26, unit: "s", wanted };
        let rows = table(&[cost(Some(30.0)), cost(None)]).rows;
        assert_eq!([&rows[0].cells[1..], &rows[1].cells[1..]], [["31.3 s", "30.0"], ["31.3 s", "–"]]);
        assert_eq!(cost(None).json()["wanted"], Value::Null);
    }

    #[test]
    fn processor_time_is_that_of_the_programs_that_were_run() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 250 150 20 0 1 0 99 8 9";
        assert_eq!(children_seconds(stat), Some(4.0));
        for text in ["", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 x 150"] {
            assert_eq!(children_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn an_application_has_the_two_lines_that_the_readme_shows() {
        let readme = fs::read_to_string(crate::workspace::root().join("README.md")).unwrap();
        let lines = "[profile.dev.package.\"*\"]\nopt-level = 3\n";
        assert!(readme.contains(lines) && MANIFEST.contains(lines));
    }

    #[test]
    fn what_is_edited_is_there() {
        let source = fs::read_to_string(crate::workspace::root().join("benches/program/src/main.rs")).unwrap();
        assert!(source.contains(EDIT.0));
    }
}
