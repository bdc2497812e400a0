//! Layers that are no products: passes over memory, with some arithmetic.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};
use downhill::layers::{Silu, Softmax};
use downhill::network::Block;
use downhill::prelude::*;
use downhill_benches::{LAYER, Work, measure};

fn layer(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, name: &str, block: impl Block) {
    // x is read and y written; dy is read and dx written, next to x or y.
    let work = Work::Bytes(LAYER.iter().product::<usize>() * size_of::<f32>() * 5);
    measure(group, name, work, downhill_benches::layer(block));
}

fn layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    layer(&mut group, "Relu", Relu);
    layer(&mut group, "Tanh", Tanh);
    layer(&mut group, "Sigmoid", Sigmoid);
    layer(&mut group, "Gelu", Gelu::new());
    layer(&mut group, "Silu", Silu);
    layer(&mut group, "Dropout", Dropout::new(0.5));
    layer(&mut group, "Softmax", Softmax);
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = layers }
criterion_main!(benches);
