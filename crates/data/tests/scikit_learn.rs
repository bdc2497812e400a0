//! Folds and scalers as scikit-learn makes them; see `xtask/golden/data_splits.py` and `data_scalers.py`.

use std::collections::BTreeSet;

use downhill_data::{Dataset, Folds, PowerScaler, RobustScaler, Scaler, Targets};
use downhill_tensor::Seed;
use ndarray::Array2;
use safetensors::SafeTensors;

/// The whole numbers of a tensor.
fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<usize> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::I64, "{name}");
    tensor.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as usize).collect()
}

/// The numbers of a tensor.
fn numbers(file: &SafeTensors<'_>, name: &str) -> Array2<f64> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::F64, "{name}");
    let numbers = tensor.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
    let &[rows, columns] = tensor.shape() else { panic!("{name} is no matrix") };
    Array2::from_shape_vec((rows, columns), numbers).unwrap()
}

/// The largest difference, relative to numbers beyond 1.
fn difference(ours: &Array2<f64>, theirs: &Array2<f64>) -> f64 {
    assert_eq!(ours.dim(), theirs.dim());
    ours.iter().zip(theirs).fold(0.0, |largest, (a, b)| largest.max((a - b).abs() / b.abs().max(1.0)))
}

fn row(numbers: impl Iterator<Item = f64>) -> Array2<f64> {
    let numbers: Vec<f64> = numbers.collect();
    Array2::from_shape_vec((1, numbers.len()), numbers).unwrap()
}

#[test]
fn robust_scalers_are_scikit_learns() {
    let file = SafeTensors::deserialize(include_bytes!("fixtures/scalers.safetensors")).unwrap();
    let rows = numbers(&file, "rows");
    for (name, low, high) in [("quarters", 0.25, 0.75), ("twentieths", 0.05, 0.95), ("lower", 0.0, 0.5)] {
        let scaler = RobustScaler::fit_quantiles(low, high, rows.view()).unwrap();
        let theirs = |part: &str| numbers(&file, &format!("robust.{name}.{part}"));
        let mut scaled = rows.clone();
        scaler.transform(scaled.view_mut()).unwrap();
        // Sums of two terms: a few units in the last place.
        assert!(difference(&row(scaler.medians()), &theirs("median")) < 1e-12);
        assert!(difference(&row(scaler.scales()), &theirs("scale")) < 1e-12);
        assert!(difference(&scaled, &theirs("scaled")) < 1e-12);
    }
}

#[test]
fn power_scalers_are_scikit_learns() {
    let file = SafeTensors::deserialize(include_bytes!("fixtures/scalers.safetensors")).unwrap();
    let (rows, positive) = (numbers(&file, "rows"), numbers(&file, "positive"));
    for (name, scaler, rows) in [
        ("yeo_johnson", PowerScaler::fit(rows.view()).unwrap(), &rows),
        ("box_cox", PowerScaler::fit_box_cox(positive.view()).unwrap(), &positive),
    ] {
        let theirs = |part: &str| numbers(&file, &format!("{name}.{part}"));
        let mut scaled = rows.clone();
        scaler.transform(scaled.view_mut()).unwrap();
        // Brent's search for the largest value fixes a power to about the root of the rounding, 1e-8; the steps of
        // SciPy's end there too.
        let powers = difference(&row(scaler.powers()), &theirs("power"));
        let values = difference(&scaled, &theirs("scaled"));
        println!("{name}: {powers:e} in powers, {values:e} in values");
        assert!(powers < 1e-6 && values < 1e-6, "{name}: {powers:e}, {values:e}");

        // With their power, nothing is searched for.
        let parts = ["power", "mean", "scale"].map(|part| theirs(part).into_raw_vec_and_offset().0);
        let same = PowerScaler::from_parts(scaler.power_transform(), &parts[0], &parts[1], &parts[2]).unwrap();
        let mut scaled = rows.clone();
        same.transform(scaled.view_mut()).unwrap();
        assert!(difference(&scaled, &theirs("scaled")) < 1e-9);
        let mut back = theirs("asked");
        same.inverse(back.view_mut()).unwrap();
        assert!(difference(&back, &theirs("answered")) < 1e-9, "{back}");
    }
}

/// Example i has the input i.
fn numbered(labels: Vec<u32>) -> Dataset<f64> {
    let classes = labels.iter().max().map_or(0, |&largest| largest as usize + 1);
    Dataset::new((0..labels.len()).map(|i| i as f64).collect(), [1], Targets::classes(labels, classes)).unwrap()
}

fn indices(set: &Dataset<f64>) -> BTreeSet<usize> {
    set.inputs().slice().iter().map(|&x| x as usize).collect()
}

#[test]
fn groups_are_dealt_as_scikit_learn_deals_them() {
    let bytes = include_bytes!("fixtures/splits.safetensors");
    let file = SafeTensors::deserialize(bytes).unwrap();
    for case in 0..4 {
        let numbers = |name: &str| integers(&file, &format!("{case}.{name}"));
        let (groups, count) = (numbers("groups"), numbers("folds")[0]);
        let set = numbered(numbers("classes").into_iter().map(|class| class as u32).collect());
        // Which of several empty folds comes first is decided by rounding there.
        let check = |folds: Folds<'_, Dataset<f64>>, of: Vec<usize>| {
            let folds: BTreeSet<BTreeSet<usize>> = folds.map(|fold| indices(&fold.validation)).collect();
            let expected = (0..count).map(|fold| (0..of.len()).filter(|&i| of[i] == fold).collect()).collect();
            assert_eq!(folds, expected, "case {case}");
        };
        for seed in 0..5 {
            check(set.grouped_k_folds(&groups, count, Seed(seed)).unwrap(), numbers("grouped"));
            check(set.stratified_grouped_k_folds(&groups, count, Seed(seed)).unwrap(), numbers("stratified"));
        }
    }
}

#[test]
fn time_is_cut_as_scikit_learn_cuts_it() {
    let bytes = include_bytes!("fixtures/splits.safetensors");
    let rows = integers(&SafeTensors::deserialize(bytes).unwrap(), "time");
    let mut rows = rows.as_chunks::<6>().0.iter().peekable();
    let mut seen = 0;
    while let Some(&[examples, count, gap, ..]) = rows.peek().copied() {
        for fold in numbered(vec![0; examples]).time_folds(count, gap).unwrap() {
            let &[.., end, from, to] = rows.next().unwrap();
            assert_eq!(indices(&fold.train), (0..end).collect(), "{examples}, {count}, {gap}");
            assert_eq!(indices(&fold.validation), (from..to).collect(), "{examples}, {count}, {gap}");
            seen += 1;
        }
    }
    assert_eq!(seen, 3 + 3 + 9 + 2 + 7 + 5);
}
