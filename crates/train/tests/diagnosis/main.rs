//! What a diagnosis says of networks and data that are made to have a fault, and of others that have none.

mod events;
mod faults;
mod findings;
mod sound;

use downhill_data::{Dataset, digits};
use downhill_tensor::{Seed, Stream};
use downhill_train::{History, Warned};
use ndarray::Array2;

/// The warnings of a run as text, for messages.
fn said(history: &History) -> String {
    history.warnings.iter().map(Warned::to_string).collect::<Vec<_>>().join("\n")
}

fn normal(stream: &mut Stream) -> f32 {
    // The sum of twelve uniform numbers is close enough.
    ((0..12).map(|_| stream.uniform()).sum::<f64>() - 6.0) as f32
}

fn normals(examples: usize, features: usize, seed: u64) -> Array2<f32> {
    let mut stream = Seed(seed).stream(0);
    Array2::from_shape_fn((examples, features), |_| normal(&mut stream))
}

/// Points of the plane: is this one within the ring?
fn ring(examples: usize, seed: u64) -> Dataset<f32> {
    let x = normals(examples, 2, seed);
    let class = |x: f32, y: f32| u32::from((0.6..1.6).contains(&x.hypot(y)));
    let classes: Vec<u32> = x.rows().into_iter().map(|row| class(row[0], row[1])).collect();
    Dataset::from_array(x, classes).unwrap()
}

/// A smooth function of four features, with noise.
fn curve(examples: usize, seed: u64) -> Dataset<f32> {
    let x = normals(examples, 4, seed);
    let mut stream = Seed(seed).stream(1);
    let y = |row: ndarray::ArrayView1<'_, f32>| (row[0] * row[1]).tanh() + row[2].sin() - 0.5 * row[3];
    let y: Vec<f32> = x.rows().into_iter().map(|row| y(row) + 0.1 * normal(&mut stream)).collect();
    let y = Array2::from_shape_vec((examples, 1), y).unwrap();
    Dataset::from_array(x, y).unwrap()
}

/// Digits from 0 to 1.
fn images() -> Dataset<f32> {
    let digits = digits::<f32>().unwrap();
    let most = digits.inputs().slice().iter().copied().fold(0.0, f32::max);
    digits.map_inputs(|x| x / most).unwrap()
}
