//! Every metric against the numbers of scikit-learn: `xtask/golden/metrics.py` made the fixture.

use downhill_losses::{Meaning, Outputs, Target, TargetError};
use downhill_tensor::{Batch, Shape};
use downhill_train::Metric;
use downhill_train::metrics::{
    Accuracy, Average, AveragePrecision, BalancedAccuracy, BrierScore, CalibratedLogLoss, CohenKappa, ConfusionMatrix,
    Disagreement, ExpectedCalibrationError, F1, FBeta, HammingLoss, LogLoss, MatthewsCorrelation, MeanAbsoluteError,
    MeanReciprocalRank, Ndcg, PinballLoss, Precision, RSquared, Recall, RocAuc, RootMeanSquaredError, SubsetAccuracy,
    TopKAccuracy,
};
use safetensors::SafeTensors;
use serde::Deserialize;

/// A data set of the fixture, as its metadata tells it.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    outputs: Outputs,
    examples: usize,
    width: usize,
    targets: String,
    is_weighted: bool,
    metrics: Vec<String>,
    bins: usize,
}

/// Every metric that the fixture knows, by its name.
fn metrics() -> Vec<Box<dyn Metric<f64>>> {
    let mut metrics: Vec<Box<dyn Metric<f64>>> = vec![
        Box::new(Accuracy::new()),
        Box::new(SubsetAccuracy::new()),
        Box::new(HammingLoss::new()),
        Box::new(BalancedAccuracy::new()),
        Box::new(MatthewsCorrelation::new()),
        Box::new(LogLoss::new()),
        Box::new(BrierScore::new()),
        Box::new(ExpectedCalibrationError::new()),
        Box::new(MeanAbsoluteError::new()),
        Box::new(RootMeanSquaredError::new()),
        Box::new(RSquared::new()),
        Box::new(Ndcg::new()),
        Box::new(Ndcg::new().top(3)),
        Box::new(MeanReciprocalRank::new()),
    ];
    for disagreement in [Disagreement::Equal, Disagreement::Linear, Disagreement::Quadratic] {
        metrics.push(Box::new(CohenKappa::new(disagreement)));
    }
    for quantile in [0.0, 0.1, 0.5, 0.9] {
        metrics.push(Box::new(PinballLoss::new(quantile)));
    }
    for average in [Average::Macro, Average::Weighted, Average::Micro, Average::Class(1)] {
        metrics.push(Box::new(Precision::new(average)));
        metrics.push(Box::new(Recall::new(average)));
        metrics.push(Box::new(F1::new(average)));
        metrics.push(Box::new(FBeta::new(0.5, average)));
        metrics.push(Box::new(FBeta::new(2.0, average)));
        metrics.push(Box::new(RocAuc::new().average(average)));
        metrics.push(Box::new(RocAuc::new().average(average).one_vs_one()));
        metrics.push(Box::new(AveragePrecision::new().average(average)));
    }
    metrics
}

#[test]
fn of_no_examples_a_metric_is_not_a_number_and_of_no_outputs_an_error() {
    let mut judged = 0;
    let more: [Box<dyn Metric<f64>>; 3] =
        [Box::new(CalibratedLogLoss::new()), Box::new(ConfusionMatrix::new()), Box::new(TopKAccuracy::new(2))];
    for mut metric in metrics().into_iter().chain(more) {
        let name = metric.name();
        for (outputs, width) in [
            (Outputs::Numbers, 1),
            (Outputs::Probabilities, 1),
            (Outputs::Probabilities, 3),
            (Outputs::ClassProbabilities, 2),
            (Outputs::ClassProbabilities, 3),
        ] {
            metric.start(Meaning::new(outputs));
            assert!(metric.value().is_nan(), "{name} before the first batch is {}", metric.value());
            for target in [Target::Values(&[]), Target::Classes(&[])] {
                let none = metric.update(Batch::new(&[], 0, [width]).unwrap(), target, None);
                judged += usize::from(none.is_ok());
                assert!(metric.value().is_nan(), "{name} of no examples is {}", metric.value());
            }
            for shape in [Shape::from([0]), [0, 3].into(), [2, 0].into()] {
                for target in [Target::Values(&[]), Target::Values(&[1.0; 2]), Target::Classes(&[1; 2])] {
                    let error = metric.update(Batch::new(&[], 2, shape).unwrap(), target, None).unwrap_err();
                    if let TargetError::Prediction { got, .. } = error {
                        assert_eq!(got, shape, "{name}");
                    }
                }
            }
        }
    }
    assert!(judged > 100, "{judged}");
}

/// Cuts the next `count` numbers off.
fn take<'a, T>(from: &mut &'a [T], count: usize) -> &'a [T] {
    let (taken, rest) = from.split_at(count);
    *from = rest;
    taken
}

/// Shows a metric all examples, a few at a time.
fn show(metric: &mut dyn Metric<f64>, case: &Case, y: &[f64], target: Target<'_, f64>, weights: Option<&[f64]>) {
    metric.start(Meaning::new(case.outputs));
    let each = target.len() / case.examples;
    for first in (0..case.examples).step_by(7) {
        let count = 7.min(case.examples - first);
        let batch = Batch::new(&y[first * case.width..][..count * case.width], count, [case.width]).unwrap();
        let target = match target {
            Target::Classes(classes) => Target::Classes(&classes[first * each..][..count * each]),
            Target::Values(values) => Target::Values(&values[first * each..][..count * each]),
        };
        metric.update(batch, target, weights.map(|weights| &weights[first..][..count])).unwrap();
    }
}

#[test]
fn every_metric_is_that_of_scikit_learn() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = |name: &str| tensors.tensor(name).unwrap().data().to_vec();
    let numbers = |name: &str| -> Vec<f64> {
        data(name).chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let classes: Vec<u32> =
        data("classes").chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let (y, values, weights) = (numbers("y"), numbers("values"), numbers("weights"));
    let (expected, reliability) = (numbers("expected"), numbers("reliability"));
    let (mut y, mut values, mut weights, mut classes) = (&y[..], &values[..], &weights[..], &classes[..]);
    let (mut expected, mut reliability) = (&expected[..], &reliability[..]);

    let (mut metrics, mut met, mut wrong) = (metrics(), vec![0; metrics().len()], Vec::new());
    for case in &cases {
        let y = take(&mut y, case.examples * case.width);
        let target = match &case.targets[..] {
            "classes" => Target::Classes(take(&mut classes, case.examples)),
            _ => Target::Values(take(&mut values, case.examples * case.width)),
        };
        let weights = case.is_weighted.then(|| take(&mut weights, case.examples));
        for (name, &expected) in case.metrics.iter().zip(take(&mut expected, case.metrics.len())) {
            let place = metrics.iter().position(|metric| metric.name() == *name).expect(name);
            met[place] += 1;
            show(&mut metrics[place], case, y, target, weights);
            let value = metrics[place].value();
            let is_near = (value - expected).abs() <= 1e-12 || (value.is_nan() && expected.is_nan());
            if !is_near {
                wrong.push(format!("{}: {name} is {value}, but should be {expected}", case.name));
            }
        }
        if case.bins > 0 {
            let mut error = ExpectedCalibrationError::new();
            show(&mut error, case, y, target, weights);
            let table = error.reliability();
            let met = table.iter().filter(|bin| bin.weight > 0.0);
            let rows: Vec<f64> = met.flat_map(|bin| [bin.confidence, bin.frequency]).collect();
            let expected = take(&mut reliability, 2 * case.bins);
            assert_eq!(rows.len(), expected.len(), "{}", case.name);
            assert!(rows.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-12), "{}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 60 && y.is_empty() && expected.is_empty() && reliability.is_empty());
    for (metric, met) in metrics.iter().zip(met) {
        // Pairs of classes have no other average.
        assert!(met > 0 || metric.name().contains("one-vs-one"), "no case judges {}", metric.name());
    }
}
