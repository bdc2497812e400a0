//! A training step after the first asks the heap for nothing.

use allocation_counter::measure;
use downhill::data::{Batches, MiniBatch, digits};
use downhill::layers::{Gru, Inputs};
use downhill::network::{Graph, Sequential};
use downhill::prelude::*;

/// The allocations of further steps: forward, the loss, backward, the update.
fn of_a_step(mlp: Sequential, optimizer: impl Optimizer<f32>, examples: usize) -> u64 {
    let network = Network::<f32>::build([64], mlp, Seed(1)).unwrap();
    of_a_step_with(network, &digits().unwrap(), optimizer, examples)
}

fn of_a_step_with(
    mut network: Network<f32>,
    data: &Dataset<f32>,
    mut optimizer: impl Optimizer<f32>,
    examples: usize,
) -> u64 {
    let mut batches = Batches::shuffled(data, examples, Seed(2)).unwrap();
    let mut workspace = network.workspace(Purpose::Training);
    let loss = SoftmaxCrossEntropy::new();
    let mut step = |step: u64| {
        let batch = batches.next_batch().unwrap();
        let (x, mode) = (inputs(&batch), Mode::Training { step });
        network.backpropagate(x, batch.targets, &loss, &mut workspace, mode).unwrap();
        network.step(&mut optimizer, &mut workspace).unwrap();
    };
    step(0);
    measure(|| (1..5).for_each(&mut step)).count_total
}

fn inputs<'a>(batch: &MiniBatch<'a, f32>) -> Inputs<'a, f32> {
    let mut x = Inputs::empty();
    batch.all_inputs().enumerate().for_each(|(index, input)| x.set(index, input));
    x
}

fn mlp() -> Sequential {
    sequential![
        Affine::new(96),
        Relu,
        Residual(sequential![Affine::new(96), Gelu::new(), Dropout::new(0.1)]),
        branches![concat 0; Affine::new(7), sequential![Affine::new(9), Tanh]],
        Affine::new(10)
    ]
}

/// Whether products have kernels of their own here; `matrixmultiply` allocates its packing buffers.
fn own_kernels() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[test]
fn of_a_batch_allocates_nothing_but_packing_buffers() {
    let (momentum, adamw) = (Sgd::new(0.01).momentum(0.9), AdamW::new(1e-3));
    let counts = [of_a_step(mlp(), momentum, 32), of_a_step(mlp(), adamw, 100)];
    if own_kernels() {
        assert_eq!(counts, [0, 0]);
    } else {
        // Four steps, at most three products for each of six affine layers, two buffers for each product.
        assert!(counts.iter().all(|&count| count <= 4 * 3 * 6 * 2), "{counts:?}");
    }
}

#[test]
fn of_a_batch_of_one_allocates_nothing() {
    assert_eq!(of_a_step(mlp(), Adam::new(1e-3), 1), 0);
}

/// A run sets itself up and keeps a record of each epoch, so that only its steps tell long runs from short ones.
#[test]
fn of_a_trainer_allocates_nothing_but_packing_buffers() {
    let all = digits::<f32>().unwrap();
    let of_a_run = |steps: usize| {
        let data = all.select(&(0..32 * steps).collect::<Vec<_>>()).unwrap();
        let mut network = Network::<f32>::build([64], mlp(), Seed(1)).unwrap();
        let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(1e-3)).epochs(1).batch_size(32);
        measure(|| assert_eq!(trainer.fit(&mut network, &data).unwrap().steps, steps as u64)).count_total
    };
    of_a_run(2); // a thread's own memory is made once
    let (short, long) = (of_a_run(2), of_a_run(34));
    if own_kernels() {
        assert_eq!(long, short);
    } else {
        assert!(long <= short + 32 * 3 * 6 * 2, "{long} and {short}");
    }
}

#[test]
fn of_batches_in_order_allocates_nothing() {
    let data = digits::<f32>().unwrap();
    let mut batches = Batches::sequential(&data, 32).unwrap();
    let walk = || std::iter::from_fn(|| batches.next_batch().map(|batch| batch.inputs.examples())).sum();
    let mut examples = 0;
    let allocations = measure(|| examples = { walk }()).count_total;
    assert_eq!((allocations, examples), (0, data.len()));
}

#[test]
fn of_summed_micro_batches_allocates_nothing() {
    let mut network = Network::<f32>::build([64], mlp(), Seed(1)).unwrap();
    let data = digits::<f32>().unwrap();
    let weights = [1.0];
    let mut batches = Batches::shuffled(&data, 1, Seed(2)).unwrap();
    let (mut optimizer, mut workspace) = (Adam::new(1e-3), network.workspace(Purpose::Training));
    let loss = SoftmaxCrossEntropy::new();
    let mut step = |step: u64| {
        for _ in 0..3 {
            let batch = batches.next_batch().unwrap();
            let (x, mode) = (inputs(&batch), Mode::Training { step });
            network.accumulate(x, batch.targets, &loss, &mut workspace, mode).unwrap();
            let weights = Some(&weights[..]);
            network.accumulate_weighted(x, batch.targets, weights, &loss, &mut workspace, mode).unwrap();
        }
        network.step(&mut optimizer, &mut workspace).unwrap();
    };
    step(0);
    assert_eq!(measure(|| (1..5).for_each(&mut step)).count_total, 0);
}

#[test]
fn a_prediction_of_one_example_into_a_slice_allocates_nothing() {
    let network = Network::<f32>::build([64], mlp(), Seed(1)).unwrap();
    let data = digits::<f32>().unwrap();
    let mut y = [0.0; 10];
    let mut predict = |example: usize| network.predict_into(data.inputs().example(example), &mut y).unwrap();
    predict(0);
    assert_eq!(measure(|| (1..5).for_each(&mut predict)).count_total, 0);
    // The class of one example needs no vector either.
    network.classify_one(data.inputs().example(0)).unwrap();
    let classes = measure(|| _ = network.classify_one(data.inputs().example(1)).unwrap());
    assert_eq!(classes.count_total, 0);
}

#[test]
fn of_padded_sequences_and_their_lengths_allocates_nothing_but_packing_buffers() {
    let mut graph = Graph::new();
    let (sequence, length) = (graph.input([8, 8]), graph.input([1]));
    let state = graph.apply(Gru::new(12).lengths().last_state(), &[sequence, length]).unwrap();
    let scores = graph.apply(Affine::new(10), &[state]).unwrap();
    let network = Network::<f32>::from_graph(&graph, scores, Seed(1)).unwrap();
    let data = digits::<f32>().unwrap().reshape([8, 8]).unwrap();
    let lengths = (0..data.len()).map(|example| (1 + example % 8) as f32).collect();
    let data = data.with_input(lengths, [1]).unwrap();
    let count = of_a_step_with(network, &data, Adam::new(1e-3), 32);
    assert!(count == 0 || !own_kernels(), "{count}");
}
