use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use downhill_tensor::{PerScalar, Scalar};

use crate::call::evaluate_by;
use crate::{Call, Loss, Meaning, TargetError, Total};

/// A loss whose type is chosen at run time: a `Box<dyn DynLoss>` is itself a [`Loss`].
///
/// It is implemented for every [`Loss`], and not meant to be implemented by hand.
/// `Box<dyn DynLoss>`, `&dyn DynLoss` and `Arc<dyn DynLoss>` are accepted wherever a loss is.
///
/// ```
/// use downhill_losses::{DynLoss, Huber, Loss, MeanSquaredError, Target};
/// use downhill_tensor::Batch;
///
/// let robust = true;
/// let loss: Box<dyn DynLoss> = if robust { Box::new(Huber::new(1.0)) } else { Box::new(MeanSquaredError::new()) };
/// let y = Batch::new(&[3.0], 1, [1])?;
/// assert_eq!(loss.value(y, Target::Values(&[0.0]))?, 2.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait DynLoss: Debug + Send + Sync {
    /// Calls [`Loss::evaluate`] or [`Loss::evaluate_weighted`] in `f32`.
    fn call_f32(&self, call: Call<'_, f32>) -> Result<Total, TargetError>;

    /// Calls [`Loss::evaluate`] or [`Loss::evaluate_weighted`] in `f64`.
    fn call_f64(&self, call: Call<'_, f64>) -> Result<Total, TargetError>;

    /// Calls [`Loss::meaning`].
    fn call_meaning(&self) -> Meaning;
}

impl<L: Loss> DynLoss for L {
    fn call_f32(&self, call: Call<'_, f32>) -> Result<Total, TargetError> {
        self.evaluate_f32(call)
    }

    fn call_f64(&self, call: Call<'_, f64>) -> Result<Total, TargetError> {
        self.evaluate_f64(call)
    }

    fn call_meaning(&self) -> Meaning {
        self.meaning()
    }
}

/// The call in the precision at hand.
struct InPrecision<'l, 'a, L: ?Sized>(&'l L, PhantomData<&'a ()>);

impl<'a, L: DynLoss + ?Sized> PerScalar for InPrecision<'_, 'a, L> {
    type With<T: Scalar> = Call<'a, T>;
    type Output = Result<Total, TargetError>;

    fn f32(self, call: Call<'a, f32>) -> Self::Output {
        self.0.call_f32(call)
    }

    fn f64(self, call: Call<'a, f64>) -> Self::Output {
        self.0.call_f64(call)
    }
}

fn evaluate_dyn<T: Scalar>(loss: &impl Deref<Target: DynLoss>, call: Call<'_, T>) -> Result<Total, TargetError> {
    T::pick(InPrecision(&**loss, PhantomData), call)
}

/// Implements [`Loss`] for a pointer to a `dyn DynLoss`.
///
/// There is no single implementation for `&L` and `Box<L>` with any loss `L`: a crate that depends on this one may
/// implement `PointwiseLoss` for a reference to or a box of its own type, which would then be a loss twice.
macro_rules! pointer {
    ($pointer:ty) => {
        impl Loss for $pointer {
            evaluate_by!(evaluate_dyn);

            fn meaning(&self) -> Meaning {
                (**self).call_meaning()
            }
        }
    };
}

pointer!(Box<dyn DynLoss + '_>);
pointer!(&(dyn DynLoss + '_));
pointer!(Arc<dyn DynLoss + '_>);

fn evaluate_shared<T: Scalar>(loss: &Arc<impl Loss>, call: Call<'_, T>) -> Result<Total, TargetError> {
    call.evaluate(&**loss)
}

impl<L: Loss> Loss for Arc<L> {
    evaluate_by!(evaluate_shared);

    fn meaning(&self) -> Meaning {
        (**self).meaning()
    }
}

#[cfg(test)]
mod tests {
    use downhill_tensor::Batch;

    use super::*;
    use crate::Target;
    use crate::testing::{Cases, evaluate};
    use crate::{MeanSquaredError, SoftmaxCrossEntropy};

    #[test]
    fn a_loss_chosen_at_run_time_gives_the_same() {
        for case in Cases::all() {
            let loss: &dyn DynLoss = &*case.loss;
            let shared: Arc<dyn DynLoss> = Arc::new(loss);
            let boxed: Box<dyn DynLoss> = Box::new(shared.clone());
            let of = |loss: &dyn DynLoss| format!("{:?}", evaluate::<f32>(&loss, case.batch(), &case.y, case.target()));
            assert_eq!(of(&boxed), of(loss));
            assert_eq!(of(&shared), of(loss));
            assert_eq!((boxed.meaning(), shared.meaning()), (loss.meaning(), loss.meaning()));
        }
    }

    #[test]
    fn masks_pass_through() {
        let y = Batch::new(&[0.0, f64::NAN], 1, [2]).unwrap();
        let boxed: Box<dyn DynLoss> = Box::new(Arc::new(MeanSquaredError::new()));
        let mut dy = [f64::NAN; 2];
        let total = boxed.evaluate_weighted(y, Target::Values(&[2.0, 0.0]), &[1.0, 0.0], Some(&mut dy)).unwrap();
        assert_eq!((total.value(), dy), (4.0, [-4.0, 0.0]));
    }

    #[test]
    fn errors_name_the_loss_itself() {
        let boxed: Box<dyn DynLoss> = Box::new(SoftmaxCrossEntropy::new());
        let y = Batch::new(&[0.0, 0.0], 1, [2]).unwrap();
        let error = boxed.evaluate_weighted(y, Target::Classes(&[1]), &[-1.0], None).unwrap_err();
        assert_eq!(error.to_string(), "SoftmaxCrossEntropy: weight 0 is -1, but weights must be finite and at least 0");
    }
}
