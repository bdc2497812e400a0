//! The heads of some examples, one after the other: pass 3 of the forward pass and pass 2 of the backward pass.
//!
//! The scores of a block and all that is made of them lie transposed, keys by queries: see `scores`.

use std::ops::Range;

use downhill_tensor::product::{Accumulate, product};
use downhill_tensor::reduce::unit_scale;
use downhill_tensor::{
    Batch, Divisible, Kernel, Runs, RunsMut, Scalar, Shape, elementwise, prefetch, vectorized, view,
};
use ndarray::{ArrayBase, ArrayView2, Axis, Ix2, RawData, Slice};

use crate::{Dropout, Streams};

use super::MultiHeadAttention;
use super::scores::{ApplyDropout, RecomputeWeights, STRIP, ScoreGradient, Softmax};

/// The sizes of one pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    /// The size of a head, d.
    pub(super) head: usize,
    pub(super) causal: bool,
    pub(super) drops: bool,
}

/// P is kept for the backward pass if a query has at most this many weights.
const KEEP: usize = 512;

/// About this many scores are computed at a time, so that they stay in the L2 cache.
const BLOCK: usize = 64 * 1024;

/// Queries are taken in multiples of this many: whole tiles of every product kernel.
const TILE: usize = 48;

impl Sizes {
    pub(super) fn new(layer: &MultiHeadAttention, x: Shape, memory: Shape) -> Self {
        let &MultiHeadAttention { heads, causal, dropout, .. } = layer;
        let width = x[1];
        Self { queries: x[0], keys: memory[0], width, heads, head: width / heads, causal, drops: dropout > 0.0 }
    }

    /// Whether P is kept for the backward pass; if not, it is computed again.
    fn keeps_weights(self) -> bool {
        self.drops || self.keys <= KEEP
    }

    /// The numbers that one head of one example keeps in addition to Q, K, V and C: P, or ln Σ exp of the scores of
    /// each query.
    pub(super) fn kept(self) -> usize {
        if self.keeps_weights() { self.queries.next_multiple_of(STRIP) * self.keys } else { self.queries }
    }

    /// The length of the queries of one example, and of C and dQ.
    pub(super) fn query_numbers(self) -> usize {
        self.queries * self.width
    }

    /// The length of the keys and values of one example.
    pub(super) fn memory_numbers(self) -> usize {
        2 * self.keys * self.width
    }

    /// The number of queries that are computed at a time.
    fn block(self) -> usize {
        (BLOCK / self.keys).max(1).next_multiple_of(TILE).min(self.queries)
    }

    fn blocks(self) -> impl DoubleEndedIterator<Item = Range<usize>> {
        let block = self.block();
        (0..self.queries.div_ceil(block)).map(move |index| index * block..((index + 1) * block).min(self.queries))
    }

    /// The scratch space of one example: a block of dP, and one of weights that are not kept as products need them.
    pub(super) fn scratch_len(self) -> usize {
        let blocks = if self.drops || !self.keeps_weights() { 2 } else { 1 };
        blocks * self.block().next_multiple_of(STRIP) * self.keys
    }

    /// The number of keys that some queries attend to if `present` keys are not padding.
    fn visible(self, queries: &Range<usize>, present: usize) -> usize {
        if self.causal { present.min(queries.end) } else { present }
    }

    /// Gives a weight of 0 to the keys that come after a query.
    fn mask<T: Scalar>(self, queries: &Range<usize>, scores: &mut [T]) {
        if self.causal {
            let rows = scores.chunks_exact_mut(queries.len().next_multiple_of(STRIP)).skip(queries.start);
            for (before, row) in rows.enumerate() {
                row[..before].fill(-T::INFINITY);
            }
        }
    }

    /// Computes again the weights, which are NaN, of queries whose scores are beyond the range of the precision: there
    /// the scores of scaled queries and keys tell how far each is from the largest. What is not finite stays no number.
    #[cold]
    #[inline(never)]
    fn weigh_large<T: Scalar>(self, queries: &Range<usize>, q: ArrayView2<'_, T>, k: ArrayView2<'_, T>, p: &mut [T]) {
        let row = queries.len().next_multiple_of(STRIP);
        let scale_of = |numbers: ArrayView2<'_, T>| {
            let largest = numbers.iter().fold(T::ZERO, |largest, x| largest.max(x.abs()));
            numbers.iter().all(|x| x.is_finite()).then(|| unit_scale(largest))
        };
        for (query, q) in q.rows().into_iter().enumerate() {
            if !p[query].is_nan() {
                continue;
            }
            let seen = if self.causal { k.nrows().min(queries.start + query + 1) } else { k.nrows() };
            let (k, _) = k.split_at(Axis(0), seen);
            let (Some(of_q), Some(of_k)) = (scale_of(q.insert_axis(Axis(0))), scale_of(k)) else { continue };
            let mut largest = -T::INFINITY;
            for (p, k) in p.iter_mut().skip(query).step_by(row).zip(k.rows()) {
                *p = q.iter().zip(k).fold(T::ZERO, |sum, (&q, &k)| sum + (q * of_q) * (k * of_k));
                largest = largest.max(*p);
            }
            let mut sum = 0.0;
            for (key, p) in p.iter_mut().skip(query).step_by(row).enumerate() {
                // From queries and keys so small that their scale is infinite, no score differs from another.
                let below = (*p - largest) * self.scale() / (of_q * of_k);
                *p = match key < seen {
                    true if *p == largest => T::ONE,
                    true => below.exp(),
                    false => T::ZERO,
                };
                sum += p.to_f64();
            }
            p.iter_mut().skip(query).step_by(row).for_each(|p| *p = T::from_f64(p.to_f64() / sum));
        }
    }

    /// Gives a query no weights in what one head of an example keeps, of whose keys `present` are not padding.
    pub(super) fn forget<T: Scalar>(self, query: usize, present: usize, kept: &mut [T]) {
        if !self.keeps_weights() {
            // P = exp(S/√d − ∞) = 0
            kept[query] = T::INFINITY;
            return;
        }
        let start = query - query % self.block();
        let queries = start..(start + self.block()).min(self.queries);
        let row = queries.len().next_multiple_of(STRIP);
        let p = &mut kept[start * self.keys..][..row * self.visible(&queries, present)];
        p.chunks_exact_mut(row).for_each(|p| p[query - start] = T::ZERO);
    }

    /// The columns of a head in Q, K or V.
    fn columns(self, head: usize) -> Range<usize> {
        head * self.head..(head + 1) * self.head
    }

    /// 1/√d
    fn scale<T: Scalar>(self) -> T {
        T::from_f64(1.0 / (self.head as f64).sqrt())
    }

    /// The simple operations of the forward pass.
    pub(super) fn work(self, examples: usize) -> usize {
        examples.saturating_mul(self.queries * self.keys).saturating_mul(2 * self.width)
    }
}

/// The positions of the memory that are not padding.
#[derive(Clone, Copy)]
pub(super) struct Masks<'a, T> {
    pub(super) sizes: Sizes,
    /// Empty if no example has padding.
    pub(super) lengths: &'a [T],
    /// The memory, if some of it is not finite but may be masked.
    pub(super) spoilt: Option<Batch<'a, T>>,
}

impl<T: Scalar> Masks<'_, T> {
    /// The number of keys of an example that are not padding.
    pub(super) fn length(&self, example: usize) -> usize {
        let keys = self.sizes.keys;
        self.lengths.get(example).map_or(keys, |length| (length.to_f64() as usize).clamp(1, keys))
    }

    /// The number of keys of an example that come before the first that is not finite.
    ///
    /// A weight of 0 would not keep such a key from others that come before it; those that see it are not finite.
    pub(super) fn clear(&self, example: usize) -> usize {
        let length = self.length(example);
        let Some(memory) = self.spoilt.filter(|_| self.sizes.causal) else { return length };
        let Sizes { keys, width, .. } = self.sizes;
        let mut rows = memory.slice()[example * keys * width..].chunks_exact(width).take(length);
        rows.position(|row| !is_finite(row)).unwrap_or(length)
    }
}

pub(super) fn is_finite<T: Scalar>(row: &[T]) -> bool {
    row.iter().all(|x| x.is_finite())
}

/// What all heads of all examples have in common.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a, T> {
    pub(super) sizes: Sizes,
    pub(super) masks: Masks<'a, T>,
    /// The factor of weights that are not dropped.
    pub(super) factor: T,
    /// How weights are dropped, in the forward pass.
    pub(super) drop: Option<(Dropout, Streams)>,
}

/// Some examples from number `first` of the batch on, and their parts of the arrays of one pass.
pub(super) struct Attend<'a, T, P> {
    pub(super) heads: Heads<'a, T>,
    pub(super) first: usize,
    pub(super) parts: P,
}

impl<T: Scalar, P: Divisible> Divisible for Attend<'_, T, P>
where
    Self: Kernel<Output = ()>,
{
    fn elements(&self) -> usize {
        self.parts.elements()
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let Self { heads, first, parts } = self;
        let (left, right) = parts.cut(middle);
        (Self { heads, first, parts: left }, Self { heads, first: first + middle, parts: right })
    }
}

/// Q, (K V), C, what is kept, scratch.
type ForwardParts<'a, T> = (Runs<'a, T>, Runs<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>);

/// Q, (K V), what is kept, dC and then dQ, (dK dV), scratch.
type BackwardParts<'a, T> = (Runs<'a, T>, Runs<'a, T>, Runs<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>);

impl<T: Scalar> Kernel for Attend<'_, T, ForwardParts<'_, T>> {
    type Output = ();

    fn run(self) {
        let (q, kv, context, kept, scratch) = self.parts;
        // One after the other, examples share the scratch space of the first, which stays in the cache.
        let Some(scratch) = scratch.iter_mut().next() else { return };
        let examples = q.iter().zip(kv.iter()).zip(context.iter_mut()).zip(kept.iter_mut());
        for (index, (((q, kv), context), kept)) in examples.enumerate() {
            self.heads.forward(self.first + index, q, kv, context, kept, scratch);
        }
    }
}

impl<T: Scalar> Kernel for Attend<'_, T, BackwardParts<'_, T>> {
    type Output = ();

    fn run(self) {
        let (q, kv, kept, dq, dkv, scratch) = self.parts;
        let Some(scratch) = scratch.iter_mut().next() else { return };
        let examples = q.iter().zip(kv.iter()).zip(kept.iter()).zip(dq.iter_mut().zip(dkv.iter_mut()));
        for (index, (((q, kv), kept), (dq, dkv))) in examples.enumerate() {
            self.heads.backward(self.first + index, q, kv, kept, dq, dkv, scratch);
        }
    }
}

impl<T: Scalar> Heads<'_, T> {
    /// C = softmax(Q Kᵀ/√d) V, for all heads of one example.
    fn forward(&self, example: usize, q: &[T], kv: &[T], context: &mut [T], kept: &mut [T], scratch: &mut [T]) {
        let sizes = self.sizes;
        let Sizes { keys, width, .. } = sizes;
        let clear = self.masks.clear(example);
        let present = clear.max(1);
        [q, kv].into_iter().for_each(prefetch);
        let (q, (k, v)) =
            (view::matrix(q, (sizes.queries, width)), view::matrix(kv, (keys, 2 * width)).split_at(Axis(1), width));
        let mut context = view::matrix_mut(context, (sizes.queries, width));
        let drop = self.drop.map(|(dropout, random)| (dropout, random.seed().derive(example as u64)));
        let mut drawn = 0;
        for (head, kept) in kept.chunks_exact_mut(sizes.kept()).enumerate() {
            let columns = sizes.columns(head);
            for queries in sizes.blocks() {
                let (row, visible) = (queries.len().next_multiple_of(STRIP), sizes.visible(&queries, present));
                let (scores, spare) = scratch.split_at_mut(row * keys);
                let (p, log_sums) = if sizes.keeps_weights() {
                    (&mut kept[queries.start * keys..][..row * visible], &mut [][..])
                } else {
                    (&mut scores[..row * visible], &mut kept[queries.clone()])
                };
                let q = part(q, queries.clone(), columns.clone());
                let [k, v] = [k, v].map(|all| part(all, 0..visible, columns.clone()));
                // Pass 3a: Sᵀ √d = K Qᵀ, and −∞ where it is masked.
                product(
                    k,
                    q.t(),
                    Accumulate::Overwrite,
                    part(view::matrix_mut(p, (visible, row)), 0..visible, 0..queries.len()),
                );
                sizes.mask(&queries, p);
                // Pass 3b: P = softmax(S) over the keys, which lie along the columns of Pᵀ.
                if vectorized(Softmax { scale: sizes.scale(), row, p, log_sums, undefined: false }) {
                    sizes.weigh_large(&queries, q, k, p);
                }
                // Pass 3c: what C takes of P, which is all of it unless some weights are dropped.
                let weights = match drop {
                    Some((dropout, seed)) => {
                        let weights = &mut spare[..row * visible];
                        dropout.draw(weights, seed, drawn);
                        drawn += weights.len();
                        elementwise::update(p, weights, |p, m| p * m);
                        // Backward knows a dropped weight by its sign.
                        elementwise::update(weights, p, |w, p| if w == T::ZERO { -p } else { p });
                        &*weights
                    }
                    None => &*p,
                };
                // Pass 3d: C = P V
                let weights = part(view::matrix(weights, (visible, row)), 0..visible, 0..queries.len());
                product(weights.t(), v, Accumulate::Overwrite, part(context.view_mut(), queries, columns.clone()));
            }
        }
        if clear < self.masks.length(example) {
            context.split_at(Axis(0), clear.min(sizes.queries)).1.fill(T::NAN);
        }
    }

    /// Turns dC, in `dq`, into dQ, and gives (dK dV), for all heads of one example.
    #[expect(clippy::too_many_arguments, reason = "one for each matrix")]
    fn backward(&self, example: usize, q: &[T], kv: &[T], kept: &[T], dq: &mut [T], dkv: &mut [T], scratch: &mut [T]) {
        let &Heads { sizes, factor, .. } = self;
        let Sizes { keys, width, .. } = sizes;
        let present = self.masks.clear(example).max(1);
        [q, kv, kept, dq].into_iter().for_each(prefetch);
        let (q, (k, v)) =
            (view::matrix(q, (sizes.queries, width)), view::matrix(kv, (keys, 2 * width)).split_at(Axis(1), width));
        let mut dq = view::matrix_mut(dq, (sizes.queries, width));
        let (mut dk, mut dv) = view::matrix_mut(dkv, (keys, 2 * width)).split_at(Axis(1), width);
        for (head, kept) in kept.chunks_exact(sizes.kept()).enumerate() {
            let columns = sizes.columns(head);
            // The last block sees the most keys, so it comes first: the others add to what it begins.
            let mut start = Accumulate::Overwrite;
            for queries in sizes.blocks().rev() {
                let (row, visible) = (queries.len().next_multiple_of(STRIP), sizes.visible(&queries, present));
                let (dp, spare) = scratch.split_at_mut(row * keys);
                let dp = &mut dp[..row * visible];
                let seen = |all| part(all, 0..visible, 0..queries.len());
                let q = part(q, queries.clone(), columns.clone());
                let [k, v] = [k, v].map(|all| part(all, 0..visible, columns.clone()));
                let dc = part(dq.view_mut(), queries.clone(), columns.clone());
                let [(dk, mut dk_beyond), (dv, mut dv_beyond)] = [&mut dk, &mut dv]
                    .map(|all| part(all.view_mut(), 0..keys, columns.clone()).split_at(Axis(0), visible));
                // Pass 2a: dPᵀ = V dCᵀ
                product(
                    v,
                    dc.t(),
                    Accumulate::Overwrite,
                    part(view::matrix_mut(dp, (visible, row)), 0..visible, 0..queries.len()),
                );
                // Pass 2b: P, kept or from scores again, and `weights`, what C took of it.
                let (p, weights) = if !sizes.keeps_weights() {
                    let p = &mut spare[..row * visible];
                    product(
                        k,
                        q.t(),
                        Accumulate::Overwrite,
                        part(view::matrix_mut(p, (visible, row)), 0..visible, 0..queries.len()),
                    );
                    sizes.mask(&queries, p);
                    let log_sums = &kept[queries.clone()];
                    vectorized(RecomputeWeights { scale: sizes.scale(), row, log_sums, p });
                    if log_sums.iter().any(|log_sum| log_sum.is_nan()) {
                        sizes.weigh_large(&queries, q, k, p);
                    }
                    (&*p, &*p)
                } else if sizes.drops {
                    let (p, weights) = (&kept[queries.start * keys..][..row * visible], &mut spare[..row * visible]);
                    vectorized(ApplyDropout { factor, p, weights, dp });
                    (p, &*weights)
                } else {
                    let p = &kept[queries.start * keys..][..row * visible];
                    (p, p)
                };
                // Pass 2c: dV = Pᵀ dC
                product(seen(view::matrix(weights, (visible, row))), dc.view(), start, dv);
                // Pass 2d: dS/√d = P ∘ (dP − Σ_keys P ∘ dP)/√d, over dP.
                vectorized(ScoreGradient { scale: sizes.scale(), row, p, dp });
                let ds = seen(view::matrix(dp, (visible, row)));
                // Pass 2e: dQ = dS K/√d, over dC        dK = dSᵀ Q/√d
                product(ds.t(), k, Accumulate::Overwrite, dc);
                product(ds, q, start, dk);
                if let Accumulate::Overwrite = start {
                    dk_beyond.fill(T::ZERO);
                    dv_beyond.fill(T::ZERO);
                    start = Accumulate::Add;
                }
            }
        }
    }
}

/// Some rows and columns of a matrix.
fn part<S: RawData>(mut all: ArrayBase<S, Ix2>, rows: Range<usize>, columns: Range<usize>) -> ArrayBase<S, Ix2> {
    all.slice_axis_inplace(Axis(0), Slice::from(rows));
    all.slice_axis_inplace(Axis(1), Slice::from(columns));
    all
}
