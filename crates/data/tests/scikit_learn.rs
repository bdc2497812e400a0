//! Folds as scikit-learn makes them; see `xtask/golden/data_splits.py`.

use std::collections::BTreeSet;

use downhill_data::{Dataset, Folds, Targets};
use downhill_tensor::Seed;
use safetensors::SafeTensors;

/// The whole numbers of a tensor.
fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<usize> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::I64, "{name}");
    tensor.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as usize).collect()
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
