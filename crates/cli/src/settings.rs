use std::fs;
use std::path::Path;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::CliError;

/// What is to be predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One of several classes.
    Classification,
    /// A number.
    Regression,
}

/// The function between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The positive part.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// x times the normal distribution's share below x.
    Gelu,
    /// x times its sigmoid.
    Silu,
}

/// All that training can be told; whatever is not set is chosen.
///
/// As flags they are arguments of the program, as a TOML file keys of the same names.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The column to predict
    #[arg(long, value_name = "COLUMN", help_heading = "Columns")]
    pub target: Option<String>,
    /// What to predict: a class or a number [default: found out from the target's cells]
    #[arg(long, help_heading = "Columns")]
    pub task: Option<Task>,
    /// Columns to read as numbers
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Columns")]
    pub numeric: Option<Vec<String>>,
    /// Columns to read as categories, such as numbers that are codes
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Columns")]
    pub categorical: Option<Vec<String>>,
    /// Columns to read as dates
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Columns")]
    pub dates: Option<Vec<String>>,
    /// Columns to leave out
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Columns")]
    pub leave_out: Option<Vec<String>>,
    /// Texts that mean a missing value, an empty cell being one in any case
    #[arg(long, value_name = "TEXTS", value_delimiter = ',', help_heading = "Columns")]
    pub missing: Option<Vec<String>>,
    /// The unit of the target, such as g, which predictions name
    #[arg(long, help_heading = "Columns")]
    pub unit: Option<String>,
    /// The character between cells: any in ASCII, or `tab` [default: ,]
    #[arg(long, value_name = "CHARACTER", help_heading = "Columns")]
    pub delimiter: Option<String>,
    /// Hidden units of each layer
    #[arg(long, value_name = "UNITS", value_delimiter = ',', help_heading = "Training")]
    pub hidden: Option<Vec<usize>>,
    /// The function between two layers
    #[arg(long, help_heading = "Training")]
    pub activation: Option<Activation>,
    /// The share of hidden units that each step passes over
    #[arg(long, value_name = "SHARE", help_heading = "Training")]
    pub dropout: Option<f64>,
    /// Networks that are trained apart and whose answers are averaged
    #[arg(long, value_name = "COUNT", help_heading = "Training")]
    pub members: Option<usize>,
    /// Passes through the table
    #[arg(long, value_name = "COUNT", help_heading = "Training")]
    pub epochs: Option<u64>,
    /// Rows in a step
    #[arg(long, value_name = "ROWS", help_heading = "Training")]
    pub batch_size: Option<usize>,
    /// The highest learning rate
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    pub learning_rate: Option<f64>,
    /// The decay of weights, scaled by the learning rate
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    pub weight_decay: Option<f64>,
    /// The share of a class's target that is spread over all classes
    #[arg(long, value_name = "SHARE", help_heading = "Training")]
    pub label_smoothing: Option<f64>,
    /// Stops after more epochs than this in which the loss on rows kept for it does not fall [default: never stops]
    #[arg(long, value_name = "EPOCHS", help_heading = "Training")]
    pub patience: Option<u64>,
    /// The share of rows that a first network is judged on before the one to save learns from all rows; 0 for none
    #[arg(long, value_name = "SHARE", conflicts_with = "folds", help_heading = "Judging")]
    pub holdout: Option<f64>,
    /// Whether to choose among a few recipes by cross-validation [default: true, unless one is set by its units,
    /// activation, dropout, epochs, batch size, rate, decay or patience]
    #[arg(long, value_name = "BOOL", help_heading = "Training")]
    pub search: Option<bool>,
    /// Judges by a cross-validation of this many folds instead
    #[arg(long, value_name = "COUNT", help_heading = "Judging")]
    pub folds: Option<usize>,
    /// The seed of all that is random; the same seed gives the same model
    #[arg(long, help_heading = "Training")]
    pub seed: Option<u64>,
}

impl Settings {
    /// Reads settings from a TOML file.
    ///
    /// # Errors
    /// Returns an error, with the file's name and the place in it, if it can't be read or has a key that is none.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let text = fs::read_to_string(path).map_err(|cause| CliError::read(path, cause))?;
        Self::parse(&text).map_err(|reason| CliError::Settings { path: path.to_owned(), reason })
    }

    /// Reads settings from the text of a TOML file; an error shows the line that is wrong.
    ///
    /// # Errors
    /// Returns an error if the text is no TOML or has a key that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let settings: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        match (settings.holdout, settings.folds) {
            (Some(_), Some(_)) => Err("`holdout` and `folds` are two ways to judge; set one of them".to_owned()),
            _ => Ok(settings),
        }
    }

    /// Fills what is not set here from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        // Folds that are set here replace a share that is set there, and the other way round.
        let judged = self.holdout.is_some() || self.folds.is_some();
        macro_rules! first {
            ($($field:ident),+) => { Self { $($field: self.$field.or(other.$field),)+ holdout: None, folds: None } };
        }
        let (holdout, folds) = if judged { (self.holdout, self.folds) } else { (other.holdout, other.folds) };
        let filled = first!(
            target,
            task,
            numeric,
            categorical,
            dates,
            leave_out,
            missing,
            unit,
            delimiter,
            hidden,
            activation,
            dropout,
            members,
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            label_smoothing,
            patience,
            search,
            seed
        );
        Self { holdout, folds, ..filled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_keys_that_the_flags_have() {
        let settings =
            Settings::parse("target = \"price\"\nleave-out = [\"id\"]\nhidden = [8]\ntask = \"regression\"\n").unwrap();
        assert_eq!((settings.target.as_deref(), settings.task), (Some("price"), Some(Task::Regression)));
        assert_eq!((settings.leave_out, settings.hidden), (Some(vec!["id".to_owned()]), Some(vec![8])));
    }

    #[test]
    fn a_key_that_is_none_is_shown_in_its_line() {
        let error = Settings::parse("target = \"price\"\nepoch = 3\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("unknown field `epoch`"), "{error}");
        let error = Settings::parse("epochs = \"many\"\n").unwrap_err();
        assert!(error.contains("line 1") && error.contains("invalid type"), "{error}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = Settings::parse("epochs = 3\nseed = 4\nholdout = 0.3\n").unwrap();
        let flags = Settings { epochs: Some(5), folds: Some(4), ..Settings::default() };
        let both = flags.or(file);
        assert_eq!((both.epochs, both.seed, both.holdout, both.folds), (Some(5), Some(4), None, Some(4)));
    }
}
