//! The equations of layers, by name: y, and the numbers between x and y, such as the gates of a memory.
//!
//! An equation is a formula of x, of parameters and of numbers before it. Its derivatives, and so the whole backward pass
//! through the layer, follow by the chain rule. All is compared with what the layer itself has computed.

mod attention;
mod norm;
mod plain;
mod recurrent;
mod solve;

use downhill_tensor::Shape;

pub(crate) use self::solve::solve;
use crate::explanation::{Array, Explanation, Parameter, Step};
use crate::expression::product;
use crate::{Expression, Number, Variable, printed};

/// An array between x and y: how it is written, as text and as LaTeX, its axes, and whether the batch has one of it or
/// each example its own.
pub(crate) struct Letters {
    text: String,
    latex: String,
    axes: Vec<usize>,
    of_batch: bool,
}

fn letters(text: &str, latex: &str, axes: &[usize]) -> Letters {
    Letters { text: text.to_owned(), latex: latex.to_owned(), axes: axes.to_vec(), of_batch: false }
}

/// The equations of one kind of layer.
pub(crate) trait Equations {
    /// The arrays between x and y; none if y follows from x at once.
    fn arrays(&self) -> Vec<Letters> {
        Vec::new()
    }

    /// The order in which their numbers are computed: (array, place).
    fn order(&self, at: &Layer<'_>) -> Vec<(usize, usize)> {
        let count = |letters: &Letters| {
            let each: usize = letters.axes.iter().product();
            if letters.of_batch { each } else { each * at.all.examples }
        };
        let arrays = self.arrays();
        let all = arrays.iter().enumerate();
        all.flat_map(|(array, letters)| (0..count(letters)).map(move |index| (array, index))).collect()
    }

    /// A number of an array.
    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        let _ = (at, array, index);
        None
    }

    /// A number of y.
    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression>;

    /// A derivative, of a number of an array or of y, if it is shorter than the rules of differentiation have it.
    fn slope(&self, at: &Layer<'_>, array: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        let _ = (at, array, index, by);
        None
    }
}

/// A layer in an explanation.
pub(crate) struct Layer<'e> {
    all: &'e Explanation,
    step: usize,
    at: &'e Step,
}

impl<'e> Layer<'e> {
    /// None if what the explanation has does not fit the shapes, as in a file that was changed.
    fn new(all: &'e Explanation, step: usize) -> Option<Self> {
        let at = all.steps.get(step)?;
        let fits =
            |array: &Array, shape: Shape, examples| shape.len().checked_mul(examples) == Some(array.numbers.len());
        let mut nodes = at.inputs.iter().chain([&at.output]).map(|&node| all.nodes.get(node));
        let mut parameters = at.parameters.iter().map(|&parameter| all.parameters.get(parameter));
        let is_whole = nodes.all(|node| node.is_some_and(|node| fits(&node.values, node.shape, all.examples)))
            && parameters.all(|at| at.is_some_and(|at| fits(&at.values, at.shape, 1)));
        is_whole.then_some(Self { all, step, at })
    }

    /// The table of layers.
    fn equations(&self) -> Option<Box<dyn Equations>> {
        let equations: Box<dyn Equations> = match self.at.layer.as_str() {
            "Conv1d" | "Conv2d" => Box::new(plain::Convolution::of(self)?),
            "BatchNorm" | "LayerNorm" | "GroupNorm" | "InstanceNorm" | "RmsNorm" => Box::new(norm::Norm::of(self)?),
            "Rnn" | "Lstm" | "Gru" => Box::new(recurrent::Recurrent::of(self)?),
            "MultiHeadAttention" => Box::new(attention::Attention::of(self)?),
            _ => Box::new(plain::AtOnce),
        };
        Some(equations)
    }

    fn x(&self, input: usize, index: usize) -> Option<Expression> {
        self.all.x(self.step, input, index)
    }

    fn y(&self, index: usize) -> Option<Expression> {
        self.all.number(Number::Value { node: self.at.output, index })
    }

    fn inner(&self, array: usize, index: usize) -> Option<Expression> {
        self.all.number(Number::Inner { step: self.step, array, index })
    }

    /// A parameter of this name within the layer, and its place.
    fn parameter(&self, name: &str) -> Option<(usize, &'e Parameter)> {
        let mut own =
            self.at.parameters.iter().filter_map(|&parameter| Some((parameter, self.all.parameters.get(parameter)?)));
        let is_it = |at: &Parameter| {
            at.name.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        own.find(|(_, at)| is_it(at))
    }

    fn theta(&self, name: &str, index: usize) -> Option<Expression> {
        self.all.number(Number::Parameter { parameter: self.parameter(name)?.0, index })
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    fn set(&self, name: &str) -> Option<f64> {
        printed::number(&self.at.settings, name)
    }

    fn count(&self, name: &str) -> Option<usize> {
        self.counts(name).first().copied()
    }

    /// Whole numbers of a setting, none so large that products with a shape's axes overflow.
    fn counts(&self, name: &str) -> Vec<usize> {
        printed::numbers(&self.at.settings, name).into_iter().map(|number| number as u32 as usize).collect()
    }

    fn is(&self, name: &str, word: &str) -> bool {
        printed::is(&self.at.settings, name, word)
    }

    /// The axes of an example of an input.
    fn x_axes(&self, input: usize) -> Option<&'e [usize]> {
        Some(self.all.nodes.get(*self.at.inputs.get(input)?)?.shape.axes())
    }

    /// The axes of an example of y.
    fn y_axes(&self) -> Option<&'e [usize]> {
        Some(self.all.nodes.get(self.at.output)?.shape.axes())
    }
}

/// The products of two rows of numbers, whose sum is meant.
fn weighted(
    count: usize,
    x: impl Fn(usize) -> Option<Expression>,
    weight: impl Fn(usize) -> Option<Expression>,
) -> Option<Vec<Expression>> {
    (0..count).map(|index| Some(product([x(index)?, weight(index)?]))).collect()
}

/// The place of indices along axes.
fn ravel(indices: &[usize], axes: &[usize]) -> usize {
    indices.iter().zip(axes).fold(0, |place, (index, axis)| place * axis + index)
}

/// The formula of a number of y.
pub(crate) fn output(all: &Explanation, step: usize, index: usize) -> Option<Expression> {
    let at = Layer::new(all, step)?;
    at.equations()?.output(&at, index)
}

/// The formula of a derivative, of a number of an array between x and y or of y.
pub(crate) fn slope(
    all: &Explanation,
    step: usize,
    array: Option<usize>,
    index: usize,
    by: Variable,
) -> Option<Expression> {
    let at = Layer::new(all, step)?;
    let equations = at.equations()?;
    equations.slope(&at, array, index, by).or_else(|| {
        let (y, formula) = match array {
            Some(array) => (at.inner(array, index)?, equations.inner(&at, array, index)?),
            None => (at.y(index)?, equations.output(&at, index)?),
        };
        Some(formula.derivative_of(&y, &all.variable(step, by)?))
    })
}

/// The formula of a number between x and y.
pub(crate) fn inner(all: &Explanation, step: usize, array: usize, index: usize) -> Option<Expression> {
    let at = Layer::new(all, step)?;
    at.equations()?.inner(&at, array, index)
}
