//! The matrix products that training needs.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    downhill_benches::measure_workloads(&mut group, "product");
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = products }
criterion_main!(benches);
