//! A state as it is saved: JSON has no NaN, and not every reader of JSON rounds correctly.

use downhill_tensor::Scalar;
use downhill_tensor::exact::Exact;
use serde::{Deserialize, Serialize};

use super::OptimizerState;

#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Scalar")]
pub(super) struct Saved<T> {
    name: String,
    slots: Vec<(String, Vec<Exact<T>>)>,
    scalars: Vec<(String, Exact<f64>)>,
    counters: Vec<(String, u64)>,
}

impl<T: Scalar> From<OptimizerState<T>> for Saved<T> {
    fn from(state: OptimizerState<T>) -> Self {
        let vector = |slot: Vec<T>| slot.into_iter().map(Exact).collect();
        Self {
            name: state.name,
            slots: state.slots.into_iter().map(|(name, slot)| (name, vector(slot))).collect(),
            scalars: state.scalars.into_iter().map(|(name, number)| (name, Exact(number))).collect(),
            counters: state.counters,
        }
    }
}

impl<T: Scalar> From<Saved<T>> for OptimizerState<T> {
    fn from(saved: Saved<T>) -> Self {
        let vector = |slot: Vec<Exact<T>>| slot.into_iter().map(|Exact(number)| number).collect();
        Self {
            name: saved.name,
            slots: saved.slots.into_iter().map(|(name, slot)| (name, vector(slot))).collect(),
            scalars: saved.scalars.into_iter().map(|(name, Exact(number))| (name, number)).collect(),
            counters: saved.counters,
        }
    }
}
