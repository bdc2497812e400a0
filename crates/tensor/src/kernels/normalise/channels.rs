//! A mean and a variance for each channel, across the batch.

use std::ops::Range;

use crate::reduce::{IN_TURN, in_blocks, lanes};
use crate::{Over, Runs, RunsMut, Scalar, Sweep, parallel_runs};

use super::careful::{Careful, are_exact};
use super::{STRIP, by_channel, over_deviation, plane_sums, planes, strip_sums};

/// Examples of (channels, plane); all numbers of one channel, across the batch, share a mean and a variance.
///
/// ```
/// use downhill_tensor::normalise::Channels;
/// let features = Channels { channels: 2, plane: 1 };
/// let [mut mean, mut variance, mut r] = [[0.0; 2]; 3];
/// features.moments(&[1.0, 5.0, 3.0, 5.0], 0.25, &mut mean, &mut variance, &mut r);
/// assert_eq!((mean, variance, r[1]), ([2.0, 5.0], [1.0, 0.0], 2.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// The channels of one example.
    pub channels: usize,
    /// The numbers of one channel.
    pub plane: usize,
}

impl Channels {
    /// μ = mean(x), σ² = mean((x − μ)²) and r = 1/√(σ² + ε) of each channel; μ and σ² are 0 if there are no examples.
    ///
    /// r is right even if σ² is too large or too small for the precision.
    ///
    /// # Shapes
    /// x: (examples, channels, plane); mean, variance, r: (channels)
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn moments<T: Scalar>(self, x: &[T], epsilon: f64, mean: &mut [T], variance: &mut [T], r: &mut [T]) {
        self.expect(&[mean, variance, r]);
        let (moments, parts) =
            (Moments { channels: self, x, epsilon: T::from_f64(epsilon) }, (0..self.channels, mean, variance, r));
        by_channel(Over(moments, parts), x.len(), self.channels, self.plane);
    }

    /// y = (x − mean) scale + shift.
    ///
    /// # Shapes
    /// x, y: (examples, channels, plane); mean, scale, shift: (channels)
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn scale<T: Scalar>(self, x: &[T], mean: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
        self.expect(&[mean, scale, shift]);
        assert_eq!(x.len(), y.len(), "a normalisation has as many results as arguments");
        let (example, work) = (self.channels * self.plane, x.len());
        let parts = (Runs::new(x, example), RunsMut::new(y, example));
        parallel_runs(Over(Scale { plane: self.plane, mean, scale, shift }, parts), work);
    }

    /// For each channel, `along` = Σ dy (x − mean) and `sum` = Σ dy.
    ///
    /// # Shapes
    /// x, dy: (examples, channels, plane); mean, along, sum: (channels)
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn sums<T: Scalar>(self, x: &[T], dy: &[T], mean: &[T], along: &mut [T], sum: &mut [T]) {
        self.expect(&[mean, along, sum]);
        assert_eq!(x.len(), dy.len(), "a normalisation has as many results as arguments");
        let parts = (0..self.channels, along, sum);
        by_channel(Over(Sums { channels: self, x, dy, mean }, parts), x.len(), self.channels, self.plane);
    }

    /// dx = scale (dy − sum − (x − mean) along).
    ///
    /// # Shapes
    /// x, dy, dx: (examples, channels, plane); mean, scale, sum, along: (channels)
    ///
    /// # Panics
    /// If a length does not fit.
    #[expect(clippy::too_many_arguments, reason = "each stands in the equation")]
    pub fn backward<T: Scalar>(self, x: &[T], dy: &[T], mean: &[T], scale: &[T], sum: &[T], along: &[T], dx: &mut [T]) {
        self.expect(&[mean, scale, sum, along]);
        assert!(x.len() == dy.len() && x.len() == dx.len(), "a normalisation has as many results as arguments");
        let (example, work) = (self.channels * self.plane, 2 * x.len());
        let parts = (Runs::new(x, example), Runs::new(dy, example), RunsMut::new(dx, example));
        parallel_runs(Over(ScaleBack { plane: self.plane, mean, scale, sum, along }, parts), work);
    }

    fn expect<T>(self, vectors: &[&[T]]) {
        assert!(vectors.iter().all(|vector| vector.len() == self.channels), "there is one number for each channel");
    }
}

#[derive(Clone, Copy)]
struct Moments<'a, T> {
    channels: Channels,
    x: &'a [T],
    epsilon: T,
}

type MomentParts<'a, T> = (Range<usize>, &'a mut [T], &'a mut [T], &'a mut [T]);

impl<T: Scalar> Sweep<MomentParts<'_, T>> for Moments<'_, T> {
    #[inline(always)]
    fn sweep(self, (own, mean, variance, r): MomentParts<'_, T>) {
        let Self { channels: Channels { channels, plane }, x, epsilon } = self;
        let first = own.start;
        let count = T::from_f64((x.len() / channels.max(1)).max(1) as f64);
        if plane == 1 {
            let strips = own.step_by(STRIP);
            for (first, (mean, variance)) in strips.zip(mean.chunks_mut(STRIP).zip(variance.chunks_mut(STRIP))) {
                let strip = first..first + mean.len();
                let [mut means] = strip_sums(x, x, channels, strip.clone(), |_, _, x, _| [x]);
                means.iter_mut().for_each(|mean| *mean /= count);
                let [squares] = strip_sums(x, x, channels, strip, |_, j, x, _| [(x - means[j]) * (x - means[j])]);
                mean.copy_from_slice(&means[..mean.len()]);
                variance.iter_mut().zip(squares).for_each(|(variance, square)| *variance = square / count);
            }
        } else {
            for (channel, (mean, variance)) in own.zip(mean.iter_mut().zip(&mut *variance)) {
                let place = (channel, channels, plane);
                let [sum] = plane_sums!(1 of x, x, place, |_, x, _| [lanes::map_sum(x, |x| x)]);
                let centre = sum / count;
                let squares =
                    plane_sums!(1 of x, x, place, |_, x, _| [lanes::map_sum(x, |x| (x - centre) * (x - centre))]);
                (*mean, *variance) = (centre, squares[0] / count);
            }
        }
        let mut exact = true;
        for ((r, &mean), &variance) in r.iter_mut().zip(&*mean).zip(&*variance) {
            *r = over_deviation(variance, epsilon);
            exact &= are_exact(mean, variance, epsilon);
        }
        if exact {
            return;
        }
        for (index, ((mean, variance), r)) in mean.iter_mut().zip(variance).zip(r).enumerate() {
            if !are_exact(*mean, *variance, epsilon) {
                let (first, length, stride) = ((first + index) * plane, plane, channels * plane);
                let channel = Careful { x, first, length, stride, centred: true, epsilon };
                [*mean, *variance, *r] = channel.moments();
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Scale<'a, T> {
    plane: usize,
    mean: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Scale<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        let Self { plane, mean, scale, shift } = self;
        for (x, y) in x.iter().zip(y.iter_mut()) {
            let channels = mean.iter().zip(scale).zip(shift);
            if plane == 1 {
                for ((y, &x), ((&mean, &scale), &shift)) in y.iter_mut().zip(x).zip(channels) {
                    *y = (x - mean) * scale + shift;
                }
            } else {
                let planes = y.chunks_exact_mut(plane).zip(x.chunks_exact(plane));
                for ((y, x), ((&mean, &scale), &shift)) in planes.zip(channels) {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = (x - mean) * scale + shift;
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Sums<'a, T> {
    channels: Channels,
    x: &'a [T],
    dy: &'a [T],
    mean: &'a [T],
}

impl<T: Scalar> Sweep<(Range<usize>, &mut [T], &mut [T])> for Sums<'_, T> {
    #[inline(always)]
    fn sweep(self, (own, along, sum): (Range<usize>, &mut [T], &mut [T])) {
        let Self { channels: Channels { channels, plane }, x, dy, mean } = self;
        if plane == 1 {
            let strips = own.clone().step_by(STRIP);
            for (first, (along, sum)) in strips.zip(along.chunks_mut(STRIP).zip(sum.chunks_mut(STRIP))) {
                let strip = first..first + sum.len();
                let mut means = [T::ZERO; STRIP];
                means[..strip.len()].copy_from_slice(&mean[strip.clone()]);
                let sums = strip_sums(x, dy, channels, strip, |_, j, x, dy| [dy * (x - means[j]), dy]);
                along.copy_from_slice(&sums[0][..along.len()]);
                sum.copy_from_slice(&sums[1][..sum.len()]);
            }
        } else {
            for (channel, (along, sum)) in own.zip(along.iter_mut().zip(sum)) {
                let mean = mean[channel];
                [*along, *sum] = plane_sums!(2 of x, dy, (channel, channels, plane), |_, x, dy| {
                    [lanes::zip_sum(dy, x, |dy, x| dy * (x - mean)), lanes::map_sum(dy, |dy| dy)]
                });
            }
        }
    }
}

#[derive(Clone, Copy)]
struct ScaleBack<'a, T> {
    plane: usize,
    mean: &'a [T],
    scale: &'a [T],
    sum: &'a [T],
    along: &'a [T],
}

impl<T: Scalar> Sweep<(Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)> for ScaleBack<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, dy, dx): (Runs<'_, T>, Runs<'_, T>, RunsMut<'_, T>)) {
        let Self { plane, mean, scale, sum, along } = self;
        for ((x, dy), dx) in x.iter().zip(dy.iter()).zip(dx.iter_mut()) {
            let channels = mean.iter().zip(scale).zip(sum.iter().zip(along));
            if plane == 1 {
                for ((dx, (&x, &dy)), ((&mean, &scale), (&sum, &along))) in
                    dx.iter_mut().zip(x.iter().zip(dy)).zip(channels)
                {
                    *dx = scale * (dy - sum - (x - mean) * along);
                }
            } else {
                let planes = dx.chunks_exact_mut(plane).zip(x.chunks_exact(plane).zip(dy.chunks_exact(plane)));
                for ((dx, (x, dy)), ((&mean, &scale), (&sum, &along))) in planes.zip(channels) {
                    for (dx, (&x, &dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                        *dx = scale * (dy - sum - (x - mean) * along);
                    }
                }
            }
        }
    }
}
