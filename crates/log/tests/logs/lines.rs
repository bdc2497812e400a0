//! Tables and JSON lines.

use std::fs;
use std::ops::ControlFlow;

use downhill_log::{CsvLog, JsonLines, LogError};
use downhill_tensor::Seed;
use downhill_train::StopReason;
use serde_json::Value;
use tempfile::tempdir;

use crate::{Fixed, Shared, data, network, trainer};

/// The text without the times, which differ from run to run.
fn timeless(text: &str) -> String {
    let is_json = text.starts_with('{');
    let seconds = text.lines().next().unwrap().split(',').position(|name| name == "seconds");
    let line = |line: &str| {
        if is_json {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds");
            return line.to_string();
        }
        let cells = line.split(',').enumerate().filter(|(index, _)| Some(*index) != seconds);
        cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Numbers that are easily written wrong: special ones and random bits.
fn numbers() -> Vec<f64> {
    let special = [0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -f64::MIN_POSITIVE / 3.0];
    let special = special.into_iter().chain([f64::MAX, f64::MIN_POSITIVE, 0.1 + 0.2, 1.0715086071862673e301]);
    let mut stream = Seed(1).stream(0);
    let bits = || f64::from_bits(u64::from(stream.bits()) << 32 | u64::from(stream.bits()));
    special.chain(std::iter::repeat_with(bits).take(3000)).collect()
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn json_number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| match value.as_str().unwrap() {
        "NaN" => f64::NAN,
        "inf" => f64::INFINITY,
        "-inf" => f64::NEG_INFINITY,
        other => panic!("{other}"),
    })
}

#[test]
fn a_table_is_that_of_the_history() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("run.csv");
    let data = data();
    for validated in [false, true] {
        let mut log = CsvLog::new(&path);
        let trainer = trainer(4).metric(Fixed("one, \"two\"\nand three".into(), 0.5)).callback(&mut log);
        let mut trainer = if validated { trainer.validate(&data) } else { trainer };
        let history = trainer.fit(&mut network(), &data).unwrap();
        drop(trainer);
        log.finish().unwrap();
        let mut expected = Vec::new();
        history.write_csv(&mut expected).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), String::from_utf8(expected).unwrap());
    }
}

#[test]
fn every_number_of_a_log_reads_back_to_the_same_bits() {
    let numbers = numbers();
    let (csv, json) = (Shared::default(), Shared::default());
    let (mut table, mut lines) = (CsvLog::to_writer(csv.clone()), JsonLines::to_writer(json.clone()).every_step(1));
    let mut trainer = trainer(2).callback(&mut table).callback(&mut lines);
    for (index, number) in numbers.iter().enumerate() {
        trainer = trainer.metric(Fixed(format!("m{index}"), *number));
    }
    let history = trainer.fit(&mut network(), &data()).unwrap();
    drop(trainer);
    table.finish().unwrap();
    lines.finish().unwrap();

    let text = csv.text();
    assert_eq!(text.lines().count(), 3);
    for (line, record) in text.lines().skip(1).zip(&history.epochs) {
        let cells: Vec<&str> = line.split(',').collect();
        let read = |cell: usize| cells[cell].parse::<f64>().unwrap();
        assert!(same(read(1), record.training_loss) && cells[2].is_empty() && same(read(4), record.seconds), "{line}");
        assert!(numbers.iter().enumerate().all(|(index, number)| same(read(5 + index), *number)));
    }

    let text = json.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let epochs: Vec<&Value> = lines.iter().filter(|line| line["event"] == "epoch").collect();
    assert_eq!(epochs.len(), 2);
    for (line, record) in epochs.into_iter().zip(&history.epochs) {
        assert!(same(json_number(&line["training_loss"]), record.training_loss) && line["validation_loss"].is_null());
        assert!(same(json_number(&line["seconds"]), record.seconds));
        for (index, number) in numbers.iter().enumerate() {
            assert!(same(json_number(&line["metrics"][format!("m{index}")]), *number), "m{index}");
        }
    }
    assert_eq!(lines.iter().filter(|line| line["event"] == "step").count(), 6);
}

#[test]
fn every_nth_step_has_a_line() {
    let (csv, json) = (Shared::default(), Shared::default());
    let (mut table, mut lines) =
        (CsvLog::to_writer(csv.clone()).every_step(2), JsonLines::to_writer(json.clone()).every_step(2));
    let mut losses = Vec::new();
    let trainer = trainer(2).metric(Fixed("half".into(), 0.5)).callback(&mut table).callback(&mut lines);
    let mut trainer = trainer.on_step(|end| {
        losses.push(end.loss);
        ControlFlow::Continue(())
    });
    let history = trainer.fit(&mut network(), &data()).unwrap();
    drop(trainer);
    let epoch = |index: usize| history.epochs[index].training_loss;
    let expected = [
        "epoch,step,batch_loss,training_loss,validation_loss,learning_rate,half".to_owned(),
        format!("1,0,{},,,0.01,", losses[0]),
        format!("1,2,{},,,0.01,", losses[2]),
        format!("1,2,,{},,0.01,0.5", epoch(0)),
        format!("2,4,{},,,0.01,", losses[4]),
        format!("2,5,,{},,0.01,0.5", epoch(1)),
    ];
    assert_eq!(timeless(&csv.text()), expected.join("\n"));

    let text = json.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["start", "step", "step", "epoch", "step", "epoch", "end"]);
    let start = &lines[0];
    assert_eq!((&start["first_epoch"], &start["last_epoch"], &start["step"]), (&1.into(), &2.into(), &0.into()));
    assert_eq!((&start["steps_per_epoch"], &start["examples_per_epoch"]), (&3.into(), &20.into()));
    assert_eq!(start["settings"]["batch_size"], "8");
    assert_eq!((&lines[2]["epoch"], &lines[2]["step"], &lines[2]["loss"]), (&1.into(), &2.into(), &losses[2].into()));
    assert_eq!((&lines[5]["epoch"], &lines[5]["step"]), (&2.into(), &5.into()));
    assert_eq!((&lines[6]["reason"], &lines[6]["kept_epoch"]), (&"all epochs were run".into(), &2.into()));
}

#[test]
fn a_line_is_there_when_its_event_has_happened() {
    let folder = tempdir().unwrap();
    let (csv, json) = (folder.path().join("run.csv"), folder.path().join("run.jsonl"));
    let (mut table, mut lines) = (CsvLog::new(&csv), JsonLines::new(&json));
    let count = |path| fs::read_to_string(path).unwrap().lines().count() as u64;
    let mut trainer = trainer(3).callback(&mut table).callback(&mut lines).on_epoch(|end| {
        assert_eq!((count(&csv), count(&json)), (end.record.epoch + 1, end.record.epoch + 1));
        ControlFlow::Continue(())
    });
    assert_eq!(trainer.fit(&mut network(), &data()).unwrap().epochs.len(), 3);
}

#[test]
fn a_run_that_goes_on_leaves_the_file_of_one_that_was_not_broken() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    let data = data();
    for steps in [false, true] {
        let table = |name: &str| {
            let log = CsvLog::new(path(name));
            if steps { log.every_step(2) } else { log }
        };
        let lines = |name: &str| {
            let log = JsonLines::new(path(name));
            if steps { log.every_step(2) } else { log }
        };
        let run = |epochs: u64, name: &str| {
            let metric = Fixed("quoted, \"so\"".into(), 0.1);
            let trainer = trainer(epochs).metric(metric).callback(table(&format!("{name}.csv")));
            trainer.callback(lines(&format!("{name}.jsonl")))
        };
        run(6, "whole").fit(&mut network(), &data).unwrap();
        let mut network = network();
        let mut parts = run(3, "parts");
        parts.fit(&mut network, &data).unwrap();
        // As if the first process had gone on, and were killed within a line.
        for name in ["csv", "jsonl"] {
            let whole = read(&format!("whole.{name}"));
            let (parts, length) = (path(&format!("parts.{name}")), read(&format!("parts.{name}")).lines().count());
            let length = if name == "csv" { length } else { length - 1 };
            let later: Vec<&str> = whole.lines().skip(length).take(2).collect();
            assert_eq!(later.len(), 2);
            let torn = fs::read_to_string(&parts).unwrap() + &later.join("\n");
            fs::write(&parts, &torn[..torn.len() - 3]).unwrap();
        }
        parts.continue_fit(&mut network, &data).unwrap();
        drop(parts);
        assert_eq!(timeless(&read("parts.csv")), timeless(&read("whole.csv")));
        let is_of_training = |line: &&str| !line.contains("\"event\":\"start\"") && !line.contains("\"event\":\"end\"");
        let training = |text: &str| text.lines().filter(is_of_training).collect::<Vec<_>>().join("\n");
        assert_eq!(timeless(&training(&read("parts.jsonl"))), timeless(&training(&read("whole.jsonl"))));
        // Another fit begins anew.
        run(1, "whole").fit(&mut crate::network(), &data).unwrap();
        assert_eq!(read("whole.csv").lines().count(), if steps { 4 } else { 2 });
        assert_eq!(read("whole.jsonl").lines().count(), if steps { 5 } else { 3 });
    }
}

#[test]
fn a_file_that_is_no_log_is_left_as_it_is() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("iris.csv");
    for content in ["sepal,petal\n1,2\n", "epochs", "{\"a\": 1}\n", "1\n"] {
        fs::write(&path, content).unwrap();
        let (mut table, mut lines) = (CsvLog::new(&path), JsonLines::new(&path));
        trainer(1).callback(&mut table).callback(&mut lines).fit(&mut network(), &data()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        let error = table.finish().unwrap_err();
        assert!(matches!(error, LogError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("iris.csv") && error.to_string().contains("`epoch,`"), "{error}");
        assert!(matches!(lines.finish(), Err(LogError::Foreign { .. })));
    }
    // One that was torn within its beginning is one of ours.
    for torn in ["", "epo"] {
        fs::write(&path, torn).unwrap();
        let mut table = CsvLog::new(&path);
        trainer(1).callback(&mut table).fit(&mut network(), &data()).unwrap();
        table.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}

#[test]
fn a_run_goes_on_only_in_its_own_table() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("run.csv");
    let go_on = |before: &str, after: &str| {
        let (mut network, mut table) = (network(), CsvLog::new(&path));
        let mut trainer = trainer(1).callback(&mut table);
        trainer.fit(&mut network, &data()).unwrap();
        let text = fs::read_to_string(&path).unwrap().replace(before, after);
        fs::write(&path, &text).unwrap();
        trainer.continue_fit(&mut network, &data()).unwrap();
        drop(trainer);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "the file is left as it is");
        table.finish().unwrap_err()
    };
    let error = go_on("seconds", "seconds,accuracy");
    assert!(matches!(&error, LogError::Columns { expected, .. } if expected.ends_with(",seconds")), "{error}");
    let error = go_on("\n1,", "\none,");
    assert!(matches!(error, LogError::Line { line: 2, .. }), "{error}");
    assert!(error.to_string().contains("run.csv`: line 2"), "{error}");
}

#[test]
fn one_writer_takes_several_runs_below_one_header() {
    let csv = Shared::default();
    let mut table = CsvLog::to_writer(csv.clone());
    for _ in 0..2 {
        trainer(2).callback(&mut table).fit(&mut network(), &data()).unwrap();
    }
    table.finish().unwrap();
    assert_eq!(csv.text().lines().count(), 5);
    trainer(2).metric(Fixed("other".into(), 0.0)).callback(&mut table).fit(&mut network(), &data()).unwrap();
    let error = table.finish().unwrap_err();
    assert!(error.to_string().starts_with("the writer of the log: its columns"), "{error}");
    assert_eq!(csv.text().lines().count(), 5);
}

#[test]
fn a_log_that_fails_ends_the_run_only_if_it_is_asked_to() {
    // Room for the header and a row.
    let full = || Shared { room: Some(150), ..Shared::default() };
    let run = |table: &mut CsvLog, lines: &mut JsonLines| {
        trainer(4).callback(table).callback(lines).fit(&mut network(), &data()).unwrap()
    };
    let (mut table, mut lines) = (CsvLog::to_writer(full()), JsonLines::to_writer(full()));
    let history = run(&mut table, &mut lines);
    assert_eq!((history.reason, history.epochs.len()), (StopReason::Completed, 4));
    assert!(table.error().is_some() && lines.error().is_some());
    let error = table.finish().unwrap_err();
    assert_eq!(error.to_string(), "the writer of the log: no space left on device");
    assert!(table.error().is_none());

    let (written, mut lines) = (full(), JsonLines::to_writer(Shared::default()).strict());
    let mut table = CsvLog::to_writer(written.clone()).strict();
    let history = run(&mut table, &mut lines);
    assert_eq!(history.reason, StopReason::Callback);
    assert_eq!(history.epochs.len(), written.text().lines().count(), "the epoch that was not written is the last");
    assert!(matches!(table.finish(), Err(LogError::Io { path: None, .. })));
    lines.finish().unwrap();
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("missing").join("run.jsonl");
    let mut lines = JsonLines::new(&path).strict();
    let history = trainer(4).callback(&mut lines).fit(&mut network(), &data()).unwrap();
    assert_eq!((history.reason, history.steps), (StopReason::Callback, 1));
    let error = lines.finish().unwrap_err();
    assert!(error.to_string().contains("run.jsonl`: "), "{error}");
}

#[test]
fn the_end_of_a_run_that_diverges_is_its_error() {
    let json = Shared::default();
    let mut trainer = trainer(4).callback(JsonLines::to_writer(json.clone()));
    *trainer.optimizer_mut() = downhill_optim::Adam::new(1e200);
    let error = trainer.fit(&mut network(), &data()).unwrap_err();
    let text = json.text();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["error"]), (&"end".into(), &error.to_string().into()));
}
