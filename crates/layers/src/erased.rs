//! The face behind which a network holds layers: dyn-compatible, with one method for each precision.

use std::any::Any;
use std::fmt::Debug;
use std::marker::PhantomData;

use downhill_tensor::{PerScalar, Scalar, Shape, ShapeError};

use crate::{Backward, Forward, Layer, ParamsMut, Signature};

/// Any layer, its type forgotten. Implemented for every [`Layer`]; nobody implements it by hand.
pub trait ErasedLayer: Debug + Send + Sync {
    /// See [`Layer::signature`]; [checked](Signature::check).
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, ShapeError>;
    /// See [`Layer::forward`].
    fn forward_f32(&self, pass: &mut Forward<'_, f32>);
    /// See [`Layer::forward`].
    fn forward_f64(&self, pass: &mut Forward<'_, f64>);
    /// See [`Layer::backward`].
    fn backward_f32(&self, pass: &mut Backward<'_, f32>);
    /// See [`Layer::backward`].
    fn backward_f64(&self, pass: &mut Backward<'_, f64>);
    /// See [`Layer::absorb`].
    fn absorb_f32(&self, saved: &[f32], examples: usize, statistics: &mut ParamsMut<'_, f32>);
    /// See [`Layer::absorb`].
    fn absorb_f64(&self, saved: &[f64], examples: usize, statistics: &mut ParamsMut<'_, f64>);
    /// The layer itself, to find its type again.
    fn as_any(&self) -> &dyn Any;
}

#[doc(hidden)]
impl<L: Layer + 'static> ErasedLayer for L {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, ShapeError> {
        let signature = Layer::signature(self, inputs)?;
        signature.check(inputs)?;
        Ok(signature)
    }

    fn forward_f32(&self, pass: &mut Forward<'_, f32>) {
        self.forward(pass);
    }

    fn forward_f64(&self, pass: &mut Forward<'_, f64>) {
        self.forward(pass);
    }

    fn backward_f32(&self, pass: &mut Backward<'_, f32>) {
        self.backward(pass);
    }

    fn backward_f64(&self, pass: &mut Backward<'_, f64>) {
        self.backward(pass);
    }

    fn absorb_f32(&self, saved: &[f32], examples: usize, statistics: &mut ParamsMut<'_, f32>) {
        self.absorb(saved, examples, statistics);
    }

    fn absorb_f64(&self, saved: &[f64], examples: usize, statistics: &mut ParamsMut<'_, f64>) {
        self.absorb(saved, examples, statistics);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl dyn ErasedLayer + '_ {
    /// See [`Layer::forward`].
    pub fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        T::pick(CallForward(self, PhantomData), pass);
    }

    /// See [`Layer::backward`].
    pub fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        T::pick(CallBackward(self, PhantomData), pass);
    }

    /// See [`Layer::absorb`].
    pub fn absorb<T: Scalar>(&self, saved: &[T], examples: usize, statistics: &mut ParamsMut<'_, T>) {
        T::pick(CallAbsorb(self, examples, PhantomData), (saved, statistics));
    }
}

struct CallForward<'l, 'p, 'b>(&'l dyn ErasedLayer, PhantomData<&'p mut &'b ()>);
struct CallBackward<'l, 'p, 'b>(&'l dyn ErasedLayer, PhantomData<&'p mut &'b ()>);
struct CallAbsorb<'l, 'p, 'b>(&'l dyn ErasedLayer, usize, PhantomData<&'p mut &'b ()>);

impl<'p, 'b: 'p> PerScalar for CallForward<'_, 'p, 'b> {
    type With<T: Scalar> = &'p mut Forward<'b, T>;
    type Output = ();

    fn f32(self, pass: &'p mut Forward<'b, f32>) {
        self.0.forward_f32(pass);
    }

    fn f64(self, pass: &'p mut Forward<'b, f64>) {
        self.0.forward_f64(pass);
    }
}

impl<'p, 'b: 'p> PerScalar for CallBackward<'_, 'p, 'b> {
    type With<T: Scalar> = &'p mut Backward<'b, T>;
    type Output = ();

    fn f32(self, pass: &'p mut Backward<'b, f32>) {
        self.0.backward_f32(pass);
    }

    fn f64(self, pass: &'p mut Backward<'b, f64>) {
        self.0.backward_f64(pass);
    }
}

impl<'p, 'b: 'p> PerScalar for CallAbsorb<'_, 'p, 'b> {
    type With<T: Scalar> = (&'p [T], &'p mut ParamsMut<'b, T>);
    type Output = ();

    fn f32(self, (saved, statistics): Self::With<f32>) {
        self.0.absorb_f32(saved, self.1, statistics);
    }

    fn f64(self, (saved, statistics): Self::With<f64>) {
        self.0.absorb_f64(saved, self.1, statistics);
    }
}
