//! The one thread that calls MPI.
//!
//! Every call begins an operation and then looks whether it is done, so that the thread can also look at the clock and at
//! the rest of its process: MPI itself waits for a process that never comes for as long as that takes.
//! While it looks, MPI moves data that were sent before, at the same time as the backward pass goes on.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use std::{process, thread};

use mpi::Threading;
use mpi::request::{Request, Scope, StaticScope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};

use crate::Link;
use crate::timeline::{MESSAGES, Timeline};

/// The exit code of all processes after one of them has ended the others.
pub(crate) const FAILED: i32 = 1;

/// The time for which a launcher can pass on what was said last: it drops what comes as it ends all processes.
const HEARD: Duration = Duration::from_millis(300);

/// The longest time in which an order to end all processes is obeyed, before this one ends in a way that launchers notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time for which a wait lets others have the processor without sleeping, if training waits as well.
const AWAKE: Duration = Duration::from_millis(2);

/// The sleep between two looks after that.
const NAP: Duration = Duration::from_micros(50);

/// The sleep between two looks while training goes on: each look takes the processor from it.
const LONG_NAP: Duration = Duration::from_micros(200);

/// The longest time between two looks that counts as waiting: after a longer one, all processes have stood still, as
/// batch systems have them do for others.
const STOPPED: Duration = Duration::from_secs(1);

/// Something that the thread does.
enum Order {
    Job(Box<dyn FnOnce(&Engine) + Send>),
    Abort,
    Finish,
}

/// A way to give orders to the thread.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    orders: Sender<Order>,
    /// Seen by the thread while it waits for other processes.
    aborts: Arc<AtomicBool>,
    /// Whether training waits for a result.
    awaited: Arc<AtomicBool>,
    thread: thread::Thread,
}

impl Orders {
    /// Has the thread do this next, in the order of calls, and returns where its result will come.
    pub(crate) fn give<R: Send + 'static>(&self, job: impl FnOnce(&Engine) -> R + Send + 'static) -> Receiver<R> {
        let (result, results) = channel();
        let job = move |engine: &Engine| {
            // The caller no longer waits for it if the run has ended.
            let _ = result.send(job(engine));
        };
        // A thread that has ended shows itself by no result.
        let _ = self.orders.send(Order::Job(Box::new(job)));
        results
    }

    /// Waits for a result; `None` if the thread has ended.
    pub(crate) fn wait<R>(&self, results: &Receiver<R>) -> Option<R> {
        self.awaited.store(true, Ordering::Release);
        self.thread.unpark();
        let result = results.recv().ok();
        self.awaited.store(false, Ordering::Release);
        result
    }

    /// Ends all processes; returns if MPI has come to its end before.
    pub(crate) fn abort(&self) {
        thread::sleep(HEARD);
        self.aborts.store(true, Ordering::Release);
        if self.orders.send(Order::Abort).is_err() {
            return;
        }
        thread::sleep(PATIENCE);
        // The thread is in a call that does not return, or has itself panicked: the launcher ends the others.
        process::abort()
    }

    pub(crate) fn finish(&self) {
        let _ = self.orders.send(Order::Finish);
    }
}

/// MPI, started on its thread.
pub(crate) struct Started {
    pub(crate) rank: usize,
    pub(crate) ranks: usize,
    pub(crate) orders: Orders,
    pub(crate) thread: thread::JoinHandle<()>,
}

/// Starts MPI; `None` if it has been started before.
pub(crate) fn start() -> std::io::Result<Option<Started>> {
    let (orders, incoming) = channel();
    let (aborts, awaited) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (started, starts) = channel();
    let seen = (Arc::clone(&aborts), Arc::clone(&awaited));
    let thread = thread::Builder::new().name("mpi".into()).spawn(move || {
        let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else { return };
        let world = universe.world();
        let (aborts, awaited) = seen;
        let engine = Engine { notes: world.duplicate(), world, aborts, awaited, operations: Cell::new(0) };
        let _ = started.send((engine.rank(), engine.ranks()));
        engine.obey(&incoming);
    })?;
    let orders = Orders { orders, aborts, awaited, thread: thread.thread().clone() };
    Ok(starts.recv().ok().map(|(rank, ranks)| Started { rank, ranks, orders, thread }))
}

/// How operations are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    /// The longest time for one.
    pub(crate) limit: Duration,
    pub(crate) timeline: Option<Timeline>,
    /// The link that they are slowed down to.
    pub(crate) link: Option<Link>,
}

/// What the thread has.
pub(crate) struct Engine {
    pub(crate) world: SimpleCommunicator,
    /// For notes of ranks that wait, next to the operations that they wait for.
    notes: SimpleCommunicator,
    aborts: Arc<AtomicBool>,
    awaited: Arc<AtomicBool>,
    /// The operations so far, which are the same on all ranks.
    operations: Cell<u64>,
}

impl Engine {
    pub(crate) fn rank(&self) -> usize {
        usize::try_from(self.world.rank()).unwrap_or_default()
    }

    pub(crate) fn ranks(&self) -> usize {
        usize::try_from(self.world.size()).unwrap_or(1)
    }

    fn obey(&self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Job(job) => job(self),
                Order::Abort => self.world.abort(FAILED),
                Order::Finish => return,
            }
        }
    }

    /// Waits until an operation of all ranks is done, and ends all processes if that takes longer than the limit: the
    /// message says which ranks have not begun it. `bytes` are what this rank sends to others.
    pub(crate) fn wait<'a, D: ?Sized, S: Scope<'a>>(
        &self,
        what: &str,
        watch: &Watch,
        bytes: usize,
        request: Request<'a, D, S>,
    ) {
        let limit = watch.limit;
        self.operations.set(self.operations.get() + 1);
        let (began, mut has_noted, mut request) = (Instant::now(), false, request);
        let (mut waited, mut last) = (Duration::ZERO, began);
        let mut awake_until = None;
        loop {
            match request.test() {
                Ok(_) => break,
                Err(still) => request = still,
            }
            if self.aborts.load(Ordering::Acquire) {
                self.world.abort(FAILED);
            }
            // If this process was stopped, so may have been the others.
            waited += last.elapsed().min(STOPPED);
            last = Instant::now();
            if waited > limit {
                say(&self.complaint(what, limit));
                thread::sleep(HEARD);
                self.world.abort(FAILED);
            }
            if !has_noted && waited > limit / 2 {
                has_noted = true;
                self.note();
            }
            if !self.awaited.load(Ordering::Acquire) {
                awake_until = None;
                thread::park_timeout(LONG_NAP);
            } else if waited < *awake_until.get_or_insert(waited + AWAKE) {
                thread::yield_now();
            } else {
                thread::sleep(NAP);
            }
        }
        if let Some(link) = watch.link {
            pause(link.time(bytes));
        }
        if let Some(timeline) = &watch.timeline {
            timeline.add(MESSAGES, what, began, bytes);
        }
    }

    fn others(&self) -> impl Iterator<Item = i32> {
        let own = self.world.rank();
        (0..self.world.size()).filter(move |&rank| rank != own)
    }

    /// Tells all others which operation this rank waits for.
    fn note(&self) {
        for rank in self.others() {
            let note: &'static u64 = Box::leak(Box::new(self.operations.get()));
            // Its end is not waited for: a rank that hangs may not take it.
            std::mem::forget(self.notes.process_at_rank(rank).immediate_send(StaticScope, note));
        }
    }

    /// Says which ranks have sent no note of the operation that this rank waits for.
    fn complaint(&self, what: &str, limit: Duration) -> String {
        let has_come = |rank: &i32| {
            let process = self.notes.process_at_rank(*rank);
            let mut has_come = false;
            while process.immediate_probe().is_some() {
                has_come |= process.receive::<u64>().0 >= self.operations.get();
            }
            has_come
        };
        let (come, missing): (Vec<i32>, Vec<i32>) = self.others().partition(has_come);
        let mut text = format!(
            "rank {}: {what} of all ranks did not come together within {} s: ",
            self.rank(),
            limit.as_secs_f64()
        );
        let _ = match (&missing[..], &come[..]) {
            ([], _) => write!(text, "all ranks wait for it, so that messages are lost or slow; look at the network"),
            (missing, []) => write!(text, "{} did not arrive", list(missing)),
            (missing, come) => write!(text, "{} did not arrive, {} did", list(missing), list(come)),
        };
        text + ". A process hangs, has come to an end or is slow: look at what that rank has printed last, or set a longer \
                `time_limit`"
    }
}

/// Sleeps this long, to a few microseconds: a sleep alone ends some tens of them late.
fn pause(duration: Duration) {
    let end = Instant::now() + duration;
    thread::sleep(duration.saturating_sub(Duration::from_micros(80)));
    while Instant::now() < end {
        thread::yield_now();
    }
}

/// Writes a line on the standard error at once, which several processes share.
pub(crate) fn say(line: &str) {
    // There is no one left to tell if this fails.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes ranks as a person would.
fn list(ranks: &[i32]) -> String {
    let ranks: Vec<String> = ranks.iter().map(i32::to_string).collect();
    match &ranks[..] {
        [rank] => format!("rank {rank}"),
        [all @ .., last] => format!("ranks {} and {last}", all.join(", ")),
        [] => "no rank".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_listed_as_a_person_would() {
        assert_eq!([list(&[2]), list(&[1, 3]), list(&[0, 1, 4])], ["rank 2", "ranks 1 and 3", "ranks 0, 1 and 4"]);
    }
}
