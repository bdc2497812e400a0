//! Minima with exact zeros.

use downhill_optim::minimize::{Method, OwlQn, ProximalGradient, Reason, minimize};
use downhill_optim::{AdamW, EvaluationError, Objective, Penalty, Segment, Sgd};
use downhill_tensor::{Scalar, Seed};

/// Least squares ½‖Xw − t‖²/n, where only the first five of the true weights are not 0.
struct LeastSquares {
    examples: Vec<Vec<f64>>,
    targets: Vec<f64>,
}

impl LeastSquares {
    /// With columns of sizes that spread over this factor.
    fn new(len: usize, spread: f64) -> Self {
        let mut stream = Seed(5).stream(0);
        let mut number = || stream.uniform() * 2.0 - 1.0;
        let size = |j: usize| spread.powf(j as f64 / len as f64);
        let truth: Vec<f64> = (0..len).map(|j| if j < 5 { (2.0 - j as f64) / size(j) } else { 0.0 }).collect();
        let examples: Vec<Vec<f64>> = (0..2 * len).map(|_| (0..len).map(|j| size(j) * number()).collect()).collect();
        let targets = examples.iter().map(|x| dot(x, &truth) + 0.1 * number()).collect();
        Self { examples, targets }
    }

    fn start<T: Scalar>(&self) -> Vec<T> {
        (0..self.examples[0].len()).map(|j| T::from_f64((j as f64).sin())).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl<T: Scalar> Objective<T> for &LeastSquares {
    fn value_and_gradient(&mut self, w: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        let w: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
        let mut exact = vec![0.0; w.len()];
        let mut value = 0.0;
        let share = 1.0 / self.examples.len() as f64;
        for (x, target) in self.examples.iter().zip(&self.targets) {
            let residual = dot(x, &w) - target;
            value += 0.5 * share * residual * residual;
            exact.iter_mut().zip(x).for_each(|(g, x)| *g += share * residual * x);
        }
        gradient.iter_mut().zip(exact).for_each(|(g, exact)| *g = T::from_f64(exact));
        Ok(T::from_f64(value))
    }
}

/// Checks the conditions of a minimum of f + λ₁ Σ|wᵢ| + λ₂/2 Σwᵢ²; the number of zeros.
fn check_minimum<T: Scalar>(name: &str, problem: &LeastSquares, w: &[T], l1: f64, l2: f64, tolerance: f64) -> usize {
    let w: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
    let mut gradient = vec![0.0; w.len()];
    let _: f64 = (&*problem).value_and_gradient(&w, &mut gradient).unwrap();
    for (i, (&w, g)) in w.iter().zip(gradient).enumerate() {
        let excess = if w == 0.0 { g.abs() - l1 } else { (g + l2 * w + l1 * w.signum()).abs() };
        assert!(excess <= tolerance, "{name}, weight {i} of {w}: {excess:e}");
    }
    w.iter().filter(|w| **w == 0.0).count()
}

fn run<T: Scalar>(name: &str, problem: &LeastSquares, method: impl Method<T>, tolerance: f64) -> (Vec<T>, u64, f64) {
    let outcome = minimize(problem, problem.start::<T>()).method(method).gradient_tolerance(tolerance).run().unwrap();
    assert!(matches!(outcome.reason, Reason::GradientVanished), "{name}: {}", outcome.reason);
    assert!(outcome.gradient_norm <= tolerance);
    (outcome.x, outcome.evaluations, outcome.value)
}

#[test]
fn lasso_weights_are_exactly_zero_where_they_should_be() {
    for spread in [1.0, 5.0] {
        let problem = LeastSquares::new(40, spread);
        for (l1, l2) in [(0.02, 0.0), (0.02, 0.1), (0.1, 0.0)] {
            let penalty = || Penalty::elastic(l1, l2);
            let (x, steps, value) = run::<f64>("proximal", &problem, ProximalGradient::new(penalty()), 1e-9);
            let zeros = check_minimum("proximal", &problem, &x, l1, l2, 2e-9);
            let (y, evaluations, other) = run::<f64>("OWL-QN", &problem, OwlQn::new(penalty()), 1e-9);
            assert_eq!(check_minimum("OWL-QN", &problem, &y, l1, l2, 2e-9), zeros);
            println!("{spread}, {l1}, {l2}: {zeros} zeros, {steps} and {evaluations} evaluations, {value}");
            assert!(
                zeros >= if l2 == 0.0 { 12 } else { 5 } && (value - other).abs() <= 1e-12 * value,
                "{zeros} zeros, {value} and {other}"
            );
            assert!(steps <= 3000 && evaluations <= 500, "{steps} and {evaluations} evaluations");
        }
    }
}

#[test]
fn lasso_in_f32_finds_the_same_zeros() {
    let problem = LeastSquares::new(40, 1.0);
    let (x, ..) = run::<f32>("proximal", &problem, ProximalGradient::new(Penalty::l1(0.02)), 1e-5);
    let (y, ..) = run::<f32>("OWL-QN", &problem, OwlQn::new(Penalty::l1(0.02)), 1e-5);
    let (exact, ..) = run::<f64>("OWL-QN", &problem, OwlQn::new(Penalty::l1(0.02)), 1e-9);
    let zeros = |x: &[f32]| x.iter().map(|x| *x == 0.0).collect::<Vec<_>>();
    assert_eq!(zeros(&x), exact.iter().map(|x| *x == 0.0).collect::<Vec<_>>());
    assert_eq!(zeros(&y), zeros(&x));
}

#[test]
fn without_an_l1_part_both_are_methods_for_smooth_functions() {
    let problem = LeastSquares::new(10, 3.0);
    let (wanted, ..) = run::<f64>("L-BFGS", &problem, downhill_optim::minimize::Lbfgs::new(), 1e-10);
    let (x, ..) = run::<f64>("proximal", &problem, ProximalGradient::new(Penalty::l1(0.0)), 1e-10);
    let (y, ..) = run::<f64>("OWL-QN", &problem, OwlQn::new(Penalty::l1(0.0)), 1e-10);
    for ((a, b), c) in wanted.iter().zip(x).zip(y) {
        assert!((a - b).abs() < 1e-7 && (a - c).abs() < 1e-7, "{a}, {b}, {c}");
    }
}

#[test]
fn what_is_far_from_a_minimum_by_its_l1_part_alone_is_zero_at_once() {
    // Below the threshold, all is 0: |∇f(0)| ≤ λ₁.
    let problem = LeastSquares::new(20, 1.0);
    for method in [
        Box::new(ProximalGradient::new(Penalty::l1(10.0))) as Box<dyn Method<f64>>,
        Box::new(OwlQn::new(Penalty::l1(10.0))),
    ] {
        let outcome = minimize(&problem, problem.start::<f64>()).method(method).run().unwrap();
        assert!(outcome.converged() && outcome.x.iter().all(|x| *x == 0.0), "{outcome:?}");
    }
}

#[test]
fn units_do_not_matter_to_methods_with_a_penalty() {
    let run = |c: f64, owl: bool| {
        let problem = LeastSquares::new(20, 3.0);
        let scaled = |x: &[f64], g: &mut [f64]| {
            let value: f64 = (&problem).value_and_gradient(x, g).unwrap();
            g.iter_mut().for_each(|g| *g *= c);
            c * value
        };
        let penalty = Penalty::l1(0.02 * c);
        let method: Box<dyn Method<f64>> =
            if owl { Box::new(OwlQn::new(penalty)) } else { Box::new(ProximalGradient::new(penalty)) };
        let outcome = minimize(scaled, problem.start::<f64>()).method(method).gradient_tolerance(1e-8 * c).run();
        let outcome = outcome.unwrap();
        assert!(outcome.converged(), "{c:e}: {outcome:?}");
        outcome.evaluations
    };
    for owl in [true, false] {
        for exponent in [-60, -20, 20, 60] {
            assert_eq!(run(2_f64.powi(exponent), owl), run(1.0, owl), "{exponent}");
        }
    }
}

#[test]
fn a_penalty_is_bound_to_the_objectives_segments() {
    struct Split([Segment; 2]);
    impl Objective<f64> for Split {
        fn value_and_gradient(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, EvaluationError> {
            g.iter_mut().zip(x).for_each(|(g, x)| *g = x - 0.5);
            Ok(x.iter().map(|x| 0.5 * (x - 0.5).powi(2)).sum())
        }
        fn segments(&self) -> &[Segment] {
            &self.0
        }
    }
    let segment = |name: &str, range: std::ops::Range<usize>, axes: &[usize]| {
        Segment::new(name, range, downhill_tensor::Shape::new(axes).unwrap())
    };
    let split = || Split([segment("weight", 0..2, &[2, 1]), segment("bias", 2..3, &[1])]);
    let penalty = || Penalty::l1(1.0).except_biases();
    for method in [Box::new(ProximalGradient::new(penalty())) as Box<dyn Method<f64>>, Box::new(OwlQn::new(penalty()))]
    {
        let outcome = minimize(split(), [3.0, -1.0, 2.0]).method(method).run().unwrap();
        assert!(outcome.converged(), "{outcome:?}");
        assert_eq!(outcome.x[..2], [0.0, 0.0]);
        assert!((outcome.x[2] - 0.5).abs() < 1e-6);
    }
}

#[test]
fn values_that_are_not_finite_are_stepped_back_from() {
    // A wall at 1, a minimum at 0.9.
    let walled = |x: &[f64], g: &mut [f64]| {
        g[0] = 2.0 * (x[0] - 0.9);
        if x[0] < 1.0 { (x[0] - 0.9).powi(2) } else { f64::NAN }
    };
    for method in [
        Box::new(ProximalGradient::new(Penalty::l1(1e-3))) as Box<dyn Method<f64>>,
        Box::new(OwlQn::new(Penalty::l1(1e-3))),
    ] {
        let outcome = minimize(walled, [-1e6]).method(method).run().unwrap();
        assert!(outcome.converged() && (outcome.x[0] - 0.8995).abs() < 1e-6, "{outcome:?}");
    }
}

#[test]
fn a_negative_weight_is_refused_at_the_door() {
    let flat = |_: &[f64], g: &mut [f64]| (g.fill(0.0), 0.0).1;
    assert!(minimize(flat, [1.0]).method(OwlQn::new(Penalty::l1(-1.0))).run().is_err());
    assert!(minimize(flat, [1.0]).method(OwlQn::new(Penalty::l1(1.0)).memory(0)).run().is_err());
    assert!(minimize(flat, [1.0]).method(ProximalGradient::new(Penalty::l1(f64::NAN))).run().is_err());
}

/// Half the square of the distance to (1, 1), whose second number is frozen.
#[derive(Debug)]
struct HalfFrozen([Segment; 2]);

impl HalfFrozen {
    fn new() -> Self {
        let segment = |name: &str, place, frozen| Segment::new(name, place..place + 1, [1]).frozen(frozen);
        Self([segment("free", 0, false), segment("frozen", 1, true)])
    }
}

impl Objective<f64> for HalfFrozen {
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EvaluationError> {
        gradient.copy_from_slice(&[x[0] - 1.0, 0.0]);
        Ok(x.iter().map(|x| 0.5 * (x - 1.0).powi(2)).sum())
    }

    fn segments(&self) -> &[Segment] {
        &self.0
    }
}

#[test]
fn what_is_frozen_stays_under_every_method_penalty_and_weight_decay() {
    let (start, penalty) = ([3.0, 4.0], Penalty::elastic(0.125, 0.5));
    let outcomes = [
        minimize(penalty.clone().on(HalfFrozen::new()), start).run(),
        minimize(HalfFrozen::new(), start).method(OwlQn::new(penalty.clone())).run(),
        minimize(HalfFrozen::new(), start).method(ProximalGradient::new(penalty.clone())).run(),
        minimize(HalfFrozen::new(), start).optimizer(AdamW::new(0.1).weight_decay(0.5)).iterations(200).run(),
        minimize(penalty.on(HalfFrozen::new()), start).optimizer(Sgd::new(0.1).weight_decay(0.5)).iterations(200).run(),
    ];
    for outcome in outcomes {
        let x = outcome.unwrap().x;
        assert!(x[0] < 1.0 && x[1] == 4.0, "{x:?}");
    }
}
