use downhill_tune::RateCurve;

use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Canvas, Look, plot};
use crate::scene::{Dash, Entry, Sample};
use crate::text::number;
use crate::theme::Colour;
use crate::words::Word;

/// A curve of learning rates: the loss of each batch and the smoothed one over a logarithmic axis of rates, with a line
/// at each suggested rate.
#[derive(Clone, Debug)]
pub struct RatePlot {
    look: Look,
    curve: RateCurve,
}

/// Plots of a [`RateCurve`].
pub trait PlotRates {
    /// Makes a plot of the curve.
    fn plot(&self) -> RatePlot;
}

impl PlotRates for RateCurve {
    fn plot(&self) -> RatePlot {
        RatePlot { look: Look::default(), curve: self.clone() }
    }
}

impl RatePlot {
    /// The ends of the axis of losses: all smoothed ones but the last of a curve that has run away, which may lie far
    /// off, and all of batches that are less.
    fn losses(&self, name: &str) -> Axis {
        let count = self.curve.points().len();
        let count = count - usize::from(self.curve.has_run_away() && count > 1);
        let points = || self.curve.points().take(count);
        let most =
            points().map(|point| point.smoothed).filter(|loss| loss.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        let shown = points().flat_map(|point| [point.loss, point.smoothed]).filter(|loss| *loss <= most);
        Axis::around(name, shown)
    }

    fn draw(&self, canvas: &mut Canvas) {
        let suggestions = [
            (Word::Steepest, self.curve.suggestion(), Colour::Series(1), Dash::Dashed),
            (Word::TenthOfLeast, self.curve.tenth_of_least(), Colour::Series(2), Dash::Mixed),
        ];
        let entry = |text: String, dash, width, colour| Entry { text, sample: Sample::Line(dash, width), colour };
        let mut entries = vec![
            entry(canvas.say(Word::EachBatch).to_owned(), Dash::Solid, 1.0, Colour::Series(7)),
            entry(canvas.say(Word::Smoothed).to_owned(), Dash::Solid, 2.6, Colour::Series(0)),
        ];
        for (word, rate, colour, dash) in suggestions {
            if let Some(rate) = rate {
                entries.push(entry(format!("{}: {}", canvas.say(word), number(rate, 2)), dash, 2.0, colour));
            }
        }
        canvas.legend(&entries);
        let rates = self.curve.points().map(|point| point.rate);
        let x = Axis::logarithmic(canvas.say(Word::LearningRate), rates);
        let frame = Frame::new(x, self.losses(canvas.say(Word::Loss)), canvas.area);
        let range = frame.y.range();
        let scene = &mut canvas.scene;
        frame.grid(scene);
        let within = |loss: f64| if loss.is_nan() { loss } else { loss.clamp(range.start, range.end) };
        let each = self.curve.points().map(|point| (point.rate, within(point.loss)));
        frame.line(scene, each, Colour::Series(7), 1.0, Dash::Solid);
        for (_, rate, colour, dash) in suggestions {
            if let Some(rate) = rate {
                frame.vertical(scene, rate, colour, 2.0, dash);
            }
        }
        let smoothed = self.curve.points().map(|point| (point.rate, within(point.smoothed)));
        frame.line(scene, smoothed, Colour::Series(0), 2.6, Dash::Solid);
        frame.axes(scene);
    }
}

plot!(RatePlot, |_| Word::LearningRateFinder, |_| (720, 420));
