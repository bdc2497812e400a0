use std::error::Error;
use std::fmt;

use downhill_layers::MAX_INPUTS;
use downhill_network::PassError;
use downhill_optim::EvaluationError;
use downhill_tensor::{BuildError, ShapeError};

/// The largest error that the library's own derivatives are allowed, in f64.
pub const TOLERANCE: f64 = 1e-8;

/// The most numbers of one array that are checked.
pub(crate) const MOST_NUMBERS: usize = 1 << 24;

/// The result of a check: how far explicit derivatives lie from finite differences.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The name of what was checked.
    pub name: String,
    /// The largest |explicit − numeric|, relative to the largest derivative of its kind if that exceeds 1.
    pub worst: f64,
    /// The place of that derivative, such as `dJ/dx[3]`.
    pub place: String,
    /// The number of derivatives that were compared.
    pub derivatives: usize,
    /// The number of derivatives that were left out because a kink nearby leaves them without a finite difference.
    pub kinks: usize,
}

impl Report {
    /// Makes a report that has compared nothing yet.
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

    /// Reports what no finite difference would show.
    pub(crate) fn fail(&mut self, what: String) {
        self.derivatives += 1;
        self.worst = f64::INFINITY;
        self.place = what;
    }

    /// Adds another report on the same thing.
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

/// An error of a check that could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum GradcheckError {
    /// Shapes or targets do not fit.
    Pass(PassError),
    /// The objective could not be evaluated.
    Evaluation(EvaluationError),
    /// More inputs than a layer can have.
    TooManyInputs {
        /// The number of inputs.
        got: usize,
    },
    /// A batch has no examples.
    NoExamples,
    /// A check would not end in any useful time.
    TooLarge {
        /// The number of examples.
        examples: usize,
        /// The numbers of the largest array.
        numbers: usize,
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
            Self::NoExamples => f.write_str("a batch of 0 examples has no derivative; take at least 1"),
            Self::TooLarge { examples, numbers } => write!(
                f,
                "a batch of {examples} examples needs {numbers} numbers at one place, but at most {MOST_NUMBERS} can be \
                 checked; take fewer examples or smaller shapes"
            ),
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
