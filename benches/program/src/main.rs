//! A network learns which of two interleaved half circles a point lies on.
//!
//! It depends on the library as `cargo add downhill` does, so that the time of its build and its size are what an
//! application pays: `cargo xtask bench --build`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::f32::consts::PI;

use downhill::data::Targets;
use downhill::prelude::*;

/// Points on the two half circles in turn.
fn half_circles(points: u16) -> Result<Dataset<f32>, Box<dyn Error>> {
    let mut inputs = Vec::new();
    let mut labels = Vec::new();
    for point in 0..points {
        let (sin, cos) = (PI * f32::from(point) / f32::from(points)).sin_cos();
        let lower = point % 2 == 1;
        inputs.extend(if lower { [1.0 - cos, 0.5 - sin] } else { [cos, sin] });
        labels.push(u32::from(lower));
    }
    Ok(Dataset::new(inputs, [2], Targets::classes(labels, 2))?)
}

/// Trains a network, and gives its accuracy on points that it has not seen.
fn train(progress: Progress) -> Result<f64, Box<dyn Error>> {
    let (train, test) = half_circles(1000)?.stratified_split(0.8, Seed(1))?;
    let mlp = sequential![Affine::new(32), Relu, Affine::new(32), Relu, Affine::new(2)];
    let mut network = Network::build([2], mlp, Seed(7))?;
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-2))
        .epochs(20)
        .validate(&test)
        .metric(Accuracy::new())
        .progress(progress)
        .early_stopping(EarlyStopping::new().patience(5))
        .fit(&mut network, &train)?;
    let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [Accuracy::new()])?;
    Ok(judged.metric("accuracy").unwrap_or(f64::NAN))
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("test accuracy: {:.4}", train(Progress::Auto)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_half_circles_are_separated() -> Result<(), Box<dyn Error>> {
        assert_eq!(train(Progress::Quiet)?, 1.0);
        Ok(())
    }
}
