use downhill_train::{EpochRecord, History};

use crate::Language;
use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::{Dash, Entry, Sample, Scene};
use crate::theme::Colour;
use crate::words::{Word, named};

/// A training run, epoch by epoch: the loss on training and validation examples, metrics, and the learning rate, with a
/// line at the best epoch.
///
/// The best epoch is the one whose parameters the network kept, or the one with the least validation loss. The axis of
/// losses is logarithmic if they span two decades.
#[derive(Clone, Debug)]
pub struct HistoryPlot {
    look: Look,
    epochs: Vec<EpochRecord>,
    best: Option<u64>,
    logarithmic: Option<bool>,
    has_rate: bool,
}

/// Plots of a [`History`].
pub trait PlotHistory {
    /// Makes a plot of the run.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use downhill_layers::Affine;
    /// use downhill_losses::MeanSquaredError;
    /// use downhill_network::Network;
    /// use downhill_optim::Sgd;
    /// use downhill_plot::{PlotHistory, Theme};
    /// use downhill_tensor::Seed;
    /// use downhill_train::Trainer;
    /// use ndarray::array;
    ///
    /// let data = Dataset::from_array(array![[0.0], [1.0], [2.0]], array![[1.0], [3.0], [5.0]])?;
    /// let mut network = Network::build([1], Affine::new(1), Seed(1))?;
    /// let history = Trainer::new(MeanSquaredError::new(), Sgd::new(0.1)).epochs(20).fit(&mut network, &data)?;
    /// let svg = history.plot().theme(Theme::Page).to_svg();
    /// assert!(svg.contains("learning rate"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn plot(&self) -> HistoryPlot;
}

impl PlotHistory for History {
    fn plot(&self) -> HistoryPlot {
        let last = self.epochs.last().map(|record| record.epoch);
        let losses = || self.epochs.iter().filter_map(|record| Some((record.validation_loss?, record.epoch)));
        let least = losses().filter(|(loss, _)| loss.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0));
        let best = self.kept_epoch.filter(|&kept| Some(kept) != last).or(least.map(|(_, epoch)| epoch));
        HistoryPlot { look: Look::default(), epochs: self.epochs.clone(), best, logarithmic: None, has_rate: true }
    }
}

/// Numbers by epoch, each with its name.
type Lines = Vec<(String, Vec<(f64, f64)>)>;

/// One of the axes below each other, with its lines and its share of the height.
struct Panel {
    axis: Axis,
    lines: Vec<Line>,
    share: f64,
}

struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    colour: Colour,
    dash: Dash,
}

impl HistoryPlot {
    /// Makes the axis of losses logarithmic.
    #[must_use]
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic = Some(true);
        self
    }

    /// Makes the axis of losses linear.
    #[must_use]
    pub fn linear(mut self) -> Self {
        self.logarithmic = Some(false);
        self
    }

    /// Leaves out the learning rate, such as one that stays the same.
    #[must_use]
    pub fn no_learning_rate(mut self) -> Self {
        self.has_rate = false;
        self
    }

    /// The metrics: those from 0 to 1 share a panel, and each of the others has one.
    fn metrics(&self) -> Vec<Lines> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.epochs.iter().flat_map(|record| &record.metrics) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let (mut shares, mut others) = (Vec::new(), Vec::new());
        for name in names {
            let points = self.points(|record| record.metric(name));
            let is_share = points.iter().all(|(_, y)| !y.is_finite() || (0.0..=1.0).contains(y));
            if is_share { &mut shares } else { &mut others }.push((name.to_owned(), points));
        }
        let shares = (!shares.is_empty()).then_some(shares);
        shares.into_iter().chain(others.into_iter().map(|line| vec![line])).collect()
    }

    fn points(&self, number: impl Fn(&EpochRecord) -> Option<f64>) -> Vec<(f64, f64)> {
        self.epochs.iter().map(|record| (record.epoch as f64, number(record).unwrap_or(f64::NAN))).collect()
    }

    fn loss_axis(&self, name: &str, lines: &Lines) -> Axis {
        let numbers = || lines.iter().flat_map(|(_, points)| points).map(|point| point.1);
        let finite = || numbers().filter(|x| x.is_finite());
        let (low, high) = finite().fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        if self.logarithmic.unwrap_or(low > 0.0 && high > 100.0 * low) {
            Axis::logarithmic(name, numbers())
        } else if low >= 0.0 && low < 0.4 * high {
            Axis::from_zero(name, numbers())
        } else {
            Axis::around(name, numbers())
        }
    }

    /// The panels from top to bottom.
    fn panels(&self, language: Language) -> Vec<Panel> {
        let mut series = 0..;
        let mut line = |name: String, points, dash| Line {
            name,
            points,
            colour: Colour::Series(series.next().unwrap_or(0)),
            dash,
        };
        let loss = Word::Loss.of(language);
        let mut losses: Lines =
            vec![(Word::Training.of(language).to_owned(), self.points(|record| Some(record.training_loss)))];
        if self.epochs.iter().any(|record| record.validation_loss.is_some()) {
            losses.push((Word::Validation.of(language).to_owned(), self.points(|record| record.validation_loss)));
        }
        let axis = self.loss_axis(loss, &losses);
        let losses = losses.into_iter().enumerate();
        let lines = losses.map(|(index, (name, points))| line(format!("{loss}, {name}"), points, Dash::of(index)));
        let mut panels = vec![Panel { axis, lines: lines.collect(), share: 2.0 }];
        for metrics in self.metrics() {
            let numbers = metrics.iter().flat_map(|(_, points)| points).map(|point| point.1).collect();
            let name = match &metrics[..] {
                [(name, _)] => named(name, language),
                _ => Word::Measure.of(language).to_owned(),
            };
            let metrics = metrics.into_iter().enumerate();
            let lines = metrics.map(|(index, (name, points))| line(named(&name, language), points, Dash::of(index)));
            panels.push(Panel { axis: metric_axis(name, numbers), lines: lines.collect(), share: 1.3 });
        }
        if self.has_rate {
            let rate = Word::LearningRate.of(language);
            let points = self.points(|record| Some(record.learning_rate));
            let axis = Axis::from_zero(rate, points.iter().map(|point| point.1));
            panels.push(Panel { axis, lines: vec![line(rate.to_owned(), points, Dash::Solid)], share: 0.9 });
        }
        panels
    }

    fn draw(&self, canvas: &mut Canvas) {
        let panels = self.panels(canvas.language);
        let lines = panels.iter().flat_map(|panel| &panel.lines);
        let entry =
            |line: &Line| Entry { text: line.name.clone(), sample: Sample::Line(line.dash, 2.2), colour: line.colour };
        let mut entries: Vec<Entry> = lines.map(entry).collect();
        if let Some(best) = self.best {
            let text = format!("{}: {best}", canvas.say(Word::BestEpoch));
            entries.push(Entry { text, sample: Sample::Line(Dash::Dotted, 1.8), colour: Colour::Ink });
        }
        canvas.legend(&entries);
        let (first, last) = (self.epochs.first(), self.epochs.last());
        let ends = first.zip(last).map_or((1.0, 2.0), |(first, last)| (first.epoch as f64, last.epoch as f64));
        let room = (0.02 * (ends.1 - ends.0)).max(0.2);
        let epochs = Axis::new("", ends.0 - room, ends.1 + room);
        let margin = panels.iter().map(|panel| Frame::margin(&panel.axis.clone().labels(9))).fold(0.0, f64::max);
        let whole: f64 = panels.iter().map(|panel| panel.share).sum();
        // The last panel has the name of the epochs, which takes 22 pixels.
        let free = Area { bottom: canvas.area.bottom - 22.0, ..canvas.area };
        let (count, mut done) = (panels.len(), 0.0);
        for (index, panel) in panels.into_iter().enumerate() {
            let mut area = free.rows(done / whole, (done + panel.share) / whole);
            done += panel.share;
            let mut x = epochs.clone();
            if index + 1 == count {
                x.name = canvas.say(Word::Epoch).to_owned();
                area.bottom = canvas.area.bottom;
            }
            let frame = Frame::with_margin(x, panel.axis, area, margin);
            self.draw_lines(&mut canvas.scene, &frame, panel.lines);
        }
    }

    fn draw_lines(&self, scene: &mut Scene, frame: &Frame, lines: Vec<Line>) {
        frame.grid(scene);
        if let Some(best) = self.best {
            frame.vertical(scene, best as f64, Colour::Ink, 1.8, Dash::Dotted);
        }
        for Line { points, colour, dash, .. } in lines {
            for point in points.iter().filter(|point| frame.holds(**point)) {
                if Some(point.0 as u64) == self.best {
                    scene.disc(frame.at(*point), 4.5, colour);
                } else if points.len() <= 20 {
                    scene.disc(frame.at(*point), 3.0, colour);
                }
            }
            frame.line(scene, points, colour, 2.2, dash);
        }
        frame.axes(scene);
    }
}

/// The axis of a metric, up to 1 if it is a share that comes near.
fn metric_axis(name: impl Into<String>, numbers: Vec<f64>) -> Axis {
    let finite = || numbers.iter().copied().filter(|x| x.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low >= 0.0 && (0.8..=1.0).contains(&high) {
        Axis::new(name, low - 0.04 * (1.0 - low), 1.0)
    } else {
        Axis::around(name, numbers)
    }
}

plot!(HistoryPlot, |_| Word::History, |plot| {
    let losses = if plot.has_rate { 440 } else { 330 };
    (720, losses + 150 * plot.metrics().len() as u32)
});
