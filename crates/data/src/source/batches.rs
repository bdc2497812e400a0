use std::fmt;

use downhill_tensor::{Scalar, Seed, Shape, Stream};

use super::ahead::{Ahead, Next};
use super::engine::{Engine, Loaded, Transform};
use super::{ExampleLayout, Rows, Source};
use crate::{DataError, MiniBatch};

/// The number of examples that are shuffled at a time, unless another is set.
pub(super) const DEFAULT_POOL: usize = 10_000;

/// Mini-batches of a [`Source`], epoch after epoch.
///
/// The order of an epoch depends on the seed and the epoch's number alone.
/// If examples can be read by their places it is that of [`Batches`](crate::Batches), bit for bit.
/// If not, each example is drawn from a buffer of some thousands, in which the next of the source replaces it: an example
/// then comes at most that many places too early, so data that are sorted stay roughly so.
///
/// ```
/// use downhill_data::Dataset;
/// use downhill_data::source::{InMemory, SourceBatches};
/// use downhill_tensor::Seed;
///
/// let data = Dataset::new((0..10).map(f64::from).collect(), [1], vec![0; 10])?;
/// let mut batches = SourceBatches::shuffled(InMemory::new(data), 4, Seed(1))?
///     .transform_examples(Seed(2), |x, _shape, random| x[0] += 0.1 * random.uniform())
///     .prefetch(2);
/// for epoch in 0..2 {
///     batches.start_epoch(epoch);
///     let mut seen = 0;
///     while let Some(batch) = batches.next_batch()? {
///         seen += batch.inputs.examples();
///     }
///     assert_eq!(seen, 10);
/// }
/// # Ok::<(), downhill_data::DataError>(())
/// ```
pub struct SourceBatches<'s, T: Scalar> {
    layout: ExampleLayout,
    size: usize,
    drop_last: bool,
    maker: Maker<'s, T>,
    /// The batch that the caller has.
    loaded: Box<Loaded<T>>,
    epoch: u64,
}

enum Maker<'s, T: Scalar> {
    /// Batches are made when they are asked for, unless there is a way to start a thread that makes them.
    Here(Box<Engine<'s, T>>, Option<Start<'s, T>>),
    Thread(Ahead<T>),
    /// For a moment, while a thread starts.
    Nowhere,
}

/// A thread's start, and how many batches it may be ahead by.
type Start<'s, T> = (fn(Box<Engine<'s, T>>, usize) -> Result<Ahead<T>, Box<Engine<'s, T>>>, usize);

impl<T: Scalar> fmt::Debug for SourceBatches<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, size, drop_last, epoch, .. } = self;
        f.debug_struct("SourceBatches")
            .field("layout", layout)
            .field("size", size)
            .field("drop_last", drop_last)
            .field("epoch", epoch)
            .finish_non_exhaustive()
    }
}

impl<'s, T: Scalar> SourceBatches<'s, T> {
    /// Makes batches of `size` examples in the order of the source; the last one may be smaller.
    ///
    /// # Errors
    /// Returns an error if `size` is 0 or the source's layout has a part that holds nothing.
    pub fn sequential(source: impl Source<T> + 's, size: usize) -> Result<Self, DataError> {
        Self::new(Box::new(source), size, None)
    }

    /// Makes batches of `size` examples in an order drawn anew for every epoch; the last one may be smaller.
    ///
    /// A shuffled order of a source with places takes 8 bytes for each example.
    ///
    /// # Errors
    /// Returns an error if `size` is 0 or the source's layout has a part that holds nothing.
    pub fn shuffled(source: impl Source<T> + 's, size: usize, seed: Seed) -> Result<Self, DataError> {
        Self::new(Box::new(source), size, Some(seed))
    }

    fn new(source: Box<dyn Source<T> + 's>, size: usize, seed: Option<Seed>) -> Result<Self, DataError> {
        if size == 0 {
            return Err(DataError::EmptyBatch);
        }
        let layout = source.layout().clone();
        layout.check()?;
        let loaded = Box::new(Loaded::new(&layout));
        let maker = Maker::Here(Box::new(Engine::new(source, size, seed)), None);
        Ok(Self { layout, size, drop_last: false, maker, loaded, epoch: 0 })
    }

    /// Changes the settings, which are in the engine until the first batch is asked for.
    fn set(mut self, set: impl FnOnce(&mut Engine<'s, T>)) -> Self {
        if let Maker::Here(engine, _) = &mut self.maker {
            set(engine);
        }
        self
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others, and not the only one.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self.set(|engine| engine.drop_last = true)
    }

    /// Sets the number of examples that are shuffled at a time if the source has no places; 10,000 by default.
    ///
    /// They are held in memory. With as many as the source has, every order is equally likely.
    #[must_use]
    pub fn shuffle_buffer(self, examples: usize) -> Self {
        self.set(|engine| engine.pool = examples.max(1))
    }

    /// Changes each batch before it is returned: `change` gets its examples, and a seed that depends on `seed`, the
    /// epoch and the place of the batch in it.
    ///
    /// Transforms are made in the order in which they were added, on the thread that reads.
    ///
    /// ```
    /// # use downhill_data::{Dataset, Scaler, StandardScaler};
    /// # use downhill_data::source::{InMemory, SourceBatches};
    /// # use downhill_tensor::Seed;
    /// # let data = Dataset::new(vec![1.0, 2.0, 3.0], [1], vec![0, 1, 0])?;
    /// let mut batches = SourceBatches::sequential(InMemory::new(&data), 2)?.transform(Seed(1), |rows, _seed| {
    ///     rows.input_mut(0).iter_mut().for_each(|x| *x /= 3.0);
    ///     Ok(())
    /// });
    /// assert_eq!(batches.next_batch()?.map(|batch| batch.inputs.slice()[0]), Some(1.0 / 3.0));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    #[must_use]
    pub fn transform(
        self,
        seed: Seed,
        change: impl Fn(&mut Rows<T>, Seed) -> Result<(), DataError> + Send + 's,
    ) -> Self {
        let change = move |rows: &mut Rows<T>, epoch, first| change(rows, seed.derive(epoch).derive(first));
        self.add(Box::new(change))
    }

    /// Changes the first input of each example before it is returned: `change` gets its numbers, its shape, and a
    /// random stream that depends on `seed`, the epoch and the place of the example in it.
    #[must_use]
    pub fn transform_examples(self, seed: Seed, change: impl Fn(&mut [T], Shape, &mut Stream) + Send + 's) -> Self {
        let change = move |rows: &mut Rows<T>, epoch, first| {
            let (shape, seed) = (rows.layout().input_shape(), seed.derive(epoch));
            for (place, numbers) in (first..).zip(rows.input_mut(0).chunks_exact_mut(shape.len())) {
                change(numbers, shape, &mut seed.stream(place));
            }
            Ok(())
        };
        self.add(Box::new(change))
    }

    fn add(self, transform: Transform<'s, T>) -> Self {
        self.set(|engine| engine.transforms.push(transform))
    }

    /// The layout of the examples.
    #[must_use]
    pub fn layout(&self) -> &ExampleLayout {
        &self.layout
    }

    /// The number of examples in a batch, other than a smaller last one.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number of examples in an epoch; `None` as long as it is not known.
    ///
    /// What the source does not tell is known after the first epoch.
    #[must_use]
    pub fn examples(&self) -> Option<u64> {
        match &self.maker {
            Maker::Here(engine, _) => engine.total,
            Maker::Thread(ahead) => ahead.total,
            Maker::Nowhere => None,
        }
    }

    /// The number of batches in an epoch; `None` as long as the number of examples is not known.
    #[must_use]
    pub fn batches_per_epoch(&self) -> Option<usize> {
        let (examples, size) = (self.examples()?, self.size as u64);
        let whole = if self.drop_last && examples >= size { examples / size } else { examples.div_ceil(size) };
        usize::try_from(whole).ok()
    }

    /// Starts an epoch, whatever was read before; new batches are at the start of epoch 0.
    ///
    /// What fails at the start is an error of the first batch.
    pub fn start_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.skip_to(0);
    }

    /// Goes to a batch of the epoch that was started, counted from 0: the batches that follow are those that an
    /// unbroken epoch has from there on.
    ///
    /// Without places, the examples in front of it are read once more.
    pub fn skip_to(&mut self, batch: usize) {
        self.begin();
        match &mut self.maker {
            Maker::Here(engine, _) => engine.start(self.epoch, batch),
            Maker::Thread(ahead) => ahead.start(self.epoch, batch),
            Maker::Nowhere => {}
        }
    }

    /// Starts the thread if one is to be started, and returns whether it did.
    fn begin(&mut self) -> bool {
        if !matches!(self.maker, Maker::Here(_, Some(_))) {
            return false;
        }
        self.maker = match std::mem::replace(&mut self.maker, Maker::Nowhere) {
            Maker::Here(engine, Some((start, depth))) => {
                start(engine, depth).map_or_else(|engine| Maker::Here(engine, None), Maker::Thread)
            }
            other => other,
        };
        true
    }

    /// Returns the next batch of the epoch, or `None` at its end.
    ///
    /// # Errors
    /// Returns an error of the source, of a transform, and one if an example has a number that is not finite, a label
    /// beyond the classes or a negative weight, or there are more or fewer examples than in an earlier epoch.
    /// An error ends the epoch.
    pub fn next_batch(&mut self) -> Result<Option<MiniBatch<'_, T>>, DataError> {
        if self.begin() {
            self.skip_to(0);
        }
        match &mut self.maker {
            Maker::Here(engine, _) => {
                if !engine.fill(&mut self.loaded)? {
                    return Ok(None);
                }
            }
            Maker::Thread(ahead) => match ahead.next()? {
                Next::Batch(batch) => ahead.free(std::mem::replace(&mut self.loaded, batch)),
                Next::End => return Ok(None),
                Next::Engine(engine) => {
                    self.maker = Maker::Here(engine, None);
                    return self.next_batch();
                }
            },
            Maker::Nowhere => return Ok(None),
        }
        Ok(Some(self.loaded.rows.batch(&self.loaded.places)))
    }
}

impl<T: Scalar> SourceBatches<'static, T> {
    /// Reads and transforms up to `batches` batches ahead on a thread, so that a model need not wait for them; 0 reads
    /// each when it is asked for.
    ///
    /// A batch that takes longer to hand from one thread to another than to make, about 10 µs, is worth no thread: if
    /// the first 64 are of this kind on average, the thread ends, and the others are made when they are asked for.
    ///
    /// The batches are the same bits. The source must own what it reads: a data set, not a reference to one.
    /// The thread ends when this is dropped, which waits for the batch that is being read.
    /// If the system has no thread to give, batches are read when they are asked for.
    #[must_use]
    pub fn prefetch(mut self, batches: usize) -> Self {
        if let Maker::Here(_, start) = &mut self.maker {
            *start = (batches > 0).then_some((Ahead::spawn, batches));
        }
        self
    }
}
