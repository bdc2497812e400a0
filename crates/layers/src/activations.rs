//! The table of activations: each with its value, its slope, and the slope taken at a kink.

use downhill_tensor::{BuildError, Outputs, Scalar};

use crate::Activation;

/// Declares an activation from one row of the table: its settings if it has any, each with its default;
/// its value and its slope, in which a setting's name stands for it in the precision of x (a slope of `|_, y|` does not
/// read x); and which settings it fails with, beyond those that are not finite.
macro_rules! activation {
    ($(#[$doc:meta])* $Name:ident, $($row:tt)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $Name;

        activation!(@implement $Name {}, $($row)*);
    };
    ($(#[$doc:meta])* $Name:ident { $($(#[$about:meta])* $setting:ident: $default:literal),+ }, $($row:tt)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $Name {
            $($(#[$about])* #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))] $setting: f64),+
        }

        impl $Name {
            /// Sets all settings, in the order of the fields; [`Default`] has the usual ones.
            #[must_use]
            pub fn new($($setting: f64),+) -> Self {
                Self { $($setting),+ }
            }
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($setting: $default),+ }
            }
        }

        activation!(@implement $Name { $($setting),+ }, $($row)*);
    };
    (
        @implement $Name:ident { $($setting:ident),* }, |$x:pat_param| $value:expr,
        slope |$sx:tt, $sy:pat_param| $slope:expr
        $(, outputs: $outputs:ident)?
        $(, fails: $fails:expr, with $sentence:literal)?
    ) => {
        #[allow(unused_variables, reason = "a value and its slope need not both read every setting")]
        impl Activation for $Name {
            compiled!();

            fn name(&self) -> &'static str {
                stringify!($Name)
            }

            #[inline(always)]
            fn value<T: Scalar>(&self, $x: T) -> T {
                let &Self { $($setting),* } = self;
                $(let $setting = T::from_f64($setting);)*
                $value
            }

            #[inline(always)]
            fn slope<T: Scalar>(&self, $sx: T, $sy: T) -> T {
                let &Self { $($setting),* } = self;
                $(let $setting = T::from_f64($setting);)*
                $slope
            }

            fn slope_reads_x(&self) -> bool {
                stringify!($sx) != "_"
            }

            $(
                fn outputs(&self) -> Option<Outputs> {
                    Some(Outputs::$outputs)
                }
            )?

            fn check(&self) -> Result<(), BuildError> {
                let &Self { $($setting),* } = self;
                $(finite(stringify!($Name), stringify!($setting), $setting)?;)*
                $(
                    if $fails {
                        return refuse!(stringify!($Name), $sentence);
                    }
                )?
                Ok(())
            }
        }
    };
}

activation!(
    /// The identity: y = x, dy/dx = 1.
    ///
    /// Derivation: `docs/derivations/layers/identity.md`.
    Identity, |x| x, slope |_, _| T::ONE
);

activation!(
    /// The rectified linear unit: y = max(x, 0).
    ///
    /// dy/dx is 1 where x > 0 and 0 elsewhere, 0 at the kink too, as in PyTorch. Not-a-number goes through.
    ///
    /// Source: Nair and Hinton 2010.
    /// Derivation: `docs/derivations/layers/relu.md`.
    Relu, |x| if x < T::ZERO { T::ZERO } else { x },
    slope |_, y| if y > T::ZERO { T::ONE } else { T::ZERO }
);

activation!(
    /// The hyperbolic tangent: y = tanh x, dy/dx = 1 − y².
    ///
    /// Derivation: `docs/derivations/layers/tanh.md`.
    Tanh, |x| x.tanh(), slope |_, y| T::ONE - y * y
);

activation!(
    /// The logistic function: y = 1 / (1 + e⁻ˣ), dy/dx = y (1 − y).
    ///
    /// Derivation: `docs/derivations/layers/sigmoid.md`.
    Sigmoid, |x| x.sigmoid(), slope |_, y| y * (T::ONE - y), outputs: Probabilities
);

activation!(
    /// A smooth rectifier: y = ln(1 + e^(βx)) / β; β is 1 by default.
    ///
    /// dy/dx = 1 / (1 + e^(−βx)) = 1 − e^(−βy).
    ///
    /// Computed without overflow: large x gives x itself.
    ///
    /// Source: Dugas et al. 2001. PyTorch has a threshold of βx = 20 above which y is x; here the formula holds
    /// throughout.
    /// Derivation: `docs/derivations/layers/softplus.md`.
    Softplus {
        /// The sharpness of the bend, β.
        beta: 1.0
    },
    |x| (beta * x).softplus() / beta, slope |_, y| -(-beta * y).exp_m1(),
    fails: beta == 0.0, with "beta divides, and must not be {beta}"
);

activation!(
    /// The sigmoid-weighted linear unit, or swish: y = x σ(x).
    ///
    /// With s = σ(x), dy/dx = s (1 + x (1 − s)).
    ///
    /// Source: Elfwing et al. 2017 (arXiv 1702.03118).
    /// Derivation: `docs/derivations/layers/silu.md`.
    Silu, |x| {
        // At −∞ the product −∞ · 0 is no number, but its limit is 0.
        let y = x * x.sigmoid();
        if x < T::from_f64(FAR_LEFT) { T::ZERO } else { y }
    },
    slope |x, _| {
        let s = x.sigmoid();
        let bend = x * (T::ONE - s);
        if x < T::from_f64(FAR_LEFT) { T::ZERO } else { s * (T::ONE + bend) }
    }
);

/// Left of this, x σ(x) underflows to 0 in either precision.
const FAR_LEFT: f64 = -1e4;

activation!(
    /// The self-normalising exponential unit: y = λ x where x > 0, λ α (eˣ − 1) elsewhere.
    ///
    /// λ = 1.0507..., α = 1.6733...; dy/dx is λ where x > 0 and y + λ α elsewhere.
    ///
    /// Source: Klambauer et al. 2017 (arXiv 1706.02515).
    /// Derivation: `docs/derivations/layers/selu.md`.
    Selu, |x| if x > T::ZERO { T::from_f64(SELU_SCALE) * x } else { T::from_f64(SELU_SCALE * SELU_ALPHA) * x.exp_m1() },
    slope |_, y| if y > T::ZERO { T::from_f64(SELU_SCALE) } else { y + T::from_f64(SELU_SCALE * SELU_ALPHA) }
);

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

activation!(
    /// A rectifier that leaks: y = x where x > 0, αx elsewhere; α is 0.01 by default, as in PyTorch (Keras: 0.3).
    ///
    /// dy/dx is 1 where x > 0 and α elsewhere, at the kink too.
    ///
    /// Source: Maas et al. 2013.
    /// Derivation: `docs/derivations/layers/leaky-relu.md`.
    LeakyRelu {
        /// The slope α where x ≤ 0.
        negative_slope: 0.01
    },
    |x| if x > T::ZERO { x } else { negative_slope * x },
    slope |x, _| if x > T::ZERO { T::ONE } else { negative_slope }
);

activation!(
    /// The exponential linear unit: y = x where x > 0, α (eˣ − 1) elsewhere; α is 1 by default.
    ///
    /// dy/dx is 1 where x > 0 and α eˣ elsewhere (α at 0).
    ///
    /// Source: Clevert et al. 2015 (arXiv 1511.07289).
    /// Derivation: `docs/derivations/layers/elu.md`.
    Elu {
        /// The limit −α far to the left.
        alpha: 1.0
    },
    |x| if x > T::ZERO { x } else { alpha * x.exp_m1() },
    slope |x, _| if x > T::ZERO { T::ONE } else { alpha * x.exp() }
);

activation!(
    /// The exponential linear unit whose slope has no jump: y = x where x > 0, α (e^(x/α) − 1) elsewhere; α is 1 by
    /// default.
    ///
    /// dy/dx is 1 where x > 0 and e^(x/α) elsewhere, which is 1 at 0.
    ///
    /// Source: Barron 2017 (arXiv 1704.07483).
    /// Derivation: `docs/derivations/layers/celu.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Celu};
    /// let celu = Celu::new(2.0);
    /// assert_eq!([f64::NEG_INFINITY, 0.0, 3.0].map(|x| celu.value(x)), [-2.0, 0.0, 3.0]);
    /// ```
    Celu {
        /// The limit −α far to the left.
        alpha: 1.0
    },
    |x| if x > T::ZERO { x } else { alpha * (x / alpha).exp_m1() },
    slope |x, _| if x > T::ZERO { T::ONE } else { (x / alpha).exp() },
    fails: alpha == 0.0, with "alpha divides, and must not be {alpha}"
);

activation!(
    /// The rectified linear unit with a ceiling: y = min(max(x, 0), 6).
    ///
    /// dy/dx is 1 where 0 < x < 6 and 0 elsewhere, at both kinks too. Not-a-number goes through.
    ///
    /// Source: Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10".
    /// Derivation: `docs/derivations/layers/relu6.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Relu6};
    /// assert_eq!([-1.0, 3.0, 7.0].map(|x| Relu6.value(x)), [0.0, 3.0, 6.0]);
    /// ```
    Relu6, |x| x.max(T::ZERO).min(T::from_f64(6.0)),
    slope |_, y| if (y <= T::ZERO) | (y >= T::from_f64(6.0)) { T::ZERO } else { T::ONE }
);

activation!(
    /// The identity between two bounds: y = min(max(x, min), max); the bounds are −1 and 1 by default.
    ///
    /// dy/dx is 1 where min < x < max and 0 elsewhere, at both kinks too. Not-a-number goes through.
    ///
    /// Source: Collobert 2004, "Large scale machine learning".
    /// Derivation: `docs/derivations/layers/hardtanh.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Hardtanh};
    /// let clip = Hardtanh::new(0.0, 2.0);
    /// assert_eq!([-1.0, 1.5, 7.0].map(|x| clip.value(x)), [0.0, 1.5, 2.0]);
    /// ```
    Hardtanh {
        /// The smallest y.
        min: -1.0,
        /// The largest y.
        max: 1.0
    },
    |x| x.max(min).min(max),
    slope |_, y| if (y <= min) | (y >= max) { T::ZERO } else { T::ONE },
    fails: min > max, with "min may not lie above max, but they are {min} and {max}"
);

activation!(
    /// A logistic function of straight lines: y = min(max(x + 3, 0), 6) / 6.
    ///
    /// dy/dx is 1/6 where 0 < y < 1, that is −3 < x < 3, and 0 elsewhere, at both kinks too.
    ///
    /// This is PyTorch's form, and Keras's since its third version; ONNX has min(max(0.2 x + 0.5, 0), 1).
    ///
    /// Source: Howard et al. 2019 (arXiv 1905.02244).
    /// Derivation: `docs/derivations/layers/hardsigmoid.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Hardsigmoid};
    /// assert_eq!([-4.0, 0.0, 1.5, 4.0].map(|x| Hardsigmoid.value(x)), [0.0, 0.5, 0.75, 1.0]);
    /// ```
    Hardsigmoid, |x| (x + T::from_f64(3.0)).max(T::ZERO).min(T::from_f64(6.0)) / T::from_f64(6.0),
    slope |_, y| if (y > T::ZERO) & (y < T::ONE) { T::from_f64(1.0 / 6.0) } else { T::ZERO },
    outputs: Probabilities
);

activation!(
    /// A swish of straight lines: y = x min(max(x + 3, 0), 6) / 6.
    ///
    /// dy/dx is 0 where x ≤ −3, x/3 + 1/2 between, and 1 where x ≥ 3.
    ///
    /// Source: Howard et al. 2019 (arXiv 1905.02244).
    /// Derivation: `docs/derivations/layers/hardswish.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Hardswish};
    /// assert_eq!([-4.0, 0.0, 1.0, 4.0].map(|x| Hardswish.value(6.0 * x)), [0.0, 0.0, 6.0, 24.0]);
    /// ```
    Hardswish, |x| {
        // At −∞ the product −∞ · 0 is no number, but its limit is 0.
        let gate = (x + T::from_f64(3.0)).max(T::ZERO).min(T::from_f64(6.0));
        if gate == T::ZERO { T::ZERO } else { x * (gate / T::from_f64(6.0)) }
    },
    slope |x, _| {
        let between = if x < T::from_f64(3.0) { x / T::from_f64(3.0) + T::from_f64(0.5) } else { T::ONE };
        if x <= T::from_f64(-3.0) { T::ZERO } else { between }
    }
);

activation!(
    /// Sets small numbers to zero: y = 0 where −λ ≤ x ≤ λ, x elsewhere; λ is 0.5 by default.
    ///
    /// dy/dx is 0 where −λ ≤ x ≤ λ and 1 elsewhere.
    ///
    /// Source: Donoho and Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage".
    /// Derivation: `docs/derivations/layers/hardshrink.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Hardshrink};
    /// let shrink = Hardshrink::default();
    /// assert_eq!([-2.0, 0.5, 0.75].map(|x| shrink.value(x)), [-2.0, 0.0, 0.75]);
    /// ```
    Hardshrink {
        /// The largest magnitude λ that becomes zero.
        lambda: 0.5
    },
    |x| if (x >= -lambda) & (x <= lambda) { T::ZERO } else { x },
    slope |_, y| if y == T::ZERO { T::ZERO } else { T::ONE },
    fails: lambda < 0.0, with "lambda may not be negative, but is {lambda}"
);

activation!(
    /// Draws numbers towards zero: y = x − λ where x > λ, x + λ where x < −λ, 0 between; λ is 0.5 by default.
    ///
    /// dy/dx is 0 where −λ ≤ x ≤ λ and 1 elsewhere.
    ///
    /// Source: Donoho 1995, "De-noising by soft-thresholding".
    /// Derivation: `docs/derivations/layers/softshrink.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Softshrink};
    /// let shrink = Softshrink::default();
    /// assert_eq!([-2.0, 0.5, 0.75].map(|x| shrink.value(x)), [-1.5, 0.0, 0.25]);
    /// ```
    Softshrink {
        /// The distance λ by which numbers are drawn.
        lambda: 0.5
    },
    |x| x - x.max(-lambda).min(lambda),
    slope |_, y| if y == T::ZERO { T::ZERO } else { T::ONE },
    fails: lambda < 0.0, with "lambda may not be negative, but is {lambda}"
);

activation!(
    /// The difference to the hyperbolic tangent: y = x − tanh x, dy/dx = tanh² x.
    ///
    /// Derivation: `docs/derivations/layers/tanhshrink.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Tanhshrink};
    /// assert_eq!([0.0, 100.0].map(|x| Tanhshrink.value(x)), [0.0, 99.0]);
    /// ```
    Tanhshrink, |x| x - x.tanh(),
    slope |x, _| {
        let t = x.tanh();
        t * t
    }
);

activation!(
    /// Sets what is not above a threshold to a value: y = x where x > threshold, value elsewhere.
    ///
    /// dy/dx is 1 where x > threshold and 0 elsewhere, at the jump too. Not-a-number goes through.
    ///
    /// Both settings are 0 by default, which is [`Relu`]; PyTorch has no default.
    ///
    /// Derivation: `docs/derivations/layers/threshold.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Threshold};
    /// let threshold = Threshold::new(1.0, -9.0);
    /// assert_eq!([0.0, 1.0, 2.0].map(|x| threshold.value(x)), [-9.0, -9.0, 2.0]);
    /// ```
    Threshold {
        /// The number that x must exceed to stay.
        threshold: 0.0,
        /// The value that replaces the others.
        value: 0.0
    },
    |x| if x <= threshold { value } else { x },
    slope |x, _| if x <= threshold { T::ZERO } else { T::ONE }
);

activation!(
    /// A sigmoid without exponentials: y = x / (1 + |x|), dy/dx = 1 / (1 + |x|)².
    ///
    /// At ±∞ it is ±1, its limit, where PyTorch gives not-a-number.
    ///
    /// Source: Turian, Bergstra and Bengio 2009, "Quadratic features and deep architectures for chunking".
    /// Derivation: `docs/derivations/layers/softsign.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Softsign};
    /// assert_eq!([-1.0, 0.0, 3.0].map(|x| Softsign.value(x)), [-0.5, 0.0, 0.75]);
    /// ```
    Softsign, |x| {
        let y = x / (T::ONE + x.abs());
        if x.abs() > T::MAX { T::ONE.copysign(x) } else { y }
    },
    slope |x, _| {
        let root = T::ONE / (T::ONE + x.abs());
        root * root
    }
);

activation!(
    /// The logarithm of the logistic function: y = −ln(1 + e⁻ˣ), dy/dx = 1 / (1 + eˣ) = 1 − eʸ.
    ///
    /// Computed without overflow: far to the left y is x itself.
    ///
    /// Derivation: `docs/derivations/layers/log-sigmoid.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, LogSigmoid};
    /// assert_eq!([-1e3, 1e3].map(|x| LogSigmoid.value(x)), [-1e3, 0.0]);
    /// ```
    LogSigmoid, |x| -(-x).softplus(), slope |_, y| -y.exp_m1(), outputs: LogProbabilities
);

activation!(
    /// A smooth and self-gated unit: y = x tanh(ln(1 + eˣ)).
    ///
    /// With n = eˣ (eˣ + 2), y = x n / (n + 2) and dy/dx = (n + 4 x eˣ (eˣ + 1) / (n + 2)) / (n + 2).
    ///
    /// Source: Misra 2019 (arXiv 1908.08681).
    /// Derivation: `docs/derivations/layers/mish.md`.
    ///
    /// ```
    /// use downhill_layers::{Activation, Mish};
    /// assert_eq!([0.0, 50.0].map(|x| Mish.value(x)), [0.0, 50.0]);
    /// ```
    Mish, |x| {
        let e = x.min(T::from_f64(FAR_RIGHT)).exp();
        let n = e * (e + T::from_f64(2.0));
        // At −∞ the product −∞ · 0 is no number, but its limit is 0.
        x.max(T::from_f64(FAR_LEFT)) * (n / (n + T::from_f64(2.0)))
    },
    slope |x, _| {
        let x = x.max(T::from_f64(FAR_LEFT)).min(T::from_f64(FAR_RIGHT));
        let e = x.exp();
        let n = e * (e + T::from_f64(2.0));
        let bend = T::from_f64(4.0) * x * e * (e + T::ONE) / (n + T::from_f64(2.0));
        (n + bend) / (n + T::from_f64(2.0))
    }
);

/// Right of this, tanh(ln(1 + eˣ)) is 1 in either precision.
const FAR_RIGHT: f64 = 20.0;

/// The Gaussian error linear unit: y = x Φ(x), with Φ the normal distribution's cumulative function.
///
/// [`Gelu::new()`], the default as in PyTorch, takes Φ exactly: Φ(x) = (1 + erf(x/√2)) / 2, and
/// dy/dx = Φ(x) + x φ(x) with φ(x) = exp(−x²/2) / √(2π).
/// [`Gelu::tanh()`] takes Φ(x) ≈ (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³), and
/// dy/dx = (1 + t)/2 + x (1 − t²) u'/2 with t = tanh u.
///
/// Source: Hendrycks and Gimpel 2016 (arXiv 1606.08415).
/// Derivation: `docs/derivations/layers/gelu.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gelu {
    approximation: Approximation,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Approximation {
    #[default]
    Erf,
    Tanh,
}

impl Gelu {
    /// Computes Φ with the error function.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Approximates Φ with the hyperbolic tangent.
    #[must_use]
    pub fn tanh() -> Self {
        Self { approximation: Approximation::Tanh }
    }
}

const SQRT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// 1/√(2π)
const NORMAL_PEAK: f64 = 0.398_942_280_401_432_7;
/// √(2/π)
const GELU_INNER: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044_715;

impl Activation for Gelu {
    compiled!();

    fn name(&self) -> &'static str {
        "Gelu"
    }

    #[inline(always)]
    fn value<T: Scalar>(&self, x: T) -> T {
        let half = T::from_f64(0.5);
        match self.approximation {
            Approximation::Erf => x * (half * (T::ONE + (T::from_f64(SQRT_HALF) * x).erf())),
            Approximation::Tanh => {
                let u = T::from_f64(GELU_INNER) * (x + T::from_f64(GELU_CUBE) * x * x * x);
                x * (half * (T::ONE + u.tanh()))
            }
        }
    }

    #[inline(always)]
    fn slope<T: Scalar>(&self, x: T, y: T) -> T {
        let half = T::from_f64(0.5);
        // Φ(x) = y/x, without the function that it took; next to 0 it is ½ to the last place.
        let cumulative = if x.abs() > T::EPSILON { y / x } else { half };
        match self.approximation {
            // Φ + x φ
            Approximation::Erf => cumulative + x * (T::from_f64(NORMAL_PEAK) * (-half * x * x).exp()),
            // Φ + 2x Φ (1 − Φ) u', for t = 2Φ − 1
            Approximation::Tanh => {
                // Where the square overflows, Φ (1 − Φ) is 0: but not times infinity.
                let inner = (T::from_f64(GELU_INNER) * (T::ONE + T::from_f64(3.0 * GELU_CUBE) * x * x)).min(T::MAX);
                cumulative + (x + x) * cumulative * (T::ONE - cumulative) * inner
            }
        }
    }
}

fn finite(layer: &'static str, setting: &str, value: f64) -> Result<(), BuildError> {
    if value.is_finite() {
        return Ok(());
    }
    refuse!(layer, "{setting} must be a finite number, but is {value}")
}
