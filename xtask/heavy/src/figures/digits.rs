//! The run of the example `digits`, in f64, so that the picture is the same on every machine.

use std::ops::ControlFlow;

use downhill::data::digits as handwritten;
use downhill::layers::{Affine, Dropout, Relu};
use downhill::losses::SoftmaxCrossEntropy;
use downhill::network::{Network, sequential};
use downhill::optim::AdamW;
use downhill::optim::schedule::OneCycle;
use downhill::plot::{Align, Chart, Panels, Theme};
use downhill::tensor::Seed;
use downhill::train::metrics::Accuracy;
use downhill::train::{Trainer, evaluate};

use super::Files;
use super::table::{digits, table};
use crate::{Result, grouped as count};

/// One epoch: losses and the shares of right answers.
struct Epoch {
    training: (f64, f64),
    test: (f64, f64),
}

pub(super) fn add(files: &mut Files) -> Result {
    let epochs = run()?;
    files.insert("digits-curve.svg".into(), draw(&epochs));
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

fn draw(epochs: &[Epoch]) -> String {
    let chart = |name: &str, training: fn(&Epoch) -> f64, test: fn(&Epoch) -> f64| {
        let points = |value: fn(&Epoch) -> f64| {
            epochs.iter().enumerate().map(move |(epoch, seen)| (epoch as f64 + 1.0, value(seen)))
        };
        let chart = Chart::new("epoch", name).x_range(0.0, 61.0);
        chart.line("training", points(training)).line("test", points(test)).size(375, 330)
    };
    let loss = chart("loss", |epoch| epoch.training.0, |epoch| epoch.test.0).logarithmic_y().y_range(1e-2, 10.0);
    let last = epochs.last().map_or(f64::NAN, |epoch| 100.0 * epoch.test.1);
    let accuracy = chart("accuracy in %", |epoch| 100.0 * epoch.training.1, |epoch| 100.0 * epoch.test.1)
        .y_range(84.0, 100.4)
        .label((60.0, last - 1.2), Align::Right, format!("test: {}%", digits(last, 3)));
    Panels::new(2).panel(loss).panel(accuracy).theme(Theme::Page).to_svg()
}
