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

/// Returns Σ f(aᵢ, bᵢ, slotsᵢ), where f may change the slots: an update and its sums in one pass.
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
    let (slots_left, slots_right) = S::split_views(slots, middle);
    let left = move || sweep(a_left, b_left, slots_left, f);
    let right = move || sweep(a_right, b_right, slots_right, f);
    let shared = len >= 2 * GRAIN && threads::current() > 1;
    let (mut sums, others) = if shared { threads::join(left, right) } else { (left(), right()) };
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
            let (tile, rest) = S::split_views(views, size);
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

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::threads::Threads;

    #[test]
    fn sums_do_not_depend_on_threads() {
        for len in [0, 1, 17, BLOCK, BLOCK + 1, 5 * GRAIN + 3] {
            let x: Vec<f32> = (0..len).map(|i| ((i * 7919) % 1013) as f32 * 0.37 - 100.0).collect();
            let plain: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            let squares = || sweep(&x, &x, [], |a: f32, b: f32, []: &mut [f32; 0]| [f64::from(a) * f64::from(b)])[0];
            let one = squares();
            let three = Threads::new(3).unwrap().run(squares);
            assert_eq!(one.to_bits(), three.to_bits());
            assert!((one - plain).abs() <= 1e-12 * plain);
        }
    }
}
