//! Curves of how well a score tells two classes apart.

use crate::PlotError;
use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Canvas, Look, plot};
use crate::scene::{Dash, Entry, Sample};
use crate::text::number;
use crate::theme::Colour;
use crate::words::Word;

/// Scores with what was true, the highest first; those that are equal are one group.
#[derive(Clone, Debug)]
struct Ranking {
    name: String,
    /// After each group: how many of those so far were true, and how many were not.
    counts: Vec<(f64, f64)>,
}

impl Ranking {
    fn new(
        name: String,
        scores: impl IntoIterator<Item = f64>,
        truth: impl IntoIterator<Item = bool>,
    ) -> Result<Self, PlotError> {
        let what = "a curve of scores";
        let (scores, truth): (Vec<f64>, Vec<bool>) = (scores.into_iter().collect(), truth.into_iter().collect());
        if scores.len() != truth.len() {
            let reason = format!("there are {} scores, but {} answers", scores.len(), truth.len());
            return Err(PlotError::data(what, reason));
        }
        if scores.iter().any(|score| score.is_nan()) {
            return Err(PlotError::data(what, "a score is not a number"));
        }
        if truth.iter().all(|x| *x) || truth.iter().all(|x| !*x) {
            return Err(PlotError::data(what, "examples of both classes are needed"));
        }
        let mut ranked: Vec<(f64, bool)> = scores.into_iter().zip(truth).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut yes, mut no) = (0.0, 0.0);
        let mut counts = Vec::new();
        for (index, (score, truth)) in ranked.iter().enumerate() {
            if *truth {
                yes += 1.0
            } else {
                no += 1.0
            }
            if ranked.get(index + 1).is_none_or(|next| next.0 != *score) {
                counts.push((yes, no));
            }
        }
        Ok(Self { name, counts })
    }

    fn all(&self) -> (f64, f64) {
        self.counts.last().copied().unwrap_or((1.0, 1.0))
    }

    /// The points of the ROC curve, from (0, 0) to (1, 1).
    fn roc(&self) -> Vec<(f64, f64)> {
        let (yes, no) = self.all();
        [(0.0, 0.0)].into_iter().chain(self.counts.iter().map(|(y, n)| (n / no, y / yes))).collect()
    }

    fn area(&self) -> f64 {
        self.roc().windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum()
    }

    /// Recall and precision after each group.
    fn precision_recall(&self) -> Vec<(f64, f64)> {
        let (yes, _) = self.all();
        self.counts.iter().map(|(y, n)| (y / yes, y / (y + n))).collect()
    }

    /// The mean of precisions, each weighted by the recall that was gained.
    fn average_precision(&self) -> f64 {
        let points = self.precision_recall();
        let before = [0.0].into_iter().chain(points.iter().map(|point| point.0));
        points.iter().zip(before).map(|((recall, precision), before)| (recall - before) * precision).sum()
    }
}

/// Draws the frame of two shares, and returns it.
fn shares(canvas: &mut Canvas, x: Word, y: Word) -> Frame {
    let axis = |word| Axis::new(canvas.say(word), 0.0, 1.0);
    let frame = Frame::equal(axis(x), axis(y), canvas.area);
    frame.grid(&mut canvas.scene);
    frame
}

fn legend(canvas: &mut Canvas, curves: &[Ranking], last: (String, Dash), value: impl Fn(&Ranking) -> String) {
    let entry = |(index, curve): (usize, &Ranking)| {
        let text = if curve.name.is_empty() { value(curve) } else { format!("{}: {}", curve.name, value(curve)) };
        Entry { text, sample: Sample::Line(Dash::of(index), 2.4), colour: Colour::Series(index) }
    };
    let mut entries: Vec<Entry> = curves.iter().enumerate().map(entry).collect();
    entries.push(Entry { text: last.0, sample: Sample::Line(last.1, 1.6), colour: Colour::Muted });
    canvas.legend(&entries);
}

/// The constructors of a plot of rankings.
macro_rules! rankings {
    ($Plot:ident) => {
        impl $Plot {
            /// Makes a plot of scores, such as probabilities, with what was true for each.
            ///
            /// # Errors
            /// Returns an error if there are more or fewer scores than answers, a score is not a number, or all examples
            /// are of one class.
            pub fn new(
                scores: impl IntoIterator<Item = f64>,
                truth: impl IntoIterator<Item = bool>,
            ) -> Result<Self, PlotError> {
                Self::empty().curve("", scores, truth)
            }

            /// Makes a plot of no curve, for several [curves](Self::curve) with names.
            #[must_use]
            pub fn empty() -> Self {
                Self { look: Look::default(), curves: Vec::new() }
            }

            /// Adds a curve with a name, such as that of another model or of a class against all others.
            ///
            /// # Errors
            /// Returns the errors of [`new`](Self::new).
            pub fn curve(
                mut self,
                name: impl Into<String>,
                scores: impl IntoIterator<Item = f64>,
                truth: impl IntoIterator<Item = bool>,
            ) -> Result<Self, PlotError> {
                self.curves.push(Ranking::new(name.into(), scores, truth)?);
                Ok(self)
            }
        }
    };
}

/// A ROC curve: at each threshold, the share of true examples that are found over the share of others that are taken for
/// true, with the area under it.
///
/// ```
/// use downhill_plot::RocPlot;
///
/// let plot = RocPlot::new([0.9, 0.8, 0.4, 0.3], [true, true, false, true])?;
/// assert!(plot.to_svg().contains("AUC 0.667"));
/// # Ok::<(), downhill_plot::PlotError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RocPlot {
    look: Look,
    curves: Vec<Ranking>,
}

rankings!(RocPlot);

impl RocPlot {
    fn draw(&self, canvas: &mut Canvas) {
        let chance = (canvas.say(Word::Chance).to_owned(), Dash::Dotted);
        legend(canvas, &self.curves, chance, |curve| format!("AUC {}", number(curve.area(), 3)));
        let frame = shares(canvas, Word::FalsePositiveRate, Word::TruePositiveRate);
        let scene = &mut canvas.scene;
        frame.line(scene, [(0.0, 0.0), (1.0, 1.0)], Colour::Muted, 1.6, Dash::Dotted);
        for (index, curve) in self.curves.iter().enumerate() {
            frame.line(scene, curve.roc(), Colour::Series(index), 2.4, Dash::of(index));
        }
        frame.axes(scene);
    }
}

plot!(RocPlot, |_| Word::Roc, |plot| (540, 560 + 10 * plot.curves.len() as u32));

/// A curve of precision over recall: at each threshold, how many of those taken for true are true, over how many of the
/// true ones are found. The average precision is its area, in steps.
#[derive(Clone, Debug)]
pub struct PrecisionRecallPlot {
    look: Look,
    curves: Vec<Ranking>,
}

rankings!(PrecisionRecallPlot);

impl PrecisionRecallPlot {
    fn draw(&self, canvas: &mut Canvas) {
        let word = canvas.say(Word::AveragePrecision);
        let chance = (canvas.say(Word::Chance).to_owned(), Dash::Dotted);
        legend(canvas, &self.curves, chance, |curve| format!("{word} {}", number(curve.average_precision(), 3)));
        let frame = shares(canvas, Word::Recall, Word::Precision);
        let scene = &mut canvas.scene;
        // Who guesses is right as often as the class occurs.
        if let Some((yes, no)) = self.curves.first().map(Ranking::all) {
            let share = yes / (yes + no);
            frame.line(scene, [(0.0, share), (1.0, share)], Colour::Muted, 1.6, Dash::Dotted);
        }
        for (index, curve) in self.curves.iter().enumerate() {
            // Precision stays until the next threshold.
            let points = curve.precision_recall();
            let first = points.first().map(|point| (0.0, point.1));
            let steps = points.windows(2).flat_map(|pair| [pair[0], (pair[0].0, pair[1].1)]);
            let line = first.into_iter().chain(steps).chain(points.last().copied());
            frame.line(scene, line, Colour::Series(index), 2.4, Dash::of(index));
        }
        frame.axes(scene);
    }
}

plot!(PrecisionRecallPlot, |_| Word::PrecisionRecall, |plot| (540, 560 + 10 * plot.curves.len() as u32));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_those_of_scikit_learn() {
        // roc_auc_score and average_precision_score of scikit-learn 1.7.
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9];
        let truth = [false, false, true, true, true, false];
        let ranking = Ranking::new(String::new(), scores, truth).unwrap();
        assert!((ranking.area() - 0.5).abs() < 1e-12, "{}", ranking.area());
        assert!((ranking.average_precision() - 0.5333333333333333).abs() < 1e-12, "{}", ranking.average_precision());
        assert_eq!(ranking.roc().last(), Some(&(1.0, 1.0)));
    }

    #[test]
    fn what_makes_no_curve_is_an_error() {
        let error = |scores: &[f64], truth: &[bool]| {
            RocPlot::new(scores.iter().copied(), truth.iter().copied()).unwrap_err().to_string()
        };
        assert!(error(&[0.5], &[]).contains("1 scores, but 0 answers"));
        assert!(error(&[0.5, f64::NAN], &[true, false]).contains("not a number"));
        assert!(error(&[0.5, 0.6], &[true, true]).contains("both classes"));
        assert!(error(&[], &[]).contains("both classes"));
    }
}
