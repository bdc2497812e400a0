use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use downhill_data::source::{
    Concatenated, Example, ExampleLayout, InMemory, IteratorSource, Rows, Source, SourceBatches,
};
use downhill_data::{Batches, DataError, Target};
use downhill_tensor::{Seed, Stream};

use crate::{counted, dataset, epoch, failure, held, message};

#[test]
fn what_has_places_is_shuffled_as_a_data_set_is() {
    for (examples, size) in [(10, 4), (12, 4), (1, 1), (5, 100), (64, 64), (1000, 37)] {
        let data = dataset(examples);
        for last in [false, true] {
            for shuffled in [false, true] {
                let mut expected = if shuffled {
                    Batches::shuffled(&data, size, Seed(3)).unwrap()
                } else {
                    Batches::sequential(&data, size).unwrap()
                };
                let source = InMemory::new(&data);
                let mut got = if shuffled {
                    SourceBatches::shuffled(source, size, Seed(3)).unwrap()
                } else {
                    SourceBatches::sequential(source, size).unwrap()
                };
                if last {
                    (expected, got) = (expected.drop_last(), got.drop_last());
                }
                assert_eq!(got.batches_per_epoch(), Some(expected.batches_per_epoch()), "{examples} by {size}");
                for number in [0, 1, 2, u64::MAX, 1] {
                    expected.start_epoch(number);
                    got.start_epoch(number);
                    let mut all = Vec::new();
                    while let Some(batch) = expected.next_batch() {
                        all.push(held(batch));
                    }
                    assert_eq!(epoch(&mut got), all, "{examples} by {size}, epoch {number}");
                }
            }
        }
    }
}

type Make = Box<dyn Fn() -> SourceBatches<'static, f64>>;

/// Every kind of source and setting, each made anew.
fn kinds() -> Vec<(&'static str, Make)> {
    let noisy = |batches: SourceBatches<'static, f64>| {
        batches
            .transform_examples(Seed(5), |x, _, random: &mut Stream| x.iter_mut().for_each(|x| *x += random.uniform()))
            .transform(Seed(6), |rows, seed| {
                let shift = seed.stream(0).uniform();
                rows.weights_mut().iter_mut().for_each(|w| *w += shift);
                Ok(())
            })
    };
    vec![
        ("places", Box::new(|| SourceBatches::sequential(InMemory::new(dataset(23)), 4).unwrap())),
        (
            "places, shuffled",
            Box::new(move || noisy(SourceBatches::shuffled(InMemory::new(dataset(23)), 4, Seed(1)).unwrap())),
        ),
        // The thread that makes these ends soon, since they take no time to make.
        ("many", Box::new(|| SourceBatches::shuffled(InMemory::new(dataset(300)), 2, Seed(1)).unwrap())),
        ("source", Box::new(move || noisy(SourceBatches::sequential(counted(23), 4).unwrap()))),
        ("pool", Box::new(move || noisy(SourceBatches::shuffled(counted(23), 4, Seed(1)).unwrap().shuffle_buffer(7)))),
        ("large pool", Box::new(|| SourceBatches::shuffled(counted(600), 50, Seed(1)).unwrap().shuffle_buffer(300))),
        ("last left out", Box::new(|| SourceBatches::shuffled(counted(23), 4, Seed(1)).unwrap().drop_last())),
    ]
}

#[test]
fn reading_ahead_changes_no_bit() {
    for (name, make) in kinds() {
        for depth in [1, 2, 100] {
            let (mut plain, mut ahead) = (make(), make().prefetch(depth));
            let first = epoch(&mut plain);
            assert_eq!(epoch(&mut ahead), first, "{name}, {depth} ahead, without a start");
            for number in [0, 3, 3] {
                plain.start_epoch(number);
                ahead.start_epoch(number);
                assert_eq!(epoch(&mut ahead), epoch(&mut plain), "{name}, {depth} ahead, epoch {number}");
                assert_eq!(ahead.examples(), plain.examples());
                assert_eq!(ahead.batches_per_epoch(), plain.batches_per_epoch());
            }
            // An epoch that is broken off leaves nothing behind.
            ahead.start_epoch(1);
            ahead.next_batch().unwrap();
            ahead.start_epoch(2);
            plain.start_epoch(2);
            assert_eq!(epoch(&mut ahead), epoch(&mut plain), "{name}, {depth} ahead");
        }
    }
}

#[test]
fn an_epoch_goes_on_from_any_batch() {
    for (name, make) in kinds() {
        for depth in [0, 2] {
            let mut batches = make().prefetch(depth);
            batches.start_epoch(4);
            let whole = epoch(&mut batches);
            assert_eq!(batches.batches_per_epoch(), Some(whole.len()), "{name}");
            for skip in 0..=whole.len() + 2 {
                // A process that starts anew, and one that has been there before.
                for resumed in [&mut make().prefetch(depth), &mut batches] {
                    resumed.start_epoch(4);
                    resumed.skip_to(skip);
                    assert_eq!(epoch(resumed), whole[skip.min(whole.len())..], "{name} from {skip}");
                }
            }
            let mut batches = make().prefetch(depth);
            batches.start_epoch(4);
            batches.next_batch().unwrap();
            batches.skip_to(usize::MAX);
            assert_eq!(epoch(&mut batches), [], "{name}");
        }
    }
}

#[test]
fn a_pool_gives_each_example_once_and_shuffles_as_far_as_it_reaches() {
    let places = |count: u32, pool: usize, number: u64| {
        let mut batches = SourceBatches::shuffled(counted(count), 10, Seed(2)).unwrap().shuffle_buffer(pool);
        batches.start_epoch(number);
        let mut places = Vec::new();
        while let Some(batch) = batches.next_batch().unwrap() {
            for (example, &place) in batch.indices.iter().enumerate() {
                assert_eq!(batch.inputs.example(example), [place as f64]);
                assert_eq!(batch.weights.unwrap()[example], 1.0 + place as f64);
            }
            places.extend_from_slice(batch.indices);
        }
        places
    };
    for (count, pool) in [(1, 1), (99, 1), (99, 10), (1000, 300), (1000, 1000), (1000, usize::MAX)] {
        let order = places(count, pool, 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..count as usize).collect::<Vec<_>>(), "{count} through {pool}");
        let early = order.iter().enumerate().map(|(at, &place)| place.saturating_sub(at)).max().unwrap();
        assert!(early < pool, "{early} places early through {pool}");
        assert_eq!(order == sorted, pool == 1 || count == 1);
        assert_eq!(order, places(count, pool, 0));
        assert!(count == 1 || pool == 1 || order != places(count, pool, 1), "every epoch has its order");
    }
    // With a buffer for all, each example is as likely to come first: 24 orders of 4, chi-squared with 23 degrees.
    let mut counts = std::collections::BTreeMap::new();
    for number in 0..4800 {
        *counts.entry(places(4, 4, number)).or_insert(0u32) += 1;
    }
    let chi_squared: f64 = counts.values().map(|&count| (f64::from(count) - 200.0).powi(2) / 200.0).sum();
    assert!(counts.len() == 24 && chi_squared < 57.0, "{chi_squared}");
}

#[test]
fn an_example_draws_the_same_numbers_whatever_the_batches() {
    let noise = |size: usize| {
        let source = counted(20);
        let mut batches =
            SourceBatches::sequential(source, size).unwrap().transform_examples(Seed(1), |x, shape, random| {
                assert_eq!(shape.len(), 1);
                x[0] = random.uniform();
            });
        batches.start_epoch(3);
        let mut noise = Vec::new();
        while let Some(batch) = batches.next_batch().unwrap() {
            noise.extend_from_slice(batch.inputs.slice());
        }
        noise
    };
    assert_eq!(noise(3), noise(20));
    let mut distinct: Vec<u64> = noise(7).iter().map(|x| x.to_bits()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 20);
}

#[test]
fn errors_come_at_their_batch_with_and_without_a_thread() {
    let faulty = |bad: u32| {
        IteratorSource::new(ExampleLayout::classes([1], 3), move || {
            (0..20).map(move |x| match (x, bad) {
                (13, 0) => Err(DataError::NoWeight),
                (13, 1) => Ok(Example::class([f64::NAN], 0)),
                (13, 2) => Ok(Example::class([1.0], 3)),
                (13, 3) => Ok(Example::class([1.0, 2.0], 0)),
                (13, 4) => Ok(Example::values([1.0], [0.0])),
                (13, 5) => Ok(Example::class([1.0], 0).weights([1.0])),
                (13, 6) => Ok(Example::class([1.0], 0).input([1.0])),
                (13, 7) => Ok(Example::labels([1.0], [0, 0])),
                _ => Ok(Example::class([f64::from(x)], 0)),
            })
        })
    };
    let expected = [
        "all weights are 0, so that no example counts; give at least one a weight above 0",
        "example 13 has NaN as its input 0; every number must be finite: leave the example out or fill the gap",
        "label 13 is 3, but there are 3 classes, counted from 0",
        "an example has 2 numbers as its input 0, but the source's layout says 1",
        "an example has numbers as targets, but the source's layout says one class per example",
        "an example has 1 number as its weights, but the source's layout says 0",
        "an example has 2 numbers as its list of inputs, but the source's layout says 1",
        "an example has 2 numbers as its target, but the source's layout says 1",
    ];
    for (bad, expected) in (0..).zip(expected) {
        for depth in [0, 1, 10] {
            let mut batches = SourceBatches::sequential(faulty(bad), 4).unwrap().prefetch(depth);
            assert_eq!(failure(&mut batches), (3, expected.to_owned()), "{depth} ahead");
            batches.start_epoch(1);
            assert_eq!(failure(&mut batches).0, 3, "the next epoch starts as the first did");
            batches.skip_to(3);
            assert_eq!(failure(&mut batches).0, 0);
        }
    }
    let mut batches = SourceBatches::shuffled(faulty(1), 4, Seed(1)).unwrap().prefetch(2);
    assert!(failure(&mut batches).1.starts_with("example 13 has NaN"));
}

#[test]
fn a_transform_that_fails_or_changes_the_number_of_examples_is_an_error() {
    let batches = || SourceBatches::sequential(counted(20), 4).unwrap().prefetch(2);
    let mut failing = batches().transform(Seed(1), |rows, _| match rows.input(0).slice()[0] {
        x if x > 10.0 => Err(DataError::NoWeight),
        _ => Ok(()),
    });
    assert_eq!(failure(&mut failing).0, 3);
    let mut shrinking = batches().transform(Seed(1), |rows, _| {
        rows.clear();
        Ok(())
    });
    let expected = "a transform of batches gave 0 examples, but 4 were asked for; this is a fault of its code";
    assert_eq!(failure(&mut shrinking), (0, expected.into()));
    let mut infinite = batches().transform_examples(Seed(1), |x, _, _| x[0] = 1.0 / x[0]);
    assert!(failure(&mut infinite).1.starts_with("example 0 has inf as its input 0;"));
}

/// Yields ever more examples, or more than it is asked for.
struct Odd {
    layout: ExampleLayout,
    epoch: usize,
    left: usize,
    extra: usize,
    claim: Option<u64>,
}

impl Source<f64> for Odd {
    fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    fn examples(&self) -> Option<u64> {
        self.claim
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        self.epoch += 1;
        self.left = self.epoch * 10;
        Ok(())
    }

    fn read(&mut self, most: usize, rows: &mut Rows<f64>) -> Result<(), DataError> {
        for _ in 0..most.min(self.left) + self.extra {
            rows.push(&[1.0], Target::Classes(&[0]))?;
        }
        self.left = self.left.saturating_sub(most);
        Ok(())
    }

    fn is_addressable(&self) -> bool {
        self.claim.is_some()
    }
}

#[test]
fn a_source_that_breaks_its_word_is_an_error() {
    let odd = |extra, claim| Odd { layout: ExampleLayout::classes([1], 1), epoch: 0, left: 0, extra, claim };
    let mut batches = SourceBatches::sequential(odd(0, None), 5).unwrap();
    assert_eq!((epoch(&mut batches).len(), batches.examples()), (2, Some(10)));
    batches.start_epoch(1);
    let expected = "the source has 20 examples in this epoch, but 10 by what it said or had in an earlier one; \
                    every epoch must read the same examples, so keep its data as they are while a model trains";
    assert_eq!(failure(&mut batches), (4, expected.into()));
    let mut batches = SourceBatches::sequential(odd(3, None), 5).unwrap();
    let expected = "a source gave 8 examples, but 5 were asked for; this is a fault of its code";
    assert_eq!(failure(&mut batches), (0, expected.into()));
    // It claims places, but has none, and too many of them to be put in order.
    let mut batches = SourceBatches::sequential(odd(0, Some(u64::MAX)), 5).unwrap();
    assert!(failure(&mut batches).1.starts_with("the source can't be read by the places"));
    let mut batches = SourceBatches::shuffled(odd(0, Some(u64::MAX)), 5, Seed(1)).unwrap();
    assert!(failure(&mut batches).1.starts_with("an order of 18446744073709551615 examples does not fit in memory;"));
}

#[test]
fn a_source_without_examples_is_an_error_and_so_is_a_layout_that_holds_nothing() {
    for mut batches in [
        SourceBatches::sequential(counted(0), 3).unwrap(),
        SourceBatches::shuffled(counted(0), 3, Seed(1)).unwrap().drop_last(),
    ] {
        let expected = "the source is empty, but at least one example is needed";
        assert_eq!(failure(&mut batches), (0, expected.into()));
    }
    assert!(message(SourceBatches::sequential(counted(3), 0)).starts_with("a batch of 0 examples"));
    for layout in
        [ExampleLayout::classes([0], 3), ExampleLayout::values([1], [usize::MAX, 2]), ExampleLayout::classes([1], 0)]
    {
        let source = IteratorSource::new(layout, std::iter::empty::<Result<Example<f64>, DataError>>);
        assert!(SourceBatches::sequential(source, 3).is_err());
    }
    assert_eq!(
        message(ExampleLayout::classes([1], 2).with_class_names(["a"])),
        "2 classes need as many names, but 1 were given"
    );
}

/// Counts its readers.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn dropping_the_batches_ends_the_thread() {
    let alive = Arc::new(AtomicUsize::new(1));
    let guard = Guard(Arc::clone(&alive));
    let source = IteratorSource::new(ExampleLayout::classes([1], 1), move || {
        let _ = &guard;
        std::iter::repeat_with(|| Ok(Example::class([1.0f64], 0)))
    });
    let mut batches = SourceBatches::sequential(source, 4).unwrap().prefetch(3);
    batches.next_batch().unwrap();
    assert_eq!(alive.load(Ordering::SeqCst), 1);
    drop(batches);
    assert_eq!(alive.load(Ordering::SeqCst), 0, "the thread owned the source and dropped it");
}

#[test]
#[should_panic(expected = "a fault of the iterator")]
fn a_panic_of_the_thread_is_one_of_the_caller() {
    let source = IteratorSource::new(ExampleLayout::classes([1], 1), || {
        (0..).map(|x| if x < 10 { Ok(Example::class([1.0f64], 0)) } else { panic!("a fault of the iterator") })
    });
    let mut batches = SourceBatches::sequential(source, 4).unwrap().prefetch(1);
    while batches.next_batch().unwrap().is_some() {}
}

#[test]
fn a_borrowed_source_and_transform_need_no_thread() {
    let data = dataset(5);
    let total = std::sync::Mutex::new(0);
    let mut batches = SourceBatches::sequential(InMemory::new(&data), 2).unwrap().transform(Seed(1), |rows, _| {
        *total.lock().unwrap() += rows.len();
        Ok(())
    });
    epoch(&mut batches);
    drop(batches);
    assert_eq!(*total.lock().unwrap(), 5);
}

#[test]
fn sources_of_one_layout_are_joined_in_order() {
    let data = dataset(20);
    let parts = [0..7, 7..8, 8..20].map(|range| data.select(&range.collect::<Vec<_>>()).unwrap());
    for shuffled in [false, true] {
        let make = |source: Box<dyn Source<f64>>| {
            if shuffled { SourceBatches::shuffled(source, 6, Seed(1)) } else { SourceBatches::sequential(source, 6) }
                .unwrap()
        };
        let joined = Concatenated::new(parts.clone().map(InMemory::new)).unwrap();
        let (mut whole, mut joined) = (make(Box::new(InMemory::new(data.clone()))), make(Box::new(joined)));
        assert_eq!(joined.examples(), Some(20));
        assert_eq!(epoch(&mut joined), epoch(&mut whole));
    }
    let boxed = |count| Box::new(counted(count)) as Box<dyn Source<f64>>;
    let joined = Concatenated::new([boxed(3), boxed(0), boxed(5)]).unwrap();
    assert!(!joined.is_addressable() && joined.examples().is_none());
    let mut joined = SourceBatches::sequential(joined, 100).unwrap();
    let batch = joined.next_batch().unwrap().unwrap();
    assert_eq!(batch.inputs.slice(), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    let other = Box::new(InMemory::new(dataset(3))) as Box<dyn Source<f64>>;
    assert_eq!(
        message(Concatenated::new([boxed(3), other])),
        "source 1 can't be joined to the first: it has inputs of shape 3 and 1, and the first 1"
    );
    assert!(message(Concatenated::<Box<dyn Source<f64>>>::new([])).starts_with("the list of sources is empty"));
}
