//! Items side by side, each on one thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use downhill_tensor::threads::{self, Threads, ThreadsError};

/// Chosen threads, or else all there are; none are started where they would find no work.
pub(crate) fn chosen(threads: Option<&Threads>) -> Result<Threads, ThreadsError> {
    match threads {
        Some(threads) => Ok(threads.clone()),
        None if threads::is_alone() => Ok(Threads::one()),
        None => Threads::all(),
    }
}

/// Computes an item for each number below `count` and returns them in order. Each thread takes the next one when it has
/// done its last, and within an item nothing forks, whatever threads it asks for.
pub(crate) fn map<R: Send>(threads: &Threads, count: usize, item: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    let work = || {
        let _end = EndOnPanic { next: &next, count };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let result = threads::alone(|| item(number));
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    threads.run(|| share(threads.count().min(count), &work));
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does the work once for each worker, side by side if there are threads for it.
fn share(workers: usize, work: &(impl Fn() + Sync)) {
    match workers {
        0 | 1 => work(),
        _ => {
            threads::join(|| share(workers / 2, work), || share(workers - workers / 2, work));
        }
    }
}

/// Leaves no item to the others once one has panicked.
struct EndOnPanic<'a> {
    next: &'a AtomicUsize,
    count: usize,
}

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.next.store(self.count, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    #[test]
    fn items_are_in_order_on_any_number_of_threads() {
        for count in [0, 1, 2, 3, 100] {
            for threads in [1, 2, 3, 8] {
                let threads = Threads::new(threads).unwrap();
                let squares = map(&threads, count, |number| number * number);
                assert_eq!(squares, (0..count).map(|number| number * number).collect::<Vec<_>>());
                // Also where a run is under way.
                assert_eq!(threads.run(|| map(&threads, count, |number| number * number)), squares);
            }
        }
    }

    #[test]
    fn an_item_has_one_thread_whatever_it_asks_for() {
        let two = Threads::new(2).unwrap();
        let seen = map(&two, 8, |_| (threads::current(), two.run(threads::current), chosen(None).unwrap().count()));
        assert_eq!(seen, [(1, 1, 1); 8]);
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_long_item_does_not_hold_up_the_others() {
        let waiting = std::sync::Barrier::new(2);
        // Item 0 ends only after item 9, which therefore must not wait behind it.
        let done = map(&Threads::new(2).unwrap(), 10, |number| {
            if number == 0 || number == 9 {
                waiting.wait();
            }
            number
        });
        assert_eq!(done.len(), 10);
    }

    #[test]
    fn a_panic_comes_out_and_ends_the_rest() {
        for threads in [1, 2] {
            let (threads, begun) = (Threads::new(threads).unwrap(), AtomicUsize::new(0));
            let panics = || {
                map(&threads, 1000, |number| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    match number {
                        3 => resume_unwind(Box::new("as planned")),
                        _ => std::thread::sleep(std::time::Duration::from_millis(1)),
                    }
                })
            };
            let panic = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"as planned"));
            assert!(begun.load(Ordering::Relaxed) < 500);
        }
    }
}
