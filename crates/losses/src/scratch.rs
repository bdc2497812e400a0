//! Memory that belongs to the thread, so that only the first pass allocates.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::thread::LocalKey;

use downhill_tensor::{PerScalar, Scalar};

/// Buffers that are not in use: several, since a loss may hold another.
type Pool<N> = RefCell<Vec<Vec<N>>>;

thread_local! {
    static SINGLES: Pool<f32> = const { RefCell::new(Vec::new()) };
    static DOUBLES: Pool<f64> = const { RefCell::new(Vec::new()) };
    static CLASSES: Pool<u32> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `length` numbers, whose values are left over from earlier calls.
pub(crate) fn numbers<T: Scalar, R>(length: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let mut kept: Vec<T> = Vec::new();
    T::pick(Take(PhantomData), &mut kept);
    let result = with_length(&mut kept, length, T::ZERO, f);
    T::pick(Put, kept);
    result
}

/// Calls `f` with room for `length` classes.
pub(crate) fn classes<R>(length: usize, f: impl FnOnce(&mut [u32]) -> R) -> R {
    let mut kept = take(&CLASSES);
    let result = with_length(&mut kept, length, 0, f);
    put(&CLASSES, kept);
    result
}

fn with_length<N: Copy, R>(kept: &mut Vec<N>, length: usize, filler: N, f: impl FnOnce(&mut [N]) -> R) -> R {
    if kept.len() < length {
        kept.resize(length, filler);
    }
    f(&mut kept[..length])
}

fn take<N>(pool: &'static LocalKey<Pool<N>>) -> Vec<N> {
    pool.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn put<N>(pool: &'static LocalKey<Pool<N>>, kept: Vec<N>) {
    pool.with_borrow_mut(|pool| pool.push(kept));
}

struct Take<'a>(PhantomData<&'a mut ()>);
struct Put;

impl<'a> PerScalar for Take<'a> {
    type With<T: Scalar> = &'a mut Vec<T>;
    type Output = ();

    fn f32(self, kept: &'a mut Vec<f32>) {
        *kept = take(&SINGLES);
    }

    fn f64(self, kept: &'a mut Vec<f64>) {
        *kept = take(&DOUBLES);
    }
}

impl PerScalar for Put {
    type With<T: Scalar> = Vec<T>;
    type Output = ();

    fn f32(self, kept: Vec<f32>) {
        put(&SINGLES, kept);
    }

    fn f64(self, kept: Vec<f64>) {
        put(&DOUBLES, kept);
    }
}
