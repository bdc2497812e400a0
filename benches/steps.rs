//! Whole training steps: forward, the loss, backward, the update.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    downhill_benches::measure_workloads(&mut group, "step");
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = steps }
criterion_main!(benches);
