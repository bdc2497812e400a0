//! Gradients that are not those of the value: every walk says so, or ends at the minimum all the same.

use downhill_optim::Penalty;
use downhill_optim::minimize::{
    Bfgs, ConjugateGradient, FixedStep, HagerZhang, Lbfgs, Method, Obstacle, Outcome, OwlQn, ProximalGradient, Reason,
    SteepestDescent, minimize,
};
use downhill_optim::test_functions::{more_garbow_hillstrom, rosenbrock};

use crate::ends::methods;

type Function = fn(&[f64], &mut [f64]) -> f64;

/// Functions of two variables with a single minimum, at (1, 1).
const FUNCTIONS: [(&str, Function); 3] = [
    ("a bowl", |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = 2.0 * (x - 1.0));
        x.iter().map(|x| (x - 1.0).powi(2)).sum()
    }),
    ("a valley on a constant", |x, g| {
        g.copy_from_slice(&[2.0 * (x[0] - 1.0), 20.0 * (x[1] - 1.0)]);
        100.0 + (x[0] - 1.0).powi(2) + 10.0 * (x[1] - 1.0).powi(2)
    }),
    ("Rosenbrock", |x, g| rosenbrock().evaluate(x, g)),
];

/// A mistake in the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    Sign,
    Constant,
    ConstantOfTheOtherSign,
    Doubled,
    Halved,
    Thousandfold,
    OneMissing,
    OneOfTheWrongSign,
    Swapped,
    OffByOne,
    Noise,
}

const MISTAKES: [Mistake; 11] = [
    Mistake::Sign,
    Mistake::Constant,
    Mistake::ConstantOfTheOtherSign,
    Mistake::Doubled,
    Mistake::Halved,
    Mistake::Thousandfold,
    Mistake::OneMissing,
    Mistake::OneOfTheWrongSign,
    Mistake::Swapped,
    Mistake::OffByOne,
    Mistake::Noise,
];

impl Mistake {
    fn make(self, g: &mut [f64], call: u64) {
        match self {
            Self::Sign => g.iter_mut().for_each(|g| *g = -*g),
            Self::Constant => g.fill(1.0),
            Self::ConstantOfTheOtherSign => g.fill(-1.0),
            Self::Doubled => g.iter_mut().for_each(|g| *g *= 2.0),
            Self::Halved => g.iter_mut().for_each(|g| *g *= 0.5),
            Self::Thousandfold => g.iter_mut().for_each(|g| *g *= 1e3),
            Self::OneMissing => g[1] = 0.0,
            Self::OneOfTheWrongSign => g[1] = -g[1],
            Self::Swapped => g.swap(0, 1),
            Self::OffByOne => g.iter_mut().for_each(|g| *g += 1.0),
            // Another at each call.
            Self::Noise => g.iter_mut().for_each(|g| *g += (call as f64 * 1e3).sin()),
        }
    }
}

impl Mistake {
    /// Whether steps along the gradient lead elsewhere than to the minimum.
    fn is_flagrant(self) -> bool {
        !matches!(self, Self::Doubled | Self::Halved | Self::Thousandfold | Self::OffByOne | Self::Noise)
    }
}

const STARTS: [[f64; 2]; 4] = [[2.0, -3.0], [5.0, 4.0], [-1.2, 1.0], [0.0, 0.0]];

const LIMIT: u64 = 500;

fn walk(function: Function, mistake: Mistake, start: [f64; 2], method: impl Method<f64>) -> Outcome<f64> {
    let mut call = 0;
    let wrong = |x: &[f64], g: &mut [f64]| {
        let value = function(x, g);
        call += 1;
        mistake.make(g, call);
        value
    };
    minimize(wrong, start).method(method).evaluations(LIMIT).run().unwrap()
}

#[test]
fn a_wrong_gradient_ends_a_walk_and_is_never_a_success_away_from_the_minimum() {
    for (of, function) in FUNCTIONS {
        for start in STARTS {
            for (index, (name, method)) in methods::<f64>().into_iter().enumerate() {
                let right = minimize(function, start).method(method).evaluations(20_000).run().unwrap();
                for mistake in MISTAKES {
                    let method = methods::<f64>().swap_remove(index).1;
                    let outcome = walk(function, mistake, start, method);
                    let off = outcome.x.iter().zip(&right.x).map(|(x, right)| (x - right).abs()).fold(0.0, f64::max);
                    let context = format!("{of}, {mistake:?}, {start:?}, {name}: {outcome:?}, {}", outcome.reason);
                    // A gradient that says it is 0, or with a penalty in the way of none, is believed.
                    let is_believed = outcome.gradient_norm <= 1e-6;
                    let is_there = right.converged() && off < 1e-3;
                    assert!(!outcome.converged() || is_believed || is_there, "{context}, {off}");
                    // A walk by the right gradient may take as long.
                    let may_go_on = !mistake.is_flagrant() || right.evaluations > LIMIT / 3;
                    let has_failed = matches!(outcome.reason, Reason::LineSearchFailed(_) | Reason::Diverged);
                    assert!(outcome.converged() || has_failed || may_go_on, "{context}");
                }
            }
        }
    }
}

#[test]
fn a_gradient_that_points_uphill_or_never_changes_is_named_by_every_search() {
    for (of, function) in FUNCTIONS {
        for start in STARTS {
            for mistake in [Mistake::Sign, Mistake::Constant, Mistake::ConstantOfTheOtherSign] {
                for (name, method) in methods::<f64>() {
                    let outcome = walk(function, mistake, start, method);
                    if name.contains("FixedStep") || outcome.gradient_norm <= 1e-6 {
                        continue;
                    }
                    let context = format!("{of}, {mistake:?}, {start:?}, {name}: {outcome:?}");
                    let obstacle = matches!(outcome.reason, Reason::LineSearchFailed(Obstacle::WrongGradient { .. }));
                    let most = if mistake == Mistake::Sign { 60 } else { 250 };
                    assert!(obstacle && outcome.evaluations <= most, "{context}");
                }
            }
        }
    }
}

#[test]
fn a_wrong_gradient_is_named_in_f32_too() {
    for start in [[2.0_f32, -3.0], [5.0, 4.0], [-1.2, 1.0]] {
        for mistake in [Mistake::Sign, Mistake::Constant, Mistake::ConstantOfTheOtherSign, Mistake::Swapped] {
            for (name, method) in methods::<f32>() {
                let wrong = |x: &[f32], g: &mut [f32]| {
                    let mut gradient = [2.0 * (f64::from(x[0]) - 1.0), 8.0 * (f64::from(x[1]) - 1.0)];
                    mistake.make(&mut gradient, 0);
                    g.iter_mut().zip(gradient).for_each(|(g, exact)| *g = exact as f32);
                    (x[0] - 1.0).powi(2) + 4.0 * (x[1] - 1.0).powi(2)
                };
                let outcome = minimize(wrong, start).method(method).evaluations(LIMIT).run().unwrap();
                if name.contains("FixedStep") || outcome.gradient_norm <= 1e-6 {
                    continue;
                }
                let has_failed = matches!(outcome.reason, Reason::LineSearchFailed(_));
                assert!(has_failed, "{mistake:?}, {start:?}, {name}: {outcome:?}, {}", outcome.reason);
            }
        }
    }
}

#[test]
fn a_gradient_of_the_wrong_sign_is_found_out_with_a_penalty_too() {
    let uphill = |x: &[f64], g: &mut [f64]| {
        g[0] = -2.0 * x[0];
        x[0] * x[0]
    };
    let penalty = Penalty::l1(0.1);
    for outcome in [
        minimize(uphill, [1.0]).method(ProximalGradient::new(penalty.clone())).run().unwrap(),
        minimize(uphill, [1.0]).method(OwlQn::new(penalty)).run().unwrap(),
    ] {
        let Reason::LineSearchFailed(Obstacle::WrongGradient { stated, measured }) = outcome.reason else {
            panic!("{outcome:?}")
        };
        assert!((stated + 2.0).abs() < 1e-6 && (measured - 2.0).abs() < 1e-6, "{stated}, {measured}");
        assert!(outcome.evaluations <= 50, "{outcome:?}");
    }
}

#[test]
fn half_or_twice_the_gradient_still_leads_to_the_minimum() {
    for (of, function) in FUNCTIONS {
        for start in STARTS {
            for mistake in [Mistake::Doubled, Mistake::Halved] {
                for outcome in [
                    walk(function, mistake, start, Lbfgs::new()),
                    walk(function, mistake, start, Bfgs::new()),
                    walk(function, mistake, start, Lbfgs::new().line_search(HagerZhang::new())),
                ] {
                    let is_there = outcome.x.iter().all(|x| (x - 1.0).abs() < 1e-4);
                    assert!(is_there, "{of}, {mistake:?}, {start:?}: {outcome:?}");
                }
            }
        }
    }
}

#[test]
fn a_right_gradient_is_never_called_wrong() {
    for problem in more_garbow_hillstrom() {
        for (name, method) in methods::<f64>() {
            let outcome = minimize(&problem, problem.start()).method(method).evaluations(2000).run().unwrap();
            let is_called_wrong = matches!(outcome.reason, Reason::LineSearchFailed(Obstacle::WrongGradient { .. }));
            assert!(!is_called_wrong, "{problem:?}, {name}: {}", outcome.reason);
        }
    }
}

#[test]
fn a_walk_that_has_diverged_is_no_success() {
    // So far off that the rounding of x hides every step, where the slopes and their differences overflow.
    let search = FixedStep::new(0.1);
    let methods: [Box<dyn Method<f64>>; 3] = [
        Box::new(SteepestDescent::new().line_search(search)),
        Box::new(ConjugateGradient::new().dai_yuan().line_search(search)),
        Box::new(ConjugateGradient::new().hestenes_stiefel().line_search(search)),
    ];
    for method in methods {
        let function = rosenbrock();
        let outcome = minimize(&function, [2.0, -3.0]).method(method).run().unwrap();
        assert!(!outcome.converged() && outcome.value <= function.evaluate(&[2.0, -3.0], &mut [0.0; 2]), "{outcome:?}");
    }
}
