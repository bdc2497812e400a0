//! Layers that make one number of each window of a channel.

mod adaptive_average_pool;
mod average;
mod average_pool;
mod global_average_pool;
mod max_pool;
mod window;

pub use adaptive_average_pool::{AdaptiveAveragePool1d, AdaptiveAveragePool2d};
pub use average_pool::{AveragePool1d, AveragePool2d};
pub use global_average_pool::GlobalAveragePool;
pub use max_pool::{MaxPool1d, MaxPool2d};

use downhill_tensor::{BuildError, Shape};

use crate::errors::wrong_rank;
use crate::single_input;

/// (channels, length) of the only input of a pooling layer in one dimension.
fn sequence(layer: &'static str, inputs: &[Shape]) -> Result<[usize; 2], BuildError> {
    let x = single_input(layer, inputs)?;
    let expected = "channels x length per example";
    let hint = "put Reshape before it, to [1, length] where there is one channel";
    x.axes().try_into().map_err(|_| wrong_rank(layer, x, expected, hint))
}

/// (channels, rows, columns) of the only input of a layer of images.
pub(crate) fn image(layer: &'static str, inputs: &[Shape]) -> Result<[usize; 3], BuildError> {
    let x = single_input(layer, inputs)?;
    let expected = "an image per example, channels x rows x columns";
    let hint = "put Reshape before it, to [1, rows, columns] where there is one channel";
    x.axes().try_into().map_err(|_| wrong_rank(layer, x, expected, hint))
}

/// (rows, columns) of each channel; a sequence is one row, and axes behind the rows are all columns.
fn plane(shape: Shape) -> [usize; 2] {
    match shape.axes() {
        [] | [_] => [1, 1],
        [_, columns] => [1, *columns],
        [_, rows, columns @ ..] => [*rows, columns.iter().product()],
    }
}
