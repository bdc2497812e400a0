use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;
use std::ops::{AddAssign, DivAssign, MulAssign, Neg, SubAssign};

use ndarray::{LinalgScalar, ScalarOperand};

use crate::math;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`: the numbers that everything is computed in.
///
/// The functions `exp`, `tanh`, ... are branch-free and inline, so that a loop over them is vectorised
/// (see [`vectorized`](crate::vectorized)); their accuracy stands in [`math`](crate::math).
pub trait Scalar:
    sealed::Sealed
    + LinalgScalar
    + ScalarOperand
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + PartialOrd
    + Default
    + Debug
    + Display
    + LowerExp
    + Send
    + Sync
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The distance from 1 to the next larger number.
    const EPSILON: Self;
    /// The largest finite number.
    const MAX: Self;
    /// The smallest positive number that is not subnormal.
    const MIN_POSITIVE: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;

    /// The nearest number to `x`.
    fn from_f64(x: f64) -> Self;
    /// Converts to `f64`, exactly.
    fn to_f64(self) -> f64;

    /// |x|.
    fn abs(self) -> Self;
    /// √x, correctly rounded.
    fn sqrt(self) -> Self;
    /// The larger of the two; not a number if `self` is not.
    fn max(self, other: Self) -> Self;
    /// The smaller of the two; not a number if `self` is not.
    fn min(self, other: Self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// The number itself, or 0 if it is subnormal, nearer to 0 than any normal number: many processors take several
    /// times as long for sums and products of such numbers.
    #[inline(always)]
    fn flush_subnormal(self) -> Self {
        if self.abs() < Self::MIN_POSITIVE { Self::ZERO } else { self }
    }
    /// Whether this is neither infinite nor not-a-number.
    fn is_finite(self) -> bool;
    /// Whether this is not a number.
    fn is_nan(self) -> bool;

    /// eˣ.
    fn exp(self) -> Self;
    /// eˣ − 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// ln x.
    fn ln(self) -> Self;
    /// ln(1 + x), accurate near 0.
    fn ln_1p(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// 1 / (1 + e⁻ˣ), without overflow.
    fn sigmoid(self) -> Self;
    /// ln(1 + eˣ), without overflow.
    fn softplus(self) -> Self;
    /// The error function 2/√π ∫₀ˣ exp(−t²) dt.
    fn erf(self) -> Self;
    /// The sine.
    fn sin(self) -> Self;
    /// The cosine.
    fn cos(self) -> Self;

    /// Calls the method of `per` that belongs to this scalar.
    #[doc(hidden)]
    fn pick<P: PerScalar>(per: P, argument: P::With<Self>) -> P::Output;

    /// Chooses the one of two, for `f32` and for `f64`, that belongs to this scalar.
    #[doc(hidden)]
    fn choose<F: Family>(pair: (F::Of<f32>, F::Of<f64>)) -> F::Of<Self>;
}

/// One call for each precision: how code behind a dyn-compatible face gets back to a generic scalar.
#[doc(hidden)]
pub trait PerScalar {
    /// The call's argument.
    type With<T: Scalar>;
    /// The call's result.
    type Output;
    /// The call for `f32`.
    fn f32(self, argument: Self::With<f32>) -> Self::Output;
    /// The call for `f64`.
    fn f64(self, argument: Self::With<f64>) -> Self::Output;
}

/// A type for each precision.
#[doc(hidden)]
pub trait Family {
    /// The type.
    type Of<T: Scalar>;
}

/// Compiles generic functions where they are written, once for each precision.
///
/// Generic code is compiled by the program that names the precision: if that is not optimised, as in development builds,
/// its loops take a hundred times as long. So a development build calls a copy that was compiled, and optimised, with
/// this crate. A release build compiles the precisions and functions that are used, and may inline them.
#[doc(hidden)]
#[macro_export]
macro_rules! compiled {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident<$T:ident: Scalar>($($argument:ident: $Type:ty),* $(,)?) $(-> $Output:ty)? $body:block
    )*) => {$(
        $(#[$attribute])*
        $visibility fn $name<$T: $crate::Scalar>($($argument: $Type),*) $(-> $Output)? {
            #[inline(always)]
            fn generic<$T: $crate::Scalar>($($argument: $Type),*) $(-> $Output)? $body

            #[cfg(debug_assertions)]
            {
                struct Functions;
                impl $crate::Family for Functions {
                    type Of<$T: $crate::Scalar> = fn($($Type),*) $(-> $Output)?;
                }
                let f32 = {
                    type $T = f32;
                    #[inline(never)]
                    fn copy($($argument: $Type),*) $(-> $Output)? {
                        generic($($argument),*)
                    }
                    copy
                };
                let f64 = {
                    type $T = f64;
                    #[inline(never)]
                    fn copy($($argument: $Type),*) $(-> $Output)? {
                        generic($($argument),*)
                    }
                    copy
                };
                $T::choose::<Functions>((f32, f64))($($argument),*)
            }
            #[cfg(not(debug_assertions))]
            generic($($argument),*)
        }
    )*};
}

/// Expands to its argument in a development build whose library is optimised, and to nothing in any other.
///
/// There a program that is not optimised would compile the library's generic code. In a release build it compiles what it
/// uses with its own optimisation, and at the lower levels crates share what they have compiled.
#[cfg(all(debug_assertions, unshared_generics))]
#[doc(hidden)]
#[macro_export]
macro_rules! in_optimized_development {
    ($($tokens:tt)*) => { $($tokens)* };
}

#[cfg(not(all(debug_assertions, unshared_generics)))]
#[doc(hidden)]
#[macro_export]
macro_rules! in_optimized_development {
    ($($tokens:tt)*) => {};
}

macro_rules! scalar {
    ($float:ident, $place:tt) => {
        impl Scalar for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: Self = $float::EPSILON;
            const MAX: Self = $float::MAX;
            const MIN_POSITIVE: Self = $float::MIN_POSITIVE;
            const INFINITY: Self = $float::INFINITY;
            const NAN: Self = $float::NAN;
            const NAME: &'static str = stringify!($float);

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $float
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn abs(self) -> Self {
                $float::abs(self)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }

            // A comparison and a choice is one vector instruction; `f64::max` is three.
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if other > self { other } else { self }
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if other < self { other } else { self }
            }

            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                $float::copysign(self, sign)
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                $float::is_finite(self)
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                $float::is_nan(self)
            }

            scalar!(@math $float: exp exp_m1 ln ln_1p tanh sigmoid softplus erf sin cos);

            #[inline(always)]
            fn pick<P: PerScalar>(per: P, argument: P::With<Self>) -> P::Output {
                per.$float(argument)
            }

            #[inline(always)]
            fn choose<F: Family>(pair: (F::Of<f32>, F::Of<f64>)) -> F::Of<Self> {
                pair.$place
            }
        }
    };
    (@math $float:ident: $($name:ident)*) => {
        $(
            #[inline(always)]
            fn $name(self) -> Self {
                math::$float::$name(self)
            }
        )*
    };
}

scalar!(f32, 0);
scalar!(f64, 1);
