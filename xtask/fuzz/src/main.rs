//! The program that libFuzzer runs: the environment variable `DOWNHILL_FUZZ` names the target.
#![no_main]

mod mutate;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fn target() -> &'static targets::Target {
    static TARGET: OnceLock<&targets::Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("DOWNHILL_FUZZ").unwrap_or_default();
        match targets::TARGETS.iter().find(|target| target.name == name) {
            Some(target) => target,
            None => panic!("DOWNHILL_FUZZ must name a target, but is `{name}`"),
        }
    })
}

fuzz_target!(|data: &[u8]| target().check(data));

// Half of the changes know the format, so that they come past its first checks.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = mutate::Random::new(seed);
    if random.below(2) == 0
        && let Some(changed) = (target().mutate)(&data[..size], &mut random)
        && changed.len() <= max_size
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    fuzzer_mutate(data, size, max_size)
});
