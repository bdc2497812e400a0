//! The regions of a plane in which a function is at least some number, by marching squares.

use std::collections::BTreeMap;

use crate::frame::{Frame, simplified};
use crate::scene::{Align, Point, Scene};
use crate::text;
use crate::theme::Colour;

/// Values of a function at the crossings of a grid, row after row from the lowest y.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) values: Vec<f64>,
}

/// A crossing of a line with the grid: the two nodes that it lies between, the first the lower one.
type Key = (usize, usize);

impl Grid {
    /// Evaluates a function at the crossings; it gets the parts of both axes.
    pub(crate) fn new(columns: usize, rows: usize, mut function: impl FnMut(f64, f64) -> f64) -> Self {
        let (columns, rows) = (columns.max(2), rows.max(2));
        let part = |index: usize, count: usize| index as f64 / (count - 1) as f64;
        let values = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (column, row)))
            .map(|(column, row)| function(part(column, columns), part(row, rows)))
            .collect();
        Self { columns, rows, values }
    }

    /// The value at a node of the grid with a ring around it, on which the function is below any level.
    fn value(&self, column: usize, row: usize) -> f64 {
        if (1..=self.columns).contains(&column) && (1..=self.rows).contains(&row) {
            let x = self.values[(row - 1) * self.columns + column - 1];
            // What is no number is as high as can be.
            if x.is_nan() { f64::INFINITY } else { x }
        } else {
            f64::NEG_INFINITY
        }
    }

    /// The outlines of the region in which the function is at least `level`, which lies to their left. Each point has the
    /// parts of both axes, and whether the line from it runs along the grid's edge.
    fn outlines(&self, level: f64) -> Vec<Vec<(Point, bool)>> {
        let wide = self.columns + 2;
        let node = |column: usize, row: usize| row * wide + column;
        // From each crossing, the next one.
        let mut next: BTreeMap<Key, (Key, bool)> = BTreeMap::new();
        for row in 0..=self.rows {
            for column in 0..=self.columns {
                let corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)];
                let is_in = corners.map(|(column, row)| self.value(column, row) >= level);
                let key = |side: usize| {
                    let (a, b) = (corners[side], corners[(side + 1) % 4]);
                    let (a, b) = (node(a.0, a.1), node(b.0, b.1));
                    (a.min(b), a.max(b))
                };
                let sum: f64 = corners.iter().map(|&(column, row)| self.value(column, row)).sum();
                let is_middle_in = sum / 4.0 >= level;
                let is_edge = column == 0 || row == 0 || column == self.columns || row == self.rows;
                for leaving in (0..4).filter(|&side| is_in[side] && !is_in[(side + 1) % 4]) {
                    let is_entering = |side: &usize| !is_in[*side] && is_in[(*side + 1) % 4];
                    let after = (1..4).map(|step| (leaving + step) % 4).find(is_entering);
                    let before = (1..4).map(|step| (leaving + 4 - step) % 4).find(is_entering);
                    // At a saddle either the inner corners hang together, or the outer ones.
                    if let Some(entering) = if is_middle_in { after } else { before } {
                        next.insert(key(leaving), (key(entering), is_edge));
                    }
                }
            }
        }
        let mut outlines = Vec::new();
        while let Some((&start, _)) = next.first_key_value() {
            let mut outline = Vec::new();
            let mut at = start;
            while let Some((to, is_edge)) = next.remove(&at) {
                outline.push((self.crossing(at, level), is_edge));
                at = to;
            }
            outlines.push(outline);
        }
        outlines
    }

    /// The place between two nodes at which the function is `level`, as parts of both axes.
    fn crossing(&self, (a, b): Key, level: f64) -> Point {
        let wide = self.columns + 2;
        let place = |node: usize| (node % wide, node / wide);
        let value = |node: usize| self.value(place(node).0, place(node).1);
        let (low, high) = (value(a), value(b));
        let part = match (low.is_finite(), high.is_finite()) {
            (true, true) => (level - low) / (high - low),
            // At the edge, or next to what has no value.
            (true, false) => 0.0,
            (false, true) => 1.0,
            (false, false) => 0.5,
        };
        let along = |a: usize, b: usize, count: usize| {
            let x = a as f64 + part * (b as f64 - a as f64) - 1.0;
            (x / (count - 1) as f64).clamp(0.0, 1.0)
        };
        let (a, b) = (place(a), place(b));
        (along(a.0, b.0, self.columns), along(a.1, b.1, self.rows))
    }

    /// Fills the region in which the function is at least `level`.
    pub(crate) fn fill(&self, scene: &mut Scene, frame: &Frame, level: f64, colour: Colour, opacity: f64) {
        let mut polygon: Vec<Point> = Vec::new();
        for outline in self.outlines(level) {
            let mut loop_of: Vec<Point> = outline.iter().map(|(parts, _)| frame.place(*parts)).collect();
            loop_of.extend(loop_of.first().copied());
            // From each outline back to the first point: what lies between is gone over twice, and so not filled.
            let back = polygon.first().copied();
            polygon.extend(simplified(&loop_of, 0.15));
            polygon.extend(back);
        }
        if polygon.len() > 2 {
            scene.area(polygon, colour, opacity);
        }
    }

    /// Draws the lines on which the function is `level`.
    pub(crate) fn lines(&self, scene: &mut Scene, frame: &Frame, level: f64, colour: Colour, width: f64) {
        for outline in self.outlines(level) {
            // Begins behind a piece of the edge, if there is one, so that no line is cut in two.
            let start = outline.iter().position(|(_, is_edge)| *is_edge).map_or(0, |index| index + 1);
            let count = outline.len();
            let mut line: Vec<Point> = Vec::new();
            let mut draw = |line: &mut Vec<Point>| {
                let pixels: Vec<Point> = line.drain(..).map(|parts| frame.place(parts)).collect();
                scene.line(simplified(&pixels, 0.15), colour, width);
            };
            for index in 0..count {
                let (point, is_edge) = outline[(start + index) % count];
                line.push(point);
                if is_edge {
                    draw(&mut line);
                }
            }
            if !line.is_empty() {
                line.push(outline[start % count].0);
                draw(&mut line);
            }
        }
    }
}

/// The heights between which a plane is coloured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Levels(pub(crate) Vec<f64>);

/// The most heights.
const MOST: usize = 10;

impl Levels {
    /// Chooses round heights for some values: 1, 3, 10, ... if they spread over decades, or in equal steps.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else { return Self(Vec::new()) };
        let tenth = sorted[sorted.len() / 10];
        if low >= 0.0 && high > 0.0 && high > 30.0 * tenth {
            let least = sorted[sorted.len() / 200].max(high * 1e-6);
            let (first, last) = (least.log10().floor() as i32, high.log10().floor() as i32);
            for times in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
                let all = (first..=last).flat_map(|power| times.iter().map(move |times| times * 10_f64.powi(power)));
                let within: Vec<f64> = all.filter(|x| *x > least && *x < high).collect();
                if within.len() <= MOST && within.len() > 1 {
                    return Self(within);
                }
            }
        }
        let axis = crate::axis::Axis::new("", low, high).labels(MOST);
        Self(axis.ticks().into_iter().map(|(part, _)| axis.at(part)).filter(|x| *x > low && *x < high).collect())
    }

    /// Takes chosen heights.
    pub(crate) fn at(heights: impl IntoIterator<Item = f64>) -> Self {
        let mut heights: Vec<f64> = heights.into_iter().filter(|x| x.is_finite()).collect();
        heights.sort_by(f64::total_cmp);
        heights.dedup();
        Self(heights)
    }

    /// The heights as text, all with as many decimals if they are equally far from each other.
    fn labels(&self) -> Vec<String> {
        let steps = || self.0.windows(2).map(|pair| pair[1] - pair[0]);
        let (least, most) = (steps().fold(f64::INFINITY, f64::min), steps().fold(0.0, f64::max));
        let decimals = (-least.log10() + 0.01).ceil();
        let is_even = most < 1.01 * least && (-6.0..=5.0).contains(&decimals);
        let label = |level: &f64| match is_even && level.abs() < 1e6 {
            true => text::fixed(*level, decimals.max(0.0) as usize),
            false => text::number(*level, 3),
        };
        self.0.iter().map(label).collect()
    }

    fn colour(&self, band: usize) -> Colour {
        Colour::Height(Colour::step(band as f64 / self.0.len().max(1) as f64))
    }

    /// Colours a frame by height, and draws a line at each.
    pub(crate) fn draw(&self, scene: &mut Scene, frame: &Frame, grid: &Grid) {
        scene.fill(frame.place((0.0, 1.0)), frame.place((1.0, 0.0)), self.colour(0));
        for (index, level) in self.0.iter().enumerate() {
            grid.fill(scene, frame, *level, self.colour(index + 1), 1.0);
        }
        for level in &self.0 {
            grid.lines(scene, frame, *level, Colour::Muted, 0.6);
        }
    }

    /// The width that the scale takes with its numbers.
    pub(crate) fn width(&self) -> f64 {
        let widest = self.labels().iter().map(|label| text::width(label, 11.5)).fold(0.0, f64::max);
        18.0 + 14.0 + 6.0 + widest
    }

    /// Draws the scale of heights to the right of a frame.
    pub(crate) fn scale(&self, scene: &mut Scene, frame: &Frame, name: &str) {
        let (left, right) = (frame.inner.right + 18.0, frame.inner.right + 32.0);
        let (top, bottom) = (frame.inner.top + 20.0, frame.inner.bottom);
        let count = self.0.len() + 1;
        let y = |band: usize| bottom - (bottom - top) * band as f64 / count as f64;
        for band in 0..count {
            scene.fill((left, y(band)), (right, y(band + 1)), self.colour(band));
        }
        scene.outline((left, top), (right, bottom), Colour::Muted, 0.8);
        for (index, label) in self.labels().into_iter().enumerate() {
            scene.text(label, (right + 6.0, y(index + 1)), 11.5, Colour::Muted, Align::Left);
        }
        scene.text(name, (left, frame.inner.top + 4.0), 12.5, Colour::Ink, Align::Left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The area that outlines enclose, with holes taken off.
    fn area(grid: &Grid, level: f64) -> f64 {
        let of = |outline: &Vec<(Point, bool)>| {
            let points: Vec<Point> = outline.iter().map(|(point, _)| *point).collect();
            let next = points.iter().cycle().skip(1);
            points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>() / 2.0
        };
        grid.outlines(level).iter().map(of).sum()
    }

    #[test]
    fn a_region_has_the_area_that_the_function_says() {
        let slope = Grid::new(11, 21, |x, _| x);
        assert!((area(&slope, 0.25) - 0.75).abs() < 1e-12);
        assert!((area(&slope, -1.0) - 1.0).abs() < 1e-12 && slope.outlines(2.0).is_empty());

        let bowl = Grid::new(101, 101, |x, y| (x - 0.5).powi(2) + (y - 0.5).powi(2));
        // Everything but a disc: an outline with a hole.
        let disc = std::f64::consts::PI * 0.09;
        assert!((area(&bowl, 0.09) - (1.0 - disc)).abs() < 1e-3);
        assert_eq!(bowl.outlines(0.09).len(), 2);

        // A saddle, where two regions meet at one point.
        let saddle = Grid::new(40, 40, |x, y| (x - 0.5) * (y - 0.5));
        assert!((area(&saddle, 0.0) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn heights_are_round_and_few() {
        let wide: Vec<f64> = (0..1000).map(|i| 10_f64.powf(f64::from(i) / 200.0 - 2.0)).collect();
        assert_eq!(
            Levels::of(&wide).0,
            [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0].map(|x: f64| {
                let power = x.log10().floor() as i32;
                (x / 10_f64.powi(power)).round() * 10_f64.powi(power)
            })
        );
        let even: Vec<f64> = (0..100).map(|i| f64::from(i) / 10.0 - 3.0).collect();
        let levels = Levels::of(&even).0;
        assert!(
            levels.len() <= MOST && levels.windows(2).all(|pair| (pair[1] - pair[0] - 1.0).abs() < 1e-9),
            "{levels:?}"
        );
        assert!(Levels::of(&[]).0.is_empty() && Levels::of(&[f64::NAN]).0.is_empty());
        assert!(Levels::of(&[1.0; 9]).0.is_empty());
        assert_eq!(Levels::at([5.0, 0.2, f64::NAN, 1.5, 5.0]).0, [0.2, 1.5, 5.0]);
    }
}
