//! The draws of scenes: sizes, shapes, numbers, and the likelihood of each kind.

use std::fmt::Display;
use std::ops::Range;

use downhill::prelude::*;
use downhill::tensor::{Shape, Stream};
use ndarray::{ArrayD, IxDyn};

use crate::Calls;

/// More numbers than this make a call too slow for a test, if there is memory for them at all.
const HEAVY: usize = 50_000;
/// More than this there is memory for nowhere: then a typed error must come at once.
const IMPOSSIBLE: usize = 1 << 46;

pub(crate) struct Draw {
    stream: Stream,
    calls: Calls,
}

impl Draw {
    pub(crate) fn new(seed: Seed, calls: Calls) -> Self {
        Self { stream: seed.stream(0), calls }
    }

    /// Notes a call before it is made.
    pub(crate) fn note(&self, call: impl Display) {
        self.calls.note(call);
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.stream.uniform() * end as f64) as usize
    }

    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.stream.uniform() < probability
    }

    pub(crate) fn pick<R: Clone>(&mut self, all: &[R]) -> R {
        all[self.below(all.len())].clone()
    }

    /// A size as a user would choose it.
    pub(crate) fn small(&mut self) -> usize {
        self.within(1..7)
    }

    /// Any size; most are small.
    pub(crate) fn size(&mut self) -> usize {
        match self.below(100) {
            0..80 => self.small(),
            80..88 => 0,
            88..94 => self.within(7..40),
            _ => {
                let huge = [
                    usize::MAX,
                    usize::MAX - 1,
                    usize::MAX / 2,
                    isize::MAX as usize,
                    1 << 62,
                    (1 << 40) - 1,
                    1 << 39,
                    1 << 32,
                    1 << 31,
                    (1 << 24) + 1,
                    1 << 20,
                    65_536,
                ];
                self.pick(&huge)
            }
        }
    }

    pub(crate) fn pair(&mut self) -> [usize; 2] {
        if self.chance(0.5) { [self.size(); 2] } else { [self.size(), self.size()] }
    }

    /// A number as a user would choose it, or one that is not valid.
    pub(crate) fn number(&mut self) -> f64 {
        match self.below(20) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => -1.0,
            3 => 0.0,
            4 => 1e300,
            5 => -1e-300,
            6 => self.size() as f64,
            7 => 1.0,
            _ => self.stream.uniform(),
        }
    }

    /// Numbers of data: ordinary, whole, or with some among them that are none.
    pub(crate) fn numbers(&mut self, len: usize) -> Vec<f64> {
        let kind = self.below(8);
        (0..len)
            .map(|_| match kind {
                0 if self.chance(0.1) => self.number(),
                1 => self.below(3) as f64,
                2 => 1.0,
                _ => 4.0 * self.stream.uniform() - 2.0,
            })
            .collect()
    }

    /// A shape that is cheap to compute with.
    pub(crate) fn small_shape(&mut self) -> Shape {
        let axes: Vec<usize> = (0..self.below(4)).map(|_| self.small()).collect();
        Shape::new(&axes).expect("small axes have a small product")
    }

    /// Any shape; most are cheap to compute with.
    pub(crate) fn shape(&mut self) -> Shape {
        if self.chance(0.8) {
            return self.small_shape();
        }
        match self.below(7) {
            0 => [].into(),
            1 => [self.size()].into(),
            2 => [self.size(), self.size()].into(),
            3 => [self.size(), self.size(), self.size()].into(),
            4 => [self.size(), self.size(), self.size(), self.size()].into(),
            5 => [self.size(), self.size(), self.size(), self.size(), self.size()].into(),
            _ => [self.size(), self.size(), self.size(), self.size(), self.size(), self.size()].into(),
        }
    }

    /// The shape, or one that is easily taken for it.
    pub(crate) fn about(&mut self, shape: Shape) -> Shape {
        let mut axes = shape.axes().to_vec();
        match self.below(10) {
            0 => axes.reverse(),
            1 => axes.insert(0, 1),
            2 => axes.retain(|&axis| axis != 1),
            3 => axes = vec![shape.len()],
            4 => return self.shape(),
            5 => axes.push(1),
            _ => {}
        }
        Shape::new(&axes).unwrap_or(shape)
    }

    /// An array of these axes, if it is cheap.
    pub(crate) fn array(&mut self, axes: &[usize]) -> Option<ArrayD<f64>> {
        let len = axes.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis))?;
        let all = axes.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis.max(1)))?;
        (all < HEAVY).then(|| ArrayD::from_shape_vec(IxDyn(axes), self.numbers(len)).expect("as long as its axes"))
    }
}

/// Whether this many numbers would take long, while a typed error can't be expected at once either.
pub(crate) fn heavy(numbers: usize) -> bool {
    (HEAVY..IMPOSSIBLE).contains(&numbers)
}
