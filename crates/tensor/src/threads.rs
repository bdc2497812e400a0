//! How many threads share the work.
//!
//! Nothing forks outside [`Threads::run`]: a loop enters the pool once, and everything within it may split.
//! A caller's own rayon pool is left alone: there nothing forks, and a [`Threads::run`] waits for its threads without
//! taking up other work of that pool. So a caller may hold a lock meanwhile.
//! Work is split over output elements, and a long sum at places that its length alone decides, so results are the same
//! bits for any number of threads.

#[cfg(feature = "threads")]
use std::cell::Cell;
use std::error::Error;
use std::fmt;
#[cfg(feature = "threads")]
use std::sync::Arc;

/// The most threads that [`Threads::new`] starts.
const MOST: usize = 4096;

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
    /// Returns an error if `count` is zero or above 4096, or the system refuses to start the threads.
    pub fn new(count: usize) -> Result<Self, ThreadsError> {
        match count {
            0 => Err(ThreadsError { reason: "the number of threads is 0, but at least 1 is needed".into() }),
            1 => Ok(Self::one()),
            _ if count > MOST => {
                Err(ThreadsError { reason: format!("the number of threads is {count}, but at most {MOST} can be had") })
            }
            _ => Self::start(count),
        }
    }

    #[cfg(feature = "threads")]
    fn start(count: usize) -> Result<Self, ThreadsError> {
        let pool = rayon_core::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("downhill-{index}"))
            .start_handler(move |_| OURS.set(count))
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
    /// Returns an error if the system refuses to start them.
    pub fn all() -> Result<Self, ThreadsError> {
        Self::new(std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST)))
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
    ///
    /// A run within a run of the same threads goes on where it is; within one of other threads these do the work.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool {
            let enter = || pool.install(|| awake::run(work));
            if !in_foreign_pool() {
                return enter();
            }
            let (mut enter, mut result) = (Some(enter), None);
            apart(&mut || result = enter.take().map(|enter| enter()));
            return match result {
                Some(result) => result,
                None => unreachable!("it has run"),
            };
        }
        work()
    }
}

/// Whether this thread belongs to a rayon pool that [`Threads`] has not started.
#[cfg(feature = "threads")]
fn in_foreign_pool() -> bool {
    OURS.get() == 1 && rayon_core::current_thread_index().is_some()
}

/// Does this on a thread that belongs to no pool, and waits for it.
///
/// A thread of a pool that waits for another pool takes up any work of its own pool meanwhile: it would come to hold
/// the caller's locks twice.
#[cfg(feature = "threads")]
fn apart(work: &mut dyn Task) {
    let started = std::thread::scope(|scope| {
        std::thread::Builder::new().spawn_scoped(scope, || work.run()).map(std::thread::ScopedJoinHandle::join)
    });
    match started {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        // The system has no thread left.
        Err(_) => work.run(),
    }
}

/// How many threads share the work at this point: 1 outside [`Threads::run`].
#[must_use]
#[inline]
pub fn current() -> usize {
    #[cfg(feature = "threads")]
    if ALONE.get() != Alone::Now {
        return OURS.get();
    }
    1
}

#[cfg(feature = "threads")]
thread_local! {
    /// How many threads the pool has that this thread belongs to, if [`Threads`] has started it; or else 1.
    static OURS: Cell<usize> = const { Cell::new(1) };
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
///
/// A thread that waits for its other half may take up any other work of the same [`Threads::run`]: hold no lock
/// meanwhile that such work takes too.
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

    #[test]
    fn more_threads_than_can_be_had_are_refused_at_once() {
        for count in [MOST + 1, 65_536, usize::MAX] {
            assert!(Threads::new(count).unwrap_err().to_string().contains("at most 4096"));
        }
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

    /// Does this within a rayon pool that is the caller's own.
    #[cfg(feature = "threads")]
    fn in_own_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        rayon_core::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_callers_own_pool_is_left_alone() {
        let two = Threads::new(2).unwrap();
        in_own_pool(3, || {
            assert_eq!((current(), for_pass(10_000_000)), (1, 1));
            let before = rayon_core::current_thread_index();
            join(
                || assert_eq!(rayon_core::current_thread_index(), before),
                || assert_eq!(rayon_core::current_thread_index(), before),
            );
            // Where it is asked to, it forks on threads of its own.
            assert_eq!(two.run(|| (current(), sum(0, 1000))), (2, 499_500));
            assert_eq!(current(), 1);
            // What runs on these is the caller's again within the caller's pool.
            assert_eq!(two.run(|| in_own_pool(2, current)), 1);
        });
    }

    /// A thread of the caller's pool that waited by taking up other tasks would take a lock that it holds.
    #[cfg(feature = "threads")]
    #[test]
    fn a_lock_around_a_run_within_a_callers_own_pool_is_let_go_again() {
        use std::sync::{Arc, Mutex, mpsc::channel};
        use std::time::Duration;

        fn tasks(count: usize, task: &(impl Fn() + Sync)) {
            if count == 1 {
                return task();
            }
            rayon_core::join(|| tasks(count / 2, task), || tasks(count - count / 2, task));
        }
        let (done, wait) = channel();
        std::thread::spawn(move || {
            let lock = Arc::new(Mutex::new(Threads::new(2).unwrap()));
            in_own_pool(4, || {
                tasks(200, &|| {
                    let threads = lock.lock().unwrap();
                    assert_eq!(sum(0, 1000), 499_500);
                    assert_eq!(threads.run(|| sum(0, 1000)), 499_500);
                });
            });
            done.send(()).unwrap();
        });
        assert_eq!(wait.recv_timeout(Duration::from_secs(60)), Ok(()), "it hangs");
    }

    #[cfg(feature = "threads")]
    #[test]
    fn runs_of_different_threads_within_each_other_come_to_an_end() {
        let (two, three) = (Threads::new(2).unwrap(), Threads::new(3).unwrap());
        for _ in 0..20 {
            let counts =
                two.run(|| (current(), three.run(|| (current(), two.run(current))), Threads::one().run(current)));
            assert_eq!(counts, (2, (3, 2), 2));
            let deep = || two.run(|| sum(0, 1000));
            let both = two.run(|| join(|| three.run(deep), || three.run(deep)));
            assert_eq!(both, (499_500, 499_500));
        }
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
        // Also where it comes from another thread.
        let fail = || pool.run(|| std::panic::resume_unwind(Box::new("as planned")));
        let panic = in_own_pool(1, || catch_unwind(AssertUnwindSafe(fail))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"as planned"));
    }
}
