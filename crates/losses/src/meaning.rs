use downhill_tensor::Outputs;

use crate::ClassAxis;

/// How a loss reads predictions and targets, so that whoever judges them reads them alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meaning {
    /// What the predicted numbers are; `None` for a loss that does not say.
    pub outputs: Option<Outputs>,
    /// Where the classes lie in predictions of several positions.
    pub class_axis: ClassAxis,
    /// Targets of this index do not count.
    pub ignored_index: Option<u32>,
}

impl Meaning {
    /// Predictions that mean `outputs`, with no index ignored.
    #[must_use]
    pub fn of(outputs: Outputs) -> Self {
        Self { outputs: Some(outputs), ..Self::default() }
    }

    /// Sets where the classes lie.
    #[must_use]
    pub fn class_axis(mut self, axis: ClassAxis) -> Self {
        self.class_axis = axis;
        self
    }

    /// Sets the index of targets that do not count.
    #[must_use]
    pub fn ignored_index(mut self, index: Option<u32>) -> Self {
        self.ignored_index = index;
        self
    }
}
