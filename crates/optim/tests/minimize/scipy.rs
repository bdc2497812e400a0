//! BFGS next to SciPy's; see `xtask/golden/minimize.py`.

use downhill_optim::minimize::{Bfgs, Lbfgs, Outcome, minimize};

use crate::fixtures::Fixture;

#[test]
fn bfgs_needs_no_more_evaluations_than_scipys_on_badly_scaled_quadratics() {
    let rows: Vec<f64> = Fixture::open("minimize").numbers("quadratics");
    let (mut sum, mut count) = (0.0, 0);
    for row in rows.as_chunks().0 {
        let &[n, low, high, scipys]: &[f64; 4] = row;
        let curvatures: Vec<f64> = (0..n as usize).map(|i| low * (high / low).powf(i as f64 / (n - 1.0))).collect();
        let bowl = |x: &[f64], g: &mut [f64]| {
            g.iter_mut().zip(x).zip(&curvatures).for_each(|((g, x), c)| *g = c * (x - 1.0));
            x.iter().zip(&curvatures).map(|(x, c)| 0.5 * c * (x - 1.0).powi(2)).sum()
        };
        let walk = minimize(bowl, vec![0.0; n as usize]).method(Bfgs::new());
        let outcome = walk.gradient_tolerance(1e-5 * low).run().unwrap();
        println!("{n} curvatures from {low:e} to {high:e}: {} and {scipys}", outcome.evaluations);
        // SciPy's start from the identity is the right one where the lowest curvature is 1, and there alone.
        let ratio = outcome.evaluations as f64 / scipys;
        assert!(outcome.converged() && ratio < 3.0, "{n}, {low:e} to {high:e}: {ratio}, {}", outcome.reason);
        sum += ratio.ln();
        count += 1;
    }
    let mean = (sum / f64::from(count)).exp();
    assert!(mean <= 1.0, "{mean} times as many in the geometric mean");
}

/// Meyer's problem (10 of Moré, Garbow & Hillstrom).
fn meyer(x: &[f64], g: &mut [f64]) -> f64 {
    const Y: [f64; 16] = [
        34780.0, 28610.0, 23650.0, 19630.0, 16370.0, 13720.0, 11540.0, 9744.0, 8261.0, 7030.0, 6005.0, 5147.0, 4427.0,
        3820.0, 3307.0, 2872.0,
    ];
    g.fill(0.0);
    let mut value = 0.0;
    for (i, y) in Y.iter().enumerate() {
        let t = 45.0 + 5.0 * (i + 1) as f64 + x[2];
        let e = (x[1] / t).exp();
        let r = x[0] * e - y;
        value += r * r;
        g[0] += 2.0 * r * e;
        g[1] += 2.0 * r * x[0] * e / t;
        g[2] -= 2.0 * r * x[0] * e * x[1] / (t * t);
    }
    value
}

fn from(multiple: f64) -> Outcome<f64> {
    let start = [0.02, 4000.0, 250.0].map(|x| multiple * x);
    minimize(meyer, start).method(Bfgs::new()).gradient_tolerance(1e-3).run().unwrap()
}

/// From farther off the matrix can't hold the curvatures: see the documents of `Bfgs`.
#[test]
fn bfgs_solves_meyers_problem_from_far_off() {
    for multiple in [1.0, 3.0, 5.0, 10.0] {
        let outcome = from(multiple);
        assert!(outcome.converged() && (outcome.value - 87.945_855_17).abs() < 1e-6, "{multiple}: {outcome:?}");
    }
}

#[test]
fn bfgs_solves_meyers_problem_from_anywhere_in_units_of_its_start() {
    let units = [0.02, 4000.0, 250.0];
    let scaled = |x: &[f64], g: &mut [f64]| {
        let value = meyer(&[x[0] * units[0], x[1] * units[1], x[2] * units[2]], g);
        g.iter_mut().zip(units).for_each(|(g, unit)| *g *= unit);
        value
    };
    for multiple in [1.0, 3.0, 10.0, 30.0, 100.0, 300.0] {
        let outcome = minimize(scaled, [multiple; 3]).method(Bfgs::new()).run().unwrap();
        let is_there = (outcome.value - 87.945_855_17).abs() < 1e-6;
        assert!(outcome.converged() && is_there && outcome.evaluations < 1300, "{multiple}: {outcome:?}");
    }
}

/// There x₁ is 1e-21, and what is within the rounding of the largest variable moves it far.
#[test]
fn the_rounding_of_one_variable_does_not_end_the_walk_of_another() {
    for multiple in [10.0, 100.0] {
        let start = [0.02, 4000.0, 250.0].map(|x| multiple * x);
        let outcome = minimize(meyer, start).method(Lbfgs::new()).evaluations(20_000).run().unwrap();
        let is_there = (outcome.value - 87.945_855_17).abs() < 1e-6;
        assert!(!outcome.converged() || is_there, "{multiple}: {outcome:?}");
    }
}
