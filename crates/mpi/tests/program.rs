//! The program `downhill` under `mpirun`, as a shell sees it.

mod launcher;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use self::launcher::mpirun;

const PROGRAM: &str = env!("CARGO_BIN_EXE_downhill");

/// A folder with a table of two classes, which lie on both sides of a circle.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let row = |row: u32| {
        let (x, y) = (f64::from(row * 37 % 200) / 100.0 - 1.0, f64::from(row * 83 % 190) / 95.0 - 1.0);
        format!("{x},{y},{}\n", if x.hypot(y) < 0.75 { "in" } else { "out" })
    };
    let rows: String = (0..400).map(row).collect();
    fs::write(folder.join("points.csv"), format!("x,y,side\n{rows}")).unwrap();
    folder
}

fn run(mut command: Command, folder: &Path, words: &str) -> Output {
    command.args(words.split(' ')).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn on_ranks(ranks: usize, folder: &Path, words: &str) -> Output {
    let mut command = mpirun(ranks);
    command.arg(PROGRAM);
    run(command, folder, words)
}

/// What a run that went well has written, and what it has said.
fn well(output: Output) -> (String, String) {
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{}\n{text}\n{said}", output.status);
    (text, said)
}

/// The number behind a name in JSON.
fn number(json: &str, name: &str) -> f64 {
    let after = json.split_once(&format!("\"{name}\": ")).unwrap_or_else(|| panic!("no {name} in {json}")).1;
    after.split([',', '\n', '}']).next().unwrap().parse().unwrap()
}

const SETTINGS: &str = "train --data points.csv --target side --members 1 --dropout 0 --epochs 40 --seed 3";

#[test]
fn processes_train_one_model_and_one_of_them_reports() {
    let folder = folder("two-processes");
    let (text, said) = well(on_ranks(2, &folder, &format!("{SETTINGS} --mpi --output shared.downhill")));
    assert_eq!(text.matches("400 rows of points.csv").count(), 1, "{text}");
    assert_eq!(text.matches("Saved shared.downhill").count(), 1, "{text}");
    assert!(text.contains("in batches of 32 shared among 2 processes"), "{text}");
    let progress: Vec<&str> = said.lines().filter(|line| line.contains("slowest rank ")).collect();
    assert!(progress.iter().any(|line| line.starts_with("training on all rows: ")), "{said}");
    // The batches are those of one process, so that the model is as good, and each number the same within rounding.
    let (alone, _) = well(run(Command::new(PROGRAM), &folder, &format!("{SETTINGS} --output alone.downhill --json")));
    let again = format!("{SETTINGS} --mpi --output again.downhill --json --quiet");
    let (shared, said) = well(on_ranks(2, &folder, &again));
    assert_eq!(said, "");
    assert_eq!((number(&alone, "ranks"), number(&shared, "ranks")), (1.0, 2.0));
    let loss = |json: &str| number(&json.replace("\"losses\": [\n    ", "\"loss\": "), "loss");
    assert!((loss(&alone) - loss(&shared)).abs() < 1e-3 * loss(&alone), "{} {}", loss(&alone), loss(&shared));
    let bytes = |name: &str| fs::read(folder.join(name)).unwrap();
    assert!(bytes("shared.downhill") == bytes("again.downhill"));
}

/// The program of the guide's chapter on many machines, which `cargo build --examples` builds.
#[test]
fn the_program_of_the_guide_trains_and_goes_on() {
    let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/src/many-machines.md");
    let source = include_str!("../examples/digits.rs").split_once("\n\n").unwrap().1;
    assert!(fs::read_to_string(chapter).unwrap().contains(source), "the guide shows another program");
    let program = Path::new(PROGRAM).with_file_name("examples").join("digits");
    let folder = folder("the-guide");
    let run = |ranks| {
        let mut command = mpirun(ranks);
        command.arg(&program).current_dir(&folder).output().unwrap()
    };
    let (text, said) = well(run(2));
    assert!(text.contains("slowest rank") && text.lines().filter(|line| line.contains("/10 ")).count() == 10, "{text}");
    assert!(!said.contains("step-"), "{said}");
    // 1,437 examples are 90 batches, and the run is at its end.
    assert!(text.contains("\n450 steps\n"), "{text}");
    let (text, said) = well(run(3));
    assert!(text.contains("450 steps\n") && said.contains("step-000000000450.safetensors"), "{text}{said}");
}

#[test]
fn an_error_of_one_process_ends_all() {
    let folder = folder("an-error");
    fs::write(folder.join("side.downhill"), "another file").unwrap();
    let output = on_ranks(3, &folder, &format!("{SETTINGS} --mpi"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("rank 0: `side.downhill` is there already"), "{said}");
    assert_eq!(fs::read_to_string(folder.join("side.downhill")).unwrap(), "another file");
}

#[test]
fn processes_read_files_and_no_stream() {
    let folder = folder("a-stream");
    let output = on_ranks(2, &folder, "train --data - --target side --mpi");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("name a file that all can read"), "{said}");
}

#[test]
fn the_other_commands_are_those_of_one_process() {
    let folder = folder("other-commands");
    well(run(Command::new(PROGRAM), &folder, SETTINGS));
    let (text, _) = well(run(Command::new(PROGRAM), &folder, "evaluate side.downhill --data points.csv"));
    assert!(text.contains("accuracy"), "{text}");
}
