//! The gradient of the weight, and of the bias.
//!
//! It is a sum over all pixels of all examples. Outputs lie along the vectors: for a run of pixels dy is turned to
//! (pixels, outputs), and each of its vectors is multiplied by the numbers that some taps meet.
//! If groups are narrower than a vector, each lane has a group, or a part of it, of its own: then the source's
//! planes are turned as well.
//!
//! The examples are cut into shards, whose sums are added in order. How many there are depends on the sizes alone.
//! A shard of many terms adds them in blocks.

use super::super::IN_TURN;
use super::*;
use crate::reduce::Gathered;

/// The number of sums that threads share, if need be by cutting the batch into shards.
const SUMS: usize = WORKERS;

/// Pixels whose dy is turned at a time, so that it stays in L1.
const STRETCH: usize = 256;

/// The longest part of a row that is turned at a time.
const ROW: usize = 2 * STRETCH;

/// The data that all pieces of a pass share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a, T> {
    of: Convolution,
    layout: PlaneLayout,
    /// From a pixel's place to what the terms of an output's sum meet.
    distances: &'a [u32],
    x: &'a [T],
    dy: &'a [T],
    turning: Turning,
    shards: usize,
}

/// The layout of outputs along vectors.
#[derive(Clone, Copy, Debug)]
struct Turning {
    /// Whether the lanes of a vector belong to several groups.
    across: bool,
    /// The lanes of a block of outputs: two vectors, or one that goes across groups.
    width: usize,
    /// The blocks of one group, or of all where they go across.
    blocks: usize,
    /// Of everything.
    total: usize,
}

impl Turning {
    fn new(of: &Convolution, lanes: usize) -> Self {
        let group = of.outputs / of.groups;
        let across = of.groups > 1 && group < lanes;
        let width = if across { lanes } else { 2 * lanes };
        let blocks = if across { of.outputs } else { group }.div_ceil(width);
        Self { across, width, blocks, total: if across { blocks } else { blocks * of.groups } }
    }

    /// The outputs of a block.
    fn outputs(&self, of: &Convolution, block: usize) -> Range<usize> {
        let group = if self.across { of.outputs } else { of.outputs / of.groups };
        let start = block / self.blocks * group;
        let first = start + block % self.blocks * self.width;
        first..(first + self.width).min(start + group)
    }
}

/// Some shards of some blocks.
#[derive(Debug)]
pub(super) struct Task<'a, T> {
    pass: Pass<'a, T>,
    shards: Range<usize>,
    blocks: Range<usize>,
    /// For each shard and block a row of the block's outputs for each term, and one for the bias.
    sums: Sums<'a, T>,
    room: &'a mut [T],
}

/// Sums that are made of the sums of blocks.
#[derive(Debug)]
struct Sums<'a, T> {
    now: &'a mut [T],
    totals: &'a mut [T],
    lost: &'a mut [T],
}

impl<T: Scalar> Sums<'_, T> {
    fn split_at(&mut self, middle: usize) -> (Sums<'_, T>, Sums<'_, T>) {
        let (now0, now1) = self.now.split_at_mut(middle);
        let (totals0, totals1) = self.totals.split_at_mut(middle);
        let (lost0, lost1) = self.lost.split_at_mut(middle);
        (Sums { now: now0, totals: totals0, lost: lost0 }, Sums { now: now1, totals: totals1, lost: lost1 })
    }

    fn part(&mut self, range: Range<usize>) -> Sums<'_, T> {
        let Self { now, totals, lost } = self;
        Sums { now: &mut now[range.clone()], totals: &mut totals[range.clone()], lost: &mut lost[range] }
    }

    /// Adds the sums of a block to the totals.
    fn gather(&mut self, range: Range<usize>) {
        let first = range.start;
        Gathered { totals: self.totals, lost: self.lost }.take(first, &mut self.now[range]);
    }

    /// The sums of all blocks, the last of which has not been gathered yet.
    fn finish(&mut self) {
        self.gather(0..self.now.len());
        Gathered { totals: self.totals, lost: self.lost }.finish();
        self.now.copy_from_slice(self.totals);
    }
}

/// The numbers of a block's sums.
fn sums_len(of: &Convolution, turning: Turning) -> usize {
    of.group_sum().saturating_add(1).saturating_mul(turning.width)
}

/// Planes, those of one channel for each lane if they are turned, and dy turned.
fn room_lens(layout: &PlaneLayout, turning: Turning) -> [usize; 3] {
    let turned = if turning.across { layout.channel().saturating_mul(turning.width) } else { 0 };
    [layout.len(), turned, ROW * turning.width]
}

fn room_len(layout: &PlaneLayout, turning: Turning) -> usize {
    room_lens(layout, turning).into_iter().fold(0, usize::saturating_add)
}

pub(super) fn scratch_len(of: &Convolution, lanes: usize) -> usize {
    let turning = Turning::new(of, lanes);
    let sums = sums_len(of, turning).saturating_mul(turning.total.max(SUMS)).saturating_mul(3);
    room_len(&layout(of, false), turning).saturating_mul(WORKERS).saturating_add(sums)
}

pub(super) fn weight_gradient<T: Direct>(
    of: &Convolution,
    x: &[T],
    dy: &[T],
    dweight: &mut [T],
    mut dbias: Option<&mut [T]>,
    scratch: &mut [T],
) {
    let lanes = super::lanes::<T>();
    let (layout, turning) = (layout(of, false), Turning::new(of, lanes));
    let (table, scratch) = super::table(of, scratch);
    let channels = (0..of.channels / of.groups).map(|channel| channel * layout.channel());
    let terms = channels.flat_map(|channel| layout.taps([0, 0]).map(move |(distance, _)| channel + distance));
    table.iter_mut().zip(terms).for_each(|(table, distance)| *table = super::distance(distance));
    let examples = x.len() / layout.source();
    let shards = (SUMS / turning.total).min(examples).max(1);
    let length = sums_len(of, turning);
    let all = length * turning.total * shards;
    let (sums, rest) = scratch.split_at_mut(all);
    let (totals, rest) = rest.split_at_mut(all);
    let (lost, room) = rest.split_at_mut(all);
    let pass = Pass { of: *of, layout, distances: table, x, dy, turning, shards };
    let task =
        Task { pass, shards: 0..shards, blocks: 0..turning.total, sums: Sums { now: &mut *sums, totals, lost }, room };
    task.divide(super::pieces(examples * dweight.len() * of.output_plane()));
    // The first shard takes in the others, in order.
    let (total, others) = sums.split_at_mut(length * turning.total);
    for other in others.chunks_exact(total.len()) {
        crate::elementwise::add(other, total);
    }
    let terms = of.group_sum();
    for (block, sums) in total.chunks_exact(length).enumerate() {
        let outputs = turning.outputs(of, block);
        let width = padded(outputs.len(), lanes);
        for (term, sums) in sums.chunks_exact(width).take(terms + 1).enumerate() {
            for (output, &sum) in outputs.clone().zip(sums) {
                if term < terms {
                    dweight[output * terms + term] = sum;
                } else if let Some(dbias) = &mut dbias {
                    dbias[output] = sum;
                }
            }
        }
    }
}

/// The number of outputs and what fills their last vector.
fn padded(outputs: usize, lanes: usize) -> usize {
    outputs.next_multiple_of(lanes)
}

impl<T: Direct> Task<'_, T> {
    fn divide(self, pieces: usize) {
        let Self { pass, shards, blocks, mut sums, room } = self;
        let left = pieces / 2;
        let by_shards = shards.len() > 1;
        let count = if by_shards { shards.len() } else { blocks.len() };
        let middle = count * left / pieces.max(1);
        if pieces < 2 || middle == 0 {
            return Task { pass, shards, blocks, sums, room }.run();
        }
        let (room0, room1) = room.split_at_mut(room_len(&pass.layout, pass.turning) * left);
        let (sums0, sums1) = sums.split_at(sums.now.len() / count * middle);
        let cut = |range: &Range<usize>| (range.start..range.start + middle, range.start + middle..range.end);
        let ((shards0, shards1), (blocks0, blocks1)) =
            if by_shards { (cut(&shards), (blocks.clone(), blocks)) } else { ((shards.clone(), shards), cut(&blocks)) };
        threads::join(
            || Task { pass, shards: shards0, blocks: blocks0, sums: sums0, room: room0 }.divide(left),
            || Task { pass, shards: shards1, blocks: blocks1, sums: sums1, room: room1 }.divide(pieces - left),
        );
    }

    fn run(self) {
        let Self { pass, shards, blocks, mut sums, room } = self;
        let Pass { of, layout, turning, x, dy, .. } = pass;
        let [planes, turned, _] = room_lens(&layout, turning);
        let (planes, room) = room[..room_len(&layout, turning)].split_at_mut(planes);
        let (turned, turned_dy) = room.split_at_mut(turned);
        planes.fill(T::ZERO);
        sums.now.fill(T::ZERO);
        let length = sums_len(&of, turning);
        let examples = x.len() / layout.source();
        for (index, shard) in shards.enumerate() {
            let mut sums = sums.part(index * length * blocks.len()..(index + 1) * length * blocks.len());
            let examples = examples * shard / pass.shards..examples * (shard + 1) / pass.shards;
            // The number of terms of the sums, if they have to be gathered at all.
            let mut terms = (examples.len() * of.output_plane() > IN_TURN).then_some(0);
            if terms.is_some() {
                Gathered { totals: sums.totals, lost: sums.lost }.clear();
            }
            for example in examples {
                let x = &x[example * layout.source()..][..layout.source()];
                let dy = &dy[example * of.output_len()..][..of.output_len()];
                layout.put(x, planes);
                let before = terms;
                for (index, block) in blocks.clone().enumerate() {
                    let outputs = turning.outputs(&of, block);
                    let sums = sums.part(index * length..(index + 1) * length);
                    let mut part = Part { pass, dy, outputs, sums, terms: before };
                    terms = if turning.across {
                        part.across(planes, turned, turned_dy)
                    } else {
                        part.within(planes, turned_dy)
                    };
                }
            }
            if terms.is_some() {
                sums.finish();
            }
        }
    }
}

/// The terms that one example adds to the sums of one block of outputs.
struct Part<'a, T> {
    pass: Pass<'a, T>,
    dy: &'a [T],
    outputs: Range<usize>,
    sums: Sums<'a, T>,
    /// The number of terms of the sums, if they have to be gathered; the functions return their number then.
    terms: Option<usize>,
}

impl<T: Direct> Part<'_, T> {
    /// All outputs are of one group.
    fn within(&mut self, planes: &[T], turned_dy: &mut [T]) -> Option<usize> {
        let Pass { of, layout, distances, .. } = self.pass;
        let channels = of.channels / of.groups;
        let group = self.outputs.start / (of.outputs / of.groups);
        let planes = &planes[group * channels * layout.channel()..];
        self.stretches(planes, &distances[..of.group_sum()], 0, turned_dy)
    }

    /// Each output has its own planes, which become the lanes of one: those of the first channel of its group,
    /// then of the second, and so on.
    fn across(&mut self, planes: &[T], turned: &mut [T], turned_dy: &mut [T]) -> Option<usize> {
        let Pass { of, layout, distances, turning, .. } = self.pass;
        let (channels, outputs) = (of.channels / of.groups, of.outputs / of.groups);
        let terms = &distances[..of.taps()];
        let mut gathered = self.terms;
        for channel in 0..channels {
            let of_lane = |lane: usize| ((self.outputs.start + lane) / outputs * channels + channel) * layout.channel();
            turn(planes, of_lane, self.outputs.len(), layout.channel(), turning.width, turned);
            gathered = self.stretches(turned, terms, channel * terms.len(), turned_dy);
        }
        gathered
    }

    /// Goes through the pixels, a run at a time. The terms' sums begin with row `first`.
    fn stretches(&mut self, planes: &[T], terms: &[u32], first: usize, turned_dy: &mut [T]) -> Option<usize> {
        let Pass { of, layout, turning, .. } = self.pass;
        let [height, width] = of.axes.map(|axis| axis.output);
        let plane = of.output_plane();
        let columns = width.min(ROW);
        let rows = (STRETCH / columns).max(1);
        // A number of the planes has become a vector where they are turned.
        let step = if turning.across { turning.width } else { 1 };
        let lanes = padded(self.outputs.len(), super::lanes::<T>());
        let mut in_turn = self.terms;
        for row in (0..height).step_by(rows) {
            for column in (0..width).step_by(columns) {
                // Several rows only where they are whole: either way one stretch.
                let (rows, columns) = (rows.min(height - row), columns.min(width - column));
                let dy = &self.dy[row * width + column..];
                let of_lane = |lane: usize| (self.outputs.start + lane) * plane;
                turn(dy, of_lane, self.outputs.len(), rows * columns, lanes, turned_dy);
                let (of_terms, of_bias) = self.sums.now.split_at_mut(of.group_sum() * lanes);
                let stretch = Stretch {
                    lanes,
                    across: turning.across,
                    x: planes[(row * layout.lines[1].length + column) * step..].as_ptr(),
                    x_row: layout.lines[1].length * step,
                    dy: turned_dy.as_ptr(),
                    rows,
                    columns,
                    terms,
                    sums: of_terms[first * lanes..].as_mut_ptr(),
                    // Once for all channels.
                    bias: (first == 0).then_some(of_bias.as_mut_ptr()),
                };
                // SAFETY: this path is taken where there are registers. The distances of the terms lead from any
                // pixel's place to a number of the planes, or to a vector of the turned ones. The sums have a row for
                // each term and one for the bias.
                unsafe { T::run(&stretch) };
                let Some(in_turn) = &mut in_turn else { continue };
                *in_turn += rows * columns;
                if *in_turn >= IN_TURN {
                    *in_turn = 0;
                    self.sums.gather(first * lanes..(first + terms.len()) * lanes);
                    if first == 0 {
                        self.sums.gather(of.group_sum() * lanes..(of.group_sum() + 1) * lanes);
                    }
                }
            }
        }
        in_turn
    }
}

/// A run of pixels.
struct Stretch<'a, T> {
    /// The outputs of a block, in one vector or two.
    lanes: usize,
    across: bool,
    /// The first pixel in the first plane.
    x: *const T,
    x_row: usize,
    /// (pixels, outputs)
    dy: *const T,
    rows: usize,
    columns: usize,
    terms: &'a [u32],
    /// (terms, outputs)
    sums: *mut T,
    bias: Option<*mut T>,
}

impl<T: Direct> Loop<T> for Stretch<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Lanes<Number = T>>(&self) {
        // SAFETY: the trait's promise.
        unsafe {
            match (self.across, self.lanes > V::N) {
                (true, _) => self.terms::<V, 1, false>(),
                (false, false) => self.terms::<V, 1, true>(),
                (false, true) => self.terms::<V, 2, true>(),
            }
        }
    }
}

impl<T: Direct> Stretch<'_, T> {
    /// As many terms at a time as the registers hold with `C` vectors of outputs, and half of them for the rest.
    ///
    /// # Safety
    /// As for [`Loop::run`], here and below.
    #[inline(always)]
    unsafe fn terms<V: Lanes<Number = T>, const C: usize, const SPLAT: bool>(&self) {
        let wide = V::N * size_of::<T>() == 64;
        let mut done = 0;
        while done < self.terms.len() {
            let left = self.terms.len() - done;
            // SAFETY: the function's promise.
            unsafe {
                done += match (wide, left) {
                    (true, 7..) => self.tile::<V, 12, C, SPLAT>(done),
                    (true, _) => self.tile::<V, 6, C, SPLAT>(done),
                    (false, 4..) => self.tile::<V, 6, C, SPLAT>(done),
                    (false, _) => self.tile::<V, 3, C, SPLAT>(done),
                }
            }
        }
        if let Some(bias) = self.bias {
            // SAFETY: the function's promise.
            unsafe { self.bias::<V, C>(bias) };
        }
    }

    /// Adds x·dy for `R` terms from `first` on, the last again if fewer are left, and `C` vectors of outputs.
    #[inline(always)]
    unsafe fn tile<V: Lanes<Number = T>, const R: usize, const C: usize, const SPLAT: bool>(
        &self,
        first: usize,
    ) -> usize {
        // SAFETY: the function's promise.
        unsafe {
            let term = |r: usize| (first + r).min(self.terms.len() - 1);
            let row_of = |r: usize| self.sums.add(term(r) * C * V::N);
            let mut totals = [[V::zero(); C]; R];
            for (r, totals) in totals.iter_mut().enumerate() {
                for (c, total) in totals.iter_mut().enumerate() {
                    *total = V::load(row_of(r).add(c * V::N));
                }
            }
            let step = if SPLAT { 1 } else { V::N };
            let mut x: [_; R] = std::array::from_fn(|r| self.x.add(*self.terms.get_unchecked(term(r)) as usize * step));
            let mut dy = self.dy;
            for _ in 0..self.rows {
                for column in 0..self.columns {
                    let mut line = [V::zero(); C];
                    for (c, line) in line.iter_mut().enumerate() {
                        *line = V::load(dy.add(c * V::N));
                    }
                    for (x, totals) in x.iter().zip(&mut totals) {
                        let x = if SPLAT { V::splat(x.add(column)) } else { V::load(x.add(column * V::N)) };
                        for (total, &dy) in totals.iter_mut().zip(&line) {
                            *total = total.multiply_add(x, dy);
                        }
                    }
                    dy = dy.add(C * V::N);
                }
                // After the last row nothing is read there.
                x = x.map(|x| x.wrapping_add(self.x_row));
            }
            for (r, totals) in totals.iter().enumerate() {
                for (c, total) in totals.iter().enumerate() {
                    total.store(row_of(r).add(c * V::N));
                }
            }
        }
        R
    }

    /// Adds dy, four pixels side by side, so that no sum waits for the one before.
    #[inline(always)]
    unsafe fn bias<V: Lanes<Number = T>, const C: usize>(&self, sums: *mut T) {
        let pixels = self.rows * self.columns;
        let whole = pixels / 4 * 4;
        // SAFETY: the function's promise.
        unsafe {
            for c in 0..C {
                let (dy, sum) = (self.dy.add(c * V::N), sums.add(c * V::N));
                let at = |pixel: usize| V::load(dy.add(pixel * C * V::N));
                let mut totals = [V::zero(); 4];
                for pixel in (0..whole).step_by(4) {
                    for (i, total) in totals.iter_mut().enumerate() {
                        *total = total.add(at(pixel + i));
                    }
                }
                let mut total = totals[0].add(totals[1]).add(totals[2].add(totals[3]));
                for pixel in whole..pixels {
                    total = total.add(at(pixel));
                }
                V::load(sum).add(total).store(sum);
            }
        }
    }
}

/// Turns `lanes` rows of `count` numbers to (count, width), with zeros if there are fewer lanes.
fn turn<T: Direct>(
    source: &[T],
    of_lane: impl Fn(usize) -> usize,
    lanes: usize,
    count: usize,
    width: usize,
    target: &mut [T],
) {
    let target = &mut target[..count * width];
    for first in (0..width).step_by(SIDE) {
        let rows: [&[T]; SIDE] = std::array::from_fn(|lane| match first + lane < lanes {
            true => &source[of_lane(first + lane)..][..count],
            false => &[],
        });
        let whole = if first + SIDE <= lanes { count / SIDE * SIDE } else { 0 };
        for place in (0..whole).step_by(SIDE) {
            // SAFETY: each row has `count` numbers, and the target as many lines of `width`.
            unsafe {
                let from = rows.map(|row| row.as_ptr().add(place));
                let to = target.as_mut_ptr().add(place * width + first);
                T::square(from, std::array::from_fn(|i| to.add(i * width)));
            }
        }
        for place in whole..count {
            for (lane, row) in rows.iter().enumerate() {
                target[place * width + first + lane] = row.get(place).copied().unwrap_or(T::ZERO);
            }
        }
    }
}
