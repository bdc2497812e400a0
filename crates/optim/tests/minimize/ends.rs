//! Every walk ends, at the best point that it has seen.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::Duration;

use downhill_optim::minimize::{
    Armijo, Bfgs, ConjugateGradient, FixedStep, HagerZhang, Lbfgs, LineSearch, Method, MoreThuente, Obstacle, Outcome,
    OwlQn, ProximalGradient, Reason, SteepestDescent, minimize,
};
use downhill_optim::test_functions::rosenbrock;
use downhill_optim::{EvaluationError, Objective, Penalty};
use downhill_tensor::Scalar;

type Function = fn(&[f64], &mut [f64]) -> f64;

/// Functions that give a line search nothing to hold on to.
const FUNCTIONS: [(&str, Function); 14] = [
    ("largest magnitude", |x, g| {
        let largest = usize::from(x[1].abs() > x[0].abs());
        g.fill(0.0);
        g[largest] = x[largest].signum();
        g[0] += 2.0 * x[0];
        x[largest].abs() + x[0] * x[0]
    }),
    ("magnitudes", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = x.signum());
        x.iter().map(|x| x.abs()).sum()
    }),
    ("not a number beyond 1", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = 2.0 * (x - 1.0));
        if x[0] > 1.0 { f64::NAN } else { x.iter().map(|x| (x - 1.0).powi(2)).sum() }
    }),
    ("infinite beyond 1", |x, g| {
        let beyond = x[0] > 1.0;
        g.iter_mut().zip(x).for_each(|(g, x)| *g = if beyond { f64::INFINITY } else { 2.0 * (x - 1.0) });
        if beyond { f64::INFINITY } else { x.iter().map(|x| (x - 1.0).powi(2)).sum() }
    }),
    ("huge", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = 1e37 * x);
        x.iter().map(|x| 0.5e37 * x * x).sum()
    }),
    ("subnormal", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = 1e-310 * x);
        x.iter().map(|x| 0.5e-310 * x * x).sum()
    }),
    ("uphill", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -2.0 * x);
        x.iter().map(|x| x * x).sum()
    }),
    ("uphill on a constant", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -2.0 * x);
        1e8 + x.iter().map(|x| x * x).sum::<f64>()
    }),
    ("constant with a gradient", |_, g| {
        g.fill(0.3);
        1.0
    }),
    ("constant", |_, g| {
        g.fill(0.0);
        1.0
    }),
    ("steps", |x, g| {
        g.fill(1.0);
        x.iter().map(|x| x.floor()).sum()
    }),
    ("plateau", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = if x.abs() > 1.0 { 1e-18 } else { 2.0 * x });
        x.iter().map(|x| if x.abs() > 1.0 { 1.0 } else { x * x }).sum()
    }),
    ("root", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = 0.5 * x.signum() / x.abs().sqrt());
        x.iter().map(|x| x.abs().sqrt()).sum()
    }),
    ("unbounded", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -3.0 * x * x);
        x.iter().map(|x| -x.powi(3)).sum()
    }),
];

/// A function of numbers of any precision, with all the points it was asked for.
struct Recorded<'a, T> {
    function: Function,
    points: &'a RefCell<Vec<Vec<T>>>,
}

impl<T: Scalar> Objective<T> for Recorded<'_, T> {
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        self.points.borrow_mut().push(x.to_vec());
        let x: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
        let mut exact = vec![0.0; x.len()];
        let value = (self.function)(&x, &mut exact);
        gradient.iter_mut().zip(exact).for_each(|(g, exact)| *g = T::from_f64(exact));
        Ok(T::from_f64(value))
    }
}

const LIMIT: u64 = 500;

fn walk<T: Scalar>(function: Function, method: &mut dyn Method<T>) -> (Outcome<T>, Vec<Vec<T>>) {
    let points = RefCell::new(Vec::new());
    let start = [2.0, -3.0].map(T::from_f64);
    let walk = minimize(Recorded { function, points: &points }, start).method(method);
    // Neither the rule for gradients nor a limit of iterations ends it.
    let outcome = walk.gradient_tolerance(0.0).iterations(u64::MAX).evaluations(LIMIT).run().unwrap();
    (outcome, points.into_inner())
}

pub(crate) fn methods<T: Scalar>() -> Vec<(String, Box<dyn Method<T>>)> {
    fn searches() -> Vec<Box<dyn LineSearch>> {
        vec![
            Box::new(MoreThuente::new()),
            Box::new(HagerZhang::new()),
            Box::new(Armijo::new()),
            Box::new(FixedStep::new(0.1)),
            Box::new(FixedStep::new(1e-30)),
        ]
    }
    let mut methods: Vec<(String, Box<dyn Method<T>>)> = Vec::new();
    for index in 0..searches().len() {
        let search = || searches().swap_remove(index);
        let mut add =
            |name: &str, method: Box<dyn Method<T>>| methods.push((format!("{name}, {:?}", search()), method));
        add("L-BFGS", Box::new(Lbfgs::new().line_search(search())));
        add("L-BFGS with one pair", Box::new(Lbfgs::new().memory(1).line_search(search())));
        add("BFGS", Box::new(Bfgs::new().line_search(search())));
        add("steepest descent", Box::new(SteepestDescent::new().line_search(search())));
        add("Polak-Ribière", Box::new(ConjugateGradient::new().line_search(search())));
        add("Fletcher-Reeves", Box::new(ConjugateGradient::new().fletcher_reeves().line_search(search())));
        add("Hestenes-Stiefel", Box::new(ConjugateGradient::new().hestenes_stiefel().line_search(search())));
        add("Dai-Yuan", Box::new(ConjugateGradient::new().dai_yuan().line_search(search())));
        add("Hager-Zhang", Box::new(ConjugateGradient::new().hager_zhang().line_search(search())));
    }
    for penalty in [Penalty::l1(0.1), Penalty::elastic(3.0, 0.5), Penalty::l2(0.0)] {
        methods.push((format!("OWL-QN, {penalty:?}"), Box::new(OwlQn::new(penalty.clone()))));
        methods.push((format!("proximal gradient, {penalty:?}"), Box::new(ProximalGradient::new(penalty))));
    }
    methods
}

fn all_walks<T: Scalar>() {
    for (name, function) in FUNCTIONS {
        for (of, mut method) in methods::<T>() {
            let context = format!("{name}, {of}, {}", T::NAME);
            let (outcome, points) = walk(function, &mut *method);
            assert_eq!(outcome.evaluations, points.len() as u64, "{context}");
            assert!(outcome.evaluations <= LIMIT, "{context}: {outcome:?}");
            let twice = points.windows(2).position(|pair| pair[0] == pair[1]);
            assert_eq!(twice, None, "{context}: {:?} was evaluated twice in a row", points[twice.unwrap_or(0)]);
            // One evaluation for each iteration at least.
            assert!(outcome.iterations < outcome.evaluations, "{context}: {outcome:?}");
        }
    }
}

#[test]
fn every_walk_ends_and_evaluates_no_point_twice_in_a_row() {
    // A search that spins without evaluating is stopped by no limit, so the test has a fuse.
    let (done, fuse) = mpsc::channel();
    let walks = std::thread::spawn(move || {
        all_walks::<f64>();
        all_walks::<f32>();
        let _ = done.send(());
    });
    if fuse.recv_timeout(Duration::from_secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("a walk spins without evaluating");
    }
    walks.join().unwrap();
}

fn bowl_with_slope(sign: f64) -> impl Fn(&[f64], &mut [f64]) -> f64 {
    move |x, g| {
        g[0] = sign * 2.0 * x[0];
        x[0] * x[0]
    }
}

#[test]
fn a_gradient_of_the_wrong_sign_is_found_out_in_a_few_evaluations() {
    let mut methods = methods::<f64>();
    methods.retain(|(name, _)| !name.contains("FixedStep") && !name.starts_with("OWL") && !name.starts_with("prox"));
    for (name, method) in methods {
        let outcome = minimize(bowl_with_slope(-1.0), [1.0]).method(method).run().unwrap();
        assert!(outcome.evaluations <= 60, "{name}: {outcome:?}");
        let Reason::LineSearchFailed(Obstacle::WrongGradient { stated, measured }) = outcome.reason else {
            panic!("{name}: {outcome:?}")
        };
        assert!((stated + 2.0).abs() < 1e-9 && (measured - 2.0).abs() < 1e-6, "{name}: {stated}, {measured}");
    }
}

#[test]
fn the_reason_says_by_how_much_a_gradient_is_wrong() {
    let outcome = minimize(bowl_with_slope(-1.0), [1.0]).run().unwrap();
    assert_eq!(
        outcome.reason.to_string(),
        "no step made the value fall far enough: the gradient looks wrong: along the steepest descent it gives the \
         slope -2.000e0, but the values of two points give 2.000e0, -1.000 times that; check the derivative"
    );
}

#[test]
fn a_kink_is_called_a_kink() {
    let kink = |x: &[f64], g: &mut [f64]| {
        g[0] = if x[0] < 0.0 { -1.0 } else { 1.0 };
        x[0].abs()
    };
    let outcome = minimize(kink, [1e-30]).run().unwrap();
    assert!(matches!(outcome.reason, Reason::LineSearchFailed(Obstacle::Kink)), "{outcome:?}");
}

#[test]
fn a_large_constant_hides_the_value_but_not_the_gradient() {
    let bowl = |x: &[f32], g: &mut [f32]| {
        g[0] = 2.0 * (x[0] - 3.0);
        1e8 + (x[0] - 3.0).powi(2)
    };
    for outcome in [
        minimize(bowl, [0.0_f32]).run().unwrap(),
        minimize(bowl, [0.0_f32]).method(Lbfgs::new().line_search(Armijo::new())).run().unwrap(),
        minimize(bowl, [0.0_f32]).method(SteepestDescent::new()).run().unwrap(),
    ] {
        assert!(outcome.evaluations <= 200 && (outcome.x[0] - 3.0).abs() < 1e-3, "{outcome:?}");
    }
}

#[test]
fn a_start_that_is_not_finite_keeps_its_value() {
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let outcome = minimize(move |_: &[f64], g: &mut [f64]| (g.fill(1.0), value).1, [1.0]).run().unwrap();
        assert!(matches!(outcome.reason, Reason::NotFiniteAtStart));
        assert_eq!(outcome.value.to_bits(), value.to_bits());
        assert_eq!((outcome.x, outcome.gradient_norm), (vec![1.0], 1.0));
    }
}

#[test]
fn a_trial_point_that_meets_the_rule_is_taken() {
    // The walk stops at the first point it evaluates that is a success: no later one is evaluated.
    let function = rosenbrock();
    for (name, method) in methods::<f64>() {
        if name.contains("FixedStep") || name.contains("Penalty") {
            continue;
        }
        let mut met = 0;
        let watched = |x: &[f64], g: &mut [f64]| {
            let value = function.evaluate(x, g);
            met += u32::from(value <= 1e-3);
            value
        };
        let outcome = minimize(watched, function.start()).method(method).target(1e-3).iterations(10_000).run().unwrap();
        let is_reached = matches!(outcome.reason, Reason::TargetReached);
        assert!(is_reached || name.contains("Armijo"), "{name}: {outcome:?}");
        assert!(met == u32::from(is_reached), "{name}: {met} points met the target");
    }
}

#[test]
fn too_many_variables_for_a_matrix_are_refused() {
    let flat = |_: &[f32], g: &mut [f32]| (g.fill(0.0), 0.0).1;
    let error = minimize(flat, vec![0.0; 40_000_000]).method(Bfgs::new()).run().unwrap_err();
    assert!(error.to_string().starts_with("the number of variables is 40000000, but it must be few enough"), "{error}");
}
