use rand_distr::{Distribution, Normal, Uniform};

use crate::reduce::{self, lanes};
use crate::{BuildError, Divisible, Kernel, Scalar, Shape, Stream, parallel, vectorized};

/// The distribution that a parameter's first numbers are drawn from.
///
/// All are drawn as `f64` and then rounded, so that an `f32` and an `f64` network start at the same point.
/// A `fan` of 0 counts as 1.
///
/// ```
/// use downhill_tensor::{Fans, Gain, Init, Seed, Shape};
/// let shape = Shape::from([256, 784]);
/// let fans = Fans { fan_in: 784, fan_out: 256 };
/// let init = Init::KaimingNormal { gain: Gain::Relu };
/// init.check()?;
/// let mut weight = vec![0.0f32; shape.len()];
/// init.fill(&mut weight, shape, fans, &mut Seed(1).stream(0));
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Init {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// One number everywhere.
    Constant(f64),
    /// U(low, high).
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end; may equal the lower.
        high: f64,
    },
    /// N(mean, std²).
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation; may be 0.
        std: f64,
    },
    /// U(±gain·√(3/fan_in)): PyTorch's `kaiming_uniform_`; Keras's `he_uniform` with the gain of ReLU.
    ///
    /// He, Zhang, Ren and Sun 2015.
    KaimingUniform {
        /// The gain of the non-linearity that follows.
        gain: Gain,
    },
    /// N(0, gain²/fan_in): PyTorch's `kaiming_normal_`.
    ///
    /// He, Zhang, Ren and Sun 2015. Keras's `he_normal` cuts the tails off at two deviations; this doesn't.
    KaimingNormal {
        /// The gain of the non-linearity that follows.
        gain: Gain,
    },
    /// U(±gain·√(6/(fan_in + fan_out))): PyTorch's `xavier_uniform_`; Keras's default, with a linear gain.
    ///
    /// Glorot and Bengio 2010.
    XavierUniform {
        /// The gain of the non-linearity that follows.
        gain: Gain,
    },
    /// N(0, 2·gain²/(fan_in + fan_out)): PyTorch's `xavier_normal_`.
    ///
    /// Glorot and Bengio 2010. Keras's `glorot_normal` cuts the tails off at two deviations; this doesn't.
    XavierNormal {
        /// The gain of the non-linearity that follows.
        gain: Gain,
    },
    /// U(±√(3/fan_in)): Keras's `lecun_uniform`.
    ///
    /// LeCun, Bottou, Orr and Müller 1998.
    LecunUniform,
    /// N(0, 1/fan_in), the start that networks of SELU need.
    ///
    /// LeCun, Bottou, Orr and Müller 1998. Keras's `lecun_normal` cuts the tails off at two deviations; this doesn't.
    LecunNormal,
    /// U(±1/√fan_in): PyTorch's default for weights and biases of linear and convolution layers,
    /// which it writes as Kaiming uniform with a leaky slope of √5.
    FanInUniform,
    /// gain·Q with orthonormal rows or columns, whichever are fewer: PyTorch's `orthogonal_`.
    ///
    /// Axes after the first are seen as one; a vector becomes one of length `gain`.
    /// Saxe, McClelland and Ganguli 2014.
    Orthogonal {
        /// The factor.
        gain: Gain,
    },
}

/// By how much weights must grow to make up for what a non-linearity takes from the deviation of its input.
///
/// The values are PyTorch's (`calculate_gain`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Gain {
    /// 1: none, or a sigmoid.
    #[default]
    Linear,
    /// √2.
    Relu,
    /// √(2/(1 + slope²)), for the slope of the negative side.
    LeakyRelu(f64),
    /// 5/3.
    Tanh,
    /// 3/4. For networks that normalise themselves take [`Init::LecunNormal`] instead.
    Selu,
    /// Any other.
    Custom(f64),
}

/// The number of inputs that meet in one output, and the number of outputs that one input goes to.
///
/// They follow from what a layer does, not from the axes of its weight: a convolution's are channels times kernel size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fans {
    /// Inputs for each output.
    pub fan_in: usize,
    /// Outputs for each input.
    pub fan_out: usize,
}

impl Gain {
    /// The factor.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Linear => 1.0,
            Self::Relu => 2f64.sqrt(),
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Tanh => 5.0 / 3.0,
            Self::Selu => 0.75,
            Self::Custom(gain) => gain,
        }
    }
}

impl Init {
    /// Checks that the settings are valid.
    ///
    /// # Errors
    /// Returns [`BuildError::Setting`] if a number is not finite, an interval is empty or a deviation negative.
    pub fn check(&self) -> Result<(), BuildError> {
        let fail = |by, reason| Err(BuildError::Setting { by, reason });
        match *self {
            Self::Constant(value) if !value.is_finite() => {
                fail("Init::Constant", format!("{value} is not finite; training can't start from it"))
            }
            Self::Uniform { low, high } if !(low <= high && (high - low).is_finite()) => fail(
                "Init::Uniform",
                format!("from {low} to {high} is no finite interval; `low` must not lie above `high`"),
            ),
            Self::Normal { mean, std } if !(mean.is_finite() && std.is_finite() && std >= 0.0) => fail(
                "Init::Normal",
                format!("the mean {mean} and the deviation {std} must be finite, and the deviation not negative"),
            ),
            Self::KaimingUniform { gain }
            | Self::KaimingNormal { gain }
            | Self::XavierUniform { gain }
            | Self::XavierNormal { gain }
            | Self::Orthogonal { gain }
                if !gain.value().is_finite() || gain.value() < 0.0 =>
            {
                fail("Init", format!("the gain {gain:?} is {}, but must be finite and not negative", gain.value()))
            }
            _ => Ok(()),
        }
    }

    /// Overwrites `data`, a parameter of this `shape`, with numbers drawn from `stream`.
    ///
    /// A setting that [`check`](Self::check) refuses gives NaN.
    ///
    /// # Panics
    /// If `data` does not hold `shape.len()` numbers.
    pub fn fill<T: Scalar>(&self, data: &mut [T], shape: Shape, fans: Fans, stream: &mut Stream) {
        assert_eq!(data.len(), shape.len(), "the parameter should have the shape {shape}");
        let (fan_in, fan_out) = (fans.fan_in.max(1) as f64, fans.fan_out.max(1) as f64);
        if self.check().is_err() {
            return data.fill(T::NAN);
        }
        match *self {
            Self::Zeros => data.fill(T::ZERO),
            Self::Ones => data.fill(T::ONE),
            Self::Constant(value) => data.fill(T::from_f64(value)),
            Self::Uniform { low, high } => draw(data, Uniform::new_inclusive(low, high), stream),
            Self::Normal { mean, std } => draw(data, Normal::new(mean, std), stream),
            Self::KaimingUniform { gain } => uniform(data, gain.value() * (3.0 / fan_in).sqrt(), stream),
            Self::KaimingNormal { gain } => normal(data, gain.value() / fan_in.sqrt(), stream),
            Self::XavierUniform { gain } => uniform(data, gain.value() * (6.0 / (fan_in + fan_out)).sqrt(), stream),
            Self::XavierNormal { gain } => normal(data, gain.value() * (2.0 / (fan_in + fan_out)).sqrt(), stream),
            Self::LecunUniform => uniform(data, (3.0 / fan_in).sqrt(), stream),
            Self::LecunNormal => normal(data, 1.0 / fan_in.sqrt(), stream),
            Self::FanInUniform => uniform(data, 1.0 / fan_in.sqrt(), stream),
            Self::Orthogonal { gain } => orthogonal(data, shape, gain.value(), stream),
        }
    }
}

/// U(±bound).
fn uniform<T: Scalar>(data: &mut [T], bound: f64, stream: &mut Stream) {
    draw(data, Uniform::new_inclusive(-bound, bound), stream);
}

/// N(0, std²).
fn normal<T: Scalar>(data: &mut [T], std: f64, stream: &mut Stream) {
    draw(data, Normal::new(0.0, std), stream);
}

fn draw<T: Scalar, E>(data: &mut [T], distribution: Result<impl Distribution<f64>, E>, stream: &mut Stream) {
    match distribution {
        Ok(distribution) => data.iter_mut().for_each(|x| *x = T::from_f64(distribution.sample(stream))),
        Err(_) => data.fill(T::NAN),
    }
}

/// The Q of a matrix of normal numbers, by Householder's mirrors, with the signs that make the diagonal of R
/// positive: then Q is spread evenly over all orthogonal matrices (Mezzadri 2007).
fn orthogonal<T: Scalar>(data: &mut [T], shape: Shape, gain: f64, stream: &mut Stream) {
    /// The number of mirrors that are applied at a time, while they are in L1.
    const PANEL: usize = 16;
    /// Below this many numbers a thread, a fork costs more than it saves.
    const GRAIN: usize = 4 * 1024;

    if data.is_empty() {
        return;
    }
    let rows = shape.axes().first().copied().unwrap_or(1);
    let columns = data.len() / rows;
    let (long, short) = (rows.max(columns), rows.min(columns));
    let mut numbers = vec![0.0; data.len()];
    normal(&mut numbers, 1.0, stream);
    // `short` vectors of `long` numbers: the rows of a wide matrix, the columns of a tall one.
    let place = |vector: usize, i: usize| if rows < columns { vector * long + i } else { i * short + vector };
    let mut vectors = vec![0.0; data.len()];
    for (index, x) in vectors.iter_mut().enumerate() {
        *x = numbers[place(index / long, index % long)];
    }
    // Each vector in turn is mirrored to a multiple of eₖ, and the normal of its mirror takes its place.
    let mut q = numbers;
    q.fill(0.0);
    for first in (0..short).step_by(PANEL) {
        let end = (first + PANEL).min(short);
        let (panel, others) = vectors[first * long..].split_at_mut((end - first) * long);
        for k in first..end {
            let (mirrors, vector) = panel.split_at_mut((k - first) * long);
            vectorized(Mirrors { normals: mirrors, first, long, backwards: false, vectors: &mut vector[..long] });
            q[k * long + k] = mirror(&mut vector[k..long]);
        }
        parallel(Mirrors { normals: panel, first, long, backwards: false, vectors: others }, GRAIN);
    }
    // All mirrors, the last first, turn ±eₖ to column k of Q; those after k leave it as it is.
    for first in (0..short).step_by(PANEL).rev() {
        let normals = &vectors[first * long..(first + PANEL).min(short) * long];
        parallel(Mirrors { normals, first, long, backwards: true, vectors: &mut q[first * long..] }, GRAIN);
    }
    for (index, &q) in q.iter().enumerate() {
        data[place(index / long, index % long)] = T::from_f64(gain * q);
    }
}

/// Turns x into the normal u of the mirror that takes x to ±‖x‖e₀, and returns the sign.
fn mirror(x: &mut [f64]) -> f64 {
    let sign = if x[0] > 0.0 { -1.0 } else { 1.0 };
    x[0] -= sign * reduce::norm(x);
    let length = reduce::norm(x);
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
    sign
}

/// Mirrors every vector, x ← x − 2u(uᵀx), in each of the `normals`: normal i, the mirror `first + i`, begins there.
struct Mirrors<'a> {
    normals: &'a [f64],
    first: usize,
    long: usize,
    backwards: bool,
    vectors: &'a mut [f64],
}

impl Kernel for Mirrors<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let count = self.normals.len() / self.long;
        for x in self.vectors.chunks_exact_mut(self.long) {
            for i in 0..count {
                let i = if self.backwards { count - 1 - i } else { i };
                let k = self.first + i;
                let (u, x) = (&self.normals[i * self.long + k..(i + 1) * self.long], &mut x[k..]);
                let twice = 2.0 * lanes::zip_sum(u, x, |u, x| u * x);
                for (x, u) in x.iter_mut().zip(u) {
                    *x -= twice * u;
                }
            }
        }
    }
}

impl Divisible for Mirrors<'_> {
    fn elements(&self) -> usize {
        self.vectors.len()
    }

    // A vector is never cut.
    fn cut(self, middle: usize) -> (Self, Self) {
        let (left, right) = self.vectors.split_at_mut(middle / self.long * self.long);
        (Self { vectors: left, ..self }, Self { vectors: right, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    const FANS: Fans = Fans { fan_in: 50, fan_out: 30 };

    fn drawn<T: Scalar>(init: Init, shape: impl Into<Shape>) -> Vec<T> {
        let shape = shape.into();
        let mut data = vec![T::NAN; shape.len()];
        init.fill(&mut data, shape, FANS, &mut Seed(11).stream(4));
        data
    }

    #[test]
    fn moments_and_ranges_are_those_of_the_formulas() {
        let leaky = Gain::LeakyRelu(0.1);
        // The deviation, and for uniform ones the bound.
        let table = [
            (Init::Uniform { low: -2.0, high: 2.0 }, 2.0 / 3f64.sqrt(), Some(2.0)),
            (Init::Normal { mean: 0.0, std: 0.3 }, 0.3, None),
            (Init::KaimingUniform { gain: Gain::Relu }, (2.0 / 50f64).sqrt(), Some((6.0 / 50f64).sqrt())),
            (Init::KaimingNormal { gain: leaky }, (2.0 / 1.01 / 50f64).sqrt(), None),
            (
                Init::XavierUniform { gain: Gain::Tanh },
                5.0 / 3.0 * (2.0 / 80f64).sqrt(),
                Some(5.0 / 3.0 * (6.0 / 80f64).sqrt()),
            ),
            (Init::XavierNormal { gain: Gain::Selu }, 0.75 * (2.0 / 80f64).sqrt(), None),
            (Init::LecunUniform, (1.0 / 50f64).sqrt(), Some((3.0 / 50f64).sqrt())),
            (Init::LecunNormal, (1.0 / 50f64).sqrt(), None),
            (Init::FanInUniform, (1.0 / 150f64).sqrt(), Some((1.0 / 50f64).sqrt())),
        ];
        for (init, std, bound) in table {
            init.check().unwrap();
            let x = drawn::<f64>(init, [400, 500]);
            let n = x.len() as f64;
            let mean = reduce::sum(&x) / n;
            let variance = reduce::map_sum(&x, |x| (x - mean) * (x - mean)) / n;
            // Five deviations of the mean and of the variance (of a normal variable, the wider).
            assert!(mean.abs() < 5.0 * std / n.sqrt(), "{init:?}: the mean is {mean}");
            assert!((variance / (std * std) - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{init:?}: {variance}");
            let largest = reduce::norm_max(&x);
            match bound {
                Some(bound) => assert!(largest <= bound && largest > 0.999 * bound, "{init:?}: {largest}"),
                None => assert!(largest > 4.0 * std && largest < 6.0 * std, "{init:?}: {largest}"),
            }
        }
        let x = drawn::<f64>(Init::Normal { mean: 3.0, std: 0.0 }, [5]);
        assert_eq!(x, [3.0; 5]);
        assert_eq!(drawn::<f32>(Init::Zeros, [2]), [0.0; 2]);
        assert_eq!(drawn::<f32>(Init::Ones, [2]), [1.0; 2]);
        assert_eq!(drawn::<f32>(Init::Constant(0.1), [2]), [0.1; 2]);
        assert_eq!(drawn::<f64>(Init::Uniform { low: 2.0, high: 2.0 }, [2]), [2.0; 2]);
    }

    #[test]
    fn orthogonal_columns_or_rows_have_length_gain() {
        for shape in [
            Shape::from([1, 1]),
            [7, 7].into(),
            [40, 9].into(),
            [9, 40].into(),
            [6, 5, 3, 3].into(),
            [5].into(),
            [].into(),
        ] {
            let q = drawn::<f64>(Init::Orthogonal { gain: Gain::Custom(3.0) }, shape);
            let rows = shape.axes().first().copied().unwrap_or(1);
            let columns = q.len() / rows;
            let entry = |vector: usize, i: usize| {
                if rows >= columns { q[i * columns + vector] } else { q[vector * columns + i] }
            };
            let (long, short) = (rows.max(columns), rows.min(columns));
            for a in 0..short {
                for b in 0..short {
                    let product: f64 = (0..long).map(|i| entry(a, i) * entry(b, i)).sum();
                    let expected = if a == b { 9.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-13, "{shape}: {a}·{b} = {product}");
                }
            }
        }
        assert!(drawn::<f64>(Init::Orthogonal { gain: Gain::Linear }, [3, 0]).is_empty());
    }

    #[test]
    fn orthogonal_matrices_are_spread_evenly() {
        // Without the signs of R's diagonal the first entry would never be positive.
        let positive = (0..400)
            .filter(|&key| {
                let mut q = [0.0; 9];
                let init = Init::Orthogonal { gain: Gain::Linear };
                init.fill(&mut q, Shape::from([3, 3]), FANS, &mut Seed(1).stream(key));
                q[0] > 0.0
            })
            .count();
        assert!((150..250).contains(&positive), "{positive} of 400");
    }

    #[test]
    fn both_precisions_start_at_the_same_point() {
        let inits = [
            Init::Uniform { low: 0.0, high: 1.0 },
            Init::Normal { mean: 1.0, std: 2.0 },
            Init::FanInUniform,
            Init::Orthogonal { gain: Gain::Relu },
        ];
        for init in inits {
            let (single, double) = (drawn::<f32>(init, [20, 30]), drawn::<f64>(init, [20, 30]));
            assert!(single.iter().zip(&double).all(|(&a, &b)| a == b as f32), "{init:?}");
        }
    }

    #[test]
    fn the_first_numbers_are_fixed_for_ever() {
        assert_eq!(drawn::<f64>(Init::FanInUniform, [3]), UNIFORM);
        assert_eq!(drawn::<f64>(Init::LecunNormal, [3]), NORMAL);
        assert_eq!(drawn::<f64>(Init::Orthogonal { gain: Gain::Linear }, [2, 2]), ORTHOGONAL);
    }

    const UNIFORM: [f64; 3] = [-0.10515569033897353, -0.06891301583060118, -0.05945536333736409];
    const NORMAL: [f64; 3] = [-0.14592705794150262, -0.06801650897913514, -0.0699187707523823];
    const ORTHOGONAL: [f64; 4] = [-0.9018271335108805, -0.43209700446028215, -0.43209700446028215, 0.9018271335108802];

    #[test]
    fn no_fan_is_no_nan() {
        let none = Fans { fan_in: 0, fan_out: 0 };
        let gain = Gain::Linear;
        for init in [
            Init::KaimingUniform { gain },
            Init::KaimingNormal { gain },
            Init::XavierUniform { gain },
            Init::XavierNormal { gain },
            Init::LecunUniform,
            Init::LecunNormal,
            Init::FanInUniform,
        ] {
            let mut x = [f32::NAN; 9];
            init.fill(&mut x, Shape::from([9]), none, &mut Seed(0).stream(0));
            assert!(reduce::all_finite(&x), "{init:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_values() {
        let refused = [
            (Init::Constant(f64::NAN), "NaN"),
            (Init::Uniform { low: 1.0, high: 0.5 }, "from 1 to 0.5"),
            (Init::Uniform { low: f64::MIN, high: f64::MAX }, "no finite interval"),
            (Init::Uniform { low: f64::NAN, high: 0.0 }, "from NaN to 0"),
            (Init::Normal { mean: 0.0, std: -1.0 }, "deviation -1"),
            (Init::Normal { mean: f64::INFINITY, std: 1.0 }, "mean inf"),
            (Init::Orthogonal { gain: Gain::Custom(-1.0) }, "Custom(-1.0)"),
            (Init::KaimingNormal { gain: Gain::LeakyRelu(f64::NAN) }, "LeakyRelu(NaN)"),
        ];
        for (init, words) in refused {
            let message = init.check().unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
            assert!(drawn::<f32>(init, [2, 2]).iter().all(|x| x.is_nan()), "{init:?}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn survives_a_round_trip() {
        for init in
            [Init::Zeros, Init::KaimingNormal { gain: Gain::LeakyRelu(0.2) }, Init::Uniform { low: -1.0, high: 2.0 }]
        {
            let json = serde_json::to_string(&init).unwrap();
            assert_eq!(serde_json::from_str::<Init>(&json).unwrap(), init, "{json}");
        }
    }
}
