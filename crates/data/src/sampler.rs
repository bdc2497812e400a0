use std::collections::BTreeMap;

use downhill_tensor::{Scalar, Stream};

use crate::{DataError, Dataset};

/// A rule by which the examples of an epoch are drawn with replacement: some may come several times and others not.
///
/// [`Batches::sampled`](crate::Batches::sampled) draws by it. An epoch is as many draws as there are examples, unless
/// [`draws`](Self::draws) says otherwise.
///
/// ```
/// use downhill_data::{Batches, Dataset, Sampler};
/// use downhill_tensor::Seed;
///
/// // One example in ten is of the second class, and half of those that are drawn.
/// let data = Dataset::new((0..1000).map(f64::from).collect(), [1], (0..1000).map(|i| u32::from(i % 10 == 0)).collect::<Vec<_>>())?;
/// let mut batches = Batches::sampled(&data, 50, Sampler::balanced(), Seed(1))?;
/// let mut rare = 0;
/// while let Some(batch) = batches.next_batch() {
///     rare += batch.indices.iter().filter(|&&index| index % 10 == 0).count();
/// }
/// assert!((450..550).contains(&rare));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    rule: Rule,
    draws: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Weighted(Vec<f64>),
    Balanced,
}

impl Sampler {
    /// Draws each example with a probability in proportion to its weight; one of weight 0 is not drawn.
    ///
    /// These weights say how often an example comes, and those of [`Dataset::with_weights`] how much it counts when it
    /// does.
    #[must_use]
    pub fn weighted(weights: impl IntoIterator<Item = f64>) -> Self {
        Self { rule: Rule::Weighted(weights.into_iter().collect()), draws: None }
    }

    /// Draws every class that occurs with the same probability, and of a class every example.
    #[must_use]
    pub fn balanced() -> Self {
        Self { rule: Rule::Balanced, draws: None }
    }

    /// Sets the number of examples in an epoch.
    #[must_use]
    pub fn draws(mut self, draws: usize) -> Self {
        self.draws = Some(draws);
        self
    }

    /// Checks the rule against a data set.
    ///
    /// Returns for each example the sum of the weights up to it and with it, and as many places as an epoch has draws.
    pub(crate) fn fit<T: Scalar>(self, dataset: &Dataset<T>) -> Result<(Vec<f64>, Vec<usize>), DataError> {
        let Self { rule, draws } = self;
        let count = draws.unwrap_or(dataset.len());
        if count == 0 {
            return Err(DataError::Empty { what: "the epoch of a sampler", unit: "draw" });
        }
        let mut ends = match rule {
            Rule::Weighted(weights) => weights,
            Rule::Balanced => {
                let (labels, _) = dataset.single_labels("a balanced sampler")?;
                balanced(labels)
            }
        };
        if ends.len() != dataset.len() {
            return Err(DataError::SampleWeights { examples: dataset.len(), got: ends.len() });
        }
        if let Some((example, &weight)) = ends.iter().enumerate().find(|(_, x)| !(x.is_finite() && **x >= 0.0)) {
            return Err(DataError::Weight { example, weight });
        }
        // In units of the largest, sums don't overflow.
        let largest = ends.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(DataError::NoWeight);
        }
        let mut total = 0.0;
        for end in &mut ends {
            total += *end / largest;
            *end = total;
        }
        let mut order = Vec::new();
        order.try_reserve_exact(count).map_err(|_too_large| DataError::Draws { draws: count })?;
        order.resize(count, 0);
        Ok((ends, order))
    }
}

/// A weight for each example that gives all classes the same sum.
fn balanced(labels: &[u32]) -> Vec<f64> {
    let mut counts = BTreeMap::new();
    for label in labels {
        *counts.entry(label).or_insert(0.0) += 1.0;
    }
    labels.iter().filter_map(|label| counts.get(label)).map(|count: &f64| 1.0 / count).collect()
}

/// Overwrites `order` with examples drawn by the sums of their weights.
pub(crate) fn draw(ends: &[f64], order: &mut [usize], stream: &mut Stream) {
    let total = ends.last().copied().unwrap_or_default();
    // The last example with a weight: rounding must not reach beyond it.
    let last = ends.partition_point(|&end| end < total);
    for index in order {
        let at = stream.uniform() * total;
        // The first end beyond; one without weight ends where it begins.
        *index = ends.partition_point(|&end| end <= at).min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batches, Targets};
    use downhill_tensor::Seed;

    fn data(labels: &[u32]) -> Dataset<f32> {
        Dataset::new((0..labels.len()).map(|i| i as f32).collect(), [1], labels.to_vec()).unwrap()
    }

    fn epoch(batches: &mut Batches<'_, f32>, number: u64) -> Vec<usize> {
        batches.start_epoch(number);
        let mut seen = Vec::new();
        while let Some(batch) = batches.next_batch() {
            // What is gathered is what the indices say.
            assert!(batch.indices.iter().zip(batch.inputs.slice()).all(|(&index, &x)| index as f32 == x));
            seen.extend_from_slice(batch.indices);
        }
        seen
    }

    fn message<V: std::fmt::Debug>(result: Result<V, DataError>) -> String {
        result.unwrap_err().to_string()
    }

    /// Σ (count − expected)² / expected of draws by these weights.
    fn chi_squared(weights: &[f64], drawn: &[usize]) -> f64 {
        let total: f64 = weights.iter().sum();
        let mut counts = vec![0.0; weights.len()];
        drawn.iter().for_each(|&index| counts[index] += 1.0);
        let expected = weights.iter().map(|weight| weight / total * drawn.len() as f64);
        counts.iter().zip(expected).filter(|(_, e)| *e > 0.0).map(|(count, e)| (count - e).powi(2) / e).sum()
    }

    #[test]
    fn examples_come_in_proportion_to_their_weights() {
        let weights = [0.5, 0.0, 3.0, 1.0, 1e-3, 2.5, 0.0, 1.0];
        let data = data(&[0; 8]);
        let sampler = Sampler::weighted(weights).draws(200_000);
        let drawn = epoch(&mut Batches::sampled(&data, 1000, sampler.clone(), Seed(3)).unwrap(), 0);
        assert_eq!(drawn.len(), 200_000);
        assert!(!drawn.contains(&1) && !drawn.contains(&6));
        // The 99.99 % point of the chi-squared distribution with 5 degrees of freedom is 26.
        assert!(chi_squared(&weights, &drawn) < 26.0, "{}", chi_squared(&weights, &drawn));
        // So are weights of any size.
        let large = weights.map(|weight| 1e307 * weight);
        let sampler = Sampler::weighted(large).draws(200_000);
        assert_eq!(epoch(&mut Batches::sampled(&data, 1000, sampler, Seed(3)).unwrap(), 0), drawn);
    }

    #[test]
    fn classes_are_balanced_whatever_their_sizes() {
        let labels: Vec<u32> = (0..1000)
            .map(|i| {
                if i < 900 {
                    0
                } else if i < 990 {
                    2
                } else {
                    7
                }
            })
            .collect();
        let data = data(&labels);
        let drawn = epoch(&mut Batches::sampled(&data, 64, Sampler::balanced().draws(60_000), Seed(1)).unwrap(), 5);
        let by_class = |index: usize| [0, 2, 7].iter().position(|&class| class == labels[index]).unwrap();
        let classes: Vec<usize> = drawn.iter().map(|&index| by_class(index)).collect();
        // The 99.99 % points for 2 and 999 degrees of freedom are 18.4 and 1173.
        assert!(chi_squared(&[1.0; 3], &classes) < 18.4);
        assert!(chi_squared(&balanced(&labels), &drawn) < 1173.0);
    }

    #[test]
    fn an_epoch_depends_on_seed_and_number_alone() {
        let data = data(&[0, 1, 1, 1, 0]);
        let sampled = |size, seed| Batches::sampled(&data, size, Sampler::balanced(), Seed(seed)).unwrap();
        let mut one = sampled(2, 1);
        let epochs: Vec<_> = (0..4).map(|number| epoch(&mut one, number)).collect();
        assert!(epochs.iter().all(|drawn| drawn.len() == 5));
        assert_eq!((epoch(&mut sampled(3, 1), 3), epoch(&mut one, 1)), (epochs[3].clone(), epochs[1].clone()));
        assert_ne!(epochs[0], epochs[1]);
        assert_ne!(epoch(&mut sampled(2, 2), 0), epochs[0]);
        assert_eq!(epochs[0], FIRST);
    }

    const FIRST: [usize; 5] = [2, 4, 0, 2, 4];

    #[test]
    fn the_last_small_batch_can_be_dropped_and_an_epoch_be_longer_than_the_data_set() {
        let data = data(&[0, 1, 1]);
        let mut batches = Batches::sampled(&data, 4, Sampler::weighted([1.0; 3]).draws(10), Seed(1)).unwrap();
        assert_eq!((batches.batches_per_epoch(), epoch(&mut batches, 0).len()), (3, 10));
        let mut batches = batches.drop_last();
        assert_eq!((batches.batches_per_epoch(), epoch(&mut batches, 0).len()), (2, 8));
    }

    #[test]
    fn what_can_not_be_drawn_is_refused() {
        let data = data(&[0, 1, 1]);
        let refused = |sampler| message(Batches::sampled(&data, 2, sampler, Seed(1)));
        assert_eq!(
            refused(Sampler::weighted([1.0; 4])),
            "4 weights were given to draw by, but there are 3 examples; give one for each example"
        );
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(
                refused(Sampler::weighted([0.0, bad, 1.0])).starts_with(&format!("example 1 has the weight {bad}"))
            );
        }
        assert!(refused(Sampler::weighted([0.0; 3])).starts_with("all weights are 0"));
        assert!(refused(Sampler::balanced().draws(0)).starts_with("the epoch of a sampler is empty"));
        assert_eq!(
            refused(Sampler::balanced().draws(usize::MAX)),
            format!("an epoch of {} draws does not fit in memory; make it shorter", usize::MAX)
        );
        let numbers = Dataset::new(vec![1.0f32], [1], Targets::values(vec![1.0], [1])).unwrap();
        assert_eq!(
            message(Batches::sampled(&numbers, 1, Sampler::balanced(), Seed(1))),
            "a balanced sampler needs one class per example, but the data set has numbers as targets"
        );
        assert!(message(Batches::sampled(&data, 0, Sampler::balanced(), Seed(1))).starts_with("a batch of 0 examples"));
    }
}
