use std::ops::ControlFlow;

use downhill_tensor::Scalar;
use downhill_train::{Callback, RunStart, StepEnd};

use crate::axis::Axis;
use crate::frame::Frame;
use crate::look::{Canvas, Look, plot};
use crate::scene::{Dash, Entry, Sample};
use crate::theme::Colour;
use crate::words::Word;

/// An observer of a run that measures the gradient of each layer: the norm ‖dJ/dθₗ‖ of its part of the gradient, after
/// clipping.
///
/// Norms that shrink from layer to layer towards the input are a gradient that vanishes.
///
/// ```
/// use downhill_data::digits;
/// use downhill_layers::{Affine, Sigmoid};
/// use downhill_losses::SoftmaxCrossEntropy;
/// use downhill_network::{Network, sequential};
/// use downhill_optim::Sgd;
/// use downhill_plot::GradientFlow;
/// use downhill_tensor::Seed;
/// use downhill_train::Trainer;
///
/// let data = digits::<f32>()?.select(&Vec::from_iter(0..200))?;
/// let deep = sequential![Affine::new(16), Sigmoid, Affine::new(16), Sigmoid, Affine::new(10)];
/// let mut network = Network::build([64], deep, Seed(1))?;
/// let mut flow = GradientFlow::new();
/// Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.1)).epochs(2).callback(&mut flow).fit(&mut network, &data)?;
/// assert!(flow.plot().to_svg().contains("norm of the gradient"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GradientFlow {
    every: u64,
    layers: Vec<String>,
    steps: Vec<u64>,
    /// The norms of each layer, one for each step that was measured.
    norms: Vec<Vec<f64>>,
}

impl Default for GradientFlow {
    fn default() -> Self {
        Self::new()
    }
}

impl GradientFlow {
    /// Makes an observer that measures every step.
    #[must_use]
    pub fn new() -> Self {
        Self { every: 1, layers: Vec::new(), steps: Vec::new(), norms: Vec::new() }
    }

    /// Measures one in this many steps instead.
    #[must_use]
    pub fn every(mut self, steps: u64) -> Self {
        self.every = steps.max(1);
        self
    }

    /// The places of the layers with parameters, the one next to the input first.
    #[must_use]
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The norms of a layer's gradient by step.
    #[must_use]
    pub fn norms(&self, layer: &str) -> Option<&[f64]> {
        let index = self.layers.iter().position(|name| name == layer)?;
        self.norms.get(index).map(Vec::as_slice)
    }

    /// Makes a plot of what was measured.
    #[must_use]
    pub fn plot(&self) -> GradientFlowPlot {
        GradientFlowPlot { look: Look::default(), flow: self.clone() }
    }
}

/// The layer that a segment of θ belongs to.
fn layer(segment: &str) -> &str {
    segment.rsplit_once('.').map_or(segment, |(layer, _)| layer)
}

impl<T: Scalar> Callback<T> for GradientFlow {
    fn on_start(&mut self, start: &RunStart<'_, T>) {
        *self = Self { every: self.every, ..Self::new() };
        for segment in start.network.segments() {
            if !self.layers.iter().any(|name| name == layer(&segment.name)) {
                self.layers.push(layer(&segment.name).to_owned());
            }
        }
        self.norms = vec![Vec::new(); self.layers.len()];
    }

    fn on_step(&mut self, end: &StepEnd<'_, T>) -> ControlFlow<()> {
        if end.step.is_multiple_of(self.every) {
            let mut squares = vec![0.0; self.layers.len()];
            for segment in end.network.segments() {
                if let Some(index) = self.layers.iter().position(|name| name == layer(&segment.name)) {
                    let part = end.gradient.get(segment.range.clone()).unwrap_or_default();
                    squares[index] += part.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
                }
            }
            self.steps.push(end.step);
            self.norms.iter_mut().zip(squares).for_each(|(norms, square)| norms.push(square.sqrt()));
        }
        ControlFlow::Continue(())
    }
}

/// The norm of each layer's gradient over the steps of a run, as [`GradientFlow`] has measured it.
#[derive(Clone, Debug)]
pub struct GradientFlowPlot {
    look: Look,
    flow: GradientFlow,
}

/// The most points of a line: of more, the mean of some is drawn.
const POINTS: usize = 160;

impl GradientFlowPlot {
    fn draw(&self, canvas: &mut Canvas) {
        let GradientFlow { layers, steps, norms, .. } = &self.flow;
        let word = canvas.say(Word::Layer);
        let entry = |(index, name): (usize, &String)| Entry {
            text: format!("{word} {name}"),
            sample: Sample::Line(Dash::of(index), 2.2),
            colour: Colour::Series(index),
        };
        let entries: Vec<Entry> = layers.iter().enumerate().map(entry).collect();
        canvas.legend(&entries);
        let some = steps.len().div_ceil(POINTS).max(1);
        // The mean of logarithms, since norms spread over decades.
        let mean = |norms: &[f64]| {
            let logs: Vec<f64> = norms.iter().filter(|x| **x > 0.0 && x.is_finite()).map(|x| x.ln()).collect();
            if logs.is_empty() { f64::NAN } else { (logs.iter().sum::<f64>() / logs.len() as f64).exp() }
        };
        let lines: Vec<Vec<(f64, f64)>> = norms
            .iter()
            .map(|norms| {
                steps
                    .chunks(some)
                    .zip(norms.chunks(some))
                    .map(|(steps, norms)| (steps[0] as f64, mean(norms)))
                    .collect()
            })
            .collect();
        let numbers = lines.iter().flatten().map(|point| point.1);
        let y = Axis::logarithmic(canvas.say(Word::GradientNorm), numbers);
        let last = steps.last().copied().unwrap_or(1) as f64;
        let frame = Frame::new(Axis::new(canvas.say(Word::Step), 0.0, last.max(1.0)), y, canvas.area);
        let scene = &mut canvas.scene;
        frame.grid(scene);
        for (index, line) in lines.into_iter().enumerate() {
            frame.line(scene, line, Colour::Series(index), 2.2, Dash::of(index));
        }
        frame.axes(scene);
    }
}

plot!(GradientFlowPlot, |_| Word::GradientFlow, |_| (720, 420));
