use crate::total::Quotient;

/// The rule by which the terms of a loss become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reduction {
    /// The sum of the terms divided by their number, such as the mean over the batch and all features.
    ///
    /// Without any terms it is not a number, as in PyTorch.
    #[default]
    Mean,
    /// The sum of the terms; 0 if there are none.
    Sum,
    /// The sum of the terms divided by the number of examples, however many terms an example has.
    ///
    /// It is 0 if there are examples of which no term counts, and not a number if there are no examples.
    /// PyTorch offers it as `batchmean`, for the Kullback-Leibler divergence alone.
    BatchMean,
}

impl Reduction {
    /// Returns the total, still without its sum, of terms of this summed weight.
    pub(crate) fn of(self, weight: f64, examples: f64) -> Quotient {
        match self {
            Self::Mean => Quotient::mean(0.0, weight),
            Self::Sum => Quotient::sum(0.0, weight),
            Self::BatchMean => Quotient::mean(0.0, weight).divided_by(examples),
        }
    }

    /// Returns the total, still without its sum, of terms of weight 1.
    pub(crate) fn of_terms(self, terms: usize, examples: usize) -> Quotient {
        self.of(terms as f64, examples as f64)
    }
}

/// Writes the builder method that sets the field `reduction`.
macro_rules! reduction_setting {
    () => {
        /// Sets the rule by which the terms become one number; the mean unless this is called.
        #[must_use]
        pub fn reduction(mut self, reduction: $crate::Reduction) -> Self {
            self.reduction = reduction;
            self
        }
    };
}

pub(crate) use reduction_setting;
