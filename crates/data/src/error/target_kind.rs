use std::fmt;

/// The kind of the targets of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetKind {
    /// Numbers.
    Numbers,
    /// One class for each example.
    OneClass,
    /// Several classes for each example, such as one for each step of a sequence.
    SeveralClasses,
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Numbers => "numbers as targets",
            Self::OneClass => "one class per example",
            Self::SeveralClasses => "several classes per example",
        })
    }
}
