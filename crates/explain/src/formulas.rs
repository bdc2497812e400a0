//! The formulas of activations and losses, by name. Each is shown only if it gives the number that the layer or the loss
//! has computed, so that a name says nothing wrong.

use crate::Function::{Abs, Exp, Ln, NormalCdf, NormalDensity, Relu, Sigmoid, Tanh};
use crate::expression::{apply, constant, divided, minus, negative, product, quotient, squared, sum};
use crate::{Expression, Targets};

/// Whether a formula gives the number, within the rounding of this precision.
pub(crate) fn gives(formula: &Expression, value: f64, precision: &str) -> bool {
    let tolerance = if precision == "f32" { 1e-5 } else { 1e-11 };
    let got = formula.evaluate();
    got == value || (got - value).abs() <= tolerance * (1.0 + value.abs())
}

fn one_plus(a: Expression) -> Expression {
    sum([constant(1.0), a])
}

/// 1 / (1 + e⁻ˣ)
fn logistic(x: Expression) -> Expression {
    quotient(constant(1.0), one_plus(apply(Exp, negative(x))))
}

/// y = f(x) of the activation of this name.
pub(crate) fn value(name: &str, x: Expression) -> Option<Expression> {
    let positive = x.evaluate() > 0.0;
    Some(match name {
        "Identity" => x,
        "Relu" => apply(Relu, x),
        "Tanh" => apply(Tanh, x),
        "Sigmoid" => logistic(x),
        "Softplus" => apply(Ln, one_plus(apply(Exp, x))),
        "Silu" => quotient(x.clone(), one_plus(apply(Exp, negative(x)))),
        "Gelu" => product([x.clone(), apply(NormalCdf, x)]),
        "Softsign" => quotient(x.clone(), one_plus(apply(Abs, x))),
        "LogSigmoid" => negative(apply(Ln, one_plus(apply(Exp, negative(x))))),
        "Tanhshrink" => minus(x.clone(), apply(Tanh, x)),
        "Mish" => product([x.clone(), apply(Tanh, apply(Ln, one_plus(apply(Exp, x))))]),
        "Elu" | "Celu" if !positive => minus(apply(Exp, x), constant(1.0)),
        "Elu" | "Celu" => x,
        _ => return None,
    })
}

/// dy/dx of the activation of this name.
pub(crate) fn slope(name: &str, x: Expression, y: Expression) -> Option<Expression> {
    let positive = x.evaluate() > 0.0;
    let one = || constant(1.0);
    Some(match name {
        "Identity" => one(),
        "Relu" => constant(f64::from(positive)),
        "Tanh" => minus(one(), squared(y)),
        "Sigmoid" => product([y.clone(), minus(one(), y)]),
        "Softplus" => logistic(x),
        // s (1 + x (1 − s)) with s = σ(x)
        "Silu" => {
            let s = || apply(Sigmoid, x.clone());
            product([s(), one_plus(product([x.clone(), minus(one(), s())]))])
        }
        "Gelu" => sum([apply(NormalCdf, x.clone()), product([x.clone(), apply(NormalDensity, x)])]),
        "Softsign" => quotient(one(), squared(one_plus(apply(Abs, x)))),
        "LogSigmoid" => quotient(one(), one_plus(apply(Exp, x))),
        "Tanhshrink" => squared(apply(Tanh, x)),
        "Elu" | "Celu" if !positive => apply(Exp, x),
        "Elu" | "Celu" => one(),
        _ => return None,
    })
}

/// y = eˣ / Σ eˣ of a softmax over these numbers.
pub(crate) fn softmax(x: Expression, all: Vec<Expression>) -> Expression {
    quotient(apply(Exp, x), sum(all.into_iter().map(|x| apply(Exp, x))))
}

/// dy/dx of a softmax: y (1 − y) by its own x, and −y y′ by that of another.
pub(crate) fn softmax_slope(y: Expression, other: Expression, own: bool) -> Expression {
    if own { product([y, minus(constant(1.0), other)]) } else { negative(product([y, other])) }
}

/// What a loss compares: the predictions with their targets, in order.
pub(crate) struct Compared<'e> {
    pub(crate) name: &'e str,
    pub(crate) y: Vec<Expression>,
    pub(crate) targets: &'e Targets,
    /// The targets if they are numbers.
    pub(crate) t: Vec<Expression>,
    /// The predicted numbers of an example.
    pub(crate) width: usize,
    pub(crate) divisor: f64,
}

/// ln Σ e^y of an example.
fn log_sum_exp(y: &[Expression]) -> Expression {
    apply(Ln, sum(y.iter().map(|y| apply(Exp, y.clone()))))
}

impl Compared<'_> {
    fn pairs(&self) -> Option<impl Iterator<Item = (Expression, Expression)> + '_> {
        let fits = self.t.len() == self.y.len() && !self.t.is_empty();
        fits.then(|| self.y.iter().cloned().zip(self.t.iter().cloned()))
    }

    /// The class of each example, if each example is a vector of scores.
    fn classes(&self) -> Option<&[u32]> {
        match self.targets {
            Targets::Classes(classes) if self.width > 0 && classes.len() * self.width == self.y.len() => Some(classes),
            _ => None,
        }
    }

    /// J.
    pub(crate) fn value(&self) -> Option<Expression> {
        let terms: Vec<Expression> = match self.name {
            "MeanSquaredError" => self.pairs()?.map(|(y, t)| squared(minus(y, t))).collect(),
            "MeanAbsoluteError" => self.pairs()?.map(|(y, t)| apply(Abs, minus(y, t))).collect(),
            // ln(1 + e^y) − t y
            "BinaryCrossEntropyWithLogits" => {
                self.pairs()?.map(|(y, t)| minus(apply(Ln, one_plus(apply(Exp, y.clone()))), product([t, y]))).collect()
            }
            // −t ln y − (1 − t) ln(1 − y)
            "BinaryCrossEntropy" => self
                .pairs()?
                .map(|(y, t)| {
                    let one = || constant(1.0);
                    let right = product([t.clone(), apply(Ln, y.clone())]);
                    let wrong = product([minus(one(), t), apply(Ln, minus(one(), y))]);
                    Expression::Sum(vec![negative(right), negative(wrong)])
                })
                .collect(),
            "SoftmaxCrossEntropy" => {
                let examples = self.y.chunks(self.width.max(1)).zip(self.classes()?);
                let term = |(y, &class): (&[Expression], &u32)| {
                    Some(minus(log_sum_exp(y), y.get(usize::try_from(class).ok()?)?.clone()))
                };
                examples.map(term).collect::<Option<_>>()?
            }
            _ => return None,
        };
        Some(divided(sum(terms), self.divisor))
    }

    /// dJ/dy of one number.
    pub(crate) fn slope(&self, index: usize) -> Option<Expression> {
        let pair = || self.pairs()?.nth(index);
        let slope = match self.name {
            "MeanSquaredError" => {
                let (y, t) = pair()?;
                product([constant(2.0), minus(y, t)])
            }
            "MeanAbsoluteError" => {
                let (y, t) = pair()?;
                let difference = y.evaluate() - t.evaluate();
                constant(if difference == 0.0 { 0.0 } else { difference.signum() })
            }
            "BinaryCrossEntropyWithLogits" => {
                let (y, t) = pair()?;
                minus(apply(Sigmoid, y), t)
            }
            // (y − t) / (y (1 − y))
            "BinaryCrossEntropy" => {
                let (y, t) = pair()?;
                quotient(minus(y.clone(), t), product([y.clone(), minus(constant(1.0), y)]))
            }
            // e^y / Σ e^y − [this is the right class]
            "SoftmaxCrossEntropy" => {
                let (example, class) = (index / self.width.max(1), index % self.width.max(1));
                let scores = self.y.get(example * self.width..(example + 1) * self.width)?;
                let all = sum(scores.iter().map(|y| apply(Exp, y.clone())));
                let probability = quotient(apply(Exp, scores.get(class)?.clone()), all);
                let right = usize::try_from(*self.classes()?.get(example)?).ok()? == class;
                if right { minus(probability, constant(1.0)) } else { probability }
            }
            _ => return None,
        };
        Some(divided(slope, self.divisor))
    }
}
