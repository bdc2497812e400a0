//! All that a network has learnt, by name.

use std::error::Error;
use std::fmt;

use downhill_losses::ClassAxis;
use downhill_optim::Segment;
use downhill_tensor::{Outputs, Scalar, Seed, Shape};

use crate::Network;

/// All numbers of a network, by name: parameters, running statistics and the seed, and how its outputs are read.
///
/// Nothing else of a network changes, so a network of the same description that is [restored](Network::restore) gives
/// the same predictions, and trains on to the same bits.
///
/// Serialised to a text format, each number is a string that reads back to the same bits.
///
/// ```
/// use downhill_layers::{Affine, BatchNorm};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::Seed;
///
/// let build = |seed| Network::<f32>::build([4], sequential![Affine::new(8), BatchNorm::new(), Affine::new(3)], seed);
/// let trained = build(Seed(1))?;
/// let mut other = build(Seed(2))?;
/// other.restore(&trained.state())?;
/// assert_eq!((other.parameters(), other.seed()), (trained.parameters(), Seed(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound = "T: Scalar"))]
#[non_exhaustive]
pub struct NetworkState<T> {
    /// The parameters, in the order of θ.
    pub parameters: Vec<NamedArray<T>>,
    /// The running statistics.
    pub statistics: Vec<NamedArray<T>>,
    /// The seed that random layers draw from.
    pub seed: Seed,
    /// The meaning that the outputs were trained to have, if that is known.
    #[cfg_attr(feature = "serde", serde(default))]
    pub outputs: Option<Outputs>,
    /// The axis of the classes in predictions of several positions.
    #[cfg_attr(feature = "serde", serde(default))]
    pub class_axis: ClassAxis,
    /// The target that was ignored in training.
    #[cfg_attr(feature = "serde", serde(default))]
    pub ignored_index: Option<u32>,
    /// The names of the classes; empty if they have none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub class_names: Vec<String>,
}

/// Numbers with a name and a shape, row-major as they lie in memory.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound = "T: Scalar"))]
#[non_exhaustive]
pub struct NamedArray<T> {
    /// The dotted name, such as `0.weight`.
    pub name: String,
    /// The shape.
    pub shape: Shape,
    /// The numbers.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    pub values: Vec<T>,
}

/// Why a network can't take a state: all that does not fit, at once. The network is then unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateError {
    /// The names that the network has and the state lacks.
    pub missing: Vec<String>,
    /// The names that the state has and the network lacks.
    pub unknown: Vec<String>,
    /// The arrays that both have in other shapes: the name, the network's shape, and that in the state.
    pub mismatched: Vec<(String, Shape, String)>,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the state belongs to another network: ")?;
        let mut parts = Vec::new();
        let list = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if !self.missing.is_empty() {
            parts.push(format!("it lacks {}", list(&self.missing)));
        }
        if !self.unknown.is_empty() {
            parts.push(format!("it holds {}, which the network does not have", list(&self.unknown)));
        }
        for (name, expected, got) in &self.mismatched {
            parts.push(format!("`{name}` has the shape {expected} in the network, but {got} in the state"));
        }
        f.write_str(&parts.join("; "))
    }
}

impl Error for StateError {}

impl<T: Scalar> Network<T> {
    /// Copies all that the network has learnt; see [`NetworkState`].
    #[must_use]
    pub fn state(&self) -> NetworkState<T> {
        let meaning = self.reading.meaning;
        NetworkState {
            parameters: named(self.segments(), self.parameters()),
            statistics: named(self.statistic_segments(), self.statistics()),
            seed: self.seed(),
            outputs: meaning.outputs,
            class_axis: meaning.class_axis,
            ignored_index: meaning.ignored_index,
            class_names: self.class_names().to_vec(),
        }
    }

    /// Restores a state, in whatever order its arrays are.
    ///
    /// # Errors
    /// Returns an error that lists all names and shapes that do not fit; the network is then unchanged.
    pub fn restore(&mut self, state: &NetworkState<T>) -> Result<(), StateError> {
        let mut error = StateError::default();
        let theta = gather(self.segments(), &state.parameters, &mut error);
        let statistics = gather(self.statistic_segments(), &state.statistics, &mut error);
        if error != StateError::default() {
            return Err(error);
        }
        self.parameters_mut().copy_from_slice(&theta);
        self.statistics_mut().copy_from_slice(&statistics);
        self.set_seed(state.seed);
        let meaning = &mut self.reading.meaning;
        (meaning.outputs, meaning.class_axis) = (state.outputs, state.class_axis);
        meaning.ignored_index = state.ignored_index;
        self.set_class_names(&state.class_names);
        Ok(())
    }
}

fn named<T: Copy>(segments: &[Segment], flat: &[T]) -> Vec<NamedArray<T>> {
    let array = |segment: &Segment| NamedArray {
        name: segment.name.clone(),
        shape: segment.shape,
        values: flat[segment.range.clone()].to_vec(),
    };
    segments.iter().map(array).collect()
}

/// The numbers of `arrays` in the order of `segments`; notes what does not fit.
fn gather<T: Scalar>(segments: &[Segment], arrays: &[NamedArray<T>], error: &mut StateError) -> Vec<T> {
    let mut flat = Vec::new();
    for segment in segments {
        match arrays.iter().find(|array| array.name == segment.name) {
            None => error.missing.push(segment.name.clone()),
            Some(array) if array.shape != segment.shape || array.values.len() != segment.shape.len() => {
                let got = format!("{} with {} numbers", array.shape, array.values.len());
                error.mismatched.push((segment.name.clone(), segment.shape, got));
            }
            Some(array) => flat.extend_from_slice(&array.values),
        }
    }
    for (index, array) in arrays.iter().enumerate() {
        let again = arrays[..index].iter().any(|earlier| earlier.name == array.name);
        if again || !segments.iter().any(|segment| segment.name == array.name) {
            error.unknown.push(array.name.clone());
        }
    }
    flat
}
