use std::fmt;

/// What went wrong, in whole sentences for the person at the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// Makes an error of a sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Refuses a value that lies outside its bounds.
pub(crate) fn in_range(what: &str, value: f64, least: f64, largest: f64) -> Result<(), Error> {
    let message = || Error::new(format!("{what} must lie in [{least}, {largest}], but is {value}."));
    if (least..=largest).contains(&value) { Ok(()) } else { Err(message()) }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error of the library keeps its own words.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
