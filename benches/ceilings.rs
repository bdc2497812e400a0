//! The machine's ceilings: multiply-adds on registers, and one pass over memory.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use downhill::tensor::{Kernel, Scalar, elementwise, threads, vectorized};
use downhill_benches::{Work, measure};

const ROUNDS: usize = 20_000;

/// As many independent sums as hide the latency of a multiply-add on every machine of today.
const CHAINS: usize = 12;

/// Multiply-adds on `LANES` numbers at a time, which stay in registers: the peak rate of one core.
struct MultiplyAdd<T, const LANES: usize>(T);

macro_rules! multiply_add {
    ($float:ident) => {
        impl<const LANES: usize> Kernel for MultiplyAdd<$float, LANES> {
            type Output = $float;

            #[inline(always)]
            fn run(self) -> $float {
                // Known only at run time: with numbers that it knows, the compiler finds the fixed point.
                let (a, b) = black_box((0.999, 1e-3));
                let mut chains = [[self.0; LANES]; CHAINS];
                for _ in 0..ROUNDS {
                    for chain in &mut chains {
                        for number in chain {
                            // One instruction if the processor has it, and a call that takes far longer if not.
                            *number = if LANES > 1 { number.mul_add(a, b) } else { *number * a + b };
                        }
                    }
                }
                chains.into_iter().flatten().sum()
            }
        }
    };
}

multiply_add!(f32);
multiply_add!(f64);

/// The numbers in the widest register that kernels use.
fn lanes<T>() -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return 64 / size_of::<T>();
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return 32 / size_of::<T>();
    }
    1
}

fn run<T: Scalar>() -> T
where
    MultiplyAdd<T, 1>: Kernel<Output = T>,
    MultiplyAdd<T, 4>: Kernel<Output = T>,
    MultiplyAdd<T, 8>: Kernel<Output = T>,
    MultiplyAdd<T, 16>: Kernel<Output = T>,
{
    match lanes::<T>() {
        4 => vectorized(MultiplyAdd::<T, 4>(T::ONE)),
        8 => vectorized(MultiplyAdd::<T, 8>(T::ONE)),
        16 => vectorized(MultiplyAdd::<T, 16>(T::ONE)),
        _ => vectorized(MultiplyAdd::<T, 1>(T::ONE)),
    }
}

/// One loop on each of the current threads.
fn on_all<T: Scalar>(threads: usize, run: fn() -> T) {
    if threads < 2 {
        black_box(run());
        return;
    }
    threads::join(|| on_all(threads / 2, run), || on_all(threads - threads / 2, run));
}

fn multiply_add<T: Scalar>(group: &mut BenchmarkGroup<'_, WallTime>, precision: &str, run: fn() -> T) {
    let operations = ROUNDS * CHAINS * lanes::<T>() * 2;
    for threads in downhill_benches::threads() {
        // The work grows with the threads, so each number of them is its own benchmark.
        let count = threads.count();
        group.throughput(Throughput::Elements((operations * count) as u64));
        let name = format!("multiply-add {precision}/{count} thread{}", if count == 1 { "" } else { "s" });
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                threads.run(|| {
                    let start = Instant::now();
                    (0..iterations).for_each(|_| on_all(threads::current(), run));
                    start.elapsed()
                })
            });
        });
    }
}

fn ceilings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ceiling");
    multiply_add::<f32>(&mut group, "f32", run::<f32>);
    multiply_add::<f64>(&mut group, "f64", run::<f64>);
    let length = 10_000_000;
    let (b, mut a) = (vec![1.0f32; length], vec![1.0f32; length]);
    measure(&mut group, "a += s b, 10M f32", Work::Bytes(12 * length), || {
        elementwise::update(&b, &mut a, |b, a| a + 1e-9 * b);
    });
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = ceilings }
criterion_main!(benches);
