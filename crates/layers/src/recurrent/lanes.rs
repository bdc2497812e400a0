//! Numbers of several hidden units at once, as the loops over time compute them.

use std::array::from_fn;
use std::mem;
use std::ops::Deref;

use downhill_tensor::Scalar;

/// Hidden units that are computed together.
pub(super) const LANES: usize = 16;

/// N numbers for each of [`LANES`] units; each row begins at a cache line, so that none is read from two.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Lanes<T, const N: usize>([[T; LANES]; N]);

impl<T: Scalar, const N: usize> Lanes<T, N> {
    #[inline(always)]
    pub(super) fn zero() -> Self {
        Self([[T::ZERO; LANES]; N])
    }

    /// The units from `unit` on, of vectors of equal length: as many as there are lanes, or those that there are.
    /// What the lanes beyond hold is computed with and thrown away.
    #[inline(always)]
    pub(super) fn load(vectors: &[impl Deref<Target = [T]>], unit: usize) -> Self {
        Self(from_fn(|index| {
            let rest = &vectors[index][unit..];
            let mut spare;
            *match rest.first_chunk() {
                Some(lanes) => lanes,
                None => {
                    spare = [T::ZERO; LANES];
                    copy_part(rest, &mut spare);
                    &spare
                }
            }
        }))
    }

    /// Writes what [`load`](Lanes::load) reads, to N vectors.
    #[inline(always)]
    pub(super) fn store(&self, vectors: &mut [&mut [T]], unit: usize) {
        for (lanes, vector) in self.0.iter().zip(vectors) {
            let rest = &mut vector[unit..];
            let spare;
            match rest.first_chunk_mut() {
                Some(to) => *to = *lanes,
                None => {
                    spare = *lanes;
                    copy_part(&spare, rest);
                }
            }
        }
    }

    /// The numbers of one unit.
    #[inline(always)]
    pub(super) fn pick(&self, lane: usize) -> [T; N] {
        from_fn(|index| self.0[index][lane])
    }

    /// Writes what [`pick`](Lanes::pick) reads.
    #[inline(always)]
    pub(super) fn put(&mut self, lane: usize, numbers: [T; N]) {
        for (number, lanes) in numbers.into_iter().zip(&mut self.0) {
            lanes[lane] = number;
        }
    }

    /// Adds to the first number of each unit.
    #[inline(always)]
    pub(super) fn add(&mut self, first: &Lanes<T, 1>) {
        for (sum, &x) in self.0[0].iter_mut().zip(&first.0[0]) {
            *sum += x;
        }
    }
}

/// What is seldom needed is kept out of the loop, and is never told where lanes lie: what a call may have seen can't
/// stay in registers, and lanes that go through memory cost half as much again.
#[cold]
#[inline(never)]
fn copy_part<T: Scalar>(from: &[T], to: &mut [T]) {
    to.iter_mut().zip(from).for_each(|(to, &x)| *to = x);
}

/// N vectors of `length` numbers that lie one after another.
#[inline(always)]
pub(super) fn vectors<T, const N: usize>(numbers: &[T], length: usize) -> [&[T]; N] {
    from_fn(|index| &numbers[index * length..][..length])
}

/// Cuts a mutable row into vectors as [`vectors`] does.
#[inline(always)]
pub(super) fn vectors_mut<T, const N: usize>(mut numbers: &mut [T], length: usize) -> [&mut [T]; N] {
    from_fn(|_| {
        let (vector, rest) = mem::take(&mut numbers).split_at_mut(length);
        numbers = rest;
        vector
    })
}
