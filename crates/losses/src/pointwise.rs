use std::fmt::Debug;
use std::ops::Range;

use downhill_tensor::reduce::lanes;
use downhill_tensor::{Batch, Divisible, Kernel, Scalar};

use crate::call::evaluate_by;
use crate::classes::{Layout, part};
use crate::domain::TWO_CLASSES;
use crate::sums::{Rows, total};
use crate::total::Quotient;
use crate::weights::Mask;
use crate::{Call, ClassAxis, Loss, Meaning, Outputs, Reduction, Target, TargetError, Total, target};

/// A loss whose terms compare one predicted number with one target each: J = mean over all numbers of ℓ(yᵢ, tᵢ).
///
/// It is to [`Loss`] what an activation is to a layer: the rule for one number is all there is to write,
/// and every `PointwiseLoss` is a `Loss` that also takes a weight for each example, for each step along leading axes
/// or for each number. The loop is compiled for the widest vectors of the machine;
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
///     fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
///         let d = y - target;
///         (d * d * d * d, T::from_f64(4.0) * d * d * d)
///     }
/// }
///
/// let y = Batch::new(&[1.0, 2.0], 2, [1])?;
/// assert_eq!(Quartic.value(y, Target::Values(&[0.0, 0.0]))?, 8.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PointwiseLoss: Copy + Debug + Send + Sync {
    /// Computes the term ℓ(y, t) and its slope dℓ/dy.
    ///
    /// Mark it `#[inline(always)]`: it is vectorised only within the loop that calls it.
    /// An `if` that chooses between two numbers does not prevent that, but a loop does.
    fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T);

    /// Returns the rule by which the terms become one number; the mean unless overridden.
    fn reduced(&self) -> Reduction {
        Reduction::Mean
    }

    /// Returns the meaning of the predicted numbers; `None` unless overridden.
    fn outputs(&self) -> Option<Outputs> {
        None
    }

    /// Returns the targets that the classes 0 and 1 stand for; `None`, unless overridden, if the loss takes no classes.
    fn class_values(&self) -> Option<[f64; 2]> {
        None
    }

    /// Checks that the settings, the predictions and the targets lie in their ranges; checks nothing unless overridden.
    ///
    /// It receives only what counts: there may be no predictions at all, and there are no targets if they are classes.
    ///
    /// ```
    /// use downhill_losses::{Loss, PointwiseLoss, Target, TargetError};
    /// use downhill_tensor::{Batch, Scalar};
    ///
    /// /// ℓ = (y − t)⁴ for targets of at least 0
    /// #[derive(Clone, Copy, Debug)]
    /// struct Quartic;
    ///
    /// impl PointwiseLoss for Quartic {
    ///     #[inline(always)]
    ///     fn term_and_slope<T: Scalar>(&self, y: T, target: T) -> (T, T) {
    ///         let d = y - target;
    ///         (d * d * d * d, T::from_f64(4.0) * d * d * d)
    ///     }
    ///
    ///     fn check<T: Scalar>(&self, _: &[T], target: &[T]) -> Result<(), TargetError> {
    ///         // Written so that a target that is not a number is refused too.
    ///         let Some(place) = target.iter().position(|t| !(*t >= T::ZERO)) else { return Ok(()) };
    ///         let (takes, advice) = ("targets of at least 0", "leave out examples whose target is missing");
    ///         Err(TargetError::domain("Quartic", takes, "target", 0, place, target[place], advice))
    ///     }
    /// }
    ///
    /// let y = Batch::new(&[1.0, 2.0, 3.0, 4.0], 2, [2])?;
    /// let error = Quartic.value(y, Target::Values(&[0.0, 1.0, 2.0, -1.0])).unwrap_err();
    /// assert!(error.to_string().contains("target 1 of example 1 is -1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if one does not; [`TargetError::domain`] makes it. Its place is counted from the first number in
    /// the slice, as part of example 0: the caller finds the example, and the place in it.
    /// A prediction that is not a number is no error: it should show in the loss.
    fn check<T: Scalar>(&self, y: &[T], target: &[T]) -> Result<(), TargetError> {
        let _ = (y, target);
        Ok(())
    }

    /// Implements `Loss::evaluate_f32`.
    #[doc(hidden)]
    #[inline]
    fn evaluate_f32(&self, call: Call<'_, f32>) -> Result<Total, TargetError> {
        evaluate(*self, call)
    }

    /// Implements `Loss::evaluate_f64`.
    #[doc(hidden)]
    #[inline]
    fn evaluate_f64(&self, call: Call<'_, f64>) -> Result<Total, TargetError> {
        evaluate(*self, call)
    }
}

impl<L: PointwiseLoss> Loss for L {
    evaluate_by!(crate::call::evaluate);

    #[doc(hidden)]
    #[inline]
    fn evaluate_f32(&self, call: Call<'_, f32>) -> Result<Total, TargetError> {
        PointwiseLoss::evaluate_f32(self, call)
    }

    #[doc(hidden)]
    #[inline]
    fn evaluate_f64(&self, call: Call<'_, f64>) -> Result<Total, TargetError> {
        PointwiseLoss::evaluate_f64(self, call)
    }

    fn meaning(&self) -> Meaning {
        self.outputs().map_or_else(Meaning::default, Meaning::new)
    }
}

/// Evaluates a call, with weights or without, in the crate that compiles this.
pub(crate) fn evaluate<L: PointwiseLoss, T: Scalar>(loss: L, call: Call<'_, T>) -> Result<Total, TargetError> {
    let Call { y, target, weights, dy } = call;
    let mask = weights.map(|weights| Mask::of_numbers::<L>(weights, y)).transpose()?;
    let check = |y: &[T], target: &[T]| loss.check(y, target);
    let numbers = Numbers::new::<L>(y, target, loss.class_values(), mask, check)?;
    numbers.reduce(loss, dy, terms(loss.reduced(), y, mask))
}

/// Returns the total, still without its sum, of the terms of all numbers.
pub(crate) fn terms<T: Scalar>(reduction: Reduction, y: Batch<'_, T>, mask: Option<Mask<'_, T>>) -> Quotient {
    let (numbers, examples) = (y.slice().len(), y.examples());
    mask.map_or_else(|| reduction.of_terms(numbers, examples), |mask| mask.whole(reduction, numbers, examples))
}

/// The rule for one number of a loss whose positive answers may have weights.
pub(crate) trait Term: Copy + Send {
    /// Computes the term and its slope; the weight of a positive answer is 1 if there are no weights.
    fn term_and_slope<T: Scalar>(self, y: T, target: T, positive: T) -> (T, T);
}

impl<L: PointwiseLoss> Term for L {
    #[inline(always)]
    fn term_and_slope<T: Scalar>(self, y: T, target: T, _positive: T) -> (T, T) {
        PointwiseLoss::term_and_slope(&self, y, target)
    }
}

/// The weights of classes that lie along one axis of the predictions.
#[derive(Clone, Copy)]
pub(crate) struct AxisWeights<'a> {
    weights: &'a [f64],
    /// The number of adjacent numbers of one class.
    inner: usize,
    /// The place of the first number.
    first: usize,
    has_zero: bool,
}

impl<'a> AxisWeights<'a> {
    /// Checks that weights, if there are any, are one for each class of `y`.
    pub(crate) fn new<L, T>(
        weights: Option<&'a [f64]>,
        y: Batch<'_, T>,
        axis: ClassAxis,
    ) -> Result<Option<Self>, TargetError> {
        let Some(weights) = weights else { return Ok(None) };
        let layout = Layout::new::<L, T>(y, axis)?;
        layout.check_weights::<L>(Some(weights))?;
        Ok(Some(Self { weights, inner: layout.inner, first: 0, has_zero: weights.contains(&0.0) }))
    }

    /// Returns the weights of the numbers from `first` on.
    fn from(self, first: usize) -> Self {
        Self { first: self.first + first, ..self }
    }

    /// Calls `visit` with each slot and the weight of its class.
    #[inline(always)]
    fn each<T: Scalar>(self, slots: &mut [T], visit: impl Fn(&mut T, T)) {
        let (mut class, mut within) = (self.first / self.inner % self.weights.len(), self.first % self.inner);
        for slot in slots {
            visit(slot, T::from_f64(self.weights[class]));
            within += 1;
            if within == self.inner {
                (class, within) = ((class + 1) % self.weights.len(), 0);
            }
        }
    }
}

/// Predicted numbers, each with its target and the factor of its term.
pub(crate) struct Numbers<'a, T> {
    y: Batch<'a, T>,
    targets: Targets<'a, T>,
}

/// Targets with everything that weighs them, or that are classes.
#[derive(Clone, Copy)]
struct Targets<'a, T> {
    target: Target<'a, T>,
    /// The targets that the classes 0 and 1 stand for.
    class_values: [T; 2],
    positive: Option<AxisWeights<'a>>,
    classes: Option<AxisWeights<'a>>,
    mask: Option<Mask<'a, T>>,
}

impl<'a, T: Scalar> Numbers<'a, T> {
    /// Checks the predictions and targets that count.
    pub(crate) fn new<L>(
        y: Batch<'a, T>,
        target: Target<'a, T>,
        class_values: Option<[f64; 2]>,
        mask: Option<Mask<'a, T>>,
        check: impl Fn(&[T], &[T]) -> Result<(), TargetError>,
    ) -> Result<Self, TargetError> {
        if class_values.is_none() {
            target::values::<L, T>(target, target::ONE_FOR_EACH)?;
        }
        let (numbers, width) = (y.slice(), y.shape().len());
        TargetError::check_count(numbers.len(), target.len())?;
        let check = |here: Range<usize>| match target {
            Target::Values(target) => check(&numbers[here.clone()], &target[here]),
            Target::Classes(classes) => {
                TWO_CLASSES.check::<L, u32>(&classes[here.clone()], |class| class > 1)?;
                check(&numbers[here], &[])
            }
        };
        check_counted(numbers.len(), mask, check).map_err(|error| error.located(width))?;
        let class_values = class_values.unwrap_or_default().map(T::from_f64);
        Ok(Self { y, targets: Targets { target, class_values, positive: None, classes: None, mask } })
    }

    /// Weighs the positive answers of each class.
    pub(crate) fn positive_weights(mut self, weights: Option<AxisWeights<'a>>) -> Self {
        self.targets.positive = weights;
        self
    }

    /// Weighs the terms of each class.
    pub(crate) fn class_weights(mut self, weights: Option<AxisWeights<'a>>) -> Self {
        self.targets.classes = weights;
        self
    }

    /// Sums all terms into a total of their weight and divisor; with `dy`, also overwrites it with the gradient.
    pub(crate) fn reduce(self, loss: impl Term, dy: Option<&mut [T]>, whole: Quotient) -> Result<Total, TargetError> {
        let Self { y, targets } = self;
        TargetError::check_gradient(y, dy.as_deref())?;
        let (y, scale) = (y.slice(), T::from_f64(whole.scale()));
        let sum = match targets {
            Targets { target: Target::Values(targets), positive: None, classes: None, mask: None, .. } => {
                total(Terms { loss, y, targets, dy, scale })
            }
            targets => total(Terms { loss, y, targets, dy, scale }),
        };
        Ok(whole.total(sum))
    }
}

/// Checks all numbers, and if that fails only those that count, since numbers that a mask excludes are not read.
pub(crate) fn check_counted<T: Scalar>(
    numbers: usize,
    mask: Option<Mask<'_, T>>,
    check: impl Fn(Range<usize>) -> Result<(), TargetError>,
) -> Result<(), TargetError> {
    match (check(0..numbers), mask) {
        (Ok(()), _) => Ok(()),
        (error, None) => error,
        (Err(_), Some(mask)) => {
            // Settings count even if no number does.
            check(0..0)?;
            mask.counted(numbers).try_for_each(|run| check(run.clone()).map_err(|error| error.from(run.start)))
        }
    }
}

/// The targets of a loop over numbers, and the factors of their terms.
trait Source<T: Scalar>: Copy + Divisible {
    /// True if terms have factors.
    const WEIGHTED: bool;

    /// Fills `block` for `count` numbers from `first` on.
    fn fill(self, first: usize, count: usize, block: &mut Block<T>);

    /// Returns the targets of `count` numbers from `first` on.
    fn targets<'b>(&'b self, first: usize, count: usize, block: &'b Block<T>) -> &'b [T];
}

/// The number of terms that are on the stack until they are summed.
const BLOCK: usize = 128;

struct Block<T> {
    targets: [T; BLOCK],
    positive: [T; BLOCK],
    factors: [T; BLOCK],
}

/// One target for each number, and no weights.
impl<T: Scalar> Source<T> for &[T] {
    const WEIGHTED: bool = false;

    #[inline(always)]
    fn fill(self, _first: usize, _count: usize, _block: &mut Block<T>) {}

    #[inline(always)]
    fn targets<'b>(&'b self, first: usize, count: usize, _block: &'b Block<T>) -> &'b [T] {
        &self[first..first + count]
    }
}

impl<T: Scalar> Source<T> for Targets<'_, T> {
    const WEIGHTED: bool = true;

    #[inline(always)]
    fn fill(self, first: usize, count: usize, block: &mut Block<T>) {
        let Block { targets, positive, factors } = block;
        let (positive, factors) = (&mut positive[..count], &mut factors[..count]);
        let targets = match self.target {
            Target::Values(values) => &values[first..first + count],
            Target::Classes(classes) => {
                let [no, yes] = self.class_values;
                for (target, &class) in targets.iter_mut().zip(&classes[first..first + count]) {
                    *target = if class == 0 { no } else { yes };
                }
                &targets[..count]
            }
        };
        factors.fill(T::ONE);
        if let Some(weights) = self.positive {
            weights.from(first).each(positive, |slot, weight| *slot = weight);
            if weights.has_zero {
                // A positive answer of weight 0 is not read.
                for ((factor, &positive), &target) in factors.iter_mut().zip(&*positive).zip(targets) {
                    *factor = if (positive == T::ZERO) & (target == T::ONE) { T::ZERO } else { *factor };
                }
            }
        }
        if let Some(weights) = self.classes {
            weights.from(first).each(factors, |slot, weight| *slot *= weight);
        }
        if let Some(mask) = self.mask {
            mask.from(first).multiply(factors);
        }
    }

    #[inline(always)]
    fn targets<'b>(&'b self, first: usize, count: usize, block: &'b Block<T>) -> &'b [T] {
        match self.target {
            Target::Values(values) => &values[first..first + count],
            Target::Classes(_) => &block.targets[..count],
        }
    }
}

impl<T: Scalar> Divisible for Targets<'_, T> {
    fn elements(&self) -> usize {
        self.target.len()
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let Self { class_values, positive, classes, mask, .. } = self;
        let (target0, target1) = target::cut(self.target, middle);
        let rest = Self {
            target: target1,
            class_values,
            positive: positive.map(|weights| weights.from(middle)),
            classes: classes.map(|weights| weights.from(middle)),
            mask: mask.map(|mask| mask.from(middle)),
        };
        (Self { target: target0, ..self }, rest)
    }
}

/// PyTorch's 1e-12, a single-precision number in either precision.
pub(crate) const TINY: f64 = 1e-12_f32 as f64;

/// Sums a few terms; the sum may exceed the largest number of their precision.
#[inline(always)]
pub(crate) fn block_sum<T: Scalar>(terms: &[T]) -> f64 {
    let sum = lanes::sum_of_few(terms);
    if sum.is_finite() { sum.to_f64() } else { large_sum(terms) }
}

#[cold]
#[inline(never)]
fn large_sum<T: Scalar>(terms: &[T]) -> f64 {
    terms.iter().map(|term| term.to_f64()).sum()
}

struct Terms<'a, L, S, T> {
    loss: L,
    y: &'a [T],
    targets: S,
    dy: Option<&'a mut [T]>,
    scale: T,
}

/// Computes the term and its slope, times the factor if terms have factors.
#[inline(always)]
fn weigh<L: Term, S: Source<T>, T: Scalar>(loss: L, y: T, target: T, positive: T, factor: T) -> (T, T) {
    if !S::WEIGHTED {
        return loss.term_and_slope(y, target, T::ONE);
    }
    let (term, slope) = loss.term_and_slope(y, target, positive);
    (part(factor, term), part(factor, slope))
}

impl<L: Term, S: Source<T>, T: Scalar> Kernel for Terms<'_, L, S, T> {
    type Output = f64;

    #[inline(always)]
    fn run(mut self) -> f64 {
        let Self { loss, targets, scale, .. } = self;
        let mut total = 0.0;
        let mut terms = [T::ZERO; BLOCK];
        let mut block = Block { targets: [T::ZERO; BLOCK], positive: [T::ONE; BLOCK], factors: [T::ONE; BLOCK] };
        for (index, y) in self.y.chunks(BLOCK).enumerate() {
            let first = index * BLOCK;
            targets.fill(first, y.len(), &mut block);
            let weights = block.positive.iter().zip(&block.factors);
            let pairs = y.iter().zip(targets.targets(first, y.len(), &block)).zip(weights).zip(&mut terms);
            if let Some(dy) = &mut self.dy {
                for ((((&y, &target), (&positive, &factor)), term), dy) in pairs.zip(&mut dy[first..first + y.len()]) {
                    let slope;
                    (*term, slope) = weigh::<L, S, T>(loss, y, target, positive, factor);
                    *dy = slope * scale;
                }
            } else {
                for (((&y, &target), (&positive, &factor)), term) in pairs {
                    *term = weigh::<L, S, T>(loss, y, target, positive, factor).0;
                }
            }
            total += block_sum(&terms[..y.len()]);
        }
        total
    }
}

impl<L: Term, S: Source<T>, T: Scalar> Rows for Terms<'_, L, S, T> {
    fn width(&self) -> usize {
        1
    }
}

impl<L: Term, S: Source<T>, T: Scalar> Divisible for Terms<'_, L, S, T> {
    fn elements(&self) -> usize {
        self.y.len()
    }

    fn cut(self, middle: usize) -> (Self, Self) {
        let Self { loss, scale, .. } = self;
        let (y0, y1) = self.y.split_at(middle);
        let (targets0, targets1) = self.targets.cut(middle);
        let (dy0, dy1) = self.dy.cut(middle);
        (
            Self { loss, y: y0, targets: targets0, dy: dy0, scale },
            Self { loss, y: y1, targets: targets1, dy: dy1, scale },
        )
    }
}

/// Returns 1, −1, or `x` itself if that is 0 or NaN.
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

/// Computes ln(1 + eˣ), ln(1 + e⁻ˣ) and σ(x), from one exponential and without cancellation.
#[inline(always)]
pub(crate) fn logistic<T: Scalar>(x: T) -> (T, T, T) {
    let e = (-x.abs()).exp();
    let (tail, larger) = (e.ln_1p(), T::ONE / (T::ONE + e));
    let sigmoid = if x < T::ZERO { e * larger } else { larger };
    (x.max(T::ZERO) + tail, (-x).max(T::ZERO) + tail, sigmoid)
}

/// Computes xᵖ for x ≥ 0; 0⁰ is 1.
#[inline(always)]
pub(crate) fn power<T: Scalar>(x: T, p: T) -> T {
    if p == T::ZERO { T::ONE } else { (p * x.ln()).exp() }
}
