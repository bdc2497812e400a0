use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use downhill_layers::Layer;
use downhill_layers::erased::ErasedLayer;
use downhill_tensor::BuildError;

use crate::LayerDescription;

/// The custom layers that a network's description may hold, each under a name.
///
/// A name stands for a type of layer in files, so it must not change once files exist.
///
/// ```
/// use downhill_layers::{Activation, Affine};
/// use downhill_network::{CustomLayers, Network, sequential};
/// use downhill_tensor::{Scalar, Seed};
///
/// /// y = x^p
/// #[derive(Clone, Copy, Debug)]
/// struct Power(i32);
///
/// impl Activation for Power {
///     fn name(&self) -> &'static str {
///         "Power"
///     }
///     fn value<T: Scalar>(&self, x: T) -> T {
///         (0..self.0).fold(T::ONE, |y, _| y * x)
///     }
///     fn slope<T: Scalar>(&self, x: T, _y: T) -> T {
///         T::from_f64(self.0.into()) * Power(self.0 - 1).value(x)
///     }
/// }
///
/// let layers = CustomLayers::new().register("Power", |power: &Power| power.0.to_string(), |text| text.parse().map(Power));
/// let network = Network::<f64>::build([2], sequential![Affine::new(3), Power(2)], Seed(1))?;
/// let again: Network<f64> = network.describe_with(&layers)?.build_with(&layers)?;
/// assert_eq!(again.predict([[1.0, 2.0]])?, network.predict([[1.0, 2.0]])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CustomLayers {
    layers: Vec<Registered>,
}

#[derive(Clone)]
struct Registered {
    name: String,
    write: Arc<dyn Fn(&dyn Any) -> Option<String> + Send + Sync>,
    read: Arc<dyn Fn(&str) -> Result<Arc<dyn ErasedLayer>, String> + Send + Sync>,
}

impl CustomLayers {
    /// Knows no layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a type of layer under a name, with functions that write its settings as text and read them again.
    /// A name or a type that is registered again has the last functions.
    #[must_use]
    pub fn register<L: Layer + 'static, E: fmt::Display>(
        mut self,
        name: impl Into<String>,
        write: impl Fn(&L) -> String + Send + Sync + 'static,
        read: impl Fn(&str) -> Result<L, E> + Send + Sync + 'static,
    ) -> Self {
        let write = Arc::new(move |layer: &dyn Any| layer.downcast_ref().map(&write));
        let read = Arc::new(move |settings: &str| match read(settings) {
            Ok(layer) => Ok(Arc::new(layer) as Arc<dyn ErasedLayer>),
            Err(error) => Err(format!("`{settings}` are no settings of {}: {error}", type_name::<L>())),
        });
        self.layers.push(Registered { name: name.into(), write, read });
        self
    }

    /// The names, in the order in which they were registered.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.name.as_str())
    }

    pub(crate) fn describe(&self, layer: &dyn Any) -> Option<LayerDescription> {
        let describe = |Registered { name, write, .. }: &Registered| {
            write(layer).map(|settings| LayerDescription::Custom { name: name.clone(), settings })
        };
        self.layers.iter().rev().find_map(describe)
    }

    pub(crate) fn build(&self, name: &str, settings: &str) -> Result<Arc<dyn ErasedLayer>, BuildError> {
        let fail = |reason| BuildError::Wiring { by: "the description", reason };
        let Some(registered) = self.layers.iter().rev().find(|layer| layer.name == name) else {
            let known = self.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none is".to_owned() } else { format!("these are: {known}") };
            return Err(fail(format!("its layer is the custom one `{name}`, which is not registered; {known}")));
        };
        (registered.read)(settings).map_err(|reason| fail(format!("its custom layer `{name}`: {reason}")))
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("name", &self.name).finish_non_exhaustive()
    }
}
