//! Rectifiers that are dead, and activations that are saturated.

use downhill_tensor::Scalar;

use super::Warning;
use super::observer::{Activity, Observer};

/// A layer has too many dead units if at least this share of them is. At a learning rate that is too high it can be
/// 40 % by the notes of Stanford's course CS231n, "Neural Networks Part 1: Setting up the Architecture" ("Commonly used
/// activation functions"); a narrow layer behind another rectifier begins with nearly as many now and then.
const DEAD: f64 = 0.5;

/// A layer is saturated if at least this share of its outputs is. Where classes are kept apart well, half of them can be.
const SATURATED: f64 = 0.8;

/// The examples after which units are judged: one that answers to one example in fifty is taken for dead with a chance
/// of 0.003 %.
const EXAMPLES: usize = 512;

/// The observations after which saturation is judged.
const OBSERVATIONS: u32 = 5;

/// The number of observations since the counts were 0.
#[derive(Debug, Default)]
pub(super) struct Activations {
    observations: u32,
}

impl Activations {
    /// Judges what the observer has counted, if it is enough.
    pub(super) fn observe<T: Scalar>(&mut self, observer: &mut Observer<T>, found: &mut Vec<Warning>) {
        self.observations += 1;
        let names = &observer.norms.layers;
        if self.observations >= OBSERVATIONS {
            let bounded = observer.layers.iter().map(|layer| match layer.activity {
                Activity::Bounded { saturated, all, .. } => Some((saturated, all)),
                _ => None,
            });
            if let Some(Worst { layer, share, others, .. }) = worst(bounded, SATURATED) {
                let (kind, layer) = (names[layer].kind.to_owned(), names[layer].layer.clone());
                found.push(Warning::SaturatedActivations { layer, kind, share, others });
            }
        }
        if observer.examples >= EXAMPLES {
            let rectifiers = observer.layers.iter().map(|layer| match &layer.activity {
                Activity::Rectifier { largest, .. } => {
                    let dead = largest.iter().filter(|&&largest| largest <= T::ZERO).count();
                    Some((dead as f64, largest.len() as f64))
                }
                _ => None,
            });
            if let Some(Worst { layer, count, of, others, .. }) = worst(rectifiers, DEAD) {
                let (layer, dead, units) = (names[layer].layer.clone(), count as usize, of as usize);
                found.push(Warning::DeadUnits { layer, dead, units, examples: observer.examples, others });
            }
            self.observations = 0;
            observer.forget();
        }
    }
}

/// The layer with the largest share that is too large, and how many others there are.
#[derive(Debug, Default)]
struct Worst {
    layer: usize,
    count: f64,
    of: f64,
    share: f64,
    others: usize,
}

/// Finds the layer of the largest share, of at least `least`, among layers with a count and what it is of.
fn worst(layers: impl Iterator<Item = Option<(f64, f64)>>, least: f64) -> Option<Worst> {
    let mut worst: Option<Worst> = None;
    for (layer, counted) in layers.enumerate() {
        let Some((count, of)) = counted.filter(|(count, of)| *count >= least * of) else { continue };
        let others = worst.as_ref().map_or(0, |worst| worst.others + 1);
        let share = count / of;
        match &mut worst {
            Some(worst) if worst.share >= share => worst.others = others,
            _ => worst = Some(Worst { layer, count, of, share, others }),
        }
    }
    worst
}
