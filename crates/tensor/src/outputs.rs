/// The meaning of predicted numbers, which decides how classes and probabilities are read from them.
///
/// A loss says what it takes predictions to be, and a last layer what it makes: a softmax makes class probabilities,
/// whatever the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outputs {
    /// Quantities in the targets' own units.
    Numbers,
    /// A score for each of several classes, of which one is right: the largest is the predicted class.
    ClassScores,
    /// As [`ClassScores`](Self::ClassScores); their softmax gives the probabilities of the classes.
    ClassLogits,
    /// The logarithms of the probabilities of several classes, of which one is right.
    ClassLogProbabilities,
    /// The probabilities of several classes, of which one is right.
    ClassProbabilities,
    /// Independent yes-or-no answers: yes above 0.
    Scores,
    /// As [`Scores`](Self::Scores); their sigmoid gives the probabilities of yes.
    Logits,
    /// Independent yes-or-no answers as probabilities: yes above ½.
    Probabilities,
    /// The logarithms of such probabilities.
    LogProbabilities,
}

impl Outputs {
    /// The outputs' name, a plural noun for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Numbers => "numbers in the targets' units",
            Self::ClassScores => "scores of classes",
            Self::ClassLogits => "logits of classes",
            Self::ClassLogProbabilities => "logarithms of the probabilities of classes",
            Self::ClassProbabilities => "probabilities of classes",
            Self::Scores => "scores of independent answers",
            Self::Logits => "logits of independent answers",
            Self::Probabilities => "probabilities of independent answers",
            Self::LogProbabilities => "logarithms of the probabilities of independent answers",
        }
    }

    /// Whether one of several classes is right, rather than each output answering its own question.
    #[must_use]
    pub fn is_one_of_several(self) -> bool {
        matches!(self, Self::ClassScores | Self::ClassLogits | Self::ClassLogProbabilities | Self::ClassProbabilities)
    }

    /// The number above which a single output says yes (class 1): 0 for scores and logits, ½ for probabilities, and ½
    /// for numbers too, which were trained towards 0 and 1; ln ½ for a log-probability.
    #[must_use]
    pub fn threshold(self) -> f64 {
        match self {
            Self::Scores | Self::Logits | Self::ClassScores | Self::ClassLogits => 0.0,
            Self::Numbers | Self::Probabilities | Self::ClassProbabilities => 0.5,
            Self::ClassLogProbabilities | Self::LogProbabilities => -std::f64::consts::LN_2,
        }
    }
}
