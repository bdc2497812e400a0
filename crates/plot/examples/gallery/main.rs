//! Draws every kind of plot from real data into a folder: `cargo run -p downhill-plot --example gallery -- FOLDER`.

mod pictures;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use downhill_plot::{Language, Theme};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/gallery".to_owned()));
    fs::create_dir_all(&folder)?;
    for (language, ending) in [(Language::English, "en"), (Language::Korean, "ko")] {
        for (name, picture) in pictures::all(language)? {
            picture.save(folder.join(format!("{name}.{ending}.png")))?;
            for (theme, suffix) in [(Theme::Light, "light"), (Theme::Dark, "dark"), (Theme::Page, "page")] {
                picture.clone().theme(theme).save(folder.join(format!("{name}.{ending}.{suffix}.svg")))?;
            }
        }
        pictures::report(language)?.save(folder.join(format!("report.{ending}.html")))?;
    }
    println!("The pictures are in {}.", folder.display());
    Ok(())
}
