//! What the logs write of real runs. One program for all of them, so that the loops are compiled once.

#[cfg(target_os = "linux")]
mod dashboard;
mod diagnosis;
mod lines;
mod tensorboard;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use downhill_data::Dataset;
use downhill_layers::{Affine, Tanh};
use downhill_losses::{MeanSquaredError, Meaning, Target, TargetError};
use downhill_network::{Network, sequential};
use downhill_optim::Adam;
use downhill_tensor::{Batch, Seed};
use downhill_train::{Metric, Trainer};
use ndarray::Array2;

/// 20 examples: 3 steps in an epoch of batches of 8.
fn data() -> Dataset<f64> {
    let x = Array2::from_shape_fn((20, 2), |(i, j)| ((i * 37 + j * 11) % 101) as f64 / 50.0 - 1.0);
    let y = Array2::from_shape_fn((20, 1), |(i, _)| 2.0 * x[[i, 0]] - 3.0 * x[[i, 1]] + 1.0);
    Dataset::from_array(x, y).unwrap()
}

fn network() -> Network<f64> {
    Network::build([2], sequential![Affine::new(4), Tanh, Affine::new(1)], Seed(1)).unwrap()
}

fn trainer<'a>(epochs: u64) -> Trainer<'a, f64, MeanSquaredError, Adam<f64>> {
    Trainer::new(MeanSquaredError::new(), Adam::new(0.01)).epochs(epochs).batch_size(8)
}

/// A metric of this name that is always this number.
#[derive(Debug)]
struct Fixed(String, f64);

impl Metric<f64> for Fixed {
    fn name(&self) -> String {
        self.0.clone()
    }

    fn larger_is_better(&self) -> bool {
        true
    }

    fn start(&mut self, _: Meaning) {}

    fn update(&mut self, _: Batch<'_, f64>, _: Target<'_, f64>, _: Option<&[f64]>) -> Result<(), TargetError> {
        Ok(())
    }

    fn value(&self) -> f64 {
        self.1
    }
}

/// A writer that others can read.
#[derive(Clone, Default)]
struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// The number of bytes after which it is full.
    room: Option<usize>,
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.bytes.lock().unwrap();
        if self.room.is_some_and(|room| written.len() + bytes.len() > room) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        written.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
