use downhill_tensor::{Batch, Scalar, Seed};

use crate::input::{Input, gather_into};
use crate::permutation::{Purpose, permute};
use crate::sampler::draw;
use crate::{DataError, Dataset, Sampler, Target, Targets};

/// Mini-batches of a data set, epoch after epoch.
///
/// The order of an epoch depends on the seed and the epoch's number alone, so training that is
/// resumed at an epoch sees what it would have seen, on every machine.
/// Examples of a shuffled batch are gathered into buffers that all batches share:
/// nothing is allocated after construction. Those that a [`Sampler`] draws are gathered likewise.
/// Sequential batches are views of the data set.
///
/// ```
/// use downhill_data::{Batches, Dataset};
/// use downhill_tensor::Seed;
///
/// let data = Dataset::new((0..10).map(f64::from).collect(), [1], vec![0; 10])?;
/// let mut batches = Batches::shuffled(&data, 4, Seed(1))?;
/// for epoch in 0..2 {
///     batches.start_epoch(epoch);
///     let mut seen = 0;
///     while let Some(batch) = batches.next_batch() {
///         seen += batch.inputs.examples();
///     }
///     assert_eq!(seen, 10);
/// }
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches<'a, T> {
    dataset: &'a Dataset<T>,
    size: usize,
    ordering: Ordering,
    /// The number of examples in an epoch.
    end: usize,
    /// The examples in the order of this epoch.
    order: Vec<usize>,
    next: usize,
    input: Input<T>,
    further: Vec<Input<T>>,
    weights: Option<Input<T>>,
    values: Vec<T>,
    labels: Vec<u32>,
}

/// What decides the order of an epoch.
#[derive(Clone, Debug)]
enum Ordering {
    Sequential,
    Shuffled(Seed),
    /// With the sums of the weights up to each example and with it.
    Sampled(Seed, Vec<f64>),
}

/// A batch of examples of a data set or a source, borrowed until the next batch is asked for.
#[derive(Clone, Copy, Debug)]
pub struct MiniBatch<'a, T> {
    /// The inputs; if examples have several, the first.
    pub inputs: Batch<'a, T>,
    /// Their targets.
    pub targets: Target<'a, T>,
    /// The weight of each example, or of each of its targets, if the data set has weights.
    pub weights: Option<&'a [T]>,
    /// The places of these examples in the data set or the source.
    pub indices: &'a [usize],
    pub(crate) further: &'a [Input<T>],
    /// The place of the first example in each of the further inputs.
    pub(crate) start: usize,
}

impl<'a, T: Copy> MiniBatch<'a, T> {
    /// The first input, and those that [`Dataset::with_input`] has added.
    pub fn all_inputs(&self) -> impl Iterator<Item = Batch<'a, T>> + use<'a, T> {
        let Self { inputs, further, start, .. } = *self;
        std::iter::once(inputs).chain(further.iter().map(move |input| input.rows(start, inputs.examples())))
    }
}

impl<'a, T: Scalar> Batches<'a, T> {
    /// Makes batches of `size` examples in the order of the data set; the last one may be smaller.
    ///
    /// A size beyond the number of examples gives one batch of them all.
    ///
    /// # Errors
    /// Returns an error if `size` is 0.
    pub fn sequential(dataset: &'a Dataset<T>, size: usize) -> Result<Self, DataError> {
        Self::new(dataset, size, Ordering::Sequential, (0..dataset.len()).collect())
    }

    /// Makes batches of `size` examples in an order drawn anew for every epoch; the last one may be smaller.
    ///
    /// A size beyond the number of examples gives one batch of them all.
    ///
    /// # Errors
    /// Returns an error if `size` is 0.
    pub fn shuffled(dataset: &'a Dataset<T>, size: usize, seed: Seed) -> Result<Self, DataError> {
        Self::new(dataset, size, Ordering::Shuffled(seed), (0..dataset.len()).collect())
    }

    /// Makes batches of `size` examples that are drawn anew for every epoch, with replacement, as a [`Sampler`] says; the
    /// last one may be smaller.
    ///
    /// A size beyond the number of draws gives one batch of them all.
    ///
    /// # Errors
    /// Returns an error if `size` is 0, the sampler's weights do not fit the data set or are all 0, it balances classes
    /// of which there is not one for each example, or an epoch has no draws or more than fit in memory.
    pub fn sampled(dataset: &'a Dataset<T>, size: usize, sampler: Sampler, seed: Seed) -> Result<Self, DataError> {
        let (ends, order) = sampler.fit(dataset)?;
        Self::new(dataset, size, Ordering::Sampled(seed, ends), order)
    }

    /// `order` has as many places as an epoch has examples.
    fn new(dataset: &'a Dataset<T>, size: usize, ordering: Ordering, order: Vec<usize>) -> Result<Self, DataError> {
        if size == 0 {
            return Err(DataError::EmptyBatch);
        }
        let size = size.min(order.len());
        let gathered = if matches!(ordering, Ordering::Sequential) { 0 } else { size };
        let (values, labels) = match dataset.all_targets() {
            Targets::Values { shape, .. } => (gathered * shape.len(), 0),
            Targets::Classes { shape, .. } => (0, gathered * shape.len()),
        };
        let (input, further) = dataset.split_inputs();
        let mut batches = Self {
            dataset,
            size,
            ordering,
            end: order.len(),
            order,
            next: 0,
            input: input.with_capacity_for(gathered),
            further: further.iter().map(|input| input.with_capacity_for(gathered)).collect(),
            weights: dataset.all_weights().map(|weights| weights.with_capacity_for(gathered)),
            values: Vec::with_capacity(values),
            labels: Vec::with_capacity(labels),
        };
        batches.start_epoch(0);
        Ok(batches)
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others.
    ///
    /// Other examples are left out in every shuffled epoch, the same ones in every sequential one.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.end -= self.end % self.size;
        self
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        self.end.div_ceil(self.size)
    }

    /// Starts an epoch, whatever was drawn before; new batches are at the start of epoch 0.
    pub fn start_epoch(&mut self, epoch: u64) {
        self.next = 0;
        let stream = |seed: Seed, purpose: Purpose| seed.derive(purpose as u64).stream(epoch);
        match &self.ordering {
            Ordering::Sequential => {}
            Ordering::Shuffled(seed) => permute(&mut self.order, &mut stream(*seed, Purpose::Batches)),
            Ordering::Sampled(seed, ends) => draw(ends, &mut self.order, &mut stream(*seed, Purpose::Samples)),
        }
    }

    /// Goes to the batch of this number, counted from 0, in the epoch that has been started.
    pub fn skip_to(&mut self, batch: usize) {
        self.next = batch.saturating_mul(self.size).min(self.end);
    }

    /// Returns the next batch of the epoch, or `None` at its end.
    pub fn next_batch(&mut self) -> Option<MiniBatch<'_, T>> {
        let (start, end) = (self.next, (self.next + self.size).min(self.end));
        let indices = self.order.get(start..end).filter(|indices| !indices.is_empty())?;
        self.next = end;
        let count = indices.len();
        let (input, further) = self.dataset.split_inputs();
        let targets = self.dataset.all_targets();
        if matches!(self.ordering, Ordering::Sequential) {
            let rows = |each: usize| start * each..end * each;
            let targets = match targets {
                Targets::Values { values, shape } => Target::Values(values.get(rows(shape.len()))?),
                Targets::Classes { labels, shape, .. } => Target::Classes(labels.get(rows(shape.len()))?),
            };
            let weights = self.dataset.all_weights().map(|weights| weights.rows(start, count).slice());
            return Some(MiniBatch { inputs: input.rows(start, count), targets, weights, indices, further, start });
        }
        input.gather_into(indices, &mut self.input);
        for (from, to) in further.iter().zip(&mut self.further) {
            from.gather_into(indices, to);
        }
        if let (Some(from), Some(to)) = (self.dataset.all_weights(), &mut self.weights) {
            from.gather_into(indices, to);
        }
        let targets = match targets {
            Targets::Values { values, shape } => {
                self.values.clear();
                gather_into(values, shape.len(), indices, &mut self.values);
                Target::Values(&self.values)
            }
            Targets::Classes { labels, shape, .. } => {
                self.labels.clear();
                gather_into(labels, shape.len(), indices, &mut self.labels);
                Target::Classes(&self.labels)
            }
        };
        let weights = self.weights.as_ref().map(|weights| &weights.values[..]);
        Some(MiniBatch {
            inputs: self.input.rows(0, count),
            targets,
            weights,
            indices,
            further: &self.further,
            start: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn numbered(examples: usize) -> Dataset<f64> {
        let inputs = Array3::from_shape_fn((examples, 2, 3), |(i, j, k)| (10 * i + 3 * j + k) as f64);
        Dataset::from_array(inputs, (0..examples as u32).collect::<Vec<_>>()).unwrap()
    }

    /// The examples of an epoch in their order, after a check that each batch holds what it says.
    fn epoch(batches: &mut Batches<'_, f64>, number: u64) -> Vec<usize> {
        batches.start_epoch(number);
        let mut seen = Vec::new();
        let mut count = 0;
        while let Some(batch) = batches.next_batch() {
            count += 1;
            assert_eq!(batch.inputs.examples(), batch.indices.len());
            let Target::Classes(labels) = batch.targets else { unreachable!() };
            for (place, &index) in batch.indices.iter().enumerate() {
                let expected: Vec<f64> = (0..6).map(|x| (10 * index + x) as f64).collect();
                assert_eq!(batch.inputs.example(place), expected);
                assert_eq!(labels[place] as usize, index);
            }
            seen.extend_from_slice(batch.indices);
        }
        assert!(batches.next_batch().is_none());
        assert_eq!(count, batches.batches_per_epoch());
        seen
    }

    #[test]
    fn every_example_comes_once_an_epoch() {
        for (examples, size) in [(1, 1), (10, 3), (10, 5), (10, 10), (10, 99), (50, 1), (7, usize::MAX)] {
            let data = numbered(examples);
            for mut batches in
                [Batches::shuffled(&data, size, Seed(1)).unwrap(), Batches::sequential(&data, size).unwrap()]
            {
                for number in 0..3 {
                    let mut seen = epoch(&mut batches, number);
                    seen.sort_unstable();
                    assert_eq!(seen, (0..examples).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn an_epoch_depends_on_seed_and_number_alone() {
        let data = numbered(8);
        let mut one = Batches::shuffled(&data, 3, Seed(1)).unwrap();
        let epochs: Vec<_> = (0..5).map(|number| epoch(&mut one, number)).collect();
        let mut other = Batches::shuffled(&data, 8, Seed(1)).unwrap();
        assert_eq!(epoch(&mut other, 4), epochs[4]);
        assert_eq!(epoch(&mut other, 1), epochs[1]);
        assert_eq!(Batches::shuffled(&data, 8, Seed(1)).unwrap().next_batch().unwrap().indices, epochs[0]);
        assert_ne!(epochs[0], epochs[1]);
        assert_ne!(epoch(&mut Batches::shuffled(&data, 3, Seed(2)).unwrap(), 0), epochs[0]);
        assert_eq!(epochs[0], [0, 1, 7, 4, 5, 3, 2, 6]);
        assert_eq!(epochs[1], [3, 5, 4, 2, 0, 7, 6, 1]);
    }

    #[test]
    fn an_epoch_can_start_in_the_midst_of_another() {
        let data = numbered(9);
        let mut batches = Batches::shuffled(&data, 2, Seed(1)).unwrap();
        let whole = epoch(&mut batches, 7);
        batches.start_epoch(6);
        let _ = batches.next_batch();
        assert_eq!(epoch(&mut batches, 7), whole);
    }

    #[test]
    fn an_epoch_goes_on_at_any_batch() {
        let data = numbered(10);
        let mut batches = Batches::shuffled(&data, 3, Seed(5)).unwrap();
        let whole = epoch(&mut batches, 2);
        for batch in 0..6 {
            batches.start_epoch(2);
            batches.skip_to(batch);
            let mut rest = Vec::new();
            while let Some(batch) = batches.next_batch() {
                rest.extend_from_slice(batch.indices);
            }
            assert_eq!(rest, whole[(3 * batch).min(10)..]);
        }
        batches.skip_to(usize::MAX);
        assert!(batches.next_batch().is_none());
    }

    #[test]
    fn the_last_small_batch_can_be_dropped() {
        let data = numbered(10);
        let mut batches = Batches::shuffled(&data, 4, Seed(3)).unwrap().drop_last();
        assert_eq!(batches.batches_per_epoch(), 2);
        assert_eq!(epoch(&mut batches, 0).len(), 8);
        let mut even = Batches::sequential(&data, 5).unwrap().drop_last();
        assert_eq!(epoch(&mut even, 0).len(), 10);
    }

    #[test]
    fn sequential_batches_are_views_of_the_data_set() {
        let data = numbered(5);
        let mut batches = Batches::sequential(&data, 2).unwrap();
        assert_eq!(batches.input.values.capacity() + batches.labels.capacity(), 0);
        let first = batches.next_batch().unwrap();
        assert!(std::ptr::eq(first.inputs.slice().as_ptr(), data.inputs().slice().as_ptr()));
    }

    #[test]
    fn shuffled_batches_share_their_buffers() {
        let data = Dataset::from_array(
            numbered(11).inputs().matrix().to_owned(),
            array![[1.0, 2.0]].broadcast((11, 2)).unwrap().to_owned(),
        )
        .unwrap();
        let mut batches = Batches::shuffled(&data, 4, Seed(3)).unwrap();
        let place = (batches.input.values.as_ptr(), batches.values.as_ptr(), batches.order.as_ptr());
        for number in 0..3 {
            batches.start_epoch(number);
            while let Some(batch) = batches.next_batch() {
                let Target::Values(targets) = batch.targets else { unreachable!() };
                assert_eq!(targets.len(), 2 * batch.inputs.examples());
                assert_eq!((batch.inputs.slice().as_ptr(), targets.as_ptr()), (place.0, place.1));
            }
            assert_eq!(batches.order.as_ptr(), place.2);
        }
    }

    #[test]
    fn further_inputs_come_with_their_examples_and_in_buffers_of_their_own() {
        let further: Vec<f64> = (0..22).map(f64::from).collect();
        let data = numbered(11).with_input(further, [2]).unwrap();
        for (mut batches, shuffled) in
            [(Batches::shuffled(&data, 4, Seed(3)).unwrap(), true), (Batches::sequential(&data, 4).unwrap(), false)]
        {
            let place = batches.further.first().unwrap().values.as_ptr();
            for number in 0..2 {
                batches.start_epoch(number);
                while let Some(batch) = batches.next_batch() {
                    let [first, second] = batch.all_inputs().collect::<Vec<_>>()[..] else { unreachable!() };
                    assert!(std::ptr::eq(first.slice(), batch.inputs.slice()));
                    assert_eq!(second.examples(), batch.indices.len());
                    for (row, &index) in batch.indices.iter().enumerate() {
                        assert_eq!(second.example(row), [2.0 * index as f64, 2.0 * index as f64 + 1.0]);
                    }
                    assert_eq!(std::ptr::eq(second.slice().as_ptr(), place), shuffled);
                }
            }
        }
    }

    #[test]
    fn an_empty_batch_is_refused() {
        let data = numbered(2);
        let error = Batches::shuffled(&data, 0, Seed(1)).unwrap_err();
        assert_eq!(error.to_string(), "a batch of 0 examples holds nothing to learn from; its size must be 1 or more");
        assert!(Batches::sequential(&data, 0).is_err());
    }
}
