//! Examples that need not fit in memory: where they come from, and their mini-batches.
//!
//! A [`Source`] tells the layout of its examples and reads them into a caller's buffer; [`SourceBatches`] makes
//! mini-batches of one, shuffled, transformed and read ahead.
//!
//! | source | examples | by place |
//! |---|---|---|
//! | [`InMemory`] | a [`Dataset`](crate::Dataset), owned or borrowed | yes |
//! | [`ArraySource`] | rows of NPY files and of files of plain numbers ([`ArrayFile`]) | yes |
//! | `CsvSource` (feature `csv`) | rows of a table, by a fitted `Schema` | no |
//! | `ParquetSource` (feature `parquet`) | rows of a Parquet file, by a fitted `Schema` | no |
//! | [`IteratorSource`] | whatever a closure's iterator yields | no |
//! | [`Concatenated`] | those of several sources, one after the other | if all are |
//!
//! # A custom source
//! ```
//! use downhill_data::source::{ExampleLayout, Rows, Source, SourceBatches};
//! use downhill_data::{DataError, Target};
//! use downhill_tensor::Seed;
//!
//! /// The numbers below a million, and whether they are odd.
//! struct Numbers {
//!     layout: ExampleLayout,
//!     next: u32,
//! }
//!
//! impl Source<f32> for Numbers {
//!     fn layout(&self) -> &ExampleLayout {
//!         &self.layout
//!     }
//!
//!     fn rewind(&mut self) -> Result<(), DataError> {
//!         self.next = 0;
//!         Ok(())
//!     }
//!
//!     fn read(&mut self, most: usize, rows: &mut Rows<f32>) -> Result<(), DataError> {
//!         let end = (self.next + most as u32).min(1_000_000);
//!         for x in self.next..end {
//!             rows.push(&[x as f32], Target::Classes(&[x % 2]))?;
//!         }
//!         self.next = end;
//!         Ok(())
//!     }
//! }
//!
//! let numbers = Numbers { layout: ExampleLayout::classes([1], 2), next: 0 };
//! let mut batches = SourceBatches::shuffled(numbers, 100, Seed(1))?.shuffle_buffer(10_000).prefetch(2);
//! batches.start_epoch(0);
//! let batch = batches.next_batch()?.expect("there are 10,000 batches");
//! assert_eq!(batch.inputs.examples(), 100);
//! # Ok::<(), downhill_data::DataError>(())
//! ```

mod ahead;
mod array_file;
mod arrays;
mod batches;
mod concatenated;
#[cfg(feature = "csv")]
mod csv;
mod engine;
mod iterator;
mod layout;
mod memory;
#[cfg(feature = "parquet")]
mod parquet;
mod pool;
mod rows;
mod stamp;

use downhill_tensor::Scalar;

pub use self::array_file::{ArrayFile, RawRows};
pub use self::arrays::ArraySource;
pub use self::batches::SourceBatches;
pub use self::concatenated::Concatenated;
#[cfg(feature = "csv")]
pub use self::csv::CsvSource;
pub use self::iterator::IteratorSource;
pub use self::layout::ExampleLayout;
pub use self::memory::InMemory;
#[cfg(feature = "parquet")]
pub use self::parquet::{ParquetParts, ParquetSource};
pub use self::rows::{Example, Rows};
use crate::DataError;

/// Examples that are read part by part, and so may be more than memory holds.
///
/// The [module](self) has an example of an implementation.
/// Numbers that are not finite, labels beyond the classes and negative weights need no check here:
/// [`SourceBatches`] makes one.
pub trait Source<T: Scalar>: Send {
    /// The layout of its examples, which stays as it is.
    fn layout(&self) -> &ExampleLayout;

    /// The number of its examples, if it is known.
    fn examples(&self) -> Option<u64> {
        None
    }

    /// Goes back to the first example; each epoch starts with it.
    ///
    /// # Errors
    /// Returns an error if the source can't be read again, or is not what it was.
    fn rewind(&mut self) -> Result<(), DataError>;

    /// Appends the next examples in their order: at most `most`, and at least one unless there are no more.
    ///
    /// # Errors
    /// Returns an error if an example can't be read.
    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError>;

    /// Whether examples can be read by their places; [`examples`](Self::examples) then tells how many there are.
    fn is_addressable(&self) -> bool {
        false
    }

    /// Appends the examples at `places`, in that order; this does not change what [`read`](Self::read) reads next.
    ///
    /// # Errors
    /// Returns an error if one can't be read, and [`DataError::NotAddressable`] if no source of this kind can do so.
    fn read_at(&mut self, places: &[usize], rows: &mut Rows<T>) -> Result<(), DataError> {
        let _ = (places, rows);
        Err(DataError::NotAddressable)
    }
}

impl<T: Scalar, S: Source<T> + ?Sized> Source<T> for Box<S> {
    fn layout(&self) -> &ExampleLayout {
        (**self).layout()
    }

    fn examples(&self) -> Option<u64> {
        (**self).examples()
    }

    fn rewind(&mut self) -> Result<(), DataError> {
        (**self).rewind()
    }

    fn read(&mut self, most: usize, rows: &mut Rows<T>) -> Result<(), DataError> {
        (**self).read(most, rows)
    }

    fn is_addressable(&self) -> bool {
        (**self).is_addressable()
    }

    fn read_at(&mut self, places: &[usize], rows: &mut Rows<T>) -> Result<(), DataError> {
        (**self).read_at(places, rows)
    }
}
