use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Canvas, Look, plot};
use crate::scene::{Align, Dash, Entry, Marker, Sample};
use crate::text;
use crate::theme::Tone;
use crate::words::Word;

/// Lines, points and labels over two axes: for what no other plot of this crate shows.
///
/// Each series has a colour, a dash and a marker by its place among the series; [`tone`](Self::tone),
/// [`dash`](Self::dash), [`marker`](Self::marker) and [`width`](Self::width) change those of the series that was added
/// last.
///
/// ```
/// use downhill_plot::{Align, Chart};
///
/// let parabola = (-20..=20).map(|i| f64::from(i) / 10.0).map(|x| (x, x * x));
/// let svg = Chart::new("x", "f(x)")
///     .line("x²", parabola)
///     .points("minimum", [(0.0, 0.0)])
///     .label((0.1, 0.3), Align::Left, "the slope is 0 here")
///     .to_svg();
/// assert!(svg.contains("f(x)") && svg.contains("the slope is 0 here"));
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
    labels: Vec<Label>,
    has_legend: bool,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    is_line: bool,
    is_marked: bool,
    tone: Tone,
    dash: Dash,
    marker: Marker,
    /// That of the line, or of each marker if there is none.
    width: f64,
}

#[derive(Clone, Debug)]
struct Label {
    at: (f64, f64),
    align: Align,
    text: String,
    tone: Tone,
}

/// The size of labels.
const LABEL: f64 = 13.0;

impl Series {
    fn sample(&self) -> Sample {
        match (self.is_line, self.is_marked) {
            (true, true) => Sample::Marked(self.dash, self.marker),
            (true, false) => Sample::Line(self.dash, self.width),
            (false, _) => Sample::Marker(self.marker),
        }
    }

    /// The radius of its markers.
    fn radius(&self) -> f64 {
        if self.is_line { 1.4 * self.width } else { 0.5 * self.width }
    }
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
            labels: Vec::new(),
            has_legend: true,
        }
    }

    /// Adds a line through points, which is interrupted at what is not a number.
    #[must_use]
    pub fn line(self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with(name, points, (true, false))
    }

    /// Adds points.
    #[must_use]
    pub fn points(self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with(name, points, (false, true))
    }

    /// Adds a line with a marker at each of its points.
    #[must_use]
    pub fn path(self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.with(name, points, (true, true))
    }

    fn with(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
        (is_line, is_marked): (bool, bool),
    ) -> Self {
        let index = self.series.len();
        self.series.push(Series {
            name: name.into(),
            points: points.into_iter().collect(),
            is_line,
            is_marked,
            tone: Tone::Series(index),
            dash: Dash::of(index),
            marker: Marker::of(index),
            width: if is_line { 2.2 } else { 7.2 },
        });
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Series)) -> Self {
        if let Some(series) = self.series.last_mut() {
            change(series);
        }
        self
    }

    /// Sets the colour of the last series.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        self.change(|series| series.tone = tone)
    }

    /// Sets how the line of the last series is broken up.
    #[must_use]
    pub fn dash(self, dash: Dash) -> Self {
        self.change(|series| series.dash = dash)
    }

    /// Sets the shape of the last series' markers.
    #[must_use]
    pub fn marker(self, marker: Marker) -> Self {
        self.change(|series| series.marker = marker)
    }

    /// Sets the width of the last series' line in pixels, or that of its markers if it has no line.
    #[must_use]
    pub fn width(self, pixels: f64) -> Self {
        self.change(|series| series.width = pixels)
    }

    /// Writes text at a place of the plane, in the colour of the series that was added last, or in that of other text if
    /// there is none yet. What lies beyond the axes is left out, and text that would run beyond the picture moves in.
    #[must_use]
    pub fn label(mut self, at: (f64, f64), align: Align, text: impl Into<String>) -> Self {
        let tone = self.series.last().map_or(Tone::Ink, |series| series.tone);
        self.labels.push(Label { at, align, text: text.into(), tone });
        self
    }

    /// Leaves out the legend, for labels or for one legend of several charts: see [`Panels`](crate::Panels).
    #[must_use]
    pub fn no_legend(mut self) -> Self {
        self.has_legend = false;
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

    /// What a legend says of the series that have names.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let named = self.series.iter().filter(|series| !series.name.is_empty());
        let entry = |series: &Series| Entry {
            text: series.name.clone(),
            sample: series.sample(),
            colour: series.tone.colour(),
        };
        named.map(entry).collect()
    }

    fn draw(&self, canvas: &mut Canvas) {
        if self.has_legend {
            canvas.legend(&self.entries());
        }
        let x = self.axis(&self.x, self.x_range, self.logarithmic.0, |point| point.0);
        let y = self.axis(&self.y, self.y_range, self.logarithmic.1, |point| point.1);
        let frame = Frame::new(x, y, canvas.area);
        let scene = &mut canvas.scene;
        frame.grid(scene);
        for series in &self.series {
            let colour = series.tone.colour();
            if series.is_line {
                frame.line(scene, series.points.iter().copied(), colour, series.width, series.dash);
            }
            if series.is_marked {
                for point in series.points.iter().filter(|point| frame.holds(**point)) {
                    scene.marker(series.marker, frame.at(*point), series.radius(), colour);
                }
            }
        }
        for label in self.labels.iter().filter(|label| frame.holds(label.at)) {
            let (x, y) = frame.at(label.at);
            let wide = text::width(&label.text, LABEL);
            let before = wide
                * match label.align {
                    Align::Left => 0.0,
                    Align::Middle => 0.5,
                    Align::Right => 1.0,
                };
            let x = x.min(canvas.area.right - wide + before).max(canvas.area.left + before);
            scene.text(&label.text, (x, y), LABEL, label.tone.text(), label.align);
        }
        frame.axes(scene);
    }
}

plot!(Chart, |_| Word::Value, |_| (720, 420));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Mark;

    fn texts(chart: &Chart) -> Vec<(String, f64)> {
        let text = |mark: Mark| match mark {
            Mark::Text { text, at, .. } => Some((text, at.0)),
            _ => None,
        };
        chart.picture().scene.marks.into_iter().filter_map(text).collect()
    }

    #[test]
    fn a_label_stays_within_the_picture_and_one_beyond_the_axes_is_left_out() {
        let chart = || Chart::new("x", "y").x_range(0.0, 1.0).y_range(0.0, 1.0).size(400, 300);
        let at = |x: f64, align| {
            let found = texts(&chart().label((x, 0.5), align, "some words"));
            found.into_iter().find(|(text, _)| text == "some words").map(|(_, x)| x)
        };
        let wide = text::width("some words", LABEL);
        assert!((at(1.0, Align::Left).unwrap() - (388.0 - wide)).abs() < 1e-9);
        assert!((at(0.0, Align::Right).unwrap() - (12.0 + wide)).abs() < 1e-9);
        let middle = at(0.5, Align::Middle).unwrap();
        assert!((at(0.5, Align::Left).unwrap() - middle).abs() < 1e-9);
        assert_eq!(at(1.1, Align::Left), None);
        assert_eq!(at(f64::NAN, Align::Left), None);
    }

    #[test]
    fn settings_change_the_last_series_and_labels_have_its_colour() {
        let chart = Chart::new("x", "y")
            .label((0.5, 0.5), Align::Left, "before all")
            .line("a", [(0.0, 0.0), (1.0, 1.0)])
            .path("b", [(0.0, 1.0), (1.0, 0.0)])
            .tone(Tone::Muted)
            .dash(Dash::Solid)
            .marker(Marker::Ring)
            .width(1.0)
            .label((0.5, 0.5), Align::Left, "of b");
        let [a, b] = &chart.series[..] else { panic!("{chart:?}") };
        assert_eq!((a.tone, a.dash, a.marker, a.width), (Tone::Series(0), Dash::Solid, Marker::Disc, 2.2));
        assert_eq!((b.tone, b.dash, b.marker, b.width), (Tone::Muted, Dash::Solid, Marker::Ring, 1.0));
        assert_eq!(chart.labels.iter().map(|label| label.tone).collect::<Vec<_>>(), [Tone::Ink, Tone::Muted]);
        // The same settings without a series change nothing.
        assert!(Chart::new("x", "y").tone(Tone::Muted).width(3.0).series.is_empty());
        assert!(texts(&chart).iter().any(|(text, _)| text == "b"));
        assert!(!texts(&chart.no_legend()).iter().any(|(text, _)| text == "b"));
    }
}
