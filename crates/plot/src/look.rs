//! What all plots can be told, and where they are drawn.

use crate::scene::{Align, Scene};
use crate::text;
use crate::theme::{Colour, Theme};
use crate::words::{Language, Word};

/// The settings that all plots have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Look {
    pub(crate) theme: Theme,
    pub(crate) language: Language,
    pub(crate) title: Option<String>,
    pub(crate) size: Option<(u32, u32)>,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Area {
    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// The part of it between two parts of its height.
    pub(crate) fn rows(&self, from: f64, to: f64) -> Self {
        Self { top: self.top + from * self.height(), bottom: self.top + to * self.height(), ..*self }
    }
}

/// Space around a picture's content.
const MARGIN: f64 = 12.0;

/// The least width and height, below which labels leave no room for data.
const LEAST: u32 = 160;

/// A picture while it is drawn.
pub(crate) struct Canvas {
    pub(crate) scene: Scene,
    pub(crate) language: Language,
    /// What is still free.
    pub(crate) area: Area,
}

impl Canvas {
    /// Begins a picture of this size with its title, if it has one.
    pub(crate) fn new(look: &Look, (width, height): (u32, u32)) -> Self {
        let (width, height) = (f64::from(width), f64::from(height));
        let area = Area { left: MARGIN, top: MARGIN, right: width - MARGIN, bottom: height - MARGIN };
        let mut canvas = Self { scene: Scene::default(), language: look.language, area };
        if let Some(title) = &look.title {
            let shown = text::fitted(title, 16.0, 0.92 * area.width());
            canvas.scene.bold(shown, (area.left, area.top + 10.0), 16.0, Colour::Ink, Align::Left);
            canvas.area.top += 28.0;
        }
        canvas
    }

    pub(crate) fn say(&self, word: Word) -> &'static str {
        word.of(self.language)
    }

    /// How far down what a title leaves free begins, if there is one.
    pub(crate) fn below_title(&self) -> f64 {
        self.area.top - MARGIN
    }

    /// Draws a legend at the top of what is free.
    pub(crate) fn legend(&mut self, entries: &[crate::scene::Entry]) {
        let Area { left, top, right, .. } = self.area;
        let height = self.scene.legend(entries, (left + 4.0, top), right);
        self.area.top += if height > 0.0 { height + 6.0 } else { 0.0 };
    }
}

/// The size that was asked for, or a plot's own.
pub(crate) fn size(look: &Look, own: (u32, u32)) -> (u32, u32) {
    let (width, height) = look.size.unwrap_or(own);
    // Plotters counts pixels in 32 bits, and a picture is drawn larger than it is shown.
    (width.clamp(LEAST, 20_000), height.clamp(LEAST, 20_000))
}

/// Gives a plot, which has a `look` and a way to `draw` on a canvas, the setters of all plots and its formats.
macro_rules! plot {
    ($Plot:ident, $word:expr, $size:expr) => {
        impl $Plot {
            /// Sets the colours; [`Theme::Light`](crate::Theme::Light) unless set.
            #[must_use]
            pub fn theme(mut self, theme: crate::Theme) -> Self {
                self.look.theme = theme;
                self
            }

            /// Sets the language of labels; English unless set.
            #[must_use]
            pub fn language(mut self, language: crate::Language) -> Self {
                self.look.language = language;
                self
            }

            /// Sets a title, which is written above the plot; none unless set.
            #[must_use]
            pub fn title(mut self, title: impl Into<String>) -> Self {
                self.look.title = Some(title.into());
                self
            }

            /// Sets the width and the height in pixels, each at least 160; what suits the data unless set.
            #[must_use]
            pub fn size(mut self, width: u32, height: u32) -> Self {
                self.look.size = Some((width, height));
                self
            }

            /// Draws the plot.
            #[must_use]
            pub fn picture(&self) -> crate::Picture {
                let own: fn(&Self) -> (u32, u32) = $size;
                let size = crate::look::size(&self.look, own(self));
                let mut canvas = crate::look::Canvas::new(&self.look, size);
                self.draw(&mut canvas);
                let word: fn(&Self) -> Word = $word;
                let title = self.look.title.clone().unwrap_or_else(|| word(self).of(self.look.language).to_owned());
                crate::Picture { scene: canvas.scene, size, title, theme: self.look.theme }
            }

            /// Draws the plot as SVG: see [`Picture::to_svg`](crate::Picture::to_svg).
            #[must_use]
            pub fn to_svg(&self) -> String {
                self.picture().to_svg()
            }

            /// Draws the plot and saves it as a file: see [`Picture::save`](crate::Picture::save).
            ///
            /// # Errors
            /// Returns an error if the file's ending names no format, or the file can't be written.
            pub fn save(&self, path: impl AsRef<std::path::Path>) -> Result<(), crate::PlotError> {
                self.picture().save(path)
            }
        }

        impl From<$Plot> for crate::Picture {
            fn from(plot: $Plot) -> Self {
                plot.picture()
            }
        }

        impl From<&$Plot> for crate::Picture {
            fn from(plot: &$Plot) -> Self {
                plot.picture()
            }
        }
    };
}
pub(crate) use plot;
