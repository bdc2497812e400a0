use downhill_tensor::{Scalar, Stream};

use super::engine::read_some;
use super::{ExampleLayout, Rows, Source};
use crate::DataError;
use crate::permutation::below;

/// How many examples are read at a time.
const AHEAD: usize = 256;

/// A buffer of examples: each is drawn from it, and replaced by the next of the source.
pub(super) struct Pool<T> {
    pool: Rows<T>,
    /// The places of its examples in the source.
    places: Vec<usize>,
    /// The most examples that it holds.
    most: usize,
    /// What was read and is not yet in the pool: its examples from `taken` on.
    ahead: Rows<T>,
    taken: usize,
    /// The place of the first of those.
    next: usize,
    /// Whether the source has no more.
    ended: bool,
    random: Stream,
}

impl<T: Scalar> Pool<T> {
    pub(super) fn new(layout: &ExampleLayout, most: usize, random: Stream) -> Self {
        let (pool, ahead) = (Rows::new(layout), Rows::new(layout));
        Self { pool, places: Vec::new(), most, ahead, taken: 0, next: 0, ended: false, random }
    }

    /// Appends examples up to `size` and their places; there are fewer at the end. Returns how many examples have been
    /// taken from the source.
    pub(super) fn draw(
        &mut self,
        source: &mut dyn Source<T>,
        size: usize,
        rows: &mut Rows<T>,
        places: &mut Vec<usize>,
    ) -> Result<usize, DataError> {
        while rows.len() < size {
            if self.taken == self.ahead.len() && !self.ended {
                self.ahead.clear();
                self.taken = 0;
                self.ended = !read_some(source, AHEAD, &mut self.ahead)?;
            }
            let count = (self.ahead.len() - self.taken).min(self.most - self.pool.len());
            if count > 0 {
                self.pool.extend(&self.ahead, self.taken, count);
                self.places.extend(self.next..self.next + count);
                self.taken += count;
                self.next += count;
                continue;
            }
            if self.pool.is_empty() {
                break;
            }
            let drawn = below(self.pool.len() as u64, &mut self.random) as usize;
            rows.extend(&self.pool, drawn, 1);
            places.extend(self.places.get(drawn));
            if self.taken < self.ahead.len() {
                self.pool.replace(drawn, &self.ahead, self.taken);
                if let Some(place) = self.places.get_mut(drawn) {
                    *place = self.next;
                }
                self.taken += 1;
                self.next += 1;
            } else {
                self.pool.swap_remove(drawn);
                self.places.swap_remove(drawn);
            }
        }
        Ok(self.next)
    }
}
