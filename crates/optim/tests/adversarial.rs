//! Ten thousand objectives that are not worth minimising, by every method: no panic, no hang, no false success.

use std::cell::Cell;
use std::ops::ControlFlow;

use downhill_optim::minimize::{
    Armijo, Bfgs, ConjugateGradient, FixedStep, HagerZhang, Lbfgs, Minimization, MoreThuente, Outcome, Reason,
    SteepestDescent, minimize,
};
use downhill_optim::{Adam, EvaluationError, GradientDescent, Objective, Rprop, ScheduleFreeSgd, SettingError, Sgd};
use downhill_tensor::{Scalar, Seed, Stream};

const LIMIT: u64 = 60;

/// A fault of an objective.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    NotANumber,
    Infinite,
    GradientNotANumber,
    GradientInfinite,
    Jumps,
    WrongGradient,
    UphillGradient,
    Unbounded,
    Constant,
    ZeroGradient,
    FailsAfter(u64),
    Huge,
    Tiny,
    Kinks,
    Noise,
    ChangesItsMind,
}

struct Adversary {
    fault: Fault,
    curvatures: Vec<f64>,
    edge: f64,
    stream: Stream,
    calls: u64,
}

impl Adversary {
    fn new(stream: &mut Stream, key: u64) -> Self {
        let mut pick = |count: f64| (stream.uniform() * count) as u64;
        let fault = match pick(17.0) {
            0 => Fault::None,
            1 => Fault::NotANumber,
            2 => Fault::Infinite,
            3 => Fault::GradientNotANumber,
            4 => Fault::GradientInfinite,
            5 => Fault::Jumps,
            6 => Fault::WrongGradient,
            7 => Fault::UphillGradient,
            8 => Fault::Unbounded,
            9 => Fault::Constant,
            10 => Fault::ZeroGradient,
            11 => Fault::FailsAfter(pick(20.0)),
            12 => Fault::Huge,
            13 => Fault::Tiny,
            14 => Fault::Kinks,
            15 => Fault::Noise,
            _ => Fault::ChangesItsMind,
        };
        let len = pick(5.0);
        let curvatures = (0..len).map(|_| 10_f64.powf(stream.uniform() * 8.0 - 4.0)).collect();
        Self { fault, curvatures, edge: stream.uniform() * 2.0 - 0.5, stream: Seed(99).stream(key), calls: 0 }
    }

    fn start(&mut self) -> Vec<f64> {
        let scale = 10_f64.powf(self.stream.uniform() * 12.0 - 6.0);
        self.curvatures.iter().map(|_| scale * (self.stream.uniform() * 2.0 - 1.0)).collect()
    }

    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EvaluationError> {
        self.calls += 1;
        let mut value = 0.0;
        for ((g, &x), &curvature) in gradient.iter_mut().zip(x).zip(&self.curvatures) {
            value += 0.5 * curvature * (x - 1.0).powi(2);
            *g = curvature * (x - 1.0);
        }
        let beyond = x.first().is_none_or(|x| *x > self.edge);
        match self.fault {
            Fault::NotANumber if beyond => value = f64::NAN,
            Fault::Infinite if beyond => value = f64::INFINITY,
            Fault::GradientNotANumber if beyond => gradient.fill(f64::NAN),
            Fault::GradientInfinite if beyond => gradient.fill(f64::INFINITY),
            Fault::Jumps if beyond => value += 10.0,
            Fault::WrongGradient => gradient.iter_mut().for_each(|g| *g = self.stream.uniform() - 0.5),
            Fault::UphillGradient => gradient.iter_mut().for_each(|g| *g = -*g),
            Fault::Unbounded => {
                value = -x.iter().sum::<f64>().powi(3);
                gradient.fill(-3.0 * x.iter().sum::<f64>().powi(2));
            }
            Fault::Constant => {
                value = 1.0;
                gradient.fill(0.3);
            }
            Fault::ZeroGradient => gradient.fill(0.0),
            Fault::FailsAfter(calls) if self.calls > calls => return Err(EvaluationError::new("enough")),
            Fault::Huge => {
                value *= 1e300;
                gradient.iter_mut().for_each(|g| *g *= 1e300);
            }
            Fault::Tiny => {
                value *= 1e-300;
                gradient.iter_mut().for_each(|g| *g *= 1e-300);
            }
            Fault::Kinks => {
                value = x.iter().map(|x| x.abs()).sum();
                gradient.iter_mut().zip(x).for_each(|(g, x)| *g = x.signum());
            }
            Fault::Noise => {
                value += 1e-3 * self.stream.uniform();
                gradient.iter_mut().for_each(|g| *g += 1e-3 * self.stream.uniform());
            }
            Fault::ChangesItsMind if self.calls.is_multiple_of(3) => {
                value = -value;
                gradient.iter_mut().for_each(|g| *g = -*g);
            }
            _ => {}
        }
        Ok(value)
    }
}

/// The objective in either precision; notes the smallest value and every gradient norm that it has given out.
struct Watched<'a> {
    adversary: Adversary,
    seen: &'a Cell<Vec<(f64, f64)>>,
}

impl<T: Scalar> Objective<T> for Watched<'_> {
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        let x: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
        let mut in_f64 = vec![0.0; x.len()];
        let value = T::from_f64(self.adversary.evaluate(&x, &mut in_f64)?);
        let mut norm = 0.0_f64;
        for (g, in_f64) in gradient.iter_mut().zip(in_f64) {
            *g = T::from_f64(in_f64);
            norm = if g.is_nan() || norm.is_nan() { f64::NAN } else { norm.max(g.to_f64().abs()) };
        }
        let mut seen = self.seen.take();
        seen.push((value.to_f64(), norm));
        self.seen.set(seen);
        Ok(value)
    }
}

fn run<'o, T: Scalar>(
    bare: Minimization<'o, T, Watched<'o>, Lbfgs<T>>,
    method: u64,
) -> Result<Outcome<T>, SettingError> {
    match method {
        0 => bare.run(),
        1 => bare.method(Lbfgs::new().memory(2).line_search(HagerZhang::new())).run(),
        2 => bare.method(Lbfgs::new().line_search(Armijo::new())).run(),
        3 => bare.method(Bfgs::new()).run(),
        4 => bare.method(Bfgs::new().line_search(HagerZhang::new())).run(),
        5 => bare.method(ConjugateGradient::new()).run(),
        6 => bare.method(ConjugateGradient::new().fletcher_reeves()).run(),
        7 => bare.method(ConjugateGradient::new().hestenes_stiefel().line_search(HagerZhang::new())).run(),
        8 => bare.method(ConjugateGradient::new().dai_yuan().line_search(Armijo::new())).run(),
        9 => bare.method(ConjugateGradient::new().hager_zhang().line_search(HagerZhang::new())).run(),
        10 => bare.method(SteepestDescent::new()).run(),
        11 => bare.method(SteepestDescent::new().line_search(MoreThuente::new())).run(),
        12 => bare.method(SteepestDescent::new().line_search(FixedStep::new(0.1))).run(),
        13 => bare.optimizer(GradientDescent::new(0.1)).run(),
        14 => bare.optimizer(Sgd::new(0.1).momentum(0.9).nesterov()).run(),
        15 => bare.optimizer(Adam::new(0.1)).run(),
        16 => bare.optimizer(Rprop::new(0.1)).run(),
        _ => bare.optimizer(ScheduleFreeSgd::new(0.1)).run(),
    }
}

const METHODS: u64 = 18;

fn attack<T: Scalar>(key: u64) {
    let mut stream = Seed(7).stream(key);
    let method = key % METHODS;
    let mut adversary = Adversary::new(&mut stream, key);
    let fault = adversary.fault;
    let start: Vec<T> = adversary.start().into_iter().map(T::from_f64).collect();
    let target = (stream.uniform() < 0.2).then_some(0.05);
    let seen = Cell::new(Vec::new());
    let mut observed = 0;
    let mut bare = minimize(Watched { adversary, seen: &seen }, start)
        .gradient_tolerance(1e-6)
        .iterations(LIMIT)
        .evaluations(20 * LIMIT)
        .observe(|_| {
            observed += 1;
            if key.is_multiple_of(50) && observed > 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    if let Some(target) = target {
        bare = bare.target(target);
    }
    let outcome = run(bare, method).unwrap();
    let context = format!("objective {key}, {fault:?}, method {method}, {}: {outcome:?}", T::NAME);

    let seen = seen.take();
    assert!(outcome.iterations <= LIMIT && outcome.evaluations <= 20 * LIMIT, "{context}");
    let failed_call = u64::from(matches!(outcome.reason, Reason::EvaluationFailed(_)));
    assert_eq!(outcome.evaluations, seen.len() as u64 + failed_call, "{context}");
    // Only what the objective has said of one point may be reported of it.
    let reported = (outcome.value.to_bits(), outcome.gradient_norm.to_bits());
    let is_seen = seen.iter().any(|(value, norm)| (value.to_bits(), norm.to_bits()) == reported);
    assert!(is_seen || !outcome.value.is_finite() || !outcome.gradient_norm.is_finite(), "{context}");
    match outcome.reason {
        Reason::GradientVanished => assert!(outcome.gradient_norm <= 1e-6 && outcome.value.is_finite(), "{context}"),
        Reason::TargetReached => assert!(target.is_some_and(|target| outcome.value <= target), "{context}"),
        _ => {
            let finite = seen.iter().filter(|(value, norm)| value.is_finite() && norm.is_finite());
            let least = finite.map(|(value, _)| *value).fold(f64::INFINITY, f64::min);
            assert!(least == f64::INFINITY || outcome.value == least, "{context}: {least} was found and lost");
        }
    }
    if matches!(fault, Fault::Constant) && !outcome.x.is_empty() && target.is_none() {
        assert!(!outcome.converged(), "{context}");
    }
}

#[test]
fn ten_thousand_adversarial_objectives_fool_no_method() {
    for key in 0..10_000 {
        if key % 4 == 3 { attack::<f32>(key) } else { attack::<f64>(key) }
    }
}

#[test]
fn every_reason_to_stop_has_a_case() {
    let bowl = |x: &[f64], g: &mut [f64]| {
        g[0] = 2.0 * x[0];
        x[0] * x[0]
    };
    let reason = |outcome: Result<Outcome<f64>, SettingError>| outcome.unwrap().reason;
    let slow = || minimize(bowl, [1.0]).optimizer(GradientDescent::new(1e-4));
    assert!(matches!(reason(minimize(bowl, [1.0]).run()), Reason::GradientVanished));
    assert!(matches!(reason(slow().target(0.9).run()), Reason::TargetReached));
    assert!(matches!(reason(slow().iterations(3).run()), Reason::IterationLimit));
    assert!(matches!(reason(slow().evaluations(3).run()), Reason::EvaluationLimit));
    assert!(matches!(reason(slow().time(std::time::Duration::ZERO).run()), Reason::TimeLimit));
    assert!(matches!(reason(slow().function_tolerance(1e-3).run()), Reason::FunctionStalled));
    assert!(matches!(reason(slow().step_tolerance(1e-3).run()), Reason::StepStalled));
    assert!(matches!(reason(slow().observe(|_| ControlFlow::Break(())).run()), Reason::Observer));
    assert!(matches!(reason(minimize(bowl, [f64::NAN]).run()), Reason::NotFiniteAtStart));
    let diverging = minimize(bowl, [1.0]).optimizer(GradientDescent::new(10.0));
    assert!(matches!(reason(diverging.run()), Reason::Diverged));
    let uphill = |x: &[f64], g: &mut [f64]| {
        g[0] = -2.0 * x[0];
        x[0] * x[0]
    };
    assert!(matches!(reason(minimize(uphill, [1.0]).run()), Reason::LineSearchFailed(_)));
    struct Fails;
    impl Objective<f64> for Fails {
        fn value_and_gradient(&mut self, _: &[f64], _: &mut [f64]) -> Result<f64, EvaluationError> {
            Err(EvaluationError::new("it is Monday"))
        }
    }
    let outcome = minimize(Fails, [1.0]).run().unwrap();
    assert!(matches!(&outcome.reason, Reason::EvaluationFailed(_)));
    assert_eq!(outcome.reason.to_string(), "the objective could not be evaluated: it is Monday");
    assert_eq!(outcome.x, [1.0]);
}

#[test]
fn senseless_settings_are_refused_at_the_door() {
    let bowl = |x: &[f64], g: &mut [f64]| {
        g[0] = 2.0 * x[0];
        x[0] * x[0]
    };
    let error = minimize(bowl, [1.0]).optimizer(GradientDescent::new(-1.0)).run().unwrap_err();
    assert_eq!(error.to_string(), "the learning rate is -1, but it must be finite and greater than 0");
    assert!(minimize(bowl, [1.0]).method(Lbfgs::new().memory(0)).run().is_err());
    assert!(minimize(bowl, [1.0]).gradient_tolerance(f64::NAN).run().is_err());
    assert!(minimize(bowl, [1.0]).method(Lbfgs::new().line_search(MoreThuente::new().c2(1e-5))).run().is_err());
    assert!(minimize(bowl, [1.0]).optimizer(Sgd::new(0.1).nesterov()).run().is_err());
}
