//! The chain rule with numbers in it: one affine layer, one activation, one loss, and one step downhill.
//!
//! `cargo run --release --example 02_chain_rule` prints what flows forward and back through the smallest network, how
//! each number came about, and next to the gradient what finite differences of the loss say.

use std::error::Error;

use downhill::explain::{Number, Settings};
use downhill::gradcheck::differentiate;
use downhill::network::NetworkObjective;
use downhill::optim::Objective;
use downhill::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    // y = σ(w x + b) with w = 0.8 and b = −2, and J = (y − t)²: one example, an input and what should come out.
    let mut network = Network::<f64>::build([1], sequential![Affine::new(1), Sigmoid], Seed(0))?;
    network.parameters_mut().copy_from_slice(&[0.8, -2.0]);
    let (x, target, loss) = (Batch::new(&[1.5], 1, [1])?, Target::Values(&[1.0]), MeanSquaredError::new());

    // Forward, backward and one step, θ ← θ − 0.5 dJ/dθ.
    let explanation = network.explain_with(x, target, &loss, Settings::new().learning_rate(0.5))?;
    println!("{explanation:#}");

    // The effect of a small change of each parameter on J, found by trying.
    let mut j = NetworkObjective::new(&network, x, target, loss);
    let numeric = differentiate(network.parameters(), |theta| j.value(theta).unwrap_or(f64::NAN));
    println!("Is it true?");
    for (parameter, numeric) in numeric.into_iter().enumerate() {
        let origin = explanation.origin(Number::ParameterGradient { parameter, index: 0 }).ok_or("it is shown")?;
        let numeric = numeric.unwrap_or(f64::NAN);
        println!("  {}: {:.10} by the chain rule, {numeric:.10} by trying", origin.symbol.text, origin.value);
    }
    let updated =
        [0, 1].map(|parameter| explanation.value(Number::Updated { parameter, index: 0 }).unwrap_or(f64::NAN));
    println!("  J: {:.6} before the step, {:.6} after it", explanation.loss.value, j.value(&updated)?);
    Ok(())
}
