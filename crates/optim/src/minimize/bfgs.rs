use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::dot;

/// The BFGS method (Broyden, Fletcher, Goldfarb & Shanno 1970), with the inverse Hessian as a full matrix:
/// n² numbers of memory.
///
/// ```text
/// d = −H g;   H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ,   ρ = 1/sᵀy;   H₀ = I sᵀy/yᵀy before the first update
/// ```
///
/// Default: Moré & Thuente's line search. A pair with sᵀy ≤ ε ‖y‖² is left out.
///
/// ```
/// use downhill_optim::minimize::{Bfgs, minimize};
/// use downhill_optim::test_functions::rosenbrock;
/// let function = rosenbrock();
/// let outcome = minimize(&function, function.start()).method(Bfgs::new()).run()?;
/// assert!(outcome.converged() && outcome.evaluations < 50);
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
pub type Bfgs<T, S = MoreThuente> = Directional<FullMatrix<T>, S, T>;

impl<T: Scalar> Bfgs<T> {
    /// From the identity.
    #[must_use]
    pub fn new() -> Self {
        Self::of(
            FullMatrix { inverse: Vec::new(), hy: Vec::new(), s: Vec::new(), y: Vec::new(), learnt: false },
            MoreThuente::new(),
        )
    }
}

impl<T: Scalar> Default for Bfgs<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The directions of [`Bfgs`].
#[derive(Clone, Debug)]
pub struct FullMatrix<T> {
    /// The inverse Hessian H, row by row.
    inverse: Vec<T>,
    hy: Vec<T>,
    s: Vec<T>,
    y: Vec<T>,
    learnt: bool,
}

impl<T: Scalar> FullMatrix<T> {
    /// H ← the identity times this.
    fn set_identity(&mut self, scale: T) {
        self.inverse.fill(T::ZERO);
        let stride = self.s.len() + 1;
        self.inverse.iter_mut().step_by(stride).for_each(|h| *h = scale);
    }
}

impl<T: Scalar> Direction<T> for FullMatrix<T> {
    const IS_SCALED: bool = true;

    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    fn begin(&mut self, len: usize) {
        for vector in [&mut self.hy, &mut self.s, &mut self.y] {
            vector.clear();
            vector.resize(len, T::ZERO);
        }
        self.inverse.clear();
        self.inverse.resize(len * len, T::ZERO);
        self.learnt = false;
    }

    fn forget(&mut self) {
        self.learnt = false;
    }

    fn is_steepest(&self) -> bool {
        !self.learnt
    }

    fn point(&mut self, gradient: &[T], direction: &mut [T]) {
        if !self.learnt {
            return elementwise::map(gradient, direction, |g| -g);
        }
        for (d, row) in direction.iter_mut().zip(self.inverse.chunks_exact(gradient.len())) {
            *d = T::of(-dot(row, gradient));
        }
    }

    fn learn(&mut self, step: &Taken<'_, T>) {
        elementwise::zip_map(step.x, step.x_before, &mut self.s, |after, before| after - before);
        elementwise::zip_map(step.gradient, step.gradient_before, &mut self.y, |after, before| after - before);
        let (curvature, square) = (dot(&self.s, &self.y), dot(&self.y, &self.y));
        if !(curvature > T::EPSILON.to_f64() * square && (1.0 / curvature).is_finite()) {
            return;
        }
        if !self.learnt {
            self.set_identity(T::of(curvature / square));
            self.learnt = true;
        }
        let len = self.s.len();
        for (hy, row) in self.hy.iter_mut().zip(self.inverse.chunks_exact(len)) {
            *hy = T::of(dot(row, &self.y));
        }
        // H + ρ[(1 + ρ yᵀHy) s sᵀ − Hy sᵀ − s (Hy)ᵀ], row by row.
        let rho = 1.0 / curvature;
        let of_s = T::of(rho * (1.0 + rho * dot(&self.y, &self.hy)));
        let rho = T::of(rho);
        for (i, row) in self.inverse.chunks_exact_mut(len).enumerate() {
            let (a, b) = (of_s * self.s[i] - rho * self.hy[i], rho * self.s[i]);
            for ((h, &s), &hy) in row.iter_mut().zip(&self.s).zip(&self.hy) {
                *h += a * s - b * hy;
            }
        }
    }
}
