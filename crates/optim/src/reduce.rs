//! Sums over whole vectors: in f64, over a tree that depends on the length alone.

use std::marker::PhantomData;

use downhill_tensor::{Kernel, Scalar, threads, vectorized};

use crate::Slots;

/// The leaves of the tree.
const BLOCK: usize = 4096;

/// Below this many elements a fork costs more than it saves.
const GRAIN: usize = 16 * BLOCK;

/// The elements whose terms are kept before they are added.
const TILE: usize = 16 * LANES;

/// Independent partial sums of a leaf, so that it is vectorised.
const LANES: usize = 16;

/// Σ f(aᵢ, bᵢ, slotsᵢ), where f may change the slots: an update and its sums in one pass.
pub(crate) fn sweep<'a, T: Scalar, S: Slots<T>, const R: usize>(
    a: &'a [T],
    b: &'a [T],
    slots: S::Views<'_>,
    f: impl Fn(T, T, &mut S) -> [f64; R] + Copy + Send,
) -> [f64; R] {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    if len <= BLOCK {
        return vectorized(Leaf { a, b, slots, f, sizes: PhantomData });
    }
    let middle = (len / 2).next_multiple_of(BLOCK);
    let ((a_left, a_right), (b_left, b_right)) = (a.split_at(middle), b.split_at(middle));
    let (slots_left, slots_right) = S::split_at(slots, middle);
    let left = move || sweep(a_left, b_left, slots_left, f);
    let right = move || sweep(a_right, b_right, slots_right, f);
    let (mut sums, others) = if len >= 2 * GRAIN { threads::join(left, right) } else { (left(), right()) };
    add(&mut sums, others);
    sums
}

fn add<const R: usize>(sums: &mut [f64; R], others: [f64; R]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

struct Leaf<'a, 's, T: Scalar, S: Slots<T>, F, const R: usize> {
    a: &'a [T],
    b: &'a [T],
    slots: S::Views<'s>,
    f: F,
    sizes: PhantomData<[f64; R]>,
}

impl<T: Scalar, S: Slots<T>, F: Fn(T, T, &mut S) -> [f64; R], const R: usize> Kernel for Leaf<'_, '_, T, S, F, R> {
    type Output = [f64; R];

    #[inline(always)]
    fn run(self) -> [f64; R] {
        let len = self.a.len();
        let (mut a, mut b) = (self.a, &self.b[..len]);
        let mut views = S::trim(self.slots, len);
        let mut lanes = [[0.0; LANES]; R];
        // The terms of a tile first, then their sums: either loop is vectorised, both together are not.
        while !a.is_empty() {
            let size = a.len().min(TILE);
            let (tile_a, tile_b);
            (tile_a, a) = a.split_at(size);
            (tile_b, b) = b.split_at(size);
            let (tile, rest) = S::split_at(views, size);
            views = rest;
            let mut tile = S::trim(tile, size);
            let tile_b = &tile_b[..size];
            let mut terms = [[0.0; TILE]; R];
            for index in 0..size {
                let mut slots = S::load(&tile, index);
                let of_element = (self.f)(tile_a[index], tile_b[index], &mut slots);
                slots.store(&mut tile, index);
                for (terms, term) in terms.iter_mut().zip(of_element) {
                    terms[index] = term;
                }
            }
            for (lanes, terms) in lanes.iter_mut().zip(&terms) {
                for terms in terms.as_chunks::<LANES>().0 {
                    for (lane, term) in lanes.iter_mut().zip(terms) {
                        *lane += term;
                    }
                }
            }
        }
        lanes.map(|mut lanes| {
            let mut width = LANES / 2;
            while width > 0 {
                for lane in 0..width {
                    lanes[lane] += lanes[lane + width];
                }
                width /= 2;
            }
            lanes[0]
        })
    }
}

/// Σ f(aᵢ, bᵢ).
pub(crate) fn sum<T: Scalar>(a: &[T], b: &[T], f: impl Fn(T, T) -> f64 + Copy + Send) -> f64 {
    let [sum] = sweep(a, b, [], move |a, b, []: &mut [T; 0]| [f(a, b)]);
    sum
}

/// ⟨a, b⟩.
pub(crate) fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    sum(a, b, |a, b| a.to_f64() * b.to_f64())
}

/// ‖x‖∞; not a number where an entry is not.
pub(crate) fn norm_max<T: Scalar>(x: &[T]) -> f64 {
    let largest = x.iter().fold(T::ZERO, |largest, &x| if x.abs() > largest { x.abs() } else { largest }).to_f64();
    // A comparison with NaN is false, but a sum of zeros and NaN is NaN.
    largest + x.iter().map(|&x| if x.is_nan() { f64::NAN } else { 0.0 }).sum::<f64>()
}

/// ‖x‖, whatever the range of the numbers: squares that overflow or vanish are taken again at a better scale.
pub(crate) fn norm<T: Scalar>(x: &[T]) -> f64 {
    let squares = dot(x, x);
    // Below this, squares of some entries may have lost digits; f32 squared never comes near either end.
    if (1e-280..f64::INFINITY).contains(&squares) || squares.is_nan() {
        return squares.sqrt();
    }
    let largest = norm_max(x);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    // Multiply by a power of two, in two steps, because its reciprocal may itself be out of range.
    let scale = largest.log2().floor() as i32;
    let (half, rest) = (2f64.powi(-(scale / 2)), 2f64.powi(-(scale - scale / 2)));
    let squares = sum(x, x, |x, _| (x.to_f64() * half * rest).powi(2));
    squares.sqrt() / half / rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::threads::Threads;

    #[test]
    fn norms_keep_their_digits_at_both_ends_of_the_range() {
        for scale in [1e-310, 1e-200, 1e-3, 1.0, 1e160, 1e307] {
            let got = norm(&[3.0 * scale, 4.0 * scale]);
            assert!((got / (5.0 * scale) - 1.0).abs() < 1e-12, "{scale}: {got}");
        }
        assert_eq!(norm(&[3e30_f32, 4e30]), norm(&[3e30_f32 as f64, 4e30_f32 as f64]));
        assert_eq!(norm::<f64>(&[]), 0.0);
        assert!(norm(&[1.0, f64::NAN]).is_nan());
        assert!(norm(&[1.0, f64::INFINITY, f64::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    }

    #[test]
    fn sums_do_not_depend_on_threads() {
        for len in [0, 1, 17, BLOCK, BLOCK + 1, 5 * GRAIN + 3] {
            let x: Vec<f32> = (0..len).map(|i| ((i * 7919) % 1013) as f32 * 0.37 - 100.0).collect();
            let plain: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            let one = dot(&x, &x);
            let three = Threads::new(3).unwrap().run(|| dot(&x, &x));
            assert_eq!(one.to_bits(), three.to_bits());
            assert!((one - plain).abs() <= 1e-12 * plain);
        }
    }
}
