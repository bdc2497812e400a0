//! The part of θ that a rank owns, and its optimizer if that steps nothing else.

use std::ops::Range;

use downhill_network::Network;
use downhill_optim::{Optimizer, OptimizerState, RestoreError, Segment, SettingError};
use downhill_tensor::Scalar;

use super::Exchange;
#[cfg(feature = "checkpoint")]
use crate::TrainError;

/// The ranges of θ that a rank owns, and their numbers as they lie in its own memory: one range after another.
#[derive(Clone, Debug)]
pub(crate) struct Owned(Vec<Range<usize>>);

impl Owned {
    pub(crate) fn by<T: Scalar>(exchange: &Exchange<'_, T>, len: usize) -> Self {
        Self(exchange.owned(len, exchange.rank()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    pub(crate) fn ranges(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Copies the own ones of all numbers.
    fn copy<T: Scalar>(&self, all: &[T], own: &mut Vec<T>) {
        own.clear();
        self.0.iter().for_each(|range| own.extend_from_slice(&all[range.clone()]));
    }

    /// Puts own numbers where they belong.
    fn put_back<T: Scalar>(&self, own: &[T], all: &mut [T]) {
        let mut rest = own;
        for range in &self.0 {
            let (numbers, behind) = rest.split_at(range.len());
            all[range.clone()].copy_from_slice(numbers);
            rest = behind;
        }
    }

    /// Returns the segments as they lie in the own numbers.
    pub(crate) fn cut(&self, segments: &[Segment]) -> Vec<Segment> {
        let mut place = 0;
        let mut cut = Vec::new();
        for own in &self.0 {
            for segment in segments {
                let range = segment.range.start.max(own.start)..segment.range.end.min(own.end);
                if !range.is_empty() {
                    let mut segment = segment.clone();
                    segment.range = place + range.start - own.start..place + range.end - own.start;
                    cut.push(segment);
                }
            }
            place += own.len();
        }
        cut
    }
}

/// What a rank steps, if it is no more than what it owns.
#[derive(Debug)]
pub(crate) struct Stepped<T> {
    pub(crate) owned: Owned,
    /// Memory for several ranges, which are stepped as one.
    theta: Vec<T>,
    gradient: Vec<T>,
}

impl<T> Stepped<T> {
    pub(crate) fn new(owned: Owned) -> Self {
        Self { owned, theta: Vec::new(), gradient: Vec::new() }
    }
}

/// An optimizer that steps this rank's part of θ, after which all ranks have all of it.
#[derive(Debug)]
pub(crate) struct Sharded<'a, 'e, T, O> {
    pub(crate) optimizer: &'a mut O,
    pub(crate) exchange: &'a mut Exchange<'e, T>,
    pub(crate) stepped: &'a mut Stepped<T>,
    pub(crate) completed: Result<(), String>,
}

impl<T: Scalar, O: Optimizer<T>> Optimizer<T> for Sharded<'_, '_, T, O> {
    fn check(&self) -> Result<(), SettingError> {
        self.optimizer.check()
    }

    fn bind(&mut self, segments: &[Segment]) {
        self.optimizer.bind(&self.stepped.owned.cut(segments));
    }

    fn step(&mut self, theta: &mut [T], gradient: &[T]) {
        let Stepped { owned, theta: own_theta, gradient: own_gradient } = &mut *self.stepped;
        if let [range] = owned.ranges() {
            self.optimizer.step(&mut theta[range.clone()], &gradient[range.clone()]);
        } else {
            owned.copy(theta, own_theta);
            owned.copy(gradient, own_gradient);
            self.optimizer.step(own_theta, own_gradient);
            owned.put_back(own_theta, theta);
        }
        self.completed = self.exchange.complete(theta);
    }

    fn reset(&mut self) {
        self.optimizer.reset();
    }

    fn base_learning_rate(&self) -> f64 {
        self.optimizer.base_learning_rate()
    }

    fn set_base_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_base_learning_rate(learning_rate);
    }

    fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    fn state(&self) -> OptimizerState<T> {
        self.optimizer.state()
    }

    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        self.optimizer.restore(state)
    }
}

/// Returns what this rank owns of θ if it steps nothing else.
pub(crate) fn sharded_part<T: Scalar>(
    exchange: Option<&Exchange<'_, T>>,
    optimizer: &impl Optimizer<T>,
    network: &Network<T>,
) -> Option<Owned> {
    let exchange = exchange.filter(|exchange| exchange.ranks() > 1 && exchange.is_sharded())?;
    let is_elementwise = optimizer.is_elementwise() && !optimizer.evaluation_point(&[], &mut []);
    let len = network.parameters().len();
    // A rank without parameters would have no memory to save.
    (is_elementwise && len >= exchange.ranks()).then(|| Owned::by(exchange, len))
}

/// Fills in what other ranks remember of the steps so far, so that a state is that of the whole optimizer.
#[cfg(feature = "checkpoint")]
pub(crate) fn complete_state<T: Scalar>(
    exchange: &mut Exchange<'_, T>,
    state: &mut OptimizerState<T>,
    part: &Owned,
    len: usize,
) -> Result<(), TrainError> {
    for (_, slot) in &mut state.slots {
        let mut whole = vec![T::ZERO; len];
        part.put_back(slot, &mut whole);
        exchange.complete(&mut whole).map_err(TrainError::Exchange)?;
        *slot = whole;
    }
    set_parameters(state, part.len(), len);
    Ok(())
}

/// Returns what a rank keeps of a whole optimizer's state; as it is if it has no memory yet.
#[cfg(feature = "checkpoint")]
pub(crate) fn cut_state<T: Scalar>(state: &OptimizerState<T>, part: &Owned, len: usize) -> OptimizerState<T> {
    let mut state = state.clone();
    for (_, slot) in state.slots.iter_mut().filter(|(_, slot)| slot.len() == len) {
        let mut own = Vec::new();
        part.copy(slot, &mut own);
        *slot = own;
    }
    set_parameters(&mut state, len, part.len());
    state
}

#[cfg(feature = "checkpoint")]
fn set_parameters<T>(state: &mut OptimizerState<T>, from: usize, to: usize) {
    let counters = state.counters.iter_mut().filter(|(name, count)| name == "parameters" && *count == from as u64);
    counters.for_each(|(_, count)| *count = to as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_cut_at_the_ends_of_what_is_owned() {
        let segments =
            [Segment::new("a", 0..6, [2, 3]), Segment::new("b", 6..8, [2]).frozen(true), Segment::new("c", 8..9, [1])];
        let cut = |owned: &[Range<usize>]| {
            let cut = Owned(owned.to_vec()).cut(&segments);
            cut.iter()
                .map(|segment| (segment.name.to_string(), segment.range.clone(), segment.frozen))
                .collect::<Vec<_>>()
        };
        let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
        assert_eq!(cut(&[0..0, 4..8]), [(a.clone(), 0..2, false), (b.clone(), 2..4, true)]);
        assert_eq!(
            cut(&[1..3, 5..7, 8..9]),
            [(a.clone(), 0..2, false), (a, 2..3, false), (b, 3..4, true), (c, 4..5, false)]
        );
    }

    #[test]
    fn own_numbers_are_found_copied_and_put_back() {
        let (owned, mut all) = (Owned(vec![1..3, 3..3, 5..6]), [0, 1, 2, 3, 4, 5, 6].map(f64::from));
        let mut own = vec![9.0];
        owned.copy(&all, &mut own);
        assert_eq!((owned.len(), &own[..]), (3, &[1.0, 2.0, 5.0][..]));
        owned.put_back(&[7.0, 8.0, 9.0], &mut all);
        assert_eq!(all, [0.0, 7.0, 8.0, 3.0, 4.0, 9.0, 6.0]);
    }
}
