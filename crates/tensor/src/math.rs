//! Elementary functions, branch-free and inline, so that loops over them are vectorised.
//!
//! They are what the methods of [`Scalar`](crate::Scalar) call; run loops over them through
//! [`vectorized`](crate::vectorized).
//! They use sums, products, quotients and choices alone, never a fused multiply-add, so every instruction set gives
//! the same bits.
//!
//! # Accuracy
//!
//! The largest errors in units of the last place, which a test enforces.
//! Those of `f32` were found among all numbers from 2⁻²⁸ on, those of `f64` among twenty million.
//!
//! | function | `f32` | `f64` |
//! |---|---|---|
//! | `exp` | 1.00 | 1.00 |
//! | `exp_m1` | 1.21 | 1.20 |
//! | `ln` | 0.85 | 0.85 |
//! | `ln_1p` | 0.88 | 0.88 |
//! | `tanh` | 2.45 | 2.53 |
//! | `sigmoid` | 1.87 | 1.90 |
//! | `softplus` | 1.70 | 1.75 |
//! | `erf` | 1.80 | 1.75 |
//! | `sin` | 1.57 | 1.40 |
//! | `cos` | 1.57 | 1.40 |
//!
//! `sin` and `cos` keep these up to |x| = 2²⁴ in `f32` and 10⁸ in `f64`.
//! Beyond, errors grow with |x|, and from 2⁵⁰ on the results are those at 0, or NaN where x is infinite.
//!
//! # Edges
//!
//! NaN goes through.
//! Results that are too large are infinite, those that are too small underflow gradually to 0.
//! `tanh`, `sigmoid` and `erf` reach their limits exactly, and odd functions keep the sign of zero.
//! `ln` is −∞ at ±0 and `ln_1p` at −1; below they are NaN.
//!
//! The polynomials are minimax ones, from `tools/minimax.py`.

/// Writes the functions of one precision, in terms of the constants of the module that calls it.
macro_rules! elementary {
    ($float:ident, $bits:ident) => {
        /// The bits of a number behind its binary point.
        const FRACTION: u32 = $float::MANTISSA_DIGITS - 1;
        /// The number that is added to a stored exponent.
        const BIAS: $float = ($float::MAX_EXP - 1) as $float;
        /// A small whole number added to this is held by the low bits of the sum.
        const WHOLE: $float = (1u64 << FRACTION) as $float;
        /// As `WHOLE`, for numbers that may be negative or in need of rounding.
        const ROUND: $float = 1.5 * WHOLE;

        /// 2ⁿ where `bits` ends with n + BIAS: all but the exponent is shifted out.
        #[inline(always)]
        fn power(bits: $bits) -> $float {
            $float::from_bits(bits << FRACTION)
        }

        /// c₀ + c₁x + c₂x² + ..., even and odd powers side by side, so that a processor waits half as long.
        #[inline(always)]
        fn polynomial<const N: usize>(x: $float, c: [$float; N]) -> $float {
            let z = x * x;
            let (mut a, mut b) = (c[N - 1], c[N - 2]);
            let mut i = N - 2;
            while i >= 2 {
                a = a * z + c[i - 1];
                b = b * z + c[i - 2];
                i -= 2;
            }
            if i == 1 { (a * z + c[0]) + x * b } else { b + x * a }
        }

        /// x = n·ln 2 + r with |r| ≤ ln(2)/2: bits that end with n + bias, and r in two parts.
        #[inline(always)]
        fn reduce(x: $float, bias: $float) -> ($bits, $float, $float) {
            let shifted = x * std::$float::consts::LOG2_E + (ROUND + bias);
            let n = shifted - (ROUND + bias);
            let (a, b) = (x - n * LN_2[0], n * LN_2[1]);
            let r = a - b;
            (shifted.to_bits(), r, (a - r) - b)
        }

        /// eʳ for |r| ≤ ln(2)/2.
        #[inline(always)]
        fn exp_near_0(r: $float) -> $float {
            1.0 + (r + r * r * polynomial(r, EXP))
        }

        /// eˣ.
        #[inline(always)]
        pub fn exp(x: $float) -> $float {
            let x = if x > EXP_RANGE[1] { EXP_RANGE[1] } else { x };
            let x = if x < EXP_RANGE[0] { EXP_RANGE[0] } else { x };
            // 2ⁿ may lie outside the range of numbers where eˣ does not, so n is halved.
            let (n, r, _) = reduce(x, 2.0 * BIAS);
            let half = n >> 1;
            exp_near_0(r) * power(half) * power(n.wrapping_sub(half))
        }

        /// e⁻|ˣ|.
        #[inline(always)]
        fn exp_of_negative(x: $float) -> $float {
            // A choice and not a maximum of −|x|, so that NaN goes through.
            let a = x.abs();
            let a = if a > -EXP_RANGE[0] { -EXP_RANGE[0] } else { a };
            // 2ⁿ may be too small for a normal number: first so much more, then taken back.
            let (n, r, _) = reduce(-a, BIAS + MORE);
            exp_near_0(r) * power(n) * LESS
        }

        /// More than the bits by which e⁻ˣ can lie below the normal numbers.
        const MORE: $float = (FRACTION + 3) as $float;
        /// 2 to the −[`MORE`].
        const LESS: $float = 1.0 / (1u64 << (FRACTION + 3)) as $float;

        /// eˣ − 1, accurate near 0.
        #[inline(always)]
        pub fn exp_m1(x: $float) -> $float {
            let a = if x > EXP_M1_RANGE[1] { EXP_M1_RANGE[1] } else { x };
            let a = if a < EXP_M1_RANGE[0] { EXP_M1_RANGE[0] } else { a };
            // (eˣ − 1)/2 = (t − ½) + t·(eʳ − 1) with t = 2ⁿ⁻¹, because 2ⁿ itself may be infinite.
            let (n, r, rest) = reduce(a, BIAS - 1.0);
            let t = power(n);
            let (a, b) = (t - 0.5, t * r);
            let sum = a + b;
            let lost = b - (sum - a);
            let y = 2.0 * (sum + (lost + t * (rest + r * r * polynomial(r, EXP))));
            // Keeps the sign of zero, and the last bit of subnormal numbers.
            if x.abs() < TINY { x } else { y }
        }

        /// x = 2ⁿ·(1 + f) with 1 + f in [√½, √2), for normal positive x: n and f.
        #[inline(always)]
        fn scientific(x: $float) -> ($float, $float) {
            let root = std::$float::consts::FRAC_1_SQRT_2.to_bits();
            let one = (1.0 as $float).to_bits();
            let above = x.to_bits().wrapping_sub(root);
            // n + BIAS, never negative, becomes the low bits of a number.
            let n = $float::from_bits((above.wrapping_add(one) >> FRACTION) | WHOLE.to_bits()) - (WHOLE + BIAS);
            let mantissa = (above & ((1 << FRACTION) - 1)).wrapping_add(root);
            (n, $float::from_bits(mantissa) - 1.0)
        }

        /// n·ln 2 + ln(1 + f) + rest, given s = f/(2 + f), from ln(1 + f) = 2·artanh(s).
        #[inline(always)]
        fn logarithm(n: $float, f: $float, s: $float, rest: $float) -> $float {
            let z = s * s;
            let half = 0.5 * f * f;
            n * LN_2[0] - ((half - (s * (half + z * polynomial(z, LN)) + (n * LN_2[1] + rest))) - f)
        }

        /// The natural logarithm: −∞ at ±0, not a number below.
        #[inline(always)]
        pub fn ln(x: $float) -> $float {
            let subnormal = x < $float::MIN_POSITIVE;
            let (n, f) = scientific(if subnormal { x * WHOLE } else { x });
            let n = if subnormal { n - FRACTION as $float } else { n };
            let y = logarithm(n, f, f / (2.0 + f), -0.0);
            let y = if x < $float::INFINITY { y } else { x };
            let edge = if x == 0.0 { $float::NEG_INFINITY } else { $float::NAN };
            if x > 0.0 { y } else { edge }
        }

        /// ln(1 + x), accurate near 0: −∞ at −1, not a number below.
        #[inline(always)]
        pub fn ln_1p(x: $float) -> $float {
            let u = 1.0 + x;
            let lost = x - (u - 1.0);
            let (n, f) = scientific(u);
            let s = f / (2.0 + f);
            // ln(u + lost) = ln u + lost/u, and 1/u = 2⁻ⁿ·(1 − s)/(1 + s) is near enough to 2⁻ⁿ·(1 − s)².
            // Twice as much and halved, because 2⁻ⁿ is subnormal for the largest u.
            let scale = power(((1.0 + BIAS + ROUND) - n).to_bits());
            let t = 1.0 - s;
            let y = logarithm(n, f, s, lost * scale * (0.5 * t * t));
            // Keeps the sign of zero, and the last bit of subnormal numbers.
            let y = if x.abs() < TINY { x } else { y };
            let y = if x < $float::INFINITY { y } else { x };
            let edge = if x == -1.0 { $float::NEG_INFINITY } else { $float::NAN };
            if x > -1.0 { y } else { edge }
        }

        /// The hyperbolic tangent.
        #[inline(always)]
        pub fn tanh(x: $float) -> $float {
            let a = x.abs();
            let a = if a > TANH_ONE { TANH_ONE } else { a };
            // a = n·ln(2)/2 + r. One part of ln 2 is enough: the larger n is, the less a digit of r matters.
            let shifted = a * (2.0 * std::$float::consts::LOG2_E) + (ROUND + BIAS);
            let n = shifted - (ROUND + BIAS);
            let r = a - n * (0.5 * std::$float::consts::LN_2);
            let t = power(shifted.to_bits());
            // tanh a = e/(e + 1) with 2e = e²ᵃ − 1 = (2ⁿ − 1) + 2ⁿ·(e²ʳ − 1), which loses no digits near 0.
            let e = (t * 0.5 - 0.5) + t * (r + r * r * polynomial(r, HALF_EXP_OF_TWICE));
            (e / (e + 1.0)).copysign(x)
        }

        /// (e²ˣ − 1 − 2x)/2x².
        const HALF_EXP_OF_TWICE: [$float; EXP.len()] = {
            let mut c = EXP;
            let (mut i, mut power) = (0, 2.0);
            while i < c.len() {
                c[i] *= power;
                power *= 2.0;
                i += 1;
            }
            c
        };

        /// 1 / (1 + e⁻ˣ), without overflow and with all digits for very negative x.
        #[inline(always)]
        pub fn sigmoid(x: $float) -> $float {
            let z = exp_of_negative(x);
            // σ(−a) = z/(1 + z) = z − z·z/(1 + z) and σ(a) = 1 − z/(1 + z) lose less than the quotients themselves.
            let whole = if x < 0.0 { z } else { 1.0 };
            whole - whole * (z / (1.0 + z))
        }

        /// ln(1 + eˣ), without overflow and with all digits for very negative x.
        #[inline(always)]
        pub fn softplus(x: $float) -> $float {
            let z = exp_of_negative(x);
            // ln(1 + z) = n·ln 2 + ln(1 + f), for z from 0 to 1.
            let (n, f) = if z > std::$float::consts::SQRT_2 - 1.0 { (1.0, 0.5 * (z - 1.0)) } else { (0.0, z) };
            let y = logarithm(n, f, f / (2.0 + f), -0.0);
            (if x > 0.0 { x } else { 0.0 }) + y
        }

        /// The error function 2/√π ∫₀ˣ exp(−t²) dt.
        #[inline(always)]
        pub fn erf(x: $float) -> $float {
            let a = x.abs();
            let a = if a > ERF_ONE { ERF_ONE } else { a };
            // −ln(1 − erf a) = a + a·p(a) is smooth all the way, so one polynomial serves small and large a alike.
            let p = polynomial(a * a, ERF[0]) + a * polynomial(a * a, ERF[1]);
            let y = a + a * p;
            let lost = (a - y) + a * p;
            let t = exp_m1(-y);
            (lost * (1.0 + t) - t).copysign(x)
        }

        /// sin(x + quarter·π/2).
        #[inline(always)]
        fn sine(x: $float, quarter: $bits) -> $float {
            // Beyond, the reduction fails; infinite x becomes NaN.
            let x = if x.abs() <= (1u64 << 50) as $float { x } else { x * 0.0 };
            let (n, r, rest) = quarters(x);
            let z = r * r;
            let sin = r + (rest - r * (z * polynomial(z, SIN)));
            let cos = 1.0 - (0.5 * z - z * z * polynomial(z, COS));
            let n = n.wrapping_add(quarter);
            let y = if n & 1 == 0 { sin } else { cos };
            $float::from_bits(y.to_bits() ^ ((n & 2) << ($bits::BITS - 2)))
        }

        /// The sine.
        #[inline(always)]
        pub fn sin(x: $float) -> $float {
            let y = sine(x, 0);
            // Keeps the sign of zero.
            if x == 0.0 { x } else { y }
        }

        /// The cosine.
        #[inline(always)]
        pub fn cos(x: $float) -> $float {
            sine(x, 1)
        }
    };
}

pub mod f32;
pub mod f64;
