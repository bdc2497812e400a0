use crate::look::{Canvas, Look, plot};
use crate::scene::{Align, Point};
use crate::theme::{Colour, Tone};
use crate::words::Word;

/// Boxes, arrows and text at chosen places: for what no other plot of this crate draws.
///
/// Places are in pixels from the upper left corner of the picture, or from below its title if it has one.
///
/// ```
/// use downhill_plot::{Align, Diagram, Tone};
///
/// let svg = Diagram::new()
///     .block((110.0, 30.0), (230.0, 90.0), "affine", "z = x W + b")
///     .arrow((20.0, 60.0), (108.0, 60.0), Tone::Series(0))
///     .text((60.0, 46.0), Align::Middle, "x", Tone::Series(0))
///     .arrow((232.0, 60.0), (320.0, 60.0), Tone::Series(0))
///     .text((276.0, 46.0), Align::Middle, "z", Tone::Series(0))
///     .size(340, 120)
///     .to_svg();
/// assert!(svg.contains("z = x W + b"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Diagram {
    look: Look,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Block { from: Point, to: Point, name: String, note: String },
    Arrow { from: Point, to: Point, tone: Tone },
    Text { at: Point, align: Align, text: String, tone: Tone },
}

/// The size of a box's name, of its note, and of other text.
const NAME: f64 = 14.0;
const NOTE: f64 = 12.0;
const TEXT: f64 = 12.5;

/// The length of an arrow's head.
const HEAD: f64 = 8.0;

impl Diagram {
    /// Makes a diagram of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a box between two opposite corners, with its name, and a note below that if it is not empty.
    #[must_use]
    pub fn block(self, from: (f64, f64), to: (f64, f64), name: impl Into<String>, note: impl Into<String>) -> Self {
        self.with(Part::Block { from, to, name: name.into(), note: note.into() })
    }

    /// Adds an arrow.
    #[must_use]
    pub fn arrow(self, from: (f64, f64), to: (f64, f64), tone: Tone) -> Self {
        self.with(Part::Arrow { from, to, tone })
    }

    /// Adds text, whose middle is as high as its place.
    #[must_use]
    pub fn text(self, at: (f64, f64), align: Align, text: impl Into<String>, tone: Tone) -> Self {
        self.with(Part::Text { at, align, text: text.into(), tone })
    }

    fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    fn draw(&self, canvas: &mut Canvas) {
        let lower = canvas.below_title();
        let place = |(x, y): Point| (x, y + lower);
        let scene = &mut canvas.scene;
        for part in &self.parts {
            match part {
                Part::Block { from, to, name, note } => {
                    let (from, to) = (place(*from), place(*to));
                    scene.fill(from, to, Colour::Share(0));
                    scene.outline(from, to, Colour::Muted, 1.3);
                    let (x, y) = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
                    let apart = if note.is_empty() { 0.0 } else { 10.0 };
                    scene.bold(name, (x, y - apart), NAME, Colour::Ink, Align::Middle);
                    if !note.is_empty() {
                        scene.text(note, (x, y + apart), NOTE, Colour::Muted, Align::Middle);
                    }
                }
                Part::Arrow { from, to, tone } => {
                    let (from, to) = (place(*from), place(*to));
                    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
                    // The line ends within the head, whose tip it would blunt.
                    let reach = 1.0 - (0.75 * HEAD / dx.hypot(dy).max(1e-9)).min(1.0);
                    scene.line([from, (from.0 + reach * dx, from.1 + reach * dy)], tone.colour(), 1.8);
                    scene.arrow(from, to, HEAD, tone.colour());
                }
                Part::Text { at, align, text, tone } => scene.text(text, place(*at), TEXT, tone.text(), *align),
            }
        }
    }
}

plot!(Diagram, |_| Word::Diagram, |_| (720, 320));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Mark;

    #[test]
    fn parts_stand_at_their_places_below_the_title() {
        let diagram = Diagram::new().arrow((10.0, 50.0), (110.0, 50.0), Tone::Ink).text(
            (20.0, 30.0),
            Align::Left,
            "x",
            Tone::Series(1),
        );
        let picture = diagram.picture();
        let [Mark::Line { points, .. }, Mark::Area { points: head, .. }, Mark::Text { at, .. }] =
            &picture.scene.marks[..]
        else {
            panic!("{picture:?}")
        };
        assert_eq!((points[0], points[1], head[0], *at), ((10.0, 50.0), (104.0, 50.0), (110.0, 50.0), (20.0, 30.0)));
        let titled = diagram.title("a title").picture();
        assert!(
            titled.scene.marks.iter().any(|mark| matches!(mark, Mark::Text { at: (20.0, 58.0), .. })),
            "{titled:?}"
        );
    }

    #[test]
    fn an_arrow_of_no_length_and_a_box_without_a_note_are_drawn() {
        let diagram =
            Diagram::new().arrow((10.0, 50.0), (10.0, 50.0), Tone::Ink).block((5.0, 5.0), (9.0, 9.0), "a", "");
        let svg = diagram.to_svg();
        assert!(!svg.contains("NaN") && svg.matches("<text").count() == 1, "{svg}");
    }
}
