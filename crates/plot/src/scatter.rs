//! Predicted numbers against true ones, and how far they are off.

use crate::PlotError;
use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::{Align, Dash, Entry, Sample};
use crate::text::grouped;
use crate::theme::Colour;
use crate::words::Word;

/// Pairs of a predicted and a true number.
fn pairs(
    what: &'static str,
    predicted: impl IntoIterator<Item = f64>,
    truth: impl IntoIterator<Item = f64>,
) -> Result<Vec<(f64, f64)>, PlotError> {
    let (predicted, truth): (Vec<f64>, Vec<f64>) = (predicted.into_iter().collect(), truth.into_iter().collect());
    if predicted.len() != truth.len() {
        let reason = format!("there are {} predicted numbers, but {} true ones", predicted.len(), truth.len());
        return Err(PlotError::data(what, reason));
    }
    Ok(predicted.into_iter().zip(truth).collect())
}

/// The radius of each point of a plot with this many.
fn radius(points: usize) -> f64 {
    match points {
        0..=200 => 3.4,
        201..=1000 => 2.4,
        _ => 1.6,
    }
}

fn named(name: &str, unit: Option<&String>) -> String {
    unit.map_or_else(|| name.to_owned(), |unit| format!("{name} ({unit})"))
}

/// Predicted numbers against true ones: the nearer to the diagonal, the better.
///
/// ```
/// use downhill_plot::PredictedPlot;
///
/// let plot = PredictedPlot::new([3.1, 4.9, 7.4], [3.0, 5.0, 7.0])?.unit("kg");
/// assert!(plot.to_svg().contains("true (kg)"));
/// # Ok::<(), downhill_plot::PlotError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PredictedPlot {
    look: Look,
    pairs: Vec<(f64, f64)>,
    unit: Option<String>,
}

impl PredictedPlot {
    /// Makes a plot of predicted numbers and the true ones, in the same order.
    ///
    /// # Errors
    /// Returns an error if there are not as many of one as of the other.
    pub fn new(
        predicted: impl IntoIterator<Item = f64>,
        truth: impl IntoIterator<Item = f64>,
    ) -> Result<Self, PlotError> {
        let pairs = pairs("predicted numbers against true ones", predicted, truth)?;
        Ok(Self { look: Look::default(), pairs, unit: None })
    }

    /// Sets the unit of the numbers.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    fn draw(&self, canvas: &mut Canvas) {
        let text = canvas.say(Word::Perfect).to_owned();
        canvas.legend(&[Entry { text, sample: Sample::Line(Dash::Dashed, 1.6), colour: Colour::Muted }]);
        let axis = |word: Word| {
            let numbers = self.pairs.iter().flat_map(|pair| [pair.0, pair.1]);
            Axis::around(named(canvas.say(word), self.unit.as_ref()), numbers)
        };
        let frame = Frame::equal(axis(Word::True), axis(Word::Predicted), canvas.area);
        let scene = &mut canvas.scene;
        frame.grid(scene);
        let range = frame.x.range();
        frame.line(scene, [range.start, range.end].map(|x| (x, x)), Colour::Muted, 1.6, Dash::Dashed);
        for (predicted, truth) in self.pairs.iter().filter(|(predicted, truth)| frame.holds((*truth, *predicted))) {
            scene.disc(frame.at((*truth, *predicted)), radius(self.pairs.len()), Colour::Series(0));
        }
        frame.axes(scene);
    }
}

plot!(PredictedPlot, |_| Word::PredictedTrue, |_| (560, 560));

/// Residuals, which are predicted less true numbers, over the predicted ones, and how they are distributed.
#[derive(Clone, Debug)]
pub struct ResidualPlot {
    look: Look,
    pairs: Vec<(f64, f64)>,
    unit: Option<String>,
}

/// The number of bars of the distribution.
const BINS: usize = 24;

impl ResidualPlot {
    /// Makes a plot of predicted numbers and the true ones, in the same order.
    ///
    /// # Errors
    /// Returns an error if there are not as many of one as of the other.
    pub fn new(
        predicted: impl IntoIterator<Item = f64>,
        truth: impl IntoIterator<Item = f64>,
    ) -> Result<Self, PlotError> {
        Ok(Self { look: Look::default(), pairs: pairs("residuals", predicted, truth)?, unit: None })
    }

    /// Sets the unit of the numbers.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    fn draw(&self, canvas: &mut Canvas) {
        let residuals = || self.pairs.iter().map(|(predicted, truth)| predicted - truth);
        // As far up as down, so that no residual lies at 0 in the middle.
        let farthest = residuals().filter(|x| x.is_finite()).map(f64::abs).fold(0.0, f64::max);
        let y = Axis::around(named(canvas.say(Word::Residual), self.unit.as_ref()), [-farthest, farthest]);
        let x = named(canvas.say(Word::Predicted), self.unit.as_ref());
        let x = Axis::around(x, self.pairs.iter().map(|pair| pair.0));
        let aside = 0.22 * canvas.area.width();
        let frame = Frame::new(x, y, Area { right: canvas.area.right - aside, ..canvas.area });
        let scene = &mut canvas.scene;
        frame.grid(scene);
        let range = frame.x.range();
        frame.line(scene, [range.start, range.end].map(|x| (x, 0.0)), Colour::Muted, 1.6, Dash::Dashed);
        for (predicted, truth) in &self.pairs {
            let point = (*predicted, predicted - truth);
            if frame.holds(point) {
                scene.disc(frame.at(point), radius(self.pairs.len()), Colour::Series(0));
            }
        }
        frame.axes(scene);

        // The distribution, on its side.
        let mut counts = [0_usize; BINS];
        for part in residuals().filter(|x| x.is_finite()).map(|x| frame.y.drawn(x)) {
            counts[((part * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        let (left, right) = (frame.inner.right + 24.0, canvas.area.right);
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let y = |bin: usize| frame.place((0.0, bin as f64 / BINS as f64)).1;
            let to = left + (right - left) * *count as f64 / most;
            scene.fill((left, y(bin + 1) + 0.6), (to, y(bin) - 0.6), Colour::Series(0));
        }
        scene.line([(left, frame.inner.top), (left, frame.inner.bottom)], Colour::Muted, 1.2);
        let count = Word::Count.of(canvas.language);
        scene.text(count, ((left + right) / 2.0, frame.inner.bottom + 34.0), 13.0, Colour::Ink, Align::Middle);
        scene.text(grouped(most as usize), (right, frame.inner.bottom + 14.0), 12.0, Colour::Muted, Align::Right);
        scene.text("0", (left, frame.inner.bottom + 14.0), 12.0, Colour::Muted, Align::Middle);
    }
}

plot!(ResidualPlot, |_| Word::Residuals, |_| (720, 420));
