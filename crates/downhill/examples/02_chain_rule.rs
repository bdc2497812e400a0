//! The chain rule with numbers in it: one affine layer, one activation, one loss, and one step downhill.
//!
//! `cargo run --release --example 02_chain_rule` multiplies the local derivatives by hand, and prints next to the
//! products what the library's backward passes and finite differences of the loss say.

use std::error::Error;

use downhill::gradcheck::differentiate;
use downhill::prelude::*;
use downhill::tensor::BatchMut;

fn main() -> Result<(), Box<dyn Error>> {
    // One example: an input and what should come out. One number for each of weight and bias.
    let (x, target) = (1.5, 1.0);
    let (w, b) = (0.8, -2.0);

    let mut affine = Affine::new(1).bind::<f64>([1], Seed(0))?;
    affine.set("weight", [w])?;
    affine.set("bias", [b])?;
    let mut sigmoid = Sigmoid.bind::<f64>([1], Seed(0))?;
    let loss = MeanSquaredError::new();

    println!("Forward, from left to right");
    let z = affine.forward([[x]])?[[0, 0]];
    let y = sigmoid.forward([[z]])?[[0, 0]];
    let mut dy = [0.0];
    let y_batch = [y];
    let j = loss.value_and_gradient(
        Batch::new(&y_batch, 1, [1])?,
        Target::Values(&[target]),
        BatchMut::new(&mut dy, 1, [1])?,
    )?;
    println!("  z = w x + b   = {w} · {x} − {} = {z:.6}", -b);
    println!("  y = σ(z)      = {y:.6}");
    println!("  J = (y − t)²  = {j:.6}, with t = {target}");

    println!("\nLocal derivatives, each known to one part alone");
    let (dj_dy, dy_dz, dz_dw, dz_db) = (2.0 * (y - target), y * (1.0 - y), x, 1.0);
    println!("  the loss        dJ/dy = 2 (y − t) = {dj_dy:>9.6}");
    println!("  the activation  dy/dz = y (1 − y) = {dy_dz:>9.6}");
    println!("  the layer       dz/dw = x         = {dz_dw:>9.6}");
    println!("                  dz/db = 1         = {dz_db:>9.6}");

    // Backward, from right to left: each part receives dJ/d(its output) and returns dJ/d(its input).
    let dz = sigmoid.backward([dy])?;
    affine.backward(&dz)?;

    // The effect of a small change of each number on J, found by trying.
    let sigma = |z: f64| 1.0 / (1.0 + (-z).exp());
    let squared = |y: f64| (y - target) * (y - target);
    let numeric_y = differentiate(&[y], |y| squared(y[0]));
    let numeric_z = differentiate(&[z], |z| squared(sigma(z[0])));
    let numeric = differentiate(&[w, b], |theta| squared(sigma(theta[0] * x + theta[1])));

    println!("\n{:<27}  {:>13}  {:>13}  {:>17}", "The chain rule", "by hand", "backward", "finite difference");
    let row = |name: &str, by_hand: f64, backward: f64, numeric: Option<f64>| {
        println!("  {name:<25}  {by_hand:>13.10}  {backward:>13.10}  {:>17.10}", numeric.unwrap_or(f64::NAN));
    };
    row("dJ/dy", dj_dy, dy[0], numeric_y[0]);
    row("dJ/dz = dJ/dy dy/dz", dj_dy * dy_dz, dz[[0, 0]], numeric_z[0]);
    row("dJ/dw = dJ/dy dy/dz dz/dw", dj_dy * dy_dz * dz_dw, affine.gradient("weight")?[[0, 0]], numeric[0]);
    row("dJ/db = dJ/dy dy/dz dz/db", dj_dy * dy_dz * dz_db, affine.gradient("bias")?[[0]], numeric[1]);

    println!("\nOne step downhill, θ ← θ − 0.5 dJ/dθ");
    let gradient = affine.gradients().to_vec();
    GradientDescent::new(0.5).step(affine.parameters_mut(), &gradient);
    let (new_w, new_b) = (affine.parameter("weight")?[[0, 0]], affine.parameter("bias")?[[0]]);
    println!("  w: {w:>9.6} → {new_w:>9.6}");
    println!("  b: {b:>9.6} → {new_b:>9.6}");
    let z = affine.forward([[x]])?;
    let y = sigmoid.forward(&z)?[[0, 0]];
    println!("  J: {j:>9.6} → {:>9.6}", squared(y));
    Ok(())
}
