use std::error::Error;
use std::fmt;

use downhill_tensor::{Batch, Shape, Target};

/// Returns the indices of the target, if it is classes.
pub(crate) fn classes<'a, L, T>(target: Target<'a, T>, expected: &'static str) -> Result<&'a [u32], TargetError> {
    match target {
        Target::Classes(classes) => Ok(classes),
        Target::Values(_) => Err(TargetError::Kind { loss: name::<L>(), expected }),
    }
}

/// Returns the numbers of the target, if it is numbers.
pub(crate) fn values<'a, L, T>(target: Target<'a, T>, expected: &'static str) -> Result<&'a [T], TargetError> {
    match target {
        Target::Values(values) => Ok(values),
        Target::Classes(_) => Err(TargetError::Kind { loss: name::<L>(), expected }),
    }
}

/// The targets that most losses compare with, and the classes that they received instead.
pub(crate) const ONE_FOR_EACH: &str = "one number for each predicted number, but received the indices of classes";

/// Returns the numbers of the target, if there is one for each predicted number.
pub(crate) fn one_for_each<'a, L, T>(y: Batch<'_, T>, target: Target<'a, T>) -> Result<&'a [T], TargetError> {
    let values = values::<L, T>(target, ONE_FOR_EACH)?;
    TargetError::check_count(y.slice().len(), values.len())?;
    Ok(values)
}

/// Returns the number of targets that each of `examples` examples has.
pub(crate) fn for_each<T>(target: Target<'_, T>, examples: usize) -> Result<usize, TargetError> {
    let each = target.len().checked_div(examples).unwrap_or(0);
    TargetError::check_count(examples * each, target.len())?;
    Ok(each)
}

/// Cuts targets into those before `middle` and those from it on.
pub(crate) fn cut<T>(target: Target<'_, T>, middle: usize) -> (Target<'_, T>, Target<'_, T>) {
    match target {
        Target::Values(values) => {
            let (a, b) = values.split_at(middle);
            (Target::Values(a), Target::Values(b))
        }
        Target::Classes(classes) => {
            let (a, b) = classes.split_at(middle);
            (Target::Classes(a), Target::Classes(b))
        }
    }
}

/// Returns the `count` targets of one example.
#[inline(always)]
pub(crate) fn of_example<T>(target: Target<'_, T>, index: usize, count: usize) -> Target<'_, T> {
    let here = index * count..(index + 1) * count;
    match target {
        Target::Values(values) => Target::Values(&values[here]),
        Target::Classes(classes) => Target::Classes(&classes[here]),
    }
}

/// Returns the name of a loss, without its path and type parameters.
pub(crate) fn name<L: ?Sized>() -> &'static str {
    let path = std::any::type_name::<L>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// The reason why a loss or a metric can't judge predictions by their targets.
///
/// A loss or a metric outside this crate makes one by the functions of the variants' names, such as
/// [`TargetError::kind`].
///
/// ```
/// use downhill_losses::TargetError;
///
/// let error = TargetError::kind("Quartic", "one number for each predicted number");
/// assert_eq!(error.to_string(), "Quartic compares with one number for each predicted number");
/// let error = TargetError::setting("Quartic", "the scale is -1, but must be positive");
/// assert_eq!(error.to_string(), "Quartic: the scale is -1, but must be positive");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// There are more or fewer targets than predictions.
    #[non_exhaustive]
    Count {
        /// The number of targets that the predictions need.
        expected: usize,
        /// The number of targets.
        got: usize,
    },
    /// There is less or more room for the gradient than there are predictions.
    #[non_exhaustive]
    Gradient {
        /// The number of predicted numbers, and so of the gradient.
        expected: usize,
        /// The length of the slice for the gradient.
        got: usize,
    },
    /// The loss compares with numbers but received classes, or the other way round.
    #[non_exhaustive]
    Kind {
        /// The name of the loss, such as `MeanSquaredError`.
        loss: &'static str,
        /// The targets that it compares with, such as `one number for each predicted number`.
        expected: &'static str,
    },
    /// A class index is not smaller than the number of classes.
    #[non_exhaustive]
    Class {
        /// The example it belongs to.
        example: usize,
        /// The index.
        class: u32,
        /// The number of classes that the predictions have.
        classes: usize,
    },
    /// The predictions have a shape that this loss can't take.
    #[non_exhaustive]
    Prediction {
        /// The name of the loss.
        loss: &'static str,
        /// The predictions that it takes, such as `at least two classes`.
        expected: &'static str,
        /// The shape of one prediction.
        got: Shape,
    },
    /// A target or a prediction is not among those that the loss takes.
    #[non_exhaustive]
    Domain {
        /// The name of the loss.
        loss: &'static str,
        /// The numbers that it takes, such as `targets from 0 to 1`.
        takes: &'static str,
        /// The kind of number that lies outside: `target` or `prediction`.
        what: &'static str,
        /// The example it belongs to.
        example: usize,
        /// Its place among the targets or predictions of the example, counted from 0.
        place: usize,
        /// The target or the prediction.
        got: String,
        /// The advice that ends the sentence.
        advice: &'static str,
    },
    /// A part of a [`MultiTask`](crate::MultiTask) returned an error.
    #[non_exhaustive]
    Part {
        /// The index of the part, counted from 0.
        part: usize,
        /// The error of the part.
        error: Box<TargetError>,
    },
    /// A setting of the loss does not fit the predictions, or a weight lies outside its range.
    #[non_exhaustive]
    Setting {
        /// The name of the loss.
        loss: &'static str,
        /// The whole sentence.
        reason: String,
    },
}

impl TargetError {
    /// Makes the error of more or fewer targets than predictions.
    #[must_use]
    pub fn count(expected: usize, got: usize) -> Self {
        Self::Count { expected, got }
    }

    /// Makes the error of a gradient's slice of another length than the predictions.
    #[must_use]
    pub fn gradient(expected: usize, got: usize) -> Self {
        Self::Gradient { expected, got }
    }

    /// Makes the error of numbers for a loss that compares with classes, or of classes for one that compares with
    /// numbers.
    ///
    /// It reads "`loss` compares with `expected`".
    #[must_use]
    pub fn kind(loss: &'static str, expected: &'static str) -> Self {
        Self::Kind { loss, expected }
    }

    /// Makes the error of a class index that is not smaller than the number of classes.
    #[must_use]
    pub fn class(example: usize, class: u32, classes: usize) -> Self {
        Self::Class { example, class, classes }
    }

    /// Makes the error of a target or a prediction that is not among those that the loss takes: the number `place` of
    /// the example `example`, both counted from 0; `what` is `target` or `prediction`.
    ///
    /// It reads "`loss` takes `takes`, but `what` `place` of example `example` is `got`; `advice`".
    ///
    /// ```
    /// use downhill_losses::TargetError;
    ///
    /// let error = TargetError::domain("Quartic", "targets from 0 to 1", "target", 3, 0, 255.0, "divide them by 255");
    /// let text = "Quartic takes targets from 0 to 1, but target 0 of example 3 is 255; divide them by 255";
    /// assert_eq!(error.to_string(), text);
    /// ```
    #[must_use]
    pub fn domain(
        loss: &'static str,
        takes: &'static str,
        what: &'static str,
        example: usize,
        place: usize,
        got: impl ToString,
        advice: &'static str,
    ) -> Self {
        Self::Domain { loss, takes, what, example, place, got: got.to_string(), advice }
    }

    /// Makes the error of predictions of the shape `got`, which the loss can't take.
    ///
    /// It reads "`loss` takes `expected`, but the predictions have the shape `got`".
    #[must_use]
    pub fn prediction(loss: &'static str, expected: &'static str, got: Shape) -> Self {
        Self::Prediction { loss, expected, got }
    }

    /// Makes the error of a setting, or of whatever else is wrong.
    ///
    /// It reads "`loss`: `reason`".
    #[must_use]
    pub fn setting(loss: &'static str, reason: impl Into<String>) -> Self {
        Self::Setting { loss, reason: reason.into() }
    }

    /// Makes the error of a setting of `L`, or of a number outside its range.
    pub(crate) fn setting_of<L: ?Sized>(reason: impl Into<String>) -> Self {
        Self::setting(name::<L>(), reason)
    }

    /// Splits a place that was counted over examples of `each` numbers into the example and the place in it.
    pub(crate) fn located(mut self, each: usize) -> Self {
        if let Self::Domain { example, place, .. } = &mut self {
            (*example, *place) = (*place / each.max(1), *place % each.max(1));
        }
        self
    }

    /// Counts a place from 0 that was counted from `first`.
    pub(crate) fn from(mut self, first: usize) -> Self {
        if let Self::Domain { place, .. } = &mut self {
            *place += first;
        }
        self
    }

    /// Names the example `index` instead of the only one that the loss saw.
    pub(crate) fn of_example(mut self, index: usize) -> Self {
        let mut error = &mut self;
        while let Self::Part { error: inner, .. } = error {
            error = inner;
        }
        if let Self::Class { example, .. } | Self::Domain { example, .. } = error {
            *example = index;
        }
        self
    }

    /// Checks that the setting `what` is finite and `fits`; the error says that it must be `range`.
    pub(crate) fn check_setting<L: ?Sized>(what: &str, value: f64, fits: bool, range: &str) -> Result<(), Self> {
        if fits && value.is_finite() {
            return Ok(());
        }
        Err(Self::setting_of::<L>(format!("{what} is {value}, but must be {range}")))
    }

    pub(crate) fn check_count(expected: usize, got: usize) -> Result<(), Self> {
        if expected == got { Ok(()) } else { Err(Self::Count { expected, got }) }
    }

    pub(crate) fn check_gradient<T>(y: Batch<'_, T>, dy: Option<&[T]>) -> Result<(), Self> {
        let expected = y.slice().len();
        match dy.map_or(expected, <[T]>::len) {
            got if got == expected => Ok(()),
            got => Err(Self::gradient(expected, got)),
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { expected, got } => {
                write!(f, "the predictions need {expected} targets, but there are {got}")
            }
            Self::Gradient { expected, got } => write!(
                f,
                "the gradient has {expected} numbers, one for each predicted number, but there is room for {got}"
            ),
            Self::Kind { loss, expected } => write!(f, "{loss} compares with {expected}"),
            Self::Class { example, class, classes } => write!(
                f,
                "example {example} has the class {class}, but the predictions have {classes} classes, counted from 0"
            ),
            Self::Prediction { loss, expected, got } => {
                write!(f, "{loss} takes {expected}, but the predictions have the shape {got}")
            }
            Self::Domain { loss, takes, what, example, place, got, advice } => {
                write!(f, "{loss} takes {takes}, but {what} {place} of example {example} is {got}; {advice}")
            }
            Self::Part { part, error } => write!(f, "part {part} of the loss: {error}"),
            Self::Setting { loss, reason } => write!(f, "{loss}: {reason}"),
        }
    }
}

impl Error for TargetError {}
