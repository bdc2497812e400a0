use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::dot;

/// Nonlinear conjugate gradients: steepest descent that keeps part of its last direction.
///
/// ```text
/// d = −g + β d
/// β of Polak & Ribière (1969), with Powell's max(β, 0):  g₊ᵀy / ‖g‖²          y = g₊ − g
/// β of Fletcher & Reeves (1964):                         ‖g₊‖² / ‖g‖²
/// β of Hestenes & Stiefel (1952), with max(β, 0):        g₊ᵀy / dᵀy
/// β of Dai & Yuan (1999):                                ‖g₊‖² / dᵀy
/// β of Hager & Zhang (2005):                             (y − 2d ‖y‖²/dᵀy)ᵀ g₊ / dᵀy, at least 0.4 dᵀg / ‖d‖²
/// ```
///
/// The bound is that of Hager & Zhang's later papers (2013), which does not depend on the units of f and x.
///
/// Defaults: Polak & Ribière, Moré & Thuente's line search with c₂ = 0.1.
/// Four vectors of memory besides the point and its gradient.
///
/// ```
/// use downhill_optim::minimize::{ConjugateGradient, minimize};
/// use downhill_optim::test_functions::rosenbrock;
/// let function = rosenbrock();
/// let outcome = minimize(&function, function.start()).method(ConjugateGradient::new()).run()?;
/// assert!(outcome.converged());
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
pub type ConjugateGradient<T, S = MoreThuente> = Directional<Conjugate, S, T>;

impl<T: Scalar> ConjugateGradient<T> {
    /// Creates the method with Polak & Ribière's β.
    #[must_use]
    pub fn new() -> Self {
        Self::from_direction(Conjugate { formula: Formula::PolakRibiere, beta: 0.0 }, MoreThuente::new().c2(0.1))
    }
}

impl<T: Scalar> Default for ConjugateGradient<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar, S> ConjugateGradient<T, S> {
    fn formula(mut self, formula: Formula) -> Self {
        self.direction.formula = formula;
        self
    }

    /// Takes Fletcher & Reeves' β.
    #[must_use]
    pub fn fletcher_reeves(self) -> Self {
        self.formula(Formula::FletcherReeves)
    }

    /// Takes Hestenes & Stiefel's β.
    #[must_use]
    pub fn hestenes_stiefel(self) -> Self {
        self.formula(Formula::HestenesStiefel)
    }

    /// Takes Dai & Yuan's β.
    #[must_use]
    pub fn dai_yuan(self) -> Self {
        self.formula(Formula::DaiYuan)
    }

    /// Takes Hager & Zhang's β.
    #[must_use]
    pub fn hager_zhang(self) -> Self {
        self.formula(Formula::HagerZhang)
    }
}

/// The directions of [`ConjugateGradient`].
#[derive(Clone, Debug)]
pub struct Conjugate {
    formula: Formula,
    beta: f64,
}

#[derive(Clone, Copy, Debug)]
enum Formula {
    PolakRibiere,
    FletcherReeves,
    HestenesStiefel,
    DaiYuan,
    HagerZhang,
}

impl<T: Scalar> Direction<T> for Conjugate {
    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    fn begin(&mut self, _len: usize) -> Result<(), SettingError> {
        self.beta = 0.0;
        Ok(())
    }

    fn is_scaled(&self) -> bool {
        false
    }

    fn forget(&mut self) {
        self.beta = 0.0;
    }

    fn is_steepest(&self) -> bool {
        self.beta == 0.0
    }

    fn point(&mut self, gradient: &[T], direction: &mut [T]) {
        if self.beta == 0.0 {
            return elementwise::map(gradient, direction, |g| -g);
        }
        let beta = T::from_f64(self.beta);
        elementwise::update(gradient, direction, |g, d| beta * d - g);
    }

    fn learn(&mut self, step: &Taken<'_, T>) {
        let (before, after, d) = (step.gradient_before, step.gradient, step.direction);
        let (square_before, square) = (dot(before, before), dot(after, after));
        // gᵀy, dᵀy and ‖y‖² without a vector for y.
        let after_y = square - dot(after, before);
        let d_y = dot(d, after) - dot(d, before);
        let beta = match self.formula {
            Formula::PolakRibiere => (after_y / square_before).max(0.0),
            Formula::FletcherReeves => square / square_before,
            Formula::HestenesStiefel => (after_y / d_y).max(0.0),
            Formula::DaiYuan => square / d_y,
            Formula::HagerZhang => {
                let y_y = square - 2.0 * dot(after, before) + square_before;
                let beta = (after_y - 2.0 * y_y / d_y * dot(d, after)) / d_y;
                beta.max(0.4 * dot(d, before) / dot(d, d))
            }
        };
        self.beta = if beta.is_finite() { beta } else { 0.0 };
    }
}

/// Steepest descent with a line search.
///
/// ```text
/// d = −g
/// ```
///
/// Default: Armijo's backtracking. Without a line search it is [`GradientDescent`](crate::GradientDescent).
pub type SteepestDescent<T, S = Armijo> = Directional<Steepest, S, T>;

impl<T: Scalar> SteepestDescent<T> {
    /// Creates the method with Armijo's backtracking.
    #[must_use]
    pub fn new() -> Self {
        Self::from_direction(Steepest, Armijo::new())
    }
}

impl<T: Scalar> Default for SteepestDescent<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The directions of [`SteepestDescent`].
#[derive(Clone, Copy, Debug)]
pub struct Steepest;

impl<T: Scalar> Direction<T> for Steepest {
    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    fn begin(&mut self, _len: usize) -> Result<(), SettingError> {
        Ok(())
    }

    fn is_scaled(&self) -> bool {
        false
    }

    fn forget(&mut self) {}

    fn is_steepest(&self) -> bool {
        true
    }

    fn point(&mut self, gradient: &[T], direction: &mut [T]) {
        elementwise::map(gradient, direction, |g| -g);
    }

    fn learn(&mut self, _step: &Taken<'_, T>) {}
}
