use downhill_tensor::normalise::Channels;
use downhill_tensor::{BuildError, Init, Scalar, Shape};

use super::{affine, check};
use crate::Extent::PerBatch;
use crate::errors;
use crate::{Arrays, ArraysMut, Backward, Forward, Layer, Parameter, Signature, single_input};

/// Normalises each channel by its mean and variance over the batch: y = (x − μ) / √(σ² + ε) · weight + bias.
///
/// In training μ and σ² are those of the batch, over its n examples and all places of the channel; in evaluation they
/// are the running ones. With x̂ = (x − μ) r, r = 1/√(σ² + ε), and sums over the n numbers of a channel:
///
/// ```text
/// dJ/dweight = Σ dy x̂        dJ/dbias = Σ dy
/// dJ/dx = r weight (dy − Σ dy / n − x̂ Σ dy x̂ / n)        in evaluation: r weight dy
/// ```
///
/// # Running statistics
/// After a training pass `running_mean` ← (1 − m) `running_mean` + m μ, and `running_var` likewise with the
/// *unbiased* variance σ² n/(n − 1); they start at 0 and 1. The momentum m is the weight of the new value, 0.1 by
/// default; [`cumulative_average`](BatchNorm::cumulative_average) weighs all batches alike.
/// An empty batch changes nothing, nor does one value per channel, which parts of a batch may be in all.
///
/// # Parts of a batch
/// If ranks with a part of the batch each [gather](Signature::gathers), all sums are over the whole batch, and the running
/// statistics are the same on all ranks; dJ/dweight and dJ/dbias are the part's share. Source of the way to join moments:
/// Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
///
/// # Shapes
/// x and y are (batch, channels), (batch, channels, length) or (batch, channels, height, width): the channels are
/// the first axis of an example. weight, bias and the statistics are (channels).
///
/// # Errors
/// An example without axes or with an empty one, an ε that is negative or not finite, and a momentum outside [0, 1]
/// are errors when the network is built. A training pass over one value per channel is refused when it begins.
///
/// # Elsewhere
/// All this is PyTorch's `BatchNorm1d`, `2d` and `3d`. Keras has its momentum 0.99 on the old value, a biased running
/// variance and ε = 1e-3; ONNX has 0.9 on the old value.
///
/// Source: Ioffe and Szegedy 2015 (arXiv 1502.03167).
/// Derivation: `docs/derivations/layers/batch-norm.md`.
///
/// ```
/// use downhill_layers::{BatchNorm, Layer, Mode};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// let mut norm = BatchNorm::new().epsilon(0.0).bind::<f64>([1], Seed(1))?;
/// assert_eq!(norm.forward([[1.0], [3.0]])?, array![[-1.0], [1.0]]);
/// norm.absorb_statistics();
/// assert_eq!(norm.statistics(), [0.2, 1.1, 1.0]); // mean, variance (2 in this batch), number of batches
/// norm.set_mode(Mode::Evaluation);
/// assert_eq!(norm.forward([[0.2]])?, array![[0.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BatchNorm {
    epsilon: f64,
    momentum: Option<f64>,
    affine: bool,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: Some(0.1), affine: true }
    }
}

impl BatchNorm {
    /// Creates a normalisation with ε = 1e-5, a momentum of 0.1, a weight and a bias.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets ε.
        epsilon: f64;
        /// Sets the weight of the new value in the running statistics.
        momentum(momentum: f64) momentum = Some(momentum);
        /// Makes the running statistics the averages over all batches: `momentum=None` in PyTorch.
        cumulative_average() momentum = None;
        /// Leaves weight and bias out.
        no_affine() affine = false;
    }

    fn channels(x: Shape) -> Channels {
        Channels { channels: x[0], plane: x.axes()[1..].iter().product() }
    }

    /// Joins the moments of the parts of a batch: those of one part after another, each a mean and a variance for each
    /// channel and the count.
    fn join<T: Scalar>(&self, parts: &[T], mean: &mut [T], variance: &mut [T], r: &mut [T]) -> f64 {
        let channels = mean.len();
        let parts = parts.chunks_exact(2 * channels + 1);
        let mut whole = 0.0;
        for (channel, ((mean, variance), r)) in mean.iter_mut().zip(variance).zip(r).enumerate() {
            let (mut count, mut centre, mut squares) = (0.0, 0.0, 0.0);
            for part in parts.clone().filter(|part| part[2 * channels] > T::ZERO) {
                let [further, of_part, spread] =
                    [part[2 * channels], part[channel], part[channels + channel]].map(Scalar::to_f64);
                // Σ (x − μ)² of both is that of each about its own mean, and what their means are apart.
                let (sum, apart) = (count + further, of_part - centre);
                squares += further * spread + apart * apart * (count * further / sum);
                centre += apart * (further / sum);
                count = sum;
            }
            let spread = squares / count.max(1.0);
            (*mean, *variance) = (T::from_f64(centre), T::from_f64(spread));
            *r = T::from_f64(1.0 / (spread + self.epsilon).sqrt());
            whole = count;
        }
        whole
    }
}

/// running ← (1 − share) running + share · new, so that what does not change stays as it is.
///
/// In `f64`, and by the difference: weights that are rounded on their own don't sum to 1, and over 10⁶ batches an
/// average would drift by per cents.
fn move_towards<T: Scalar>(running: &mut [T], share: f64, new: impl Iterator<Item = f64>) {
    for (running, new) in running.iter_mut().zip(new) {
        let old = running.to_f64();
        *running = T::from_f64(if share == 1.0 { new } else { old + share * (new - old) });
    }
}

/// Adds up the numbers of all parts of a batch, one part after another.
fn add_up<T: Scalar>(parts: &[T], sums: &mut [T]) {
    let len = sums.len();
    for (place, sum) in sums.iter_mut().enumerate() {
        *sum = T::from_f64(parts.chunks_exact(len).map(|part| part[place].to_f64()).sum());
    }
}

impl Layer for BatchNorm {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("BatchNorm", inputs)?;
        errors::channels("BatchNorm", x)?;
        check("BatchNorm", self.epsilon, x)?;
        if let Some(momentum) = self.momentum.filter(|momentum| !(0.0..=1.0).contains(momentum)) {
            return refuse!(
                "BatchNorm",
                "the momentum is the weight of the new value and must lie in [0, 1], but is {momentum}"
            );
        }
        let Channels { channels, plane } = Self::channels(x);
        let statistic = |name: &'static str, init| Parameter::new(name, [channels], init);
        let each = Shape::from([channels]);
        let moments = channels.saturating_mul(2).saturating_add(1);
        let signature = Signature::new("BatchNorm", x)
            .statistic(statistic("running_mean", Init::Zeros))
            .statistic(statistic("running_var", Init::Ones))
            .statistic(Parameter::new("num_batches_tracked", [], Init::Zeros))
            .saves("mean", each, PerBatch)
            .saves("variance", each, PerBatch)
            .saves("inverse_deviation", each, PerBatch) // r = 1/√(σ² + ε)
            .saves("count", [], PerBatch) // the numbers of each channel; 0 in evaluation
            .forward_scratch("scale", each, PerBatch)
            .forward_scratch("shift", each, PerBatch)
            .forward_scratch("moments", [moments], PerBatch) // those of a part of a batch, and its count
            .backward_scratch("scale", each, PerBatch)
            .backward_scratch("sums", [2, channels], PerBatch) // Σ dy (x − μ) and Σ dy
            .gathers(moments, moments - 1)
            .least_examples(if plane == 1 { 2 } else { 0 })
            .backward_without_y();
        Ok(affine(signature, [channels].into(), self.affine, self.affine))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let x = pass.x[0];
        let sizes = Self::channels(x.shape());
        let [mean, variance, r, count] = pass.saved.vectors();
        if pass.mode.is_training() {
            sizes.moments(x.slice(), self.epsilon, mean, variance, r);
            count[0] = T::from_f64((x.examples() * sizes.plane) as f64);
            if let Some(ranks) = &mut pass.ranks {
                let [_, _, own] = pass.scratch.vectors();
                own[..sizes.channels].copy_from_slice(mean);
                own[sizes.channels..2 * sizes.channels].copy_from_slice(variance);
                own[2 * sizes.channels] = count[0];
                count[0] = T::from_f64(self.join(ranks.all_gather(own), mean, variance, r));
            }
        } else {
            mean.copy_from_slice(pass.statistics.vector(0));
            variance.copy_from_slice(pass.statistics.vector(1));
            for (r, &variance) in r.iter_mut().zip(&*variance) {
                *r = T::ONE / (variance + T::from_f64(self.epsilon)).sqrt();
            }
            count[0] = T::ZERO;
        }
        // y = (x − μ) (r weight) + bias
        let [scale, shift] = pass.scratch.vectors();
        scale.copy_from_slice(r);
        if self.affine {
            scale.iter_mut().zip(pass.params.vector(0)).for_each(|(scale, &weight)| *scale *= weight);
            shift.copy_from_slice(pass.params.vector(1));
        } else {
            shift.fill(T::ZERO);
        }
        sizes.scale(x.slice(), mean, scale, shift, pass.y.slice());
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (x, dy) = (pass.x[0].slice(), pass.dy.slice());
        let sizes = Self::channels(pass.x[0].shape());
        let [mean, _, r, count] = pass.saved.vectors();
        let [scale, sums] = pass.scratch.vectors();
        // Σ dy (x − μ) and Σ dy of each channel
        let (sum_dy_x, sum_dy) = sums.split_at_mut(sizes.channels);
        sizes.sums(x, dy, mean, sum_dy_x, sum_dy);
        if self.affine {
            let [dweight, dbias] = pass.dparams.vectors();
            for ((dweight, &sum), &r) in dweight.iter_mut().zip(&*sum_dy_x).zip(r) {
                *dweight = sum * r;
            }
            dbias.copy_from_slice(sum_dy);
        }
        let Some(dx) = pass.dx.get(0) else { return };
        if let Some(ranks) = pass.ranks.as_mut().filter(|_| count[0] > T::ZERO) {
            add_up(ranks.all_gather(sums), sums);
        }
        let (sum_dy_x, sum_dy) = sums.split_at_mut(sizes.channels);
        // The running statistics of an evaluation pass do not depend on x.
        let share = if count[0] > T::ZERO { T::ONE / count[0] } else { T::ZERO };
        for ((sum_dy_x, sum_dy), &r) in sum_dy_x.iter_mut().zip(&mut *sum_dy).zip(r) {
            // One r after the other: their square may leave the precision's range.
            *sum_dy_x = *sum_dy_x * r * share * r;
            *sum_dy *= share;
        }
        scale.copy_from_slice(r);
        if self.affine {
            scale.iter_mut().zip(pass.params.vector(0)).for_each(|(scale, &weight)| *scale *= weight);
        }
        sizes.backward(x, dy, mean, scale, sum_dy, sum_dy_x, dx.slice());
    }

    fn absorb<T: Scalar>(&self, saved: Arrays<'_, T>, statistics: &mut ArraysMut<'_, T>) {
        let [mean, variance, _, count] = saved.vectors();
        let count = count[0].to_f64();
        // One value has no variance.
        if count < 2.0 {
            return;
        }
        let [running_mean, running_var, batches] = statistics.vectors();
        batches[0] += T::ONE;
        let share = self.momentum.unwrap_or(1.0 / batches[0].to_f64());
        let unbiased = count / (count - 1.0);
        move_towards(running_mean, share, mean.iter().map(|mean| mean.to_f64()));
        move_towards(running_var, share, variance.iter().map(|variance| variance.to_f64() * unbiased));
    }
}
