use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{Builder, JoinHandle};

use downhill_tensor::Scalar;

use super::engine::{Engine, Loaded};
use crate::DataError;

/// A thread that makes batches before they are asked for.
///
/// It has as many buffers as it may be ahead by, and waits while all are full; the caller has one more.
pub(super) struct Ahead<T> {
    /// `None` once the thread has been told to end.
    commands: Option<Sender<Command<T>>>,
    batches: Receiver<Made<T>>,
    thread: Option<JoinHandle<()>>,
    /// The number of the epoch's start; what was made for an earlier one is passed over.
    started: u64,
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
    batch: Result<Option<Box<Loaded<T>>>, DataError>,
    total: Option<u64>,
}

impl<T: Scalar> Ahead<T> {
    /// Starts the thread, or gives the engine back if the system has none to give.
    pub(super) fn spawn(engine: Box<Engine<'static, T>>, depth: usize) -> Result<Self, Box<Engine<'static, T>>> {
        let (commands, received) = channel();
        let (send, batches) = channel();
        let work = move || {
            if let Ok(Command::Begin(mut engine)) = received.recv() {
                make(&mut engine, depth, &received, &send);
            }
        };
        match Builder::new().name("downhill-data".into()).spawn(work) {
            Err(_) => Err(engine),
            Ok(thread) => {
                let total = engine.total;
                let begin = Command::Begin(engine);
                let (commands, thread) = (Some(commands), Some(thread));
                let ahead = Self { commands, batches, thread, started: 0, ended: true, total };
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
        self.tell(Command::Start { started: self.started, epoch, batch });
    }

    /// Gives a buffer back.
    pub(super) fn free(&self, batch: Box<Loaded<T>>) {
        self.tell(Command::Free(batch));
    }

    /// Waits for the next batch, `None` at the end of the epoch.
    pub(super) fn next(&mut self) -> Result<Option<Box<Loaded<T>>>, DataError> {
        while !self.ended {
            let Ok(Made { started, batch, total }) = self.batches.recv() else {
                self.ended = true;
                if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                break;
            };
            self.total = total;
            if started == self.started {
                self.ended = !matches!(batch, Ok(Some(_)));
                return batch;
            }
            if let Ok(Some(batch)) = batch {
                self.free(batch);
            }
        }
        Ok(None)
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

/// Makes batches until no caller takes them.
fn make<T: Scalar>(
    engine: &mut Engine<'static, T>,
    depth: usize,
    commands: &Receiver<Command<T>>,
    batches: &Sender<Made<T>>,
) {
    let mut free: Vec<Box<Loaded<T>>> = Vec::new();
    let (mut made, mut epoch) = (0, None);
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
                let batch = match engine.fill(&mut buffer) {
                    Ok(true) => Ok(Some(buffer)),
                    other => {
                        free.push(buffer);
                        epoch = None;
                        other.map(|_| None)
                    }
                };
                if batches.send(Made { started, batch, total: engine.total }).is_err() {
                    return;
                }
            }
        }
    }
}
