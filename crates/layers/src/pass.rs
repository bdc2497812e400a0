use std::fmt::Debug;
use std::ops::Index;

use downhill_tensor::{Batch, BatchMut, Scalar, Seed, Stream};

use crate::few::Few;
use crate::{Arrays, ArraysMut};

/// The most inputs that one layer can take.
pub const MAX_INPUTS: usize = 8;

/// Whether a pass belongs to a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A pass of training step `step`: dropout drops, statistics are those of the batch.
    Training {
        /// The number of the step, by which random streams are keyed.
        step: u64,
    },
    /// A pass that only predicts: nothing is random, statistics are the running ones.
    Evaluation,
}

impl Mode {
    /// Returns whether this is a training pass.
    #[must_use]
    #[inline]
    pub fn is_training(self) -> bool {
        matches!(self, Self::Training { .. })
    }

    /// The step of a training pass, and 0 for one that only predicts.
    #[must_use]
    #[inline]
    pub fn step(self) -> u64 {
        match self {
            Self::Training { step } => step,
            Self::Evaluation => 0,
        }
    }
}

/// The random streams of one layer in one step: one for each example.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    run: Seed,
    step: u64,
    layer: u64,
}

impl Streams {
    /// Creates the streams of the layer `layer` in step `step` of a run with this seed.
    #[must_use]
    #[inline]
    pub fn new(seed: Seed, step: u64, layer: u64) -> Self {
        Self { run: seed, step, layer }
    }

    /// The seed of what the layer draws by place, for the batch as a whole.
    #[must_use]
    #[inline]
    pub fn seed(self) -> Seed {
        self.run.derive(self.step).derive(self.layer)
    }

    /// The stream of one example of the batch.
    #[must_use]
    pub fn example(self, index: usize) -> Stream {
        self.seed().stream(index as u64)
    }
}

/// What a layer's forward pass reads and writes.
#[derive(Debug)]
pub struct Forward<'a, T> {
    /// The inputs.
    pub x: Inputs<'a, T>,
    /// The layer's parameters.
    pub params: Arrays<'a, T>,
    /// The output, which the pass overwrites.
    pub y: BatchMut<'a, T>,
    /// What the signature keeps for the backward pass, which the pass overwrites.
    pub saved: ArraysMut<'a, T>,
    /// Scratch space; what it holds at entry is unspecified.
    pub scratch: ArraysMut<'a, T>,
    /// The running statistics.
    pub statistics: Arrays<'a, T>,
    /// Whether this is a training step.
    pub mode: Mode,
    /// Random streams, one for each example.
    pub random: Streams,
    /// The other parts of the batch, if this pass is over one of several and the layer [gathers](crate::Signature::gathers).
    pub ranks: Option<&'a mut dyn AllGather<T>>,
}

/// What a layer's backward pass reads and writes.
#[derive(Debug)]
pub struct Backward<'a, T> {
    /// The inputs of the forward pass; absent if the signature says that they are not read.
    pub x: Inputs<'a, T>,
    /// The layer's parameters.
    pub params: Arrays<'a, T>,
    /// The output of the forward pass; absent if the signature says that it is not read.
    pub y: Batch<'a, T>,
    /// What the forward pass kept.
    pub saved: Arrays<'a, T>,
    /// Scratch space; what it holds at entry is unspecified.
    pub scratch: ArraysMut<'a, T>,
    /// dJ/dy.
    pub dy: Batch<'a, T>,
    /// dJ/dx, which the pass overwrites, for those inputs that ask.
    pub dx: InputsMut<'a, T>,
    /// dJ/dθ, which the pass overwrites: the share of this part of the batch, if there are others.
    pub dparams: ArraysMut<'a, T>,
    /// The other parts of the batch, if this pass is over one of several, the layer [gathers](crate::Signature::gathers),
    /// and dJ/dx is asked for.
    pub ranks: Option<&'a mut dyn AllGather<T>>,
}

/// Connects passes over the parts of one batch, such as in several processes that train one network.
///
/// Every rank runs the same layers in the same order, so that a call on one meets the same call on all others.
pub trait AllGather<T>: Debug {
    /// Returns the numbers of all ranks, in their order; all give as many. A rank without an example gives zeros.
    ///
    /// There are as many numbers too if the ranks can't be reached: the pass goes on with any, and its result is not used.
    fn all_gather(&mut self, own: &[T]) -> &[T];
}

/// The inputs of a layer, in order: `inputs[0]` is the first.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, T>(Few<Batch<'a, T>>);

impl<'a, T> Inputs<'a, T> {
    /// Creates an empty list of inputs.
    #[inline]
    #[must_use]
    pub fn empty() -> Self {
        Self(Few::none())
    }

    /// The number of inputs.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a layer has inputs")]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Sets input `index`.
    ///
    /// # Panics
    /// Panics if `index` is not smaller than [`MAX_INPUTS`].
    #[inline]
    pub fn set(&mut self, index: usize, x: Batch<'a, T>) {
        self.0.set(index, x);
    }

    /// Input `index`, if there is one.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Batch<'a, T>>
    where
        T: Copy,
    {
        self.0.get(index).copied()
    }

    /// All inputs, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Batch<'a, T>> {
        self.0.iter()
    }
}

impl<'a, T> From<Batch<'a, T>> for Inputs<'a, T> {
    #[inline]
    fn from(x: Batch<'a, T>) -> Self {
        let mut inputs = Self::empty();
        inputs.set(0, x);
        inputs
    }
}

impl<'a, T> Index<usize> for Inputs<'a, T> {
    type Output = Batch<'a, T>;

    #[inline]
    fn index(&self, index: usize) -> &Batch<'a, T> {
        match self.0.get(index) {
            Some(batch) => batch,
            None => panic!("the layer has no input {index} here; its signature has not asked for it"),
        }
    }
}

/// The gradients with respect to the inputs: those that are asked for.
#[derive(Debug)]
pub struct InputsMut<'a, T>(Few<BatchMut<'a, T>>);

impl<'a, T> InputsMut<'a, T> {
    /// Creates an empty list, which asks for no gradient.
    #[inline]
    #[must_use]
    pub fn empty() -> Self {
        Self(Few::none())
    }

    /// Asks for the gradient of input `index`.
    ///
    /// # Panics
    /// Panics if `index` is not smaller than [`MAX_INPUTS`].
    #[inline]
    pub fn set(&mut self, index: usize, dx: BatchMut<'a, T>) {
        self.0.set(index, dx);
    }

    /// The gradient of input `index`, which the pass overwrites, if it is asked for.
    #[inline]
    pub fn get(&mut self, index: usize) -> Option<&mut BatchMut<'a, T>> {
        self.0.get_mut(index)
    }

    /// Those that are asked for, each with the index of its input.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut BatchMut<'a, T>)> {
        self.0.iter_mut()
    }
}

impl<'a, T> From<BatchMut<'a, T>> for InputsMut<'a, T> {
    #[inline]
    fn from(dx: BatchMut<'a, T>) -> Self {
        let mut inputs = Self::empty();
        inputs.set(0, dx);
        inputs
    }
}

impl<T: Scalar> Forward<'_, T> {
    /// Copies x to y, unless the plan has put x into y's buffer.
    pub(crate) fn copy_unless_in_place(&mut self) {
        if let Some(x) = self.x.get(0) {
            self.y.slice().copy_from_slice(x.slice());
        }
    }
}

impl<T: Scalar> Backward<'_, T> {
    /// Copies dy to dx, unless the plan has put dy into dx's buffer.
    pub(crate) fn copy_unless_in_place(&mut self) {
        let dy = self.dy.slice();
        if let Some(dx) = self.dx.get(0)
            && !dy.is_empty()
        {
            dx.slice().copy_from_slice(dy);
        }
    }
}
