//! No warning of what is sound.

use downhill_data::Dataset;
use downhill_layers::{
    Affine, BatchNorm, Conv2d, Dropout, Embedding, Flatten, GlobalAveragePool, Gru, LayerNorm, LearntPositions, Lstm,
    MaxPool2d, Relu, Sigmoid, Tanh,
};
use downhill_losses::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, Huber, Loss, MeanSquaredError, SoftmaxCrossEntropy,
};
use downhill_network::{Block, Frozen, Graph, Network, Repeat, Residual, TransformerEncoderBlock, sequential};
use downhill_optim::schedule::{Linear, OneCycle};
use downhill_optim::{Adam, AdamW, GradientDescent, Optimizer, Sgd};
use downhill_tensor::{Seed, Shape};
use downhill_train::{Diagnosis, EarlyStopping, Trainer};
use ndarray::Array2;

use crate::{curve, images, normals, ring, said};

/// Trains with every step observed and with every tenth, and expects no warning of either.
fn assert_sound<'a, L: Loss, O: Optimizer<f32>>(
    name: &str,
    network: &Network<f32>,
    data: &Dataset<f32>,
    trainer: impl Fn() -> Trainer<'a, f32, L, O>,
) {
    for every in [1, 10] {
        let mut network = network.clone();
        let history = trainer().diagnose(Diagnosis::new().every(every)).fit(&mut network, data).unwrap();
        assert!(history.warnings.is_empty(), "{name}, every {every}:\n{}", said(&history));
    }
}

fn build(input: impl Into<Shape>, block: impl Block) -> Network<f32> {
    Network::build(input, block, Seed(3)).unwrap()
}

#[test]
fn a_multilayer_perceptron_that_is_validated() {
    let (train, test) = ring(800, 1).stratified_split(0.8, Seed(2)).unwrap();
    let network = build([2], sequential![Affine::new(32), Relu, Affine::new(32), Relu, Affine::new(2)]);
    assert_sound("ring", &network, &train, || {
        Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(0.02))
            .epochs(40)
            .schedule(OneCycle::new(800))
            .clip_norm(1.0)
            .validate(&test)
            .early_stopping(EarlyStopping::new().patience(20))
    });
}

#[test]
fn a_convolutional_network() {
    let data = images().reshape([1, 8, 8]).unwrap();
    let network = build(
        [1, 8, 8],
        sequential![
            Conv2d::new(8, 3).padding(1),
            BatchNorm::new(),
            Relu,
            MaxPool2d::new(2),
            Conv2d::new(16, 3).padding(1),
            Relu,
            Flatten,
            Affine::new(32),
            Relu,
            Dropout::new(0.2),
            Affine::new(10)
        ],
    );
    assert_sound("digits", &network, &data, || Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3)).epochs(5));
}

/// Sequences of twelve steps; whether more of them rise than fall.
fn walks(examples: usize) -> Dataset<f32> {
    let x = normals(examples, 12, 5);
    let classes =
        x.rows().into_iter().map(|row| u32::from(row.iter().map(|x| x.signum()).sum::<f32>() > 0.0)).collect();
    let classes: Vec<u32> = classes;
    Dataset::from_array(x, classes).unwrap().reshape([12, 1]).unwrap()
}

#[test]
fn recurrent_networks() {
    let data = walks(600);
    let lstm = build([12, 1], sequential![Lstm::new(16).last_state(), Affine::new(2)]);
    let trainer = || Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01)).epochs(8).clip_norm(1.0);
    assert_sound("an LSTM", &lstm, &data, trainer);
    let gru = build([12, 1], sequential![Gru::new(16).last_state(), Affine::new(2)]);
    assert_sound("a GRU", &gru, &data, trainer);
}

/// Sequences of eight of ten tokens; whether there are more of the lower half.
fn tokens(examples: usize) -> Dataset<f32> {
    let mut stream = Seed(6).stream(0);
    let x = Array2::from_shape_fn((examples, 8), |_| (10.0 * stream.uniform()).floor() as f32);
    let classes: Vec<u32> =
        x.rows().into_iter().map(|row| u32::from(row.iter().filter(|&&token| token < 5.0).count() > 4)).collect();
    Dataset::from_array(x, classes).unwrap()
}

#[test]
fn a_transformer() {
    let block = TransformerEncoderBlock::new(2, 32).norm_first().activation(Relu).dropout(0.1);
    let network = build(
        [8],
        sequential![
            Embedding::new(10, 16),
            LearntPositions::new(),
            block.clone(),
            block,
            LayerNorm::new(),
            Flatten,
            Affine::new(2)
        ],
    );
    assert_sound("a transformer", &network, &tokens(600), || {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(2e-3)).epochs(6)
    });
}

#[test]
fn embeddings() {
    let network = build([8], sequential![Embedding::new(10, 8), Flatten, Affine::new(16), Relu, Affine::new(2)]);
    assert_sound("embeddings", &network, &tokens(600), || {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(5e-3)).epochs(10)
    });
}

#[test]
fn a_regression() {
    let network = build([4], sequential![Affine::new(32), Relu, Affine::new(16), Relu, Affine::new(1)]);
    let (train, test) = curve(800, 7).split(0.8, Seed(1)).unwrap();
    assert_sound("Adam", &network, &train, || {
        Trainer::new(MeanSquaredError::new(), Adam::new(1e-3)).epochs(40).validate(&test)
    });
    assert_sound("momentum and micro-batches", &network, &train, || {
        let optimizer = Sgd::new(0.02).momentum(0.9);
        Trainer::new(Huber::new(1.0), optimizer)
            .batch_size(16)
            .accumulate(2)
            .epochs(30)
            .penalty(downhill_optim::Penalty::l2(1e-4))
    });
}

#[test]
fn a_line_through_one_feature_from_zero() {
    let x = normals(200, 1, 8);
    let data = Dataset::from_array(x.clone(), x.mapv(|x| 2.0 * x - 1.0)).unwrap();
    let mut network = build([1], Affine::new(1));
    network.parameters_mut().fill(0.0);
    assert_sound("a line", &network, &data, || {
        Trainer::new(MeanSquaredError::new(), GradientDescent::new(0.1)).epochs(30)
    });
}

#[test]
fn two_classes_that_overlap() {
    let x = normals(1000, 5, 9);
    let mut stream = Seed(9).stream(1);
    let chance = |row: ndarray::ArrayView1<'_, f32>| 1.0 / (1.0 + (-1.5 * row[0] + row[1] - 0.5).exp());
    let y: Vec<f32> =
        x.rows().into_iter().map(|row| f32::from(u8::from((stream.uniform() as f32) < chance(row)))).collect();
    let data = Dataset::from_array(x, Array2::from_shape_vec((1000, 1), y).unwrap()).unwrap();
    let logistic = build([5], Affine::new(1));
    assert_sound("a logistic regression", &logistic, &data, || {
        Trainer::new(BinaryCrossEntropyWithLogits::new(), Adam::new(0.01)).epochs(20)
    });
    let network = build([5], sequential![Affine::new(16), Tanh, Affine::new(1), Sigmoid]);
    assert_sound("probabilities", &network, &data, || {
        Trainer::new(BinaryCrossEntropy::new(), Adam::new(0.01)).epochs(20)
    });
}

#[test]
fn imbalanced_classes() {
    let x = normals(2000, 6, 10);
    let classes: Vec<u32> = x.rows().into_iter().map(|row| u32::from(row[0] + 0.5 * row[1] * row[2] > 1.8)).collect();
    let rare = classes.iter().sum::<u32>();
    assert!((60..200).contains(&rare), "{rare}");
    let data = Dataset::from_array(x, classes).unwrap();
    let network = build([6], sequential![Affine::new(32), Relu, Affine::new(2)]);
    assert_sound("one in twenty", &network, &data, || {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3)).epochs(15)
    });
}

#[test]
fn a_deep_residual_network_with_batch_normalisation() {
    let block = || Residual(sequential![Affine::new(32).no_bias(), BatchNorm::new(), Relu, Affine::new(32)]);
    let network =
        build([64], sequential![Affine::new(32), Repeat::new(12, block()), BatchNorm::new(), Affine::new(10)]);
    assert_sound("24 layers", &network, &images(), || {
        Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.05).momentum(0.9)).epochs(4)
    });
    let block =
        || Residual(sequential![Conv2d::new(8, 3).padding(1), BatchNorm::new(), Relu, Conv2d::new(8, 3).padding(1)]);
    let network = build(
        [1, 8, 8],
        sequential![
            Conv2d::new(8, 3).padding(1),
            Repeat::new(3, block()),
            BatchNorm::new(),
            Relu,
            GlobalAveragePool,
            Affine::new(10)
        ],
    );
    assert_sound("images", &network, &images().reshape([1, 8, 8]).unwrap(), || {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3)).epochs(3)
    });
}

#[test]
fn small_networks_of_tanh_and_sigmoid() {
    let network = build([2], sequential![Affine::new(12), Tanh, Affine::new(12), Tanh, Affine::new(2)]);
    assert_sound("tanh", &network, &ring(600, 11), || {
        Trainer::new(SoftmaxCrossEntropy::new(), Sgd::new(0.1).momentum(0.9)).epochs(60)
    });
    let network = build([64], sequential![Affine::new(32), Sigmoid, Affine::new(32), Sigmoid, Affine::new(10)]);
    assert_sound("sigmoid", &network, &images(), || {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.01)).epochs(8)
    });
}

#[test]
fn an_autoencoder_whose_targets_are_its_inputs() {
    let images = images();
    let inputs = images.inputs().matrix().to_owned();
    let data = Dataset::from_array(inputs.clone(), inputs).unwrap();
    let network = build([64], sequential![Affine::new(24), Relu, Affine::new(64), Sigmoid]);
    assert_sound("an autoencoder", &network, &data, || {
        Trainer::new(MeanSquaredError::new(), Adam::new(3e-3)).epochs(6)
    });
}

#[test]
fn a_warm_up_and_frozen_layers() {
    let network = build([64], sequential![Frozen(Affine::new(48)), Relu, Affine::new(32), Relu, Affine::new(10)]);
    assert_sound("a long warm-up", &network, &images(), || {
        let warm_up = Linear::warmup(2000);
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).schedule(warm_up).epochs(8)
    });
}

#[test]
fn few_examples() {
    let x = ndarray::array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    let xor = Dataset::from_array(x, ndarray::array![[0.0], [1.0], [1.0], [0.0_f32]]).unwrap();
    let network = build([2], sequential![Affine::new(8), Tanh, Affine::new(1)]);
    assert_sound("xor", &network, &xor, || {
        Trainer::new(BinaryCrossEntropyWithLogits::new(), Adam::new(0.05)).epochs(300).batch_size(4)
    });
}

#[test]
fn two_inputs() {
    let mut graph = Graph::new();
    let (tokens, numbers) = (graph.input([1]), graph.input([3]));
    let vectors = graph.apply(Embedding::new(50, 4), &[tokens]).unwrap();
    let vectors = graph.apply(Flatten, &[vectors]).unwrap();
    let joined = graph.apply(downhill_layers::Concat::new(0), &[vectors, numbers]).unwrap();
    let hidden = graph.apply(Affine::new(16), &[joined]).unwrap();
    let hidden = graph.apply(Relu, &[hidden]).unwrap();
    let y = graph.apply(Affine::new(1), &[hidden]).unwrap();
    let network = Network::from_graph(&graph, y, Seed(3)).unwrap();
    let mut stream = Seed(12).stream(0);
    let tokens = Array2::from_shape_fn((800, 1), |_| (50.0 * stream.uniform()).floor() as f32);
    let numbers = normals(800, 3, 13);
    let y = |row: usize| tokens[[row, 0]] / 25.0 - 1.0 + numbers[[row, 0]] * numbers[[row, 1]];
    let y = Array2::from_shape_fn((800, 1), |(row, _)| y(row));
    let numbers = numbers.into_raw_vec_and_offset().0;
    let data = Dataset::from_array(tokens, y).unwrap().with_input(numbers, [3]).unwrap();
    assert_sound("a token and numbers", &network, &data, || {
        Trainer::new(MeanSquaredError::new(), Adam::new(5e-3)).epochs(20)
    });
}

/// The classes depend on two of many features, so that neighbours are not alike.
#[test]
fn two_features_among_many() {
    let x = normals(2400, 40, 14);
    let classes: Vec<u32> = x.rows().into_iter().map(|row| u32::from(row[0] * row[1] > 0.0)).collect();
    let data = Dataset::from_array(x, classes).unwrap();
    let (train, test) = data.split(0.8, Seed(1)).unwrap();
    let network = build([40], sequential![Affine::new(64), Relu, Affine::new(2)]);
    assert_sound("without validation", &network, &data, || {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3)).batch_size(8).epochs(4)
    });
    assert_sound("with validation", &network, &train, || {
        Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(3e-3)).validate(&test).epochs(20)
    });
}
