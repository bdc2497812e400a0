//! The program `downhill`, whose `train --mpi` shares its work among the processes of a launcher.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use downhill_cli::session;
use downhill_mpi::Ranks;
use downhill_train::GradientExchange;

/// The processes of MPI, as the program knows them.
struct Processes<'r>(&'r Ranks);

impl session::Ranks for Processes<'_> {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn count(&self) -> usize {
        self.0.count()
    }

    fn exchange(&self) -> Box<dyn GradientExchange<f32>> {
        Box::new(self.0.exchange())
    }
}

fn main() -> ExitCode {
    downhill_cli::run_on_ranks(|train| downhill_mpi::run(|ranks| train(&Processes(ranks))))
}
