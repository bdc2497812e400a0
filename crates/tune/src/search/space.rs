//! What a search tries: grids and random draws.

use std::fmt;
use std::ops::RangeInclusive;

use downhill_tensor::{Seed, Stream};

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(#[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))] f64),
    /// A word.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            // This writes 0.001, but 1e-5.
            Self::Number(value) => fmt::Debug::fmt(value, f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

from! { bool => Flag, i64 => Integer, i32 => Integer, u32 => Integer, f64 => Number, String => Text, &str => Text }

impl From<usize> for Value {
    /// One above 2⁶³ − 1 becomes that.
    fn from(value: usize) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// Settings by name.
///
/// ```
/// use downhill_tune::Settings;
/// let settings = Settings::new().with("rate", 1e-3).with("hidden", 32).with("activation", "relu");
/// assert_eq!((settings.number("rate")?, settings.count("hidden")?), (1e-3, 32));
/// assert_eq!(settings.to_string(), "rate = 0.001, hidden = 32, activation = relu");
/// # Ok::<(), downhill_tune::SettingsError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Settings {
    values: Vec<(String, Value)>,
}

impl Settings {
    /// Makes settings without any.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.retain(|(known, _)| known != name);
        self.values.push((name.to_owned(), value.into()));
        self
    }

    /// The names and their values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of this name.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub fn value(&self, name: &str) -> Result<&Value, SettingsError> {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value).ok_or_else(|| SettingsError::Unknown {
            name: name.to_owned(),
            known: self.values.iter().map(|(known, _)| known.clone()).collect(),
        })
    }

    /// The number of this name, whole or not.
    ///
    /// # Errors
    /// Returns an error if there is no such setting, or it is not a number.
    pub fn number(&self, name: &str) -> Result<f64, SettingsError> {
        match self.value(name)? {
            Value::Number(value) => Ok(*value),
            Value::Integer(value) => Ok(*value as f64),
            other => Err(SettingsError::new(name, other, "a number")),
        }
    }

    /// The whole number of this name.
    ///
    /// # Errors
    /// Returns an error if there is no such setting, or it is not a whole number.
    pub fn integer(&self, name: &str) -> Result<i64, SettingsError> {
        match self.value(name)? {
            Value::Integer(value) => Ok(*value),
            other => Err(SettingsError::new(name, other, "a whole number")),
        }
    }

    /// The whole number of this name that is not negative, such as a size.
    ///
    /// # Errors
    /// Returns an error if there is no such setting, or it is not such a number.
    pub fn count(&self, name: &str) -> Result<usize, SettingsError> {
        let value = self.integer(name)?;
        usize::try_from(value).map_err(|_| SettingsError::new(name, &Value::Integer(value), "a count"))
    }

    /// The word of this name.
    ///
    /// # Errors
    /// Returns an error if there is no such setting, or it is not a word.
    pub fn text(&self, name: &str) -> Result<&str, SettingsError> {
        match self.value(name)? {
            Value::Text(value) => Ok(value),
            other => Err(SettingsError::new(name, other, "a word")),
        }
    }

    /// The flag of this name.
    ///
    /// # Errors
    /// Returns an error if there is no such setting, or it is not yes or no.
    pub fn flag(&self, name: &str) -> Result<bool, SettingsError> {
        match self.value(name)? {
            Value::Flag(value) => Ok(*value),
            other => Err(SettingsError::new(name, other, "true or false")),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name} = {value}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Prints them as [`Display`](fmt::Display) does, for the table of a search.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a setting can't be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// There is no setting of this name.
    #[error("there is no setting `{name}`; the settings are {known:?}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The setting is of another kind.
    #[error("the setting `{name}` is {value}, but {wanted} was asked for")]
    Kind {
        /// The name.
        name: String,
        /// Its value.
        value: Value,
        /// What was asked for, such as `a count`.
        wanted: &'static str,
    },
}

impl SettingsError {
    fn new(name: &str, value: &Value, wanted: &'static str) -> Self {
        Self::Kind { name: name.to_owned(), value: value.clone(), wanted }
    }
}

/// A grid of settings: every combination of some values for each name.
///
/// ```
/// use downhill_tune::Grid;
/// let grid = Grid::new().values("rate", [1e-3, 1e-2]).values("activation", ["tanh", "relu"]);
/// let all: Vec<String> = grid.settings().map(|settings| settings.to_string()).collect();
/// assert_eq!(all[1], "rate = 0.001, activation = relu");
/// assert_eq!(all[2], "rate = 0.01, activation = tanh");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    axes: Vec<(String, Vec<Value>)>,
}

impl Grid {
    /// Makes a grid without names, whose one combination is empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the values of a name.
    #[must_use]
    pub fn values<V: Into<Value>>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.axes.retain(|(known, _)| known != name);
        self.axes.push((name.to_owned(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// Makes the combinations, one at a time; the last name changes most often.
    pub fn settings(&self) -> impl Iterator<Item = Settings> + use<> {
        let axes = self.axes.clone();
        let has_any = axes.iter().all(|(_, values)| !values.is_empty());
        let mut next = has_any.then(|| vec![0; axes.len()]);
        std::iter::from_fn(move || {
            let places = next.take()?;
            let values = axes.iter().zip(&places).map(|((name, values), &place)| (name.clone(), values[place].clone()));
            let settings = Settings { values: values.collect() };
            next = following(places, |axis| axes[axis].1.len());
            Some(settings)
        })
    }
}

/// Counts on by one, with each digit below its base.
fn following(mut digits: Vec<usize>, base: impl Fn(usize) -> usize) -> Option<Vec<usize>> {
    for axis in (0..digits.len()).rev() {
        digits[axis] += 1;
        if digits[axis] < base(axis) {
            return Some(digits);
        }
        digits[axis] = 0;
    }
    None
}

impl IntoIterator for Grid {
    type Item = Settings;
    type IntoIter = Box<dyn Iterator<Item = Settings>>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.settings())
    }
}

/// Draws `count` settings at random, as a closure makes them from a [`Draw`], each from its own stream: the first are the
/// same however many follow.
///
/// ```
/// use downhill_tensor::Seed;
/// use downhill_tune::{Settings, random};
/// let drawn: Vec<Settings> = random(20, Seed(1), |draw| {
///     Settings::new()
///         .with("rate", draw.log_uniform(1e-4, 1e-1))
///         .with("hidden", draw.integer(8..=64))
///         .with("activation", draw.choice(["tanh", "relu"]))
/// })
/// .collect();
/// assert!(drawn.iter().all(|settings| (8..=64).contains(&settings.integer("hidden").unwrap_or(0))));
/// ```
pub fn random<S>(count: usize, seed: Seed, space: impl Fn(&mut Draw) -> S) -> impl Iterator<Item = S> {
    /// The key of the streams: a search derives the seeds of its trials by their numbers, perhaps from the same seed.
    const DRAWS: u64 = u64::MAX;
    let streams = seed.derive(DRAWS);
    (0..count as u64).map(move |number| space(&mut Draw { stream: streams.stream(number) }))
}

/// The random numbers of one draw of settings.
#[derive(Clone, Debug)]
pub struct Draw {
    stream: Stream,
}

impl Draw {
    /// Draws a number from `low` to below `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.stream.uniform()
    }

    /// Draws a number from `low` to below `high` whose logarithm is uniform, such as a learning rate. It is NaN unless
    /// both are above 0.
    pub fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        self.uniform(low.ln(), high.ln()).exp()
    }

    /// Draws a whole number of a range, its first if it is empty.
    pub fn integer(&mut self, range: RangeInclusive<i64>) -> i64 {
        let count = i128::from(*range.end()) - i128::from(*range.start()) + 1;
        let bits = u64::from(self.stream.bits()) << 32 | u64::from(self.stream.bits());
        // The upper half of 64 bits times the count, which is at most 2⁶⁴.
        let place = (u128::from(bits) * u128::try_from(count).unwrap_or(0)) >> 64;
        range.start().wrapping_add(place as i64)
    }

    /// Draws one of some choices, each equally likely. An empty array does not compile.
    pub fn choice<C, const N: usize>(&mut self, choices: [C; N]) -> C {
        const { assert!(N > 0, "there must be something to choose from") }
        let place = self.integer(0..=N as i64 - 1) as usize;
        match choices.into_iter().nth(place) {
            Some(choice) => choice,
            None => unreachable!("the place is below their number"),
        }
    }

    /// The stream itself, for any distribution of `rand`.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_every_combination_once() {
        let grid = Grid::new().values("a", [1, 2, 3]).values("b", [true, false]).values("c", ["x", "y"]);
        let all: Vec<Settings> = grid.clone().into_iter().collect();
        assert_eq!(all.len(), 12);
        for (place, settings) in all.iter().enumerate() {
            assert_eq!(settings.integer("a"), Ok(1 + place as i64 / 4));
            assert_eq!(settings.flag("b"), Ok(place / 2 % 2 == 0));
            assert_eq!(settings.text("c"), Ok(["x", "y"][place % 2]));
        }
        assert_eq!(Grid::new().settings().count(), 1);
        assert_eq!(grid.clone().values("b", [0.5; 0]).settings().count(), 0);
        assert_eq!(grid.values("b", [0.5]).settings().count(), 6);
    }

    #[test]
    fn settings_are_read_as_what_they_are() {
        let settings =
            Settings::new().with("rate", 1e-5).with("n", 3_usize).with("m", -3).with("act", "relu").with("f", true);
        assert_eq!(settings.number("rate"), Ok(1e-5));
        assert_eq!((settings.number("n"), settings.count("n"), settings.integer("m")), (Ok(3.0), Ok(3), Ok(-3)));
        assert_eq!(format!("{settings:?}"), "rate = 1e-5, n = 3, m = -3, act = relu, f = true");
        fn message<V: fmt::Debug>(result: Result<V, SettingsError>) -> String {
            result.unwrap_err().to_string()
        }
        assert_eq!(message(settings.count("m")), "the setting `m` is -3, but a count was asked for");
        assert_eq!(message(settings.number("act")), "the setting `act` is relu, but a number was asked for");
        assert_eq!(message(settings.integer("rate")), "the setting `rate` is 1e-5, but a whole number was asked for");
        assert_eq!(message(settings.text("f")), "the setting `f` is true, but a word was asked for");
        assert_eq!(message(settings.flag("n")), "the setting `n` is 3, but true or false was asked for");
        assert_eq!(
            message(settings.with("m", 1).number("rat")),
            "there is no setting `rat`; the settings are [\"rate\", \"n\", \"act\", \"f\", \"m\"]"
        );
    }

    #[test]
    fn settings_are_data() {
        let settings = Settings::new().with("a", 1.0).with("b", f64::INFINITY).with("c", "inf").with("d", -1);
        let json = serde_json::to_string(&settings.clone().with("e", true)).unwrap();
        let expected = r#"[["a",{"number":1.0}],["b",{"number":"inf"}],["c",{"text":"inf"}],["d",{"integer":-1}],["e",{"flag":true}]]"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings.with("e", true));
    }

    #[test]
    fn draws_fill_their_ranges_evenly() {
        type Drawn = (f64, f64, i64, char);
        let space = |draw: &mut Draw| -> Drawn {
            (draw.uniform(-1.0, 3.0), draw.log_uniform(1e-4, 1.0), draw.integer(-2..=2), draw.choice(['a', 'b', 'c']))
        };
        let all: Vec<Drawn> = random(20_000, Seed(1), space).collect();
        let share =
            |is: &dyn Fn(&Drawn) -> bool| all.iter().filter(|drawn| is(drawn)).count() as f64 / all.len() as f64;
        assert!(all.iter().all(|drawn| (-1.0..3.0).contains(&drawn.0) && (1e-4..1.0).contains(&drawn.1)));
        assert!((share(&|drawn| drawn.0 < 0.0) - 0.25).abs() < 0.02);
        for decade in 0..4 {
            let low = 10.0_f64.powi(decade - 4);
            assert!((share(&|drawn| (low..10.0 * low).contains(&drawn.1)) - 0.25).abs() < 0.02);
        }
        for number in -2..=2 {
            assert!((share(&|drawn| drawn.2 == number) - 0.2).abs() < 0.02);
        }
        for letter in ['a', 'b', 'c'] {
            assert!((share(&|drawn| drawn.3 == letter) - 1.0 / 3.0).abs() < 0.02);
        }
        // The first are the same however many follow, and another seed gives others.
        assert_eq!(random(5, Seed(1), space).collect::<Vec<_>>(), all[..5]);
        assert_ne!(random(5, Seed(2), space).collect::<Vec<_>>(), all[..5]);
    }

    #[test]
    fn draws_from_odd_ranges_stay_within_them() {
        let mut draw = Draw { stream: Seed(1).stream(0) };
        assert_eq!((draw.integer(RangeInclusive::new(3, 1)), draw.integer(7..=7)), (3, 7));
        let wide: Vec<i64> = (0..100).map(|_| draw.integer(i64::MIN..=i64::MAX)).collect();
        assert!(wide.iter().any(|number| *number < -(1 << 61)) && wide.iter().any(|number| *number > 1 << 61));
        assert!(draw.log_uniform(-1.0, 1.0).is_nan());
        assert_eq!(draw.choice([Box::new(5)]), Box::new(5));
    }
}
