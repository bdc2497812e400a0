//! Saved states that are damaged, or are others': errors, and the optimizer as it was.

use downhill_optim::schedule::ReduceOnPlateau;
use downhill_optim::{
    Adam, AddDecay, Chain, ClipNorm, ClipValue, CoupledDecay, Ema, Lookahead, Momentum, Optimizer, OptimizerState,
    RangeCurve, RestoreError, Sgd, Stepper, Swa,
};
use downhill_tensor::Scalar;

use crate::behaviour::{numbers, run};
use crate::table::{segments, table};

/// Every state that differs from `state` in one place.
fn damaged<T: Scalar>(state: &OptimizerState<T>) -> Vec<(String, OptimizerState<T>)> {
    let mut all = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut OptimizerState<T>)| {
        let mut changed = state.clone();
        change(&mut changed);
        all.push((what, changed));
    };
    add("another name".into(), &|state| state.name.push('x'));
    for (index, (name, slot)) in state.slots.iter().enumerate() {
        add(format!("{name} with one more"), &|state| state.slots[index].1.push(T::ONE));
        if !slot.is_empty() {
            add(format!("{name} with one less"), &|state| state.slots[index].1.truncate(slot.len() - 1));
        }
        add(format!("no {name}"), &|state| drop(state.slots.remove(index)));
        add(format!("{name} twice"), &|state| state.slots.push(state.slots[index].clone()));
    }
    for (index, (name, _)) in state.scalars.iter().enumerate() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            add(format!("{name} = {wrong}"), &|state| state.scalars[index].1 = wrong);
        }
        add(format!("no {name}"), &|state| drop(state.scalars.remove(index)));
    }
    for name in ["learning_rate", "base_learning_rate", "momentum", "base_momentum"] {
        if let Some(index) = state.scalars.iter().position(|(scalar, _)| scalar == name) {
            add(format!("{name} = -1"), &|state| state.scalars[index].1 = -1.0);
        }
    }
    for (index, (name, _)) in state.counters.iter().enumerate() {
        add(format!("{name} = u64::MAX"), &|state| state.counters[index].1 = u64::MAX);
        add(format!("no {name}"), &|state| drop(state.counters.remove(index)));
    }
    if !state.slots.is_empty() {
        for len in [1, 14, 16, 1 << 53] {
            if let Some(index) = state.counters.iter().position(|(name, _)| name == "parameters") {
                add(format!("for {len} parameters"), &|state| state.counters[index].1 = len);
            }
        }
    }
    all
}

fn damage_is_an_error<T: Scalar>() {
    for (name, make) in table::<T>() {
        for is_bound in [true, false] {
            let mut optimizer = make();
            if is_bound {
                optimizer.bind(&segments());
            }
            run(&mut *optimizer, &mut numbers::<T>(15, 1), 0..7);
            let state = optimizer.state();
            for (what, damaged) in damaged(&state) {
                let error = optimizer.restore(&damaged).expect_err(&format!("{name} takes {what}"));
                assert!(error.to_string().starts_with("the saved "), "{error}");
                assert_eq!(optimizer.state(), state, "{name} was changed by {what}");
                let mut new = make();
                assert!(new.restore(&damaged).is_err(), "a new {name} takes {what}");
            }
            optimizer.restore(&state).unwrap();
        }
    }
}

#[test]
fn a_damaged_state_is_an_error_and_changes_nothing() {
    damage_is_an_error::<f32>();
    damage_is_an_error::<f64>();
}

#[test]
fn a_state_of_another_size_is_an_error() {
    for (name, make) in table::<f64>() {
        let (mut small, mut large) = (make(), make());
        run(&mut *small, &mut numbers(3, 1), 0..7);
        run(&mut *large, &mut numbers(4, 1), 0..7);
        let state = small.state();
        assert!(small.restore(&large.state()).is_err(), "{name}");
        assert!(large.restore(&state).is_err(), "{name}");
        assert_eq!(small.state(), state, "{name}");
        // One that has not stepped yet has no size.
        let mut new = make();
        new.restore(&state).unwrap();
        assert_eq!(new.state(), state, "{name}");
        // What was saved before the first step starts anew.
        small.restore(&make().state()).unwrap();
        assert_eq!(small.state(), make().state(), "{name}");
    }
}

#[test]
fn a_state_of_no_steps_is_refused_by_other_optimizers_too() {
    let names: Vec<String> = table::<f32>().iter().map(|(_, make)| make().state().name).collect();
    for (own, (name, make)) in names.iter().zip(table::<f32>()) {
        for (saved, (other, make_other)) in names.iter().zip(table::<f32>()) {
            let restored = make().restore(&make_other().state());
            if own != saved {
                let error = RestoreError::OtherOptimizer { saved: saved.clone(), own: own.clone() };
                assert_eq!(restored, Err(error), "{name} from {other}");
            }
        }
    }
    let error = Adam::<f64>::new(0.1).restore(&Sgd::new(0.1).state()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the saved state is that of the optimizer `Sgd`, but this one is `Adam`; build the one that was saved, or start \
         anew without the state"
    );
    let error = Adam::<f64>::new(0.1).restore(&OptimizerState::default()).unwrap_err();
    assert_eq!(error.to_string(), "the saved state does not name its optimizer, which must be `Adam`");
    assert!(Ema::<f64>::new(0.9).restore(&Adam::new(0.1).state()).is_err());
}

#[test]
fn a_state_names_what_is_around_an_optimizer() {
    let inside = Lookahead::new(Sgd::<f64>::new(0.1));
    assert_eq!(inside.state().name, "Lookahead around Sgd");
    let other = |saved: &str, own: &str| Err(RestoreError::OtherOptimizer { saved: saved.into(), own: own.into() });
    let mut around_adam = Lookahead::new(Adam::new(0.1));
    assert_eq!(around_adam.restore(&inside.state()), other("Lookahead around Sgd", "Lookahead around Adam"));
    assert_eq!(around_adam.restore(&Adam::new(0.1).state()), other("Adam", "Lookahead around Adam"));
    assert_eq!(Sgd::new(0.1).restore(&inside.state()), other("Lookahead around Sgd", "Sgd"));
    let twice = Lookahead::new(Lookahead::new(Sgd::new(0.1)));
    assert_eq!(
        around_adam.restore(&twice.state()),
        other("Lookahead around Lookahead around Sgd", "Lookahead around Adam")
    );
    let boxed: Box<dyn Optimizer<f64>> = Box::new(Sgd::new(0.1));
    Lookahead::new(boxed).restore(&inside.state()).unwrap();
}

#[test]
fn a_run_may_go_on_with_a_clip_or_in_groups() {
    let mut theta = [1.0, 2.0];
    let mut plain = Adam::<f64>::new(0.1);
    plain.step(&mut theta, &[1.0, 1.0]);
    let mut clipped = Adam::new(0.1).after(ClipNorm::new(1.0));
    clipped.restore(&plain.state()).unwrap();
    Adam::new(0.1).no_decay_on_biases().restore(&clipped.state()).unwrap();
    Adam::new(0.1).after(ClipValue::new(1.0)).restore(&clipped.state()).unwrap();
}

#[test]
fn every_named_optimizer_has_its_name() {
    let names: Vec<String> = table::<f32>().iter().map(|(_, make)| make().state().name).collect();
    for name in &names {
        assert!(!name.contains(','), "{name} is the composition, not the name");
    }
    let own =
        Stepper::<_, f64>::from_rule(Chain((CoupledDecay::new(0.0), Momentum::new(0.9), AddDecay::new(0.1))), 0.1);
    assert_eq!(own.state().name, "CoupledDecay, Momentum, AddDecay");
    for name in ["AdamW", "AmsGrad", "RAdamW", "Lamb", "Lars", "Adafactor", "RmsPropMomentum", "Rprop", "Lion"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
}

#[test]
fn the_errors_say_what_is_wrong() {
    let mut optimizer = Sgd::<f64>::new(0.1);
    let mut change = |index: usize, value: f64| {
        let mut state = optimizer.state();
        state.scalars[index].1 = value;
        optimizer.restore(&state).unwrap_err().to_string()
    };
    let tail = "; the state is damaged, or that of a run that had diverged";
    assert_eq!(change(0, f64::NAN), format!("the saved `learning_rate` is NaN, but it must be finite{tail}"));
    let error = change(1, 0.0);
    assert_eq!(error, format!("the saved `base_learning_rate` is 0, but it must be finite and greater than 0{tail}"));
    let error = change(2, 1.5);
    assert_eq!(error, format!("the saved `momentum` is 1.5, but it must be at least 0 and less than 1{tail}"));
    let mut state = optimizer.state();
    state.counters[0].1 = u64::MAX;
    let error = optimizer.restore(&state).unwrap_err().to_string();
    assert_eq!(error, format!("the saved `step` is 18446744073709552000, but it must be at most 2^53{tail}"));
}

#[test]
fn settings_that_are_wrong_are_not_blamed_on_the_state() {
    let mut optimizer = Sgd::<f64>::new(0.1).momentum(2.0);
    optimizer.restore(&Sgd::new(0.1).momentum(0.9).state()).unwrap();
    assert_eq!(optimizer.current_momentum(), Some(0.9));
}

#[test]
fn damaged_averages_are_refused() {
    let mut ema = Ema::new(0.9);
    let mut swa = Swa::new();
    for weight in [1.0_f32, 2.0] {
        ema.update(&[weight, 1.0]);
        swa.update(&[weight, 1.0]);
    }
    let state = swa.state();
    for (what, damaged) in damaged(&state) {
        assert!(ema.restore(&damaged).is_err() && swa.restore(&damaged).is_err(), "{what}");
    }
    assert_eq!(swa.state(), state);
    ema.restore(&state).unwrap();
    assert_eq!(ema.state(), state);
}

#[test]
fn one_lookahead_around_another_resumes_exactly() {
    let make = || Lookahead::new(Lookahead::new(Sgd::<f64>::new(0.1)).every(2)).every(3);
    let mut unbroken = make();
    let mut theta = [1.0, -2.0];
    let go = |optimizer: &mut dyn Optimizer<f64>, theta: &mut [f64; 2], steps: u64| {
        for _ in 0..steps {
            let gradient = *theta;
            optimizer.step(theta, &gradient);
        }
    };
    go(&mut unbroken, &mut theta, 5);
    let (mut resumed, mut other) = (make(), theta);
    resumed.restore(&unbroken.state()).unwrap();
    go(&mut unbroken, &mut theta, 5);
    go(&mut resumed, &mut other, 5);
    assert_eq!((theta, unbroken.state()), (other, resumed.state()));
    let mut short = make().state();
    short.counters.iter_mut().for_each(|(_, count)| *count = 3);
    let length = RestoreError::Length { name: "lookahead.slow".into(), expected: 3, got: 0 };
    assert_eq!(make().restore(&short), Err(length));
}

#[test]
fn losses_that_ran_away_read_back_from_json() {
    let losses = vec![1.0, f64::INFINITY, f64::NAN];
    let mut curve = RangeCurve::default();
    (curve.rates, curve.losses, curve.smoothed) = (vec![1e-3, 1e-2, 0.5], losses.clone(), losses);
    let json = serde_json::to_string(&curve).unwrap();
    assert!(json.contains(r#""losses":[1.0,"inf","NaN"]"#), "{json}");
    let again: RangeCurve = serde_json::from_str(&json).unwrap();
    assert_eq!(format!("{again:?}"), format!("{curve:?}"));

    let mut plateau = ReduceOnPlateau::new();
    for loss in [f64::INFINITY, 1e300, f64::NEG_INFINITY] {
        plateau.observe(loss, 0.1);
        let json = serde_json::to_string(&plateau).unwrap();
        assert_eq!(serde_json::from_str::<ReduceOnPlateau>(&json).unwrap(), plateau, "{json}");
    }
}
