//! The formulas of activations, by name. Each is shown only if it gives the number that the layer has computed, so that a
//! name says nothing wrong.

use crate::Expression;
use crate::Function::{Abs, Exp, Ln, NormalCdf, NormalDensity, Relu, Sigmoid, Tanh};
use crate::expression::{apply, constant, divided, minus, negative, product, quotient, scaled, squared, sum, times};
use crate::printed::{self, Settings};

/// Whether a formula gives the number, within the rounding of this precision: that of numbers as large as the largest of
/// its array, or as the terms that cancel each other in the formula.
pub(crate) fn gives(formula: &Expression, value: f64, largest: f64, precision: &str) -> bool {
    let (tolerance, least) =
        if precision == "f32" { (1e-5, f64::from(f32::MIN_POSITIVE)) } else { (1e-11, f64::MIN_POSITIVE) };
    let got = formula.evaluate();
    let size = [largest, formula.size()].into_iter().filter(|size| size.is_finite()).fold(0.0, f64::max);
    got == value || (got - value).abs() <= tolerance * size + least
}

fn one_plus(a: Expression) -> Expression {
    sum([constant(1.0), a])
}

/// 1 / (1 + e⁻ˣ)
fn logistic(x: Expression) -> Expression {
    quotient(constant(1.0), one_plus(apply(Exp, negative(x))))
}

/// ln(1 + eˣ)
pub(crate) fn softplus(x: Expression) -> Expression {
    apply(Ln, one_plus(apply(Exp, x)))
}

/// x within two bounds: x itself, or the bound that it has reached.
pub(crate) fn clipped(x: Expression, low: f64, high: f64) -> Expression {
    match x.evaluate() {
        value if value <= low => constant(low),
        value if value >= high => constant(high),
        _ => x,
    }
}

/// √(2/π) and the weight of the cube in the approximation of the normal distribution by a hyperbolic tangent.
const GELU: (f64, f64) = (0.797_884_560_802_865_4, 0.044_715);

/// λ and α of the self-normalising unit.
const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

/// y = f(x) of the activation of this name with these settings: of several pieces, the one on which x lies.
pub(crate) fn value(name: &str, settings: &Settings, x: Expression) -> Option<Expression> {
    let (at, set) = (x.evaluate(), |name: &str| printed::number(settings, name));
    Some(match name {
        "Identity" => x,
        "Relu" => apply(Relu, x),
        "LeakyRelu" if at > 0.0 => x,
        "LeakyRelu" => scaled(set("negative_slope")?, x),
        "Relu6" => clipped(x, 0.0, 6.0),
        "Hardtanh" => clipped(x, set("min")?, set("max")?),
        "Hardsigmoid" => divided(clipped(sum([x, constant(3.0)]), 0.0, 6.0), 6.0),
        "Hardswish" if at <= -3.0 => constant(0.0),
        "Hardswish" if at >= 3.0 => x,
        "Hardswish" => divided(product([x.clone(), sum([x, constant(3.0)])]), 6.0),
        "Hardshrink" | "Softshrink" if at.abs() <= set("lambda")? => constant(0.0),
        "Hardshrink" => x,
        "Softshrink" if at > 0.0 => minus(x, constant(set("lambda")?)),
        "Softshrink" => sum([x, constant(set("lambda")?)]),
        "Threshold" if at > set("threshold")? => x,
        "Threshold" => constant(set("value")?),
        "Tanh" => apply(Tanh, x),
        "Sigmoid" => logistic(x),
        "Softplus" => {
            let beta = set("beta")?;
            divided(softplus(scaled(beta, x)), beta)
        }
        "Silu" => quotient(x.clone(), one_plus(apply(Exp, negative(x)))),
        "Gelu" if printed::is(settings, "approximation", "Tanh") => {
            let (scale, cube) = GELU;
            let cubed = scaled(cube, Expression::Power(Box::new(x.clone()), 3));
            let inner = scaled(scale, sum([x.clone(), cubed]));
            divided(product([x, one_plus(apply(Tanh, inner))]), 2.0)
        }
        "Gelu" => product([x.clone(), apply(NormalCdf, x)]),
        "Softsign" => quotient(x.clone(), one_plus(apply(Abs, x))),
        "LogSigmoid" => negative(softplus(negative(x))),
        "Tanhshrink" => minus(x.clone(), apply(Tanh, x)),
        "Mish" => product([x.clone(), apply(Tanh, softplus(x))]),
        "Elu" | "Celu" if at > 0.0 => x,
        "Elu" => scaled(set("alpha")?, minus(apply(Exp, x), constant(1.0))),
        "Celu" => {
            let alpha = set("alpha")?;
            scaled(alpha, minus(apply(Exp, divided(x, alpha)), constant(1.0)))
        }
        "Selu" if at > 0.0 => scaled(SELU.0, x),
        "Selu" => scaled(SELU.0 * SELU.1, minus(apply(Exp, x), constant(1.0))),
        _ => return None,
    })
}

/// dy/dx of the activation of this name: as textbooks have it, or else the derivative of its formula.
pub(crate) fn slope(name: &str, settings: &Settings, x: Expression, y: Expression) -> Option<Expression> {
    let one = || constant(1.0);
    Some(match name {
        "Sigmoid" => product([y.clone(), minus(one(), y)]),
        "Softplus" => logistic(scaled(printed::number(settings, "beta")?, x)),
        // s (1 + x (1 − s)) with s = σ(x)
        "Silu" => {
            let s = || apply(Sigmoid, x.clone());
            product([s(), one_plus(product([x.clone(), minus(one(), s())]))])
        }
        "Gelu" if !printed::is(settings, "approximation", "Tanh") => {
            sum([apply(NormalCdf, x.clone()), product([x.clone(), apply(NormalDensity, x)])])
        }
        "Softsign" => quotient(one(), squared(one_plus(apply(Abs, x)))),
        "LogSigmoid" => quotient(one(), one_plus(apply(Exp, x))),
        "Tanhshrink" => squared(apply(Tanh, x)),
        // (x (x + 3))' / 6
        "Hardswish" if x.evaluate().abs() < 3.0 => divided(sum([times([constant(2.0), x]), constant(3.0)]), 6.0),
        _ => value(name, settings, x.clone())?.derivative_of(&y, &x),
    })
}

/// y = eˣ / Σ eˣ of a softmax over these numbers.
pub(crate) fn softmax(x: Expression, all: impl IntoIterator<Item = Expression>) -> Expression {
    quotient(apply(Exp, x), sum(all.into_iter().map(|x| apply(Exp, x))))
}

/// dy/dx of a softmax: y (1 − y) by its own x, and −y y′ by that of another.
pub(crate) fn softmax_slope(y: Expression, other: Expression, own: bool) -> Expression {
    if own { product([y, minus(constant(1.0), other)]) } else { negative(product([y, other])) }
}
