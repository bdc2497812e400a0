//! Searches find what was planted, and the same on any number of threads.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use downhill_data::{Dataset, digits};
use downhill_layers::{Affine, Relu};
use downhill_losses::SoftmaxCrossEntropy;
use downhill_network::{Network, sequential};
use downhill_optim::Adam;
use downhill_tensor::Seed;
use downhill_tensor::threads::{Threads, current};
use downhill_train::metrics::Accuracy;
use downhill_train::{Trainer, evaluate};
use downhill_tune::{Grid, Score, Search, SearchReport, Settings, Trial, random};

/// The smallest at the rate 10⁻² and 32 hidden units.
fn planted(settings: &Settings) -> Result<f64, Box<dyn Error>> {
    let (rate, hidden) = (settings.number("rate")?, settings.number("hidden")?);
    Ok((rate.log10() + 2.0).powi(2) + ((hidden - 32.0) / 32.0).powi(2))
}

#[test]
fn the_planted_best_is_found() {
    let grid = Grid::new().values("rate", [1e-4, 1e-3, 1e-2, 1e-1]).values("hidden", [16, 32, 64]);
    let report = Search::new().run(grid, |settings, _| planted(settings)).unwrap();
    let best = report.best().unwrap();
    assert_eq!(
        (best.number, best.score(), best.settings.to_string().as_str()),
        (7, Some(0.0), "rate = 0.01, hidden = 32")
    );

    let draws = random(200, Seed(1), |draw| {
        Settings::new().with("rate", draw.log_uniform(1e-5, 1.0)).with("hidden", draw.integer(4..=128))
    });
    let report = Search::new().run(draws, |settings, _| planted(settings)).unwrap();
    let best = report.best().unwrap();
    assert!(best.score().unwrap() < 0.1, "{best:?}");
    let least = report.trials().iter().filter_map(|trial| trial.score()).fold(f64::INFINITY, f64::min);
    assert_eq!(best.score(), Some(least));

    let negative = Search::new().larger_is_better().run(-5..5, |x, _| Ok::<_, String>(-f64::from(x * x))).unwrap();
    assert_eq!(negative.best().map(|best| best.settings), Some(0));
    // The first of equals, however many threads there are.
    let equal = Search::new().run(0..50, |x: &i32, _| Ok::<_, String>(f64::from(x % 3))).unwrap();
    assert_eq!(equal.best().map(|best| best.number), Some(0));
}

#[test]
fn folds_give_the_mean_and_its_spread() {
    let data = Dataset::new((0..12).map(f64::from).collect(), [1], vec![0; 12]).unwrap();
    let folds = || data.k_folds(3, Seed(1)).unwrap();
    let score = |factor: &f64, fold: &downhill_data::Fold<Dataset<f64>>, _: Trial| {
        assert_eq!(fold.train.len(), 8);
        if *factor == 7.0 && fold.validation.inputs().slice().contains(&11.0) {
            return Err("as planned");
        }
        Ok(factor * fold.validation.inputs().slice().iter().sum::<f64>())
    };
    let report = Search::new().run_folds([3.0, 2.0, 7.0], folds(), score).unwrap();
    for trial in &report.trials()[..2] {
        let Ok(of_folds) = &trial.outcome else { unreachable!() };
        let sums: Vec<f64> =
            folds().map(|fold| trial.settings * fold.validation.inputs().slice().iter().sum::<f64>()).collect();
        assert_eq!(of_folds.parts(), sums);
        let mean = trial.settings * 22.0;
        assert!((of_folds.value() - mean).abs() < 1e-12);
        let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / 3.0;
        assert!((of_folds.standard_deviation().unwrap() - variance.sqrt()).abs() < 1e-12);
    }
    assert_eq!(report.best().map(|best| best.settings), Some(2.0));
    let fold = folds().position(|fold| fold.validation.inputs().slice().contains(&11.0)).unwrap();
    assert_eq!(report.trials()[2].error(), Some(format!("fold {fold}: as planned").as_str()));
    assert_eq!(Score::from(3.0).standard_deviation(), None);
}

#[test]
fn halving_goes_on_with_the_best() {
    // Setting x needs some budget to show how good it is.
    let score = |&x: &i32, budget: u64, trial: Trial| {
        assert_eq!(trial.number, x as usize);
        if x == 1 { Err("as planned") } else { Ok(-f64::from(x) * budget as f64) }
    };
    let report = Search::new().run_halving(0..10, &[2, 4, 12], score).unwrap();
    let tried = |budget| -> Vec<_> {
        report.trials().iter().filter(|trial| trial.budget == Some(budget)).map(|trial| trial.settings).collect()
    };
    assert_eq!((tried(2), tried(4), tried(12)), ((0..10).collect(), (5..10).collect(), vec![8, 9]));
    assert_eq!(report.best().map(|best| (best.settings, best.budget)), Some((9, Some(12))));
    assert!(report.ranking().last().is_some_and(|last| last.error() == Some("as planned")));
    // Seeds stay those of the settings.
    assert!(report.trials().iter().all(|trial| trial.seed == Seed(0).derive(trial.number as u64)));
}

/// Trains on the digits; the rate 10³⁰ diverges.
fn train_digits(threads: Option<Threads>) -> SearchReport<(f64, usize)> {
    let (train, test) = digits::<f32>().unwrap().stratified_split(0.5, Seed(1)).unwrap();
    let search = Search::new().seed(Seed(5)).larger_is_better();
    let search = match threads {
        Some(threads) => search.threads(threads),
        None => search,
    };
    let settings = [(1e-4, 8), (1e-2, 32), (1e30, 8), (1e-3, 16), (1e-2, 256)];
    let report = search.run(settings, |&(rate, hidden), trial| {
        let mlp = sequential![Affine::new(hidden), Relu, Affine::new(10)];
        let mut network = Network::<f32>::build([64], mlp, trial.seed)?;
        let mut seen = Vec::new();
        // The last network is so large that its trainer would take all threads.
        let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(rate))
            .epochs(2)
            .batch_size(if hidden == 256 { 128 } else { 32 })
            .seed(trial.seed)
            .on_step(|_| {
                seen.push(current());
                std::ops::ControlFlow::Continue(())
            });
        let result = trainer.fit(&mut network, &train);
        drop(trainer);
        assert!(!seen.is_empty() && seen.iter().all(|&threads| threads == 1));
        result?;
        let judged = evaluate(&network, &SoftmaxCrossEntropy::new(), &test, [Accuracy::new()])?;
        Ok::<_, Box<dyn Error>>(judged.metric("accuracy").unwrap())
    });
    report.unwrap()
}

#[test]
fn scores_have_the_same_bits_on_any_number_of_threads() {
    let scores = |report: &SearchReport<(f64, usize)>| -> Vec<_> {
        let trials = report.trials().iter();
        trials.map(|trial| (trial.number, trial.seed, trial.settings, trial.outcome.clone())).collect()
    };
    let one = train_digits(Some(Threads::one()));
    assert!(one.best().is_some_and(|best| best.settings.0 == 1e-2 && best.score() > Some(0.85)), "{one}");
    let error = one.trials()[2].error().unwrap();
    assert!(error.starts_with("training diverged at step "), "{error}");
    assert!(one.trials().iter().all(|trial| trial.seconds > 0.0));
    for threads in [2, 4] {
        let threads = Threads::new(threads).unwrap();
        assert_eq!(scores(&train_digits(Some(threads.clone()))), scores(&one), "{threads:?}");
        // Also within a run of the same threads.
        assert_eq!(scores(&threads.run(|| train_digits(Some(threads.clone())))), scores(&one));
    }
    assert_eq!(scores(&train_digits(None)), scores(&one));
}

#[test]
fn errors_are_recorded_and_a_panic_comes_out() {
    let report = Search::new().run(0..4, |&x, _| match x {
        0 => Ok(f64::NAN),
        1 => Err("as planned"),
        2 => Ok(f64::NEG_INFINITY),
        _ => Ok(1.0),
    });
    let report = report.unwrap();
    assert_eq!(report.best().map(|best| best.settings), Some(3));
    assert_eq!(report.trials()[1].error(), Some("as planned"));
    let none = Search::new().run([1], |_, _| Err::<f64, _>("as planned")).unwrap();
    assert_eq!(none.best(), None);

    let panics = || {
        Search::new().run(0..9, |&x, _| -> Result<f64, String> {
            if x == 4 { resume_unwind(Box::new("as planned")) } else { Ok(0.0) }
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"as planned"));
}

#[test]
fn a_search_of_nothing_is_refused() {
    let search = Search::new();
    let message = |result: Result<SearchReport<f64>, _>| match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => format!("{error}"),
    };
    let trial = |x: &f64, _: Trial| Ok::<_, String>(*x);
    assert_eq!(
        message(search.run([], trial)),
        "there are no settings to try; give each name of a grid one value at least, and a random search one draw"
    );
    let folds: [downhill_data::Fold<()>; 0] = [];
    let message_of_folds = message(search.run_folds([1.0], folds, |&x, _, _| Ok::<_, String>(x)));
    assert!(message_of_folds.starts_with("there are no folds to try settings on"));
    for budgets in [&[][..], &[0, 1], &[3, 3], &[3, 1]] {
        let message = message(search.run_halving([1.0], budgets, |&x, _, _| Ok::<_, String>(x)));
        assert!(
            message.starts_with(&format!("the budgets of successive halving are {budgets:?}, but each")),
            "{message}"
        );
    }
}

#[test]
fn a_report_is_a_table_and_data() {
    let grid = Grid::new().values("rate", [0.1, 0.01]).values("act", ["relu", "tanh"]);
    let report = Search::new().run(grid, |settings, trial| match trial.number {
        1 => Err("as planned".to_owned()),
        _ => settings.number("rate").map_err(|error| error.to_string()),
    });
    let report = report.unwrap();
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "trial                 score   seconds  settings");
    assert!(
        lines[1].starts_with("    2                0.0100") && lines[1].ends_with("  rate = 0.01, act = relu"),
        "{text}"
    );
    assert!(
        lines[4].starts_with("    1                 error") && lines[4].ends_with("act = tanh: as planned"),
        "{text}"
    );
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<SearchReport<Settings>>(&json).unwrap(), report);

    let halved =
        Search::new().run_halving([1, 2], &[1, 2], |&x, budget, _| Ok::<_, String>((x * budget) as f64)).unwrap();
    let text = halved.to_string();
    assert!(text.starts_with("trial    budget                 score   seconds  settings\n    0         2 "), "{text}");
}
