//! What tells whether data are those that a run began with.

use downhill_data::Target;
use downhill_tensor::{Batch, Scalar};
use serde::{Deserialize, Serialize};

use crate::feed::Known;

/// The size of a data set, and a checksum of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// `None` if they come from a source that can't tell.
    examples: Option<u64>,
    shape: String,
    checksum: u32,
}

impl Fingerprint {
    pub(crate) fn of<T: Scalar>(known: &Known<'_, T>) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        // Data that are read from somewhere else are not read once more for this.
        if let Some(data) = known.dataset {
            data.all_inputs().for_each(|input| add(input.slice(), &mut hasher));
            match data.targets() {
                Target::Values(values) => add(values, &mut hasher),
                Target::Classes(classes) => classes.iter().for_each(|class| hasher.update(&class.to_le_bytes())),
            }
            data.weights().as_ref().map(Batch::slice).into_iter().for_each(|weights| add(weights, &mut hasher));
        }
        Self { examples: known.examples, shape: known.shape.clone(), checksum: hasher.finalize() }
    }

    /// Says how these data differ from those of the checkpoint, if they do.
    pub(crate) fn difference(&self, saved: &Self, what: &str) -> Option<String> {
        let count = |of: &Self| match of.examples {
            Some(examples) => format!("{examples} examples of {}", of.shape),
            None => format!("examples of {}", of.shape),
        };
        if (self.examples, &self.shape) != (saved.examples, &saved.shape) {
            Some(format!("{what} were {} and are {}", count(saved), count(self)))
        } else if self.checksum != saved.checksum {
            Some(format!("{what} have other numbers"))
        } else {
            None
        }
    }
}

/// Adds the bits of all numbers.
fn add<T: Scalar>(numbers: &[T], hasher: &mut crc32fast::Hasher) {
    let mut bytes = Vec::with_capacity(8 * 1024);
    for part in numbers.chunks(1024) {
        bytes.clear();
        part.iter().for_each(|x| bytes.extend_from_slice(&x.to_f64().to_bits().to_le_bytes()));
        hasher.update(&bytes);
    }
}
