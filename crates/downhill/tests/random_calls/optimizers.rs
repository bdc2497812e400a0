//! Optimizers and schedules with any settings, on any numbers.

use downhill::optim::schedule::{self, Schedule};
use downhill::optim::*;
use downhill::tensor::Shape;

use crate::answer;
use crate::draw::Draw;

type Make = fn(&mut Draw) -> Box<dyn Optimizer<f64>>;

/// Named optimizers, with what sets them apart.
const OPTIMIZERS: &[Make] = &[
    |draw| Box::new(GradientDescent::new(draw.number())),
    |draw| Box::new(Sgd::new(draw.number()).momentum(draw.number()).weight_decay(draw.number())),
    |draw| Box::new(Sgd::new(0.1).momentum(0.9).dampening(draw.number())),
    |draw| Box::new(Sgd::new(0.1).momentum(draw.number()).nesterov()),
    |draw| Box::new(Adam::new(draw.number()).betas(draw.number(), draw.number()).epsilon(draw.number())),
    |draw| Box::new(AdamW::new(draw.number()).weight_decay(draw.number())),
    |draw| Box::new(Adamax::new(draw.number()).betas(draw.number(), draw.number())),
    |draw| Box::new(AmsGrad::new(draw.number()).weight_decay(draw.number())),
    |draw| Box::new(NAdam::new(draw.number()).momentum_decay(draw.number())),
    |draw| Box::new(NAdam::new(draw.number()).decoupled()),
    |draw| Box::new(RAdam::new(draw.number()).betas(draw.number(), draw.number())),
    |draw| Box::new(Adan::new(draw.number()).betas(draw.number(), draw.number(), draw.number())),
    |draw| Box::new(Adadelta::new(draw.number()).rho(draw.number()).epsilon(draw.number())),
    |draw| Box::new(Adagrad::new(draw.number()).rate_decay(draw.number()).initial_sum(draw.number())),
    |draw| Box::new(RmsProp::new(draw.number()).alpha(draw.number())),
    |draw| Box::new(RmsProp::new(draw.number()).centered().momentum(draw.number())),
    |draw| Box::new(Rprop::new(draw.number()).factors(draw.number(), draw.number())),
    |draw| Box::new(Rprop::new(draw.number()).step_limits(draw.number(), draw.number())),
    |draw| Box::new(Lion::new(draw.number()).betas(draw.number(), draw.number())),
    |draw| Box::new(Lamb::new(draw.number()).weight_decay(draw.number()).exempt_vectors()),
    |draw| Box::new(Lars::new(draw.number()).trust(draw.number()).momentum(draw.number())),
    |draw| Box::new(Adafactor::new(draw.number()).decay(draw.number()).threshold(draw.number())),
    |draw| {
        let rows = draw.below(4);
        let coefficients: Vec<[f64; 3]> = (0..rows).map(|_| [draw.number(), draw.number(), draw.number()]).collect();
        Box::new(Muon::new(draw.number()).momentum(draw.number()).coefficients(coefficients))
    },
    |draw| Box::new(Muon::new(draw.number()).match_rms_adamw()),
    |draw| Box::new(Asgd::new(draw.number()).lambda(draw.number()).alpha(draw.number()).start(draw.number())),
    |draw| Box::new(DAdaptAdam::new().initial_distance(draw.number()).growth(draw.number())),
    |draw| Box::new(Prodigy::new().coefficient(draw.number()).beta3(draw.number())),
    |draw| Box::new(SophiaG::new(draw.number()).rho(draw.number()).batch_size(draw.number())),
    |draw| Box::new(ScheduleFreeSgd::new(draw.number()).beta(draw.number()).warmup(draw.size() as u64)),
    |draw| Box::new(ScheduleFreeAdamW::new(draw.number()).weights(draw.number(), draw.number())),
    |draw| Box::new(Lookahead::new(Adam::new(draw.number())).every(draw.size() as u64).alpha(draw.number())),
];

type MakeSchedule = fn(&mut Draw) -> Box<dyn Schedule>;

const SCHEDULES: &[MakeSchedule] = &[
    |draw| Box::new(schedule::ConstantFactor::new(draw.number(), draw.size() as u64)),
    |draw| Box::new(schedule::Cosine::new(draw.size() as u64).floor(draw.number())),
    |draw| Box::new(schedule::Cyclic::new(draw.number()).steps(draw.size() as u64, draw.size() as u64)),
    |draw| Box::new(schedule::Exponential::new(draw.number())),
    |draw| Box::new(schedule::InverseSqrt::new(draw.size() as u64)),
    |draw| Box::new(schedule::Linear::new(draw.number(), draw.number(), draw.size() as u64)),
    |draw| Box::new(schedule::MultiStep::new(vec![draw.size() as u64, draw.size() as u64]).factor(draw.number())),
    |draw| Box::new(schedule::OneCycle::new(draw.size() as u64).rise(draw.number())),
    |draw| Box::new(schedule::OneCycle::new(draw.size() as u64).divisors(draw.number(), draw.number()).three_phases()),
    |draw| Box::new(schedule::Polynomial::new(draw.size() as u64).power(draw.number())),
    |draw| Box::new(schedule::StepDecay::new(draw.size() as u64).factor(draw.number())),
    |draw| Box::new(schedule::WarmRestarts::new(draw.size() as u64).growth(draw.size() as u64)),
    |draw| Box::new(schedule::WarmupStableDecay::new(draw.size() as u64, draw.size() as u64, draw.size() as u64)),
    |draw| {
        let first = schedule::Linear::warmup(draw.size() as u64);
        Box::new(first.then(draw.size() as u64, schedule::Cosine::new(draw.size() as u64)))
    },
];

/// θ in a few segments.
fn segments(draw: &mut Draw) -> (Vec<Segment>, usize) {
    let (mut all, mut start) = (Vec::new(), 0);
    for index in 0..draw.below(4) {
        let shape = [Shape::from([draw.below(5)]), [draw.below(5), draw.below(4)].into(), [].into()];
        let shape = draw.pick(&shape);
        let range = start..start + shape.len();
        start = range.end;
        let (transposed, frozen) = (draw.chance(0.3), draw.chance(0.2));
        all.push(Segment::new(format!("{index}.weight"), range, shape).transposed(transposed).frozen(frozen));
    }
    (all, start)
}

/// Any optimizer, with any settings.
pub(crate) fn optimizer(draw: &mut Draw) -> Box<dyn Optimizer<f64>> {
    draw.pick(OPTIMIZERS)(draw)
}

/// Any schedule, with any settings.
pub(crate) fn schedule(draw: &mut Draw) -> Box<dyn Schedule> {
    draw.pick(SCHEDULES)(draw)
}

pub(crate) fn scene(draw: &mut Draw) {
    if draw.chance(0.3) {
        let schedule = schedule(draw);
        draw.note(format!("{schedule:?}.check"));
        answer(schedule.check());
        for step in [0, 1, 7, draw.size() as u64, u64::MAX] {
            draw.note(format!("rate and momentum of step {step}"));
            schedule.rate(draw.number(), step);
            schedule.momentum(step);
        }
        return;
    }
    let mut optimizer = optimizer(draw);
    draw.note(format!("{optimizer:?}.check"));
    let is_valid = answer(optimizer.check()).is_some();
    // What a schedule has set to nonsense, no check sees, but a saved state is refused.
    let mut restorable = is_valid;
    let (segments, len) = segments(draw);
    let mut theta = draw.numbers(len);
    if draw.chance(0.8) {
        draw.note(format!("bind({segments:?})"));
        optimizer.bind(&segments);
    }
    for _ in 0..draw.within(1..6) {
        match draw.below(5) {
            0 => {
                let rate = draw.number();
                draw.note(format!("set_learning_rate({rate}), set_momentum"));
                restorable = false;
                optimizer.set_learning_rate(rate);
                optimizer.set_momentum(draw.number());
                optimizer.current_momentum();
            }
            1 => {
                draw.note("state and restore, of this and of another one");
                let state = optimizer.state();
                // An absurd rate overflows what a rule remembers, and that is refused too.
                let finite = state.scalars.iter().all(|(_, number)| number.is_finite());
                let own = answer(optimizer.restore(&state));
                assert!(own.is_some() || !restorable || !finite, "an optimizer refuses its own state");
                let mut other = self::optimizer(draw);
                answer(other.restore(&state));
                answer(optimizer.restore(&other.state()));
                let mut json = serde_json::to_string(&state).expect("a state is text");
                if json.is_ascii() && draw.chance(0.7) {
                    let place = draw.below(json.len());
                    json.replace_range(place..=place, draw.pick(&["", "9", "-", "\"", "x"]));
                }
                draw.note(format!("restore from {json}"));
                if let Some(read) = answer(serde_json::from_str::<OptimizerState<f64>>(&json)) {
                    answer(optimizer.restore(&read));
                }
                // What another one has left may be of another size.
                return;
            }
            2 => {
                draw.note("evaluation_point");
                optimizer.evaluation_point(&theta.clone(), &mut theta);
            }
            // Whoever runs an optimizer checks its settings first.
            _ if is_valid => {
                let gradient = draw.numbers(len);
                draw.note(format!("step({len} numbers)"));
                optimizer.step(&mut theta, &gradient);
            }
            _ => {}
        }
    }
    draw.note("clip, norm, averages");
    let _ = clip_norm(&mut theta, draw.number());
    clip_value(&mut theta, draw.number());
    let _ = gradient_norm(&theta);
    let mut average = Ema::new(draw.number());
    if answer(average.check()).is_some() {
        average.update(&theta);
    }
}
