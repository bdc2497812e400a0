use downhill_train::metrics::{ExpectedCalibrationError, ReliabilityBin};

use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::{Dash, Entry, Marker, Sample};
use crate::theme::Colour;
use crate::words::Word;

/// A reliability curve: how often predictions came true over how probable they were, and below it how many there are.
///
/// On the diagonal, probabilities are what they say; below it a network is too sure of itself.
///
/// ```
/// use downhill_losses::{Meaning, Outputs, Target};
/// use downhill_plot::ReliabilityPlot;
/// use downhill_tensor::Batch;
/// use downhill_train::metrics::{ExpectedCalibrationError, Metric};
///
/// let mut error = ExpectedCalibrationError::new().bins(5);
/// Metric::<f64>::start(&mut error, Meaning::new(Outputs::Probabilities));
/// error.update(Batch::new(&[0.9, 0.9, 0.9, 0.3], 4, [1])?, Target::Classes(&[1, 1, 0, 0]), None)?;
/// let svg = ReliabilityPlot::from(&error).to_svg();
/// assert!(svg.contains("predicted probability"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReliabilityPlot {
    look: Look,
    curves: Vec<(String, Vec<ReliabilityBin>)>,
}

impl From<&ExpectedCalibrationError> for ReliabilityPlot {
    fn from(error: &ExpectedCalibrationError) -> Self {
        Self::new(error.reliability())
    }
}

impl ReliabilityPlot {
    /// Makes a plot of the bins of a reliability table.
    #[must_use]
    pub fn new(bins: Vec<ReliabilityBin>) -> Self {
        Self { look: Look::default(), curves: vec![(String::new(), bins)] }
    }

    /// Names the last curve, and adds another, such as that of the network after calibration.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, other_name: impl Into<String>, other: Vec<ReliabilityBin>) -> Self {
        if let Some(last) = self.curves.last_mut() {
            last.0 = name.into();
        }
        self.curves.push((other_name.into(), other));
        self
    }

    fn draw(&self, canvas: &mut Canvas) {
        let named = self.curves.iter().enumerate().filter(|(_, (name, _))| !name.is_empty());
        let mut entries: Vec<Entry> = named
            .map(|(index, (name, _))| Entry {
                text: name.clone(),
                sample: Sample::Marked(Dash::of(index), Marker::of(index)),
                colour: Colour::Series(index),
            })
            .collect();
        let text = canvas.say(Word::Perfect).to_owned();
        entries.push(Entry { text, sample: Sample::Line(Dash::Dotted, 1.6), colour: Colour::Muted });
        canvas.legend(&entries);
        let share = |name: &str| Axis::new(name, 0.0, 1.0);
        let most = self.curves.iter().flat_map(|(_, bins)| bins).map(|bin| bin.weight);
        let counts = Axis::from_zero(canvas.say(Word::Count), most);
        let y = share(canvas.say(Word::Frequency));
        let margin = Frame::margin(&counts.clone().labels(3)).max(Frame::margin(&y));
        let upper = Area { bottom: canvas.area.top + 0.74 * (canvas.area.height() - 22.0), ..canvas.area };
        let frame = Frame::with_margin(share(""), y, upper, margin);
        let scene = &mut canvas.scene;
        frame.grid(scene);
        frame.line(scene, [(0.0, 0.0), (1.0, 1.0)], Colour::Muted, 1.6, Dash::Dotted);
        for (index, (_, bins)) in self.curves.iter().enumerate() {
            let points = || bins.iter().filter(|bin| bin.weight > 0.0).map(|bin| (bin.confidence, bin.frequency));
            frame.line(scene, points(), Colour::Series(index), 2.2, Dash::of(index));
            for point in points().filter(|point| frame.holds(*point)) {
                scene.marker(Marker::of(index), frame.at(point), 4.2, Colour::Series(index));
            }
        }
        frame.axes(scene);

        let lower = Area { top: upper.bottom, ..canvas.area };
        let x = share(Word::PredictedProbability.of(canvas.language));
        let frame = Frame::with_margin(x, counts, lower, margin);
        frame.grid(scene);
        let count = self.curves.len() as f64;
        for (index, (_, bins)) in self.curves.iter().enumerate() {
            for bin in bins.iter().filter(|bin| bin.weight > 0.0) {
                let part = (bin.upper - bin.lower) / count;
                let left = bin.lower + part * index as f64;
                let (x0, y0) = frame.at((left, bin.weight));
                let (x1, y1) = frame.at((left + part, 0.0));
                scene.fill((x0 + 0.8, y0), (x1 - 0.8, y1), Colour::Series(index));
            }
        }
        frame.axes(scene);
    }
}

plot!(ReliabilityPlot, |_| Word::Reliability, |_| (540, 600));
