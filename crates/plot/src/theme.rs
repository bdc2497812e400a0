//! Colours by their role, each with one for a light page and one for a dark page.

/// The colours that a picture is drawn in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Theme {
    /// Dark ink on a white page.
    #[default]
    Light,
    /// Light ink on a dark page.
    Dark,
    /// Light or dark, as the page around the picture is, or as the reader's system prefers: an SVG holds both. A PNG is
    /// light.
    Page,
}

/// The colour of a line, of points or of text by its role, which each theme has a colour for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tone {
    /// That of text.
    #[default]
    Ink,
    /// That of axes and notes, for what stays in the background.
    Muted,
    /// That of one of several series, counted from 0; after eight they repeat.
    Series(usize),
}

impl Tone {
    /// That of lines and points.
    pub(crate) fn colour(self) -> Colour {
        match self {
            Self::Ink => Colour::Ink,
            Self::Muted => Colour::Muted,
            Self::Series(index) => Colour::Series(index),
        }
    }

    /// That of text.
    pub(crate) fn text(self) -> Colour {
        match self {
            Self::Series(index) => Colour::Written(index),
            _ => self.colour(),
        }
    }
}

/// A colour by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Colour {
    /// What a picture is drawn on.
    Page,
    /// Text and axes.
    Ink,
    /// What explains: labels of ticks, notes.
    Muted,
    /// Lines behind the data.
    Grid,
    /// One of several series or classes, counted from 0.
    Series(usize),
    /// Text about one of several series.
    Written(usize),
    /// The region of a class, behind its points.
    Region(usize),
    /// Height over a plane, from 0 to [`Colour::STEPS`].
    Height(u8),
    /// A share, from nothing at 0 to all at [`Colour::STEPS`].
    Share(u8),
    /// The text over a share.
    OnShare(u8),
    /// A number with a sign, from the most negative at 0 over zero in the middle to [`Colour::STEPS`].
    Signed(u8),
}

type Rgb = (u8, u8, u8);

/// A colour on a light page, and the one instead of it on a dark page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) light: Rgb,
    pub(crate) dark: Rgb,
}

const fn pair(light: u32, dark: u32) -> Pair {
    const fn rgb(hex: u32) -> Rgb {
        ((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
    }
    Pair { light: rgb(light), dark: rgb(dark) }
}

const PAGE: Pair = pair(0xFFFFFF, 0x14181C);

/// After Okabe and Ito's colours, which people with any colour vision tell apart, darkened so that each has a contrast
/// of 3 to 1 with a white page, and lightened for a dark one.
pub(crate) const SERIES: [Pair; 8] = [
    pair(0x0072B2, 0x5AAEEA),
    pair(0xD55E00, 0xFF9650),
    pair(0x008A65, 0x45CFA4),
    pair(0xA8508C, 0xE699CB),
    pair(0x9A7400, 0xEBC43C),
    pair(0x3395CC, 0xA5DDFF),
    pair(0x5C4FA3, 0xAFA2F2),
    pair(0x707C84, 0xA5B0B8),
];

impl Colour {
    /// The last step of a scale, which is even so that there is a middle.
    pub(crate) const STEPS: u8 = 20;

    /// The step of a scale for a part from 0 to 1.
    pub(crate) fn step(part: f64) -> u8 {
        (part.clamp(0.0, 1.0) * f64::from(Self::STEPS)).round() as u8
    }

    pub(crate) fn pair(self) -> Pair {
        let part = |step: u8| f64::from(step) / f64::from(Self::STEPS);
        match self {
            Self::Page => PAGE,
            Self::Ink => pair(0x1F2A30, 0xE6EAEE),
            Self::Muted => pair(0x56636B, 0xA3AEB6),
            Self::Grid => pair(0xE2E6EA, 0x2C343B),
            Self::Series(index) => SERIES[index % SERIES.len()],
            Self::Written(index) => mix(SERIES[index % SERIES.len()], Self::Ink.pair(), 0.3),
            Self::Region(index) => mix(PAGE, SERIES[index % SERIES.len()], 0.22),
            Self::Height(step) => mix(pair(0xFBFCFD, 0x171C21), pair(0x8FB2D0, 0x43688A), part(step)),
            Self::Share(step) => mix(pair(0xF3F6F8, 0x1D242A), pair(0x00568A, 0x8CCBF8), part(step)),
            // On each page the one that stands out more.
            Self::OnShare(step) => Pair {
                light: if step > 13 { PAGE.light } else { Self::Ink.pair().light },
                dark: if step > 9 { PAGE.dark } else { Self::Ink.pair().dark },
            },
            Self::Signed(step) if part(step) < 0.5 => {
                mix(pair(0xF6F7F8, 0x20272D), pair(0xC04A00, 0xFF9650), 1.0 - 2.0 * part(step))
            }
            Self::Signed(step) => mix(pair(0xF6F7F8, 0x20272D), pair(0x00609C, 0x5AAEEA), 2.0 * part(step) - 1.0),
        }
    }
}

fn mix(from: Pair, to: Pair, part: f64) -> Pair {
    let number = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    let rgb = |a: Rgb, b: Rgb| (number(a.0, b.0), number(a.1, b.1), number(a.2, b.2));
    Pair { light: rgb(from.light, to.light), dark: rgb(from.dark, to.dark) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast of two colours, from 1 to 21, as the Web Content Accessibility Guidelines define it.
    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let luminance = |(r, g, b): Rgb| {
            let linear = |x: u8| {
                let x = f64::from(x) / 255.0;
                if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05
        };
        let (a, b) = (luminance(a), luminance(b));
        a.max(b) / a.min(b)
    }

    fn worst(a: Colour, b: Colour) -> f64 {
        let (a, b) = (a.pair(), b.pair());
        contrast(a.light, b.light).min(contrast(a.dark, b.dark))
    }

    #[test]
    fn text_stands_out_from_what_is_behind_it() {
        assert!(worst(Colour::Ink, Colour::Page) > 12.0);
        assert!(worst(Colour::Muted, Colour::Page) > 4.5);
        for step in 0..=Colour::STEPS {
            let found = worst(Colour::OnShare(step), Colour::Share(step));
            assert!(found > 3.8, "{found} on share {step}");
        }
        for step in 0..=Colour::STEPS {
            let found = worst(Colour::Ink, Colour::Height(step));
            assert!(found > 4.5, "{found} on height {step}");
        }
    }

    #[test]
    fn series_stand_out_from_the_page() {
        for series in 0..SERIES.len() {
            let found = worst(Colour::Series(series), Colour::Page);
            assert!(found > 3.0, "{found} for {series}");
            let written = worst(Colour::Written(series), Colour::Page);
            assert!(written > 4.5, "{written} for text about {series}");
        }
    }

    /// What people see who lack the long, or the medium, wavelength cones (Viénot, Brettel and Mollon 1999).
    fn seen(colour: Rgb, matrix: [[f64; 3]; 3]) -> [f64; 3] {
        let rgb = [colour.0, colour.1, colour.2].map(|x| (f64::from(x) / 255.0).powf(2.2));
        matrix.map(|row| row.iter().zip(&rgb).map(|(a, x)| a * x).sum::<f64>().max(0.0).powf(1.0 / 2.2))
    }

    #[test]
    fn the_first_series_differ_for_any_colour_vision() {
        let all = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let protan = [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]];
        let deutan = [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]];
        for vision in [all, protan, deutan] {
            for side in [|pair: &Pair| pair.light, |pair: &Pair| pair.dark] {
                let colours: Vec<[f64; 3]> = SERIES[..3].iter().map(|pair| seen(side(pair), vision)).collect();
                for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                    let squares = colours[a].iter().zip(&colours[b]).map(|(x, y)| (x - y).powi(2));
                    let distance = squares.sum::<f64>().sqrt();
                    assert!(distance > 0.15, "{a} and {b} are {distance} apart");
                }
            }
        }
    }
}
