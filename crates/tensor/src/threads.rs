//! The threads that share the work.
//!
//! Nothing forks outside [`Threads::run`]: a loop enters the pool once, and everything within it may split.
//! A caller's own rayon pool is left alone: there nothing forks. Within [`alone`] nothing forks either.
//! A thread that waits, for the other half of a fork or for a [`Threads::run`], takes up no other work meanwhile, and
//! no run waits for threads that are busy with another. So a caller may hold a lock across any call.
//! Work is split over output elements, and a long sum at places that its length alone decides, so results are the same
//! bits for any number of threads.

#[cfg(feature = "threads")]
mod awake;

#[cfg(feature = "threads")]
use std::cell::Cell;
use std::error::Error;
use std::fmt;
#[cfg(feature = "threads")]
use std::sync::Arc;
#[cfg(feature = "threads")]
use std::sync::atomic::{AtomicBool, Ordering};

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
    pool: Option<Arc<Pool>>,
}

#[cfg(feature = "threads")]
struct Pool {
    threads: rayon_core::ThreadPool,
    /// Whether a run from outside the pool is under way.
    busy: AtomicBool,
}

/// The reason why threads could not be started.
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
    /// Uses the calling thread alone; this can't fail and starts nothing.
    #[must_use]
    pub fn one() -> Self {
        Self {
            #[cfg(feature = "threads")]
            pool: None,
        }
    }

    /// Starts `count` threads and keeps them until the last clone is dropped.
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
            .start_handler(move |_| CURRENT.set(count))
            .build()
            .map_err(|error| ThreadsError { reason: format!("{count} threads could not be started: {error}") })?;
        Ok(Self { pool: Some(Arc::new(Pool { threads: pool, busy: AtomicBool::new(false) })) })
    }

    #[cfg(not(feature = "threads"))]
    fn start(_count: usize) -> Result<Self, ThreadsError> {
        Ok(Self::one())
    }

    /// Starts as many threads as the machine offers to this process.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start them.
    pub fn all() -> Result<Self, ThreadsError> {
        Self::new(std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST)))
    }

    /// The number of threads.
    #[must_use]
    pub fn count(&self) -> usize {
        #[cfg(feature = "threads")]
        return self.pool.as_ref().map_or(1, |pool| pool.threads.current_num_threads());
        #[cfg(not(feature = "threads"))]
        1
    }

    /// Runs `work` so that it may split over these threads, and waits for it.
    ///
    /// The other threads look for something to do all the while, and after some milliseconds without any every 50 µs:
    /// one long run for a whole loop is faster than a short one for each step.
    ///
    /// A run within a run of the same threads stays where it is, and so does one that finds them busy with the run of
    /// another caller: outside any run, that is on the calling thread alone. Within a run of other threads these do the
    /// work. Within [`alone`] the calling thread does it.
    ///
    /// Calls of rayon's own within `work` use these threads too, and there a thread that waits takes up other items:
    /// hold no lock in an item that other items take.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool
            && !is_alone()
            && let Some(_entered) = pool.enter()
        {
            let enter = || pool.threads.install(|| awake::run(work));
            if rayon_core::current_thread_index().is_none() {
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

#[cfg(feature = "threads")]
impl Pool {
    /// Lets one caller in, unless the calling thread is in already.
    ///
    /// A caller that waited for the pool with a lock would wait for ever if the run that is under way takes the same lock.
    fn enter(&self) -> Option<Entered<'_>> {
        let is_free = self.threads.current_thread_index().is_none() && !self.busy.swap(true, Ordering::Acquire);
        is_free.then(|| Entered(self))
    }
}

/// A run that is under way, until this is dropped.
#[cfg(feature = "threads")]
struct Entered<'a>(&'a Pool);

#[cfg(feature = "threads")]
impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// Runs `work` on a thread that belongs to no pool, and waits for it.
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

/// The number of threads that share the work at this point: 1 outside [`Threads::run`] and within [`alone`].
#[must_use]
#[inline]
pub fn current() -> usize {
    #[cfg(feature = "threads")]
    return CURRENT.get().max(1);
    #[cfg(not(feature = "threads"))]
    1
}

#[cfg(feature = "threads")]
thread_local! {
    /// The number of threads that share the work of this one: that of its pool if [`Threads`] has started it, or else 1;
    /// [`ALONE`] within [`alone`].
    static CURRENT: Cell<usize> = const { Cell::new(1) };
}

#[cfg(feature = "threads")]
const ALONE: usize = 0;

/// Runs `work` on this thread, whatever threads there are: for work so small that it takes longer to share it, because
/// what one thread has written the others must fetch, and for one of several pieces that threads do side by side.
pub fn alone<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "threads")]
    let _restored = Restored(CURRENT.replace(ALONE));
    work()
}

/// Returns whether this is within [`alone`], so that threads that are started here find no work.
#[must_use]
pub fn is_alone() -> bool {
    #[cfg(feature = "threads")]
    return CURRENT.get() == ALONE;
    #[cfg(not(feature = "threads"))]
    false
}

/// The number of threads before [`alone`], which is set again when this is dropped, also after a panic.
#[cfg(feature = "threads")]
struct Restored(usize);

#[cfg(feature = "threads")]
impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs both, side by side if there are threads for it.
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    if cfg!(not(feature = "threads")) {
        return (a(), b());
    }
    let (mut a, mut b) = (Some(a), Some(b));
    let (mut of_a, mut of_b) = (None, None);
    fork(&mut || of_a = a.take().map(|a| a()), &mut || of_b = b.take().map(|b| b()));
    match (of_a, of_b) {
        (Some(of_a), Some(of_b)) => (of_a, of_b),
        _ => unreachable!("both have run"),
    }
}

/// A dyn-compatible piece of work.
pub(crate) trait Task: Send {
    fn run(&mut self);
}

impl<F: FnMut() + Send> Task for F {
    fn run(&mut self) {
        self();
    }
}

/// Runs both tasks, side by side if there are threads for it.
///
/// The pool's own machinery is compiled once, here, and not for every loop that may fork.
pub(crate) fn fork(a: &mut dyn Task, b: &mut dyn Task) {
    #[cfg(feature = "threads")]
    if current() > 1 {
        return awake::fork(a, b);
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
    fn work_alone_does_not_fork_and_what_follows_does() {
        Threads::new(2).unwrap().run(|| {
            assert_eq!((alone(current), current()), (1, 2));
            assert_eq!(alone(|| alone(current) + current()), 2);
            assert!(!is_alone() && alone(is_alone));
            let panics = std::panic::catch_unwind(|| alone(|| std::panic::resume_unwind(Box::new("as planned"))));
            assert!(panics.is_err());
            assert_eq!(current(), 2);
        });
    }

    #[cfg(feature = "threads")]
    #[test]
    fn work_alone_stays_on_its_thread_also_in_a_run_of_other_threads() {
        let thread = || std::thread::current().id();
        let (two, three) = (Threads::new(2).unwrap(), Threads::new(3).unwrap());
        assert_eq!(alone(|| two.run(|| (thread(), current()))), (thread(), 1));
        two.run(|| {
            let own = thread();
            assert_eq!(alone(|| three.run(|| (thread(), current()))), (own, 1));
        });
        assert_eq!(two.run(current), 2);
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
            assert_eq!(current(), 1);
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

    /// Fails if this does not come to an end.
    #[cfg(feature = "threads")]
    fn with_fuse(work: impl FnOnce() + Send + 'static) {
        let (done, wait) = std::sync::mpsc::channel();
        let fuse = std::time::Duration::from_secs(60);
        std::thread::spawn(move || {
            work();
            done.send(()).unwrap();
        });
        assert_eq!(wait.recv_timeout(fuse), Ok(()), "it hangs, or has panicked");
    }

    /// A thread of the caller's pool that waited by taking up other tasks would take a lock that it holds.
    #[cfg(feature = "threads")]
    #[test]
    fn a_lock_around_a_run_within_a_callers_own_pool_is_let_go_again() {
        fn tasks(count: usize, task: &(impl Fn() + Sync)) {
            if count == 1 {
                return task();
            }
            rayon_core::join(|| tasks(count / 2, task), || tasks(count - count / 2, task));
        }
        with_fuse(|| {
            let lock = std::sync::Mutex::new(Threads::new(2).unwrap());
            in_own_pool(4, || {
                tasks(200, &|| {
                    let threads = lock.lock().unwrap();
                    assert_eq!(sum(0, 1000), 499_500);
                    assert_eq!(threads.run(|| sum(0, 1000)), 499_500);
                });
            });
        });
    }

    /// Does this many times, side by side.
    #[cfg(feature = "threads")]
    fn tasks(count: usize, task: &(impl Fn() + Sync)) {
        if count == 1 {
            return task();
        }
        join(|| tasks(count / 2, task), || tasks(count - count / 2, task));
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_lock_around_work_within_a_run_is_let_go_again() {
        with_fuse(|| {
            let (four, two) = (Threads::new(4).unwrap(), Threads::new(2).unwrap());
            let lock = std::sync::Mutex::new(());
            four.run(|| {
                tasks(2000, &|| {
                    let _held = lock.lock().unwrap();
                    assert_eq!(sum(0, 1000), 499_500);
                    assert_eq!(four.run(|| sum(0, 1000)), 499_500);
                });
                tasks(50, &|| {
                    let _held = lock.lock().unwrap();
                    assert_eq!(two.run(|| sum(0, 1000)), 499_500);
                });
            });
        });
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_lock_of_callers_who_share_threads_is_let_go_again() {
        with_fuse(|| {
            let (pool, lock) = (Threads::new(2).unwrap(), std::sync::Mutex::new(()));
            std::thread::scope(|scope| {
                for caller in 0..6 {
                    let (pool, lock) = (&pool, &lock);
                    let locked = move || {
                        let _held = lock.lock().unwrap();
                        sum(0, 1000)
                    };
                    scope.spawn(move || {
                        for _ in 0..300 {
                            let sums = match caller % 3 {
                                0 => (pool.run(locked), 499_500),
                                1 => pool.run(|| join(locked, locked)),
                                _ => {
                                    let _held = lock.lock().unwrap();
                                    (pool.run(|| sum(0, 1000)), 499_500)
                                }
                            };
                            assert_eq!(sums, (499_500, 499_500));
                        }
                    });
                }
            });
        });
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_run_that_finds_its_threads_busy_goes_on_where_it_is() {
        let two = Threads::new(2).unwrap();
        let work = || std::thread::scope(|scope| scope.spawn(|| two.run(current)).join().unwrap());
        assert_eq!(two.run(work), 1);
        let panics = || two.run(|| std::panic::resume_unwind(Box::new("as planned")));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(two.run(current), 2);
    }

    #[cfg(feature = "threads")]
    #[test]
    fn runs_of_different_threads_within_each_other_come_to_an_end() {
        let (two, three) = (Threads::new(2).unwrap(), Threads::new(3).unwrap());
        for _ in 0..20 {
            // The innermost run finds its threads busy with the outermost one.
            let counts =
                two.run(|| (current(), three.run(|| (current(), two.run(current))), Threads::one().run(current)));
            assert_eq!(counts, (2, (3, 3), 2));
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
