use std::fmt;

use serde_json::{Value, json};

/// What went wrong, in whole sentences for the person at the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Told>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    text: String,
    /// The sentence with its values left open, by which a page finds it in its language; empty for one of the library.
    sentence: &'static str,
    values: Vec<(&'static str, String)>,
}

impl Error {
    /// Makes an error of a sentence, in which `{name}` is to be a value.
    pub fn new(sentence: &'static str) -> Self {
        Self(Box::new(Told { text: sentence.to_owned(), sentence, values: Vec::new() }))
    }

    /// Puts a value in its place.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.put(name, value.to_string())
    }

    fn put(mut self, name: &'static str, value: String) -> Self {
        self.0.text = self.0.text.replace(&format!("{{{name}}}"), &value);
        self.0.values.push((name, value));
        self
    }

    /// The error as a page takes it.
    pub(crate) fn reply(&self) -> Value {
        let Told { text, sentence, values } = &*self.0;
        let values: serde_json::Map<_, _> = values.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
        json!({ "error": text, "sentence": sentence, "values": values })
    }
}

/// Refuses a value that lies outside its bounds.
pub(crate) fn in_range(what: &str, value: f64, least: f64, largest: f64) -> Result<(), Error> {
    if (least..=largest).contains(&value) {
        return Ok(());
    }
    let error = Error::new("{what} must lie in [{least}, {largest}], but is {value}.").with("what", what);
    Err(error.with("least", least).with("largest", largest).with("value", value))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// An error of the library keeps its own words.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(Told { text: error.to_string(), sentence: "", values: Vec::new() }))
    }
}
