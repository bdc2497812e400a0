//! A curve of learning rates as a picture.

use std::error::Error;
use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{RateCurve, RatePoint};

/// The size of a picture in pixels.
const SIZE: (u32, u32) = (720, 400);

/// The backend rounds to whole pixels, so a picture is drawn this much larger than it is shown.
const SCALE: u32 = 5;

// After Okabe and Ito's colours, which people with any colour vision tell apart.
const PAGE: RGBColor = WHITE;
const INK: RGBColor = RGBColor(38, 50, 56);
const GRID: RGBColor = RGBColor(226, 230, 234);
const EACH: RGBColor = RGBColor(126, 184, 222);
const SMOOTHED: RGBColor = RGBColor(0, 114, 178);
const STEEPEST: RGBColor = RGBColor(213, 94, 0);
const TENTH: RGBColor = RGBColor(0, 138, 101);

/// The colours, each with the one instead of it on a dark page.
const COLOURS: [(RGBColor, &str); 7] = [
    (PAGE, "#14181c"),
    (INK, "#e4e8ed"),
    (GRID, "#2d343c"),
    (EACH, "#3d6d8c"),
    (SMOOTHED, "#6ab8f0"),
    (STEEPEST, "#ff9a52"),
    (TENTH, "#4fd0a8"),
];

impl RateCurve {
    /// Draws the curve as an SVG: the loss of each batch and the smoothed one over a logarithmic axis of rates, with a
    /// line at each suggested rate. It has light or dark colours, as the reader's system prefers.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        match self.draw(&mut svg) {
            Ok(()) => in_both_schemes(&svg),
            Err(error) => unreachable!("a string takes whatever is drawn: {error}"),
        }
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn Error>> {
        let area = SVGBackend::with_string(svg, (SIZE.0 * SCALE, SIZE.1 * SCALE)).into_drawing_area();
        area.fill(&PAGE)?;
        self.draw_legend(&area)?;

        let (decades, losses) = (self.decades(), self.losses());
        let mut chart = ChartBuilder::on(&area)
            .margin(8 * SCALE)
            .margin_top(34 * SCALE)
            .margin_right(20 * SCALE)
            .x_label_area_size(44 * SCALE)
            .y_label_area_size(60 * SCALE)
            .build_cartesian_2d(
                Axis { low: decades.0, high: decades.1, is_of_decades: true },
                Axis { low: losses.0, high: losses.1, is_of_decades: false },
            )?;
        chart
            .configure_mesh()
            .bold_line_style(GRID.stroke_width(SCALE))
            .light_line_style(TRANSPARENT)
            .axis_style(INK.stroke_width(SCALE))
            .label_style(text(12, INK))
            .axis_desc_style(text(13, INK))
            .x_desc("learning rate")
            .y_desc("loss")
            .draw()?;

        let mut line = |number: fn(&RatePoint) -> f64, style: ShapeStyle| {
            let known = self.points().filter(move |point| !number(point).is_nan());
            let places = known.map(|point| (point.rate.log10(), number(&point).clamp(losses.0, losses.1)));
            chart.draw_series(LineSeries::new(places, style)).map(|_| ())
        };
        line(|point| point.loss, EACH.stroke_width(SCALE))?;
        line(|point| point.smoothed, SMOOTHED.stroke_width(5 * SCALE / 2))?;
        for (rate, colour) in [(self.suggestion(), STEEPEST), (self.tenth_of_least(), TENTH)] {
            let decade = rate.map(|rate| rate.log10().clamp(decades.0, decades.1));
            let ends = decade.into_iter().flat_map(|decade| [(decade, losses.0), (decade, losses.1)]);
            chart.draw_series(LineSeries::new(ends, colour.stroke_width(3 * SCALE / 2)))?;
        }
        area.present()?;
        Ok(())
    }

    /// Draws a row above the plot that says what its colours mean.
    fn draw_legend(&self, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        let rate = |name: &str, rate: Option<f64>| rate.map(|rate| format!("{name}: {rate:.1e}"));
        let entries = [
            (76, Some("each batch".to_owned()), EACH),
            (170, Some("smoothed".to_owned()), SMOOTHED),
            (260, rate("steepest", self.suggestion()), STEEPEST),
            (400, rate("a tenth of the least loss's", self.tenth_of_least()), TENTH),
        ];
        for (x, entry, colour) in entries {
            if let Some(entry) = entry {
                let place = |x: u32, y: u32| ((x * SCALE) as i32, (y * SCALE) as i32);
                area.draw(&PathElement::new([place(x, 18), place(x + 14, 18)], colour.stroke_width(3 * SCALE)))?;
                area.draw(&Text::new(entry, place(x + 19, 18), text(13, INK)))?;
            }
        }
        Ok(())
    }

    /// The ends of the axis of rates, as powers of ten.
    fn decades(&self) -> (f64, f64) {
        let first = self.points().next().map_or(-7.0, |point| point.rate.log10());
        let last = self.points().last().map_or(1.0, |point| point.rate.log10());
        // One rate is no axis.
        (first, last.max(first + 0.1))
    }

    /// The ends of the axis of losses: all smoothed ones but the last of a curve that has run away, which may lie far off.
    fn losses(&self) -> (f64, f64) {
        let count = self.points().len() - usize::from(self.has_run_away && self.points().len() > 1);
        let all = self.points().take(count).flat_map(|point| [point.smoothed, point.loss]);
        let least = all.filter(|loss| loss.is_finite()).fold(f64::INFINITY, f64::min);
        let smoothed = self.points().take(count).map(|point| point.smoothed);
        let most = smoothed.filter(|loss| loss.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        if !(least.is_finite() && most.is_finite()) {
            return (0.0, 1.0);
        }
        // So that their difference is a number.
        let (least, most) = (least.max(-f64::MAX / 4.0), most.min(f64::MAX / 4.0));
        let room = (0.05 * (most - least)).max(1e-3 * most.abs()).max(1e-9);
        (least - room, most + room)
    }
}

/// An axis with a label at each of a few round numbers. (plotters' own axes take for ever to find these in some ranges.)
#[derive(Clone, Copy, Debug)]
struct Axis {
    low: f64,
    high: f64,
    /// Whether numbers are powers of ten.
    is_of_decades: bool,
}

impl Axis {
    /// The distance of labels: 1, 2 or 5 times a power of ten, and for decades 1 at least.
    fn step(&self) -> f64 {
        let least = (self.high - self.low) / 8.0;
        let power = 10.0_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= least);
        let step = step.unwrap_or(least);
        if self.is_of_decades && self.high - self.low >= 2.0 { step.max(1.0) } else { step }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, number: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * ((number - self.low) / (self.high - self.low))).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        let step = self.step();
        let first = (self.low / step).ceil();
        (0..10).map(|label| (first + f64::from(label)) * step).filter(|number| *number <= self.high).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, number: &f64) -> String {
        if self.is_of_decades {
            return format!("{:.1e}", 10.0_f64.powf(*number)).replace(".0e", "e");
        }
        match -self.step().log10().floor() {
            digits if (-3.0..=4.0).contains(&digits) => format!("{number:.*}", digits.max(0.0) as usize),
            _ => format!("{number:.1e}"),
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn text(size: u32, colour: RGBColor) -> TextStyle<'static> {
    // The backend writes a size as 1/1.24 of its argument.
    let font = ("sans-serif", f64::from(size * SCALE) * 1.24).into_font();
    font.color(&colour).pos(Pos::new(HPos::Left, VPos::Center))
}

/// Shows a picture in its size, and adds dark colours for those who prefer them.
fn in_both_schemes(svg: &str) -> String {
    let dark: String = COLOURS
        .iter()
        .map(|(RGBColor(r, g, b), dark)| {
            let light = format!("#{r:02X}{g:02X}{b:02X}");
            format!("[fill=\"{light}\"] {{ fill: {dark}; }}\n[stroke=\"{light}\"] {{ stroke: {dark}; }}\n")
        })
        .collect();
    let style = format!("<style>\n@media (prefers-color-scheme: dark) {{\n{dark}}}\n</style>");
    let sized = |scale: u32| format!(r#"<svg width="{}" height="{}""#, SIZE.0 * scale, SIZE.1 * scale);
    let svg = svg.replacen(&sized(SCALE), &sized(1), 1);
    let head = svg.find("<svg").and_then(|start| svg[start..].find('>').map(|length| start + length + 1));
    let (head, body) = svg.split_at(head.unwrap_or(0));
    format!("{head}\n{style}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_optim::{RangeCurve, RangeTest};

    fn curve(lowest: f64, highest: f64, losses: &[f64]) -> RateCurve {
        let test = RangeTest::new(lowest, highest, losses.len().max(2) as u64).smoothing(0.5);
        let mut curve = RangeCurve::default();
        let has_run_away = losses.iter().any(|&loss| test.observe(&mut curve, loss).is_break());
        RateCurve { curve, has_run_away }
    }

    #[test]
    fn a_picture_has_its_axes_its_suggestions_and_both_schemes() {
        let falling: Vec<f64> = (0..50).map(|step| 2.0 - f64::from((step - 20_i32).clamp(0, 20)) / 20.0).collect();
        let curve = curve(1e-5, 1.0, &falling);
        let svg = curve.to_svg();
        for (RGBColor(r, g, b), dark) in COLOURS {
            let (light, rules) =
                (format!("\"#{r:02X}{g:02X}{b:02X}\""), [format!("fill: {dark};"), format!("stroke: {dark};")]);
            assert!(svg.matches(&light).count() > 2, "{light} is not drawn");
            assert!(rules.iter().all(|rule| svg.contains(rule)), "{light} has no dark colour");
        }
        let steepest = format!("steepest: {:.1e}", curve.suggestion().unwrap());
        for text in
            ["learning rate", "\nloss\n", "each batch", "smoothed", "1e-5", "1e-1", "prefers-color-scheme", &steepest]
        {
            assert!(svg.contains(text), "{text} is not there");
        }
        assert!(svg.starts_with("<svg width=\"720\" height=\"400\"") && svg.trim_end().ends_with("</svg>"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }

    #[test]
    fn numbers_that_no_axis_holds_are_drawn_at_its_end_or_not_at_all() {
        let losses: [&[f64]; 11] = [
            &[],
            &[1.0],
            &[1.0, 1.0],
            &[0.0; 9],
            &[f64::NAN],
            &[1.0, 0.5, -f64::NAN],
            &[-1.0, -2.0, 1e300, 1.0],
            &[2e300, 1.5e300, 1e300, f64::INFINITY],
            &[-1e300, -2e300],
            &[f64::MAX, -f64::MAX],
            &[2e-300, 1e-300, 1e-310],
        ];
        for (lowest, highest) in [(1e-5, 1.0), (1e-150, 1e150), (1e-320, 1e-310), (3.0, 3.000001), (2e-3, 5e-3)] {
            for losses in losses {
                let svg = curve(lowest, highest, losses).to_svg();
                assert!(svg.contains("</svg>") && !svg.contains("NaN") && !svg.contains("inf"), "{losses:?}");
                assert!(svg.len() < 100_000, "{} bytes for {losses:?} from {lowest} to {highest}", svg.len());
            }
        }
    }
}
