//! How many threads share the work.
//!
//! Nothing forks outside [`Threads::run`]: a loop enters the pool once, and everything within it may split.
//! Work is split over output elements, and a long sum at places that its length alone decides, so results are the same
//! bits for any number of threads.

#[cfg(feature = "threads")]
use std::cell::Cell;
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
    pool: Option<Arc<rayon_core::ThreadPool>>,
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
        let pool = rayon_core::ThreadPoolBuilder::new()
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
    ///
    /// The other threads look for something to do all the while, and after some milliseconds without any every 50 µs:
    /// one long run for a whole loop is faster than a short one for each step.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool {
            return pool.install(|| awake::run(work));
        }
        work()
    }
}

/// How many threads share the work at this point: 1 outside [`Threads::run`].
#[must_use]
#[inline]
pub fn current() -> usize {
    #[cfg(feature = "threads")]
    if ALONE.get() != Alone::Now && rayon_core::current_thread_index().is_some() {
        return rayon_core::current_num_threads();
    }
    1
}

/// Whether this thread works [`alone`].
#[cfg(feature = "threads")]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    Now,
    /// It did, and has not forked since.
    Before,
    No,
}

#[cfg(feature = "threads")]
thread_local!(static ALONE: Cell<Alone> = const { Cell::new(Alone::No) });

/// Runs `work` on this thread, whatever threads there are: for work so small that it takes longer to share it, because
/// what one thread has written the others must fetch.
///
/// What it leaves lies near this thread's processor. So until the next fork, passes over no more than half a million
/// numbers are not shared either, as that of an optimizer over a gradient.
pub fn alone<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "threads")]
    {
        /// Ends it also on the way out of a panic.
        struct End(Alone);

        impl Drop for End {
            fn drop(&mut self) {
                ALONE.set(self.0);
            }
        }

        let _end = End(match ALONE.replace(Alone::Now) {
            Alone::Now => Alone::Now,
            Alone::Before | Alone::No => Alone::Before,
        });
        work()
    }
    #[cfg(not(feature = "threads"))]
    work()
}

/// How many threads may share a pass over so many numbers.
#[must_use]
#[inline]
pub fn for_pass(numbers: usize) -> usize {
    #[cfg(feature = "threads")]
    if numbers <= NEAR && ALONE.get() == Alone::Before {
        return 1;
    }
    #[cfg(not(feature = "threads"))]
    let _ = numbers;
    current()
}

/// More numbers than this lie in memory that is equally far from all processors.
#[cfg(feature = "threads")]
const NEAR: usize = 512 * 1024;

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
        ALONE.set(Alone::No);
        return awake::fork(a, b);
    }
    a.run();
    b.run();
}

/// Threads that stay awake between forks.
///
/// A thread that finds nothing to do goes to sleep after some microseconds, and to wake it takes longer than a small
/// product: 20 to 50 µs where the machine is a virtual one. So each of the pool's threads is given something to do for
/// as long as a [`Threads::run`] lasts: to look for work.
#[cfg(feature = "threads")]
mod awake {
    use std::cell::Cell;
    use std::hint::spin_loop;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::{sleep, yield_now};
    use std::time::Duration;

    use rayon_core::Yield;

    use super::Task;

    thread_local! {
        /// Whether this thread is within a task or waits already: who waits on top of a task would never end it.
        static BUSY: Cell<bool> = const { Cell::new(false) };
    }

    /// This thread's flag, set until this is dropped.
    struct Busy {
        before: bool,
    }

    impl Busy {
        fn new() -> Self {
            Self { before: BUSY.replace(true) }
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            BUSY.set(self.before);
        }
    }

    /// Sets its flag when it is dropped, also on the way out of a panic.
    struct Flag<'a>(&'a AtomicBool);

    impl Drop for Flag<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// Does the work, within the pool, while its other threads stay awake.
    pub(super) fn run<R>(work: impl FnOnce() -> R) -> R {
        let busy = Busy::new();
        if busy.before {
            return work();
        }
        let over = Arc::new(AtomicBool::new(false));
        for _ in 1..rayon_core::current_num_threads() {
            let over = Arc::clone(&over);
            rayon_core::spawn(move || look_for_work(&over));
        }
        let _over = Flag(&over);
        work()
    }

    fn look_for_work(over: &AtomicBool) {
        let busy = Busy::new();
        if busy.before {
            return;
        }
        let mut idle = Idle::default();
        while !over.load(Ordering::Acquire) {
            idle.pause();
        }
    }

    /// Both tasks; the second on whichever thread is free first.
    pub(super) fn fork(a: &mut dyn Task, b: &mut dyn Task) {
        let (taken, done) = (AtomicBool::new(false), AtomicBool::new(false));
        rayon_core::join(
            || {
                a.run();
                // The pool's own wait would put this thread to sleep.
                let mut idle = Idle::default();
                while taken.load(Ordering::Acquire) && !done.load(Ordering::Acquire) {
                    idle.pause();
                }
            },
            || {
                let _busy = Busy::new();
                let _done = Flag(&done);
                taken.store(true, Ordering::Release);
                b.run();
            },
        );
    }

    /// How long there has been nothing to do.
    #[derive(Default)]
    struct Idle {
        rounds: u32,
    }

    impl Idle {
        /// Does a piece of the pool's work, or else pauses: the longer there was none, the longer.
        fn pause(&mut self) {
            if rayon_core::yield_now() == Some(Yield::Executed) {
                self.rounds = 0;
                return;
            }
            self.rounds = self.rounds.saturating_add(1);
            match self.rounds {
                0..200 => spin_loop(),
                200..5_000 => yield_now(),
                _ => sleep(Duration::from_micros(50)),
            }
        }
    }
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

    #[cfg(feature = "threads")]
    #[test]
    fn work_alone_does_not_fork_and_what_it_left_is_not_shared_until_a_fork() {
        Threads::new(2).unwrap().run(|| {
            assert_eq!((alone(current), current()), (1, 2));
            assert_eq!(alone(|| alone(current) + current()), 2);
            assert_eq!((for_pass(1000), for_pass(10_000_000)), (1, 2));
            join(|| (), || ());
            assert_eq!(for_pass(1000), 2);
            let panics = std::panic::catch_unwind(|| alone(|| std::panic::resume_unwind(Box::new("as planned"))));
            assert!(panics.is_err());
            assert_eq!(current(), 2);
        });
    }

    /// The sum of a range, by a tree of forks.
    #[cfg(feature = "threads")]
    fn sum(from: u64, to: u64) -> u64 {
        if to - from < 10 {
            return (from..to).sum();
        }
        let middle = u64::midpoint(from, to);
        let (a, b) = join(|| sum(from, middle), || sum(middle, to));
        a + b
    }

    #[cfg(feature = "threads")]
    #[test]
    fn forks_within_forks_and_runs_within_runs_come_to_an_end() {
        for threads in [2, 3, 5] {
            let pool = Threads::new(threads).unwrap();
            for _ in 0..50 {
                let within = pool.run(|| join(|| pool.run(|| sum(0, 1000)), || pool.run(|| sum(1000, 2000))));
                assert_eq!(within.0 + within.1, 1999 * 1000);
            }
        }
    }

    /// A run that is over must not wait for another that has taken one of the pool's threads.
    #[cfg(feature = "threads")]
    #[test]
    fn two_callers_share_a_pool() {
        use std::sync::mpsc::channel;
        let pool = Threads::new(2).unwrap();
        let (said, heard) = channel();
        let (stop, stopped) = channel();
        let long = std::thread::spawn({
            let pool = pool.clone();
            move || {
                pool.run(move || {
                    said.send(()).unwrap();
                    stopped.recv().unwrap();
                    sum(0, 1000)
                })
            }
        });
        heard.recv().unwrap();
        for _ in 0..20 {
            assert_eq!(pool.run(|| sum(0, 1000)), 499_500);
        }
        stop.send(()).unwrap();
        assert_eq!(long.join().unwrap(), 499_500);
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_panic_in_either_half_comes_out() {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        let pool = Threads::new(2).unwrap();
        for half in [0, 1] {
            let fork = || {
                let fail = |when: usize| {
                    if half == when {
                        std::panic::resume_unwind(Box::new("as planned"));
                    }
                };
                pool.run(|| join(|| fail(0), || fail(1)))
            };
            assert!(catch_unwind(AssertUnwindSafe(fork)).is_err());
        }
        assert_eq!(pool.run(|| sum(0, 1000)), 499_500);
    }
}
