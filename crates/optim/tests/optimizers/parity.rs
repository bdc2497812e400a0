//! The numbers of PyTorch, optax and of formulas in NumPy; see `xtask/golden/optim.py`.

use std::collections::BTreeSet;

use downhill_optim::schedule::{
    ByFactor, ConstantFactor, Cosine, Cyclic, Exponential, InverseSqrt, Linear, MultiStep, OneCycle, Polynomial,
    ReduceOnPlateau, Schedule, StepDecay, TransformerDecay, WarmRestarts, WarmupStableDecay,
};
use downhill_optim::{Ema, Muon, Optimizer, Swa};
use downhill_tensor::Scalar;

use crate::fixtures::Fixture;
use crate::table::{Step, segments, table};

const SIZE: usize = 15;

/// ‖got − wanted‖ / ‖wanted‖.
fn distance<T: Scalar>(got: &[T], wanted: &[T]) -> f64 {
    let square = |x: f64| x * x;
    let error: f64 = got.iter().zip(wanted).map(|(&a, &b)| square(a.to_f64() - b.to_f64())).sum();
    let size: f64 = wanted.iter().map(|&x| square(x.to_f64())).sum();
    (error / size).sqrt()
}

/// Steps by the recorded gradients; the largest distance at the checkpoints.
fn replay<T: Scalar>(fixture: &Fixture, optimizer: &mut dyn Step<T>, wanted: &str) -> f64 {
    optimizer.check().unwrap();
    optimizer.bind(&segments());
    let mut theta: Vec<T> = fixture.numbers("start");
    let gradients: Vec<T> = fixture.numbers("gradients");
    let wanted: Vec<T> = fixture.numbers(wanted);
    let checkpoints: Vec<f64> = fixture.numbers("checkpoints");
    let mut checkpoints = checkpoints.iter().map(|&step| step as usize).zip(wanted.chunks(SIZE)).peekable();
    let mut worst = 0.0_f64;
    for (number, gradient) in gradients.chunks(SIZE).enumerate() {
        optimizer.step_with(&mut theta, gradient);
        if let Some((_, wanted)) = checkpoints.next_if(|&(step, _)| step == number + 1) {
            worst = worst.max(distance(&theta, wanted));
        }
    }
    assert!(checkpoints.next().is_none(), "fewer gradients than checkpoints");
    worst
}

#[test]
fn recorded_gradients_lead_where_the_references_go() {
    let fixture = Fixture::open("optimizers");
    for ((name, in_f64), (_, in_f32)) in table::<f64>().into_iter().zip(table::<f32>()) {
        let worst = replay(&fixture, &mut *in_f64(), &format!("{name}.f64"));
        assert!(worst <= 1e-12, "{name} in f64 is off by {worst:e}");
        let worst = replay(&fixture, &mut *in_f32(), &format!("{name}.f32"));
        // PyTorch keeps NAdam's running product in f32.
        let tolerance = if name.starts_with("n_adam") { 5e-6 } else { 1e-6 };
        assert!(worst <= tolerance, "{name} in f32 is off by {worst:e}");
    }
}

#[test]
fn pytorchs_muon_is_as_near_as_its_bfloat16_allows() {
    let fixture = Fixture::open("optimizers");
    let (_, muon) = table::<f64>().into_iter().find(|(name, _)| *name == "muon").unwrap();
    let worst = replay(&fixture, &mut *muon(), "muon_bfloat16.f64");
    assert!(worst <= 3e-2, "Muon is off by {worst:e}");
}

#[test]
fn closed_loops_lead_where_the_references_go() {
    let fixture = Fixture::open("optimizers");
    let curvatures: Vec<f64> = fixture.numbers("curvatures");
    let noise: Vec<f64> = fixture.numbers("gradients");
    let checkpoints: Vec<f64> = fixture.numbers("loop_checkpoints");
    for (name, make) in table::<f64>() {
        let mut optimizer = make();
        optimizer.bind(&segments());
        let wanted: Vec<f64> = fixture.numbers(&format!("{name}.loop"));
        let mut theta: Vec<f64> = fixture.numbers("start");
        let mut done = 0;
        for (&checkpoint, wanted) in checkpoints.iter().zip(wanted.chunks(SIZE)) {
            while done < checkpoint as usize {
                let neighbour = |i: usize| theta[(i + SIZE - 1) % SIZE] + theta[(i + 1) % SIZE];
                let slope = |i: usize| curvatures[i] * theta[i] * (theta[i] * theta[i] - 1.0) + neighbour(i) / 4.0;
                let gradient: Vec<f64> = (0..SIZE).map(|i| slope(i) + noise[done * SIZE + i]).collect();
                optimizer.step_with(&mut theta, &gradient);
                done += 1;
            }
            let off = distance(&theta, wanted);
            assert!(off <= 1e-12, "{name} is off by {off:e} after {checkpoint} steps");
        }
    }
}

#[test]
fn every_case_of_the_references_is_tested() {
    let recorded: BTreeSet<String> = Fixture::open("optimizers")
        .names()
        .iter()
        .filter_map(|name| name.strip_suffix(".loop"))
        .map(Into::into)
        .collect();
    let mut tested: BTreeSet<String> = table::<f64>().iter().map(|(name, _)| (*name).into()).collect();
    tested.insert("muon_bfloat16".into());
    assert_eq!(recorded, tested);
}

#[test]
fn weight_averages_are_pytorchs() {
    let fixture = Fixture::open("optimizers");
    let weights: Vec<f64> = fixture.numbers("gradients");
    let checkpoints: Vec<f64> = fixture.numbers("checkpoints");
    let (mut ema, mut swa) = (Ema::new(0.9), Swa::new());
    let (wanted_ema, wanted_swa): (Vec<f64>, Vec<f64>) =
        (fixture.numbers("ema.average"), fixture.numbers("swa.average"));
    let mut kept = 0;
    for (number, weights) in weights.chunks(SIZE).take(100).enumerate() {
        ema.update(weights);
        swa.update(weights);
        if checkpoints.contains(&(number as f64 + 1.0)) {
            let range = kept * SIZE..(kept + 1) * SIZE;
            assert!(distance(ema.weights(), &wanted_ema[range.clone()]) < 1e-13);
            assert!(distance(swa.weights(), &wanted_swa[range]) < 1e-13);
            kept += 1;
        }
    }
    assert_eq!(kept * SIZE, wanted_ema.len());
}

#[test]
fn schedules_give_the_references_rates() {
    let fixture = Fixture::open("schedules");
    let cases: Vec<(&str, Box<dyn Schedule>)> = vec![
        ("constant_factor", Box::new(ConstantFactor::new(0.25, 200))),
        ("step_decay", Box::new(StepDecay::new(200).factor(0.7))),
        ("multi_step", Box::new(MultiStep::new([20, 200, 200, 4000]).factor(0.5))),
        ("exponential", Box::new(Exponential::new(0.999))),
        ("linear", Box::new(Linear::new(0.1, 0.8, 2000))),
        ("linear_warmup", Box::new(Linear::warmup(1000))),
        ("polynomial", Box::new(Polynomial::new(8000).power(1.5))),
        ("cosine", Box::new(Cosine::new(4000).floor(0.01))),
        ("cosine_held", Box::new(Cosine::new(4000).floor(0.03).held())),
        ("warm_restarts", Box::new(WarmRestarts::new(200).floor(0.01))),
        ("warm_restarts_growing", Box::new(WarmRestarts::new(200).growth(2))),
        ("one_cycle", Box::new(OneCycle::new(10_000))),
        (
            "one_cycle_linear",
            Box::new(OneCycle::new(10_000).rise(0.4).linear().divisors(10.0, 100.0).momentum_between(0.8, 0.9)),
        ),
        ("one_cycle_three_phases", Box::new(OneCycle::new(10_000).three_phases())),
        ("cyclic", Box::new(Cyclic::new(0.9))),
        ("cyclic_halved", Box::new(Cyclic::new(0.9).steps(150, 350).halved())),
        ("cyclic_decaying", Box::new(Cyclic::new(0.9).steps(1000, 1000).decaying(0.9995))),
        ("sequential", Box::new(Linear::warmup(1000).then(1000, Cosine::new(9000)))),
        ("chained", Box::new(ConstantFactor::new(0.1, 200).times(Exponential::new(0.999)))),
        ("by_factor", Box::new(ByFactor(|step| 1.0 / (1.0 + 0.01 * step as f64)))),
        ("inverse_sqrt", Box::new(InverseSqrt::new(400))),
        ("transformer", Box::new(TransformerDecay::new(512, 4000))),
        ("warmup_stable_decay", Box::new(WarmupStableDecay::new(9500, 500, 1500))),
        ("warmup_stable_decay_linear", Box::new(WarmupStableDecay::new(9500, 500, 1500).linear())),
        ("warmup_stable_decay_exponential", Box::new(WarmupStableDecay::new(9500, 500, 1500).exponential(0.1))),
    ];
    let steps: Vec<f64> = fixture.numbers("steps");
    for (name, schedule) in &cases {
        schedule.check().unwrap();
        let wanted: Vec<f64> = fixture.numbers(name);
        for (&step, &wanted) in steps.iter().zip(&wanted) {
            let got = schedule.rate(0.3, step as u64);
            assert!((got - wanted).abs() <= 3e-13, "{name} at {step}: {got:e} instead of {wanted:e}");
        }
        let momentum = format!("{name}.momentum");
        if fixture.names().contains(&momentum) {
            for (&step, &wanted) in steps.iter().zip(&fixture.numbers::<f64>(&momentum)) {
                let got = schedule.momentum(step as u64).unwrap();
                assert!((got - wanted).abs() <= 1e-12, "{name}'s momentum at {step}: {got} instead of {wanted}");
            }
        }
    }
    let tested: BTreeSet<&str> = cases.iter().map(|(name, _)| *name).collect();
    for name in fixture.names() {
        let is_case = name != "steps" && !name.starts_with("plateau") && !name.ends_with(".momentum");
        assert!(!is_case || tested.contains(name.as_str()), "{name} is not tested");
    }
}

#[test]
fn plateaus_are_pytorchs() {
    let fixture = Fixture::open("schedules");
    let losses: Vec<f64> = fixture.numbers("plateau.losses");
    let absolute = ReduceOnPlateau::new().factor(0.5).patience(3).absolute_threshold(0.05).cooldown(4).floor(1e-3);
    let rising = ReduceOnPlateau::new().larger_is_better().factor(0.7).patience(2).relative_threshold(0.02);
    for (name, mut plateau) in
        [("plateau", ReduceOnPlateau::new()), ("plateau_all", absolute), ("plateau_max", rising.smallest_change(1e-3))]
    {
        plateau.check().unwrap();
        let mut rate = 0.3;
        for (number, (&loss, &wanted)) in losses.iter().zip(&fixture.numbers::<f64>(name)).enumerate() {
            rate = plateau.observe(loss, rate);
            assert!((rate - wanted).abs() <= 1e-12 * wanted, "{name} at {number}: {rate} instead of {wanted}");
        }
        assert!(rate < 0.3, "{name} never fired");
    }
}

#[test]
fn a_muon_without_matrices_is_adamw() {
    let fixture = Fixture::open("optimizers");
    let mut muon = Muon::new(0.01).weight_decay(0.01);
    let wanted: Vec<f64> = fixture.numbers("adamw.f64");
    let mut theta: Vec<f64> = fixture.numbers("start");
    for gradient in fixture.numbers::<f64>("gradients").chunks(SIZE) {
        muon.step(&mut theta, gradient);
    }
    assert!(distance(&theta, &wanted[wanted.len() - SIZE..]) < 1e-12);
}
