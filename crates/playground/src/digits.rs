//! A network that reads handwritten digits, and learns from those that are drawn.

use downhill_data::{Augmentation, Dataset, Targets, digits};
use downhill_formats::{Load, safetensors};
use downhill_layers::{Affine, Conv2d, Dropout, Flatten, MaxPool2d, Mode, Relu};
use downhill_losses::{Loss, SoftmaxCrossEntropy};
use downhill_model::Model;
use downhill_network::{Network, Purpose, sequential};
use downhill_optim::AdamW;
use downhill_tensor::{Batch, BatchMut, BuildError, Seed};
use downhill_train::Trainer;
use serde_json::{Value, json};

use crate::Error;
use crate::drawing::{CANVAS, SIDE, seen};
use crate::learner::finite;

/// The digits behind these are not learnt from.
const LEARNT: usize = 1437;

/// The network with what it has been taught.
pub(crate) struct Digits {
    network: Network<f32>,
    trainer: Trainer<'static, f32, SoftmaxCrossEntropy, AdamW<f32>>,
    data: Dataset<f32>,
    /// What was drawn, with its digit.
    drawn: Vec<(Vec<f32>, u32)>,
    steps: u64,
}

impl std::fmt::Debug for Digits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digits").field("drawn", &self.drawn.len()).field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Digits {
    /// Opens the model file of a [network of digits](digits_network).
    ///
    /// Only its numbers are read: opening a network of any layers would bring the code of all layers into the module.
    pub(crate) fn open(file: &[u8]) -> Result<Self, Error> {
        let mut network = digits_network()?;
        Load::new().prefix("network.").apply(&mut network, &safetensors::from_bytes(file)?)?;
        network.set_meaning(SoftmaxCrossEntropy::new().meaning());
        let trainer = Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(1e-3));
        let data = digits::<f32>()?.reshape([1, SIDE, SIDE])?;
        Ok(Self { network, trainer, data, drawn: Vec::new(), steps: 0 })
    }

    pub(crate) fn start(&self) -> Result<Value, Error> {
        let layers: Vec<Value> = self
            .network
            .summary()
            .layers()
            .iter()
            .map(|layer| json!({ "name": layer.place, "layer": layer.layer, "shape": layer.output.axes(), "parameters": layer.parameters }))
            .collect();
        Ok(json!({ "layers": layers, "parameters": self.network.parameters().len(), "canvas": CANVAS }))
    }

    /// Reads a drawing, and shows what each layer makes of it: first the picture that the network sees.
    pub(crate) fn read(&mut self, ink: &[u8]) -> Result<(Value, Vec<f32>), Error> {
        let Some(x) = seen(ink)? else { return Ok((json!({ "empty": true }), Vec::new())) };
        let (mut maps, mut numbers) = (vec![json!(["", [1, SIDE, SIDE]])], x.clone());
        let mut workspace = self.network.workspace(Purpose::Prediction);
        let batch = Batch::new(&x, 1, [1, SIDE, SIDE])?;
        let theta = self.network.parameters();
        self.network.forward_observed(theta, batch, &mut workspace, Mode::Evaluation, |name, y| {
            maps.push(json!([name, y.shape().axes()]));
            numbers.extend_from_slice(y.slice());
        })?;
        let probabilities = self.network.probabilities(batch)?;
        Ok((
            json!({ "probabilities": probabilities.iter().map(|p| finite(f64::from(*p))).collect::<Vec<_>>(), "maps": maps }),
            numbers,
        ))
    }

    /// Learns that a drawing is this digit: each step sees what was drawn, moved a little, among digits that were known
    /// already, so that most of those stay known.
    pub(crate) fn learn(&mut self, ink: &[u8], label: u32, steps: u32) -> Result<Value, Error> {
        if label > 9 {
            return Err(Error::new("A digit is one from 0 to 9, but this is {label}.").with("label", label));
        }
        let x = seen(ink)?.ok_or_else(|| Error::new("Draw a digit first."))?;
        // Whoever names a drawing anew has changed their mind about it.
        self.drawn.retain(|(drawn, _)| *drawn != x);
        self.drawn.push((x, label));
        let mut loss = f64::NAN;
        for _ in 0..steps.min(200) {
            let (mut images, labels) = self.batch()?;
            let seed = Seed(7).derive(self.steps);
            Augmentation::new()
                .shift(1)
                .apply_batch(BatchMut::new(&mut images, labels.len(), [1, SIDE, SIDE])?, seed)?;
            let batch = Batch::new(&images, labels.len(), [1, SIDE, SIDE])?;
            loss = self.trainer.partial_fit(&mut self.network, batch, downhill_losses::Target::Classes(&labels))?;
            self.steps += 1;
        }
        Ok(json!({ "steps": self.steps, "drawn": self.drawn.len(), "loss": finite(loss) }))
    }

    /// Eight drawings and 24 digits of the data.
    fn batch(&self) -> Result<(Vec<f32>, Vec<u32>), Error> {
        let mut stream = Seed(11).derive(self.steps).stream(0);
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..8 {
            let place = stream.bits() as usize % self.drawn.len().max(1);
            if let Some((image, label)) = self.drawn.get(place) {
                images.extend_from_slice(image);
                labels.push(*label);
            }
        }
        let places: Vec<usize> = (0..24).map(|_| stream.bits() as usize % LEARNT).collect();
        let (known, targets) = self.data.select(&places)?.into_parts();
        images.extend(known);
        if let Targets::Classes { labels: known, .. } = targets {
            labels.extend(known);
        }
        Ok((images, labels))
    }

    /// How many of the digits that were not learnt from are read right.
    pub(crate) fn test(&self) -> Result<Value, Error> {
        let places: Vec<usize> = (LEARNT..self.data.len()).collect();
        let data = self.data.select(&places)?;
        let read = self.network.classify(data.inputs())?;
        let downhill_losses::Target::Classes(labels) = data.targets() else {
            return Err(Error::new("The digits have no classes."));
        };
        let right = read.iter().zip(labels).filter(|(read, label)| read == label).count();
        Ok(json!({ "right": right, "of": labels.len(), "drawn": self.drawn.len(), "steps": self.steps }))
    }

    /// The network as a model file.
    pub(crate) fn model(&self) -> Result<Vec<u8>, Error> {
        let classes = "the ten digits, of pictures of 8x8 pixels from 0 (paper) to 1 (ink)";
        Ok(Model::builder(self.network.clone()).note("reads", classes).build()?.to_bytes()?)
    }
}

/// A network that reads pictures of 8x8 pixels as one of ten digits, with the parameters that a seed draws.
///
/// # Errors
/// Returns no error: its layers fit each other.
pub fn digits_network() -> Result<Network<f32>, BuildError> {
    let layers = sequential![
        Conv2d::new(8, 3).padding(1),
        Relu,
        Conv2d::new(16, 3).padding(1),
        Relu,
        MaxPool2d::new(2),
        Conv2d::new(24, 3).padding(1),
        Relu,
        MaxPool2d::new(2),
        Flatten,
        Dropout::new(0.25),
        Affine::new(10)
    ];
    Network::build([1, SIDE, SIDE], layers, Seed(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = include_bytes!("../../../docs/playground/digits.safetensors");

    /// A drawing of a stored digit: each of its pixels as a square of ink of its darkness.
    fn drawing(digits: &Digits, place: usize) -> (Vec<u8>, u32) {
        let data = digits.data.select(&[place]).unwrap();
        let downhill_losses::Target::Classes(labels) = data.targets() else { unreachable!() };
        let x = data.inputs().slice().to_vec();
        let ink = (0..CANVAS * CANVAS).map(|at| {
            let (column, row) = (at % CANVAS / SIDE, at / CANVAS / SIDE);
            if x[row * SIDE + column] > 0.4 { 255 } else { 0 }
        });
        (ink.collect(), labels[0])
    }

    #[test]
    fn the_shipped_model_reads_digits_that_it_has_not_seen() {
        let digits = Digits::open(FILE).unwrap();
        let test = digits.test().unwrap();
        let part = test["right"].as_f64().unwrap() / test["of"].as_f64().unwrap();
        assert!(part > 0.97, "{test}");
    }

    #[test]
    fn drawings_are_read_with_each_layers_maps() {
        let mut digits = Digits::open(FILE).unwrap();
        let mut right = 0;
        for place in LEARNT..LEARNT + 40 {
            let (ink, label) = drawing(&digits, place);
            let (read, numbers) = digits.read(&ink).unwrap();
            let probabilities: Vec<f64> =
                read["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
            let best = (0..10).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap();
            right += usize::from(best == label as usize);
            let counted = read["maps"].as_array().unwrap().iter().map(|map| {
                map[1].as_array().unwrap().iter().map(|side| side.as_u64().unwrap()).product::<u64>() as usize
            });
            assert_eq!(counted.sum::<usize>(), numbers.len());
        }
        assert!(right >= 34, "{right} of 40 drawings of black squares");
    }

    #[test]
    fn a_7_without_a_bar_is_read_whatever_the_pen() {
        // 1845 is the point x = 18, y = 45; no digit that was learnt from has these strokes.
        const SHAPES: [(u32, &[&[u16]]); 12] = [
            (7, &[&[1812, 4612, 2854]]),
            (7, &[&[2014, 4410, 3256]]),
            (7, &[&[1812, 4412, 3654]]),
            (7, &[&[1612, 4812, 2256]]),
            (7, &[&[1820, 1812, 4612, 3054]]),
            (7, &[&[1812, 4612, 3624, 3236, 3054]]),
            (1, &[&[3410, 3054]]),
            (1, &[&[2420, 3310, 3354]]),
            (2, &[&[1814, 4414, 2054, 4654]]),
            (2, &[&[2020, 2412, 3210, 4212, 4422, 3834, 2054, 4654]]),
            (4, &[&[2410, 2034, 4634], &[4012, 4056]]),
            (4, &[&[3810, 1838, 4838], &[3810, 3856]]),
        ];
        let mut digits = Digits::open(FILE).unwrap();
        let mut wrong = Vec::new();
        for ((label, strokes), lean, radius) in SHAPES.iter().flat_map(|shape| {
            [-0.2, 0.0, 0.2].into_iter().flat_map(move |lean| [3.0, 4.8, 6.0].map(|radius| (shape, lean, radius)))
        }) {
            let point = |point: &u16| {
                let (x, y) = (f64::from(point / 100), f64::from(point % 100));
                [x + lean * (32.0 - y), y]
            };
            let strokes: Vec<Vec<_>> = strokes.iter().map(|stroke| stroke.iter().map(point).collect()).collect();
            let (read, _) = digits.read(&crate::drawing(&strokes, radius)).unwrap();
            let probability = |digit: u32| read["probabilities"][digit as usize].as_f64().unwrap();
            if (0..10).any(|digit| probability(digit) > probability(*label)) {
                wrong.push((label, strokes, radius));
            }
        }
        assert!(wrong.is_empty(), "{} of 108: {wrong:?}", wrong.len());
    }

    #[test]
    fn it_learns_what_is_drawn_and_forgets_little() {
        let mut digits = Digits::open(FILE).unwrap();
        // A cross, which is none of the ten, is to be a 4.
        let ink: Vec<u8> = (0..CANVAS * CANVAS)
            .map(|at| {
                let (x, y) = (at % CANVAS, at / CANVAS);
                if x.abs_diff(y) < 4 || (x + y).abs_diff(CANVAS) < 4 { 255 } else { 0 }
            })
            .collect();
        digits.learn(&ink, 4, 60).unwrap();
        let (read, _) = digits.read(&ink).unwrap();
        assert!(read["probabilities"][4].as_f64().unwrap() > 0.9, "{read}");
        let test = digits.test().unwrap();
        assert!(test["right"].as_f64().unwrap() / test["of"].as_f64().unwrap() > 0.95, "{test}");
        let again = Digits::open(&digits.model().unwrap()).unwrap();
        assert_eq!(again.network.parameters(), digits.network.parameters());
    }

    #[test]
    fn what_is_no_drawing_is_refused() {
        let mut digits = Digits::open(FILE).unwrap();
        assert!(digits.read(&[0; 7]).unwrap_err().to_string().contains("64x64"));
        assert_eq!(digits.read(&[0; CANVAS * CANVAS]).unwrap().0["empty"], true);
        assert!(digits.learn(&[0; CANVAS * CANVAS], 1, 1).unwrap_err().to_string().contains("Draw"));
        assert!(digits.learn(&[255; CANVAS * CANVAS], 11, 1).is_err());
        assert!(Digits::open(b"no file").is_err());
    }
}
