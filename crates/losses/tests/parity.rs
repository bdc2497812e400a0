//! Every loss against the values and gradients that PyTorch computed: `xtask/golden/losses.py` made the fixtures.
//! On the way, that no loss allocates, and that each reads its settings as it writes them.

use std::cell::RefCell;

use downhill_losses::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, BinaryFocal, CosineEmbedding, Ctc, Dice, GaussianNll, Hinge,
    HingeEmbedding, Huber, KlDivergence, LogCosh, Loss, MarginRanking, MeanAbsoluteError, MeanSquaredError,
    MultiLabelMargin, MultiLabelSoftMargin, MultiMargin, NegativeLogLikelihood, PoissonNll, Quantile, SmoothL1,
    SoftMargin, SoftmaxCrossEntropy, SoftmaxFocal, Target, TripletMargin,
};
use downhill_tensor::{Batch, BatchMut, Scalar, Shape};
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest difference of a norm, relative to the norm.
fn tolerance<T: Scalar>() -> f64 {
    if T::NAME == "f32" { 2e-6 } else { 1e-11 }
}

/// One case of a fixture, as its metadata tells it.
#[derive(Debug, Deserialize)]
struct Case<L> {
    loss: L,
    examples: usize,
    shape: Shape,
    target: String,
    targets: usize,
}

/// The flat tensors of a fixture.
struct Fixture {
    cases: String,
    y: Vec<f64>,
    values: Vec<f64>,
    classes: Vec<u32>,
    value: [Vec<f64>; 2],
    gradient: [Vec<f64>; 2],
}

impl Fixture {
    fn read(name: &str) -> Self {
        let path = format!("{}/tests/fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let data = |name: &str| tensors.tensor(name).unwrap().data().to_vec();
        let singles = |name| data(name).chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect();
        let doubles = |name| data(name).chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        Self {
            cases: header.metadata().as_ref().unwrap()["cases"].clone(),
            y: singles("y"),
            values: singles("values"),
            classes: data("classes").chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect(),
            value: [doubles("value_f64"), singles("value_f32")],
            gradient: [doubles("gradient_f64"), singles("gradient_f32")],
        }
    }
}

/// The evaluation of a case's loss: its value, and its gradient in the last slice.
type Evaluate<T> = fn(&dyn Fn(&[T], &mut [T]) -> T, Shape, &[T], &mut [T]) -> T;

/// The loss as it is.
fn plain<T: Scalar>(loss: &dyn Fn(&[T], &mut [T]) -> T, _shape: Shape, y: &[T], dy: &mut [T]) -> T {
    loss(y, dy)
}

/// The loss behind a log-softmax, whose chain rule is dx = dy - softmax(x) Σ dy.
fn behind_log_softmax<T: Scalar>(loss: &dyn Fn(&[T], &mut [T]) -> T, shape: Shape, x: &[T], dx: &mut [T]) -> T {
    let classes = shape[shape.rank() - 1];
    let mut y = x.to_vec();
    for row in y.chunks_mut(classes) {
        let largest = row.iter().fold(-T::INFINITY, |largest, &x| largest.max(x));
        let sum: T = row.iter().map(|&x| (x - largest).exp()).sum();
        row.iter_mut().for_each(|x| *x = *x - largest - sum.ln());
    }
    let value = loss(&y, dx);
    for (dx, y) in dx.chunks_mut(classes).zip(y.chunks(classes)) {
        let sum: T = dx.iter().copied().sum();
        dx.iter_mut().zip(y).for_each(|(dx, y)| *dx -= y.exp() * sum);
    }
    value
}

fn parity<L: Loss + Serialize + DeserializeOwned>(name: &str) {
    let fixture = Fixture::read(name);
    compare::<L, f64>(&fixture, 0, plain);
    compare::<L, f32>(&fixture, 1, plain);
}

fn compare<L: Loss + Serialize + DeserializeOwned, T: Scalar>(
    fixture: &Fixture,
    precision: usize,
    evaluate: Evaluate<T>,
) {
    let of = |x: &[f64]| x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let (mut y, mut values, mut classes) = (&fixture.y[..], &fixture.values[..], &fixture.classes[..]);
    let mut gradients = &fixture.gradient[precision][..];
    let cases: Vec<Case<L>> = serde_json::from_str(&fixture.cases).unwrap();
    assert!(cases.len() >= 20);
    for (case, &value) in cases.iter().zip(&fixture.value[precision]) {
        let numbers;
        let target = if case.target == "values" {
            numbers = of(take(&mut values, case.targets));
            Target::Values(&numbers[..])
        } else {
            Target::Classes(take(&mut classes, case.targets))
        };
        let count = case.examples * case.shape.len();
        let mut dy = vec![T::NAN; count];
        let loss = |y: &[T], dy: &mut [T]| {
            let y = Batch::new(y, case.examples, case.shape).unwrap();
            case.loss.value_and_gradient(y, target, BatchMut::new(dy, case.examples, case.shape).unwrap()).unwrap()
        };
        let y = of(take(&mut y, count));
        // The predictions that the loss was given, which may be made of y.
        let given = RefCell::new(Vec::new());
        let recorded = |y: &[T], dy: &mut [T]| {
            given.replace(y.to_vec());
            loss(y, dy)
        };
        let found = evaluate(&recorded, case.shape, &y, &mut dy);
        close::<T>(&[found], &[value], &format!("the value of {case:?}"));
        close::<T>(&dy, take(&mut gradients, count), &format!("the gradient of {case:?}"));

        let given = given.into_inner();
        let again = allocation_counter::measure(|| _ = loss(&given, &mut dy));
        assert_eq!(again.count_total, 0, "{case:?} asks the heap for memory");
        let written = serde_json::to_string(&case.loss).unwrap();
        let read: L = serde_json::from_str(&written).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", case.loss), "{written}");
    }
    assert!(y.is_empty() && values.is_empty() && classes.is_empty() && gradients.is_empty());
}

/// The first `count` numbers, which are then gone.
fn take<'a, N>(numbers: &mut &'a [N], count: usize) -> &'a [N] {
    let (taken, rest) = numbers.split_at(count);
    *numbers = rest;
    taken
}

/// Checks ‖found − expected‖ ≤ tolerance ‖expected‖, and that what is not finite is the same.
fn close<T: Scalar>(found: &[T], expected: &[f64], what: &str) {
    let (mut error, mut norm) = (0.0, 0.0);
    for (found, &expected) in found.iter().map(|x| x.to_f64()).zip(expected) {
        if expected.is_finite() {
            error += (found - expected).powi(2);
            norm += expected * expected;
        } else {
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{what} in {}: {found}", T::NAME);
        }
    }
    let (error, norm) = (f64::sqrt(error), f64::sqrt(norm));
    assert!(
        error <= tolerance::<T>() * norm,
        "{what} in {} is {found:?}, but PyTorch gives {expected:?}: off by {:e}",
        T::NAME,
        error / norm
    );
}

macro_rules! parity {
    ($($test:ident: $loss:ty),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                parity::<$loss>(stringify!($test));
            }
        )*
    };
}

parity! {
    binary_cross_entropy: BinaryCrossEntropy,
    binary_cross_entropy_with_logits: BinaryCrossEntropyWithLogits,
    binary_focal: BinaryFocal,
    cosine_embedding: CosineEmbedding,
    dice: Dice,
    gaussian_nll: GaussianNll,
    hinge: Hinge,
    hinge_embedding: HingeEmbedding,
    huber: Huber,
    kl_divergence: KlDivergence,
    log_cosh: LogCosh,
    margin_ranking: MarginRanking,
    mean_absolute_error: MeanAbsoluteError,
    mean_squared_error: MeanSquaredError,
    multi_label_margin: MultiLabelMargin,
    multi_label_soft_margin: MultiLabelSoftMargin,
    multi_margin: MultiMargin,
    negative_log_likelihood: NegativeLogLikelihood,
    poisson_nll: PoissonNll,
    quantile: Quantile,
    smooth_l1: SmoothL1,
    soft_margin: SoftMargin,
    softmax_cross_entropy: SoftmaxCrossEntropy,
    softmax_focal: SoftmaxFocal,
    triplet_margin: TripletMargin,
}

/// PyTorch's gradient is right only behind a log-softmax.
#[test]
fn ctc() {
    let fixture = Fixture::read("ctc");
    compare::<Ctc, f64>(&fixture, 0, behind_log_softmax);
    compare::<Ctc, f32>(&fixture, 1, behind_log_softmax);
}
