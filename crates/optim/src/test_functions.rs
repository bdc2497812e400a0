//! Functions to try methods on: the 18 unconstrained problems of Moré, Garbow & Hillstrom (ACM TOMS 7(1), 1981) and
//! the classics in two dimensions.
//!
//! ```
//! use downhill_optim::{GradientDescent, minimize::minimize};
//! use downhill_optim::test_functions::rosenbrock;
//!
//! let function = rosenbrock();
//! let outcome = minimize(&function, function.start()).optimizer(GradientDescent::new(1e-3)).run()?;
//! assert!(outcome.value < 1e-9);
//! # Ok::<(), downhill_optim::SettingError>(())
//! ```

use std::fmt;

use crate::{EvaluationError, Objective};

mod classics;
mod more_garbow_hillstrom;

pub use classics::{
    booth, classics, goldstein_price, himmelblau, matyas, mccormick, rastrigin, rosenbrock, styblinski_tang,
    three_hump_camel, zakharov,
};
pub use more_garbow_hillstrom::{
    beale, biggs_exp6, box_3d, brown_badly_scaled, brown_dennis, chebyquad, extended_powell, extended_rosenbrock,
    gaussian, gulf, helical_valley, more_garbow_hillstrom, penalty_1, penalty_2, powell_badly_scaled, trigonometric,
    variably_dimensioned, watson, wood,
};

/// A function with its gradient, a standard start and its known minima.
#[derive(Clone)]
pub struct TestFunction {
    name: &'static str,
    start: Vec<f64>,
    minima: Vec<f64>,
    minimizer: Option<Vec<f64>>,
    reference: Option<Reference>,
    function: fn(&[f64], &mut [f64]) -> f64,
}

impl TestFunction {
    /// Returns its usual name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the number of variables.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.start.len()
    }

    /// Returns the standard start.
    #[must_use]
    pub fn start(&self) -> Vec<f64> {
        self.start.clone()
    }

    /// Returns the known minimal values, the global one first.
    #[must_use]
    pub fn minima(&self) -> &[f64] {
        &self.minima
    }

    /// Returns a point where the global minimum is taken, if one is known.
    #[must_use]
    pub fn minimizer(&self) -> Option<&[f64]> {
        self.minimizer.as_deref()
    }

    /// Returns the numbers that SciPy needs from the standard start, if they are known.
    #[must_use]
    pub fn reference(&self) -> Option<Reference> {
        self.reference
    }

    /// Returns f(x); overwrites `gradient` with ∇f(x).
    ///
    /// # Panics
    /// If `x` or `gradient` does not have one element for each variable.
    pub fn evaluate(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        assert!(x.len() == self.dimension() && gradient.len() == self.dimension(), "the function has other variables");
        (self.function)(x, gradient)
    }
}

/// Iterations and evaluations of SciPy 1.17.1 from the standard start, with `gtol` 1e-8 and `ftol` 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// L-BFGS-B, with 10 pairs.
    pub lbfgs_b: (u64, u64),
    /// BFGS.
    pub bfgs: (u64, u64),
    /// Whether L-BFGS-B finds a minimum.
    pub lbfgs_b_converges: bool,
}

impl fmt::Debug for TestFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.dimension())
    }
}

impl Objective<f64> for &TestFunction {
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EvaluationError> {
        let n = self.dimension();
        if x.len() != n {
            return Err(EvaluationError::new(format!("{} has {n} variables, got {}", self.name, x.len())));
        }
        Ok((self.function)(x, gradient))
    }
}

/// A sum of squares Σ rᵢ² being added up, with its gradient 2 Σ rᵢ ∇rᵢ.
struct SumOfSquares<'g> {
    value: f64,
    gradient: &'g mut [f64],
}

impl<'g> SumOfSquares<'g> {
    fn new(gradient: &'g mut [f64]) -> Self {
        gradient.fill(0.0);
        Self { value: 0.0, gradient }
    }

    /// Adds r², from r and those of its derivatives that are not 0.
    fn add(&mut self, r: f64, derivatives: impl IntoIterator<Item = (usize, f64)>) {
        self.value += r * r;
        for (index, derivative) in derivatives {
            self.gradient[index] += 2.0 * r * derivative;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f(x₀) and ‖∇f(x₀)‖∞, computed independently.
    const AT_START: [(&str, usize, f64, f64); 24] = [
        ("helical valley", 3, 2500.0, 1591.55),
        ("Biggs EXP6", 6, 0.779070075656, 1.48396),
        ("Gaussian", 3, 3.88810699117e-6, 7.41428e-3),
        ("Powell badly scaled", 2, 1.13526171735, 20000.7),
        ("box 3-D", 3, 1031.15381061, 112.388),
        ("variably dimensioned", 10, 2198551.1625, 2.28344e6),
        ("Watson", 6, 30.0, 63.1149),
        ("Watson", 9, 30.0, 66.3216),
        ("penalty I", 4, 885.06264, 476.0),
        ("penalty I", 10, 148032.56535, 15390.0),
        ("penalty II", 4, 2.34000880546, 12.6),
        ("penalty II", 10, 162.652776566, 255.6),
        ("Brown badly scaled", 2, 999998000003.0, 2e6),
        ("Brown and Dennis", 4, 7926693.337, 1.77929e6),
        ("Gulf research", 3, 12.1107058256, 39.6767),
        ("trigonometric", 10, 7.07575946622e-3, 0.0447208),
        ("extended Rosenbrock", 10, 121.0, 215.6),
        ("extended Powell singular", 12, 645.0, 310.0),
        ("Beale", 2, 14.203125, 27.75),
        ("Wood", 4, 19192.0, 12008.0),
        ("Chebyquad", 7, 0.0337706384637, 0.581091),
        ("Chebyquad", 8, 0.0386176982859, 0.94433),
        ("Chebyquad", 9, 0.0288829802882, 0.782873),
        ("Chebyquad", 10, 0.0337632654629, 0.744619),
    ];

    #[test]
    fn values_and_gradients_at_the_start_are_the_known_ones() {
        let problems = more_garbow_hillstrom();
        for (name, n, value, norm) in AT_START {
            let problem = problems.iter().find(|p| p.name() == name && p.dimension() == n);
            let problem = problem.unwrap_or_else(|| panic!("{name} ({n}) is missing"));
            let mut gradient = vec![f64::NAN; n];
            let got = problem.evaluate(&problem.start(), &mut gradient);
            assert!((got / value - 1.0).abs() < 1e-9, "{problem:?}: f is {got}, not {value}");
            let got = gradient.iter().fold(0.0_f64, |norm, g| norm.max(g.abs()));
            assert!((got / norm - 1.0).abs() < 1e-5, "{problem:?}: the gradient's norm is {got}, not {norm}");
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for function in more_garbow_hillstrom().into_iter().chain(classics()) {
            let start = function.start();
            for shift in [0.0, 0.013] {
                let x: Vec<f64> = start.iter().enumerate().map(|(i, x)| x + shift * (i as f64 + 1.0)).collect();
                let mut gradient = vec![f64::NAN; x.len()];
                let mut scratch = gradient.clone();
                let value = function.evaluate(&x, &mut gradient);
                let largest = gradient.iter().fold(0.0_f64, |norm, g| norm.max(g.abs()));
                for i in 0..x.len() {
                    // Fourth-order central differences.
                    let h = 2e-4 * x[i].abs().max(0.1);
                    let mut at = |steps: f64| {
                        let mut moved = x.clone();
                        moved[i] += steps * h;
                        function.evaluate(&moved, &mut scratch)
                    };
                    let slope = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h);
                    let tolerance = 1e-6 * largest + 1e-13 * value.abs() / h + 1e-9;
                    let error = (slope - gradient[i]).abs();
                    assert!(error <= tolerance, "{function:?}, variable {i}: {} against {slope}", gradient[i]);
                }
            }
        }
    }

    #[test]
    fn minimizers_have_the_minimal_value_and_no_gradient() {
        for function in more_garbow_hillstrom().into_iter().chain(classics()) {
            let Some(minimizer) = function.minimizer() else { continue };
            let mut gradient = vec![f64::NAN; minimizer.len()];
            let value = function.evaluate(minimizer, &mut gradient);
            let known = function.minima()[0];
            // Printed digits of a minimizer are few; the value is flat there.
            assert!((value - known).abs() <= 1e-6 * known.abs().max(1.0), "{function:?}: {value} against {known}");
        }
    }
}
