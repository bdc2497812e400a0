//! The fuzzer's corpus, and changes of it, through every reader of files.

#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::time::{Duration, Instant};

use mutate::Random;
use targets::TARGETS;
use xtask::workspace;

/// The seeds of a target, and what fuzzing has found in it once.
fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = workspace::root().join("xtask/fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn no_file_of_the_corpus_harms_a_reader() {
    for target in TARGETS {
        let files = files(target.name);
        assert!(!files.is_empty(), "{} has no seeds: `cargo xtask seeds`", target.name);
        for file in files {
            let start = Instant::now();
            target.check(&file);
            assert!(start.elapsed() < Duration::from_secs(1), "{} took {:?}", target.name, start.elapsed());
        }
    }
}

#[test]
fn no_change_of_a_file_harms_a_reader() {
    for target in TARGETS {
        for (seed, original) in files(target.name).into_iter().enumerate() {
            let (mut file, mut random) = (Vec::new(), Random::new(seed as u32));
            for round in 0..200 {
                // Changes add up, and begin anew now and then.
                if round % 8 == 0 {
                    file.clone_from(&original);
                }
                match (target.mutate)(&file, &mut random) {
                    Some(changed) => file = changed,
                    None if file.is_empty() => {}
                    None => {
                        let place = random.below(file.len());
                        file[place] = random.next() as u8;
                    }
                }
                if random.below(10) == 0 {
                    file.truncate(random.below(file.len()));
                }
                target.check(&file);
            }
        }
    }
}
