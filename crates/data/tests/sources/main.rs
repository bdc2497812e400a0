//! Batches of sources: the same examples in the same order, however they are read.

mod batches;
#[cfg(feature = "csv")]
mod csv;
mod files;
#[cfg(feature = "parquet")]
mod parquet;

use downhill_data::source::{Example, ExampleLayout, IteratorSource, Source, SourceBatches};
use downhill_data::{DataError, Dataset, MiniBatch, Target, Targets};

/// What a batch holds: all inputs, targets, weights and places, as bits.
type Held = (Vec<Vec<u64>>, Vec<u64>, Option<Vec<u64>>, Vec<usize>);

fn held(batch: MiniBatch<'_, f64>) -> Held {
    let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let targets = match batch.targets {
        Target::Values(values) => bits(values),
        Target::Classes(labels) => labels.iter().map(|&label| label.into()).collect(),
    };
    let inputs = batch.all_inputs().map(|input| bits(input.slice())).collect();
    (inputs, targets, batch.weights.map(bits), batch.indices.to_vec())
}

fn epoch(batches: &mut SourceBatches<'_, f64>) -> Vec<Held> {
    let mut all = Vec::new();
    while let Some(batch) = batches.next_batch().unwrap() {
        all.push(held(batch));
    }
    assert!(batches.next_batch().unwrap().is_none(), "an epoch that has ended stays so");
    all
}

fn message<V>(result: Result<V, DataError>) -> String {
    result.err().expect("an error").to_string()
}

/// The first error of an epoch, and the number of batches in front of it.
fn failure(batches: &mut SourceBatches<'_, f64>) -> (usize, String) {
    for count in 0.. {
        match batches.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {count} batches"),
            Err(error) => {
                assert!(batches.next_batch().unwrap().is_none(), "an error ends the epoch");
                return (count, error.to_string());
            }
        }
    }
    unreachable!()
}

/// Examples of two inputs, two targets each, and weights.
fn dataset(examples: usize) -> Dataset<f64> {
    let numbers = |each: usize, from: f64| (0..examples * each).map(|x| from + x as f64 / 7.0).collect::<Vec<_>>();
    Dataset::new(numbers(3, 0.0), [3], Targets::values(numbers(2, 1e3), [2]))
        .unwrap()
        .with_input(numbers(1, 2e3), [1])
        .unwrap()
        .with_weights(numbers(1, 1.0))
        .unwrap()
}

/// A source without places of the numbers below `count`.
fn counted(count: u32) -> impl Source<f64> + use<> {
    let layout = ExampleLayout::classes([1], 7).weighted();
    IteratorSource::new(layout, move || {
        (0..count).map(|x| Ok(Example::class([f64::from(x)], x % 7).weights([1.0 + f64::from(x)])))
    })
}
