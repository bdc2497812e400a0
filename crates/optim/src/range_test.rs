use std::ops::ControlFlow;

use downhill_tensor::Scalar;

use crate::settings::{positive, require};
use crate::{EvaluationError, Optimizer, SettingError};

/// A learning-rate range test (Smith 2017): the rate grows exponentially from step to step until the loss runs away.
///
/// ```
/// use downhill_optim::{RangeTest, Sgd};
/// let mut theta = [1.0_f64, 1.0];
/// let test = RangeTest::new(1e-4, 10.0, 100);
/// let found = test.run(&mut Sgd::new(1.0), &mut theta, |theta, gradient| {
///     gradient.copy_from_slice(&[theta[0], 100.0 * theta[1]]);
///     Ok(0.5 * (theta[0] * theta[0] + 100.0 * theta[1] * theta[1]))
/// })?;
/// // Beyond 2/100 the second coordinate diverges.
/// assert!(found.steepest().is_some_and(|rate| rate < 0.02));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RangeTest {
    lowest: f64,
    highest: f64,
    steps: u64,
    smoothing: f64,
    runaway: f64,
}

/// The curve of losses that a [`RangeTest`] measured.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RangeCurve {
    /// The rate of each step.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub rates: Vec<f64>,
    /// The loss before each step.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub losses: Vec<f64>,
    /// The exponential average of the losses, without bias.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub smoothed: Vec<f64>,
}

impl RangeTest {
    /// Creates a test from the rate `lowest` to `highest` in at most `steps` steps.
    ///
    /// Losses are smoothed with the weight 0.98, and the test ends where they are 4 times their least, as in fastai;
    /// above a least loss m < 0, where they are m + 3|m|.
    #[must_use]
    pub fn new(lowest: f64, highest: f64, steps: u64) -> Self {
        Self { lowest, highest, steps, smoothing: 0.98, runaway: 4.0 }
    }

    setters! {
        /// Sets the weight of the past in the smoothed loss; 0 for an objective without noise.
        smoothing(weight: f64) smoothing = weight;
        /// Sets the multiple of its least at which the smoothed loss ends the test; above a least loss m < 0 it is
        /// m + (factor − 1)|m|.
        runaway(factor: f64) runaway = factor;
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Returns an error if one is not valid.
    pub fn check(&self) -> Result<(), SettingError> {
        positive("the lowest rate", self.lowest)?;
        positive("the highest rate", self.highest)?;
        require(self.highest > self.lowest, "the highest rate", self.highest, "greater than the lowest")?;
        let ratio = self.highest / self.lowest;
        require(ratio.is_finite(), "the highest rate", self.highest, "less than 1e308 times the lowest")?;
        require(self.steps > 1, "the number of steps", self.steps as f64, "at least 2")?;
        require((0.0..1.0).contains(&self.smoothing), "the smoothing", self.smoothing, "at least 0 and less than 1")?;
        require(self.runaway > 1.0, "the factor of a runaway loss", self.runaway, "greater than 1")
    }

    /// Returns the rate of this step, from 0.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        let fraction = step as f64 / (self.steps.max(2) - 1) as f64;
        self.lowest * (self.highest / self.lowest).powf(fraction)
    }

    /// Runs the test: steps `theta` with growing rates. The objective is called once a step, so it may draw a new batch each time.
    /// Afterwards `theta` is spent: go on from a copy made before. The optimizer is [reset](Optimizer::reset) at the end.
    ///
    /// # Errors
    /// Returns an error if the objective can't be evaluated. Settings are not checked: see
    /// [`check`](RangeTest::check).
    pub fn run<T: Scalar>(
        &self,
        optimizer: &mut (impl Optimizer<T> + ?Sized),
        theta: &mut [T],
        objective: impl FnMut(&[T], &mut [T]) -> Result<T, EvaluationError>,
    ) -> Result<RangeCurve, EvaluationError> {
        let curve = self.climb(optimizer, theta, objective);
        optimizer.reset();
        curve
    }

    fn climb<T: Scalar>(
        &self,
        optimizer: &mut (impl Optimizer<T> + ?Sized),
        theta: &mut [T],
        mut objective: impl FnMut(&[T], &mut [T]) -> Result<T, EvaluationError>,
    ) -> Result<RangeCurve, EvaluationError> {
        let mut gradient = vec![T::ZERO; theta.len()];
        let mut curve = RangeCurve::default();
        for step in 0..self.steps {
            let loss = objective(theta, &mut gradient)?.to_f64();
            if self.observe(&mut curve, loss).is_break() {
                break;
            }
            optimizer.set_learning_rate(self.rate(step));
            optimizer.step(theta, &gradient);
        }
        Ok(curve)
    }

    /// Adds the loss before a step to the curve of the steps before it, for a loop that sets the [`rate`](Self::rate) of
    /// each step itself. `Break` ends the test: the loss has run away.
    pub fn observe(&self, curve: &mut RangeCurve, loss: f64) -> ControlFlow<()> {
        let step = curve.losses.len();
        // smoothed = Σ sⁿ⁻ⁱ lossᵢ / Σ sⁿ⁻ⁱ over i = 1, ..., n, with n = step + 1.
        let weights = |count: usize| 1.0 - self.smoothing.powf(count as f64);
        let past = self.smoothing * weights(step) / weights(step + 1);
        let smoothed = curve.smoothed.last().map_or(loss, |before| past * before + (1.0 - past) * loss);
        let least = curve.smoothed.iter().copied().fold(f64::INFINITY, f64::min);
        curve.rates.push(self.rate(step as u64));
        curve.losses.push(loss);
        curve.smoothed.push(smoothed);
        let limit = least * (1.0 + (self.runaway - 1.0).copysign(least));
        // Written so that NaN ends the test too.
        let sane = smoothed.is_finite() && smoothed <= limit;
        if sane { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

impl RangeCurve {
    /// Returns the rate at which the smoothed loss falls most steeply, over the logarithm of the rate: a good one to train with.
    #[must_use]
    pub fn steepest(&self) -> Option<f64> {
        let slopes = self.smoothed.windows(2).map(|pair| pair[1] - pair[0]);
        // A NaN may have either sign, and would be the least or the greatest.
        let falling = slopes.enumerate().filter(|(_, slope)| *slope < 0.0);
        let (index, _) = falling.min_by(|a, b| a.1.total_cmp(&b.1))?;
        self.rates.get(index).copied()
    }

    /// Returns a tenth of the rate at which the smoothed loss is least, another usual choice.
    #[must_use]
    pub fn tenth_of_least(&self) -> Option<f64> {
        let known = self.smoothed.iter().enumerate().filter(|(_, loss)| !loss.is_nan());
        let (index, _) = known.min_by(|a, b| a.1.total_cmp(b.1))?;
        self.rates.get(index).map(|rate| rate / 10.0)
    }
}
