//! The units of f and x are no matter.

use downhill_optim::minimize::{
    Armijo, Bfgs, ConjugateGradient, HagerZhang, Lbfgs, Method, Obstacle, Outcome, Reason, SteepestDescent, minimize,
};
use downhill_optim::test_functions::{more_garbow_hillstrom, rosenbrock};
use downhill_tensor::Scalar;

/// Rosenbrock's function in other units, c f(x/u), from its start.
fn run<T: Scalar>(c: f64, u: f64, tolerance: Option<f64>, method: impl Method<T>) -> Outcome<T> {
    let function = rosenbrock();
    let scaled = |x: &[T], g: &mut [T]| {
        let x: Vec<f64> = x.iter().map(|x| x.to_f64() / u).collect();
        let mut gradient = [0.0; 2];
        let value = function.evaluate(&x, &mut gradient);
        g.iter_mut().zip(gradient).for_each(|(g, exact)| *g = T::from_f64(c * exact / u));
        T::from_f64(c * value)
    };
    let start: Vec<T> = function.start().iter().map(|x| T::from_f64(u * x)).collect();
    let walk = minimize(scaled, start).method(method).evaluations(2000);
    let walk = if let Some(tolerance) = tolerance { walk.gradient_tolerance(tolerance * c / u) } else { walk };
    walk.run().unwrap()
}

/// Powers of ten.
fn units() -> impl Iterator<Item = f64> {
    (-24..=24).step_by(3).map(|exponent| 10_f64.powi(exponent))
}

#[test]
fn lbfgs_takes_45_evaluations_whatever_the_unit_of_f() {
    for c in units() {
        let outcome = run::<f64>(c, 1.0, Some(1e-6), Lbfgs::new());
        assert!(outcome.converged() && outcome.evaluations == 45, "{c:e}: {outcome:?}");
        let outcome = run::<f32>(c, 1.0, Some(1e-6), Lbfgs::new());
        assert!(outcome.converged() && (41..=45).contains(&outcome.evaluations), "f32, {c:e}: {outcome:?}");
    }
}

#[test]
fn lbfgs_takes_45_evaluations_whatever_the_unit_of_x() {
    for u in units() {
        let outcome = run::<f64>(1.0, u, Some(1e-6), Lbfgs::new());
        assert!(outcome.converged() && outcome.evaluations == 45, "{u:e}: {outcome:?}");
    }
}

#[test]
fn units_whose_squares_overflow_or_vanish_are_blamed_and_not_the_derivative() {
    for c in [1e-250, 1e-200, 1e200, 1e250] {
        for reason in [run::<f64>(c, 1.0, None, Lbfgs::new()).reason, run::<f64>(c, 1.0, None, Bfgs::new()).reason] {
            assert!(matches!(reason, Reason::LineSearchFailed(Obstacle::Units)), "{c:e}: {reason}");
        }
    }
}

#[test]
fn no_quasi_newton_method_depends_on_units() {
    fn check<M: Method<f64>>(name: &str, method: impl Fn() -> M) {
        let wanted = run(1.0, 1.0, Some(1e-6), method());
        assert!(wanted.value < 1e-2, "{name}: {wanted:?}");
        // Powers of two leave the digits as they are.
        for exponent in (-60..=60).step_by(20) {
            let unit = 2_f64.powi(exponent);
            for (c, u) in [(unit, 1.0), (1.0, unit), (unit, unit)] {
                let outcome = run(c, u, Some(1e-6), method());
                let same_end = outcome.x.iter().zip(&wanted.x).all(|(x, wanted)| x / u == *wanted);
                assert!(
                    same_end && outcome.evaluations == wanted.evaluations,
                    "{name}, {c:e}, {u:e}: {outcome:?}, not {wanted:?}"
                );
            }
        }
    }
    check("BFGS", Bfgs::new);
    check("L-BFGS, Hager-Zhang", || Lbfgs::new().line_search(HagerZhang::new()));
    check("L-BFGS, Armijo", || Lbfgs::new().line_search(Armijo::new()));
    check("conjugate gradients", ConjugateGradient::new);
    check("conjugate gradients, Hager-Zhang", || ConjugateGradient::new().hager_zhang().line_search(HagerZhang::new()));
    check("conjugate gradients, Dai-Yuan", || ConjugateGradient::new().dai_yuan());
    check("steepest descent", SteepestDescent::new);
}

#[test]
fn the_default_rule_finds_the_minimum_in_any_units() {
    for unit in units() {
        for (c, u) in [(unit, 1.0), (1.0, unit)] {
            let outcome = run::<f64>(c, u, None, Lbfgs::new());
            let is_near = outcome.x.iter().all(|x| (x / u - 1.0).abs() < 1e-5);
            assert!(outcome.converged() && is_near && outcome.evaluations <= 48, "{c:e}, {u:e}: {outcome:?}");
        }
        let outcome = run::<f32>(unit, 1.0, None, Lbfgs::new());
        assert!(outcome.converged() && outcome.x.iter().all(|x| (x - 1.0).abs() < 1e-3), "{unit:e}: {outcome:?}");
    }
}

#[test]
fn a_flat_parabola_is_not_converged_at_its_start() {
    let flat = |x: &[f64], g: &mut [f64]| {
        g[0] = 2e-20 * (x[0] - 1.0);
        1e-20 * (x[0] - 1.0).powi(2)
    };
    let outcome = minimize(flat, [100.0]).run().unwrap();
    assert!(outcome.converged() && (outcome.x[0] - 1.0).abs() < 1e-3, "{outcome:?}");
    // A tolerance that is asked for is meant.
    let outcome = minimize(flat, [100.0]).gradient_tolerance(1e-6).run().unwrap();
    assert!(outcome.converged() && outcome.evaluations == 1);
}

#[test]
fn what_is_small_is_not_taken_for_stalled() {
    let small = |x: &[f64], g: &mut [f64]| {
        g[0] = 2e-20 * (x[0] - 1e-10);
        1e-20 * (x[0] - 1e-10).powi(2)
    };
    let walk = || minimize(small, [1e-8]).gradient_tolerance(0.0).iterations(1000);
    for outcome in [walk().function_tolerance(1e-9).run().unwrap(), walk().step_tolerance(1e-9).run().unwrap()] {
        assert!((outcome.x[0] / 1e-10 - 1.0).abs() < 1e-3, "{outcome:?}");
    }
}

#[test]
fn the_default_rule_loses_no_problem_and_takes_no_other_minimum_for_flat() {
    for problem in more_garbow_hillstrom() {
        for scale in [1.0, 10.0, 100.0] {
            if scale != 1.0 && problem.name() == "Watson" {
                continue;
            }
            let start: Vec<f64> = problem.start().iter().map(|x| scale * x).collect();
            let outcome = minimize(&problem, start).method(Bfgs::new()).run().unwrap();
            let is_flat = outcome.gradient_norm <= 1e-6 * outcome.value.abs().max(1.0);
            assert!(outcome.converged() && is_flat, "{problem:?}, {scale}: {outcome:?}");
        }
    }
}

#[test]
fn a_walk_from_a_minimum_is_converged() {
    for problem in more_garbow_hillstrom() {
        let first = minimize(&problem, problem.start()).run().unwrap();
        let again = minimize(&problem, first.x.clone()).run().unwrap();
        assert!(
            first.converged() && again.value - first.value <= 1e-14 * first.value,
            "{problem:?}: {again:?}, from {first:?}"
        );
    }
    let outcome = minimize(&rosenbrock(), [1.0 + 1e-9, 1.0]).run().unwrap();
    assert!(outcome.converged(), "{outcome:?}");
}
