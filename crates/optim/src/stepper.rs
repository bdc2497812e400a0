use std::fmt::Debug;

use downhill_tensor::{Buffer, Scalar};

use crate::error::positive;
use crate::fused::{descend, initialise, views};
use crate::group::{Groups, Layout};
use crate::{Group, Link, Optimizer, OptimizerState, RestoreError, Segment, SettingError, Slots, Step};
use downhill_tensor::reduce::norm;

/// What one update rule does with θ, a gradient and its memory; [`Stepper`] does everything else.
///
/// An element-wise rule is a [`Chain`] of links and needs no implementation of this trait.
/// Implement it for rules that look at whole parameters at once.
pub trait Rule<T: Scalar>: Clone + Debug + Send + 'static {
    /// The vectors that the rule keeps between steps, with their lengths.
    fn slots(&self, layout: &Layout) -> Vec<(&'static str, usize)>;

    /// One step. `false` where it was left out: then nothing may have changed.
    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool;

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// Where one does not.
    fn check(&self) -> Result<(), SettingError>;

    /// The momentum (or Adam's β₁), where there is one.
    fn momentum(&self) -> Option<f64> {
        None
    }

    /// Sets the momentum (or Adam's β₁) of the steps to come, where there is one.
    fn set_momentum(&mut self, momentum: f64) {
        let _ = momentum;
    }

    /// Numbers outside the slots that a later step depends on, with their names.
    fn numbers(&mut self) -> Vec<(&'static str, &mut f64)> {
        Vec::new()
    }

    /// Overwrites `point` with where the objective should be evaluated, if that is not at θ; whether it did.
    fn evaluation_point(&self, theta: &[T], slots: &[Buffer<T>], point: &mut [T]) -> bool {
        let _ = (theta, slots, point);
        false
    }
}

/// All that a rule sees in one step.
#[derive(Debug)]
pub struct Pass<'a, T> {
    /// The parameters.
    pub theta: &'a mut [T],
    /// The gradient of the objective at θ.
    pub gradient: &'a [T],
    /// The vectors that the rule asked for, 0 before the first step.
    pub slots: &'a mut [Buffer<T>],
    /// As long as θ; holds anything.
    pub scratch: &'a mut Buffer<T>,
    /// How θ is divided.
    pub layout: &'a Layout,
    /// The number of this step, from 1.
    pub number: u64,
    /// The learning rate, without any group's factor.
    pub learning_rate: f64,
}

impl<T> Pass<'_, T> {
    /// Where the step stands, for the parameters of one treatment.
    pub(crate) fn at(&self, treatment: usize, gradient_norm: f64) -> Step {
        let treatment = &self.layout.treatments()[treatment];
        Step {
            number: self.number,
            learning_rate: self.learning_rate * treatment.rate_factor,
            weight_decay: treatment.weight_decay,
            gradient_norm,
            trust: 1.0,
        }
    }
}

/// An optimizer made of a rule: it keeps the learning rate, the groups, the rule's memory and the step counter.
///
/// The named optimizers are compositions of this type and links; see [`Adam`](crate::Adam).
#[derive(Clone, Debug)]
pub struct Stepper<R, T> {
    rule: R,
    learning_rate: f64,
    groups: Groups,
    layout: Option<Layout>,
    slots: Vec<Buffer<T>>,
    scratch: Buffer<T>,
    number: u64,
    skipped: u64,
}

impl<R: Rule<T>, T: Scalar> Stepper<R, T> {
    /// An optimizer that steps by `rule`.
    #[must_use]
    pub fn of(rule: R, learning_rate: f64) -> Self {
        Self {
            rule,
            learning_rate,
            groups: Groups::default(),
            layout: None,
            slots: Vec::new(),
            scratch: Buffer::default(),
            number: 0,
            skipped: 0,
        }
    }

    /// Adds a group of parameters that are treated in their own way.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// No weight decay on what is not a matrix: biases and gains of normalisations.
    #[must_use]
    pub fn no_decay_on_biases(self) -> Self {
        self.group(Group::no_decay_on_biases())
    }

    /// The number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.number
    }

    /// The number of steps left out, because the gradient was not finite and the rule looks at its norm.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(crate) fn rule(&self) -> &R {
        &self.rule
    }

    pub(crate) fn rule_mut(&mut self) -> &mut R {
        &mut self.rule
    }

    pub(crate) fn slots(&self) -> &[Buffer<T>] {
        &self.slots
    }

    pub(crate) fn slots_mut(&mut self) -> &mut [Buffer<T>] {
        &mut self.slots
    }

    /// Makes room for a θ of this length, where nobody has yet.
    pub(crate) fn prepare(&mut self, len: usize) {
        if self.layout.is_none() {
            self.lay_out(Layout::whole(len));
        }
    }

    /// Another rule with the same settings, before the first step.
    pub(crate) fn map<S: Rule<T>>(self, change: impl FnOnce(R) -> S) -> Stepper<S, T> {
        Stepper { groups: self.groups, ..Stepper::of(change(self.rule), self.learning_rate) }
    }

    fn lay_out(&mut self, layout: Layout) {
        let wanted = self.rule.slots(&layout);
        let kept = wanted.len() == self.slots.len()
            && wanted.iter().zip(&self.slots).all(|((_, len), slot)| slot.len() == *len);
        if !kept {
            self.slots = wanted.iter().map(|&(_, len)| Buffer::filled(len, T::ZERO)).collect();
            self.number = 0;
        }
        self.layout = Some(layout);
    }
}

impl<R: Rule<T>, T: Scalar> Optimizer<T> for Stepper<R, T> {
    fn check(&self) -> Result<(), SettingError> {
        positive("the learning rate", self.learning_rate)?;
        self.groups.check()?;
        self.rule.check()
    }

    fn bind(&mut self, segments: &[Segment]) {
        let len = segments.iter().map(|segment| segment.range.end).max().unwrap_or(0);
        self.lay_out(Layout::new(len, segments, &self.groups));
    }

    fn step(&mut self, theta: &mut [T], gradient: &[T]) {
        assert_eq!(theta.len(), gradient.len(), "the gradient must be as long as θ");
        self.prepare(theta.len());
        let Some(layout) = &self.layout else { return };
        assert_eq!(theta.len(), layout.len(), "θ must be as long as the segments that the optimizer was bound to");
        let mut pass = Pass {
            theta,
            gradient,
            slots: &mut self.slots,
            scratch: &mut self.scratch,
            layout,
            number: self.number + 1,
            learning_rate: self.learning_rate,
        };
        if self.rule.step(&mut pass) {
            self.number += 1;
        } else {
            self.skipped += 1;
        }
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn current_momentum(&self) -> Option<f64> {
        self.rule.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.rule.set_momentum(momentum);
    }

    fn evaluation_point(&self, theta: &[T], point: &mut [T]) -> bool {
        self.number > 0 && self.rule.evaluation_point(theta, &self.slots, point)
    }

    fn state(&self) -> OptimizerState<T> {
        // Of no parameters there is nothing to say, as before the first step.
        let layout = self.layout.as_ref().filter(|layout| layout.len() > 0);
        let names = layout.map(|layout| self.names(layout)).unwrap_or_default();
        let mut rule = self.rule.clone();
        let numbers = rule.numbers();
        let mut scalars: Vec<_> = numbers.into_iter().map(|(name, number)| (name.to_owned(), *number)).collect();
        scalars.push((LEARNING_RATE.into(), self.learning_rate));
        scalars.extend(self.rule.momentum().map(|momentum| (MOMENTUM.into(), momentum)));
        let len = layout.map_or(0, Layout::len);
        OptimizerState {
            slots: names.into_iter().zip(&self.slots).map(|((name, _), slot)| (name, slot.to_vec())).collect(),
            scalars,
            counters: vec![(STEP.into(), self.number), (SKIPPED.into(), self.skipped), (PARAMETERS.into(), len as u64)],
        }
    }

    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        let mut state = state.clone();
        let len = usize::try_from(state.take_counter(PARAMETERS)?).unwrap_or(usize::MAX);
        // Saved before the first step: there is nothing to lay out yet.
        let layout = match &self.layout {
            Some(layout) if len == 0 => Some(layout.clone()),
            Some(layout) if len != layout.len() => {
                return Err(RestoreError::Length { name: "θ".into(), expected: layout.len(), got: len });
            }
            Some(layout) => Some(layout.clone()),
            None if len == 0 => None,
            None => Some(Layout::whole(len)),
        };
        let mut slots = Vec::new();
        for (name, slot_len) in layout.as_ref().map(|layout| self.names(layout)).unwrap_or_default() {
            let slot =
                if len == 0 { Buffer::filled(slot_len, T::ZERO) } else { state.take_slot(&name, slot_len)?.into() };
            slots.push(slot);
        }
        let mut rule = self.rule.clone();
        for (name, number) in rule.numbers() {
            *number = state.take_scalar(name)?;
        }
        let learning_rate = state.take_scalar(LEARNING_RATE)?;
        if rule.momentum().is_some() {
            rule.set_momentum(state.take_scalar(MOMENTUM)?);
        }
        let number = state.take_counter(STEP)?;
        let skipped = state.take_counter(SKIPPED)?;
        state.finish()?;
        let (groups, scratch) = (std::mem::take(&mut self.groups), std::mem::take(&mut self.scratch));
        *self = Self { rule, learning_rate, groups, layout, slots, scratch, number, skipped };
        Ok(())
    }
}

const LEARNING_RATE: &str = "learning_rate";
const MOMENTUM: &str = "momentum";
const STEP: &str = "step";
const SKIPPED: &str = "skipped";
pub(crate) const PARAMETERS: &str = "parameters";

impl<R: Rule<T>, T: Scalar> Stepper<R, T> {
    /// The names of the slots and their lengths; a name that stands twice gets a number.
    fn names(&self, layout: &Layout) -> Vec<(String, usize)> {
        let slots = self.rule.slots(layout);
        let unique = |index: usize, name: &str| {
            let before = slots[..index].iter().filter(|(other, _)| *other == name).count();
            if before == 0 { name.to_owned() } else { format!("{name}.{}", before + 1) }
        };
        slots.iter().enumerate().map(|(index, &(name, len))| (unique(index, name), len)).collect()
    }
}

/// A rule made of element-wise links: one fused, vectorised loop over θ, the gradient and the slots.
///
/// ```
/// use downhill_optim::{Chain, ClipValue, CoupledDecay, Momentum, Optimizer, ScaleByRate, Stepper};
/// // g ← clip(g); g ← g + 1e-4 θ; v ← 0.9 v + g; θ ← θ − 0.1 v
/// let links = (ClipValue::new(1.0), CoupledDecay::new(1e-4), Momentum::new(0.9), ScaleByRate);
/// let mut optimizer = Stepper::of(Chain(links), 0.1);
/// let mut theta = [1.0_f32, -2.0];
/// optimizer.step(&mut theta, &[0.5, 100.0]);
/// assert!((theta[1] - (-2.0 - 0.1 * (1.0 - 2e-4))).abs() < 1e-6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain<L>(pub L);

/// The scalars of this many treatments are computed once a step; those of others once a run.
const KNOWN_TREATMENTS: usize = 4;

impl<T: Scalar, L: Link<T>> Rule<T> for Chain<L> {
    fn slots(&self, layout: &Layout) -> Vec<(&'static str, usize)> {
        let mut names = self.0.names();
        names.resize(L::Slots::COUNT, "slot");
        names.into_iter().map(|name| (name, layout.len())).collect()
    }

    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        let gradient_norm = if L::WANTS_NORM { norm(pass.gradient) } else { 0.0 };
        if !gradient_norm.is_finite() {
            return false;
        }
        self.0.advance(&pass.at(0, gradient_norm));
        let mut known = [None; KNOWN_TREATMENTS];
        for run in pass.layout.runs() {
            let step = pass.at(run.treatment, gradient_norm);
            let range = run.range.clone();
            if pass.number == 1 {
                let slots = views::<L::Slots, T>(pass.slots, range.clone());
                initialise(&self.0, &step, &pass.theta[range.clone()], slots);
            }
            let scalars = match known.get_mut(run.treatment) {
                Some(known) => *known.get_or_insert_with(|| self.0.scalars(&step)),
                None => self.0.scalars(&step),
            };
            let (theta, gradient) = (&mut pass.theta[range.clone()], &pass.gradient[range.clone()]);
            let slots = views::<L::Slots, T>(pass.slots, range);
            descend(theta, gradient, slots, move |theta, g, slots| L::apply(&scalars, theta, g, slots));
        }
        true
    }

    fn check(&self) -> Result<(), SettingError> {
        self.0.check()
    }

    fn momentum(&self) -> Option<f64> {
        self.0.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.0.set_momentum(momentum);
    }

    fn numbers(&mut self) -> Vec<(&'static str, &mut f64)> {
        self.0.numbers()
    }

    fn evaluation_point(&self, theta: &[T], slots: &[Buffer<T>], point: &mut [T]) -> bool {
        if !L::MOVES_EVALUATION {
            return false;
        }
        for (index, (point, &theta)) in point.iter_mut().zip(theta).enumerate() {
            let slots = L::Slots::collect(&mut slots.iter().map(|slot| slot[index]));
            *point = self.0.evaluate_at(theta, &slots);
        }
        true
    }
}

impl<L: Link<T>, T: Scalar> Stepper<Chain<L>, T> {
    /// The same rule after another link, such as [`ClipNorm`](crate::ClipNorm).
    #[must_use]
    pub fn after<F: Link<T>>(self, first: F) -> Stepper<Chain<(F, L)>, T> {
        self.map(|Chain(links)| Chain((first, links)))
    }
}
