//! The settings of layers, read from their description: a layer's fields are private, and their names in a description
//! are what files hold, so they stay as they are.

use downhill_layers::Description;
use serde::Deserialize;
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

/// The settings of a recurrent layer of any kind.
#[derive(Deserialize)]
pub(crate) struct Recurrent {
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) bidirectional: bool,
    pub(crate) bias: bool,
    pub(crate) lengths: bool,
    pub(crate) last_state: bool,
    /// Empty unless the kind has several.
    #[serde(default)]
    pub(crate) nonlinearity: String,
}

impl Recurrent {
    /// The ends of the names of each direction's parameters.
    pub(crate) fn suffixes(&self) -> &'static [&'static str] {
        if self.bidirectional { &["", "_reverse"] } else { &[""] }
    }
}

/// The settings of attention, with those of its rotary positions as `R`.
#[derive(Deserialize)]
pub(crate) struct Attention<R> {
    pub(crate) heads: usize,
    pub(crate) bias: bool,
    pub(crate) causal: bool,
    pub(crate) lengths: bool,
    pub(crate) rotary: Option<R>,
}
