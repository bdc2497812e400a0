//! Ranks have the bits of one process, or are near it.

use downhill_optim::Muon;

use super::*;

#[test]
fn ranks_have_the_bits_of_one_process_that_accumulates_their_batches() {
    for ranks in [2, 3, 4] {
        let (network, history) = alone(ranks, rich);
        for (rank, (other, result)) in train(ranks as usize, Settings::default(), rich).into_iter().enumerate() {
            let result = result.unwrap();
            assert_eq!(bits(&other), bits(&network), "rank {rank} of {ranks}");
            assert_eq!(curve(&result), curve(&history), "rank {rank} of {ranks}");
            assert_eq!((result.steps, result.reason), (history.steps, history.reason));
        }
    }
}

#[test]
fn ranks_that_exchange_each_batch_have_these_bits_if_they_accumulate_too() {
    let settings = Settings { in_order: true, ..Settings::default() };
    let (network, history) = alone(6, rich);
    for (other, result) in train(2, settings, || rich().accumulate(3)) {
        assert_eq!((bits(&other), curve(&result.unwrap())), (bits(&network), curve(&history)));
    }
}

#[test]
fn ranks_that_add_up_their_batches_first_are_equal_and_near_one_process() {
    let build = || trainer(Sgd::new(0.1)).schedule(Cosine::new(20));
    let plain = || Network::<f32>::build([3], sequential![Affine::new(8), Tanh, Affine::new(3)], Seed(7)).unwrap();
    let training = data(0, EXAMPLES);
    let mut whole = plain();
    build().accumulate(6).fit(&mut whole, &training).unwrap();
    let all = on_ranks(3, Settings::default(), |_, exchange| {
        let mut network = plain();
        build().accumulate(2).exchange(exchange).fit(&mut network, &training).unwrap();
        network
    });
    for network in &all {
        assert_eq!(bits(network), bits(&all[0]));
        for (a, b) in network.parameters().iter().zip(whole.parameters()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
    // With running statistics, which are their mean.
    let all = train(3, Settings::default(), || build().accumulate(2));
    assert!(all.iter().all(|(network, _)| bits(network) == bits(&all[0].0)));
}

#[test]
fn an_optimizer_that_is_sharded_has_the_same_bits_and_a_part_of_the_memory() {
    let build = || trainer(Adam::new(0.02).no_decay_on_biases()).penalty(Penalty::l1(1e-3)).clip_value(0.05);
    let (network, history) = alone(3, build);
    let len = network.parameters().len();
    let training = data(0, EXAMPLES);
    let validation = data(5, 30);
    for bucket in [None, Some(7), Some(20)] {
        let settings = Settings { sharded: true, bucket, ..Settings::default() };
        let all = on_ranks(3, settings, |rank, exchange| {
            let mut network = self::network();
            let own: usize = exchange.owned(len, rank).iter().map(Range::len).sum();
            let mut trainer = shortened(build()).validate(&validation).exchange(exchange);
            let history = trainer.fit(&mut network, &training).unwrap();
            let slots: Vec<usize> = trainer.optimizer().state().slots.iter().map(|(_, slot)| slot.len()).collect();
            assert_eq!(slots, [own; 2]);
            (bits(&network), curve(&history))
        });
        assert!(all.iter().all(|left| *left == (bits(&network), curve(&history))), "{bucket:?}");
    }
}

#[test]
fn a_norm_is_that_of_all_parts_of_a_gradient() {
    let build = || trainer(Sgd::new(0.3)).clip_norm(0.1);
    let (network, _) = alone(3, build);
    let settings = |bucket| Settings { sharded: true, bucket, ..Settings::default() };
    let all = train(3, settings(None), build).into_iter().chain(train(3, settings(Some(20)), build));
    for (other, result) in all {
        result.unwrap();
        let far = other.parameters().iter().zip(network.parameters()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4, "{far}");
    }
}

#[test]
fn rules_that_need_whole_matrices_stay_whole() {
    assert!(!Optimizer::<f32>::is_elementwise(&Muon::new(0.01)) && Optimizer::<f32>::is_elementwise(&Adam::new(0.01)));
    let (network, _) = alone(2, || trainer(Muon::new(0.01)));
    for (other, result) in train(2, Settings { sharded: true, ..Settings::default() }, || trainer(Muon::new(0.01))) {
        result.unwrap();
        assert_eq!(bits(&other), bits(&network));
    }
}

#[test]
fn batches_of_a_source_are_dealt() {
    let (network, _) = alone(3, || trainer(Sgd::new(0.1)));
    let validation = data(5, 30);
    let all = on_ranks(3, Settings::default(), |_, exchange| {
        let mut other = self::network();
        let mut batches = SourceBatches::shuffled(InMemory::new(data(0, EXAMPLES)), 8, Seed(3)).unwrap().prefetch(2);
        let mut trainer = shortened(trainer(Sgd::new(0.1))).validate(&validation).exchange(exchange);
        trainer.fit_batches(&mut other, &mut batches).unwrap();
        other
    });
    assert!(all.iter().all(|other| bits(other) == bits(&network)));
}
