//! Code that is compiled with this crate, so that the program that uses it need not compile it.
//!
//! Generic code is compiled by the crate that names its types, at that crate's level of optimisation: with Cargo's
//! defaults the loops of an optimizer would run unoptimised in a development build of a program whose dependencies are
//! optimised, and be compiled again at each rebuild.
//! So the loops of the named optimizers are here once for `f32` and once for `f64`, in functions that aren't generic.
//! Release builds leave them to the program, which then compiles only those that it names: all of them together take
//! longer than the rest of this crate.
//! They are distinguished by `debug_assertions`, which the dependencies of a development build have at any level of
//! optimisation.

use downhill_tensor::Scalar;

use crate::group::Partition;
use crate::setters::Has;
use crate::settings::Settings;
use crate::{Chain, Link, Pass, Rule, Stepper};

/// A rule of a named optimizer: its loops are compiled with this crate in development builds.
///
/// It does what the rule in it does.
/// A custom chain is generic, and so compiled by your crate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precompiled<R>(R);

mod sealed {
    #[cfg(debug_assertions)]
    use super::Pass;

    /// A rule's loops, with nothing generic left.
    pub trait Entry {
        #[cfg(debug_assertions)]
        fn step_f32(&mut self, pass: &mut Pass<'_, f32>) -> bool;
        #[cfg(debug_assertions)]
        fn step_f64(&mut self, pass: &mut Pass<'_, f64>) -> bool;
    }
}
pub(crate) use sealed::Entry;

/// Compiles the loops of a rule with this crate.
macro_rules! precompile {
    ($rule:ty) => {
        impl crate::precompiled::Entry for $rule {
            #[cfg(debug_assertions)]
            #[inline(never)]
            fn step_f32(&mut self, pass: &mut crate::Pass<'_, f32>) -> bool {
                crate::Rule::<f32>::step(self, pass)
            }

            #[cfg(debug_assertions)]
            #[inline(never)]
            fn step_f64(&mut self, pass: &mut crate::Pass<'_, f64>) -> bool {
                crate::Rule::<f64>::step(self, pass)
            }
        }
    };
}
pub(crate) use precompile;

/// Defines a function that is compiled with this crate for `f32` and for `f64`.
macro_rules! precompiled {
    ($(#[$attribute:meta])* fn $name:ident<$scalar:ident>($($argument:ident: $kind:ty),+) -> $output:ty $body:block) => {
        $(#[$attribute])*
        pub(crate) fn $name<'a, $scalar: Scalar>($($argument: $kind),+) -> $output {
            #[inline]
            fn generic<'a, $scalar: Scalar>(($($argument,)+): ($($kind,)+)) -> $output $body

            #[cfg(debug_assertions)]
            {
                use downhill_tensor::PerScalar;

                struct Call<'a>(std::marker::PhantomData<&'a ()>);

                #[inline(never)]
                fn in_f32(arguments: <Call<'_> as PerScalar>::With<f32>) -> $output {
                    generic(arguments)
                }

                #[inline(never)]
                fn in_f64(arguments: <Call<'_> as PerScalar>::With<f64>) -> $output {
                    generic(arguments)
                }

                impl<'a> PerScalar for Call<'a> {
                    type With<$scalar: Scalar> = ($($kind,)+);
                    type Output = $output;

                    fn f32(self, arguments: Self::With<f32>) -> $output {
                        in_f32(arguments)
                    }

                    fn f64(self, arguments: Self::With<f64>) -> $output {
                        in_f64(arguments)
                    }
                }

                $scalar::pick(Call(std::marker::PhantomData), ($($argument,)+))
            }
            #[cfg(not(debug_assertions))]
            generic(($($argument,)+))
        }
    };
}
pub(crate) use precompiled;

impl<T: Scalar, R: Rule<T> + Entry> Rule<T> for Precompiled<R> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn slots(&self, partition: &Partition) -> Vec<(&'static str, usize)> {
        self.0.slots(partition)
    }

    #[inline]
    fn step(&mut self, pass: &mut Pass<'_, T>) -> bool {
        #[cfg(debug_assertions)]
        return T::pick(entry::StepCall(&mut self.0, std::marker::PhantomData), pass);
        #[cfg(not(debug_assertions))]
        self.0.step(pass)
    }

    fn is_elementwise(&self) -> bool {
        self.0.is_elementwise()
    }

    fn settings(&mut self, settings: &mut Settings<'_>) {
        self.0.settings(settings);
    }
}

/// The way from a generic scalar to the functions of one.
#[cfg(debug_assertions)]
mod entry {
    use std::marker::PhantomData;

    use downhill_tensor::PerScalar;

    use super::{Entry, Pass, Scalar};

    pub(super) struct StepCall<'a, 'p: 'a, R>(pub(super) &'a mut R, pub(super) PhantomData<&'p ()>);

    impl<'a, 'p: 'a, R: Entry> PerScalar for StepCall<'a, 'p, R> {
        type With<T: Scalar> = &'a mut Pass<'p, T>;
        type Output = bool;

        fn f32(self, pass: Self::With<f32>) -> bool {
            self.0.step_f32(pass)
        }

        fn f64(self, pass: Self::With<f64>) -> bool {
            self.0.step_f64(pass)
        }
    }
}

impl<R: Rule<T> + Entry, T: Scalar> Stepper<Precompiled<R>, T> {
    /// Creates a named optimizer of this rule.
    pub(crate) fn named(rule: R, learning_rate: f64) -> Self {
        Self::from_rule(Precompiled(rule), learning_rate)
    }

    pub(crate) fn rule(&self) -> &R {
        &self.any_rule().0
    }

    /// Changes a link of the rule, or the rule.
    pub(crate) fn set<L, P>(self, mut change: impl FnMut(&mut L)) -> Self
    where
        R: Has<L, P>,
    {
        self.change(|Precompiled(rule)| change(rule.get()))
    }

    /// Makes another named rule with the same settings, before the first step.
    pub(crate) fn renamed<S: Rule<T> + Entry>(self, change: impl FnOnce(R) -> S) -> Stepper<Precompiled<S>, T> {
        self.map(|Precompiled(rule)| Precompiled(change(rule)))
    }
}

impl<L: Link<T>, T: Scalar> Stepper<Precompiled<Chain<L>>, T>
where
    Chain<L>: Entry,
{
    /// Puts another link at the head of the rule, such as [`ClipNorm`](crate::ClipNorm).
    ///
    /// The result is a custom chain, whose loop your crate compiles.
    #[must_use]
    pub fn after<F: Link<T>>(self, first: F) -> Stepper<Chain<(F, L)>, T> {
        self.map(|Precompiled(Chain(links))| Chain((first, links)))
    }
}
