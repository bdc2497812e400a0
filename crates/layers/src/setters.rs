//! The setters of the layers.

/// Defines setters, each of which takes and returns the layer:
///
/// * `epsilon: f64;` sets the field of this name,
/// * `no_bias() bias = false;` sets any field, to any expression of the arguments.
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
}
