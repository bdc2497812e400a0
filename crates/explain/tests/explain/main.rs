//! Explanations of real networks: their numbers, their origins, their text and their JSON.

macro_rules! descriptions {
    ($($layer:expr),*) => { vec![$(Description::from($layer)),*] };
}

mod formulas;
mod networks;
mod numbers;
mod optimizers;
mod printed;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use downhill_explain::{
    Array, Explain, Explanation, Inner, Local, LocalDerivative, Number, Settings, Source, Variable,
};
use downhill_gradcheck::differentiate;
use downhill_layers::*;
use downhill_losses::*;
use downhill_network::{
    Block, Branches, Frozen, Gated, Graph, Network, NetworkDescription, NetworkObjective, Purpose, Residual,
    Sequential, Shared, sequential,
};
use downhill_optim::*;
use downhill_tensor::{Batch, BuildError, Init, Scalar, Seed, Shape};

/// A layer of a user's: y = c x₁ x₂ … of neighbours in a ring, with a learnt c.
#[derive(Clone, Debug)]
struct Ring;

impl Layer for Ring {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let x = single_input("Ring", inputs)?;
        Ok(Signature::new("Ring", x).parameter(Parameter::new("scale", [1], Init::Constant(1.5))))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (x, n) = (pass.x[0], pass.x[0].shape().len());
        let c = pass.params.vector(0)[0];
        for example in 0..x.examples() {
            let row = x.example(example);
            (0..n).for_each(|i| pass.y.example(example)[i] = c * row[i] * row[(i + 1) % n]);
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (x, n) = (pass.x[0], pass.x[0].shape().len());
        let c = pass.params.vector(0)[0];
        let mut slope = T::ZERO;
        for example in 0..x.examples() {
            let (row, dy) = (x.example(example), pass.dy.example(example));
            (0..n).for_each(|i| slope += dy[i] * row[i] * row[(i + 1) % n]);
            if let Some(dx) = pass.dx.get(0) {
                for i in 0..n {
                    let before = (i + n - 1) % n;
                    dx.example(example)[i] = c * (dy[i] * row[(i + 1) % n] + dy[before] * row[before]);
                }
            }
        }
        pass.dparams.vector(0)[0] = slope;
    }
}

/// An activation of a user's, y = c (1 + x³), that may bear another one's name.
#[derive(Clone, Copy, Debug)]
struct Impostor(&'static str, f64);

impl Activation for Impostor {
    fn name(&self) -> &'static str {
        self.0
    }

    fn value<T: Scalar>(&self, x: T) -> T {
        T::from_f64(self.1) * (T::ONE + x * x * x)
    }

    fn slope<T: Scalar>(&self, x: T, _: T) -> T {
        T::from_f64(3.0 * self.1) * x * x
    }
}

/// The first training step.
const MODE: Mode = Mode::Training { step: 0 };

/// A network in f64 with a batch and what it is compared with.
struct Case {
    name: &'static str,
    network: Network<f64>,
    x: Vec<f64>,
    examples: usize,
    values: Vec<f64>,
}

impl Case {
    fn new(name: &'static str, input: &[usize], chain: impl Block) -> Self {
        Self::with(name, input, chain, 2)
    }

    fn with(name: &'static str, input: &[usize], chain: impl Block, examples: usize) -> Self {
        let network = Network::build(Shape::new(input).unwrap(), chain, Seed(3)).unwrap();
        let (inputs, outputs) = (network.input_shapes()[0].len() * examples, network.output_shape().len() * examples);
        Self {
            name,
            network,
            // Away from kinks at 0.
            x: (0..inputs).map(|i| (i as f64 * 1.7 + 0.4).sin() * 1.3 + 0.05).collect(),
            examples,
            values: (0..outputs).map(|i| (i as f64).cos()).collect(),
        }
    }

    fn batch(&self) -> Batch<'_, f64> {
        Batch::new(&self.x, self.examples, self.network.input_shapes()[0]).unwrap()
    }

    fn explain(&self) -> Explanation {
        let settings = Settings::new().learning_rate(0.3);
        self.network
            .explain_with(self.batch(), Target::Values(&self.values), &MeanSquaredError::new(), settings)
            .unwrap()
    }

    fn objective(&self, theta: &[f64], x: &[f64]) -> f64 {
        let x = Batch::new(x, self.examples, self.network.input_shapes()[0]).unwrap();
        let j = NetworkObjective::new(&self.network, x, Target::Values(&self.values), MeanSquaredError::new());
        j.mode(MODE).value(theta).unwrap()
    }
}

fn activations() -> Vec<Description> {
    descriptions! {
        Relu, Tanh, Sigmoid, Softplus::default(), Silu, Gelu::new(), Softsign, LogSigmoid, Tanhshrink, Mish,
        Elu::default(), Celu::default(), Selu, LeakyRelu::default(), Identity, Hardtanh::default(), Relu6, Hardsigmoid,
        Hardswish, Softshrink::default(), Hardshrink::default(), Threshold::default()
    }
}

fn set_activations() -> Vec<Description> {
    descriptions! {
        Softplus::new(2.0), LeakyRelu::new(0.3), Elu::new(0.7), Celu::new(1.5), Hardtanh::new(-0.1, 0.2), Gelu::tanh(),
        Hardshrink::new(0.2), Softshrink::new(0.1), Threshold::new(0.1, -0.5)
    }
}

/// An affine layer in front of each.
fn through(activations: Vec<Description>) -> Sequential {
    activations.into_iter().fold(sequential![Identity], |chain, layer| chain.then(Affine::new(3)).then(layer))
}

fn cases() -> Vec<Case> {
    let shared = Shared::new(sequential![Affine::new(3), Tanh]);
    let residual = Residual(sequential![Affine::new(3), Tanh]);
    let branches = Branches::concat(0).with(Affine::new(2)).with(Sigmoid).with(Affine::new(1));
    let deep = Lstm::new(2).layers(2).bidirectional();
    let grouped = Conv2d::new(4, [3, 2]).stride([2, 1]).padding([[1, 0], [0, 1]]).groups(2);
    let same = Conv2d::new(1, 2).padding(Padding::Same).dilation(2).no_bias();
    let groups = sequential![GroupNorm::new(2), Tanh, InstanceNorm::new().affine(), RmsNorm::new()];
    let gated = Gated::new(Affine::new(4), sequential![Affine::new(4), PRelu::new().per_channel()]);
    let gates = sequential![Affine::new(4), gated, Glu::new(), Scale::new(1.5), LogSoftmax, Affine::new(3), Softmin];
    vec![
        Case::new("activations", &[2], through(activations())),
        Case::new("convolution", &[1, 4, 4], sequential![Conv2d::new(2, 3).padding(1), Tanh, Flatten, Affine::new(2)]),
        Case::new("pooling", &[1, 8], sequential![Conv1d::new(2, 3), MaxPool1d::new(2), Flatten, Affine::new(2)]),
        Case::new("recurrent", &[3, 2], sequential![Rnn::new(2), Flatten, Affine::new(1)]),
        Case::new("lstm", &[2, 2], sequential![Lstm::new(2), Affine::new(2)]),
        Case::new("own layer", &[3], sequential![Affine::new(3), Ring, Impostor("Cube", 1.0), Affine::new(2)]),
        Case::new("own activation", &[2], sequential![Affine::new(2), Impostor("Tanh", 1.0)]),
        Case::new("residual", &[3], sequential![Affine::new(3), residual, Affine::new(1)]),
        Case::new("shared", &[3], sequential![shared.clone(), shared.clone(), shared, Affine::new(1)]),
        Case::new("frozen", &[2], sequential![Affine::new(2), Frozen(Affine::new(2)), Tanh, Affine::new(1)]),
        Case::new("branches", &[2], sequential![Tanh, branches, Softmax, Affine::new(2)]),
        Case::new("random", &[4], sequential![Affine::new(4), Dropout::new(0.5), Affine::new(2)]),
        Case::with("norms", &[3], sequential![Affine::new(3), BatchNorm::new(), LayerNorm::new(), Affine::new(1)], 3),
        Case::new("activations with settings", &[2], through(set_activations())),
        Case::new("bidirectional", &[3, 2], sequential![deep, Flatten, Affine::new(1)]),
        Case::new("gru", &[3, 2], sequential![Gru::new(2).no_bias(), Gru::new(2).bidirectional().last_state()]),
        Case::new("relu cells", &[3, 2], sequential![Rnn::new(3).relu(), Rnn::new(1).no_bias().last_state()]),
        Case::new("attention", &[3, 4], sequential![MultiHeadAttention::new(2), Flatten, Affine::new(2)]),
        Case::new("masked attention", &[3, 2], MultiHeadAttention::new(1).causal().no_bias()),
        Case::new("strides and groups", &[2, 5, 4], sequential![grouped, Tanh, same]),
        Case::new("signals", &[2, 7], sequential![Conv1d::new(2, 3).dilation(2).padding([2, 0]).stride(2), Tanh]),
        Case::new("groups that are normalised", &[4, 3], groups.then(LayerNorm::new().axes(2))),
        Case::with("images that are normalised", &[2, 2], sequential![BatchNorm::new().no_affine(), Affine::new(2)], 3),
        Case::new("gates", &[4], gates),
        Case::with("one number", &[1], sequential![Affine::new(1).no_bias(), Sigmoid], 1),
    ]
}

fn near(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((got - expected).abs() <= tolerance * (1.0 + expected.abs()), "{what}: {got} and not {expected}");
}

/// The numbers of an explanation without a formula, apart from those that were given.
fn without_formula(explanation: &Explanation) -> Vec<String> {
    let origins = explanation.numbers().into_iter().filter_map(|number| explanation.origin(number));
    let others = origins.filter(|origin| !matches!(origin.source, Source::Given | Source::Formula | Source::Frozen));
    others.map(|origin| origin.to_string()).collect()
}

/// The types for which a crate's sources implement a trait.
fn implementors(of: &str, traits: &[&str]) -> BTreeSet<String> {
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{of}/src"))];
    let mut found = BTreeSet::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|file| file.unwrap().path()));
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines() {
            let rest = traits.iter().find_map(|known| line.strip_prefix(known)).unwrap_or_default();
            found.insert(rest.chars().take_while(|c| c.is_alphanumeric()).collect());
        }
    }
    found.remove("");
    found
}
