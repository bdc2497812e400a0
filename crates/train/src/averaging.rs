use std::fmt;

use downhill_network::Network;
use downhill_optim::{Ema, SettingError, Swa};
#[cfg(feature = "checkpoint")]
use downhill_optim::{OptimizerState, RestoreError};
use downhill_tensor::Scalar;

/// An average of the weights of a run, and of its running statistics with them.
#[derive(Clone, Debug)]
pub(crate) enum Averaging<T> {
    /// Exponential, after every step.
    Exponential { decay: f64, weights: Ema<T>, statistics: Ema<T> },
    /// The plain mean of the ends of the epochs from this one on, counted from 0.
    FromEpoch { first: u64, weights: Swa<T>, statistics: Swa<T> },
}

impl<T> fmt::Display for Averaging<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential { decay, .. } => write!(f, "exponential, decay {decay}"),
            Self::FromEpoch { first, .. } => write!(f, "mean from epoch {}", first + 1),
        }
    }
}

impl<T: Scalar> Averaging<T> {
    pub(crate) fn exponential(decay: f64) -> Self {
        Self::Exponential { decay, weights: Ema::new(decay), statistics: Ema::new(decay) }
    }

    pub(crate) fn from_epoch(first: u64) -> Self {
        Self::FromEpoch { first, weights: Swa::new(), statistics: Swa::new() }
    }

    pub(crate) fn check(&self) -> Result<(), SettingError> {
        match self {
            Self::Exponential { weights, .. } => weights.check(),
            Self::FromEpoch { .. } => Ok(()),
        }
    }

    /// Forgets earlier runs.
    pub(crate) fn reset(&mut self) {
        match self {
            Self::Exponential { weights, statistics, .. } => {
                weights.reset();
                statistics.reset();
            }
            Self::FromEpoch { weights, statistics, .. } => {
                weights.reset();
                statistics.reset();
            }
        }
    }

    pub(crate) fn after_step(&mut self, theta: &[T], running: &[T]) {
        if let Self::Exponential { weights, statistics, .. } = self {
            weights.update(theta);
            statistics.update(running);
        }
    }

    /// `epoch` counts from 0.
    pub(crate) fn after_epoch(&mut self, epoch: u64, theta: &[T], running: &[T]) {
        if let Self::FromEpoch { first, weights, statistics } = self
            && epoch >= *first
        {
            weights.update(theta);
            statistics.update(running);
        }
    }

    /// Whether the averages, if there are any, are of a network like this one.
    pub(crate) fn fits(&self, network: &Network<T>) -> bool {
        self.averages().is_none_or(|(weights, statistics)| {
            weights.len() == network.parameters().len() && statistics.len() == network.statistics().len()
        })
    }

    /// The averaged weights and statistics, once there are any.
    pub(crate) fn averages(&self) -> Option<(&[T], &[T])> {
        let (weights, statistics) = match self {
            Self::Exponential { weights, statistics, .. } => (weights.weights(), statistics.weights()),
            Self::FromEpoch { weights, statistics, .. } => (weights.weights(), statistics.weights()),
        };
        (!weights.is_empty()).then_some((weights, statistics))
    }

    /// The memory of the weights' average and of the statistics'.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn states(&self) -> [OptimizerState<T>; 2] {
        match self {
            Self::Exponential { weights, statistics, .. } => [weights.state(), statistics.state()],
            Self::FromEpoch { weights, statistics, .. } => [weights.state(), statistics.state()],
        }
    }

    #[cfg(feature = "checkpoint")]
    pub(crate) fn restore(&mut self, [of_weights, of_statistics]: &[OptimizerState<T>; 2]) -> Result<(), RestoreError> {
        match self {
            Self::Exponential { weights, statistics, .. } => {
                weights.restore(of_weights)?;
                statistics.restore(of_statistics)
            }
            Self::FromEpoch { weights, statistics, .. } => {
                weights.restore(of_weights)?;
                statistics.restore(of_statistics)
            }
        }
    }
}
