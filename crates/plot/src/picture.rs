use std::fs;
use std::path::Path;

use crate::PlotError;
use crate::scene::Scene;
use crate::svg;
use crate::theme::Theme;

/// A picture that was drawn, to be written as SVG or, with the feature `png`, as PNG.
///
/// It has one size in pixels; as SVG it can be shown in any.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub(crate) scene: Scene,
    pub(crate) size: (u32, u32),
    pub(crate) title: String,
    pub(crate) theme: Theme,
}

impl Picture {
    /// The width and the height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// What the picture shows, in a few words: those who don't see it hear them.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Sets the colours.
    #[must_use]
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// Writes the picture as SVG. Text stays text, and the same picture has the same bytes on every machine.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::svg(&self.scene, self.size, &self.title, self.theme)
    }

    /// Writes the picture as PNG, with two of its pixels for each of the picture's, in fonts of the system.
    ///
    /// # Errors
    /// Returns an error if there is not enough memory for the pixels.
    #[cfg(feature = "png")]
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        crate::png::png(&self.clone().theme(if self.theme == Theme::Dark { Theme::Dark } else { Theme::Light }))
    }

    /// Saves the picture as a file, in the format that its ending names: `.svg` or, with the feature `png`, `.png`.
    ///
    /// # Errors
    /// Returns an error if the ending is another, or the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        let path = path.as_ref();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let bytes = match ending.as_deref() {
            Some("svg") => self.to_svg().into_bytes(),
            #[cfg(feature = "png")]
            Some("png") => self.to_png()?,
            _ => return Err(PlotError::Ending { path: path.to_owned() }),
        };
        fs::write(path, bytes).map_err(|cause| PlotError::Write { path: path.to_owned(), cause })
    }
}
