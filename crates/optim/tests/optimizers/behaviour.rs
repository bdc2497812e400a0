//! The duties of every optimizer, whatever its rule: resume exactly, ignore threads, respect groups, refuse other states.

use downhill_optim::settings::{Settings, decay_rate};
use downhill_optim::{AdamW, Chain, ClipNorm, CoupledDecay, Group, Link, Momentum, Optimizer, OptimizerState};
use downhill_optim::{RestoreError, ScaleByRate, Segment, Sgd, StepContext, Stepper};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Scalar, Seed, Shape};

use crate::table::{Step, segments, table};

pub(crate) fn numbers<T: Scalar>(len: usize, key: u64) -> Vec<T> {
    let mut stream = Seed(23).stream(key);
    (0..len).map(|_| T::from_f64(stream.uniform() * 2.0 - 0.9)).collect()
}

pub(crate) fn bits<T: Scalar>(theta: &[T]) -> Vec<u64> {
    theta.iter().map(|x| x.to_f64().to_bits()).collect()
}

pub(crate) fn run<T: Scalar>(optimizer: &mut dyn Step<T>, theta: &mut [T], steps: std::ops::Range<u64>) {
    for step in steps {
        optimizer.step_with(theta, &numbers(theta.len(), step));
    }
}

fn resumes_exactly<T: Scalar>() {
    for (name, make) in table::<T>() {
        let mut theta: Vec<T> = numbers(15, 1000);
        let mut unbroken = make();
        unbroken.bind(&segments());
        run(&mut *unbroken, &mut theta, 0..25);
        let state = unbroken.state();
        let mut resumed_theta = theta.clone();
        run(&mut *unbroken, &mut theta, 25..50);

        let json = serde_json::to_string(&state).unwrap();
        let read: OptimizerState<T> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, state, "{name}");
        let mut resumed = make();
        resumed.bind(&segments());
        resumed.restore(&read).unwrap();
        run(&mut *resumed, &mut resumed_theta, 25..50);
        assert_eq!(bits(&resumed_theta), bits(&theta), "{name} in {} resumes elsewhere", T::NAME);
        assert_eq!(resumed.state(), unbroken.state(), "{name}");
    }
}

#[test]
fn a_resumed_run_equals_an_unbroken_one_bit_for_bit() {
    resumes_exactly::<f32>();
    resumes_exactly::<f64>();
}

/// Half of the gradient dies after a few steps: what is remembered of it decays to 0 and not to subnormal numbers,
/// which would slow down every step from then on.
#[test]
fn no_memory_is_subnormal() {
    for (name, make) in table::<f32>() {
        let mut optimizer = make();
        optimizer.bind(&segments());
        let mut theta: Vec<f32> = numbers(15, 1000);
        run(&mut *optimizer, &mut theta, 0..4);
        for step in 0..3000 {
            let mut gradient: Vec<f32> = numbers(15, step);
            gradient.iter_mut().step_by(2).for_each(|g| *g = 0.0);
            optimizer.step_with(&mut theta, &gradient);
        }
        for (slot, numbers) in optimizer.state().slots {
            assert!(!numbers.iter().any(|x| x.is_subnormal()), "{slot} of {name}: {numbers:?}");
        }
    }
}

#[test]
fn states_of_other_optimizers_are_refused() {
    let table = table::<f64>();
    let states: Vec<_> = table
        .iter()
        .map(|(name, make)| {
            let mut optimizer = make();
            optimizer.bind(&segments());
            run(&mut *optimizer, &mut numbers(15, 1), 0..2);
            (name, optimizer.state())
        })
        .collect();
    for (name, make) in &table {
        for (other, state) in &states {
            let mut optimizer = make();
            optimizer.bind(&segments());
            let own = optimizer.state().name;
            // Nesterov's form does not take a momentum of 0.
            let lacks_momentum = name.ends_with("nesterov") && state.scalars.contains(&("momentum".into(), 0.0));
            let fits = own == state.name && !lacks_momentum;
            assert_eq!(optimizer.restore(state).is_ok(), fits, "{name} from {other}");
        }
    }
}

#[test]
fn damaged_states_are_refused_and_leave_the_optimizer_as_it_was() {
    let mut optimizer = AdamW::<f64>::new(0.1);
    let mut theta = [1.0, 2.0];
    optimizer.step(&mut theta, &[1.0, 1.0]);
    let state = optimizer.state();

    let mut missing = state.clone();
    missing.slots.remove(0);
    assert_eq!(optimizer.restore(&missing), Err(RestoreError::Missing { name: "adam.m".into() }));
    let mut short = state.clone();
    short.slots[1].1.pop();
    let length = RestoreError::Length { name: "adam.v".into(), expected: 2, got: 1 };
    assert_eq!(optimizer.restore(&short), Err(length));
    let mut more = state.clone();
    more.scalars.push(("warmth".into(), 1.0));
    assert_eq!(optimizer.restore(&more), Err(RestoreError::Unknown { name: "warmth".into() }));
    assert_eq!(optimizer.state(), state);
}

#[test]
fn numbers_that_are_not_finite_survive_json() {
    let mut state = OptimizerState::default();
    state.name = "d".into();
    state.slots.push(("a".into(), vec![f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE / 8.0, 0.1]));
    state.scalars.push(("b".into(), f64::NEG_INFINITY));
    state.counters.push(("c".into(), u64::MAX));
    let read: OptimizerState<f32> = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(bits(&read.slots[0].1[1..]), bits(&state.slots[0].1[1..]));
    assert!(read.slots[0].1[0].is_nan());
    assert_eq!((read.scalars, read.counters), (state.scalars, state.counters));
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let len = 3 * 65_536 + 17;
    let segments = [
        Segment::new("a", 0..512 * 300, [512, 300]).transposed(true),
        Segment::new("b", 512 * 300..len, [len - 512 * 300]),
    ];
    for (name, make) in table::<f32>() {
        if name.contains("muon") {
            // Products of matrices are tested where they are made.
            continue;
        }
        let go = |threads: &Threads| {
            let mut optimizer = make();
            optimizer.bind(&segments);
            let mut theta: Vec<f32> = numbers(len, 5);
            threads.run(|| run(&mut *optimizer, &mut theta, 0..3));
            bits(&theta)
        };
        assert_eq!(go(&Threads::one()), go(&Threads::new(3).unwrap()), "{name}");
    }
}

#[test]
fn groups_have_their_own_rate_and_decay_and_frozen_ones_do_not_move() {
    let segment = |name: &str, range: std::ops::Range<usize>, rank: usize| {
        let shape = if rank == 2 { Shape::from([1, range.len()]) } else { [range.len()].into() };
        Segment::new(name, range, shape)
    };
    let segments = [
        segment("0.weight", 0..4, 2),
        segment("0.bias", 4..6, 1),
        segment("1.weight", 6..9, 2),
        segment("2.w", 10..12, 2),
    ];
    let theta: Vec<f64> = numbers(12, 3);
    let gradient: Vec<f64> = numbers(12, 4);

    let mut grouped = AdamW::new(0.1)
        .weight_decay(0.5)
        .group(Group::frozen(|segment| segment.name == "1.weight"))
        .group(Group::new(|segment| segment.name == "2.w").rate_factor(0.1).weight_decay(0.25))
        .no_decay_on_biases();
    grouped.bind(&segments);
    let mut moved = theta.clone();
    grouped.step(&mut moved, &gradient);

    let alone = |rate: f64, decay: f64, range: std::ops::Range<usize>| {
        let mut theta = theta[range.clone()].to_vec();
        AdamW::new(rate).weight_decay(decay).step(&mut theta, &gradient[range]);
        theta
    };
    assert_eq!(moved[0..4], alone(0.1, 0.5, 0..4));
    assert_eq!(moved[4..6], alone(0.1, 0.0, 4..6));
    assert_eq!(moved[6..9], theta[6..9]);
    // What no segment names is stepped like the rest.
    assert_eq!(moved[9..10], alone(0.1, 0.5, 9..10));
    assert_eq!(moved[10..12], alone(0.1 * 0.1, 0.25, 10..12));
}

#[test]
fn dividing_theta_changes_no_element_wise_step() {
    for (name, make) in table::<f64>() {
        if ["lamb", "lars", "adafactor", "muon"].iter().any(|rule| name.starts_with(rule)) {
            continue;
        }
        let mut theta: Vec<f64> = numbers(15, 8);
        let mut divided = theta.clone();
        let (mut whole, mut bound) = (make(), make());
        bound.bind(&segments());
        run(&mut *whole, &mut theta, 0..10);
        run(&mut *bound, &mut divided, 0..10);
        assert_eq!(bits(&theta), bits(&divided), "{name}");
    }
}

#[test]
fn a_chain_with_the_same_link_twice_keeps_both_memories() {
    let links = (CoupledDecay::new(0.1), Momentum::new(0.5), Momentum::new(0.9));
    let mut optimizer = Stepper::from_rule(Chain(links), 1.0);
    optimizer.step(&mut [1.0_f64], &[1.0]);
    let state = optimizer.state();
    let names: Vec<_> = state.slots.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["momentum.velocity", "momentum.velocity.2"]);
    optimizer.restore(&state).unwrap();
}

#[test]
fn a_clipped_step_is_that_of_the_clipped_gradient() {
    let gradient: Vec<f64> = numbers(15, 9);
    let mut clipped = gradient.clone();
    let norm = downhill_optim::clip_norm(&mut clipped, 0.5);
    assert!(norm > 0.5);
    let (mut a, mut b): (Vec<f64>, Vec<f64>) = (numbers(15, 10), numbers(15, 10));
    Sgd::new(0.1).momentum(0.9).after(ClipNorm::new(0.5)).step(&mut a, &gradient);
    Sgd::new(0.1).momentum(0.9).step(&mut b, &clipped);
    assert_eq!(bits(&a), bits(&b));
}

#[test]
fn momentum_can_be_set_where_there_is_one() {
    for (name, make) in table::<f64>() {
        let mut optimizer = make();
        let had = optimizer.current_momentum();
        optimizer.set_momentum(0.37);
        assert_eq!(optimizer.current_momentum(), had.map(|_| 0.37), "{name}");
    }
}

#[test]
fn one_element_and_none_are_stepped_too() {
    for (name, make) in table::<f32>() {
        let mut optimizer = make();
        let mut theta = [0.5_f32];
        for _ in 0..20 {
            optimizer.step(&mut theta, &[0.25]);
        }
        assert!(theta[0].is_finite() && theta[0] < 0.5, "{name}: {theta:?}");
        make().step(&mut [], &[]);
    }
}

#[derive(Clone, Debug)]
struct Leaky {
    momentum: f64,
    passed: f64,
}

impl Link<f64> for Leaky {
    type Slots = [f64; 1];
    type Scalars = f64;

    fn names(&self) -> Vec<&'static str> {
        vec!["leaky.mean"]
    }

    fn advance(&mut self, _step: &StepContext) {
        self.passed += 0.5;
    }

    fn scalars(&self, _step: &StepContext) -> f64 {
        self.momentum
    }

    fn apply(momentum: &f64, theta: f64, direction: f64, [mean]: &mut [f64; 1]) -> f64 {
        *mean = momentum * *mean + theta;
        direction
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("the leak", &mut self.momentum, decay_rate);
        settings.memory("leaky.passed", &mut self.passed);
        settings.evaluation("leaky.mean", 0.25);
    }
}

#[test]
fn one_visit_of_a_custom_link_serves_checks_schedules_evaluation_and_saved_states() {
    let make = |momentum| Stepper::from_rule(Chain((Leaky { momentum, passed: 0.0 }, ScaleByRate)), 0.5);
    let error = make(1.5).check().unwrap_err();
    assert_eq!(error.to_string(), "the leak is 1.5, but it must be at least 0 and less than 1");
    let mut optimizer = make(0.9);
    optimizer.set_momentum(0.0);
    let (mut theta, mut point) = ([8.0], [0.0]);
    optimizer.step(&mut theta, &[4.0]);
    // The mean is the θ of before, 8, and θ is 6.
    assert!(optimizer.evaluation_point(&theta, &mut point));
    assert_eq!((theta, point), ([6.0], [6.5]));
    let mut resumed = make(0.9);
    resumed.restore(&optimizer.state()).unwrap();
    assert_eq!((resumed.current_momentum(), resumed.state()), (Some(0.0), optimizer.state()));
    let passed = optimizer.state().scalars.into_iter().find(|(name, _)| name == "leaky.passed");
    assert_eq!(passed, Some(("leaky.passed".into(), 0.5)));
}

#[test]
fn an_element_wise_optimizer_steps_parts_of_theta_as_it_steps_all_of_it() {
    let (middle, mut elementwise) = (7, 0);
    let whole = segments();
    let cut = |part: std::ops::Range<usize>| -> Vec<Segment> {
        let within = whole.iter().map(|segment| {
            let mut cut = segment.clone();
            let (start, end) = (segment.range.start.max(part.start), segment.range.end.min(part.end));
            cut.range = start.saturating_sub(part.start)..end.saturating_sub(part.start);
            cut
        });
        within.filter(|cut| !cut.range.is_empty()).collect()
    };
    for (name, make) in table::<f32>() {
        if !make().is_elementwise() {
            continue;
        }
        elementwise += 1;
        let (mut all, mut first, mut second) = (make(), make(), make());
        all.bind(&whole);
        first.bind(&cut(0..middle));
        second.bind(&cut(middle..15));
        let (mut theta, mut parts) = ([0.5_f32; 15], [0.5_f32; 15]);
        for step in 0..20 {
            let gradient: Vec<f32> = (0..15).map(|i| ((i * 7 + step * 5) % 11) as f32 / 5.0 - 1.0).collect();
            all.step(&mut theta, &gradient);
            first.step(&mut parts[..middle], &gradient[..middle]);
            second.step(&mut parts[middle..], &gradient[middle..]);
            assert_eq!(parts.map(f32::to_bits), theta.map(f32::to_bits), "{name} at step {step}");
        }
    }
    assert!(elementwise > 10, "only {elementwise}");
}
