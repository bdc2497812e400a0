//! The one file of a model: a safetensors file whose numbers are tensors, and whose metadata holds a description as JSON.
//!
//! | tensor | holds |
//! |---|---|
//! | `network.NAME` | a parameter or a running statistic, by PyTorch's name and layout |
//! | `input_scaler.NAME`, `target_scaler.NAME` | a scaler's numbers, such as `mean` and `scale`, as F64 |

use std::collections::BTreeMap;
use std::path::Path;

use downhill_data::{
    AnyScaler, ChannelScaler, MinMaxScaler, PowerScaler, PowerTransform, RobustScaler, Schema, StandardScaler,
};
use downhill_formats::{Load, Save, Tensors, safetensors};
use downhill_losses::{ClassAxis, Meaning};
use downhill_network::{CustomLayers, Network, NetworkDescription};
use downhill_tensor::{Outputs, Scalar};
use serde::{Deserialize, Serialize};

use crate::{Model, ModelError};

/// The version of the format that is written, and the latest that is read.
const FORMAT: u64 = 1;

/// The metadata entry that holds the description.
const KEY: &str = "downhill.model";

/// What every version of the format has.
#[derive(Deserialize)]
struct Header {
    format: u64,
    library: String,
}

#[derive(Serialize, Deserialize)]
struct Description {
    format: u64,
    library: String,
    network: NetworkDescription,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outputs: Option<Outputs>,
    #[serde(default)]
    class_axis: ClassAxis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ignored_index: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    class_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Schema>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_scaler: Option<Scaling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_scaler: Option<Scaling>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    units: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    notes: BTreeMap<String, String>,
}

/// The kind of a scaler, whose numbers are tensors.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scaling {
    Standard,
    MinMax,
    Robust,
    Power {
        transform: PowerTransform,
    },
    /// With the number of pixels in a channel.
    Channels {
        pixels: usize,
    },
}

impl Model<f32> {
    /// Opens a model file, in `f32`; [`open_as`](Model::open_as) opens it in another precision.
    ///
    /// # Errors
    /// Returns an error, which names the file, if it can't be read, is damaged, holds no model or one of a later format,
    /// or has a custom layer.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::open_as(path, &CustomLayers::new())
    }
}

impl<T: Scalar> Model<T> {
    /// Opens a model file whose network may hold these custom layers, its numbers converted to `T`.
    ///
    /// # Errors
    /// Returns the errors of [`open`](Model::open), and one if a custom layer is not registered.
    pub fn open_as(path: impl AsRef<Path>, custom: &CustomLayers) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let tensors = safetensors::read(path)?;
        read(&tensors, custom).map_err(|error| error.in_file(path))
    }

    /// Reads a model from the bytes of a file.
    ///
    /// # Errors
    /// Returns the errors of [`open_as`](Model::open_as).
    pub fn from_bytes(bytes: &[u8], custom: &CustomLayers) -> Result<Self, ModelError> {
        read(&safetensors::from_bytes(bytes)?, custom)
    }

    /// Saves the model as one file, which is replaced whole or not at all.
    ///
    /// # Errors
    /// Returns an error, which names the file, if it can't be written, or the network has a custom layer that is not
    /// registered.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ModelError> {
        Ok(safetensors::write(&self.tensors()?, path)?)
    }

    /// The bytes of the model's file.
    ///
    /// # Errors
    /// Returns an error if the network has a custom layer that is not registered.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        Ok(safetensors::to_bytes(&self.tensors()?)?)
    }

    fn tensors(&self) -> Result<Tensors<'static>, ModelError> {
        let meaning = self.network.meaning();
        let mut tensors = Save::new().prefix("network.").tensors(&self.network)?;
        let description = Description {
            format: FORMAT,
            library: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.describe_with(&self.custom)?,
            outputs: meaning.outputs,
            class_axis: meaning.class_axis,
            ignored_index: meaning.ignored_index,
            class_names: self.network.class_names().to_vec(),
            schema: self.schema.clone(),
            input_scaler: push_scaler("input_scaler", self.input_scaler.as_ref(), &mut tensors)?,
            target_scaler: push_scaler("target_scaler", self.target_scaler.as_ref(), &mut tensors)?,
            units: self.units.clone(),
            notes: self.notes.clone(),
        };
        let json = serde_json::to_string(&description).map_err(malformed)?;
        tensors.set_metadata(KEY, json);
        Ok(tensors)
    }
}

fn malformed(error: impl ToString) -> ModelError {
    ModelError::Malformed { reason: error.to_string() }
}

fn read<T: Scalar>(tensors: &Tensors<'_>, custom: &CustomLayers) -> Result<Model<T>, ModelError> {
    let json = tensors.metadata().get(KEY).ok_or(ModelError::NoModel { tensors: tensors.len() })?;
    let Header { format, library } = serde_json::from_str(json).map_err(malformed)?;
    if format > FORMAT {
        return Err(ModelError::Newer { format, library, known: FORMAT });
    }
    let read: Description = serde_json::from_str(json).map_err(malformed)?;
    // A description is short, however large a network it asks for.
    let (parameters, statistics) = read.network.segments(custom)?;
    let asked = parameters.iter().chain(&statistics).map(|segment| segment.shape.len()).fold(0, usize::saturating_add);
    let held = tensors.iter().map(|tensor| tensor.shape().iter().product()).fold(0, usize::saturating_add);
    if asked > held {
        let of = "description";
        return Err(ModelError::Count { what: "numbers in its tensors", of, expected: asked, got: held });
    }
    let mut network: Network<T> = read.network.build_zeroed(custom)?;
    Load::new().prefix("network.").convert().apply(&mut network, tensors)?;
    let mut meaning = Meaning::default();
    (meaning.outputs, meaning.class_axis, meaning.ignored_index) = (read.outputs, read.class_axis, read.ignored_index);
    network.set_meaning(meaning);
    network.set_class_names(read.class_names);
    let mut builder = Model::builder(network).units(read.units).custom_layers(custom.clone());
    if let Some(schema) = read.schema {
        builder = builder.schema(schema);
    }
    if let Some(scaling) = read.input_scaler {
        builder = builder.input_scaler(scaler("input_scaler", &scaling, tensors)?);
    }
    if let Some(scaling) = read.target_scaler {
        builder = builder.target_scaler(scaler("target_scaler", &scaling, tensors)?);
    }
    let builder = read.notes.into_iter().fold(builder, |builder, (name, text)| builder.note(name, text));
    Ok(Model { library: read.library, ..builder.build()? })
}

/// Adds a scaler's numbers to the tensors.
fn push_scaler(
    name: &str,
    scaler: Option<&AnyScaler>,
    tensors: &mut Tensors<'_>,
) -> Result<Option<Scaling>, ModelError> {
    let mut push = |part: &str, numbers: Vec<f64>| tensors.push(format!("{name}.{part}"), &[numbers.len()], numbers);
    Ok(match scaler {
        None => None,
        Some(AnyScaler::Standard(scaler)) => {
            push("mean", scaler.means().collect())?;
            push("scale", scaler.scales().collect())?;
            Some(Scaling::Standard)
        }
        Some(AnyScaler::MinMax(scaler)) => {
            let (low, high) = scaler.ends();
            push("ends", vec![low, high])?;
            push("min", scaler.minima().collect())?;
            push("max", scaler.maxima().collect())?;
            Some(Scaling::MinMax)
        }
        Some(AnyScaler::Robust(scaler)) => {
            push("median", scaler.medians().collect())?;
            push("scale", scaler.scales().collect())?;
            Some(Scaling::Robust)
        }
        Some(AnyScaler::Power(scaler)) => {
            push("power", scaler.powers().collect())?;
            push("mean", scaler.means().collect())?;
            push("scale", scaler.scales().collect())?;
            Some(Scaling::Power { transform: scaler.power_transform() })
        }
        Some(AnyScaler::Channels(scaler)) => {
            push("mean", scaler.means().collect())?;
            push("scale", scaler.scales().collect())?;
            Some(Scaling::Channels { pixels: scaler.pixels() })
        }
        Some(_) => {
            let reason = "it is of a kind that has no form in files yet";
            return Err(ModelError::Part { part: "a scaler", reason });
        }
    })
}

fn scaler(name: &str, scaling: &Scaling, tensors: &Tensors<'_>) -> Result<AnyScaler, ModelError> {
    let numbers = |part: &str| {
        let name = format!("{name}.{part}");
        let missing = || ModelError::Malformed { reason: format!("the tensor `{name}` is missing") };
        let array = tensors.get(&name).ok_or_else(missing)?.to_array::<f64>()?;
        Ok::<_, ModelError>(array.into_iter().collect::<Vec<_>>())
    };
    Ok(match scaling {
        Scaling::Standard => StandardScaler::from_parts(&numbers("mean")?, &numbers("scale")?)?.into(),
        Scaling::Robust => RobustScaler::from_parts(&numbers("median")?, &numbers("scale")?)?.into(),
        Scaling::Power { transform } => {
            PowerScaler::from_parts(*transform, &numbers("power")?, &numbers("mean")?, &numbers("scale")?)?.into()
        }
        Scaling::Channels { pixels } => {
            ChannelScaler::from_parts(&numbers("mean")?, &numbers("scale")?, *pixels)?.into()
        }
        Scaling::MinMax => {
            let ends = numbers("ends")?;
            let [low, high] = ends[..] else {
                return Err(ModelError::Malformed {
                    reason: format!("`{name}.ends` holds {} numbers, not 2", ends.len()),
                });
            };
            MinMaxScaler::from_parts(low, high, &numbers("min")?, &numbers("max")?)?.into()
        }
    })
}
