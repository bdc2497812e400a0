//! The elementary functions against better ones: every bound that the table in `math` states is enforced here.

use downhill_tensor::{Kernel, Scalar, Seed, math, vectorized};

/// A function in both precisions, and the same from another hand.
struct Function {
    name: &'static str,
    single: fn(f32) -> f32,
    double: fn(f64) -> f64,
    reference: fn(f64) -> f64,
}

macro_rules! functions {
    ($($name:ident $reference:expr;)*) => {
        const FUNCTIONS: &[Function] = &[$(Function {
            name: stringify!($name),
            single: math::f32::$name,
            double: math::f64::$name,
            reference: $reference,
        }),*];

        $(
            #[allow(non_camel_case_types, reason = "the kernel bears the name of its function")]
            struct $name<'a, T>(&'a [T], &'a mut [T]);

            impl<T: Scalar> Kernel for $name<'_, T> {
                type Output = ();

                #[inline(always)]
                fn run(self) {
                    for (y, &x) in self.1.iter_mut().zip(self.0) {
                        *y = x.$name();
                    }
                }
            }
        )*

        /// Compares the vectorised loops with the plain ones, bit by bit.
        fn compare_instructions<T: Scalar>(x: &[T]) {
            let (mut fast, mut plain) = (vec![T::ZERO; x.len()], vec![T::ZERO; x.len()]);
            $(
                vectorized($name(x, &mut fast));
                $name(x, &mut plain).run();
                for ((x, fast), plain) in x.iter().zip(&fast).zip(&plain) {
                    let (a, b) = (fast.to_f64(), plain.to_f64());
                    assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{}({x}): {a} or {b}", stringify!($name));
                }
            )*
        }
    };
}

functions! {
    exp libm::exp;
    exp_m1 libm::expm1;
    ln libm::log;
    ln_1p libm::log1p;
    tanh libm::tanh;
    sigmoid |x| if x < 0.0 { libm::exp(x) / (1.0 + libm::exp(x)) } else { 1.0 / (1.0 + libm::exp(-x)) };
    softplus |x| x.max(0.0) + libm::log1p(libm::exp(-x.abs()));
    erf libm::erf;
    sin libm::sin;
    cos libm::cos;
}

impl Function {
    fn named(name: &str) -> &'static Self {
        FUNCTIONS.iter().find(|function| function.name == name).unwrap()
    }

    /// The bounds that the documentation states, for `f32` and `f64`.
    fn bounds(&self) -> [f64; 2] {
        let row = format!("//! | `{}` |", self.name);
        let line = include_str!("../src/math.rs").lines().find(|line| line.starts_with(&row)).unwrap();
        let mut cells = line[row.len()..].split('|').map(|cell| cell.trim().parse().unwrap());
        [cells.next().unwrap(), cells.next().unwrap()]
    }

    /// The largest arguments, for `f32` and `f64`, that the bounds hold for.
    fn largest(&self) -> [f64; 2] {
        if matches!(self.name, "sin" | "cos") { [(1 << 24) as f64, 1e8] } else { [f64::INFINITY; 2] }
    }
}

/// The unit in the last place of `x` for numbers with `digits` digits and the least exponent `least`.
fn ulp(x: f64, digits: i32, least: i32) -> f64 {
    let exponent = (x.abs().to_bits() >> 52) as i32 - 1023;
    2f64.powi((exponent.max(least) - digits + 1) / 2) * 2f64.powi((exponent.max(least) - digits + 2) / 2)
}

#[test]
fn single_precision_is_as_good_as_the_table_says() {
    // A step without a factor in common with 2³² meets all exponents and signs, and other numbers in each.
    const STEP: usize = 1009;
    for function in FUNCTIONS {
        let mut worst = (0.0, 0.0);
        for bits in (0..=u32::MAX).step_by(STEP) {
            let x = f32::from_bits(bits);
            if f64::from(x.abs()) > function.largest()[0] {
                continue;
            }
            let (y, exact) = ((function.single)(x), (function.reference)(f64::from(x)));
            if !f64::from(exact as f32).is_finite() {
                assert!(y == exact as f32 || (y.is_nan() && exact.is_nan()), "{}({x:e}) = {y:e}", function.name);
                continue;
            }
            let error = (f64::from(y) - exact).abs() / ulp(exact, 24, -126);
            if error.is_nan() || error > worst.0 {
                worst = (error, x);
            }
        }
        assert!(worst.0 <= function.bounds()[0], "{}({:e}) is {} ulp off", function.name, worst.1, worst.0);
    }
}

#[test]
fn double_precision_is_as_good_as_the_table_says() {
    let mut lines = 0;
    for line in include_str!("data/math_f64.csv").lines() {
        let [name, x, y, rest] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        let [x, y] = [x, y].map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap()));
        let function = Function::named(name);
        let got = (function.double)(x);
        let error = ((got - y) / ulp(y, 53, -1022) - rest.parse::<f64>().unwrap()).abs();
        assert!(error <= function.bounds()[1], "{name}({x:e}) = {got:e}, {error} ulp off {y:e}");
        lines += 1;
    }
    assert!(lines > 1500, "the fixture has {lines} lines");
}

#[test]
fn double_precision_agrees_with_the_c_library() {
    // The reference itself may be a unit off.
    const SLACK: f64 = 1.5;
    for (key, function) in FUNCTIONS.iter().enumerate() {
        let mut stream = Seed(1).stream(key as u64);
        for i in 0..200_000 {
            let u = 2.0 * stream.uniform() - 1.0;
            // All magnitudes, and those where most happens.
            let x = match i % 4 {
                0 => u * 10f64.powf(616.0 * stream.uniform() - 308.0),
                1 => u * 750.0,
                2 => u * 20.0,
                _ => u,
            };
            if x.abs() > function.largest()[1] {
                continue;
            }
            let (y, exact) = ((function.double)(x), (function.reference)(x));
            let close = (y - exact).abs() <= (function.bounds()[1] + SLACK) * ulp(exact, 53, -1022);
            assert!(
                close || y == exact || (y.is_nan() && exact.is_nan()),
                "{}({x:e}): {y:e}, {exact:e}",
                function.name
            );
        }
    }
}

/// A function with its name and its values at −∞, −0, 0 and ∞.
type Edges<T> = (&'static str, fn(T) -> T, [T; 4]);

/// Checks every function at the edges of the numbers, in one precision.
fn edges<T: Scalar>(tiny: T, largest: T) {
    let (zero, one, infinity, nan) = (T::ZERO, T::ONE, T::INFINITY, T::NAN);
    let (half, ln_2) = (T::from_f64(0.5), T::from_f64(std::f64::consts::LN_2));
    #[rustfmt::skip]
    let table: [Edges<T>; 10] = [
        //                         −∞    −0         0          ∞
        ("exp",      T::exp,      [zero, one,       one,       infinity]),
        ("exp_m1",   T::exp_m1,   [-one, -zero,     zero,      infinity]),
        ("ln",       T::ln,       [nan,  -infinity, -infinity, infinity]),
        ("ln_1p",    T::ln_1p,    [nan,  -zero,     zero,      infinity]),
        ("tanh",     T::tanh,     [-one, -zero,     zero,      one]),
        ("sigmoid",  T::sigmoid,  [zero, half,      half,      one]),
        ("softplus", T::softplus, [zero, ln_2,      ln_2,      infinity]),
        ("erf",      T::erf,      [-one, -zero,     zero,      one]),
        ("sin",      T::sin,      [nan,  -zero,     zero,      nan]),
        ("cos",      T::cos,      [nan,  one,       one,       nan]),
    ];
    for (name, f, expected) in table {
        for (x, expected) in [-infinity, -zero, zero, infinity].into_iter().zip(expected) {
            let y = f(x);
            let same = y == expected && one.copysign(y) == one.copysign(expected);
            assert!(same || (y.is_nan() && expected.is_nan()), "{name}({x}) = {y}, not {expected}");
        }
        assert!(f(nan).is_nan(), "{name} hides what is not a number");
    }
    // Far out, finite numbers act as infinite ones do.
    for f in [T::exp, T::exp_m1, T::tanh, T::sigmoid, T::erf] {
        assert_eq!([f(-largest), f(largest)], [f(-infinity), f(infinity)]);
    }
    assert_eq!([(-largest).softplus(), largest.softplus()], [zero, largest]);
    assert!((-largest).ln().is_nan() && (-largest).ln_1p().is_nan());
    // The smallest number, and its negative.
    for x in [tiny, -tiny] {
        for f in [T::exp_m1, T::ln_1p, T::tanh, T::sin] {
            assert_eq!(f(x), x);
        }
        assert_eq!([x.exp(), x.cos(), x.sigmoid()], [one, one, half]);
        // 2/√π times the smallest number rounds to it.
        assert_eq!(x.erf(), x);
    }
    // The last number before −1 has a logarithm, and −1 has none.
    assert!((T::EPSILON - one).ln_1p().is_finite());
    assert_eq!((-one).ln_1p(), -infinity);
    assert!((-one - T::EPSILON).ln_1p().is_nan());
}

#[test]
fn edges_are_exact() {
    edges(f32::from_bits(1), f32::MAX);
    edges(f64::from_bits(1), f64::MAX);
    let finite = [1e9, 1e17, 1e300, f64::MAX];
    for x in finite {
        for y in [math::f64::sin(x), math::f64::cos(x), math::f64::sin(-x), math::f64::cos(-x)] {
            assert!(y.abs() <= 1.0, "{x}: {y}");
        }
    }
    for x in [1e9, 1e17, 1e30, f32::MAX] {
        assert!(math::f32::sin(x).abs() <= 1.0 && math::f32::cos(x).abs() <= 1.0, "{x}");
    }
}

#[test]
fn overflow_begins_where_it_must() {
    // ln(MAX) lies between these neighbours.
    assert!(math::f32::exp(88.722_83).is_finite() && math::f32::exp(88.722_84) == f32::INFINITY);
    assert!(math::f32::exp_m1(88.722_83).is_finite() && math::f32::exp_m1(88.722_84) == f32::INFINITY);
    assert!(math::f64::exp(709.782_712_893_384).is_finite() && math::f64::exp(709.782_712_893_385) == f64::INFINITY);
    assert!(math::f64::exp_m1(709.782_712_893_384).is_finite());
    assert!(math::f64::exp_m1(709.782_712_893_385) == f64::INFINITY);
    // Underflow is gradual: the smallest number, then 0.
    assert_eq!(math::f32::exp(-103.9), f32::from_bits(1));
    assert_eq!(math::f32::exp(-104.0), 0.0);
    assert_eq!(math::f64::exp(-745.1), f64::from_bits(1));
    assert_eq!(math::f64::exp(-745.2), 0.0);
}

#[test]
fn saturation_is_monotone_and_exact() {
    fn check<T: Scalar>(ends: [f64; 3]) {
        let functions: [fn(T) -> T; 3] = [T::tanh, T::erf, T::sigmoid];
        for (f, end) in functions.into_iter().zip(ends) {
            let (steps, mut before) = (20_000, T::ZERO);
            for i in 0..=steps {
                let y = f(T::from_f64(end * f64::from(i) / f64::from(steps)));
                // Rounding may take a step back of two units, but never above 1.
                assert!(y >= before - T::EPSILON && y <= T::ONE, "{y} after {before}");
                before = y;
            }
            assert_eq!(f(T::from_f64(end)), T::ONE);
        }
    }
    check::<f32>([9.1, 4.0, 17.4]);
    check::<f64>([19.1, 6.0, 37.5]);
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    let mut stream = Seed(3).stream(0);
    // A length that no vector divides, so that the rests of loops are met as well.
    let mut x: Vec<f64> = (0..10_007)
        .map(|i| match i % 3 {
            0 => (2.0 * stream.uniform() - 1.0) * 2f64.powf(200.0 * stream.uniform() - 100.0),
            1 => 40.0 * stream.uniform() - 20.0,
            _ => 2.0 * stream.uniform() - 1.0,
        })
        .collect();
    x.extend([0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MAX, f64::from_bits(1), 1e-310, -750.0]);
    compare_instructions(&x);
    let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    compare_instructions(&single);
}
