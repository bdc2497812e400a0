//! How many threads share the work.
//!
//! Nothing forks outside [`Threads::run`]: a loop enters the pool once, and everything within it may split.
//! Work is split over output elements, never over a sum, so results are the same bits for any number of threads.

use std::error::Error;
use std::fmt;
#[cfg(feature = "threads")]
use std::sync::Arc;

/// The threads that a computation may use.
///
/// ```
/// use downhill_tensor::threads::Threads;
/// let two = Threads::new(2)?;
/// let answer = two.run(|| 6 * 7);
/// assert_eq!(answer, 42);
/// # Ok::<(), downhill_tensor::threads::ThreadsError>(())
/// ```
#[derive(Clone)]
pub struct Threads {
    #[cfg(feature = "threads")]
    pool: Option<Arc<rayon::ThreadPool>>,
}

/// Why threads could not be started.
#[derive(Debug)]
pub struct ThreadsError {
    reason: String,
}

impl fmt::Display for ThreadsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for ThreadsError {}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threads({})", self.count())
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::one()
    }
}

impl Threads {
    /// The calling thread alone; this can't fail and starts nothing.
    #[must_use]
    pub fn one() -> Self {
        Self {
            #[cfg(feature = "threads")]
            pool: None,
        }
    }

    /// `count` threads of their own, started now and kept until the last clone is dropped.
    ///
    /// Without the feature `threads` the calling thread does all the work, whatever the count.
    ///
    /// # Errors
    /// Where `count` is zero or the system refuses to start the threads.
    pub fn new(count: usize) -> Result<Self, ThreadsError> {
        match count {
            0 => Err(ThreadsError { reason: "the number of threads is 0, but at least 1 is needed".into() }),
            1 => Ok(Self::one()),
            _ => Self::start(count),
        }
    }

    #[cfg(feature = "threads")]
    fn start(count: usize) -> Result<Self, ThreadsError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("downhill-{index}"))
            .build()
            .map_err(|error| ThreadsError { reason: format!("{count} threads could not be started: {error}") })?;
        Ok(Self { pool: Some(Arc::new(pool)) })
    }

    #[cfg(not(feature = "threads"))]
    fn start(_count: usize) -> Result<Self, ThreadsError> {
        Ok(Self::one())
    }

    /// As many threads as the machine offers to this process.
    ///
    /// # Errors
    /// Where the system refuses to start them.
    pub fn all() -> Result<Self, ThreadsError> {
        Self::new(std::thread::available_parallelism().map_or(1, Into::into))
    }

    /// How many threads there are.
    #[must_use]
    pub fn count(&self) -> usize {
        #[cfg(feature = "threads")]
        return self.pool.as_ref().map_or(1, |pool| pool.current_num_threads());
        #[cfg(not(feature = "threads"))]
        1
    }

    /// Runs `work` where it may split over these threads, and waits for it.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool {
            return pool.install(work);
        }
        work()
    }
}

/// How many threads share the work at this point: 1 outside [`Threads::run`].
#[must_use]
pub fn current() -> usize {
    #[cfg(feature = "threads")]
    if rayon::current_thread_index().is_some() {
        return rayon::current_num_threads();
    }
    1
}

/// Runs both, side by side where there are threads for it.
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    let (mut a, mut b) = (Some(a), Some(b));
    let (mut of_a, mut of_b) = (None, None);
    fork(&mut || of_a = a.take().map(|a| a()), &mut || of_b = b.take().map(|b| b()));
    match (of_a, of_b) {
        (Some(of_a), Some(of_b)) => (of_a, of_b),
        _ => unreachable!("both have run"),
    }
}

/// Something to do, behind a face that is the same for all.
pub(crate) trait Task: Send {
    fn run(&mut self);
}

impl<F: FnMut() + Send> Task for F {
    fn run(&mut self) {
        self();
    }
}

/// Does both, side by side where there are threads for it.
///
/// The pool's own machinery is compiled once, here, and not for every loop that may fork.
pub(crate) fn fork(a: &mut dyn Task, b: &mut dyn Task) {
    #[cfg(feature = "threads")]
    if current() > 1 {
        rayon::join(|| a.run(), || b.run());
        return;
    }
    a.run();
    b.run();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_threads_are_refused() {
        assert!(Threads::new(0).unwrap_err().to_string().contains("at least 1"));
    }

    #[cfg(feature = "threads")]
    #[test]
    fn work_sees_the_threads_it_runs_on() {
        assert_eq!(current(), 1);
        assert_eq!(Threads::new(3).unwrap().run(current), 3);
        assert_eq!(Threads::one().run(current), 1);
    }
}
