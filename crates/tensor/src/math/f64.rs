//! Elementary functions of `f64`.
//!
//! Their accuracy stands in [`math`](super).

// The constants down to `ERF` are printed by tools/minimax.py.

/// ln 2 in parts, the first so short that its product with an exponent is exact.
const LN_2: [f64; 2] = [0.6931471805598903, 5.497923018708371e-14];
/// π/2 in parts, all but the last so short that their products with n are exact.
const HALF_PI: [f64; 4] = [1.570796325802803, 9.92093629470503e-10, -4.97899623147991e-17, -1.9034889620193266e-25];
/// (eˣ − 1 − x)/x²; relative error 2^-59.9 for -0.347 ≤ x ≤ 0.3466.
const EXP: [f64; 11] = [
    0.5,
    0.16666666666666677,
    0.04166666666666651,
    0.008333333333321691,
    0.0013888888888962314,
    1.9841269885967358e-4,
    2.480158717264632e-5,
    2.755724437262828e-6,
    2.755740255426776e-7,
    2.510897944400875e-8,
    2.0875356393398706e-9,
];
/// (2·artanh(√x) − 2√x)/√x³; relative error 2^-58.9 for 0 ≤ x ≤ 0.02944.
const LN: [f64; 7] = [
    0.6666666666666734,
    0.3999999999941459,
    0.28571428742403077,
    0.22222198571762583,
    0.18183564395553403,
    0.1531404884236132,
    0.14795966368747063,
];
/// (√x − sin √x)/√x³; relative error 2^-57.3 for 0 ≤ x ≤ 0.617.
const SIN: [f64; 6] = [
    0.16666666666666632,
    -0.008333333333322413,
    1.9841269829807274e-4,
    -2.7557313691769036e-6,
    2.5050758095155224e-8,
    -1.5896794597835326e-10,
];
/// (cos √x − 1 + x/2)/x²; relative error 2^-59.9 for 0 ≤ x ≤ 0.617.
const COS: [f64; 6] = [
    0.0416666666666666,
    -0.0013888888888874125,
    2.4801587289482493e-5,
    -2.7557314352395626e-7,
    2.087572327891358e-9,
    -1.1359647978391374e-11,
];
/// −ln(1 − erf x)/x − 1; relative error 2^-56.2 for 0 ≤ x ≤ 5.95.
const ERF: [[f64; 13]; 2] = [
    [
        0.1283791670955126,
        0.10277260330192355,
        -2.091946442576596e-4,
        -5.901230955522632e-4,
        6.452080040127317e-5,
        3.5179580615803724e-6,
        -1.5805093092472054e-6,
        2.3424211520196e-7,
        9.085191284429402e-8,
        7.763849165245614e-9,
        2.4634923302967583e-10,
        2.693721684605356e-12,
        6.726302928925029e-15,
    ],
    [
        0.6366197723675816,
        -0.019128447008672063,
        0.0016962059533346542,
        2.5868762480050175e-5,
        -2.9788409733717095e-5,
        2.685479768064261e-6,
        1.9724139567336244e-7,
        -1.966127854909698e-7,
        -3.026067314360776e-8,
        -1.5631143140405256e-9,
        -2.9869427498383145e-11,
        -1.702353631356536e-13,
        -1.249891472623072e-16,
    ],
];

/// Beyond these eˣ is 0 or infinite.
const EXP_RANGE: [f64; 2] = [-746.0, 710.0];
/// Beyond these eˣ − 1 is −1 or infinite.
const EXP_M1_RANGE: [f64; 2] = [-38.0, 710.0];
/// Below this eˣ − 1 and ln(1 + x) are x.
const TINY: f64 = 1.0 / (1u64 << 54) as f64;
/// From here on tanh x is 1.
const TANH_ONE: f64 = 20.0;
/// From here on erf x is 1.
const ERF_ONE: f64 = 5.95;

/// x = n·π/2 + r with |r| ≤ π/4: bits that end with n, and r in two parts; |x| ≤ 10⁸.
#[inline(always)]
fn quarters(x: f64) -> (u64, f64, f64) {
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUND;
    let n = shifted - ROUND;
    let (a, b) = (x - n * HALF_PI[0] - n * HALF_PI[1], n * HALF_PI[2]);
    let r = a - b;
    (shifted.to_bits(), r, (a - r) - b - n * HALF_PI[3])
}

elementary!(f64, u64);
