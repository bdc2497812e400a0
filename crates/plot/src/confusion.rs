use downhill_train::metrics::ConfusionMatrix;

use crate::look::{Area, Canvas, Look, plot};
use crate::scene::Align;
use crate::text;
use crate::theme::Colour;
use crate::words::Word;

/// A confusion matrix: how often each true class (row) was taken for which class (column). The stronger the
/// colour of a cell, the larger its share of the true class.
///
/// ```
/// use downhill_plot::ConfusionPlot;
///
/// let plot = ConfusionPlot::new(vec![vec![29.0, 1.0], vec![0.0, 25.0]]).classes(["Adelie", "Gentoo"]);
/// assert!(plot.to_svg().contains("Adelie"));
/// ```
#[derive(Clone, Debug)]
pub struct ConfusionPlot {
    look: Look,
    counts: Vec<Vec<f64>>,
    classes: Vec<String>,
}

impl From<&ConfusionMatrix> for ConfusionPlot {
    fn from(matrix: &ConfusionMatrix) -> Self {
        let count = matrix.classes();
        Self::new((0..count).map(|truth| (0..count).map(|told| matrix.count(truth, told)).collect()).collect())
    }
}

/// The size of the numbers in cells and of the classes' names.
const SIZE: f64 = 12.5;

/// The widest that a class's name is shown.
const WIDEST: f64 = 130.0;

impl ConfusionPlot {
    /// Makes a plot of counts: a row for each true class, with a column for each predicted one.
    #[must_use]
    pub fn new(counts: Vec<Vec<f64>>) -> Self {
        Self { look: Look::default(), counts, classes: Vec::new() }
    }

    /// Sets the names of the classes; their numbers unless set.
    #[must_use]
    pub fn classes<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.classes = names.into_iter().map(Into::into).collect();
        self
    }

    fn names(&self) -> Vec<String> {
        (0..self.counts.len())
            .map(|class| self.classes.get(class).cloned().unwrap_or_else(|| class.to_string()))
            .collect()
    }

    fn draw(&self, canvas: &mut Canvas) {
        let names = self.names();
        let count = names.len().max(1);
        let widest = names.iter().map(|name| text::width(name, SIZE)).fold(0.0, f64::max).min(WIDEST);
        let Area { left, top, right, bottom } = canvas.area;
        // The scale of shares on the right.
        let inner = Area { left: left + 24.0 + widest + 10.0, top, right: right - 76.0, bottom };
        let below = 44.0;
        let cell = (inner.width() / count as f64).min((inner.height() - below) / count as f64);
        let are_turned = names.iter().any(|name| text::width(name, SIZE) + 8.0 > cell);
        let below = if are_turned { widest + 36.0 } else { below };
        let high = ((inner.height() - below) / count as f64).min(cell).max(4.0);
        let wide = (inner.width() / count as f64).min(high * 1.6);
        let (right, bottom) = (inner.left + wide * count as f64, top + high * count as f64);
        let at = |row: usize, column: usize| (inner.left + wide * column as f64, top + high * row as f64);
        let scene = &mut canvas.scene;
        for (row, counts) in self.counts.iter().enumerate() {
            let sum: f64 = counts.iter().filter(|x| x.is_finite()).sum();
            for (column, x) in counts.iter().take(count).enumerate() {
                let step = Colour::step(if sum > 0.0 { x / sum } else { 0.0 });
                let (x0, y0) = at(row, column);
                scene.fill((x0, y0), (x0 + wide - 1.0, y0 + high - 1.0), Colour::Share(step));
                let shown = text::number(*x, 4);
                let size = SIZE.min(0.6 * high);
                let fits = text::width(&shown, size) < wide - 3.0 && size > 6.0;
                if fits && *x != 0.0 {
                    let middle = (x0 + wide / 2.0, y0 + high / 2.0);
                    scene.text(shown, middle, size, Colour::OnShare(step), Align::Middle);
                }
            }
        }
        // Names of many classes would touch each other.
        let every = (16.0 / high).ceil().max(1.0) as usize;
        for (index, name) in names.iter().enumerate().step_by(every) {
            let shown = text::fitted(name, SIZE, WIDEST);
            let (x, y) = at(index, index);
            scene.text(&shown, (inner.left - 8.0, y + high / 2.0), SIZE, Colour::Muted, Align::Right);
            let middle = x + wide / 2.0;
            if are_turned {
                scene.upwards(&shown, (middle, bottom + 8.0 + text::width(&shown, SIZE) / 2.0), SIZE, Colour::Muted);
            } else {
                scene.text(shown, (middle, bottom + 13.0), SIZE, Colour::Muted, Align::Middle);
            }
        }
        let (across, down) = ((inner.left + right) / 2.0, (top + bottom) / 2.0);
        let (told, truth) = (Word::PredictedClass.of(canvas.language), Word::TrueClass.of(canvas.language));
        scene.text(told, (across, bottom + below - 10.0), 13.0, Colour::Ink, Align::Middle);
        scene.upwards(truth, (left + 8.0, down), 13.0, Colour::Ink);

        let (left, right) = (right + 18.0, right + 32.0);
        let steps = Colour::STEPS / 2;
        for step in 0..=steps {
            let y = |step: u8| bottom - (bottom - top) * f64::from(step) / f64::from(steps + 1);
            scene.fill((left, y(step)), (right, y(step + 1)), Colour::Share(2 * step));
        }
        for (part, label) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
            let y = bottom - part * (bottom - top)
                + if part == 0.0 {
                    -6.0
                } else if part == 1.0 {
                    6.0
                } else {
                    0.0
                };
            scene.text(label, (right + 5.0, y), 11.5, Colour::Muted, Align::Left);
        }
    }
}

plot!(ConfusionPlot, |_| Word::ConfusionMatrix, |plot| {
    let cell = if plot.counts.len() > 12 { 30 } else { 46 };
    let cells = (plot.counts.len().min(60) as u32 * cell).max(180);
    let widest = plot.names().iter().map(|name| text::width(name, SIZE)).fold(0.0, f64::max).min(WIDEST) as u32;
    (cells * 5 / 4 + widest + 140, cells + widest.max(20) + 60)
});
