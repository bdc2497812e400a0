use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use downhill_tensor::Scalar;

use crate::Segment;

/// A differentiable function of a vector.
///
/// A closure `|x, gradient| value` is one, and so is a type that implements this trait, a `&mut` of it (so that it can
/// be lent, and read afterwards) and a `Box` of it.
/// `K` keeps the two apart, as a `&mut` could be either; it is inferred, and implementations of the trait leave it out.
///
/// ```
/// use downhill_optim::minimize::minimize;
/// use downhill_optim::{EvaluationError, Objective};
///
/// struct Counted(u64);
/// impl Objective<f64> for Counted {
///     fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EvaluationError> {
///         self.0 += 1;
///         gradient[0] = 2.0 * x[0];
///         Ok(x[0] * x[0])
///     }
/// }
/// let mut objective = Counted(0);
/// let outcome = minimize(&mut objective, [3.0]).run()?;
/// assert_eq!(objective.0, outcome.evaluations);
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
pub trait Objective<T: Scalar, K = ByTrait> {
    /// Returns f(x); also overwrites all of `gradient` with ∇f(x).
    ///
    /// # Errors
    /// Returns an error if the function can't be evaluated at all. A value that is not finite is no error.
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError>;

    /// Returns f(x) alone.
    ///
    /// # Errors
    /// Returns an error as [`value_and_gradient`](Objective::value_and_gradient) does.
    fn value(&mut self, x: &[T]) -> Result<T, EvaluationError> {
        let mut gradient = vec![T::ZERO; x.len()];
        self.value_and_gradient(x, &mut gradient)
    }

    /// Returns the segments of x, if they are known. The gradient is 0 in a segment that is frozen, whatever f does there.
    fn segments(&self) -> &[Segment] {
        &[]
    }
}

/// The kind of [`Objective`] that implements the trait.
#[derive(Clone, Copy, Debug)]
pub enum ByTrait {}

/// The kind of [`Objective`] that is a closure.
#[derive(Clone, Copy, Debug)]
pub enum ByClosure {}

/// A function and its gradient in one closure.
impl<T: Scalar, F: FnMut(&[T], &mut [T]) -> T> Objective<T, ByClosure> for F {
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        Ok(self(x, gradient))
    }
}

macro_rules! forward {
    ($pointer:ty) => {
        impl<T: Scalar, O: Objective<T> + ?Sized> Objective<T> for $pointer {
            fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
                (**self).value_and_gradient(x, gradient)
            }

            fn value(&mut self, x: &[T]) -> Result<T, EvaluationError> {
                (**self).value(x)
            }

            fn segments(&self) -> &[Segment] {
                (**self).segments()
            }
        }
    };
}

forward!(&mut O);
forward!(Box<O>);

/// An objective of either kind, as one that implements the trait.
pub(crate) struct AnyObjective<'a, O, K>(pub(crate) &'a mut O, pub(crate) PhantomData<K>);

impl<T: Scalar, K, O: Objective<T, K>> Objective<T> for AnyObjective<'_, O, K> {
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        self.0.value_and_gradient(x, gradient)
    }

    fn value(&mut self, x: &[T]) -> Result<T, EvaluationError> {
        self.0.value(x)
    }

    fn segments(&self) -> &[Segment] {
        self.0.segments()
    }
}

/// The reason for which an objective can't be evaluated.
///
/// Its text does not repeat that of its [`source`](Error::source).
#[derive(Debug)]
pub struct EvaluationError {
    reason: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl EvaluationError {
    /// Creates the error of an evaluation that failed for this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), source: None }
    }

    /// Creates the error of an evaluation that failed because of another error, which is its [`source`](Error::source).
    #[must_use]
    pub fn because(source: impl Error + Send + Sync + 'static) -> Self {
        Self { reason: None, source: Some(Box::new(source)) }
    }
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the objective could not be evaluated")?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

impl Error for EvaluationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
