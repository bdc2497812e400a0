//! What a picture consists of, before it is written in a format.

use crate::text;
use crate::theme::Colour;

/// A place in pixels from the upper left corner.
pub(crate) type Point = (f64, f64);

/// How text is aligned with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// The text begins at its place.
    Left,
    /// The middle of the text is at its place.
    Middle,
    /// The text ends at its place.
    Right,
}

/// How a line is broken up, so that lines differ for those who see no colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dash {
    /// Without gaps.
    #[default]
    Solid,
    /// Dashes.
    Dashed,
    /// Dots.
    Dotted,
    /// A dash and a dot by turns.
    Mixed,
}

impl Dash {
    /// The dash of one of several series.
    pub(crate) fn of(series: usize) -> Self {
        [Self::Solid, Self::Dashed, Self::Mixed, Self::Dotted][series % 4]
    }

    /// The lengths of dashes and gaps in pixels.
    pub(crate) fn lengths(self) -> &'static [f64] {
        match self {
            Self::Solid => &[],
            Self::Dashed => &[7.0, 4.0],
            Self::Dotted => &[1.8, 3.2],
            Self::Mixed => &[8.0, 3.4, 1.8, 3.4],
        }
    }
}

/// The shape of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Marker {
    /// A filled circle.
    #[default]
    Disc,
    /// A filled square.
    Square,
    /// A filled triangle.
    Triangle,
    /// A filled square that stands on a corner.
    Diamond,
    /// The outline of a circle.
    Ring,
}

impl Marker {
    /// The marker of one of several series or classes: its shape tells it apart, as its colour does.
    pub(crate) fn of(series: usize) -> Self {
        [Self::Disc, Self::Square, Self::Triangle, Self::Diamond, Self::Ring][series % 5]
    }
}

/// One element of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mark {
    Line { points: Vec<Point>, colour: Colour, width: f64, dash: Dash },
    Area { points: Vec<Point>, colour: Colour, opacity: f64 },
    Box { from: Point, to: Point, colour: Colour, opacity: f64 },
    Disc { centre: Point, radius: f64, colour: Colour },
    Ring { centre: Point, radius: f64, colour: Colour, width: f64 },
    Text { text: String, at: Point, size: f64, colour: Colour, align: Align, bold: bool, turned: bool },
}

impl Mark {
    /// Moves it by a distance across and down.
    fn moved(mut self, (dx, dy): Point) -> Self {
        let move_by = |(x, y): &mut Point| (*x, *y) = (*x + dx, *y + dy);
        match &mut self {
            Self::Line { points, .. } | Self::Area { points, .. } => points.iter_mut().for_each(move_by),
            Self::Box { from, to, .. } => [from, to].into_iter().for_each(move_by),
            Self::Disc { centre: at, .. } | Self::Ring { centre: at, .. } | Self::Text { at, .. } => move_by(at),
        }
        self
    }
}

/// The elements of a picture, the hindmost first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scene {
    pub(crate) marks: Vec<Mark>,
}

impl Scene {
    /// Adds all of another scene, moved by a distance across and down.
    pub(crate) fn add(&mut self, other: Self, by: Point) {
        self.marks.extend(other.marks.into_iter().map(|mark| mark.moved(by)));
    }

    pub(crate) fn line(&mut self, points: impl IntoIterator<Item = Point>, colour: Colour, width: f64) {
        self.dashed(points, colour, width, Dash::Solid);
    }

    pub(crate) fn dashed(&mut self, points: impl IntoIterator<Item = Point>, colour: Colour, width: f64, dash: Dash) {
        let points: Vec<Point> = points.into_iter().collect();
        if points.len() > 1 {
            self.marks.push(Mark::Line { points, colour, width, dash });
        }
    }

    pub(crate) fn area(&mut self, points: impl IntoIterator<Item = Point>, colour: Colour, opacity: f64) {
        self.marks.push(Mark::Area { points: points.into_iter().collect(), colour, opacity });
    }

    pub(crate) fn fill(&mut self, from: Point, to: Point, colour: Colour) {
        self.marks.push(Mark::Box { from, to, colour, opacity: 1.0 });
    }

    /// Outlines a rectangle.
    pub(crate) fn outline(&mut self, (x0, y0): Point, (x1, y1): Point, colour: Colour, width: f64) {
        self.line([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], colour, width);
    }

    pub(crate) fn disc(&mut self, centre: Point, radius: f64, colour: Colour) {
        self.marks.push(Mark::Disc { centre, radius, colour });
    }

    pub(crate) fn ring(&mut self, centre: Point, radius: f64, colour: Colour, width: f64) {
        self.marks.push(Mark::Ring { centre, radius, colour, width });
    }

    pub(crate) fn text(&mut self, text: impl Into<String>, at: Point, size: f64, colour: Colour, align: Align) {
        self.marks.push(Mark::Text { text: text.into(), at, size, colour, align, bold: false, turned: false });
    }

    pub(crate) fn bold(&mut self, text: impl Into<String>, at: Point, size: f64, colour: Colour, align: Align) {
        self.marks.push(Mark::Text { text: text.into(), at, size, colour, align, bold: true, turned: false });
    }

    /// Writes text upwards, its middle at the place.
    pub(crate) fn upwards(&mut self, text: impl Into<String>, at: Point, size: f64, colour: Colour) {
        let (text, align) = (text.into(), Align::Middle);
        self.marks.push(Mark::Text { text, at, size, colour, align, bold: false, turned: true });
    }

    /// Draws a marker.
    pub(crate) fn marker(&mut self, marker: Marker, (x, y): Point, radius: f64, colour: Colour) {
        let r = radius;
        match marker {
            Marker::Disc => self.disc((x, y), r, colour),
            Marker::Square => self.area([(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)], colour, 1.0),
            Marker::Triangle => self.area([(x, y - 1.3 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r)], colour, 1.0),
            Marker::Diamond => {
                self.area([(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)], colour, 1.0)
            }
            Marker::Ring => self.ring((x, y), r, colour, r * 0.7),
        }
    }

    /// Draws the head of an arrow that points from one place to another, at the latter.
    pub(crate) fn arrow(&mut self, from: Point, to: Point, size: f64, colour: Colour) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1e-9);
        let (dx, dy) = (size * dx / length, size * dy / length);
        let back = (to.0 - dx, to.1 - dy);
        self.area([to, (back.0 - 0.5 * dy, back.1 + 0.5 * dx), (back.0 + 0.5 * dy, back.1 - 0.5 * dx)], colour, 1.0);
    }
}

/// An entry of a legend.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) sample: Sample,
    pub(crate) colour: Colour,
}

/// What stands next to the text of a legend's entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    Line(Dash, f64),
    /// A line with a marker.
    Marked(Dash, Marker),
    Marker(Marker),
}

/// The size of a legend's text, and the height of one of its rows.
const LEGEND: (f64, f64) = (12.5, 20.0);
const SAMPLE: f64 = 22.0;

/// Lays out entries in rows between two columns of pixels; returns the places and the height.
fn rows(entries: &[Entry], left: f64, right: f64) -> (Vec<Point>, f64) {
    let (mut x, mut row) = (left, 0);
    let mut places = Vec::new();
    for entry in entries {
        let wide = SAMPLE + 6.0 + text::width(&entry.text, LEGEND.0);
        if x > left && x + wide > right {
            (x, row) = (left, row + 1);
        }
        places.push((x, f64::from(row) * LEGEND.1));
        x += wide + 18.0;
    }
    let height = if entries.is_empty() { 0.0 } else { f64::from(row + 1) * LEGEND.1 };
    (places, height)
}

impl Scene {
    /// Draws a legend in as many rows as it needs below a place, and returns the height that it takes.
    pub(crate) fn legend(&mut self, entries: &[Entry], (left, top): Point, right: f64) -> f64 {
        let (places, height) = rows(entries, left, right);
        for (entry, (x, y)) in entries.iter().zip(places) {
            let middle = top + y + LEGEND.1 / 2.0;
            let (from, to) = ((x, middle), (x + SAMPLE, middle));
            let centre = (x + SAMPLE / 2.0, middle);
            match entry.sample {
                Sample::Line(dash, width) => self.dashed([from, to], entry.colour, width, dash),
                Sample::Marked(dash, marker) => {
                    self.dashed([from, to], entry.colour, 2.0, dash);
                    self.marker(marker, centre, 3.8, entry.colour);
                }
                Sample::Marker(marker) => self.marker(marker, centre, 4.4, entry.colour),
            }
            let most = (right - x - SAMPLE - 6.0).max(20.0);
            let shown = text::fitted(&entry.text, LEGEND.0, most);
            self.text(shown, (x + SAMPLE + 6.0, middle), LEGEND.0, Colour::Ink, Align::Left);
        }
        height
    }
}
