//! Splits and folds of data sets, and their indices, which tables share.
//!
//! * `split/grouped.rs`: examples that belong together stay together.
//! * `split/timed.rs`: the past teaches and the future judges.

mod grouped;
mod timed;

use std::collections::BTreeMap;
use std::ops::Range;

use downhill_tensor::{Scalar, Seed};

pub(crate) use self::grouped::{Groups, grouped_folds, grouped_halves, stratified_grouped_folds};
pub(crate) use self::timed::{time_folds, time_halves};
use crate::permutation::{Purpose, permute};
use crate::{DataError, Dataset};

/// The two parts of one round of cross-validation, of a [`Dataset`] or of a `Table`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fold<D> {
    /// All examples but those of this fold; of time-ordered folds, the earlier ones.
    pub train: D,
    /// The examples of this fold.
    pub validation: D,
}

/// The rounds of a cross-validation, made one at a time.
#[derive(Clone, Debug)]
pub struct Folds<'a, D> {
    whole: &'a D,
    gather: fn(&D, &[usize]) -> D,
    rounds: Rounds,
    rest: Range<usize>,
}

/// The indices of each round of a cross-validation.
#[derive(Clone, Debug)]
pub(crate) enum Rounds {
    /// Each of these parts validates once, and the others train.
    Parts(Vec<Vec<usize>>),
    /// The examples up to an end train, and a later window validates.
    Windows(Vec<(usize, Range<usize>)>),
}

impl Rounds {
    fn len(&self) -> usize {
        match self {
            Self::Parts(parts) => parts.len(),
            Self::Windows(windows) => windows.len(),
        }
    }

    /// The examples that train and those that validate.
    fn round(&self, number: usize) -> Option<(Vec<usize>, Vec<usize>)> {
        match self {
            Self::Parts(parts) => {
                let others = parts.iter().enumerate().filter(|&(part, _)| part != number);
                Some((others.flat_map(|(_, indices)| indices).copied().collect(), parts.get(number)?.clone()))
            }
            Self::Windows(windows) => {
                let (end, window) = windows.get(number)?.clone();
                Some(((0..end).collect(), window.collect()))
            }
        }
    }
}

impl<T: Scalar> Dataset<T> {
    /// Splits the examples into two random parts: the first holds `fraction` of them, rounded to the nearest count but at least one and at most all but one; the second holds the others.
    ///
    /// Both are in random order, which depends on `seed` and on the number of examples alone.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use downhill_tensor::Seed;
    /// let all = Dataset::new((0..10).map(f64::from).collect(), [1], vec![0; 10])?;
    /// let (train, test) = all.split(0.8, Seed(1))?;
    /// assert_eq!((train.len(), test.len()), (8, 2));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the fraction does not lie between 0 and 1, or there are fewer than two examples.
    pub fn split(&self, fraction: f64, seed: Seed) -> Result<(Self, Self), DataError> {
        let (first, second) = halves(WHOLE, self.len(), fraction, seed)?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Splits the examples into two random parts in which every class keeps its share: the first holds `fraction` of
    /// each class, rounded to the nearest count but at least one example and at most all but one; the second the others.
    ///
    /// The parts may differ in size from those of [`split`](Self::split) by what rounding adds up to.
    ///
    /// # Errors
    /// Returns the errors of [`split`](Self::split), and one if there is not one class for each example,
    /// or a class that occurs has a single example.
    pub fn stratified_split(&self, fraction: f64, seed: Seed) -> Result<(Self, Self), DataError> {
        check_fraction(fraction)?;
        let (labels, _) = self.single_labels("a stratified split")?;
        let strata = Strata { labels, name: &|label| self.named_class(label) };
        let (first, second) = stratified_halves(strata, fraction, seed)?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Makes the rounds of a `count`-fold cross-validation: each example is in one validation part.
    ///
    /// Folds are random and their sizes differ by one at most.
    ///
    /// # Errors
    /// Returns an error if there are fewer than two folds, or fewer examples than folds.
    pub fn k_folds(&self, count: usize, seed: Seed) -> Result<Folds<'_, Self>, DataError> {
        Ok(Folds::new(self, Self::gather, Rounds::Parts(folds(WHOLE, self.len(), count, seed)?)))
    }

    /// Makes the rounds of a `count`-fold cross-validation in which every class keeps its share.
    ///
    /// The examples of a class, and those of all classes, are spread over the folds so that counts differ by one at most.
    ///
    /// # Errors
    /// Returns the errors of [`k_folds`](Self::k_folds), and one if there is not one class for each example,
    /// or a class that occurs has fewer examples than there are folds.
    pub fn stratified_k_folds(&self, count: usize, seed: Seed) -> Result<Folds<'_, Self>, DataError> {
        check_folds(count)?;
        let (labels, _) = self.single_labels("a stratified cross-validation")?;
        let strata = Strata { labels, name: &|label| self.named_class(label) };
        Ok(Folds::new(self, Self::gather, Rounds::Parts(stratified_folds(strata, count, seed)?)))
    }

    /// Splits the examples into two random parts so that all examples of a group are in one of them: `groups` holds the
    /// group of each example, such as the patient that an image is of.
    ///
    /// Groups are taken in random order; each goes to the first part if that brings its size no farther from `fraction`
    /// of the examples. Each part gets one group at least.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// use downhill_tensor::Seed;
    /// let all = Dataset::new((0..6).map(f64::from).collect(), [1], vec![0; 6])?;
    /// let patients = ["ann", "ann", "bob", "cid", "cid", "bob"];
    /// let (train, test) = all.grouped_split(&patients, 0.67, Seed(1))?;
    /// assert_eq!((train.len(), test.len()), (4, 2));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the fraction does not lie between 0 and 1, there is not one group for each example,
    /// or there are fewer than two groups.
    pub fn grouped_split<G: Ord>(&self, groups: &[G], fraction: f64, seed: Seed) -> Result<(Self, Self), DataError> {
        let (first, second) = grouped_halves(&Groups::new(groups, self.len())?, fraction, seed)?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Makes the rounds of a `count`-fold cross-validation in which all examples of a group are in one fold.
    ///
    /// The largest group comes first, and each goes to the fold that has the fewest examples so far, as in
    /// scikit-learn's `GroupKFold`; `seed` decides between groups of one size, and the order of examples in a fold.
    ///
    /// # Errors
    /// Returns an error if there are fewer than two folds, there is not one group for each example, or there are fewer
    /// groups than folds.
    pub fn grouped_k_folds<G: Ord>(
        &self,
        groups: &[G],
        count: usize,
        seed: Seed,
    ) -> Result<Folds<'_, Self>, DataError> {
        let folds = grouped_folds(&Groups::new(groups, self.len())?, count, seed)?;
        Ok(Folds::new(self, Self::gather, Rounds::Parts(folds)))
    }

    /// Makes the rounds of a `count`-fold cross-validation in which all examples of a group are in one fold, and every
    /// class keeps its share as far as the groups let it.
    ///
    /// The group whose classes are the most uneven comes first, and each goes to the fold where the shares of the
    /// classes then differ least, as in scikit-learn's `StratifiedGroupKFold`; `seed` decides between groups that are
    /// equally uneven, and the order of examples in a fold.
    ///
    /// # Errors
    /// Returns the errors of [`grouped_k_folds`](Self::grouped_k_folds), and one if there is not one class for each
    /// example, or a class that occurs has fewer examples than there are folds.
    pub fn stratified_grouped_k_folds<G: Ord>(
        &self,
        groups: &[G],
        count: usize,
        seed: Seed,
    ) -> Result<Folds<'_, Self>, DataError> {
        check_folds(count)?;
        let (labels, _) = self.single_labels("a stratified cross-validation")?;
        let strata = Strata { labels, name: &|label| self.named_class(label) };
        let folds = stratified_grouped_folds(&Groups::new(groups, self.len())?, strata, count, seed)?;
        Ok(Folds::new(self, Self::gather, Rounds::Parts(folds)))
    }

    /// Splits the examples by time, of which their order is taken to be the order: the earlier ones, then `gap` examples
    /// that are left out, then the later ones.
    ///
    /// The first part holds `fraction` of the examples that are not left out, rounded to the nearest count but at least
    /// one and at most all but one. A gap is for examples that look back or ahead, so that the two parts share nothing.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// let days = Dataset::new((0..12).map(f64::from).collect(), [1], vec![0; 12])?;
    /// let (train, test) = days.time_split(0.7, 2)?;
    /// assert_eq!(train.inputs().slice(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    /// assert_eq!(test.inputs().slice(), [9.0, 10.0, 11.0]);
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the fraction does not lie between 0 and 1, or there are fewer than two examples besides the
    /// gap.
    pub fn time_split(&self, fraction: f64, gap: usize) -> Result<(Self, Self), DataError> {
        let (first, second) = time_halves(WHOLE, self.len(), fraction, gap)?;
        Ok((self.gather(&first), self.gather(&second)))
    }

    /// Makes `count` rounds of a cross-validation by time, of which the order of the examples is taken to be the order:
    /// each validates on a window of examples and trains on all examples before it, but for the last `gap` of them.
    ///
    /// The windows follow each other up to the last example, each as long as the number of examples divided by
    /// `count + 1`, rounded down: as in scikit-learn's `TimeSeriesSplit`.
    ///
    /// ```
    /// use downhill_data::Dataset;
    /// let days = Dataset::new((0..8).map(f64::from).collect(), [1], vec![0; 8])?;
    /// let mut folds = days.time_folds(3, 1)?;
    /// let first = folds.next().unwrap();
    /// assert_eq!((first.train.inputs().slice(), first.validation.inputs().slice()), (&[0.0][..], &[2.0, 3.0][..]));
    /// assert_eq!(folds.map(|fold| fold.train.len()).collect::<Vec<_>>(), [3, 5]);
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there are fewer than two folds, or a fold would have nothing to train or to validate on.
    pub fn time_folds(&self, count: usize, gap: usize) -> Result<Folds<'_, Self>, DataError> {
        Ok(Folds::new(self, Self::gather, Rounds::Windows(time_folds(WHOLE, self.len(), count, gap)?)))
    }

    fn named_class(&self, label: u32) -> String {
        let name = self.class_names().get(label as usize);
        format!("class {label}{}", name.map_or_else(String::new, |name| format!(" (`{name}`)")))
    }
}

/// The name of a data set in an error.
const WHOLE: &str = "the data set";

impl<'a, D> Folds<'a, D> {
    /// The rounds as indices of examples in `whole`; `gather` makes a part of indices.
    pub(crate) fn new(whole: &'a D, gather: fn(&D, &[usize]) -> D, rounds: Rounds) -> Self {
        let rest = 0..rounds.len();
        Self { whole, gather, rounds, rest }
    }
}

impl<D> Iterator for Folds<'_, D> {
    type Item = Fold<D>;

    fn next(&mut self) -> Option<Fold<D>> {
        let (train, validation) = self.rounds.round(self.rest.next()?)?;
        Some(Fold { train: (self.gather)(self.whole, &train), validation: (self.gather)(self.whole, &validation) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl<D> ExactSizeIterator for Folds<'_, D> {}

/// The class of each example, and the name of a class in an error.
#[derive(Clone, Copy)]
pub(crate) struct Strata<'a> {
    pub(crate) labels: &'a [u32],
    pub(crate) name: &'a dyn Fn(u32) -> String,
}

impl Strata<'_> {
    /// Counts the examples of each class that occurs; each must have as many as needed.
    fn counts(&self, needed: usize) -> Result<BTreeMap<u32, usize>, DataError> {
        let mut counts = BTreeMap::new();
        for &label in self.labels {
            *counts.entry(label).or_insert(0) += 1;
        }
        match counts.iter().find(|&(_, &examples)| examples < needed) {
            Some((&label, &examples)) => Err(DataError::TooFew { what: (self.name)(label), examples, needed }),
            None => Ok(counts),
        }
    }
}

/// Draws the two parts of a random split of `examples`, which an error calls `what`.
pub(crate) fn halves(
    what: &str,
    examples: usize,
    fraction: f64,
    seed: Seed,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    check_fraction(fraction)?;
    check_enough(what, examples, 2)?;
    let mut first = random_order(examples, seed, Purpose::Split);
    let second = first.split_off(share(fraction, examples));
    Ok((first, second))
}

/// Draws the two parts of a random split in which every class keeps its share.
pub(crate) fn stratified_halves(
    strata: Strata<'_>,
    fraction: f64,
    seed: Seed,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    check_fraction(fraction)?;
    let mut wanted = strata.counts(2)?;
    for count in wanted.values_mut() {
        *count = share(fraction, *count);
    }
    let order = random_order(strata.labels.len(), seed, Purpose::Split);
    Ok(order.into_iter().partition(|&index| match strata.labels.get(index).and_then(|label| wanted.get_mut(label)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }))
}

/// Draws random folds of `examples`, which an error calls `what`.
pub(crate) fn folds(what: &str, examples: usize, count: usize, seed: Seed) -> Result<Vec<Vec<usize>>, DataError> {
    check_folds(count)?;
    check_enough(what, examples, count)?;
    let order = random_order(examples, seed, Purpose::Folds);
    Ok((0..count).map(|fold| order.iter().copied().skip(fold).step_by(count).collect()).collect())
}

/// Draws random folds in which every class keeps its share.
pub(crate) fn stratified_folds(strata: Strata<'_>, count: usize, seed: Seed) -> Result<Vec<Vec<usize>>, DataError> {
    check_folds(count)?;
    // Each class is dealt to the folds in turn, starting where the class before it ends.
    let mut turns = strata.counts(count)?;
    let mut dealt = 0;
    for turn in turns.values_mut() {
        dealt += std::mem::replace(turn, dealt);
    }
    let mut folds = vec![Vec::new(); count];
    for index in random_order(strata.labels.len(), seed, Purpose::Folds) {
        if let Some(turn) = strata.labels.get(index).and_then(|label| turns.get_mut(label)) {
            folds.get_mut(*turn % count).into_iter().for_each(|fold| fold.push(index));
            *turn += 1;
        }
    }
    Ok(folds)
}

fn random_order(examples: usize, seed: Seed, purpose: Purpose) -> Vec<usize> {
    let mut order = vec![0; examples];
    permute(&mut order, &mut seed.stream(purpose as u64));
    order
}

/// `fraction` of `examples`, which are two or more, with at least one on either side.
fn share(fraction: f64, examples: usize) -> usize {
    ((examples as f64 * fraction).round() as usize).clamp(1, examples - 1)
}

fn check_enough(what: &str, examples: usize, needed: usize) -> Result<(), DataError> {
    if examples < needed {
        return Err(DataError::TooFew { what: what.into(), examples, needed });
    }
    Ok(())
}

fn check_fraction(fraction: f64) -> Result<(), DataError> {
    if fraction > 0.0 && fraction < 1.0 { Ok(()) } else { Err(DataError::Fraction { fraction }) }
}

fn check_folds(folds: usize) -> Result<(), DataError> {
    if folds >= 2 { Ok(()) } else { Err(DataError::FoldCount { folds }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Target, Targets};
    use ndarray::array;

    /// Example i has the input i, and `counts[c]` examples have the class c.
    fn set(counts: &[usize]) -> Dataset<f64> {
        let labels: Vec<u32> =
            counts.iter().enumerate().flat_map(|(class, &count)| std::iter::repeat_n(class as u32, count)).collect();
        Dataset::new((0..labels.len()).map(|i| i as f64).collect(), [1], labels).unwrap()
    }

    fn indices(set: &Dataset<f64>) -> Vec<usize> {
        set.inputs().slice().iter().map(|&x| x as usize).collect()
    }

    fn counts(set: &Dataset<f64>) -> Vec<usize> {
        let mut counts = vec![0; set.classes().unwrap()];
        let Target::Classes(labels) = set.targets() else { unreachable!() };
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    fn is_partition(parts: &[&Dataset<f64>], whole: &Dataset<f64>) -> bool {
        let mut all: Vec<usize> = parts.iter().flat_map(|part| indices(part)).collect();
        all.sort_unstable();
        all == (0..whole.len()).collect::<Vec<_>>()
    }

    fn message<V>(result: Result<V, DataError>) -> String {
        match result {
            Ok(_) => "no error".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_split_is_a_partition_of_the_documented_sizes() {
        for (examples, fraction, expected) in
            [(10, 0.8, 8), (10, 0.25, 3), (2, 0.5, 1), (3, 0.999, 2), (5, 1e-9, 1), (1000, 0.7, 700)]
        {
            let whole = set(&[examples]);
            let (first, second) = whole.split(fraction, Seed(5)).unwrap();
            assert_eq!(first.len(), expected);
            assert!(is_partition(&[&first, &second], &whole));
        }
    }

    #[test]
    fn a_split_is_fixed_by_its_seed() {
        let whole = set(&[20]);
        assert_eq!(whole.split(0.5, Seed(3)).unwrap(), whole.split(0.5, Seed(3)).unwrap());
        assert_ne!(whole.split(0.5, Seed(3)).unwrap(), whole.split(0.5, Seed(4)).unwrap());
        assert_eq!(indices(&whole.split(0.25, Seed(3)).unwrap().0), [3, 14, 11, 4, 1]);
    }

    #[test]
    fn every_class_keeps_its_share() {
        let whole = set(&[50, 30, 7, 0, 2]);
        for (fraction, expected) in [(0.5, [25, 15, 4, 0, 1]), (0.9, [45, 27, 6, 0, 1]), (0.01, [1, 1, 1, 0, 1])] {
            let (first, second) = whole.stratified_split(fraction, Seed(6)).unwrap();
            assert_eq!(counts(&first), expected);
            assert!(is_partition(&[&first, &second], &whole));
            // Classes are mixed, not one after the other.
            assert!(!indices(&second).is_sorted());
        }
    }

    #[test]
    fn folds_partition_the_examples_evenly() {
        for (examples, folds) in [(10, 2), (10, 3), (10, 10), (101, 7)] {
            let whole = set(&[examples]);
            let rounds = whole.k_folds(folds, Seed(1)).unwrap();
            assert_eq!(rounds.len(), folds);
            let rounds: Vec<_> = rounds.collect();
            let validation: Vec<_> = rounds.iter().map(|round| &round.validation).collect();
            assert!(is_partition(&validation, &whole));
            assert!(
                validation.iter().all(|part| part.len() == examples / folds || part.len() == examples.div_ceil(folds))
            );
            assert!(rounds.iter().all(|round| is_partition(&[&round.train, &round.validation], &whole)));
        }
    }

    #[test]
    fn stratified_folds_hold_each_class_evenly() {
        let whole = set(&[11, 0, 5, 7]);
        let rounds: Vec<_> = whole.stratified_k_folds(4, Seed(2)).unwrap().collect();
        for round in &rounds {
            assert!(is_partition(&[&round.train, &round.validation], &whole));
            assert!([5, 6].contains(&round.validation.len()));
            // Classes are mixed, not one after the other.
            assert!(!indices(&round.validation).is_sorted());
            for (class, count) in counts(&round.validation).into_iter().enumerate() {
                let all = counts(&whole)[class];
                assert!(count == all / 4 || count == all.div_ceil(4), "class {class}: {count} of {all}");
            }
        }
        let labels = Targets::<f64>::named_classes(vec![0, 0, 1], ["often", "rarely"]);
        let lonely = Dataset::from_array(array![1.0, 2.0, 3.0], labels).unwrap();
        assert_eq!(
            message(lonely.stratified_k_folds(2, Seed(1))),
            "class 1 (`rarely`) has 1 of the 2 examples that it needs for every part to get one"
        );
    }

    #[test]
    fn further_inputs_are_split_and_folded_with_the_first() {
        let whole = set(&[12, 8]).with_input((0..20).map(|i| f64::from(100 * i)).collect(), [1]).unwrap();
        let together = |part: &Dataset<f64>| {
            let [first, second] = part.all_inputs().collect::<Vec<_>>()[..] else { return false };
            first.slice().iter().zip(second.slice()).all(|(first, second)| 100.0 * first == *second)
        };
        let (a, b) = whole.split(0.3, Seed(1)).unwrap();
        let (c, d) = whole.stratified_split(0.3, Seed(1)).unwrap();
        assert!([a, b, c, d].iter().all(together));
        let folds = whole.k_folds(3, Seed(1)).unwrap().chain(whole.stratified_k_folds(3, Seed(1)).unwrap());
        assert!(folds.into_iter().all(|fold| together(&fold.train) && together(&fold.validation)));
    }

    #[test]
    fn what_can_not_be_split_is_refused() {
        let whole = set(&[3, 2]);
        for fraction in [0.0, 1.0, -0.5, 1.5, f64::NAN] {
            let expected =
                format!("the fraction of a split must lie between 0 and 1, both excluded, but is {fraction}");
            assert_eq!(message(whole.split(fraction, Seed(1))), expected);
            assert_eq!(message(whole.stratified_split(fraction, Seed(1))), expected);
        }
        assert_eq!(
            message(set(&[1]).split(0.5, Seed(1))),
            "the data set has 1 of the 2 examples that it needs for every part to get one"
        );
        assert!(message(set(&[4, 1]).stratified_split(0.5, Seed(1))).starts_with("class 1 has 1 of the 2 examples"));
        assert_eq!(
            message(whole.k_folds(1, Seed(1))),
            "a cross-validation needs 2 folds or more, so that there is something to train and to validate on, not 1"
        );
        assert!(message(whole.k_folds(6, Seed(1))).starts_with("the data set has 5 of the 6 examples"));
        let many = format!("the data set has 5 of the {} examples", usize::MAX);
        assert!(message(whole.k_folds(usize::MAX, Seed(1))).starts_with(&many));
        assert!(message(whole.stratified_k_folds(usize::MAX, Seed(1))).starts_with("class 0 has 3 of the"));
        let numbers = Dataset::from_array(array![1.0, 2.0], array![1.0, 2.0]).unwrap();
        assert_eq!(
            message(numbers.stratified_split(0.5, Seed(1))),
            "a stratified split needs one class per example, but the data set has numbers as targets"
        );
        assert!(message(numbers.stratified_k_folds(2, Seed(1))).starts_with("a stratified cross-validation needs"));
    }

    #[test]
    fn splits_and_folds_of_one_seed_differ() {
        let whole = set(&[100]);
        let fold = whole.k_folds(2, Seed(9)).unwrap().next().unwrap();
        assert_ne!(whole.split(0.5, Seed(9)).unwrap().0, fold.train);
    }
}
