//! The one place that matches the names in a file to those of a network.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use downhill_network::Network;
use downhill_optim::Segment;
use downhill_tensor::Scalar;
use ndarray::{ArrayD, ArrayView, ArrayViewD, ArrayViewMutD, IxDyn};

use crate::{ElementType, FormatError, Misfit, Tensor, Tensors};

/// How a network's parameters and running statistics become named tensors.
///
/// Names and layouts are PyTorch's: `0.weight` of an affine layer is (out, in), the gates of recurrent layers and the
/// parts of `in_proj_weight` are in its order, and `num_batches_tracked` is a whole number of 64 bits.
/// A parameter that several layers share is there under the name of each, as in a state dict.
///
/// ```
/// use downhill_formats::{ElementType, Save};
/// use downhill_layers::{Affine, BatchNorm};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::Seed;
///
/// let network = Network::<f32>::build([4], sequential![Affine::new(8), BatchNorm::new()], Seed(1))?;
/// let tensors = Save::new().prefix("encoder.").element_type(ElementType::Bf16).tensors(&network)?;
/// let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name()).collect();
/// assert_eq!(names[..3], ["encoder.0.bias", "encoder.0.weight", "encoder.1.bias"]);
/// assert_eq!(tensors.get("encoder.0.weight").map(|weight| weight.shape().to_vec()), Some(vec![8, 4]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Save<'f> {
    names: Names<'f>,
    element: Option<ElementType>,
}

/// How named tensors become a network's parameters and running statistics.
///
/// Names and layouts are those of [`Save`]. A parameter that several layers share may be there under any of their names,
/// or under several with the same numbers.
///
/// ```
/// use downhill_formats::{FormatError, Load, Save};
/// use downhill_layers::Affine;
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::Seed;
///
/// let small = Network::<f32>::build([4], sequential![Affine::new(8)], Seed(1))?;
/// let mut large = Network::<f64>::build([4], sequential![Affine::new(8), Affine::new(2)], Seed(2))?;
/// let tensors = Save::new().tensors(&small)?;
/// let error = Load::new().apply(&mut large, &tensors).unwrap_err();
/// assert!(error.to_string().contains("it lacks `1.weight`, `1.bias`"), "{error}");
///
/// Load::new().only(|name| name.starts_with("0.")).convert().apply(&mut large, &tensors)?;
/// assert_eq!(large.parameter("0.bias")?[3], f64::from(small.parameter("0.bias")?[3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Load<'f> {
    names: Names<'f>,
    ignored: Option<Choice<'f>>,
    convert: bool,
}

type Choice<'f> = Box<dyn Fn(&str) -> bool + 'f>;
type Renaming<'f> = Box<dyn Fn(&str) -> String + 'f>;

/// Which of the network's names take part, and how a file calls them.
#[derive(Default)]
struct Names<'f> {
    prefix: String,
    rename: Option<Renaming<'f>>,
    only: Option<Choice<'f>>,
}

impl Names<'_> {
    fn in_file(&self, name: &str) -> String {
        let renamed = self.rename.as_ref().map(|rename| rename(name));
        format!("{}{}", self.prefix, renamed.as_deref().unwrap_or(name))
    }

    fn takes(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only(name))
    }
}

macro_rules! name_options {
    () => {
        /// Sets what the names in the file begin with, such as `encoder.`; [`Load`] passes over all others.
        #[must_use]
        pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
            self.names.prefix = prefix.into();
            self
        }

        /// Sets how a name of the network is written in the file, after the prefix.
        ///
        /// The same function serves [`Save`] and [`Load`].
        #[must_use]
        pub fn rename(mut self, rename: impl Fn(&str) -> String + 'f) -> Self {
            self.names.rename = Some(Box::new(rename));
            self
        }

        /// Takes part of the network alone: what is chosen by its name in the network.
        #[must_use]
        pub fn only(mut self, choose: impl Fn(&str) -> bool + 'f) -> Self {
            self.names.only = Some(Box::new(choose));
            self
        }
    };
}

impl<'f> Save<'f> {
    /// Creates the default: all of the network, as its own type of numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    name_options!();

    /// Sets the type of floating-point numbers to round to, such as `F16`.
    #[must_use]
    pub fn element_type(mut self, element: ElementType) -> Self {
        self.element = Some(element);
        self
    }

    /// Collects the tensors, with the metadata by which PyTorch's libraries know their own files.
    ///
    /// # Errors
    /// Returns an error if two would have one name, if the element type is not of floating-point numbers, or if a number
    /// is too large for it.
    pub fn tensors<T: Scalar>(&self, network: &Network<T>) -> Result<Tensors<'static>, FormatError> {
        let mut tensors = Tensors::new();
        tensors.set_metadata("format", "pt");
        for part in parts(network).into_iter().filter(|part| self.names.takes(&part.segment.name)) {
            let view = part.view(if part.is_statistic { network.statistics() } else { network.parameters() });
            let numbers = in_order(&view);
            let is_whole = |x: T| x.to_f64().fract() == 0.0 && x.to_f64().abs() < 9e18;
            let element = match self.element {
                _ if part.counts() && numbers.iter().all(|&x| is_whole(x)) => ElementType::I64,
                Some(element) => element,
                None => ElementType::of::<T>(),
            };
            for name in &part.names {
                let name = self.names.in_file(name);
                if !(element.is_float() || part.counts()) {
                    let reason = format!("can't be rounded to {element}; choose a type of floating-point numbers");
                    return Err(FormatError::Tensor { name, reason });
                }
                tensors.push_as(name, element, numbers.shape(), numbers.iter().copied())?;
            }
        }
        Ok(tensors)
    }
}

impl<'f> Load<'f> {
    /// Creates the default: all of the network, from a file of its own type of numbers that holds nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    name_options!();

    /// Passes over what the file has in addition to the network, chosen by its name in the file.
    #[must_use]
    pub fn ignore(mut self, choose: impl Fn(&str) -> bool + 'f) -> Self {
        self.ignored = Some(Box::new(choose));
        self
    }

    /// Takes floating-point numbers of any precision, each rounded to the nearest of the network's.
    #[must_use]
    pub fn convert(mut self) -> Self {
        self.convert = true;
        self
    }

    /// Copies the tensors into the network. Numbers need not be finite.
    ///
    /// # Errors
    /// Returns [`FormatError::Misfit`] with all names, shapes and types that do not fit, and an error if a finite number
    /// is too large for the network's type. The network is then unchanged.
    pub fn apply<T: Scalar>(&self, network: &mut Network<T>, tensors: &Tensors<'_>) -> Result<(), FormatError> {
        let parts = parts(network);
        let mut misfit = Misfit::default();
        let mut known = HashSet::new();
        let mut fitting = Vec::new();
        for part in &parts {
            let names: Vec<String> = part.names.iter().map(|name| self.names.in_file(name)).collect();
            let found: Vec<Tensor<'_>> = names.iter().filter_map(|name| tensors.get(name)).collect();
            if self.names.takes(&part.segment.name) {
                found.iter().for_each(|tensor| self.check::<T>(part, tensor, &mut misfit));
                match *found.as_slice() {
                    [] => misfit.missing.extend(names.first().cloned()),
                    [first, ref others @ ..] => {
                        let differ = others.iter().filter(|other| !first.holds_the_same(other));
                        let pair = |other: &Tensor<'_>| (first.name().to_owned(), other.name().to_owned());
                        misfit.different.extend(differ.map(pair));
                        fitting.push((part, first));
                    }
                }
            }
            known.extend(names);
        }
        let left_over = tensors.iter().map(|tensor| tensor.name()).filter(|&name| {
            let ignored = self.ignored.as_ref().is_some_and(|ignored| ignored(name));
            name.starts_with(&self.names.prefix) && !known.contains(name) && !ignored
        });
        misfit.left_over = left_over.map(str::to_owned).collect();
        if !misfit.is_empty() {
            return Err(misfit.into());
        }
        for (_, tensor) in &fitting {
            tensor.check_range::<T>()?;
        }
        for (part, tensor) in fitting {
            let flat = if part.is_statistic { network.statistics_mut() } else { network.parameters_mut() };
            let Some(numbers) = tensor.numbers() else { continue };
            let read = whole(ArrayD::from_shape_vec(IxDyn(&part.shape()), numbers.collect()));
            part.view_mut(flat).assign(&read);
        }
        Ok(())
    }

    fn check<T: Scalar>(&self, part: &Part, tensor: &Tensor<'_>, misfit: &mut Misfit) {
        let (name, own, element) = (tensor.name().to_owned(), ElementType::of::<T>(), tensor.element_type());
        if tensor.shape() != part.shape() {
            misfit.other_shapes.push((name.clone(), part.shape(), tensor.shape().to_vec()));
        }
        let converted = element.is_float() && self.convert;
        let counted = part.counts() && (element.is_whole() || element.is_float());
        if element != own && !converted && !counted {
            let own = if part.counts() { "whole numbers".into() } else { own.to_string() };
            misfit.other_types.push((name, own, element.to_string()));
        }
    }
}

macro_rules! debug {
    ($Options:ident) => {
        impl fmt::Debug for $Options<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Options)).field("prefix", &self.names.prefix).finish_non_exhaustive()
            }
        }
    };
}

debug!(Save);
debug!(Load);

/// A parameter or a running statistic.
struct Part {
    segment: Segment,
    /// Its name in the network, and those of further layers that share it.
    names: Vec<String>,
    is_statistic: bool,
}

impl Part {
    /// Whether it is the one running statistic that is a count, and a whole number in a state dict.
    fn counts(&self) -> bool {
        self.is_statistic && self.segment.name.rsplit('.').next() == Some("num_batches_tracked")
    }

    /// The shape that PyTorch gives it.
    fn shape(&self) -> Vec<usize> {
        let mut axes = self.segment.shape.axes().to_vec();
        if self.segment.transposed {
            axes.reverse();
        }
        axes
    }

    fn range(&self) -> Range<usize> {
        self.segment.range.clone()
    }

    fn view<'a, T>(&self, flat: &'a [T]) -> ArrayViewD<'a, T> {
        let flat = flat.get(self.range()).unwrap_or_default();
        let view = whole(ArrayView::from_shape(IxDyn(self.segment.shape.axes()), flat));
        if self.segment.transposed { view.reversed_axes() } else { view }
    }

    fn view_mut<'a, T>(&self, flat: &'a mut [T]) -> ArrayViewMutD<'a, T> {
        let flat = flat.get_mut(self.range()).unwrap_or_default();
        let view = whole(ArrayViewMutD::from_shape(IxDyn(self.segment.shape.axes()), flat));
        if self.segment.transposed { view.reversed_axes() } else { view }
    }
}

/// The numbers of a view in the order in which its axes name them. An array's own iterator takes ten times as long.
fn in_order<T: Scalar>(view: &ArrayViewD<'_, T>) -> ArrayD<T> {
    let mut array = ArrayD::from_elem(view.raw_dim(), T::ZERO);
    array.assign(view);
    array
}

fn whole<V>(view: Result<V, ndarray::ShapeError>) -> V {
    view.unwrap_or_else(|error| unreachable!("a segment holds as many numbers as its shape says: {error}"))
}

/// All parameters, then all running statistics.
fn parts<T: Scalar>(network: &Network<T>) -> Vec<Part> {
    let shared = network.shared_names();
    let part = |segment: &Segment, is_statistic| {
        let others = shared.iter().filter(|(_, owner)| *owner == segment.name).map(|(name, _)| name.clone());
        let names = std::iter::once(segment.name.clone()).chain(others).collect();
        Part { segment: segment.clone(), names, is_statistic }
    };
    let parameters = network.segments().iter().map(|segment| part(segment, false));
    parameters.chain(network.statistic_segments().iter().map(|segment| part(segment, true))).collect()
}
