//! The machine's ceilings: multiply-adds on registers, and one pass over memory.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use downhill::tensor::{Scalar, ceiling, elementwise, threads};
use downhill_benches::{Work, measure};

const ROUNDS: usize = 20_000;

/// One loop on each of the current threads.
fn on_all<T: Scalar>(threads: usize) {
    if threads < 2 {
        black_box(ceiling::multiply_add::<T>(ROUNDS));
        return;
    }
    threads::join(|| on_all::<T>(threads / 2), || on_all::<T>(threads - threads / 2));
}

fn multiply_add<T: Scalar>(group: &mut BenchmarkGroup<'_, WallTime>, precision: &str) {
    let operations = ceiling::multiply_add_operations::<T>(ROUNDS);
    for threads in downhill_benches::threads() {
        // The work grows with the threads, so each number of them is its own benchmark.
        group.throughput(Throughput::Elements((operations * threads.count()) as u64));
        let name = format!("multiply-add {precision}");
        group.bench_function(downhill_benches::labelled(&name, &threads), |bencher| {
            bencher.iter_custom(|iterations| {
                threads.run(|| {
                    let start = Instant::now();
                    (0..iterations).for_each(|_| on_all::<T>(threads::current()));
                    start.elapsed()
                })
            });
        });
    }
}

fn ceilings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ceiling");
    multiply_add::<f32>(&mut group, "f32");
    multiply_add::<f64>(&mut group, "f64");
    let length = 10_000_000;
    let (b, mut a) = (vec![1.0f32; length], vec![1.0f32; length]);
    measure(&mut group, "a += s b, 10M f32", Work::Bytes(12 * length), || {
        elementwise::update(&b, &mut a, |b, a| a + 1e-9 * b);
    });
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = ceilings }
criterion_main!(benches);
