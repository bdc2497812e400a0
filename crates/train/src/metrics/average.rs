/// The average that makes one number of those of several classes, or of several independent answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Average {
    /// The mean over the classes, each counting the same.
    #[default]
    Macro,
    /// The mean over the classes, each counting as often as it occurs.
    Weighted,
    /// One number of all classes taken together, so that each example counts the same.
    Micro,
    /// The number of this class alone, such as 1 for the positive class of two.
    Class(usize),
}

impl Average {
    /// The name of a metric with this average.
    pub(crate) fn name(self, metric: &str) -> String {
        match self {
            Self::Macro => metric.into(),
            Self::Weighted => format!("weighted {metric}"),
            Self::Micro => format!("micro {metric}"),
            Self::Class(class) => format!("{metric} of class {class}"),
        }
    }
}
