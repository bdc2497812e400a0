//! The run of the example `digits`, in f64, so that the picture is the same on every machine.

use std::ops::ControlFlow;

use downhill::data::digits as handwritten;
use downhill::layers::{Affine, Dropout, Relu};
use downhill::losses::SoftmaxCrossEntropy;
use downhill::network::{Network, sequential};
use downhill::optim::AdamW;
use downhill::optim::schedule::OneCycle;
use downhill::tensor::Seed;
use downhill::train::metrics::Accuracy;
use downhill::train::{Trainer, evaluate};
use plotters::style::text_anchor::HPos;

use super::Files;
use super::plot::{Axis, BLUE, ORANGE, Plot, figure};
use super::table::{digits, table};
use crate::{Result, grouped as count};

/// One epoch: losses and the shares of right answers.
struct Epoch {
    training: (f64, f64),
    test: (f64, f64),
}

pub(super) fn add(files: &mut Files) -> Result {
    let epochs = run()?;
    files.insert("digits-curve.svg".into(), draw(&epochs)?);
    let rows = [1, 2, 5, 10, 20, 40, 60].into_iter().filter_map(|number: u64| {
        let epoch = epochs.get(number as usize - 1)?;
        let per_cent = |share: f64| format!("{}%", digits(100.0 * share, 3));
        Some([
            count(number),
            digits(epoch.training.0, 2),
            digits(epoch.test.0, 2),
            per_cent(epoch.training.1),
            per_cent(epoch.test.1),
        ])
    });
    let header = ["epoch", "training loss", "test loss", "training accuracy", "test accuracy"];
    files.insert("digits.md".into(), table(header, rows));
    Ok(())
}

fn run() -> Result<Vec<Epoch>> {
    let (train, test) = handwritten::<f64>()?.stratified_split(0.8, Seed(1))?;
    let (first, second) = (Affine::new(256), Affine::new(128));
    let mlp = sequential![first, Relu, Dropout::new(0.4), second, Relu, Dropout::new(0.4), Affine::new(10)];
    let mut network = Network::build([64], mlp, Seed(7))?;
    let (epochs, batch_size) = (60, 32);
    let steps = epochs * train.len().div_ceil(batch_size) as u64;
    let mut seen = Vec::new();
    Trainer::new(SoftmaxCrossEntropy::new().label_smoothing(0.05), AdamW::new(3e-3).weight_decay(0.05))
        .epochs(epochs)
        .batch_size(batch_size)
        .schedule(OneCycle::new(steps))
        .on_epoch(|end| {
            let judge = |data| evaluate(end.network, &SoftmaxCrossEntropy::new(), data, [Accuracy::new()]);
            if let (Ok(on_train), Ok(on_test)) = (judge(&train), judge(&test)) {
                let accuracy = |judged: &downhill::train::Evaluation| judged.metric("accuracy").unwrap_or(f64::NAN);
                seen.push(Epoch {
                    training: (on_train.loss, accuracy(&on_train)),
                    test: (on_test.loss, accuracy(&on_test)),
                });
            }
            ControlFlow::Continue(())
        })
        .fit(&mut network, &train)?;
    Ok(seen)
}

fn draw(epochs: &[Epoch]) -> Result<String> {
    figure(330, |area| {
        let panels = area.split_evenly((1, 2));
        let across = || Axis::new("epoch", 0.0, 61.0, [1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        let points = |value: fn(&Epoch) -> f64| {
            epochs.iter().enumerate().map(move |(epoch, seen)| (epoch as f64 + 1.0, value(seen)))
        };
        let mut plot = Plot::new(&panels[0], "loss", across(), Axis::decades("", -2, 1, 1))?;
        plot.line(points(|epoch| epoch.training.0), BLUE, 2.4)?;
        plot.line(points(|epoch| epoch.test.0), ORANGE, 2.4)?;
        plot.label((44.0, 2.2e-2), "training", BLUE, HPos::Right)?;
        plot.label((44.0, 0.16), "test", ORANGE, HPos::Center)?;
        let y = Axis::new("", 84.0, 100.4, [85.0, 90.0, 95.0, 100.0]);
        let mut plot = Plot::new(&panels[1], "accuracy in %", across(), y)?;
        plot.line(points(|epoch| 100.0 * epoch.training.1), BLUE, 2.4)?;
        plot.line(points(|epoch| 100.0 * epoch.test.1), ORANGE, 2.4)?;
        let last = epochs.last().map_or(f64::NAN, |epoch| 100.0 * epoch.test.1);
        plot.label((60.0, last - 1.2), &format!("test: {}%", digits(last, 3)), ORANGE, HPos::Right)
    })
}
