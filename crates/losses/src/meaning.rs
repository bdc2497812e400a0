use downhill_tensor::Outputs;

use crate::ClassAxis;

/// The way in which a loss reads predictions and targets, so that metrics read them alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meaning {
    /// The meaning of the predicted numbers; `None` for a loss that does not say.
    pub outputs: Option<Outputs>,
    /// The axis of the classes in predictions of several positions.
    pub class_axis: ClassAxis,
    /// The index of targets that do not count.
    pub ignored_index: Option<u32>,
}

impl Meaning {
    /// Makes the meaning of predictions that are `outputs`, with no index ignored.
    #[must_use]
    pub fn new(outputs: Outputs) -> Self {
        Self { outputs: Some(outputs), ..Self::default() }
    }

    /// Sets the axis of the classes.
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
