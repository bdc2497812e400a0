//! Every loss with targets of any kind, in passes, trainings and evaluations.

use downhill::layers::{BatchNorm, Mode, Reshape};
use downhill::losses::Huber;
use downhill::losses::*;
use downhill::prelude::*;
use downhill::train::metrics::{Average, F1, MeanAbsoluteError as Distance, Precision, RSquared, TopKAccuracy};

use crate::answer;
use crate::data::dataset;
use crate::draw::Draw;

/// Tries a loss with settings of its own.
type Try = fn(&mut Draw);

const LOSSES: &[Try] = &[
    |draw| with(draw, BinaryCrossEntropy::new()),
    |draw| with(draw, BinaryCrossEntropyWithLogits::new()),
    |draw| {
        let loss = BinaryFocal::new(draw.number());
        with(draw, loss);
    },
    |draw| {
        let loss = CosineEmbedding::new(draw.number());
        with(draw, loss);
    },
    |draw| with(draw, Ctc::new()),
    |draw| with(draw, Dice::new()),
    |draw| with(draw, GaussianNll::new()),
    |draw| with(draw, Hinge::new()),
    |draw| {
        let loss = HingeEmbedding::new(draw.number());
        with(draw, loss);
    },
    |draw| {
        let loss = Huber::new(draw.number());
        with(draw, loss);
    },
    |draw| with(draw, KlDivergence::new()),
    |draw| with(draw, LogCosh::new()),
    |draw| {
        let loss = MarginRanking::new(draw.number());
        with(draw, loss);
    },
    |draw| with(draw, MeanAbsoluteError::new()),
    |draw| with(draw, MeanSquaredError::new()),
    |draw| with(draw, MultiLabelMargin::new()),
    |draw| with(draw, MultiLabelSoftMargin::new()),
    |draw| {
        let loss = MultiMargin::new(draw.number());
        with(draw, loss);
    },
    |draw| with(draw, NegativeLogLikelihood::new()),
    |draw| with(draw, PoissonNll::new()),
    |draw| {
        let loss = Quantile::new(draw.number());
        with(draw, loss);
    },
    |draw| {
        let loss = SmoothL1::new(draw.number());
        with(draw, loss);
    },
    |draw| with(draw, SoftMargin::new()),
    |draw| with(draw, SoftmaxCrossEntropy::new()),
    |draw| {
        let loss = SoftmaxFocal::new(draw.number());
        with(draw, loss);
    },
    |draw| {
        let loss = TripletMargin::new(draw.number());
        with(draw, loss);
    },
];

pub(crate) fn scene(draw: &mut Draw) {
    draw.pick(LOSSES)(draw);
}

fn metric(draw: &mut Draw) -> Box<dyn Metric<f64>> {
    match draw.below(6) {
        0 => Box::new(Accuracy::new()),
        1 => Box::new(TopKAccuracy::new(draw.size())),
        2 => Box::new(F1::new(Average::Macro)),
        3 => Box::new(Precision::new(Average::Class(draw.size()))),
        4 => Box::new(Distance::new()),
        _ => Box::new(RSquared::new()),
    }
}

fn with(draw: &mut Draw, loss: impl Loss + Clone + 'static) {
    passes(draw, &loss);
    let Some(data) = dataset(draw) else { return };
    let shape = data.input_shape();
    let likely = data.classes().filter(|&classes| classes < 9).unwrap_or(data.target_shape().len());
    let outputs = if draw.chance(0.7) { likely } else { draw.below(9) };
    if shape.len() * outputs > 10_000 {
        return;
    }
    draw.note(format!("network of {shape} to {outputs}"));
    let built = match draw.below(3) {
        0 => Network::<f64>::build(shape, sequential![Flatten, Affine::new(outputs)], Seed(1)),
        1 => Network::build(
            shape,
            sequential![Flatten, Affine::new(3), BatchNorm::new(), Affine::new(outputs), Sigmoid],
            Seed(1),
        ),
        _ => Network::build(shape, Affine::new(outputs), Seed(1)),
    };
    let Some(mut network) = answer(built) else { return };
    draw.note(format!("evaluate, {loss:?}"));
    let mut metrics: Vec<_> = (0..draw.below(3)).map(|_| metric(draw)).collect();
    answer(evaluate(&network, &loss, &data, &mut metrics));
    let validation = data.clone();
    let mut trainer =
        Trainer::new(loss, Adam::new(draw.number())).epochs(draw.below(3) as u64).batch_size(draw.size()).seed(Seed(2));
    if draw.chance(0.4) {
        trainer = trainer.validate(&validation).metric(Accuracy::new());
    }
    if draw.chance(0.2) {
        trainer = trainer.clip_norm(draw.number());
    }
    if draw.chance(0.2) {
        trainer = trainer.drop_last();
    }
    for _ in 0..2 {
        draw.note("fit");
        answer(trainer.fit(&mut network, &data));
    }
}

/// The loss of predictions that no network need have made.
fn passes(draw: &mut Draw, loss: &impl Loss) {
    let Some(network) = answer(Network::<f64>::build([3], Reshape::new([3]), Seed(1))) else { return };
    let examples = draw.below(4);
    let numbers = draw.numbers(3 * examples);
    let Some(x) = answer(Batch::new(&numbers, examples, [3])) else { return };
    let count = if draw.chance(0.8) { draw.pick(&[1, 3]) * examples } else { draw.below(12) };
    let values = draw.numbers(count);
    let labels: Vec<u32> =
        (0..count).map(|_| if draw.chance(0.95) { draw.below(3) as u32 } else { u32::MAX }).collect();
    let target = if draw.chance(0.5) { Target::Values(&values[..]) } else { Target::Classes(&labels) };
    let mut workspace = network.workspace(draw.pick(&[Purpose::Training, Purpose::TrainingWithInputGradient]));
    draw.note(format!("value, value_and_gradient of {loss:?}, {examples} examples, {target:?}"));
    let mode = Mode::Training { step: 0 };
    answer(network.value(&[], x, target, loss, &mut workspace, mode));
    answer(network.value_and_gradient(&[], x, target, loss, &mut workspace, mode));
}
