//! Predictions: one pass forward, in buffers that are kept.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};

fn inference(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inference");
    downhill_benches::measure_workloads(&mut group, "inference");
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = inference }
criterion_main!(benches);
