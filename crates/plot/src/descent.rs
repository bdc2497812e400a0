use std::fmt;
use std::sync::Arc;

use downhill_optim::test_functions::TestFunction;

use crate::axis::Axis;
use crate::contour::{Grid, Levels};
use crate::frame::Frame;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::{Dash, Entry, Sample};
use crate::theme::Colour;
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
    paths: Vec<(String, Vec<(f64, f64)>)>,
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
        self.paths.push((name.into(), points.into_iter().collect()));
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
        let known = self.paths.iter().flat_map(|(_, path)| path).chain(&self.minima).map(number);
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
            .map(|(index, (name, _))| Entry {
                text: name.clone(),
                sample: Sample::Marked(Dash::of(index), index),
                colour: Colour::Series(index),
            })
            .collect();
        if !self.paths.is_empty() {
            let text = canvas.say(Word::Start).to_owned();
            entries.push(Entry { text, sample: Sample::Marker(4), colour: Colour::Ink });
        }
        if !self.minima.is_empty() {
            let text = canvas.say(Word::Minimum).to_owned();
            entries.push(Entry { text, sample: Sample::Marker(3), colour: Colour::Ink });
        }
        canvas.legend(&entries);

        let (x, y) = (self.axis(&self.x, |point| point.0), self.axis(&self.y, |point| point.1));
        let grid = Grid::new(121, 121, |across, up| (self.function)(x.at(across), y.at(up)));
        let levels = Levels::of(&grid.values);
        let name = canvas.say(Word::Value);
        let frame = Frame::new(x, y, Area { right: canvas.area.right - levels.width() - 14.0, ..canvas.area });
        let scene = &mut canvas.scene;
        levels.draw(scene, &frame, &grid);
        for (x, y) in self.minima.iter().filter(|point| frame.holds(**point)) {
            scene.marker(3, frame.at((*x, *y)), 5.0, Colour::Ink);
        }
        for (index, (_, path)) in self.paths.iter().enumerate() {
            draw_path(scene, &frame, path, index);
        }
        frame.axes(scene);
        levels.scale(scene, &frame, name);
    }
}

/// The least distance of two markers of a path in pixels.
const APART: f64 = 16.0;

/// Draws a path with markers at some of its points, and a ring at its start.
pub(crate) fn draw_path(scene: &mut crate::scene::Scene, frame: &Frame, path: &[(f64, f64)], series: usize) {
    let colour = Colour::Series(series);
    frame.line(scene, path.iter().copied(), Colour::Page, 4.4, Dash::Solid);
    frame.line(scene, path.iter().copied(), colour, 2.2, Dash::of(series));
    let mut last: Option<(f64, f64)> = None;
    for (index, point) in path.iter().enumerate().filter(|(_, point)| frame.holds(**point)) {
        let at = frame.at(*point);
        let is_apart = last.is_none_or(|last| (at.0 - last.0).hypot(at.1 - last.1) > APART);
        if index > 0 && (is_apart || index + 1 == path.len()) {
            scene.marker(series, at, if index + 1 == path.len() { 4.6 } else { 3.0 }, colour);
            last = Some(at);
        }
    }
    if let Some(start) = path.first().filter(|point| frame.holds(**point)) {
        scene.disc(frame.at(*start), 5.6, Colour::Page);
        scene.ring(frame.at(*start), 4.4, Colour::Ink, 2.2);
    }
}

plot!(DescentPlot, |_| Word::DescentPaths, |_| (720, 520));
