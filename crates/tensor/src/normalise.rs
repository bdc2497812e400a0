//! Normalisation: numbers less their mean, over their deviation, and the way back.
//!
//! A batch is (examples, channels, plane): `plane` numbers of one channel lie side by side, one where an example is a
//! vector. [`Groups`] share a mean and a variance within an example, as in layer and group normalisation;
//! [`Channels`] share them across the batch, as in batch normalisation.
//!
//! A variance is the mean square of what is left when the mean is subtracted, so it keeps its digits where the mean
//! is large. All sums have an order that shapes alone decide; threads share examples, or channels.

use std::ops::Range;

use crate::{Divisible, Scalar, elementwise, parallel, parallel_runs};

mod channels;
mod groups;

pub use channels::Channels;
pub use groups::Groups;

/// So many columns of a matrix are summed at once: their sums stay in registers while the rows go by.
const STRIP: usize = 32;

/// Shares channels among threads.
fn by_channel<K: Divisible>(kernel: K, numbers: usize, channels: usize, plane: usize) {
    if plane == 1 {
        // In whole strips.
        parallel(kernel, elementwise::GRAIN / (numbers / channels.max(1)).max(1));
    } else {
        parallel_runs(kernel, 2 * numbers);
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
