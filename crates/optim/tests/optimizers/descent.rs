//! Descent to a minimum: on a bowl, and in the known number of steps on the classics.

use downhill_optim::minimize::{Reason, minimize};
use downhill_optim::test_functions::{TestFunction, beale, booth, himmelblau, rosenbrock};
use downhill_optim::{Adam, GradientDescent, Optimizer, Sgd};

use crate::table::{segments, table};

#[test]
fn every_optimizer_descends_into_a_bowl() {
    for (name, make) in table::<f64>() {
        let mut optimizer = make();
        optimizer.bind(&segments());
        let mut theta = [1.0; 15];
        let mut value = 0.0;
        for step in 0..3000 {
            let gradient: Vec<f64> = theta.iter().enumerate().map(|(i, x)| (1.0 + i as f64 / 5.0) * x).collect();
            value = theta.iter().zip(&gradient).map(|(x, g)| 0.5 * x * g).sum::<f64>();
            // Step sizes that never shrink hover about the minimum, within one step.
            optimizer.set_learning_rate(optimizer.learning_rate() * if step == 2000 { 0.1 } else { 1.0 });
            optimizer.step_with(&mut theta, &gradient);
        }
        // From 18 at the start; Adagrad's rate decays on its own.
        assert!(value < if name == "adagrad_all" { 6.0 } else { 0.5 }, "{name} ends at {value}");
    }
}

fn steps(optimizer: impl Optimizer<f64>, function: &TestFunction) -> u64 {
    let outcome = minimize(function, function.start()).optimizer(optimizer).run().unwrap();
    assert!(outcome.converged(), "{function:?}: {outcome:?}");
    outcome.iterations
}

#[test]
fn plain_rules_take_the_known_numbers_of_steps() {
    let heavy_ball = |rate| Sgd::new(rate).momentum(0.9);
    let nesterov = |rate| heavy_ball(rate).nesterov();
    for (got, known) in [
        (steps(GradientDescent::new(1e-3), &rosenbrock()), 31_798),
        (steps(heavy_ball(1e-3), &rosenbrock()), 2_993),
        (steps(nesterov(1e-3), &rosenbrock()), 3_039),
        (steps(Adam::new(0.1), &rosenbrock()), 1_685),
        (steps(Adam::new(0.01), &rosenbrock()), 5_416),
        (steps(GradientDescent::new(1e-2), &himmelblau()), 62),
        (steps(heavy_ball(1e-3), &himmelblau()), 349),
        (steps(nesterov(1e-3), &himmelblau()), 234),
        (steps(Adam::new(0.1), &himmelblau()), 346),
        (steps(GradientDescent::new(1e-2), &beale()), 3_835),
        (steps(heavy_ball(1e-2), &beale()), 274),
        (steps(Adam::new(0.1), &beale()), 314),
        (steps(GradientDescent::new(0.05), &booth()), 138),
        (steps(heavy_ball(1e-2), &booth()), 292),
        (steps(Adam::new(0.1), &booth()), 345),
    ] {
        assert!(u64::abs_diff(got, known) <= 1, "{got} steps instead of {known}");
    }
}

#[test]
fn a_rate_that_is_too_large_is_called_divergence() {
    let function = rosenbrock();
    let outcome = minimize(&function, function.start()).optimizer(GradientDescent::new(1e-2)).run().unwrap();
    assert!(matches!(outcome.reason, Reason::Diverged), "{outcome:?}");
    assert!(outcome.value <= 24.2 && outcome.x.iter().all(|x| x.is_finite()));
}

#[test]
fn every_optimizer_gets_down_rosenbrocks_valley() {
    for (name, make) in table::<f64>() {
        let mut optimizer = make();
        // θ is no parameter of a layer here: one vector.
        let function = rosenbrock();
        let mut theta = function.start();
        let mut gradient = vec![0.0; 2];
        let first = function.evaluate(&theta, &mut gradient);
        // Rules that scale nothing, or not at first, need a rate that suits the walls of the valley.
        if ["gradient", "sgd", "asgd", "lookahead", "schedule_free_sgd", "r_adam"]
            .iter()
            .any(|rule| name.starts_with(rule))
        {
            optimizer.set_learning_rate(optimizer.learning_rate().min(1e-3));
        }
        let mut lowest = first;
        for _ in 0..5000 {
            optimizer.step(&mut theta, &gradient);
            lowest = lowest.min(function.evaluate(&theta, &mut gradient));
        }
        assert!(lowest < 0.25 * first, "{name} gets from {first} to {lowest}");
    }
}
