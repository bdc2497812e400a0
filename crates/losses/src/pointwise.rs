use std::fmt::Debug;

use downhill_tensor::reduce::lanes;
use downhill_tensor::{Batch, Kernel, Scalar};

use crate::classes::Layout;
use crate::sums::{Rows, cut_optional, total};
use crate::target::one_for_each;
use crate::{ClassAxis, Loss, Meaning, Outputs, Reduction, Target, TargetError, Total};

/// A loss whose terms compare one predicted number with one target each: J = mean over all numbers of ℓ(yᵢ, tᵢ).
///
/// It is to [`Loss`] what an activation is to a layer: the rule for one number is all there is to write,
/// and every `PointwiseLoss` is a `Loss`. The loop is compiled for the widest vectors of the machine;
/// it works on a copy of the loss, so that settings stay in registers.
///
/// ```
/// use downhill_losses::{Loss, PointwiseLoss, Target};
/// use downhill_tensor::{Batch, Scalar};
///
/// /// ℓ = (y − t)⁴
/// #[derive(Clone, Copy, Debug)]
/// struct Quartic;
///
/// impl PointwiseLoss for Quartic {
///     #[inline(always)]
///     fn at<T: Scalar>(&self, y: T, target: T) -> (T, T) {
///         let d = y - target;
///         (d * d * d * d, T::of(4.0) * d * d * d)
///     }
/// }
///
/// let y = Batch::new(&[1.0, 2.0], 2, [1])?;
/// assert_eq!(Quartic.value(y, Target::Values(&[0.0, 0.0]))?, 8.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PointwiseLoss: Copy + Debug + Send + Sync {
    /// The term ℓ(y, t) and its slope dℓ/dy.
    ///
    /// Mark it `#[inline(always)]`: only within the loop that calls it is it vectorised.
    /// An `if` that chooses between two numbers is no hindrance, a loop is.
    fn at<T: Scalar>(&self, y: T, target: T) -> (T, T);

    /// How the terms become one number; the mean unless overridden.
    fn reduced(&self) -> Reduction {
        Reduction::Mean
    }

    /// What the loss takes predicted numbers to be; it does not say unless overridden.
    fn outputs(&self) -> Option<Outputs> {
        None
    }

    /// Whether the settings, the predictions and the targets lie in their ranges; checks nothing unless overridden.
    ///
    /// # Errors
    /// Where one does not. Leave not-a-number alone: it should show in the loss.
    fn check<T: Scalar>(&self, y: &[T], target: &[T]) -> Result<(), TargetError> {
        let _ = (y, target);
        Ok(())
    }
}

impl<L: PointwiseLoss> Loss for L {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let target = one_for_each::<L, T>(y, target)?;
        TargetError::check_gradient(y, dy.as_deref())?;
        self.check(y.slice(), target)?;
        let whole = self.reduced().of(target.len() as f64, y.examples());
        Ok(reduce(Unweighted(*self), None, y.slice(), target, dy, whole))
    }

    fn meaning(&self) -> Meaning {
        self.outputs().map_or_else(Meaning::default, Meaning::of)
    }
}

/// What one number adds to a loss whose classes may have weights.
pub(crate) trait Term: Copy + Send {
    /// The term and its slope; the weight is 1 where there are no weights.
    fn at<T: Scalar>(self, y: T, target: T, weight: T) -> (T, T);
}

#[derive(Clone, Copy)]
struct Unweighted<L>(L);

impl<L: PointwiseLoss> Term for Unweighted<L> {
    #[inline(always)]
    fn at<T: Scalar>(self, y: T, target: T, _weight: T) -> (T, T) {
        self.0.at(y, target)
    }
}

/// The weights of classes that lie along one axis of the predictions.
#[derive(Clone, Copy)]
pub(crate) struct AxisWeights<'a> {
    weights: &'a [f64],
    /// How many numbers lie side by side in one class.
    inner: usize,
    /// The place of the first number.
    first: usize,
}

impl<'a> AxisWeights<'a> {
    /// Checks that there is one for each class of `y`, where there are any.
    pub(crate) fn new<L, T>(
        weights: Option<&'a [f64]>,
        y: Batch<'_, T>,
        axis: ClassAxis,
    ) -> Result<Option<Self>, TargetError> {
        let Some(weights) = weights else { return Ok(None) };
        let layout = Layout::new::<L, T>(y, axis)?;
        layout.check_weights::<L>(Some(weights))?;
        Ok(Some(Self { weights, inner: layout.inner, first: 0 }))
    }

    /// Those of the numbers from `first` on.
    fn from(self, first: usize) -> Self {
        Self { first: self.first + first, ..self }
    }

    fn fill<T: Scalar>(self, weights: &mut [T]) {
        let (mut class, mut within) = (self.first / self.inner % self.weights.len(), self.first % self.inner);
        for weight in weights {
            *weight = T::of(self.weights[class]);
            within += 1;
            if within == self.inner {
                (class, within) = ((class + 1) % self.weights.len(), 0);
            }
        }
    }
}

/// The sum of all terms, in a total of their weight and divisor; also overwrites `dy` with its gradient where it is given.
pub(crate) fn reduce<L: Term, T: Scalar>(
    loss: L,
    weights: Option<AxisWeights<'_>>,
    y: &[T],
    target: &[T],
    dy: Option<&mut [T]>,
    whole: Total,
) -> Total {
    let terms = Terms { loss, weights, y, target, dy, scale: T::of(whole.scale()) };
    whole.with_sum(total(terms))
}

/// PyTorch's 1e-12, which it keeps in single precision whatever it computes in.
pub(crate) const TINY: f64 = 1e-12_f32 as f64;

/// The terms of this many numbers wait on the stack for their sum.
const BLOCK: usize = 128;

struct Terms<'a, L, T> {
    loss: L,
    weights: Option<AxisWeights<'a>>,
    y: &'a [T],
    target: &'a [T],
    dy: Option<&'a mut [T]>,
    scale: T,
}

impl<L: Term, T: Scalar> Kernel for Terms<'_, L, T> {
    type Output = f64;

    #[inline(always)]
    fn run(mut self) -> f64 {
        let Self { loss, scale, .. } = self;
        let mut total = 0.0;
        let mut terms = [T::ZERO; BLOCK];
        let mut weights = [T::ONE; BLOCK];
        for (block, (y, target)) in self.y.chunks(BLOCK).zip(self.target.chunks(BLOCK)).enumerate() {
            let first = block * BLOCK;
            if let Some(axis) = self.weights {
                axis.from(first).fill(&mut weights[..y.len()]);
            }
            let pairs = y.iter().zip(target).zip(&weights).zip(&mut terms);
            if let Some(dy) = &mut self.dy {
                for ((((&y, &target), &weight), term), dy) in pairs.zip(&mut dy[first..first + y.len()]) {
                    let slope;
                    (*term, slope) = loss.at(y, target, weight);
                    *dy = slope * scale;
                }
            } else {
                for (((&y, &target), &weight), term) in pairs {
                    *term = loss.at(y, target, weight).0;
                }
            }
            total += lanes::map_sum(&terms[..y.len()], |term| term).to_f64();
        }
        total
    }
}

impl<L: Term, T: Scalar> Rows for Terms<'_, L, T> {
    fn rows(&self) -> usize {
        self.y.len()
    }

    fn width(&self) -> usize {
        1
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let Self { loss, weights, scale, .. } = self;
        let (y0, y1) = self.y.split_at(middle);
        let (target0, target1) = self.target.split_at(middle);
        let (dy0, dy1) = cut_optional(self.dy, middle);
        let weights1 = weights.map(|axis| axis.from(middle));
        (
            Self { loss, weights, y: y0, target: target0, dy: dy0, scale },
            Self { loss, weights: weights1, y: y1, target: target1, dy: dy1, scale },
        )
    }
}

/// 1, −1, or `x` itself where that is 0 or not a number.
#[inline(always)]
pub(crate) fn sign<T: Scalar>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        x
    }
}

/// The first place of a number that is `bad`.
pub(crate) fn find<T: Scalar>(x: &[T], bad: impl Fn(T) -> bool) -> Option<usize> {
    // No branch within a block, so that it is vectorised.
    let block = x.chunks(BLOCK).position(|block| block.iter().fold(false, |any, &x| any | bad(x)))?;
    (block * BLOCK..x.len()).find(|&i| bad(x[i]))
}

/// ln(1 + eˣ), ln(1 + e⁻ˣ) and σ(x), from one exponential and without cancellation.
#[inline(always)]
pub(crate) fn logistic<T: Scalar>(x: T) -> (T, T, T) {
    let e = (-x.abs()).exp();
    let (tail, larger) = (e.ln_1p(), T::ONE / (T::ONE + e));
    let sigmoid = if x < T::ZERO { e * larger } else { larger };
    (x.max(T::ZERO) + tail, (-x).max(T::ZERO) + tail, sigmoid)
}

/// xᵖ for x ≥ 0; 0⁰ is 1.
#[inline(always)]
pub(crate) fn power<T: Scalar>(x: T, p: T) -> T {
    if p == T::ZERO { T::ONE } else { (p * x.ln()).exp() }
}
