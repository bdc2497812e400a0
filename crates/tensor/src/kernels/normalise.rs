//! Normalisation: numbers less their mean, over their deviation, and the backward pass.
//!
//! A batch is (examples, channels, plane): `plane` numbers of one channel lie side by side, one if an example is a
//! vector. The groups of [`NormGroups`] share a mean and a variance within an example, as in layer and group normalisation;
//! the channels of [`Channels`] share them across the batch, as in batch normalisation.
//!
//! A variance is the mean square of what is left when the mean is subtracted, so it keeps its digits where the mean
//! is large. All sums have an order that shapes alone decide; threads share examples, or channels.
//! If the mean is far larger than the deviation, or squares overflow or vanish, the moments are computed again with
//! more care: numbers that are all equal become exactly 0, and the precision's whole range can be normalised.

use std::ops::Range;

use crate::reduce::{IN_TURN, in_blocks};
use crate::{Divisible, Kernel, Scalar, elementwise, parallel, parallel_runs};

mod careful;
mod channels;
mod groups;

pub use channels::Channels;
pub use groups::NormGroups;

/// This many columns of a matrix are summed at once: their sums stay in registers while the rows go by.
const STRIP: usize = 32;

/// Shares channels among threads.
fn by_channel<K: Kernel<Output = ()> + Divisible>(kernel: K, numbers: usize, channels: usize, plane: usize) {
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
    in_blocks!(a.len() / columns, IN_TURN, |rows| {
        let mut sums = [[T::ZERO; STRIP]; N];
        let numbers = rows.start * columns..rows.end * columns;
        let rows = rows.zip(a[numbers.clone()].chunks_exact(columns).zip(b[numbers].chunks_exact(columns)));
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
    })
}

/// For one channel of two batches, Σ over the examples of the `$n` terms made of the example's number and of the channel's
/// planes. A macro as `in_blocks` is.
macro_rules! plane_sums {
    ($n:literal of $a:expr, $b:expr, $place:expr, |$example:pat_param, $x:pat_param, $y:pat_param| $terms:expr) => {{
        let (a, b, (channel, channels, plane)) = ($a, $b, $place);
        let length = channels * plane;
        let sums = in_blocks!(a.len() / length, IN_TURN, |examples| {
            let mut sums = [[T::ZERO]; $n];
            let numbers = examples.start * length..examples.end * length;
            let a = planes(&a[numbers.clone()], channel, channels, plane);
            let b = planes(&b[numbers], channel, channels, plane);
            for ($example, ($x, $y)) in examples.zip(a.zip(b)) {
                for (sum, term) in sums.iter_mut().zip($terms) {
                    sum[0] += term;
                }
            }
            sums
        });
        sums.map(|[sum]| sum)
    }};
}
use plane_sums;

/// r = 1/√(σ² + ε)
#[inline(always)]
fn over_deviation<T: Scalar>(variance: T, epsilon: T) -> T {
    T::ONE / (variance + epsilon).sqrt()
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
        (0..count).map(|_| T::from_f64(4.0 * stream.uniform() - 1.0)).collect()
    }

    fn wide<T: Scalar>(x: &[T]) -> Vec<f64> {
        x.iter().map(|x| x.to_f64()).collect()
    }

    fn close<T: Scalar>(what: &str, found: &[T], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let norm = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
        let error = wide(found).iter().zip(expected).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        // The naive sums lose digits too; what is 0 but for rounding is compared with 1.
        assert!(error <= 200.0 * T::EPSILON.to_f64() * norm.max(1.0), "{what}: {error:e} next to {norm:e}");
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
            let settings = NormGroups { groups, channels, plane, epsilon: 0.1, centred };
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
                let [mut mean, mut variance, mut r, mut along, mut sum] = [0; 5].map(|_| nan(all));
                let (mut y, mut dx) = (nan(count), nan(count));
                channels.moments(&x, 0.1, &mut mean, &mut variance, &mut r);
                channels.scale(&x, &mean, &vectors[0], &vectors[1], &mut y);
                channels.sums(&x, &dy, &mean, &mut along, &mut sum);
                channels.backward(&x, &dy, &mean, &vectors[0], &vectors[1], &vectors[2], &mut dx);
                [mean, variance, r, along, sum, y, dx]
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
            let variance = each(&|c| sum(c, &|i| off(i) * off(i)) / number);
            let expected = [
                mean.clone(),
                variance.clone(),
                variance.iter().map(|variance| 1.0 / (variance + 0.1).sqrt()).collect(),
                each(&|c| sum(c, &|i| dy[i] * off(i))),
                each(&|c| sum(c, &|i| dy[i])),
                (0..count).map(|i| off(i) * scale[of(i)] + shift[of(i)]).collect(),
                (0..count).map(|i| scale[of(i)] * (dy[i] - shift[of(i)] - off(i) * slope[of(i)])).collect(),
            ];
            let names = ["mean", "variance", "r", "along", "sum", "y", "dx"];
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
        let [mut mean, mut variance, mut r] = [[0.0]; 3];
        for plane in [1, 64] {
            Channels { channels: 1, plane }.moments(&x, 0.0, &mut mean, &mut variance, &mut r);
            assert_eq!((mean, variance, r), ([10_000.5], [0.25], [2.0]));
        }
    }

    /// y, the moments, dx, dweight and dbias of `NormGroups` with one group, and the same of `Channels` with one channel.
    fn both_ways<T: Scalar>(x: &[T], dy: &[T], plane: usize, epsilon: f64) -> [[Vec<T>; 5]; 2] {
        let count = x.len();
        let nan = || vec![T::NAN; count];
        let [mut y, mut dx, mut dw, mut db] = [0; 4].map(|_| nan());
        let mut moments = vec![T::NAN; 2];
        let groups = NormGroups { groups: 1, channels: count / plane, plane, epsilon, centred: true };
        groups.forward(x, None, None, &mut moments, &mut y);
        groups.backward(x, dy, None, &moments, &mut dx);
        dw.truncate(count / plane);
        db.truncate(count / plane);
        groups.backward_affine(x, dy, &moments, &mut dw, Some(&mut db));
        let [dw, db] = [dw, db].map(|each| vec![T::from_f64(wide(&each).iter().sum())]);
        let within = [y, moments, dx, dw, db];

        let channels = Channels { channels: 1, plane };
        let [mut mean, mut variance, mut r, mut along, mut sum] = [[T::NAN]; 5];
        let (mut y, mut dx) = (nan(), nan());
        channels.moments(x, epsilon, &mut mean, &mut variance, &mut r);
        channels.scale(x, &mean, &r, &[T::ZERO], &mut y);
        channels.sums(x, dy, &mean, &mut along, &mut sum);
        let number = T::from_f64(count as f64);
        let (share, slope) = (sum[0] / number, along[0] * r[0] / number * r[0]);
        channels.backward(x, dy, &mean, &r, &[share], &[slope], &mut dx);
        [within, [y, vec![mean[0], r[0]], dx, vec![along[0] * r[0]], vec![sum[0]]]]
    }

    #[test]
    fn numbers_that_are_all_equal_become_zeros_however_many_and_large() {
        for constant in [3.0, 1234.567, 66_743.0, 101_325.02, 1_000_000.3, -1e8, 1e-25, 1e20, 3e38, 0.0] {
            for count in [1, 2, 3, 5, 7, 63, 1000, 4096, 65_536, 200_000] {
                for plane in [1, 7, 64].into_iter().filter(|&plane| count % plane == 0) {
                    let (x, dy) = (vec![constant as f32; count], vec![1.0f32; count]);
                    for [y, moments, dx, dw, _] in both_ways(&x, &dy, plane, 1e-5) {
                        let what = format!("{count} times {constant} in planes of {plane}");
                        assert!(y.iter().all(|&y| y == 0.0), "{what}: {}", y[0]);
                        assert_eq!(moments[0], constant as f32, "{what}");
                        assert_eq!(moments[1], 1.0 / 1e-5f32.sqrt(), "{what}");
                        assert!(dx.iter().chain(&dw).all(|&dx| dx.abs() < 1e-2), "{what}: {}", dx[0]);
                    }
                }
            }
        }
    }

    fn largest_error<T: Scalar>(found: &[T], expected: &[f64]) -> f64 {
        wide(found).iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn errors_grow_neither_with_the_count_nor_with_the_mean() {
        // A rounded mean is up to half a unit in its last place off: that much of a deviation is lost in f32.
        for ratio in [0.0, 1.0, 31.0, 33.0, 1e3, 66_743.0, 1e5] {
            for count in [2, 3, 8, 130, 5_000, 16_384, if ratio == 66_743.0 { 1_000_000 } else { 131_072 }] {
                let mut stream = Seed(4).stream(count as u64);
                let x: Vec<f32> =
                    (0..count).map(|_| (ratio + 12f64.sqrt() * (stream.uniform() - 0.5)) as f32).collect();
                // The sum of these does not cancel.
                let dy: Vec<f32> = (0..count).map(|_| (0.1 + stream.uniform()) as f32).collect();
                let exact = both_ways(&wide(&x), &wide(&dy), 1, 1e-5);
                for plane in [1, 8, 4096].into_iter().filter(|&plane| count % plane == 0) {
                    for (found, exact) in both_ways(&x, &dy, plane, 1e-5).iter().zip(&exact) {
                        let limit = 4e-6 + 1e-7 * ratio;
                        // dx is what is left of r dy.
                        for (name, index, size) in [("y", 0, 1.0), ("dx", 2, exact[1][1])] {
                            let error = largest_error(&found[index], &exact[index]) / size;
                            let what = format!("{name} of {count} numbers, mean {ratio}, in planes of {plane}");
                            assert!(error <= limit, "{what}: {error:e}");
                        }
                        let close = |what: &str, found: f32, exact: f64, limit: f64| {
                            let error = (f64::from(found) - exact).abs();
                            assert!(error <= limit, "{what} of {count}, {ratio}, {plane}: {found} for {exact}");
                        };
                        close("mean", found[1][0], exact[1][0], 1e-6 * (1.0 + ratio));
                        close("r", found[1][1], exact[1][1], 3e-6 * exact[1][1]);
                        close("dbias", found[4][0], exact[4][0], 1e-6 * exact[4][0]);
                        close("dweight", found[3][0], exact[3][0], limit * exact[4][0]);
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_normalised_in_the_whole_range_of_the_precision() {
        let plain: Vec<f32> = numbers(384, 5);
        let dy: Vec<f32> = numbers(384, 6);
        // Without ε nothing but the size of dx knows the units.
        for power in [-120, -83, -60, -20, 20, 62, 66, 100, 110] {
            let unit = 2f32.powi(power);
            let x: Vec<f32> = plain.iter().map(|x| x * unit).collect();
            for plane in [1, 64] {
                let ways = both_ways(&x, &dy, plane, 0.0).into_iter().zip(both_ways(&plain, &dy, plane, 0.0));
                for (found, expected) in ways {
                    assert!(largest_error(&found[0], &wide(&expected[0])) < 1e-6, "2^{power}");
                    assert!((found[1][1] * unit / expected[1][1] - 1.0).abs() < 1e-6, "2^{power}");
                    let dx: Vec<f32> = found[2].iter().map(|dx| dx * unit).collect();
                    assert!(largest_error(&dx, &wide(&expected[2])) < 1e-5, "dx at 2^{power}");
                    let size = expected[4][0].abs().max(1.0);
                    assert!((found[3][0] - expected[3][0]).abs() < 1e-3 * size, "dweight at 2^{power}");
                }
            }
            let rms = NormGroups { groups: 1, channels: 384, plane: 1, epsilon: 0.0, centred: false };
            let run = |x: &[f32]| {
                let (mut moments, mut y) = ([f32::NAN; 2], vec![f32::NAN; 384]);
                rms.forward(x, None, None, &mut moments, &mut y);
                y
            };
            assert!(largest_error(&run(&x), &wide(&run(&plain))) < 1e-6, "mean square at 2^{power}");
        }
        // Where ε is far larger than the variance, it is all that counts.
        let tiny: Vec<f32> = plain.iter().map(|x| x * 1e-30).collect();
        for [_, moments, ..] in both_ways(&tiny, &dy, 1, 1e-5) {
            assert_eq!(moments[1], 1.0 / 1e-5f32.sqrt());
        }
    }

    #[test]
    fn what_is_not_finite_shows() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x: Vec<f32> = numbers(64, 7);
            x[9] = bad;
            for [y, ..] in both_ways(&x, &vec![1.0; 64], 1, 1e-5) {
                assert!(y.iter().any(|y| y.is_nan()));
            }
        }
    }
}
