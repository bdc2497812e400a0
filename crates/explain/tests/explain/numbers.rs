//! The numbers are those of the passes, and of finite differences.

use super::*;

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

/// The array and the place of a number between; none for y.
type Place = Option<(usize, usize)>;

/// dy/dx through all numbers between, by the local derivatives of the equations.
fn chained(explanation: &Explanation, step: usize, output: usize, by: Variable) -> f64 {
    let Local::Equations { derivatives, .. } = &explanation.steps[step].local else { panic!("no equations") };
    let mut slopes: HashMap<Place, Vec<(Variable, f64)>> = HashMap::new();
    for derivative in derivatives {
        let (of, by) = match derivative.number {
            Number::Derivative { output: own, by, .. } if own == output => (None, by),
            Number::InnerDerivative { array, index, by, .. } => (Some((array, index)), by),
            _ => continue,
        };
        slopes.entry(of).or_default().push((by, derivative.value));
    }
    derivative_of(None, by, &slopes, &mut HashMap::new())
}

/// The derivative of one of these numbers, through those in its equation.
fn derivative_of(
    place: Place,
    by: Variable,
    slopes: &HashMap<Place, Vec<(Variable, f64)>>,
    known: &mut HashMap<Place, f64>,
) -> f64 {
    if let Some(&known) = known.get(&place) {
        return known;
    }
    let through = |&(variable, slope): &(Variable, f64)| match variable {
        variable if variable == by => slope,
        Variable::Inner { array, index } => slope * derivative_of(Some((array, index)), by, slopes, known),
        _ => 0.0,
    };
    let derivative = slopes.get(&place).into_iter().flatten().map(through).sum();
    known.insert(place, derivative);
    derivative
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
        let mut updated = Vec::new();
        for at in &explanation.parameters {
            let after = at.updated.as_ref().unwrap();
            assert!(!at.frozen || *after == at.values);
            updated.extend_from_slice(&after.numbers);
        }
        assert_eq!(updated, theta, "{}", case.name);
    }
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
fn what_is_random_is_drawn_as_in_that_training_step() {
    let network = Network::<f64>::build([50], Dropout::new(0.5), Seed(9)).unwrap();
    let (x, target) = (Batch::new(&[1.0; 50], 1, [50]).unwrap(), Target::Values(&[0.0; 50]));
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
