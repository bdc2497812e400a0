//! The program as a shell sees it: arguments and files in; output, files and an exit code out.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_downhill"));
        command.current_dir(self.0.path()).args(arguments.split_whitespace());
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs what must go well, and returns its output.
    fn ok(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{arguments}");
        text(&output.stdout)
    }

    /// Runs what must fail, and returns what it says.
    fn fails(&self, arguments: &str, code: i32) -> String {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.starts_with("error: "), "{said}");
        said
    }

    fn with_input(&self, arguments: &str, input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that fails early does not read all.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Fruits that size and colour tell apart, with a gap and a date.
fn fruits(rows: usize) -> String {
    let mut table = "size,colour,picked,ripe,fruit\n".to_owned();
    for row in 0..rows {
        let large = row % 2 == 0;
        let size = if large { 8.0 } else { 3.0 } + (row % 7) as f64 / 10.0;
        let size = if row == 5 { String::new() } else { size.to_string() };
        let colour = [["red", "green"], ["blue", "yellow"]][usize::from(!large)][row / 2 % 2];
        let fruit = if large { "apple" } else { "plum" };
        table += &format!("{size},{colour},2024-{:02}-{:02},{},{fruit}\n", row % 12 + 1, row % 28 + 1, row * 7 % 50);
    }
    table
}

const QUICK: &str = "--hidden 8 --epochs 30 --members 1";

fn trained() -> Folder {
    let folder = Folder::new();
    folder.write("fruits.csv", &fruits(80));
    folder.ok(&format!("train --data fruits.csv --target fruit {QUICK}"));
    folder
}

#[test]
fn a_table_becomes_a_model_that_answers() {
    let folder = Folder::new();
    folder.write("fruits.csv", &fruits(80));
    let said = folder.ok("train --data fruits.csv --target fruit");
    for part in [
        "80 rows of fruits.csv",
        "2 classes: apple, plum",
        "picked  dates",
        "accuracy",
        "ROC AUC",
        "Saved fruit.downhill",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains('\x1b'), "colours are for terminals: {said:?}");

    let answers = folder.ok("predict fruit.downhill --data fruits.csv --probabilities");
    let mut lines = answers.lines();
    let header = lines.next().unwrap();
    assert_eq!(header, "size,colour,picked,ripe,fruit,predicted_fruit,probability_apple,probability_plum");
    let cells: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(cells.len(), 80);
    let right = cells.iter().filter(|row| row[4] == row[5]).count();
    assert!(right >= 79, "{right}");
    assert!(
        cells.iter().all(|row| (row[6].parse::<f64>().unwrap() + row[7].parse::<f64>().unwrap() - 1.0).abs() < 1e-5)
    );

    let first = folder.ok("predict fruit.downhill --data fruits.csv --probabilities --json");
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(first["probabilities"]["apple"].to_string(), cells[0][6], "JSON has the digits of CSV");

    let judged: Value = serde_json::from_str(&folder.ok("evaluate fruit.downhill --data fruits.csv --json")).unwrap();
    assert_eq!(judged["rows"], 80);
    let accuracy = judged["measures"].as_array().unwrap().iter().find(|measure| measure["name"] == "accuracy").unwrap();
    assert_eq!(accuracy["value"], right as f64 / 80.0);
    let confusion: f64 = judged["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|count| count.as_f64().unwrap())
        .sum();
    assert_eq!(confusion, 80.0);

    let page = folder.ok("inspect fruit.downhill");
    for part in ["one of 2 classes: apple, plum", "colour", "a date", "Affine", "parameters", "µs"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn reports_are_one_html_file_with_pictures() {
    let folder = Folder::new();
    folder.write("fruits.csv", &fruits(80));
    let said = folder.ok(&format!("train --data fruits.csv --target fruit --report train.html {QUICK}"));
    assert!(said.contains("Wrote train.html of these rows."), "{said}");
    let html = fs::read_to_string(folder.path("train.html")).unwrap();
    assert!(html.contains("<h1>Report on fruit</h1>") && html.contains("ROC curve"), "{html}");
    let said = folder.ok("evaluate fruit.downhill --data fruits.csv --report all.html");
    assert!(said.contains("accuracy") && said.ends_with("\nWrote all.html\n"), "{said}");
    let html = fs::read_to_string(folder.path("all.html")).unwrap();
    assert!(html.contains("<td class=\"number\">80</td>") && html.contains("\napple\n"), "{html}");
    assert!(html.matches("<svg").count() >= 5 && html.trim_end().ends_with("</html>"), "{html}");
    let error = folder.fails("evaluate fruit.downhill --data fruits.csv --report all.html", 1);
    assert!(error.contains("`all.html` is there already; add `--force`"), "{error}");
    folder.ok("evaluate fruit.downhill --data fruits.csv --report all.html --force --json");

    folder.ok(&format!("train --data fruits.csv --target ripe --unit days --report kept.html {QUICK}"));
    assert!(fs::read_to_string(folder.path("kept.html")).unwrap().contains("predicted (days)"));
    folder.ok("evaluate ripe.downhill --data fruits.csv --report ripe.html");
    let html = fs::read_to_string(folder.path("ripe.html")).unwrap();
    assert!(html.contains("predicted (days)") && html.contains("residual"), "{html}");

    let error = folder.fails(
        &format!("train --data fruits.csv --target ripe --output a.downhill --report a.html --folds 3 {QUICK}"),
        2,
    );
    assert!(error.contains("`--report a.html` is not valid: it is of the rows that are kept"), "{error}");
}

#[test]
fn numbers_are_answered_in_their_unit() {
    let folder = Folder::new();
    folder.write("fruits.csv", &fruits(80));
    let said = folder.ok(&format!("train --data fruits.csv --target ripe --unit days --folds 3 {QUICK}"));
    assert!(said.contains("Judged by 3 folds") && said.contains("days among folds"), "{said}");
    assert!(folder.ok("inspect ripe.downhill").contains("Tells `ripe`, a number in days."));
    let judged = folder.ok("evaluate ripe.downhill --data fruits.csv");
    assert!(judged.contains("R²") && judged.contains("days"), "{judged}");
    let answers = folder.ok("predict ripe.downhill --data fruits.csv --json");
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((answers.len(), &answers[79]["line"]), (80, &Value::from(81)));
    assert!(answers.iter().all(|answer| answer["prediction"].as_f64().unwrap().abs() < 200.0));
    assert!(folder.fails("predict ripe.downhill --data fruits.csv --probabilities", 1).contains("no probabilities"));
}

#[test]
fn the_same_seed_gives_the_same_file() {
    let folder = trained();
    let train = |name: &str, seed: &str| {
        folder.ok(&format!("train --data fruits.csv --target fruit {QUICK} --seed {seed} --output {name}"));
        fs::read(folder.path(name)).unwrap()
    };
    assert_eq!(train("a.downhill", "3"), train("b.downhill", "3"));
    assert_ne!(train("c.downhill", "3"), train("d.downhill", "4"));
}

#[test]
fn settings_come_from_a_file_and_flags_win() {
    let folder = Folder::new();
    folder.write("fruits.csv", &fruits(60).replace(',', ";"));
    folder.write(
        "train.toml",
        "target = \"fruit\"\ndelimiter = \";\"\nhidden = [5]\nepochs = 3\nmembers = 1\nleave-out = [\"ripe\"]\n",
    );
    let report = folder.ok("train --data fruits.csv --config train.toml --epochs 4 --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["recipe"]["hidden"], Value::from(vec![5]));
    assert_eq!((&report["recipe"]["epochs"], &report["epochs"]), (&Value::from(4), &Value::from(vec![4])));
    assert_eq!(report["found"]["columns"][3]["kind"], "left-out");
    assert!(report["judged"]["verdicts"]["measures"][0]["value"].is_number());

    folder.write("odd.toml", "target = \"fruit\"\nepoch = 3\n");
    let said = folder.fails("train --data fruits.csv --config odd.toml", 2);
    assert!(said.contains("odd.toml") && said.contains("line 2") && said.contains("unknown field `epoch`"), "{said}");
}

#[test]
fn errors_say_where_and_what() {
    let folder = trained();
    let model = "fruit.downhill";
    assert!(folder.fails("train --data none.csv --target fruit", 1).contains("`none.csv` can't be read"));
    assert!(folder.fails("train --data . --target fruit", 1).contains("`.` can't be read"));
    assert!(folder.fails("predict none.downhill --data fruits.csv", 1).contains("none.downhill"));
    assert!(folder.fails("predict fruits.csv --data fruits.csv", 1).contains("fruits.csv"));
    assert!(folder.fails("train --data fruits.csv", 2).contains("`size`, `colour`, `picked`, `ripe`, `fruit`"));
    let said = folder.fails("train --data fruits.csv --target taste", 1);
    assert!(said.contains("there is no column `taste`; the columns are `size`"), "{said}");
    folder.write("ragged.csv", "size,fruit\n1,apple\n2\n");
    let said = folder.fails("train --data ragged.csv --target fruit", 1);
    assert!(said.contains("`ragged.csv`: line 3 holds 1 instead of 2 cells"), "{said}");
    folder.write("open.csv", "size,colour,picked,ripe\n1,red,2024-01-01,\"3\n");
    let said = folder.fails(&format!("predict {model} --data open.csv"), 1);
    assert!(said.contains("`open.csv`: the quote that opens cell 3 of line 2"), "{said}");
    folder.write("word.csv", "size,colour,picked,ripe\n1,red,2024-01-01,3\nbig,red,2024-01-01,3\n");
    let said = folder.fails(&format!("predict {model} --data word.csv"), 1);
    assert!(said.contains("`word.csv`: column `size` holds `big` on line 3"), "{said}");
    folder.write("date.csv", "size,colour,picked,ripe\n1,red,soon,3\n");
    assert!(
        folder
            .fails(&format!("predict {model} --data date.csv"), 1)
            .contains("column `picked` holds `soon` on line 2, which is not a date")
    );
    folder.write("few.csv", "size,colour\n1,red\n");
    assert!(folder.fails(&format!("predict {model} --data few.csv"), 1).contains("there is no column `picked`"));
    folder.write("pear.csv", "size,colour,picked,ripe,fruit\n1,red,2024-01-01,3,pear\n");
    assert!(folder.fails(&format!("evaluate {model} --data pear.csv"), 1).contains("`pear` is none of the known"));
    assert!(
        folder
            .fails("train --data fruits.csv --target fruit --force --learning-rate 0", 2)
            .contains("must be finite and greater than 0")
    );
    assert!(folder.fails("train --data fruits.csv --target fruit --force --holdout 1", 2).contains("less than 1"));
    assert!(folder.fails("train --data fruits.csv --target fruit --force --folds 1", 2).contains("must be 2 or more"));
    assert!(
        folder
            .fails("train --data fruits.csv --target fruit --force --delimiter ,,", 2)
            .contains("one ASCII character")
    );
    assert!(folder.fails(&format!("export {model} model.txt"), 2).contains("name the format by `--format`"));
    assert!(folder.fails("convert m.txt m.npz", 2).ends_with("end it in .onnx, .safetensors, .npz or .downhill\n"));
    assert!(folder.fails(&format!("export {model} m.onnx --int8"), 2).contains("`--int8` is not valid here"));
    assert!(folder.fails(&format!("export {model} - --format onnx"), 2).contains("name a file"));
    let said = folder.fails("train --data fruits.csv --target fruit --mpi", 2);
    assert!(said.contains("`cargo install --path crates/mpi --features program` builds one"), "{said}");
    for usage in ["", "fly", "train", "train --data fruits.csv --epochs many", "train --data a --folds 3 --holdout 0.1"]
    {
        assert_eq!(folder.run(usage).status.code(), Some(2), "{usage}");
    }
}

#[test]
fn a_file_is_replaced_only_if_that_was_asked_for() {
    let folder = trained();
    let before = fs::read(folder.path("fruit.downhill")).unwrap();
    let train = format!("train --data fruits.csv --target fruit {QUICK} --seed 9");
    assert!(folder.fails(&train, 1).contains("`fruit.downhill` is there already; add `--force`"));
    assert_eq!(fs::read(folder.path("fruit.downhill")).unwrap(), before);
    folder.write("answers.csv", "mine");
    assert!(folder.fails("predict fruit.downhill --data fruits.csv --output answers.csv", 1).contains("there already"));
    assert!(folder.fails("export fruit.downhill answers.csv --format onnx", 1).contains("there already"));
    assert_eq!(fs::read_to_string(folder.path("answers.csv")).unwrap(), "mine");
    folder.ok("predict fruit.downhill --data fruits.csv --output answers.csv --force");
    let table = fs::read_to_string(folder.path("fruits.csv")).unwrap();
    for file in ["fruits.csv", "./fruits.csv", "fruit.downhill"] {
        let said = folder.fails(&format!("predict fruit.downhill --data fruits.csv --output {file} --force"), 1);
        assert!(said.contains("can't be written while it is read"), "{said}");
    }
    assert_eq!(fs::read_to_string(folder.path("fruits.csv")).unwrap(), table);
    folder.ok(&format!("{train} --force"));
    assert_ne!(fs::read(folder.path("fruit.downhill")).unwrap(), before);
}

#[test]
fn what_can_not_be_written_is_known_before_training() {
    let folder = trained();
    for (output, code) in [("none/fruit.downhill", 1), (".", 1), ("-", 2)] {
        let output = folder.run(&format!("train --data fruits.csv --target fruit --force --output {output}"));
        // Not even the columns appear.
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(code), String::new()), "{output:?}");
    }
    for (bad, reason) in
        [("size\n1\n", "no column `colour`"), ("predicted_fruit,size,colour,picked,ripe\n,,,,\n", "to append")]
    {
        folder.write("bad.csv", bad);
        let said = folder.fails("predict fruit.downhill --data bad.csv --output answers.csv", 1);
        assert!(said.contains(reason) && !folder.path("answers.csv").exists(), "{said}");
    }
}

#[test]
fn what_was_never_seen_and_what_is_missing_are_answered() {
    let folder = trained();
    let output = folder
        .with_input("predict fruit.downhill", "ripe,picked,colour,size\n3,2031-05-05,violet,8.4\n,,,\n?,NA,N/A,NaN\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "ripe,picked,colour,size,predicted_fruit"));
    assert!(lines[1..].iter().all(|line| line.ends_with(",apple") || line.ends_with(",plum")), "{said}");
}

#[test]
fn text_in_quotes_comes_out_as_it_went_in() {
    let folder = trained();
    let input = "note,size,colour,picked,ripe\n\"two\nlines, \"\"said\"\" he\",8.1,red,2024-01-01,3\n";
    let output = folder.with_input("predict fruit.downhill --data -", input);
    assert_eq!(text(&output.stdout), input.replace("ripe", "ripe,predicted_fruit").replace(",3\n", ",3,apple\n"));
    // What a terminal would obey is data, too; a report shows it.
    let input = input.replace("said", "\x1b[31msaid\x1b[0m\x07");
    let output = folder.with_input("predict fruit.downhill", &input);
    assert_eq!(text(&output.stdout), input.replace("ripe", "ripe,predicted_fruit").replace(",3\n", ",3,apple\n"));
    folder.write("odd.csv", &fruits(80).replace("size,", "\"the\nsize\x1b[1m\",").replace("apple", "\"ap\nple\""));
    let said = folder.ok(&format!("train --data odd.csv --target fruit --output odd.downhill {QUICK}"));
    for part in ["the\\nsize\\u{1b}[1m  numbers", "2 classes: ap\\nple, plum", "\n  ap\\nple"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = folder.ok("inspect odd.downhill");
    assert!(said.contains("2 classes: ap\\nple, plum") && said.contains("  the\\nsize"), "{said}");
}

#[test]
fn an_empty_input_is_an_error_and_no_panic() {
    let folder = trained();
    for (arguments, input) in [
        ("predict fruit.downhill", ""),
        ("predict fruit.downhill", "size,colour,picked,ripe\n"),
        ("evaluate fruit.downhill --data -", ""),
        ("train --data - --target fruit --force", "\n\n"),
    ] {
        let output = folder.with_input(arguments, input);
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert!(text(&output.stderr).contains("`standard input`: the table is empty"), "{}", text(&output.stderr));
    }
    let output =
        folder.with_input("evaluate fruit.downhill --data -", "size,colour,picked,ripe,fruit\n1,red,2024-01-01,3,\n");
    assert!(text(&output.stderr).contains("none of the 1 rows"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let folder = trained();
    // More than the pipe holds.
    folder.write("many.csv", &fruits(20_000));
    let command = "predict fruit.downhill --data many.csv";
    let mut child = folder.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with("predicted_fruit\n"), "{line}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn answers_come_while_the_input_is_still_open() {
    let folder = trained();
    let mut child =
        folder.command("predict fruit.downhill").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Both fit into the pipes, so that no one waits for the other.
    input.write_all(fruits(1000).replace(",fruit\n", ",kind\n").as_bytes()).unwrap();
    input.flush().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(answers.next().unwrap().unwrap().ends_with("predicted_fruit"));
    assert!(answers.next().unwrap().unwrap().contains("2024-01-01"));
    drop(input);
    assert_eq!(answers.count(), 999);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_model_leaves_for_other_runtimes_and_its_numbers_come_back() {
    let folder = trained();
    for name in ["m.onnx", "m.safetensors", "m.npz", "m.rs", "bare.onnx"] {
        let bare = if name == "bare.onnx" { " --bare" } else { "" };
        let said: Value =
            serde_json::from_str(&folder.ok(&format!("export fruit.downhill {name} --json{bare}"))).unwrap();
        assert_eq!(said["bytes"].as_u64().unwrap(), fs::metadata(folder.path(name)).unwrap().len());
    }
    assert!(fs::read_to_string(folder.path("m.rs")).unwrap().contains("pub fn predict("));
    folder.ok("convert m.safetensors again.npz");
    folder.ok("convert again.npz again.downhill --model fruit.downhill");
    assert_eq!(fs::read(folder.path("again.downhill")).unwrap(), fs::read(folder.path("fruit.downhill")).unwrap());
    folder.ok("convert fruit.downhill whole.safetensors");
    assert_eq!(fs::read(folder.path("whole.safetensors")).unwrap(), fs::read(folder.path("m.safetensors")).unwrap());
    // ONNX there and back: the bare network is the same, and a model of its own.
    folder.ok("convert bare.onnx from_onnx.downhill");
    let page = folder.ok("inspect from_onnx.downhill");
    assert!(page.contains("Affine") && page.contains("one of 2 classes: apple, plum"), "{page}");
    folder.ok("convert bare.onnx from_onnx.npz");
    assert!(folder.fails("convert m.npz x.downhill", 2).contains("--model"));
    folder.ok("train --data fruits.csv --target fruit --hidden 9 --epochs 2 --members 1 --output other.downhill");
    let said = folder.fails("convert m.npz x.downhill --model other.downhill", 1);
    assert!(said.contains("0.weight"), "{said}");
}

#[test]
fn help_completions_and_the_manual_name_every_command() {
    let folder = Folder::new();
    let commands = ["train", "evaluate", "predict", "inspect", "export", "convert", "completions", "man"];
    let (help, man) = (folder.ok("--help"), folder.ok("man"));
    for command in commands {
        assert!(help.contains(command), "{command}");
        assert!(man.contains(command), "{command}");
        assert!(folder.ok(&format!("{command} --help")).contains("Usage: downhill"), "{command}");
    }
    assert!(help.contains("Exit codes") && man.contains(".TH downhill 1"));
    // One page holds all commands, each with its arguments.
    assert!(
        man.contains("\\fBdownhill predict\\fR") && man.contains(".SS SYNOPSIS") && man.contains("<\\fIMODEL\\fR>"),
        "{man}"
    );
    assert!(!man.contains("train(1)"), "{man}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = folder.ok(&format!("completions {shell}"));
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    assert!(folder.ok("--version").starts_with("downhill "));
}

/// The program on Linux, where another process can send what Ctrl-C sends.
#[cfg(target_os = "linux")]
mod interrupted {
    use super::*;
    use std::process::Child;
    use std::thread::sleep;
    use std::time::Duration;

    fn interrupt(child: &Child) {
        let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Trains for longer than anyone waits, interrupts it as soon as a line of its output begins with this, and returns
    /// its exit code, the rest of the output, and what it says on the standard error.
    fn train(folder: &Folder, arguments: &str, line: &str) -> (Option<i32>, String, String) {
        let arguments = format!("train --data fruits.csv --target fruit --hidden 8 --epochs 100000000 {arguments}");
        let mut child = folder.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|read| read.starts_with(line)), "{line}");
        interrupt(&child);
        let rest = lines.collect::<Vec<_>>().join("\n");
        let output = child.wait_with_output().unwrap();
        (output.status.code(), rest, text(&output.stderr))
    }

    #[test]
    fn training_ends_after_a_step_and_the_model_is_saved_with_a_note() {
        let folder = Folder::new();
        folder.write("fruits.csv", &fruits(80));
        for (arguments, line, judged, rows) in [
            // The last line before the network learns from all rows, and before the one to be judged learns.
            ("--holdout 0", "Not judged", false, "all 80 rows"),
            ("", "  ripe", true, "64 of 80 rows"),
            ("--patience 100000000", "  ripe", true, "of 80 rows"),
        ] {
            let (code, rest, said) = train(&folder, &format!("{arguments} --members 2 --force"), line);
            assert_eq!((code, said), (Some(0), String::new()), "{rest}");
            assert_eq!(rest.contains("Judged on 16 rows"), judged, "{rest}");
            assert!(rest.contains("Interrupted: training was stopped after ") && rest.contains(rows), "{rest}");
            let page = folder.ok("inspect fruit.downhill");
            let note = page.lines().find(|line| line.starts_with("interrupted: training was stopped after "));
            assert!(note.is_some_and(|note| note.ends_with(" of 200000000 epochs")), "{page}");
            assert_eq!(folder.ok("predict fruit.downhill --data fruits.csv").lines().count(), 81);
        }
    }

    #[test]
    fn nothing_is_saved_while_folds_are_compared() {
        let folder = Folder::new();
        folder.write("fruits.csv", &fruits(80));
        let (code, _, said) = train(&folder, "--folds 3 --members 1", "  ripe");
        assert_eq!(code, Some(130), "{said}");
        assert!(said.starts_with("error: interrupted while recipes or folds were compared"), "{said}");
        assert!(!folder.path("fruit.downhill").exists());
    }

    #[test]
    fn a_second_interrupt_ends_the_program_at_once() {
        let folder = Folder::new();
        // What it finds in all these columns is more than the pipe holds, which no one reads, so that it waits.
        let row = |cell: &dyn Fn(usize) -> String| (0..2000).map(cell).collect::<Vec<_>>().join(",") + "\n";
        let rows: String = (0..8).map(|line| row(&|column| (line * column % 7).to_string())).collect();
        folder.write("wide.csv", &(row(&|column| format!("a_column_of_a_wide_table_{column}")) + &rows));
        let train = "train --data wide.csv --target a_column_of_a_wide_table_3";
        let mut child = folder.command(train).stdout(Stdio::piped()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let catches_interrupts = || {
            let status = fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
        };
        while !catches_interrupts() {
            assert_eq!(child.try_wait().unwrap(), None);
            sleep(Duration::from_millis(5));
        }
        let mut sent = 0;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            interrupt(&child);
            sent += 1;
            sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(130));
        assert!(sent > 1, "the first was the last");
        assert!(!folder.path("a_column_of_a_wide_table_3.downhill").exists());
    }
}

#[test]
fn rows_of_rare_classes_and_without_target_do_no_harm() {
    let folder = Folder::new();
    let mut table = fruits(30);
    table += "5,red,2024-01-01,3,quince\n5,red,2024-01-01,3,\n";
    folder.write("rare.csv", &table);
    for judged in ["", "--holdout 0", "--folds 3", "--patience 5"] {
        let said = folder.ok(&format!("train --data rare.csv --target fruit {QUICK} {judged} --force"));
        assert!(said.contains("3 classes"), "{said}");
        assert_eq!(said.contains("Not judged"), judged == "--holdout 0", "{said}");
        assert!(said.contains("left out: 1\n"), "{said}");
    }
    folder.write("tiny.csv", "x,y\n1,a\n2,b\n3,a\n");
    assert!(folder.fails("train --data tiny.csv --target y", 1).contains("3 rows that have a target are too few"));
}

#[test]
fn no_path_is_written_that_was_not_named() {
    let folder = trained();
    folder.ok("inspect fruit.downhill");
    folder.ok("predict fruit.downhill --data fruits.csv");
    let mut names: Vec<String> = fs::read_dir(Path::new(folder.0.path()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["fruit.downhill", "fruits.csv"]);
}
