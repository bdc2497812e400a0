//! Properties that hold for every loss, whatever its settings.

use std::collections::BTreeSet;
use std::path::Path;

use downhill_tensor::threads::Threads;
use downhill_tensor::{Batch, Scalar, Shape};

use crate::testing::{Cases, Draw, check};
use crate::{DynLoss, Loss, Meaning, Outputs, Target, TargetError, Total, Weighted};

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e-3) || a.is_nan() && b.is_nan()
}

/// Evaluates total and gradient, and checks that all of the gradient was overwritten.
fn evaluated<T: Scalar>(
    loss: &dyn DynLoss,
    y: Batch<'_, T>,
    target: Target<'_, T>,
    weights: Option<&[T]>,
) -> Result<(Total, Vec<T>), TargetError> {
    let mut dy = vec![T::NAN; y.slice().len()];
    let of = |dy: Option<&mut [T]>| match weights {
        None => loss.evaluate(y, target, dy),
        Some(weights) => loss.evaluate_weighted(y, target, weights, dy),
    };
    let total = of(Some(&mut dy))?;
    assert_eq!(format!("{total:?}"), format!("{:?}", of(None)?), "{loss:?}");
    Ok((total, dy))
}

/// Draws weights of which about a third are 0.
fn some_weights(draw: &mut Draw, count: usize) -> Vec<f64> {
    let mut weights = draw.numbers(count, 0.2, 3.0);
    weights.iter_mut().for_each(|weight| *weight = if draw.below(3) == 0 { 0.0 } else { *weight });
    weights[draw.below(count)] = 1.5;
    weights
}

#[test]
fn every_loss_is_among_the_cases() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut losses = BTreeSet::new();
    for file in std::fs::read_dir(source).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.split("#[cfg(test)]").next().unwrap().lines() {
            for implemented in ["impl Loss for ", "impl PointwiseLoss for "] {
                let Some(rest) = line.strip_prefix(implemented) else { continue };
                losses.insert(rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>());
            }
        }
    }
    let mut cases: BTreeSet<String> = Cases::all().iter().map(|case| case.name.to_owned()).collect();
    assert!(cases.remove("FromFn"), "its implementation has a type parameter");
    assert_eq!(losses, cases);
    assert!(losses.len() >= 27, "{losses:?}");
}

#[test]
fn every_loss_says_what_its_predictions_mean() {
    for case in Cases::all() {
        let outputs = match case.name {
            "SoftmaxCrossEntropy" | "SoftmaxFocal" => Some(Outputs::ClassLogits),
            "NegativeLogLikelihood" | "KlDivergence" => Some(Outputs::ClassLogProbabilities),
            "MultiMargin" => Some(Outputs::ClassScores),
            "BinaryCrossEntropyWithLogits" | "BinaryFocal" | "MultiLabelSoftMargin" => Some(Outputs::Logits),
            "BinaryCrossEntropy" | "Dice" => Some(Outputs::Probabilities),
            "Hinge" | "SoftMargin" | "MultiLabelMargin" => Some(Outputs::Scores),
            "MeanSquaredError" | "MeanAbsoluteError" | "Huber" | "SmoothL1" | "LogCosh" | "Quantile" => {
                Some(Outputs::Numbers)
            }
            "PoissonNll" if format!("{:?}", case.loss).contains("rates: true") => Some(Outputs::Numbers),
            "PoissonNll" | "GaussianNll" | "HingeEmbedding" | "MarginRanking" | "CosineEmbedding" | "TripletMargin"
            | "Ctc" | "FromFn" | "MultiTask" => None,
            other => panic!("what do predictions of {other} mean?"),
        };
        let Meaning { outputs: said, class_axis, ignored_index } = case.loss.meaning();
        assert_eq!(said, outputs, "{:?}", case.loss);
        let settings = format!("{:?}", case.loss);
        if case.name != "MultiTask" && settings.contains("class_axis") {
            assert!(settings.contains(&format!("class_axis: {class_axis:?}")), "{settings}");
        }
        if case.name != "MultiTask" && settings.contains("ignored_index") {
            assert!(settings.contains(&format!("ignored_index: {ignored_index:?}")), "{settings}");
        }
    }
}

#[test]
fn the_total_of_a_whole_set_is_the_sum_of_those_of_its_batches() {
    let mut draw = Draw::new(60);
    for case in Cases::all() {
        let (y, target) = case.some(0..Cases::EXAMPLES);
        let whole = case.loss.evaluate(y, target, None).unwrap();
        assert!(near(whole.value(), case.loss.value(y, target).unwrap()));
        for &each in &case.weights {
            let weights = some_weights(&mut draw, Cases::EXAMPLES * each);
            let weighted_whole = case.loss.evaluate_weighted(y, target, &weights, None).unwrap();
            for batch in 1..Cases::EXAMPLES {
                let (mut total, mut weighted) = (Total::default(), Total::default());
                for start in (0..Cases::EXAMPLES).step_by(batch) {
                    let here = start..(start + batch).min(Cases::EXAMPLES);
                    let (y, target) = case.some(here.clone());
                    total += case.loss.evaluate(y, target, None).unwrap();
                    let weights = &weights[here.start * each..here.end * each];
                    weighted += case.loss.evaluate_weighted(y, target, weights, None).unwrap();
                }
                assert!(near(total.value(), whole.value()), "{:?} in batches of {batch}", case.loss);
                assert!(near(total.divisor(), whole.divisor()), "{:?} in batches of {batch}", case.loss);
                assert!(
                    near(weighted.value(), weighted_whole.value()),
                    "{:?} with {each} weights an example in batches of {batch}: {weighted:?} and {weighted_whole:?}",
                    case.loss
                );
            }
        }
    }
}

#[test]
fn the_gradient_of_a_weighted_loss() {
    let mut draw = Draw::new(61);
    for case in Cases::all() {
        check(&case.loss, case.batch(), &case.y, case.target());
        for &each in &case.weights {
            let weights = some_weights(&mut draw, Cases::EXAMPLES * each);
            let weighted = Weighted::new(&case.loss, &weights);
            if case.loss.evaluate_weighted(case.some(0..9).0, case.target(), &weights, None).unwrap().is_empty() {
                continue;
            }
            check(&weighted, case.batch(), &case.y, case.target());
        }
    }
}

#[test]
fn weights_of_whole_examples_are_those_that_the_examples_have_alone() {
    let mut draw = Draw::new(62);
    for case in Cases::all() {
        let weights = some_weights(&mut draw, Cases::EXAMPLES);
        let mut expected = Total::default();
        for (example, &weight) in weights.iter().enumerate() {
            let (y, target) = case.some(example..example + 1);
            expected += case.loss.evaluate(y, target, None).unwrap().weighing(weight);
        }
        let (y, target) = case.some(0..Cases::EXAMPLES);
        let found = evaluated(&*case.loss, y, target, Some(&weights)).unwrap();
        assert!(near(found.0.value(), expected.value()), "{:?}: {:?} for {expected:?}", case.loss, found.0);
        assert!(near(found.0.divisor(), expected.divisor()), "{:?}: {:?} for {expected:?}", case.loss, found.0);
        // The same weights for all positions or numbers of an example.
        for &each in &case.weights {
            let spread: Vec<f64> = weights.iter().flat_map(|&weight| vec![weight; each]).collect();
            let (total, dy) = evaluated(&*case.loss, y, target, Some(&spread)).unwrap();
            assert!(near(total.value(), expected.value()), "{:?} with {each} weights an example", case.loss);
            assert!(dy.iter().zip(&found.1).all(|(a, b)| near(*a, *b)), "{:?} with {each} weights", case.loss);
        }
    }
}

#[test]
fn equal_weights_change_nothing() {
    for case in Cases::all() {
        let (y, target) = case.some(0..Cases::EXAMPLES);
        let (plain, dy) = evaluated(&*case.loss, y, target, None).unwrap();
        for &each in &case.weights {
            for weight in [1.0, 0.25] {
                let weights = vec![weight; Cases::EXAMPLES * each];
                let (weighted, dy_weighted) = evaluated(&*case.loss, y, target, Some(&weights)).unwrap();
                let factor = if plain.is_sum() { weight } else { 1.0 };
                // Of several parts one may be a sum and another a mean.
                if case.name == "MultiTask" && weight != 1.0 {
                    continue;
                }
                assert!(near(weighted.value(), factor * plain.value()), "{:?}", case.loss);
                assert!(dy.iter().zip(&dy_weighted).all(|(a, b)| near(factor * a, *b)), "{:?}", case.loss);
            }
        }
    }
}

/// Numbers of weight 0 are NaN, infinite and others that no loss takes.
#[test]
fn what_weighs_0_is_not_read() {
    let mut draw = Draw::new(63);
    for case in Cases::all() {
        for &each in &case.weights {
            if case.name == "MultiTask" && each > 1 {
                // Its parts share numbers.
                continue;
            }
            let weights = some_weights(&mut draw, Cases::EXAMPLES * each);
            let (y, target) = case.some(0..Cases::EXAMPLES);
            let expected = evaluated(&*case.loss, y, target, Some(&weights)).unwrap();
            // Which numbers a weight belongs to shows in the gradient of what weighs only there.
            for bad in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e9] {
                let (mut y, mut values, mut classes) = (case.y.clone(), case.values.clone(), case.classes.clone());
                for (place, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight == 0.0) {
                    assert_eq!(weight, 0.0);
                    for at in numbers_of(&case, each, place) {
                        y[at] = bad;
                        if values.len() == y.len() {
                            values[at] = bad;
                        }
                    }
                    let targets = case.target().len() / Cases::EXAMPLES;
                    if each == 1 && values.len() != y.len() {
                        let here = place * targets..(place + 1) * targets;
                        values.get_mut(here).into_iter().flatten().for_each(|value| *value = bad);
                    }
                    if each == targets && !classes.is_empty() && case.name != "Ctc" {
                        classes[place] = 99;
                    }
                }
                let y = Batch::new(&y, Cases::EXAMPLES, case.shape).unwrap();
                let target = if classes.is_empty() { Target::Values(&values) } else { Target::Classes(&classes) };
                let found = evaluated(&*case.loss, y, target, Some(&weights)).unwrap();
                assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{:?} with {bad}", case.loss);
            }
        }
    }
}

/// Lists the numbers that one of `each` weights of every example belongs to.
fn numbers_of(case: &Cases, each: usize, place: usize) -> Vec<usize> {
    let width = case.shape.len();
    let group = width / each;
    let settings = format!("{:?}", case.loss);
    if each > 1 && each < width && settings.contains("class_axis: First") {
        let (example, within) = (place / each, place % each);
        return (0..group).map(|class| example * width + class * each + within).collect();
    }
    (place * group..(place + 1) * group).collect()
}

#[test]
fn of_what_does_not_count_the_gradient_is_0_and_the_mean_not_a_number() {
    for case in Cases::all() {
        let bad = vec![f64::NAN; case.y.len()];
        let y = Batch::new(&bad, Cases::EXAMPLES, case.shape).unwrap();
        for &each in &case.weights {
            let (total, dy) = evaluated(&*case.loss, y, case.target(), Some(&vec![0.0; 9 * each])).unwrap();
            assert!(total.is_empty(), "{:?}", case.loss);
            assert!(dy.iter().all(|&dy| dy == 0.0), "{:?}", case.loss);
            let value = total.value();
            assert!(if total.is_sum() { value == 0.0 } else { value.is_nan() }, "{:?}: {total:?}", case.loss);
            // It changes no other total.
            let (y, target) = case.some(0..Cases::EXAMPLES);
            let all = case.loss.evaluate(y, target, None).unwrap();
            let (mut before, mut after) = (total, all);
            before += all;
            after += total;
            assert_eq!((before.value(), after.value()), (all.value(), all.value()), "{:?}", case.loss);
        }
        let (y, target) = case.some(0..0);
        let (total, _) = evaluated(&*case.loss, y, target, None).unwrap();
        assert!(total.is_empty() && (total.is_sum() || total.value().is_nan()), "{:?}: {total:?}", case.loss);
    }
}

#[test]
fn of_ignored_targets_and_classes_of_weight_0_nothing_counts() {
    let y = [f64::NAN, f64::INFINITY, -f64::INFINITY, f64::NAN, 1e300, f64::NAN];
    let y = Batch::new(&y, 2, [3]).unwrap();
    for case in Cases::all() {
        let settings = format!("{:?}", case.loss);
        if case.name == "MultiTask" {
            continue;
        }
        let ignores = ["SoftmaxCrossEntropy", "NegativeLogLikelihood"].contains(&case.name)
            && settings.contains("ignored_index: Some")
            && settings.contains("class_axis: Last");
        let weighs_0 = settings.contains("class_weights: Some([0.0") && settings.contains("class_axis: Last")
            || settings.contains("class_weights: Some([0.0") && !settings.contains("class_axis");
        let mut targets = Vec::new();
        if ignores {
            targets.push(case.loss.meaning().ignored_index.unwrap());
        }
        if weighs_0 {
            targets.push(0);
        }
        for class in targets {
            let (total, dy) = evaluated(&*case.loss, y, Target::Classes(&[class; 2]), None).unwrap();
            assert!(total.is_empty() && total.scale() == 0.0, "{settings}");
            assert_eq!(dy, [0.0; 6], "{settings}");
        }
    }
}

#[test]
fn examples_without_numbers_count_for_nothing_or_are_errors() {
    // A term for the example as a whole, or for its parts, says nothing without numbers; other terms are just none.
    let refuse = [
        "CosineEmbedding",
        "Ctc",
        "Dice",
        "GaussianNll",
        "MarginRanking",
        "MultiLabelMargin",
        "MultiMargin",
        "MultiTask",
        "SoftmaxFocal",
        "TripletMargin",
    ];
    for case in Cases::all() {
        for shape in [Shape::from([0]), [0, 3].into(), [2, 0].into()] {
            let y = Batch::new(&[], 2, shape).unwrap();
            let mut accepted = 0;
            for target in
                [Target::Values(&[]), Target::Values(&[1.0; 2]), Target::Classes(&[1; 2]), Target::Classes(&[])]
            {
                let total = match evaluated(&*case.loss, y, target, None) {
                    Ok((total, _)) => total,
                    Err(TargetError::Prediction { loss, got, .. }) => {
                        assert_eq!((loss, got), (case.name, shape));
                        continue;
                    }
                    Err(_) => continue,
                };
                accepted += 1;
                assert!(total.is_empty(), "{:?} on {shape:?} with {target:?}", case.loss);
                let value = total.value();
                assert!(
                    value == 0.0 || value.is_nan() && !total.is_sum(),
                    "{:?} on {shape:?} with {target:?} is {value}",
                    case.loss
                );
                assert_eq!(value.is_nan(), total.divisor() == 0.0, "{:?} on {shape:?} with {target:?}", case.loss);
            }
            assert!(accepted == 0 || !refuse.contains(&case.name), "{:?} on {shape:?}", case.loss);
        }
    }
}

#[test]
fn weights_that_do_not_fit_are_errors_that_say_what_does() {
    for case in Cases::all() {
        let (y, target) = case.some(0..Cases::EXAMPLES);
        let error = case.loss.evaluate_weighted(y, target, &[1.0; 5], None).unwrap_err().to_string();
        assert!(error.contains("there are 5 weights") && error.contains("9 examples"), "{error}");
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            let mut weights = [1.0; Cases::EXAMPLES];
            weights[4] = weight;
            let error = case.loss.evaluate_weighted(y, target, &weights, None).unwrap_err().to_string();
            assert!(error.contains(&format!("weight 4 is {weight}, but weights must be finite")), "{error}");
        }
    }
}

#[test]
fn targets_that_a_loss_does_not_take_are_errors() {
    for case in Cases::all() {
        if ["FromFn", "TripletMargin"].contains(&case.name) {
            // A closure may take anything, and triplets have no targets.
            continue;
        }
        let (y, target) = case.some(0..Cases::EXAMPLES);
        let fails = |target: Target<'_, f64>, bad: &dyn std::fmt::Debug| {
            let error = case.loss.evaluate(y, target, None).unwrap_err().to_string();
            assert!(error.contains("example 4"), "{:?} with {bad:?}: {error}", case.loss);
        };
        let each = target.len() / Cases::EXAMPLES;
        if let Target::Classes(classes) = target {
            let mut classes = classes.to_vec();
            classes[4 * each] = 1000;
            fails(Target::Classes(&classes), &1000);
            continue;
        }
        for bad in [f64::NAN, f64::INFINITY] {
            let mut values = case.values.clone();
            values[4 * each] = bad;
            fails(Target::Values(&values), &bad);
        }
        if case
            .loss
            .meaning()
            .outputs
            .is_some_and(|outputs| outputs.threshold() == 0.0 || outputs == Outputs::Probabilities)
            && case.name != "SoftmaxCrossEntropy"
        {
            for bad in [255.0, 2.0, -2.0] {
                let mut values = case.values.clone();
                values[4 * each] = bad;
                fails(Target::Values(&values), &bad);
            }
        }
    }
}

/// Value and gradient are the same bits on one thread and on three, also with weights.
#[test]
fn the_number_of_threads_does_not_show() {
    let mut draw = Draw::new(64);
    for case in Cases::all() {
        // Enough examples to be cut.
        let again = 400;
        let repeat = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>().repeat(again);
        let (y, values, classes) = (repeat(&case.y), repeat(&case.values), case.classes.repeat(again));
        let y = Batch::new(&y, Cases::EXAMPLES * again, case.shape).unwrap();
        let target = if classes.is_empty() { Target::Values(&values) } else { Target::Classes(&classes) };
        let weights: Vec<Vec<f32>> =
            case.weights.iter().map(|&each| repeat(&some_weights(&mut draw, 9 * each))).collect();
        let bits = |weights| {
            let (total, dy) = evaluated(&*case.loss, y, target, weights).unwrap();
            (format!("{total:?}"), dy.iter().map(|dy| dy.to_bits()).collect::<Vec<_>>())
        };
        let on = |threads: Threads| {
            threads.run(|| {
                let mut all = vec![bits(None)];
                all.extend(weights.iter().map(|weights| bits(Some(weights))));
                all
            })
        };
        assert!(on(Threads::one()) == on(Threads::new(3).unwrap()), "{:?}", case.loss);
    }
}
