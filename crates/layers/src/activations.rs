//! The table of activations: each with its value, its slope, and the slope taken at a kink.

use downhill_tensor::{Scalar, ShapeError};

use crate::Activation;

/// Declares an activation without settings from one row of the table.
macro_rules! activation {
    ($(#[$doc:meta])* $Name:ident, |$x:pat_param| $value:expr, slope |$sx:pat_param, $sy:pat_param| $slope:expr, reads x: $reads:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $Name;

        impl Activation for $Name {
            fn name(&self) -> &'static str {
                stringify!($Name)
            }

            #[inline(always)]
            fn value<T: Scalar>(&self, $x: T) -> T {
                $value
            }

            #[inline(always)]
            fn slope<T: Scalar>(&self, $sx: T, $sy: T) -> T {
                $slope
            }

            fn slope_reads_x(&self) -> bool {
                $reads
            }
        }
    };
}

activation!(
    /// The identity: y = x, dy/dx = 1.
    Identity, |x| x, slope |_, _| T::ONE, reads x: false
);

activation!(
    /// The rectified linear unit: y = max(x, 0).
    ///
    /// dy/dx is 1 where x > 0 and 0 elsewhere, 0 at the kink too, as in PyTorch. Not-a-number goes through.
    ///
    /// Source: Nair and Hinton 2010.
    Relu, |x| if x < T::ZERO { T::ZERO } else { x },
    slope |_, y| if y > T::ZERO { T::ONE } else { T::ZERO }, reads x: false
);

activation!(
    /// The hyperbolic tangent: y = tanh x, dy/dx = 1 − y².
    Tanh, |x| x.tanh(), slope |_, y| T::ONE - y * y, reads x: false
);

activation!(
    /// The logistic function: y = 1 / (1 + e⁻ˣ), dy/dx = y (1 − y).
    Sigmoid, |x| x.sigmoid(), slope |_, y| y * (T::ONE - y), reads x: false
);

activation!(
    /// y = ln(1 + eˣ), dy/dx = 1 / (1 + e⁻ˣ).
    ///
    /// Computed without overflow: large x gives x itself.
    ///
    /// Source: Dugas et al. 2001. PyTorch has a threshold of 20 above which y is x; here the formula holds throughout.
    Softplus, |x| x.softplus(), slope |x, _| x.sigmoid(), reads x: true
);

activation!(
    /// The sigmoid-weighted linear unit, or swish: y = x σ(x).
    ///
    /// With s = σ(x), dy/dx = s (1 + x (1 − s)).
    ///
    /// Source: Elfwing et al. 2017 (arXiv 1702.03118).
    Silu, |x| {
        // At −∞ the product −∞ · 0 is no number, but its limit is 0.
        let y = x * x.sigmoid();
        if x < T::of(FAR_LEFT) { T::ZERO } else { y }
    },
    slope |x, _| {
        let s = x.sigmoid();
        let bend = x * (T::ONE - s);
        if x < T::of(FAR_LEFT) { T::ZERO } else { s * (T::ONE + bend) }
    }, reads x: true
);

/// Left of this, x σ(x) underflows to 0 in either precision.
const FAR_LEFT: f64 = -1e4;

activation!(
    /// The self-normalising exponential unit: y = λ x where x > 0, λ α (eˣ − 1) elsewhere.
    ///
    /// λ = 1.0507..., α = 1.6733...; dy/dx is λ where x > 0 and y + λ α elsewhere.
    ///
    /// Source: Klambauer et al. 2017 (arXiv 1706.02515).
    Selu, |x| if x > T::ZERO { T::of(SELU_SCALE) * x } else { T::of(SELU_SCALE * SELU_ALPHA) * x.exp_m1() },
    slope |_, y| if y > T::ZERO { T::of(SELU_SCALE) } else { y + T::of(SELU_SCALE * SELU_ALPHA) }, reads x: false
);

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// A rectifier that leaks: y = x where x > 0, αx elsewhere; α is 0.01 by default, as in PyTorch (Keras: 0.3).
///
/// dy/dx is 1 where x > 0 and α elsewhere, at the kink too.
///
/// Source: Maas et al. 2013.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeakyRelu {
    /// The slope α where x ≤ 0.
    pub negative_slope: f64,
}

impl Default for LeakyRelu {
    fn default() -> Self {
        Self { negative_slope: 0.01 }
    }
}

impl Activation for LeakyRelu {
    fn name(&self) -> &'static str {
        "LeakyRelu"
    }

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        if x > T::ZERO { x } else { T::of(self.negative_slope) * x }
    }

    #[inline(always)]
    fn slope<T: Scalar>(&self, x: T, _y: T) -> T {
        if x > T::ZERO { T::ONE } else { T::of(self.negative_slope) }
    }

    fn check(&self) -> Result<(), ShapeError> {
        finite("LeakyRelu", "slope", self.negative_slope)
    }
}

/// The exponential linear unit: y = x where x > 0, α (eˣ − 1) elsewhere; α is 1 by default.
///
/// dy/dx is 1 where x > 0 and α eˣ elsewhere (α at 0).
///
/// Source: Clevert et al. 2015 (arXiv 1511.07289).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Elu {
    /// The limit −α far to the left.
    pub alpha: f64,
}

impl Default for Elu {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

impl Activation for Elu {
    fn name(&self) -> &'static str {
        "Elu"
    }

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        if x > T::ZERO { x } else { T::of(self.alpha) * x.exp_m1() }
    }

    #[inline(always)]
    fn slope<T: Scalar>(&self, x: T, _y: T) -> T {
        if x > T::ZERO { T::ONE } else { T::of(self.alpha) * x.exp() }
    }

    fn check(&self) -> Result<(), ShapeError> {
        finite("Elu", "alpha", self.alpha)
    }
}

/// The Gaussian error linear unit: y = x Φ(x), with Φ the normal distribution's cumulative function.
///
/// [`Gelu::Erf`], the default as in PyTorch, takes Φ exactly: Φ(x) = (1 + erf(x/√2)) / 2, and
/// dy/dx = Φ(x) + x φ(x) with φ(x) = exp(−x²/2) / √(2π).
/// [`Gelu::Tanh`] takes Φ(x) ≈ (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³), and
/// dy/dx = (1 + t)/2 + x (1 − t²) u'/2 with t = tanh u.
///
/// Source: Hendrycks and Gimpel 2016 (arXiv 1606.08415).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "approximation"))]
pub enum Gelu {
    /// With the error function.
    #[default]
    Erf,
    /// With the hyperbolic tangent.
    Tanh,
}

const SQRT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// 1/√(2π)
const NORMAL_PEAK: f64 = 0.398_942_280_401_432_7;
/// √(2/π)
const GELU_INNER: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044_715;

impl Activation for Gelu {
    fn name(&self) -> &'static str {
        "Gelu"
    }

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        let half = T::of(0.5);
        match self {
            Self::Erf => x * (half * (T::ONE + (T::of(SQRT_HALF) * x).erf())),
            Self::Tanh => {
                let u = T::of(GELU_INNER) * (x + T::of(GELU_CUBE) * x * x * x);
                x * (half * (T::ONE + u.tanh()))
            }
        }
    }

    #[inline(always)]
    fn slope<T: Scalar>(&self, x: T, _y: T) -> T {
        let half = T::of(0.5);
        match self {
            Self::Erf => {
                let cumulative = half * (T::ONE + (T::of(SQRT_HALF) * x).erf());
                let density = T::of(NORMAL_PEAK) * (-half * x * x).exp();
                cumulative + x * density
            }
            Self::Tanh => {
                let square = x * x;
                let t = (T::of(GELU_INNER) * (x + T::of(GELU_CUBE) * square * x)).tanh();
                let inner = T::of(GELU_INNER) * (T::ONE + T::of(3.0 * GELU_CUBE) * square);
                half * (T::ONE + t) + half * x * (T::ONE - t * t) * inner
            }
        }
    }
}

fn finite(layer: &'static str, setting: &str, value: f64) -> Result<(), ShapeError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(ShapeError::Setting { by: layer, reason: format!("the {setting} must be a finite number, but is {value}") })
}
