/// The widest step of a difference, relative to the size of the coordinate if that exceeds 1.
const STEP: f64 = 4e-3;

/// The largest difference between extrapolations of a smooth function; a kink or a jump within reach makes a larger one.
const AGREEMENT: f64 = 1e-7;

/// Differentiates f at x numerically: ∂f/∂xᵢ for each coordinate, or `None` if f has a kink nearby.
///
/// Central differences D(h) = (f(x + h) − f(x − h)) / 2h at three step sizes, combined by Richardson's
/// extrapolation so that the error is of order h⁶:
///
/// ```text
/// R(h) = (4 D(h/2) − D(h)) / 3        D ≈ (16 R(h/2) − R(h)) / 15
/// ```
///
/// ```
/// use downhill_gradcheck::differentiate;
/// let slope = differentiate(&[0.5, 2.0], |x| x[0].sin() * x[1]);
/// assert!((slope[0].unwrap() - 0.5f64.cos() * 2.0).abs() < 1e-11);
/// let kink = differentiate(&[0.0], |x| if x[0] > 0.0 { x[0] } else { 0.0 });
/// assert_eq!(kink, [None]);
/// ```
#[must_use]
pub fn differentiate(x: &[f64], mut f: impl FnMut(&[f64]) -> f64) -> Vec<Option<f64>> {
    let mut x = x.to_vec();
    (0..x.len()).map(|index| one(&mut x, index, &mut f)).collect()
}

fn one(x: &mut [f64], index: usize, f: &mut impl FnMut(&[f64]) -> f64) -> Option<f64> {
    let centre = x[index];
    let here = f(x);
    // The central difference, and by how much the slopes to the right and to the left differ.
    let mut central = |h: f64| {
        // The distance that is really taken, after rounding.
        let (right, left) = (centre + h, centre - h);
        x[index] = right;
        let above = f(x);
        x[index] = left;
        let below = f(x);
        x[index] = centre;
        ((above - below) / (right - left), ((above - here) - (here - below)) / h)
    };
    let mut h = STEP * centre.abs().max(1.0);
    // A kink that lies within reach of the widest step may lie out of reach of a narrower one.
    for _ in 0..3 {
        let [(d0, bend0), (d1, _), (d2, bend2)] = [central(h), central(h / 2.0), central(h / 4.0)];
        let coarse = (4.0 * d1 - d0) / 3.0;
        let fine = (4.0 * d2 - d1) / 3.0;
        let size = d0.abs().max(d1.abs()).max(d2.abs()).max(1.0);
        // Where f is smooth, its slopes differ by a quarter over a quarter of the distance; at a kink they don't.
        let smooth = (bend2 - bend0 / 4.0).abs() <= 10.0 * AGREEMENT * size;
        if smooth && (fine - coarse).abs() <= AGREEMENT * size {
            return Some((16.0 * fine - coarse) / 15.0);
        }
        h /= 8.0;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooth_functions_have_their_derivatives() {
        let x = [0.3, -1.2, 2.5];
        let f = |x: &[f64]| x[0].exp() * x[1].tanh() + (x[2] * x[1]).sin();
        let numeric = differentiate(&x, f);
        let tanh = x[1].tanh();
        let explicit = [
            x[0].exp() * tanh,
            x[0].exp() * (1.0 - tanh * tanh) + x[2] * (x[2] * x[1]).cos(),
            x[1] * (x[2] * x[1]).cos(),
        ];
        for (numeric, explicit) in numeric.iter().zip(explicit) {
            assert!((numeric.unwrap() - explicit).abs() < 1e-11, "{numeric:?} {explicit}");
        }
    }

    #[test]
    fn a_kink_nearby_is_got_round_and_one_at_the_point_is_told() {
        let kink = |x: &[f64]| x[0].abs();
        assert_eq!(differentiate(&[0.0], kink), [None]);
        let near = differentiate(&[1e-3], kink)[0].unwrap();
        assert!((near - 1.0).abs() < 1e-9, "{near}");
        assert_eq!(differentiate(&[0.0], |x| if x[0] < 0.0 { 0.0 } else { 1.0 }), [None]);
    }

    #[test]
    fn a_wrong_derivative_is_not_taken_for_a_right_one() {
        let numeric = differentiate(&[1.0], |x| x[0] * x[0]);
        assert!((numeric[0].unwrap() - 2.0).abs() < 1e-11);
        assert!((numeric[0].unwrap() - 2.0001).abs() > 1e-8);
    }
}
