//! Gradients that vanish or explode in the backward pass.

use super::{Norms, Warning};

/// Gradients vanish if ‖dJ/dy‖ of a layer with parameters is below this share of that of the last layer.
///
/// Initialisers are made so that the norm stays about the same from layer to layer (Glorot and Bengio 2010,
/// "Understanding the difficulty of training deep feedforward neural networks"). Each sigmoid multiplies it by 1/4 at
/// most, so that seven of them come to it, and an average over n places by 1/√n.
const VANISHING: f64 = 1e-4;

/// Gradients explode if ‖dJ/dθ‖ is above this multiple of ‖θ‖ (or of 1, if that is larger).
///
/// No published rule fits all losses. With targets and inputs of about unit scale, ‖dJ/dθ‖ is of about the size of ‖θ‖
/// or smaller, and Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks", clip at
/// ten times the usual norm at most.
const EXPLODING: f64 = 1e3;

/// The observations in a row that have to show vanishing gradients: a last layer that starts at 0 has none in front of
/// it at the first step.
const VANISHING_FOR: u32 = 5;

/// The observations in a row that have to show exploding gradients: one large batch is no rule.
const EXPLODING_FOR: u32 = 3;

/// The numbers of observations in a row with small or large gradients.
#[derive(Debug, Default)]
pub(super) struct Gradients {
    vanishing: u32,
    exploding: u32,
}

impl Gradients {
    /// Judges one observation; `learns` tells whether a layer has parameters.
    pub(super) fn observe(&mut self, norms: &Norms, learns: impl Fn(usize) -> bool, found: &mut Vec<Warning>) {
        let flowing = || norms.layers.iter().enumerate().filter_map(|(at, layer)| Some((at, layer, layer.gradients?)));
        let last = flowing().next_back().filter(|(.., norm)| *norm > 0.0);
        let smallest = flowing().filter(|(at, ..)| learns(*at)).min_by(|a, b| a.2.total_cmp(&b.2));
        match (smallest, last) {
            (Some((_, layer, norm)), Some((_, last, last_norm))) if norm < VANISHING * last_norm => {
                self.vanishing += 1;
                if self.vanishing == VANISHING_FOR {
                    let (layer, last_layer) = (layer.layer.clone(), last.layer.clone());
                    found.push(Warning::VanishingGradients { layer, norm, last_layer, last_norm });
                }
            }
            _ => self.vanishing = 0,
        }
        let (gradient, values) = (norms.gradient(), norms.values());
        if gradient <= EXPLODING * values.max(1.0) {
            self.exploding = 0;
            return;
        }
        self.exploding += 1;
        let largest = norms.parameters.iter().max_by(|a, b| a.gradient.total_cmp(&b.gradient));
        if let Some(largest) = largest.filter(|_| self.exploding == EXPLODING_FOR) {
            found.push(Warning::ExplodingGradients {
                parameter: largest.name.clone(),
                norm: largest.gradient,
                whole: gradient,
                parameters: values,
            });
        }
    }
}
