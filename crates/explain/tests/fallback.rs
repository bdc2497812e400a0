//! Layers whose equations are not known: they are explained by their Jacobian instead.

use downhill_explain::{Explain, Explanation, Local, Number, Settings, Source, Variable};
use downhill_layers::*;
use downhill_losses::{MeanSquaredError, Target};
use downhill_network::{Graph, Network, Purpose};
use downhill_optim::SophiaG;
use downhill_tensor::{Batch, Scalar, Seed, Shape};

/// The examples of a batch, and the steps of the longest sequence.
const EXAMPLES: usize = 2;
const STEPS: usize = 3;

/// How long the sequences of the batch are.
const LENGTHS: [f64; EXAMPLES] = [2.0, 3.0];

/// A layer with its inputs, of which the lengths are the last.
struct Case<T: Scalar> {
    name: &'static str,
    network: Network<T>,
    inputs: Vec<Vec<T>>,
    /// The mode in which the equations are not known.
    mode: Mode,
}

impl<T: Scalar> Case<T> {
    fn new(name: &'static str, layer: impl Layer + 'static, inputs: &[&[usize]]) -> Self {
        let mut graph = Graph::new();
        let nodes: Vec<_> = inputs.iter().map(|axes| graph.input(Shape::new(axes).unwrap())).collect();
        let y = graph.apply(layer, &nodes).unwrap();
        let mut network = Network::from_graph(&graph, y, Seed(5)).unwrap();
        // Biases are 0 at the start.
        for (index, theta) in network.parameters_mut().iter_mut().enumerate() {
            *theta = T::from_f64((index as f64 * 1.3 + 0.2).sin() * 0.8);
        }
        let numbers = |(input, axes): (usize, &&[usize])| match **axes {
            [1] => LENGTHS.map(T::from_f64).to_vec(),
            _ => {
                let count = EXAMPLES * axes.iter().product::<usize>();
                (0..count).map(|i| T::from_f64((i as f64 * 1.7 + input as f64 + 0.4).sin())).collect()
            }
        };
        let inputs = inputs.iter().enumerate().map(numbers).collect();
        Self { name, network, inputs, mode: Mode::Training { step: 3 } }
    }

    fn evaluated(self) -> Self {
        Self { mode: Mode::Evaluation, ..self }
    }

    /// The inputs as a batch, with those of one input moved.
    fn batch<'x>(&self, inputs: &'x [Vec<T>]) -> Inputs<'x, T> {
        let mut x = Inputs::empty();
        for (input, (numbers, shape)) in inputs.iter().zip(self.network.input_shapes()).enumerate() {
            x.set(input, Batch::new(numbers, EXAMPLES, shape).unwrap());
        }
        x
    }

    fn forward(&self, theta: &[T], inputs: &[Vec<T>]) -> Vec<T> {
        let mut workspace = self.network.workspace(Purpose::Training);
        self.network.forward(theta, self.batch(inputs), &mut workspace, self.mode).unwrap().slice().to_vec()
    }

    fn explain_with(&self, settings: Settings<'_, T>) -> Explanation {
        let count = EXAMPLES * self.network.output_shape().len();
        let target: Vec<T> = (0..count).map(|i| T::from_f64((i as f64).cos())).collect();
        let loss = MeanSquaredError::new();
        self.network.explain_with(self.batch(&self.inputs), Target::Values(&target), &loss, settings).unwrap()
    }

    fn explain(&self) -> Explanation {
        self.explain_with(Settings::new().mode(self.mode).learning_rate(0.3))
    }
}

fn cases<T: Scalar>() -> Vec<Case<T>> {
    let (sequence, length): (&[usize], &[usize]) = (&[STEPS, 2], &[1]);
    let (wide, memory): (&[usize], &[usize]) = (&[STEPS, 4], &[STEPS, 4]);
    let rotary = || MultiHeadAttention::new(2).rotary_positions(RotaryPositions::new());
    vec![
        Case::new("rnn with lengths", Rnn::new(2).lengths(), &[sequence, length]),
        Case::new("lstm with lengths", Lstm::new(2).lengths(), &[sequence, length]),
        Case::new("gru with lengths", Gru::new(2).lengths().last_state(), &[sequence, length]),
        Case::new("two directions", Lstm::new(1).layers(2).bidirectional().lengths(), &[sequence, length]),
        Case::new("lstm with dropout", Lstm::new(2).layers(2).dropout(0.4), &[sequence]),
        Case::new("gru with both", Gru::new(2).layers(2).dropout(0.4).lengths(), &[sequence, length]),
        Case::new("attention with lengths", MultiHeadAttention::new(2).lengths(), &[wide, length]),
        Case::new("memory with lengths", MultiHeadAttention::new(1).lengths().no_bias(), &[wide, memory, length]),
        Case::new("attention with rotary positions", rotary(), &[wide]),
        Case::new("attention with dropout", MultiHeadAttention::new(2).dropout(0.4), &[wide]),
        Case::new("attention with all", rotary().causal().lengths().dropout(0.4), &[wide, length]),
        Case::new("batch norm in evaluation", BatchNorm::new(), &[sequence]).evaluated(),
    ]
}

fn near(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((got - expected).abs() <= tolerance * (1.0 + expected.abs()), "{what}: {got} and not {expected}");
}

#[test]
fn jacobians_are_those_of_finite_differences() {
    for case in cases::<f64>() {
        let (explanation, theta) = (case.explain(), case.network.parameters());
        let Local::Jacobian { dx, dtheta } = &explanation.steps[0].local else {
            panic!("{}: {:?}", case.name, explanation.steps[0].local)
        };
        let y = case.forward(theta, &case.inputs);
        assert_eq!(explanation.nodes[explanation.loss.node].values.numbers, y, "{}", case.name);
        let h = 1e-5;
        let compare = |by: Variable, got: &dyn Fn(usize) -> f64, run: &dyn Fn(f64) -> Vec<f64>| {
            let (left, right) = (run(-h), run(h));
            for output in 0..y.len() {
                let what = format!("{}: dy{output} by {by:?}", case.name);
                let expected = (right[output] - left[output]) / (2.0 * h);
                near(got(output), expected, 1e-8, &what);
                let number = Number::Derivative { step: 0, output, by };
                assert_eq!(explanation.value(number), Some(got(output)), "{what}");
            }
        };
        for (input, numbers) in case.inputs.iter().enumerate() {
            let get = |output: usize, index: usize| dx[input].get(output, index).unwrap();
            for index in 0..numbers.len() {
                if explanation.nodes[input].whole_numbers {
                    (0..y.len()).for_each(|output| assert_eq!(get(output, index), 0.0, "{}", case.name));
                    continue;
                }
                let run = |offset: f64| {
                    let mut inputs = case.inputs.clone();
                    inputs[input][index] += offset;
                    case.forward(theta, &inputs)
                };
                compare(Variable::Input { input, index }, &|output| get(output, index), &run);
            }
        }
        let mut first = 0;
        for (parameter, at) in explanation.parameters.iter().enumerate() {
            for index in 0..at.values.numbers.len() {
                let run = |offset: f64| {
                    let mut theta = theta.to_vec();
                    theta[first + index] += offset;
                    case.forward(&theta, &case.inputs)
                };
                let get = |output: usize| dtheta[parameter].get(output, index).unwrap();
                compare(Variable::Parameter { parameter, index }, &get, &run);
            }
            first += at.values.numbers.len();
        }
        assert_eq!(first, theta.len(), "{}", case.name);
    }
}

fn each_number<T: Scalar>() {
    for case in cases::<T>() {
        let explanation = case.explain();
        let of_layer = Source::Layer(explanation.steps[0].layer.clone());
        let (mut gradients, mut by_layer) = (0, 0);
        for number in explanation.numbers() {
            let origin = explanation.origin(number).unwrap();
            let what = format!("{} in {}: {origin}", case.name, T::NAME);
            match number {
                Number::Product { .. } | Number::ParameterProduct { .. } | Number::ParameterGradient { .. } => {
                    assert_eq!(origin.source, Source::Formula, "{what}");
                    gradients += 1;
                }
                // A padded number is 0, and that of a batch norm follows from its slopes.
                Number::Value { node, .. } if node == explanation.loss.node => {
                    assert!(origin.source == of_layer || origin.source == Source::Formula, "{what}");
                    by_layer += usize::from(origin.source == of_layer);
                }
                Number::Derivative { .. } => {
                    assert_eq!(origin.source, of_layer, "{what}");
                    by_layer += 1;
                }
                Number::Inner { .. } | Number::InnerGradient { .. } | Number::InnerDerivative { .. } => {
                    panic!("{what}")
                }
                _ => {}
            }
            if let Some(formula) = &origin.formula {
                near(formula.evaluate(), origin.value, if T::NAME == "f32" { 1e-5 } else { 1e-10 }, &what);
            }
        }
        let parameters: usize = explanation.parameters.iter().map(|at| at.values.numbers.len()).sum();
        assert!(gradients >= 2 * parameters && by_layer > 0, "{}: {gradients} {by_layer}", case.name);
    }
}

#[test]
fn gradients_are_sums_over_the_jacobian_and_the_rest_is_as_the_layer_computes_it() {
    each_number::<f64>();
    each_number::<f32>();
}

#[test]
fn what_is_padded_is_0_and_has_no_derivative() {
    for name in ["lstm with lengths", "rnn with lengths"] {
        let case = cases::<f64>().into_iter().find(|case| case.name == name).unwrap();
        let explanation = case.explain();
        // The last step of the first example, of two numbers.
        for index in 4..6 {
            let origin = explanation.origin(Number::Value { node: explanation.loss.node, index }).unwrap();
            assert_eq!(origin.value, 0.0);
            assert_eq!(origin.formula.unwrap().symbols(), "0");
            let Local::Jacobian { dx, dtheta } = &explanation.steps[0].local else { panic!("{name}") };
            assert!(dx.iter().chain(dtheta).all(|matrix| matrix.places.iter().all(|place| place.0 != index)), "{name}");
        }
    }
}

#[test]
fn jacobians_are_shown_and_saved() {
    for case in cases::<f64>() {
        let explanation = case.explain();
        let (text, markdown) = (format!("{explanation:#}"), explanation.markdown());
        assert!(text.contains("     local"), "{}: {text}", case.name);
        assert!(markdown.contains("Local derivatives, those that are not 0:"), "{}: {markdown}", case.name);
        let json = serde_json::to_string(&explanation).unwrap();
        assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation, "{}", case.name);
        // Neither dy/dx nor dJ/dx of lengths.
        let lengths = explanation.nodes.iter().filter(|node| node.whole_numbers).count();
        assert_eq!(text.matches(": none, since these are whole numbers").count(), 2 * lengths, "{}: {text}", case.name);
    }
}

#[test]
fn without_what_is_dropped_the_equations_are_known_again() {
    for case in cases::<f64>().into_iter().filter(|case| case.name.ends_with("with dropout")).map(Case::evaluated) {
        assert!(matches!(case.explain().steps[0].local, Local::Equations { .. }), "{}", case.name);
    }
    for case in cases::<f64>().into_iter().filter(|case| !case.name.ends_with("with dropout")).map(Case::evaluated) {
        assert!(matches!(case.explain().steps[0].local, Local::Jacobian { .. }), "{}", case.name);
    }
}

#[test]
fn a_jacobian_above_the_limit_is_not_listed() {
    for case in cases::<f64>() {
        let explanation = case.explain_with(Settings::new().mode(case.mode).jacobians_up_to(10));
        assert!(matches!(explanation.steps[0].local, Local::NotListed), "{}", case.name);
        let gradients =
            |explanation: &Explanation| explanation.parameters.iter().map(|at| at.gradient.clone()).collect::<Vec<_>>();
        assert_eq!(gradients(&explanation), gradients(&case.explain()), "{}", case.name);
        for number in explanation.numbers() {
            if let Some(formula) = explanation.origin(number).unwrap().formula {
                near(formula.evaluate(), explanation.value(number).unwrap(), 1e-10, case.name);
            }
        }
        assert!(format!("{explanation:#}").contains("not listed"), "{}", case.name);
    }
}

#[test]
fn a_hessian_from_before_the_first_step_is_shown() {
    let network = Network::<f64>::build([2], Affine::new(1), Seed(1)).unwrap();
    let (x, target) = (Batch::new(&[0.5, -1.0], 1, [2]).unwrap(), Target::Values(&[1.0]));
    let mut sophia = SophiaG::new(0.5).betas(0.5, 0.75);
    sophia.update_hessian(&[2.0, 0.0, 4.0]);
    let settings = Settings::new().optimizer(&mut sophia);
    let explanation = network.explain_with(x, target, &MeanSquaredError::new(), settings).unwrap();
    let before = explanation.parameters.iter().flat_map(|at| at.memory[1].before.numbers.clone()).collect::<Vec<_>>();
    assert_eq!(before, [1.0, 0.0, 4.0]);
    for number in explanation.numbers() {
        let origin = explanation.origin(number).unwrap();
        assert!(matches!(origin.source, Source::Given | Source::Formula), "{origin}");
    }
}
