//! How a network is trained, unless the settings say it. The README has the tables and scores that this was chosen by.

use serde::Serialize;

use crate::CliError;
use crate::settings::{Activation, Settings, Task};

/// All that decides how a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recipe {
    /// Hidden units of each layer.
    pub hidden: Vec<usize>,
    /// The function between two layers.
    pub activation: Activation,
    /// The share of hidden units that each step passes over.
    pub dropout: f64,
    /// Networks that are trained apart and whose answers are averaged.
    pub members: usize,
    /// Passes through the table.
    pub epochs: u64,
    /// Rows in a step.
    pub batch_size: usize,
    /// The highest learning rate, which one cycle rises to and falls from.
    pub learning_rate: f64,
    /// The decay of weights, scaled by the learning rate.
    pub weight_decay: f64,
    /// The share of a class's target that is spread over all classes; 0 for numbers.
    pub label_smoothing: f64,
    /// The epochs without a fall of the validation loss before training stops; `None` to run all epochs.
    pub patience: Option<u64>,
    /// The seed of all that is random.
    pub seed: u64,
}

/// The steps that a network takes at most, within bounds of epochs.
const STEPS: usize = 20_000;
const EPOCHS: (u64, u64) = (10, 60);

impl Recipe {
    /// Chooses what the settings leave open, for a table with this number of rows.
    ///
    /// # Errors
    /// Returns an error if a setting is not valid.
    pub fn choose(settings: &Settings, task: Task, rows: usize) -> Result<Self, CliError> {
        let batch_size = settings.batch_size.unwrap_or(32);
        let epochs = STEPS.saturating_mul(batch_size).div_ceil(rows.max(1)) as u64;
        let recipe = Self {
            hidden: settings.hidden.clone().unwrap_or_else(|| vec![64, 32]),
            activation: settings.activation.unwrap_or(Activation::Relu),
            dropout: settings.dropout.unwrap_or(0.2),
            members: settings.members.unwrap_or(4),
            epochs: settings.epochs.unwrap_or(epochs.clamp(EPOCHS.0, EPOCHS.1)),
            batch_size,
            learning_rate: settings.learning_rate.unwrap_or(3e-3),
            weight_decay: settings.weight_decay.unwrap_or(0.05),
            label_smoothing: match task {
                Task::Classification => settings.label_smoothing.unwrap_or(0.05),
                Task::Regression => 0.0,
            },
            patience: settings.patience,
            seed: settings.seed.unwrap_or(0),
        };
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipes to choose from, by name: this one, and others that fit their table more or less closely.
    #[must_use]
    pub fn candidates(&self) -> [(&'static str, Self); 3] {
        [
            ("closer", Self { dropout: 0.0, epochs: self.epochs * 2, ..self.clone() }),
            ("middle", self.clone()),
            ("looser", Self { dropout: 0.3, weight_decay: 1.0, epochs: self.epochs.div_ceil(2), ..self.clone() }),
        ]
    }

    fn check(&self) -> Result<(), CliError> {
        let share = "it must be at least 0 and less than 1";
        let positive = "it must be finite and greater than 0";
        let some = "it must be 1 or more";
        let is_share = |x: f64| (0.0..1.0).contains(&x);
        let is_positive = |x: f64| x > 0.0 && x.is_finite();
        let units = self.hidden.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let hidden = "each layer must have 1 to 65536 units";
        let checks = [
            (self.hidden.iter().all(|units| (1..=65_536).contains(units)), "hidden", units, hidden),
            (is_share(self.dropout), "dropout", self.dropout.to_string(), share),
            ((1..=8).contains(&self.members), "members", self.members.to_string(), "it must be 1 to 8"),
            (
                (1..=1_000_000_000).contains(&self.epochs),
                "epochs",
                self.epochs.to_string(),
                "it must be 1 to 1000000000",
            ),
            (self.batch_size > 0, "batch-size", self.batch_size.to_string(), some),
            (is_positive(self.learning_rate), "learning-rate", self.learning_rate.to_string(), positive),
            (
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "weight-decay",
                self.weight_decay.to_string(),
                "it must be finite and at least 0",
            ),
            (is_share(self.label_smoothing), "label-smoothing", self.label_smoothing.to_string(), share),
        ];
        match checks.into_iter().find(|(fits, ..)| !fits) {
            Some((_, setting, value, reason)) => Err(CliError::Setting { setting, value, reason }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tables_are_seen_less_often() {
        let epochs = |rows| Recipe::choose(&Settings::default(), Task::Regression, rows).unwrap().epochs;
        assert!(epochs(1000) > epochs(20_000) && epochs(20_000) > epochs(1_000_000));
        assert_eq!((epochs(1), epochs(1_000_000)), (EPOCHS.1, EPOCHS.0));
    }

    #[test]
    fn a_batch_of_any_size_is_a_batch_of_all_rows() {
        let settings = Settings { batch_size: Some(usize::MAX), ..Settings::default() };
        assert_eq!(Recipe::choose(&settings, Task::Regression, 1000).unwrap().epochs, EPOCHS.1);
    }

    #[test]
    fn what_is_set_is_kept_and_checked() {
        let choose = |text: &str| Recipe::choose(&Settings::parse(text).unwrap(), Task::Classification, 100);
        let recipe = choose("hidden = [5]\nepochs = 7\nlabel-smoothing = 0.0\nseed = 9").unwrap();
        assert_eq!((recipe.hidden, recipe.epochs, recipe.label_smoothing, recipe.seed), (vec![5], 7, 0.0, 9));
        for bad in [
            "hidden = [0]",
            "hidden = [8, 70000]",
            "dropout = 1.0",
            "dropout = nan",
            "members = 0",
            "members = 9",
            "epochs = 0",
            "epochs = 9000000000000000000",
            "batch-size = 0",
            "learning-rate = 0.0",
            "learning-rate = inf",
            "weight-decay = -1.0",
            "label-smoothing = 1.0",
        ] {
            let error = choose(bad).unwrap_err().to_string();
            let setting = bad.split(' ').next().unwrap();
            assert!(error.starts_with(&format!("`--{setting} ")) && error.contains("must"), "{error}");
        }
    }
}
