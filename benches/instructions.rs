//! The number of instructions that kernels and whole steps take on one thread; `cargo xtask counts` compares them with the
//! recorded counts.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "the macros that name what is counted write modules without any")]

use std::hint::black_box;

use downhill::losses::{Loss, SoftmaxCrossEntropy, Target};
use downhill::network::Block;
use downhill::prelude::*;
use downhill::tensor::BatchMut;
use downhill_benches::Workload;
use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};

/// Something to be counted. What it needs is ready before and dropped after.
type Call = Box<dyn FnMut()>;

/// Called once before it is counted: the first call looks at what the machine can do and makes room.
fn ready(mut call: impl FnMut() + 'static) -> Call {
    #[cfg(target_arch = "x86_64")]
    assert!(
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && !is_x86_feature_detected!("avx512f"),
        "the recorded counts are those of the AVX2 kernels, and other ones would run here"
    );
    call();
    Box::new(call)
}

fn workload(id: &str) -> Workload {
    Workload::named(id).unwrap_or_else(|| panic!("there is no workload {id}"))
}

fn listed(workload: Workload) -> Call {
    let mut call = workload.start();
    ready(move || {
        black_box(call());
    })
}

fn layer(block: impl Block + 'static) -> Call {
    ready(downhill_benches::layer(block))
}

/// J and dJ/dy of 32 examples in ten classes.
fn softmax_cross_entropy() -> Call {
    const SIZES: (usize, usize) = (32, 10);
    let (examples, classes) = SIZES;
    let logits: Vec<f32> = (0..examples * classes).map(|i| (i as f32).sin()).collect();
    let targets: Vec<u32> = (0..examples).map(|i| (i % classes) as u32).collect();
    let (loss, mut gradient) = (SoftmaxCrossEntropy::new(), logits.clone());
    ready(move || {
        let y = Batch::new(&logits, examples, [classes]).expect("the batch fits");
        let dy = BatchMut::new(&mut gradient, examples, [classes]).expect("the batch fits");
        black_box(loss.value_and_gradient(y, Target::Classes(&targets), dy).expect("the targets fit"));
    })
}

const PARAMETERS: usize = 200_000;

#[library_benchmark]
#[bench::product_y_batch_1_784_to_256(listed(workload("product/y = x W, batch 1, 784 to 256")))]
#[bench::product_dw_batch_1_784_to_256(listed(workload("product/dW = xT dy, batch 1, 784 to 256")))]
#[bench::product_dx_batch_1_784_to_256(listed(workload("product/dx = dy WT, batch 1, 784 to 256")))]
#[bench::product_y_batch_32_784_to_256(listed(workload("product/y = x W, batch 32, 784 to 256")))]
#[bench::product_dw_batch_32_784_to_256(listed(workload("product/dW = xT dy, batch 32, 784 to 256")))]
#[bench::product_dx_batch_32_784_to_256(listed(workload("product/dx = dy WT, batch 32, 784 to 256")))]
#[bench::product_y_batch_32_128_to_10(listed(workload("product/y = x W, batch 32, 128 to 10")))]
#[bench::product_dw_batch_32_128_to_10(listed(workload("product/dW = xT dy, batch 32, 128 to 10")))]
#[bench::product_dx_batch_32_128_to_10(listed(workload("product/dx = dy WT, batch 32, 128 to 10")))]
#[bench::layer_relu(layer(Relu))]
#[bench::layer_tanh(layer(Tanh))]
#[bench::layer_gelu(layer(Gelu::new()))]
#[bench::loss_softmax_cross_entropy_batch_32(softmax_cross_entropy())]
#[bench::optimizer_momentum(
    listed(workload("optimizer/Sgd with momentum, 10M parameters").with_parameters(PARAMETERS))
)]
#[bench::optimizer_adam(listed(workload("optimizer/Adam, 10M parameters").with_parameters(PARAMETERS)))]
#[bench::step_784_256_128_10_batch_1(listed(workload("step/784-256-128-10, momentum, batch 1")))]
#[bench::step_784_256_128_10_batch_32(listed(workload("step/784-256-128-10, momentum, batch 32")))]
#[bench::step_2_16_16_1_batch_16(listed(workload("step/2-16-16-1 tanh, descent, batch 16")))]
#[bench::step_convolutions_batch_4(listed(workload("step/convolutions 16-32, Adam, batch 64").with_examples(4)))]
#[bench::step_lstm_batch_4(listed(workload("step/LSTM 32-128 over 64 steps, Adam, batch 32").with_examples(4)))]
#[bench::step_transformer_batch_1(
    listed(workload("step/transformer block 128, 64 positions, Adam, batch 32").with_examples(1))
)]
#[bench::inference_784_256_128_10_batch_1(listed(workload("inference/784-256-128-10, batch 1")))]
fn count(mut call: Call) -> Call {
    call();
    call
}

library_benchmark_group!(name = counts, benchmarks = count);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = counts
);
