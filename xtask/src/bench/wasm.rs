//! Training in a browser: the playground's module as its pages call it, next to the native build and to TensorFlow.js in
//! the same browser.
//!
//! The browser is a side of a contest like any other: `browser.js` opens it, and answers as `benches/peers/common.py` tells.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::contest::{self, Contest, Entry, Rounds};
use crate::server::{ISOLATED, Server};
use crate::table::{Row, Table, count};
use crate::workspace::Workspace;
use crate::{Result, browser, npm, playground};

/// The networks that are trained.
const WORKLOADS: [&str; 2] = ["step/2-16-16-1 tanh, descent, batch 16", "step/784-128-10, Adam, batch 32"];

/// How `browser.js` names our module, and how each name begins that it gives to TensorFlow.js.
const OURS: &str = "downhill, WebAssembly";
const THEIRS: &str = "TensorFlow.js";

/// The packages of TensorFlow.js, each with the address of its files.
const TENSORFLOW: [(&str, &str, &str); 2] = [
    ("@tensorflow/tfjs@4.22.0", "56505c191e24116787477b3bb5bb1cc0cf1c2bdce8112b9c402a8a2d31cf2f00", "/tfjs/"),
    (
        "@tensorflow/tfjs-backend-wasm@4.22.0",
        "5cd6f5e18657c12fb94f4ec3dcef485c8c1a9ca39f3ef1d261c1cb13c1a231c3",
        "/tfjs-wasm/",
    ),
];

/// Measures the workloads that match `filter`, and prints each as it ends: on one thread, and on all of the machine's in
/// a page that may share memory between them.
pub(super) fn run(workspace: &Workspace, filter: Option<&str>, rounds: Rounds) -> Result<Vec<Contest>> {
    let scripts = workspace.root.join("xtask/src/bench");
    let mut roots = vec![("/playground/", playground::build(workspace)?), ("/bench/", scripts.clone())];
    let tensorflow = tensorflow(workspace);
    match &tensorflow {
        Ok(folders) => roots.extend(folders.iter().cloned()),
        Err(error) => println!("TensorFlow.js is missing: {error}\n"),
    }
    let servers = [Server::open(0, roots.clone(), "")?, Server::open(0, roots, ISOLATED)?];
    let [plain, isolated] = servers.map(|server| format!("http://{}", server.address()));
    let task = workspace.target.join("bench/browser.json");
    fs::create_dir_all(workspace.target.join("bench"))?;
    let told = json!({
        "playwright": browser::playwright(workspace)?,
        "chromium": browser::chromium()?,
        "workloads": workspace.root.join("benches/workloads.json"),
        "plain": plain,
        "isolated": isolated,
        "tensorflow": tensorflow.is_ok(),
    });
    fs::write(&task, told.to_string())?;

    let native = contest::contestant(workspace)?;
    let listed = contest::list(&native, filter)?;
    let sides = [("downhill", vec![native]), ("the browser", vec!["node".into(), scripts.join("browser.js"), task])];
    let all = std::thread::available_parallelism().map_or(1, Into::into);
    let mut contests = Vec::new();
    for name in WORKLOADS.into_iter().filter(|name| listed.lines().any(|listed| listed == *name)) {
        for threads in if all > 1 { vec![1, all] } else { vec![1] } {
            let contest = contest::contest(&sides, name, threads, rounds, None)?;
            let contest = contest.filter(|contest| contest.entries.iter().any(|entry| entry.peer == OURS));
            let contest = contest.ok_or_else(|| format!("{name} was not measured in the browser: see above"))?;
            println!("{}\n", contest::table(&contest));
            contests.push(contest);
        }
    }
    if contests.is_empty() {
        return Err(
            format!("the filter leaves out all that is measured in the browser: {}", WORKLOADS.join("; ")).into()
        );
    }
    println!("{}", summary(&contests));
    Ok(contests)
}

/// Fetches TensorFlow.js, and gives the folders of its files with their addresses.
fn tensorflow(workspace: &Workspace) -> Result<Vec<(&'static str, PathBuf)>> {
    let unpack = |(package, sum, address): (_, _, &'static str)| -> Result<_> {
        let folder = workspace.target.join("tensorflow").join(address.trim_matches('/'));
        Ok((address, npm::unpack(package, sum, &folder)?.join("dist")))
    };
    TENSORFLOW.into_iter().map(unpack).collect()
}

/// The browser next to the native build and to the fastest way of TensorFlow.js, a line for each workload.
pub(super) fn summary(contests: &[Contest]) -> Table {
    let row = |contest: &Contest| {
        let rate = |entry: &Entry| count(1.0 / entry.time.median);
        // They are sorted by time, and who does other work is not compared with.
        let find = |is: &dyn Fn(&Entry) -> bool| contest.entries.iter().find(|entry| entry.agrees && is(entry));
        let mut cells = vec![contest.label()];
        match find(&|entry| entry.peer == OURS) {
            Some(ours) => {
                cells.push(rate(ours));
                let times = |entry: &Entry| entry.time.median / ours.time.median;
                match find(&Entry::is_ours) {
                    Some(native) => cells.extend([rate(native), format!("{:.0} %", 100.0 * times(native))]),
                    None => cells.extend(["-".into(), "-".into()]),
                }
                match find(&|entry| entry.peer.starts_with(THEIRS)) {
                    Some(theirs) => cells.extend([rate(theirs), format!("{:.2}", times(theirs)), theirs.peer.clone()]),
                    None => cells.push("nothing to compare".into()),
                }
            }
            None => cells.push("other work".into()),
        }
        Row { cells, bar: None }
    };
    Table {
        title: "Steps per second in Chromium".into(),
        head: &["WebAssembly", "native", "of native", "TensorFlow.js", "times as fast", "TensorFlow.js is"],
        rows: contests.iter().map(row).collect(),
        note: "The same shapes, start and data on every side; rounds in turn, and their medians. The module has one \
               thread; the others have those that are named."
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::measurement::Time;
    use super::*;

    fn contest(entries: &[(&str, f64, bool)]) -> Contest {
        let entry = |&(peer, seconds, agrees): &(&str, f64, bool)| {
            let time = Time { median: seconds, lower: seconds, upper: seconds };
            Entry { peer: peer.into(), library: "x".into(), time, values: vec![1.0], agrees }
        };
        Contest { name: "step/a".into(), threads: 1, entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn the_browser_is_compared_with_native_and_with_the_fastest_other_that_does_the_same() {
        let contests = [
            contest(&[
                ("downhill", 1e-3, true),
                ("TensorFlow.js, cheating", 1.5e-3, false),
                (OURS, 2e-3, true),
                ("TensorFlow.js, fair", 8e-3, true),
                ("TensorFlow.js, slow", 9e-3, true),
            ]),
            contest(&[(OURS, 2e-3, true)]),
            contest(&[("downhill", 1e-3, true), (OURS, 2e-3, false)]),
        ];
        let rows = summary(&contests).rows;
        let all = ["step/a, 1 thread", "500", "1.00 k", "50 %", "125", "4.00", "TensorFlow.js, fair"];
        assert_eq!(rows[0].cells, all);
        assert_eq!(rows[1].cells, ["step/a, 1 thread", "500", "-", "-", "nothing to compare"]);
        assert_eq!(rows[2].cells, ["step/a, 1 thread", "other work"]);
    }

    #[test]
    fn the_workloads_are_listed() {
        let listed = include_str!("../../../benches/workloads.json");
        for workload in WORKLOADS {
            let (name, batch) = workload.trim_start_matches("step/").split_once(", batch ").unwrap();
            assert!(
                listed.contains(&format!("\"suite\": \"step\", \"name\": \"{name}\", \"batches\": [{batch}]")),
                "{workload}"
            );
        }
    }
}
