//! Training gives the same bits on any number of threads.

use downhill::data::digits;
use downhill::prelude::*;

/// The bits of θ after a few epochs on this many threads.
fn train(mlp: Sequential, batch_size: usize, threads: usize) -> Vec<u32> {
    let data = digits::<f32>().unwrap();
    let mut network = Network::build([64], mlp, Seed(7)).unwrap();
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3))
        .epochs(3)
        .batch_size(batch_size)
        .clip_norm(1.0)
        .threads(Threads::new(threads).unwrap())
        .fit(&mut network, &data)
        .unwrap();
    network.parameters().iter().map(|x| x.to_bits()).collect()
}

fn same_on_all(mlp: fn() -> Sequential, batch_size: usize) {
    let one = train(mlp(), batch_size, 1);
    for threads in [2, 3, 4, 8] {
        assert!(train(mlp(), batch_size, threads) == one, "{threads} threads differ from one");
    }
}

#[test]
fn the_digits_network() {
    same_on_all(|| sequential![Affine::new(128), Relu, Dropout::new(0.2), Affine::new(64), Relu, Affine::new(10)], 32);
}

/// Large enough that products, activations and the optimizer's pass are all split.
#[test]
fn a_network_that_is_worth_splitting() {
    same_on_all(
        || sequential![Affine::new(700), Gelu::Erf, Residual(sequential![Affine::new(700), Tanh]), Affine::new(10)],
        300,
    );
}
