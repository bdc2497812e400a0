use downhill_layers::Mode;
use downhill_network::{Network, Purpose};
use downhill_tensor::{Batch, Scalar};

use crate::PlotError;
use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Area, Canvas, Look, plot};
use crate::scene::Align;
use crate::text;
use crate::theme::Colour;
use crate::words::Word;

/// How some numbers are distributed, such as the weights of each layer or what it puts out: a small histogram for each.
///
/// Weights that have grown large, or activations that are all zero or at the end of a sigmoid, are seen at a glance.
///
/// ```
/// use downhill_layers::{Affine, Relu};
/// use downhill_network::{Network, sequential};
/// use downhill_plot::HistogramPlot;
/// use downhill_tensor::{Batch, Seed};
///
/// let network = Network::<f64>::build([2], sequential![Affine::new(8), Relu, Affine::new(1)], Seed(1))?;
/// let weights = HistogramPlot::weights(&network).to_svg();
/// assert!(weights.contains("0.weight"));
/// let activations = HistogramPlot::activations(&network, Batch::new(&[0.5, -1.0, 2.0, 0.0], 2, [2])?)?;
/// assert!(activations.to_svg().contains("1 Relu"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HistogramPlot {
    look: Look,
    is_of_weights: Option<bool>,
    bins: usize,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    numbers: Vec<f64>,
}

impl Default for HistogramPlot {
    fn default() -> Self {
        Self::new()
    }
}

impl HistogramPlot {
    /// Makes a plot of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { look: Look::default(), is_of_weights: None, bins: 30, groups: Vec::new() }
    }

    /// Adds some numbers with a name.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>, numbers: impl IntoIterator<Item = f64>) -> Self {
        self.groups.push(Group { name: name.into(), numbers: numbers.into_iter().collect() });
        self
    }

    /// Makes a plot of each of a network's parameters: weights and biases.
    #[must_use]
    pub fn weights<T: Scalar>(network: &Network<T>) -> Self {
        let theta = network.parameters();
        let mut plot = Self { is_of_weights: Some(true), ..Self::new() };
        for segment in network.segments() {
            plot = plot.group(&segment.name, theta[segment.range.clone()].iter().map(|x| x.to_f64()));
        }
        plot
    }

    /// Makes a plot of what each layer of a network puts out for some inputs.
    ///
    /// # Errors
    /// Returns an error if the inputs do not fit the network.
    pub fn activations<T: Scalar>(network: &Network<T>, x: Batch<'_, T>) -> Result<Self, PlotError> {
        let mut plot = Self { is_of_weights: Some(false), ..Self::new() };
        let layers = network.summary();
        let mut names = layers.layers().iter().map(|layer| layer.layer);
        let mut workspace = network.workspace(Purpose::Prediction);
        network.forward_observed(network.parameters(), x, &mut workspace, Mode::Evaluation, |place, y| {
            let name = format!("{place} {}", names.next().unwrap_or_default());
            let numbers = y.slice().iter().map(|x| x.to_f64()).collect();
            plot.groups.push(Group { name: name.trim().to_owned(), numbers });
        })?;
        Ok(plot)
    }

    /// Sets the number of bars; 30 unless set.
    #[must_use]
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = bins.clamp(1, 1000);
        self
    }

    fn columns(&self) -> usize {
        match self.groups.len() {
            0..=1 => 1,
            2 | 4 => 2,
            _ => 3,
        }
    }

    fn draw(&self, canvas: &mut Canvas) {
        let columns = self.columns();
        let rows = self.groups.len().div_ceil(columns).max(1);
        let (wide, high) = (canvas.area.width() / columns as f64, canvas.area.height() / rows as f64);
        for (index, group) in self.groups.iter().enumerate() {
            let (left, top) =
                (canvas.area.left + wide * (index % columns) as f64, canvas.area.top + high * (index / columns) as f64);
            let area = Area { left, top, right: left + wide - 8.0, bottom: top + high - 6.0 };
            self.draw_group(canvas, group, area);
        }
    }

    fn draw_group(&self, canvas: &mut Canvas, group: &Group, area: Area) {
        let finite = || group.numbers.iter().copied().filter(|x| x.is_finite());
        let axis = Axis::around("", finite());
        let mut counts = vec![0_usize; self.bins];
        for part in finite().map(|x| axis.drawn(x)) {
            counts[((part * self.bins as f64) as usize).min(self.bins - 1)] += 1;
        }
        let all = finite().count().max(1) as f64;
        let parts: Vec<f64> = counts.iter().map(|count| 100.0 * *count as f64 / all).collect();
        // The name stands above the bars.
        let below = Area { top: area.top + 20.0, ..area };
        let frame = Frame::new(axis, Axis::from_zero("%", parts.iter().copied()).labels(3), below);
        let colour = Colour::Series(usize::from(self.is_of_weights == Some(false)) * 2);
        let scene = &mut canvas.scene;
        let missing = group.numbers.len() - finite().count();
        let said = match missing {
            0 => String::new(),
            _ => format!(" ({}: {})", Word::NotNumbers.of(canvas.language), text::grouped(missing)),
        };
        let name = text::fitted(&format!("{}{said}", group.name), 12.5, area.width() - 4.0);
        scene.bold(name, (frame.inner.left, area.top + 10.0), 12.5, Colour::Ink, Align::Left);
        frame.grid(scene);
        for (bin, part) in parts.iter().enumerate().filter(|(_, part)| **part > 0.0) {
            let edge = |bin: usize| frame.place((bin as f64 / self.bins as f64, 0.0));
            let (x0, y1) = edge(bin);
            let top = frame.place((0.0, frame.y.drawn(*part))).1;
            scene.fill((x0, top.min(y1 - 0.6)), (edge(bin + 1).0 - 0.6, y1), colour);
        }
        let zero = if frame.x.part(0.0) > 0.0 { Some(0.0) } else { None };
        if let Some(zero) = zero {
            frame.vertical(scene, zero, Colour::Muted, 1.0, crate::scene::Dash::Dotted);
        }
        frame.axes(scene);
    }

    fn word(&self) -> Word {
        match self.is_of_weights {
            Some(true) => Word::Weights,
            Some(false) => Word::Activations,
            None => Word::Density,
        }
    }
}

plot!(HistogramPlot, Self::word, |plot| { (720, 30 + 170 * plot.groups.len().div_ceil(plot.columns()).max(1) as u32) });
