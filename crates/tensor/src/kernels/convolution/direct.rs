//! Convolutions that read their inputs where they lie, without writing out columns.
//!
//! An image is copied once into *planes* that have its border of zeros. There a tap of the kernel is a shift: all
//! pixels of a result read it at one distance from themselves. So vectors of neighbouring pixels, times one weight
//! each, are added up in registers, for a few outputs at a time.
//!
//! A stride s cuts the padded image into s·s planes, of every s-th row and column, and each tap reads the one
//! that it meets. Backward it is the result that falls into s·s parts, and each has its own taps.
//! Dilation changes nothing but the distances, and groups nothing but which planes are read.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{Axis, Convolution};
use crate::kernel::{Instructions, instructions};
use crate::lanes::Lanes;
#[cfg(test)]
use crate::lanes::pretend;
use crate::threads;
use crate::{Family, Scalar};

mod slide;
mod weigh;

/// The most pieces of the work that have scratch space of their own.
const WORKERS: usize = 16;

/// Below this many multiply-adds a thread, a fork costs more than it saves.
const GRAIN: usize = 256 * 1024;

/// Numbers that may be read, and are not used, beyond the last plane: as many as the largest register holds.
const SLACK: usize = 16;

/// A loop over registers.
trait Loop<T> {
    /// # Safety
    /// The processor has the instructions of `V`, and what the loop's pointers and distances name can be read, or
    /// written.
    unsafe fn run<V: Lanes<Number = T>>(&self);
}

/// The loops that are compiled for the registers of a scalar.
trait Direct: Scalar {
    /// Runs a loop with the widest registers that this machine has.
    ///
    /// # Safety
    /// There are any, and what the loop's pointers and distances name can be read, or written.
    unsafe fn run(registers: &impl Loop<Self>);

    /// Turns a square of numbers: row i of the target is column i of the source.
    ///
    /// # Safety
    /// The pointers lead to four numbers each.
    unsafe fn square(source: [*const Self; SIDE], target: [*mut Self; SIDE]);
}

/// # Safety
/// As for [`Loop::run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<V: Lanes>(registers: &impl Loop<V::Number>) {
    // SAFETY: the caller's promise.
    unsafe { registers.run::<V>() }
}

/// # Safety
/// As for [`Loop::run`].
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn run_avx512<V: Lanes>(registers: &impl Loop<V::Number>) {
    // SAFETY: the caller's promise.
    unsafe { registers.run::<V>() }
}

/// The side of a square that is turned in registers.
const SIDE: usize = 4;

macro_rules! direct {
    ($float:ident, $avx2:ty, $avx512:ty, $square:ident) => {
        impl Direct for $float {
            unsafe fn run(registers: &impl Loop<Self>) {
                #[cfg(test)]
                if pretend::ON.get() {
                    // SAFETY: the caller's promise, here and below; these registers take no instructions.
                    return unsafe { registers.run::<pretend::Wide<Self>>() };
                }
                // SAFETY: the processor has just said which instructions it has.
                unsafe {
                    match chosen() {
                        Instructions::Avx512 => run_avx512::<$avx512>(registers),
                        _ => run_avx2::<$avx2>(registers),
                    }
                }
            }

            #[inline(always)]
            unsafe fn square(source: [*const Self; SIDE], target: [*mut Self; SIDE]) {
                // SAFETY: as above.
                unsafe { $square(source, target) }
            }
        }
    };
}

direct!(f32, __m256, __m512, square_f32);
direct!(f64, __m256d, __m512d, square_f64);

/// # Safety
/// The pointers lead to four numbers each.
#[inline(always)]
unsafe fn square_f32(source: [*const f32; SIDE], target: [*mut f32; SIDE]) {
    // SAFETY: the function's promise.
    unsafe {
        let [a, b, c, d] = source.map(|row| _mm_loadu_ps(row));
        let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(target[0], _mm_movelh_ps(ab_low, cd_low));
        _mm_storeu_ps(target[1], _mm_movehl_ps(cd_low, ab_low));
        _mm_storeu_ps(target[2], _mm_movelh_ps(ab_high, cd_high));
        _mm_storeu_ps(target[3], _mm_movehl_ps(cd_high, ab_high));
    }
}

/// # Safety
/// As above.
#[inline(always)]
unsafe fn square_f64(source: [*const f64; SIDE], target: [*mut f64; SIDE]) {
    for i in [0, 2] {
        for j in [0, 2] {
            // SAFETY: the function's promise.
            unsafe {
                let (a, b) = (_mm_loadu_pd(source[i].add(j)), _mm_loadu_pd(source[i + 1].add(j)));
                _mm_storeu_pd(target[j].add(i), _mm_unpacklo_pd(a, b));
                _mm_storeu_pd(target[j + 1].add(i), _mm_unpackhi_pd(a, b));
            }
        }
    }
}

/// Whether this machine has the instructions, and a `u32` can count the numbers of all planes, whose kernels and strides
/// are no longer than anyone's.
pub(super) fn takes(of: &Convolution) -> bool {
    /// To lay the planes out, each tap of an axis is looked at for each phase.
    const LOOKS: usize = 1 << 20;
    if of.axes.iter().any(|axis| axis.kernel.saturating_mul(axis.stride) > LOOKS) {
        return false;
    }
    let planes = [false, true].map(|backward| layout(of, backward).len());
    let results = [of.input_plane(), of.output_plane()];
    let countable = planes.into_iter().chain(results).all(|len| u32::try_from(len).is_ok());
    countable && chosen() != Instructions::Portable
}

/// The instructions to compute with.
fn chosen() -> Instructions {
    #[cfg(test)]
    if pretend::ON.get() {
        return Instructions::Avx512;
    }
    instructions()
}

/// The numbers in a register.
fn lanes<T>() -> usize {
    if chosen() == Instructions::Avx512 { 64 / size_of::<T>() } else { 32 / size_of::<T>() }
}

/// The length of the scratch space for all three passes, in either precision.
pub(super) fn scratch_len(of: &Convolution) -> usize {
    // The registers of all instruction sets hold 4, 8 or 16 numbers.
    let weigh = [4, 8, 16].map(|lanes| weigh::scratch_len(of, lanes));
    let slide = [slide::scratch_len(of, false), slide::scratch_len(of, true)];
    let most = slide.into_iter().chain(weigh).fold(0, usize::max);
    most.saturating_add(distances(of))
}

/// The number of distances: for each source that meets in an output, or a gradient, those of all taps.
fn distances(of: &Convolution) -> usize {
    of.channels.max(of.outputs) / of.groups * of.taps()
}

/// Cuts the table of distances off the scratch space.
fn table<'a, T: Scalar>(of: &Convolution, scratch: &'a mut [T]) -> (&'a mut [u32], &'a mut [T]) {
    // A scalar is at least as large as a distance, and aligned for one.
    let (table, rest) = scratch.split_at_mut(distances(of));
    // SAFETY: neither `f32`, `f64`, which are all the scalars, nor `u32` has padding, and any bits are a number.
    let (_, table, _) = unsafe { table.align_to_mut::<u32>() };
    (table, rest)
}

/// A distance within planes whose numbers a `u32` can count.
fn distance(distance: usize) -> u32 {
    distance as u32
}

/// y = w ⋆ x + b, or the gradient with respect to its input: source, weight, bias, result, scratch.
type Slide<T> = fn(&Convolution, &[T], &[T], Option<&[T]>, &mut [T], &mut [T]);

struct Slides;

impl Family for Slides {
    type Of<T: Scalar> = Slide<T>;
}

pub(super) fn forward<T: Scalar>() -> Slide<T> {
    T::choose::<Slides>((slide::forward, slide::forward))
}

pub(super) fn input_gradient<T: Scalar>() -> Slide<T> {
    T::choose::<Slides>((slide::input_gradient, slide::input_gradient))
}

/// dw and db: x, dy, dw, db, scratch.
type Weigh<T> = fn(&Convolution, &[T], &[T], &mut [T], Option<&mut [T]>, &mut [T]);

struct Weighs;

impl Family for Weighs {
    type Of<T: Scalar> = Weigh<T>;
}

pub(super) fn weight_gradient<T: Scalar>() -> Weigh<T> {
    T::choose::<Weighs>((weigh::weight_gradient, weigh::weight_gradient))
}

/// One axis of a pass: how the source lies in planes, and which places there a result reads.
#[derive(Clone, Copy, Debug)]
struct Line {
    axis: Axis,
    /// From the output to the input.
    backward: bool,
    /// Place p of the padded source is number p / split of plane p mod split.
    split: usize,
    /// Zeros before the source.
    before: usize,
    /// The length of a plane.
    length: usize,
}

/// Results first, first + step, ...: those that read the same taps.
#[derive(Clone, Copy, Debug)]
struct Phase {
    first: usize,
    step: usize,
    count: usize,
}

impl Line {
    /// From the input to the output.
    fn forward(axis: Axis) -> Self {
        let span = (axis.kernel - 1) * axis.dilation;
        let length = axis.output + span / axis.stride;
        Self { axis, backward: false, split: axis.stride, before: axis.padding, length }
    }

    /// From the output to the input.
    fn backward(axis: Axis) -> Self {
        let line = Self { axis, backward: true, split: 1, before: 0, length: 0 };
        let phases = (0..axis.stride).filter(|&phase| line.phase(phase).count > 0);
        let before = phases.clone().map(|phase| {
            let taps = (0..axis.kernel).map(|tap| tap * axis.dilation).filter(|shift| shift % axis.stride == phase);
            let farthest = taps.max().unwrap_or(0) / axis.stride;
            farthest.saturating_sub(line.skipped(phase))
        });
        let before = before.max().unwrap_or(0);
        let end = phases.map(|phase| line.skipped(phase) + line.phase(phase).count).max().unwrap_or(0);
        Self { before, length: before + end, ..line }
    }

    /// The first number of the source that lies in a plane, and its place there.
    fn meets(&self, plane: usize) -> [usize; 2] {
        let first = (plane + self.split - self.before % self.split) % self.split;
        [first, (first + self.before) / self.split]
    }

    fn source(&self) -> usize {
        if self.backward { self.axis.output } else { self.axis.input }
    }

    fn result(&self) -> usize {
        if self.backward { self.axis.input } else { self.axis.output }
    }

    /// The number of kinds of results.
    fn phases(&self) -> usize {
        if self.backward { self.axis.stride } else { 1 }
    }

    fn phase(&self, phase: usize) -> Phase {
        let Axis { input, output, stride, padding, .. } = self.axis;
        if !self.backward {
            return Phase { first: 0, step: 1, count: output };
        }
        let first = self.skipped(phase) * stride + phase - padding;
        Phase { first, step: stride, count: input.saturating_sub(first).div_ceil(stride) }
    }

    /// The number of inputs of a phase that lie in the padding before the first that exists.
    fn skipped(&self, phase: usize) -> usize {
        self.axis.padding.saturating_sub(phase).div_ceil(self.axis.stride)
    }

    /// The plane in which the first result of a phase meets a tap, and the place there; `None` if it doesn't.
    fn tap(&self, phase: usize, tap: usize) -> Option<[usize; 2]> {
        let (shift, stride) = (tap * self.axis.dilation, self.axis.stride);
        if !self.backward {
            return Some([shift % stride, shift / stride]);
        }
        (shift % stride == phase).then(|| [0, self.before + self.skipped(phase) - shift / stride])
    }

    fn taps(&self, phase: usize) -> usize {
        (0..self.axis.kernel).filter(|&tap| self.tap(phase, tap).is_some()).count()
    }
}

/// The layout of a pass's source: dy in the backward pass.
fn layout(of: &Convolution, backward: bool) -> PlaneLayout {
    if backward {
        PlaneLayout { lines: of.axes.map(Line::backward), channels: of.outputs }
    } else {
        PlaneLayout { lines: of.axes.map(Line::forward), channels: of.channels }
    }
}

/// The planes of one image.
#[derive(Clone, Copy, Debug)]
struct PlaneLayout {
    /// Height and width.
    lines: [Line; 2],
    channels: usize,
}

impl PlaneLayout {
    /// The numbers of one plane.
    fn plane(&self) -> usize {
        self.lines[0].length.saturating_mul(self.lines[1].length)
    }

    /// The numbers of all planes of one channel.
    fn channel(&self) -> usize {
        self.plane().saturating_mul(self.lines[0].split).saturating_mul(self.lines[1].split)
    }

    /// The numbers of all planes.
    fn len(&self) -> usize {
        self.channel().saturating_mul(self.channels).saturating_add(SLACK)
    }

    /// The numbers of one source image.
    fn source(&self) -> usize {
        self.channels * self.lines[0].source() * self.lines[1].source()
    }

    /// The pairs of phases that have results.
    fn phases(&self) -> impl Iterator<Item = [usize; 2]> {
        let of = |line: Line| (0..line.phases()).filter(move |&phase| line.phase(phase).count > 0);
        let [height, width] = self.lines;
        of(height).flat_map(move |y| of(width).map(move |x| [y, x]))
    }

    /// The taps that results of these phases read: the distance from the first result, and the tap's number.
    fn taps(&self, [y, x]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
        let this = *self;
        let [height, width] = self.lines;
        let rows = (0..height.axis.kernel).filter_map(move |tap| Some((height.tap(y, tap)?, tap)));
        rows.flat_map(move |([plane_y, place_y], tap_y)| {
            (0..width.axis.kernel).filter_map(move |tap_x| {
                let [plane_x, place_x] = width.tap(x, tap_x)?;
                let plane = plane_y * width.split + plane_x;
                let distance = plane * this.plane() + place_y * width.length + place_x;
                Some((distance, tap_y * width.axis.kernel + tap_x))
            })
        })
    }

    /// Copies an image into the planes, whose borders are zero already.
    fn put<T: Scalar>(&self, image: &[T], planes: &mut [T]) {
        let [height, width] = self.lines;
        let (columns, length, split) = (width.source(), width.length, width.split);
        let images = image.chunks_exact(height.source() * columns);
        for (image, planes) in images.zip(planes.chunks_exact_mut(self.channel())) {
            for (plane, target) in planes.chunks_exact_mut(self.plane()).enumerate() {
                let [first_y, place_y] = height.meets(plane / split);
                let [first_x, place_x] = width.meets(plane % split);
                let count = columns.saturating_sub(first_x).div_ceil(split).min(length.saturating_sub(place_x));
                let rows = height.source().saturating_sub(first_y).div_ceil(height.split);
                let rows = rows.min(height.length.saturating_sub(place_y));
                if count == 0 {
                    continue;
                }
                for row in 0..rows {
                    let source = &image[(first_y + row * height.split) * columns..][..columns][first_x..];
                    let target = &mut target[(place_y + row) * length + place_x..][..count];
                    if split == 1 {
                        copy(&source[..count], target);
                    } else {
                        for (target, source) in target.iter_mut().zip(source.iter().step_by(split)) {
                            *target = *source;
                        }
                    }
                }
            }
        }
    }
}

/// Copies a short row, as a few arrays that overlap at the end: a call for a few numbers would cost more.
#[inline(always)]
fn copy<T: Scalar>(source: &[T], target: &mut [T]) {
    match source.len() {
        8.. => copy_arrays::<T, 8>(source, target),
        4.. => copy_arrays::<T, 4>(source, target),
        _ => source.iter().zip(target).for_each(|(source, target)| *target = *source),
    }
}

#[inline(always)]
fn copy_arrays<T: Scalar, const N: usize>(source: &[T], target: &mut [T]) {
    for (source, target) in source.as_chunks::<N>().0.iter().zip(target.as_chunks_mut::<N>().0) {
        *target = *source;
    }
    if let (Some(source), Some(target)) = (source.last_chunk::<N>(), target.last_chunk_mut::<N>()) {
        *target = *source;
    }
}

/// The number of pieces that a job of `work` multiply-adds is cut into.
fn pieces(work: usize) -> usize {
    threads::current().min(WORKERS).min(work / GRAIN)
}
