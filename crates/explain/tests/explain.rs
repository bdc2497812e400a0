//! Explanations of real networks: their numbers, their origins, their text and their JSON.

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

macro_rules! descriptions {
    ($($layer:expr),*) => { vec![$(Description::from($layer)),*] };
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

#[test]
fn gradients_are_those_of_finite_differences() {
    for case in cases() {
        let explanation = case.explain();
        assert!(explanation.full, "{}", case.name);
        let theta = case.network.parameters();
        near(explanation.loss.value, case.objective(theta, &case.x), 1e-14, case.name);
        let of_x = differentiate(&case.x, |x| case.objective(theta, x));
        for (index, (&got, numeric)) in explanation.nodes[0].gradient.numbers.iter().zip(of_x).enumerate() {
            near(got, numeric.unwrap(), 1e-7, &format!("{}: dJ/dx {index}", case.name));
        }
        let of_theta = differentiate(theta, |theta| case.objective(theta, &case.x));
        let mut numeric = of_theta.into_iter();
        for parameter in &explanation.parameters {
            for &got in &parameter.gradient.numbers {
                let numeric = numeric.next().unwrap().unwrap();
                let expected = if parameter.frozen { 0.0 } else { numeric };
                near(got, expected, 1e-7, &format!("{}: dJ/d({})", case.name, parameter.name));
            }
        }
        assert!(numeric.next().is_none());
    }
}

/// dy/dx of a step, number by number, as the explanation has it.
fn derivative(explanation: &Explanation, step: usize, output: usize, input: usize, index: usize) -> f64 {
    let at = &explanation.steps[step];
    match &at.local {
        Local::Affine => {
            let weight = &explanation.parameters[at.parameters[0]];
            let [inputs, outputs] = weight.shape.axes() else { panic!("a weight has two axes") };
            if index / inputs == output / outputs {
                weight.values.numbers[index % inputs * outputs + output % outputs]
            } else {
                0.0
            }
        }
        Local::Sum => f64::from(output == index),
        Local::Elementwise { slope } if output == index => slope.numbers[index],
        Local::Elementwise { .. } => 0.0,
        Local::Equations { .. } => chained(explanation, step, output, Variable::Input { input, index }),
        Local::Jacobian { .. } => {
            explanation.value(Number::Derivative { step, output, by: Variable::Input { input, index } }).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// dy/dx through all numbers between, by the local derivatives of the equations.
fn chained(explanation: &Explanation, step: usize, output: usize, by: Variable) -> f64 {
    let Local::Equations { inner, derivatives } = &explanation.steps[step].local else { panic!("no equations") };
    /// The array and the place of a number between; none for y.
    type Place = Option<(usize, usize)>;
    let mut of: HashMap<Place, Vec<(Variable, f64)>> = HashMap::new();
    for derivative in derivatives {
        let (key, by) = match derivative.number {
            Number::Derivative { output: own, by, .. } if own == output => (None, by),
            Number::InnerDerivative { array, index, by, .. } => (Some((array, index)), by),
            _ => continue,
        };
        of.entry(key).or_default().push((by, derivative.value));
    }
    // Gradients of this number of y, from y back: each equation once all that read it are done.
    let mut found = 0.0;
    let mut gradient: HashMap<Place, f64> = HashMap::from([(None, 1.0)]);
    let mut readers: HashMap<Place, usize> = HashMap::new();
    let all: usize = inner.iter().map(|inner| inner.values.numbers.len()).sum();
    for (variable, _) in of.values().flatten() {
        if let &Variable::Inner { array, index } = variable {
            *readers.entry(Some((array, index))).or_default() += 1;
        }
    }
    // Those that nothing of this y reads come first, with a gradient of 0.
    let mut ready: Vec<Place> = of.keys().copied().filter(|key| !readers.contains_key(key)).collect();
    let mut done = 0;
    while let Some(key) = ready.pop() {
        done += 1;
        let above = gradient.get(&key).copied().unwrap_or(0.0);
        for &(variable, slope) in of.get(&key).map_or(&[][..], Vec::as_slice) {
            if variable == by {
                found += above * slope;
            }
            if let Variable::Inner { array, index } = variable {
                let key = Some((array, index));
                *gradient.entry(key).or_default() += above * slope;
                let left = readers.get_mut(&key).unwrap();
                *left -= 1;
                if *left == 0 {
                    ready.push(key);
                }
            }
        }
    }
    assert!(done > 0 && done <= all + 1, "{done} of {all}");
    found
}

#[test]
fn local_derivatives_are_those_of_each_layer_alone() {
    let mut compared = 0;
    for case in cases() {
        let explanation = case.explain();
        for (step, place) in case.network.places().iter().enumerate() {
            let at = &explanation.steps[step];
            let own: Vec<&[f64]> = at.inputs.iter().map(|&node| &explanation.nodes[node].values.numbers[..]).collect();
            let run = |moved: usize, x: &[f64]| {
                let mut inputs = Inputs::empty();
                for (input, &node) in at.inputs.iter().enumerate() {
                    let numbers = if input == moved { x } else { own[input] };
                    inputs.set(input, Batch::new(numbers, case.examples, explanation.nodes[node].shape).unwrap());
                }
                place.forward(inputs, case.examples, MODE).unwrap().y().to_vec()
            };
            for (input, x) in own.iter().enumerate() {
                let mut x = x.to_vec();
                for index in 0..x.len() {
                    let (before, h) = (x[index], 1e-5);
                    let mut at_offset = |offset: f64| {
                        x[index] = before + offset;
                        let y = run(input, &x);
                        x[index] = before;
                        y
                    };
                    let (left, middle, right) = (at_offset(-h), at_offset(0.0), at_offset(h));
                    for (output, y) in middle.iter().enumerate() {
                        let sides = ((right[output] - y) / h, (y - left[output]) / h);
                        // A kink has no derivative.
                        if (sides.0 - sides.1).abs() < 0.01 {
                            let got = derivative(&explanation, step, output, input, index);
                            let what = format!("{}, step {} ({}): dy{output}/dx{index}", case.name, at.name, at.layer);
                            near(got, (sides.0 + sides.1) / 2.0, 1e-7, &what);
                            compared += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn products_are_the_networks_own_bit_for_bit() {
    for case in cases() {
        let explanation = case.explain();
        // A training pass, which does not ask for dJ/dx of the input.
        let mut workspace = case.network.workspace(Purpose::Training);
        let (x, target, mode) = (case.batch(), Target::Values(&case.values), MODE);
        case.network.backpropagate(x, target, &MeanSquaredError::new(), &mut workspace, mode).unwrap();
        let gradient: Vec<f64> = explanation.parameters.iter().flat_map(|at| at.gradient.numbers.clone()).collect();
        assert_eq!(gradient, workspace.gradient(), "{}", case.name);

        let sum = |arrays: &mut dyn Iterator<Item = &Array>| {
            let mut sum: Vec<f64> = arrays.next().unwrap().numbers.clone();
            for array in arrays {
                sum.iter_mut().zip(&array.numbers).for_each(|(sum, x)| *sum += x);
            }
            sum
        };
        for (parameter, at) in explanation.parameters.iter().enumerate().filter(|(_, at)| !at.frozen) {
            let place = |step: usize| explanation.steps[step].parameters.iter().position(|&own| own == parameter);
            let mut products = at.steps.iter().map(|&step| &explanation.steps[step].dtheta[place(step).unwrap()]);
            assert_eq!(sum(&mut products), at.gradient.numbers, "{}: {}", case.name, at.name);
        }
        for (node, at) in explanation.nodes.iter().enumerate().filter(|(_, at)| !at.readers.is_empty()) {
            let mut products = at.readers.iter().map(|reader| &explanation.steps[reader.step].dx[reader.input]);
            assert_eq!(sum(&mut products), at.gradient.numbers, "{}: node {node}", case.name);
        }
        let mut theta = case.network.parameters().to_vec();
        GradientDescent::new(0.3).step(&mut theta, &gradient);
        let updated = explanation.parameters.iter().map(|at| (at.frozen, at.updated.as_ref().unwrap(), &at.values));
        let updated: Vec<f64> = updated
            .flat_map(|(frozen, updated, before)| {
                assert!(!frozen || updated == before);
                updated.numbers.clone()
            })
            .collect();
        assert_eq!(updated, theta, "{}", case.name);
    }
}

/// The value of a formula as it is printed.
struct Parser {
    text: Vec<char>,
    at: usize,
}

impl Parser {
    fn evaluate(text: &str) -> f64 {
        let mut parser = Self { text: text.chars().filter(|c| *c != ' ').collect(), at: 0 };
        let value = parser.sum();
        assert_eq!(parser.at, parser.text.len(), "{text}: what is at {}?", parser.at);
        value
    }

    fn peek(&self) -> char {
        self.text.get(self.at).copied().unwrap_or(' ')
    }

    fn takes(&mut self, c: char) -> bool {
        let takes = self.peek() == c;
        self.at += usize::from(takes);
        takes
    }

    fn sum(&mut self) -> f64 {
        let mut sum = if self.takes('−') { -self.product() } else { self.product() };
        loop {
            match () {
                () if self.takes('+') => sum += self.product(),
                () if self.takes('−') => sum -= self.product(),
                () => return sum,
            }
        }
    }

    fn product(&mut self) -> f64 {
        let mut product = self.power();
        loop {
            match () {
                () if self.takes('·') => product *= self.power(),
                () if self.takes('/') => product /= self.power(),
                () => return product,
            }
        }
    }

    fn power(&mut self) -> f64 {
        let base = self.atom();
        match () {
            () if self.takes('²') => base * base,
            () if self.takes('³') => base * base * base,
            () => base,
        }
    }

    fn atom(&mut self) -> f64 {
        if self.takes('(') {
            let value = self.sum();
            assert!(self.takes(')'));
            return value;
        }
        let start = self.at;
        while self.peek().is_alphabetic() && !self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start {
            let name: String = self.text[start..self.at].iter().collect();
            assert!(self.takes('('), "{name}");
            let x = self.sum();
            if name == "max" {
                assert!(self.takes(',') && self.takes('0'));
            }
            assert!(self.takes(')'));
            return match name.as_str() {
                "exp" => x.exp(),
                "ln" => x.ln(),
                "tanh" => x.tanh(),
                "abs" => x.abs(),
                "sqrt" => x.sqrt(),
                "sign" if x == 0.0 => 0.0,
                "sign" => x.signum(),
                "max" => x.max(0.0),
                "σ" => 1.0 / (1.0 + (-x).exp()),
                "Φ" => 0.5 * (1.0 + Scalar::erf(x / 2.0_f64.sqrt())),
                "φ" => (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt(),
                other => panic!("{other}"),
            };
        }
        while self.peek().is_ascii_digit() || self.peek() == '.' {
            self.at += 1;
        }
        if self.peek() == 'e' {
            self.at += 1;
            self.takes('−');
            while self.peek().is_ascii_digit() {
                self.at += 1;
            }
        }
        let number: String = self.text[start..self.at].iter().collect();
        number.replace('−', "-").parse().unwrap_or_else(|_| panic!("{number} in {:?}", self.text))
    }
}

#[test]
fn what_is_printed_evaluates_to_the_number() {
    let (mut formulas, mut others) = (0, 0);
    for case in cases() {
        let explanation = case.explain();
        for number in explanation.numbers() {
            let origin = explanation.origin(number).unwrap_or_else(|| panic!("{}: {number:?}", case.name));
            assert_eq!(Some(origin.value), explanation.value(number));
            let text = origin.text(17).replace(" ← ", " = ");
            let parts: Vec<&str> = text.split(" = ").collect();
            let Some(formula) = &origin.formula else {
                assert_ne!(origin.source, Source::Formula);
                others += 1;
                continue;
            };
            // The symbol, the formula, the formula with numbers, and the number: what is alike stands there once.
            assert!((3..=4).contains(&parts.len()) || formula.numbers(6) == formula.symbols(), "{text}");
            let value = Parser::evaluate(parts[parts.len() - 1]);
            assert_eq!(value, origin.value, "{text}");
            near(Parser::evaluate(&formula.numbers(17)), value, 1e-10, &text);
            near(formula.evaluate(), value, 1e-10, &text);
            if parts.len() == 4 {
                assert_eq!(parts[2], formula.numbers(17));
            }
            let latex = origin.latex(6);
            assert!(!latex.contains(['−', '₁']), "{latex}");
            // A superscript on another one, or on a fraction, and a brace that is not closed.
            assert!(!latex.contains(")}^{") && !latex.contains("}}^{"), "{latex}");
            assert_eq!(latex.matches('{').count(), latex.matches('}').count(), "{latex}");
            formulas += 1;
        }
    }
    assert!(formulas > 3_000, "{formulas} formulas, {others} others");
}

/// Compares with a stored file; with the variable `WRITE` set it is written anew.
fn stored(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    if std::env::var_os("WRITE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(text == expected, "{name} is printed in another way, see the difference with WRITE=1:\n{text}");
}

/// The network of the README and of the guide's chapter on the chain rule.
fn small() -> Explanation {
    let mut network = Network::<f64>::build([2], sequential![Affine::new(2), Sigmoid], Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[0.8, -0.4, 0.2, 0.6, 0.1, 0.3]);
    let x = Batch::new(&[0.5, -1.0], 1, [2]).unwrap();
    let settings = Settings::new().learning_rate(1.0);
    network.explain_with(x, Target::Values(&[1.0, 0.0]), &MeanSquaredError::new(), settings).unwrap()
}

/// All that an explanation can hold: sums over examples, readers and places, a Jacobian, what is frozen and random.
fn varied() -> (Network<f64>, Vec<f64>) {
    let shared = Shared::new(Affine::new(2));
    let chain = sequential![
        shared.clone(),
        Residual(sequential![shared, Dropout::new(0.5)]),
        Softmax,
        Frozen(Affine::new(2).no_bias()),
        Rnn::new(1),
        Flatten
    ];
    let network = Network::build([2, 2], chain, Seed(5)).unwrap();
    (network, vec![0.5, -1.0, 0.25, 2.0, -0.75, 0.5, 1.0, -0.125])
}

/// The equations within layers: a normalisation over the batch, attention, and a memory with gates.
fn within() -> Explanation {
    let chain = sequential![BatchNorm::new(), MultiHeadAttention::new(1).causal().no_bias(), Lstm::new(1).last_state()];
    let network = Network::build([2, 2], chain, Seed(6)).unwrap();
    let x = Batch::new(&[0.5, -1.0, 0.25, 2.0, -0.75, 0.5, 1.0, -0.125], 2, [2, 2]).unwrap();
    let settings = Settings::new().learning_rate(0.1);
    network.explain_with(x, Target::Values(&[0.5, -0.5]), &Huber::new(0.25), settings).unwrap()
}

#[test]
fn text_and_markdown_are_as_stored() {
    let explanation = small();
    stored("readme.txt", &explanation.to_string());
    stored("small.txt", &format!("{explanation:#}"));
    stored("small.md", &explanation.markdown());
    let (network, x) = varied();
    let (x, target) = (Batch::new(&x, 2, [2, 2]).unwrap(), Target::Classes(&[1, 0]));
    let loss = SoftmaxCrossEntropy::new();
    let mut adam = Adam::new(0.1);
    let explanation = network.explain_with(x, target, &loss, Settings::new().optimizer(&mut adam)).unwrap();
    stored("varied.txt", &format!("{explanation:#}"));
    stored("varied.md", &explanation.markdown());
    let explanation = within();
    stored("within.txt", &format!("{explanation:#}"));
    stored("within.md", &explanation.markdown());
    let (network, x) = varied();
    let x = Batch::new(&x, 2, [2, 2]).unwrap();
    let settings = Settings::new().optimizer(&mut adam).full_up_to(10);
    let explanation = network.explain_with(x, target, &loss, settings).unwrap();
    stored("norms.txt", &explanation.to_string());
    stored("norms.md", &explanation.markdown());
}

#[test]
fn the_chain_rule_by_hand_gives_the_same() {
    // The network of the example `02_chain_rule`.
    let (x, t, w, b) = (1.5_f64, 1.0, 0.8, -2.0);
    let mut network = Network::<f64>::build([1], sequential![Affine::new(1), Sigmoid], Seed(0)).unwrap();
    network.parameters_mut().copy_from_slice(&[w, b]);
    let batch = [x];
    let (batch, settings) = (Batch::new(&batch, 1, [1]).unwrap(), Settings::new().learning_rate(0.5));
    let explanation = network.explain_with(batch, Target::Values(&[t]), &MeanSquaredError::new(), settings).unwrap();
    let z = w * x + b;
    let y = 1.0 / (1.0 + (-z).exp());
    let (dj_dy, dy_dz) = (2.0 * (y - t), y * (1.0 - y));
    let (dw, db) = (dj_dy * dy_dz * x, dj_dy * dy_dz);
    let by_hand = [
        (Number::Value { node: 1, index: 0 }, z),
        (Number::Value { node: 2, index: 0 }, y),
        (Number::Loss, (y - t) * (y - t)),
        (Number::Gradient { node: 2, index: 0 }, dj_dy),
        (Number::Slope { step: 1, index: 0 }, dy_dz),
        (Number::Gradient { node: 1, index: 0 }, dj_dy * dy_dz),
        (Number::Gradient { node: 0, index: 0 }, dj_dy * dy_dz * w),
        (Number::ParameterGradient { parameter: 0, index: 0 }, dw),
        (Number::ParameterGradient { parameter: 1, index: 0 }, db),
        (Number::Updated { parameter: 0, index: 0 }, w - 0.5 * dw),
        (Number::Updated { parameter: 1, index: 0 }, b - 0.5 * db),
    ];
    for (number, expected) in by_hand {
        near(explanation.value(number).unwrap(), expected, 1e-15, &format!("{number:?}"));
    }
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../README.md");
    assert!(readme.contains(&format!("```text\n{}```\n", small())), "{}", small());
}

#[test]
fn json_round_trips() {
    for case in cases() {
        let explanation = case.explain();
        let json = serde_json::to_string(&explanation).unwrap();
        assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation, "{}", case.name);
    }
    let explanation = small();
    let origins: Vec<_> = explanation.numbers().into_iter().filter_map(|number| explanation.origin(number)).collect();
    let json = serde_json::to_string(&origins).unwrap();
    assert_eq!(serde_json::from_str::<Vec<downhill_explain::Origin>>(&json).unwrap(), origins);
}

#[test]
fn numbers_that_are_not_finite_are_saved_and_shown() {
    let mut network = Network::<f64>::build([1], Affine::new(1), Seed(1)).unwrap();
    network.parameters_mut()[0] = f64::INFINITY;
    let x = Batch::new(&[1.0], 1, [1]).unwrap();
    let explanation = network.explain(x, Target::Values(&[0.0]), &MeanSquaredError::new()).unwrap();
    assert!(format!("{explanation:#}").contains('∞'));
    assert!(explanation.markdown().contains("\\infty"));
    let json = serde_json::to_string(&explanation).unwrap();
    let again: Explanation = serde_json::from_str(&json).unwrap();
    assert_eq!(format!("{again:?}"), format!("{explanation:?}"));
}

#[test]
fn data_whose_parts_do_not_fit_is_shown_without_a_panic() {
    let (network, x) = varied();
    let x = Batch::new(&x, 2, [2, 2]).unwrap();
    let whole = network.explain(x, Target::Classes(&[1, 0]), &SoftmaxCrossEntropy::new()).unwrap();
    let others = ["convolution", "gru", "strides and groups", "groups that are normalised", "gates", "norms"];
    let others = cases().into_iter().filter(|case| others.contains(&case.name)).map(|case| case.explain());
    let breaks: [fn(&mut Explanation); 17] = [
        |e| e.nodes.truncate(1),
        |e| e.nodes.clear(),
        |e| e.parameters.truncate(1),
        |e| e.steps.truncate(2),
        |e| e.steps.clear(),
        |e| e.nodes.iter_mut().for_each(|node| node.values.numbers.truncate(1)),
        |e| e.nodes.iter_mut().for_each(|node| node.gradient.numbers.clear()),
        |e| e.parameters.iter_mut().for_each(|at| at.values.numbers.truncate(1)),
        |e| e.loss.node = 77,
        |e| e.examples = usize::MAX,
        |e| e.examples = 0,
        |e| all_settings(e).for_each(|value| *value = "1e300".into()),
        |e| all_settings(e).for_each(|value| *value = "[0, 0]".into()),
        |e| e.parameters.iter_mut().for_each(|at| at.shape = Shape::new(&[1, 1 << 39]).unwrap()),
        |e| e.nodes.iter_mut().for_each(|node| node.shape = Shape::new(&[0, 1 << 39]).unwrap()),
        |e| inner(e, &mut |inner, derivatives| (inner.truncate(2), derivatives.clear()).0),
        |e| inner(e, &mut |inner, _| inner.iter_mut().for_each(|inner| inner.values.numbers.truncate(1))),
    ];
    fn all_settings(e: &mut Explanation) -> impl Iterator<Item = &mut String> {
        e.steps.iter_mut().map(|at| &mut at.settings).chain([&mut e.loss.settings]).flat_map(|all| all.values_mut())
    }
    fn inner(e: &mut Explanation, change: &mut dyn FnMut(&mut Vec<Inner>, &mut Vec<LocalDerivative>)) {
        for at in &mut e.steps {
            match &mut at.local {
                Local::Equations { inner, derivatives } => change(inner, derivatives),
                Local::Jacobian { dx, .. } => dx.iter_mut().for_each(|matrix| matrix.rows = usize::MAX),
                _ => {}
            }
        }
    }
    for (whole, change) in
        [whole, within()].into_iter().chain(others).flat_map(|whole| breaks.map(|b| (whole.clone(), b)))
    {
        let mut broken = whole.clone();
        change(&mut broken);
        assert!(!format!("{broken:#}{}", broken.markdown()).is_empty());
        assert!(broken.edges().count() <= whole.edges().count());
        for number in whole.numbers() {
            let _ = broken.origin(number);
        }
    }
}

#[test]
fn large_networks_are_shown_by_norms_alone() {
    let chain = sequential![Affine::new(100), Relu, Affine::new(10)];
    let network = Network::<f32>::build([64], chain, Seed(1)).unwrap();
    let numbers: Vec<f32> = (0..640).map(|i| (i as f32).sin()).collect();
    let classes: Vec<u32> = (0..10).collect();
    let (x, target) = (Batch::new(&numbers, 10, [64]).unwrap(), Target::Classes(&classes));
    let explanation = network.explain(x, target, &SoftmaxCrossEntropy::new()).unwrap();
    assert!(!explanation.full);
    assert_eq!(explanation.origin(Number::Parameter { parameter: 0, index: 0 }), None);
    assert_eq!(explanation.numbers(), [Number::Loss]);
    assert!(explanation.nodes.iter().all(|node| node.values.numbers.is_empty()));
    assert!(serde_json::to_string(&explanation).unwrap().len() < 10_000);
    let norm = |numbers: &[f32]| numbers.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    near(explanation.nodes[0].values.norms.norm, norm(&numbers), 1e-12, "|x|");
    let mut workspace = network.workspace(Purpose::Training);
    let mode = Mode::Training { step: 0 };
    network.backpropagate(x, target, &SoftmaxCrossEntropy::new(), &mut workspace, mode).unwrap();
    let weight = &explanation.parameters[0].gradient.norms;
    near(weight.norm, norm(&workspace.gradient()[..6_400]), 1e-12, "|g|");
    assert_eq!((weight.count, explanation.steps[0].dtheta[0].norms.norm), (6_400, weight.norm));

    let settings = Settings::new().full_up_to(100_000).jacobians_up_to(10);
    let explanation = network.explain_with(x, target, &SoftmaxCrossEntropy::new(), settings).unwrap();
    let origin = explanation.origin(Number::ParameterGradient { parameter: 0, index: 101 }).unwrap();
    // The sum over the batch has a term for each example.
    assert_eq!(origin.formula.unwrap().symbols().matches('+').count(), 9);
}

#[test]
fn jacobians_above_the_limit_are_not_listed() {
    let network = Network::<f64>::build([3, 2], Lstm::new(2), Seed(1)).unwrap();
    let (x, target) = ([0.5; 6], [0.0; 6]);
    let (x, target) = (Batch::new(&x, 1, [3, 2]).unwrap(), Target::Values(&target));
    let settings = Settings::new().jacobians_up_to(100);
    let explanation = network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap();
    assert_eq!(explanation.steps[0].local, Local::NotListed);
    let origin = explanation.origin(Number::Product { step: 0, input: 0, index: 0 }).unwrap();
    assert_eq!((origin.source, origin.formula), (Source::Layer("Lstm".into()), None));
    assert!(explanation.to_string().contains("as Lstm computes them, not listed"));

    // Those of the equations are counted, of y as well.
    let network = Network::<f64>::build([3], LayerNorm::new(), Seed(1)).unwrap();
    let (x, target) = (Batch::new(&[0.5, -1.0, 2.0], 1, [3]).unwrap(), Target::Values(&[0.0; 3]));
    let local = |most| {
        let settings = Settings::new().jacobians_up_to(most);
        network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap().steps.remove(0).local
    };
    let Local::Equations { derivatives, .. } = local(100) else { panic!("{:?}", local(100)) };
    assert!(matches!(local(derivatives.len()), Local::Equations { .. }));
    assert_eq!(local(derivatives.len() - 1), Local::NotListed);
}

#[test]
fn two_inputs_from_one_node_have_their_own_derivatives() {
    let mut graph = Graph::new();
    let x = graph.input([2, 2]);
    let attended = graph.apply(MultiHeadAttention::new(1), &[x, x]).unwrap();
    let y = graph.apply(Multiply, &[attended, attended]).unwrap();
    let network = Network::<f64>::from_graph(&graph, y, Seed(1)).unwrap();
    let (x, target) = (Batch::new(&[0.5, -1.0, 0.25, 2.0], 1, [2, 2]).unwrap(), Target::Values(&[1.0; 4]));
    let explanation = network.explain(x, target, &MeanSquaredError::new()).unwrap();
    assert!(matches!(explanation.steps[0].local, Local::Equations { .. }));
    let without = without_formula(&explanation);
    assert!(without.is_empty(), "{without:#?}");
    let symbols = |input| {
        let by = Variable::Input { input, index: 1 };
        explanation.origin(Number::Derivative { step: 1, output: 1, by }).unwrap().to_string()
    };
    assert!(symbols(0).starts_with("dy₁₂/dx₁₂ = x′₁₂ = "), "{}", symbols(0));
    assert!(symbols(1).starts_with("dy₁₂/dx′₁₂ = x₁₂ = "), "{}", symbols(1));
}

#[test]
fn an_optimizer_shows_its_next_step_and_is_left_as_it_was() {
    let mut network = Network::<f32>::build([2], sequential![Affine::new(3), Tanh, Affine::new(1)], Seed(1)).unwrap();
    let (x, target, loss) = ([0.5, 1.0, -1.0, 2.0], [1.0, 0.0], MeanSquaredError::new());
    let (x, target) = (Batch::new(&x, 2, [2]).unwrap(), Target::Values(&target));
    let (mut adam, mut workspace) = (Adam::new(0.01), network.workspace(Purpose::Training));
    for step in 0..5 {
        let before = Optimizer::<f32>::state(&adam);
        let mode = Mode::Training { step };
        let settings = Settings::new().mode(mode).optimizer(&mut adam);
        let explanation = network.explain_with(x, target, &loss, settings).unwrap();
        assert_eq!(Optimizer::<f32>::state(&adam), before);
        assert_eq!(explanation.update.as_ref().map(|update| update.optimizer.as_str()), Some("Adam"));
        network.backpropagate(x, target, &loss, &mut workspace, mode).unwrap();
        network.step(&mut adam, &mut workspace).unwrap();
        let shown = explanation.parameters.iter().flat_map(|at| at.updated.as_ref().unwrap().numbers.clone());
        let theta: Vec<f64> = network.parameters().iter().map(|&theta| f64::from(theta)).collect();
        assert_eq!(shown.collect::<Vec<_>>(), theta, "step {step}");
    }
}

#[test]
fn what_is_random_is_drawn_as_in_that_training_step() {
    let network = Network::<f64>::build([50], Dropout::new(0.5), Seed(9)).unwrap();
    let (x, target) = ([1.0; 50], [0.0; 50]);
    let (x, target) = (Batch::new(&x, 1, [50]).unwrap(), Target::Values(&target));
    let y = |settings| {
        let explanation = network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap();
        let Local::Elementwise { slope } = &explanation.steps[0].local else { panic!("{explanation}") };
        assert_eq!(slope.numbers, explanation.nodes[1].values.numbers);
        slope.numbers.clone()
    };
    let trained = |step| {
        let mut workspace = network.workspace(Purpose::Training);
        let mode = Mode::Training { step };
        network.forward(&[], x, &mut workspace, mode).unwrap().slice().to_vec()
    };
    assert_eq!(y(Settings::new()), trained(0));
    assert_eq!(y(Settings::new().mode(Mode::Training { step: 3 })), trained(3));
    assert_ne!(trained(0), trained(3));
    assert_eq!(y(Settings::new().mode(Mode::Evaluation)), [1.0; 50]);
}

#[test]
fn several_inputs_whole_numbers_and_a_value_that_is_read_twice() {
    let mut graph = Graph::new();
    let (words, number) = (graph.input([2]), graph.input([2]));
    let looked_up = graph.apply(Embedding::new(4, 1), &[words]).unwrap();
    let looked_up = graph.apply(Flatten, &[looked_up]).unwrap();
    let squared = graph.apply(Multiply, &[number, number]).unwrap();
    let both = graph.apply(Add, &[looked_up, squared]).unwrap();
    let joined = graph.apply(Concat::new(0), &[both, number]).unwrap();
    let y = graph.apply(Affine::new(1), &[joined]).unwrap();
    let network = Network::<f64>::from_graph(&graph, y, Seed(1)).unwrap();
    let mut x = Inputs::from(Batch::new(&[3.0, 1.0], 1, [2]).unwrap());
    x.set(1, Batch::new(&[0.5, -2.0], 1, [2]).unwrap());
    let explanation = network.explain(x, Target::Values(&[1.0]), &MeanSquaredError::new()).unwrap();
    assert!(explanation.nodes[0].whole_numbers && !explanation.nodes[1].whole_numbers);
    assert_eq!(explanation.nodes[1].readers.len(), 3);
    let origin = explanation.origin(Number::Gradient { node: 1, index: 1 }).unwrap();
    assert_eq!(origin.formula.as_ref().unwrap().symbols(), "dJ/dx′₂|4 + dJ/dx₂|2 + dJ/dx′₂|2");
    near(origin.formula.unwrap().evaluate(), origin.value, 1e-14, "the sum");
    let text = format!("{explanation:#}");
    assert!(text.contains("dJ/dx: none, since these are whole numbers"), "{text}");
    let edges: Vec<_> = explanation.edges().map(|edge| (edge.from, edge.step, edge.input)).collect();
    assert_eq!(
        edges,
        [(0, 0, 0), (2, 1, 0), (1, 2, 0), (1, 2, 1), (3, 3, 0), (4, 3, 1), (5, 4, 0), (1, 4, 1), (6, 5, 0)]
    );
    // The table's row that is looked up twice, and its others.
    let rows = &explanation.parameters[0].gradient.numbers;
    assert!(rows[0] == 0.0 && rows[1] != 0.0 && rows[2] == 0.0 && rows[3] != 0.0);
}

#[test]
fn layers_are_explained_as_what_they_are() {
    let kinds = |name: &str| -> Vec<&str> {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let kind = |local: &Local| match local {
            Local::Affine => "affine",
            Local::Elementwise { .. } => "elementwise",
            Local::Sum => "sum",
            Local::Jacobian { .. } => "jacobian",
            Local::Equations { .. } => "equations",
            _ => "not listed",
        };
        case.explain().steps.iter().map(|step| kind(&step.local)).collect()
    };
    assert_eq!(kinds("own layer"), ["affine", "jacobian", "elementwise", "affine"]);
    assert_eq!(kinds("random"), ["affine", "elementwise", "affine"]);
    assert_eq!(kinds("convolution"), ["jacobian", "elementwise", "sum", "affine"]);
    assert_eq!(kinds("branches"), ["elementwise", "affine", "elementwise", "affine", "jacobian", "jacobian", "affine"]);
    assert!(kinds("activations").iter().all(|kind| ["affine", "elementwise"].contains(kind)));
    assert_eq!(kinds("lstm"), ["equations", "affine"]);
    assert_eq!(kinds("norms"), ["affine", "equations", "equations", "affine"]);
    assert_eq!(kinds("attention"), ["equations", "sum", "affine"]);
    // What is linear is its own Jacobian times its input, and a bias.
    let case = cases().into_iter().find(|case| case.name == "pooling").unwrap();
    let explanation = case.explain();
    for node in [1, 2] {
        let origin = explanation.origin(Number::Value { node, index: 1 }).unwrap();
        assert_eq!(origin.source, Source::Formula, "{origin}");
    }
}

#[test]
fn a_name_alone_gives_no_formula() {
    let case = cases().into_iter().find(|case| case.name == "own activation").unwrap();
    let explanation = case.explain();
    assert_eq!(explanation.steps[1].layer, "Tanh");
    let origin = explanation.origin(Number::Slope { step: 1, index: 0 }).unwrap();
    assert_eq!((origin.source, origin.formula), (Source::Layer("Tanh".into()), None));
    // Small numbers are compared as closely as large ones.
    for name in ["Tanh", "Sigmoid"] {
        let network = Network::<f32>::build([2], Impostor(name, 1e-6), Seed(1)).unwrap();
        let (x, target) = (Batch::new(&[0.8, 0.9], 1, [2]).unwrap(), Target::Values(&[0.0; 2]));
        let explanation = network.explain(x, target, &MeanSquaredError::new()).unwrap();
        for number in [Number::Value { node: 1, index: 0 }, Number::Slope { step: 0, index: 1 }] {
            let origin = explanation.origin(number).unwrap();
            assert_eq!((origin.source, origin.formula), (Source::Layer(name.into()), None));
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let network = Network::<f64>::build([2], Affine::new(1), Seed(1)).unwrap();
    let (x, loss) = (Batch::new(&[0.5, -1.0], 1, [2]).unwrap(), MeanSquaredError::new());
    assert!(network.explain(x, Target::Values(&[1.0, 2.0]), &loss).is_err());
    assert!(network.explain(Batch::new(&[0.5], 1, [1]).unwrap(), Target::Values(&[1.0]), &loss).is_err());
    let settings = Settings::new().learning_rate(f64::NAN);
    let error = network.explain_with(x, Target::Values(&[1.0]), &loss, settings).unwrap_err().to_string();
    assert!(error.contains("learning rate"), "{error}");
    // No examples are no error, and nothing to show.
    let none = network.explain(Batch::new(&[], 0, [2]).unwrap(), Target::Values(&[]), &loss).unwrap();
    assert!(none.examples == 0 && none.loss.value.is_nan());
    assert!(!format!("{none:#}{}", none.markdown()).is_empty());
}

/// A loss of a user's: half the square of the largest number of each example.
#[derive(Debug)]
struct LargestSquared;

impl Loss for LargestSquared {
    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        _: Target<'_, T>,
        mut dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let (width, mut sum) = (y.shape().len(), 0.0);
        for example in 0..y.examples() {
            let row = y.example(example);
            let largest = (0..width).max_by(|&a, &b| row[a].to_f64().total_cmp(&row[b].to_f64())).unwrap();
            sum += 0.5 * row[largest].to_f64().powi(2);
            if let Some(dy) = &mut dy {
                dy[example * width..][..width].fill(T::ZERO);
                dy[example * width + largest] = row[largest];
            }
        }
        Ok(Total::sum(sum, 1.0))
    }
}

#[test]
fn a_network_that_was_saved_and_opened_is_explained_as_before() {
    let mut compared = 0;
    for case in cases() {
        // A custom layer is no description.
        let Ok(description) = case.network.description() else { continue };
        let json = serde_json::to_string(&description).unwrap();
        let mut opened: Network<f64> = serde_json::from_str::<NetworkDescription>(&json).unwrap().build().unwrap();
        opened.parameters_mut().copy_from_slice(case.network.parameters());
        let expected = case.explain();
        let opened = Case { network: opened, ..case };
        let explanation = opened.explain();
        assert_eq!(explanation, expected, "{}", opened.name);
        assert_eq!(format!("{explanation:#}"), format!("{expected:#}"), "{}", opened.name);
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn layers_that_are_chosen_by_settings_are_explained_as_those_that_are_named() {
    let named =
        Case::new("named", &[2], sequential![Affine::new(3), Residual(sequential![Affine::new(3), Silu]), Softmax]);
    let chosen: [Description; 2] = [Affine::new(3).into(), Silu.into()];
    let chain = sequential![chosen[0].clone(), Residual(sequential![chosen[0].clone(), chosen[1].clone()])];
    let chosen = Case::new("chosen", &[2], chain.then(Description::from(Softmax)));
    assert_eq!(chosen.explain(), named.explain());
    assert!(matches!(chosen.explain().steps[0].local, Local::Affine));
}

/// The numbers of an explanation without a formula, apart from those that were given.
fn without_formula(explanation: &Explanation) -> Vec<String> {
    let origins = explanation.numbers().into_iter().filter_map(|number| explanation.origin(number));
    let others = origins.filter(|origin| !matches!(origin.source, Source::Given | Source::Formula | Source::Frozen));
    others.map(|origin| origin.to_string()).collect()
}

#[test]
fn each_number_of_a_layer_with_equations_has_its_formula() {
    // Pooling, concatenation, what is drawn at random and what a user has written have none.
    let others = ["pooling", "branches", "own layer", "own activation", "random"];
    for case in cases().iter().filter(|case| !others.contains(&case.name)) {
        let without = without_formula(&case.explain());
        assert!(without.is_empty(), "{}: {without:#?}", case.name);
    }
}

#[test]
fn gates_are_values_with_their_equations() {
    let mut network = Network::<f64>::build([2, 1], Lstm::new(1), Seed(2)).unwrap();
    let numbers: Vec<f64> = (0..network.parameters().len()).map(|i| (i as f64 * 0.7).sin()).collect();
    network.parameters_mut().copy_from_slice(&numbers);
    let x = Batch::new(&[0.5, -1.0], 1, [2, 1]).unwrap();
    let explanation = network.explain(x, Target::Values(&[0.5, 0.0]), &MeanSquaredError::new()).unwrap();
    let Local::Equations { inner, .. } = &explanation.steps[0].local else { panic!("{explanation}") };
    let names: Vec<&str> = inner.iter().map(|inner| inner.name.as_str()).collect();
    assert_eq!(names, ["a_i", "a_f", "a_g", "a_o", "i", "f", "g", "o", "c", "h"]);
    let symbols = |number| {
        let origin = explanation.origin(number).unwrap();
        format!("{} = {}", origin.symbol.text, origin.formula.unwrap().symbols())
    };
    let (step, index) = (0, 1);
    assert_eq!(symbols(Number::Inner { step, array: 4, index }), "i₂₁ = σ(a_i₂₁)");
    assert_eq!(symbols(Number::Inner { step, array: 8, index }), "c₂₁ = f₂₁ · c₁₁ + i₂₁ · g₂₁");
    assert_eq!(symbols(Number::Inner { step, array: 9, index }), "h₂₁ = o₂₁ · tanh(c₂₁)");
    let by = Variable::Inner { array: 0, index };
    assert_eq!(symbols(Number::InnerDerivative { step, array: 4, index, by }), "di₂₁/da_i₂₁ = i₂₁ · (1 − i₂₁)");
    let by = Variable::Inner { array: 8, index };
    assert_eq!(symbols(Number::InnerDerivative { step, array: 9, index, by }), "dh₂₁/dc₂₁ = o₂₁ · (1 − (tanh(c₂₁))²)");
    assert_eq!(symbols(Number::InnerGradient { step, array: 7, index }), "dJ/do₂₁ = dJ/dh₂₁ · dh₂₁/do₂₁");
    // By hand.
    let value = |array: usize, index: usize| inner[array].values.numbers[index];
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    near(value(4, 1), sigmoid(value(0, 1)), 1e-15, "i");
    near(value(8, 1), value(5, 1) * value(8, 0) + value(4, 1) * value(6, 1), 1e-15, "c");
    near(explanation.nodes[1].values.numbers[1], value(7, 1) * value(8, 1).tanh(), 1e-15, "h");
    let (dh, slope) = (explanation.nodes[1].gradient.numbers[1], value(7, 1) * (1.0 - value(8, 1).tanh().powi(2)));
    near(inner[8].gradient.numbers[1], dh * slope, 1e-15, "dJ/dc");
}

#[test]
fn each_loss_shows_its_formula() {
    /// Runs the loss on the outputs of an affine layer, between 0 and 1 or through another activation.
    fn check(activation: Description, shape: &[usize], target: Target<'_, f64>, loss: &impl Loss) {
        let width: usize = shape.iter().product();
        let chain =
            sequential![Affine::new(width), activation, downhill_layers::Reshape::new(Shape::new(shape).unwrap())];
        let network = Network::<f64>::build([3], chain, Seed(4)).unwrap();
        let x = Batch::new(&[0.5, -1.0, 0.3, 1.0, 0.25, -0.7], 2, [3]).unwrap();
        let explanation = network.explain(x, target, loss).unwrap();
        let without = without_formula(&explanation);
        assert!(without.is_empty(), "{loss:?}: {without:#?}");
        SHOWN.lock().unwrap().insert(explanation.loss.name);
    }
    static SHOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let plain = || Description::from(Identity);
    let inside = || Description::from(Sigmoid);
    let values = Target::Values(&[1.0, 0.0, 0.25, 1.0]);
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean] {
        check(plain(), &[2], values, &MeanSquaredError::new().reduction(reduction));
    }
    check(plain(), &[2], values, &MeanAbsoluteError::new());
    for size in [0.1, 1.0, 10.0] {
        check(plain(), &[2], values, &Huber::new(size));
        check(plain(), &[2], values, &SmoothL1::new(size));
    }
    check(plain(), &[2], values, &LogCosh::new());
    check(plain(), &[2], values, &Quantile::new(0.3));
    check(plain(), &[2], values, &PoissonNll::new());
    check(inside(), &[2], Target::Values(&[3.0, 0.0, 2.0, 1.0]), &PoissonNll::new().rates().full());
    check(LogSoftmax.into(), &[2], Target::Values(&[0.5, 0.5, 0.0, 1.0]), &KlDivergence::new());
    check(LogSoftmax.into(), &[2], Target::Values(&[-0.7, -0.7, -0.1, -2.0]), &KlDivergence::new().log_target());
    let signs = Target::Values(&[1.0, -1.0, -1.0, 1.0]);
    check(plain(), &[2], signs, &Hinge::new());
    check(plain(), &[2], signs, &Hinge::new().squared());
    check(plain(), &[2], signs, &SoftMargin::new());
    check(plain(), &[2], signs, &HingeEmbedding::new(1.0));
    check(inside(), &[2], values, &BinaryCrossEntropy::new());
    check(plain(), &[2], values, &BinaryCrossEntropyWithLogits::new());
    check(plain(), &[2], values, &BinaryCrossEntropyWithLogits::new().positive_weights([2.0, 0.5]));
    check(plain(), &[2], values, &BinaryFocal::new(2.0));
    check(plain(), &[2], values, &BinaryFocal::new(1.5).alpha(0.25));
    check(plain(), &[2], values, &MultiLabelSoftMargin::new());
    check(plain(), &[2], values, &MultiLabelSoftMargin::new().class_weights([2.0, 0.5]));

    let classes = Target::Classes(&[1, 0]);
    check(plain(), &[1], classes, &BinaryCrossEntropyWithLogits::new());
    check(plain(), &[1], classes, &Hinge::new());
    check(plain(), &[3], classes, &SoftmaxCrossEntropy::new());
    check(plain(), &[3], classes, &SoftmaxCrossEntropy::new().label_smoothing(0.1));
    let weights = [2.0, 0.5, 1.5];
    check(plain(), &[3], classes, &SoftmaxCrossEntropy::new().class_weights(weights).label_smoothing(0.1));
    check(plain(), &[3], Target::Values(&[0.5, 0.25, 0.25, 0.0, 0.0, 1.0]), &SoftmaxCrossEntropy::new());
    check(LogSoftmax.into(), &[3], classes, &NegativeLogLikelihood::new().class_weights(weights));
    check(plain(), &[3], classes, &SoftmaxFocal::new(2.0));
    check(plain(), &[3], classes, &SoftmaxFocal::new(0.5).class_weights(weights));
    check(plain(), &[3], classes, &MultiMargin::new(1.0));
    check(plain(), &[3], classes, &MultiMargin::new(0.5).squared().class_weights(weights));
    let positions = Target::Classes(&[1, 0, 2, 1]);
    check(plain(), &[3, 2], positions, &SoftmaxCrossEntropy::new().ignored_index(2));
    check(plain(), &[2, 3], positions, &SoftmaxCrossEntropy::new().class_axis(ClassAxis::Last));

    check(plain(), &[3], Target::Values(&[1.0, 0.0, 1.0, 0.0, 0.0, 1.0]), &MultiLabelMargin::new());
    check(plain(), &[4], signs, &MarginRanking::new(0.5));
    check(plain(), &[4], Target::Values(&[1.0, -1.0]), &CosineEmbedding::new(-0.5));
    check(plain(), &[6], Target::Values(&[]), &TripletMargin::new(1.0));
    check(plain(), &[6], Target::Values(&[]), &TripletMargin::new(1.0).swap());
    check(plain(), &[6], Target::Values(&[]), &TripletMargin::new(1.0).power(1.0));
    check(plain(), &[6], Target::Values(&[]), &TripletMargin::new(1.0).power(3.0));
    let masks = Target::Values(&[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
    check(inside(), &[2, 2], masks, &Dice::new());
    check(inside(), &[2, 2], masks, &Dice::new().squared().smoothing(0.0));
    check(inside(), &[4], values, &GaussianNll::new());
    check(inside(), &[4], values, &GaussianNll::new().full());
    // A variance below the least has the slope of the least.
    check(inside(), &[4], values, &GaussianNll::new().epsilon(0.5));
    check(inside(), &[4], values, &Weighted::new(&GaussianNll::new().epsilon(0.5), &[3.0, 0.5]));

    // With weights: of examples, of numbers, and of positions.
    check(plain(), &[2], values, &Weighted::new(&MeanSquaredError::new(), &[3.0, 0.5]));
    check(plain(), &[2], values, &Weighted::new(&Huber::new(0.5), &[3.0, 0.0, 1.0, 2.0]));
    check(plain(), &[3], classes, &Weighted::new(&SoftmaxCrossEntropy::new().class_weights(weights), &[3.0, 0.5]));
    let (of_positions, last) = ([1.0, 2.0, 0.0, 3.0], SoftmaxCrossEntropy::new().class_axis(ClassAxis::Last));
    check(plain(), &[2, 3], positions, &Weighted::new(&last, &of_positions));
    let logits = BinaryCrossEntropyWithLogits::new();
    check(plain(), &[3, 2], Target::Values(&[1.0; 12]), &Weighted::new(&logits, &of_positions));
    let logits = logits.class_axis(ClassAxis::Last);
    check(plain(), &[2, 3], Target::Values(&[1.0; 12]), &Weighted::new(&logits, &of_positions));
    // A class without weight is left out, and so is what is smoothed to others.
    let weights = [2.0, 0.0, 1.5];
    check(plain(), &[3], classes, &SoftmaxCrossEntropy::new().class_weights(weights).label_smoothing(0.1));
    check(plain(), &[3], classes, &SoftmaxFocal::new(0.0).class_weights(weights));
    check(inside(), &[2, 2], masks, &Weighted::new(&Dice::new(), &[3.0, 0.5]));
    check(plain(), &[2], values, &Weighted::new(&MeanSquaredError::new(), &[3.0, 0.5]).reduction(Reduction::BatchMean));
    // The README names the others.
    let mut all = implementors("losses", &["impl Loss for ", "impl PointwiseLoss for "]);
    let mut shown = SHOWN.lock().unwrap().clone();
    shown.remove("Weighted");
    assert!(all.remove("Ctc") && all.remove("MultiTask"));
    assert_eq!(shown, all);
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

/// Layers as they are by default, with the shapes that they take.
fn layers() -> Vec<(Vec<Vec<usize>>, Vec<Description>)> {
    let of_vectors = descriptions! {
        Affine::new(2), RRelu::default(), Dropout::new(0.5), Softmax, Softmin, LogSoftmax, Glu::new(), Scale::new(1.5),
        PRelu::new(), BatchNorm::new(), LayerNorm::new(), RmsNorm::new(), Reshape::new([2, 2]), Slice::new(0, 1..3)
    };
    let of_sequences = descriptions! {
        Conv1d::new(2, 3), MaxPool1d::new(2), AveragePool1d::new(2), AdaptiveAveragePool1d::new(3), GlobalAveragePool,
        Flatten, SpatialDropout::new(0.5), GroupNorm::new(2), InstanceNorm::new(), Mean::new(1), Sum::new(1), Rnn::new(2),
        Lstm::new(2), Gru::new(2), MultiHeadAttention::new(2), LearntPositions::new(), SinusoidalPositions::new(),
        RotaryPositions::new(), Pad::new([1, 1]), Permute::transpose(0, 1)
    };
    let of_images = descriptions! {
        Conv2d::new(2, 3), ConvTranspose2d::new(2, 2), MaxPool2d::new(2), AveragePool2d::new(2), Upsample::new(2.0),
        AdaptiveAveragePool2d::new(3)
    };
    vec![
        (vec![vec![4]], activations()),
        (vec![vec![4]], of_vectors),
        (vec![vec![2]], descriptions! { Embedding::new(4, 3) }),
        (vec![vec![4]; 2], descriptions! { Add, Multiply, Bilinear::new(2), Concat::new(0) }),
        (vec![vec![2, 4]], of_sequences),
        (vec![vec![2, 4], vec![1]], descriptions! { FinitePadding }),
        (vec![vec![1, 4, 4]], of_images),
    ]
}

#[test]
fn each_layer_shows_its_formulas_or_is_named_in_the_readme() {
    each_layer::<f64>();
    each_layer::<f32>();
}

fn each_layer<T: Scalar>() {
    let (mut all, mut without_y, mut without_slopes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let layers =
        layers().into_iter().flat_map(|(shapes, layers)| layers.into_iter().map(move |at| (at, shapes.clone())));
    for (layer, shapes) in layers {
        let mut graph = Graph::new();
        let nodes: Vec<_> = shapes.iter().map(|axes| graph.input(Shape::new(axes).unwrap())).collect();
        let y = graph.apply(layer.clone(), &nodes).unwrap_or_else(|error| panic!("{layer:?}: {error}"));
        let network = Network::<T>::from_graph(&graph, y, Seed(1)).unwrap();
        let wave = |i: usize| T::from_f64((i as f64 * 1.7 + 0.4).sin());
        let numbers: Vec<Vec<T>> = match layer {
            Description::Embedding(_) => vec![[0.0, 1.0, 3.0, 2.0].map(T::from_f64).to_vec()],
            Description::FinitePadding(_) => vec![vec![T::ONE; 16], [1.0, 2.0].map(T::from_f64).to_vec()],
            _ => shapes.iter().map(|axes| (0..2 * axes.iter().product::<usize>()).map(wave).collect()).collect(),
        };
        let mut x = Inputs::empty();
        for (input, (numbers, axes)) in numbers.iter().zip(&shapes).enumerate() {
            x.set(input, Batch::new(numbers, 2, Shape::new(axes).unwrap()).unwrap());
        }
        let target = vec![T::ONE; 2 * network.output_shape().len()];
        let explanation = network.explain(x, Target::Values(&target), &MeanSquaredError::new()).unwrap();
        let name = &explanation.steps[0].layer;
        for number in explanation.numbers() {
            let is_known = explanation.origin(number).unwrap().formula.is_some();
            let without = match number {
                Number::Value { node, .. } if node == explanation.loss.node => &mut without_y,
                Number::Slope { .. } | Number::Derivative { .. } | Number::InnerDerivative { .. } => {
                    &mut without_slopes
                }
                _ => continue,
            };
            without.extend((!is_known).then(|| name.clone()));
        }
        all.insert(name.clone());
    }
    assert_eq!(all, Description::NAMES.iter().map(|&name| name.to_owned()).collect());
    for names in [without_y, without_slopes] {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        assert!(include_str!("../README.md").contains(&format!("of {names} ")), "{names}");
    }
}

#[test]
fn a_loss_without_an_equation_is_named() {
    let network = Network::<f64>::build([4, 3], sequential![Affine::new(3), LogSoftmax], Seed(4)).unwrap();
    let x: Vec<f64> = (0..12).map(|i| (i as f64).sin()).collect();
    let x = Batch::new(&x, 1, [4, 3]).unwrap();
    fn sources(network: &Network<f64>, x: Batch<'_, f64>, loss: &impl Loss) -> [Source; 2] {
        let explanation = network.explain(x, Target::Classes(&[1, 2]), loss).unwrap();
        let node = explanation.loss.node;
        [Number::Loss, Number::Gradient { node, index: 1 }].map(|number| explanation.origin(number).unwrap().source)
    }
    let named = |name: &str| [(); 2].map(|()| Source::Loss(name.into()));
    assert_eq!(sources(&network, x, &Ctc::new()), named("Ctc"));
    assert_eq!(sources(&network, x, &LargestSquared), named("LargestSquared"));
}

/// The links that have shown their formulas.
static LINKS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Explains eight steps of an optimizer, and makes them.
fn each_step<T: Scalar>(optimizer: &mut dyn Optimizer<T>, shows: bool) {
    let mut network = Network::<T>::build([2], sequential![Affine::new(3), Tanh, Affine::new(1)], Seed(1)).unwrap();
    let numbers = |all: &[f64]| all.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let (x, target) = (numbers(&[0.5, 1.0, -1.0, 2.0]), numbers(&[1.0, 0.0]));
    let (x, target, loss) = (Batch::new(&x, 2, [2]).unwrap(), Target::Values(&target), MeanSquaredError::new());
    let mut workspace = network.workspace(Purpose::Training);
    let OptimizerState { name, counters, .. } = optimizer.state();
    let done = counters.iter().find(|(name, _)| name == "step").map_or(0, |(_, steps)| *steps);
    for step in 0..8 {
        let mode = Mode::Training { step };
        let settings = Settings::new().mode(mode).optimizer(&mut *optimizer);
        let explanation = network.explain_with(x, target, &loss, settings).unwrap();
        assert_eq!(explanation.update.as_ref().unwrap().number, done + step + 1);
        let without = without_formula(&explanation);
        assert_eq!(without.is_empty(), shows, "{name}, step {step}: {without:#?}");
        if let Some(update) = explanation.update.filter(|_| shows) {
            LINKS.lock().unwrap().extend(update.links.into_iter().map(|(name, _)| name));
        }
        network.backpropagate(x, target, &loss, &mut workspace, mode).unwrap();
        network.step(optimizer, &mut workspace).unwrap();
        let remembered =
            explanation.parameters.iter().flat_map(|at| at.memory.iter().map(|memory| &memory.after.numbers));
        assert!(remembered.flatten().all(|number| number.is_finite()));
    }
}

#[test]
fn each_element_wise_optimizer_shows_its_formulas() {
    fn all<T: Scalar>() {
        each_step::<T>(&mut GradientDescent::new(0.1), true);
        each_step::<T>(&mut Sgd::new(0.1).momentum(0.9).nesterov(), true);
        each_step::<T>(&mut Adam::new(0.01).betas(0.8, 0.9).weight_decay(0.1), true);
        each_step::<T>(&mut AmsGrad::new(0.01), true);
        each_step::<T>(&mut Adamax::new(0.01), true);
        each_step::<T>(&mut NAdam::new(0.01).weight_decay(0.1).decoupled(), true);
        each_step::<T>(&mut RAdam::new(0.01).weight_decay(0.1).decoupled(), true);
        each_step::<T>(&mut Adan::new(0.01).weight_decay(0.1), true);
        each_step::<T>(&mut Adan::new(0.01).weight_decay(0.1).decoupled(), true);
        each_step::<T>(&mut RmsProp::new(0.01).momentum(0.9), true);
        each_step::<T>(&mut Adadelta::new(1.0), true);
        each_step::<T>(&mut Lion::new(0.001).weight_decay(0.1), true);
        // An estimate of the Hessian that was given before the first step is forgotten.
        let mut sophia = SophiaG::new(0.001).rho(10.0);
        for _ in 0..2 {
            sophia.update_hessian(&(0..13).map(|i| T::from_f64(f64::from(i).sin())).collect::<Vec<T>>());
            each_step::<T>(&mut sophia, true);
        }
        each_step::<T>(&mut Sgd::new(0.1).momentum(0.9).dampening(0.5), true);
        each_step::<T>(&mut RmsProp::new(0.01).centered().momentum(0.9), true);
        each_step::<T>(&mut ScheduleFreeAdamW::new(0.01).weights(1.0, 2.0), true);
        each_step::<T>(&mut Adam::new(0.01).after(ClipValue::new(0.01)).after(ClipValue::new(1.0)), true);
        // Groups with their own rates and decays, and one that is not stepped.
        let halved = || Group::new(|segment| segment.name == "0.weight").rate_factor(0.5).weight_decay(0.2);
        let frozen = || Group::frozen(|segment| segment.name == "2.weight");
        each_step::<T>(&mut AdamW::new(0.01).no_decay_on_biases(), true);
        each_step::<T>(&mut AdamW::new(0.01).group(halved()).group(frozen()), true);
        each_step::<T>(&mut Sgd::new(0.1).group(halved()).group(frozen()), true);
        each_step::<T>(&mut Adan::new(0.01).group(halved()), true);
        each_step::<T>(&mut Rprop::new(0.01).group(halved()).group(frozen()), true);
        each_step::<T>(&mut Asgd::new(0.1).start(2.0).lambda(0.1).weight_decay(0.1).group(halved()), true);
        each_step::<T>(&mut Adagrad::new(0.1).initial_sum(0.5).rate_decay(0.1).group(frozen()), true);
        each_step::<T>(
            &mut ScheduleFreeSgd::new(0.5).warmup(3).weight_decay(0.1).group(halved()).group(frozen()),
            true,
        );
        // Its trust ratio is that of a whole parameter.
        each_step::<T>(&mut Lamb::new(0.01), false);
    }
    all::<f64>();
    all::<f32>();
    // The README names the others.
    let mut links = implementors("optim", &["impl<T: Scalar> Link<T> for "]);
    links.extend(["AddDecay", "CoupledDecay", "DecoupledDecay", "ProximalDecay"].map(str::to_owned));
    assert!(links.remove("ClipNorm"));
    assert_eq!(*LINKS.lock().unwrap(), links);
}

#[test]
fn a_group_has_its_own_formula() {
    fn symbols<T: Scalar>(mut optimizer: impl Optimizer<T>, parameter: usize) -> String {
        let network = Network::<T>::build([1], Affine::new(1), Seed(1)).unwrap();
        let (x, target) = ([T::ONE], [T::from_f64(-3.0)]);
        let (x, target) = (Batch::new(&x, 1, [1]).unwrap(), Target::Values(&target));
        let settings = Settings::new().optimizer(&mut optimizer);
        let explanation = network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap();
        let origin = explanation.origin(Number::Updated { parameter, index: 0 }).unwrap();
        origin.formula.clone().unwrap_or_else(|| panic!("{origin}")).symbols()
    }
    fn all<T: Scalar>() {
        let [decayed, plain] = [0, 1].map(|parameter| symbols(AdamW::<T>::new(1e-3).no_decay_on_biases(), parameter));
        assert!(decayed.ends_with(" + η · 0.01 · w)") && !plain.contains("0.01 ·"), "{decayed}, {plain}");
        let group = || Group::new(|segment| segment.name == "bias").rate_factor(10.0).weight_decay(0.5);
        let descent = symbols(GradientDescent::<T>::new(0.1).group(group()), 1);
        assert_eq!(descent, "b − η · 10 · dJ/db");
        let sgd = symbols(Sgd::<T>::new(0.1).weight_decay(0.1).group(group()), 1);
        assert_eq!(sgd, "b − η · 10 · (dJ/db + 0.5 · b)");
        assert_eq!(symbols(Sgd::<T>::new(0.1).group(Group::frozen(|_| true)), 1), "b");
    }
    all::<f64>();
    all::<f32>();
}

/// A link of a user's whose memory starts at 3.
#[derive(Clone, Debug)]
struct Counted;

impl<T: Scalar> Link<T> for Counted {
    type Slots = [T; 1];
    type Scalars = ();

    fn names(&self) -> Vec<&'static str> {
        vec!["counted.steps"]
    }

    fn scalars(&self, _: &StepContext) {}

    fn apply((): &(), _: T, direction: T, [steps]: &mut [T; 1]) -> T {
        *steps += T::ONE;
        direction
    }

    fn initial(&self, _: T, _: &StepContext) -> [T; 1] {
        [T::from_f64(3.0)]
    }
}

#[test]
fn what_is_remembered_before_the_first_step_is_known_or_left_out() {
    let network = Network::<f64>::build([2], Affine::new(1), Seed(1)).unwrap();
    let (x, target) = (Batch::new(&[0.5, -1.0], 1, [2]).unwrap(), Target::Values(&[1.0]));
    let explain = |optimizer: &mut dyn Optimizer<f64>| {
        let settings = Settings::new().optimizer(optimizer);
        network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap()
    };
    let before = |optimizer: &mut dyn Optimizer<f64>, slot: usize| {
        let explanation = explain(optimizer);
        explanation.parameters.iter().map(|at| at.memory[slot].before.numbers.clone()).collect::<Vec<_>>().concat()
    };
    assert_eq!(before(&mut ScheduleFreeSgd::new(0.5), 0), network.parameters());
    assert_eq!(before(&mut Adagrad::new(0.5).initial_sum(0.25), 0), [0.25; 3]);
    let group = Group::new(|segment| segment.name == "bias").rate_factor(0.5);
    assert_eq!(before(&mut Rprop::new(0.5).group(group), 0), [0.5, 0.5, 0.25]);
    assert_eq!(before(&mut Adam::new(0.5), 1), [0.0; 3]);
    // Another's memory is shown from its second step on.
    let mut own = Stepper::from_rule(Chain((Counted, ScaleByRate)), 0.1);
    assert!(explain(&mut own).parameters.iter().all(|at| at.memory.is_empty()));
    own.step(&mut network.parameters().to_vec(), &[1.0; 3]);
    assert_eq!(before(&mut own, 0), [4.0; 3]);
}
