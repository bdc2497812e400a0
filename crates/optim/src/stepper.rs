use std::fmt::Debug;

use downhill_tensor::{Buffer, Scalar};

use crate::error::{not_negative, positive};
use crate::fused::{descend, initialise, views};
use crate::group::{Groups, Layout};
use crate::link::name_of_type;
use crate::rules;
use crate::{Group, Link, MemoryError, Optimizer, OptimizerState, RestoreError, Segment, SettingError, Slots, Step};
use downhill_tensor::reduce::norm;

/// What one update rule does with θ, a gradient and its memory; [`Stepper`] does everything else.
///
/// An element-wise rule is a [`Chain`] of links and needs no implementation of this trait.
/// Implement it for rules that look at whole parameters at once.
///
/// What a rule remembers of the steps so far is in the slots and in itself: a rule starts anew as the clone that was
/// made of it before the first step, with the slots 0.
pub trait Rule<T: Scalar>: Clone + Debug + Send + 'static {
    /// The name of the rule, which is that of its type unless it says otherwise: a saved state has it.
    fn name(&self) -> String {
        name_of_type::<Self>()
    }

    /// The vectors that the rule keeps between steps, with their lengths.
    fn slots(&self, layout: &Layout) -> Vec<(&'static str, usize)>;

    /// One step. `false` where it was left out: then nothing may have changed.
    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool;

    /// Checks the settings.
    ///
    /// # Errors
    /// Returns an error if one is not valid.
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
    /// The settings as they were given, before any schedule or step.
    base: Base<R>,
    groups: Groups,
    /// What θ was last said to consist of.
    segments: Option<Vec<Segment>>,
    layout: Option<Layout>,
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
    /// An optimizer that steps by `rule`.
    #[must_use]
    pub fn of(rule: R, learning_rate: f64) -> Self {
        Self {
            base: Base { rule: rule.clone(), learning_rate },
            rule,
            learning_rate,
            groups: Groups::default(),
            segments: None,
            layout: None,
            slots: None,
            scratch: Buffer::default(),
            number: 0,
            skipped: 0,
        }
    }

    /// Adds a group of parameters that are treated in their own way.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        if let Some(len) = self.layout.as_ref().map(Layout::len) {
            self.lay_out(len);
        }
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

    /// The rule as it is now, with what it remembers.
    pub(crate) fn any_rule(&self) -> &R {
        &self.rule
    }

    /// The same with another setting.
    pub(crate) fn change(mut self, mut change: impl FnMut(&mut R)) -> Self {
        change(&mut self.base.rule);
        change(&mut self.rule);
        self
    }

    pub(crate) fn slots(&self) -> &[Buffer<T>] {
        self.slots.as_deref().unwrap_or_default()
    }

    /// The rule's memory of a θ of this length: that of the steps so far, or 0.
    pub(crate) fn prepare(&mut self, len: usize) -> &mut [Buffer<T>] {
        if self.layout.as_ref().is_none_or(|layout| layout.len() != len) {
            self.lay_out(len);
        }
        let Self { rule, layout, slots, .. } = self;
        slots.get_or_insert_with(|| {
            let lengths = layout.as_ref().map(|layout| rule.slots(layout)).unwrap_or_default();
            lengths.into_iter().map(|(_, len)| Buffer::filled(len, T::ZERO)).collect()
        })
    }

    /// Another rule with the same settings, before the first step.
    pub(crate) fn map<S: Rule<T>>(self, change: impl FnOnce(R) -> S) -> Stepper<S, T> {
        let Self { base, groups, segments, layout, .. } = self;
        Stepper { groups, segments, layout, ..Stepper::of(change(base.rule), base.learning_rate) }
    }

    /// Divides a θ of this length. What is remembered of the steps so far is forgotten if it does not fit.
    fn lay_out(&mut self, len: usize) {
        let layout = Layout::new(len, self.segments.as_deref().unwrap_or_default(), &self.groups);
        let fits = self.slots.as_ref().is_some_and(|slots| {
            let lengths = self.rule.slots(&layout).into_iter().map(|(_, len)| len);
            self.layout.as_ref().is_some_and(|old| old.len() == len) && lengths.eq(slots.iter().map(|slot| slot.len()))
        });
        if !fits {
            self.forget();
        }
        self.layout = Some(layout);
    }

    /// Starts anew, with the learning rate and the momentum that are set for the next step.
    fn forget(&mut self) {
        let momentum = self.rule.momentum();
        self.rule.clone_from(&self.base.rule);
        schedule_momentum(&mut self.rule, momentum);
        (self.slots, self.number, self.skipped) = (None, 0, 0);
    }
}

/// Sets the momentum where it is another: in a chain with two velocities it would become that of both.
fn schedule_momentum<R: Rule<T>, T: Scalar>(rule: &mut R, momentum: Option<f64>) {
    if let Some(momentum) = momentum.filter(|_| momentum != rule.momentum()) {
        rule.set_momentum(momentum);
    }
}

impl<R: Rule<T>, T: Scalar> Optimizer<T> for Stepper<R, T> {
    fn check(&self) -> Result<(), SettingError> {
        positive("the learning rate", self.base.learning_rate)?;
        // A schedule may end at 0.
        not_negative("the scheduled learning rate", self.learning_rate)?;
        self.groups.check()?;
        self.base.rule.check()?;
        self.rule.check()
    }

    fn bind(&mut self, segments: &[Segment]) {
        if self.segments.as_deref() == Some(segments) {
            return;
        }
        if self.segments.is_some() {
            self.forget();
        }
        self.segments = Some(segments.to_vec());
        self.lay_out(segments.iter().map(|segment| segment.range.end).max().unwrap_or(0));
    }

    fn step(&mut self, theta: &mut [T], gradient: &[T]) {
        assert_eq!(theta.len(), gradient.len(), "the gradient must be as long as θ");
        self.prepare(theta.len());
        let (Some(layout), Some(slots)) = (&self.layout, &mut self.slots) else { return };
        let mut pass = Pass {
            theta,
            gradient,
            slots,
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

    fn reset(&mut self) {
        self.rule.clone_from(&self.base.rule);
        self.learning_rate = self.base.learning_rate;
        self.forget();
        if self.segments.is_none() {
            self.layout = None;
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
        self.rule.momentum()
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.rule.set_momentum(momentum);
    }

    fn evaluation_point(&self, theta: &[T], point: &mut [T]) -> bool {
        let Some(layout) = self.layout.as_ref().filter(|_| self.number > 0) else { return false };
        if [theta.len(), point.len()] != [layout.len(); 2] || !self.rule.evaluation_point(theta, self.slots(), point) {
            return false;
        }
        // What is not stepped is evaluated where it is.
        for range in layout.frozen() {
            point[range.clone()].copy_from_slice(&theta[range]);
        }
        true
    }

    fn check_memory(&self) -> Result<(), MemoryError> {
        let Some((layout, slots)) = self.layout.as_ref().zip(self.slots.as_ref()) else { return Ok(()) };
        for ((slot, _), numbers) in self.names(layout).into_iter().zip(slots) {
            if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
                return Err(MemoryError { slot, index, value: numbers[index].to_f64() });
            }
        }
        Ok(())
    }

    fn state(&self) -> OptimizerState<T> {
        // Of no parameters there is nothing to say, as before the first step.
        let laid_out = self.layout.as_ref().filter(|layout| layout.len() > 0).zip(self.slots.as_ref());
        let named = laid_out.map(|(layout, slots)| self.names(layout).into_iter().zip(slots)).into_iter().flatten();
        let mut rule = self.rule.clone();
        let numbers = rule.numbers();
        let mut scalars: Vec<_> = numbers.into_iter().map(|(name, number)| (name.to_owned(), *number)).collect();
        scalars.push((LEARNING_RATE.into(), self.learning_rate));
        scalars.push((BASE_LEARNING_RATE.into(), self.base.learning_rate));
        let momenta = [(MOMENTUM, self.rule.momentum()), (BASE_MOMENTUM, self.base.rule.momentum())];
        scalars.extend(momenta.into_iter().filter_map(|(name, momentum)| Some((name.into(), momentum?))));
        let len = laid_out.map_or(0, |(layout, _)| layout.len());
        OptimizerState {
            name: rules::name_of(&self.rule.name()),
            slots: named.map(|((name, _), slot)| (name, slot.to_vec())).collect(),
            scalars,
            counters: vec![(STEP.into(), self.number), (SKIPPED.into(), self.skipped), (PARAMETERS.into(), len as u64)],
        }
    }

    fn restore(&mut self, state: &OptimizerState<T>) -> Result<(), RestoreError> {
        state.check_name(&rules::name_of(&self.rule.name()))?;
        let mut state = state.clone();
        let len = state.take_counter(PARAMETERS)?;
        let len = usize::try_from(len)
            .map_err(|_| RestoreError::out_of_range(PARAMETERS, len as f64, "a length that fits into memory"))?;
        // Saved before the first step: there is no memory yet.
        let layout = match &self.layout {
            _ if len == 0 => None,
            Some(layout) if len != layout.len() => {
                return Err(RestoreError::Length { name: "θ".into(), expected: layout.len(), got: len });
            }
            Some(layout) => Some(layout.clone()),
            None => Some(Layout::whole(len)),
        };
        let mut take = |(name, len): (String, usize)| state.take_slot(&name, len).map(Buffer::from);
        let slots = layout.as_ref().map(|layout| self.names(layout).into_iter().map(&mut take).collect());
        let slots = slots.transpose()?;
        let mut base = self.base.clone();
        let mut rule = base.rule.clone();
        for (name, number) in rule.numbers() {
            *number = state.take_scalar(name)?;
        }
        // Settings that were not valid before are for `check` to find: the state is not to blame.
        let has_valid_settings = self.base.rule.check().is_ok();
        for (name, rule) in [(MOMENTUM, &mut rule), (BASE_MOMENTUM, &mut base.rule)] {
            if rule.momentum().is_some() {
                schedule_momentum(rule, Some(state.take_scalar(name)?));
            }
            if has_valid_settings {
                let invalid =
                    |error: SettingError| RestoreError::out_of_range(name, error.value(), error.requirement());
                rule.check().map_err(invalid)?;
            }
        }
        let learning_rate = state.take_scalar(LEARNING_RATE)?;
        not_negative(LEARNING_RATE, learning_rate)?;
        base.learning_rate = state.take_scalar(BASE_LEARNING_RATE)?;
        positive(BASE_LEARNING_RATE, base.learning_rate)?;
        let number = state.take_counter(STEP)?;
        let skipped = state.take_counter(SKIPPED)?;
        state.finish()?;
        (self.rule, self.learning_rate, self.base) = (rule, learning_rate, base);
        (self.slots, self.number, self.skipped) = (slots, number, skipped);
        self.layout = layout.or(self.layout.take());
        Ok(())
    }
}

const LEARNING_RATE: &str = "learning_rate";
const BASE_LEARNING_RATE: &str = "base_learning_rate";
const MOMENTUM: &str = "momentum";
const BASE_MOMENTUM: &str = "base_momentum";
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
    fn name(&self) -> String {
        self.0.name()
    }

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
