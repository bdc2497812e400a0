//! A custom layer and a custom activation, checked and then trained to tell two spirals apart.
//!
//! `cargo run --release --example 05_own_layer` checks the derivatives that are written here against finite
//! differences, trains a network of both, and draws what it has learnt.

use std::error::Error;
use std::f64::consts::TAU;

use downhill::gradcheck::{LayerCheck, TOLERANCE, check_layer};
use downhill::layers::{Activation, Backward, Forward, Parameter, Signature, single_input};
use downhill::ndarray::Array2;
use downhill::prelude::*;
use downhill::tensor::{Init, Shape};

/// Bumps around centres that are learnt: yⱼ = exp(−s² ‖x − cⱼ‖²).
///
/// With uⱼ = 2 s² yⱼ the local derivatives are dyⱼ/dcⱼ = uⱼ (x − cⱼ) and dyⱼ/dx = −uⱼ (x − cⱼ).
#[derive(Clone, Debug)]
struct RadialBasis {
    centres: usize,
    sharpness: f64,
}

impl Layer for RadialBasis {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let features = single_input("RadialBasis", inputs)?.len();
        // Centres start uniformly in ±1/√1.
        let centre = Parameter::new("centre", [self.centres, features], Init::FanInUniform).fans(1, self.centres);
        Ok(Signature::new("RadialBasis", [self.centres]).parameter(centre))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (x, centre) = (pass.x[0].matrix(), pass.params.matrix(0)); // (batch, features), (centres, features)
        let square = T::from_f64(self.sharpness * self.sharpness);
        for ((example, j), y) in pass.y.matrix().indexed_iter_mut() {
            let distance: T = x.row(example).iter().zip(centre.row(j)).map(|(&x, &c)| (x - c) * (x - c)).sum();
            *y = (-square * distance).exp();
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (x, centre) = (pass.x[0].matrix(), pass.params.matrix(0));
        let (y, dy) = (pass.y.matrix(), pass.dy.matrix()); // (batch, centres)
        let twice_square = T::from_f64(2.0 * self.sharpness * self.sharpness);
        // Both are sums, and start from 0. The first layer of a network is not asked for dJ/dx.
        let mut dcentre = pass.dparams.matrix(0);
        dcentre.fill(T::ZERO);
        let mut dx = pass.dx.get(0).map(|dx| dx.matrix());
        if let Some(dx) = &mut dx {
            dx.fill(T::ZERO);
        }
        for ((example, j), &y) in y.indexed_iter() {
            let u = twice_square * y * dy[[example, j]];
            for k in 0..x.ncols() {
                let d = u * (x[[example, k]] - centre[[j, k]]);
                dcentre[[j, k]] += d;
                if let Some(dx) = &mut dx {
                    dx[[example, k]] -= d;
                }
            }
        }
    }
}

/// A line with waves on it: y = x + sin² x, dy/dx = 1 + sin 2x (Ziyin et al. 2020).
///
/// A scalar function needs no loops: the library writes them, and vectorises them.
#[derive(Clone, Copy, Debug)]
struct Snake;

impl Activation for Snake {
    fn name(&self) -> &'static str {
        "Snake"
    }

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        x + x.sin() * x.sin()
    }

    #[inline(always)]
    fn slope<T: Scalar>(&self, x: T, _y: T) -> T {
        T::ONE + (x + x).sin()
    }
}

/// Points on two spirals of one and a half turns each, with some noise; the class says which spiral.
fn spirals(points: usize, seed: Seed) -> Result<Dataset<f32>, Box<dyn Error>> {
    let mut stream = seed.stream(0);
    let mut place = Array2::zeros((points, 2));
    for (index, mut row) in place.rows_mut().into_iter().enumerate() {
        let radius = stream.uniform().sqrt();
        let angle = TAU * (1.5 * radius + 0.5 * (index % 2) as f64);
        let mut noise = || 0.06 * (stream.uniform() - 0.5);
        row[0] = (radius * angle.cos() + noise()) as f32;
        row[1] = (radius * angle.sin() + noise()) as f32;
    }
    let which: Vec<u32> = (0..points).map(|index| (index % 2) as u32).collect();
    Ok(Dataset::from_array(place, which)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let basis = RadialBasis { centres: 48, sharpness: 3.0 };
    for report in [
        check_layer(&basis, &[[2].into()], &LayerCheck::new())?,
        check_layer(&Snake, &[[10].into()], &LayerCheck::new())?,
    ] {
        println!("{report}");
        if !report.passes(TOLERANCE) {
            return Err("a derivative is wrong".into());
        }
    }

    let (train, test) = (spirals(1000, Seed(1))?, spirals(500, Seed(2))?);
    let mut network = Network::build([2], sequential![basis, Affine::new(16), Snake, Affine::new(2)], Seed(3))?;
    println!("\n{}\n", network.summary());
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01)).epochs(60).batch_size(32).fit(&mut network, &train)?;

    // The plane from −1.1 to 1.1 both ways, row by row from the top, as (places, 2).
    let (columns, rows) = (64, 32);
    let along = |cell: usize, cells: usize| 2.2 * (cell as f32 / (cells - 1) as f32) - 1.1;
    let plane = Array2::from_shape_fn((rows * columns, 2), |(place, axis)| match axis {
        0 => along(place % columns, columns),
        _ => -along(place / columns, rows),
    });
    for line in network.classify(&plane)?.chunks(columns) {
        println!("{}", line.iter().map(|&class| if class == 0 { '.' } else { '#' }).collect::<String>());
    }
    let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [Accuracy::new()])?;
    println!("\ntest accuracy: {:.4}", judged.metric("accuracy").unwrap_or(f64::NAN));
    Ok(())
}
