//! What the logs show of a trainer's diagnosis.

use std::sync::{Arc, Mutex};

use downhill_data::Dataset;
use downhill_log::{Dashboard, JsonLines, TensorBoard};
use downhill_train::{Callback, Diagnosis, Norms};
use serde_json::Value;
use tempfile::tempdir;

use crate::tensorboard::read;
use crate::{Shared, network, trainer};

/// Features in the hundreds.
fn unscaled() -> Dataset<f64> {
    let x = ndarray::Array2::from_shape_fn((80, 2), |(i, j)| ((i * 37 + j * 11) % 101) as f64 * 5.0 + 100.0);
    let y = ndarray::Array2::from_shape_fn((80, 1), |(i, _)| (x[[i, 0]] / 100.0).sin() + (x[[i, 1]] / 100.0).cos());
    Dataset::from_array(x, y).unwrap()
}

#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Norms>>>);

impl Callback<f64> for Witness {
    fn on_norms(&mut self, norms: &Norms) {
        self.0.lock().unwrap().push(norms.clone());
    }
}

#[test]
fn warnings_are_lines_and_are_shown_by_the_dashboard() {
    let (data, json, dashboard) = (unscaled(), Shared::default(), Dashboard::new());
    let shown = dashboard.warnings();
    let mut lines = JsonLines::to_writer(json.clone()).every_step(1);
    let mut trainer = trainer(2).callback(&mut lines).callback(dashboard).diagnose(Diagnosis::new());
    let history = trainer.fit(&mut network(), &data).unwrap();
    drop(trainer);
    lines.finish().unwrap();
    let [first, ..] = &history.warnings[..] else { panic!("no warning") };
    assert!(first.warning.to_string().contains("not scaled"), "{first}");
    let said: Vec<String> = history.warnings.iter().map(|warned| warned.warning.to_string()).collect();
    assert_eq!(shown.latest(), said);

    let lines: Vec<Value> = json.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = lines.iter().position(|line| line["event"] == "warning").unwrap();
    let warning = &lines[at];
    assert_eq!((&warning["epoch"], &warning["steps"]), (&first.epoch.into(), &first.step.into()));
    assert_eq!(warning["message"], said[0]);
    let steps_before = lines[..at].iter().filter(|line| line["event"] == "step").count();
    assert_eq!(steps_before as u64, first.step);
}

#[test]
fn a_run_that_goes_on_keeps_the_warnings_before_it_and_no_others() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let data = unscaled();
    let mut network = network();
    let mut first = trainer(2).callback(JsonLines::new(&path)).diagnose(Diagnosis::new());
    first.fit(&mut network, &data).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""event":"warning","epoch":1"#), "{text}");
    // As if the process had gone on, and warned once more.
    let later = r#"{"event":"warning","epoch":3,"steps":25,"message":"of a later step"}"#;
    std::fs::write(&path, text + later + "\n").unwrap();
    first.continue_fit(&mut network, &data).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""event":"warning","epoch":1"#) && !text.contains("of a later step"), "{text}");
}

#[test]
fn tensorboard_has_the_norms_of_each_layer() {
    let folder = tempdir().unwrap();
    let mut board = TensorBoard::new(folder.path());
    let witness = Witness::default();
    let trainer = trainer(3).callback(&mut board).callback(witness.clone());
    trainer.diagnose(Diagnosis::new().every(3)).fit(&mut network(), &unscaled()).unwrap();
    board.finish().unwrap();
    let found = read(folder.path());
    let norms = witness.0.lock().unwrap();
    assert_eq!(norms.len(), 10);
    let assert_tag = |tag: &str, number: fn(&Norms) -> f64| {
        let rows = found["scalars"][tag].as_array().unwrap_or_else(|| panic!("no {tag}"));
        let rows: Vec<_> = rows.iter().map(|row| (row[0].as_u64().unwrap(), row[1].as_f64().unwrap())).collect();
        let expected: Vec<_> = norms.iter().map(|norms| (norms.step, f64::from(number(norms) as f32))).collect();
        assert_eq!(rows, expected, "{tag}");
    };
    assert_tag("activations/1", |norms| norms.layers[1].activations);
    assert_tag("backward/2", |norms| norms.layers[2].gradients.unwrap());
    assert_tag("gradient_norms/2.weight", |norms| norms.parameters[2].gradient);
    assert_tag("updates/0.weight", |norms| norms.parameters[0].relative_change());
}
