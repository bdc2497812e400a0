//! Numbers that are not finite, on one rank or on all.

use super::*;

#[test]
fn numbers_that_are_not_finite_end_all_ranks() {
    for synchronized in [false, true] {
        let all = train(2, Settings { synchronized, ..Settings::default() }, || trainer(Sgd::new(1e39)));
        for message in messages(&all) {
            assert!(message.contains("diverged"), "{message}");
        }
    }
    let all = train(2, Settings { sharded: true, ..Settings::default() }, || trainer(Sgd::new(1e39)).clip_norm(1e30));
    assert!(all.iter().all(|(network, _)| bits(network) == bits(&all[0].0)));
    assert!(messages(&all).iter().all(|message| message.contains("diverged")), "{:?}", messages(&all));
}

fn fragile() -> Network<f32> {
    let layers = sequential![Fragile, BatchNorm::new(), Affine::new(8), BatchNorm::new(), Relu, Affine::new(3)];
    Network::build([3], layers, Seed(7)).unwrap()
}

/// Data of which this example is too large for that layer.
fn with_large(examples: usize, bad: usize) -> Dataset<f32> {
    let x = Array2::from_shape_fn((examples, 3), |(i, j)| if i == bad { LARGE } else { (i * 7 + j * 3) as f32 % 5.0 });
    Dataset::from_array(x, (0..examples as u32).map(|i| i % 3).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_example_of_one_rank_that_is_not_finite_is_named_on_all() {
    for settings in orders() {
        for data in [RankData::Dealt, RankData::Own] {
            let all = on_ranks(3, Settings { data, ..settings }, |rank, exchange| {
                let (mut network, own) = (fragile(), rank == 1 || data == RankData::Dealt);
                let training = with_large(48, if own { 17 } else { usize::MAX });
                let result = trainer(Sgd::new(0.05)).exchange(exchange).fit(&mut network, &training);
                (network, result)
            });
            let messages = messages(&all);
            let blames = |message: &String| message.contains("Example 17 of the training data is to blame");
            assert!(messages.iter().all(blames), "{settings:?} {data:?}: {messages:?}");
            let is_heard = |message: &String| message.starts_with("rank 1 has ended the run: ");
            assert!(data == RankData::Dealt || is_heard(&messages[0]) && is_heard(&messages[2]), "{messages:?}");
            assert!(all.iter().all(|(network, _)| bits(network) == bits(&fragile())));
        }
    }
}

#[test]
fn a_rank_that_only_hears_of_numbers_that_are_not_finite_gives_way() {
    // Batches that are read one by one are not searched for a cause.
    let settings = Settings { synchronized: true, data: RankData::Own, ..Settings::default() };
    let all = on_ranks(3, settings, |rank, exchange| {
        let (mut network, source) = (fragile(), InMemory::new(with_large(40, if rank == 2 { 17 } else { usize::MAX })));
        let mut batches = SourceBatches::sequential(source, 8).unwrap();
        let result = trainer(Sgd::new(0.05)).exchange(exchange).fit_batches(&mut network, &mut batches);
        (network, result)
    });
    let messages = messages(&all);
    for (rank, message) in messages.iter().enumerate() {
        assert!(message.contains("layer `0` is the first whose output is not finite"), "{message}");
        assert_eq!(message.starts_with("rank 2 has ended the run: "), rank != 2, "{message}");
    }
}

#[test]
fn too_high_a_rate_is_named_with_batches_of_one_example_too() {
    let training = data(0, EXAMPLES);
    let all = on_ranks(3, Settings { synchronized: true, ..Settings::default() }, |_, exchange| {
        let mut network = normalised();
        let result = trainer(Sgd::new(1e39)).batch_size(1).exchange(exchange).fit(&mut network, &training);
        (network, result)
    });
    for message in messages(&all) {
        assert!(message.contains("The learning rate of 1e39 is most likely too large"), "{message}");
    }
}

#[test]
fn a_step_in_which_nothing_counts_leaves_nothing_for_the_next() {
    // The second step, of the examples from 8 to 15, gives no numbers and has no weight.
    let source = |is_whole: bool| {
        let places: Vec<usize> = (0..40).filter(|i| is_whole || !(8..16).contains(i)).collect();
        let weights = |i: usize| if (8..16).contains(&i) { 0.0 } else { 1.0 + (i % 3) as f32 };
        let x = Array2::from_shape_fn(
            (40, 3),
            |(i, j)| {
                if (8..16).contains(&i) { LARGE } else { ((i * 7 + j * 3) % 5) as f32 }
            },
        );
        let data = Dataset::from_array(x, (0..40_u32).map(|i| i % 3).collect::<Vec<_>>()).unwrap();
        InMemory::new(data.with_weights((0..40).map(weights).collect::<Vec<_>>()).unwrap().select(&places).unwrap())
    };
    for settings in orders() {
        let run = |is_whole| {
            on_ranks(2, settings, |_, exchange| {
                let mut network = fragile();
                let mut batches = SourceBatches::sequential(source(is_whole), 4).unwrap();
                trainer(Sgd::new(0.05)).exchange(exchange).fit_batches(&mut network, &mut batches).unwrap();
                bits(&network)
            })
        };
        assert_eq!(run(true), run(false), "{settings:?}");
    }
}
