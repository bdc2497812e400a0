//! How every figure looks: plotters' SVG backend in one quiet style.
//!
//! Text is laid out by estimate and coordinates are whole numbers, so that a figure is the same bytes on every machine.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::contour::{Window, contour};
use super::table::superscript;
use crate::Result;

// After Okabe and Ito's colours, which people with any colour vision tell apart.
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const ORANGE: RGBColor = RGBColor(213, 94, 0);
pub(super) const GREEN: RGBColor = RGBColor(0, 138, 101);
pub(super) const PURPLE: RGBColor = RGBColor(170, 80, 140);
pub(super) const SKY: RGBColor = RGBColor(126, 184, 222);
pub(super) const INK: RGBColor = RGBColor(38, 50, 56);
pub(super) const GREY: RGBColor = RGBColor(112, 124, 132);
const FAINT: RGBColor = RGBColor(208, 214, 220);
const FAINTER: RGBColor = RGBColor(232, 235, 238);
pub(super) const FAINTEST: RGBColor = RGBColor(244, 246, 248);

/// A whole figure, or a part of one.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The backend rounds to whole pixels, so figures are drawn this much larger than they are shown.
const SCALE: f64 = 5.0;

/// The width of all figures: that of the guide's text.
const WIDTH: u32 = 750;

/// A length in pixels as shown, in those that are drawn.
pub(super) fn px(shown: f64) -> u32 {
    (SCALE * shown).round() as u32
}

/// What replaces each colour on a dark page: a figure in a page has the page's scheme.
const DARK: [(RGBColor, &str); 11] = [
    (WHITE, "none"),
    (INK, "#E6EAEE"),
    (GREY, "#A3AEB6"),
    (FAINT, "#4A545C"),
    (FAINTER, "#2C343B"),
    (FAINTEST, "#20272D"),
    (BLUE, "#5AAEEA"),
    (ORANGE, "#FF9650"),
    (GREEN, "#45CFA4"),
    (PURPLE, "#E699CB"),
    (SKY, "#3F7FA8"),
];

/// Draws a figure of this height, with colours for light pages and for dark ones.
pub(super) fn figure(height: u32, draw: impl FnOnce(&Area<'_>) -> Result) -> Result<String> {
    let mut svg = String::new();
    let drawn = (px(WIDTH.into()), px(height.into()));
    {
        let area = SVGBackend::with_string(&mut svg, drawn).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    let sized = |(width, height): (u32, u32)| format!(r#"<svg width="{width}" height="{height}""#);
    let svg = svg.replacen(&sized(drawn), &sized((WIDTH, height)), 1);
    Ok(svg.replacen(">\n", &format!(">\n{}", dark(&svg)), 1))
}

/// The style of a figure on a dark page.
fn dark(svg: &str) -> String {
    let mut style = String::from("<style>\n@media (prefers-color-scheme: dark) {\n");
    for (RGBColor(r, g, b), dark) in DARK {
        for kind in ["fill", "stroke"] {
            let light = format!("[{kind}=\"#{r:02X}{g:02X}{b:02X}\"]");
            if svg.contains(&light[1..light.len() - 1]) {
                style += &format!("{light} {{ {kind}: {dark}; }}\n");
            }
        }
    }
    style + "}\n</style>\n"
}

pub(super) fn text(size: f64, color: RGBColor, across: HPos, down: VPos) -> TextStyle<'static> {
    // The backend writes a size as 1/1.24 of its argument.
    ("sans-serif", f64::from(px(size)) * 1.24).into_font().color(&color).pos(Pos::new(across, down))
}

/// One axis of a plot.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    name: &'static str,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    decades: bool,
}

impl Axis {
    /// From `low` to `high` with a label at each of `ticks`.
    pub(super) fn new(name: &'static str, low: f64, high: f64, ticks: impl Into<Vec<f64>>) -> Self {
        Self { name, low, high, ticks: ticks.into(), decades: false }
    }

    /// Powers of ten from 10^`low` to 10^`high`, with a label at each `every`th.
    pub(super) fn decades(name: &'static str, low: i32, high: i32, every: usize) -> Self {
        let ticks = (low..=high).step_by(every).map(f64::from).collect();
        Self { name, low: low.into(), high: high.into(), ticks, decades: true }
    }

    /// The place of a number, from 0 at the low end to 1 at the high one.
    fn part(&self, number: f64) -> f64 {
        let place = if self.decades { number.log10() } else { number };
        (place - self.low) / (self.high - self.low)
    }
}

/// Plotters sees every axis as the interval from 0 to 1, in which lines can be cut at its ends.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, part: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| (tick - self.low) / (self.high - self.low)).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..1.0
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, part: &f64) -> String {
        let tick = self.low + part * (self.high - self.low);
        let tick = (tick * 1e6).round() / 1e6;
        match tick as i32 {
            0 if self.decades => "1".to_owned(),
            1 if self.decades => "10".to_owned(),
            exponent if self.decades => format!("10{}", superscript(exponent)),
            _ => format!("{tick}").replace('-', "−"),
        }
    }
}

/// A plane with two axes to draw on.
pub(super) struct Plot<'a> {
    chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>,
    x: Axis,
    y: Axis,
}

impl<'a> Plot<'a> {
    pub(super) fn new(area: &Area<'a>, title: &str, x: Axis, y: Axis) -> Result<Self> {
        let mut builder = ChartBuilder::on(area);
        builder.margin_top(px(10.0)).margin_right(px(18.0)).margin_left(px(4.0)).margin_bottom(px(4.0));
        builder.x_label_area_size(px(if x.name.is_empty() { 22.0 } else { 42.0 }));
        builder.y_label_area_size(px(if y.name.is_empty() { 36.0 } else { 58.0 }));
        if !title.is_empty() {
            builder.caption(title, text(14.0, INK, HPos::Left, VPos::Top));
        }
        let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(FAINTER.stroke_width(px(0.8)))
            .light_line_style(TRANSPARENT)
            .axis_style(GREY.stroke_width(px(1.0)))
            .set_all_tick_mark_size(px(4.0))
            .label_style(text(12.0, GREY, HPos::Left, VPos::Top))
            .axis_desc_style(text(13.0, INK, HPos::Left, VPos::Top))
            .x_desc(x.name)
            .y_desc(y.name)
            .draw()?;
        Ok(Self { chart, x, y })
    }

    fn parts(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.part(x), self.y.part(y))
    }

    /// A line through these points, as far as it is inside.
    pub(super) fn line(&mut self, points: impl IntoIterator<Item = (f64, f64)>, color: RGBColor, width: f64) -> Result {
        let points: Vec<_> = points.into_iter().map(|point| self.parts(point)).collect();
        for piece in inside(&points) {
            self.chart.draw_series([PathElement::new(simplified(&piece), color.stroke_width(px(width)))])?;
        }
        Ok(())
    }

    /// A dot at each of these points that is inside.
    pub(super) fn dots(
        &mut self,
        points: impl IntoIterator<Item = (f64, f64)>,
        color: RGBColor,
        radius: f64,
    ) -> Result {
        let unit = 0.0..=1.0;
        let points: Vec<_> = points.into_iter().map(|point| self.parts(point)).collect();
        let dots = points.into_iter().filter(|(x, y)| unit.contains(x) && unit.contains(y));
        self.chart.draw_series(dots.map(|point| Circle::new(point, px(radius), color.filled())))?;
        Ok(())
    }

    /// A line with a dot at each of its points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], color: RGBColor, radius: f64) -> Result {
        self.line(points.iter().copied(), color, 1.6)?;
        self.dots(points.iter().copied(), color, radius)
    }

    /// The lines along which `f` has one of the levels.
    pub(super) fn contours(&mut self, window: Window, levels: &[f64], f: impl Fn(f64, f64) -> f64) -> Result {
        for line in levels.iter().flat_map(|&level| contour(window, level, &f)) {
            self.line(line, FAINT, 1.2)?;
        }
        Ok(())
    }

    /// Text next to a point, in the colour of what it names.
    pub(super) fn label(&mut self, at: (f64, f64), words: &str, color: RGBColor, across: HPos) -> Result {
        let style = text(13.0, color, across, VPos::Center);
        self.chart.draw_series([Text::new(words.to_owned(), self.parts(at), style)])?;
        Ok(())
    }
}

/// The pieces of a line that lie in the unit square.
fn inside(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    for pair in points.windows(2) {
        let Some((from, to)) = cut(pair[0], pair[1]) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces
}

/// The part of a segment that lies in the unit square (Liang and Barsky 1984).
fn cut(a: (f64, f64), b: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    if !(dx.is_finite() && dy.is_finite()) {
        return None;
    }
    let (mut from, mut to) = (0.0f64, 1.0f64);
    for (step, room) in [(-dx, a.0), (dx, 1.0 - a.0), (-dy, a.1), (dy, 1.0 - a.1)] {
        if step == 0.0 && room < 0.0 {
            return None;
        }
        if step < 0.0 {
            from = from.max(room / step);
        } else if step > 0.0 {
            to = to.min(room / step);
        }
    }
    let at = |part: f64| match part {
        0.0 => a,
        1.0 => b,
        _ => (a.0 + part * dx, a.1 + part * dy),
    };
    (from < to).then(|| (at(from), at(to)))
}

/// The line with as few of its points as an eye needs (Douglas and Peucker 1973).
fn simplified(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    /// A tenth of a pixel in a plot of 700.
    const UNSEEN: f64 = 0.1 / 700.0;
    let (Some(&first), Some(&last)) = (line.first(), line.last()) else { return Vec::new() };
    let (dx, dy) = (last.0 - first.0, last.1 - first.1);
    let length = dx.hypot(dy);
    let off = |point: &(f64, f64)| {
        let (x, y) = (point.0 - first.0, point.1 - first.1);
        // A closed line has no direction.
        if length == 0.0 { x.hypot(y) } else { (x * dy - y * dx).abs() / length }
    };
    let farthest = (1..line.len().max(2) - 1).max_by(|&a, &b| off(&line[a]).total_cmp(&off(&line[b])));
    match farthest {
        Some(middle) if off(&line[middle]) > UNSEEN => {
            let mut simple = simplified(&line[..=middle]);
            simple.pop();
            simple.extend(simplified(&line[middle..]));
            simple
        }
        _ => vec![first, last],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_ends_of_the_axes() {
        let line = [(-1.0, 0.5), (0.5, 0.5), (0.5, 3.0), (0.75, 3.0), (0.75, 0.0)];
        let pieces = inside(&line);
        assert_eq!(pieces, [vec![(0.0, 0.5), (0.5, 0.5), (0.5, 1.0)], vec![(0.75, 1.0), (0.75, 0.0)]]);
        assert!(inside(&[(f64::NAN, 0.0), (1.0, f64::INFINITY), (2.0, 2.0), (3.0, 1.5)]).is_empty());
    }

    #[test]
    fn a_line_keeps_its_corners() {
        let straight: Vec<_> = (0..=100).map(|i| (f64::from(i) / 100.0, 0.5)).collect();
        assert_eq!(simplified(&straight), [(0.0, 0.5), (1.0, 0.5)]);
        let corner: Vec<_> = straight.iter().map(|&(x, _)| (x, (x - 0.3).max(0.0))).collect();
        assert_eq!(simplified(&corner), [(0.0, 0.0), (0.3, 0.0), (1.0, 0.7)]);
        let circle: Vec<_> = (0..=1000).map(|i| (f64::from(i) * 0.006_283).sin_cos()).collect();
        let simple = simplified(&circle);
        assert!(simple.len() < 300);
        let sag = |pair: &[(f64, f64)]| 1.0 - (pair[0].0 + pair[1].0).hypot(pair[0].1 + pair[1].1) / 2.0;
        assert!(simple.windows(2).all(|pair| sag(pair) < 4e-4));
    }

    #[test]
    fn ticks_are_written_for_people() {
        let axis = Axis::new("", -2.0, 2.0, [-1.5, 0.0, 1.0]);
        assert_eq!(axis.key_points(3).iter().map(|part| axis.format_ext(part)).collect::<Vec<_>>(), ["−1.5", "0", "1"]);
        let axis = Axis::decades("", -2, 3, 1);
        let labels: Vec<_> = axis.key_points(6).iter().map(|part| axis.format_ext(part)).collect();
        assert_eq!(labels, ["10⁻²", "10⁻¹", "1", "10", "10²", "10³"]);
        assert!((axis.part(100.0) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn a_figure_says_how_large_it_is() {
        let svg = figure(100, |_| Ok(())).unwrap();
        assert!(svg.starts_with(r#"<svg width="750" height="100" viewBox="0 0 3750 500""#), "{svg}");
    }
}
