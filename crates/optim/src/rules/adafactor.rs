use downhill_tensor::Scalar;

use super::muon::next;
use crate::fused::descend;
use crate::group::{Part, Partition};
use crate::precompiled::precompile;
use crate::settings::{Settings, not_negative, require};
use crate::{Pass, Precompiled, Rule, Stepper};
use downhill_tensor::reduce::{dot, norm, sum_of_squares};

/// Adafactor (Shazeer & Stern 2018): Adam's second moment of a matrix from the means of its rows and columns alone,
/// and steps in proportion to the parameter.
///
/// ```text
/// w = t^τ                          ρ = min(γ, 1/√t)                  α = max(ε₂, RMS(θ)) ρ
/// θ ← θ(1 − γλ)
/// matrices:  R ← R + w(mean of g² over columns − R)                  C ← C + w(mean of g² over rows − C)
///            V = R C/max(mean of R, ε₁)
/// vectors:   V ← V + w(g² − V)
/// U = g/√max(V, ε₁²)               θ ← θ − α U/max(1, RMS(U)/d)
/// ```
///
/// Defaults: τ = −0.8, ε₁ the machine epsilon, ε₂ = 1e-3, d = 1, λ = 0, like `torch.optim.Adafactor` (PyTorch 2.15; its
/// learning rate is 1e-2), which differs from the paper in means instead of sums and in where ε₁ stands.
/// A matrix of more than two axes is one for each index of the leading axes.
/// Squares that overflow count as the largest number: the step keeps its size, which the update's own norm sets.
/// Memory: rows + columns numbers for a matrix.
/// Derivation: `docs/derivations/optimizers/adafactor.md`.
///
/// ```
/// use downhill_optim::{Adafactor, Optimizer, Segment};
/// let mut optimizer = Adafactor::new(1e-2);
/// optimizer.bind(&[Segment::new("w", 0..6, [2, 3])]);
/// let mut theta = [0.5_f32; 6];
/// optimizer.step(&mut theta, &[0.1, -0.2, 0.3, 0.4, 0.5, 0.6]);
/// ```
pub type Adafactor<T> = Stepper<Precompiled<AdafactorRule>, T>;
precompile!(AdafactorRule);

/// The rule of [`Adafactor`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdafactorRule {
    decay: f64,
    epsilon1: Option<f64>,
    epsilon2: f64,
    threshold: f64,
    weight_decay: f64,
}

impl<T: Scalar> Adafactor<T> {
    /// Creates the optimizer; it steps by at most the share γ of each parameter's root mean square; usually 1e-2.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        let rule = AdafactorRule { decay: -0.8, epsilon1: None, epsilon2: 1e-3, threshold: 1.0, weight_decay: 0.0 };
        Self::named(rule, learning_rate)
    }

    setters! {
        /// Sets the power τ of the step number in the weight of a new square; negative.
        decay of AdafactorRule;
        /// Sets ε₁, below which second moments do not count, and ε₂, the smallest root mean square of a parameter.
        epsilons(epsilon1: f64, epsilon2: f64) |rule: AdafactorRule| (rule.epsilon1, rule.epsilon2) = (Some(epsilon1), epsilon2);
        /// Sets the largest root mean square d of an update.
        threshold of AdafactorRule;
        /// Sets the decoupled weight decay λ.
        weight_decay of AdafactorRule;
    }
}

/// Returns the matrices of a parameter: their number, rows and columns.
fn matrices(part: &Part) -> Option<(usize, usize, usize)> {
    match part.shape.axes() {
        [leading @ .., rows, columns] if !part.range.is_empty() => Some((leading.iter().product(), *rows, *columns)),
        _ => None,
    }
}

/// The rows whose squares are added up before they join the sum of a column: an embedding has rows by the ten thousand,
/// and a sum of one after the other loses as many units of its last digit.
const BLOCK: usize = 256;

/// Returns √(Σ xᵢ²/n), also if the squares leave the range of numbers.
fn root_mean_square<T: Scalar>(x: &[T]) -> f64 {
    let (squares, len) = (sum_of_squares(x), x.len() as f64);
    if squares.is_normal() { (squares / len).sqrt() } else { norm(x) / len.sqrt() }
}

impl AdafactorRule {
    /// Moves the means of g² on and writes U, without its scale; one matrix.
    fn factored<T: Scalar>(
        gradient: &[T],
        update: &mut [T],
        row_means: &mut [T],
        column_means: &mut [T],
        [column_sums, block]: [&mut [T]; 2],
        weight: T,
        epsilon: T,
    ) {
        let columns = column_means.len();
        // Squares beyond the range of numbers count as this, so that products of two means and sums of them are finite.
        let most = T::MAX / T::from_f64(row_means.len().max(16) as f64);
        column_sums.fill(T::ZERO);
        for (gradients, means) in gradient.chunks(BLOCK * columns).zip(row_means.chunks_mut(BLOCK)) {
            block.fill(T::ZERO);
            for (gradient, mean) in gradients.chunks_exact(columns).zip(means) {
                let square = T::from_f64(dot(gradient, gradient) / columns as f64).min(most);
                *mean += weight * (square - *mean);
                descend(block, gradient, [], |_, g, []: &mut [T; 0]| -(g * g));
            }
            descend(column_sums, block, [], |_, sum, []: &mut [T; 0]| -sum);
        }
        let over_rows = T::ONE / T::from_f64(row_means.len() as f64);
        descend(column_means, column_sums, [], |mean, sum, []: &mut [T; 0]| {
            weight * (mean - (sum * over_rows).min(most))
        });
        let mean = T::from_f64(row_means.iter().map(|mean| mean.to_f64()).sum::<f64>() / row_means.len() as f64);
        let over_mean = T::ONE / mean.max(epsilon).max(T::MIN_POSITIVE);
        let least = (epsilon * epsilon).max(T::MIN_POSITIVE);
        let rows = gradient.chunks_exact(columns).zip(update.chunks_exact_mut(columns));
        for ((gradient, update), &row) in rows.zip(row_means.iter()) {
            let row = row * over_mean;
            let slots = [&mut *column_means];
            update.fill(T::ZERO);
            descend(update, gradient, slots, |_, g, [column]: &mut [T; 1]| -(g / (row * *column).max(least).sqrt()));
        }
    }
}

impl<T: Scalar> Rule<T> for AdafactorRule {
    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)> {
        let (mut rows, mut columns, mut vectors) = (0, 0, 0);
        for part in partition.parts() {
            match matrices(part) {
                Some((count, height, width)) => {
                    rows += count * height;
                    columns += count * width;
                }
                None => vectors += part.range.len(),
            }
        }
        vec![("adafactor.rows", rows), ("adafactor.columns", columns), ("adafactor.v", vectors)]
    }

    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        let weight = T::from_f64((pass.number as f64).powf(self.decay));
        let epsilon = T::from_f64(self.epsilon1.unwrap_or(T::EPSILON.to_f64()));
        let longest = pass.partition.parts().iter().map(|part| part.range.len()).max().unwrap_or(0);
        let widest =
            pass.partition.parts().iter().filter_map(matrices).map(|(_, _, columns)| columns).max().unwrap_or(0);
        pass.scratch.resize(longest + 2 * widest, T::ZERO);
        let (updates, sums) = pass.scratch.split_at_mut(longest);
        let (sums, block) = sums.split_at_mut(widest);
        let [row_means, column_means, v] = pass.slots else { return true };
        let (mut row, mut column, mut vector) = (0, 0, 0);
        for part in pass.partition.parts() {
            let step = {
                let treatment = &pass.partition.treatments()[part.treatment];
                (pass.learning_rate * treatment.rate_factor, treatment.weight_decay.unwrap_or(self.weight_decay))
            };
            let (rate, decay) = step;
            let theta = &mut pass.theta[part.range.clone()];
            let gradient = &pass.gradient[part.range.clone()];
            let update = &mut updates[..theta.len()];
            match matrices(part) {
                Some((count, rows, columns)) => {
                    let row_means = &mut row_means[next(&mut row, count * rows)];
                    let column_means = &mut column_means[next(&mut column, count * columns)];
                    for index in 0..count {
                        let range = index * rows * columns..(index + 1) * rows * columns;
                        Self::factored(
                            &gradient[range.clone()],
                            &mut update[range],
                            &mut row_means[index * rows..(index + 1) * rows],
                            &mut column_means[index * columns..(index + 1) * columns],
                            [&mut sums[..columns], &mut block[..columns]],
                            weight,
                            epsilon,
                        );
                    }
                }
                None => {
                    let slots = [&mut v[next(&mut vector, theta.len())]];
                    update.fill(T::ZERO);
                    let least = (epsilon * epsilon).max(T::MIN_POSITIVE);
                    descend(update, gradient, slots, move |_, g, [v]: &mut [T; 1]| {
                        *v += weight * ((g * g).min(T::MAX) - *v);
                        -(g / v.max(least).sqrt())
                    });
                }
            }
            let alpha = root_mean_square(theta).max(self.epsilon2) * rate.min(1.0 / (pass.number as f64).sqrt());
            let alpha = T::from_f64(alpha / (root_mean_square(update) / self.threshold).max(1.0));
            let keep = T::from_f64(1.0 - rate * decay);
            descend(theta, update, [], move |theta, u, []: &mut [T; 0]| alpha * u + (theta - keep * theta));
        }
        true
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.check(require(self.decay <= 0.0, "the power of the step number", self.decay, "at most 0"));
        settings.setting("epsilon1", self.epsilon1.unwrap_or(0.0), not_negative);
        settings.setting("epsilon2", self.epsilon2, not_negative);
        settings.check(require(self.threshold >= 1.0, "the largest update", self.threshold, "at least 1"));
        settings.setting("the weight decay", self.weight_decay, not_negative);
    }
}
