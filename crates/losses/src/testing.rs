//! The tests of every loss: its derivative, its precisions, its contract.

use downhill_tensor::{Batch, BatchMut, Scalar, Seed, Shape, Stream};

use crate::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, BinaryFocal, ClassAxis, CosineEmbedding, Ctc, Dice, DynLoss,
    GaussianNll, Hinge, HingeEmbedding, Huber, KlDivergence, LogCosh, Loss, MarginRanking, MeanAbsoluteError,
    MeanSquaredError, MultiLabelMargin, MultiLabelSoftMargin, MultiMargin, MultiTask, NegativeLogLikelihood,
    PoissonNll, Quantile, Reduction, SmoothL1, SoftMargin, SoftmaxCrossEntropy, SoftmaxFocal, Target, TargetError,
    TripletMargin, from_fn,
};

/// Random numbers and shapes, the same in every run.
pub(crate) struct Draw(Stream);

impl Draw {
    pub(crate) fn new(key: u64) -> Self {
        Self(Seed(2026).stream(key))
    }

    /// Draws a number between `low` and `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.uniform()
    }

    pub(crate) fn numbers(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        (0..count).map(|_| self.between(low, high)).collect()
    }

    /// Draws from two numbers, such as 0 and 1.
    pub(crate) fn either(&mut self, count: usize, a: f64, b: f64) -> Vec<f64> {
        (0..count).map(|_| if self.0.uniform() < 0.5 { a } else { b }).collect()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.0.uniform() * end as f64) as usize).min(end - 1)
    }

    pub(crate) fn classes(&mut self, count: usize, classes: usize) -> Vec<u32> {
        (0..count).map(|_| self.below(classes) as u32).collect()
    }
}

/// Numbers of examples and shapes with every kind of edge: one example, axes of length 1,
/// fewer numbers than a vector has lanes, and more than a block.
pub(crate) fn shapes() -> Vec<(usize, Shape)> {
    vec![
        (1, [1].into()),
        (1, [3].into()),
        (5, [1].into()),
        (4, [7].into()),
        (3, [17].into()),
        (2, [150].into()),
        (2, [3, 1].into()),
        (1, [1, 5].into()),
        (3, [4, 5].into()),
        (2, [3, 2, 19].into()),
    ]
}

/// Computes in `T` the value of predictions and targets given in f64, and the gradient.
pub(crate) fn evaluate<T: Scalar>(
    loss: &impl Loss,
    (examples, shape): (usize, Shape),
    y: &[f64],
    target: Target<'_, f64>,
) -> Result<(T, Vec<T>), TargetError> {
    let y: Vec<T> = y.iter().map(|&y| T::from_f64(y)).collect();
    let values: Vec<T>;
    let target = match target {
        Target::Values(numbers) => {
            values = numbers.iter().map(|&t| T::from_f64(t)).collect();
            Target::Values(&values[..])
        }
        Target::Classes(classes) => Target::Classes(classes),
    };
    let batch = Batch::new(&y, examples, shape).unwrap();
    // All of it must be overwritten.
    let mut dy = vec![T::NAN; y.len()];
    let value = loss.value_and_gradient(batch, target, BatchMut::new(&mut dy, examples, shape).unwrap())?;
    let alone = loss.value(batch, target)?;
    assert_eq!(format!("{value:?}"), format!("{alone:?}"), "{loss:?}: the value does not depend on the gradient");
    Ok((value, dy))
}

/// Compares the gradient with Richardson's extrapolation of central differences, and f32 with f64.
pub(crate) fn check(loss: &impl Loss, batch: (usize, Shape), y: &[f64], target: Target<'_, f64>) {
    let (value, dy) = evaluate::<f64>(loss, batch, y, target).unwrap();
    assert!(value.is_finite(), "{loss:?} on {batch:?} is {value}");
    let largest = dy.iter().fold(value.abs(), |largest, dy| largest.max(dy.abs()));
    let at = |i: usize, by: f64| {
        let mut moved = y.to_vec();
        moved[i] += by;
        loss.value(Batch::new(&moved, batch.0, batch.1).unwrap(), target).unwrap()
    };
    for (i, &dy) in dy.iter().enumerate() {
        let central = |h: f64| (at(i, h) - at(i, -h)) / (2.0 * h);
        let h = 1e-3;
        let slope = (4.0 * central(h / 2.0) - central(h)) / 3.0;
        let error = (slope - dy).abs();
        assert!(
            error <= 1e-8 * largest.max(1e-3),
            "{loss:?} on {batch:?}: dJ/dy[{i}] is {dy}, but finite differences give {slope}"
        );
    }
    let (rough, rough_dy) = evaluate::<f32>(loss, batch, y, target).unwrap();
    assert!((f64::from(rough) - value).abs() <= 1e-5 * largest.max(0.1), "{loss:?}: {rough} in f32, {value} in f64");
    for (rough, dy) in rough_dy.iter().zip(&dy) {
        assert!(
            (f64::from(*rough) - dy).abs() <= 1e-5 * largest.max(0.1),
            "{loss:?}: dJ/dy is {rough} in f32, {dy} in f64"
        );
    }
}

/// Calls [`check`] for a loss of single numbers, on all [`shapes`].
pub(crate) fn check_pointwise(
    loss: &impl Loss,
    key: u64,
    mut pairs: impl FnMut(&mut Draw, usize) -> (Vec<f64>, Vec<f64>),
) {
    let mut draw = Draw::new(key);
    for (examples, shape) in shapes() {
        let (y, target) = pairs(&mut draw, examples * shape.len());
        check(loss, (examples, shape), &y, Target::Values(&target));
    }
}

/// Draws predictions and targets whose differences keep away from 0 and from ±`joint`, on all sides of them.
pub(crate) fn off_joints(draw: &mut Draw, count: usize, joint: f64) -> (Vec<f64>, Vec<f64>) {
    let target = draw.numbers(count, -2.0, 2.0);
    let size = draw.either(count, 0.5 * joint, 1.5 * joint);
    let side = draw.either(count, -1.0, 1.0);
    (target.iter().zip(size).zip(side).map(|((t, size), side)| t + side * size).collect(), target)
}

/// Computes the slope of `loss` at one number.
pub(crate) fn slope(loss: &impl Loss, y: f64, target: f64) -> f64 {
    evaluate::<f64>(loss, (1, [1].into()), &[y], Target::Values(&[target])).unwrap().1[0]
}

/// Computes the term of `loss` at one number.
pub(crate) fn term(loss: &impl Loss, y: f64, target: f64) -> f64 {
    evaluate::<f64>(loss, (1, [1].into()), &[y], Target::Values(&[target])).unwrap().0
}

/// Returns the sentence of the error that `loss` returns.
pub(crate) fn error(loss: &impl Loss, batch: (usize, Shape), y: &[f64], target: Target<'_, f64>) -> String {
    evaluate::<f64>(loss, batch, y, target).unwrap_err().to_string()
}

/// A loss with predictions and targets of many examples that keep away from its kinks.
pub(crate) struct Cases {
    pub(crate) loss: Box<dyn DynLoss>,
    /// The type of the loss.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) y: Vec<f64>,
    pub(crate) values: Vec<f64>,
    /// Taken as the target unless it is empty.
    pub(crate) classes: Vec<u32>,
    /// The numbers of weights that an example may have.
    pub(crate) weights: Vec<usize>,
}

impl Cases {
    pub(crate) const EXAMPLES: usize = 9;

    pub(crate) fn batch(&self) -> (usize, Shape) {
        (Self::EXAMPLES, self.shape)
    }

    pub(crate) fn target(&self) -> Target<'_, f64> {
        if self.classes.is_empty() { Target::Values(&self.values) } else { Target::Classes(&self.classes) }
    }

    /// Returns predictions and targets of some of the examples.
    pub(crate) fn some(&self, examples: std::ops::Range<usize>) -> (Batch<'_, f64>, Target<'_, f64>) {
        let width = self.shape.len();
        let targets = self.target().len() / Self::EXAMPLES;
        let y = &self.y[examples.start * width..examples.end * width];
        let here = examples.start * targets..examples.end * targets;
        let target = match self.target() {
            Target::Values(values) => Target::Values(&values[here]),
            Target::Classes(classes) => Target::Classes(&classes[here]),
        };
        (Batch::new(y, examples.len(), self.shape).unwrap(), target)
    }

    /// Makes cases of every loss of the crate, with many settings and all reductions.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (key, reduction) in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean].into_iter().enumerate() {
            let mut cases = Drawn { draw: Draw::new(50 + key as u64), cases: Vec::new() };
            cases.of_numbers(reduction);
            cases.of_answers(reduction);
            cases.of_classes(reduction);
            cases.of_examples(reduction);
            all.append(&mut cases.cases);
        }
        all
    }
}

struct Drawn {
    draw: Draw,
    cases: Vec<Cases>,
}

/// The targets of a case.
enum To {
    Values(Vec<f64>),
    Classes(Vec<u32>),
}

impl Drawn {
    fn add<L: Loss + 'static>(&mut self, loss: L, shape: impl Into<Shape>, y: Vec<f64>, to: To, weights: &[usize]) {
        let (values, classes) = match to {
            To::Values(values) => (values, vec![]),
            To::Classes(classes) => (vec![], classes),
        };
        let (loss, name) = (Box::new(loss), crate::target::name::<L>());
        self.cases.push(Cases { loss, name, shape: shape.into(), y, values, classes, weights: weights.to_vec() });
    }

    /// Adds a loss of single numbers, in examples of 2 steps of 3 numbers.
    fn pointwise(&mut self, loss: impl Loss + 'static, pairs: impl FnOnce(&mut Draw, usize) -> (Vec<f64>, Vec<f64>)) {
        let (y, target) = pairs(&mut self.draw, Cases::EXAMPLES * 6);
        self.add(loss, [2, 3], y, To::Values(target), &[1, 2, 6]);
    }

    /// Adds a loss of single numbers with the classes 0 and 1 as targets.
    fn two_classes(&mut self, loss: impl Loss + 'static, low: f64, high: f64, weights: &[usize]) {
        let y = self.draw.numbers(Cases::EXAMPLES * 6, low, high);
        let classes = self.draw.classes(Cases::EXAMPLES * 6, 2);
        self.add(loss, [2, 3], y, To::Classes(classes), weights);
    }

    fn of_numbers(&mut self, reduction: Reduction) {
        self.pointwise(MeanSquaredError::new().reduction(reduction), |draw, n| off_joints(draw, n, 1.0));
        self.pointwise(MeanAbsoluteError::new().reduction(reduction), |draw, n| off_joints(draw, n, 1.0));
        self.pointwise(Huber::new(1.0).reduction(reduction), |draw, n| off_joints(draw, n, 1.0));
        self.pointwise(SmoothL1::new(0.5).reduction(reduction), |draw, n| off_joints(draw, n, 0.5));
        self.pointwise(LogCosh::new().reduction(reduction), |draw, n| off_joints(draw, n, 1.0));
        self.pointwise(Quantile::new(0.8).reduction(reduction), |draw, n| off_joints(draw, n, 1.0));
        let counts = |draw: &mut Draw, n| (draw.numbers(n, 0.2, 2.0), draw.numbers(n, 0.0, 5.0));
        self.pointwise(PoissonNll::new().full().reduction(reduction), counts);
        self.pointwise(PoissonNll::new().rates().reduction(reduction), counts);
        let logs = |draw: &mut Draw, n| (draw.numbers(n, -3.0, 0.0), draw.numbers(n, 0.0, 1.0));
        self.pointwise(KlDivergence::new().reduction(reduction), logs);
        let both = |draw: &mut Draw, n| (draw.numbers(n, -3.0, 0.0), draw.numbers(n, -3.0, 0.0));
        self.pointwise(KlDivergence::new().log_target().reduction(reduction), both);
        let distances = |draw: &mut Draw, n| (draw.either(n, 0.5, 1.5), draw.either(n, -1.0, 1.0));
        self.pointwise(HingeEmbedding::new(1.0).reduction(reduction), distances);
        self.pointwise(from_fn(|y, t| ((y - t).powi(2), 2.0 * (y - t))), |draw, n| off_joints(draw, n, 1.0));
    }

    fn of_answers(&mut self, reduction: Reduction) {
        let signs = |draw: &mut Draw, n| (draw.numbers(n, -0.9, 0.9), draw.either(n, -1.0, 1.0));
        let soft = |draw: &mut Draw, n| (draw.numbers(n, -3.0, 3.0), draw.numbers(n, 0.0, 1.0));
        let probabilities = |draw: &mut Draw, n| (draw.numbers(n, 0.1, 0.9), draw.numbers(n, 0.0, 1.0));
        self.pointwise(Hinge::new().reduction(reduction), signs);
        self.two_classes(Hinge::new().squared().reduction(reduction), -0.9, 0.9, &[1, 2, 6]);
        self.pointwise(SoftMargin::new().reduction(reduction), signs);
        self.two_classes(SoftMargin::new().reduction(reduction), -3.0, 3.0, &[1, 2, 6]);
        self.pointwise(BinaryCrossEntropy::new().reduction(reduction), probabilities);
        self.two_classes(BinaryCrossEntropy::new().reduction(reduction), 0.1, 0.9, &[1, 2, 6]);
        self.pointwise(BinaryFocal::new(2.0).reduction(reduction), soft);
        self.two_classes(BinaryFocal::new(0.5).alpha(None).reduction(reduction), -3.0, 3.0, &[1, 2, 6]);
        let labels = |draw: &mut Draw, n| (draw.numbers(n, -3.0, 3.0), draw.either(n, 0.0, 1.0));
        for (axis, classes, positions) in [(ClassAxis::First, 2, 3), (ClassAxis::Last, 3, 2)] {
            let weights = self.draw.numbers(classes, 0.3, 3.0);
            let loss = BinaryCrossEntropyWithLogits::new().class_axis(axis).reduction(reduction);
            self.two_classes(loss.clone(), -3.0, 3.0, &[1, positions, 6]);
            let loss = loss.positive_weights(weights.clone());
            self.two_classes(loss.clone(), -3.0, 3.0, &[1, positions, 6]);
            for loss in [loss, BinaryCrossEntropyWithLogits::new().class_axis(axis).reduction(reduction)] {
                let (y, target) = soft(&mut self.draw, Cases::EXAMPLES * 6);
                self.add(loss, [2, 3], y, To::Values(target), &[1, positions, 6]);
            }
            let loss = MultiLabelSoftMargin::new().class_axis(axis).reduction(reduction);
            for loss in [loss.clone().class_weights(weights), loss] {
                let (y, target) = labels(&mut self.draw, Cases::EXAMPLES * 6);
                self.add(loss, [2, 3], y, To::Values(target), &[1, positions, 6]);
            }
        }
        let (y, target) = (self.draw.numbers(Cases::EXAMPLES * 6, 0.1, 0.9), self.draw.either(54, 0.0, 1.0));
        self.add(Dice::new().reduction(reduction), [2, 3], y.clone(), To::Values(target.clone()), &[1]);
        self.add(Dice::new().squared().reduction(reduction), [6], y, To::Values(target), &[1]);
    }

    fn of_classes(&mut self, reduction: Reduction) {
        for (axis, classes, positions) in [(ClassAxis::First, 2, 3), (ClassAxis::Last, 3, 2)] {
            let weights = self.draw.numbers(classes, 0.3, 3.0);
            let mut with_0 = weights.clone();
            with_0[0] = 0.0;
            let plain = SoftmaxCrossEntropy::new().class_axis(axis).reduction(reduction);
            for loss in [
                plain.clone(),
                plain.clone().class_weights(weights.clone()),
                plain.clone().ignored_index(1),
                plain.clone().ignored_index(77).label_smoothing(0.2),
                plain.clone().ignored_index(77).class_weights(with_0.clone()).label_smoothing(0.2),
            ] {
                let y = self.draw.numbers(Cases::EXAMPLES * 6, -3.0, 3.0);
                let mut target = self.draw.classes(Cases::EXAMPLES * positions, classes);
                if loss.meaning().ignored_index == Some(77) {
                    target[4..9].fill(77);
                }
                self.add(loss, [2, 3], y, To::Classes(target), &[1, positions]);
            }
            for loss in [plain.clone(), plain.class_weights(weights.clone()).label_smoothing(0.1)] {
                let (y, target) = (self.draw.numbers(54, -3.0, 3.0), self.draw.numbers(54, 0.0, 1.0));
                self.add(loss, [2, 3], y, To::Values(target), &[1, positions]);
            }
            let plain = NegativeLogLikelihood::new().class_axis(axis).reduction(reduction);
            for loss in [plain.clone(), plain.clone().class_weights(with_0), plain.ignored_index(0)] {
                let y = self.draw.numbers(Cases::EXAMPLES * 6, -3.0, 0.0);
                let target = self.draw.classes(Cases::EXAMPLES * positions, classes);
                self.add(loss, [2, 3], y, To::Classes(target), &[1, positions]);
            }
        }
        let weights = vec![0.0, 0.5, 2.0];
        for weights in [None, Some(weights)] {
            // Scores on a grid whose differences never come to the margin.
            let y: Vec<f64> = (0..Cases::EXAMPLES * 3).map(|_| self.draw.below(20) as f64 * 0.1).collect();
            let target = self.draw.classes(Cases::EXAMPLES, 3);
            let (focal, margin) = (SoftmaxFocal::new(2.0), MultiMargin::new(0.55));
            let (focal, margin) = match weights {
                None => (focal, margin),
                Some(weights) => (focal.class_weights(weights.clone()), margin.class_weights(weights)),
            };
            self.add(focal.reduction(reduction), [3], y.clone(), To::Classes(target.clone()), &[1]);
            self.add(margin.reduction(reduction), [3], y, To::Classes(target), &[1]);
        }
    }

    fn of_examples(&mut self, reduction: Reduction) {
        let n = Cases::EXAMPLES;
        let y: Vec<f64> = (0..n * 6).map(|_| self.draw.below(20) as f64 * 0.15).collect();
        let target = self.draw.either(n * 6, 0.0, 1.0);
        self.add(MultiLabelMargin::new().reduction(reduction), [2, 3], y.clone(), To::Values(target), &[1]);
        let signs = self.draw.either(n * 3, -1.0, 1.0);
        self.add(MarginRanking::new(0.1).reduction(reduction), [2, 3], y, To::Values(signs), &[1]);
        let (y, signs) = (self.draw.numbers(n * 6, 0.1, 1.0), self.draw.either(n, -1.0, 1.0));
        self.add(CosineEmbedding::new(0.0).reduction(reduction), [6], y, To::Values(signs), &[1]);
        let y = self.draw.numbers(n * 6, -1.0, 1.0);
        self.add(TripletMargin::new(9.0).reduction(reduction), [6], y, To::Values(vec![]), &[1]);
        let (y, target) = (self.draw.numbers(n * 6, 0.5, 2.0), self.draw.numbers(n * 3, -2.0, 2.0));
        self.add(GaussianNll::new().full().reduction(reduction), [2, 3], y, To::Values(target), &[1]);
        let y = self.draw.numbers(n * 4 * 3, -3.0, 0.0);
        let labels: Vec<u32> = (0..n).flat_map(|i| [[1, 2], [2, 0], [0, 0]][i % 3]).collect();
        self.add(Ctc::new().reduction(reduction), [4, 3], y, To::Classes(labels), &[1]);

        let class = SoftmaxCrossEntropy::new().class_weights([0.5, 1.0, 2.0]).ignored_index(7).reduction(reduction);
        let loss = MultiTask::new()
            .part(0..3, class, 1.0)
            .part(3..4, MeanSquaredError::new().reduction(reduction), 0.25)
            .part_with_numbers(2..6, 2, GaussianNll::new().reduction(reduction), 2.0)
            .part(0..6, Huber::new(0.001), 0.0);
        let y = self.draw.numbers(n * 6, 0.5, 2.0);
        let classes = [0.0, 7.0, 2.0, 1.0, 7.0];
        let target: Vec<f64> = (0..n)
            .flat_map(|i| {
                let mut row = self.draw.numbers(10, -2.0, 2.0);
                row[0] = classes[i % 5];
                row
            })
            .collect();
        self.add(loss, [6], y, To::Values(target), &[1, 4]);
    }
}
