//! Networks of all kinds, and what is said of large ones.

use super::*;

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
    network.backpropagate(x, target, &SoftmaxCrossEntropy::new(), &mut workspace, MODE).unwrap();
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
    let (x, target) = (Batch::new(&[0.5; 6], 1, [3, 2]).unwrap(), Target::Values(&[0.0; 6]));
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
