//! A pair of axes, and data within them.

use crate::axis::Axis;
use crate::look::Area;
use crate::scene::{Align, Dash, Point, Scene};
use crate::text;
use crate::theme::Colour;

/// The size of the numbers along axes, and of the axes' names.
const LABEL: f64 = 12.0;
const NAME: f64 = 13.0;

/// A plot's axes, and the rectangle between them.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) inner: Area,
}

impl Frame {
    /// Puts axes into an area, with room for their labels.
    pub(crate) fn new(x: Axis, y: Axis, area: Area) -> Self {
        Self::with_margin(x, y, area, 0.0)
    }

    /// Puts axes into an area, with room on the left for labels of at least this width: frames below each other line up.
    pub(crate) fn with_margin(x: Axis, y: Axis, area: Area, margin: f64) -> Self {
        let below = if x.name.is_empty() { 22.0 } else { 44.0 };
        let (top, bottom) = (area.top + 7.0, area.bottom - below);
        let y = y.labels((((bottom - top) / 30.0) as usize).clamp(2, 9));
        let left = area.left + margin.max(Self::margin(&y));
        let mut inner = Area { left, top, right: area.right - 8.0, bottom };
        let mut x = x;
        for most in (1..=10).rev() {
            x = x.labels(most);
            let ticks = x.ticks();
            let wide = |label: &str| text::width(label, LABEL);
            let last = ticks.last().map_or(0.0, |(part, label)| (part - 1.0) * inner.width() + wide(label) / 2.0);
            inner.right = (area.right - 8.0).min(area.right - last.max(0.0));
            let apart = |pair: &[(f64, String)]| {
                (pair[1].0 - pair[0].0) * inner.width() > (wide(&pair[0].1) + wide(&pair[1].1)) / 2.0 + 12.0
            };
            if ticks.windows(2).all(apart) {
                break;
            }
        }
        Self { x, y, inner }
    }

    /// The room that labels of an axis on the left take.
    pub(crate) fn margin(y: &Axis) -> f64 {
        let widest = y.ticks().iter().map(|(_, label)| text::width(label, LABEL)).fold(0.0, f64::max);
        widest + 8.0 + if y.name.is_empty() { 0.0 } else { 22.0 }
    }

    /// The largest frame at the upper left of an area in which a unit is as long along both axes.
    pub(crate) fn equal(x: Axis, y: Axis, area: Area) -> Self {
        let Self { x: across, y: up, inner } = Self::new(x.clone(), y.clone(), area);
        let unit = (inner.width() / across.span()).min(inner.height() / up.span());
        let (less, lower) = (inner.width() - unit * across.span(), inner.height() - unit * up.span());
        Self::new(x, y, Area { right: area.right - less, bottom: area.bottom - lower, ..area })
    }

    /// The place of a pair of parts of the axes.
    pub(crate) fn place(&self, (x, y): (f64, f64)) -> Point {
        let Area { left, bottom, .. } = self.inner;
        (left + x * self.inner.width(), bottom - y * self.inner.height())
    }

    /// The place of a pair of numbers, at the frame's edge if it lies beyond.
    pub(crate) fn at(&self, (x, y): (f64, f64)) -> Point {
        self.place((self.x.drawn(x), self.y.drawn(y)))
    }

    /// Whether a pair of numbers lies within the axes.
    pub(crate) fn holds(&self, (x, y): (f64, f64)) -> bool {
        [self.x.part(x), self.y.part(y)].iter().all(|part| (-1e-9..=1.0 + 1e-9).contains(part))
    }

    /// Draws the lines behind the data.
    pub(crate) fn grid(&self, scene: &mut Scene) {
        for (part, _) in self.x.ticks() {
            scene.line([self.place((part, 0.0)), self.place((part, 1.0))], Colour::Grid, 1.0);
        }
        for (part, _) in self.y.ticks() {
            scene.line([self.place((0.0, part)), self.place((1.0, part))], Colour::Grid, 1.0);
        }
    }

    /// Draws the axes with their numbers and names.
    pub(crate) fn axes(&self, scene: &mut Scene) {
        let Area { left, top, right, bottom } = self.inner;
        scene.line([(left, top), (left, bottom), (right, bottom)], Colour::Muted, 1.2);
        for (part, label) in self.x.ticks() {
            let (x, _) = self.place((part, 0.0));
            scene.line([(x, bottom), (x, bottom + 4.0)], Colour::Muted, 1.2);
            scene.text(label, (x, bottom + 14.0), LABEL, Colour::Muted, Align::Middle);
        }
        for (part, label) in self.y.ticks() {
            let (_, y) = self.place((0.0, part));
            scene.line([(left - 4.0, y), (left, y)], Colour::Muted, 1.2);
            scene.text(label, (left - 8.0, y), LABEL, Colour::Muted, Align::Right);
        }
        let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
        if !self.x.name.is_empty() {
            let name = text::fitted(&self.x.name, NAME, self.inner.width() + 40.0);
            scene.text(name, (middle.0, bottom + 34.0), NAME, Colour::Ink, Align::Middle);
        }
        if !self.y.name.is_empty() {
            let x = left - Self::margin(&self.y) + 9.0;
            let name = text::fitted(&self.y.name, NAME, self.inner.height() + 10.0);
            scene.upwards(name, (x, middle.1), NAME, Colour::Ink);
        }
    }

    /// Draws a line, cut at the frame's edges, and interrupted at what is not a number.
    pub(crate) fn line(
        &self,
        scene: &mut Scene,
        points: impl IntoIterator<Item = (f64, f64)>,
        colour: Colour,
        width: f64,
        dash: Dash,
    ) {
        let parts: Vec<Point> = points.into_iter().map(|(x, y)| (self.x.part(x), self.y.part(y))).collect();
        for piece in inside(&parts) {
            let pixels: Vec<Point> = piece.into_iter().map(|parts| self.place(parts)).collect();
            scene.dashed(simplified(&pixels, 0.15), colour, width, dash);
        }
    }

    /// Draws a line from edge to edge at a number of the axis across.
    pub(crate) fn vertical(&self, scene: &mut Scene, x: f64, colour: Colour, width: f64, dash: Dash) {
        let part = self.x.part(x);
        if (0.0..=1.0).contains(&part) {
            scene.dashed([self.place((part, 0.0)), self.place((part, 1.0))], colour, width, dash);
        }
    }
}

/// The pieces of a line that lie in the unit square.
fn inside(points: &[Point]) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let mut is_open = false;
    for pair in points.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let Some((from, to)) = cut(a, b) else {
            is_open = false;
            continue;
        };
        match pieces.last_mut().filter(|_| is_open) {
            Some(piece) => piece.push(to),
            None => pieces.push(vec![from, to]),
        }
        is_open = to == b;
    }
    pieces
}

/// The part of a segment in the unit square (Liang and Barsky 1984).
fn cut((ax, ay): Point, (bx, by): Point) -> Option<(Point, Point)> {
    let (dx, dy) = (bx - ax, by - ay);
    if !(dx.is_finite() && dy.is_finite()) {
        return None;
    }
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (p, q) in [(-dx, ax), (dx, 1.0 - ax), (-dy, ay), (dy, 1.0 - ay)] {
        if p == 0.0 {
            if q < 0.0 {
                return None;
            }
        } else if p < 0.0 {
            from = from.max(q / p);
        } else {
            to = to.min(q / p);
        }
    }
    let at = |part: f64| (ax + part * dx, ay + part * dy);
    (from <= to).then(|| (at(from), if to == 1.0 { (bx, by) } else { at(to) }))
}

/// A line without the points that can be left out so that none moves farther than this (Douglas and Peucker 1973).
pub(crate) fn simplified(line: &[Point], tolerance: f64) -> Vec<Point> {
    let mut keep = vec![false; line.len()];
    if let Some(last) = line.len().checked_sub(1) {
        (keep[0], keep[last]) = (true, true);
        let mut open = vec![(0, last)];
        while let Some((first, last)) = open.pop() {
            let (a, b) = (line[first], line[last]);
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let length = dx.hypot(dy);
            let off = |&(x, y): &Point| {
                let (x, y) = (x - a.0, y - a.1);
                // A closed line has no direction.
                if length == 0.0 { x.hypot(y) } else { (x * dy - y * dx).abs() / length }
            };
            let between = first + 1..last;
            let farthest = between.max_by(|&i, &j| off(&line[i]).total_cmp(&off(&line[j])));
            if let Some(middle) = farthest.filter(|&middle| off(&line[middle]) > tolerance) {
                keep[middle] = true;
                open.extend([(first, middle), (middle, last)]);
            }
        }
    }
    line.iter().zip(keep).filter(|(_, keep)| *keep).map(|(point, _)| *point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_edges_and_at_what_is_no_number() {
        let line = [(-1.0, 0.5), (0.5, 0.5), (0.5, 3.0), (0.75, 3.0), (0.75, 0.0)];
        assert_eq!(inside(&line), [vec![(0.0, 0.5), (0.5, 0.5), (0.5, 1.0)], vec![(0.75, 1.0), (0.75, 0.0)]]);
        assert!(inside(&[(f64::NAN, 0.0), (1.0, f64::INFINITY), (2.0, 2.0), (3.0, 1.5)]).is_empty());
    }

    #[test]
    fn a_line_keeps_its_corners() {
        let straight: Vec<_> = (0..=100).map(|i| (f64::from(i), 0.5)).collect();
        assert_eq!(simplified(&straight, 0.1), [(0.0, 0.5), (100.0, 0.5)]);
        let corner: Vec<_> = straight.iter().map(|&(x, _)| (x, (x - 30.0).max(0.0))).collect();
        assert_eq!(simplified(&corner, 0.1), [(0.0, 0.0), (30.0, 0.0), (100.0, 70.0)]);
        assert!(simplified(&[], 0.1).is_empty());
    }

    #[test]
    fn equal_axes_have_the_same_unit() {
        for (width, height, wide, high) in
            [(500.0, 300.0, 1.0, 1.0), (300.0, 500.0, 1.0, 1.0), (700.0, 240.0, 12.0, 2.8)]
        {
            let (x, y) = (Axis::new("x", 0.0, wide), Axis::new("y", 0.0, high));
            let area = Area { left: 0.0, top: 0.0, right: width, bottom: height };
            let inner = Frame::equal(x, y, area).inner;
            let units = (inner.width() / wide, inner.height() / high);
            assert!((units.0 / units.1 - 1.0).abs() < 0.08, "{inner:?}");
        }
    }
}
