//! Sums over a batch, the same for any number of threads.

use downhill_tensor::{Divisible, Kernel, elementwise, threads, vectorized};

/// A loop over rows that gives the sum of their terms.
///
/// Its elements are rows: numbers, examples or positions, whichever the loop does not divide.
pub(crate) trait Rows: Kernel<Output = f64> + Divisible {
    /// Returns the size of a row in numbers.
    fn width(&self) -> usize;
}

/// The sum of the terms of all rows.
///
/// The rows are cut at places that depend on the sizes alone: more threads compute the same pieces at the same time.
pub(crate) fn total<R: Rows>(rows: R) -> f64 {
    let grain = (elementwise::GRAIN / rows.width().max(1)).max(1);
    total_by(rows, grain)
}

fn total_by<R: Rows>(rows: R, grain: usize) -> f64 {
    if rows.elements() <= grain {
        return vectorized(rows);
    }
    let middle = rows.elements() / 2;
    let (a, b) = rows.cut(middle);
    let (a, b) = threads::join(|| total_by(a, grain), || total_by(b, grain));
    a + b
}

#[cfg(test)]
mod tests {
    use downhill_tensor::threads::Threads;
    use downhill_tensor::{Batch, BatchMut, Shape};

    use crate::testing::Draw;
    use crate::{
        BinaryCrossEntropyWithLogits, ClassAxis, CosineEmbedding, GaussianNll, Loss, MeanSquaredError,
        SoftmaxCrossEntropy, Target,
    };

    /// Checks that value and gradient on one thread and on three are the same bits.
    fn any_number_of_threads(
        loss: &(impl Loss + Clone),
        examples: usize,
        shape: impl Into<Shape>,
        target: Target<'_, f32>,
    ) {
        let shape = shape.into();
        let y: Vec<f32> = Draw::new(38).numbers(examples * shape.len(), -2.0, 2.0).iter().map(|&y| y as f32).collect();
        let on = |threads: Threads| {
            threads.run(|| {
                let mut dy = vec![f32::NAN; y.len()];
                let y = Batch::new(&y, examples, shape).unwrap();
                let value =
                    loss.value_and_gradient(y, target, BatchMut::new(&mut dy, examples, shape).unwrap()).unwrap();
                (value.to_bits(), dy.iter().map(|dy| dy.to_bits()).collect::<Vec<_>>())
            })
        };
        assert_eq!(on(Threads::one()), on(Threads::new(3).unwrap()), "{loss:?}");
    }

    fn close(what: &str, found: f32, exact: f64) {
        let found = f64::from(found);
        assert!((found / exact - 1.0).abs() < 1e-5, "{what}: {found} for {exact}");
    }

    #[test]
    fn no_sum_within_an_example_loses_more_digits_the_longer_it_is() {
        // Added one after the other, a million numbers in f32 are 1 % off.
        for count in [1, 200, 300, 5000, 1 << 19] {
            let y = vec![0.1_f32; 2 * count];
            let batch = |shape: Shape| Batch::new(&y[..shape.len()], 1, shape).unwrap();
            let entropy = SoftmaxCrossEntropy::new().class_axis(ClassAxis::First);
            let value = entropy.value(batch([count, 2].into()), Target::Classes(&[0, 0])).unwrap();
            let exact = (count as f64).ln();
            assert!(
                (f64::from(value) - exact).abs() <= 1e-6 * exact,
                "softmax of {count} classes: {value} for {exact}"
            );

            let targets = vec![0.6_f32; 2 * count];
            let mut dy = vec![f32::NAN; 2 * count];
            let all = Target::Values(&targets);
            let gradient = BatchMut::new(&mut dy, 1, [count, 2]).unwrap();
            let value = entropy.value_and_gradient(batch([count, 2].into()), all, gradient).unwrap();
            close("probabilities", value + 1.0, count as f64 * f64::from(0.6_f32) * (count as f64).ln() + 1.0);
            // Σ q · softmax − q is the difference of equal numbers.
            assert!(dy.iter().all(|dy| dy.abs() <= 1e-5), "probabilities of {count} classes: {}", dy[0]);

            let pairs = Target::Values(&targets[..count]);
            let value = GaussianNll::new().value(batch([2 * count].into()), pairs).unwrap();
            let (mean, t) = (f64::from(0.1_f32), f64::from(0.6_f32));
            close("pairs", value, 0.5 * (mean.ln() + (mean - t) * (mean - t) / mean));
        }
    }

    #[test]
    fn sums_are_larger_than_their_terms_can_be() {
        let y = vec![1.5e19_f32; 1000];
        let zeros = vec![0.0; 1000];
        let exact = f64::from(1.5e19_f32).powi(2);
        let batch = Batch::new(&y, 10, [100]).unwrap();
        close("mean", MeanSquaredError::new().value(batch, Target::Values(&zeros)).unwrap(), exact);
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        let mut draw = Draw::new(39);
        let values: Vec<f32> = draw.either(200_000, 0.0, 1.0).iter().map(|&t| t as f32).collect();
        let values = Target::Values(&values);
        any_number_of_threads(&MeanSquaredError::new(), 50_000, [4], values);
        let weighted = BinaryCrossEntropyWithLogits::new().positive_weights([1.0, 2.0, 3.0, 4.0, 5.0]);
        any_number_of_threads(&weighted, 40_000, [5], values);
        any_number_of_threads(&weighted, 20, [5, 2000], values);
        any_number_of_threads(&SoftmaxCrossEntropy::new(), 20_000, [10], values);
        let classes = draw.classes(20_000, 10);
        let classes = Target::Classes(&classes);
        let loss = SoftmaxCrossEntropy::new().label_smoothing(0.1);
        any_number_of_threads(&loss, 20_000, [10], classes);
        any_number_of_threads(&loss, 40, [10, 500], classes);
        any_number_of_threads(&loss.class_axis(ClassAxis::Last), 40, [500, 10], classes);
        let signs = vec![1.0; 20_000];
        any_number_of_threads(&CosineEmbedding::default(), 20_000, [10], Target::Values(&signs));
    }
}
