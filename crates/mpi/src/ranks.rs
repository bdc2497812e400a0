//! The start of MPI, and the ways in which a process ends.

use std::fmt::{self, Display};
use std::panic;
use std::process::{self, ExitCode};
use std::thread::JoinHandle;
use std::time::Duration;

use downhill_tensor::Scalar;
use mpi::traits::{CommunicatorCollectives, Equivalence};

use crate::MpiExchange;
use crate::engine::{self, FAILED, Orders, Started, Watch, say};

/// Starts MPI, and runs `train` on every process that the launcher has started.
///
/// An error or a panic of one process is printed with its rank and ends all of them, with an exit code other than 0.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     downhill_mpi::run(|ranks| -> Result<(), std::io::Error> {
///         println!("rank {} of {}", ranks.rank(), ranks.count());
///         Ok(())
///     })
/// }
/// ```
pub fn run<E: Display>(train: impl FnOnce(&Ranks) -> Result<(), E>) -> ExitCode {
    let ranks = match Ranks::start() {
        Ok(ranks) => ranks,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match train(&ranks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ranks.abort(&error),
    }
}

/// The processes that a launcher such as `mpirun` has started, numbered from 0; one, if there was no launcher.
///
/// All of them wait for one another when this is dropped. Until then a panic ends all of them, and so does an error that
/// [`run`] or [`abort`](Ranks::abort) receives.
#[derive(Debug)]
pub struct Ranks {
    rank: usize,
    count: usize,
    orders: Orders,
    thread: Option<JoinHandle<()>>,
}

/// The reason why MPI did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It has been started before in this process.
    Again,
    /// Its thread did not start.
    Thread(std::io::Error),
}

impl std::error::Error for StartError {}

impl Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => f.write_str("MPI has been started before in this process, which it can be only once"),
            Self::Thread(error) => write!(f, "the thread that calls MPI did not start: {error}"),
        }
    }
}

impl Ranks {
    /// Starts MPI, and has every panic of this process end all processes, after its message.
    ///
    /// # Errors
    /// Returns an error if MPI has been started before, or if there is no thread for it.
    pub fn start() -> Result<Self, StartError> {
        let started = engine::start().map_err(StartError::Thread)?.ok_or(StartError::Again)?;
        let Started { rank, ranks: count, orders, thread } = started;
        let (previous, for_panics) = (panic::take_hook(), orders.clone());
        panic::set_hook(Box::new(move |panic| {
            say(&format!("rank {rank} panicked:"));
            previous(panic);
            for_panics.abort();
        }));
        Ok(Self { rank, count, orders, thread: Some(thread) })
    }

    /// The number of this process.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Makes an exchange for [`Trainer::exchange`](downhill_train::Trainer::exchange). All ranks make the same ones, and
    /// use them in the same order.
    #[must_use]
    pub fn exchange<T: Scalar + Equivalence>(&self) -> MpiExchange<T> {
        MpiExchange::new(self.rank, self.count, self.orders.clone())
    }

    /// Prints an error with the number of this process, and ends all processes with an exit code other than 0.
    pub fn abort(&self, error: &dyn Display) -> ! {
        say(&format!("rank {}: {error}", self.rank));
        self.orders.abort();
        process::exit(FAILED)
    }
}

impl Drop for Ranks {
    /// Waits for all other processes.
    fn drop(&mut self) {
        let watch = Watch { limit: Duration::from_secs(600), timeline: None, link: None };
        let end = self.orders.give(move |engine| engine.wait("the end", &watch, 0, engine.world.immediate_barrier()));
        let _ = self.orders.wait(&end);
        self.orders.finish();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
