//! A custom loss, checked and then used where one kind of error costs more than the other.
//!
//! `cargo run --release --example 08_own_loss` predicts how many loaves to bake for a day. Those that are left over cost
//! a little, and customers who find none cost a lot: the squared error, which takes both for the same, bakes too few.

use std::error::Error;

use downhill::gradcheck::{TOLERANCE, check_loss};
use downhill::losses::{PointwiseLoss, TargetError};
use downhill::ndarray::Array2;
use downhill::prelude::*;

/// ℓ = (eᵃᵈ − ad − 1) / a² with d = y − t, and dℓ/dy = (eᵃᵈ − 1) / a (Varian 1975).
///
/// An error of the sign of a costs exponentially, and one of the other sign linearly; near 0 it is d²/2.
#[derive(Clone, Copy, Debug)]
struct Linex {
    a: f64,
}

impl PointwiseLoss for Linex {
    #[inline(always)]
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
        let a = T::from_f64(self.a);
        let d = a * (y - target);
        let rise = d.exp_m1();
        ((rise - d) / (a * a), rise / a)
    }

    fn check<T: Scalar>(&self, _: &[T], target: &[T]) -> Result<(), TargetError> {
        if !self.a.is_finite() || self.a == 0.0 {
            return Err(TargetError::setting("Linex", format!("a is {}, but must be finite and not 0", self.a)));
        }
        let Some(place) = target.iter().position(|t| !t.is_finite()) else { return Ok(()) };
        let advice = "leave out examples whose target is missing";
        Err(TargetError::domain("Linex", "finite targets", "target", 0, place, target[place], advice))
    }
}

/// Days with their temperature, from 0 to 1, and the demand in hundreds of loaves, which falls with it and by chance.
fn days(count: usize, seed: Seed) -> Result<Dataset<f32>, Box<dyn Error>> {
    let mut stream = seed.stream(0);
    let temperature = Array2::from_shape_fn((count, 1), |_| stream.uniform() as f32);
    let demand = temperature.mapv(|x| 3.0 - x + (2.0 * stream.uniform() - 1.0) as f32);
    Ok(Dataset::from_array(temperature, demand)?)
}

/// Trains a straight line, and returns what it bakes on a mild day and the share of days on which that was too little.
fn bake(loss: impl Loss + Clone, train: &Dataset<f32>, test: &Dataset<f32>) -> Result<(f32, f64), Box<dyn Error>> {
    let mut network = Network::build([1], Affine::new(1), Seed(1))?;
    Trainer::new(loss, Adam::new(0.02)).epochs(200).fit(&mut network, train)?;
    let baked = network.predict(test.inputs().matrix())?;
    let Target::Values(demand) = test.targets() else { return Err("a demand is a number".into()) };
    let short = baked.iter().zip(demand).filter(|(baked, demand)| baked < demand).count();
    Ok((network.predict_one(&[0.5])?[0], short as f64 / demand.len() as f64))
}

fn main() -> Result<(), Box<dyn Error>> {
    let costly_if_short = Linex { a: -2.0 };
    let report =
        check_loss(&costly_if_short, Batch::new(&[0.5, 1.0, -0.3], 3, [1])?, Target::Values(&[0.1, 1.6, 0.0]))?;
    println!("{report}");
    if !report.passes(TOLERANCE) {
        return Err("the derivative is wrong".into());
    }

    let (train, test) = (days(500, Seed(1))?, days(500, Seed(2))?);
    for (name, (mild, short)) in [
        ("squared error", bake(MeanSquaredError::new(), &train, &test)?),
        ("Linex", bake(costly_if_short, &train, &test)?),
    ] {
        println!("{name:>14}: {:.0} loaves on a mild day, too few on {:.0} % of all days", 100.0 * mild, 100.0 * short);
    }
    Ok(())
}
