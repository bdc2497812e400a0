use std::fmt;
use std::sync::Arc;

use downhill_optim::test_functions::TestFunction;

use crate::axis::Axis;
use crate::contour::{Grid, Levels};
use crate::frame::Frame;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::{Dash, Entry, Marker, Sample, Scene};
use crate::theme::{Colour, Tone};
use crate::words::Word;

/// Paths of descent over the contours of a function of two variables.
///
/// ```
/// use downhill_optim::minimize::minimize;
/// use downhill_optim::test_functions::rosenbrock;
/// use downhill_optim::Adam;
/// use downhill_plot::DescentPlot;
///
/// let valley = rosenbrock();
/// let objective = |x: &[f64], gradient: &mut [f64]| valley.evaluate(x, gradient);
/// let run = minimize(objective, valley.start()).optimizer(Adam::new(0.05)).iterations(300).record_path().run()?;
/// let svg = DescentPlot::of(&valley).path("Adam", run.path.iter().map(|x| (x[0], x[1]))).to_svg();
/// assert!(svg.contains("Adam"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DescentPlot {
    look: Look,
    function: Arc<dyn Fn(f64, f64) -> f64 + Send + Sync>,
    x: (String, Option<(f64, f64)>),
    y: (String, Option<(f64, f64)>),
    minima: Vec<(f64, f64)>,
    paths: Vec<Path>,
    levels: Option<Levels>,
    has_equal_axes: bool,
    marks_every_step: bool,
}

#[derive(Clone, Debug)]
struct Path {
    name: String,
    points: Vec<(f64, f64)>,
    tone: Tone,
}

impl fmt::Debug for DescentPlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DescentPlot").field("minima", &self.minima).field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl DescentPlot {
    /// Makes a plot of a function's contours.
    pub fn new(function: impl Fn(f64, f64) -> f64 + Send + Sync + 'static) -> Self {
        Self {
            look: Look::default(),
            function: Arc::new(function),
            x: ("x₁".to_owned(), None),
            y: ("x₂".to_owned(), None),
            minima: Vec::new(),
            paths: Vec::new(),
            levels: None,
            has_equal_axes: false,
            marks_every_step: false,
        }
    }

    /// Makes a plot of a test function over its first two variables; any others stay where its start has them.
    #[must_use]
    pub fn of(function: &TestFunction) -> Self {
        let (start, known) = (function.start(), function.minimizer().map(<[f64]>::to_vec));
        let function = function.clone();
        let rest: Vec<f64> = start.iter().skip(2).copied().collect();
        let value = move |x: f64, y: f64| {
            let at: Vec<f64> = [x, y].into_iter().chain(rest.iter().copied()).take(function.dimension()).collect();
            function.evaluate(&at, &mut vec![0.0; at.len()])
        };
        let mut plot = Self::new(value);
        plot.minima.extend(known.filter(|x| x.len() == 2).map(|x| (x[0], x[1])));
        plot
    }

    /// Adds a path, from its start to its end.
    #[must_use]
    pub fn path(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let tone = Tone::Series(self.paths.len());
        self.paths.push(Path { name: name.into(), points: points.into_iter().collect(), tone });
        self
    }

    /// Sets the colour of the path that was added last; each has its own unless set.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.paths.last_mut().into_iter().for_each(|path| path.tone = tone);
        self
    }

    /// Marks every step of the paths, however near to each other they are; unless set, steps that lie on each other share
    /// a marker.
    #[must_use]
    pub fn mark_every_step(mut self) -> Self {
        self.marks_every_step = true;
        self
    }

    /// Sets the heights at which lines are drawn; a few round ones unless set.
    #[must_use]
    pub fn levels(mut self, heights: impl IntoIterator<Item = f64>) -> Self {
        self.levels = Some(Levels::at(heights));
        self
    }

    /// Makes a unit as long along both axes, so that gradients are at right angles to the contours.
    #[must_use]
    pub fn equal_axes(mut self) -> Self {
        self.has_equal_axes = true;
        self
    }

    /// Adds a star at a minimum.
    #[must_use]
    pub fn minimum(mut self, x: f64, y: f64) -> Self {
        self.minima.push((x, y));
        self
    }

    /// Sets the ends of the horizontal axis; what the paths need unless set.
    #[must_use]
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.x.1 = Some((low, high));
        self
    }

    /// Sets the ends of the vertical axis; what the paths need unless set.
    #[must_use]
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y.1 = Some((low, high));
        self
    }

    /// Sets the names of the variables; x₁ and x₂ unless set.
    #[must_use]
    pub fn variables(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        (self.x.0, self.y.0) = (x.into(), y.into());
        self
    }

    fn axis(&self, (name, range): &(String, Option<(f64, f64)>), number: fn(&(f64, f64)) -> f64) -> Axis {
        if let Some((low, high)) = *range {
            return Axis::new(name, low, high);
        }
        let known = self.paths.iter().flat_map(|path| &path.points).chain(&self.minima).map(number);
        let known = known.filter(|x| x.is_finite());
        let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low > high {
            return Axis::new(name, -2.0, 2.0);
        }
        let room = (0.15 * (high - low)).max(0.5);
        Axis::new(name, low - room, high + room)
    }

    fn draw(&self, canvas: &mut Canvas) {
        let mut entries: Vec<Entry> = self
            .paths
            .iter()
            .enumerate()
            .filter(|(_, path)| !path.name.is_empty())
            .map(|(index, path)| Entry {
                text: path.name.clone(),
                sample: Sample::Marked(Dash::of(index), Marker::of(index)),
                colour: path.tone.colour(),
            })
            .collect();
        if !self.paths.is_empty() {
            let text = canvas.say(Word::Start).to_owned();
            entries.push(Entry { text, sample: Sample::Marker(Marker::Ring), colour: Colour::Ink });
        }
        if !self.minima.is_empty() {
            let text = canvas.say(Word::Minimum).to_owned();
            entries.push(Entry { text, sample: Sample::Marker(Marker::Diamond), colour: Colour::Ink });
        }
        canvas.legend(&entries);

        let (x, y) = (self.axis(&self.x, |point| point.0), self.axis(&self.y, |point| point.1));
        let grid = Grid::new(121, 121, |across, up| (self.function)(x.at(across), y.at(up)));
        let levels = self.levels.clone().unwrap_or_else(|| Levels::of(&grid.values));
        let name = canvas.say(Word::Value);
        let area = Area { right: canvas.area.right - levels.width() - 14.0, ..canvas.area };
        let frame = if self.has_equal_axes { Frame::equal(x, y, area) } else { Frame::new(x, y, area) };
        let scene = &mut canvas.scene;
        levels.draw(scene, &frame, &grid);
        for (x, y) in self.minima.iter().filter(|point| frame.holds(**point)) {
            scene.marker(Marker::Diamond, frame.at((*x, *y)), 5.0, Colour::Ink);
        }
        let apart = if self.marks_every_step { 0.0 } else { APART };
        for (index, path) in self.paths.iter().enumerate() {
            let line = PathLine { dash: Dash::of(index), marker: Marker::of(index), colour: path.tone.colour(), apart };
            line.draw(scene, &frame, &path.points);
        }
        frame.axes(scene);
        levels.scale(scene, &frame, name);
    }
}

/// The least distance of two markers of a path in pixels.
const APART: f64 = 16.0;

/// How a path is drawn.
pub(crate) struct PathLine {
    dash: Dash,
    marker: Marker,
    colour: Colour,
    /// The least distance of two markers in pixels.
    apart: f64,
}

impl Default for PathLine {
    fn default() -> Self {
        Self { dash: Dash::Solid, marker: Marker::Disc, colour: Colour::Series(0), apart: APART }
    }
}

impl PathLine {
    /// Draws a path with markers at some of its points, and a ring at its start.
    pub(crate) fn draw(&self, scene: &mut Scene, frame: &Frame, path: &[(f64, f64)]) {
        frame.line(scene, path.iter().copied(), Colour::Page, 4.4, Dash::Solid);
        frame.line(scene, path.iter().copied(), self.colour, 2.2, self.dash);
        let mut last: Option<(f64, f64)> = None;
        for (index, point) in path.iter().enumerate().filter(|(_, point)| frame.holds(**point)) {
            let (at, is_last) = (frame.at(*point), index + 1 == path.len());
            let is_apart = last.is_none_or(|last| (at.0 - last.0).hypot(at.1 - last.1) > self.apart);
            if index > 0 && (is_apart || is_last) {
                scene.marker(self.marker, at, if is_last { 4.6 } else { 3.0 }, self.colour);
                last = Some(at);
            }
        }
        if let Some(start) = path.first().filter(|point| frame.holds(**point)) {
            scene.disc(frame.at(*start), 5.6, Colour::Page);
            scene.ring(frame.at(*start), 4.4, Colour::Ink, 2.2);
        }
    }
}

plot!(DescentPlot, |_| Word::DescentPaths, |_| (720, 520));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Mark;

    #[test]
    fn every_step_has_a_marker_if_asked_for() {
        let near = (0..50).map(|step| (f64::from(step) / 100.0, 0.0));
        let plot = DescentPlot::new(|x, y| x * x + y * y).path("", near).x_range(-1.0, 1.0).y_range(-1.0, 1.0);
        let count = |plot: &DescentPlot| {
            let is_marker = |mark: &&Mark| matches!(mark, Mark::Disc { colour: Colour::Series(0), .. });
            plot.picture().scene.marks.iter().filter(is_marker).count()
        };
        assert!((5..30).contains(&count(&plot)), "{}", count(&plot));
        // The start has a ring.
        assert_eq!(count(&plot.mark_every_step()), 49);
    }
}
