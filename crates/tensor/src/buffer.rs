use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::ShapeError;

/// The bytes of a cache line, and of the widest register.
const LINE: usize = 64;
/// The bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Numbers that begin at a cache line: where parameters, gradients, activations and an optimizer's memory lie.
///
/// A `Vec` begins wherever the allocator likes, usually 16 bytes beyond a line, and then every second load of half a
/// line, or each of a whole one, touches two. Here none does.
/// From 4 MiB on the system is asked for huge pages, so that reading on does not stop at every 4 KiB to look up where
/// the next page lies.
///
/// It is a slice for whoever borrows it. It grows by [`resize`](Buffer::resize) alone, and then moves.
///
/// ```
/// use downhill_tensor::Buffer;
/// let mut velocity = Buffer::filled(3, 0.0);
/// velocity[1] = 0.5;
/// assert_eq!(*velocity, [0.0, 0.5, 0.0]);
/// velocity.resize(4, 1.0);
/// assert_eq!(*velocity, [0.0, 0.5, 0.0, 1.0]);
/// ```
pub struct Buffer<T> {
    first: NonNull<T>,
    len: usize,
}

impl<T: Clone> Buffer<T> {
    /// Makes a buffer that holds `value` `len` times.
    ///
    /// As for a `Vec`, the program ends if the system does not give the memory.
    /// [`try_from_fn`](Buffer::try_from_fn) returns an error instead.
    ///
    /// # Panics
    /// Panics if there are more than can be counted in bytes.
    #[must_use]
    pub fn filled(len: usize, value: T) -> Self {
        Self::from_fn(len, |_| value.clone())
    }

    /// Makes a buffer of `number`'s results for each index.
    ///
    /// # Panics
    /// As for [`filled`](Buffer::filled).
    #[must_use]
    pub fn from_fn(len: usize, mut number: impl FnMut(usize) -> T) -> Self {
        match Self::of(len, &mut number) {
            Some(buffer) => buffer,
            None => handle_alloc_error(layout::<T>(len).expect("a buffer holds fewer numbers than memory can")),
        }
    }

    /// Makes a buffer of `number`'s results for each index, if there is memory for it: for lengths that a user chooses.
    ///
    /// # Errors
    /// Returns [`ShapeError::Memory`], which names `what` the numbers are, if the system does not give it.
    pub fn try_from_fn(what: &'static str, len: usize, mut number: impl FnMut(usize) -> T) -> Result<Self, ShapeError> {
        Self::of(len, &mut number)
            .ok_or_else(|| ShapeError::Memory { what: what.into(), bytes: len.saturating_mul(size_of::<T>()) })
    }

    /// `None` if there is no memory for it.
    #[inline]
    fn of(len: usize, number: &mut impl FnMut(usize) -> T) -> Option<Self> {
        let first = allocate(layout::<T>(len)?)?.cast();
        for index in 0..len {
            // SAFETY: there is room for `len` numbers. Where `number` panics they are not given back, which is safe.
            unsafe { first.add(index).write(number(index)) };
        }
        Some(Self { first, len })
    }

    /// Cuts the buffer to a length, or fills it up with `value`.
    ///
    /// # Panics
    /// As for [`filled`](Buffer::filled).
    pub fn resize(&mut self, len: usize, value: T) {
        if len != self.len {
            *self = Self::from_fn(len, |index| self.get(index).unwrap_or(&value).clone());
        }
    }

    /// Resizes the buffer if there is memory for it, and leaves it as it is if there is not.
    ///
    /// # Errors
    /// As for [`try_from_fn`](Buffer::try_from_fn).
    pub fn try_resize(&mut self, what: &'static str, len: usize, value: T) -> Result<(), ShapeError> {
        if len != self.len {
            *self = Self::try_from_fn(what, len, |index| self.get(index).unwrap_or(&value).clone())?;
        }
        Ok(())
    }
}

/// The layout of this many numbers, if they can be counted: aligned to a line, or to a huge page if they fill two.
fn layout<T>(len: usize) -> Option<Layout> {
    const { assert!(align_of::<T>() <= LINE, "a buffer of none dangles at a line, which must be aligned enough") };
    let bytes = Layout::array::<T>(len).ok();
    bytes.and_then(|bytes| bytes.align_to(if bytes.size() < 2 * HUGE { LINE } else { HUGE }).ok())
}

/// `None` if the system does not give it.
fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    if layout.size() == 0 {
        return Some(nowhere().cast());
    }
    // SAFETY: the size is not zero.
    let first = NonNull::new(unsafe { alloc(layout) })?;
    if layout.align() == HUGE {
        ask_for_huge_pages(first, layout.size() / HUGE * HUGE);
    }
    Some(first)
}

/// The address of an empty buffer.
#[inline]
fn nowhere() -> NonNull<Line> {
    NonNull::dangling()
}

#[repr(align(64))]
struct Line;

/// Asks the system for huge pages; if it has none, everything works on small pages.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(first: NonNull<u8>, bytes: usize) {
    use std::ffi::{c_int, c_void};
    // The standard library links it already.
    unsafe extern "C" {
        fn madvise(first: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }
    const MADV_HUGEPAGE: c_int = 14;
    // SAFETY: these are whole pages of memory that was just allocated; the advice changes nothing in them.
    unsafe { madvise(first.as_ptr().cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_first: NonNull<u8>, _bytes: usize) {}

impl<T> Drop for Buffer<T> {
    #[inline]
    fn drop(&mut self) {
        // Each step of a pass leaves buffers of none where it has taken those that it writes.
        if self.len == 0 {
            return;
        }
        let Some(layout) = layout::<T>(self.len) else { return };
        // SAFETY: all numbers were written and are used no more; what was allocated, was so with this layout.
        unsafe {
            std::ptr::drop_in_place::<[T]>(&raw mut **self);
            if layout.size() > 0 {
                dealloc(self.first.as_ptr().cast(), layout);
            }
        }
    }
}

// SAFETY: it owns its numbers, as a `Vec` does.
unsafe impl<T: Send> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Buffer<T> {}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: all `len` numbers were written when it was made; of none, the pointer may dangle.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nothing else borrows it.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }
}

impl<T> Default for Buffer<T> {
    /// Makes an empty buffer.
    #[inline]
    fn default() -> Self {
        Self { first: nowhere().cast(), len: 0 }
    }
}

impl<T: Clone> From<&[T]> for Buffer<T> {
    fn from(numbers: &[T]) -> Self {
        Self::from_fn(numbers.len(), |index| numbers[index].clone())
    }
}

impl<T: Clone> From<Vec<T>> for Buffer<T> {
    fn from(numbers: Vec<T>) -> Self {
        Self::from(&*numbers)
    }
}

impl<T: Clone> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_a_line_and_stay_what_they_are() {
        for len in (0..200).chain([1 << 16, (2 * HUGE / 4) - 1, 2 * HUGE / 4, 2 * HUGE / 4 + 1, 3_000_001]) {
            let mut buffer = Buffer::from_fn(len, |index| index as f32);
            assert_eq!(buffer.as_ptr().addr() % if 4 * len < 2 * HUGE { LINE } else { HUGE }, 0, "{len}");
            assert!(buffer.iter().enumerate().all(|(index, &number)| number == index as f32), "{len}");
            let copy = buffer.clone();
            buffer.iter_mut().for_each(|number| *number += 1.0);
            assert_eq!(copy.len(), len);
            assert!(copy.iter().zip(&*buffer).all(|(copy, number)| copy + 1.0 == *number));
        }
    }

    #[test]
    fn another_length_keeps_what_fits() {
        let mut buffer = Buffer::<f64>::default();
        assert!(buffer.is_empty());
        for len in [3, 3, 500, 0, 1, 1_000_000, 2] {
            let before = buffer.to_vec();
            buffer.resize(len, 7.0);
            let kept = before.len().min(len);
            assert_eq!(buffer[..kept], before[..kept]);
            assert!(buffer[kept..].iter().all(|&number| number == 7.0));
            assert_eq!(buffer.len(), len);
        }
    }

    #[test]
    #[should_panic(expected = "fewer numbers than memory can")]
    fn more_than_can_be_counted_is_refused() {
        let _ = Buffer::filled(usize::MAX / 4, 0.0);
    }

    #[test]
    fn memory_that_there_is_not_is_an_error_and_nothing_is_lost() {
        let mut buffer = Buffer::filled(3, 1.0f64);
        // More than can be counted, more than a layout holds, and more than can be addressed.
        for (len, bytes) in [(usize::MAX, usize::MAX), (1 << 60, 1 << 63), (1 << 50, 1 << 53)] {
            let error = buffer.try_resize("the test", len, 0.0).unwrap_err();
            assert_eq!(error, ShapeError::Memory { what: "the test".into(), bytes });
            assert_eq!(*buffer, [1.0; 3]);
        }
        buffer.try_resize("the test", 4, 2.0).unwrap();
        assert_eq!(*buffer, [1.0, 1.0, 1.0, 2.0]);
    }
}
