//! The most memory that is asked for at once: a JSON line for each thing that is measured.
#![forbid(unsafe_code)]

use downhill::optim::minimize::{Lbfgs, minimize};
use downhill::optim::test_functions::extended_rosenbrock;

/// The pairs that L-BFGS keeps, its default.
const PAIRS: usize = 10;

/// The most that `run` asked for, in units of `unit` bytes, next to the most that it may.
fn report(name: &str, unit: (&str, usize), limit: usize, run: impl FnOnce()) {
    let asked = allocation_counter::measure(run).bytes_max as f64 / unit.1 as f64;
    let unit = unit.0;
    println!(r#"{{"name":"{name}","asked":{asked:.3},"limit":{limit},"unit":"{unit}"}}"#);
}

fn main() {
    let valley = extended_rosenbrock(500_000);
    let start = valley.start();
    let vector = ("vectors of a million f64", start.len() * size_of::<f64>());
    report("L-BFGS, 10 pairs, extended Rosenbrock in a million variables", vector, 2 * PAIRS + 6, || {
        let outcome = minimize(&valley, start).method(Lbfgs::new()).run().expect("the settings are in order");
        assert!(outcome.converged(), "L-BFGS walks to the minimum: {}", outcome.reason);
    });
}
