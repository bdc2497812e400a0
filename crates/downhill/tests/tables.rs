//! The tables of the guide and of the crates' pages name everything of their kind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use downhill::layers::Description;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names that follow one of the markers on the lines of a folder's sources, tests left out; a marker may stand
/// anywhere behind `impl`.
fn named(folder: &str, markers: &[&str]) -> BTreeSet<String> {
    let (mut names, mut folders) = (BTreeSet::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for line in code.lines() {
                let rest = markers.iter().filter_map(|marker| {
                    let (before, rest) = line.split_once(marker)?;
                    (before.is_empty() || before.starts_with("impl")).then_some(rest)
                });
                names.extend(rest.map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>()));
            }
        }
    }
    // Those left are the parameters of generic implementations.
    names.retain(|name| name.len() > 1);
    names
}

fn check(what: &str, names: &BTreeSet<String>, pages: &[&str]) {
    assert!(names.len() > 5, "{what}: {names:?}");
    for page in pages {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with('|') || line.starts_with("Metrics: ")).collect();
        let rows = rows.join("\n");
        let missing: Vec<_> = names.iter().filter(|name| !rows.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{page} has no row for these {what}: {missing:?}");
    }
}

fn without(names: BTreeSet<String>, others: &[&str]) -> BTreeSet<String> {
    names.into_iter().filter(|name| !others.contains(&name.as_str())).collect()
}

const GUIDE: &str = "docs/guide/src/layers-for-structure.md";

#[test]
fn every_layer_stands_in_the_tables() {
    let layers = Description::NAMES.iter().map(|&name| name.to_owned()).collect();
    check("layers", &layers, &[GUIDE, "crates/layers/README.md"]);
}

#[test]
fn every_loss_stands_in_the_tables() {
    let losses = named("crates/losses/src", &[" Loss for ", " PointwiseLoss for ", "loss_from_evaluate!("]);
    // A closure, a weight around a loss, and pointers to losses.
    let losses = without(losses, &["FromFn", "Weighted", "Arc", "Box", "dyn"]);
    check("losses", &losses, &[GUIDE, "crates/losses/README.md"]);
}

#[test]
fn every_block_stands_in_the_guide() {
    check("blocks", &without(named("crates/network/src", &[" Block for "]), &["Box", "dyn"]), &[GUIDE]);
}

#[test]
fn every_optimizer_and_schedule_stands_in_the_tables() {
    check("optimizers", &named("crates/optim/src/rules", &["pub type "]), &["crates/optim/README.md"]);
    let mut schedules = named("crates/optim/src/schedule", &[" Schedule for "]);
    schedules.insert("ReduceOnPlateau".into());
    check("schedules", &schedules, &["crates/optim/README.md"]);
}

#[test]
fn every_metric_is_named() {
    let metrics = named("crates/train/src/metrics", &["pub struct ", " Metric<T> for "]);
    // A part of what a metric says.
    let metrics = without(metrics, &["ReliabilityBin"]);
    check("metrics", &metrics, &["crates/train/README.md"]);
}
