//! Ranks share the validation.

use downhill_losses::{Meaning, Target, TargetError};
use downhill_tensor::Batch;
use downhill_train::Metric;
use downhill_train::metrics::{ConfusionMatrix, LogLoss};

use super::*;

/// Counts the examples that are predicted for.
#[derive(Clone, Debug)]
struct Counting(Arc<AtomicUsize>);

impl Layer for Counting {
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        Ok(Signature::new("Counting", single_input("Counting", inputs)?))
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        if !pass.mode.is_training() {
            self.0.fetch_add(pass.x[0].examples(), Ordering::Relaxed);
        }
        pass.y.slice().copy_from_slice(pass.x[0].slice());
    }

    passes_back!();
}

#[test]
fn each_rank_judges_a_part_of_the_validation_data_and_all_get_the_bits_of_one_process() {
    let (training, validation) = (data(0, EXAMPLES), data(5, 1_200));
    let build = || shortened(rich().metric(LogLoss::new()).metric(ConfusionMatrix::new())).validate(&validation);
    let counting = || {
        let count = Arc::default();
        let layers = sequential![Affine::new(8), BatchNorm::new(), Tanh, Affine::new(3), Counting(Arc::clone(&count))];
        (Network::build([3], layers, Seed(7)).unwrap(), count)
    };
    for ranks in [2, 3, 7] {
        let (mut network, count) = counting();
        let expected = build().accumulate(ranks as u64).fit(&mut network, &training).unwrap();
        let epochs = expected.epochs.len();
        // What is predicted before the first step.
        let door = count.load(Ordering::Relaxed) - epochs * 1_200;
        let all = on_ranks(ranks, Settings::default(), |_, exchange| {
            let (mut own, count) = counting();
            let history = build().exchange(exchange).fit(&mut own, &training).unwrap();
            (bits(&own), curve(&history), count.load(Ordering::Relaxed))
        });
        for (left, epochs, _) in &all {
            assert_eq!((left, epochs), (&bits(&network), &curve(&expected)), "{ranks} ranks");
        }
        let predicted: usize = all.iter().map(|(.., count)| count - door).sum();
        assert_eq!(predicted, epochs * 1_200);
        let most = all.iter().map(|(.., count)| count - door).max().unwrap();
        assert!(most <= epochs * 5_usize.div_ceil(ranks) * 256, "{most} on one of {ranks} ranks");
    }
}

#[test]
fn predictions_are_exchanged_in_rounds_that_fit_memory() {
    let (training, validation) = (data(0, 40), data(5, 1_100));
    let wide = || Network::build([3], sequential![Affine::new(2), Affine::new(2_048)], Seed(7)).unwrap();
    let build = || shortened(trainer(Sgd::new(0.1)).epochs(2).metric(Accuracy::new()).metric(LogLoss::new()));
    let mut network = wide();
    let expected = build().accumulate(2).validate(&validation).fit(&mut network, &training).unwrap();
    // Two batches of 256 times 2,048 numbers are as many as a rank makes at once; the fifth batch is a second round.
    let all = on_ranks(2, Settings::default(), |_, exchange| {
        let (mut own, rounds) = (wide(), exchange.rounds.clone());
        let history = build().validate(&validation).exchange(exchange).fit(&mut own, &training).unwrap();
        (curve(&history), rounds.load(Ordering::Relaxed))
    });
    assert!(all.iter().all(|left| *left == (curve(&expected), 2 * 2)), "{all:?} {expected:?}");
}

#[test]
fn an_error_in_the_validation_of_one_rank_is_one_of_all() {
    let training = data(0, EXAMPLES);
    let validation = data(5, 1_200);
    let all = on_ranks(3, Settings::default(), |rank, exchange| {
        let mut network = network();
        let fussy = Fussy { after: if rank == 1 { 153 } else { usize::MAX } };
        let mut trainer = shortened(trainer(Sgd::new(0.1)).metric(fussy)).validate(&validation).exchange(exchange);
        let result = trainer.fit(&mut network, &training);
        (network, result)
    });
    let messages = messages(&all);
    assert!(messages[1].contains("it has seen enough"), "{}", messages[1]);
    for rank in [0, 2] {
        assert!(messages[rank].starts_with("rank 1 has ended the run: "), "{}", messages[rank]);
    }
    assert!(all.iter().all(|(network, _)| bits(network) == bits(&self::network())));
}

/// A metric that takes no more than a number of batches.
#[derive(Debug)]
struct Fussy {
    after: usize,
}

impl Metric<f32> for Fussy {
    fn name(&self) -> String {
        "fussy".into()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, _: Meaning) {}

    fn update(&mut self, _: Batch<'_, f32>, _: Target<'_, f32>, _: Option<&[f32]>) -> Result<(), TargetError> {
        self.after = self.after.checked_sub(1).ok_or_else(|| TargetError::setting("Fussy", "it has seen enough"))?;
        Ok(())
    }

    fn value(&self) -> f64 {
        0.0
    }
}

#[test]
fn a_metric_does_not_judge_the_data_of_one_rank() {
    let all = on_ranks(2, Settings { data: RankData::Own, ..Settings::default() }, |rank, exchange| {
        let mut network = network();
        let mut trainer = trainer(Sgd::new(0.1)).metric(Accuracy::new()).exchange(exchange);
        let result = trainer.fit(&mut network, &data(rank as u32, EXAMPLES));
        (network, result)
    });
    assert!(messages(&all).iter().all(|message| message.contains("`accuracy` would judge")), "{:?}", messages(&all));
}
