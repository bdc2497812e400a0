//! The promises of a training run at its door and at its end. One program for all of them, so that the loops are
//! compiled once.

mod callbacks;
mod divergence;
mod fresh_starts;
mod judging;
mod refusals;
mod weights;
mod whole_losses;

use downhill_data::{Dataset, Targets};
use downhill_layers::{Affine, Tanh};
use downhill_losses::Target;
use downhill_network::{Network, sequential};
use downhill_optim::GradientDescent;
use downhill_tensor::Seed;
use ndarray::Array2;

/// A step of this size moves no parameter.
fn standing_still() -> GradientDescent<f64> {
    GradientDescent::new(1e-300)
}

fn points(examples: usize) -> Array2<f64> {
    Array2::from_shape_fn((examples, 2), |(i, j)| ((i * 37 + j * 11) % 101) as f64 / 50.0 - 1.0)
}

/// Three classes of points.
fn classes(examples: usize) -> Dataset<f64> {
    let x = points(examples);
    let labels = x.rows().into_iter().map(|x| u32::from(x[0] > 0.0) + u32::from(x[0] + x[1] > 0.5)).collect();
    Dataset::from_array(x, Targets::classes(labels, 3)).unwrap()
}

/// Three classes of points, with every third label ignored: class 3.
fn partly_ignored(examples: usize) -> Dataset<f64> {
    let data = classes(examples);
    let Target::Classes(labels) = data.targets() else { unreachable!() };
    let labels = labels.iter().enumerate().map(|(i, &label)| if i % 3 == 0 { 3 } else { label }).collect();
    Dataset::from_array(points(examples), Targets::classes(labels, 4)).unwrap()
}

fn line(examples: usize) -> Dataset<f64> {
    let x = points(examples);
    let y = Array2::from_shape_fn((examples, 1), |(i, _)| 2.0 * x[[i, 0]] - 3.0 * x[[i, 1]] + 1.0);
    Dataset::from_array(x, y).unwrap()
}

fn network(outputs: usize) -> Network<f64> {
    Network::build([2], sequential![Affine::new(6), Tanh, Affine::new(outputs)], Seed(1)).unwrap()
}
