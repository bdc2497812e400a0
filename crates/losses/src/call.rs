//! The arguments of a loss as one value, with weights and without, and the crate in which it is compiled.

use std::marker::PhantomData;

use downhill_tensor::{Batch, PerScalar, Scalar};

use crate::{Loss, Target, TargetError, Total};

/// The arguments of [`Loss::evaluate`] or [`Loss::evaluate_weighted`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Call<'a, T> {
    pub y: Batch<'a, T>,
    pub target: Target<'a, T>,
    pub weights: Option<&'a [T]>,
    pub dy: Option<&'a mut [T]>,
}

impl<T: Scalar> Call<'_, T> {
    /// Evaluates the loss by the code that its own crate has compiled, if there is any.
    ///
    /// # Errors
    /// Returns the errors of [`Loss::evaluate`] or [`Loss::evaluate_weighted`].
    #[inline]
    pub fn evaluate<L: Loss + ?Sized>(self, loss: &L) -> Result<Total, TargetError> {
        T::pick(InPrecision(loss, PhantomData), self)
    }

    /// Calls [`Loss::evaluate`] or [`Loss::evaluate_weighted`].
    #[inline]
    pub(crate) fn of<L: Loss + ?Sized>(self, loss: &L) -> Result<Total, TargetError> {
        let Self { y, target, weights, dy } = self;
        match weights {
            None => loss.evaluate(y, target, dy),
            Some(weights) => loss.evaluate_weighted(y, target, weights, dy),
        }
    }
}

/// Evaluates a loss; [`Call::evaluate`] as a function.
#[inline]
pub(crate) fn evaluate<L: Loss + ?Sized, T: Scalar>(loss: &L, call: Call<'_, T>) -> Result<Total, TargetError> {
    call.evaluate(loss)
}

struct InPrecision<'l, 'a, L: ?Sized>(&'l L, PhantomData<&'a ()>);

impl<'a, L: Loss + ?Sized> PerScalar for InPrecision<'_, 'a, L> {
    type With<T: Scalar> = Call<'a, T>;
    type Output = Result<Total, TargetError>;

    #[inline]
    fn f32(self, call: Call<'a, f32>) -> Self::Output {
        self.0.evaluate_f32(call)
    }

    #[inline]
    fn f64(self, call: Call<'a, f64>) -> Self::Output {
        self.0.evaluate_f64(call)
    }
}

/// Writes both methods of a loss that evaluates a [`Call`].
macro_rules! evaluate_by {
    ($evaluate:path) => {
        #[inline]
        fn evaluate<T: downhill_tensor::Scalar>(
            &self,
            y: downhill_tensor::Batch<'_, T>,
            target: $crate::Target<'_, T>,
            dy: Option<&mut [T]>,
        ) -> Result<$crate::Total, $crate::TargetError> {
            $evaluate(self, $crate::Call { y, target, weights: None, dy })
        }

        #[inline]
        fn evaluate_weighted<T: downhill_tensor::Scalar>(
            &self,
            y: downhill_tensor::Batch<'_, T>,
            target: $crate::Target<'_, T>,
            weights: &[T],
            dy: Option<&mut [T]>,
        ) -> Result<$crate::Total, $crate::TargetError> {
            $evaluate(self, $crate::Call { y, target, weights: Some(weights), dy })
        }
    };
}
pub(crate) use evaluate_by;

/// Compiles this loss in this crate, for a program in development whose own code is not optimised.
///
/// Other builds compile the losses that they name, in the precision that they use.
macro_rules! compiled {
    (Loss) => {
        $crate::call::compiled!(|loss, call| call.of(loss));
    };
    (PointwiseLoss) => {
        $crate::call::compiled!(|loss, call| $crate::pointwise::evaluate(*loss, call));
    };
    (|$loss:ident, $call:ident| $evaluate:expr) => {
        downhill_tensor::in_optimized_development! {
            #[doc(hidden)]
            #[inline(never)]
            fn evaluate_f32(&self, $call: $crate::Call<'_, f32>) -> Result<$crate::Total, $crate::TargetError> {
                let $loss = self;
                $evaluate
            }

            #[doc(hidden)]
            #[inline(never)]
            fn evaluate_f64(&self, $call: $crate::Call<'_, f64>) -> Result<$crate::Total, $crate::TargetError> {
                let $loss = self;
                $evaluate
            }
        }
    };
}
pub(crate) use compiled;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_loss_is_compiled_here() {
        let mut losses = 0;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
            let path = entry.unwrap().path();
            let source = fs::read_to_string(&path).unwrap();
            let mut lines = source.split("#[cfg(test)]").next().unwrap_or_default().lines();
            while let Some(line) = lines.next() {
                if ["impl Loss for ", "impl PointwiseLoss for "].iter().any(|start| line.starts_with(start)) {
                    let first = lines.next().unwrap_or_default().trim_start();
                    assert!(first.starts_with("compiled!("), "{}: `{line}` does not begin so", path.display());
                    losses += 1;
                }
            }
        }
        assert!(losses > 25, "only {losses} losses were found");
    }
}
