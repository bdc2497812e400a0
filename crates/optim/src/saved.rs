//! What a [`Stepper`](crate::Stepper) saves and restores. It is compiled once for all rules, which show their numbers.

use downhill_tensor::{Buffer, Scalar};

use crate::group::Partition;
use crate::settings::{self, Settings, not_negative, positive};
use crate::{MemoryError, OptimizerState, RestoreError, SettingError};

/// A rule that shows its numbers to a visitor.
pub(crate) type Shown<'r> = &'r mut dyn FnMut(&mut Settings<'_>);

/// The slots by their names, as a state has them.
pub(crate) type Names = Vec<(String, usize)>;

const LEARNING_RATE: &str = "learning_rate";
const BASE_LEARNING_RATE: &str = "base_learning_rate";
const MOMENTUM: &str = "momentum";
const BASE_MOMENTUM: &str = "base_momentum";
const STEP: &str = "step";
const SKIPPED: &str = "skipped";
pub(crate) const PARAMETERS: &str = "parameters";

/// What is saved next to the slots and to what the rules show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) learning_rate: f64,
    pub(crate) base_learning_rate: f64,
    pub(crate) steps: u64,
    pub(crate) skipped: u64,
}

/// Sets the momentum if it is another: in a chain with two velocities it would become that of both.
pub(crate) fn schedule_momentum(rule: Shown<'_>, scheduled: f64) {
    if settings::momentum(&mut *rule) != Some(scheduled) {
        settings::for_each_momentum(rule, |momentum| *momentum = scheduled);
    }
}

/// Returns the slots by their names; a name that stands twice gets a number.
pub(crate) fn names(slots: &[(&'static str, usize)]) -> Names {
    let unique = |index: usize, name: &str| {
        let before = slots[..index].iter().filter(|(other, _)| *other == name).count();
        if before == 0 { name.to_owned() } else { format!("{name}.{}", before + 1) }
    };
    slots.iter().enumerate().map(|(index, &(name, len))| (unique(index, name), len)).collect()
}

/// The slots' names, and the number of parameters that they belong to.
pub(crate) type Named<'s, T> = Option<(usize, Names, &'s [Buffer<T>])>;

pub(crate) fn save<T: Scalar>(
    name: &str,
    rule: Shown<'_>,
    base: Shown<'_>,
    slots: Named<'_, T>,
    counts: Counts,
) -> OptimizerState<T> {
    let mut scalars = Vec::new();
    settings::for_each_memory(&mut *rule, |name, number| scalars.push((name.to_owned(), *number)));
    scalars.push((LEARNING_RATE.into(), counts.learning_rate));
    scalars.push((BASE_LEARNING_RATE.into(), counts.base_learning_rate));
    let momenta = [(MOMENTUM, settings::momentum(rule)), (BASE_MOMENTUM, settings::momentum(base))];
    scalars.extend(momenta.into_iter().filter_map(|(name, momentum)| Some((name.into(), momentum?))));
    let (len, names, slots) = slots.unwrap_or_default();
    OptimizerState {
        name: crate::rules::name_of(name),
        slots: names.into_iter().zip(slots).map(|((name, _), slot)| (name, slot.to_vec())).collect(),
        scalars,
        counters: vec![(STEP.into(), counts.steps), (SKIPPED.into(), counts.skipped), (PARAMETERS.into(), len as u64)],
    }
}

/// Returns the division of θ that the state is of; none for the state of no steps, which has no memory.
pub(crate) fn restore_partition<T>(
    state: &mut OptimizerState<T>,
    partition: Option<&Partition>,
) -> Result<Option<Partition>, RestoreError> {
    let len = state.take_counter(PARAMETERS)?;
    let len = usize::try_from(len)
        .map_err(|_| RestoreError::out_of_range(PARAMETERS, len as f64, "a length that fits into memory"))?;
    match partition {
        _ if len == 0 => Ok(None),
        Some(partition) if len != partition.len() => {
            Err(RestoreError::Length { name: "θ".into(), expected: partition.len(), got: len })
        }
        Some(partition) => Ok(Some(partition.clone())),
        None => Ok(Some(Partition::whole(len))),
    }
}

pub(crate) fn restore_slots<T: Scalar>(
    state: &mut OptimizerState<T>,
    names: Names,
) -> Result<Vec<Buffer<T>>, RestoreError> {
    names.into_iter().map(|(name, len)| state.take_slot(&name, len).map(Buffer::from)).collect()
}

/// Restores what the rules show: both begin as the rule was set up.
pub(crate) fn restore_numbers<'r, T>(
    state: &mut OptimizerState<T>,
    rule: Shown<'r>,
    base: Shown<'r>,
) -> Result<Counts, RestoreError> {
    // Settings that were not valid before are for `check` to find: the state is not to blame.
    let has_valid_settings = settings::check(&mut *base).is_ok();
    let mut restored = Ok(());
    settings::for_each_memory(&mut *rule, |name, number| match (&restored, state.take_scalar(name)) {
        (Ok(()), Ok(value)) => *number = value,
        (Ok(()), Err(error)) => restored = Err(error),
        (Err(_), _) => {}
    });
    restored?;
    for (name, rule) in [(MOMENTUM, rule), (BASE_MOMENTUM, base)] {
        if settings::momentum(&mut *rule).is_some() {
            schedule_momentum(&mut *rule, state.take_scalar(name)?);
        }
        if has_valid_settings {
            let invalid = |error: SettingError| RestoreError::out_of_range(name, error.value(), error.requirement());
            settings::check(rule).map_err(invalid)?;
        }
    }
    let learning_rate = state.take_scalar(LEARNING_RATE)?;
    not_negative(LEARNING_RATE, learning_rate)?;
    let base_learning_rate = state.take_scalar(BASE_LEARNING_RATE)?;
    positive(BASE_LEARNING_RATE, base_learning_rate)?;
    let (steps, skipped) = (state.take_counter(STEP)?, state.take_counter(SKIPPED)?);
    Ok(Counts { learning_rate, base_learning_rate, steps, skipped })
}

/// Returns an error for the first number of a slot that is not finite.
pub(crate) fn check_memory<T: Scalar>(names: Names, slots: &[Buffer<T>]) -> Result<(), MemoryError> {
    for ((slot, _), numbers) in names.into_iter().zip(slots) {
        if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(MemoryError { slot, index, value: numbers[index].to_f64() });
        }
    }
    Ok(())
}
