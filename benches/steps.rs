//! Whole training steps: forward, the loss, backward, the update.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};
use downhill::prelude::*;
use downhill_benches::{Step, Work, measure};

fn mlp() -> Sequential {
    sequential![Affine::new(256), Relu, Affine::new(128), Relu, Affine::new(10)]
}

/// So small that a step hardly moves: repeated on one batch, the loss would otherwise vanish, and with it the gradient,
/// into numbers so small that processors slow down on them.
const RATE: f64 = 1e-9;

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for examples in [1, 32, 128, 1024] {
        let mut momentum = Step::new(784, mlp(), Sgd::new(RATE).momentum(0.9), examples);
        let work = Work::Operations(momentum.operations());
        let name = |rule: &str| format!("784-256-128-10, {rule}, batch {examples}");
        measure(&mut group, &name("momentum"), work, || momentum.take());
        let mut adam = Step::new(784, mlp(), Adam::new(RATE), examples);
        measure(&mut group, &name("Adam"), work, || adam.take());
    }
    let tiny = sequential![Affine::new(16), Tanh, Affine::new(16), Tanh, Affine::new(2)];
    let mut tiny = Step::new(2, tiny, Sgd::new(RATE), 16);
    let work = Work::Operations(tiny.operations());
    measure(&mut group, "2-16-16-2, descent, batch 16", work, || tiny.take());
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = steps }
criterion_main!(benches);
