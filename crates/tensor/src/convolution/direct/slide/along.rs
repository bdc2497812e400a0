//! Pixels along the vectors: one weight at a time is multiplied by some vectors of neighbouring pixels.
//!
//! The results come as they are stored. It is the way for sums of few terms and for groups of few channels.

use super::*;

/// A part of a source that is this large in bytes stays in the second cache while all results are computed from it.
const STRIP: usize = 128 * 1024;

/// A block's results of the largest phase.
pub(super) fn buffer_len(layout: &Layout) -> usize {
    let [height, width] = layout.lines;
    let rows = (0..height.phases()).map(|phase| height.phase(phase).count).max().unwrap_or(0);
    rows.saturating_mul(width.length).saturating_add(SLACK).saturating_mul(MOST)
}

impl<T: Scalar> Part<'_, T> {
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    pub(super) unsafe fn along<V: Lanes<Number = T>, const WIDE: bool>(
        &self,
        channels: Range<usize>,
        y: &mut [T],
        buffer: &mut [T],
    ) {
        let Self { pass, phases: [rows, columns], distances, .. } = *self;
        let layout = pass.layout;
        let [height, width] = layout.lines;
        let (group, sources) = (pass.blocks.group, layout.channels / pass.groups);
        let result = height.result() * width.result();
        // Vectors within rows, the last of a row overlapping the one before; or, where rows are short,
        // along the plane as one line, borders between rows included.
        let line = ((rows.count - 1) * width.length + columns.count).div_ceil(V::N);
        let per_row = columns.count.div_ceil(V::N);
        let by_rows = columns.count >= V::N && per_row * rows.count <= line + line / 8;
        let walk = if by_rows {
            let last = columns.count - V::N;
            Walk { per_row, last, source_row: width.length, result_row: columns.count, vectors: per_row * rows.count }
        } else {
            Walk { per_row: line, last: line * V::N, source_row: 0, result_row: 0, vectors: line }
        };
        let in_place = by_rows && rows.step == 1 && columns.step == 1;
        // In the buffer, a channel's results have a stretch of their own.
        let (stretch, pitch) =
            if by_rows { (rows.count * columns.count, columns.count) } else { (line * V::N, width.length) };
        let bytes = sources * V::N * size_of::<T>();
        let strip = if in_place { (STRIP / bytes).next_multiple_of(120) } else { walk.vectors };
        for first in (0..walk.vectors).step_by(strip) {
            let count = strip.min(walk.vectors - first);
            for (channel, block) in pass.blocks.of(channels.clone()) {
                let results = &mut y[(channel - channels.start) * result..][..block * result];
                let of_group = channel / group * sources * layout.channel();
                let target = if in_place { &mut *results } else { &mut buffer[..block * stretch] };
                let band = Band {
                    source: self.planes[of_group..].as_ptr(),
                    distances,
                    weights: self.weights[pass.blocks.start(channel, distances.len())..].as_ptr(),
                    bias: pass.bias.map(|bias| bias[channel..channel + block].as_ptr()),
                    target: target.as_mut_ptr(),
                    target_step: target.len() / block,
                    count,
                };
                let places = walk.from(first);
                // SAFETY: from any vector of the walk a distance leads to a number of the group's planes, or to a
                // vector's length beyond them, where the next plane is, or the slack.
                // `target` has `block` stretches that hold the walk's vectors.
                unsafe {
                    match (block, WIDE) {
                        (8, true) => band.run::<V, 8, 3>(places),
                        (7, true) => band.run::<V, 7, 3>(places),
                        (6, true) => band.run::<V, 6, 3>(places),
                        (5, true) => band.run::<V, 5, 4>(places),
                        (4, true) => band.run::<V, 4, 5>(places),
                        (3, true) => band.run::<V, 3, 6>(places),
                        (6, false) => band.run::<V, 6, 2>(places),
                        (5, false) => band.run::<V, 5, 2>(places),
                        (4, false) => band.run::<V, 4, 2>(places),
                        (3, false) => band.run::<V, 3, 3>(places),
                        (2, _) => band.run::<V, 2, 4>(places),
                        _ => band.run::<V, 1, 8>(places),
                    }
                }
                if !in_place {
                    for (results, buffer) in results.chunks_exact_mut(result).zip(buffer.chunks_exact(stretch)) {
                        // SAFETY: the function's promise.
                        unsafe { self.put_back::<V>(buffer, pitch, results, width.result()) };
                    }
                }
            }
        }
    }

    /// Copies one channel's results from the buffer, whose rows are `pitch` apart, to where they belong.
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn put_back<V: Lanes<Number = T>>(&self, buffer: &[T], pitch: usize, results: &mut [T], width: usize) {
        let [rows, columns] = self.phases;
        for row in 0..rows.count {
            let buffer = &buffer[row * pitch..][..columns.count];
            let target = &mut results[(rows.first + row * rows.step) * width..][..width][columns.first..];
            if columns.step == 1 {
                // SAFETY: the function's promise.
                unsafe { copy::<V>(buffer, &mut target[..columns.count]) };
            } else {
                for (target, buffer) in target.iter_mut().step_by(columns.step).zip(buffer) {
                    *target = *buffer;
                }
            }
        }
    }
}

/// The vectors of a result: where each lies in the source plane, and where in the result.
#[derive(Clone, Copy)]
struct Walk {
    per_row: usize,
    /// Where the last vector of a row begins.
    last: usize,
    source_row: usize,
    result_row: usize,
    vectors: usize,
}

#[derive(Clone, Copy)]
struct Places {
    walk: Walk,
    vector: usize,
    source: usize,
    result: usize,
    left: usize,
}

impl Walk {
    fn from(self, first: usize) -> Places {
        let row = first / self.per_row;
        let (source, result) = (row * self.source_row, row * self.result_row);
        Places { walk: self, vector: first % self.per_row, source, result, left: self.vectors - first }
    }
}

impl Places {
    /// The places of the next vector; after the last one it stays there.
    #[inline(always)]
    fn next<V: Lanes>(&mut self) -> [usize; 2] {
        let column = (self.vector * V::N).min(self.walk.last);
        let places = [self.source + column, self.result + column];
        if self.left > 1 {
            self.left -= 1;
            self.vector += 1;
            if self.vector == self.walk.per_row {
                self.vector = 0;
                self.source += self.walk.source_row;
                self.result += self.walk.result_row;
            }
        }
        places
    }
}

/// A few channels of the result, along some vectors.
struct Band<'a, T> {
    /// The first plane of the group.
    source: *const T,
    distances: &'a [u32],
    /// In the order in which they are used.
    weights: *const T,
    bias: Option<*const T>,
    /// The first channel.
    target: *mut T,
    /// From one channel to the next.
    target_step: usize,
    /// The number of vectors.
    count: usize,
}

impl<T: Scalar> Band<'_, T> {
    /// `R` channels, `C` vectors at a time; where fewer are left, the last again.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; pointers, distances and places reach only what the band may use.
    #[inline(always)]
    unsafe fn run<V: Lanes<Number = T>, const R: usize, const C: usize>(&self, mut places: Places) {
        for _ in 0..self.count.div_ceil(C) {
            // SAFETY: the function's promise.
            unsafe { self.tile::<V, R, C>(&mut places) };
        }
    }

    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn tile<V: Lanes<Number = T>, const R: usize, const C: usize>(&self, places: &mut Places) {
        // SAFETY: the function's promise.
        unsafe {
            let places = [(); C].map(|()| places.next::<V>());
            let source = places.map(|[source, _]| self.source.add(source));
            let mut weights = self.weights;
            let mut sums = [[V::zero(); C]; R];
            if let Some(bias) = self.bias {
                for (r, sums) in sums.iter_mut().enumerate() {
                    *sums = [V::splat(bias.add(r)); C];
                }
            }
            for &distance in self.distances {
                let x = source.map(|source| V::load(source.add(distance as usize)));
                for (r, sums) in sums.iter_mut().enumerate() {
                    let weight = V::splat(weights.add(r));
                    for (sum, &x) in sums.iter_mut().zip(&x) {
                        *sum = sum.multiply_add(weight, x);
                    }
                }
                weights = weights.add(R);
            }
            for (r, sums) in sums.iter().enumerate() {
                for (sum, [_, target]) in sums.iter().zip(places) {
                    sum.store(self.target.add(r * self.target_step + target));
                }
            }
        }
    }
}
