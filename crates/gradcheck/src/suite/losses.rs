use downhill_losses::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, BinaryFocal, ClassAxis, CosineEmbedding, Ctc, Dice, GaussianNll,
    Hinge, HingeEmbedding, Huber, KlDivergence, LogCosh, Loss, MarginRanking, MeanAbsoluteError, MeanSquaredError,
    MultiLabelMargin, MultiLabelSoftMargin, MultiMargin, MultiTask, NegativeLogLikelihood, PoissonNll, Quantile,
    Reduction, SmoothL1, SoftMargin, SoftmaxCrossEntropy, SoftmaxFocal, Target, TripletMargin, Weighted,
};
use downhill_tensor::{Batch, Shape, Stream};

use super::{Entry, Kind, between, choose, size};
use crate::{GradcheckError, Report, check_loss};

macro_rules! losses {
    ($($name:ident: $check:expr),* $(,)?) => {
        pub(super) const ENTRIES: &[Entry] = &[$(Entry {
            name: stringify!($name),
            kind: Kind::Loss,
            check: $check,
        }),*];
    };
}

/// The distribution of predictions or targets.
#[derive(Clone, Copy)]
enum Draw {
    Between(f64, f64),
    /// −1 or 1.
    Sign,
    /// 0 or 1.
    Bit,
}

const SCORES: Draw = Draw::Between(-3.0, 3.0);
const PROBABILITIES: Draw = Draw::Between(0.05, 0.95);

losses! {
    BinaryCrossEntropy: |s| {
        let loss = BinaryCrossEntropy::new().reduction(reduction(s));
        pairs(&loss, PROBABILITIES, Draw::Between(0.0, 1.0), s)
    },
    BinaryCrossEntropyWithLogits: |s| {
        let weights: Vec<f64> = (0..4).map(|_| between(s, 0.3, 3.0)).collect();
        let loss = BinaryCrossEntropyWithLogits::new().reduction(reduction(s)).positive_weights(weights);
        values(&loss, ([4].into(), SCORES), (1, Draw::Between(0.0, 1.0)), s)
    },
    BinaryFocal: |s| {
        let loss = BinaryFocal::new(choose(s, &[0.0, 0.5, 2.0])).alpha(choose(s, &[None, Some(0.25)]));
        pairs(&loss, SCORES, Draw::Between(0.0, 1.0), s)
    },
    CosineEmbedding: |s| {
        let loss = CosineEmbedding::new(between(s, -0.5, 0.5)).reduction(reduction(s));
        let width = size(s, 5);
        values(&loss, ([2 * width].into(), SCORES), (2 * width, Draw::Sign), s)
    },
    Ctc: |s| {
        let (examples, time, classes, labels) = (size(s, 3), 4 + size(s, 4), 1 + size(s, 3), size(s, 2));
        let y = draw(s, examples * time * classes, Draw::Between(-3.0, -0.1));
        let target: Vec<u32> = (0..examples * labels).map(|_| size(s, classes - 1) as u32).collect();
        let loss = Ctc::new().reduction(reduction(s));
        check_loss(&loss, Batch::new(&y, examples, [time, classes])?, Target::Classes(&target))
    },
    Dice: |s| {
        let loss = Dice::new().smoothing(between(s, 0.1, 1.0));
        let loss = if choose(s, &[true, false]) { loss } else { loss.squared() };
        let shape = [size(s, 3), size(s, 4)].into();
        values(&loss, (shape, PROBABILITIES), (1, Draw::Between(0.0, 1.0)), s)
    },
    GaussianNll: |s| {
        let loss = GaussianNll::new().reduction(reduction(s));
        let width = size(s, 4);
        values(&loss, ([2 * width].into(), Draw::Between(0.3, 3.0)), (2, SCORES), s)
    },
    Hinge: |s| {
        let loss = if choose(s, &[true, false]) { Hinge::new() } else { Hinge::new().squared() };
        pairs(&loss, SCORES, Draw::Sign, s)
    },
    HingeEmbedding: |s| {
        let loss = HingeEmbedding::new(between(s, 0.5, 2.0));
        pairs(&loss, Draw::Between(0.0, 3.0), Draw::Sign, s)
    },
    Huber: |s| {
        let loss = Huber::new(between(s, 0.3, 2.0)).reduction(reduction(s));
        pairs(&loss, SCORES, SCORES, s)
    },
    KlDivergence: |s| {
        let loss = KlDivergence::new().reduction(reduction(s));
        if choose(s, &[true, false]) {
            pairs(&loss, Draw::Between(-3.0, 0.0), Draw::Between(0.0, 1.0), s)
        } else {
            pairs(&loss.log_target(), Draw::Between(-3.0, 0.0), Draw::Between(-3.0, 0.0), s)
        }
    },
    LogCosh: |s| pairs(&LogCosh::new().reduction(reduction(s)), SCORES, SCORES, s),
    MarginRanking: |s| {
        let loss = MarginRanking::new(between(s, 0.0, 1.0)).reduction(reduction(s));
        let width = size(s, 4);
        values(&loss, ([2 * width].into(), SCORES), (2, Draw::Sign), s)
    },
    MeanAbsoluteError: |s| {
        pairs(&MeanAbsoluteError::new().reduction(reduction(s)), SCORES, SCORES, s)
    },
    MeanSquaredError: |s| pairs(&MeanSquaredError::new().reduction(reduction(s)), SCORES, SCORES, s),
    MultiLabelMargin: |s| {
        pairs(&MultiLabelMargin::new().reduction(reduction(s)), SCORES, Draw::Bit, s)
    },
    MultiLabelSoftMargin: |s| {
        let loss = MultiLabelSoftMargin::new().reduction(reduction(s));
        pairs(&loss, SCORES, Draw::Between(0.0, 1.0), s)
    },
    MultiMargin: |s| {
        let loss = MultiMargin::new(between(s, 0.3, 1.5));
        let loss = if choose(s, &[true, false]) { loss } else { loss.squared() };
        let classes = size(s, 6);
        of_class(&loss, ([classes].into(), SCORES), (classes, 1), s)
    },
    MultiTask: |s| {
        let (examples, classes, numbers) = (size(s, 4), size(s, 4), size(s, 3));
        let class = SoftmaxCrossEntropy::new().reduction(reduction(s)).ignored_index(classes as u32);
        let number = MeanSquaredError::new().reduction(reduction(s));
        let width = classes + numbers;
        let loss = MultiTask::new()
            .part(0..classes, class, between(s, 0.2, 2.0))
            .part(classes..width, number, between(s, 0.2, 2.0))
            .part(0..width, LogCosh::new(), between(s, 0.2, 2.0));
        let y = draw(s, examples * width, SCORES);
        let mut target = Vec::new();
        for _ in 0..examples {
            target.push((size(s, classes + 1) - 1) as f64);
            target.extend(draw(s, numbers + width, SCORES));
        }
        check_loss(&loss, Batch::new(&y, examples, [width])?, Target::Values(&target))
    },
    NegativeLogLikelihood: |s| {
        let loss = |axis, weights| NegativeLogLikelihood::new().class_axis(axis).class_weights(weights);
        positions(loss, Draw::Between(-3.0, -0.1), s)
    },
    PoissonNll: |s| {
        let loss = PoissonNll::new().reduction(reduction(s));
        let loss = if choose(s, &[true, false]) { loss } else { loss.full() };
        if choose(s, &[true, false]) {
            pairs(&loss, SCORES, Draw::Between(0.0, 5.0), s)
        } else {
            pairs(&loss.rates(), Draw::Between(0.3, 3.0), Draw::Between(0.0, 5.0), s)
        }
    },
    Quantile: |s| {
        let loss = Quantile::new(between(s, 0.1, 0.9)).reduction(reduction(s));
        pairs(&loss, SCORES, SCORES, s)
    },
    SmoothL1: |s| {
        let loss = SmoothL1::new(between(s, 0.3, 2.0)).reduction(reduction(s));
        pairs(&loss, SCORES, SCORES, s)
    },
    SoftMargin: |s| pairs(&SoftMargin::new().reduction(reduction(s)), SCORES, Draw::Sign, s),
    SoftmaxCrossEntropy: |s| {
        let smoothing = choose(s, &[0.0, 0.1, 0.3]);
        if choose(s, &[true, false]) {
            return positions(
                |axis, weights| {
                    SoftmaxCrossEntropy::new().label_smoothing(smoothing).class_axis(axis).class_weights(weights)
                },
                SCORES,
                s,
            );
        }
        let loss = SoftmaxCrossEntropy::new().label_smoothing(smoothing).reduction(reduction(s));
        pairs(&loss, SCORES, Draw::Between(0.0, 1.0), s)
    },
    SoftmaxFocal: |s| {
        let loss = SoftmaxFocal::new(choose(s, &[0.0, 0.5, 2.0])).reduction(reduction(s));
        let classes = size(s, 6);
        of_class(&loss, ([classes].into(), SCORES), (classes, 1), s)
    },
    TripletMargin: |s| {
        let loss = TripletMargin::new(between(s, 0.3, 2.0)).power(choose(s, &[2.0, 3.0]));
        let loss = if choose(s, &[true, false]) { loss } else { loss.swap() };
        let (examples, width) = (size(s, 4), size(s, 4));
        let y = draw(s, examples * 3 * width, SCORES);
        check_loss(&loss, Batch::new(&y, examples, [3 * width])?, Target::Values(&[]))
    },
    Weighted: |s| {
        let (examples, classes, positions) = (size(s, 3), size(s, 4), size(s, 3));
        let shape = Shape::from([classes, positions]);
        let y = draw(s, examples * shape.len(), SCORES);
        let each = choose(s, &[1, positions]);
        let weights: Vec<f64> = (0..examples * each).map(|_| choose(s, &[0.0, 0.5, 1.0, 3.0])).collect();
        let y = Batch::new(&y, examples, shape)?;
        if weights.iter().all(|&weight| weight == 0.0) {
            // Of nothing there is no mean.
            let sum = MeanSquaredError::new().reduction(Reduction::Sum);
            let target = draw(s, y.slice().len(), SCORES);
            return check_loss(&Weighted::new(&sum, &vec![0.0; examples]), y, Target::Values(&target));
        }
        if choose(s, &[true, false]) {
            let loss = SoftmaxCrossEntropy::new().label_smoothing(0.1).reduction(reduction(s));
            let target: Vec<u32> = (0..examples * positions).map(|_| size(s, classes) as u32 - 1).collect();
            return check_loss(&Weighted::new(&loss, &weights), y, Target::Classes(&target));
        }
        let loss = BinaryCrossEntropyWithLogits::new().reduction(reduction(s));
        let target: Vec<u32> = (0..y.slice().len()).map(|_| choose(s, &[0, 1])).collect();
        check_loss(&Weighted::new(&loss, &weights), y, Target::Classes(&target))
    },
}

fn reduction(s: &mut Stream) -> Reduction {
    choose(s, &[Reduction::Mean, Reduction::Sum, Reduction::BatchMean])
}

fn draw(s: &mut Stream, length: usize, draw: Draw) -> Vec<f64> {
    let one = |_| match draw {
        Draw::Between(low, high) => between(s, low, high),
        Draw::Sign => choose(s, &[-1.0, 1.0]),
        Draw::Bit => choose(s, &[0.0, 1.0]),
    };
    (0..length).map(one).collect()
}

/// Checks a loss that compares each number with its own target.
fn pairs(loss: &impl Loss, y: Draw, target: Draw, s: &mut Stream) -> Result<Report, GradcheckError> {
    let outputs = size(s, 6);
    values(loss, ([outputs].into(), y), (1, target), s)
}

/// Checks a loss with one target for every `share` predicted numbers.
fn values(
    loss: &impl Loss,
    (shape, of_y): (Shape, Draw),
    (share, of_target): (usize, Draw),
    s: &mut Stream,
) -> Result<Report, GradcheckError> {
    let examples = size(s, 4);
    let y = draw(s, examples * shape.len(), of_y);
    let target = draw(s, y.len() / share, of_target);
    check_loss(loss, Batch::new(&y, examples, shape)?, Target::Values(&target))
}

/// Checks a loss with one class for each position.
fn of_class(
    loss: &impl Loss,
    (shape, of_y): (Shape, Draw),
    (classes, positions): (usize, usize),
    s: &mut Stream,
) -> Result<Report, GradcheckError> {
    let examples = size(s, 4);
    let y = draw(s, examples * shape.len(), of_y);
    let target: Vec<u32> = (0..examples * positions).map(|_| size(s, classes) as u32 - 1).collect();
    check_loss(loss, Batch::new(&y, examples, shape)?, Target::Classes(&target))
}

/// Checks a loss against classes, for whole examples or for positions of them, with weights for the classes.
fn positions<L: Loss>(
    loss: impl Fn(ClassAxis, Vec<f64>) -> L,
    of_y: Draw,
    s: &mut Stream,
) -> Result<Report, GradcheckError> {
    let (classes, positions) = (size(s, 5), size(s, 3));
    let weights: Vec<f64> = (0..classes).map(|_| between(s, 0.3, 2.0)).collect();
    let (axis, shape) = choose(
        s,
        &[(ClassAxis::First, Shape::from([classes, positions])), (ClassAxis::Last, Shape::from([positions, classes]))],
    );
    of_class(&loss(axis, weights), (shape, of_y), (classes, positions), s)
}
