//! Pixels along the vectors: one weight at a time is multiplied by some vectors of neighbouring pixels.
//!
//! The results come as they are stored. It is the way for sums of few terms and for groups of few channels.

use super::*;

/// A part of a source that is this large in bytes stays in the second cache while all results are computed from it.
const STRIP: usize = 128 * 1024;

/// The most vectors of a strip.
const VECTORS: usize = 240;

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
        let walk = Walk::new(&layout, self.numbers, V::N);
        let in_place = walk.by_rows && rows.step == 1 && columns.step == 1;
        // Several strips of a buffer are filled before it is put back; elsewhere all channels share a strip.
        let strip = if in_place { (STRIP / (sources * V::N * size_of::<T>())).clamp(24, VECTORS) } else { VECTORS };
        let strips = walk.vectors.div_ceil(strip);
        let (outer, inner) = if in_place || strips == 1 { (strips, 1) } else { (1, strips) };
        let mut places = Places { index: usize::MAX, count: 0, places: [[0; 2]; VECTORS + MOST] };
        for outer in 0..outer {
            for (channel, block) in pass.blocks.of(channels.clone()) {
                let results = &mut y[(channel - channels.start) * result..][..block * result];
                let of_group = channel / group * sources * layout.channel();
                for inner in 0..inner {
                    places.fill(&walk, outer + inner, strip, V::N);
                    let target = if in_place { &mut *results } else { &mut buffer[..block * walk.stretch] };
                    let band = Band {
                        source: self.planes[of_group..].as_ptr(),
                        distances,
                        weights: self.weights[pass.blocks.start(channel, distances.len())..].as_ptr(),
                        bias: pass.bias.map(|bias| bias[channel..channel + block].as_ptr()),
                        target_step: target.len() / block,
                        target: target.as_mut_ptr(),
                        places: &places,
                    };
                    // SAFETY: from any vector of the walk a distance leads to a number of the group's planes, or to a
                    // vector's length beyond them, where the next plane is, or the slack.
                    // `target` has `block` stretches that hold the walk's vectors.
                    unsafe {
                        match (block, WIDE) {
                            (8, true) => band.run::<V, 8, 3>(),
                            (7, true) => band.run::<V, 7, 3>(),
                            (6, true) => band.run::<V, 6, 3>(),
                            (5, true) => band.run::<V, 5, 4>(),
                            (4, true) => band.run::<V, 4, 5>(),
                            (3, true) => band.run::<V, 3, 6>(),
                            (6, false) => band.run::<V, 6, 2>(),
                            (5, false) => band.run::<V, 5, 2>(),
                            (4, false) => band.run::<V, 4, 2>(),
                            (3, false) => band.run::<V, 3, 3>(),
                            (2, _) => band.run::<V, 2, 4>(),
                            _ => band.run::<V, 1, 8>(),
                        }
                    }
                }
                if !in_place {
                    for (results, buffer) in results.chunks_exact_mut(result).zip(buffer.chunks_exact(walk.stretch)) {
                        // SAFETY: the function's promise.
                        unsafe { self.put_back::<V>(buffer, walk.pitch, results, width.result()) };
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

/// The vectors of a result: within rows, the last of a row overlapping the one before; or, where that takes many more,
/// along the plane as one line, borders between rows included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    by_rows: bool,
    vectors: usize,
    per_row: usize,
    /// Where the last vector of a row begins.
    last: usize,
    /// From one row to the next in the source's plane.
    source_row: usize,
    /// From one row to the next in the result, or its buffer.
    pitch: usize,
    /// What one channel takes in a buffer.
    stretch: usize,
    pixels: usize,
    lanes: usize,
}

impl Walk {
    pub(super) fn new(layout: &Layout, phases: [usize; 2], lanes: usize) -> Self {
        let [rows, columns] = [0, 1].map(|axis| layout.lines[axis].phase(phases[axis]).count);
        let length = layout.lines[1].length;
        let (pixels, source_row) = (rows * columns, length);
        let line = ((rows - 1) * length + columns).div_ceil(lanes);
        let per_row = columns.div_ceil(lanes);
        if columns >= lanes && per_row * rows <= line + line / 8 {
            let (vectors, last) = (per_row * rows, columns - lanes);
            Self { by_rows: true, vectors, per_row, last, source_row, pitch: columns, stretch: pixels, pixels, lanes }
        } else {
            let (last, stretch) = ((line - 1) * lanes, line * lanes);
            Self {
                by_rows: false,
                vectors: line,
                per_row: line,
                last,
                source_row,
                pitch: length,
                stretch,
                pixels,
                lanes,
            }
        }
    }

    /// The numbers of all vectors for each result: some are no result, or one that another vector has.
    pub(super) fn waste(&self) -> f64 {
        (self.vectors * self.lanes) as f64 / self.pixels as f64
    }
}

/// Where the vectors of a strip lie.
struct Places {
    /// Which strip it is.
    index: usize,
    count: usize,
    /// In the source's plane, and in the result or its buffer; after the last one comes itself again.
    places: [[u32; 2]; VECTORS + MOST],
}

impl Places {
    fn fill(&mut self, walk: &Walk, index: usize, strip: usize, lanes: usize) {
        if self.index == index {
            return;
        }
        let first = index * strip;
        (self.index, self.count) = (index, strip.min(walk.vectors - first));
        let (mut row, mut vector) = (first / walk.per_row, first % walk.per_row);
        let (places, after) = self.places.split_at_mut(self.count);
        for place in places.iter_mut() {
            let column = (vector * lanes).min(walk.last);
            *place = [row * walk.source_row + column, row * walk.pitch + column].map(distance);
            vector += 1;
            if vector == walk.per_row {
                (row, vector) = (row + 1, 0);
            }
        }
        after[..MOST].fill(places[self.count - 1]);
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
    places: &'a Places,
}

impl<T: Scalar> Band<'_, T> {
    /// `R` channels, `C` vectors at a time; where fewer are left, the last again.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; pointers, distances and places reach only what the band may use.
    #[inline(always)]
    unsafe fn run<V: Lanes<Number = T>, const R: usize, const C: usize>(&self) {
        for first in (0..self.places.count).step_by(C) {
            // SAFETY: the function's promise.
            unsafe { self.tile::<V, R, C>(first) };
        }
    }

    /// # Safety
    /// As above; `first` is a vector of the strip.
    #[inline(always)]
    unsafe fn tile<V: Lanes<Number = T>, const R: usize, const C: usize>(&self, first: usize) {
        // SAFETY: the function's promise.
        unsafe {
            let places: [_; C] = std::array::from_fn(|c| *self.places.places.get_unchecked(first + c));
            let source = places.map(|[source, _]| self.source.add(source as usize));
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
                for (sum, [_, result]) in sums.iter().zip(places) {
                    sum.store(self.target.add(r * self.target_step + result as usize));
                }
            }
        }
    }
}
