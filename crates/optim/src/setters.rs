//! Setters; those of the named optimizers name the link that they set.

use std::marker::PhantomData;

use crate::{Chain, Layerwise};

/// A rule that holds a link of the type `L`, which lies at the place `P`. Places are inferred.
pub(crate) trait Has<L, P> {
    fn get(&mut self) -> &mut L;
}

/// The place of what is sought itself.
pub(crate) struct Itself;
/// A place in a tuple.
pub(crate) struct At<const INDEX: usize>;
/// A place in a chain.
pub(crate) struct InChain<P>(PhantomData<P>);
/// A place in the chain up to a trust ratio.
pub(crate) struct Before<P>(PhantomData<P>);
/// A place in the chain that follows a trust ratio.
pub(crate) struct After<P>(PhantomData<P>);

macro_rules! has {
    ($([$($parameter:ident),+] $link:ident at $place:ty: $holder:ty, $self:ident => $found:expr;)+) => {$(
        impl<$($parameter),+> Has<$link, $place> for $holder {
            fn get(&mut $self) -> &mut $link {
                $found
            }
        }
    )+};
}

has! {
    [L] L at Itself: L, self => self;
    [A, B] A at At<0>: (A, B), self => &mut self.0;
    [A, B] B at At<1>: (A, B), self => &mut self.1;
    [A, B, C] A at At<0>: (A, B, C), self => &mut self.0;
    [A, B, C] B at At<1>: (A, B, C), self => &mut self.1;
    [A, B, C] C at At<2>: (A, B, C), self => &mut self.2;
}

impl<L, P, C: Has<L, P>> Has<L, InChain<P>> for Chain<C> {
    fn get(&mut self) -> &mut L {
        self.0.get()
    }
}

impl<L, P, B: Has<L, P>, A> Has<L, Before<P>> for Layerwise<B, A> {
    fn get(&mut self) -> &mut L {
        self.before.get()
    }
}

impl<L, P, B, A: Has<L, P>> Has<L, After<P>> for Layerwise<B, A> {
    fn get(&mut self) -> &mut L {
        self.after.get()
    }
}

/// Defines setters, each of which takes and returns the value:
///
/// * `epsilon: f64;` sets the field of this name, `held() held = true;` any field, to an expression of the arguments.
///
/// Those of an optimizer name the link that they set:
///
/// * `epsilon of Link;` sets the field of this name, `betas of Link;` the fields `beta1` and `beta2`,
/// * `name(argument: type) |link: Link| change;` makes any other change.
macro_rules! setters {
    () => {};
    ($(#[$doc:meta])* $name:ident: $kind:ty; $($rest:tt)*) => {
        setters! { $(#[$doc])* $name($name: $kind) $name = $name; $($rest)* }
    };
    (
        $(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) $($field:ident).+ = $value:expr;
        $($rest:tt)*
    ) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $($argument: $kind),*) -> Self {
            self.$($field).+ = $value;
            self
        }
        setters! { $($rest)* }
    };
    ($(#[$doc:meta])* betas of $link:ident $(.$inner:ident)?; $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn betas(self, beta1: f64, beta2: f64) -> Self {
            self.set(|link: &mut $link| (link$(.$inner)?.beta1, link$(.$inner)?.beta2) = (beta1, beta2))
        }
        setters! { $($rest)* }
    };
    ($(#[$doc:meta])* $name:ident of $link:ident $(.$inner:ident)?; $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(self, $name: f64) -> Self {
            self.set(|link: &mut $link| link$(.$inner)?.$name = $name)
        }
        setters! { $($rest)* }
    };
    (
        $(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) |$link:ident: $type:ty| $change:expr;
        $($rest:tt)*
    ) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(self, $($argument: $kind),*) -> Self {
            self.set(|$link: &mut $type| $change)
        }
        setters! { $($rest)* }
    };
}
