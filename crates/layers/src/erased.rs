//! The face behind which a network holds layers: dyn-compatible, with one method for each precision.

use std::any::Any;
use std::fmt::Debug;
use std::marker::PhantomData;

use downhill_tensor::{BuildError, PerScalar, Scalar, Shape};

use crate::{Arrays, ArraysMut, Backward, Forward, Layer, Signature};

/// The passes of a layer as methods that are not generic, one for each precision.
///
/// Generic code is compiled by the program that names the precision, with that program's optimisation; these are
/// compiled with their own crate. `[self] [&self]` names the layer and its type as an argument; with a trait after it,
/// the methods call those of the trait.
macro_rules! passes {
    ($(#[$attribute:meta])* [$layer:ident] [$($receiver:tt)*]) => {
        passes!(@f32 forward_f32: forward, backward_f32: backward, absorb_f32: absorb,
            [$(#[$attribute])*] [$layer] [$($receiver)*] $crate::Layer);
        passes!(@f64 forward_f64: forward, backward_f64: backward, absorb_f64: absorb,
            [$(#[$attribute])*] [$layer] [$($receiver)*] $crate::Layer);
    };
    ($(#[$attribute:meta])* [$layer:ident] [$($receiver:tt)*] $to:ident) => {
        passes!(@f32 forward_f32: forward_f32, backward_f32: backward_f32, absorb_f32: absorb_f32,
            [$(#[$attribute])*] [$layer] [$($receiver)*] $to);
        passes!(@f64 forward_f64: forward_f64, backward_f64: backward_f64, absorb_f64: absorb_f64,
            [$(#[$attribute])*] [$layer] [$($receiver)*] $to);
    };
    (
        @$float:ident $forward:ident: $generic_forward:ident, $backward:ident: $generic_backward:ident,
        $absorb:ident: $generic_absorb:ident, [$($attribute:tt)*] [$layer:ident] [$($receiver:tt)*] $($to:tt)*
    ) => {
        $($attribute)*
        fn $forward($($receiver)*, pass: &mut $crate::Forward<'_, $float>)
        where
            Self: Sized,
        {
            $($to)*::$generic_forward($layer, pass);
        }

        $($attribute)*
        fn $backward($($receiver)*, pass: &mut $crate::Backward<'_, $float>)
        where
            Self: Sized,
        {
            $($to)*::$generic_backward($layer, pass);
        }

        $($attribute)*
        fn $absorb(
            $($receiver)*,
            saved: $crate::Arrays<'_, $float>,
            statistics: &mut $crate::ArraysMut<'_, $float>,
        ) where
            Self: Sized,
        {
            $($to)*::$generic_absorb($layer, saved, statistics);
        }
    };
}

/// Compiles the passes of this layer, activation or cell here: a program whose own code is not optimised runs them as
/// fast as this crate was built, and one that reads descriptions does not compile all layers anew.
///
/// Other builds of a program that names its layers compile those alone: compiling all of them takes longer than all
/// else that a small program needs.
macro_rules! compiled {
    () => {
        compiled!([self] [&self]);
    };
    ([$layer:ident] [$($receiver:tt)*]) => {
        passes! {
            #[cfg(feature = "serde")]
            #[inline(never)]
            #[doc(hidden)]
            [$layer] [$($receiver)*]
        }
        downhill_tensor::in_optimized_development! {
            passes! {
                #[cfg(not(feature = "serde"))]
                #[inline(never)]
                #[doc(hidden)]
                [$layer] [$($receiver)*]
            }
        }
    };
}

/// A layer of unknown type; implemented for every [`Layer`], and for no other type.
pub trait ErasedLayer: Debug + Send + Sync {
    /// See [`Layer::signature`]; [checked](Signature::check).
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError>;
    /// See [`Layer::forward`].
    fn forward_f32(&self, pass: &mut Forward<'_, f32>);
    /// See [`Layer::forward`].
    fn forward_f64(&self, pass: &mut Forward<'_, f64>);
    /// See [`Layer::backward`].
    fn backward_f32(&self, pass: &mut Backward<'_, f32>);
    /// See [`Layer::backward`].
    fn backward_f64(&self, pass: &mut Backward<'_, f64>);
    /// See [`Layer::absorb`].
    fn absorb_f32(&self, saved: Arrays<'_, f32>, statistics: &mut ArraysMut<'_, f32>);
    /// See [`Layer::absorb`].
    fn absorb_f64(&self, saved: Arrays<'_, f64>, statistics: &mut ArraysMut<'_, f64>);
    /// The layer itself, to find its type again.
    fn as_any(&self) -> &dyn Any
    where
        Self: 'static;
}

#[doc(hidden)]
impl<L: Layer> ErasedLayer for L {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let signature = Layer::signature(self, inputs)?;
        signature.check(inputs)?;
        Ok(signature)
    }

    passes! {
        [self] [&self] Layer
    }

    fn as_any(&self) -> &dyn Any
    where
        Self: 'static,
    {
        self
    }
}

impl dyn ErasedLayer + '_ {
    /// See [`Layer::forward`].
    pub fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        forward(self, pass);
    }

    /// See [`Layer::backward`].
    pub fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        backward(self, pass);
    }

    /// See [`Layer::absorb`].
    pub fn absorb<T: Scalar>(&self, saved: Arrays<'_, T>, statistics: &mut ArraysMut<'_, T>) {
        absorb(self, saved, statistics);
    }
}

/// [`Layer::forward`], as the layer's own crate has compiled it if it has.
pub(crate) fn forward<L: ErasedLayer + ?Sized, T: Scalar>(layer: &L, pass: &mut Forward<'_, T>) {
    T::pick(CallForward(layer, PhantomData), (pass,));
}

/// Calls [`Layer::backward`] as compiled with the crate.
pub(crate) fn backward<L: ErasedLayer + ?Sized, T: Scalar>(layer: &L, pass: &mut Backward<'_, T>) {
    T::pick(CallBackward(layer, PhantomData), (pass,));
}

/// Calls [`Layer::absorb`] as compiled with the crate.
pub(crate) fn absorb<L: ErasedLayer + ?Sized, T: Scalar>(
    layer: &L,
    saved: Arrays<'_, T>,
    statistics: &mut ArraysMut<'_, T>,
) {
    T::pick(CallAbsorb(layer, PhantomData), (saved, statistics));
}

/// Defines the choice of one of two methods by the precision, with the arguments that they take.
macro_rules! call {
    ($Call:ident: $f32:ident or $f64:ident, ($($argument:ident: $With:ty),+)) => {
        struct $Call<'l, 'p, 'b, L: ?Sized>(&'l L, PhantomData<&'p mut &'b ()>);

        impl<'p, 'b: 'p, L: ErasedLayer + ?Sized> PerScalar for $Call<'_, 'p, 'b, L> {
            type With<T: Scalar> = ($($With,)+);
            type Output = ();

            fn f32(self, ($($argument,)+): Self::With<f32>) {
                self.0.$f32($($argument),+);
            }

            fn f64(self, ($($argument,)+): Self::With<f64>) {
                self.0.$f64($($argument),+);
            }
        }
    };
}

call!(CallForward: forward_f32 or forward_f64, (pass: &'p mut Forward<'b, T>));
call!(CallBackward: backward_f32 or backward_f64, (pass: &'p mut Backward<'b, T>));
call!(CallAbsorb: absorb_f32 or absorb_f64, (saved: Arrays<'p, T>, statistics: &'p mut ArraysMut<'b, T>));
