//! The suites of which `workloads.json` lists all: the matrix products that training needs, whole training steps,
//! predictions, one pass forward in buffers that are kept, and what a model answers next to its network alone.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};

fn workloads(criterion: &mut Criterion) {
    for suite in ["product", "step", "inference", "model"] {
        let mut group = criterion.benchmark_group(suite);
        downhill_benches::measure_workloads(&mut group, suite);
        group.finish();
    }
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = workloads }
criterion_main!(benches);
