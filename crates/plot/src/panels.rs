use std::path::Path;

use crate::scene::{Entry, Scene};
use crate::{Chart, Picture, PlotError, Theme};

/// Several pictures in one, in rows from left to right, each in the size that it has.
///
/// ```
/// use downhill_plot::{Chart, Panels};
///
/// let chart = |rate: f64| {
///     let walk = (0..=10).map(|step| (f64::from(step), (1.0 - 2.0 * rate).powi(step)));
///     Chart::new("step", "error").path("", walk).title(format!("at {rate}")).size(360, 260)
/// };
/// let panels = Panels::new(2).panel(chart(0.1)).panel(chart(0.4)).panel(chart(0.9));
/// assert_eq!(panels.picture().size(), (720, 520));
/// ```
#[derive(Clone, Debug)]
pub struct Panels {
    columns: usize,
    panels: Vec<Picture>,
    legend: Vec<Entry>,
    theme: Theme,
}

/// Space between a legend and the edges of the picture.
const MARGIN: f64 = 12.0;

impl Panels {
    /// Makes a picture of nothing, with this many panels in each row.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self { columns: columns.max(1), panels: Vec::new(), legend: Vec::new(), theme: Theme::Light }
    }

    /// Adds a panel, after those that are there.
    #[must_use]
    pub fn panel(mut self, picture: impl Into<Picture>) -> Self {
        self.panels.push(picture.into());
        self
    }

    /// Writes the legend of a chart above all panels: that of several charts of the same series, each of which leaves out
    /// its own.
    #[must_use]
    pub fn legend_of(mut self, chart: &Chart) -> Self {
        self.legend = chart.entries();
        self
    }

    /// Sets the colours of all panels; [`Theme::Light`] unless set.
    #[must_use]
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// Draws the panels. What they show, in words, is what each of them shows.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let rows = || self.panels.chunks(self.columns);
        let width = rows().map(|row| row.iter().map(|panel| panel.size.0).sum::<u32>()).max().unwrap_or(0);
        let mut scene = Scene::default();
        let legend = scene.legend(&self.legend, (MARGIN + 4.0, MARGIN), f64::from(width) - MARGIN);
        let mut top = if legend > 0.0 { (legend + 6.0).ceil() as u32 } else { 0 };
        for row in rows() {
            let mut left = 0;
            for panel in row {
                scene.add(panel.scene.clone(), (f64::from(left), f64::from(top)));
                left += panel.size.0;
            }
            top += row.iter().map(|panel| panel.size.1).max().unwrap_or(0);
        }
        let mut titles: Vec<&str> = self.panels.iter().map(Picture::title).collect();
        titles.dedup();
        Picture { scene, size: (width.max(1), top.max(1)), title: titles.join("; "), theme: self.theme }
    }

    /// Draws the panels as SVG: see [`Picture::to_svg`].
    #[must_use]
    pub fn to_svg(&self) -> String {
        self.picture().to_svg()
    }

    /// Draws the panels and saves them as a file: see [`Picture::save`].
    ///
    /// # Errors
    /// Returns an error if the file's ending names no format, or the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        self.picture().save(path)
    }
}

impl From<Panels> for Picture {
    fn from(panels: Panels) -> Self {
        panels.picture()
    }
}

impl From<&Panels> for Picture {
    fn from(panels: &Panels) -> Self {
        panels.picture()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Mark;

    fn chart(name: &str, width: u32, height: u32) -> Chart {
        Chart::new(name, "y").line("a line", [(0.0, 0.0), (1.0, 1.0)]).no_legend().title(name).size(width, height)
    }

    /// The places of texts.
    fn places(picture: &Picture, wanted: &str) -> Vec<(f64, f64)> {
        let place = |mark: &Mark| match mark {
            Mark::Text { text, at, .. } if text == wanted => Some(*at),
            _ => None,
        };
        picture.scene.marks.iter().filter_map(place).collect()
    }

    #[test]
    fn panels_stand_next_to_each_other_and_below_each_other_in_their_own_sizes() {
        let all = [chart("a", 200, 300), chart("b", 400, 200), chart("c", 500, 240)];
        let alone: Vec<Picture> = all.iter().map(Chart::picture).collect();
        let panels = all.iter().fold(Panels::new(2), Panels::panel).theme(Theme::Dark);
        let together = panels.picture();
        assert_eq!((together.size, together.title.as_str(), together.theme), ((600, 540), "a; b; c", Theme::Dark));
        for (picture, name, by) in [(0, "a", (0.0, 0.0)), (1, "b", (200.0, 0.0)), (2, "c", (0.0, 300.0))] {
            let moved: Vec<_> = places(&alone[picture], name).iter().map(|(x, y)| (x + by.0, y + by.1)).collect();
            assert_eq!(places(&together, name), moved);
        }
        let marks: usize = alone.iter().map(|picture| picture.scene.marks.len()).sum();
        assert_eq!(together.scene.marks.len(), marks);
        assert_eq!(Panels::new(0).picture().size, (1, 1));
    }

    #[test]
    fn one_legend_stands_above_all_panels() {
        let one = chart("a", 300, 200);
        let panels = Panels::new(2).legend_of(&one).panel(&one).panel(&one).picture();
        assert_eq!(panels.size, (600, 226));
        assert_eq!(panels.title, "a");
        assert_eq!(places(&panels, "a line").len(), 1);
        assert!(places(&panels, "a line")[0].1 < places(&panels, "a")[0].1);
    }
}
