//! Pixels along the vectors: one weight at a time is multiplied by some vectors of neighbouring pixels.
//!
//! The results come as they are stored. It is the way for sums of few terms and for groups of few channels.

use super::*;

/// A part of a source that is this large in bytes stays in L2 while all results are computed from it.
const STRIP: usize = 128 * 1024;

/// The most vectors of a strip.
const VECTORS: usize = 240;

/// The most vectors that are computed together.
const REPEATS: usize = 8;

/// A block's results of the largest phase.
pub(super) fn buffer_len(layout: &PlaneLayout) -> usize {
    let [height, width] = layout.lines;
    let rows = (0..height.phases()).map(|phase| height.phase(phase).count).max().unwrap_or(0);
    rows.saturating_mul(width.length).saturating_add(SLACK).saturating_mul(MOST)
}

impl<T: Direct> Part<'_, T> {
    pub(super) fn along(&self, channels: Range<usize>, y: &mut [T], buffer: &mut [T]) {
        let Self { pass, phases: [rows, columns], distances, .. } = *self;
        let layout = pass.layout;
        let [height, width] = layout.lines;
        let (group, sources) = (pass.blocks.group, layout.channels / pass.groups);
        let result = height.result() * width.result();
        let lanes = pass.blocks.lanes;
        let walk = Walk::new(&layout, self.numbers, lanes);
        let in_place = walk.by_rows && rows.step == 1 && columns.step == 1;
        // Several strips of a buffer are filled before it is put back; elsewhere all channels share a strip.
        let strip = if in_place { (STRIP / (sources * lanes * size_of::<T>())).clamp(24, VECTORS) } else { VECTORS };
        let strips = walk.vectors.div_ceil(strip);
        let (outer, inner) = if in_place || strips == 1 { (strips, 1) } else { (1, strips) };
        let mut places = Places { index: usize::MAX, count: 0, places: [[0; 2]; VECTORS + REPEATS] };
        for outer in 0..outer {
            for (channel, block) in pass.blocks.of(channels.clone()) {
                let results = &mut y[(channel - channels.start) * result..][..block * result];
                let of_group = channel / group * sources * layout.channel();
                for inner in 0..inner {
                    places.fill(&walk, outer + inner, strip, lanes);
                    let target = if in_place { &mut *results } else { &mut buffer[..block * walk.stretch] };
                    let band = Band {
                        channels: block,
                        source: self.planes[of_group..].as_ptr(),
                        distances,
                        weights: self.weights[pass.blocks.start(channel, distances.len())..].as_ptr(),
                        bias: pass.bias.map(|bias| bias[channel..channel + block].as_ptr()),
                        target_step: target.len() / block,
                        target: target.as_mut_ptr(),
                        places: &places,
                    };
                    // SAFETY: this path is taken where there are registers. From any vector of the walk a distance leads
                    // to a number of the group's planes, or to a vector's length beyond them, where the next plane is,
                    // or the slack. `target` has as many stretches as channels, which hold the walk's vectors.
                    unsafe { T::run(&band) };
                }
                if !in_place {
                    for (results, buffer) in results.chunks_exact_mut(result).zip(buffer.chunks_exact(walk.stretch)) {
                        self.put_back(buffer, walk.pitch, results, width.result());
                    }
                }
            }
        }
    }

    /// Copies one channel's results from the buffer, whose rows are `pitch` apart, to where they belong.
    fn put_back(&self, buffer: &[T], pitch: usize, results: &mut [T], width: usize) {
        let [rows, columns] = self.phases;
        for row in 0..rows.count {
            let buffer = &buffer[row * pitch..][..columns.count];
            let target = &mut results[(rows.first + row * rows.step) * width..][..width][columns.first..];
            if columns.step == 1 {
                copy(buffer, &mut target[..columns.count]);
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
    /// The start of the last vector of a row.
    last: usize,
    /// From one row to the next in the source's plane.
    source_row: usize,
    /// From one row to the next in the result, or its buffer.
    pitch: usize,
    /// The numbers of one channel in a buffer.
    stretch: usize,
    pixels: usize,
    lanes: usize,
}

impl Walk {
    pub(super) fn new(layout: &PlaneLayout, phases: [usize; 2], lanes: usize) -> Self {
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

/// The places of the vectors of a strip.
struct Places {
    /// Which strip it is.
    index: usize,
    count: usize,
    /// In the source's plane, and in the result or its buffer; after the last one comes itself again.
    places: [[u32; 2]; VECTORS + REPEATS],
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
        after[..REPEATS].fill(places[self.count - 1]);
    }
}

/// A few channels of the result, along some vectors.
struct Band<'a, T> {
    channels: usize,
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

impl<T: Direct> Loop<T> for Band<'_, T> {
    // As many vectors as the registers hold: 12 of 16 sums, or 24 of 32.
    #[inline(always)]
    unsafe fn run<V: Lanes<Number = T>>(&self) {
        let wide = V::N * size_of::<T>() == 64;
        // SAFETY: the trait's promise.
        unsafe {
            match (self.channels, wide) {
                (6, true) => self.tiles::<V, 6, 4>(),
                (5, true) => self.tiles::<V, 5, 4>(),
                (4, true) => self.tiles::<V, 4, 5>(),
                (2, true) => self.tiles::<V, 2, 8>(),
                (6, false) => self.tiles::<V, 6, 2>(),
                (5, false) => self.tiles::<V, 5, 2>(),
                (4, false) => self.tiles::<V, 4, 2>(),
                (2, false) => self.tiles::<V, 2, 4>(),
                _ => self.tiles::<V, 1, 8>(),
            }
        }
    }
}

impl<T: Direct> Band<'_, T> {
    /// `R` channels, `C` vectors at a time; if fewer are left, the last again.
    ///
    /// # Safety
    /// As for [`Loop::run`].
    #[inline(always)]
    unsafe fn tiles<V: Lanes<Number = T>, const R: usize, const C: usize>(&self) {
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
