//! Layers that are no products: passes over memory, with some arithmetic.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};
use downhill::layers::Softmax;
use downhill::prelude::*;
use downhill_benches::{Work, measure};

/// Forward and backward of one layer alone, on 128 examples of 256 numbers.
fn layer(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, name: &str, block: impl Block) {
    const EXAMPLES: usize = 128;
    const FEATURES: usize = 256;
    let network = Network::<f32>::build([FEATURES], block, Seed(1)).expect("the layer fits");
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let data: Vec<f32> = (0..EXAMPLES * FEATURES).map(|i| (i as f32).sin()).collect();
    // x is read and y written; dy is read and dx written, beside x or y.
    let work = Work::Bytes(EXAMPLES * FEATURES * size_of::<f32>() * 5);
    measure(group, name, work, move || {
        let x = Batch::new(&data, EXAMPLES, [FEATURES]).expect("the batch fits");
        network.forward(network.parameters(), x, &mut workspace, Mode::Training { step: 0 }).expect("the batch fits");
        let (y, mut dy) = workspace.loss_slots().expect("the workspace is for training");
        dy.slice().copy_from_slice(y.slice());
        network.backward(network.parameters(), x, &mut workspace).expect("the batch fits");
    });
}

fn layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    layer(&mut group, "Relu", Relu);
    layer(&mut group, "Tanh", Tanh);
    layer(&mut group, "Sigmoid", Sigmoid);
    layer(&mut group, "Gelu", Gelu::Erf);
    layer(&mut group, "Silu", Silu);
    layer(&mut group, "Dropout", Dropout::new(0.5));
    layer(&mut group, "Softmax", Softmax);
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = layers }
criterion_main!(benches);
