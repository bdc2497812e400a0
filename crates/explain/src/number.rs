/// The address of a number in an [`Explanation`](crate::Explanation).
///
/// Indices count from 0, in the order in which numbers lie in memory: example after example, row after row. The
/// symbols of an [`Origin`](crate::Origin) count from 1, as textbooks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Number {
    /// J.
    Loss,
    /// A target.
    Target {
        /// Its place among the targets.
        index: usize,
    },
    /// η.
    LearningRate,
    /// A number of a node: of an input of the network, or of what a step makes.
    Value {
        /// The node.
        node: usize,
        /// The place among the node's numbers.
        index: usize,
    },
    /// dJ/d(a number of a node): what comes from above to the step that makes it.
    Gradient {
        /// The node.
        node: usize,
        /// The place among the node's numbers.
        index: usize,
    },
    /// dy/dx of a step that maps each number by itself.
    Slope {
        /// The step.
        step: usize,
        /// The place among the numbers of y.
        index: usize,
    },
    /// A number between x and y, such as one of a gate; see [`Local::Equations`](crate::Local::Equations).
    Inner {
        /// The step.
        step: usize,
        /// Which of its arrays between x and y.
        array: usize,
        /// The place among the numbers of the array.
        index: usize,
    },
    /// dJ/d(a number between x and y).
    InnerGradient {
        /// The step.
        step: usize,
        /// Which of its arrays between x and y.
        array: usize,
        /// The place among the numbers of the array.
        index: usize,
    },
    /// The local derivative of a number between x and y by one in its equation.
    InnerDerivative {
        /// The step.
        step: usize,
        /// Which of its arrays between x and y.
        array: usize,
        /// The place among the numbers of the array.
        index: usize,
        /// What changes.
        by: Variable,
    },
    /// How fast a number of y changes with another number: an entry of a step's Jacobian, or the local derivative by a
    /// number in the equation of y.
    Derivative {
        /// The step.
        step: usize,
        /// The place among the numbers of y.
        output: usize,
        /// What changes.
        by: Variable,
    },
    /// dJ/dx as one step gives it back: the product of its local derivatives with dJ/dy.
    Product {
        /// The step.
        step: usize,
        /// Which of its inputs x is.
        input: usize,
        /// The place among the numbers of x.
        index: usize,
    },
    /// A number of θ.
    Parameter {
        /// The parameter.
        parameter: usize,
        /// The place among its numbers.
        index: usize,
    },
    /// dJ/dθ as one step gives it back.
    ParameterProduct {
        /// The step.
        step: usize,
        /// The parameter.
        parameter: usize,
        /// The place among its numbers.
        index: usize,
    },
    /// dJ/dθ: the sum of what all steps with this parameter give back.
    ParameterGradient {
        /// The parameter.
        parameter: usize,
        /// The place among its numbers.
        index: usize,
    },
    /// A number that the optimizer remembers, before the update, such as Adam's m.
    Memory {
        /// The parameter to which it belongs.
        parameter: usize,
        /// Which of the optimizer's numbers for each parameter.
        slot: usize,
        /// The place among the parameter's numbers.
        index: usize,
    },
    /// A number that the optimizer remembers, after the update.
    Remembered {
        /// The parameter to which it belongs.
        parameter: usize,
        /// Which of the optimizer's numbers for each parameter.
        slot: usize,
        /// The place among the parameter's numbers.
        index: usize,
    },
    /// A number of θ after the update.
    Updated {
        /// The parameter.
        parameter: usize,
        /// The place among its numbers.
        index: usize,
    },
}

/// What a number of y is differentiated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Variable {
    /// A number of one of the step's inputs.
    Input {
        /// Which of its inputs.
        input: usize,
        /// The place among that input's numbers.
        index: usize,
    },
    /// A number between x and y of the same step.
    Inner {
        /// Which of the arrays.
        array: usize,
        /// The place among its numbers.
        index: usize,
    },
    /// A number of one of its parameters.
    Parameter {
        /// The parameter.
        parameter: usize,
        /// The place among its numbers.
        index: usize,
    },
}
