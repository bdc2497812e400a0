use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use downhill_tensor::Scalar;

use super::engine::{Engine, Loaded};
use crate::DataError;

/// The time in which a batch goes from one thread to another, about. What takes less to make is made by its reader.
const HANDOVER: Duration = Duration::from_micros(10);

/// The batches after which the thread knows how long it takes to make one.
const TRIED: u32 = 16;

/// A thread that makes batches before they are asked for.
///
/// It has as many buffers as it may be ahead by, and waits while all are full; the caller has one more.
/// If a batch takes longer to hand over than to make, the thread gives the engine back and ends.
pub(super) struct Ahead<T> {
    /// `None` once the thread has been told to end.
    commands: Option<Sender<Command<T>>>,
    batches: Receiver<Made<T>>,
    thread: Option<JoinHandle<()>>,
    /// The number of the epoch's start; what was made for an earlier one is passed over.
    started: u64,
    /// The epoch that was started, and the batch it begins at.
    place: (u64, usize),
    /// Whether the epoch has no more batches to wait for.
    ended: bool,
    /// The number of examples, once it is known.
    pub(super) total: Option<u64>,
}

enum Command<T> {
    Begin(Box<Engine<'static, T>>),
    Start {
        started: u64,
        epoch: u64,
        batch: usize,
    },
    /// A buffer that is free again.
    Free(Box<Loaded<T>>),
}

struct Made<T> {
    started: u64,
    batch: Result<Next<T>, DataError>,
    total: Option<u64>,
}

/// What comes next in an epoch.
pub(super) enum Next<T> {
    Batch(Box<Loaded<T>>),
    End,
    /// The engine, which is quicker here: its next batch is the one that was asked for.
    Engine(Box<Engine<'static, T>>),
}

impl<T: Scalar> Ahead<T> {
    /// Starts the thread, or gives the engine back if the system has none to give.
    pub(super) fn spawn(engine: Box<Engine<'static, T>>, depth: usize) -> Result<Self, Box<Engine<'static, T>>> {
        let (commands, received) = channel();
        let (send, batches) = channel();
        let work = move || {
            if let Ok(Command::Begin(engine)) = received.recv() {
                make(engine, depth, &received, &send);
            }
        };
        match Builder::new().name("downhill-data".into()).spawn(work) {
            Err(_) => Err(engine),
            Ok(thread) => {
                let total = engine.total;
                let begin = Command::Begin(engine);
                let (commands, thread) = (Some(commands), Some(thread));
                let ahead = Self { commands, batches, thread, started: 0, place: (0, 0), ended: true, total };
                ahead.tell(begin);
                Ok(ahead)
            }
        }
    }

    fn tell(&self, command: Command<T>) {
        if let Some(commands) = &self.commands {
            // A thread that has ended by a panic is noticed when a batch is asked for.
            let _ = commands.send(command);
        }
    }

    pub(super) fn start(&mut self, epoch: u64, batch: usize) {
        self.started += 1;
        self.ended = false;
        self.place = (epoch, batch);
        self.tell(Command::Start { started: self.started, epoch, batch });
    }

    /// Gives a buffer back.
    pub(super) fn free(&self, batch: Box<Loaded<T>>) {
        self.tell(Command::Free(batch));
    }

    /// Waits for the next batch.
    pub(super) fn next(&mut self) -> Result<Next<T>, DataError> {
        while !self.ended {
            let Ok(Made { started, batch, total }) = self.batches.recv() else {
                self.ended = true;
                if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                break;
            };
            self.total = total;
            match batch {
                Ok(Next::Engine(mut engine)) => {
                    if started != self.started {
                        let (epoch, batch) = self.place;
                        engine.start(epoch, batch);
                    }
                    return Ok(Next::Engine(engine));
                }
                batch if started == self.started => {
                    self.ended = !matches!(batch, Ok(Next::Batch(_)));
                    return batch;
                }
                Ok(Next::Batch(batch)) => self.free(batch),
                _ => {}
            }
        }
        Ok(Next::End)
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was shown by `next`, or the caller no longer waits for it.
            let _ = thread.join();
        }
    }
}

/// Makes batches until no caller takes them, or the caller makes them quicker.
fn make<T: Scalar>(
    mut engine: Box<Engine<'static, T>>,
    depth: usize,
    commands: &Receiver<Command<T>>,
    batches: &Sender<Made<T>>,
) {
    let mut free: Vec<Box<Loaded<T>>> = Vec::new();
    let (mut made, mut epoch) = (0, None);
    let (mut tried, mut taken) = (0, Duration::ZERO);
    loop {
        if free.is_empty() && made < depth {
            free.push(Box::new(Loaded::new(engine.layout())));
            made += 1;
        }
        let command = if epoch.is_some() && !free.is_empty() {
            match commands.try_recv() {
                Ok(command) => Some(command),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return,
            }
        } else {
            match commands.recv() {
                Ok(command) => Some(command),
                Err(_) => return,
            }
        };
        match command {
            Some(Command::Begin(_)) => {}
            Some(Command::Free(batch)) => free.push(batch),
            Some(Command::Start { started, epoch: number, batch }) => {
                engine.start(number, batch);
                epoch = Some(started);
            }
            None => {
                let (Some(started), Some(mut buffer)) = (epoch, free.pop()) else { continue };
                let start = Instant::now();
                let batch = match engine.fill(&mut buffer) {
                    Ok(true) => Ok(Next::Batch(buffer)),
                    other => {
                        free.push(buffer);
                        epoch = None;
                        other.map(|_| Next::End)
                    }
                };
                (tried, taken) = (tried + 1, taken + start.elapsed());
                let total = engine.total;
                if batches.send(Made { started, batch, total }).is_err() {
                    return;
                }
                if tried >= TRIED && taken < tried * HANDOVER && epoch.is_some() {
                    let _ = batches.send(Made { started, batch: Ok(Next::Engine(engine)), total });
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use crate::source::InMemory;

    fn ahead(wait: Duration) -> Ahead<f64> {
        let data = Dataset::new((0..1000).map(f64::from).collect(), [1], vec![0; 1000]).unwrap();
        let mut engine = Box::new(Engine::new(Box::new(InMemory::new(data)), 1, None));
        engine.transforms.push(Box::new(move |_, _, _| {
            std::thread::sleep(wait);
            Ok(())
        }));
        Ahead::spawn(engine, 2).unwrap_or_else(|_| panic!("the system has a thread to give"))
    }

    /// The batches until the thread gives its engine back, and the engine.
    fn given(ahead: &mut Ahead<f64>, epochs: u64) -> Option<(Vec<f64>, Box<Engine<'static, f64>>)> {
        for epoch in 0..epochs {
            let mut seen = Vec::new();
            ahead.start(epoch, 0);
            loop {
                match ahead.next().unwrap() {
                    Next::Batch(batch) => {
                        seen.extend_from_slice(batch.rows.batch(&batch.places).inputs.slice());
                        ahead.free(batch);
                    }
                    Next::End => break,
                    Next::Engine(engine) => return Some((seen, engine)),
                }
            }
        }
        None
    }

    #[test]
    fn batches_that_take_no_time_to_make_need_no_thread() {
        let mut ahead = ahead(Duration::ZERO);
        // On a machine with much else to do the thread may be a while in finding out.
        let (mut seen, mut engine) = given(&mut ahead, 1000).unwrap();
        assert!(seen.len() >= TRIED as usize || ahead.started > 1);
        let mut loaded = Loaded::new(engine.layout());
        while engine.fill(&mut loaded).unwrap() {
            seen.extend_from_slice(loaded.rows.batch(&loaded.places).inputs.slice());
        }
        assert_eq!(seen, (0..1000).map(f64::from).collect::<Vec<_>>(), "none is left out and none comes twice");
    }

    #[test]
    fn an_epoch_that_the_thread_did_not_hear_of_starts_at_its_batch() {
        let mut ahead = ahead(Duration::ZERO);
        ahead.start(0, 0);
        for epoch in 1.. {
            std::thread::sleep(Duration::from_millis(1));
            if ahead.thread.as_ref().is_some_and(JoinHandle::is_finished) {
                break;
            }
            match ahead.next().unwrap() {
                Next::Batch(batch) => ahead.free(batch),
                Next::End => ahead.start(epoch, 0),
                Next::Engine(_) => panic!("the thread has not ended"),
            }
        }
        ahead.start(3, 5);
        let Next::Engine(mut engine) = ahead.next().unwrap() else { panic!("the thread has ended") };
        let mut loaded = Loaded::new(engine.layout());
        assert!(engine.fill(&mut loaded).unwrap());
        assert_eq!(loaded.rows.batch(&loaded.places).inputs.slice(), [5.0]);
    }

    #[test]
    fn batches_that_take_longer_stay_with_the_thread() {
        assert!(given(&mut ahead(2 * HANDOVER), 1).is_none());
    }
}
