use std::error::Error;
use std::fmt;

use downhill_layers::MAX_INPUTS;
use downhill_network::PassError;
use downhill_optim::EvaluationError;
use downhill_tensor::{BuildError, ShapeError};

/// The largest error that the library's own derivatives are allowed, in f64.
pub const TOLERANCE: f64 = 1e-8;

/// How far explicit derivatives lie from finite differences.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was checked.
    pub name: String,
    /// The largest |explicit − numeric|, relative to the largest derivative of its kind where that exceeds 1.
    pub worst: f64,
    /// Where it was found, as `dJ/dx[3]`.
    pub place: String,
    /// How many derivatives were compared.
    pub derivatives: usize,
    /// How many of them lie so near a kink that they have no finite difference; these are left out.
    pub kinks: usize,
}

impl Report {
    /// Nothing checked yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), worst: 0.0, place: String::new(), derivatives: 0, kinks: 0 }
    }

    /// Whether every explicit derivative lies within `tolerance` of its finite difference.
    /// A report that compared nothing has not passed.
    #[must_use]
    pub fn passes(&self, tolerance: f64) -> bool {
        self.worst <= tolerance && self.derivatives > 0
    }

    /// Compares explicit derivatives with numeric ones; `None` is one that lies at a kink.
    pub(crate) fn compare(&mut self, what: &str, explicit: &[f64], numeric: &[Option<f64>]) {
        let scale = numeric.iter().flatten().fold(1.0f64, |scale, numeric| scale.max(numeric.abs()));
        for (index, (explicit, numeric)) in explicit.iter().zip(numeric).enumerate() {
            let Some(numeric) = numeric else {
                self.kinks += 1;
                continue;
            };
            self.derivatives += 1;
            // Written so that a derivative that is not a number counts as infinitely wrong.
            let error = (explicit - numeric).abs() / scale;
            let error = if error.is_nan() { f64::INFINITY } else { error };
            if error > self.worst || self.place.is_empty() {
                self.worst = self.worst.max(error);
                self.place = format!("{what}[{index}]: explicit {explicit:e}, numeric {numeric:e}");
            }
        }
    }

    /// Something is wrong that no finite difference would show.
    pub(crate) fn fail(&mut self, what: String) {
        self.derivatives += 1;
        self.worst = f64::INFINITY;
        self.place = what;
    }

    /// Takes in another report on the same thing.
    pub fn merge(&mut self, other: &Self) {
        if other.worst > self.worst || self.place.is_empty() {
            self.worst = other.worst;
            self.place.clone_from(&other.place);
        }
        self.derivatives += other.derivatives;
        self.kinks += other.kinks;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: worst error {:.1e} in {} derivatives", self.name, self.worst, self.derivatives)?;
        if self.kinks > 0 {
            write!(f, ", {} at kinks left out", self.kinks)?;
        }
        if self.passes(TOLERANCE) { Ok(()) } else { write!(f, "; at {}", self.place) }
    }
}

/// Why a check could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum GradcheckError {
    /// Shapes or targets do not fit.
    Pass(PassError),
    /// The objective could not be evaluated.
    Evaluation(EvaluationError),
    /// More inputs than a layer can have.
    TooManyInputs {
        /// How many.
        got: usize,
    },
}

impl fmt::Display for GradcheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(error) => error.fmt(f),
            Self::Evaluation(error) => error.fmt(f),
            Self::TooManyInputs { got } => {
                write!(f, "a layer has at most {MAX_INPUTS} inputs, but the check was given {got}")
            }
        }
    }
}

impl Error for GradcheckError {}

impl From<PassError> for GradcheckError {
    fn from(error: PassError) -> Self {
        Self::Pass(error)
    }
}

impl From<BuildError> for GradcheckError {
    fn from(error: BuildError) -> Self {
        Self::Pass(error.into())
    }
}

impl From<ShapeError> for GradcheckError {
    fn from(error: ShapeError) -> Self {
        Self::Pass(error.into())
    }
}

impl From<EvaluationError> for GradcheckError {
    fn from(error: EvaluationError) -> Self {
        Self::Evaluation(error)
    }
}
