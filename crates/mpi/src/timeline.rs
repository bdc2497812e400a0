//! When a rank was busy with which messages, for Chrome's viewer of traces.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The row of the thread that calls MPI.
pub(crate) const MESSAGES: u8 = 0;

/// The row of the thread that trains.
pub(crate) const WAITS: u8 = 1;

/// What happened on a rank, shared by its two threads.
#[derive(Clone, Debug)]
pub(crate) struct Timeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    rank: usize,
    began: Instant,
    /// The time of the day at the beginning, which ranks have in common as far as their clocks agree.
    since_epoch: Duration,
    events: Mutex<Vec<Event>>,
}

#[derive(Debug)]
struct Event {
    row: u8,
    name: String,
    start: Duration,
    duration: Duration,
    bytes: usize,
}

impl Timeline {
    /// Makes a timeline that is written when the last of its clones goes.
    pub(crate) fn new(folder: PathBuf, rank: usize) -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path = folder.join(format!("rank-{rank}.json"));
        Self(Arc::new(Inner { path, rank, began: Instant::now(), since_epoch, events: Mutex::default() }))
    }

    /// Adds what began then and has ended now.
    pub(crate) fn add(&self, row: u8, name: &str, began: Instant, bytes: usize) {
        let start = began.saturating_duration_since(self.0.began);
        let event = Event { row, name: name.to_owned(), start, duration: began.elapsed(), bytes };
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl Inner {
    /// The events as an array of Chrome's trace format, an event to a line.
    fn to_json(&self) -> String {
        let mut text = String::from("[\n");
        let rank = self.rank;
        for (row, name) in [(MESSAGES, "messages"), (WAITS, "training waits")] {
            let _ = writeln!(
                text,
                r#"{{"name":"thread_name","ph":"M","pid":{rank},"tid":{row},"args":{{"name":"{name}"}}}},"#
            );
        }
        for Event { row, name, start, duration, bytes } in
            self.events.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let (start, duration) = ((self.since_epoch + *start).as_micros(), duration.as_micros());
            let _ = writeln!(
                text,
                r#"{{"name":"{name}","ph":"X","pid":{rank},"tid":{row},"ts":{start},"dur":{duration},"args":{{"bytes":{bytes}}}}},"#
            );
        }
        let _ = writeln!(text, r#"{{"name":"process_name","ph":"M","pid":{rank},"args":{{"name":"rank {rank}"}}}}"#);
        text + "]\n"
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, self.to_json()) {
            eprintln!("rank {}: the timeline {} could not be written: {error}", self.rank, self.path.display());
        }
    }
}
