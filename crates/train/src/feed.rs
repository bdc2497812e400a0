use downhill_data::source::SourceBatches;
use downhill_data::{Batches, DataError, Dataset, MiniBatch};
use downhill_tensor::Scalar;
#[cfg(feature = "checkpoint")]
use downhill_tensor::Shape;

/// What a run learns from: the batches of one epoch after another.
pub(crate) trait Feed<T>: Send {
    fn start_epoch(&mut self, epoch: u64);

    /// Goes to a batch of the epoch that was started, counted from 0.
    fn skip_to(&mut self, batch: usize);

    fn next_batch(&mut self) -> Result<Option<MiniBatch<'_, T>>, DataError>;

    /// Goes on from the batch `next`, which would come now, to a later one.
    fn advance(&mut self, next: usize, wanted: usize) -> Result<(), DataError>;

    /// The number of batches in an epoch, if it is known.
    fn batches_per_epoch(&self) -> Option<usize>;
}

impl<T: Scalar> Feed<T> for Batches<'_, T> {
    fn start_epoch(&mut self, epoch: u64) {
        Batches::start_epoch(self, epoch);
    }

    fn skip_to(&mut self, batch: usize) {
        Batches::skip_to(self, batch);
    }

    fn next_batch(&mut self) -> Result<Option<MiniBatch<'_, T>>, DataError> {
        Ok(Batches::next_batch(self))
    }

    fn advance(&mut self, _: usize, wanted: usize) -> Result<(), DataError> {
        Batches::skip_to(self, wanted);
        Ok(())
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(Batches::batches_per_epoch(self))
    }
}

impl<T: Scalar> Feed<T> for SourceBatches<'_, T> {
    fn start_epoch(&mut self, epoch: u64) {
        SourceBatches::start_epoch(self, epoch);
    }

    fn skip_to(&mut self, batch: usize) {
        SourceBatches::skip_to(self, batch);
    }

    fn next_batch(&mut self) -> Result<Option<MiniBatch<'_, T>>, DataError> {
        SourceBatches::next_batch(self)
    }

    /// Reads what lies between: a source goes elsewhere only at the start of an epoch, since batches are made ahead.
    fn advance(&mut self, next: usize, wanted: usize) -> Result<(), DataError> {
        for _ in next..wanted {
            SourceBatches::next_batch(self)?;
        }
        Ok(())
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        SourceBatches::batches_per_epoch(self)
    }
}

/// What is known of the data of a run without reading them.
#[derive(Clone, Debug)]
pub(crate) struct Known<'d, T> {
    /// All of them, if they are in memory.
    pub(crate) dataset: Option<&'d Dataset<T>>,
    pub(crate) examples: Option<u64>,
    pub(crate) batch_size: usize,
    /// What an example is made of.
    #[cfg(feature = "checkpoint")]
    pub(crate) shape: String,
}

impl<'d, T: Scalar> Known<'d, T> {
    pub(crate) fn dataset(dataset: &'d Dataset<T>, batch_size: usize) -> Self {
        Self {
            dataset: Some(dataset),
            examples: Some(dataset.len() as u64),
            batch_size,
            #[cfg(feature = "checkpoint")]
            shape: shape(dataset.all_inputs().map(|input| input.shape()), dataset.target_shape()),
        }
    }

    pub(crate) fn source(batches: &SourceBatches<'_, T>) -> Self {
        Self {
            dataset: None,
            examples: batches.examples(),
            batch_size: batches.size(),
            #[cfg(feature = "checkpoint")]
            shape: shape(batches.layout().input_shapes().iter().copied(), batches.layout().target_shape()),
        }
    }
}

#[cfg(feature = "checkpoint")]
fn shape(inputs: impl Iterator<Item = Shape>, target: Shape) -> String {
    let inputs: Vec<_> = inputs.map(|input| input.to_string()).collect();
    format!("{} to {target}", inputs.join(" and "))
}
