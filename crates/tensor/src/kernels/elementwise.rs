//! Loops over elements, vectorised and shared among threads.
//!
//! A loop is vectorised where the compiler inlines its closure, which it does for short ones.
//! A closure with an elementary function in it may be left as a call, some fifty times slower:
//! write such a loop as a [`Sweep`] with an `#[inline(always)]` body instead, as activations are.

use crate::{Over, Scalar, Sweep, parallel};

/// Below this many elements a thread, a fork costs more than it saves.
pub const GRAIN: usize = 32 * 1024;

/// yᵢ = f(xᵢ).
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn map<T: Scalar, F: Fn(T) -> T + Copy + Send>(x: &[T], y: &mut [T], f: F) {
    assert_eq!(x.len(), y.len(), "map needs as many results as arguments");
    parallel(Over(Map(f), (x, y)), GRAIN);
}

/// yᵢ = f(yᵢ).
#[inline]
pub fn map_in_place<T: Scalar, F: Fn(T) -> T + Copy + Send>(y: &mut [T], f: F) {
    parallel(Over(MapInPlace(f), (y,)), GRAIN);
}

/// yᵢ = f(aᵢ, bᵢ).
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn zip_map<T: Scalar, F: Fn(T, T) -> T + Copy + Send>(a: &[T], b: &[T], y: &mut [T], f: F) {
    assert!(a.len() == y.len() && b.len() == y.len(), "zip_map needs as many results as arguments");
    parallel(Over(ZipMap(f), (a, b, y)), GRAIN);
}

/// yᵢ = f(xᵢ, yᵢ).
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn update<T: Scalar, F: Fn(T, T) -> T + Copy + Send>(x: &[T], y: &mut [T], f: F) {
    assert_eq!(x.len(), y.len(), "update needs as many results as arguments");
    parallel(Over(Update(f), (x, y)), GRAIN);
}

crate::compiled! {
    /// yᵢ ← yᵢ + xᵢ.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add<T: Scalar>(x: &[T], y: &mut [T]) {
        update(x, y, |x, y| y + x);
    }
}

#[derive(Clone, Copy)]
struct Map<F>(F);

#[derive(Clone, Copy)]
struct MapInPlace<F>(F);

#[derive(Clone, Copy)]
struct ZipMap<F>(F);

#[derive(Clone, Copy)]
struct Update<F>(F);

impl<T: Scalar, F: Fn(T) -> T + Copy + Send> Sweep<(&[T], &mut [T])> for Map<F> {
    #[inline(always)]
    fn sweep(self, (x, y): (&[T], &mut [T])) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = (self.0)(x);
        }
    }
}

impl<T: Scalar, F: Fn(T) -> T + Copy + Send> Sweep<(&mut [T],)> for MapInPlace<F> {
    #[inline(always)]
    fn sweep(self, (y,): (&mut [T],)) {
        for y in y {
            *y = (self.0)(*y);
        }
    }
}

impl<T: Scalar, F: Fn(T, T) -> T + Copy + Send> Sweep<(&[T], &[T], &mut [T])> for ZipMap<F> {
    #[inline(always)]
    fn sweep(self, (a, b, y): (&[T], &[T], &mut [T])) {
        for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
            *y = (self.0)(a, b);
        }
    }
}

impl<T: Scalar, F: Fn(T, T) -> T + Copy + Send> Sweep<(&[T], &mut [T])> for Update<F> {
    #[inline(always)]
    fn sweep(self, (x, y): (&[T], &mut [T])) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = (self.0)(x, *y);
        }
    }
}
