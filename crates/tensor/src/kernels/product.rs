//! Matrix products, in the forms that a layer's forward and backward pass need.
//!
//! One function covers all four transpose cases: hand it `x.view()` or `x.t()`.
//! Which code runs depends on the shapes and on the machine:
//!
//! * a register-tiled kernel for AVX2 or AVX-512 that reads its operands where they lie;
//! * special loops for a batch of one (matrix-vector and rank-one products), which are bound by memory;
//! * [`matrixmultiply`] elsewhere: it is the portable path, and the reference in the tests.
//!
//! Every element of a result is one sum in one order, whatever part of the matrix a thread computes.
//! So the bits do not depend on the number of threads.
//! From the portable product, which adds in another order, the other kernels differ by at most 16 units in the last
//! place, for sums of up to 2000 terms of one sign; a test holds them to it.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use crate::{Scalar, elementwise, threads};

mod portable;
#[cfg(target_arch = "x86_64")]
mod tile;
mod vector;

/// The matrix that a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Accumulate<'a, T> {
    /// Nothing: c ← a·b.
    Overwrite,
    /// One row, added to every row of the product, as a bias is: c ← bias + a·b.
    Bias(&'a [T]),
    /// The numbers in `c`: c ← c + a·b.
    Add,
}

crate::compiled! {
    /// c ← start + a·b.
    ///
    /// # Shapes
    /// `a` is (m, k), `b` is (k, n), `c` is (m, n), a [`Accumulate::Bias`] has n elements.
    /// An empty inner axis gives the start alone.
    ///
    /// ```
    /// use downhill_tensor::product::{Accumulate, product};
    /// use ndarray::{Array2, array};
    /// let x = array![[1.0, 2.0], [3.0, 4.0]];
    /// let w = array![[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]];
    /// let mut y = Array2::zeros((2, 3));
    /// product(x.view(), w.view(), Accumulate::Bias(&[10.0, 20.0, 30.0]), y.view_mut());
    /// assert_eq!(y, array![[11.0, 22.0, 34.0], [13.0, 24.0, 40.0]]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn product<T: Scalar>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, start: Accumulate<'_, T>, c: ArrayViewMut2<'_, T>) {
        let ((m, k), (k_of_b, n)) = (a.dim(), b.dim());
        assert_eq!(k, k_of_b, "the inner axes of a product must be equal");
        assert_eq!(c.dim(), (m, n), "the result of a product has the rows of a and the columns of b");
        if let Accumulate::Bias(row) = start {
            assert_eq!(row.len(), n, "a row added to a product has its number of columns");
        }
        let mut job = Job { a, b, start, c };
        if m == 0 || n == 0 {
            return;
        }
        if k == 0 {
            return job.write_start();
        }
        // Chosen by the whole problem, before it is cut, so that the choice does not depend on threads.
        // Rows of an outer product that fill a few registers are no pass over memory.
        let run = if m == 1 || n == 1 || (k == 1 && n > 64) { vector::run } else { run_matrix };
        let few = m.saturating_mul(n) <= FEW;
        if (m > 1 && few && k >= 2 * TALL) || (m > 1 || few) && k >= VERY_TALL {
            return parts(job, run);
        }
        // An outer product is a pass over memory, and is shared as those are; a product of one row nearly so.
        let grain = match (m, k) {
            (_, 1) => elementwise::GRAIN,
            (1, _) => ROW_GRAIN,
            _ => GRAIN,
        };
        match threads::current() {
            1 => run(&mut job),
            threads => job.divide(threads.min(m.saturating_mul(n).saturating_mul(k) / grain), run),
        }
    }
}

/// Below this many multiply-adds a thread, a fork costs more than it saves.
const GRAIN: usize = 256 * 1024;
/// The grain if a has one row: every number of b is read for one multiply-add.
const ROW_GRAIN: usize = 64 * 1024;

/// Threads can't share the elements of a result that has at most this many, such as the weight gradient of a narrow layer.
const FEW: usize = 1024;
/// Then they share the terms of its sums, if each has at least this many.
const TALL: usize = 4000;
/// Sums of at least this many terms are such a tree whatever the number of elements, or they would lose more digits the
/// longer they are: other products add the sums of blocks in turn.
const VERY_TALL: usize = 1 << 16;

/// Cuts a result with long sums into parts with few elements.
fn parts<T: Scalar>(job: Job<'_, T>, run: fn(&mut Job<'_, T>)) {
    /// Columns of a part: whole tiles of every kernel.
    const STRIP: usize = 48;
    let (m, n) = job.c.dim();
    if m.saturating_mul(n) <= FEW {
        return tall(job, run);
    }
    let (axis, middle) =
        if n > STRIP { (Axis(1), (n / 2).next_multiple_of(STRIP)) } else { (Axis(0), (m / 2).next_multiple_of(ROWS)) };
    let (first, second) = job.split_at(axis, middle);
    threads::join(|| parts(first, run), || parts(second, run));
}

/// A product with few elements and long sums: a tree of parts of the sums, the same for any number of threads.
fn tall<T: Scalar>(mut job: Job<'_, T>, run: fn(&mut Job<'_, T>)) {
    if job.a.ncols() < 2 * TALL {
        return run(&mut job);
    }
    let Job { a, b, start, mut c } = job;
    let middle = a.ncols() / 2;
    let ((a0, a1), (b0, b1)) = (a.split_at(Axis(1), middle), b.split_at(Axis(0), middle));
    let mut numbers = [T::ZERO; FEW];
    let mut rest = match ArrayViewMut2::from_shape(c.dim(), &mut numbers[..c.len()]) {
        Ok(rest) => rest,
        Err(error) => unreachable!("there are as many numbers as elements: {error}"),
    };
    threads::join(
        || tall(Job { a: a0, b: b0, start, c: c.view_mut() }, run),
        || tall(Job { a: a1, b: b1, start: Accumulate::Overwrite, c: rest.view_mut() }, run),
    );
    c += &rest;
}

/// Threads share columns in multiples of this many, whole vectors of every kernel.
const COLUMNS: usize = 16;
/// Or rows: whole tiles of the widest kernel.
const ROWS: usize = 8;
/// A side shorter than this is not cut.
const SHORT: usize = 96;

/// One product and where it goes.
struct Job<'a, T> {
    a: ArrayView2<'a, T>,
    b: ArrayView2<'a, T>,
    start: Accumulate<'a, T>,
    c: ArrayViewMut2<'a, T>,
}

impl<T: Scalar> Job<'_, T> {
    fn divide(mut self, pieces: usize, run: fn(&mut Job<'_, T>)) {
        let (m, n) = self.c.dim();
        // The longer side: what both threads read is the smaller operand.
        let (axis, cut) = if n >= m { (Axis(1), COLUMNS) } else { (Axis(0), ROWS) };
        if pieces < 2 || m.max(n) < SHORT {
            return run(&mut self);
        }
        let left = pieces / 2;
        let middle = (self.c.len_of(axis) * left / pieces).next_multiple_of(cut);
        let (first, second) = self.split_at(axis, middle);
        threads::join(|| first.divide(left, run), || second.divide(pieces - left, run));
    }

    /// Cuts the result in two along an axis.
    fn split_at(self, axis: Axis, middle: usize) -> (Self, Self) {
        let Self { a, b, start, c } = self;
        let (c0, c1) = c.split_at(axis, middle);
        if axis == Axis(1) {
            let (b0, b1) = b.split_at(Axis(1), middle);
            let (start0, start1) = match start {
                Accumulate::Bias(row) => (Accumulate::Bias(&row[..middle]), Accumulate::Bias(&row[middle..])),
                other => (other, other),
            };
            (Job { a, b: b0, start: start0, c: c0 }, Job { a, b: b1, start: start1, c: c1 })
        } else {
            let (a0, a1) = a.split_at(Axis(0), middle);
            (Job { a: a0, b, start, c: c0 }, Job { a: a1, b, start, c: c1 })
        }
    }

    fn write_start(&mut self) {
        match self.start {
            Accumulate::Overwrite => self.c.fill(T::ZERO),
            Accumulate::Bias(row) => {
                for mut c in self.c.rows_mut() {
                    c.iter_mut().zip(row).for_each(|(c, &row)| *c = row);
                }
            }
            Accumulate::Add => {}
        }
    }

    /// cᵀ ← start + bᵀ·aᵀ: the same numbers, with rows and columns exchanged.
    fn transposed(&mut self) -> Job<'_, T> {
        Job { a: self.b.t(), b: self.a.t(), start: self.start, c: self.c.view_mut().reversed_axes() }
    }
}

fn run_matrix<T: Scalar>(job: &mut Job<'_, T>) {
    #[cfg(target_arch = "x86_64")]
    if tile::run(job) {
        return;
    }
    portable::run(job);
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, s};

    use super::*;
    use crate::Seed;
    use crate::threads::Threads;

    /// Σ_p a[i, p] · b[p, j], in f64.
    fn naive<T: Scalar>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Array2<f64> {
        Array2::from_shape_fn((a.nrows(), b.ncols()), |(i, j)| {
            a.row(i).iter().zip(b.column(j)).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
        })
    }

    fn random<T: Scalar>(rows: usize, columns: usize, key: u64) -> Array2<T> {
        let mut stream = Seed(11).stream(key);
        Array2::from_shape_simple_fn((rows, columns), || T::from_f64(2.0 * stream.uniform() - 1.0))
    }

    /// Computes, on any machine, what machines without kernels of our own compute.
    fn portable_product<T: Scalar>(
        a: ArrayView2<'_, T>,
        b: ArrayView2<'_, T>,
        start: Accumulate<'_, T>,
        c: ArrayViewMut2<'_, T>,
    ) {
        portable::run(&mut Job { a, b, start, c });
    }

    /// All four transpose cases and all starts, with rows that do not lie side by side, and the portable way too.
    fn check<T: Scalar>(m: usize, k: usize, n: usize) {
        let tolerance = 4.0 * T::EPSILON.to_f64() * (k as f64 + 4.0);
        let pad = 3;
        let (a, a_t) = (random::<T>(m, k + pad, 1), random::<T>(k, m + pad, 2));
        let (b, b_t) = (random::<T>(k, n + pad, 3), random::<T>(n, k + pad, 4));
        let a_forms = [a.slice(s![.., ..k]), a_t.slice(s![.., ..m]).reversed_axes()];
        let b_forms = [b.slice(s![.., ..n]), b_t.slice(s![.., ..k]).reversed_axes()];
        let row = random::<T>(1, n, 5);
        let row = row.as_slice().unwrap();
        let old = random::<T>(m, n, 6);
        for a in &a_forms {
            for b in &b_forms {
                let expected = naive(a.view(), b.view());
                for (start, plus) in [
                    (Accumulate::Overwrite, Array2::zeros((m, n))),
                    (Accumulate::Bias(row), Array2::from_shape_fn((m, n), |(_, j)| row[j].to_f64())),
                    (Accumulate::Add, old.mapv(T::to_f64)),
                ] {
                    let ways = [product::<T>, portable_product::<T>];
                    for (way, transposed) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
                        let mut buffer = Array2::from_elem((m.max(n), m.max(n) + pad), T::NAN);
                        let mut c = if transposed {
                            buffer.slice_mut(s![..n, ..m]).reversed_axes()
                        } else {
                            buffer.slice_mut(s![..m, ..n])
                        };
                        if let Accumulate::Add = start {
                            c.assign(&old);
                        }
                        way(a.view(), b.view(), start, c.view_mut());
                        for ((c, expected), plus) in c.iter().zip(&expected).zip(&plus) {
                            let error = (c.to_f64() - expected - plus).abs();
                            assert!(error <= tolerance, "{m}x{k}x{n} {start:?} {transposed}: {c} {expected} {plus}");
                        }
                        let untouched = buffer.iter().filter(|x| x.is_nan()).count();
                        assert_eq!(untouched, buffer.len() - m * n, "{m}x{k}x{n} wrote outside its result");
                    }
                }
            }
        }
    }

    fn sizes() -> impl Iterator<Item = (usize, usize, usize)> {
        let edges = [0, 1, 2, 3, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 33, 47, 48, 49];
        let mut stream = Seed(3).stream(0);
        let mut one = move |limit: usize| (stream.uniform() * limit as f64) as usize;
        let small = edges.into_iter().flat_map(move |m| edges.into_iter().map(move |n| (m, 1 + (m + n) % 7, n)));
        // Every size up to 130 along each axis, the others at random.
        let along_an_axis = (0..=130).flat_map(move |size| {
            let (a, b) = (one(131), one(131));
            [(size, a, b), (a, size, b), (a, b, size)]
        });
        small.chain(along_an_axis).chain([
            (1, 300, 70),
            (70, 300, 1),
            (40, 1, 40),
            (250, 513, 50),
            (7, 257, 100),
            (100, 256, 48),
            // Rows of a are copied.
            (270, 70, 64),
            (535, 401, 70),
            (50, 512, 65),
            // Rows are computed as columns.
            (130, 50, 5),
            (200, 40, 12),
            (33, 410, 2),
            // Long sums of few elements.
            (5, 17_001, 3),
            (4, 9_001, 1),
            // Very long ones of any number.
            (1, 65_537, 30),
            (30, 65_540, 50),
        ])
    }

    #[test]
    fn equals_the_naive_sum_in_f32() {
        sizes().for_each(|(m, k, n)| check::<f32>(m, k, n));
    }

    #[test]
    fn equals_the_naive_sum_in_f64() {
        sizes().for_each(|(m, k, n)| check::<f64>(m, k, n));
    }

    /// On a machine without AVX-512: with plain numbers for its registers.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn tiles_of_wide_registers_equal_the_naive_sum() {
        crate::lanes::pretend::ON.set(true);
        sizes().step_by(2).for_each(|(m, k, n)| check::<f32>(m, k, n));
        sizes().step_by(2).for_each(|(m, k, n)| check::<f64>(m, k, n));
        crate::lanes::pretend::ON.set(false);
    }

    /// The farthest from the portable product, in units of the last place of a result that no cancellation has made small.
    fn units_apart<T: Scalar>(m: usize, k: usize, n: usize) -> f64 {
        let positive = |rows, columns, key| random::<T>(rows, columns, key).mapv(|x| x.abs() + T::from_f64(0.1));
        let (a, b) = (positive(m, k, 1), positive(k, n, 2));
        let (mut fast, mut reference) = (Array2::zeros((m, n)), Array2::zeros((m, n)));
        product(a.view(), b.view(), Accumulate::Overwrite, fast.view_mut());
        portable::run(&mut Job { a: a.view(), b: b.view(), start: Accumulate::Overwrite, c: reference.view_mut() });
        let units = fast.iter().zip(&reference).map(|(fast, reference)| {
            let unit = T::EPSILON.to_f64() * reference.to_f64().log2().floor().exp2();
            (fast.to_f64() - reference.to_f64()).abs() / unit
        });
        units.fold(0.0, f64::max)
    }

    #[test]
    fn a_few_units_of_the_last_place_from_the_portable_product() {
        for (m, k, n) in [(1, 784, 256), (32, 784, 256), (784, 128, 256), (130, 33, 97), (7, 1000, 50), (40, 2000, 1)] {
            let units = units_apart::<f32>(m, k, n).max(units_apart::<f64>(m, k, n));
            assert!(units <= 16.0, "{m}x{k}x{n}: {units}");
        }
    }

    #[test]
    fn no_product_loses_more_digits_the_longer_its_sums_are() {
        // Added one after the other, a million of these are 1 % off.
        let of = |p: usize| 0.1 + 1e-3 * (p % 7) as f32;
        for k in [1000, 10_000, 60_000, 100_000, 1_000_000] {
            let exact: f64 = (0..k).map(|p| f64::from(of(p))).sum();
            for (m, n) in [(1, 1), (1, 3), (3, 1), (5, 17), (33, 40)] {
                let (a, b) = (Array2::from_shape_fn((k, m), |(p, _)| of(p)), Array2::ones((k, n)));
                let mut c = Array2::from_elem((m, n), f32::NAN);
                product(a.t(), b.view(), Accumulate::Overwrite, c.view_mut());
                for &c in &c {
                    let error = (f64::from(c) / exact - 1.0).abs();
                    assert!(error < 1e-5, "{m}x{k}x{n}: {c} for {exact}, {error:e}");
                }
            }
        }
    }

    #[test]
    fn reversed_rows_are_read_backwards() {
        let (mut a, b) = (random::<f64>(9, 11, 1), random::<f64>(11, 30, 2));
        a.invert_axis(Axis(0));
        let mut c = Array2::from_elem((9, 30), f64::NAN);
        product(a.view(), b.view(), Accumulate::Overwrite, c.view_mut());
        assert!((&c - &naive(a.view(), b.view())).iter().all(|error| error.abs() < 1e-14));
    }

    #[test]
    fn not_a_number_and_infinity_go_through() {
        let a = Array2::from_elem((8, 20), 0.0f32);
        let mut b = Array2::from_elem((20, 50), 1.0f32);
        b[[3, 7]] = f32::INFINITY;
        let mut c = Array2::zeros((8, 50));
        product(a.view(), b.view(), Accumulate::Overwrite, c.view_mut());
        assert!(c.column(7).iter().all(|c| c.is_nan()), "0 times infinity is not a number");
        assert_eq!(c.iter().filter(|c| c.is_nan()).count(), 8, "only that column");
    }

    /// An example's prediction is the same alone and among others, if the machine has kernels of our own.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_row_alone_gives_the_bits_that_it_gives_among_others() {
        if tile::register_width::<f32>().is_none() {
            return;
        }
        for (k, n) in [(5, 3), (128, 10), (784, 256), (30, 1), (900, 1), (1000, 70)] {
            let (a, b, bias) = (random::<f32>(13, k, 1), random::<f32>(k, n, 2), random::<f32>(1, n, 3));
            let bias = Accumulate::Bias(bias.as_slice().unwrap());
            let mut all = Array2::zeros((13, n));
            product(a.view(), b.view(), bias, all.view_mut());
            for i in 0..13 {
                let mut one = Array2::zeros((1, n));
                product(a.slice(s![i..=i, ..]), b.view(), bias, one.view_mut());
                assert_eq!(one.row(0), all.row(i), "{k} to {n}");
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        for (m, k, n) in [
            (128, 784, 256),
            (784, 128, 256),
            (300, 700, 90),
            (1, 3000, 1000),
            (500, 500, 10),
            (16, 20_001, 5),
            (784, 1, 256),
            (40, 70_001, 100),
            (1, 70_001, 9),
        ] {
            let (a, b) = (random::<f32>(m, k, 1), random::<f32>(k, n, 2));
            let on = |threads| {
                let mut c = Array2::from_elem((m, n), f32::NAN);
                let pool = Threads::new(threads).unwrap();
                pool.run(|| product(a.view(), b.view(), Accumulate::Overwrite, c.view_mut()));
                c.mapv(f32::to_bits)
            };
            let one = on(1);
            for threads in 2..=5 {
                assert_eq!(on(threads), one, "{m}x{k}x{n} on {threads} threads");
            }
        }
    }
}
