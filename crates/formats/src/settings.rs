//! The settings of layers, read from their description: a layer's fields are private, and their names in a description
//! are what files hold, so they stay as they are.

use downhill_layers::Description;
use serde::de::DeserializeOwned;

/// The kind of a layer, such as `Conv2d`, and its settings by name.
pub(crate) struct Settings {
    pub(crate) kind: String,
    fields: serde_json::Value,
}

impl Settings {
    pub(crate) fn of(layer: &Description) -> Self {
        let fields = serde_json::to_value(layer).unwrap_or_default();
        let kind = fields.get("type").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
        Self { kind, fields }
    }

    /// The settings as a structure that names those it needs.
    pub(crate) fn read<S: DeserializeOwned>(&self) -> Result<S, String> {
        S::deserialize(&self.fields).map_err(|error| format!("its settings can't be read: {error}"))
    }
}
