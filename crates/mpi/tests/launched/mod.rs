//! Starts ranks, and holds what they leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::launcher::mpirun;
use crate::{FOLDER, PROGRAM};

/// What a launcher has left.
pub(crate) struct Launched {
    pub(crate) output: Output,
    pub(crate) seconds: f64,
    /// What each rank has left, if it came to that.
    pub(crate) ranks: Vec<String>,
}

impl Launched {
    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// What all ranks have left, which ended well.
    pub(crate) fn all(self) -> Vec<String> {
        assert!(self.output.status.success(), "{}\n{}", self.output.status, self.errors());
        self.ranks
    }

    /// Checks that all ranks have ended soon, with an exit code other than 0 and this in a message.
    pub(crate) fn ended_with(&self, message: &str) {
        assert!(!self.output.status.success(), "it ended well: {}", self.errors());
        assert!(self.seconds < 10.0, "it took {} s", self.seconds);
        assert!(self.errors().contains(message), "no {message:?} in:\n{}", self.errors());
    }

    /// Checks that an error of this rank has ended all: its own message comes, or that of a rank that has heard of it.
    pub(crate) fn ended_by(&self, rank: usize, message: &str) {
        self.ended_with(message);
        let heard = [format!("rank {rank}: "), format!("rank {rank} has ended the run: ")];
        assert!(heard.iter().any(|start| self.errors().contains(start)), "no {heard:?} in:\n{}", self.errors());
    }

    /// Checks that the launcher has ended all ranks after one was killed. MPICH says so on the standard output.
    pub(crate) fn ended_by_a_kill(&self) {
        self.ended_with("");
        let said = (self.errors() + &String::from_utf8_lossy(&self.output.stdout)).to_lowercase();
        assert!(said.contains("signal 9") || said.contains("signal: 9"), "{said}");
    }
}

/// Starts this number of ranks of a program.
pub(crate) fn launch(ranks: usize, words: &str) -> Launched {
    let folder = folder_of(ranks, words);
    let _ = fs::remove_dir_all(&folder);
    launch_in(&folder, ranks, words)
}

pub(crate) fn folder_of(ranks: usize, words: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(words.replace(' ', "-")).join(ranks.to_string())
}

pub(crate) fn command_in(folder: &Path, ranks: usize, words: &str) -> Command {
    fs::create_dir_all(folder).unwrap();
    let mut command = mpirun(ranks);
    command.arg(std::env::current_exe().unwrap());
    command.env(PROGRAM, words).env(FOLDER, folder).env("RUST_BACKTRACE", "0");
    command
}

pub(crate) fn launch_in(folder: &Path, ranks: usize, words: &str) -> Launched {
    finish(command_in(folder, ranks, words), folder, ranks)
}

/// Starts a command and waits for its end.
pub(crate) fn finish(mut command: Command, folder: &Path, ranks: usize) -> Launched {
    let (output, seconds) = wait_for(thread::spawn(move || command.output()));
    let output = output.unwrap_or_else(|error| panic!("mpirun could not be started ({error}): install `openmpi-bin`"));
    let left = |rank| fs::read_to_string(folder.join(format!("rank-{rank}")));
    let ranks = (0..ranks).filter_map(|rank| left(rank).ok()).collect();
    Launched { output, seconds, ranks }
}

/// Waits for a result, and says how long that took. While all processes stand still, no time is counted.
pub(crate) fn wait_for<R>(running: JoinHandle<R>) -> (R, f64) {
    let (mut waited, mut last) = (Duration::ZERO, Instant::now());
    while !running.is_finished() {
        thread::sleep(Duration::from_millis(1));
        waited += last.elapsed().min(Duration::from_secs(1));
        last = Instant::now();
    }
    (running.join().unwrap(), waited.as_secs_f64())
}

pub(crate) fn without_memory(left: &str) -> &str {
    left.split_once('\n').unwrap_or_default().1
}
