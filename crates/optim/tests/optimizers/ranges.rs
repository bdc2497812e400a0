//! Numbers at the ends of their range, and sums that are long.

use std::error::Error;

use downhill_optim::minimize::{Obstacle, Reason, minimize};
use downhill_optim::schedule::{
    ConstantFactor, Cosine, Cyclic, Exponential, InverseSqrt, Linear, MultiStep, OneCycle, Polynomial, ReduceOnPlateau,
    Schedule, StepDecay, TransformerDecay, WarmRestarts, WarmupStableDecay,
};
use downhill_optim::{
    Adafactor, Adagrad, Adamax, ClipNorm, Ema, EvaluationError, GradientDescent, Lamb, Lars, Lookahead, MemoryError,
    Muon, Optimizer, Rprop, Segment, SettingError, Swa, clip_norm, gradient_norm,
};
use downhill_tensor::{Scalar, Seed};

use crate::behaviour::numbers;
use crate::table::{Step, segments, table};

/// A clip of (3, 4, 0, ...) times `scale` to `max_norm`, as a function and as a link.
fn clip_at<T: Scalar>(scale: f64, max_norm: f64) {
    let gradient: Vec<T> = (0..100).map(|i| T::from_f64(scale * [3.0, -4.0, 0.0][i.min(2)])).collect();
    let mut clipped = gradient.clone();
    let norm = clip_norm(&mut clipped, max_norm);
    assert!((norm / (5.0 * scale) - 1.0).abs() < 1e-6, "the norm at {scale:e} in {} is {norm:e}", T::NAME);
    let mut theta = vec![T::ZERO; 100];
    GradientDescent::new(1.0).after(ClipNorm::new(max_norm)).step(&mut theta, &gradient);
    for (index, share) in [(0, 0.6), (1, -0.8), (2, 0.0)] {
        let wanted = max_norm * share;
        for got in [clipped[index].to_f64(), -theta[index].to_f64()] {
            assert!((got - wanted).abs() <= 1e-5 * max_norm, "{got:e} instead of {wanted:e} at {scale:e}, {}", T::NAME);
        }
    }
}

#[test]
fn a_clip_scales_a_gradient_of_any_norm() {
    for scale in [1e5, 1e19, 1e25, 8e37] {
        for max_norm in [1.0, 1e-3, 10.0] {
            clip_at::<f32>(scale, max_norm);
            clip_at::<f64>(scale, max_norm);
        }
    }
    // The factor itself is smaller than any number in f32.
    clip_at::<f32>(8e37, 1.0);
    let mut gradient = [3e38_f32; 4];
    assert!(clip_norm(&mut gradient, 1e-5).is_finite());
    assert!(gradient.iter().all(|g| (g / 5e-6 - 1.0).abs() < 1e-5), "{gradient:?}");
    for scale in [1e160, 1e300, 3e307] {
        clip_at::<f64>(scale, 1.0);
        clip_at::<f64>(scale, 1e-3);
    }
}

#[test]
fn trust_ratios_are_right_wherever_they_are_representable() {
    // θ and −γ q r do not depend on the units of the gradient, which Lars divides by its norm.
    fn step<T: Scalar>(scale_of_theta: f64, scale: f64) -> Vec<f64> {
        let mut theta: Vec<T> = [3.0, -4.0].iter().map(|x| T::from_f64(scale_of_theta * x)).collect();
        let gradient: Vec<T> = [0.6, 0.8].iter().map(|x| T::from_f64(scale * x)).collect();
        Lars::new(1.0).trust(0.1).momentum(0.0).step(&mut theta, &gradient);
        theta.iter().map(|x| x.to_f64() / scale_of_theta).collect()
    }
    let wanted = [3.0 - 0.3, -4.0 - 0.4];
    for (scale_of_theta, scale) in [(1.0, 1e25), (1e20, 1.0), (1e25, 1e-25), (1e-20, 1e25), (1.0, 1e-30)] {
        for (got, wanted) in step::<f32>(scale_of_theta, scale).iter().zip(wanted) {
            assert!((got - wanted).abs() < 1e-5, "{got} instead of {wanted} at {scale_of_theta:e}, {scale:e} in f32");
        }
    }
    for (scale_of_theta, scale) in [(1.0, 1e200), (1e200, 1.0), (1e200, 1e-200), (1e-170, 1e200), (1.0, 1e-250)] {
        for (got, wanted) in step::<f64>(scale_of_theta, scale).iter().zip(wanted) {
            assert!((got - wanted).abs() < 1e-13, "{got} instead of {wanted} at {scale_of_theta:e}, {scale:e} in f64");
        }
    }
    // Adam's direction is of size 1, so Lamb's step is the share γ of θ.
    let mut theta = [3e200, -4e200];
    Lamb::new(0.1).epsilon(0.0).step(&mut theta, &[0.5, 0.5]);
    let size = 0.5_f64.sqrt() * 0.1 * 5e200;
    assert!((theta[0] / (3e200 - size) - 1.0).abs() < 1e-6, "{theta:?}");
}

fn matrix(rows: usize, columns: usize) -> Segment {
    Segment::new("w", 0..rows * columns, [rows, columns])
}

#[test]
fn muon_does_not_look_at_the_units_of_a_gradient() {
    let step = |scale: f64| {
        let gradient: Vec<f32> = numbers::<f64>(12, 1).iter().map(|g| (scale * g) as f32).collect();
        let mut theta = [0.0_f32; 12];
        let mut muon = Muon::new(0.1);
        muon.bind(&[matrix(4, 3)]);
        muon.step(&mut theta, &gradient);
        theta
    };
    let wanted = step(1.0);
    for scale in [1e-5, 1e20, 1e30, 1e38] {
        for (got, wanted) in step(scale).iter().zip(wanted) {
            assert!((got - wanted).abs() < 1e-4, "{got} instead of {wanted} at {scale:e}");
        }
    }
}

#[test]
fn adafactor_takes_the_size_of_any_parameter() {
    let step = |scale: f64| {
        let mut theta = [3.0 * scale, -4.0 * scale];
        Adafactor::new(0.01).epsilons(0.0, 0.0).step(&mut theta, &[0.5, -0.5]);
        theta.map(|x| x / scale)
    };
    for scale in [1e-180, 1e180] {
        for (got, wanted) in step(scale).iter().zip(step(1.0)) {
            assert!((got - wanted).abs() < 1e-12, "{got} instead of {wanted} at {scale:e}");
        }
    }
}

#[test]
fn adafactors_columns_keep_their_digits_however_long() {
    // An embedding: one value throughout, so that each mean is its square.
    let (rows, columns) = (100_000, 2);
    let mut optimizer = Adafactor::new(0.01);
    optimizer.bind(&[matrix(rows, columns)]);
    let gradient = 0.1_f32;
    optimizer.step(&mut vec![1.0; rows * columns], &vec![gradient; rows * columns]);
    let square = f64::from(gradient).powi(2);
    for (name, means) in optimizer.state().slots.iter().take(2) {
        for &mean in means {
            assert!((f64::from(mean) / square - 1.0).abs() < 2e-6, "{name}: {mean} instead of {square}");
        }
    }
}

/// Moves each parameter of the table's segments by gradients of this size: the distances, and whether the memory is sound.
fn moved(make: fn() -> Box<dyn Step<f32>>, scale: f32, steps: u64) -> (Vec<f32>, Result<(), MemoryError>) {
    let mut optimizer = make();
    optimizer.bind(&segments());
    let mut theta = [1.0_f32; 15];
    for step in 0..steps {
        let gradient: Vec<f32> = numbers(15, step).into_iter().map(|g: f32| scale * g).collect();
        optimizer.step_with(&mut theta, &gradient);
    }
    (theta.map(|theta| theta - 1.0).to_vec(), optimizer.check_memory())
}

#[test]
fn every_optimizer_is_right_in_the_range_that_is_documented() {
    for (name, make) in table::<f32>() {
        // Sums of 50 squares reach the end sooner, and so do products of two means.
        let is_sooner = name.starts_with("adagrad") || name.starts_with("adafactor");
        let most = if is_sooner { 2e18 } else { 5e18 };
        for scale in [1e6, 1e18, most] {
            let (moves, memory) = moved(make, scale, 50);
            assert_eq!(memory, Ok(()), "{name} at {scale:e}");
            // A few may come back to where they were.
            let at_rest = moves.iter().filter(|x| **x == 0.0).count();
            assert!(at_rest <= 2 && moves.iter().all(|x| x.is_finite()), "{name} at {scale:e}: {moves:?}");
        }
        // What does not depend on the units of the gradient is the same in all of them.
        let of_steps = ["gradient", "sgd", "asgd", "r_adam", "schedule_free_sgd", "lookahead"];
        if of_steps.iter().any(|rule| name.starts_with(rule)) {
            continue;
        }
        let (small, large) = (moved(make, 1e6, 50).0, moved(make, most, 50).0);
        for (small, large) in small.iter().zip(&large) {
            assert!((small - large).abs() <= 2e-3 * (small.abs() + 1e-3), "{name}: {large} instead of {small}");
        }
    }
}

#[test]
fn squares_that_overflow_are_never_silent() {
    for (name, make) in table::<f32>() {
        let in_range = moved(make, 1e18, 50).0;
        for scale in [1e20, 1e25, 1e30] {
            let (moves, memory) = moved(make, scale, 50);
            let moves_too = |(x, in_range): (&f32, &f32)| x.is_finite() && (*x != 0.0 || in_range.abs() < 1e-4);
            let is_right = moves.iter().zip(&in_range).all(moves_too);
            assert!(is_right || memory.is_err(), "{name} at {scale:e}: {moves:?}");
        }
    }
    let mut adagrad = Adagrad::<f32>::new(0.1);
    adagrad.step(&mut [1.0, 1.0], &[1.0, 1e20]);
    let error = adagrad.check_memory().unwrap_err();
    assert_eq!((error.slot(), error.index(), error.value()), ("adagrad.sum", 1, f64::INFINITY));
    assert!(error.to_string().starts_with("number 1 of `adagrad.sum` is inf"), "{error}");
    let mut around: Box<dyn Optimizer<f32>> = Box::new(Lookahead::new(adagrad));
    assert!(around.check_memory().is_err());
    around.reset();
    assert_eq!(around.check_memory(), Ok(()));
}

#[test]
fn a_minimisation_whose_squares_overflow_says_so() {
    let steep = |x: &[f32], g: &mut [f32]| {
        g[0] = 1e20 * (x[0] - 1.0);
        0.5e20 * (x[0] - 1.0).powi(2)
    };
    let outcome = minimize(steep, [0.0_f32]).optimizer(Adagrad::new(0.1)).run().unwrap();
    assert!(matches!(outcome.reason, Reason::LineSearchFailed(Obstacle::Units)), "{outcome:?}");
    let adamax = minimize(steep, [0.0_f32]).optimizer(Adamax::new(0.01)).iterations(100).run().unwrap();
    assert!(adamax.x[0] > 0.5, "{adamax:?}");
}

#[test]
fn adafactors_step_keeps_its_size_where_squares_overflow() {
    let step = |scale: f32, gradient: [f32; 12]| {
        let mut optimizer = Adafactor::new(0.01);
        let vector = Segment::new("b", 8..12, [4]);
        optimizer.bind(&[matrix(4, 2), vector]);
        let mut theta = [1.0_f32; 12];
        for _ in 0..5 {
            optimizer.step(&mut theta, &gradient.map(|g| scale * g));
        }
        assert_eq!(optimizer.check_memory(), Ok(()));
        theta
    };
    // Of one size throughout: exactly the step of small gradients.
    let even = [1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0];
    for scale in [1e19, 1e20, 1e30, 1e38] {
        for (got, wanted) in step(scale, even).iter().zip(step(1.0, even)) {
            assert!((got - wanted).abs() < 1e-6, "{got} instead of {wanted} at {scale:e}");
        }
        // Only one is large: the others still step, and none by more than the rate allows.
        let mut one = even;
        one[3] = 0.1;
        (one[0], one[9]) = (3.0, 3.0);
        let theta = step(scale, one);
        assert!(theta.iter().all(|x| (x - 1.0).abs() < 0.3 && *x != 1.0), "{theta:?} at {scale:e}");
    }
    // The paper's epsilon, whose square is no number in f32, and parameters without a gradient.
    let mut optimizer = Adafactor::new(0.01).epsilons(1e-30, 1e-3);
    optimizer.bind(&[matrix(2, 2)]);
    let mut theta = [1.0_f32; 6];
    optimizer.step(&mut theta, &[0.0; 6]);
    assert_eq!(theta, [1.0; 6]);
    optimizer.step(&mut theta, &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert!(theta.iter().all(|x| x.is_finite()), "{theta:?}");
}

#[test]
fn rprop_takes_gradients_of_any_size() {
    let step = |scale: f32| {
        let (mut optimizer, mut theta) = (Rprop::new(0.01), [1.0_f32, 1.0]);
        for sign in [1.0, 1.0, -1.0, 1.0, 1.0] {
            optimizer.step(&mut theta, &[scale, sign * scale]);
        }
        theta
    };
    for scale in [1e-37, 1e-30, 1e-20, 1e20, 1e38] {
        assert_eq!(step(scale), step(1.0), "{scale:e}");
    }
}

#[test]
fn a_mean_of_a_million_weights_keeps_its_digits() {
    let mut stream = Seed(5).stream(1);
    let (mut swa, mut ema) = (Swa::<f32>::new(), Ema::<f32>::new(0.999_99));
    let (mut sum, mut average) = (0.0, 1000.0);
    ema.update(&[1000.0]);
    let count = 1_000_000;
    for _ in 0..count {
        let weight = (1000.0 + stream.uniform()) as f32;
        swa.update(&[weight]);
        ema.update(&[weight]);
        sum += f64::from(weight);
        average += (1.0 - 0.999_99) * (f64::from(weight) - average);
    }
    let mean = sum / f64::from(count);
    assert!((f64::from(swa.weights()[0]) - mean).abs() < 1e-4, "{:?} instead of {mean}", swa.weights());
    assert!((f64::from(ema.weights()[0]) - average).abs() < 1e-4, "{:?} instead of {average}", ema.weights());
    // Towards another value, an average in f32 alone would stand still at 1000.3.
    (0..2_000_000).for_each(|_| ema.update(&[1000.0]));
    assert_eq!(ema.weights(), [1000.0]);
}

#[test]
fn a_schedule_with_settings_that_are_not_valid_never_panics() {
    let (counts, numbers) = ([0, 1, 7, u64::MAX], [0.0, -1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY]);
    let mut invalid = 0;
    for a in counts {
        for b in counts {
            for x in numbers {
                let schedules: Vec<Box<dyn Schedule>> = vec![
                    Box::new(ConstantFactor::new(x, a)),
                    Box::new(StepDecay::new(a).factor(x)),
                    Box::new(MultiStep::new([a, b]).factor(x)),
                    Box::new(Exponential::new(x)),
                    Box::new(Linear::new(x, -x, a)),
                    Box::new(Polynomial::new(a).power(x)),
                    Box::new(Cosine::new(a).floor(x)),
                    Box::new(Cosine::new(a).floor(x).held()),
                    Box::new(WarmRestarts::new(a).growth(b).floor(x)),
                    Box::new(OneCycle::new(a).rise(x).divisors(x, -x).momentum_between(x, x)),
                    Box::new(OneCycle::new(a).rise(x).three_phases().linear().no_momentum()),
                    Box::new(Cyclic::new(x).steps(a, b).halved()),
                    Box::new(Cyclic::new(x).steps(a, b).decaying(x)),
                    Box::new(InverseSqrt::new(a)),
                    Box::new(TransformerDecay::new(a, b)),
                    Box::new(WarmupStableDecay::new(a, b, a)),
                    Box::new(WarmupStableDecay::new(b, a, a).exponential(x)),
                    Box::new(Cosine::new(a).then(b, OneCycle::new(b)).times(StepDecay::new(a))),
                ];
                for schedule in &schedules {
                    invalid += u64::from(schedule.check().is_err());
                    for step in counts.into_iter().chain([2, u64::MAX - 1, u64::MAX / 2]) {
                        let _ = (schedule.rate(x, step), schedule.momentum(step));
                    }
                }
                let plateau = ReduceOnPlateau::new().factor(x).patience(a).cooldown(b).floor(x).relative_threshold(x);
                let mut plateau = plateau.larger_is_better();
                invalid += u64::from(plateau.check().is_err());
                for value in numbers {
                    let _ = plateau.observe(value, x);
                }
            }
        }
    }
    assert!(invalid > 100);
}

#[test]
fn an_error_does_not_repeat_its_source() {
    let source = SettingError::new("the rate", 0.0, "greater than 0");
    let error = EvaluationError::because(source.clone());
    assert_eq!(error.to_string(), "the objective could not be evaluated");
    assert_eq!(error.source().unwrap().to_string(), source.to_string());
    let error = EvaluationError::new("it is Monday");
    assert_eq!(error.to_string(), "the objective could not be evaluated: it is Monday");
    assert!(error.source().is_none());
}

#[test]
fn a_norm_overflows_only_with_its_value() {
    assert!((gradient_norm(&[f32::MAX; 9]) / (3.0 * f64::from(f32::MAX)) - 1.0).abs() < 1e-12);
    assert_eq!(gradient_norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    assert!(gradient_norm(&[f32::NAN]).is_nan());
}

#[test]
fn a_limit_below_zero_never_turns_a_gradient_round() {
    for limit in [-1.0, -f64::INFINITY, f64::NAN] {
        let mut gradient = [3.0, -4.0];
        assert_eq!(clip_norm(&mut gradient, limit), 5.0);
        assert_eq!(gradient, [0.0; 2], "{limit}");
        let mut gradient = [3.0, -4.0];
        downhill_optim::clip_value(&mut gradient, limit);
        assert_eq!(gradient, [0.0; 2], "{limit}");
    }
}
