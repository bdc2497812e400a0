use std::error::Error;
use std::fmt;

use downhill_tensor::Scalar;

use crate::Segment;

/// A differentiable function of a vector.
pub trait Objective<T: Scalar> {
    /// f(x); also overwrites all of `gradient` with ∇f(x).
    ///
    /// # Errors
    /// Where the function can't be evaluated at all. A value that is not finite is no error.
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError>;

    /// f(x) alone.
    ///
    /// # Errors
    /// As for [`value_and_gradient`](Objective::value_and_gradient).
    fn value(&mut self, x: &[T]) -> Result<T, EvaluationError> {
        let mut gradient = vec![T::ZERO; x.len()];
        self.value_and_gradient(x, &mut gradient)
    }

    /// How x is divided, where that is known. The gradient is 0 in a segment that is frozen, whatever f does there.
    fn segments(&self) -> &[Segment] {
        &[]
    }
}

/// A function and its gradient in one closure.
impl<T: Scalar, F: FnMut(&[T], &mut [T]) -> T> Objective<T> for F {
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        Ok(self(x, gradient))
    }
}

/// Why an objective can't be evaluated.
#[derive(Debug)]
pub struct EvaluationError {
    reason: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl EvaluationError {
    /// An evaluation that failed for this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), source: None }
    }

    /// An evaluation that failed because of another error: its source, which its own message does not repeat.
    #[must_use]
    pub fn because(source: impl Error + Send + Sync + 'static) -> Self {
        Self { reason: None, source: Some(Box::new(source)) }
    }
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the objective could not be evaluated")?;
        self.reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
    }
}

impl Error for EvaluationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
