//! From one run to the next: what starts anew, what goes on, and what is left where it is.

use std::ops::Range;

use downhill_optim::schedule::{Cosine, OneCycle, ReduceOnPlateau};
use downhill_optim::{
    Adagrad, Adam, AdamW, Asgd, Chain, ClipNorm, Ema, Group, Lookahead, Momentum, NAdam, Optimizer, OptimizerState,
    RangeTest, ScaleByRate, ScheduleFreeAdamW, ScheduleFreeSgd, Segment, Sgd, SophiaG, Stepper, Swa,
};
use downhill_tensor::{Scalar, Shape};

use crate::behaviour::{bits, numbers, run};
use crate::table::{Step, segments, table};

/// A matrix of this height and a vector.
fn segments_of(rows: usize) -> Vec<Segment> {
    let mut segments = segments();
    segments[0].range = 0..3 * rows;
    segments[0].shape = [rows, 3].into();
    segments[1].range = 3 * rows..3 * rows + 3;
    segments
}

/// A scheduled run from a start of its own.
fn scheduled_run<T: Scalar>(optimizer: &mut dyn Step<T>) -> (Vec<u64>, OptimizerState<T>) {
    let mut theta: Vec<T> = numbers(15, 1000);
    for step in 0..30 {
        optimizer.follow(&OneCycle::new(30), step);
        optimizer.step_with(&mut theta, &numbers(15, step));
    }
    (bits(&theta), optimizer.state())
}

fn reset_repeats<T: Scalar>() {
    for (name, make) in table::<T>() {
        let mut optimizer = make();
        optimizer.bind(&segments());
        let new = optimizer.state();
        let first = scheduled_run(&mut *optimizer);
        assert_ne!(first.1, new, "{name}");
        optimizer.reset();
        assert_eq!(optimizer.state(), new, "{name} in {} remembers something", T::NAME);
        assert_eq!(scheduled_run(&mut *optimizer), first, "{name} in {}", T::NAME);
        // One that went on from a saved state starts anew from the settings that the state holds.
        let mut resumed = make();
        resumed.set_base_learning_rate(123.0);
        resumed.bind(&segments());
        resumed.restore(&first.1).unwrap();
        resumed.reset();
        assert_eq!(scheduled_run(&mut *resumed), first, "{name} in {} after a resume", T::NAME);
    }
}

#[test]
fn a_reset_optimizer_repeats_its_first_run_bit_for_bit() {
    reset_repeats::<f32>();
    reset_repeats::<f64>();
}

#[test]
fn a_reset_average_starts_with_the_next_weights() {
    let (mut ema, mut swa) = (Ema::new(0.9), Swa::new());
    for weight in [1.0, 5.0, 7.0] {
        ema.update(&[weight]);
        swa.update(&[weight]);
    }
    ema.reset();
    swa.reset();
    assert_eq!((ema.state(), swa.state()), (Ema::<f64>::new(0.9).state(), Swa::new().state()));
    ema.update(&[2.0]);
    swa.update(&[2.0]);
    assert_eq!((ema.weights(), swa.weights()), (&[2.0][..], &[2.0][..]));
}

#[test]
fn a_schedule_starts_every_run_from_the_base() {
    let mut optimizer = Lookahead::new(Sgd::<f64>::new(0.1).momentum(0.9));
    for _ in 0..3 {
        optimizer.follow(&Cosine::new(5), 0);
        assert_eq!(optimizer.learning_rate(), 0.1);
        optimizer.follow(&Cosine::new(5), 5);
        assert_eq!((optimizer.learning_rate(), optimizer.base_learning_rate()), (0.0, 0.1));
        // A rate that has come down to 0 is no setting that is wrong.
        optimizer.check().unwrap();
    }
    // A saved state holds both, whatever the optimizer that reads it was built with.
    let mut read = Lookahead::new(Sgd::<f64>::new(7.0).momentum(0.5));
    read.restore(&optimizer.state()).unwrap();
    assert_eq!((read.learning_rate(), read.base_learning_rate()), (0.0, 0.1));
    read.reset();
    assert_eq!((read.learning_rate(), read.current_momentum()), (0.1, Some(0.9)));
    read.set_base_learning_rate(0.2);
    assert_eq!((read.learning_rate(), read.base_learning_rate()), (0.2, 0.2));
    read.set_base_learning_rate(0.0);
    assert!(read.check().is_err());
}

#[test]
fn a_reset_puts_the_momentum_of_every_link_back() {
    let make = || Stepper::from_rule(Chain((Momentum::new(0.5), Momentum::new(0.9), ScaleByRate)), 0.1);
    let go = |optimizer: &mut dyn Optimizer<f64>| {
        let mut theta = [1.0];
        (0..5).for_each(|_| optimizer.step(&mut theta, &[1.0]));
        theta
    };
    let (mut theta, mut first, mut second) = (1.0, 0.0, 0.0);
    for _ in 0..5 {
        first = 0.5 * first + 1.0;
        second = 0.9 * second + first;
        theta -= 0.1 * second;
    }
    let (mut optimizer, expected) = (make(), [theta]);
    assert_eq!(go(&mut make()), expected);
    // Neither a state nor other segments make one momentum of the two.
    optimizer.restore(&make().state()).unwrap();
    optimizer.bind(&[]);
    optimizer.bind(&segments_of(0));
    assert_eq!(go(&mut optimizer), expected);
    optimizer.set_momentum(0.3);
    optimizer.reset();
    assert_eq!(go(&mut optimizer), expected);
}

#[test]
fn a_range_test_leaves_the_optimizer_as_new() {
    let mut optimizer = NAdam::new(0.1);
    let new = optimizer.state();
    let mut theta = [1.0];
    let bowl = |theta: &[f64], gradient: &mut [f64]| {
        gradient[0] = theta[0];
        Ok(theta[0] * theta[0] / 2.0)
    };
    RangeTest::new(1e-3, 1.0, 20).run(&mut optimizer, &mut theta, bowl).unwrap();
    assert!(theta[0] < 1.0);
    assert_eq!(optimizer.state(), new);
}

#[test]
fn a_range_test_of_negative_losses_goes_on() {
    let mut theta = [1.0];
    let below = |theta: &[f64], gradient: &mut [f64]| {
        gradient[0] = theta[0];
        Ok(theta[0] * theta[0] / 2.0 - 100.0)
    };
    let test = RangeTest::new(1e-3, 1e3, 60).smoothing(0.0);
    let curve = test.run(&mut Sgd::new(1.0), &mut theta, below).unwrap();
    // The loss falls to −100 and ends the test above −100 + 3·100.
    assert!(curve.rates.len() > 30, "{curve:?}");
    let runaway = curve.losses.iter().position(|loss| *loss > 200.0);
    assert_eq!(runaway, Some(curve.losses.len() - 1), "{curve:?}");
}

#[test]
fn a_loss_that_is_no_number_is_neither_a_fall_nor_the_least() {
    for last in [f64::NAN, -f64::NAN, f64::INFINITY] {
        let (mut step, losses) = (0, [3.0, 2.0, 2.5, last]);
        let objective = |_: &[f64], _: &mut [f64]| {
            step += 1;
            Ok(losses[step - 1])
        };
        let test = RangeTest::new(1e-3, 1.0, 4).smoothing(0.0);
        let curve = test.run(&mut Sgd::new(1.0), &mut [1.0], objective).unwrap();
        assert_eq!(curve.losses.len(), 4);
        assert_eq!(curve.steepest(), Some(1e-3));
        assert_eq!(curve.tenth_of_least(), Some(test.rate(1) / 10.0));
    }
}

/// The rates that follow plateaus of a measure, and of its negative, which is to be raised.
fn plateau_rates(measures: &[f64], plateau: ReduceOnPlateau) -> (Vec<f64>, Option<f64>) {
    let mut plateau = plateau.patience(2);
    let rates = measures.iter().map(|&measure| plateau.observe(measure, 1.0)).collect();
    (rates, plateau.best())
}

#[test]
fn a_plateau_below_zero_fires_as_one_above_it() {
    for flat in [1.0, -1.0, -1e-30, -1e30, 0.0] {
        let falling = plateau_rates(&[flat; 8], ReduceOnPlateau::new());
        assert_eq!(falling.0, [1.0, 1.0, 1.0, 0.1, 1.0, 1.0, 0.1, 1.0], "{flat}");
        assert_eq!(plateau_rates(&[-flat; 8], ReduceOnPlateau::new().larger_is_better()).0, falling.0, "{flat}");
    }
    let relative = || ReduceOnPlateau::new().relative_threshold(0.1);
    // Worse by less than the threshold is no improvement, and better by less is none either.
    let worsening: Vec<f64> = (0..8).map(|i| -1.0 + 0.02 * f64::from(i)).collect();
    let improving: Vec<f64> = (0..8).map(|i| -1.0 - 0.01 * f64::from(i)).collect();
    let clearly: Vec<f64> = (0..8).map(|i| -1.2_f64.powi(i)).collect();
    for (measures, best, fires) in
        [(worsening, -1.0, true), (improving, -1.0, true), (clearly.clone(), clearly[7], false)]
    {
        let (rates, found) = plateau_rates(&measures, relative());
        assert_eq!((found, rates.contains(&0.1)), (Some(best), fires), "{measures:?}");
        let raised: Vec<f64> = measures.iter().map(|measure| -measure).collect();
        assert_eq!(plateau_rates(&raised, relative().larger_is_better()), (rates, Some(-best)));
    }
    // NaN is never better, and a first measurement always is, however large.
    let (_, best) = plateau_rates(&[f64::NAN, 1e308, f64::NAN], relative());
    assert_eq!(best, Some(1e308));
}

#[test]
fn a_reset_plateau_repeats_its_first_run() {
    let make = || ReduceOnPlateau::new().patience(1).cooldown(2);
    let mut plateau = make();
    let mut go = || [1.0, 0.1, 0.2, 0.3, 0.2, 0.2].map(|loss| plateau.observe(loss, 1.0));
    let first = go();
    assert_ne!(go(), first);
    plateau.reset();
    assert_eq!(plateau, make());
}

fn bound_before_each_step<T: Scalar>() {
    for (name, make) in table::<T>() {
        let (mut once, mut each_time) = (make(), make());
        once.bind(&segments());
        let (mut theta, mut other): (Vec<T>, Vec<T>) = (numbers(15, 1000), numbers(15, 1000));
        run(&mut *once, &mut theta, 0..20);
        for step in 0..20 {
            // Equal segments, not the same ones.
            each_time.bind(&segments());
            run(&mut *each_time, &mut other, step..step + 1);
        }
        assert_eq!(bits(&other), bits(&theta), "{name} in {}", T::NAME);
        assert_eq!(each_time.state(), once.state(), "{name}");
    }
}

#[test]
fn binding_before_each_step_changes_nothing() {
    bound_before_each_step::<f32>();
    bound_before_each_step::<f64>();
}

#[test]
fn what_was_restored_before_binding_is_kept() {
    for (name, make) in table::<f64>() {
        if ["adafactor", "muon"].iter().any(|rule| name.starts_with(rule)) {
            // Their memory depends on the segments, so they are bound first.
            continue;
        }
        let mut unbroken = make();
        unbroken.bind(&segments());
        let mut theta: Vec<f64> = numbers(15, 1000);
        run(&mut *unbroken, &mut theta, 0..7);
        let mut resumed = make();
        resumed.restore(&unbroken.state()).unwrap();
        resumed.bind(&segments());
        assert_eq!(resumed.state(), unbroken.state(), "{name}");
    }
}

fn other_sizes<T: Scalar>() {
    for (name, make) in table::<T>() {
        let mut used = make();
        // Up, down, to none and back; the last has the size of the one before, and another name.
        let mut renamed = segments_of(4);
        renamed[0].name = "other".into();
        for segments in [segments_of(4), segments_of(9), segments_of(2), Vec::new(), segments_of(4), renamed] {
            let len = segments.last().map_or(0, |segment| segment.range.end);
            let mut new = make();
            used.bind(&segments);
            new.bind(&segments);
            let (mut theta, mut other): (Vec<T>, Vec<T>) = (numbers(len, 1), numbers(len, 1));
            run(&mut *used, &mut theta, 0..13);
            run(&mut *new, &mut other, 0..13);
            assert_eq!(bits(&theta), bits(&other), "{name} in {} at {len}", T::NAME);
            assert_eq!(used.state(), new.state(), "{name} at {len}");
        }
    }
}

#[test]
fn an_optimizer_that_is_bound_to_other_segments_starts_anew() {
    other_sizes::<f32>();
    other_sizes::<f64>();
}

#[test]
fn an_optimizer_that_meets_another_length_starts_anew() {
    for (name, make) in table::<f64>() {
        if name == "sgd_scheduled" {
            // It sets the rate of each step by the number of those before.
            continue;
        }
        let mut used = make();
        for len in [5, 17, 1, 0, 5] {
            let mut new = make();
            let (mut theta, mut other): (Vec<f64>, Vec<f64>) = (numbers(len, 1), numbers(len, 1));
            run(&mut *used, &mut theta, 0..13);
            run(&mut *new, &mut other, 0..13);
            assert_eq!(bits(&theta), bits(&other), "{name} at {len}");
        }
        // A vector that no step has seen has no other point.
        let mut point = [0.0; 3];
        assert!(!used.evaluation_point(&[1.0; 3], &mut point) && point == [0.0; 3], "{name}");
    }
    let mut sophia = SophiaG::new(0.1);
    sophia.step(&mut [1.0], &[1.0]);
    sophia.update_hessian(&[1.0, 2.0]);
    sophia.step(&mut [1.0, 1.0], &[1.0, 1.0]);
    assert_eq!(sophia.steps(), 1);
}

/// What has been given to an optimizer before its first step.
fn sophia_with_a_hessian<T: Scalar>() -> SophiaG<T> {
    let mut sophia = SophiaG::new(0.1).betas(0.5, 0.75).rho(1.0).weight_decay(0.0);
    // h = 0.25 ĝ² = (1, 4, 0).
    sophia.update_hessian(&[2.0, -4.0, 0.0].map(T::from_f64));
    sophia
}

#[test]
fn a_hessian_from_before_the_first_step_scales_that_step() {
    let stepped = |mut sophia: SophiaG<f64>| {
        let mut theta = [0.0; 3];
        sophia.step(&mut theta, &[1.0, 1.0, 1.0]);
        theta
    };
    // m = 0.5: the steps are 0.1 m/h, or at most 0.1.
    let wanted = [-0.05, -0.0125, -0.1];
    let bound = || {
        let mut sophia = sophia_with_a_hessian();
        sophia.bind(&[Segment::new("weight", 0..3, [3])]);
        sophia
    };
    let restored = || {
        let mut sophia = SophiaG::new(0.1).betas(0.5, 0.75).rho(1.0).weight_decay(0.0);
        sophia.restore(&sophia_with_a_hessian().state()).unwrap();
        sophia
    };
    for theta in [sophia_with_a_hessian(), bound(), restored()].map(stepped) {
        for (theta, wanted) in theta.iter().zip(wanted) {
            assert!((theta - wanted).abs() < 1e-12, "{theta} instead of {wanted}");
        }
    }
    // A new run begins without it.
    let mut sophia = sophia_with_a_hessian();
    sophia.reset();
    assert_eq!(stepped(sophia), [-0.1; 3]);
}

fn saved_before_the_first_step<T: Scalar>() {
    for (name, make) in table::<T>() {
        let mut new = make();
        new.bind(&segments());
        if name != "sgd_scheduled" {
            new.set_learning_rate(0.7 * new.base_learning_rate());
        }
        if new.current_momentum().is_some() {
            new.set_momentum(0.6);
        }
        let mut theta: Vec<T> = numbers(15, 1000);
        let mut restored = make();
        restored.bind(&segments());
        restored.restore(&new.state()).unwrap();
        let mut other = theta.clone();
        run(&mut *new, &mut theta, 0..12);
        run(&mut *restored, &mut other, 0..12);
        assert_eq!(bits(&theta), bits(&other), "{name} in {}", T::NAME);
        assert_eq!(new.state(), restored.state(), "{name} in {}", T::NAME);
    }
}

#[test]
fn what_is_set_before_the_first_step_is_saved() {
    saved_before_the_first_step::<f32>();
    saved_before_the_first_step::<f64>();
}

#[test]
fn memory_begins_as_the_link_says_if_the_first_steps_are_left_out() {
    let make = || Adagrad::<f64>::new(0.1).initial_sum(3.0).after(ClipNorm::new(1.0));
    let (mut plain, mut skipping, mut restored) = (make(), make(), make());
    skipping.step(&mut [1.0, 2.0], &[f64::INFINITY, 0.0]);
    assert_eq!((skipping.steps(), skipping.skipped()), (0, 1));
    restored.restore(&skipping.state()).unwrap();
    let thetas = [&mut plain, &mut skipping, &mut restored].map(|optimizer| {
        let mut theta = [1.0, 2.0];
        optimizer.step(&mut theta, &[0.1, -0.2]);
        theta
    });
    assert_eq!(thetas, [thetas[0]; 3]);
    assert_eq!(restored.skipped(), 1);
}

#[test]
fn averages_of_other_weights_start_anew() {
    let (mut ema, mut swa) = (Ema::new(0.9), Swa::new());
    for weights in [&[1.0, 2.0][..], &[3.0], &[4.0, 5.0, 6.0]] {
        ema.update(weights);
        swa.update(weights);
        assert_eq!((ema.weights(), swa.weights()), (weights, weights));
    }
}

#[test]
#[should_panic(expected = "the gradient must be as long as θ")]
fn a_gradient_of_another_length_is_a_mistake_of_the_caller() {
    Adam::new(0.1).step(&mut [1.0, 2.0], &[1.0]);
}

/// Frozen by the segment, frozen by a group, and the rest.
fn with_frozen() -> ([Segment; 3], Range<usize>, Group) {
    let segment = |name: &str, range: Range<usize>, frozen: bool| {
        let shape = [range.len() / 2, 2];
        Segment::new(name, range, shape).frozen(frozen)
    };
    let segments = [segment("body", 0..4, true), segment("neck", 4..8, false), segment("head", 8..14, false)];
    (segments, 0..8, Group::frozen(|segment| segment.name == "neck"))
}

#[test]
fn frozen_parameters_do_not_move_under_decay_or_where_they_are_evaluated() {
    let (segments, frozen, group) = with_frozen();
    let optimizers: Vec<(Box<dyn Optimizer<f64>>, &str)> = vec![
        (Box::new(AdamW::new(0.1).weight_decay(0.5).group(group.clone())), "adamw"),
        (Box::new(Sgd::new(0.1).weight_decay(0.5).group(group.clone()).after(ClipNorm::new(1.0))), "clipped sgd"),
        (Box::new(Lookahead::new(Sgd::new(0.1).weight_decay(0.5).group(group.clone()))), "lookahead"),
        (Box::new(ScheduleFreeSgd::new(0.1).weight_decay(0.5).group(group.clone())), "schedule-free sgd"),
        (Box::new(ScheduleFreeAdamW::new(0.1).weight_decay(0.5).group(group)), "schedule-free adamw"),
    ];
    for (mut optimizer, name) in optimizers {
        let start: Vec<f64> = numbers(16, 3);
        let mut theta = start.clone();
        for step in 0..12 {
            // Longer than the segments: what is beyond them is stepped, and the frozen ones stay frozen.
            optimizer.bind(&segments);
            optimizer.step(&mut theta, &numbers(16, step));
        }
        let moved = |theta: &[f64]| theta.iter().zip(&start).map(|(a, b)| a != b).collect::<Vec<_>>();
        let expected: Vec<bool> = (0..16).map(|index| !frozen.contains(&index)).collect();
        assert_eq!(moved(&theta), expected, "{name}");
        let mut point = vec![f64::NAN; 16];
        if optimizer.evaluation_point(&theta, &mut point) {
            assert_eq!(moved(&point), expected, "{name}");
        }
    }
}

#[test]
fn a_group_that_comes_after_the_segments_holds_too() {
    let (segments, _, group) = with_frozen();
    let mut optimizer = Sgd::new(0.1).weight_decay(0.5);
    optimizer.bind(&segments);
    let mut optimizer = optimizer.group(group);
    optimizer.bind(&segments);
    let mut theta = [1.0_f32; 14];
    optimizer.step(&mut theta, &[1.0; 14]);
    assert_eq!(theta[..8], [1.0; 8]);
    assert!(theta[8..].iter().all(|x| *x < 1.0));
}

#[test]
fn segments_of_any_kind_are_bound_without_a_panic() {
    // Made from an array, also a shape that is too large exists.
    let segment = |name: &str, range: Range<usize>, axes: &[usize]| {
        let shape = match *axes {
            [columns] => Shape::from([columns]),
            [rows, columns] => [rows, columns].into(),
            _ => unreachable!(),
        };
        Segment::new(name, range, shape)
    };
    let reversed = Range { start: 5, end: 2 };
    let cases = [
        vec![segment("all of memory", 0..usize::MAX, &[usize::MAX])],
        vec![segment("a wide matrix", 0..usize::MAX, &[1, usize::MAX]), segment("far", usize::MAX..usize::MAX, &[0])],
        vec![segment("overlapping", 0..3, &[3, 1]), segment("both", 1..4, &[3, 1]), segment("whole", 0..4, &[2, 2])],
        vec![segment("reversed", reversed, &[3]), segment("another shape", 0..4, &[7, 9])],
    ];
    for (name, make) in table::<f64>() {
        for segments in &cases {
            let mut optimizer = make();
            optimizer.bind(segments);
            assert!(optimizer.state().slots.iter().all(|(_, slot)| slot.is_empty()), "{name}");
            let mut theta: Vec<f64> = numbers(15, 1);
            run(&mut *optimizer, &mut theta, 0..3);
            assert!(theta.iter().all(|x| x.is_finite()), "{name}");
        }
    }
}

#[test]
fn a_step_that_is_left_out_changes_nothing_but_the_count() {
    let mut optimizer = NAdam::new(0.1).weight_decay(0.1).after(ClipNorm::new(1.0));
    let mut theta = [1.0, 2.0];
    optimizer.step(&mut theta, &[0.1, 0.2]);
    let (before, state) = (theta, optimizer.state());
    for wrong in [f64::NAN, f64::INFINITY] {
        optimizer.step(&mut theta, &[wrong, 0.1]);
    }
    let mut after = optimizer.state();
    assert_eq!((optimizer.steps(), optimizer.skipped()), (1, 2));
    after.counters.iter_mut().filter(|(name, _)| name == "skipped").for_each(|(_, count)| *count = 0);
    assert_eq!((theta, after), (before, state));
}

#[test]
fn an_average_of_no_steps_is_empty() {
    let mut optimizer = Asgd::<f32>::new(0.1);
    optimizer.bind(&segments());
    assert!(optimizer.average().is_empty());
    optimizer.step(&mut [1.0; 15], &[1.0; 15]);
    assert_eq!(optimizer.average().len(), 15);
    optimizer.reset();
    assert!(optimizer.average().is_empty());
}
