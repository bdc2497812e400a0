//! What every loss is tested for: its derivative, its precisions, its contract.

use downhill_tensor::{Batch, BatchMut, Scalar, Seed, Shape, Stream};

use crate::{Loss, Target, TargetError};

/// Random numbers and shapes, the same in every run.
pub(crate) struct Draw(Stream);

impl Draw {
    pub(crate) fn new(key: u64) -> Self {
        Self(Seed(2026).stream(key))
    }

    /// A number between `low` and `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.uniform()
    }

    pub(crate) fn numbers(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        (0..count).map(|_| self.between(low, high)).collect()
    }

    /// 0 or 1, or any other two numbers.
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

/// The value in `T` of predictions and targets given in f64, and the gradient.
pub(crate) fn evaluate<T: Scalar>(
    loss: &impl Loss,
    (examples, shape): (usize, Shape),
    y: &[f64],
    target: Target<'_, f64>,
) -> Result<(T, Vec<T>), TargetError> {
    let y: Vec<T> = y.iter().map(|&y| T::of(y)).collect();
    let values: Vec<T>;
    let target = match target {
        Target::Values(numbers) => {
            values = numbers.iter().map(|&t| T::of(t)).collect();
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

/// [`check`] for a loss of single numbers, on all [`shapes`].
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

/// Predictions and targets whose differences keep away from 0 and from ±`joint`, on all sides of them.
pub(crate) fn off_joints(draw: &mut Draw, count: usize, joint: f64) -> (Vec<f64>, Vec<f64>) {
    let target = draw.numbers(count, -2.0, 2.0);
    let size = draw.either(count, 0.5 * joint, 1.5 * joint);
    let side = draw.either(count, -1.0, 1.0);
    (target.iter().zip(size).zip(side).map(|((t, size), side)| t + side * size).collect(), target)
}

/// The slope of `loss` at one number.
pub(crate) fn slope(loss: &impl Loss, y: f64, target: f64) -> f64 {
    evaluate::<f64>(loss, (1, [1].into()), &[y], Target::Values(&[target])).unwrap().1[0]
}

/// The term of `loss` at one number.
pub(crate) fn term(loss: &impl Loss, y: f64, target: f64) -> f64 {
    evaluate::<f64>(loss, (1, [1].into()), &[y], Target::Values(&[target])).unwrap().0
}

/// The error that `loss` gives, as its sentence.
pub(crate) fn error(loss: &impl Loss, batch: (usize, Shape), y: &[f64], target: Target<'_, f64>) -> String {
    evaluate::<f64>(loss, batch, y, target).unwrap_err().to_string()
}
