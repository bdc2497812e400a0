//! The learning-rate finder: a range test of a network on its data.

use std::fmt;
use std::ops::ControlFlow;

use downhill_data::Dataset;
use downhill_losses::Loss;
use downhill_network::Network;
use downhill_optim::schedule::Schedule;
use downhill_optim::{Optimizer, RangeCurve, RangeTest};
use downhill_tensor::threads::Threads;
use downhill_tensor::{Scalar, Seed};
use downhill_train::{Cause, TrainError, Trainer};

/// A learning-rate finder (Smith 2015, "Cyclical learning rates for training neural networks"): it trains a copy of a
/// network for some steps with a rate that rises exponentially, and watches when the loss begins to fall and when it
/// runs away.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_layers::{Affine, Tanh};
/// use downhill_losses::MeanSquaredError;
/// use downhill_network::{Network, sequential};
/// use downhill_optim::Adam;
/// use downhill_tensor::Seed;
/// use downhill_train::Trainer;
/// use downhill_tune::RateFinder;
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((256, 1), |(i, _)| i as f64 / 128.0 - 1.0);
/// let y = x.mapv(|x| (3.0 * x).sin());
/// let data = Dataset::from_array(x, y)?;
/// let mut network = Network::build([1], sequential![Affine::new(16), Tanh, Affine::new(1)], Seed(1))?;
///
/// let optimizer = Adam::new(1e-3);
/// let curve = RateFinder::new().batch_size(64).find(&network, &data, MeanSquaredError::new(), &optimizer)?;
/// let rate = curve.suggestion().ok_or("the loss fell at no rate")?;
/// assert!((1e-3..1.0).contains(&rate));
///
/// let mut trainer = Trainer::new(MeanSquaredError::new(), Adam::new(rate)).batch_size(64).epochs(60);
/// assert!(trainer.fit(&mut network, &data)?.epochs[59].training_loss < 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateFinder {
    lowest: f64,
    highest: f64,
    steps: u64,
    smoothing: f64,
    runaway: f64,
    batch_size: usize,
    clip_norm: Option<f64>,
    seed: Seed,
    threads: Option<Threads>,
}

impl Default for RateFinder {
    fn default() -> Self {
        Self::new()
    }
}

impl RateFinder {
    /// Makes a finder that tries rates from 10⁻⁷ to 10 in 200 steps of 32 examples, smooths losses with the weight 0.9,
    /// and ends when they are 4 times their least.
    ///
    /// fastai takes 100 steps and the weight 0.98, which shows the fall some decades late.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lowest: 1e-7,
            highest: 10.0,
            steps: 200,
            smoothing: 0.9,
            runaway: 4.0,
            batch_size: 32,
            clip_norm: None,
            seed: Seed(0),
            threads: None,
        }
    }

    /// Sets the lowest and the highest rate.
    #[must_use]
    pub fn range(mut self, lowest: f64, highest: f64) -> Self {
        (self.lowest, self.highest) = (lowest, highest);
        self
    }

    /// Sets the most steps; a small batch needs more of them for a curve that can be read.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Sets the weight of the past in the smoothed loss, from 0 to below 1.
    #[must_use]
    pub fn smoothing(mut self, weight: f64) -> Self {
        self.smoothing = weight;
        self
    }

    /// Sets the multiple of its least at which the smoothed loss ends the run.
    #[must_use]
    pub fn runaway(mut self, factor: f64) -> Self {
        self.runaway = factor;
        self
    }

    /// Sets the number of examples in a step: that of the training to come, since the best rate depends on it.
    #[must_use]
    pub fn batch_size(mut self, examples: usize) -> Self {
        self.batch_size = examples;
        self
    }

    /// Scales a gradient whose norm over all parameters exceeds `max_norm` down to it, if the training to come does so.
    #[must_use]
    pub fn clip_norm(mut self, max_norm: f64) -> Self {
        self.clip_norm = Some(max_norm);
        self
    }

    /// Sets the seed of the order in which examples are seen.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the threads that share the work; a trainer's choice unless set. The result has the same bits either way.
    #[must_use]
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Runs the test with copies of the network and of the optimizer, whose own learning rate does not matter.
    ///
    /// # Errors
    /// Returns an error if a setting is not valid, if the data do not fit the network or the loss, or if the loss is not
    /// finite before any step. A loss that runs away later is no error: it ends the curve.
    pub fn find<T: Scalar, L: Loss, O: Optimizer<T> + Clone>(
        &self,
        network: &Network<T>,
        data: &Dataset<T>,
        loss: L,
        optimizer: &O,
    ) -> Result<RateCurve, TrainError> {
        let test =
            RangeTest::new(self.lowest, self.highest, self.steps).smoothing(self.smoothing).runaway(self.runaway);
        test.check()?;
        let mut curve = RangeCurve::default();
        let mut has_run_away = false;
        let mut trainer = Trainer::new(loss, optimizer.clone())
            // Each has a step at least.
            .epochs(self.steps)
            .batch_size(self.batch_size)
            .drop_last()
            .seed(self.seed)
            .schedule(Rising(test))
            .on_step(|end| {
                has_run_away = test.observe(&mut curve, end.loss).is_break();
                let is_over = has_run_away || end.step + 1 >= self.steps;
                if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        if let Some(max_norm) = self.clip_norm {
            trainer = trainer.clip_norm(max_norm);
        }
        if let Some(threads) = &self.threads {
            trainer = trainer.threads(threads.clone());
        }
        let result = trainer.fit(&mut network.clone(), data);
        drop(trainer);
        match result {
            Ok(_) => {}
            Err(TrainError::Diverged(divergence)) if is_of_the_rate(&divergence.cause) => {
                has_run_away = true;
                let _ = test.observe(&mut curve, divergence.loss);
            }
            Err(error) => return Err(error),
        }
        Ok(RateCurve { curve, has_run_away })
    }
}

/// Whether training went well before a step was too long, whatever has made it so.
fn is_of_the_rate(cause: &Cause) -> bool {
    !matches!(cause, Cause::Start { .. } | Cause::Example { .. } | Cause::Batch)
}

/// The rates of a range test, as a trainer takes them.
#[derive(Debug)]
struct Rising(RangeTest);

impl Schedule for Rising {
    fn rate(&self, _base: f64, step: u64) -> f64 {
        self.0.rate(step)
    }
}

/// The losses at rising learning rates, as a [`RateFinder`] has measured them.
///
/// It prints as a table of some twenty rows.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RateCurve {
    curve: RangeCurve,
    has_run_away: bool,
}

/// A step of a [`RateCurve`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RatePoint {
    /// The learning rate of the step.
    pub rate: f64,
    /// The loss of the step's batch, before the step.
    pub loss: f64,
    /// The exponential average of the losses so far, without bias.
    pub smoothed: f64,
}

impl RateCurve {
    /// The steps, in their order.
    pub fn points(&self) -> impl ExactSizeIterator<Item = RatePoint> + '_ {
        let RangeCurve { rates, losses, smoothed, .. } = &self.curve;
        let point = |((&rate, &loss), &smoothed)| RatePoint { rate, loss, smoothed };
        rates.iter().zip(losses).zip(smoothed).map(point)
    }

    /// The rate at which the smoothed loss falls most steeply over the logarithm of the rate; `None` if it never falls.
    ///
    /// The slope is taken over a tenth of the steps, after the first tenth of them and up to the least loss: elsewhere and
    /// from one step to the next it is mostly noise.
    #[must_use]
    pub fn suggestion(&self) -> Option<f64> {
        let RangeCurve { rates, smoothed, .. } = &self.curve;
        let known = smoothed.iter().enumerate().filter(|(_, loss)| loss.is_finite());
        let (least, _) = known.min_by(|a, b| a.1.total_cmp(b.1))?;
        let reach = (smoothed.len() / 20).max(1);
        let middles = (2 * reach).min(least / 2).max(reach)..=least.checked_sub(reach)?;
        let fall = |&middle: &usize| smoothed[middle - reach] - smoothed[middle + reach];
        let steepest = middles.filter(|middle| fall(middle) > 0.0).max_by(|a, b| fall(a).total_cmp(&fall(b)))?;
        rates.get(steepest).copied()
    }

    /// A tenth of the rate at which the smoothed loss is least: the other usual choice.
    #[must_use]
    pub fn tenth_of_least(&self) -> Option<f64> {
        self.curve.tenth_of_least()
    }

    /// Whether the loss ran away before the last rate. If it did not, the highest rate may be too low to see enough.
    #[must_use]
    pub fn has_run_away(&self) -> bool {
        self.has_run_away
    }
}

/// The most rows of a printed table.
const ROWS: usize = 20;

impl fmt::Display for RateCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  {:>12}  {:>12}", "rate", "loss", "smoothed")?;
        let every = self.points().len().div_ceil(ROWS).max(1);
        for RatePoint { rate, loss, smoothed } in self.points().step_by(every) {
            writeln!(f, "{rate:>10.1e}  {loss:>12.4}  {smoothed:>12.4}")?;
        }
        match self.suggestion() {
            Some(rate) => write!(f, "the loss falls most steeply at {rate:.1e}")?,
            None => f.write_str("the loss falls at no rate")?,
        }
        if let Some(rate) = self.tenth_of_least() {
            write!(f, "; a tenth of the rate of the least loss is {rate:.1e}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss that falls by one around the decade of 10^`middle`, and runs away from 10^0 on.
    fn planted(middle: f64, noise: f64) -> RateCurve {
        let test = RangeTest::new(1e-7, 10.0, 200).smoothing(0.5);
        let (mut curve, mut stream) = (RangeCurve::default(), Seed(5).stream(0));
        let has_run_away = (0..200).any(|step| {
            let decade = test.rate(step).log10();
            let loss = 2.0 - 1.0 / (1.0 + (-3.0 * (decade - middle)).exp()) + (6.0 * decade).exp();
            test.observe(&mut curve, loss + noise * (stream.uniform() - 0.5)).is_break()
        });
        RateCurve { curve, has_run_away }
    }

    #[test]
    fn the_suggestion_is_the_planted_fall() {
        for middle in [-4.0, -3.0, -2.0] {
            for noise in [0.0, 0.1] {
                let curve = planted(middle, noise);
                let decade = curve.suggestion().unwrap().log10();
                assert!((decade - middle).abs() < 0.4, "{decade} for {middle} with noise {noise}");
                assert!(curve.has_run_away());
            }
        }
    }

    #[test]
    fn a_loss_that_does_not_fall_suggests_nothing() {
        let curve = |losses: &[f64]| {
            let test = RangeTest::new(1e-3, 1.0, losses.len().max(2) as u64).smoothing(0.0);
            let mut curve = RangeCurve::default();
            for &loss in losses {
                let _ = test.observe(&mut curve, loss);
            }
            RateCurve { curve, has_run_away: false }
        };
        for losses in
            [&[][..], &[1.0], &[1.0, 1.0, 1.0, 1.0], &[1.0, 2.0, 3.0], &[f64::NAN, f64::NAN], &[1.0, -f64::NAN]]
        {
            assert_eq!(curve(losses).suggestion(), None, "{losses:?}");
        }
        assert!(
            curve(&[1.0, 2.0])
                .to_string()
                .ends_with("the loss falls at no rate; a tenth of the rate of the least loss is 1.0e-4")
        );
        // Three steps are the fewest with a slope around one of them.
        let rate = curve(&[3.0, 2.0, 1.0]).suggestion().unwrap();
        assert!((rate.log10() + 1.5).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn a_table_has_few_rows_and_says_what_it_suggests() {
        let text = planted(-3.0, 0.0).to_string();
        assert!((10..=ROWS + 2).contains(&text.lines().count()), "{text}");
        assert!(
            text.starts_with("      rate          loss      smoothed\n    1.0e-7        2.0000        2.0000\n"),
            "{text}"
        );
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("the loss falls most steeply at ") && last.contains("; a tenth of the rate"),
            "{last}"
        );
    }

    #[test]
    fn a_curve_is_data() {
        let mut curve = planted(-3.0, 0.1);
        curve.curve.losses[3] = f64::INFINITY;
        let json = serde_json::to_string(&curve).unwrap();
        assert_eq!(serde_json::from_str::<RateCurve>(&json).unwrap(), curve);
    }
}
