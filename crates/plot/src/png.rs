//! A picture as PNG, drawn from its SVG: so both are the same picture.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::{Picture, PlotError};

/// The pixels of a PNG for each pixel of a picture, along each axis.
const SHARPNESS: f32 = 2.0;

pub(crate) fn png(picture: &Picture) -> Result<Vec<u8>, PlotError> {
    let options = Options { fontdb: fonts(), font_family: "sans-serif".to_owned(), ..Options::default() };
    let failed = |cause: String| PlotError::Png { cause };
    let tree = Tree::from_str(&picture.to_svg(), &options).map_err(|error| failed(error.to_string()))?;
    let size = tree.size().scale_by(SHARPNESS).map(|size| size.to_int_size());
    let mut pixels = size
        .and_then(|size| Pixmap::new(size.width(), size.height()))
        .ok_or_else(|| failed(format!("{} x {} pixels are too many", picture.size.0, picture.size.1)))?;
    resvg::render(&tree, Transform::from_scale(SHARPNESS, SHARPNESS), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(error.to_string()))
}

/// The fonts of the system, which are looked for once.
fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let found = || {
        let mut fonts = fontdb::Database::new();
        fonts.load_system_fonts();
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(found))
}
