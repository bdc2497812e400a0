use std::ops::Range;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

use crate::{elementwise, threads};

/// A loop that is compiled once for each instruction set.
///
/// Implement [`run`](Kernel::run) as plain scalar code with `#[inline(always)]`, and call it through
/// [`vectorized`]: the compiler then vectorises one copy for AVX-512, one for AVX2 and one for the baseline,
/// and the best that the machine has is chosen at run time.
/// Products and sums are never contracted to a fused multiply-add, so all copies give the same bits.
pub trait Kernel: Sized {
    /// The loop's result.
    type Output;

    /// Runs the loop. Mark the implementation `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// Work that can be cut in two, so that threads may share it: slices, [`Runs`], [`RunsMut`], tuples of them that are cut
/// together, and kernels over them.
///
/// A `Range` in a tuple tells each piece where it lies in the whole; an `Option` may be absent, but not come first.
pub trait Divisible: Send + Sized {
    /// The number of elements.
    fn elements(&self) -> usize;

    /// Cuts the work into the elements before `middle` and those from it on.
    fn cut(self, middle: usize) -> (Self, Self);
}

/// A loop over data, element by element.
pub trait Sweep<P>: Copy + Send {
    /// Runs the loop. Mark the implementation `#[inline(always)]`.
    fn sweep(self, data: P);
}

/// A sweep over data: a kernel that is as [`Divisible`] as its data.
///
/// ```
/// use downhill_tensor::{Over, Sweep, parallel};
///
/// #[derive(Clone, Copy)]
/// struct Square;
///
/// impl Sweep<(&[f32], &mut [f32])> for Square {
///     #[inline(always)]
///     fn sweep(self, (x, y): (&[f32], &mut [f32])) {
///         for (y, &x) in y.iter_mut().zip(x) {
///             *y = x * x;
///         }
///     }
/// }
///
/// let x = [1.0, 2.0, 3.0];
/// let mut y = [0.0; 3];
/// parallel(Over(Square, (&x[..], &mut y[..])), 1024);
/// assert_eq!(y, [1.0, 4.0, 9.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Over<S, P>(pub S, pub P);

impl<P, S: Sweep<P>> Kernel for Over<S, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.sweep(self.1);
    }
}

impl<P: Divisible, S: Sweep<P>> Divisible for Over<S, P> {
    fn elements(&self) -> usize {
        self.1.elements()
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let (left, right) = self.1.cut(middle);
        (Self(self.0, left), Self(self.0, right))
    }
}

impl<T: Sync> Divisible for &[T] {
    fn elements(&self) -> usize {
        <[T]>::len(self)
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        <[T]>::split_at(self, middle)
    }
}

impl<T: Send> Divisible for &mut [T] {
    fn elements(&self) -> usize {
        <[T]>::len(self)
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        self.split_at_mut(middle)
    }
}

impl Divisible for Range<usize> {
    fn elements(&self) -> usize {
        ExactSizeIterator::len(self)
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let middle = self.start + middle;
        (self.start..middle, middle..self.end)
    }
}

impl<P: Divisible> Divisible for Option<P> {
    fn elements(&self) -> usize {
        self.as_ref().map_or(0, P::elements)
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        self.map(|part| part.cut(middle)).unzip()
    }
}

/// A slice of whole runs of equal length, such as the examples of a batch: it counts and is cut by runs.
#[derive(Clone, Copy, Debug)]
pub struct Runs<'a, T> {
    data: &'a [T],
    length: usize,
}

/// A mutable slice of whole runs of equal length.
#[derive(Debug)]
pub struct RunsMut<'a, T> {
    data: &'a mut [T],
    length: usize,
}

impl<'a, T> Runs<'a, T> {
    /// Cuts a slice into runs of `length` elements; the rest at the end belongs to none.
    #[must_use]
    pub fn new(data: &'a [T], length: usize) -> Self {
        Self { data, length }
    }

    /// The runs, one after the other.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = &'a [T]> {
        self.data.chunks_exact(self.length.max(1))
    }
}

impl<'a, T> RunsMut<'a, T> {
    /// Cuts a slice into runs of `length` elements; the rest at the end belongs to none.
    #[must_use]
    pub fn new(data: &'a mut [T], length: usize) -> Self {
        Self { data, length }
    }

    /// All numbers.
    #[inline(always)]
    #[must_use]
    pub fn into_slice(self) -> &'a mut [T] {
        self.data
    }

    /// The runs, one after the other.
    #[inline(always)]
    pub fn iter_mut(self) -> impl Iterator<Item = &'a mut [T]> {
        self.data.chunks_exact_mut(self.length.max(1))
    }
}

impl<T: Sync> Divisible for Runs<'_, T> {
    fn elements(&self) -> usize {
        self.data.len() / self.length.max(1)
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let (left, right) = self.data.split_at(middle * self.length.max(1));
        (Self { data: left, ..self }, Self { data: right, ..self })
    }
}

impl<T: Send> Divisible for RunsMut<'_, T> {
    fn elements(&self) -> usize {
        self.data.len() / self.length.max(1)
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let length = self.length;
        let (left, right) = self.data.split_at_mut(middle * length.max(1));
        (Self { data: left, length }, Self { data: right, length })
    }
}

macro_rules! divisible_tuple {
    ($($part:ident)*) => {
        impl<$($part: Divisible),*> Divisible for ($($part,)*) {
            fn elements(&self) -> usize {
                self.0.elements()
            }

            #[expect(non_snake_case, reason = "each part bears the name of its type")]
            fn cut(self, middle: usize) -> (Self, Self) {
                let ($($part,)*) = self;
                $(let $part = $part.cut(middle);)*
                (($($part.0,)*), ($($part.1,)*))
            }
        }
    };
}

divisible_tuple!(A);
divisible_tuple!(A B);
divisible_tuple!(A B C);
divisible_tuple!(A B C D);
divisible_tuple!(A B C D E);
divisible_tuple!(A B C D E F);
divisible_tuple!(A B C D E F G);
divisible_tuple!(A B C D E F G H);

/// Runs `kernel` with the widest vectors that this machine has.
#[inline]
pub fn vectorized<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        match instructions() {
            // SAFETY: the processor has said that it knows these instructions.
            #[cfg(not(all(debug_assertions, unshared_generics)))]
            Instructions::Avx512 => return unsafe { run_avx512(kernel) },
            // A development build compiles the loops of all layers and losses: two copies of each are enough there.
            // SAFETY: as above; whoever knows AVX-512 knows AVX2.
            #[cfg(all(debug_assertions, unshared_generics))]
            Instructions::Avx512 => return unsafe { run_avx2(kernel) },
            // SAFETY: as above.
            Instructions::Avx2 => return unsafe { run_avx2(kernel) },
            Instructions::Portable => {}
        }
    }
    run_portable(kernel)
}

/// Out of line as the others are, so that it is compiled once and not at each place that calls [`vectorized`].
#[inline(never)]
fn run_portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// Runs `kernel`, shared among the current threads if each gets at least `grain` elements.
#[inline]
pub fn parallel<K: Kernel<Output = ()> + Divisible>(kernel: K, grain: usize) {
    match kernel.elements() / grain.max(1) {
        // A small loop doesn't even ask.
        0 | 1 => vectorized(kernel),
        pieces => {
            let pieces = pieces.min(threads::current());
            share(kernel, pieces, ALIGNMENT);
        }
    }
}

/// Runs `kernel`, whose elements are whole runs of numbers, shared among the current threads if the
/// whole `work`, counted in simple operations on a number, is large enough for a fork to pay.
pub fn parallel_runs<K: Kernel<Output = ()> + Divisible>(kernel: K, work: usize) {
    let pieces = threads::current().min(kernel.elements()).min(work / elementwise::GRAIN);
    share(kernel, pieces, 1);
}

/// Pieces begin at multiples of this many elements, so that each is aligned as the whole is.
const ALIGNMENT: usize = 64;

fn share<K: Kernel<Output = ()> + Divisible>(kernel: K, pieces: usize, alignment: usize) {
    // Known while compiling: where there are no threads, nothing is compiled that would cut the work.
    if pieces < 2 || cfg!(not(feature = "threads")) {
        return vectorized(kernel);
    }
    let left = pieces / 2;
    let middle = (kernel.elements() * left / pieces).next_multiple_of(alignment).min(kernel.elements());
    let (a, b) = kernel.cut(middle);
    threads::fork(
        &mut Share { kernel: Some(a), pieces: left, alignment },
        &mut Share { kernel: Some(b), pieces: pieces - left, alignment },
    );
}

/// A kernel that is taken once, by whichever thread runs it.
struct Share<K> {
    kernel: Option<K>,
    pieces: usize,
    alignment: usize,
}

impl<K: Kernel<Output = ()> + Divisible> threads::Task for Share<K> {
    fn run(&mut self) {
        if let Some(kernel) = self.kernel.take() {
            share(kernel, self.pieces, self.alignment);
        }
    }
}

/// Prefetches numbers into the cache while something else is computed.
///
/// It changes nothing but time: worth it if what comes next would read them in an order that the processor does
/// not foresee.
#[inline]
pub fn prefetch<T>(numbers: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.chunks((64 / size_of::<T>().max(1)).max(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that a program can see, and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

/// The instruction sets that kernels are compiled for.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Instructions {
    Portable,
    Avx2,
    Avx512,
}

/// The best instruction set that this machine has.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn instructions() -> Instructions {
    // One value to read, where the standard library would read one for each feature.
    static BEST: OnceLock<Instructions> = OnceLock::new();
    *BEST.get_or_init(ask_processor)
}

#[cfg(target_arch = "x86_64")]
#[cold]
fn ask_processor() -> Instructions {
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
    {
        return Instructions::Avx512;
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return Instructions::Avx2;
    }
    Instructions::Portable
}

/// # Safety
/// The processor must know the instructions named below.
#[cfg(all(target_arch = "x86_64", not(all(debug_assertions, unshared_generics))))]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// # Safety
/// The processor must know the instructions named below.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
