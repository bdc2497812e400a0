use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::dot;

/// The limited-memory BFGS method (Nocedal 1980; Liu & Nocedal 1989): a quasi-Newton method in (2m + 6) vectors of memory.
///
/// ```text
/// d = −H g by the two-loop recursion over the last m pairs s = x₊ − x, y = g₊ − g;   H₀ = sᵀy/yᵀy
/// ```
///
/// Defaults: m = 10, Moré & Thuente's line search. The first step is 1/‖g‖ long, then 1 is tried first.
/// A pair is kept if sᵀy > ε ‖y‖², with the machine epsilon, a rule that scales with the problem;
/// PyTorch's absolute threshold makes it stop early on badly scaled problems.
///
/// ```
/// use downhill_optim::minimize::{Lbfgs, minimize};
/// use downhill_optim::test_functions::rosenbrock;
/// let function = rosenbrock();
/// let outcome = minimize(&function, function.start()).method(Lbfgs::new()).run()?;
/// assert!(outcome.converged() && outcome.evaluations < 50);
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
pub type Lbfgs<T, S = MoreThuente> = Directional<LimitedMemory<T>, S, T>;

impl<T: Scalar> Lbfgs<T> {
    /// With the last 10 pairs.
    #[must_use]
    pub fn new() -> Self {
        Self::of(LimitedMemory::new(10), MoreThuente::new())
    }
}

impl<T: Scalar> Default for Lbfgs<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar, S> Lbfgs<T, S> {
    /// The number m of pairs that are kept.
    #[must_use]
    pub fn memory(mut self, pairs: usize) -> Self {
        self.direction = LimitedMemory::new(pairs);
        self
    }
}

/// The directions of [`Lbfgs`].
#[derive(Clone, Debug)]
pub struct LimitedMemory<T> {
    capacity: usize,
    len: usize,
    /// The steps and the changes of the gradient, in a ring: pair i is at 2i and 2i + 1.
    vectors: Vec<T>,
    /// 1/sᵀy of each pair.
    rho: Vec<f64>,
    alpha: Vec<f64>,
    /// Where the next pair goes, and how many there are.
    next: usize,
    count: usize,
    /// sᵀy/yᵀy of the newest pair.
    scale: f64,
}

impl<T> LimitedMemory<T> {
    fn new(capacity: usize) -> Self {
        let (vectors, rho, alpha) = (Vec::new(), Vec::new(), Vec::new());
        Self { capacity, len: 0, vectors, rho, alpha, next: 0, count: 0, scale: 1.0 }
    }

    fn pair(&self, index: usize) -> (&[T], &[T]) {
        self.vectors[2 * index * self.len..2 * (index + 1) * self.len].split_at(self.len)
    }
}

impl<T: Scalar> Direction<T> for LimitedMemory<T> {
    const IS_SCALED: bool = true;

    fn check(&self) -> Result<(), SettingError> {
        require(self.capacity > 0, "the number of pairs in memory", 0.0, "at least 1")
    }

    fn begin(&mut self, len: usize) {
        self.len = len;
        self.vectors.clear();
        self.vectors.resize(2 * self.capacity * len, T::ZERO);
        self.rho = vec![0.0; self.capacity];
        self.alpha = vec![0.0; self.capacity];
        self.forget();
    }

    fn forget(&mut self) {
        (self.next, self.count) = (0, 0);
    }

    fn is_steepest(&self) -> bool {
        self.count == 0
    }

    fn point(&mut self, gradient: &[T], direction: &mut [T]) {
        elementwise::map(gradient, direction, |g| -g);
        if self.count == 0 {
            return;
        }
        let newest_first = (1..=self.count).map(|back| (self.next + self.capacity - back) % self.capacity);
        for index in newest_first.clone() {
            let (s, y) = self.pair(index);
            let alpha = self.rho[index] * dot(s, direction);
            add_scaled(direction, -alpha, y);
            self.alpha[index] = alpha;
        }
        let scale = T::of(self.scale);
        elementwise::map_in_place(direction, |d| scale * d);
        for index in newest_first.rev() {
            let (s, y) = self.pair(index);
            let beta = self.rho[index] * dot(y, direction);
            add_scaled(direction, self.alpha[index] - beta, s);
        }
    }

    fn learn(&mut self, step: &Taken<'_, T>) {
        let range = 2 * self.next * self.len..2 * (self.next + 1) * self.len;
        let (s, y) = self.vectors[range].split_at_mut(self.len);
        elementwise::zip_map(step.x, step.x_before, s, |after, before| after - before);
        elementwise::zip_map(step.gradient, step.gradient_before, y, |after, before| after - before);
        let (curvature, square) = (dot(s, y), dot(y, y));
        if curvature > T::EPSILON.to_f64() * square && (curvature / square).is_finite() && (1.0 / curvature).is_finite()
        {
            self.rho[self.next] = 1.0 / curvature;
            self.scale = curvature / square;
            self.next = (self.next + 1) % self.capacity;
            self.count = (self.count + 1).min(self.capacity);
        } else if self.count == self.capacity {
            // The refused pair lies where the oldest was.
            self.count -= 1;
        }
    }
}

/// y ← y + a x.
pub(super) fn add_scaled<T: Scalar>(y: &mut [T], a: f64, x: &[T]) {
    let a = T::of(a);
    elementwise::update(x, y, |x, y| y + a * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_as_promised() {
        let (pairs, len) = (7, 1000);
        let mut method = Lbfgs::<f64>::new().memory(pairs);
        method.begin(len);
        // Beside these: the point, its gradient and the best point.
        let of_the_run = 3 * len;
        let numbers = method.numbers() + method.direction.vectors.capacity() + of_the_run;
        assert!(numbers <= (2 * pairs + 6) * len, "{numbers}");
    }

    #[test]
    fn a_quadratic_is_solved_in_about_as_many_steps_as_it_has_variables() {
        let bowl = |x: &[f64], g: &mut [f64]| {
            let curvature = |i: usize| (i + 1) as f64;
            g.iter_mut().zip(x).enumerate().for_each(|(i, (g, x))| *g = curvature(i) * (x - 1.0));
            x.iter().enumerate().map(|(i, x)| 0.5 * curvature(i) * (x - 1.0).powi(2)).sum()
        };
        let outcome = minimize(bowl, vec![0.0; 8]).run().unwrap();
        assert!(outcome.converged() && outcome.iterations <= 20, "{outcome:?}");
    }
}
