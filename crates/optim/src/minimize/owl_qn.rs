use super::directional::natural_step_from;
use super::proximal_gradient::{give_up, judge};
use super::watch::{STRICT, Watch};
use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::dot;

/// The orthant-wise limited-memory quasi-Newton method (Andrew & Gao 2007): L-BFGS for f + R, where f is the objective
/// and R a [`Penalty`], whose L1 part leaves exact zeros.
///
/// ```text
/// d = −H g,  with g the least subgradient of f + R, H from the pairs of L-BFGS of f alone,
///            and dᵢ = 0 unless it falls along −gᵢ
/// x₊ = x + α d,  with 0 for each entry that would leave its orthant: the sign of xᵢ, or of −gᵢ if xᵢ = 0
/// ```
///
/// Steps are shortened until the value has fallen by 1e-4 gᵀ(x₊ − x) (Armijo); m = 10 pairs.
/// It usually needs fewer evaluations than [`ProximalGradient`], above all where f is badly conditioned.
///
/// The values that are reported are those of f + R, gradient norms those of its least subgradient.
/// The penalty is bound to the objective's segments, if it has any.
///
/// ```
/// use downhill_optim::Penalty;
/// use downhill_optim::minimize::{OwlQn, minimize};
/// // (x − 3)²/2 + (y − ½)²/2 + |x| + |y| is least at (2, 0).
/// let bowl = |x: &[f64], g: &mut [f64]| {
///     g.copy_from_slice(&[x[0] - 3.0, x[1] - 0.5]);
///     0.5 * (g[0] * g[0] + g[1] * g[1])
/// };
/// let outcome = minimize(bowl, [1.0, 1.0]).method(OwlQn::new(Penalty::l1(1.0))).run()?;
/// assert!(outcome.converged() && (outcome.x[0] - 2.0).abs() < 1e-6);
/// assert_eq!(outcome.x[1], 0.0);
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OwlQn<T> {
    penalty: Penalty,
    /// The penalty as it is bound for the run; none before the first iteration.
    bound: Option<Penalty>,
    memory: LimitedMemory<T>,
    /// f(x), without the penalty.
    value: f64,
    d: Vec<T>,
    least: Vec<T>,
    trial_x: Vec<T>,
    trial_gradient: Vec<T>,
    /// Whether the trial point is the last that was evaluated.
    has_tried: bool,
    /// The trial before, or a step, or the gradient after it with that of the penalty's smooth part.
    smooth: Vec<T>,
    watch: Watch,
}

/// The number of times that a step may be shortened.
const TRIALS: u32 = 40;

impl<T: Scalar> OwlQn<T> {
    /// Creates the method with a penalty; it keeps the last 10 pairs.
    #[must_use]
    pub fn new(penalty: Penalty) -> Self {
        let [d, least, trial_x, trial_gradient, smooth] = Default::default();
        let memory = LimitedMemory::new(10);
        Self {
            penalty,
            bound: None,
            memory,
            value: f64::NAN,
            d,
            least,
            trial_x,
            trial_gradient,
            has_tried: false,
            smooth,
            watch: Watch::new(STRICT),
        }
    }

    setters! {
        /// Sets the number m of pairs that are kept.
        memory(pairs: usize) memory = LimitedMemory::new(pairs);
    }

    /// Sets the direction from the least subgradient, with no entry that rises where the penalty has a kink.
    fn point(&mut self, penalty: &Penalty) {
        self.memory.point(&self.least, &mut self.d);
        if !self.memory.is_steepest() && penalty.weight_of_l1() > 0.0 {
            let Self { least, d, .. } = self;
            penalty.for_each_range(d.len(), |range| {
                elementwise::update(
                    &least[range.clone()],
                    &mut d[range],
                    |g, d| if g * d < T::ZERO { d } else { T::ZERO },
                );
            });
        }
    }

    /// Sets the trial point x + α d, without the entries that leave their orthant; whether it is neither x nor the
    /// point that was tried before.
    fn place(&mut self, x: &[T], step: f64, penalty: &Penalty) -> bool {
        let length = T::from_f64(step);
        std::mem::swap(&mut self.trial_x, &mut self.smooth);
        elementwise::zip_map(x, &self.d, &mut self.trial_x, |x, d| x + length * d);
        if penalty.weight_of_l1() > 0.0 {
            let Self { least, trial_x, .. } = self;
            penalty.for_each_range(x.len(), |range| {
                let signs = x[range.clone()].iter().zip(&least[range.clone()]);
                for (trial, (&x, &g)) in trial_x[range].iter_mut().zip(signs) {
                    let orthant = if x == T::ZERO { -g } else { x };
                    if *trial * T::ONE.copysign(orthant) <= T::ZERO {
                        *trial = T::ZERO;
                    }
                }
            });
        }
        self.trial_x != x && !(self.has_tried && self.trial_x == self.smooth)
    }

    /// Searches for a step along the direction.
    fn search(
        &mut self,
        at: &Iterate<T>,
        penalty: &Penalty,
        evaluator: &mut Evaluator<'_, T>,
    ) -> Result<SearchEnd, Reason> {
        let norm = norm_max(&self.least);
        let mut step = if self.memory.is_steepest() { natural_step_from(&at.x, at.value, &self.least) } else { 1.0 };
        for _ in 0..TRIALS {
            if !self.place(&at.x, step, penalty) {
                return Ok(SearchEnd::Still);
            }
            self.has_tried = true;
            let value = evaluator.evaluate(&self.trial_x, &mut self.trial_gradient)?;
            elementwise::zip_map(&self.trial_x, &at.x, &mut self.smooth, |after, before| after - before);
            let gained = dot(&self.least, &self.smooth);
            // Near the minimum rounding hides the fall of the value, and the gradient tells.
            let flattens = evaluator.last_gradient_norm() < norm;
            let is_level = (value - at.value).abs() <= T::EPSILON.to_f64().powf(2.0 / 3.0) * at.value.abs();
            let is_low = value < at.value && value <= at.value + 1e-4 * gained;
            if value.is_finite() && (is_low || (is_level && flattens) || evaluator.last_meets_rule()) {
                return Ok(SearchEnd::Found(value));
            }
            let parabola = -gained * step / (2.0 * (value - at.value - gained));
            step = if parabola.is_finite() { parabola.clamp(0.1 * step, 0.5 * step) } else { 0.1 * step };
        }
        Ok(SearchEnd::Failed)
    }
}

enum SearchEnd {
    /// The trial point has this value.
    Found(f64),
    /// The steps became so short that x did not move.
    Still,
    Failed,
}

impl<T: Scalar> Method<T> for OwlQn<T> {
    fn check(&self) -> Result<(), SettingError> {
        Direction::<T>::check(&self.memory)?;
        self.penalty.check()
    }

    fn begin(&mut self, len: usize) -> Result<(), SettingError> {
        let Self { d, least, trial_x, trial_gradient, smooth, .. } = self;
        for vector in [d, least, trial_x, trial_gradient, smooth] {
            vector.clear();
            vector.resize(len, T::ZERO);
        }
        (self.bound, self.value, self.has_tried, self.watch) = (None, f64::NAN, false, Watch::new(STRICT));
        self.memory.begin(len)
    }

    fn penalty(&self) -> Option<&Penalty> {
        Some(&self.penalty)
    }

    fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
        let penalty = self.bound.take().unwrap_or_else(|| {
            // The last evaluation was that of the start.
            self.value = evaluator.last_smooth_value();
            evaluator.penalty().unwrap_or(&self.penalty).clone()
        });
        let end = self.step(at, &penalty, evaluator);
        self.bound = Some(penalty);
        end
    }
}

impl<T: Scalar> OwlQn<T> {
    fn step(&mut self, at: &mut Iterate<T>, penalty: &Penalty, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
        let mut is_still = false;
        let start = evaluator.evaluations();
        // By the memory; then along the steepest descent.
        for _ in 0..2 {
            self.least.copy_from_slice(&at.gradient);
            penalty.least_subgradient(&at.x, &mut self.least);
            self.point(penalty);
            let slope = dot(&self.least, &self.d);
            let before = evaluator.evaluations();
            if slope < 0.0 && slope.is_finite() {
                match self.search(at, penalty, evaluator)? {
                    SearchEnd::Found(value) => {
                        let values = [self.value, evaluator.last_smooth_value()];
                        // The step is still in `smooth`.
                        let stated = 0.5 * (dot(&at.gradient, &self.smooth) + dot(&self.trial_gradient, &self.smooth));
                        let evaluations = [before - start, evaluator.evaluations() - before];
                        let is_doubtful = self.watch.is_doubtful::<T>(evaluations, values, stated);
                        let is_stuck = self.watch.is_stuck(value, evaluator.last_gradient_norm());
                        self.value = values[1];
                        self.arrive(at, value, penalty);
                        let scratch = [&mut self.least[..], &mut self.trial_x[..], &mut self.trial_gradient[..]];
                        return judge([is_stuck, is_doubtful], at, self.value, evaluator, scratch);
                    }
                    found => is_still = matches!(found, SearchEnd::Still),
                }
            }
            if self.memory.is_steepest() {
                break;
            }
            self.memory.forget();
        }
        let scratch = [&mut self.least[..], &mut self.trial_x[..], &mut self.trial_gradient[..]];
        Err(give_up(at, self.value, is_still, evaluator, scratch))
    }

    /// Moves to the trial point and learns from the step there.
    fn arrive(&mut self, at: &mut Iterate<T>, value: f64, penalty: &Penalty) {
        let Self { memory, d, least, trial_x, trial_gradient, smooth, .. } = self;
        least.copy_from_slice(&at.gradient);
        penalty.add_smooth(&at.x, least);
        smooth.copy_from_slice(trial_gradient);
        penalty.add_smooth(trial_x, smooth);
        memory.learn(&Taken { x_before: &at.x, x: trial_x, gradient_before: least, gradient: smooth, direction: d });
        std::mem::swap(&mut at.x, trial_x);
        std::mem::swap(&mut at.gradient, trial_gradient);
        at.value = value;
        self.has_tried = false;
    }
}
