use std::f64::consts::PI;

use super::TestFunction;

/// Returns all classics in two dimensions.
#[must_use]
pub fn classics() -> Vec<TestFunction> {
    vec![
        rosenbrock(),
        himmelblau(),
        booth(),
        matyas(),
        three_hump_camel(),
        goldstein_price(),
        mccormick(),
        styblinski_tang(2),
        rastrigin(2),
        zakharov(2),
    ]
}

/// Rosenbrock's banana valley (1960).
///
/// ```text
/// f(x, y) = 100(y − x²)² + (1 − x)²,   0 at (1, 1)
/// Returns ```
#[must_use]
pub fn rosenbrock() -> TestFunction {
    TestFunction {
        name: "Rosenbrock",
        start: vec![-1.2, 1.0],
        minima: vec![0.0],
        minimizer: Some(vec![1.0, 1.0]),
        reference: None,
        function: |x, gradient| {
            let (a, b) = (x[1] - x[0] * x[0], 1.0 - x[0]);
            gradient[0] = -400.0 * a * x[0] - 2.0 * b;
            gradient[1] = 200.0 * a;
            100.0 * a * a + b * b
        },
    }
}

/// Himmelblau's function (1972), with four minima of equal depth.
///
/// ```text
/// f(x, y) = (x² + y − 11)² + (x + y² − 7)²,   0 at (3, 2), (−2.805, 3.131), (−3.779, −3.283), (3.584, −1.848)
/// Returns ```
#[must_use]
pub fn himmelblau() -> TestFunction {
    TestFunction {
        name: "Himmelblau",
        start: vec![0.0, 0.0],
        minima: vec![0.0],
        minimizer: Some(vec![3.0, 2.0]),
        reference: None,
        function: |x, gradient| {
            let (a, b) = (x[0] * x[0] + x[1] - 11.0, x[0] + x[1] * x[1] - 7.0);
            gradient[0] = 4.0 * a * x[0] + 2.0 * b;
            gradient[1] = 2.0 * a + 4.0 * b * x[1];
            a * a + b * b
        },
    }
}

/// Booth's function, a narrow bowl.
///
/// ```text
/// f(x, y) = (x + 2y − 7)² + (2x + y − 5)²,   0 at (1, 3)
/// Returns ```
#[must_use]
pub fn booth() -> TestFunction {
    TestFunction {
        name: "Booth",
        start: vec![0.0, 0.0],
        minima: vec![0.0],
        minimizer: Some(vec![1.0, 3.0]),
        reference: None,
        function: |x, gradient| {
            let (a, b) = (x[0] + 2.0 * x[1] - 7.0, 2.0 * x[0] + x[1] - 5.0);
            gradient[0] = 2.0 * a + 4.0 * b;
            gradient[1] = 4.0 * a + 2.0 * b;
            a * a + b * b
        },
    }
}

/// Matyas' function, a flat bowl.
///
/// ```text
/// f(x, y) = 0.26(x² + y²) − 0.48xy,   0 at (0, 0)
/// Returns ```
#[must_use]
pub fn matyas() -> TestFunction {
    TestFunction {
        name: "Matyas",
        start: vec![5.0, -7.0],
        minima: vec![0.0],
        minimizer: Some(vec![0.0, 0.0]),
        reference: None,
        function: |x, gradient| {
            gradient[0] = 0.52 * x[0] - 0.48 * x[1];
            gradient[1] = 0.52 * x[1] - 0.48 * x[0];
            0.26 * (x[0] * x[0] + x[1] * x[1]) - 0.48 * x[0] * x[1]
        },
    }
}

/// The three-hump camel, with two minima next to the deepest.
///
/// ```text
/// f(x, y) = 2x² − 1.05x⁴ + x⁶/6 + xy + y²,   0 at (0, 0),   0.298638 at ±(1.74755, −0.87378)
/// Returns ```
#[must_use]
pub fn three_hump_camel() -> TestFunction {
    TestFunction {
        name: "three-hump camel",
        start: vec![1.0, 1.0],
        minima: vec![0.0, 0.298_638_442],
        minimizer: Some(vec![0.0, 0.0]),
        reference: None,
        function: |x, gradient| {
            let (x, y) = (x[0], x[1]);
            let x2 = x * x;
            gradient[0] = 4.0 * x - 4.2 * x2 * x + x2 * x2 * x + y;
            gradient[1] = x + 2.0 * y;
            2.0 * x2 - 1.05 * x2 * x2 + x2 * x2 * x2 / 6.0 + x * y + y * y
        },
    }
}

/// Goldstein & Price's function (1971), whose values span five orders of magnitude.
///
/// ```text
/// f(x, y) = [1 + (x+y+1)²(19 − 14x + 3x² − 14y + 6xy + 3y²)] [30 + (2x−3y)²(18 − 32x + 12x² + 48y − 36xy + 27y²)]
/// 3 at (0, −1)
/// Returns ```
#[must_use]
pub fn goldstein_price() -> TestFunction {
    TestFunction {
        name: "Goldstein-Price",
        start: vec![0.3, -0.8],
        minima: vec![3.0, 30.0, 84.0, 840.0],
        minimizer: Some(vec![0.0, -1.0]),
        reference: None,
        function: |x, gradient| {
            let (x, y) = (x[0], x[1]);
            // Both polynomials depend on one combination each: s = x + y and d = 2x − 3y.
            let (s, d) = (x + y, 2.0 * x - 3.0 * y);
            let (p, dp) = (19.0 - 14.0 * s + 3.0 * s * s, -14.0 + 6.0 * s);
            let (q, dq) = (18.0 - 16.0 * d + 3.0 * d * d, -16.0 + 6.0 * d);
            let a = 1.0 + (s + 1.0) * (s + 1.0) * p;
            let b = 30.0 + d * d * q;
            let da = 2.0 * (s + 1.0) * p + (s + 1.0) * (s + 1.0) * dp;
            let db = 2.0 * d * q + d * d * dq;
            gradient[0] = da * b + 2.0 * a * db;
            gradient[1] = da * b - 3.0 * a * db;
            a * b
        },
    }
}

/// McCormick's function, a bowl on a slope.
///
/// ```text
/// f(x, y) = sin(x + y) + (x − y)² − 1.5x + 2.5y + 1,   −1.913222955 at (−0.547198, −1.547198)
/// Returns ```
#[must_use]
pub fn mccormick() -> TestFunction {
    TestFunction {
        name: "McCormick",
        start: vec![0.0, 0.0],
        minima: vec![-1.913_222_954_981_037],
        minimizer: Some(vec![0.5 - PI / 3.0, -0.5 - PI / 3.0]),
        reference: None,
        function: |x, gradient| {
            let (s, d) = (x[0] + x[1], x[0] - x[1]);
            gradient[0] = s.cos() + 2.0 * d - 1.5;
            gradient[1] = s.cos() - 2.0 * d + 2.5;
            s.sin() + d * d - 1.5 * x[0] + 2.5 * x[1] + 1.0
        },
    }
}

/// Styblinski & Tang's function (1990), in any number of dimensions.
///
/// ```text
/// f(x) = ½ Σ (x⁴ − 16x² + 5x),   −39.16616570 n at −2.903534
/// Returns ```
#[must_use]
pub fn styblinski_tang(n: usize) -> TestFunction {
    let minimum = |wells: f64| -39.166_165_703_771_42 * (n as f64 - wells) - 25.029_449_318_6 * wells;
    TestFunction {
        name: "Styblinski-Tang",
        start: vec![-1.0; n],
        minima: (0..=n).map(|wells| minimum(wells as f64)).collect(),
        minimizer: Some(vec![-2.903_534_027_771_177; n]),
        reference: None,
        function: |x, gradient| {
            let mut value = 0.0;
            for (g, &x) in gradient.iter_mut().zip(x) {
                let x2 = x * x;
                *g = 2.0 * x2 * x - 16.0 * x + 2.5;
                value += 0.5 * (x2 * x2 - 16.0 * x2 + 5.0 * x);
            }
            value
        },
    }
}

/// Rastrigin's function, a bowl full of small ones: a descent method finds one of them, seldom the deepest.
///
/// ```text
/// f(x) = 10n + Σ (x² − 10 cos 2πx),   0 at 0
/// Returns ```
#[must_use]
pub fn rastrigin(n: usize) -> TestFunction {
    TestFunction {
        name: "Rastrigin",
        start: vec![0.8; n],
        minima: vec![0.0],
        minimizer: Some(vec![0.0; n]),
        reference: None,
        function: |x, gradient| {
            let mut value = 10.0 * x.len() as f64;
            for (g, &x) in gradient.iter_mut().zip(x) {
                let angle = 2.0 * PI * x;
                *g = 2.0 * x + 20.0 * PI * angle.sin();
                value += x * x - 10.0 * angle.cos();
            }
            value
        },
    }
}

/// Zakharov's function, a bowl with a steep trough.
///
/// ```text
/// f(x) = Σ x² + s² + s⁴,   s = ½ Σ i xᵢ,   0 at 0
/// Returns ```
#[must_use]
pub fn zakharov(n: usize) -> TestFunction {
    TestFunction {
        name: "Zakharov",
        start: vec![1.0; n],
        minima: vec![0.0],
        minimizer: Some(vec![0.0; n]),
        reference: None,
        function: |x, gradient| {
            let s: f64 = x.iter().enumerate().map(|(i, x)| 0.5 * (i + 1) as f64 * x).sum();
            let ds = 2.0 * s + 4.0 * s.powi(3);
            let mut value = s * s + s.powi(4);
            for (i, (g, &x)) in gradient.iter_mut().zip(x).enumerate() {
                *g = 2.0 * x + ds * 0.5 * (i + 1) as f64;
                value += x * x;
            }
            value
        },
    }
}
