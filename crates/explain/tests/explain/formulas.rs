//! The formulas of layers and losses.

use super::*;

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
        assert!(include_str!("../../README.md").contains(&format!("of {names} ")), "{names}");
    }
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
