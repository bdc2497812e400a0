use downhill_network::{BackwardObserver, LayerSummary, Network};
use downhill_tensor::{Batch, Scalar, reduce};

use super::{LayerNorms, Norms, ParameterNorms};

/// An output of tanh is saturated if it is closer to ±1 than this. Its slope 1 − y² is then below 0.02.
const TANH_END: f64 = 0.01;

/// An output of a sigmoid is saturated if it is closer to 0 or 1 than this. Its slope y (1 − y) is then below 0.01, a
/// twenty-fifth of the steepest.
const SIGMOID_END: f64 = 0.01;

/// Takes the norms of passes, and what rectifiers and bounded activations have put out since the last window began.
#[derive(Debug, Default)]
pub(super) struct Observer<T> {
    pub(super) norms: Norms,
    pub(super) layers: Vec<Watched<T>>,
    /// The examples of the window.
    pub(super) examples: usize,
    /// The layer that the forward pass comes to next.
    next: usize,
    /// The layer in front of which the backward pass is.
    back: usize,
}

/// What a layer is watched for, beside its norms.
#[derive(Debug)]
pub(super) struct Watched<T> {
    pub(super) has_parameters: bool,
    pub(super) activity: Activity<T>,
}

#[derive(Debug)]
pub(super) enum Activity<T> {
    /// Nothing is counted.
    Any,
    /// The largest output of each unit; number i of an example belongs to unit ⌊i / inner⌋ modulo their number.
    Rectifier { largest: Vec<T>, inner: usize },
    /// The outputs at the flat ends, where |y − middle| is at least `end`, and all.
    Bounded { middle: T, end: T, saturated: f64, all: f64 },
}

impl<T: Scalar> Observer<T> {
    pub(super) fn new(network: &Network<T>) -> Self {
        let summary = network.summary();
        let (layers, inputs) = (summary.layers(), network.input_shapes().len());
        let watched = (0..layers.len()).map(|index| Watched {
            has_parameters: layers.get(index).is_some_and(|layer| layer.parameters > 0),
            activity: activity(layers, inputs, index),
        });
        let names = layers.iter().map(|layer| LayerNorms {
            layer: layer.place.clone(),
            kind: layer.layer,
            ..LayerNorms::default()
        });
        let parameters = network.segments().iter().map(|segment| ParameterNorms {
            name: segment.name.clone(),
            is_weight: segment.shape.rank() > 1 && !segment.frozen,
            ..ParameterNorms::default()
        });
        let norms = Norms { layers: names.collect(), parameters: parameters.collect(), ..Norms::default() };
        Self { norms, layers: watched.collect(), examples: 0, next: 0, back: 0 }
    }

    /// Makes ready for a pass.
    pub(super) fn begin(&mut self, step: u64, epoch: u64) {
        (self.norms.step, self.norms.epoch) = (step, epoch);
        (self.next, self.back) = (0, self.layers.len());
        self.norms.layers.iter_mut().for_each(|layer| layer.gradients = None);
    }

    /// Begins another window.
    pub(super) fn forget(&mut self) {
        self.examples = 0;
        for layer in &mut self.layers {
            match &mut layer.activity {
                Activity::Any => {}
                Activity::Rectifier { largest, .. } => largest.fill(T::ZERO),
                Activity::Bounded { saturated, all, .. } => (*saturated, *all) = (0.0, 0.0),
            }
        }
    }
}

impl<T: Scalar> BackwardObserver<T> for Observer<T> {
    fn output(&mut self, _: &str, y: Batch<'_, T>) {
        let index = self.next;
        self.next += 1;
        self.norms.layers[index].activations = reduce::sum_of_squares(y.slice()).sqrt();
        if index == 0 {
            self.examples += y.examples();
        }
        match &mut self.layers[index].activity {
            Activity::Any => {}
            Activity::Rectifier { largest, inner: 1 } => {
                for row in y.slice().chunks_exact(largest.len()) {
                    for (largest, &y) in largest.iter_mut().zip(row) {
                        *largest = if y > *largest { y } else { *largest };
                    }
                }
            }
            Activity::Rectifier { largest, inner } => {
                let units = largest.len();
                for (unit, numbers) in y.slice().chunks_exact(*inner).enumerate() {
                    let largest = &mut largest[unit % units];
                    if *largest <= T::ZERO && numbers.iter().any(|&y| y > T::ZERO) {
                        *largest = T::ONE;
                    }
                }
            }
            Activity::Bounded { middle, end, saturated, all } => {
                let (middle, end) = (*middle, *end);
                *saturated += reduce::map_sum(y.slice(), |y| if (y - middle).abs() >= end { 1.0 } else { 0.0 });
                *all += y.slice().len() as f64;
            }
        }
    }

    fn output_gradient(&mut self, layer: &str, dy: Batch<'_, T>) {
        let layers = &mut self.norms.layers[..self.back];
        if let Some(index) = layers.iter().rposition(|known| known.layer == layer) {
            layers[index].gradients = Some(reduce::sum_of_squares(dy.slice()).sqrt());
            self.back = index;
        }
    }
}

/// What a layer's output is watched for.
fn activity<T: Scalar>(layers: &[LayerSummary], inputs: usize, index: usize) -> Activity<T> {
    let Some(layer) = layers.get(index) else { return Activity::Any };
    let bounded = |middle: f64, end: f64| Activity::Bounded {
        middle: T::from_f64(middle),
        end: T::from_f64(end),
        saturated: 0.0,
        all: 0.0,
    };
    match layer.layer {
        "Relu" | "Relu6" => {
            let (units, inner) = units(layers, inputs, index);
            Activity::Rectifier { largest: vec![T::ZERO; units], inner }
        }
        _ if is_meant_to_saturate(layers, inputs, index) => Activity::Any,
        "Tanh" => bounded(0.0, 1.0 - TANH_END),
        "Sigmoid" => bounded(0.5, 0.5 - SIGMOID_END),
        _ => Activity::Any,
    }
}

/// The number of units of a rectifier, and of the numbers that one has next to each other: channels come first behind a
/// convolution, and features last behind an affine layer.
fn units(layers: &[LayerSummary], inputs: usize, index: usize) -> (usize, usize) {
    let length = layers[index].output.len().max(1);
    let first = |axes: &[usize]| axes.first().copied().unwrap_or(1).max(1);
    let last = |axes: &[usize]| axes.last().copied().unwrap_or(1).max(1);
    let mut at = index;
    loop {
        let layer = &layers[at];
        let axes = layer.output.axes();
        let source = match layer.inputs[..] {
            [before] if before >= inputs => Some(before - inputs),
            _ => None,
        };
        match (layer.layer, source) {
            (kind, _) if kind.starts_with("Conv") => return (first(axes), length / first(axes)),
            ("Affine", _) => return (last(axes), 1),
            (_, Some(before)) => at = before,
            _ if axes.len() > 2 => return (first(axes), length / first(axes)),
            _ => return (last(axes), 1),
        }
    }
}

/// Whether a layer's outputs should come to their ends: those of the network, which a sure prediction needs, and factors
/// of a product, which are gates that open and close.
fn is_meant_to_saturate(layers: &[LayerSummary], inputs: usize, index: usize) -> bool {
    let mut readers =
        layers.iter().enumerate().filter(|(_, layer)| layer.inputs.contains(&(inputs + index))).peekable();
    readers.peek().is_none()
        || readers.any(|(reader, layer)| match layer.layer {
            "Multiply" => true,
            "Flatten" | "Reshape" | "Permute" | "Slice" => is_meant_to_saturate(layers, inputs, reader),
            _ => false,
        })
}
