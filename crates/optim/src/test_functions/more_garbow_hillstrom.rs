//! All are f(x) = Σ rᵢ(x)², without a factor ½. Numbers in brackets are those of the paper.

use std::f64::consts::PI;

use super::{Reference, SumOfSquares, TestFunction};

fn counts(lbfgs_b: (u64, u64), bfgs: (u64, u64)) -> Reference {
    Reference { lbfgs_b, bfgs, lbfgs_b_converges: true }
}

/// Returns the 18 problems, some in more than one dimension.
#[must_use]
pub fn more_garbow_hillstrom() -> Vec<TestFunction> {
    vec![
        helical_valley(),
        biggs_exp6(),
        gaussian(),
        powell_badly_scaled(),
        box_3d(),
        variably_dimensioned(10),
        watson(6),
        watson(9),
        watson(12),
        penalty_1(4),
        penalty_1(10),
        penalty_2(4),
        penalty_2(10),
        brown_badly_scaled(),
        brown_dennis(),
        gulf(),
        trigonometric(10),
        extended_rosenbrock(5),
        extended_powell(3),
        beale(),
        wood(),
        chebyquad(7),
        chebyquad(8),
        chebyquad(9),
        chebyquad(10),
    ]
}

/// The helical valley (7).
///
/// ```text
/// r = 10(x₃ − 10θ), 10(√(x₁² + x₂²) − 1), x₃,   θ = atan(x₂/x₁)/2π, plus ½ where x₁ < 0
/// Returns ```
#[must_use]
pub fn helical_valley() -> TestFunction {
    TestFunction {
        name: "helical valley",
        start: vec![-1.0, 0.0, 0.0],
        minima: vec![0.0],
        minimizer: Some(vec![1.0, 0.0, 0.0]),
        reference: Some(counts((30, 34), (32, 37))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            let turn = (x[1] / x[0]).atan() / (2.0 * PI) + if x[0] < 0.0 { 0.5 } else { 0.0 };
            let square = x[0] * x[0] + x[1] * x[1];
            let radius = square.sqrt();
            let (dx, dy) = (-x[1] / (2.0 * PI * square), x[0] / (2.0 * PI * square));
            sum.add(10.0 * (x[2] - 10.0 * turn), [(0, -100.0 * dx), (1, -100.0 * dy), (2, 10.0)]);
            sum.add(10.0 * (radius - 1.0), [(0, 10.0 * x[0] / radius), (1, 10.0 * x[1] / radius)]);
            sum.add(x[2], [(2, 1.0)]);
            sum.value
        },
    }
}

/// Biggs' EXP6 (18), with m = 13.
///
/// ```text
/// r = x₃e^(−tx₁) − x₄e^(−tx₂) + x₆e^(−tx₅) − y,   t = i/10,   y = e^(−t) − 5e^(−10t) + 3e^(−4t)
/// Returns ```
#[must_use]
pub fn biggs_exp6() -> TestFunction {
    TestFunction {
        name: "Biggs EXP6",
        start: vec![1.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        minima: vec![0.0, 5.655_649_925e-3],
        minimizer: Some(vec![1.0, 10.0, 1.0, 5.0, 4.0, 3.0]),
        reference: Some(counts((40, 45), (44, 48))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for i in 1..=13 {
                let t = f64::from(i) / 10.0;
                let y = (-t).exp() - 5.0 * (-10.0 * t).exp() + 3.0 * (-4.0 * t).exp();
                let [a, b, c] = [x[0], x[1], x[4]].map(|rate| (-t * rate).exp());
                let r = x[2] * a - x[3] * b + x[5] * c - y;
                sum.add(r, [(0, -t * x[2] * a), (1, t * x[3] * b), (2, a), (3, -b), (4, -t * x[5] * c), (5, c)]);
            }
            sum.value
        },
    }
}

/// The Gaussian (9).
///
/// ```text
/// r = x₁ exp(−x₂(t − x₃)²/2) − y,   t = (8 − i)/2
/// Returns ```
#[must_use]
pub fn gaussian() -> TestFunction {
    const Y: [f64; 8] = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989];
    TestFunction {
        name: "Gaussian",
        start: vec![0.4, 1.0, 0.0],
        minima: vec![1.127_932_769_619e-8],
        minimizer: Some(vec![0.398_956_137_8, 1.000_019_084, 0.0]),
        reference: Some(counts((9, 11), (4, 6))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for i in 1..=15_usize {
                let t = (8.0 - i as f64) / 2.0 - x[2];
                let y = Y[i.min(16 - i) - 1];
                let bell = (-x[1] * t * t / 2.0).exp();
                sum.add(x[0] * bell - y, [(0, bell), (1, -x[0] * bell * t * t / 2.0), (2, x[0] * bell * x[1] * t)]);
            }
            sum.value
        },
    }
}

/// Powell's badly scaled problem (3).
///
/// ```text
/// r = 10⁴x₁x₂ − 1, e^(−x₁) + e^(−x₂) − 1.0001
/// Returns ```
#[must_use]
pub fn powell_badly_scaled() -> TestFunction {
    TestFunction {
        name: "Powell badly scaled",
        start: vec![0.0, 1.0],
        minima: vec![0.0],
        minimizer: Some(vec![1.098_159_329_699_759e-5, 9.106_146_739_866_525]),
        reference: Some(Reference { lbfgs_b_converges: false, ..counts((73, 129), (154, 190)) }),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            sum.add(1e4 * x[0] * x[1] - 1.0, [(0, 1e4 * x[1]), (1, 1e4 * x[0])]);
            let (a, b) = ((-x[0]).exp(), (-x[1]).exp());
            sum.add(a + b - 1.0001, [(0, -a), (1, -b)]);
            sum.value
        },
    }
}

/// The box in three dimensions (12), with m = 10.
///
/// ```text
/// r = e^(−tx₁) − e^(−tx₂) − x₃(e^(−t) − e^(−10t)),   t = i/10
/// Returns ```
#[must_use]
pub fn box_3d() -> TestFunction {
    TestFunction {
        name: "box 3-D",
        start: vec![0.0, 10.0, 20.0],
        minima: vec![0.0],
        minimizer: Some(vec![1.0, 10.0, 1.0]),
        reference: Some(counts((32, 40), (18, 31))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for i in 1..=10 {
                let t = f64::from(i) / 10.0;
                let (a, b) = ((-t * x[0]).exp(), (-t * x[1]).exp());
                let c = (-t).exp() - (-10.0 * t).exp();
                sum.add(a - b - x[2] * c, [(0, -t * a), (1, t * b), (2, -c)]);
            }
            sum.value
        },
    }
}

/// The variably dimensioned problem (25).
///
/// ```text
/// rᵢ = xᵢ − 1,   rₙ₊₁ = Σ j(xⱼ − 1),   rₙ₊₂ = rₙ₊₁²
/// Returns ```
#[must_use]
pub fn variably_dimensioned(n: usize) -> TestFunction {
    TestFunction {
        name: "variably dimensioned",
        start: (1..=n).map(|j| 1.0 - j as f64 / n as f64).collect(),
        minima: vec![0.0],
        minimizer: Some(vec![1.0; n]),
        reference: (n == 10).then(|| counts((19, 20), (21, 23))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            let mut s = 0.0;
            for (i, x) in x.iter().enumerate() {
                sum.add(x - 1.0, [(i, 1.0)]);
                s += (i + 1) as f64 * (x - 1.0);
            }
            sum.add(s, (0..x.len()).map(|i| (i, (i + 1) as f64)));
            sum.add(s * s, (0..x.len()).map(|i| (i, 2.0 * s * (i + 1) as f64)));
            sum.value
        },
    }
}

/// Watson's problem (20), with m = 31 and 2 to 31 variables.
///
/// ```text
/// r = Σ (j−1)xⱼ t^(j−2) − (Σ xⱼ t^(j−1))² − 1,   t = i/29;   r₃₀ = x₁;   r₃₁ = x₂ − x₁² − 1
/// Returns ```
#[must_use]
pub fn watson(n: usize) -> TestFunction {
    let minimum = match n {
        6 => Some(2.287_670_053_552e-3),
        9 => Some(1.399_760_138_096e-6),
        12 => Some(4.722_381_10e-10),
        _ => None,
    };
    TestFunction {
        name: "Watson",
        start: vec![0.0; n],
        minima: minimum.into_iter().collect(),
        minimizer: None,
        reference: match n {
            6 => Some(counts((57, 62), (39, 41))),
            9 => Some(counts((260, 306), (87, 92))),
            _ => None,
        },
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for i in 1..=29 {
                let t = f64::from(i) / 29.0;
                let power = |j: usize| t.powi(j as i32);
                let polynomial: f64 = x.iter().enumerate().map(|(j, x)| x * power(j)).sum();
                let derivative = |j: usize| if j == 0 { 0.0 } else { j as f64 * power(j - 1) };
                let slope: f64 = x.iter().enumerate().map(|(j, x)| x * derivative(j)).sum();
                let r = slope - polynomial * polynomial - 1.0;
                sum.add(r, (0..x.len()).map(|j| (j, derivative(j) - 2.0 * polynomial * power(j))));
            }
            sum.add(x[0], [(0, 1.0)]);
            sum.add(x[1] - x[0] * x[0] - 1.0, [(0, -2.0 * x[0]), (1, 1.0)]);
            sum.value
        },
    }
}

/// The first penalty function (23).
///
/// ```text
/// rᵢ = √1e-5 (xᵢ − 1),   rₙ₊₁ = Σ xⱼ² − ¼
/// Returns ```
#[must_use]
pub fn penalty_1(n: usize) -> TestFunction {
    let known = match n {
        4 => Some(2.249_977_500_900e-5),
        10 => Some(7.087_651_467_090e-5),
        _ => None,
    };
    TestFunction {
        name: "penalty I",
        start: (1..=n).map(|j| j as f64).collect(),
        minima: known.into_iter().collect(),
        minimizer: None,
        reference: match n {
            4 => Some(counts((56, 72), (59, 76))),
            10 => Some(counts((61, 71), (158, 196))),
            _ => None,
        },
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            let weight = 1e-5_f64.sqrt();
            for (i, x) in x.iter().enumerate() {
                sum.add(weight * (x - 1.0), [(i, weight)]);
            }
            let square: f64 = x.iter().map(|x| x * x).sum();
            sum.add(square - 0.25, x.iter().enumerate().map(|(i, x)| (i, 2.0 * x)));
            sum.value
        },
    }
}

/// The second penalty function (24).
///
/// ```text
/// r₁ = x₁ − 0.2;   a(e^(xᵢ/10) + e^(xᵢ₋₁/10) − yᵢ) and a(e^(xᵢ/10) − e^(−1/10)) for i = 2 … n, a = √1e-5,
/// yᵢ = e^(i/10) + e^((i−1)/10);   r₂ₙ = Σ (n−j+1)xⱼ² − 1
/// Returns ```
#[must_use]
pub fn penalty_2(n: usize) -> TestFunction {
    let known = match n {
        4 => Some(9.376_293_007_355e-6),
        10 => Some(2.936_605_374_567e-4),
        _ => None,
    };
    TestFunction {
        name: "penalty II",
        start: vec![0.5; n],
        minima: known.into_iter().collect(),
        minimizer: None,
        reference: match n {
            4 => Some(counts((327, 442), (615, 754))),
            10 => Some(counts((269, 336), (671, 811))),
            _ => None,
        },
        function: |x, gradient| {
            let n = x.len();
            let mut sum = SumOfSquares::new(gradient);
            let weight = 1e-5_f64.sqrt();
            sum.add(x[0] - 0.2, [(0, 1.0)]);
            for i in 1..n {
                let (here, before) = ((x[i] / 10.0).exp(), (x[i - 1] / 10.0).exp());
                let y = ((i + 1) as f64 / 10.0).exp() + (i as f64 / 10.0).exp();
                let slopes = [(i, weight * here / 10.0), (i - 1, weight * before / 10.0)];
                sum.add(weight * (here + before - y), slopes);
                sum.add(weight * (here - (-0.1_f64).exp()), [(i, weight * here / 10.0)]);
            }
            let weighted: f64 = x.iter().enumerate().map(|(j, x)| (n - j) as f64 * x * x).sum();
            sum.add(weighted - 1.0, x.iter().enumerate().map(|(j, x)| (j, 2.0 * (n - j) as f64 * x)));
            sum.value
        },
    }
}

/// Brown's badly scaled problem (4).
///
/// ```text
/// r = x₁ − 10⁶, x₂ − 2·10⁻⁶, x₁x₂ − 2
/// Returns ```
#[must_use]
pub fn brown_badly_scaled() -> TestFunction {
    TestFunction {
        name: "Brown badly scaled",
        start: vec![1.0, 1.0],
        minima: vec![0.0],
        minimizer: Some(vec![1e6, 2e-6]),
        reference: Some(counts((16, 28), (16, 27))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            sum.add(x[0] - 1e6, [(0, 1.0)]);
            sum.add(x[1] - 2e-6, [(1, 1.0)]);
            sum.add(x[0] * x[1] - 2.0, [(0, x[1]), (1, x[0])]);
            sum.value
        },
    }
}

/// Brown & Dennis' problem (16), with m = 20.
///
/// ```text
/// r = (x₁ + tx₂ − eᵗ)² + (x₃ + x₄ sin t − cos t)²,   t = i/5
/// Returns ```
#[must_use]
pub fn brown_dennis() -> TestFunction {
    TestFunction {
        name: "Brown and Dennis",
        start: vec![25.0, 5.0, -5.0, -1.0],
        minima: vec![85_822.201_626_36],
        minimizer: Some(vec![-11.594_439_9, 13.203_630_0, -0.403_439_5, 0.236_778_8]),
        reference: Some(counts((22, 65), (30, 155))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for i in 1..=20 {
                let t = f64::from(i) / 5.0;
                let a = x[0] + t * x[1] - t.exp();
                let b = x[2] + x[3] * t.sin() - t.cos();
                sum.add(a * a + b * b, [(0, 2.0 * a), (1, 2.0 * a * t), (2, 2.0 * b), (3, 2.0 * b * t.sin())]);
            }
            sum.value
        },
    }
}

/// The Gulf research problem (11), with m = 99. The paper's printed "mi" is a minus sign.
///
/// ```text
/// r = exp(−|y − x₂|^x₃/x₁) − t,   t = i/100,   y = 25 + (−50 ln t)^(2/3)
/// Returns ```
#[must_use]
pub fn gulf() -> TestFunction {
    TestFunction {
        name: "Gulf research",
        start: vec![5.0, 2.5, 0.15],
        minima: vec![0.0],
        minimizer: Some(vec![50.0, 25.0, 1.5]),
        reference: Some(counts((47, 58), (39, 47))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for i in 1..=99 {
                let t = f64::from(i) / 100.0;
                let y = 25.0 + (-50.0 * t.ln()).powf(2.0 / 3.0);
                let (distance, side) = ((y - x[1]).abs(), (y - x[1]).signum());
                let power = distance.powf(x[2]);
                let e = (-power / x[0]).exp();
                let logarithm = if distance == 0.0 { 0.0 } else { distance.ln() };
                let slopes = [
                    (0, e * power / (x[0] * x[0])),
                    (1, e * x[2] * distance.powf(x[2] - 1.0) * side / x[0]),
                    (2, -e * power * logarithm / x[0]),
                ];
                sum.add(e - t, slopes);
            }
            sum.value
        },
    }
}

/// The trigonometric problem (26).
///
/// ```text
/// rᵢ = n − Σ cos xⱼ + i(1 − cos xᵢ) − sin xᵢ
/// Returns ```
#[must_use]
pub fn trigonometric(n: usize) -> TestFunction {
    TestFunction {
        name: "trigonometric",
        start: vec![1.0 / n as f64; n],
        minima: if n == 10 { vec![0.0, 2.795_056_121_879e-5] } else { vec![0.0] },
        minimizer: Some(vec![0.0; n]),
        reference: (n == 10).then(|| counts((28, 34), (28, 31))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            let cosines: f64 = x.iter().map(|x| x.cos()).sum();
            for (i, &here) in x.iter().enumerate() {
                let number = (i + 1) as f64;
                let r = x.len() as f64 - cosines + number * (1.0 - here.cos()) - here.sin();
                let own = number * here.sin() - here.cos();
                sum.add(r, x.iter().enumerate().map(|(j, x)| (j, x.sin() + if i == j { own } else { 0.0 })));
            }
            sum.value
        },
    }
}

/// The extended Rosenbrock function (21), of pairs.
///
/// ```text
/// r = 10(x₂ − x₁²), 1 − x₁   for each pair
/// Returns ```
#[must_use]
pub fn extended_rosenbrock(pairs: usize) -> TestFunction {
    TestFunction {
        name: "extended Rosenbrock",
        start: [-1.2, 1.0].repeat(pairs),
        minima: vec![0.0],
        minimizer: Some(vec![1.0; 2 * pairs]),
        reference: (pairs == 5).then(|| counts((51, 61), (109, 126))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for i in (0..x.len()).step_by(2) {
                sum.add(10.0 * (x[i + 1] - x[i] * x[i]), [(i, -20.0 * x[i]), (i + 1, 10.0)]);
                sum.add(1.0 - x[i], [(i, -1.0)]);
            }
            sum.value
        },
    }
}

/// Returns the extended Powell singular function (22), of blocks of four; its Hessian is singular at the minimum.
///
/// ```text
/// r = x₁ + 10x₂, √5(x₃ − x₄), (x₂ − 2x₃)², √10(x₁ − x₄)²   for each block
/// Returns ```
#[must_use]
pub fn extended_powell(blocks: usize) -> TestFunction {
    TestFunction {
        name: "extended Powell singular",
        start: [3.0, -1.0, 0.0, 1.0].repeat(blocks),
        minima: vec![0.0],
        minimizer: Some(vec![0.0; 4 * blocks]),
        reference: (blocks == 3).then(|| counts((57, 65), (128, 140))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            let (root5, root10) = (5.0_f64.sqrt(), 10.0_f64.sqrt());
            for i in (0..x.len()).step_by(4) {
                let [a, b, c, d] = [x[i], x[i + 1], x[i + 2], x[i + 3]];
                sum.add(a + 10.0 * b, [(i, 1.0), (i + 1, 10.0)]);
                sum.add(root5 * (c - d), [(i + 2, root5), (i + 3, -root5)]);
                let (p, q) = (b - 2.0 * c, a - d);
                sum.add(p * p, [(i + 1, 2.0 * p), (i + 2, -4.0 * p)]);
                sum.add(root10 * q * q, [(i, 2.0 * root10 * q), (i + 3, -2.0 * root10 * q)]);
            }
            sum.value
        },
    }
}

/// Beale's function (5).
///
/// ```text
/// rᵢ = yᵢ − x₁(1 − x₂ⁱ),   y = (1.5, 2.25, 2.625)
/// Returns ```
#[must_use]
pub fn beale() -> TestFunction {
    TestFunction {
        name: "Beale",
        start: vec![1.0, 1.0],
        minima: vec![0.0],
        minimizer: Some(vec![3.0, 0.5]),
        reference: Some(counts((16, 17), (16, 18))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            for (i, y) in [(1, 1.5), (2, 2.25), (3, 2.625)] {
                let power = x[1].powi(i);
                sum.add(y - x[0] * (1.0 - power), [(0, power - 1.0), (1, x[0] * f64::from(i) * x[1].powi(i - 1))]);
            }
            sum.value
        },
    }
}

/// Wood's function (14).
///
/// ```text
/// r = 10(x₂ − x₁²), 1 − x₁, √90(x₄ − x₃²), 1 − x₃, √10(x₂ + x₄ − 2), (x₂ − x₄)/√10
/// Returns ```
#[must_use]
pub fn wood() -> TestFunction {
    TestFunction {
        name: "Wood",
        start: vec![-3.0, -1.0, -3.0, -1.0],
        minima: vec![0.0],
        minimizer: Some(vec![1.0; 4]),
        reference: Some(counts((87, 114), (91, 107))),
        function: |x, gradient| {
            let mut sum = SumOfSquares::new(gradient);
            let (root90, root10) = (90.0_f64.sqrt(), 10.0_f64.sqrt());
            sum.add(10.0 * (x[1] - x[0] * x[0]), [(0, -20.0 * x[0]), (1, 10.0)]);
            sum.add(1.0 - x[0], [(0, -1.0)]);
            sum.add(root90 * (x[3] - x[2] * x[2]), [(2, -2.0 * root90 * x[2]), (3, root90)]);
            sum.add(1.0 - x[2], [(2, -1.0)]);
            sum.add(root10 * (x[1] + x[3] - 2.0), [(1, root10), (3, root10)]);
            sum.add((x[1] - x[3]) / root10, [(1, 1.0 / root10), (3, -1.0 / root10)]);
            sum.value
        },
    }
}

/// Chebyquad (35), with m = n.
///
/// ```text
/// rᵢ = (1/n) Σ Tᵢ(2xⱼ − 1) − ∫,   ∫ = 0 for odd i, −1/(i² − 1) for even i
/// Returns ```
#[must_use]
pub fn chebyquad(n: usize) -> TestFunction {
    TestFunction {
        name: "Chebyquad",
        start: (1..=n).map(|j| j as f64 / (n + 1) as f64).collect(),
        minima: match n {
            8 => vec![3.516_873_725_678e-3],
            10 => vec![4.772_7e-3, 6.503_954_800_882e-3],
            _ => vec![0.0],
        },
        minimizer: None,
        reference: match n {
            7 => Some(counts((16, 23), (15, 23))),
            8 => Some(counts((23, 29), (23, 34))),
            9 => Some(counts((29, 37), (31, 37))),
            10 => Some(counts((27, 35), (26, 35))),
            _ => None,
        },
        function: |x, gradient| {
            let n = x.len();
            let mut sum = SumOfSquares::new(gradient);
            // T and dT/dx of degrees i − 1 and i, for every variable.
            let mut before: Vec<(f64, f64)> = vec![(1.0, 0.0); n];
            let mut here: Vec<(f64, f64)> = x.iter().map(|x| (2.0 * x - 1.0, 2.0)).collect();
            for i in 1..=n {
                let mean = here.iter().map(|(value, _)| value).sum::<f64>() / n as f64;
                let integral = if i % 2 == 0 { -1.0 / ((i * i) as f64 - 1.0) } else { 0.0 };
                sum.add(mean - integral, here.iter().enumerate().map(|(j, (_, slope))| (j, slope / n as f64)));
                for ((before, here), x) in before.iter_mut().zip(&mut here).zip(x) {
                    let t = 2.0 * x - 1.0;
                    let next = (2.0 * t * here.0 - before.0, 4.0 * here.0 + 2.0 * t * here.1 - before.1);
                    (*before, *here) = (*here, next);
                }
            }
            sum.value
        },
    }
}
