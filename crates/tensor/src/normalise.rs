//! Normalisation: numbers less their mean, over their deviation, and the way back.
//!
//! A batch is (examples, channels, plane): `plane` numbers of one channel lie side by side, one where an example is a
//! vector. [`Groups`] share a mean and a variance within an example, as in layer and group normalisation;
//! [`Channels`] share them across the batch, as in batch normalisation.
//!
//! A variance is the mean square of what is left when the mean is subtracted, so it keeps its digits where the mean
//! is large. All sums have an order that shapes alone decide; threads share examples, or channels.

use std::ops::Range;

use crate::reduce::lanes;
use crate::{Over, Runs, RunsMut, Scalar, Sweep, elementwise, parallel, parallel_runs};

/// So many columns of a matrix are summed at once: their sums stay in registers while the rows go by.
const STRIP: usize = 32;

/// Examples of (groups, channels, plane); all numbers of one group of one example share a mean and a variance.
///
/// ```
/// use downhill_tensor::normalise::Groups;
/// let rows = Groups { groups: 1, channels: 3, plane: 1, epsilon: 0.0, centred: true };
/// let (mut moments, mut y) = ([0.0; 2], [0.0; 3]);
/// rows.forward(&[1.0, 3.0, 5.0], None, None, &mut moments, &mut y);
/// assert_eq!(moments[0], 3.0);
/// assert!((y[2] - 1.5f64.sqrt()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Groups {
    /// The groups of one example.
    pub groups: usize,
    /// The channels of one group; each has a weight and a bias of its own.
    pub channels: usize,
    /// The numbers of one channel.
    pub plane: usize,
    /// What is added to the variance.
    pub epsilon: f64,
    /// Whether the mean is subtracted; if not, 0 stands in its place.
    pub centred: bool,
}

impl Groups {
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
    /// Where a length does not fit, or there is a bias without a weight.
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
    /// As for [`forward`](Groups::forward).
    ///
    /// # Panics
    /// Where a length does not fit.
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
    /// As for [`forward`](Groups::forward).
    ///
    /// # Panics
    /// Where a length does not fit.
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

/// Shares channels among threads.
fn by_channel<K: crate::Divisible>(kernel: K, numbers: usize, channels: usize, plane: usize) {
    if plane == 1 {
        // In whole strips.
        parallel(kernel, elementwise::GRAIN / (numbers / channels.max(1)).max(1));
    } else {
        parallel_runs(kernel, 2 * numbers);
    }
}

#[derive(Clone, Copy)]
struct Forward<'a, T> {
    groups: Groups,
    weight: Option<&'a [T]>,
    bias: Option<&'a [T]>,
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>, RunsMut<'_, T>)> for Forward<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, moments, y): (Runs<'_, T>, RunsMut<'_, T>, RunsMut<'_, T>)) {
        let Groups { channels, plane, epsilon, centred, .. } = self.groups;
        let length = self.groups.group();
        let (count, epsilon) = (T::of(length as f64), T::of(epsilon));
        for ((x, moments), y) in x.iter().zip(moments.iter_mut()).zip(y.iter_mut()) {
            let groups = x.chunks_exact(length).zip(moments.chunks_exact_mut(2)).zip(y.chunks_exact_mut(length));
            for (group, ((x, moments), y)) in groups.enumerate() {
                let mean = if centred { lanes::map_sum(x, |x| x) / count } else { T::ZERO };
                let variance = lanes::map_sum(x, |x| (x - mean) * (x - mean)) / count;
                let r = T::ONE / (variance + epsilon).sqrt();
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
    groups: Groups,
    weight: Option<&'a [T]>,
}

type BackwardParts<'a, T> = (Runs<'a, T>, Runs<'a, T>, Runs<'a, T>, RunsMut<'a, T>);

impl<T: Scalar> Sweep<BackwardParts<'_, T>> for Backward<'_, T> {
    #[inline(always)]
    fn sweep(self, (x, dy, moments, dx): BackwardParts<'_, T>) {
        let Groups { channels, plane, centred, .. } = self.groups;
        let length = self.groups.group();
        let count = T::of(length as f64);
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
                    let along = lanes::zip_sum(dx, x, |g, x| g * (x - mean)) * r * r / count;
                    let sum = if centred { lanes::map_sum(dx, |g| g) / count } else { T::ZERO };
                    for (dx, &x) in dx.iter_mut().zip(x) {
                        *dx = r * (*dx - sum - (x - mean) * along);
                    }
                } else {
                    let of = |channel: usize| weight.map_or(T::ONE, |w| w[channel]);
                    let (mut along, mut sum) = (T::ZERO, T::ZERO);
                    for (channel, (x, dy)) in x.chunks_exact(plane).zip(dy.chunks_exact(plane)).enumerate() {
                        along += of(channel) * lanes::zip_sum(dy, x, |dy, x| dy * (x - mean));
                        sum += of(channel) * lanes::map_sum(dy, |dy| dy);
                    }
                    along = along * r * r / count;
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
    groups: Groups,
    x: &'a [T],
    dy: &'a [T],
    moments: &'a [T],
}

type AffineParts<'a, T> = (Range<usize>, &'a mut [T], Option<&'a mut [T]>);

impl<T: Scalar> Sweep<AffineParts<'_, T>> for AffineGradients<'_, T> {
    #[inline(always)]
    fn sweep(self, (own, dweight, mut dbias): AffineParts<'_, T>) {
        let Self { groups: Groups { groups, channels, plane, .. }, x, dy, moments } = self;
        let all = groups * channels;
        let mut write = |first: usize, sums: &[[T; STRIP]; 2], count: usize| {
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
                write(first, &sums, strip.len());
                first = strip.end;
            } else {
                let mut sums = [[T::ZERO; STRIP]; 2];
                for (example, (x, dy)) in planes(x, first, all, plane).zip(planes(dy, first, all, plane)).enumerate() {
                    let (mean, r) = moments(example);
                    sums[0][0] += r * lanes::zip_sum(dy, x, |dy, x| dy * (x - mean));
                    sums[1][0] += lanes::map_sum(dy, |dy| dy);
                }
                write(first, &sums, 1);
                first += 1;
            }
        }
    }
}

/// The numbers of one channel, example after example.
#[inline(always)]
fn planes<T>(x: &[T], channel: usize, channels: usize, plane: usize) -> impl Iterator<Item = &[T]> {
    x.chunks_exact(channels * plane).map(move |x| &x[channel * plane..(channel + 1) * plane])
}

/// For each column j of a strip of two matrices, Σᵢ of the terms that `term` makes of i, j, aᵢⱼ and bᵢⱼ;
/// to it, j counts from the start of the strip.
#[inline(always)]
fn strip_sums<T: Scalar, const N: usize>(
    a: &[T],
    b: &[T],
    columns: usize,
    strip: Range<usize>,
    term: impl Fn(usize, usize, T, T) -> [T; N],
) -> [[T; STRIP]; N] {
    let mut sums = [[T::ZERO; STRIP]; N];
    let rows = a.chunks_exact(columns).zip(b.chunks_exact(columns)).enumerate();
    if strip.len() == STRIP {
        for (i, (a, b)) in rows {
            let (a, b) = (&a[strip.start..strip.start + STRIP], &b[strip.start..strip.start + STRIP]);
            for j in 0..STRIP {
                let terms = term(i, j, a[j], b[j]);
                for n in 0..N {
                    sums[n][j] += terms[n];
                }
            }
        }
    } else {
        for (i, (a, b)) in rows {
            for (j, (&a, &b)) in a[strip.clone()].iter().zip(&b[strip.clone()]).enumerate() {
                let terms = term(i, j, a, b);
                for n in 0..N {
                    sums[n][j] += terms[n];
                }
            }
        }
    }
    sums
}

/// Examples of (channels, plane); all numbers of one channel, across the batch, share a mean and a variance.
///
/// ```
/// use downhill_tensor::normalise::Channels;
/// let features = Channels { channels: 2, plane: 1 };
/// let (mut mean, mut variance) = ([0.0; 2], [0.0; 2]);
/// features.moments(&[1.0, 5.0, 3.0, 5.0], &mut mean, &mut variance);
/// assert_eq!((mean, variance), ([2.0, 5.0], [1.0, 0.0]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// The channels of one example.
    pub channels: usize,
    /// The numbers of one channel.
    pub plane: usize,
}

impl Channels {
    /// μ = mean(x) and σ² = mean((x − μ)²) of each channel; 0 where there are no examples.
    ///
    /// # Shapes
    /// x: (examples, channels, plane); mean, variance: (channels)
    ///
    /// # Panics
    /// Where a length does not fit.
    pub fn moments<T: Scalar>(self, x: &[T], mean: &mut [T], variance: &mut [T]) {
        self.expect(&[mean, variance]);
        let parts = (0..self.channels, mean, variance);
        by_channel(Over(Moments { channels: self, x }, parts), x.len(), self.channels, self.plane);
    }

    /// y = (x − mean) scale + shift.
    ///
    /// # Shapes
    /// x, y: (examples, channels, plane); mean, scale, shift: (channels)
    ///
    /// # Panics
    /// Where a length does not fit.
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
    /// Where a length does not fit.
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
    /// Where a length does not fit.
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
}

impl<T: Scalar> Sweep<(Range<usize>, &mut [T], &mut [T])> for Moments<'_, T> {
    #[inline(always)]
    fn sweep(self, (own, mean, variance): (Range<usize>, &mut [T], &mut [T])) {
        let Self { channels: Channels { channels, plane }, x } = self;
        let count = T::of((x.len() / channels.max(1)).max(1) as f64);
        if plane == 1 {
            let strips = own.clone().step_by(STRIP);
            for (first, (mean, variance)) in strips.zip(mean.chunks_mut(STRIP).zip(variance.chunks_mut(STRIP))) {
                let strip = first..first + mean.len();
                let [mut means] = strip_sums(x, x, channels, strip.clone(), |_, _, x, _| [x]);
                means.iter_mut().for_each(|mean| *mean /= count);
                let [squares] = strip_sums(x, x, channels, strip, |_, j, x, _| [(x - means[j]) * (x - means[j])]);
                mean.copy_from_slice(&means[..mean.len()]);
                variance.iter_mut().zip(squares).for_each(|(variance, square)| *variance = square / count);
            }
        } else {
            for (channel, (mean, variance)) in own.zip(mean.iter_mut().zip(variance)) {
                let mut sum = T::ZERO;
                for x in planes(x, channel, channels, plane) {
                    sum += lanes::map_sum(x, |x| x);
                }
                let centre = sum / count;
                let mut squares = T::ZERO;
                for x in planes(x, channel, channels, plane) {
                    squares += lanes::map_sum(x, |x| (x - centre) * (x - centre));
                }
                (*mean, *variance) = (centre, squares / count);
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
                (*along, *sum) = (T::ZERO, T::ZERO);
                for (x, dy) in planes(x, channel, channels, plane).zip(planes(dy, channel, channels, plane)) {
                    *along += lanes::zip_sum(dy, x, |dy, x| dy * (x - mean));
                    *sum += lanes::map_sum(dy, |dy| dy);
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::threads::Threads;

    /// (examples, groups, channels, plane): vectors and planes, one and many of each, at the edges of strips.
    const SIZES: [(usize, usize, usize, usize); 14] = [
        (0, 1, 3, 1),
        (1, 1, 1, 1),
        (5, 1, 1, 1),
        (1, 1, 7, 1),
        (3, 2, 5, 1),
        (4, 1, 31, 1),
        (6, 1, 32, 1),
        (7, 1, 33, 1),
        (300, 1, 128, 1),
        (2, 2, 40, 1),
        (2, 1, 3, 2),
        (3, 4, 1, 49),
        (2, 3, 2, 33),
        (4, 2, 8, 400),
    ];

    fn numbers<T: Scalar>(count: usize, key: u64) -> Vec<T> {
        let mut stream = Seed(3).stream(key);
        (0..count).map(|_| T::of(4.0 * stream.uniform() - 1.0)).collect()
    }

    fn wide<T: Scalar>(x: &[T]) -> Vec<f64> {
        x.iter().map(|x| x.to_f64()).collect()
    }

    fn close<T: Scalar>(what: &str, found: &[T], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let norm = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
        let error = wide(found).iter().zip(expected).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        // The naive sums lose digits too; what is 0 but for rounding is compared with 1.
        assert!(error <= 200.0 * T::EPSILON.to_f64() * norm.max(1.0), "{what}: {error:e} beside {norm:e}");
    }

    /// μ and r of the numbers of `x` that `of` chooses.
    fn plain_moments(x: &[f64], of: impl Fn(usize) -> bool, epsilon: f64, centred: bool) -> (f64, f64) {
        let chosen: Vec<f64> = x.iter().enumerate().filter(|(i, _)| of(*i)).map(|(_, &x)| x).collect();
        let count = chosen.len() as f64;
        let mean = if centred { chosen.iter().sum::<f64>() / count } else { 0.0 };
        let variance = chosen.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        (mean, 1.0 / (variance + epsilon).sqrt())
    }

    fn check_groups<T: Scalar>(centred: bool, affine: bool) {
        for (examples, groups, channels, plane) in SIZES {
            let settings = Groups { groups, channels, plane, epsilon: 0.1, centred };
            let (length, all) = (channels * plane, groups * channels);
            let count = examples * groups * length;
            let (x, dy) = (numbers::<T>(count, 0), numbers::<T>(count, 1));
            let (w, b) = (numbers::<T>(all, 2), numbers::<T>(all, 3));
            let run = || {
                let (weight, bias) = (affine.then_some(&w[..]), (affine && centred).then_some(&b[..]));
                let nan = |count: usize| vec![T::NAN; count];
                let (mut moments, mut y, mut dx) = (nan(2 * examples * groups), nan(count), nan(count));
                let (mut dw, mut db) = (nan(all), nan(all));
                settings.forward(&x, weight, bias, &mut moments, &mut y);
                settings.backward(&x, &dy, weight, &moments, &mut dx);
                settings.backward_affine(&x, &dy, &moments, &mut dw, Some(&mut db));
                let mut alone = nan(all);
                settings.backward_affine(&x, &dy, &moments, &mut alone, None);
                assert_eq!(alone, dw);
                [moments, y, dx, dw, db]
            };
            let found = run();
            assert_eq!(Threads::new(3).unwrap().run(run), found, "on threads");

            let (x, dy, w, b) = (wide(&x), wide(&dy), wide(&w), wide(&b));
            let (mut y, mut dx, mut dw, mut db) = (vec![0.0; count], vec![0.0; count], vec![0.0; all], vec![0.0; all]);
            for group in 0..examples * groups {
                let (mean, r) = plain_moments(&x, |i| i / length == group, 0.1, centred);
                let of = |i: usize| (i / plane) % all;
                let numbers = group * length..(group + 1) * length;
                let gain = |i: usize| if affine { w[of(i)] } else { 1.0 };
                let hat = |i: usize| (x[i] - mean) * r;
                let sum = numbers.clone().map(|i| gain(i) * dy[i]).sum::<f64>() / length as f64;
                let along = numbers.clone().map(|i| gain(i) * dy[i] * hat(i)).sum::<f64>() / length as f64;
                for i in numbers {
                    y[i] = hat(i) * gain(i) + if affine && centred { b[of(i)] } else { 0.0 };
                    dx[i] = r * (gain(i) * dy[i] - if centred { sum } else { 0.0 } - hat(i) * along);
                    dw[of(i)] += dy[i] * hat(i);
                    db[of(i)] += dy[i];
                }
            }
            let of = |what| format!("{what} of {settings:?}");
            close(&of("y"), &found[1], &y);
            close(&of("dx"), &found[2], &dx);
            close(&of("dweight"), &found[3], &dw);
            close(&of("dbias"), &found[4], &db);
        }
    }

    #[test]
    fn groups_are_those_of_the_naive_sums() {
        for (centred, affine) in [(true, true), (true, false), (false, true), (false, false)] {
            check_groups::<f32>(centred, affine);
            check_groups::<f64>(centred, affine);
        }
    }

    fn check_channels<T: Scalar>() {
        for (examples, groups, channels, plane) in SIZES {
            let channels = Channels { channels: groups * channels, plane };
            let (all, count) = (channels.channels, examples * channels.channels * plane);
            let (x, dy) = (numbers::<T>(count, 0), numbers::<T>(count, 1));
            let vectors: Vec<Vec<T>> = (2..5).map(|key| numbers(all, key)).collect();
            let run = || {
                let nan = |count: usize| vec![T::NAN; count];
                let [mut mean, mut variance, mut along, mut sum] = [nan(all), nan(all), nan(all), nan(all)];
                let (mut y, mut dx) = (nan(count), nan(count));
                channels.moments(&x, &mut mean, &mut variance);
                channels.scale(&x, &mean, &vectors[0], &vectors[1], &mut y);
                channels.sums(&x, &dy, &mean, &mut along, &mut sum);
                channels.backward(&x, &dy, &mean, &vectors[0], &vectors[1], &vectors[2], &mut dx);
                [mean, variance, along, sum, y, dx]
            };
            let found = run();
            assert_eq!(Threads::new(3).unwrap().run(run), found, "on threads");

            let (x, dy) = (wide(&x), wide(&dy));
            let [scale, shift, slope] = [0, 1, 2].map(|i| wide(&vectors[i]));
            let of = |i: usize| (i / plane) % all;
            let sum =
                |channel: usize, f: &dyn Fn(usize) -> f64| (0..count).filter(|&i| of(i) == channel).map(f).sum::<f64>();
            let each = |f: &dyn Fn(usize) -> f64| (0..all).map(f).collect::<Vec<f64>>();
            let number = (examples * plane).max(1) as f64;
            let mean = each(&|c| sum(c, &|i| x[i]) / number);
            let off = |i: usize| x[i] - mean[of(i)];
            let expected = [
                mean.clone(),
                each(&|c| sum(c, &|i| off(i) * off(i)) / number),
                each(&|c| sum(c, &|i| dy[i] * off(i))),
                each(&|c| sum(c, &|i| dy[i])),
                (0..count).map(|i| off(i) * scale[of(i)] + shift[of(i)]).collect(),
                (0..count).map(|i| scale[of(i)] * (dy[i] - shift[of(i)] - off(i) * slope[of(i)])).collect(),
            ];
            let names = ["mean", "variance", "along", "sum", "y", "dx"];
            for ((name, found), expected) in names.iter().zip(&found).zip(&expected) {
                close(&format!("{name} of {channels:?}"), found, expected);
            }
        }
    }

    #[test]
    fn channels_are_those_of_the_naive_sums() {
        check_channels::<f32>();
        check_channels::<f64>();
    }

    #[test]
    fn a_large_mean_takes_no_digits_from_the_variance() {
        let x: Vec<f32> = (0..64).map(|i| 1e4 + (i % 2) as f32).collect();
        let (mut mean, mut variance) = ([0.0], [0.0]);
        for plane in [1, 64] {
            Channels { channels: 1, plane }.moments(&x, &mut mean, &mut variance);
            assert_eq!((mean, variance), ([10_000.5], [0.25]));
        }
    }

    #[test]
    fn constants_become_zeros() {
        let (mut moments, mut y) = ([f64::NAN; 2], [f64::NAN; 5]);
        let row = Groups { groups: 1, channels: 5, plane: 1, epsilon: 1e-5, centred: true };
        row.forward(&[3.0; 5], None, None, &mut moments, &mut y);
        assert_eq!(y, [0.0; 5]);
    }
}
