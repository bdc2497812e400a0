//! One update of ten million parameters: memory is the limit.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};
use downhill::optim::{Chain, CoupledDecay, DecoupledDecay, Momentum, ScaleByAdam, ScaleByRate, Stepper};
use downhill::prelude::*;
use downhill_benches::{Work, measure};

const PARAMETERS: usize = 10_000_000;

/// `bytes` a parameter: θ read and written, the gradient read, each slot read and written.
fn rule(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    bytes: usize,
    mut optimizer: impl Optimizer<f32>,
) {
    let mut theta = vec![0.5f32; PARAMETERS];
    let gradient: Vec<f32> = (0..PARAMETERS).map(|i| (i % 1000) as f32 * 1e-3 - 0.5).collect();
    measure(group, name, Work::Bytes(bytes * PARAMETERS), move || optimizer.step(&mut theta, &gradient));
}

fn optimizers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimizer");
    rule(&mut group, "GradientDescent, 10M parameters", 12, GradientDescent::new(1e-9));
    downhill_benches::measure_workloads(&mut group, "optimizer");
    rule(&mut group, "AdamW, 10M parameters", 28, AdamW::new(1e-9));
    // The same work as the two named rules above, put together from links; one link more costs no further pass.
    let momentum = Chain((Momentum::new(0.9), ScaleByRate, DecoupledDecay::new(0.1)));
    rule(
        &mut group,
        "chain like Sgd with momentum, and a decay, 10M parameters",
        20,
        Stepper::from_rule(momentum, 1e-9),
    );
    let adam = Chain((CoupledDecay::new(0.1), ScaleByAdam::new(), ScaleByRate, DecoupledDecay::new(0.1)));
    rule(&mut group, "chain like AdamW, and a coupled decay, 10M parameters", 28, Stepper::from_rule(adam, 1e-9));
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = optimizers }
criterion_main!(benches);
