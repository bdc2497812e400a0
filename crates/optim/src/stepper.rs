use std::fmt::Debug;

use downhill_tensor::{Buffer, Scalar};

use crate::fused::{descend, initialise, views};
use crate::group::{Groups, Partition};
use crate::link::name_of_type;
use crate::loops;
use crate::rules;
use crate::saved::{self, Counts, names, schedule_momentum};
use crate::settings::{self, Settings, not_negative, positive};
use crate::{
    Group, Link, MemoryError, Optimizer, OptimizerState, RestoreError, Segment, SettingError, Slots, StepContext,
};
use downhill_tensor::reduce::norm;

/// An update rule: what it does with θ, a gradient and its memory. [`Stepper`] does everything else.
///
/// An element-wise rule is a [`Chain`] of links and needs no implementation of this trait.
/// Implement it for rules that need whole parameters at once.
///
/// What a rule remembers of the steps so far is in the slots and in itself: a rule starts anew as the clone that was
/// made of it before the first step, with the slots 0.
pub trait Rule<T: Scalar>: Clone + Debug + Send + 'static {
    /// Returns the name of the rule, which a saved state has: that of its type by default.
    fn name(&self) -> String {
        name_of_type::<Self>()
    }

    /// Returns the vectors that the rule keeps between steps, with their lengths.
    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)>;

    /// Steps θ; returns `false` if the step was left out. Then nothing may have changed.
    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool;

    /// Tells whether each parameter is stepped by its own gradient and memory alone; `false` unless a rule says so.
    fn is_elementwise(&self) -> bool {
        false
    }

    /// Shows the rule's numbers to a visitor: its settings with what they must be, its momentum, and what it remembers
    /// outside the slots.
    fn settings(&mut self, settings: &mut Settings<'_>) {
        let _ = settings;
    }
}

/// The arrays and numbers of one step that a rule sees.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pass<'a, T> {
    /// The parameters.
    pub theta: &'a mut [T],
    /// The gradient of the objective at θ.
    pub gradient: &'a [T],
    /// The vectors that the rule asked for, 0 before the first step.
    pub slots: &'a mut [Buffer<T>],
    /// Scratch space as long as θ, whose contents are arbitrary.
    pub scratch: &'a mut Buffer<T>,
    /// The division of θ.
    pub partition: &'a Partition,
    /// The number of this step, from 1.
    pub number: u64,
    /// The learning rate, without any group's factor.
    pub learning_rate: f64,
}

impl<T> Pass<'_, T> {
    /// Returns the context of the step for the parameters of one treatment.
    pub(crate) fn context(&self, treatment: usize, gradient_norm: f64) -> StepContext {
        let treatment = &self.partition.treatments()[treatment];
        StepContext {
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
    /// The settings as they were given, before any schedule or step.
    base: Base<R>,
    groups: Groups,
    /// The segments that were bound last.
    segments: Option<Vec<Segment>>,
    partition: Option<Partition>,
    /// The rule's memory, once there is some.
    slots: Option<Vec<Buffer<T>>>,
    scratch: Buffer<T>,
    number: u64,
    skipped: u64,
}

#[derive(Clone, Debug)]
struct Base<R> {
    rule: R,
    learning_rate: f64,
}

impl<R: Rule<T>, T: Scalar> Stepper<R, T> {
    /// Creates an optimizer that steps by `rule`.
    #[must_use]
    pub fn from_rule(rule: R, learning_rate: f64) -> Self {
        Self {
            base: Base { rule: rule.clone(), learning_rate },
            rule,
            learning_rate,
            groups: Groups::default(),
            segments: None,
            partition: None,
            slots: None,
            scratch: Buffer::default(),
            number: 0,
            skipped: 0,
        }
    }

    /// Adds a group of parameters with their own settings.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        if let Some(len) = self.partition.as_ref().map(Partition::len) {
            self.divide(len);
        }
        self
    }

    /// Removes the weight decay from all that is not a matrix: biases and gains of normalisations.
    #[must_use]
    pub fn no_decay_on_biases(self) -> Self {
        self.group(Group::no_decay_on_biases())
    }

    /// Returns the number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.number
    }

    /// Returns the number of steps left out, because the gradient was not finite and the rule needs its norm.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns the rule as it is now, with what it remembers.
    pub(crate) fn any_rule(&self) -> &R {
        &self.rule
    }

    /// Changes a setting of the rule.
    pub(crate) fn change(mut self, mut change: impl FnMut(&mut R)) -> Self {
        change(&mut self.base.rule);
        change(&mut self.rule);
        self
    }

    pub(crate) fn slots(&self) -> &[Buffer<T>] {
        self.slots.as_deref().unwrap_or_default()
    }

    /// Returns the rule's memory of a θ of this length: that of the steps so far, or 0.
    pub(crate) fn prepare(&mut self, len: usize) -> &mut [Buffer<T>] {
        if self.partition.as_ref().is_none_or(|partition| partition.len() != len) {
            self.divide(len);
        }
        let Self { rule, partition, slots, .. } = self;
        slots.get_or_insert_with(|| {
            let lengths = partition.as_ref().map(|partition| rule.slots(partition)).unwrap_or_default();
            lengths.into_iter().map(|(_, len)| Buffer::filled(len, T::ZERO)).collect()
        })
    }

    /// Makes another rule with the same settings, before the first step.
    pub(crate) fn map<S: Rule<T>>(self, change: impl FnOnce(R) -> S) -> Stepper<S, T> {
        let Self { base, groups, segments, partition, .. } = self;
        Stepper { groups, segments, partition, ..Stepper::from_rule(change(base.rule), base.learning_rate) }
    }

    /// Divides a θ of this length. What is remembered of the steps so far is forgotten if it does not fit.
    fn divide(&mut self, len: usize) {
        let partition = Partition::new(len, self.segments.as_deref().unwrap_or_default(), &self.groups);
        let fits = self.slots.as_ref().is_some_and(|slots| {
            let lengths = self.rule.slots(&partition).into_iter().map(|(_, len)| len);
            self.partition.as_ref().is_some_and(|old| old.len() == len)
                && lengths.eq(slots.iter().map(|slot| slot.len()))
        });
        if !fits {
            self.forget();
        }
        self.partition = Some(partition);
    }

    /// Starts anew, with the learning rate and the momentum that are set for the next step.
    fn forget(&mut self) {
        let scheduled = momentum(&mut self.rule);
        self.rule.clone_from(&self.base.rule);
        if let Some(scheduled) = scheduled {
            schedule_momentum(&mut |settings| self.rule.settings(settings), scheduled);
        }
        (self.slots, self.number, self.skipped) = (None, 0, 0);
    }
}

fn momentum<R: Rule<T>, T: Scalar>(rule: &mut R) -> Option<f64> {
    settings::momentum(|settings| rule.settings(settings))
}

fn check<R: Rule<T>, T: Scalar>(rule: &R) -> Result<(), SettingError> {
    let mut rule = rule.clone();
    settings::check(|settings| rule.settings(settings))
}

impl<R: Rule<T>, T: Scalar> Optimizer<T> for Stepper<R, T> {
    fn check(&self) -> Result<(), SettingError> {
        positive("the learning rate", self.base.learning_rate)?;
        // A schedule may end at 0.
        not_negative("the scheduled learning rate", self.learning_rate)?;
        self.groups.check()?;
        check(&self.base.rule)?;
        check(&self.rule)
    }

    fn bind(&mut self, segments: &[Segment]) {
        if self.segments.as_deref() == Some(segments) {
            return;
        }
        if self.segments.is_some() {
            self.forget();
        }
        self.segments = Some(segments.to_vec());
        self.divide(segments.iter().map(|segment| segment.range.end).max().unwrap_or(0));
    }

    fn step(&mut self, theta: &mut [T], gradient: &[T]) {
        assert_eq!(theta.len(), gradient.len(), "the gradient must be as long as θ");
        self.prepare(theta.len());
        let (Some(partition), Some(slots)) = (&self.partition, &mut self.slots) else { return };
        let mut pass = Pass {
            theta,
            gradient,
            slots,
            scratch: &mut self.scratch,
            partition,
            number: self.number + 1,
            learning_rate: self.learning_rate,
        };
        if self.rule.step(&mut pass) {
            self.number += 1;
        } else {
            self.skipped += 1;
        }
    }

    fn reset(&mut self) {
        self.rule.clone_from(&self.base.rule);
        self.learning_rate = self.base.learning_rate;
        self.forget();
        if self.segments.is_none() {
            self.partition = None;
        }
    }

    fn base_learning_rate(&self) -> f64 {
        self.base.learning_rate
    }

    fn set_base_learning_rate(&mut self, learning_rate: f64) {
        (self.base.learning_rate, self.learning_rate) = (learning_rate, learning_rate);
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn current_momentum(&self) -> Option<f64> {
        momentum(&mut self.rule.clone())
    }

    fn set_momentum(&mut self, momentum: f64) {
        settings::for_each_momentum(|settings| self.rule.settings(settings), |each| *each = momentum);
    }

    fn evaluation_point(&self, theta: &[T], point: &mut [T]) -> bool {
        let Some(partition) = self.partition.as_ref().filter(|_| self.number > 0) else { return false };
        let mut moved = false;
        if [theta.len(), point.len()] == [partition.len(); 2] {
            let (mut rule, slots) = (self.rule.clone(), self.rule.slots(partition));
            settings::for_each_evaluation(
                |settings| rule.settings(settings),
                |name, share| {
                    let named = slots.iter().zip(self.slots()).find(|((slot, _), _)| *slot == name);
                    let Some((_, slot)) = named.filter(|(_, slot)| slot.len() == point.len()) else { return };
                    if !moved {
                        point.copy_from_slice(theta);
                    }
                    loops::approach(point, slot, T::from_f64(share));
                    moved = true;
                },
            );
        }
        if !moved {
            return false;
        }
        // What is not stepped is evaluated where it is.
        for range in partition.frozen() {
            point[range.clone()].copy_from_slice(&theta[range]);
        }
        true
    }

    fn is_elementwise(&self) -> bool {
        self.rule.is_elementwise()
    }

    fn check_memory(&self) -> Result<(), MemoryError> {
        let Some((partition, slots)) = self.partition.as_ref().zip(self.slots.as_ref()) else { return Ok(()) };
        saved::check_memory(names(&self.rule.slots(partition)), slots)
    }

    fn state(&self) -> OptimizerState<T> {
        // Of no parameters there is nothing to say, as before the first step.
        let divided = self.partition.as_ref().filter(|partition| partition.len() > 0).zip(self.slots.as_deref());
        let slots = divided.map(|(partition, slots)| (partition.len(), names(&self.rule.slots(partition)), slots));
        let (mut rule, mut base) = (self.rule.clone(), self.base.rule.clone());
        let counts = Counts {
            learning_rate: self.learning_rate,
            base_learning_rate: self.base.learning_rate,
            steps: self.number,
            skipped: self.skipped,
        };
        let name = self.rule.name();
        saved::save(
            &name,
            &mut |settings| rule.settings(settings),
            &mut |settings| base.settings(settings),
            slots,
            counts,
        )
    }

    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        state.check_name(&rules::name_of(&self.rule.name()))?;
        let mut state = state.clone();
        let partition = saved::restore_partition(&mut state, self.partition.as_ref())?;
        let names = partition.as_ref().map(|partition| names(&self.rule.slots(partition)));
        let slots = names.map(|names| saved::restore_slots(&mut state, names)).transpose()?;
        let (mut rule, mut base) = (self.base.rule.clone(), self.base.rule.clone());
        let counts = saved::restore_numbers(&mut state, &mut |settings| rule.settings(settings), &mut |settings| {
            base.settings(settings)
        })?;
        state.finish()?;
        self.base = Base { rule: base, learning_rate: counts.base_learning_rate };
        (self.rule, self.learning_rate) = (rule, counts.learning_rate);
        (self.slots, self.number, self.skipped) = (slots, counts.steps, counts.skipped);
        self.partition = partition.or(self.partition.take());
        Ok(())
    }
}

/// A rule made of element-wise links: one fused, vectorised loop over θ, the gradient and the slots.
///
/// ```
/// use downhill_optim::{Chain, ClipValue, CoupledDecay, Momentum, Optimizer, ScaleByRate, Stepper};
/// // g ← clip(g); g ← g + 1e-4 θ; v ← 0.9 v + g; θ ← θ − 0.1 v
/// let links = (ClipValue::new(1.0), CoupledDecay::new(1e-4), Momentum::new(0.9), ScaleByRate);
/// let mut optimizer = Stepper::from_rule(Chain(links), 0.1);
/// let mut theta = [1.0_f32, -2.0];
/// optimizer.step(&mut theta, &[0.5, 100.0]);
/// assert!((theta[1] - (-2.0 - 0.1 * (1.0 - 2e-4))).abs() < 1e-6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain<L>(pub L);

impl<T: Scalar, L: Link<T>> Rule<T> for Chain<L> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)> {
        let mut names = self.0.names();
        names.resize(L::Slots::COUNT, "slot");
        names.into_iter().map(|name| (name, partition.len())).collect()
    }

    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        let gradient_norm = if L::WANTS_NORM { norm(pass.gradient) } else { 0.0 };
        if !gradient_norm.is_finite() {
            return false;
        }
        self.0.advance(&pass.context(0, gradient_norm));
        for treatment in 0..pass.partition.treatments().len() {
            let step = pass.context(treatment, gradient_norm);
            let scalars = self.0.scalars(&step);
            for range in pass.partition.runs_of(treatment) {
                if pass.number == 1 {
                    let slots = views::<L::Slots, T>(pass.slots, range.clone());
                    initialise(&self.0, &step, &pass.theta[range.clone()], slots);
                }
                let (theta, gradient) = (&mut pass.theta[range.clone()], &pass.gradient[range.clone()]);
                let slots = views::<L::Slots, T>(pass.slots, range);
                descend(theta, gradient, slots, move |theta, g, slots| L::apply(&scalars, theta, g, slots));
            }
        }
        true
    }

    fn is_elementwise(&self) -> bool {
        !L::WANTS_NORM
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        self.0.settings(settings);
    }
}

impl<L: Link<T>, T: Scalar> Stepper<Chain<L>, T> {
    /// Puts another link at the head of the rule, such as [`ClipNorm`](crate::ClipNorm).
    #[must_use]
    pub fn after<F: Link<T>>(self, first: F) -> Stepper<Chain<(F, L)>, T> {
        self.map(|Chain(links)| Chain((first, links)))
    }
}
