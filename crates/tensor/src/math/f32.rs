//! Elementary functions of `f32`.
//!
//! Their accuracy stands in [`math`](super).

// The constants down to `ERF` are printed by tools/minimax.py.

/// ln 2 in parts, the first so short that its product with an exponent is exact.
const LN_2: [f32; 2] = [0.69314575, 1.4286068e-6];
/// π/2 in parts, all but the last so short that their products with n are exact.
const HALF_PI: [f64; 2] = [1.570796325802803, 9.920935796805404e-10];
/// (eˣ − 1 − x)/x²; relative error 2^-28.8 for -0.347 ≤ x ≤ 0.3466.
const EXP: [f32; 6] = [0.5, 0.16666666, 0.041666362, 0.00833339, 0.0013940629, 1.9845909e-4];
/// (2·artanh(√x) − 2√x)/√x³; relative error 2^-31.1 for 0 ≤ x ≤ 0.02944.
const LN: [f32; 4] = [0.6666666, 0.40000334, 0.2853731, 0.23582155];
/// (√x − sin √x)/√x³; relative error 2^-27.5 for 0 ≤ x ≤ 0.617.
const SIN: [f32; 3] = [0.16666655, -0.008332178, 1.9517231e-4];
/// (cos √x − 1 + x/2)/x²; relative error 2^-30.9 for 0 ≤ x ≤ 0.617.
const COS: [f32; 3] = [0.041666646, -0.0013887367, 2.4438381e-5];
/// −ln(1 − erf x)/x − 1; relative error 2^-27.0 for 0 ≤ x ≤ 3.95.
#[expect(clippy::approx_constant, reason = "a coefficient may lie near 2/π")]
const ERF: [[f32; 5]; 2] = [
    [0.12837917, 0.102771275, -2.5306217e-4, -7.4068713e-4, -2.1354732e-5],
    [0.6366198, -0.019117694, 0.0017993554, 1.6748153e-4, 1.1933124e-6],
];

/// Beyond these eˣ is 0 or infinite.
const EXP_RANGE: [f32; 2] = [-104.0, 89.0];
/// Beyond these eˣ − 1 is −1 or infinite.
const EXP_M1_RANGE: [f32; 2] = [-18.0, 89.0];
/// Below this eˣ − 1 and ln(1 + x) are x.
const TINY: f32 = 1.0 / (1u64 << 25) as f32;
/// From here on tanh x is 1.
const TANH_ONE: f32 = 10.0;
/// From here on erf x is 1.
const ERF_ONE: f32 = 3.95;

/// x = n·π/2 + r with |r| ≤ π/4: bits that end with n, and r; |x| ≤ 2²⁴.
#[inline(always)]
fn quarters(x: f32) -> (u32, f32, f32) {
    const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
    let x = f64::from(x);
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUND;
    let n = shifted - ROUND;
    (shifted.to_bits() as u32, (x - n * HALF_PI[0] - n * HALF_PI[1]) as f32, -0.0)
}

elementary!(f32, u32);
