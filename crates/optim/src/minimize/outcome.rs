use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::Obstacle;
use crate::EvaluationError;

/// The result of a minimisation.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// The point at which the run converged; otherwise the point with the lowest value of all that were evaluated
    /// (only points where the value and the gradient are finite count).
    pub x: Vec<T>,
    /// The value there.
    pub value: f64,
    /// ‖∇f‖∞ there.
    pub gradient_norm: f64,
    /// The reason for which the run stopped.
    pub reason: Reason,
    /// The number of iterations.
    pub iterations: u64,
    /// The number of evaluations of the value with its gradient.
    pub evaluations: u64,
    /// The time that it took.
    pub elapsed: Duration,
    /// A point with a lower value than `x`, which a run that converged at `x` passed on its way.
    pub lowest: Option<Lowest<T>>,
    /// The points of the run, the start first, if it records them.
    pub path: Vec<Vec<T>>,
}

impl<T> Outcome<T> {
    /// Returns whether the gradient vanished or the target was reached.
    #[must_use]
    pub fn converged(&self) -> bool {
        self.reason.is_converged()
    }
}

/// A point with its value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Lowest<T> {
    /// The point.
    pub x: Vec<T>,
    /// The value there.
    pub value: f64,
    /// ‖∇f‖∞ there.
    pub gradient_norm: f64,
}

/// The reason for which a minimisation stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Converged: ‖∇f‖∞ is within its tolerance.
    GradientVanished,
    /// Converged: the value is at most the target.
    TargetReached,
    /// The value changed by no more than its tolerance.
    FunctionStalled,
    /// The point moved by no more than its tolerance.
    StepStalled,
    /// No iteration was left.
    IterationLimit,
    /// No evaluation was left.
    EvaluationLimit,
    /// No time was left.
    TimeLimit,
    /// An observer asked to stop.
    Observer,
    /// No step along a direction of descent made the value fall far enough, for this likely cause.
    LineSearchFailed(Obstacle),
    /// The run arrived at a point where the value or the gradient is not finite: the steps are too long,
    /// or the function is unbounded below.
    Diverged,
    /// The value or the gradient at the start is not finite.
    NotFiniteAtStart,
    /// The objective could not be evaluated.
    EvaluationFailed(EvaluationError),
}

impl Reason {
    /// Returns whether this is success: the gradient vanished or the target was reached.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        matches!(self, Self::GradientVanished | Self::TargetReached)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GradientVanished => f.write_str("converged: the gradient vanished"),
            Self::TargetReached => f.write_str("converged: the target was reached"),
            Self::FunctionStalled => f.write_str("stalled: the value hardly changes any more"),
            Self::StepStalled => f.write_str("stalled: the point hardly moves any more"),
            Self::IterationLimit => f.write_str("the limit of iterations was reached"),
            Self::EvaluationLimit => f.write_str("the limit of evaluations was reached"),
            Self::TimeLimit => f.write_str("the time limit was reached"),
            Self::Observer => f.write_str("an observer stopped the run"),
            Self::LineSearchFailed(obstacle) => write!(f, "no step made the value fall far enough: {obstacle}"),
            Self::Diverged => {
                f.write_str("diverged: the value or the gradient is no longer finite; take a smaller learning rate")
            }
            Self::NotFiniteAtStart => f.write_str("the value or the gradient at the start is not finite"),
            Self::EvaluationFailed(error) => {
                // A reason is no error and has no source: it tells the whole chain.
                error.fmt(f)?;
                let mut cause = error.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}
