use std::collections::BTreeMap;

use downhill_data::{AnyScaler, Scaler, Schema};
use downhill_network::{CustomLayers, Network};
use downhill_tensor::Scalar;

use crate::{Answers, Model, ModelError};

/// The parts of a [`Model`], which [`build`](Self::build) puts together.
#[derive(Clone, Debug)]
#[must_use = "a builder makes a model when `build` is called"]
pub struct ModelBuilder<T> {
    network: Network<T>,
    schema: Option<Schema>,
    input_scaler: Option<AnyScaler>,
    target_scaler: Option<AnyScaler>,
    units: Vec<String>,
    notes: BTreeMap<String, String>,
    custom: CustomLayers,
}

impl<T: Scalar> ModelBuilder<T> {
    pub(crate) fn new(network: Network<T>) -> Self {
        Self {
            network,
            schema: None,
            input_scaler: None,
            target_scaler: None,
            units: Vec::new(),
            notes: BTreeMap::new(),
            custom: CustomLayers::new(),
        }
    }

    pub(crate) fn from_model(model: Model<T>) -> Self {
        let Model { network, schema, input_scaler, target_scaler, units, notes, custom, library: _, answers: _ } =
            model;
        Self { network, schema, input_scaler, target_scaler, units, notes, custom }
    }

    /// Sets the network in place of another, such as one that was trained further.
    pub fn network(mut self, network: Network<T>) -> Self {
        self.network = network;
        self
    }

    /// Sets the meaning of the columns. If its target is a class, its names become those of the network's classes.
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the scaler that the inputs went through in training; of several inputs, the first.
    pub fn input_scaler(mut self, scaler: impl Into<AnyScaler>) -> Self {
        self.input_scaler = Some(scaler.into());
        self
    }

    /// Sets the scaler that the targets went through in training, which answers undo.
    pub fn target_scaler(mut self, scaler: impl Into<AnyScaler>) -> Self {
        self.target_scaler = Some(scaler.into());
        self
    }

    /// Sets the unit of each value, such as `g`; an empty one for a value without.
    pub fn units<S: Into<String>>(mut self, units: impl IntoIterator<Item = S>) -> Self {
        self.units = units.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a note of the user's, which the file keeps: who trained it, on what.
    pub fn note(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.notes.insert(name.into(), text.into());
        self
    }

    /// Sets the custom layers that the network may hold, without which it can't be saved.
    pub fn custom_layers(mut self, layers: CustomLayers) -> Self {
        self.custom = layers;
        self
    }

    /// Puts the model together.
    ///
    /// # Errors
    /// Returns an error if the schema or the scalers are of another number of features than the network's first input,
    /// there are not as many classes, scaled targets or units as outputs, or targets are scaled though the answers are
    /// classes.
    pub fn build(self) -> Result<Model<T>, ModelError> {
        let Self { mut network, schema, input_scaler, target_scaler, units, notes, custom } = self;
        let (inputs, outputs) = (network.input_shapes(), network.output_shape().len());
        let features = inputs.first().map_or(0, |shape| shape.len());
        let count = |what, of, expected: usize, got: usize| match got == expected {
            true => Ok(()),
            false => Err(ModelError::Count { what, of, expected, got }),
        };
        if let Some(schema) = &schema {
            count("inputs", "schema", 1, inputs.len())?;
            count("features in its schema", "network", features, schema.feature_count())?;
            match schema.class_names() {
                [] => count("targets in its schema", "network", outputs, schema.target_columns().count())?,
                // Two classes are a question with one answer, too.
                [_, _] if outputs == 1 => network.set_class_names(schema.class_names()),
                names => {
                    count("classes in its schema", "network", outputs, names.len())?;
                    network.set_class_names(names);
                }
            }
        }
        if let Some(scaler) = &input_scaler {
            count("features in its scaler", "network", features, scaler.features())?;
        }
        let answers = Answers::of(&network);
        if let Some(scaler) = &target_scaler {
            count("targets in its scaler", "network", outputs, scaler.features())?;
            if answers != Answers::Values {
                let reason = "the model answers with classes or probabilities, which have no units to go back to";
                return Err(ModelError::Part { part: "the scaler of the targets", reason });
            }
        }
        if !units.is_empty() {
            count("units", "network", outputs, units.len())?;
        }
        let library = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Model { network, schema, input_scaler, target_scaler, units, notes, custom, library, answers })
    }
}
