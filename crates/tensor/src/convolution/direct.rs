//! Convolutions that read their inputs where they lie, without writing out columns.
//!
//! An image is copied once into *planes* that have its border of zeros. There a tap of the kernel is a shift: all
//! pixels of a result read it at one distance from themselves. So vectors of neighbouring pixels, times one weight
//! each, are added up in registers, for a few outputs at a time.
//!
//! A stride s cuts the padded image into s·s planes, of every s-th row and column, and each tap reads the one
//! that it meets. Backward it is the result that falls into s·s parts, and each has taps of its own.
//! Dilation changes nothing but the distances, and groups nothing but which planes are read.

use std::ops::Range;

use super::{Axis, Convolution};
use crate::Scalar;
use crate::kernel::{Instructions, instructions};
use crate::lanes::Lanes;
use crate::threads;

mod slide;
mod weigh;

/// So many pieces of the work may have room of their own.
const WORKERS: usize = 16;

/// Below this many multiply-adds a thread, a fork costs more than it saves.
const GRAIN: usize = 256 * 1024;

/// Numbers that may be read, and are not used, beyond the last plane: the largest register holds so many.
const SLACK: usize = 16;

/// The code for either instruction set.
pub trait Direct: Sized {
    /// # Safety
    /// Here and below: the processor has the instructions.
    unsafe fn slide_avx2(task: slide::Task<'_, Self>);
    unsafe fn slide_avx512(task: slide::Task<'_, Self>);
    unsafe fn weigh_avx2(task: weigh::Task<'_, Self>);
    unsafe fn weigh_avx512(task: weigh::Task<'_, Self>);
}

macro_rules! direct {
    ($float:ident, $avx2:ty, $avx512:ty) => {
        impl Direct for $float {
            #[target_feature(enable = "avx2,fma")]
            unsafe fn slide_avx2(task: slide::Task<'_, Self>) {
                // SAFETY: the caller's promise, here and below.
                unsafe { task.run::<$avx2, false>() }
            }

            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            unsafe fn slide_avx512(task: slide::Task<'_, Self>) {
                // SAFETY: as above.
                unsafe { task.run::<$avx512, true>() }
            }

            #[target_feature(enable = "avx2,fma")]
            unsafe fn weigh_avx2(task: weigh::Task<'_, Self>) {
                // SAFETY: as above.
                unsafe { task.run::<$avx2, 6, 3>() }
            }

            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            unsafe fn weigh_avx512(task: weigh::Task<'_, Self>) {
                // SAFETY: as above.
                unsafe { task.run::<$avx512, 12, 6>() }
            }
        }
    };
}

direct!(f32, std::arch::x86_64::__m256, std::arch::x86_64::__m512);
direct!(f64, std::arch::x86_64::__m256d, std::arch::x86_64::__m512d);

/// Whether this machine has the instructions.
pub(super) fn available() -> bool {
    instructions() != Instructions::Portable
}

/// Room for all three passes, in either precision.
pub(super) fn scratch_len(of: &Convolution) -> usize {
    // The registers of all instruction sets hold 4, 8 or 16 numbers.
    let weigh = [4, 8, 16].map(|lanes| weigh::scratch_len(of, lanes));
    let slide = [slide::scratch_len(of, false), slide::scratch_len(of, true)];
    let most = slide.into_iter().chain(weigh).fold(0, usize::max);
    most.saturating_add(distances(of))
}

/// How many distances there are: for each source that meets in an output, or a gradient, those of all taps.
fn distances(of: &Convolution) -> usize {
    of.channels.max(of.outputs) / of.groups * of.taps()
}

/// Cuts room for the distances off the scratch.
fn table<'a, T: Scalar>(of: &Convolution, scratch: &'a mut [T]) -> (&'a mut [u32], &'a mut [T]) {
    // A scalar is at least as large as a distance, and aligned for one.
    let (table, rest) = scratch.split_at_mut(distances(of));
    // SAFETY: neither `f32`, `f64`, which are all the scalars, nor `u32` has padding, and any bits are a number.
    let (_, table, _) = unsafe { table.align_to_mut::<u32>() };
    (table, rest)
}

/// A distance within the planes, whose numbers a `u32` can count.
fn distance(distance: usize) -> u32 {
    u32::try_from(distance).unwrap_or(u32::MAX)
}

pub(super) use slide::{forward, input_gradient};
pub(super) use weigh::weight_gradient;

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

    /// How many kinds of results there are.
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

    /// How many inputs of a phase lie in the padding before the first that exists.
    fn skipped(&self, phase: usize) -> usize {
        self.axis.padding.saturating_sub(phase).div_ceil(self.axis.stride)
    }

    /// The plane in which the first result of a phase meets a tap, and the place there; `None` where it doesn't.
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

/// The planes of one image.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Height and width.
    lines: [Line; 2],
    channels: usize,
}

impl Layout {
    /// The numbers of one plane.
    fn plane(&self) -> usize {
        self.lines[0].length.saturating_mul(self.lines[1].length)
    }

    /// The numbers of all planes of one channel.
    fn channel(&self) -> usize {
        self.plane().saturating_mul(self.lines[0].split).saturating_mul(self.lines[1].split)
    }

    /// The room that all planes need.
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
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    unsafe fn put<V: Lanes>(&self, image: &[V::Number], planes: &mut [V::Number]) {
        let [height, width] = self.lines;
        let channels = image.chunks_exact(height.source() * width.source());
        for (image, planes) in channels.zip(planes.chunks_exact_mut(self.channel())) {
            for plane_y in 0..height.split {
                for plane_x in 0..width.split {
                    let plane = &mut planes[(plane_y * width.split + plane_x) * self.plane()..][..self.plane()];
                    let ([first_y, place_y], [first_x, place_x]) = (height.meets(plane_y), width.meets(plane_x));
                    let count = width.source().saturating_sub(first_x).div_ceil(width.split);
                    let count = count.min(width.length.saturating_sub(place_x));
                    if count == 0 {
                        continue;
                    }
                    let rows = image.chunks_exact(width.source()).skip(first_y).step_by(height.split);
                    let targets = plane.chunks_exact_mut(width.length).skip(place_y);
                    for (row, target) in rows.zip(targets) {
                        let (row, target) = (&row[first_x..], &mut target[place_x..place_x + count]);
                        if width.split == 1 {
                            // SAFETY: the function's promise.
                            unsafe { copy::<V>(&row[..count], target) };
                        } else {
                            for (target, source) in target.iter_mut().zip(row.iter().step_by(width.split)) {
                                *target = *source;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Copies a short row, as whole vectors that overlap at the end: a call for so few numbers would cost more.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn copy<V: Lanes>(source: &[V::Number], target: &mut [V::Number]) {
    let count = source.len();
    assert_eq!(count, target.len(), "a copy is as long as what is copied");
    let (source, target) = (source.as_ptr(), target.as_mut_ptr());
    // SAFETY: both hold `count` numbers, and every place below is such that a whole vector, or four, fit.
    unsafe {
        if count >= V::N {
            for place in (0..count - V::N).step_by(V::N).chain([count - V::N]) {
                V::load(source.add(place)).store(target.add(place));
            }
        } else if count >= 4 {
            for place in (0..count - 4).step_by(4).chain([count - 4]) {
                let four = source.add(place).cast::<[V::Number; 4]>().read();
                target.add(place).cast::<[V::Number; 4]>().write(four);
            }
        } else {
            for place in 0..count {
                *target.add(place) = *source.add(place);
            }
        }
    }
}

/// How many pieces a job of so many multiply-adds is cut into.
fn pieces(work: usize) -> usize {
    threads::current().min(WORKERS).min(work / GRAIN)
}
