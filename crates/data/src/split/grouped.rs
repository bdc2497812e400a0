//! Splits by group: all examples of a group are in one part.

use std::collections::BTreeMap;

use downhill_tensor::Seed;

use super::{Strata, check_folds, check_fraction, random_order};
use crate::DataError;
use crate::permutation::{Purpose, permute};

/// The group of each example, counted from 0 in the order of the groups.
#[derive(Debug)]
pub(crate) struct Groups {
    of: Vec<usize>,
    /// The number of examples of each group.
    sizes: Vec<usize>,
}

impl Groups {
    /// Numbers the groups of as many examples.
    pub(crate) fn new<G: Ord>(groups: &[G], examples: usize) -> Result<Self, DataError> {
        if groups.len() != examples {
            return Err(DataError::GroupCount { examples, got: groups.len() });
        }
        let mut numbers: BTreeMap<&G, usize> = groups.iter().map(|group| (group, 0)).collect();
        numbers.values_mut().zip(0..).for_each(|(number, next)| *number = next);
        let of: Vec<usize> = groups.iter().filter_map(|group| numbers.get(group).copied()).collect();
        let mut sizes = vec![0; numbers.len()];
        for &group in &of {
            sizes.get_mut(group).into_iter().for_each(|size| *size += 1);
        }
        Ok(Self { of, sizes })
    }

    /// The groups and their sizes in random order.
    fn shuffled(&self, seed: Seed) -> Vec<(usize, usize)> {
        let mut order = vec![0; self.sizes.len()];
        permute(&mut order, &mut seed.stream(Purpose::Groups as u64));
        order.into_iter().filter_map(|group| Some((group, *self.sizes.get(group)?))).collect()
    }

    fn check_enough(&self, needed: usize) -> Result<(), DataError> {
        match self.sizes.len() {
            groups if groups < needed => Err(DataError::TooFewGroups { groups, needed }),
            _ => Ok(()),
        }
    }

    /// Deals the examples to `count` parts, in random order; `part` is the part of each group.
    fn deal(&self, part: &[usize], count: usize, seed: Seed, purpose: Purpose) -> Vec<Vec<usize>> {
        let mut parts = vec![Vec::new(); count];
        for index in random_order(self.of.len(), seed, purpose) {
            let part = self.of.get(index).and_then(|&group| part.get(group));
            part.and_then(|&part| parts.get_mut(part)).into_iter().for_each(|part| part.push(index));
        }
        parts
    }
}

/// Draws the two parts of a random split that keeps groups together.
pub(crate) fn grouped_halves(
    groups: &Groups,
    fraction: f64,
    seed: Seed,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    check_fraction(fraction)?;
    groups.check_enough(2)?;
    let order = groups.shuffled(seed);
    let wanted = fraction * groups.of.len() as f64;
    let (mut first, mut part) = (0, vec![1; groups.sizes.len()]);
    let mut taken = 0;
    for &(group, size) in &order {
        if ((first + size) as f64 - wanted).abs() <= (wanted - first as f64).abs() {
            first += size;
            taken += 1;
            part.get_mut(group).into_iter().for_each(|part| *part = 0);
        }
    }
    // The smallest group is what makes the least difference.
    if taken == 0 || taken == order.len() {
        let smallest = order.iter().min_by_key(|(_, size)| *size).and_then(|&(group, _)| part.get_mut(group));
        smallest.into_iter().for_each(|part| *part = 1 - *part);
    }
    let mut parts = groups.deal(&part, 2, seed, Purpose::Split);
    let second = parts.pop().unwrap_or_default();
    Ok((parts.pop().unwrap_or_default(), second))
}

/// Draws folds of about one size that keep groups together.
pub(crate) fn grouped_folds(groups: &Groups, count: usize, seed: Seed) -> Result<Vec<Vec<usize>>, DataError> {
    check_folds(count)?;
    groups.check_enough(count)?;
    let mut order = groups.shuffled(seed);
    order.sort_by_key(|&(_, size)| std::cmp::Reverse(size));
    let (mut sizes, mut fold_of) = (vec![0; count], vec![0; groups.sizes.len()]);
    for (group, size) in order {
        // The first among the smallest.
        if let Some((fold, smallest)) = sizes.iter_mut().enumerate().min_by_key(|(_, size)| **size) {
            *smallest += size;
            fold_of.get_mut(group).into_iter().for_each(|place| *place = fold);
        }
    }
    Ok(groups.deal(&fold_of, count, seed, Purpose::Folds))
}

/// Draws folds that keep groups together and in which every class keeps its share as far as the groups let it.
pub(crate) fn stratified_grouped_folds(
    groups: &Groups,
    strata: Strata<'_>,
    count: usize,
    seed: Seed,
) -> Result<Vec<Vec<usize>>, DataError> {
    check_folds(count)?;
    // As fractions of each class that occurs.
    let totals = strata.counts(count)?;
    groups.check_enough(count)?;
    let places: BTreeMap<u32, usize> = totals.keys().copied().zip(0..).collect();
    let mut counts = vec![vec![0.0; places.len()]; groups.sizes.len()];
    for (&group, label) in groups.of.iter().zip(strata.labels) {
        let cell = places.get(label).and_then(|&place| counts.get_mut(group)?.get_mut(place));
        cell.into_iter().for_each(|cell| *cell += 1.0);
    }
    let mut order: Vec<(usize, f64)> = groups
        .shuffled(seed)
        .into_iter()
        .filter_map(|(group, _)| Some((group, deviation(counts.get(group)?.iter().copied()))))
        .collect();
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let totals: Vec<f64> = totals.values().map(|&total| total as f64).collect();
    let (mut held, mut fold_of) = (vec![vec![0.0; totals.len()]; count], vec![0; groups.sizes.len()]);
    for (group, _) in order {
        let Some(counts) = counts.get(group) else { continue };
        let fold = evenest(&held, &totals, counts);
        fold_of.get_mut(group).into_iter().for_each(|place| *place = fold);
        for (held, count) in held.get_mut(fold).into_iter().flatten().zip(counts) {
            *held += count;
        }
    }
    Ok(groups.deal(&fold_of, count, seed, Purpose::Folds))
}

/// The fold that gets a group: the one with which the folds' shares of each class differ least, of equals the one with
/// the fewest examples. A fold that is empty is among the best, so none stays so.
fn evenest(held: &[Vec<f64>], totals: &[f64], group: &[f64]) -> usize {
    let spread = |fold: usize| {
        let each = totals.iter().zip(group).enumerate().map(|(class, (total, added))| {
            let shares = held.iter().enumerate().map(move |(place, counts)| {
                let added = if place == fold { *added } else { 0.0 };
                (counts.get(class).copied().unwrap_or_default() + added) / total
            });
            deviation(shares)
        });
        each.sum::<f64>() / totals.len() as f64
    };
    let mut best = (0, f64::INFINITY, f64::INFINITY);
    for (fold, counts) in held.iter().enumerate() {
        let (spread, examples) = (spread(fold), counts.iter().sum::<f64>());
        // NumPy's measure of what is equal but for rounding.
        let equal = (spread - best.1).abs() <= 1e-8 + 1e-5 * best.1;
        if if equal && best.1.is_finite() { examples < best.2 } else { spread < best.1 } {
            best = (fold, spread, examples);
        }
    }
    best.0
}

/// The standard deviation of some numbers.
fn deviation(numbers: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    (numbers.map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Dataset, Fold};

    fn message<V>(result: Result<V, DataError>) -> String {
        result.map(|_| ()).unwrap_err().to_string()
    }

    /// Example i has the input i; groups of these sizes, mixed.
    fn grouped(sizes: &[usize], seed: u64) -> (Dataset<f64>, Vec<usize>) {
        let of: Vec<usize> =
            sizes.iter().enumerate().flat_map(|(group, &size)| std::iter::repeat_n(group, size)).collect();
        let mut order = vec![0; of.len()];
        permute(&mut order, &mut Seed(seed).stream(0));
        let of: Vec<usize> = order.into_iter().map(|place| of[place]).collect();
        let labels = of.iter().enumerate().map(|(i, group)| ((i * 7 + group) % 3 == 0).into()).collect::<Vec<u32>>();
        (Dataset::new((0..of.len()).map(|i| i as f64).collect(), [1], labels).unwrap(), of)
    }

    fn indices(set: &Dataset<f64>) -> Vec<usize> {
        set.inputs().slice().iter().map(|&x| x as usize).collect()
    }

    /// Whether two parts are a partition of all examples that shares no group.
    fn apart(first: &Dataset<f64>, second: &Dataset<f64>, of: &[usize]) -> bool {
        let groups = |part| indices(part).into_iter().map(|i| of[i]).collect::<BTreeSet<_>>();
        let mut all = [indices(first), indices(second)].concat();
        all.sort_unstable();
        groups(first).is_disjoint(&groups(second)) && all == (0..of.len()).collect::<Vec<_>>()
    }

    #[test]
    fn no_group_is_in_two_parts() {
        for seed in 0..30 {
            let (set, of) = grouped(&[9, 1, 14, 3, 3, 7, 22, 5, 6], seed);
            for fraction in [0.01, 0.3, 0.5, 0.8, 0.99] {
                let (first, second) = set.grouped_split(&of, fraction, Seed(seed)).unwrap();
                assert!(apart(&first, &second, &of));
            }
            let folds = set.grouped_k_folds(&of, 4, Seed(seed)).unwrap();
            let folds = folds.chain(set.stratified_grouped_k_folds(&of, 4, Seed(seed)).unwrap());
            let mut validated = 0;
            for Fold { train, validation } in folds {
                assert!(apart(&train, &validation, &of));
                validated += validation.len();
            }
            assert_eq!(validated, 2 * set.len());
        }
    }

    #[test]
    fn groups_of_one_example_are_split_as_exactly_as_examples() {
        let (set, of) = grouped(&[1; 100], 1);
        for (fraction, expected) in [(0.8, 80), (0.25, 25), (0.004, 1), (0.999, 99)] {
            assert_eq!(set.grouped_split(&of, fraction, Seed(2)).unwrap().0.len(), expected);
        }
        assert!(set.grouped_k_folds(&of, 7, Seed(1)).unwrap().all(|fold| [14, 15].contains(&fold.validation.len())));
    }

    #[test]
    fn a_large_group_leaves_the_others_a_part() {
        let (set, of) = grouped(&[90, 10], 1);
        for (fraction, expected) in [(0.001, 10), (0.3, 10), (0.6, 90), (0.999, 90)] {
            // Whichever comes first in the random order.
            for seed in 0..10 {
                let size = set.grouped_split(&of, fraction, Seed(seed)).unwrap().0.len();
                assert!(size == expected || (fraction == 0.6 && size == 10), "{fraction}: {size}");
            }
        }
    }

    #[test]
    fn a_seed_decides_between_equals_and_the_same_seed_gives_the_same_parts() {
        let (set, of) = grouped(&[5; 12], 3);
        let split = |seed| indices(&set.grouped_split(&of, 0.5, Seed(seed)).unwrap().0);
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
        let fold = |seed| indices(&set.grouped_k_folds(&of, 3, Seed(seed)).unwrap().next().unwrap().validation);
        assert_eq!((fold(1), fold(1).len()), (fold(1), 20));
        assert_ne!(fold(1), fold(2));
    }

    #[test]
    fn classes_keep_their_shares_as_far_as_groups_let_them() {
        // Half of the groups hold the first class alone, half the second: a fold of each size has both.
        let of: Vec<usize> = (0..120).map(|i| i / 10).collect();
        let labels: Vec<u32> = of.iter().map(|group| (group % 2) as u32).collect();
        let set = Dataset::new((0..120).map(f64::from).collect(), [1], labels.clone()).unwrap();
        for fold in set.stratified_grouped_k_folds(&of, 3, Seed(4)).unwrap() {
            let second = indices(&fold.validation).into_iter().filter(|&i| labels[i] == 1).count();
            assert_eq!((fold.validation.len(), second), (40, 20));
        }
    }

    #[test]
    fn every_fold_gets_a_group() {
        for seed in 0..50 {
            let (set, of) = grouped(&[3, 40, 3, 3, 3], seed);
            let folds = set.stratified_grouped_k_folds(&of, 5, Seed(seed)).unwrap();
            assert!(folds.map(|fold| fold.validation.len()).all(|size| [3, 40].contains(&size)));
        }
    }

    #[test]
    fn what_can_not_be_split_is_refused() {
        let (set, of) = grouped(&[3, 4], 1);
        assert_eq!(
            message(set.grouped_split(&of[1..], 0.5, Seed(1))),
            "6 groups were given, but there are 7 examples; give the group of each example"
        );
        assert_eq!(
            message(set.grouped_k_folds(&of, 3, Seed(1))),
            "3 groups are needed for every part to get one, but the number of groups is 2"
        );
        assert!(message(set.grouped_split(&[0; 7], 0.5, Seed(1))).ends_with("the number of groups is 1"));
        assert!(message(set.grouped_split(&of, 1.5, Seed(1))).starts_with("the fraction of a split"));
        assert!(message(set.grouped_k_folds(&of, 1, Seed(1))).starts_with("a cross-validation needs 2 folds"));
        assert!(message(set.stratified_grouped_k_folds(&of, 0, Seed(1))).starts_with("a cross-validation needs 2"));
        assert!(message(set.stratified_grouped_k_folds(&of, usize::MAX, Seed(1))).starts_with("class 0 has"));
    }
}
