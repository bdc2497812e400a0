use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};

use downhill_tensor::is_optimized;

use crate::{EpochRecord, Slowest};

/// The progress that a run shows while it goes on.
///
/// Tables go to the standard output, a bar to the standard error, so that the output stays clean in a pipe.
/// If the library was built without optimisation, the first run that shows anything says so on the standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Progress {
    /// Nothing.
    #[default]
    Quiet,
    /// A table with a line for each epoch.
    Lines,
    /// A table, and on a terminal a bar for the current epoch.
    Auto,
}

/// The display of a run.
#[derive(Debug)]
pub(crate) struct Display {
    progress: Progress,
    /// The first epoch and the last, counted from 1.
    epochs: (u64, u64),
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

impl Display {
    pub(crate) fn new(progress: Progress, epochs: (u64, u64)) -> Self {
        if let Some(warning) = warning(progress, is_optimized(), &WARNED) {
            eprintln!("{warning}");
        }
        let bar = progress == Progress::Auto && stderr().is_terminal();
        #[cfg(not(feature = "progress"))]
        let _ = bar;
        Self {
            progress,
            epochs,
            #[cfg(feature = "progress")]
            bar: bar.then(new_bar),
        }
    }

    /// Shows what is said once, on the standard error.
    /// Sets the steps of an epoch, which fill the bar.
    pub(crate) fn expect_steps(&self, steps: u64) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
        }
        #[cfg(not(feature = "progress"))]
        let _ = steps;
    }

    pub(crate) fn note(&self, note: impl std::fmt::Display) {
        if self.progress == Progress::Quiet {
            return;
        }
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.suspend(|| eprintln!("{note}"));
            return;
        }
        eprintln!("{note}");
    }

    pub(crate) fn start_epoch(&self, epoch: u64) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs.1));
        }
        #[cfg(not(feature = "progress"))]
        let _ = epoch;
    }

    pub(crate) fn step(&self, loss: f64) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.inc(1);
            // Text is made only as often as it is drawn.
            if bar.position() % 16 == 0 {
                bar.set_message(format!("loss {loss:.4}"));
            }
        }
        #[cfg(not(feature = "progress"))]
        let _ = loss;
    }

    pub(crate) fn end_epoch(&self, record: &EpochRecord, slowest: Option<Slowest>) {
        if self.progress == Progress::Quiet {
            return;
        }
        if record.epoch == self.epochs.0 {
            self.line(&header(record, slowest));
        }
        self.line(&row(record, self.epochs.1, slowest));
    }

    pub(crate) fn finish(&self) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, line: &str) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            bar.suspend(|| println!("{line}"));
            return;
        }
        println!("{line}");
    }
}

/// Whether this process has warned that the library is not optimised.
static WARNED: AtomicBool = AtomicBool::new(false);

/// The warning of the first run that shows anything, if the library is not optimised.
fn warning(progress: Progress, optimized: bool, warned: &AtomicBool) -> Option<&'static str> {
    let due = progress != Progress::Quiet && !optimized && !warned.swap(true, Ordering::Relaxed);
    due.then_some(
        "downhill was built without optimisation, so training takes about a hundred times as long as it could: add \
         `[profile.dev.package.\"*\"]` and, on the next line, `opt-level = 3` to Cargo.toml, or build with `--release`.",
    )
}

#[cfg(feature = "progress")]
fn new_bar() -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(0);
    // The template is a constant and known to be well formed; if it were not, the default style would do.
    if let Ok(style) = indicatif::ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {per_sec} {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// The width of a column of numbers under this title.
fn width(title: &str) -> usize {
    title.len().max(10)
}

fn header(record: &EpochRecord, slowest: Option<Slowest>) -> String {
    let mut line = format!("{:>9}  {:>10}", "epoch", "loss");
    if record.validation_loss.is_some() {
        line += &format!("  {:>10}", "validation");
    }
    for (name, _) in &record.metrics {
        line += &format!("  {name:>width$}", width = width(name));
    }
    line += &format!("  {:>10}  {:>8}", "rate", "seconds");
    if slowest.is_some() { line + "  slowest rank" } else { line }
}

fn row(record: &EpochRecord, epochs: u64, slowest: Option<Slowest>) -> String {
    let mut line = format!("{:>9}  {:>10.5}", format!("{}/{epochs}", record.epoch), record.training_loss);
    if let Some(loss) = record.validation_loss {
        line += &format!("  {loss:>10.5}");
    }
    for (name, value) in &record.metrics {
        line += &format!("  {value:>width$.4}", width = width(name));
    }
    line += &format!("  {:>10.3e}  {:>8.3}", record.learning_rate, record.seconds);
    match slowest {
        Some(Slowest { rank, seconds }) => line + &format!("  {rank} by {seconds:.3} s"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_without_optimisation_is_told_once_and_only_where_progress_is_shown() {
        let warned = AtomicBool::new(false);
        assert_eq!(warning(Progress::Lines, true, &warned), None);
        assert_eq!(warning(Progress::Quiet, false, &warned), None);
        assert!(warning(Progress::Lines, false, &warned).is_some_and(|text| text.contains("opt-level = 3")));
        assert_eq!(warning(Progress::Auto, false, &warned), None);
    }

    #[test]
    fn columns_stand_under_their_titles() {
        let record = EpochRecord {
            epoch: 3,
            training_loss: 0.25,
            validation_loss: Some(0.5),
            metrics: vec![("top-5 accuracy".into(), 0.75)],
            learning_rate: 1e-3,
            seconds: 0.5,
        };
        let (header, row) = (|slowest| header(&record, slowest), |slowest| row(&record, 20, slowest));
        let titles = "    epoch        loss  validation  top-5 accuracy        rate   seconds";
        let cells = "     3/20     0.25000     0.50000          0.7500    1.000e-3     0.500";
        assert_eq!((header(None), row(None)), (titles.to_owned(), cells.to_owned()));
        let slowest = Slowest::of(&[0.5, 0.125, 0.25]);
        assert_eq!(header(slowest), format!("{titles}  slowest rank"));
        assert_eq!(row(slowest), format!("{cells}  1 by 0.250 s"));
        assert!(Slowest::of(&[0.5]).is_none() && Slowest::of(&[]).is_none());
    }
}
