use super::lbfgs::is_curved;
use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::{dot, norm};

/// The BFGS method (Broyden, Fletcher, Goldfarb & Shanno 1970), with the inverse Hessian as a full matrix:
/// n² numbers of memory, and 2n² in the first 4n updates.
///
/// ```text
/// d = −H g;   H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ,   ρ = 1/sᵀy;   H₀ = I sᵀy/yᵀy before the first update
/// ```
///
/// Default: Moré & Thuente's line search. A pair is kept if sᵀy > ε |sᵀg|.
///
/// The first step leads along the steepest directions, and H₀ by it is too small for flatter ones, which are then
/// found late and by many short steps.
/// So H is kept as γA + C, where A is what H₀ = I has become, and γ is raised whenever a step shows that H was
/// too small along it: by κ = −α sᵀg / sᵀy if that is above 3/2, until 4n pairs have been learnt.
/// (SciPy takes H₀ = I instead, which is fast or slow depending on the units of f.)
///
/// An H₀ that is too small for the flat directions by more than that is not made good.
/// Meyer's problem is such a one: its curvatures along the axes differ by 1e10 at the minimum and by 1e37 where runs
/// from far off get stuck.
/// Evaluations from multiples of its start (SciPy 1.17):
///
/// | times the start | 1 | 3 | 10 | 30 | 100 | 300 |
/// |---|---|---|---|---|---|---|
/// | this method | 492 | 965 | 3,395 | fails | fails | fails |
/// | this method, with each variable in units of its start | 381 | 534 | 771 | 726 | 1,015 | 1,128 |
/// | SciPy's BFGS | 434 | 171 | 398 | another end | 1,744 | 4,268 |
///
/// So give such problems variables that are all near 1.
/// H₀ = I solves all six, but four of the 69 Moré–Garbow–Hillstrom starts no longer, and takes three times as many
/// evaluations there.
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
    /// Creates the method, which starts from a multiple of the identity.
    #[must_use]
    pub fn new() -> Self {
        Self::from_direction(
            FullMatrix { pairs: 0, learnt: Vec::new(), rest: Vec::new(), vectors: Default::default() },
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
    /// The number of pairs in the matrices.
    pairs: usize,
    /// C, row by row; all of H once the rest has been added to it.
    learnt: Vec<T>,
    /// γA, row by row; empty once it has been added.
    rest: Vec<T>,
    /// s, y, and the product of a matrix with y.
    vectors: [Vec<T>; 3],
}

/// The rest may be scaled until this many pairs for each variable have been learnt.
const PAIRS_BY_VARIABLE: usize = 4;

/// The rest is scaled if a step should have been longer by more than this factor.
const TOO_SHORT: f64 = 1.5;

impl<T: Scalar> Direction<T> for FullMatrix<T> {
    fn check(&self) -> Result<(), SettingError> {
        Ok(())
    }

    fn begin(&mut self, len: usize) -> Result<(), SettingError> {
        for vector in &mut self.vectors {
            vector.clear();
            vector.resize(len, T::ZERO);
        }
        for matrix in [&mut self.learnt, &mut self.rest] {
            matrix.clear();
            let reserved = len.checked_mul(len).and_then(|size| matrix.try_reserve_exact(size).ok());
            let requirement = "few enough for BFGS to hold two square matrices in memory: take L-BFGS instead";
            require(reserved.is_some(), "the number of variables", len as f64, requirement)?;
        }
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        self.pairs = 0;
    }

    fn is_steepest(&self) -> bool {
        self.pairs == 0
    }

    fn is_scaled(&self) -> bool {
        true
    }

    fn point(&mut self, gradient: &[T], direction: &mut [T]) {
        if self.pairs == 0 {
            return elementwise::map(gradient, direction, |g| -g);
        }
        for (d, row) in direction.iter_mut().zip(self.learnt.chunks_exact(gradient.len())) {
            *d = T::from_f64(-dot(row, gradient));
        }
        for (d, row) in direction.iter_mut().zip(self.rest.chunks_exact(gradient.len())) {
            *d -= T::from_f64(dot(row, gradient));
        }
    }

    fn learn(&mut self, step: &Taken<'_, T>) {
        let [s, y, product] = &mut self.vectors;
        elementwise::zip_map(step.x, step.x_before, s, |after, before| after - before);
        elementwise::zip_map(step.gradient, step.gradient_before, y, |after, before| after - before);
        let (curvature, square, slope) = (dot(s, y), dot(y, y), dot(s, step.gradient_before));
        if !(is_curved::<T>(curvature, slope) && (curvature / square).is_finite()) {
            return;
        }
        let len = s.len();
        if self.pairs == 0 {
            self.learnt.clear();
            self.learnt.resize(len * len, T::ZERO);
            self.rest.clear();
            self.rest.resize(len * len, T::ZERO);
            self.rest.iter_mut().step_by(len + 1).for_each(|h| *h = T::from_f64(curvature / square));
        } else if !self.rest.is_empty() {
            // −α sᵀg / sᵀy: by how much H was too small along s = α d.
            let too_short = -slope / curvature * (norm(s) / norm(step.direction));
            let scale = T::from_f64(too_short);
            if too_short > TOO_SHORT && scale.is_finite() {
                self.rest.iter_mut().for_each(|a| *a *= scale);
            }
        }
        update(&mut self.learnt, s, y, product, curvature, 1.0);
        update(&mut self.rest, s, y, product, curvature, 0.0);
        self.pairs = self.pairs.saturating_add(1);
        if self.pairs >= PAIRS_BY_VARIABLE.saturating_mul(len) && !self.rest.is_empty() {
            elementwise::add(&self.rest, &mut self.learnt);
            self.rest.clear();
        }
    }
}

/// Updates M ← (I − ρ s yᵀ) M (I − ρ y sᵀ) + share ρ s sᵀ, row by row:
/// M + ρ[(share + ρ yᵀMy) s sᵀ − My sᵀ − s (My)ᵀ].
fn update<T: Scalar>(matrix: &mut [T], s: &[T], y: &[T], product: &mut [T], curvature: f64, share: f64) {
    for (my, row) in product.iter_mut().zip(matrix.chunks_exact(s.len())) {
        *my = T::from_f64(dot(row, y));
    }
    let rho = 1.0 / curvature;
    let of_s = T::from_f64(rho * (share + rho * dot(y, product)));
    let rho = T::from_f64(rho);
    for ((row, &s_i), &my_i) in matrix.chunks_exact_mut(s.len()).zip(s).zip(&*product) {
        let (a, b) = (of_s * s_i - rho * my_i, rho * s_i);
        for ((m, &s), &my) in row.iter_mut().zip(s).zip(&*product) {
            *m += a * s - b * my;
        }
    }
}
