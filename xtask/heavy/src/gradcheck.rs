//! `cargo xtask gradcheck`: every layer, block and loss of the library against finite differences.

use downhill_gradcheck::{TOLERANCE, suite};

use crate::Result;

/// Checks the derivatives of every layer, block and loss against finite differences.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The number of random shapes and settings to try of each.
    #[arg(long, default_value_t = 100)]
    shapes: u64,
    /// Only those whose name contains this.
    name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let entries = suite::entries();
    let wanted = |name: &str| arguments.name.as_deref().is_none_or(|part| name.contains(part));
    if !entries.iter().any(|entry| wanted(entry.name)) {
        // To have checked nothing would look like success.
        let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
        return Err(format!("no name contains that; there are {}", names.join(", ")).into());
    }
    let mut failed = Vec::new();
    let mut worst = 0.0f64;
    println!("{:<6} {:<30} {:>11} {:>7} {:>12} {:>6}", "kind", "name", "worst error", "shapes", "derivatives", "kinks");
    for entry in entries.iter().filter(|entry| wanted(entry.name)) {
        let report = entry.run(arguments.shapes)?;
        let passes = report.passes(TOLERANCE);
        println!(
            "{:<6} {:<30} {:>11.1e} {:>7} {:>12} {:>6}{}",
            entry.kind,
            entry.name,
            report.worst,
            arguments.shapes,
            report.derivatives,
            report.kinks,
            if passes { String::new() } else { format!("  FAILED at {}", report.place) }
        );
        worst = worst.max(report.worst);
        if !passes {
            failed.push(entry.name);
        }
    }
    if failed.is_empty() {
        println!("all within {TOLERANCE:.0e}; the worst error is {worst:.1e}");
        Ok(())
    } else {
        Err(format!("the derivatives of {} are off by more than {TOLERANCE:e}", failed.join(", ")).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nothing_has_is_an_error() {
        let error = run(&Arguments { shapes: 1, name: Some("no such layer".into()) }).unwrap_err().to_string();
        assert!(error.contains("there are Affine") || error.contains(", Affine,"), "{error}");
        run(&Arguments { shapes: 1, name: Some("Affine".into()) }).unwrap();
    }
}
