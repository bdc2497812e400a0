//! Trains a network on two spirals with every log: a table, JSON lines, event files for TensorBoard, and a dashboard.
//!
//! `cargo run --release -p downhill-log --features full --example logs -- [FOLDER]` writes to `FOLDER`, or to `logs`
//! below the current one.

use std::error::Error;
use std::f64::consts::TAU;
use std::path::PathBuf;

use downhill_data::Dataset;
use downhill_layers::{Affine, Tanh};
use downhill_log::{CsvLog, Dashboard, JsonLines, TensorBoard};
use downhill_losses::BinaryCrossEntropyWithLogits;
use downhill_network::{Network, sequential};
use downhill_optim::Adam;
use downhill_tensor::Seed;
use downhill_train::metrics::Accuracy;
use downhill_train::{StopHandle, Trainer};
use ndarray::Array2;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("logs".to_owned()));
    std::fs::create_dir_all(&folder)?;

    // Point i lies on the first spiral or, half a turn on, on the second.
    let (points, mut noise) = (4000, Seed(1).stream(0));
    let mut x = Array2::<f64>::zeros((points, 2));
    for (i, mut point) in x.rows_mut().into_iter().enumerate() {
        let (radius, spiral) = (i as f64 / points as f64, (i % 2) as f64);
        let angle = TAU * (1.75 * radius + 0.5 * spiral);
        point[0] = radius * angle.cos() + 0.02 * noise.uniform();
        point[1] = radius * angle.sin() + 0.02 * noise.uniform();
    }
    let y = Array2::from_shape_fn((points, 1), |(i, _)| (i % 2) as f64);
    let (train, test) = Dataset::from_array(x, y)?.split(0.8, Seed(2))?;

    let mlp = sequential![Affine::new(64), Tanh, Affine::new(64), Tanh, Affine::new(1)];
    let mut network = Network::build([2], mlp, Seed(3))?;
    let stop = StopHandle::new();
    let mut table = CsvLog::new(folder.join("run.csv"));
    let mut lines = JsonLines::new(folder.join("run.jsonl")).every_step(100);
    let mut board =
        TensorBoard::new(folder.join("runs/64")).every_step(10).histograms(1000).hyperparameter("hidden", 64);
    let history = Trainer::new(BinaryCrossEntropyWithLogits::new(), Adam::new(3e-3))
        .epochs(200)
        .validate(&test)
        .metric(Accuracy::new())
        .stop_handle(stop.clone())
        .callback(&mut table)
        .callback(&mut lines)
        .callback(&mut board)
        .callback(Dashboard::new().stop_handle(stop))
        .fit(&mut network, &train)?;
    table.finish()?;
    lines.finish()?;
    board.finish()?;

    println!("{} after {} epochs.", history.reason, history.epochs.len());
    if let Some(last) = history.epochs.last() {
        let accuracy = last.metric("accuracy").unwrap_or(f64::NAN);
        println!("Training loss {:.4}, accuracy of the validation {accuracy:.4}.", last.training_loss);
    }
    println!("See {0}/run.csv and {0}/run.jsonl, and run: tensorboard --logdir {0}/runs", folder.display());
    Ok(())
}
