//! A scene as SVG, by plotters' backend.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBAColor, RGBColor, ShapeStyle};

use crate::scene::{Align, Dash, Mark, Point, Scene};
use crate::text::FONTS;
use crate::theme::{Colour, Pair, Theme};

/// The backend rounds to whole pixels, so a picture is drawn this much larger than it is shown.
const SCALE: f64 = 5.0;

/// What a shape is painted with. The backend knows no dashes and no second theme, so it takes the place of the paint in
/// a list as a colour, and the colour is put in place of that afterwards.
type Paint = (Colour, Dash);

/// Writes a scene as an SVG of this size, whose title is read out to those who don't see it.
pub(crate) fn svg(scene: &Scene, size: (u32, u32), title: &str, theme: Theme) -> String {
    let paints: Vec<Paint> = scene
        .marks
        .iter()
        .map(paint)
        .chain([(Colour::Page, Dash::Solid)])
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut drawn = String::new();
    if let Err(error) = draw(scene, size, &paints, &mut drawn) {
        unreachable!("a string takes whatever is drawn: {error}");
    }
    finished(&drawn, size, title, theme, &paints)
}

fn paint(mark: &Mark) -> Paint {
    match mark {
        Mark::Line { colour, dash, .. } => (*colour, *dash),
        Mark::Area { colour, .. }
        | Mark::Box { colour, .. }
        | Mark::Disc { colour, .. }
        | Mark::Ring { colour, .. }
        | Mark::Text { colour, .. } => (*colour, Dash::Solid),
    }
}

fn at((x, y): Point) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

fn length(pixels: f64) -> u32 {
    (pixels * SCALE).round().max(1.0) as u32
}

fn draw(scene: &Scene, (width, height): (u32, u32), paints: &[Paint], svg: &mut String) -> Result<(), Box<dyn Error>> {
    let size = (length(width.into()), length(height.into()));
    let mut backend = SVGBackend::with_string(svg, size);
    let colour = |paint: Paint, opacity: f64| {
        let index = paints.binary_search(&paint).unwrap_or(0) as u32;
        RGBAColor(0, (index >> 8) as u8, index as u8, opacity)
    };
    let stroke =
        |paint: Paint, width: f64| ShapeStyle { color: colour(paint, 1.0), filled: false, stroke_width: length(width) };
    let page = (Colour::Page, Dash::Solid);
    backend.draw_rect((0, 0), (size.0 as i32, size.1 as i32), &colour(page, 1.0), true)?;
    for mark in &scene.marks {
        let paint = paint(mark);
        match mark {
            Mark::Line { points, width, .. } => {
                backend.draw_path(points.iter().copied().map(at), &stroke(paint, *width))?;
            }
            Mark::Area { points, opacity, .. } => {
                backend.fill_polygon(points.iter().copied().map(at), &colour(paint, *opacity))?;
            }
            Mark::Box { from, to, opacity, .. } => {
                let ((x0, y0), (x1, y1)) = (at(*from), at(*to));
                let (from, to) = ((x0.min(x1), y0.min(y1)), (x0.max(x1), y0.max(y1)));
                backend.draw_rect(from, to, &colour(paint, *opacity), true)?;
            }
            Mark::Disc { centre, radius, .. } => {
                backend.draw_circle(at(*centre), length(*radius), &colour(paint, 1.0), true)?;
            }
            Mark::Ring { centre, radius, width, .. } => {
                backend.draw_circle(at(*centre), length(*radius), &stroke(paint, *width), false)?;
            }
            Mark::Text { text, at: place, size, align, bold, turned, .. } => {
                let across = match align {
                    Align::Left => HPos::Left,
                    Align::Middle => HPos::Center,
                    Align::Right => HPos::Right,
                };
                // The backend writes a size as 1/1.24 of its argument.
                let font = (FONTS, size * SCALE * 1.24).into_font();
                let font = if *bold { font.style(FontStyle::Bold) } else { font };
                let font = if *turned { font.transform(FontTransform::Rotate270) } else { font };
                let RGBAColor(r, g, b, _) = colour(paint, 1.0);
                let style = font.color(&RGBColor(r, g, b).to_rgba()).pos(Pos::new(across, VPos::Center));
                backend.draw_text(text, &style, at(*place))?;
            }
        }
    }
    Ok(backend.present()?)
}

/// Puts paints, fonts, the title and the size as shown into what the backend has written.
fn finished(drawn: &str, (width, height): (u32, u32), title: &str, theme: Theme, paints: &[Paint]) -> String {
    let (open, body) = drawn.split_once(">\n").unwrap_or(("", drawn));
    let view = open.split_once("viewBox").map_or("", |(_, view)| view.split('"').nth(1).unwrap_or(""));
    let body = painted(&brief(body), theme, paints);
    let (style, id) = if theme == Theme::Page { dark(&body, paints) } else { (String::new(), String::new()) };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\"{id} width=\"{width}\" height=\"{height}\" viewBox=\"{view}\" \
         font-family=\"{FONTS}\" role=\"img\">\n<title>{}</title>\n{style}{body}",
        escaped(title)
    )
}

/// Text as XML and HTML have it.
pub(crate) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    // Characters that no XML can hold.
    text.chars().filter(|&c| c == '\t' || c == '\n' || c >= ' ').collect()
}

/// Leaves out what is the default anyway, or stands at the root, and rounds ends of lines.
fn brief(body: &str) -> String {
    let fonts = format!(" font-family=\"{FONTS}\"");
    let body = body.replace(&fonts, "").replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", "");
    let body = body.replace(" \"/>", "\"/>").replace(" text-anchor=\"start\"", "");
    body.replace("<polyline fill=\"none\"", "<polyline fill=\"none\" stroke-linejoin=\"round\"")
}

/// Puts each paint in place of its number.
fn painted(body: &str, theme: Theme, paints: &[Paint]) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(start) = rest.find("=\"#") {
        let (before, after) = rest.split_at(start);
        let index = after.get(3..9).and_then(|hex| usize::from_str_radix(hex, 16).ok()).unwrap_or(0);
        let (colour, dash) = paints[index.min(paints.len() - 1)];
        let Pair { light, dark } = colour.pair();
        let shown = if theme == Theme::Dark { dark } else { light };
        // The name of the attribute, fill or stroke.
        let name = before.rsplit(' ').next().unwrap_or("fill");
        out.push_str(&before[..before.len() - name.len()]);
        if theme == Theme::Page {
            let _ = write!(out, "class=\"{}{index}\" ", &name[..1]);
        }
        let _ = write!(out, "{name}=\"{}\"", hex(shown));
        if dash != Dash::Solid {
            let lengths: Vec<String> = dash.lengths().iter().map(|pixels| length(*pixels).to_string()).collect();
            let _ = write!(out, " stroke-dasharray=\"{}\"", lengths.join(" "));
        }
        rest = &after[10..];
    }
    out + rest
}

fn hex((r, g, b): (u8, u8, u8)) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// The rules that choose between light and dark colours, and the mark of the picture that they are for: several may stand
/// in one page. A picture in a page takes the page's scheme, and one by itself that of the reader's system.
fn dark(body: &str, paints: &[Paint]) -> (String, String) {
    // FNV-1a.
    let hash = body
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let mut rules = String::new();
    for (index, (colour, _)) in paints.iter().enumerate() {
        let Pair { light, dark } = colour.pair();
        for (class, name) in [("f", "fill"), ("s", "stroke")] {
            if body.contains(&format!("class=\"{class}{index}\"")) {
                let (light, dark) = (hex(light), hex(dark));
                let _ = writeln!(rules, "#p{hash:016x} .{class}{index} {{ {name}: light-dark({light}, {dark}); }}");
            }
        }
    }
    let style = format!("<style>\nsvg:root {{ color-scheme: light dark; }}\n{rules}</style>\n");
    (style, format!(" id=\"p{hash:016x}\""))
}
