//! Results from sources: the way forward, and the gradient of the input.

use super::*;

/// The most channels of a result that are computed together.
const MOST: usize = 8;

/// How many channels are computed together where so many are `left` in the group: with a few vectors of each they
/// fill the registers, 32 of AVX-512 and 16 elsewhere, and no block is much smaller than the others.
fn block(left: usize, wide: bool) -> usize {
    left.div_ceil(left.div_ceil(if wide { MOST } else { 6 }))
}

/// A part of a source that is this large in bytes stays in the second cache while all results are computed from it.
const STRIP: usize = 128 * 1024;

/// What all pieces of a pass have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a, T> {
    layout: Layout,
    groups: usize,
    /// The channels of the result.
    results: usize,
    /// Whether registers are those of AVX-512.
    wide: bool,
    /// For each pair of phases the distances of its taps, for each source of a group.
    table: &'a [u32],
    /// For each pair of phases the weights in the order in which they are used.
    weights: &'a [T],
    bias: Option<&'a [T]>,
}

/// Some examples and some channels of the result.
#[derive(Debug)]
pub struct Task<'a, T> {
    pass: Pass<'a, T>,
    x: &'a [T],
    /// For each example those channels.
    y: &'a mut [T],
    channels: Range<usize>,
    /// Room for as many pieces as this is cut into.
    room: &'a mut [T],
}

fn layout(of: &Convolution, backward: bool) -> Layout {
    if backward {
        Layout { lines: of.axes.map(Line::backward), channels: of.outputs }
    } else {
        Layout { lines: of.axes.map(Line::forward), channels: of.channels }
    }
}

/// The largest number of results of any phase, a few at a time, before they are put where they belong.
fn buffer_len(layout: &Layout) -> usize {
    let [height, width] = layout.lines;
    let rows = (0..height.phases()).map(|phase| height.phase(phase).count).max().unwrap_or(0);
    rows.saturating_mul(width.length).saturating_add(SLACK).saturating_mul(MOST)
}

fn room_len(layout: &Layout) -> usize {
    layout.len().saturating_add(buffer_len(layout))
}

pub(super) fn scratch_len(of: &Convolution, backward: bool) -> usize {
    let weights = of.outputs * of.group_sum();
    room_len(&layout(of, backward)).saturating_mul(WORKERS).saturating_add(weights)
}

pub(in super::super) fn forward<T: Scalar>(
    of: &Convolution,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
) {
    let group = of.channels / of.groups;
    let place = |result: usize, source: usize| result * group + source;
    run(of, layout(of, false), of.outputs, x, (weight, &place), bias, y, scratch);
}

pub(in super::super) fn input_gradient<T: Scalar>(
    of: &Convolution,
    dy: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    dx: &mut [T],
    scratch: &mut [T],
) {
    let (group, outputs) = (of.channels / of.groups, of.outputs / of.groups);
    let place = |result: usize, source: usize| (result / group * outputs + source) * group + result % group;
    run(of, layout(of, true), of.channels, dy, (weight, &place), bias, dx, scratch);
}

/// `place` gives the kernel that belongs to a channel of the result and a source within its group.
#[expect(clippy::too_many_arguments, reason = "the passes above differ in all of them")]
fn run<T: Scalar>(
    of: &Convolution,
    layout: Layout,
    results: usize,
    x: &[T],
    (weight, place): (&[T], &dyn Fn(usize, usize) -> usize),
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
) {
    if x.is_empty() {
        return;
    }
    let (table, scratch) = super::table(of, scratch);
    let (weights, room) = scratch.split_at_mut(weight.len());
    let wide = instructions() == Instructions::Avx512;
    let (group, sources, kernel) = (results / of.groups, layout.channels / of.groups, of.taps());
    let (mut term, mut next) = (0, 0);
    for phases in layout.phases() {
        for source in 0..sources {
            for (distance, _) in layout.taps(phases) {
                table[term] = super::distance(source * layout.channel() + distance);
                term += 1;
            }
        }
        for (result, rows) in blocks(0..results, group, wide) {
            for source in 0..sources {
                for (_, number) in layout.taps(phases) {
                    for row in result..result + rows {
                        weights[next] = weight[place(row, source) * kernel + number];
                        next += 1;
                    }
                }
            }
        }
    }
    let pass = Pass { layout, groups: of.groups, results, wide, table, weights, bias };
    let task = Task { pass, x, y, channels: 0..results, room };
    let work = x.len() / layout.source() * weight.len() * of.output_plane();
    task.divide(super::pieces(work));
}

/// The channels of a range that ends where one of these blocks does, a few at a time, and never from two groups:
/// the first of each block and their number.
fn blocks(channels: Range<usize>, group: usize, wide: bool) -> impl Iterator<Item = (usize, usize)> {
    let mut next = channels.start;
    std::iter::from_fn(move || {
        let first = next;
        next += block(group - first % group, wide);
        (first < channels.end).then_some((first, next - first))
    })
}

impl<T: Scalar> Task<'_, T> {
    fn divide(self, pieces: usize) {
        let Self { pass, x, y, channels, room } = self;
        let left = pieces / 2;
        let examples = x.len() / pass.layout.source();
        // One example is cut between its channels, where a block of them ends.
        let target = channels.start + channels.len() * left / pieces.max(1);
        let mut ends =
            blocks(channels.clone(), pass.results / pass.groups, pass.wide).map(|(first, rows)| first + rows);
        let cut = ends.find(|&end| end >= target).unwrap_or(channels.end);
        if pieces < 2 || (examples < 2 && cut == channels.end) {
            return Task { pass, x, y, channels, room }.run_best();
        }
        let (room0, room1) = room.split_at_mut(room_len(&pass.layout) * left);
        let (x0, x1, y_middle, channels0, channels1) = if examples < 2 {
            let plane = y.len() / channels.len();
            (x, x, (cut - channels.start) * plane, channels.start..cut, cut..channels.end)
        } else {
            let middle = examples * left / pieces;
            let (x0, x1) = x.split_at(middle * pass.layout.source());
            (x0, x1, y.len() / examples * middle, channels.clone(), channels)
        };
        let (y0, y1) = y.split_at_mut(y_middle);
        threads::join(
            || Task { pass, x: x0, y: y0, channels: channels0, room: room0 }.divide(left),
            || Task { pass, x: x1, y: y1, channels: channels1, room: room1 }.divide(pieces - left),
        );
    }

    fn run_best(self) {
        // SAFETY: the processor has the instructions; without any, this path is not taken.
        unsafe {
            match instructions() {
                Instructions::Avx512 => T::slide_avx512(self),
                _ => T::slide_avx2(self),
            }
        }
    }

    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    pub(super) unsafe fn run<V: Lanes<Number = T>, const WIDE: bool>(self) {
        let Self { pass, x, y, channels, room } = self;
        let layout = pass.layout;
        let (planes, buffer) = room[..room_len(&layout)].split_at_mut(layout.len());
        planes.fill(T::ZERO);
        let [height, width] = layout.lines;
        let result = channels.len() * height.result() * width.result();
        for (x, y) in x.chunks_exact(layout.source()).zip(y.chunks_exact_mut(result)) {
            // SAFETY: the function's promise, here and below.
            unsafe { layout.put::<V>(x, planes) };
            let (mut table, mut weights) = (pass.table, pass.weights);
            for phases in layout.phases() {
                let terms = height.taps(phases[0]) * width.taps(phases[1]) * (layout.channels / pass.groups);
                let (distances, of_phase);
                (distances, table) = table.split_at(terms);
                (of_phase, weights) = weights.split_at(terms * pass.results);
                let part = Part {
                    pass,
                    phases: [height.phase(phases[0]), width.phase(phases[1])],
                    distances,
                    weights: of_phase,
                    planes,
                };
                unsafe { part.run::<V, WIDE>(channels.clone(), y, buffer) };
            }
        }
    }
}

/// The results of one example that read the same taps.
struct Part<'a, T> {
    pass: Pass<'a, T>,
    phases: [Phase; 2],
    distances: &'a [u32],
    weights: &'a [T],
    planes: &'a [T],
}

impl<T: Scalar> Part<'_, T> {
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn run<V: Lanes<Number = T>, const WIDE: bool>(
        &self,
        channels: Range<usize>,
        y: &mut [T],
        buffer: &mut [T],
    ) {
        let Self { pass, phases: [rows, columns], distances, .. } = *self;
        let layout = pass.layout;
        let [height, width] = layout.lines;
        let (group, sources) = (pass.results / pass.groups, layout.channels / pass.groups);
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
            for (channel, block) in blocks(channels.clone(), group, pass.wide) {
                let results = &mut y[(channel - channels.start) * result..][..block * result];
                let of_group = channel / group * sources * layout.channel();
                let target = if in_place { &mut *results } else { &mut buffer[..block * stretch] };
                let band = Band {
                    source: self.planes[of_group..].as_ptr(),
                    distances,
                    weights: self.weights[channel * distances.len()..].as_ptr(),
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
