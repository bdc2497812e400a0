use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Canvas, Look, plot};
use crate::scene::{Dash, Entry, Sample};
use crate::theme::Colour;
use crate::words::Word;

/// Lines and points over two axes: for what no other plot of this crate shows.
///
/// ```
/// use downhill_plot::Chart;
///
/// let parabola = (-20..=20).map(|i| f64::from(i) / 10.0).map(|x| (x, x * x));
/// let svg = Chart::new("x", "f(x)").line("x²", parabola).points("minimum", [(0.0, 0.0)]).to_svg();
/// assert!(svg.contains("f(x)"));
/// ```
#[derive(Clone, Debug)]
pub struct Chart {
    look: Look,
    x: String,
    y: String,
    x_range: Option<(f64, f64)>,
    y_range: Option<(f64, f64)>,
    logarithmic: (bool, bool),
    series: Vec<Series>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    is_line: bool,
}

impl Chart {
    /// Makes a chart of nothing, with the names of its axes and their units, such as `distance (km)`.
    pub fn new(x: impl Into<String>, y: impl Into<String>) -> Self {
        let (x, y) = (x.into(), y.into());
        Self {
            look: Look::default(),
            x,
            y,
            x_range: None,
            y_range: None,
            logarithmic: (false, false),
            series: Vec::new(),
        }
    }

    /// Adds a line through points, which is interrupted at what is not a number.
    #[must_use]
    pub fn line(self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with(name, points, true)
    }

    /// Adds points.
    #[must_use]
    pub fn points(self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with(name, points, false)
    }

    fn with(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>, is_line: bool) -> Self {
        self.series.push(Series { name: name.into(), points: points.into_iter().collect(), is_line });
        self
    }

    /// Sets the ends of the horizontal axis; what the data need unless set.
    #[must_use]
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.x_range = Some((low, high));
        self
    }

    /// Sets the ends of the vertical axis; what the data need unless set.
    #[must_use]
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.y_range = Some((low, high));
        self
    }

    /// Makes the horizontal axis logarithmic; what is not above 0 is left out.
    #[must_use]
    pub fn logarithmic_x(mut self) -> Self {
        self.logarithmic.0 = true;
        self
    }

    /// Makes the vertical axis logarithmic; what is not above 0 is left out.
    #[must_use]
    pub fn logarithmic_y(mut self) -> Self {
        self.logarithmic.1 = true;
        self
    }

    fn axis(
        &self,
        name: &str,
        range: Option<(f64, f64)>,
        is_logarithmic: bool,
        number: fn(&(f64, f64)) -> f64,
    ) -> Axis {
        let numbers = self.series.iter().flat_map(|series| &series.points).map(number);
        match (range, is_logarithmic) {
            (Some((low, high)), false) => Axis::new(name, low, high),
            (Some((low, high)), true) => Axis::logarithmic(name, [low, high]),
            (None, false) => Axis::around(name, numbers),
            (None, true) => Axis::logarithmic(name, numbers),
        }
    }

    fn draw(&self, canvas: &mut Canvas) {
        let named = self.series.iter().enumerate().filter(|(_, series)| !series.name.is_empty());
        let entries: Vec<Entry> = named
            .map(|(index, series)| Entry {
                text: series.name.clone(),
                sample: if series.is_line { Sample::Line(Dash::of(index), 2.2) } else { Sample::Marker(index) },
                colour: Colour::Series(index),
            })
            .collect();
        canvas.legend(&entries);
        let x = self.axis(&self.x, self.x_range, self.logarithmic.0, |point| point.0);
        let y = self.axis(&self.y, self.y_range, self.logarithmic.1, |point| point.1);
        let frame = Frame::new(x, y, canvas.area);
        let scene = &mut canvas.scene;
        frame.grid(scene);
        for (index, series) in self.series.iter().enumerate() {
            let colour = Colour::Series(index);
            if series.is_line {
                frame.line(scene, series.points.iter().copied(), colour, 2.2, Dash::of(index));
            } else {
                for point in series.points.iter().filter(|point| frame.holds(**point)) {
                    scene.marker(index, frame.at(*point), 3.6, colour);
                }
            }
        }
        frame.axes(scene);
    }
}

plot!(Chart, |_| Word::Value, |_| (720, 420));
