use super::*;
use crate::settings::at_least_one;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::dot;

/// The limited-memory BFGS method (Nocedal 1980; Liu & Nocedal 1989): a quasi-Newton method in (2m + 6) vectors of memory.
///
/// ```text
/// d = −H g by the two-loop recursion over the last m pairs s = x₊ − x, y = g₊ − g;   H₀ = sᵀy/yᵀy
/// ```
///
/// Defaults: m = 10, Moré & Thuente's line search. The first trial step is as long as a tenth of the root mean square
/// of x, then 1 is tried first. A pair is kept if sᵀy > ε |sᵀg| with the machine epsilon: all of it is the same in any units of f
/// and x. PyTorch's absolute threshold makes it stop early on badly scaled problems.
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
    /// Creates the method, which keeps the last 10 pairs.
    #[must_use]
    pub fn new() -> Self {
        Self::from_direction(LimitedMemory::new(10), MoreThuente::new())
    }
}

impl<T: Scalar> Default for Lbfgs<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar, S> Lbfgs<T, S> {
    setters! {
        /// Sets the number m of pairs that are kept.
        memory(pairs: usize) direction = LimitedMemory::new(pairs);
    }
}

/// The directions of [`Lbfgs`].
#[derive(Clone, Debug)]
pub struct LimitedMemory<T> {
    capacity: usize,
    len: usize,
    /// A ring, which grows to its capacity with the pairs.
    pairs: Vec<Pair<T>>,
    /// The index of the next pair, and the number of pairs.
    next: usize,
    count: usize,
    /// sᵀy/yᵀy of the newest pair.
    scale: f64,
}

#[derive(Clone, Debug)]
struct Pair<T> {
    /// The step s, and after it the change y of the gradient.
    vectors: Vec<T>,
    /// 1/sᵀy.
    rho: f64,
    alpha: f64,
}

impl<T> Pair<T> {
    fn parts(&self) -> (&[T], &[T]) {
        self.vectors.split_at(self.vectors.len() / 2)
    }
}

impl<T> LimitedMemory<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, len: 0, pairs: Vec::new(), next: 0, count: 0, scale: 1.0 }
    }

    /// Returns the index of the pair of this age; the newest has the age 1.
    fn index(&self, age: usize) -> usize {
        if age <= self.next { self.next - age } else { self.next + self.pairs.len() - age }
    }
}

impl<T: Scalar> Direction<T> for LimitedMemory<T> {
    fn check(&self) -> Result<(), SettingError> {
        at_least_one("the number of pairs in memory", self.capacity as u64)
    }

    fn begin(&mut self, len: usize) -> Result<(), SettingError> {
        self.len = len;
        self.pairs.clear();
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        (self.next, self.count) = (0, 0);
    }

    fn is_steepest(&self) -> bool {
        self.count == 0
    }

    fn is_scaled(&self) -> bool {
        true
    }

    fn point(&mut self, gradient: &[T], direction: &mut [T]) {
        elementwise::map(gradient, direction, |g| -g);
        if self.count == 0 {
            return;
        }
        for age in 1..=self.count {
            let index = self.index(age);
            let pair = &mut self.pairs[index];
            let (s, y) = pair.vectors.split_at(self.len);
            pair.alpha = pair.rho * dot(s, direction);
            add_scaled(direction, -pair.alpha, y);
        }
        let scale = T::from_f64(self.scale);
        elementwise::map_in_place(direction, |d| scale * d);
        for age in (1..=self.count).rev() {
            let pair = &self.pairs[self.index(age)];
            let (s, y) = pair.parts();
            let beta = pair.rho * dot(y, direction);
            add_scaled(direction, pair.alpha - beta, s);
        }
    }

    fn learn(&mut self, step: &Taken<'_, T>) {
        // After it has forgotten, it fills the pairs that are there.
        if self.next == self.pairs.len() && self.pairs.len() < self.capacity {
            self.pairs.push(Pair { vectors: vec![T::ZERO; 2 * self.len], rho: 0.0, alpha: 0.0 });
        }
        self.next %= self.pairs.len();
        let pair = &mut self.pairs[self.next];
        let (s, y) = pair.vectors.split_at_mut(self.len);
        elementwise::zip_map(step.x, step.x_before, s, |after, before| after - before);
        elementwise::zip_map(step.gradient, step.gradient_before, y, |after, before| after - before);
        let (curvature, square) = (dot(s, y), dot(y, y));
        let scale = curvature / square;
        if is_curved::<T>(curvature, dot(s, step.gradient_before)) && scale.is_finite() {
            pair.rho = 1.0 / curvature;
            self.scale = scale;
            self.next += 1;
            self.count = (self.count + 1).min(self.pairs.len());
        } else if self.count == self.pairs.len() {
            // The refused pair lies where the oldest was.
            self.count -= 1;
        }
    }
}

/// Returns whether a pair with this sᵀy and sᵀg shows a curvature that rounding did not make up.
/// Both sides have the units of f.
pub(super) fn is_curved<T: Scalar>(curvature: f64, slope: f64) -> bool {
    curvature > 0.0 && curvature > T::EPSILON.to_f64() * slope.abs() && (1.0 / curvature).is_finite()
}

/// Adds a multiple: y ← y + a x.
pub(super) fn add_scaled<T: Scalar>(y: &mut [T], a: f64, x: &[T]) {
    let a = T::from_f64(a);
    elementwise::update(x, y, |x, y| y + a * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_as_promised() {
        let (pairs, len) = (7, 1000);
        let mut method = Lbfgs::<f64>::new().memory(pairs);
        method.begin(len).unwrap();
        assert!(method.direction.pairs.is_empty());
        let (x_before, gradient_before, direction) = (vec![0.0; len], vec![-2.0; len], vec![2.0; len]);
        let (x, gradient) = (vec![1.0; len], vec![-1.0; len]);
        let step = Taken {
            x_before: &x_before,
            x: &x,
            gradient_before: &gradient_before,
            gradient: &gradient,
            direction: &direction,
        };
        (0..3 * pairs).for_each(|_| method.direction.learn(&step));
        let vectors: usize = method.direction.pairs.iter().map(|pair| pair.vectors.capacity()).sum();
        // In addition to these: the point, its gradient and the best point.
        let of_the_run = 3 * len;
        let numbers = method.numbers() + vectors + of_the_run;
        assert!(numbers <= (2 * pairs + 6) * len, "{numbers}");
    }

    #[test]
    fn a_huge_memory_holds_the_pairs_that_there_are() {
        let bowl = |x: &[f64], g: &mut [f64]| {
            g.iter_mut().zip(x).for_each(|(g, x)| *g = x.powi(3));
            x.iter().map(|x| x.powi(4) / 4.0).sum()
        };
        let mut method = Lbfgs::new().memory(usize::MAX);
        let outcome = minimize(bowl, [1.0, 2.0]).method(&mut method).run().unwrap();
        assert!(outcome.converged());
        assert!(method.direction.pairs.len() as u64 <= outcome.iterations);
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
