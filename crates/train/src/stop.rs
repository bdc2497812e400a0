use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A handle that asks a training run to end after its current step, from any thread.
#[derive(Clone, Debug, Default)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// Makes a handle that has asked for nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the handle that Ctrl-C asks to stop, which all callers share. A second Ctrl-C ends the program at once.
    ///
    /// The first call installs the process's one handler for the signal.
    ///
    /// # Errors
    /// Returns an error if the process has another handler already.
    #[cfg(feature = "signals")]
    pub fn on_interrupt() -> Result<Self, crate::TrainError> {
        use std::sync::OnceLock;

        static HANDLE: OnceLock<Result<StopHandle, String>> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let handle = StopHandle::new();
            let pulled = handle.clone();
            ctrlc::set_handler(move || {
                if pulled.is_stopped() {
                    std::process::exit(130);
                }
                pulled.stop();
            })
            .map_err(|error| error.to_string())?;
            Ok(handle)
        });
        handle.clone().map_err(crate::TrainError::Signal)
    }

    /// Asks the run to end.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes the request back, so that the handle can serve another run; until then it ends every run that has it.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the run has been asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
