//! Threads that stay awake between forks.
//!
//! A thread that finds nothing to do goes to sleep after some microseconds, and to wake it takes longer than a small
//! product: 20 to 50 µs on a virtual machine. So each of the pool's threads has one task for as long as a
//! [`Threads::run`](super::Threads::run) lasts: to look for work. It takes a tenth off a training step on two threads
//! (`docs/performance.md`, "Threads"). The other half of this file keeps a caller's locks safe: a thread that waits for
//! its fork takes up no other work.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{sleep, yield_now};
use std::time::Duration;

use rayon_core::Yield;

use super::Task;

/// The state of a thread of a pool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// It looks for work.
    Looking,
    /// It is within a task, in which it may wait: it takes up no other.
    Working,
}

thread_local!(static STATE: Cell<State> = const { Cell::new(State::Free) });

/// This thread's state, until this is dropped.
struct Now {
    before: State,
}

impl Now {
    /// Enters a state, unless the thread is in it or beyond it.
    fn enter(state: State) -> Option<Self> {
        let before = STATE.get();
        let ((State::Free, _) | (State::Looking, State::Working)) = (before, state) else { return None };
        STATE.set(state);
        Some(Self { before })
    }
}

impl Drop for Now {
    fn drop(&mut self) {
        STATE.set(self.before);
    }
}

/// Sets its flag when it is dropped, also after a panic.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs the work, within the pool, while its other threads stay awake.
pub(super) fn run<R>(work: impl FnOnce() -> R) -> R {
    let _working = Now::enter(State::Working);
    let over = Arc::new(AtomicBool::new(false));
    for _ in 1..rayon_core::current_num_threads() {
        let over = Arc::clone(&over);
        rayon_core::spawn(move || look_for_work(&over));
    }
    let _over = Flag(&over);
    work()
}

fn look_for_work(over: &AtomicBool) {
    let Some(_looking) = Now::enter(State::Looking) else { return };
    let mut idle = Idle::default();
    while !over.load(Ordering::Acquire) {
        match rayon_core::yield_now() {
            Some(Yield::Executed) => idle = Idle::default(),
            _ => idle.pause(),
        }
    }
}

/// Runs both tasks; the second on whichever thread is free first.
///
/// The pool's own `join` takes up any other work while it waits, which may take a lock that this thread holds. So
/// this thread runs the second task itself, or waits here for the one that does. A task that reaches it in the moment
/// that is left for the pool's own wait stays with the thread that has forked it.
pub(super) fn fork(a: &mut dyn Task, b: &mut dyn Task) {
    let (b, done) = (Mutex::new(Some(b)), AtomicBool::new(false));
    let claim = || b.lock().unwrap_or_else(PoisonError::into_inner).take();
    rayon_core::join(
        || {
            a.run();
            if let Some(b) = claim() {
                return b.run();
            }
            let mut idle = Idle::default();
            while !done.load(Ordering::Acquire) {
                idle.pause();
            }
        },
        || {
            let Some(_working) = Now::enter(State::Working) else { return };
            let Some(b) = claim() else { return };
            let _done = Flag(&done);
            b.run();
        },
    );
}

/// The time without work, in rounds.
#[derive(Default)]
struct Idle {
    rounds: u32,
}

impl Idle {
    /// Pauses, longer the longer there was nothing to do.
    fn pause(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        match self.rounds {
            0..200 => spin_loop(),
            200..5_000 => yield_now(),
            _ => sleep(Duration::from_micros(50)),
        }
    }
}
