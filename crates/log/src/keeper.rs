use std::ops::ControlFlow;

use crate::LogError;

/// The first error of a log, after which it writes nothing more, and whether that ends the run.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    error: Option<LogError>,
    pub(crate) strict: bool,
}

impl Keeper {
    /// Does this unless there has been an error, and keeps its own.
    pub(crate) fn attempt(&mut self, write: impl FnOnce() -> Result<(), LogError>) {
        if self.error.is_none() {
            self.error = write().err();
        }
    }

    pub(crate) fn error(&self) -> Option<&LogError> {
        self.error.as_ref()
    }

    pub(crate) fn finish(&mut self) -> Result<(), LogError> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Whether the run goes on.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.strict && self.error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The methods that every log has for its errors, in terms of its field `keeper`.
macro_rules! errors {
    () => {
        /// Ends the run with the event after which nothing more can be written; without it the run goes on.
        #[must_use]
        pub fn strict(mut self) -> Self {
            self.keeper.strict = true;
            self
        }

        /// The first error, after which nothing more was written.
        #[must_use]
        pub fn error(&self) -> Option<&crate::LogError> {
            self.keeper.error()
        }

        /// Returns whether all was written, and forgets the error.
        ///
        /// # Errors
        /// Returns the first error, after which nothing more was written.
        pub fn finish(&mut self) -> Result<(), crate::LogError> {
            self.keeper.finish()
        }
    };
}

pub(crate) use errors;
