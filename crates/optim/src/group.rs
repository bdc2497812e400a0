use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use downhill_tensor::Shape;

use crate::settings::{not_negative, positive};
use crate::{Segment, SettingError};

type Predicate = Arc<dyn Fn(&Segment) -> bool + Send + Sync>;

/// Parameters with their own learning rate or weight decay, or without any steps.
///
/// A parameter belongs to the first group whose predicate holds for its segment, and to none if none holds.
/// Segments are named when the optimizer is bound ([`Optimizer::bind`](crate::Optimizer::bind)); a network's trainer does
/// that. An optimizer that is not bound knows of no segment, and so has no groups.
///
/// ```
/// use downhill_optim::{Adam, Group};
/// let optimizer = Adam::<f32>::new(1e-3)
///     .group(Group::frozen(|segment| segment.name.starts_with("encoder.")))
///     .group(Group::new(|segment| segment.name.starts_with("head.")).rate_factor(10.0));
/// ```
#[derive(Clone)]
pub struct Group {
    holds: Predicate,
    treatment: Treatment,
}

/// The way in which the parameters of a group are stepped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Treatment {
    /// The group's share of the learning rate.
    pub(crate) rate_factor: f64,
    /// The group's own weight decay.
    pub(crate) weight_decay: Option<f64>,
    /// Whether rules for matrices treat it as a vector.
    as_vector: bool,
    frozen: bool,
}

impl Default for Treatment {
    fn default() -> Self {
        Self { rate_factor: 1.0, weight_decay: None, as_vector: false, frozen: false }
    }
}

impl Group {
    /// Creates a group of the parameters for whose segment `holds` is true.
    #[must_use]
    pub fn new(holds: impl Fn(&Segment) -> bool + Send + Sync + 'static) -> Self {
        Self { holds: Arc::new(holds), treatment: Treatment::default() }
    }

    /// Creates a group of parameters that are never stepped.
    #[must_use]
    pub fn frozen(holds: impl Fn(&Segment) -> bool + Send + Sync + 'static) -> Self {
        let mut group = Self::new(holds);
        group.treatment.frozen = true;
        group
    }

    /// Creates the usual group without weight decay: all that is not a matrix, such as biases and gains of normalisations.
    #[must_use]
    pub fn no_decay_on_biases() -> Self {
        Self::new(|segment| segment.shape.rank() < 2).weight_decay(0.0)
    }

    setters! {
        /// Sets the factor on the optimizer's learning rate.
        rate_factor(factor: f64) treatment.rate_factor = factor;
        /// Makes rules that treat matrices and vectors differently, such as [`Muon`](crate::Muon), treat these as
        /// vectors.
        as_vector() treatment.as_vector = true;
        /// Sets the weight decay that replaces the optimizer's.
        weight_decay(weight_decay: f64) treatment.weight_decay = Some(weight_decay);
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("treatment", &self.treatment).finish_non_exhaustive()
    }
}

/// The groups of an optimizer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(Vec<Group>);

impl Groups {
    pub(crate) fn push(&mut self, group: Group) {
        self.0.push(group);
    }

    pub(crate) fn check(&self) -> Result<(), SettingError> {
        self.0.iter().try_for_each(|group| {
            positive("the rate factor of a group", group.treatment.rate_factor)?;
            not_negative("the weight decay of a group", group.treatment.weight_decay.unwrap_or(0.0))
        })
    }

    fn treatment(&self, segment: &Segment) -> Treatment {
        let group = self.0.iter().find(|group| (group.holds)(segment));
        group.map_or_else(Treatment::default, |group| group.treatment)
    }
}

/// One parameter that is stepped: a segment without its name, or what lies between segments.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Part {
    /// The elements of θ that belong to it.
    pub range: Range<usize>,
    /// Its shape in memory, row-major.
    pub shape: Shape,
    /// Whether its two axes are swapped in memory; see [`Segment::transposed`].
    pub transposed: bool,
    /// The index of its treatment.
    pub(crate) treatment: usize,
}

/// A slice of θ whose elements are all treated alike.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) range: Range<usize>,
    pub(crate) treatment: usize,
}

/// The division of θ: parts for rules that need whole parameters, runs for those that don't.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    len: usize,
    parts: Vec<Part>,
    runs: Vec<Run>,
    treatments: Vec<Treatment>,
}

impl Partition {
    /// Creates the partition of a θ of this length into one part.
    pub(crate) fn whole(len: usize) -> Self {
        Self::new(len, &[], &Groups::default())
    }

    /// Divides θ into these segments; elements outside them belong to no group.
    pub(crate) fn new(len: usize, segments: &[Segment], groups: &Groups) -> Self {
        let mut partition = Self { len, treatments: vec![Treatment::default()], ..Self::default() };
        let mut ordered: Vec<&Segment> = segments.iter().collect();
        ordered.sort_by_key(|segment| segment.range.start);
        let mut end = 0;
        for segment in ordered {
            let range = segment.range.start.max(end)..segment.range.end.min(len);
            if range.is_empty() {
                continue;
            }
            partition.push(end..range.start, None, Treatment::default());
            partition.push(range.clone(), Some(segment), groups.treatment(segment));
            end = range.end;
        }
        partition.push(end..len, None, Treatment::default());
        partition
    }

    fn push(&mut self, range: Range<usize>, segment: Option<&Segment>, treatment: Treatment) {
        if range.is_empty() || treatment.frozen || segment.is_some_and(|segment| segment.frozen) {
            return;
        }
        // A segment whose shape doesn't fill its range is a plain vector.
        let fitting = segment.filter(|segment| segment.shape.len() == range.len() && !treatment.as_vector);
        let known = self.treatments.iter().position(|known| *known == treatment);
        let index = known.unwrap_or_else(|| {
            self.treatments.push(treatment);
            self.treatments.len() - 1
        });
        self.parts.push(Part {
            range: range.clone(),
            shape: fitting.map_or_else(|| Shape::from([range.len()]), |segment| segment.shape),
            transposed: fitting.is_some_and(|segment| segment.transposed),
            treatment: index,
        });
        match self.runs.last_mut() {
            Some(run) if run.treatment == index && run.range.end == range.start => run.range.end = range.end,
            _ => self.runs.push(Run { range, treatment: index }),
        }
    }

    /// Returns the length of θ.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a partition is not a collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the parameters that are stepped, in their order in θ.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Returns the ranges whose elements have this treatment.
    pub(crate) fn runs_of(&self, treatment: usize) -> impl Iterator<Item = Range<usize>> {
        self.runs.iter().filter(move |run| run.treatment == treatment).map(|run| run.range.clone())
    }

    /// Returns the ranges that are not stepped.
    pub(crate) fn frozen(&self) -> impl Iterator<Item = Range<usize>> {
        let ends = std::iter::once(0).chain(self.runs.iter().map(|run| run.range.end));
        let starts = self.runs.iter().map(|run| run.range.start).chain([self.len]);
        ends.zip(starts).map(|(end, start)| end..start)
    }

    pub(crate) fn treatments(&self) -> &[Treatment] {
        &self.treatments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(name: &str, range: Range<usize>, axes: &[usize]) -> Segment {
        Segment::new(name, range, Shape::new(axes).unwrap())
    }

    #[test]
    fn equal_neighbours_are_one_run_and_frozen_parts_none() {
        let mut groups = Groups::default();
        groups.push(Group::frozen(|segment| segment.name == "1.weight"));
        groups.push(Group::no_decay_on_biases());
        let segments = [
            segment("0.weight", 0..6, &[2, 3]),
            segment("0.bias", 6..9, &[3]),
            segment("1.weight", 9..12, &[3, 1]),
            segment("1.bias", 12..13, &[1]),
            segment("2.gain", 13..16, &[3]),
        ];
        let partition = Partition::new(20, &segments, &groups);
        let runs: Vec<_> = partition.runs().iter().map(|run| (run.range.clone(), run.treatment)).collect();
        assert_eq!(runs, [(0..6, 0), (6..9, 1), (12..16, 1), (16..20, 0)]);
        assert_eq!(partition.parts().len(), 5);
        assert_eq!(partition.treatments()[1].weight_decay, Some(0.0));
    }
}
