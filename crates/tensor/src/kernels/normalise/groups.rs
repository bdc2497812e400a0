//! A mean and a variance for each group within an example.

use std::ops::Range;

use crate::reduce::{IN_TURN, in_blocks, lanes};
use crate::{Over, Runs, RunsMut, Scalar, Sweep, parallel_runs};

use super::careful::{Careful, are_exact};
use super::{STRIP, by_channel, over_deviation, plane_sums, planes, strip_sums};

/// Examples of (groups, channels, plane); all numbers of one group of one example share a mean and a variance.
///
/// ```
/// use downhill_tensor::normalise::NormGroups;
/// let rows = NormGroups { groups: 1, channels: 3, plane: 1, epsilon: 0.0, centred: true };
/// let (mut moments, mut y) = ([0.0; 2], [0.0; 3]);
/// rows.forward(&[1.0, 3.0, 5.0], None, None, &mut moments, &mut y);
/// assert_eq!(moments[0], 3.0);
/// assert!((y[2] - 1.5f64.sqrt()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormGroups {
    /// The groups of one example.
    pub groups: usize,
    /// The channels of one group; each has its own weight and bias.
    pub channels: usize,
    /// The numbers of one channel.
    pub plane: usize,
    /// The number that is added to the variance.
    pub epsilon: f64,
    /// Whether the mean is subtracted; if not, 0 stands in its place.
    pub centred: bool,
}

impl NormGroups {
    /// The numbers of one group.
    fn group(self) -> usize {
        self.channels * self.plane
    }

    /// The numbers of one example.
    fn example(self) -> usize {
        self.groups * self.group()
    }

    /// Checks the lengths: whole examples, two moments for each group, and vectors with a number for each channel.
    fn expect<T>(self, x: &[T], same: &[&[T]], moments: &[T], vectors: &[Option<&[T]>]) {
        assert!(same.iter().all(|same| same.len() == x.len()), "a normalisation has as many results as arguments");
        let examples = x.len() / self.example().max(1);
        assert_eq!(x.len(), examples * self.example(), "a batch holds whole examples");
        assert_eq!(moments.len(), 2 * examples * self.groups, "each group has a mean and a deviation");
        let channels = self.groups * self.channels;
        assert!(
            vectors.iter().flatten().all(|vector| vector.len() == channels),
            "there is one number for each channel"
        );
    }

    /// y = (x − μ) r · weight + bias, with r = 1/√(σ² + ε); keeps μ and r of each group in `moments`.
    ///
    /// # Shapes
    /// x, y: (examples, groups, channels, plane); weight, bias: (groups, channels); moments: (examples, groups, 2)
    ///
    /// # Panics
    /// If a length does not fit, or there is a bias without a weight.
    pub fn forward<T: Scalar>(self, x: &[T], weight: Option<&[T]>, bias: Option<&[T]>, moments: &mut [T], y: &mut [T]) {
        self.expect(x, &[y], moments, &[weight, bias]);
        assert!(weight.is_some() || bias.is_none(), "a bias comes with a weight");
        let (example, work) = (self.example(), 4 * x.len());
        let parts = (Runs::new(x, example), RunsMut::new(moments, 2 * self.groups), RunsMut::new(y, example));
        parallel_runs(Over(Forward { groups: self, weight, bias }, parts), work);
    }

    /// With g = dy · weight and x̂ = (x − μ) r, and means over the group: dx = r (g − mean(g) − x̂ mean(g x̂)).
    /// Without a centre there is no mean(g).
    ///
    /// # Shapes
    /// As for [`forward`](NormGroups::forward).
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn backward<T: Scalar>(self, x: &[T], dy: &[T], weight: Option<&[T]>, moments: &[T], dx: &mut [T]) {
        self.expect(x, &[dy, dx], moments, &[weight]);
        let (example, work) = (self.example(), 4 * x.len());
        let (x, dy, dx) = (Runs::new(x, example), Runs::new(dy, example), RunsMut::new(dx, example));
        let parts = (x, dy, Runs::new(moments, 2 * self.groups), dx);
        parallel_runs(Over(Backward { groups: self, weight }, parts), work);
    }

    /// For each channel, dweight = Σ dy x̂ and dbias = Σ dy, over the batch and the plane.
    ///
    /// # Shapes
    /// As for [`forward`](NormGroups::forward).
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn backward_affine<T: Scalar>(
        self,
        x: &[T],
        dy: &[T],
        moments: &[T],
        dweight: &mut [T],
        dbias: Option<&mut [T]>,
    ) {
        self.expect(x, &[dy], moments, &[Some(&*dweight), dbias.as_deref()]);
        let channels = self.groups * self.channels;
        let parts = (0..channels, dweight, dbias);
        by_channel(Over(AffineGradients { groups: self, x, dy, moments }, parts), x.len(), channels, self.plane);
    }
}

#[derive(Clone, Copy)]
struct Forward<'a, T> {
    groups: NormGroups,
    weight: Option<&'a [T]>,
    bias: Option<&'a [T]>,
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>, RunsMut<'_, T>)> for Forward<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, moments, y): (Runs<'_, T>, RunsMut<'_, T>, RunsMut<'_, T>)) {
        let NormGroups { channels, plane, epsilon, centred, .. } = self.groups;
        let length = self.groups.group();
        let (count, epsilon) = (T::from_f64(length as f64), T::from_f64(epsilon));
        for ((x, moments), y) in x.iter().zip(moments.iter_mut()).zip(y.iter_mut()) {
            let groups = x.chunks_exact(length).zip(moments.chunks_exact_mut(2)).zip(y.chunks_exact_mut(length));
            for (group, ((x, moments), y)) in groups.enumerate() {
                let mut mean = if centred { lanes::map_sum(x, |x| x) / count } else { T::ZERO };
                let variance = lanes::map_sum(x, |x| (x - mean) * (x - mean)) / count;
                let mut r = over_deviation(variance, epsilon);
                if !are_exact(mean, variance, epsilon) {
                    let all = Careful { x, first: 0, length, stride: length, centred, epsilon };
                    [mean, _, r] = all.moments();
                }
                moments.copy_from_slice(&[mean, r]);
                let own = group * channels..(group + 1) * channels;
                let (weight, bias) = (self.weight.map(|w| &w[own.clone()]), self.bias.map(|b| &b[own]));
                if plane == 1 {
                    match (weight, bias) {
                        (Some(weight), Some(bias)) => {
                            for (y, ((&x, &w), &b)) in y.iter_mut().zip(x.iter().zip(weight).zip(bias)) {
                                *y = (x - mean) * r * w + b;
                            }
                        }
                        (Some(weight), None) => {
                            for (y, (&x, &w)) in y.iter_mut().zip(x.iter().zip(weight)) {
                                *y = (x - mean) * r * w;
                            }
                        }
                        (None, _) => {
                            for (y, &x) in y.iter_mut().zip(x) {
                                *y = (x - mean) * r;
                            }
                        }
                    }
                } else {
                    let planes = x.chunks_exact(plane).zip(y.chunks_exact_mut(plane));
                    for (channel, (x, y)) in planes.enumerate() {
                        let scale = weight.map_or(r, |w| r * w[channel]);
                        let shift = bias.map_or(T::ZERO, |b| b[channel]);
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = (x - mean) * scale + shift;
                        }
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Backward<'a, T> {
    groups: NormGroups,
    weight: Option<&'a [T]>,
}

type BackwardParts<'a, T> = (Runs<'a, T>, Runs<'a, T>, Runs<'a, T>, RunsMut<'a, T>);

impl<T: Scalar> Sweep<BackwardParts<'_, T>> for Backward<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, dy, moments, dx): BackwardParts<'_, T>) {
        let NormGroups { channels, plane, centred, .. } = self.groups;
        let length = self.groups.group();
        let count = T::from_f64(length as f64);
        for (((x, dy), moments), dx) in x.iter().zip(dy.iter()).zip(moments.iter()).zip(dx.iter_mut()) {
            let groups = x.chunks_exact(length).zip(dy.chunks_exact(length));
            let groups = groups.zip(moments.chunks_exact(2)).zip(dx.chunks_exact_mut(length));
            for (group, (((x, dy), moments), dx)) in groups.enumerate() {
                let (mean, r) = (moments[0], moments[1]);
                let weight = self.weight.map(|w| &w[group * channels..(group + 1) * channels]);
                if plane == 1 {
                    // g, in dx's place
                    match weight {
                        Some(weight) => {
                            for (g, (&dy, &w)) in dx.iter_mut().zip(dy.iter().zip(weight)) {
                                *g = dy * w;
                            }
                        }
                        None => dx.copy_from_slice(dy),
                    }
                    let along = lanes::zip_sum(dx, x, |g, x| g * (x - mean)) * r / count * r;
                    let sum = if centred { lanes::map_sum(dx, |g| g) / count } else { T::ZERO };
                    for (dx, &x) in dx.iter_mut().zip(x) {
                        *dx = r * (*dx - sum - (x - mean) * along);
                    }
                } else {
                    let of = |channel: usize| weight.map_or(T::ONE, |w| w[channel]);
                    let [mut along, mut sum] = plane_sums!(2 of x, dy, (0, 1, plane), |channel, x, dy| {
                        let along = lanes::zip_sum(dy, x, |dy, x| dy * (x - mean));
                        [of(channel) * along, of(channel) * lanes::map_sum(dy, |dy| dy)]
                    });
                    along = along * r / count * r;
                    sum = if centred { sum / count } else { T::ZERO };
                    let planes = x.chunks_exact(plane).zip(dy.chunks_exact(plane)).zip(dx.chunks_exact_mut(plane));
                    for (channel, ((x, dy), dx)) in planes.enumerate() {
                        let w = of(channel);
                        for (dx, (&x, &dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                            *dx = r * (w * dy - sum - (x - mean) * along);
                        }
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct AffineGradients<'a, T> {
    groups: NormGroups,
    x: &'a [T],
    dy: &'a [T],
    moments: &'a [T],
}

type AffineParts<'a, T> = (Range<usize>, &'a mut [T], Option<&'a mut [T]>);

impl<T: Scalar> Sweep<AffineParts<'_, T>> for AffineGradients<'_, T> {
    #[inline(always)]
    fn sweep(self, (own, dweight, mut dbias): AffineParts<'_, T>) {
        let Self { groups: NormGroups { groups, channels, plane, .. }, x, dy, moments } = self;
        let all = groups * channels;
        let mut write = |first: usize, sums: [&[T]; 2], count: usize| {
            let place = first - own.start..first - own.start + count;
            dweight[place.clone()].copy_from_slice(&sums[0][..count]);
            if let Some(dbias) = dbias.as_deref_mut() {
                dbias[place].copy_from_slice(&sums[1][..count]);
            }
        };
        let mut first = own.start;
        while first < own.end {
            let group = first / channels;
            let moments = |example: usize| {
                let moments = &moments[2 * (example * groups + group)..][..2];
                (moments[0], moments[1])
            };
            if plane == 1 {
                let strip = first..own.end.min((group + 1) * channels).min(first + STRIP);
                let sums = strip_sums(x, dy, all, strip.clone(), |example, _, x, dy| {
                    let (mean, r) = moments(example);
                    [dy * ((x - mean) * r), dy]
                });
                write(first, sums.each_ref().map(|sums| &sums[..]), strip.len());
                first = strip.end;
            } else {
                let sums = plane_sums!(2 of x, dy, (first, all, plane), |example, x, dy| {
                    let (mean, r) = moments(example);
                    [r * lanes::zip_sum(dy, x, |dy, x| dy * (x - mean)), lanes::map_sum(dy, |dy| dy)]
                });
                write(first, sums.each_ref().map(std::slice::from_ref), 1);
                first += 1;
            }
        }
    }
}
