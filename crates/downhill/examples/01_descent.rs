//! Walks downhill on a plain function, without any network: what a gradient is for, and what too large a step does.
//!
//! `cargo run --release --example 01_descent` prints the path to the minimum of a tilted bowl, then the same walk with
//! other learning rates, and then a harder function.

use std::error::Error;

use downhill::optim::minimize::{Outcome, minimize};
use downhill::optim::test_functions::rosenbrock;
use downhill::prelude::*;

/// A tilted bowl, f(x) = x₀² + x₀x₁ + 4x₁² − 3x₀ + 2x₁; overwrites `g` with its gradient.
fn bowl(x: &[f64], g: &mut [f64]) -> f64 {
    // ∂f/∂x₀ = 2x₀ + x₁ − 3        ∂f/∂x₁ = x₀ + 8x₁ + 2
    g.copy_from_slice(&[2.0 * x[0] + x[1] - 3.0, x[0] + 8.0 * x[1] + 2.0]);
    x[0] * x[0] + x[0] * x[1] + 4.0 * x[1] * x[1] - 3.0 * x[0] + 2.0 * x[1]
}

/// The point where all walks begin.
const START: [f64; 2] = [-2.0, 1.5];

fn main() -> Result<(), Box<dyn Error>> {
    println!("x ← x − 0.1 ∇f(x) on a tilted bowl\n");
    let outcome = minimize(bowl, START).optimizer(GradientDescent::new(0.1)).record_path().run()?;
    println!("{:>4}  {:>10}  {:>10}  {:>10}  {:>9}", "step", "x0", "x1", "f", "|grad f|");
    for (step, x) in outcome.path.iter().enumerate() {
        // The first steps are the long ones.
        if step < 6 || step % 10 == 0 || step + 1 == outcome.path.len() {
            let mut gradient = [0.0; 2];
            let f = bowl(x, &mut gradient);
            println!("{step:>4}  {:>10.6}  {:>10.6}  {f:>10.6}  {:>9.1e}", x[0], x[1], gradient[0].hypot(gradient[1]));
        }
    }
    println!("{}", outcome.reason);

    // Along the steepest direction of the bowl the gradient grows by λ = 5 + √10 for each unit of x, so that a step
    // multiplies the distance from the minimum by 1 − rate · λ.
    let edge = 2.0 / (5.0 + 10.0_f64.sqrt());
    println!("\nThe same with other rates; above 2/λ = {edge:.4} each step overshoots by more than the one before\n");
    for rate in [0.01, 0.1, 0.2, 0.24, 0.25, 0.3] {
        let outcome = minimize(bowl, START).optimizer(GradientDescent::new(rate)).run()?;
        report(&format!("rate {rate}"), &outcome);
    }

    println!("\nRosenbrock's valley, narrow and bent, from (−1.2, 1)\n");
    let valley = rosenbrock();
    let descent = minimize(&valley, valley.start()).optimizer(GradientDescent::new(1e-3)).run()?;
    report("gradient descent", &descent);
    let momentum = minimize(&valley, valley.start()).optimizer(Sgd::new(1e-3).momentum(0.9)).run()?;
    report("with momentum", &momentum);
    let adam = minimize(&valley, valley.start()).optimizer(Adam::new(0.02)).run()?;
    report("Adam", &adam);
    let lbfgs = minimize(&valley, valley.start()).run()?;
    report("L-BFGS", &lbfgs);
    Ok(())
}

/// One line on how a walk ended. What it hands back is the best point it has seen, even where it diverged.
fn report(name: &str, outcome: &Outcome<f64>) {
    let Outcome { x, value, iterations, reason, .. } = outcome;
    println!("{name:<16}  {iterations:>6} steps  best f {value:>10.6} at ({:>9.6}, {:>9.6})  {reason}", x[0], x[1]);
}
