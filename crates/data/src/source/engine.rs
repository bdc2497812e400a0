use downhill_tensor::{Scalar, Seed};

use super::pool::Pool;
use super::{ExampleLayout, Rows, Source};
use crate::DataError;
use crate::permutation::{Purpose, permute};

/// A change of the examples of a batch, given the epoch and the place of the batch's first example in it.
pub(super) type Transform<'s, T> = Box<dyn Fn(&mut Rows<T>, u64, u64) -> Result<(), DataError> + Send + 's>;

/// A batch, and the places of its examples in the source.
#[derive(Debug)]
pub(super) struct Loaded<T> {
    pub(super) rows: Rows<T>,
    pub(super) places: Vec<usize>,
}

impl<T: Scalar> Loaded<T> {
    pub(super) fn new(layout: &ExampleLayout) -> Self {
        Self { rows: Rows::new(layout), places: Vec::new() }
    }
}

/// What reads, shuffles and transforms the batches of an epoch: on the caller's thread, or on one of its own.
pub(super) struct Engine<'s, T> {
    source: Box<dyn Source<T> + 's>,
    pub(super) size: usize,
    pub(super) seed: Option<Seed>,
    /// How many examples are shuffled at a time if there are no places.
    pub(super) pool: usize,
    pub(super) drop_last: bool,
    pub(super) transforms: Vec<Transform<'s, T>>,
    /// The number of examples, once it is known.
    pub(super) total: Option<u64>,
    epoch: u64,
    /// The batches to pass over, at the start of an epoch.
    skip: Option<usize>,
    /// The number of batches that the epoch has given.
    given: usize,
    order: Order<T>,
}

/// The examples of an epoch, in their order.
enum Order<T> {
    /// By place: all of them are known in advance.
    Places {
        order: Vec<usize>,
        next: usize,
        end: usize,
    },
    /// As the source has them.
    Source {
        next: usize,
    },
    /// Through a buffer.
    Pool(Box<Pool<T>>),
    Ended,
}

impl<'s, T: Scalar> Engine<'s, T> {
    pub(super) fn new(source: Box<dyn Source<T> + 's>, size: usize, seed: Option<Seed>) -> Self {
        let total = source.examples();
        Self {
            source,
            size,
            seed,
            pool: super::batches::DEFAULT_POOL,
            drop_last: false,
            transforms: Vec::new(),
            total,
            epoch: 0,
            skip: Some(0),
            given: 0,
            order: Order::Ended,
        }
    }

    pub(super) fn layout(&self) -> &ExampleLayout {
        self.source.layout()
    }

    /// Starts an epoch at a batch; whatever fails is an error of the first batch.
    pub(super) fn start(&mut self, epoch: u64, batch: usize) {
        (self.epoch, self.skip) = (epoch, Some(batch));
    }

    /// Overwrites a batch by the next, or returns `false` at the end of the epoch. An error ends it too.
    pub(super) fn fill(&mut self, batch: &mut Loaded<T>) -> Result<bool, DataError> {
        let filled = self.try_fill(batch);
        if !matches!(filled, Ok(true)) {
            self.order = Order::Ended;
        }
        filled
    }

    fn try_fill(&mut self, batch: &mut Loaded<T>) -> Result<bool, DataError> {
        if let Some(skip) = self.skip.take() {
            self.begin()?;
            if let Order::Places { next, end, .. } = &mut self.order {
                *next = skip.saturating_mul(self.size).min(*end);
                self.given = skip;
            } else {
                for _ in 0..skip {
                    if !self.next(batch)? {
                        return Ok(false);
                    }
                }
            }
        }
        let first = self.given as u64;
        if !self.next(batch)? {
            return Ok(false);
        }
        let first = first.saturating_mul(self.size as u64);
        let count = batch.rows.len();
        for transform in &self.transforms {
            transform(&mut batch.rows, self.epoch, first)?;
            if batch.rows.len() != count {
                let (what, asked, got) = ("a transform of batches", count, batch.rows.len());
                return Err(DataError::ExampleCount { what, asked, got });
            }
        }
        batch.rows.check(&batch.places)?;
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), DataError> {
        self.source.rewind()?;
        self.given = 0;
        let (seed, epoch) = (self.seed, self.epoch);
        let random = |purpose: Purpose| seed.map(|seed| seed.derive(purpose as u64).stream(epoch));
        self.order = match self.source.examples().filter(|_| self.source.is_addressable()) {
            Some(examples) => {
                self.count(examples)?;
                let too_many = || DataError::OrderSize { examples };
                let length = usize::try_from(examples).map_err(|_| too_many())?;
                // As `Batches`: a size beyond the number of examples is one batch of them all.
                self.size = self.size.min(length.max(1));
                let end = if self.drop_last { length - length % self.size } else { length };
                let mut order = match &mut self.order {
                    Order::Places { order, .. } => std::mem::take(order),
                    _ => Vec::new(),
                };
                if let Some(mut random) = random(Purpose::Batches) {
                    order.clear();
                    order.try_reserve_exact(length).map_err(|_| too_many())?;
                    order.resize(length, 0);
                    permute(&mut order, &mut random);
                }
                Order::Places { order, next: 0, end }
            }
            None => match random(Purpose::Buffer) {
                Some(random) => Order::Pool(Box::new(Pool::new(self.layout(), self.pool, random))),
                None => Order::Source { next: 0 },
            },
        };
        Ok(())
    }

    /// Reads the examples of the next batch as they are.
    fn next(&mut self, batch: &mut Loaded<T>) -> Result<bool, DataError> {
        let Loaded { rows, places } = batch;
        rows.clear();
        places.clear();
        let size = self.size;
        let read = match &mut self.order {
            Order::Ended => return Ok(false),
            Order::Places { order, next, end } => {
                let range = *next..next.saturating_add(size).min(*end);
                *next = range.end;
                if self.seed.is_some() {
                    places.extend_from_slice(order.get(range).unwrap_or_default());
                } else {
                    places.extend(range);
                }
                self.source.read_at(places, rows)?;
                expect(places.len(), rows.len())?;
                *next
            }
            Order::Source { next } => {
                while rows.len() < size && read_some(&mut *self.source, size - rows.len(), rows)? {}
                places.extend(*next..*next + rows.len());
                *next += rows.len();
                *next
            }
            Order::Pool(pool) => pool.draw(&mut *self.source, size, rows, places)?,
        };
        if rows.len() < size && !matches!(self.order, Order::Places { .. }) {
            self.order = Order::Ended;
            self.count(read as u64)?;
            if self.drop_last && self.given > 0 {
                return Ok(false);
            }
        }
        if rows.is_empty() {
            return Ok(false);
        }
        self.given += 1;
        Ok(true)
    }

    /// Notes the number of examples, which must be that of an earlier epoch.
    fn count(&mut self, now: u64) -> Result<(), DataError> {
        match self.total.replace(now) {
            _ if now == 0 => Err(DataError::Empty { what: "the source", unit: "example" }),
            Some(before) if before != now => {
                self.total = Some(before);
                Err(DataError::SourceChanged { before, now })
            }
            _ => Ok(()),
        }
    }
}

/// Reads some of the next examples, and returns whether there were any.
pub(super) fn read_some<T: Scalar>(
    source: &mut dyn Source<T>,
    most: usize,
    rows: &mut Rows<T>,
) -> Result<bool, DataError> {
    let before = rows.len();
    source.read(most, rows)?;
    let got = rows.len().saturating_sub(before);
    if got > most { Err(DataError::ExampleCount { what: "a source", asked: most, got }) } else { Ok(got > 0) }
}

fn expect(asked: usize, got: usize) -> Result<(), DataError> {
    if asked == got { Ok(()) } else { Err(DataError::ExampleCount { what: "a source", asked, got }) }
}
