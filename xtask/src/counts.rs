//! `cargo xtask counts`: the number of instructions that kernels and steps take, next to the recorded counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::table::{Row, Table};
use crate::workspace::Workspace;
use crate::{Result, command, grouped, no_faults};

/// Counts the instructions of kernels and whole steps under valgrind, and fails where one takes more than recorded.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Records the counts, for later runs to be compared with.
    #[arg(long)]
    save: bool,
}

/// The largest ratio of a count to the recorded one that is let pass.
const MOST: f64 = 1.02;

const SAVE: &str = "`cargo xtask counts --save`";

pub(crate) fn run(arguments: &Arguments) -> Result {
    let workspace = Workspace::load()?;
    let path = workspace.root.join("benches/instructions.json");
    let valgrind = installed("valgrind", "apt-get install valgrind")?;
    runner(&workspace)?;
    // Counts that can't be compared with are an error before anything is counted.
    let recorded = Counts::read(&path);
    let recorded = if arguments.save { recorded.unwrap_or_default() } else { recorded? };

    let mut bench = command::cargo();
    bench.args(["bench", "--quiet", "-p", "downhill-benches", "--bench", "instructions", "--"]);
    let printed = command::output(bench.arg("--output-format=json").current_dir(&workspace.root), "")?;
    let compiler = installed("rustc", "rustup toolchain install stable")?;
    let counted = Counts { compiler, valgrind, instructions: instructions(&printed)? };
    println!("{}", counted.table(&recorded));
    if arguments.save {
        fs::write(&path, serde_json::to_string_pretty(&counted.json())? + "\n")?;
        println!("\nwritten to {}", path.display());
        return Ok(());
    }
    for note in counted.notes(&recorded) {
        println!("\nnote: {note}");
    }
    no_faults(&counted.faults(&recorded))
}

/// The version of a program, as it says it.
fn installed(program: &str, install: &str) -> Result<String> {
    let version = command::output(Command::new(program).arg("--version"), "");
    Ok(version.map_err(|error| format!("{error} `{install}` installs it."))?.trim().to_owned())
}

/// The benchmark talks to a program of its library's own version alone.
fn runner(workspace: &Workspace) -> Result {
    let library = command::output(command::cargo().args(["pkgid", "gungraun"]).current_dir(&workspace.root), "")?;
    let (_, wanted) = library.trim().rsplit_once('@').ok_or_else(|| format!("`{library}` names no version"))?;
    let install = format!("cargo install gungraun-runner --version ={wanted} --locked");
    let found = installed("gungraun-runner", &install)?;
    if found.split_whitespace().last() == Some(wanted) {
        Ok(())
    } else {
        Err(format!("The benchmark needs gungraun-runner {wanted}, and {found} is installed; `{install}`.").into())
    }
}

/// The number of instructions that each benchmark takes, from the line of JSON that is printed for it.
fn instructions(printed: &str) -> Result<BTreeMap<String, u64>> {
    let read = |line: &str| {
        let summary: Value = serde_json::from_str(line)?;
        let count = &summary["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"];
        // Nothing at all is counted where the function that is to be counted is not found.
        let count = count.as_u64().filter(|count| *count > 0);
        let line = summary["id"].as_str().map(str::to_owned).zip(count);
        line.ok_or_else(|| format!("in this summary there is no count of instructions: {summary}").into())
    };
    printed.lines().map(read).collect()
}

/// The counts, and the tools that they were made with.
#[derive(Debug, Default)]
struct Counts {
    compiler: String,
    valgrind: String,
    instructions: BTreeMap<String, u64>,
}

impl Counts {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("{} can't be read ({error}); {SAVE} writes it.", path.display()))?;
        Self::parse(&text).ok_or_else(|| format!("{} holds no counts; {SAVE} writes them.", path.display()).into())
    }

    fn parse(text: &str) -> Option<Self> {
        let recorded: Value = serde_json::from_str(text).ok()?;
        let text = |key: &str| recorded[key].as_str().map(str::to_owned);
        let counts = recorded["instructions"].as_object()?.iter();
        Some(Self {
            compiler: text("compiler")?,
            valgrind: text("valgrind")?,
            instructions: counts.map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect::<Option<_>>()?,
        })
    }

    fn json(&self) -> Value {
        json!({
            "compiler": self.compiler,
            "valgrind": self.valgrind,
            // The benchmark makes sure of it.
            "kernels": "AVX2: valgrind offers it, and no AVX-512",
            "instructions": self.instructions,
        })
    }

    fn table(&self, recorded: &Self) -> Table {
        let row = |(name, &count): (&String, &u64)| {
            let mut cells = vec![name.clone(), grouped(count)];
            if let Some(&before) = recorded.instructions.get(name) {
                cells.extend([grouped(before), format!("{:+.2} %", percent(count, before))]);
            }
            Row { cells, bar: None }
        };
        Table {
            title: "instructions".into(),
            head: &["counted", "recorded", "change"],
            rows: self.instructions.iter().map(row).collect(),
            ..Table::default()
        }
    }

    /// Says what may explain a difference, and what should be recorded.
    fn notes(&self, recorded: &Self) -> Vec<String> {
        let mut notes = Vec::new();
        for (now, then) in [(&self.compiler, &recorded.compiler), (&self.valgrind, &recorded.valgrind)] {
            if now != then {
                notes.push(format!("The counts were recorded with {then}, and this is {now}: they may differ."));
            }
        }
        let is_less = |(name, count): &(&String, &u64)| {
            recorded.instructions.get(*name).is_some_and(|&before| before as f64 > MOST * **count as f64)
        };
        let less: Vec<&str> = self.instructions.iter().filter(is_less).map(|(name, _)| name.as_str()).collect();
        if !less.is_empty() {
            notes.push(format!("{} got cheaper; {SAVE} keeps it so.", less.join(", ")));
        }
        notes
    }

    /// A sentence for each count that has grown, and for each that there is nothing to compare with.
    fn faults(&self, recorded: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, &count) in &self.instructions {
            match recorded.instructions.get(name) {
                Some(&before) if count as f64 > MOST * before as f64 => faults.push(format!(
                    "{name} takes {} instructions, {:.1} % more than the recorded {}; if that is meant, {SAVE} \
                     records it.",
                    grouped(count),
                    percent(count, before),
                    grouped(before),
                )),
                Some(_) => {}
                None => faults.push(format!("No count is recorded for {name}; {SAVE} records it.")),
            }
        }
        for name in recorded.instructions.keys().filter(|name| !self.instructions.contains_key(*name)) {
            faults.push(format!("{name} has a recorded count and was not counted; {SAVE} forgets it."));
        }
        faults
    }
}

/// By how much a count has changed.
fn percent(count: u64, before: u64) -> f64 {
    100.0 * (count as f64 / before as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compiler: &str, instructions: &[(&str, u64)]) -> Counts {
        let instructions = instructions.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Counts { compiler: compiler.into(), valgrind: "v".into(), instructions }
    }

    #[test]
    fn counts_are_read_from_the_summaries() {
        let line = |id: &str, count: u64| {
            let values = json!({ "new": count, "old": 7 });
            let total = json!({ "metrics": { "Ir": { "values": values } } });
            json!({ "id": id, "profiles": [{ "data": { "total": total } }] }).to_string()
        };
        let read = instructions(&[line("b", 2), line("a", 1)].join("\n")).unwrap();
        assert_eq!(read, counts("", &[("a", 1), ("b", 2)]).instructions);
        for wrong in [line("a", 0), "{}".into(), "Finished".into()] {
            instructions(&wrong).unwrap_err();
        }
    }

    #[test]
    fn what_is_recorded_is_read_again() {
        let read = Counts::parse(&counts("r", &[("a", 1)]).json().to_string()).unwrap();
        assert_eq!((read.compiler.as_str(), read.valgrind.as_str(), &read.instructions["a"]), ("r", "v", &1));
        assert!(Counts::parse("{}").is_none());
    }

    #[test]
    fn more_than_two_per_cent_more_is_a_fault_and_less_is_worth_a_note() {
        let recorded = counts("r", &[("a", 10_000), ("b", 10_000), ("c", 10_000)]);
        let counted = counts("r", &[("a", 10_200), ("b", 10_201), ("c", 9_000)]);
        let faults = counted.faults(&recorded);
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.starts_with("b takes 10,201 instructions, 2.0 % more than the recorded 10,000;"), "{fault}");
        assert_eq!(counted.notes(&recorded), [format!("c got cheaper; {SAVE} keeps it so.")]);
    }

    #[test]
    fn a_name_that_only_one_side_knows_is_a_fault() {
        let faults = counts("r", &[("new", 1)]).faults(&counts("r", &[("old", 1)]));
        assert!(faults[0].contains("for new;") && faults[1].starts_with("old has"), "{faults:?}");
    }

    #[test]
    fn another_compiler_is_no_fault() {
        let (counted, recorded) = (counts("new", &[("a", 1)]), counts("old", &[("a", 1)]));
        assert!(counted.faults(&recorded).is_empty());
        assert_eq!(counted.notes(&recorded), ["The counts were recorded with old, and this is new: they may differ."]);
    }

    #[test]
    fn the_table_shows_what_changed() {
        let table = counts("", &[("a", 1_234_567), ("b", 1)]).table(&counts("", &[("a", 1_000_000)]));
        assert_eq!(table.rows[0].cells, ["a", "1,234,567", "1,000,000", "+23.46 %"]);
        assert_eq!(table.rows[1].cells, ["b", "1"]);
    }
}
