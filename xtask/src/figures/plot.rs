//! How every figure looks: plotters' SVG backend in one quiet style.
//!
//! Text is laid out by estimate and coordinates are whole numbers, so that a figure is the same bytes on every machine.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Result;

// Okabe and Ito's colours, which people with any colour vision tell apart.
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const ORANGE: RGBColor = RGBColor(213, 94, 0);
pub(super) const GREEN: RGBColor = RGBColor(0, 138, 101);
pub(super) const PURPLE: RGBColor = RGBColor(170, 80, 140);
pub(super) const SKY: RGBColor = RGBColor(120, 180, 220);
pub(super) const INK: RGBColor = RGBColor(38, 50, 56);
pub(super) const GREY: RGBColor = RGBColor(112, 124, 132);
pub(super) const FAINT: RGBColor = RGBColor(226, 230, 234);

/// A whole figure, or a part of one.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

type Plane = Cartesian2d<Axis, Axis>;

/// The backend rounds to whole pixels, so figures are drawn this much larger than they are shown.
const SCALE: u32 = 2;

/// The width of all figures: that of the guide's text.
const WIDTH: u32 = 750;

/// Draws a figure of this height on white, which is readable in dark themes too.
pub(super) fn figure(height: u32, draw: impl FnOnce(&Area<'_>) -> Result) -> Result<String> {
    let mut svg = String::new();
    let drawn = (SCALE * WIDTH, SCALE * height);
    {
        let area = SVGBackend::with_string(&mut svg, drawn).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    let shown = |(width, height): (u32, u32)| format!(r#"<svg width="{width}" height="{height}""#);
    Ok(svg.replacen(&shown(drawn), &shown((WIDTH, height)), 1))
}

/// Text of this many pixels as shown.
pub(super) fn text(pixels: u32, color: RGBColor, across: HPos, down: VPos) -> TextStyle<'static> {
    // The backend writes a size as 1/1.24 of what it is given.
    let size = f64::from(SCALE * pixels) * 1.24;
    ("sans-serif", size).into_font().color(&color).pos(Pos::new(across, down))
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

    /// Powers of ten from 10^`low` to 10^`high`, with a label every so many.
    pub(super) fn decades(name: &'static str, low: i32, high: i32, every: usize) -> Self {
        let ticks = (low..=high).step_by(every).map(|exponent| 10f64.powi(exponent)).collect();
        Self { name, low: low.into(), high: high.into(), ticks, decades: true }
    }

    /// Where a number lies, from 0 at the low end to 1 at the high one.
    fn part(&self, number: f64) -> f64 {
        let place = if self.decades { number.log10() } else { number };
        (place - self.low) / (self.high - self.low)
    }

    fn contains(&self, number: f64) -> bool {
        (0.0..=1.0).contains(&self.part(number))
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, number: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * self.part(*number)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, tick: &f64) -> String {
        let exponent = tick.log10().round() as i32;
        if self.decades && !(0..=1).contains(&exponent) {
            format!("10{}", superscript(exponent))
        } else {
            format!("{tick}").replace('-', "−")
        }
    }
}

pub(super) fn superscript(number: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + (digit as u32 - '0' as u32)).unwrap_or(digit),
    };
    number.to_string().chars().map(raised).collect()
}

/// A plane with two axes to draw on.
pub(super) struct Plot<'a> {
    chart: ChartContext<'a, SVGBackend<'a>, Plane>,
    x: Axis,
    y: Axis,
}

impl<'a> Plot<'a> {
    pub(super) fn new(area: &Area<'a>, title: &str, x: Axis, y: Axis) -> Result<Self> {
        let mut builder = ChartBuilder::on(area);
        builder.margin_top(16).margin_right(36).margin_left(8).margin_bottom(8);
        builder.x_label_area_size(if x.name.is_empty() { 44 } else { 84 });
        builder.y_label_area_size(if y.name.is_empty() { 70 } else { 116 });
        if !title.is_empty() {
            builder.caption(title, text(14, INK, HPos::Left, VPos::Top));
        }
        let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(ShapeStyle::from(&GREY).stroke_width(2))
            .set_all_tick_mark_size(8)
            .label_style(text(12, GREY, HPos::Left, VPos::Top))
            .axis_desc_style(text(13, INK, HPos::Left, VPos::Top))
            .x_desc(x.name)
            .y_desc(y.name)
            .draw()?;
        Ok(Self { chart, x, y })
    }

    /// The points up to the first that lies outside.
    fn inside(&self, points: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
        points.into_iter().take_while(|&(x, y)| self.x.contains(x) && self.y.contains(y)).collect()
    }

    /// A line through these points.
    pub(super) fn line(&mut self, points: impl IntoIterator<Item = (f64, f64)>, color: RGBColor, width: u32) -> Result {
        let points = self.inside(points);
        self.chart.draw_series([PathElement::new(points, color.stroke_width(width))])?;
        Ok(())
    }

    /// A line of dashes through these points.
    pub(super) fn dashes(&mut self, points: impl IntoIterator<Item = (f64, f64)>, color: RGBColor) -> Result {
        let points = self.inside(points);
        self.chart.draw_series([DashedPathElement::new(points.into_iter(), 12, 8, color.stroke_width(3))])?;
        Ok(())
    }

    /// A dot at each of these points.
    pub(super) fn dots(&mut self, points: impl IntoIterator<Item = (f64, f64)>, color: RGBColor, radius: u32) -> Result {
        let points = self.inside(points);
        self.chart.draw_series(points.into_iter().map(|point| Circle::new(point, radius, color.filled())))?;
        Ok(())
    }

    /// Text beside a point, in the colour of what it names.
    pub(super) fn label(&mut self, at: (f64, f64), words: &str, color: RGBColor, across: HPos, down: VPos) -> Result {
        self.chart.draw_series([Text::new(words.to_owned(), at, text(13, color, across, down))])?;
        Ok(())
    }
}
