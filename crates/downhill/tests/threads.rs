//! Training gives the same bits on any number of threads.

use downhill::data::digits;
use downhill::layers::{AveragePool2d, BatchNorm, Gru, MultiHeadAttention, Padding, SinusoidalPositions};
use downhill::network::Block;
use downhill::prelude::*;
use downhill::tensor::Shape;
use downhill::tensor::threads::Threads;

/// The bits of θ and of the running statistics after a few epochs on this many threads; an example of the digits is
/// seen as one of `shape`.
fn train(block: impl Block, shape: &[usize], batch_size: usize, threads: usize) -> Vec<u32> {
    let shape = Shape::new(shape).unwrap();
    let data = digits::<f32>().unwrap().reshape(shape).unwrap();
    // Few examples are enough to differ, if anything would.
    let data = data.select(&(0..640).collect::<Vec<_>>()).unwrap();
    let mut network = Network::build(shape, block, Seed(7)).unwrap();
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3))
        .epochs(2)
        .batch_size(batch_size)
        .clip_norm(1.0)
        .threads(Threads::new(threads).unwrap())
        .fit(&mut network, &data)
        .unwrap();
    network.parameters().iter().chain(network.statistics()).map(|x| x.to_bits()).collect()
}

fn same_on_all<B: Block>(block: fn() -> B, shape: &[usize], batch_size: usize) {
    let network = Network::<f32>::build(Shape::new(shape).unwrap(), block(), Seed(7)).unwrap();
    assert!(network.is_worth_sharing(batch_size), "too small to show anything");
    let one = train(block(), shape, batch_size, 1);
    for threads in [2, 3, 4, 8] {
        assert!(train(block(), shape, batch_size, threads) == one, "{threads} threads differ from one");
    }
}

#[test]
fn the_digits_network() {
    let mlp = || sequential![Affine::new(128), Relu, Dropout::new(0.2), Affine::new(64), Relu, Affine::new(10)];
    same_on_all(mlp, &[64], 128);
}

/// Large enough that products, activations and the optimizer's pass are all split.
#[test]
fn a_network_that_is_worth_splitting() {
    let mlp =
        || sequential![Affine::new(700), Gelu::new(), Residual(sequential![Affine::new(700), Tanh]), Affine::new(10)];
    same_on_all(mlp, &[64], 300);
}

#[test]
fn a_convolutional_network() {
    let cnn = || {
        sequential![
            Conv2d::new(24, 3).padding(1),
            BatchNorm::new(),
            Relu,
            MaxPool2d::new(2),
            Conv2d::new(40, 3).padding(Padding::Same).groups(4),
            Relu,
            AveragePool2d::new(2),
            Flatten,
            Affine::new(10)
        ]
    };
    same_on_all(cnn, &[1, 8, 8], 64);
}

#[test]
fn a_recurrent_network() {
    let rnn = || sequential![Lstm::new(96).bidirectional(), Gru::new(64).last_state(), Affine::new(10)];
    same_on_all(rnn, &[8, 8], 64);
}

#[test]
fn a_transformer() {
    let transformer = || {
        sequential![
            Affine::new(64),
            SinusoidalPositions::default(),
            Residual(MultiHeadAttention::new(4)),
            Flatten,
            Affine::new(10)
        ]
    };
    same_on_all(transformer, &[8, 8], 64);
}
