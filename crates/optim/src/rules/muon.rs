use std::ops::Range;

use downhill_tensor::product::{Accumulate, product};
use downhill_tensor::{Buffer, Scalar, elementwise};
use ndarray::{ArrayView2, ArrayViewMut2};

use super::adam::ScaleByAdam;
use crate::fused::{descend, views};
use crate::group::{Part, Partition};
use crate::loops::quotient;
use crate::precompiled::precompile;
use crate::settings::{Settings, check, decay_rate, not_negative, positive, require};
use crate::{DecoupledDecay, Link, Pass, Precompiled, Rule, ScaleByRate, Stepper};
use downhill_tensor::reduce::norm;

/// Muon (Jordan et al. 2024): momentum whose matrices are made orthogonal. What is no matrix is stepped by AdamW.
///
/// ```text
/// B ← μ B + (1 − μ) g                  U = (1 − μ) g + μ B          (without Nesterov: U = B)
/// X ← U/max(‖U‖, ε), then five times:  A = XXᵀ,   X ← a X + (b A + c A²) X
/// θ ← θ(1 − γλ) − γ s X                s = √max(1, rows/cols)
/// ```
///
/// Defaults: μ = 0.95, Nesterov, λ = 0.1, five steps with (a, b, c) = (3.4445, −4.7750, 2.0315), ε = 1e-7, like
/// `torch.optim.Muon` (PyTorch 2.15; its learning rate is 1e-3).
/// The iteration takes singular values in [0.01, 1] to [0.68, 1.13]; it does not bring them to 1.
/// PyTorch iterates in bfloat16 and so differs by about 2 %; here it is the parameters' own precision.
/// [`match_rms_adamw`](Muon::match_rms_adamw) takes s = 0.2·√max(rows, cols) (arXiv 2502.16982), with which AdamW's
/// learning rate and decay fit.
///
/// Rows and columns are those of (out, in), whatever the layout in memory; a convolution's kernel is
/// (out, in · height · width).
/// Matrices that are no hidden weights, embeddings and the output layer, belong to AdamW:
/// give them a group with [`Group::as_vector`](crate::Group::as_vector).
/// Derivation: `docs/derivations/optimizers/muon.md`.
///
/// ```
/// use downhill_optim::{Group, Muon, Optimizer, Segment};
/// let mut optimizer = Muon::new(0.02)
///     .adam_rate_factor(0.05)
///     .group(Group::new(|segment| segment.name.starts_with("head.")).as_vector());
/// let weight = |name: &str, start: usize| Segment::new(name, start..start + 6, [2, 3]).transposed(true);
/// optimizer.bind(&[weight("body.weight", 0), weight("head.weight", 6)]);
/// optimizer.step(&mut [0.5_f32; 12], &[0.1; 12]);
/// ```
pub type Muon<T> = Stepper<Precompiled<MuonRule>, T>;
precompile!(MuonRule);

/// The rule of [`Muon`].
#[derive(Clone, Debug, PartialEq)]
pub struct MuonRule {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    coefficients: Vec<[f64; 3]>,
    epsilon: f64,
    matches_adamw: bool,
    adam: ScaleByAdam,
    adam_rate_factor: f64,
}

/// Jordan's coefficients: steep at 0, so that small singular values grow fast.
const JORDAN: [f64; 3] = [3.4445, -4.7750, 2.0315];

impl<T: Scalar> Muon<T> {
    /// Creates the optimizer; matrices move by γ in each singular direction; usually 1e-3 to 0.02.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        let rule = MuonRule {
            momentum: 0.95,
            nesterov: true,
            weight_decay: 0.1,
            coefficients: vec![JORDAN; 5],
            epsilon: 1e-7,
            matches_adamw: false,
            adam: ScaleByAdam::new(),
            adam_rate_factor: 1.0,
        };
        Self::named(rule, learning_rate)
    }

    setters! {
        /// Sets the momentum μ, in [0, 1).
        momentum of MuonRule;
        /// Leaves out Nesterov's look ahead.
        no_nesterov() |rule: MuonRule| rule.nesterov = false;
        /// Sets the decoupled weight decay λ, of matrices and of the rest.
        weight_decay of MuonRule;
        /// Steps as far as AdamW does in root mean square.
        match_rms_adamw() |rule: MuonRule| rule.matches_adamw = true;
        /// Sets the learning rate of AdamW, as a factor on γ; 1 unless set.
        adam_rate_factor of MuonRule;
        /// Sets the decay rates of AdamW.
        adam_betas(beta1: f64, beta2: f64) |rule: MuonRule| (rule.adam.beta1, rule.adam.beta2) = (beta1, beta2);
    }

    /// Sets the coefficients (a, b, c) of each step of the iteration, and so their number.
    #[must_use]
    pub fn coefficients(self, coefficients: impl Into<Vec<[f64; 3]>>) -> Self {
        let coefficients = coefficients.into();
        self.set(|rule: &mut MuonRule| rule.coefficients.clone_from(&coefficients))
    }
}

/// Returns the rows and columns of a parameter in memory, if it is a matrix.
fn matrix(part: &Part) -> Option<(usize, usize)> {
    let (&rows, rest) = part.shape.axes().split_first()?;
    let columns = rest.iter().product();
    (!rest.is_empty() && rows > 0 && columns > 0).then_some((rows, columns))
}

/// Returns the next `len` elements of a slot that holds its parameters one after the other.
pub(super) fn next(at: &mut usize, len: usize) -> Range<usize> {
    let start = *at;
    *at += len;
    start..*at
}

impl MuonRule {
    /// Returns s, from the shape in memory.
    fn scale(&self, part: &Part, (rows, columns): (usize, usize)) -> f64 {
        let (rows, columns) = if part.transposed { (columns, rows) } else { (rows, columns) };
        let (rows, columns) = (rows as f64, columns as f64);
        if self.matches_adamw { 0.2 * rows.max(columns).sqrt() } else { (rows / columns).max(1.0).sqrt() }
    }

    /// Makes the matrix in the first `rows · columns` elements of `scratch` orthogonal, in place.
    fn orthogonalise<T: Scalar>(&self, scratch: &mut [T], rows: usize, columns: usize) {
        let (x, rest) = scratch.split_at_mut(rows * columns);
        let size = rows.min(columns);
        let (next_x, rest) = rest.split_at_mut(rows * columns);
        let (gram, polynomial) = rest.split_at_mut(size * size);
        let polynomial = &mut polynomial[..size * size];
        let [a, b]: [T; 2] = quotient(1.0, norm(x).max(self.epsilon));
        elementwise::map_in_place(x, |x| x * a * b);
        for &coefficients in &self.coefficients {
            let [a, b, c] = coefficients.map(T::from_f64);
            // The smaller of XXᵀ and XᵀX does the same: p(XXᵀ)X = X p(XᵀX).
            let view = array(x, rows, columns);
            let (left, right) =
                if rows <= columns { (view, view.reversed_axes()) } else { (view.reversed_axes(), view) };
            product(left, right, Accumulate::Overwrite, array_mut(gram, size, size));
            product(
                array(gram, size, size),
                array(gram, size, size),
                Accumulate::Overwrite,
                array_mut(polynomial, size, size),
            );
            elementwise::update(gram, polynomial, |gram, square| b * gram + c * square);
            let polynomial = array(polynomial, size, size);
            let (left, right) = if rows <= columns { (polynomial, view) } else { (view, polynomial) };
            product(left, right, Accumulate::Overwrite, array_mut(next_x, rows, columns));
            elementwise::update(next_x, x, |next, x| a * x + next);
        }
    }
}

fn array<T>(data: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), data).expect("a slice of rows · columns elements is a matrix")
}

fn array_mut<T>(data: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), data).expect("a slice of rows · columns elements is a matrix")
}

impl<T: Scalar> Rule<T> for MuonRule {
    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)> {
        let matrices = partition.parts().iter().filter(|part| matrix(part).is_some());
        let matrices: usize = matrices.map(|part| part.range.len()).sum();
        let all: usize = partition.parts().iter().map(|part| part.range.len()).sum();
        vec![("muon.velocity", matrices), ("adam.m", all - matrices), ("adam.v", all - matrices)]
    }

    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        let (mut of_matrices, mut of_vectors) = (0, 0);
        for part in pass.partition.parts() {
            let mut step = pass.context(part.treatment, 0.0);
            let theta = &mut pass.theta[part.range.clone()];
            let gradient = &pass.gradient[part.range.clone()];
            let (velocity, adam) = pass.slots.split_at_mut(1);
            if let Some((rows, columns)) = matrix(part) {
                let velocity = &mut velocity[0][next(&mut of_matrices, theta.len())];
                let (momentum, weight) = (T::from_f64(self.momentum), T::from_f64(1.0 - self.momentum));
                elementwise::update(gradient, velocity, |g, v| (momentum * v + weight * g).flush_subnormal());
                let size = rows.min(columns);
                let needed = 2 * (rows * columns + size * size);
                if pass.scratch.len() < needed {
                    pass.scratch.resize(needed, T::ZERO);
                }
                let direction = &mut pass.scratch[..theta.len()];
                if self.nesterov {
                    elementwise::zip_map(gradient, velocity, direction, |g, v| weight * g + momentum * v);
                } else {
                    direction.copy_from_slice(velocity);
                }
                self.orthogonalise(&mut pass.scratch[..needed], rows, columns);
                let keep = T::from_f64(1.0 - step.learning_rate * step.decay(self.weight_decay));
                let rate = T::from_f64(step.learning_rate * self.scale(part, (rows, columns)));
                let direction = &pass.scratch[..theta.len()];
                descend(theta, direction, [], move |theta, d, []: &mut [T; 0]| rate * d + (theta - keep * theta));
            } else {
                step.learning_rate *= self.adam_rate_factor;
                let links = (self.adam, ScaleByRate, DecoupledDecay::new(self.weight_decay));
                adam_w(&links, &step, theta, gradient, adam, next(&mut of_vectors, theta.len()));
            }
        }
        true
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        settings.momentum("the momentum", &mut self.momentum, decay_rate);
        settings.setting("the weight decay", self.weight_decay, not_negative);
        settings.check(require(!self.coefficients.is_empty(), "the number of iterations", 0.0, "at least 1"));
        settings.setting("the learning rate factor of AdamW", self.adam_rate_factor, positive);
        // The momentum that schedules move is that of the matrices alone.
        settings.check(check(|settings| Link::<T>::settings(&mut self.adam, settings)));
    }
}

fn adam_w<T: Scalar, L: Link<T>>(
    links: &L,
    step: &crate::StepContext,
    theta: &mut [T],
    gradient: &[T],
    slots: &mut [Buffer<T>],
    range: Range<usize>,
) {
    let scalars = links.scalars(step);
    let slots = views::<L::Slots, T>(slots, range);
    descend(theta, gradient, slots, move |theta, g, slots| L::apply(&scalars, theta, g, slots));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, Segment};
    use downhill_tensor::Seed;

    fn random(len: usize, key: u64) -> Vec<f64> {
        let mut stream = Seed(11).stream(key);
        (0..len).map(|_| stream.uniform() - 0.5).collect()
    }

    fn rule() -> MuonRule {
        Muon::<f64>::new(1.0).rule().clone()
    }

    #[test]
    fn the_iteration_bounds_all_singular_values() {
        for (rows, columns) in [(5_usize, 5_usize), (3, 8), (8, 3), (1, 6), (40, 17)] {
            let mut scratch = vec![0.0; 2 * (rows * columns + rows.min(columns).pow(2))];
            scratch[..rows * columns].copy_from_slice(&random(rows * columns, 1));
            rule().orthogonalise(&mut scratch, rows, columns);
            // The eigenvalues of a Gram matrix lie between 0.68² and 1.14², so its trace does too, size times.
            let trace: f64 = scratch[..rows * columns].iter().map(|x| x * x).sum();
            let size = rows.min(columns) as f64;
            assert!((0.46 * size..1.3 * size).contains(&trace), "{rows}x{columns}: {trace}");
        }
    }

    #[test]
    fn the_layout_in_memory_does_not_matter() {
        let (theta, gradient) = (random(12, 2), random(12, 3));
        let transpose = |x: &[f64]| -> Vec<f64> { (0..12).map(|i| x[(i % 4) * 3 + i / 4]).collect() };
        let step = |theta: &[f64], gradient: &[f64], shape: [usize; 2], transposed: bool| {
            let mut muon = Muon::new(0.1);
            muon.bind(&[Segment::new("w", 0..12, shape).transposed(transposed)]);
            let mut theta = theta.to_vec();
            muon.step(&mut theta, gradient);
            theta
        };
        let plain = step(&theta, &gradient, [4, 3], false);
        let swapped = step(&transpose(&theta), &transpose(&gradient), [3, 4], true);
        for (a, b) in transpose(&plain).iter().zip(&swapped) {
            assert!((a - b).abs() < 1e-13);
        }
    }
}
