//! Channels of the result along the vectors: a vector of weights is multiplied by one number of each of some pixels.
//!
//! No vector is cut short by the end of a row, and none crosses a cache line. The results come as (pixels, channels)
//! and are turned in the end, which pays where a sum has many terms.

use super::*;

/// Pixels that go through all terms while they are in the near caches.
const CHUNK: usize = 120;

/// Terms whose weights stay in L1 while the pixels of a chunk go by.
const TERMS: usize = 160;

/// The most pixels that are computed together.
const PIXELS: usize = 10;

/// Results of a chunk, and of the last pixel again: two vectors of channels of the largest kind for each pixel.
pub(super) const BUFFER: usize = (CHUNK + PIXELS) * 2 * SLACK;

/// The places of the pixels of a chunk.
struct Chunk {
    count: usize,
    /// In the source's plane; after the last one comes itself again.
    source: [u32; CHUNK + PIXELS],
    /// In the result's.
    result: [u32; CHUNK],
}

impl<T: Direct> Part<'_, T> {
    pub(super) fn across(&self, channels: Range<usize>, y: &mut [T], buffer: &mut [T]) {
        let Self { pass, phases: [rows, columns], distances, .. } = *self;
        let [height, width] = pass.layout.lines;
        let sources = pass.layout.channels / pass.groups * pass.layout.channel();
        let result = height.result() * width.result();
        let pixels = rows.count * columns.count;
        let mut chunk = Chunk { count: 0, source: [0; CHUNK + PIXELS], result: [0; CHUNK] };
        // Parts of nearly equal length, and one that is empty where there are no terms.
        let parts = distances.len().div_ceil(TERMS).max(1);
        for first in (0..pixels).step_by(CHUNK) {
            chunk.count = CHUNK.min(pixels - first);
            let (mut row, mut column) = (first / columns.count, first % columns.count);
            for (source, target) in chunk.source.iter_mut().zip(&mut chunk.result).take(chunk.count) {
                *source = distance(row * width.length + column);
                *target =
                    distance((rows.first + row * rows.step) * width.result() + columns.first + column * columns.step);
                column += 1;
                if column == columns.count {
                    (row, column) = (row + 1, 0);
                }
            }
            let last = chunk.source[chunk.count - 1];
            chunk.source[chunk.count..][..PIXELS].fill(last);
            for (channel, count) in pass.blocks.of(channels.clone()) {
                let lanes = pass.blocks.weights(count);
                let weights = &self.weights[pass.blocks.start(channel, distances.len())..];
                let planes = &self.planes[channel / pass.blocks.group * sources..];
                for part in 0..parts {
                    let terms = distances.len() * part / parts..distances.len() * (part + 1) / parts;
                    let tiles = Tiles {
                        lanes,
                        planes: planes.as_ptr(),
                        weights: weights[pass.blocks.rows(terms.start) * lanes..].as_ptr(),
                        distances: &distances[terms],
                        start: (part == 0).then_some(weights.as_ptr()),
                        buffer: buffer.as_mut_ptr(),
                        chunk: &chunk,
                    };
                    // SAFETY: this path is taken where there are registers. From a pixel's place a distance leads to a
                    // number of the group's planes. There is a row of `lanes` weights for each distance, and as much
                    // room in the buffer for each pixel.
                    unsafe { T::run(&tiles) };
                }
                let results = &mut y[(channel - channels.start) * result..][..count * result];
                if rows.step == 1 && columns.step == 1 {
                    turn_back(&buffer[..chunk.count * lanes], lanes, results, result, first);
                } else {
                    for (lane, results) in results.chunks_exact_mut(result).enumerate() {
                        let line = buffer[lane..].iter().step_by(lanes);
                        for (&place, &number) in chunk.result[..chunk.count].iter().zip(line) {
                            results[place as usize] = number;
                        }
                    }
                }
            }
        }
    }
}

/// The results of a chunk, for a block of channels and some terms.
struct Tiles<'a, T> {
    /// The channels, in one vector or two.
    lanes: usize,
    /// The group's planes.
    planes: *const T,
    weights: *const T,
    distances: &'a [u32],
    /// The numbers that sums begin with, unless the buffer holds them.
    start: Option<*const T>,
    buffer: *mut T,
    chunk: &'a Chunk,
}

impl<T: Direct> Loop<T> for Tiles<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Lanes<Number = T>>(&self) {
        let wide = V::N * size_of::<T>() == 64;
        // SAFETY: the trait's promise.
        unsafe {
            match (self.lanes > V::N, wide) {
                (true, true) => self.tiles::<V, PIXELS, 2>(),
                (true, false) => self.tiles::<V, 6, 2>(),
                (false, _) => self.tiles::<V, PIXELS, 1>(),
            }
        }
    }
}

impl<T: Direct> Tiles<'_, T> {
    /// `R` pixels at a time, the last again if fewer are left, and `C` vectors of channels.
    ///
    /// # Safety
    /// As for [`Loop::run`].
    #[inline(always)]
    unsafe fn tiles<V: Lanes<Number = T>, const R: usize, const C: usize>(&self) {
        for first in (0..self.chunk.count).step_by(R) {
            // SAFETY: the function's promise; chunk and buffer hold `PIXELS` more than there are.
            unsafe {
                let row_of = |r: usize| self.buffer.add((first + r) * C * V::N);
                let place = |r: usize| *self.chunk.source.get_unchecked(first + r) as usize;
                let x: [_; R] = std::array::from_fn(|r| self.planes.add(place(r)));
                let mut sums = [[V::zero(); C]; R];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let start = self.start.unwrap_or(row_of(r));
                    for (c, sum) in sums.iter_mut().enumerate() {
                        *sum = V::load(start.add(c * V::N));
                    }
                }
                let mut weights = self.weights;
                for &distance in self.distances {
                    let mut line = [V::zero(); C];
                    for (c, line) in line.iter_mut().enumerate() {
                        *line = V::load(weights.add(c * V::N));
                    }
                    for (x, sums) in x.iter().zip(&mut sums) {
                        let x = V::splat(x.add(distance as usize));
                        for (sum, &weights) in sums.iter_mut().zip(&line) {
                            *sum = sum.multiply_add(x, weights);
                        }
                    }
                    weights = weights.add(C * V::N);
                }
                for (r, sums) in sums.iter().enumerate() {
                    for (c, sum) in sums.iter().enumerate() {
                        sum.store(row_of(r).add(c * V::N));
                    }
                }
            }
        }
    }
}

/// Turns (pixels, lanes) to rows of pixels: one for each `stretch` of the target, from place `first` on.
fn turn_back<T: Direct>(source: &[T], lanes: usize, target: &mut [T], stretch: usize, first: usize) {
    let count = source.len() / lanes;
    assert!(first + count <= stretch, "a row of the target holds what is turned");
    let whole = [target.len() / stretch / SIDE * SIDE, count / SIDE * SIDE];
    for lane in (0..whole[0]).step_by(SIDE) {
        for place in (0..whole[1]).step_by(SIDE) {
            let from = |i: usize| source[(place + i) * lanes + lane..][..SIDE].as_ptr();
            // SAFETY: whole rows of the target, in each of which `count` numbers fit after the first.
            unsafe {
                let to = target.as_mut_ptr().add(lane * stretch + first + place);
                T::square(std::array::from_fn(from), std::array::from_fn(|i| to.add(i * stretch)));
            }
        }
    }
    for (lane, row) in target.chunks_exact_mut(stretch).enumerate() {
        let done = if lane < whole[0] { whole[1] } else { 0 };
        for place in done..count {
            row[first + place] = source[place * lanes + lane];
        }
    }
}
