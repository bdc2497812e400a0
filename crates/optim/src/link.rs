use std::fmt::Debug;

use downhill_tensor::Scalar;

use crate::settings::Settings;

/// One element-wise part of an update rule.
///
/// A rule is a chain of links: the gradient goes in as the direction, each link turns the direction into another,
/// and the chain ends with θ ← θ − direction.
/// A tuple of links is a link, so a chain is a type, and all of it compiles to one vectorised loop
/// (see [`Chain`](crate::Chain)).
///
/// # A custom link
/// Momentum that forgets a velocity which points uphill:
///
/// ```
/// use downhill_optim::{Chain, Link, Optimizer, ScaleByRate, StepContext, Stepper};
/// use downhill_tensor::Scalar;
///
/// #[derive(Clone, Debug)]
/// struct CautiousMomentum {
///     decay: f64,
/// }
///
/// impl<T: Scalar> Link<T> for CautiousMomentum {
///     type Slots = [T; 1];
///     type Scalars = T;
///
///     fn names(&self) -> Vec<&'static str> {
///         vec!["cautious.velocity"]
///     }
///
///     fn scalars(&self, _step: &StepContext) -> T {
///         T::from_f64(self.decay)
///     }
///
///     #[inline(always)]
///     fn apply(decay: &T, _theta: T, direction: T, [velocity]: &mut [T; 1]) -> T {
///         let kept = if *velocity * direction > T::ZERO { *velocity } else { T::ZERO };
///         *velocity = *decay * kept + direction;
///         *velocity
///     }
/// }
///
/// let mut optimizer = Stepper::from_rule(Chain((CautiousMomentum { decay: 0.9 }, ScaleByRate)), 0.1);
/// let mut theta = [3.0_f64];
/// for _ in 0..200 {
///     let gradient = [2.0 * theta[0]];
///     optimizer.step(&mut theta, &gradient);
/// }
/// assert!(theta[0].abs() < 1e-6);
/// ```
pub trait Link<T: Scalar>: Clone + Debug + Send + 'static {
    /// The memory of each element between steps: `[T; 0]`, `[T; 1]`, ...
    type Slots: Slots<T>;

    /// The numbers of one step that all elements share, such as bias corrections.
    type Scalars: Copy + Debug + Send;

    /// Whether the link reads [`StepContext::gradient_norm`]; computing it costs a pass over the gradient.
    const WANTS_NORM: bool = false;

    /// Returns the name of the link: that of its type by default, or none if runs may go on with or without it, such as a
    /// clip.
    ///
    /// A saved state has the names of all links of its chain, so a type that is renamed must keep returning its old name
    /// to read what it has saved.
    fn name(&self) -> String {
        name_of_type::<Self>()
    }

    /// Returns the names of the slots, such as `momentum.velocity`, in their order: a saved state has them.
    fn names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Moves on to the next step: called once a step, before the scalars of any group are computed.
    fn advance(&mut self, step: &StepContext) {
        let _ = step;
    }

    /// Returns the scalars of this step, computed in f64 and rounded once.
    fn scalars(&self, step: &StepContext) -> Self::Scalars;

    /// Returns the new direction, from one element of θ, the direction so far, and this link's memory of the element.
    /// Mark the implementation `#[inline(always)]`.
    fn apply(scalars: &Self::Scalars, theta: T, direction: T, slots: &mut Self::Slots) -> T;

    /// Returns the slots before the first step; 0 unless the link says otherwise.
    fn initial(&self, theta: T, step: &StepContext) -> Self::Slots {
        let _ = (theta, step);
        Self::Slots::zero()
    }

    /// Shows the link's numbers to a visitor: its settings with what they must be, its momentum, and what it remembers
    /// outside the slots.
    fn settings(&mut self, settings: &mut Settings<'_>) {
        let _ = settings;
    }
}

/// Returns the name of a type without its path.
pub(crate) fn name_of_type<T>() -> String {
    let name = std::any::type_name::<T>();
    let name = name.split_once('<').map_or(name, |(name, _)| name);
    name.rsplit("::").next().unwrap_or(name).into()
}

/// Returns the names that aren't empty.
fn join(names: impl IntoIterator<Item = String>) -> String {
    names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The numbers of a step that a link's scalars may depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepContext {
    /// The number of this step, from 1.
    pub number: u64,
    /// The learning rate, with the group's factor in it.
    pub learning_rate: f64,
    /// The weight decay of the group, if it has its own.
    pub weight_decay: Option<f64>,
    /// The norm of the whole gradient, if a link of the chain reads it; otherwise 0.
    pub gradient_norm: f64,
    /// The trust ratio of this segment, in the second half of a [`Layerwise`](crate::Layerwise) rule; otherwise 1.
    pub trust: f64,
}

impl StepContext {
    /// Returns the group's own weight decay, or `default` if it has none.
    #[must_use]
    pub fn decay(&self, default: f64) -> f64 {
        self.weight_decay.unwrap_or(default)
    }

    /// Returns βᵗ for this step's number t.
    #[must_use]
    pub fn power(&self, beta: f64) -> f64 {
        beta.powf(self.number as f64)
    }
}

mod sealed {
    use super::Slots;
    pub trait Sealed<T> {}
    impl<T, const N: usize> Sealed<T> for [T; N] {}
    impl<T, A: Slots<T>, B: Slots<T>> Sealed<T> for (A, B) {}
}

/// The memory of one element: an array of numbers, or, for a chain, its links' slots in pairs.
///
/// A subnormal number (below 1.2e-38 in f32) is remembered as 0.
/// If gradients have become 0 for good, like those of a unit that no example activates, averages decay until they are
/// subnormal, and would stay so for ever: 0.9 times four of the smallest units rounds to four units.
/// Every later step would then take up to three times as long.
pub trait Slots<T>: sealed::Sealed<T> + Copy {
    /// The number of numbers.
    const COUNT: usize;

    /// The vectors that the numbers of all elements lie in.
    #[doc(hidden)]
    type Views<'a>: Send
    where
        T: 'a;

    #[doc(hidden)]
    fn zero() -> Self;
    /// Returns these numbers, and those of `other` in place of 0.
    #[doc(hidden)]
    fn or(self, other: Self) -> Self;
    /// Takes as many vectors as there are slots.
    #[doc(hidden)]
    fn views<'a>(vectors: &mut impl Iterator<Item = &'a mut [T]>) -> Self::Views<'a>;
    /// Returns the first `len` elements, so that the compiler drops the loop's bounds checks.
    #[doc(hidden)]
    fn trim(views: Self::Views<'_>, len: usize) -> Self::Views<'_>;
    #[doc(hidden)]
    fn split_views(views: Self::Views<'_>, middle: usize) -> (Self::Views<'_>, Self::Views<'_>);
    #[doc(hidden)]
    fn load(views: &Self::Views<'_>, index: usize) -> Self;
    #[doc(hidden)]
    fn store(self, views: &mut Self::Views<'_>, index: usize);
}

impl<T: Scalar, const N: usize> Slots<T> for [T; N] {
    const COUNT: usize = N;

    type Views<'a> = [&'a mut [T]; N];

    fn zero() -> Self {
        [T::ZERO; N]
    }

    fn or(self, other: Self) -> Self {
        std::array::from_fn(|slot| if self[slot] == T::ZERO { other[slot] } else { self[slot] })
    }

    #[inline(always)]
    fn views<'a>(vectors: &mut impl Iterator<Item = &'a mut [T]>) -> Self::Views<'a> {
        std::array::from_fn(|_| vectors.next().unwrap_or_default())
    }

    #[inline(always)]
    fn trim(views: Self::Views<'_>, len: usize) -> Self::Views<'_> {
        views.map(|view| &mut view[..len])
    }

    #[inline(always)]
    fn split_views(views: Self::Views<'_>, middle: usize) -> (Self::Views<'_>, Self::Views<'_>) {
        let mut right: [&mut [T]; N] = std::array::from_fn(|_| Default::default());
        let mut right_slots = right.iter_mut();
        let left = views.map(|view| {
            let (left, rest) = view.split_at_mut(middle);
            if let Some(slot) = right_slots.next() {
                *slot = rest;
            }
            left
        });
        (left, right)
    }

    #[inline(always)]
    fn load(views: &Self::Views<'_>, index: usize) -> Self {
        std::array::from_fn(|slot| views[slot][index])
    }

    #[inline(always)]
    fn store(self, views: &mut Self::Views<'_>, index: usize) {
        for (view, value) in views.iter_mut().zip(self) {
            view[index] = value.flush_subnormal();
        }
    }
}

impl<T: Scalar, A: Slots<T>, B: Slots<T>> Slots<T> for (A, B) {
    const COUNT: usize = A::COUNT + B::COUNT;

    type Views<'a> = (A::Views<'a>, B::Views<'a>);

    fn zero() -> Self {
        (A::zero(), B::zero())
    }

    fn or(self, other: Self) -> Self {
        (self.0.or(other.0), self.1.or(other.1))
    }

    #[inline(always)]
    fn views<'a>(vectors: &mut impl Iterator<Item = &'a mut [T]>) -> Self::Views<'a> {
        (A::views(vectors), B::views(vectors))
    }

    #[inline(always)]
    fn trim(views: Self::Views<'_>, len: usize) -> Self::Views<'_> {
        (A::trim(views.0, len), B::trim(views.1, len))
    }

    #[inline(always)]
    fn split_views(views: Self::Views<'_>, middle: usize) -> (Self::Views<'_>, Self::Views<'_>) {
        let (a_left, a_right) = A::split_views(views.0, middle);
        let (b_left, b_right) = B::split_views(views.1, middle);
        ((a_left, b_left), (a_right, b_right))
    }

    #[inline(always)]
    fn load(views: &Self::Views<'_>, index: usize) -> Self {
        (A::load(&views.0, index), B::load(&views.1, index))
    }

    #[inline(always)]
    fn store(self, views: &mut Self::Views<'_>, index: usize) {
        self.0.store(&mut views.0, index);
        self.1.store(&mut views.1, index);
    }
}

/// Tuples of links, applied from left to right.
macro_rules! tuple {
    ([$head:ident $head_index:tt] $([$tail:ident $tail_index:tt])+; $slots:ty; $pattern:tt) => {
        impl<T: Scalar, $head: Link<T>, $($tail: Link<T>),+> Link<T> for ($head, $($tail),+) {
            type Slots = $slots;
            type Scalars = ($head::Scalars, $($tail::Scalars),+);

            const WANTS_NORM: bool = $head::WANTS_NORM $(|| $tail::WANTS_NORM)+;

            fn name(&self) -> String {
                join([self.$head_index.name(), $(self.$tail_index.name()),+])
            }

            fn names(&self) -> Vec<&'static str> {
                let mut names = self.$head_index.names();
                $(names.extend(self.$tail_index.names());)+
                names
            }

            fn advance(&mut self, step: &StepContext) {
                self.$head_index.advance(step);
                $(self.$tail_index.advance(step);)+
            }

            fn scalars(&self, step: &StepContext) -> Self::Scalars {
                (self.$head_index.scalars(step), $(self.$tail_index.scalars(step)),+)
            }

            #[inline(always)]
            #[expect(non_snake_case, reason = "a link's slots carry the name of its type")]
            fn apply(scalars: &Self::Scalars, theta: T, direction: T, slots: &mut Self::Slots) -> T {
                let $pattern = slots;
                let direction = $head::apply(&scalars.$head_index, theta, direction, $head);
                $(let direction = $tail::apply(&scalars.$tail_index, theta, direction, $tail);)+
                direction
            }

            #[expect(non_snake_case, reason = "a link's slots carry the name of its type")]
            fn initial(&self, theta: T, step: &StepContext) -> Self::Slots {
                let $head = self.$head_index.initial(theta, step);
                $(let $tail = self.$tail_index.initial(theta, step);)+
                $pattern
            }

            fn settings(&mut self, settings: &mut Settings<'_>) {
                self.$head_index.settings(settings);
                $(self.$tail_index.settings(settings);)+
            }
        }
    };
}

tuple!([A 0] [B 1]; (A::Slots, B::Slots); (A, B));
tuple!([A 0] [B 1] [C 2]; (A::Slots, (B::Slots, C::Slots)); (A, (B, C)));
tuple!([A 0] [B 1] [C 2] [D 3]; (A::Slots, (B::Slots, (C::Slots, D::Slots))); (A, (B, (C, D))));
tuple!([A 0] [B 1] [C 2] [D 3] [E 4]; (A::Slots, (B::Slots, (C::Slots, (D::Slots, E::Slots)))); (A, (B, (C, (D, E)))));
