use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::svg::escaped;
use crate::theme::{Colour, Pair, Theme};
use crate::{Language, Picture, PlotError};

/// A report: headings, text, tables and pictures as one HTML file that needs nothing else, and no network.
///
/// Its colours are light or dark as the reader's system prefers, also those of pictures, unless these have been given one
/// of the two.
///
/// ```
/// use downhill_plot::{Chart, Report};
///
/// let report = Report::new("A parabola")
///     .text("It has one minimum.")
///     .table(["x", "f(x)"], [["0", "0"], ["1", "1"]])
///     .heading("Plot")
///     .picture(Chart::new("x", "f(x)").line("x²", (-9..10).map(f64::from).map(|x| (x, x * x))));
/// assert!(report.to_html().contains("<h2>Plot</h2>"));
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    language: Language,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Heading(String),
    Text(String),
    Table { header: Vec<String>, rows: Vec<Vec<String>> },
    Picture { picture: Box<Picture>, caption: String },
}

impl Report {
    /// Makes a report with nothing but a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), language: Language::English, parts: Vec::new() }
    }

    /// Sets the language that the page says it is in; English unless set.
    #[must_use]
    pub fn language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// Adds a heading.
    #[must_use]
    pub fn heading(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Heading(text.into()));
        self
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// Adds a table. Columns of numbers are aligned on the right.
    #[must_use]
    pub fn table<R, C>(mut self, header: impl IntoIterator<Item = C>, rows: impl IntoIterator<Item = R>) -> Self
    where
        R: IntoIterator<Item = C>,
        C: Into<String>,
    {
        let cells = |row: &mut dyn Iterator<Item = C>| row.map(Into::into).collect();
        let header = cells(&mut header.into_iter());
        let rows = rows.into_iter().map(|row| cells(&mut row.into_iter())).collect();
        self.parts.push(Part::Table { header, rows });
        self
    }

    /// Adds a picture, with its title below it.
    #[must_use]
    pub fn picture(self, picture: impl Into<Picture>) -> Self {
        let picture = picture.into();
        let caption = picture.title().to_owned();
        self.captioned(picture, caption)
    }

    /// Adds a picture with a caption.
    #[must_use]
    pub fn captioned(mut self, picture: impl Into<Picture>, caption: impl Into<String>) -> Self {
        let picture = picture.into();
        let picture = if picture.theme == Theme::Light { picture.theme(Theme::Page) } else { picture };
        self.parts.push(Part::Picture { picture: Box::new(picture), caption: caption.into() });
        self
    }

    /// Writes the report as HTML.
    #[must_use]
    pub fn to_html(&self) -> String {
        let lang = match self.language {
            Language::English => "en",
            Language::Korean => "ko",
        };
        let title = escaped(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{}</style>\n</head>\n\
             <body>\n<main>\n<h1>{title}</h1>\n",
            style()
        );
        for part in &self.parts {
            part.write(&mut html);
        }
        html + "</main>\n</body>\n</html>\n"
    }

    /// Saves the report as an HTML file.
    ///
    /// # Errors
    /// Returns an error if the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        let path = path.as_ref();
        fs::write(path, self.to_html()).map_err(|cause| PlotError::Write { path: path.to_owned(), cause })
    }
}

impl Part {
    fn write(&self, html: &mut String) {
        let _ = match self {
            Self::Heading(text) => writeln!(html, "<h2>{}</h2>", escaped(text)),
            Self::Text(text) => writeln!(html, "<p>{}</p>", escaped(text)),
            Self::Picture { picture, caption } => {
                // On a narrow screen it scrolls, which needs the keyboard's focus.
                let focus = if picture.size().0 > 560 { " tabindex=\"0\"" } else { "" };
                let svg = picture.to_svg();
                writeln!(
                    html,
                    "<figure>\n<div{focus}>\n{svg}</div>\n<figcaption>{}</figcaption>\n</figure>",
                    escaped(caption)
                )
            }
            Self::Table { header, rows } => {
                let is_number =
                    |text: &String| text.starts_with(|c: char| matches!(c, '-' | '−') || c.is_ascii_digit());
                let is_of_numbers = |column: usize| rows.iter().all(|row| row.get(column).is_none_or(is_number));
                let cell = |html: &mut String, tag: &str, (column, text): (usize, &String)| {
                    let class = if is_of_numbers(column) { " class=\"number\"" } else { "" };
                    let _ = write!(html, "<{tag}{class}>{}</{}>", escaped(text), &tag[..2]);
                };
                html.push_str("<div class=\"table\">\n<table>\n<thead><tr>");
                header.iter().enumerate().for_each(|text| cell(html, "th scope=\"col\"", text));
                html.push_str("</tr></thead>\n<tbody>\n");
                for row in rows {
                    html.push_str("<tr>");
                    row.iter().enumerate().for_each(|text| cell(html, "td", text));
                    html.push_str("</tr>\n");
                }
                html.push_str("</tbody>\n</table>\n</div>\n");
                Ok(())
            }
        };
    }
}

/// The style sheet, with the colours of pictures.
fn style() -> String {
    let variables = |side: fn(Pair) -> (u8, u8, u8)| {
        let names = [("page", Colour::Page), ("ink", Colour::Ink), ("muted", Colour::Muted), ("grid", Colour::Grid)];
        let variable = |(name, colour): (&str, Colour)| {
            let (r, g, b) = side(colour.pair());
            format!("--{name}: #{r:02X}{g:02X}{b:02X}; ")
        };
        names.map(variable).concat()
    };
    format!(
        ":root {{ color-scheme: light dark; {}}}\n@media (prefers-color-scheme: dark) {{ :root {{ {}}} }}\n\
         body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 {}; }}\n\
         main {{ max-width: 800px; margin: 0 auto; padding: 24px 20px 64px; }}\n\
         h1 {{ font-size: 28px; line-height: 1.25; margin: 16px 0 8px; }}\n\
         h2 {{ font-size: 20px; margin: 40px 0 8px; }}\n\
         .table {{ overflow-x: auto; }}\n\
         table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}\n\
         th, td {{ text-align: left; padding: 4px 16px 4px 0; border-bottom: 1px solid var(--grid); }}\n\
         th {{ color: var(--muted); font-weight: 600; }}\n\
         .number {{ text-align: right; }}\n\
         figure {{ margin: 20px 0; }}\n\
         figure div {{ overflow-x: auto; }}\n\
         figure svg {{ display: block; max-width: 100%; height: auto; }}\n\
         figure [tabindex] svg {{ max-width: max(100%, 560px); }}\n\
         figcaption {{ color: var(--muted); font-size: 14px; }}\n",
        variables(|pair| pair.light),
        variables(|pair| pair.dark),
        crate::text::FONTS
    )
}
