use super::directional::natural_step;
use super::obstacle::{Probe, probe};
use super::watch::{STRICT, Watch};
use super::*;
use downhill_tensor::elementwise;
use downhill_tensor::reduce::{dot, sum_of_squares};

/// Proximal gradient steps with acceleration (FISTA, Beck & Teboulle 2009): minimises f + R, where f is the objective
/// and R a [`Penalty`], whose L1 part leaves exact zeros.
///
/// ```text
/// x₊ = prox(z − α ∇f(z)),   t₊ = (1 + √(1 + 4t²))/2,   z₊ = x₊ + (t − 1)/t₊ (x₊ − x)
/// ```
///
/// The momentum starts anew, z = x, whenever it points uphill, (z − x₊)ᵀ(x₊ − x) > 0, or the value has risen
/// (O'Donoghue & Candès 2015), so a strongly convex f + R is solved at a linear rate with no constant to set.
/// The step α is halved until f(x₊) ≤ f(z) + ∇f(z)ᵀ(x₊ − z) + ‖x₊ − z‖²/(2α), and grows again where the curvature is
/// smaller.
/// Two evaluations an iteration: at z and at x₊.
///
/// The values that are reported are those of f + R, gradient norms those of its least subgradient.
/// The penalty is bound to the objective's segments, if it has any.
///
/// ```
/// use downhill_optim::Penalty;
/// use downhill_optim::minimize::{ProximalGradient, minimize};
/// // (x − 3)²/2 + (y − ½)²/2 + |x| + |y| is least at (2, 0).
/// let bowl = |x: &[f64], g: &mut [f64]| {
///     g.copy_from_slice(&[x[0] - 3.0, x[1] - 0.5]);
///     0.5 * (g[0] * g[0] + g[1] * g[1])
/// };
/// let outcome = minimize(bowl, [1.0, 1.0]).method(ProximalGradient::new(Penalty::l1(1.0))).run()?;
/// assert!(outcome.converged() && (outcome.x[0] - 2.0).abs() < 1e-6);
/// assert_eq!(outcome.x[1], 0.0);
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProximalGradient<T> {
    penalty: Penalty,
    /// α; none before the first iteration.
    step: Option<f64>,
    /// t; without momentum it is 1.
    t: f64,
    /// f(x), without the penalty.
    value: f64,
    /// z with ∇f(z), x₊ with ∇f(x₊), and x₊ − z.
    z: Vec<T>,
    z_gradient: Vec<T>,
    next: Vec<T>,
    next_gradient: Vec<T>,
    d: Vec<T>,
    /// Whether x₊ is the last point that was evaluated.
    has_tried: bool,
    watch: Watch,
}

/// A step from z.
struct Found {
    /// f(x₊).
    value: f64,
    /// f(x₊) + R(x₊).
    sum: f64,
    /// Whether the values are too near to each other to tell a step that is short enough.
    is_level: bool,
    /// Whether the gradient should be probed.
    is_doubtful: bool,
}

/// The number of times that a step may be shortened in an iteration.
const TRIALS: u32 = 100;

impl<T: Scalar> ProximalGradient<T> {
    /// Creates the method with a penalty.
    #[must_use]
    pub fn new(penalty: Penalty) -> Self {
        let [z, z_gradient, next, next_gradient, d] = Default::default();
        Self {
            penalty,
            step: None,
            t: 1.0,
            value: f64::NAN,
            z,
            z_gradient,
            next,
            next_gradient,
            d,
            has_tried: false,
            watch: Watch::new(STRICT),
        }
    }

    /// Looks for a step from z, where f has this value.
    fn step(&mut self, value: f64, at: &Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<Option<Found>, Reason> {
        let evaluations = evaluator.evaluations();
        let mut step = self.step.unwrap_or(1.0);
        for _ in 0..TRIALS {
            let length = T::from_f64(step);
            std::mem::swap(&mut self.next, &mut self.d);
            elementwise::zip_map(&self.z, &self.z_gradient, &mut self.next, |z, g| z - length * g);
            if let Some(penalty) = evaluator.penalty() {
                penalty.proximal(step, &mut self.next);
            }
            let is_known = self.has_tried && self.next == self.d;
            if is_known || self.next == at.x || self.next == self.z {
                return Ok(None);
            }
            self.has_tried = true;
            let sum = evaluator.evaluate(&self.next, &mut self.next_gradient)?;
            let next_value = evaluator.last_smooth_value();
            if !sum.is_finite() {
                step *= 0.1;
                continue;
            }
            elementwise::zip_map(&self.next, &self.z, &mut self.d, |next, z| next - z);
            let (square, slope) = (sum_of_squares(&self.d), dot(&self.z_gradient, &self.d));
            let bend = dot(&self.next_gradient, &self.d) - slope;
            // Near the minimum rounding hides the difference of the values, and the gradients tell.
            let is_level = (next_value - value).abs() <= T::EPSILON.to_f64().sqrt() * value.abs();
            let is_short = next_value - value - slope <= 0.5 * square / step;
            if is_short || (is_level && bend <= square / step) || evaluator.last_meets_rule() {
                self.step = Some(if step * bend <= 0.5 * square { 1.2 * step } else { step });
                let trials = evaluator.evaluations() - evaluations;
                // Far from the minimum, values that ask for shorter steps than the gradients do are a sign too.
                let spent = if is_short { [0, trials] } else { [trials, 0] };
                let is_doubtful = self.watch.is_doubtful::<T>(spent, [value, next_value], slope + 0.5 * bend);
                return Ok(Some(Found { value: next_value, sum, is_level: !is_short, is_doubtful }));
            }
            step *= 0.5;
        }
        Ok(None)
    }
}

impl<T: Scalar> Method<T> for ProximalGradient<T> {
    fn check(&self) -> Result<(), SettingError> {
        self.penalty.check()
    }

    fn begin(&mut self, len: usize) -> Result<(), SettingError> {
        let Self { z, z_gradient, next, next_gradient, d, .. } = self;
        for vector in [z, z_gradient, next, next_gradient, d] {
            vector.clear();
            vector.resize(len, T::ZERO);
        }
        (self.step, self.t, self.has_tried, self.watch) = (None, 1.0, false, Watch::new(STRICT));
        Ok(())
    }

    fn penalty(&self) -> Option<&Penalty> {
        Some(&self.penalty)
    }

    fn iterate(&mut self, at: &mut Iterate<T>, evaluator: &mut Evaluator<'_, T>) -> Result<(), Reason> {
        if self.step.is_none() {
            // The last evaluation was that of the start.
            self.value = evaluator.last_smooth_value();
            self.step = Some(natural_step(at));
        }
        let mut found = None;
        if self.t > 1.0 && self.z != at.x {
            let value = evaluator.evaluate(&self.z, &mut self.z_gradient)?;
            self.has_tried = false;
            if value.is_finite() {
                found = self.step(evaluator.last_smooth_value(), at, evaluator)?;
            }
        }
        if found.is_none() {
            self.t = 1.0;
            self.z.copy_from_slice(&at.x);
            self.z_gradient.copy_from_slice(&at.gradient);
            found = self.step(self.value, at, evaluator)?;
        }
        let Some(Found { value, sum, is_level, is_doubtful }) = found else {
            let is_still = self.next == at.x;
            let scratch = [&mut self.d[..], &mut self.next[..], &mut self.next_gradient[..]];
            return Err(give_up(at, self.value, is_still, evaluator, scratch));
        };
        elementwise::zip_map(&self.next, &at.x, &mut self.z, |next, x| next - x);
        // (z − x₊)ᵀ(x₊ − x) = −dᵀ(x₊ − x)
        let is_uphill = dot(&self.d, &self.z) < 0.0;
        let rises = sum - at.value > 16.0 * T::EPSILON.to_f64() * at.value.abs();
        let t = if is_uphill || rises { 1.0 } else { 0.5 * (1.0 + (1.0 + 4.0 * self.t * self.t).sqrt()) };
        // Just after a start this is 0, and z is x₊.
        let momentum = T::from_f64((self.t - 1.0) / t);
        elementwise::update(&self.next, &mut self.z, |next, moved| next + momentum * moved);
        self.t = t;
        self.has_tried = false;
        self.value = value;
        at.value = sum;
        std::mem::swap(&mut at.x, &mut self.next);
        std::mem::swap(&mut at.gradient, &mut self.next_gradient);
        let is_stuck = is_level && self.watch.is_stuck(sum, evaluator.last_gradient_norm());
        let scratch = [&mut self.d[..], &mut self.next[..], &mut self.next_gradient[..]];
        judge([is_stuck, is_doubtful], at, value, evaluator, scratch)
    }
}

/// Returns an error if a method with a penalty is stuck, or if it is doubtful and a probe at this point, where f has this
/// value, confirms it.
pub(super) fn judge<T: Scalar>(
    [is_stuck, is_doubtful]: [bool; 2],
    at: &Iterate<T>,
    value: f64,
    evaluator: &mut Evaluator<'_, T>,
    scratch: [&mut [T]; 3],
) -> Result<(), Reason> {
    if !(is_stuck || is_doubtful) {
        return Ok(());
    }
    let [of_sum, of_f] = probe_both(at, value, evaluator, scratch);
    if let Some(found) = [&of_sum, &of_f].into_iter().find(|found| found.is_beyond_doubt) {
        return Err(Reason::LineSearchFailed(found.obstacle));
    }
    if is_stuck { Err(Reason::LineSearchFailed(of_f.obstacle)) } else { Ok(()) }
}

/// Returns why no step of a method with a penalty makes the value fall, where f has this value and `is_still` says whether the
/// last step tried did not move x.
pub(super) fn give_up<T: Scalar>(
    at: &Iterate<T>,
    value: f64,
    is_still: bool,
    evaluator: &mut Evaluator<'_, T>,
    scratch: [&mut [T]; 3],
) -> Reason {
    let [of_sum, of_f] = probe_both(at, value, evaluator, scratch);
    let is_wrong = |found: &&Probe| matches!(found.obstacle, Obstacle::WrongGradient { .. });
    if let Some(found) = [&of_sum, &of_f].into_iter().find(is_wrong) {
        return Reason::LineSearchFailed(found.obstacle);
    }
    if is_still && of_sum.is_at_rounding && evaluator.takes_rounding_for_success(at.value) {
        return Reason::GradientVanished;
    }
    Reason::LineSearchFailed(if is_still { Obstacle::Rounding } else { of_f.obstacle })
}

/// Probes f along the direction in which f + R falls fastest, and along that in which f does: a gradient that is wrong
/// may look right along one of them.
fn probe_both<T: Scalar>(
    at: &Iterate<T>,
    value: f64,
    evaluator: &mut Evaluator<'_, T>,
    [least, x, gradient]: [&mut [T]; 3],
) -> [Probe; 2] {
    least.copy_from_slice(&at.gradient);
    if let Some(penalty) = evaluator.penalty() {
        penalty.least_subgradient(&at.x, least);
    }
    let of_sum = probe(at, value, least, STRICT, evaluator, [x, gradient]);
    [of_sum, probe(at, value, &at.gradient, STRICT, evaluator, [x, gradient])]
}
