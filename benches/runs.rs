//! Whole runs, in rounds that alternate between the ways of doing them: a JSON line for the round trip between two
//! cores, and one for each way on each number of threads.
#![forbid(unsafe_code)]

use std::time::Instant;

use downhill_benches::{Run, round_trip, threads};
use regex::Regex;
use serde_json::json;

fn main() {
    let is_quick = std::env::var_os("DOWNHILL_BENCH_QUICK").is_some();
    let rounds = if is_quick { 3 } else { 9 };
    // Cargo adds arguments of its own.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    let filter = Regex::new(&filter).expect("the filter is a regular expression");
    println!("{}", json!({ "round_trip": round_trip() }));
    for run in Run::all().into_iter().filter(|run| filter.is_match(&run.id())) {
        for threads in threads() {
            let ways = run.ways();
            let mut calls: Vec<_> = ways.iter().map(|way| run.start(way, &threads)).collect();
            let mut seconds = vec![Vec::new(); calls.len()];
            for round in 0..=rounds {
                for turn in (0..ways.len()).map(|turn| (turn + round) % ways.len()) {
                    let start = Instant::now();
                    threads.run(|| calls[turn]());
                    // The first round makes room and warms up.
                    if round > 0 {
                        seconds[turn].push(start.elapsed().as_secs_f64());
                    }
                }
            }
            for (way, of_way) in ways.iter().zip(&seconds) {
                let line = json!({
                    "name": run.id(), "steps": run.steps(), "threads": threads.count(), "way": way,
                    "seconds": of_way, "first": seconds[0],
                });
                println!("{line}");
            }
        }
    }
}
