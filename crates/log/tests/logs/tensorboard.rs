//! Event files, read back by a reader of the tests' own, and compared with what TensorBoard's reader has found in them.
//!
//! `cargo xtask interop tensorboard` has TensorBoard read them anew. So does this test if the variable
//! `TENSORBOARD_PYTHON` names a Python that has TensorBoard.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{env, fs};

use downhill_layers::{Affine, LayerNorm, Tanh};
use downhill_log::{LogError, TensorBoard};
use downhill_network::{Network, Residual, sequential};
use downhill_tensor::Seed;
use downhill_train::{Callback, EpochEnd, StepEnd, StopReason};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{Fixed, data, trainer};

/// What TensorBoard's reader found; `xtask/interop/tensorboard_events.py` wrote it.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tensorboard.json");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/interop/tensorboard_events.py");

fn network() -> Network<f64> {
    let residual = Residual(sequential![Affine::new(4), LayerNorm::new()]);
    Network::build([2], sequential![Affine::new(4), Tanh, residual, Affine::new(1)], Seed(1)).unwrap()
}

/// A number as JSON has it, or as a string.
fn exact(number: f64) -> Value {
    if number.is_finite() { number.into() } else { number.to_string().into() }
}

/// Events by tag: each a step and its numbers.
type Events = BTreeMap<String, Vec<(u64, Vec<f64>)>>;

/// An observer that keeps what a log must hold.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<(Events, Events, u64)>>);

impl Witness {
    /// What a reader must find, without the graph and the hyperparameters.
    fn expected(&self) -> (Value, Value) {
        let (scalars, histograms, _) = &*self.0.lock().unwrap();
        (as_json(scalars), as_json(histograms))
    }
}

fn as_json(events: &Events) -> Value {
    let row = |(step, numbers): &(u64, Vec<f64>)| {
        json!([(*step).into()].into_iter().chain(numbers.iter().copied().map(exact)).collect::<Vec<Value>>())
    };
    events.iter().map(|(tag, events)| (tag.clone(), events.iter().map(row).collect::<Value>())).collect()
}

fn in_32_bits(number: f64) -> Vec<f64> {
    vec![(number as f32).into()]
}

fn low_high_count(numbers: &[f64]) -> Vec<f64> {
    let (low, high) =
        numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
    vec![low, high, numbers.len() as f64]
}

impl Callback<f64> for Witness {
    fn on_step(&mut self, end: &StepEnd<'_, f64>) -> ControlFlow<()> {
        let (scalars, histograms, last_step) = &mut *self.0.lock().unwrap();
        *last_step = end.step;
        if end.step.is_multiple_of(2) {
            for (tag, number) in [("step/loss", end.loss), ("step/learning_rate", end.learning_rate)] {
                scalars.entry(tag.into()).or_default().push((end.step, in_32_bits(number)));
            }
        }
        if end.step.is_multiple_of(4) {
            for segment in end.network.segments() {
                for (group, flat) in [("parameters", end.network.parameters()), ("gradients", end.gradient)] {
                    let of_segment = low_high_count(&flat[segment.range.clone()]);
                    histograms.entry(format!("{group}/{}", segment.name)).or_default().push((end.step, of_segment));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn on_epoch(&mut self, end: &EpochEnd<'_, f64>) -> ControlFlow<()> {
        let (scalars, _, last_step) = &mut *self.0.lock().unwrap();
        let record = end.record;
        let metrics = record.metrics.iter().map(|(name, value)| (format!("metrics/{name}"), *value));
        let all = [
            ("epoch/number", record.epoch as f64),
            ("epoch/training_loss", record.training_loss),
            ("epoch/validation_loss", record.validation_loss.unwrap()),
            ("epoch/learning_rate", record.learning_rate),
        ];
        for (tag, number) in all.map(|(tag, number)| (tag.to_owned(), number)).into_iter().chain(metrics) {
            scalars.entry(tag).or_default().push((*last_step, in_32_bits(number)));
        }
        ControlFlow::Continue(())
    }
}

/// Logs a run of four epochs, and another that goes on after two of them, into one folder. Returns what a reader must find.
fn log_runs(folder: &Path) -> Value {
    let data = data();
    let log = || {
        let log = TensorBoard::new(folder).every_step(2).histograms(4);
        log.hyperparameter("hidden", 4).hyperparameter("residual", true).hyperparameter("note", "for the test")
    };
    let trainer = |epochs| {
        let trainer = trainer(epochs).validate(&data).metric(Fixed("third".into(), 1.0 / 3.0));
        trainer.metric(Fixed("nothing".into(), f64::NAN)).metric(Fixed("below".into(), f64::NEG_INFINITY))
    };
    let witness = Witness::default();
    trainer(4).callback(log()).callback(witness.clone()).fit(&mut network(), &data).unwrap();
    let mut broken = network();
    let mut first = trainer(2);
    first.fit(&mut broken, &data).unwrap();
    first.callback(log()).continue_fit(&mut broken, &data).unwrap();
    let (scalars, histograms) = witness.expected();
    json!({
        "scalars": scalars,
        "histograms": histograms,
        "graph": [
            ["input", "Placeholder", [], [-1, 2]],
            ["0_Affine", "Affine", ["input"], [-1, 4]],
            ["1_Tanh", "Tanh", ["0_Affine"], [-1, 4]],
            ["2/0_Affine", "Affine", ["1_Tanh"], [-1, 4]],
            ["2/1_LayerNorm", "LayerNorm", ["2/0_Affine"], [-1, 4]],
            ["2/add_Add", "Add", ["1_Tanh", "2/1_LayerNorm"], [-1, 4]],
            ["3_Affine", "Affine", ["2/add_Add"], [-1, 1]],
        ],
        "hyperparameters": {
            "batch_size": 8.0, "micro_batches": 1.0, "drop_last": false, "hidden": 4.0, "learning_rate": 0.01,
            "loss": "MeanSquaredError { reduction: Mean }",
            "note": "for the test", "optimizer": "Adam", "rates": "Constant", "residual": true, "seed": 0.0,
        },
        "results": [
            "epoch/training_loss", "epoch/validation_loss", "metrics/third", "metrics/nothing", "metrics/below",
        ],
        "status": 1,
    })
}

#[test]
fn a_reader_finds_what_was_logged() {
    let temporary = tempdir().unwrap();
    let folder = env::var_os("INTEROP_FOLDER").map_or(temporary.path().to_owned(), PathBuf::from);
    let expected = log_runs(&folder.join("run"));
    fs::write(folder.join("expected.json"), serde_json::to_string_pretty(&expected).unwrap()).unwrap();
    let found = read(&folder.join("run"));
    assert_same(&found, &expected, 0.0, "");

    let fixture: Value = serde_json::from_str(&fs::read_to_string(FIXTURE).unwrap()).unwrap();
    // Products are not of the same bits on all machines, and scalars have 32.
    assert_same(&found, &fixture, 1e-6, "");

    if let Some(python) = env::var_os("TENSORBOARD_PYTHON") {
        let status = Command::new(python).arg(SCRIPT).arg(&folder).status().unwrap();
        assert!(status.success(), "{SCRIPT}: {status}");
    }
}

/// Compares numbers within a relative tolerance, and all else for equality.
fn assert_same(found: &Value, expected: &Value, tolerance: f64, at: &str) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{at}");
            a.iter().for_each(|(key, value)| assert_same(value, &b[key], tolerance, &format!("{at}/{key}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{at}: {found} and {expected}");
            let pairs = a.iter().zip(b).enumerate();
            pairs.for_each(|(index, (a, b))| assert_same(a, b, tolerance, &format!("{at}/{index}")));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= tolerance * b.abs(), "{at}: {a} and {b}");
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}

/// A field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        let Self::Bytes(bytes) = self else { panic!("a number where bytes are expected") };
        bytes
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    fn number(&self) -> u64 {
        let Self::Number(number) = self else { panic!("bytes where a number is expected") };
        *number
    }
}

/// The fields of a message, by number.
struct Message<'a>(Vec<(u64, Field<'a>)>);

impl<'a> Message<'a> {
    fn new(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                5 => Field::Number(u32::from_le_bytes(bytes.split_off(..4).unwrap().try_into().unwrap()).into()),
                1 => Field::Number(u64::from_le_bytes(bytes.split_off(..8).unwrap().try_into().unwrap())),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    Field::Bytes(bytes.split_off(..length).unwrap())
                }
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter().filter(move |(known, _)| *known == number).map(|(_, field)| field)
    }

    fn get(&self, number: u64) -> Option<&Field<'a>> {
        self.all(number).last()
    }

    fn message(&self, number: u64) -> Message<'a> {
        Message::new(self.get(number).unwrap().bytes())
    }

    fn text(&self, number: u64) -> String {
        self.get(number).map(Field::text).unwrap_or_default()
    }

    fn number(&self, number: u64) -> u64 {
        self.get(number).map_or(0, Field::number)
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let byte = *bytes.split_off_first().unwrap();
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// CRC-32C bit by bit, as event files mask it.
fn masked_crc(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records of a file, with their checksums verified.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut records = Vec::new();
    let checksum = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    while !rest.is_empty() {
        let length = rest.split_off(..8).unwrap();
        assert_eq!(checksum(rest.split_off(..4).unwrap()), masked_crc(length));
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let record = rest.split_off(..length).unwrap();
        assert_eq!(checksum(rest.split_off(..4).unwrap()), masked_crc(record));
        records.push(record);
    }
    records
}

/// The event files of a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.iter().all(|path| path.to_str().unwrap().contains("tfevents")), "{files:?}");
    files
}

/// What the event files of a folder hold, in the form of `xtask/interop/tensorboard_events.py`.
pub(crate) fn read(folder: &Path) -> Value {
    let (mut scalars, mut histograms) = (Events::new(), Events::new());
    let mut found = json!({});
    let mut last_time = 0.0;
    for path in files(folder) {
        let bytes = fs::read(&path).unwrap();
        for (index, record) in records(&bytes).into_iter().enumerate() {
            let event = Message::new(record);
            let (time, step) = (f64::from_bits(event.number(1)), event.number(2));
            assert!(time >= last_time && time > 1.6e9, "{time}");
            last_time = time;
            if index == 0 {
                assert_eq!((event.text(3), step), ("brain.Event:2".to_owned(), 0));
            } else if event.get(4).is_some() {
                found["graph"] = graph(&event.message(4));
            } else if event.get(7).is_some() {
                assert_eq!(event.message(7).number(1), 1, "the start of a session");
                for events in [&mut scalars, &mut histograms] {
                    events.values_mut().for_each(|events| events.retain(|(known, _)| *known < step));
                }
            } else {
                for value in event.message(5).all(1) {
                    read_value(&Message::new(value.bytes()), step, &mut scalars, &mut histograms, &mut found);
                }
            }
        }
    }
    // Times differ from run to run.
    scalars.remove("epoch/seconds").unwrap();
    (found["scalars"], found["histograms"]) = (as_json(&scalars), as_json(&histograms));
    found
}

fn read_value(value: &Message<'_>, step: u64, scalars: &mut Events, histograms: &mut Events, found: &mut Value) {
    let tag = value.text(1);
    if let Some(number) = value.get(2) {
        assert!(value.get(8).is_none() && value.get(9).is_none(), "{tag}");
        scalars.entry(tag).or_default().push((step, vec![f32::from_bits(number.number() as u32).into()]));
        return;
    }
    let (tensor, metadata) = (value.message(8), value.message(9));
    let (plugin, class) = (metadata.message(1), metadata.number(4));
    let shape = tensor.message(2);
    let axes: Vec<u64> = shape.all(2).map(|dim| Message::new(dim.bytes()).number(1)).collect();
    let content = tensor.get(4).map(Field::bytes).unwrap_or_default();
    let numbers: Vec<f64> = content.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    match (&*plugin.text(1), class) {
        ("histograms", 2) => {
            assert_eq!((tensor.number(1), &axes[..], numbers.len()), (2, &[30, 3][..], 90), "{tag}");
            let rows = numbers.as_chunks::<3>().0;
            assert!(rows.windows(2).all(|pair| pair[0][1] == pair[1][0] && pair[0][0] <= pair[0][1]), "{tag}");
            let count = rows.iter().map(|row| row[2]).sum();
            histograms.entry(tag).or_default().push((step, vec![rows[0][0], rows[29][1], count]));
        }
        ("hparams", 2) => {
            assert_eq!((tensor.number(1), &axes[..], numbers.len()), (1, &[0][..], 0), "{tag}");
            read_hyperparameters(&tag, &plugin.message(2), found);
        }
        other => panic!("{tag}: {other:?}"),
    }
}

fn read_hyperparameters(tag: &str, data: &Message<'_>, found: &mut Value) {
    match tag {
        "_hparams_/experiment" => {
            let experiment = data.message(2);
            let tags = experiment.all(5).map(|metric| Message::new(metric.bytes()).message(1).text(2));
            found["results"] = tags.collect();
        }
        "_hparams_/session_start_info" => {
            let pairs = data.message(3);
            let pairs = pairs.all(1).map(|pair| Message::new(pair.bytes()));
            let value = |value: &Message<'_>| -> Value {
                match &value.0[0] {
                    (2, number) => f64::from_bits(number.number()).into(),
                    (3, text) => text.text().into(),
                    (4, flag) => (flag.number() == 1).into(),
                    (other, _) => panic!("a value of kind {other}"),
                }
            };
            found["hyperparameters"] = pairs.map(|pair| (pair.text(1), value(&pair.message(2)))).collect();
        }
        "_hparams_/session_end_info" => found["status"] = data.message(4).number(1).into(),
        other => panic!("{other}"),
    }
}

fn graph(graph: &Message<'_>) -> Value {
    let node = |node: &Field<'_>| {
        let node = Message::new(node.bytes());
        let attributes = node.all(5).map(|attribute| Message::new(attribute.bytes()));
        let shapes = attributes.into_iter().find(|attribute| attribute.text(1) == "_output_shapes").unwrap();
        let shape = shapes.message(2).message(1).message(7);
        let axes: Vec<i64> = shape.all(2).map(|dim| Message::new(dim.bytes()).number(1) as i64).collect();
        let inputs: Vec<String> = node.all(3).map(Field::text).collect();
        json!([node.text(1), node.text(2), inputs, axes])
    };
    graph.all(1).map(node).collect()
}

#[test]
fn a_killed_run_keeps_the_events_that_it_has_written() {
    let temporary = tempdir().unwrap();
    let folder = temporary.path().join("run");
    let mut epochs = 0;
    let mut trainer = trainer(3).callback(TensorBoard::new(&folder)).on_epoch(|_| {
        epochs += 1;
        // The version, the start, the graph, the hyperparameters, and the epochs.
        assert_eq!(records(&fs::read(&files(&folder)[0]).unwrap()).len(), 4 + epochs);
        ControlFlow::Continue(())
    });
    trainer.fit(&mut network(), &data()).unwrap();
    drop(trainer);
    assert_eq!(epochs, 3);
}

#[test]
fn a_run_that_diverges_is_a_failure() {
    let temporary = tempdir().unwrap();
    let mut trainer = trainer(3).callback(TensorBoard::new(temporary.path()));
    *trainer.optimizer_mut() = downhill_optim::Adam::new(1e200);
    trainer.fit(&mut network(), &data()).unwrap_err();
    let files = files(temporary.path());
    let bytes = fs::read(&files[0]).unwrap();
    let last = Message::new(records(&bytes).pop().unwrap());
    let (mut found, mut none) = (json!({}), Events::new());
    for value in last.message(5).all(1) {
        read_value(&Message::new(value.bytes()), 0, &mut Events::new(), &mut none, &mut found);
    }
    assert_eq!(found["status"], 2);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let temporary = tempdir().unwrap();
    let file = temporary.path().join("file");
    fs::write(&file, "").unwrap();
    for (strict, reason, steps) in [(false, StopReason::Completed, 9), (true, StopReason::Callback, 1)] {
        let log = TensorBoard::new(file.join("run")).every_step(1).histograms(1);
        let mut log = if strict { log.strict() } else { log };
        let history = trainer(3).callback(&mut log).fit(&mut network(), &data()).unwrap();
        assert_eq!((history.reason, history.steps), (reason, steps));
        assert!(log.error().is_some());
        let error = log.finish().unwrap_err();
        assert!(matches!(&error, LogError::Io { path: Some(_), .. }), "{error}");
        assert!(error.to_string().contains("run`: "), "{error}");
    }
}
