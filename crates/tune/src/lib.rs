//! What is done around training: search, learning-rate finder, ensembles, calibration, importance.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod calibration;
mod ensemble;
mod importance;
mod parallel;
mod rate_finder;
mod search;

pub use calibration::{CalibrationError, Temperature};
pub use ensemble::{Ensemble, EnsembleError, EnsemblePrediction, EnsembleTrainer};
pub use importance::{Importance, ImportanceError, Importances, PermutationImportance};
pub use rate_finder::{RateCurve, RateFinder, RatePoint};
pub use search::{
    Draw, Grid, Score, Search, SearchError, SearchReport, Settings, SettingsError, Trial, TrialRecord, Value, random,
};
