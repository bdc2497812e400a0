use std::collections::BTreeMap;

use downhill_tensor::Scalar;

use crate::Number;
use crate::format::{self, Notation};

/// A formula whose letters are numbers of an explanation: it can be shown with symbols, with the numbers put in, and
/// evaluated.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Expression {
    /// A number of the explanation.
    Number {
        /// How it is written.
        symbol: Symbol,
        /// Its address, so that its own origin can be asked for.
        number: Number,
        /// The number.
        #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
        value: f64,
    },
    /// A number that belongs to the formula, such as 2.
    Constant(#[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))] f64),
    /// −a.
    Negative(Box<Expression>),
    /// a + b + ...; 0 if there are no terms.
    Sum(Vec<Expression>),
    /// a · b · ...; 1 if there are no factors.
    Product(Vec<Expression>),
    /// a / b.
    Quotient(Box<Expression>, Box<Expression>),
    /// aⁿ.
    Power(Box<Expression>, u32),
    /// f(a).
    Apply(Function, Box<Expression>),
}

/// A function of one number in an [`Expression`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Function {
    /// eˣ.
    Exp,
    /// The natural logarithm.
    Ln,
    /// The hyperbolic tangent.
    Tanh,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// |x|.
    Abs,
    /// max(x, 0).
    Relu,
    /// Φ, the normal distribution's cumulative function.
    NormalCdf,
    /// φ, the normal distribution's density.
    NormalDensity,
    /// The square root.
    Sqrt,
    /// −1, 0 or 1.
    Sign,
}

/// How a number is written: as text and as LaTeX.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Symbol {
    /// As text, such as `dJ/dw₂₁`.
    pub text: String,
    /// As LaTeX, such as `\frac{\partial J}{\partial w_{21}}`.
    pub latex: String,
}

impl Symbol {
    pub(crate) fn new(text: impl Into<String>, latex: impl Into<String>) -> Self {
        Self { text: text.into(), latex: latex.into() }
    }

    /// d(by) in the denominator: how fast `self` changes with `by`.
    pub(crate) fn by(&self, by: &Self) -> Self {
        Self::new(
            format!("d{}/d{}", self.text, by.text),
            format!("\\frac{{\\partial {}}}{{\\partial {}}}", self.latex, by.latex),
        )
    }

    /// The part of the number that a step of this title contributes.
    pub(crate) fn at(&self, step: &str) -> Self {
        Self::new(
            format!("{}|{step}", self.text),
            format!("\\left.{}\\right|_{{\\text{{{}}}}}", self.latex, format::escaped(step)),
        )
    }
}

impl Function {
    fn name(self, notation: Notation) -> &'static str {
        let (text, latex) = match self {
            Self::Exp => ("exp", "\\exp"),
            Self::Ln => ("ln", "\\ln"),
            Self::Tanh => ("tanh", "\\tanh"),
            Self::Sigmoid => ("σ", "\\sigma"),
            Self::Abs => ("abs", "\\operatorname{abs}"),
            Self::Relu => ("relu", "\\operatorname{relu}"),
            Self::NormalCdf => ("Φ", "\\Phi"),
            Self::NormalDensity => ("φ", "\\varphi"),
            Self::Sqrt => ("sqrt", "\\sqrt"),
            Self::Sign => ("sign", "\\operatorname{sign}"),
        };
        notation.pick(text, latex)
    }

    /// f(x).
    #[must_use]
    pub fn evaluate(self, x: f64) -> f64 {
        match self {
            Self::Exp => x.exp(),
            Self::Ln => x.ln(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => Scalar::sigmoid(x),
            Self::Abs => x.abs(),
            Self::Relu if x < 0.0 => 0.0,
            Self::Relu => x,
            Self::NormalCdf => 0.5 * (1.0 + Scalar::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::NormalDensity => (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt(),
            Self::Sqrt => x.sqrt(),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
        }
    }

    /// The chain rule: f'(a) da, with y = f(a); `None` if it is 0.
    fn chain(self, a: &Expression, y: &Expression, da: Expression) -> Option<Expression> {
        let one = || constant(1.0);
        Some(match self {
            Self::Exp => times([y.clone(), da]),
            // The logarithm of 1 + eˣ has the slope σ(x).
            Self::Ln => match a {
                Expression::Sum(terms) => match &terms[..] {
                    [Expression::Constant(1.0), e @ Expression::Apply(Self::Exp, x)] => {
                        times([apply(Self::Sigmoid, (**x).clone()), factor_of(da, e)])
                    }
                    _ => over(da, a.clone()),
                },
                _ => over(da, a.clone()),
            },
            Self::Tanh => times([minus(one(), squared(y.clone())), da]),
            Self::Sigmoid => times([y.clone(), minus(one(), y.clone()), da]),
            Self::Abs => match a.evaluate() {
                0.0 => return None,
                a => times([constant(a.signum()), da]),
            },
            Self::Relu if a.evaluate() > 0.0 => da,
            Self::Relu | Self::Sign => return None,
            Self::NormalCdf => times([apply(Self::NormalDensity, a.clone()), da]),
            Self::NormalDensity => opposite(times([a.clone(), y.clone(), da])),
            Self::Sqrt => over(da, product([constant(2.0), y.clone()])),
        })
    }
}

/// Whether a letter is the one that changes.
type By<'b> = &'b dyn Fn(Number, &Symbol) -> bool;

/// How tightly an expression binds: a looser one is put into parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Atom,
}

impl Expression {
    /// The value of the formula, in f64.
    #[must_use]
    pub fn evaluate(&self) -> f64 {
        match self {
            Self::Number { value, .. } | Self::Constant(value) => *value,
            Self::Negative(a) => -a.evaluate(),
            Self::Sum(terms) => terms.iter().map(Self::evaluate).fold(0.0, |sum, term| sum + term),
            Self::Product(factors) => factors.iter().map(Self::evaluate).product(),
            Self::Quotient(a, b) => a.evaluate() / b.evaluate(),
            Self::Power(a, exponent) => a.evaluate().powi(i32::try_from(*exponent).unwrap_or(i32::MAX)),
            Self::Apply(function, a) => function.evaluate(a.evaluate()),
        }
    }

    /// The derivative by one of the numbers in the formula, all others being held; 0 if it is not in it.
    ///
    /// At a kink it is what the layers and losses of this project take: 0 for max(x, 0) and for |x| at 0.
    #[must_use]
    pub fn derivative(&self, by: Number) -> Self {
        self.slope(&|number, _| number == by).unwrap_or(Self::Constant(0.0))
    }

    /// The derivative of y, of which this is the formula: with y itself in it where that is shorter, as in 1 − y² for
    /// the hyperbolic tangent.
    pub(crate) fn derivative_of(&self, y: &Self, by: &Self) -> Self {
        let by: By<'_> = &|number, symbol| by.letter() == Some((number, symbol));
        let slope = match self {
            Self::Apply(function, a) => a.slope(by).and_then(|da| function.chain(a, y, da)),
            // y = eᵃ / b: dy = y (da − db / b)
            Self::Quotient(top, b) => match &**top {
                Self::Apply(Function::Exp, a) => {
                    let share = |db: Self| match db {
                        db if db == **top => y.clone(),
                        db => over(db, (**b).clone()),
                    };
                    let terms = [a.slope(by), b.slope(by).map(share).map(opposite)];
                    let terms: Vec<Self> = terms.into_iter().flatten().collect();
                    (!terms.is_empty()).then(|| times([y.clone(), sum(terms)]))
                }
                _ => self.slope(by),
            },
            _ => self.slope(by),
        };
        slope.unwrap_or(Self::Constant(0.0))
    }

    /// The derivative, unless it is 0.
    fn slope(&self, by: By<'_>) -> Option<Self> {
        match self {
            Self::Number { number, symbol, .. } => by(*number, symbol).then_some(Self::Constant(1.0)),
            Self::Constant(_) => None,
            Self::Negative(a) => a.slope(by).map(opposite),
            Self::Sum(terms) => {
                let slopes: Vec<Self> = terms.iter().filter_map(|term| term.slope(by)).collect();
                (!slopes.is_empty()).then(|| sum(slopes))
            }
            Self::Product(factors) => {
                let with = |place: usize, slope: Self| {
                    let all = factors.iter().enumerate();
                    times(all.map(|(index, factor)| if index == place { slope.clone() } else { factor.clone() }))
                };
                let all = factors.iter().enumerate();
                let terms: Vec<Self> = all.filter_map(|(place, factor)| Some(with(place, factor.slope(by)?))).collect();
                (!terms.is_empty()).then(|| sum(terms))
            }
            Self::Quotient(a, b) => {
                let of_a = a.slope(by).map(|da| over(da, (**b).clone()));
                let of_b = b.slope(by).map(|db| opposite(over(times([(**a).clone(), db]), squared((**b).clone()))));
                let terms: Vec<Self> = [of_a, of_b].into_iter().flatten().collect();
                (!terms.is_empty()).then(|| sum(terms))
            }
            Self::Power(a, exponent) => {
                let rest = match exponent {
                    0 => return None,
                    1 => Self::Constant(1.0),
                    2 => (**a).clone(),
                    _ => Self::Power(a.clone(), exponent - 1),
                };
                Some(times([constant(f64::from(*exponent)), rest, a.slope(by)?]))
            }
            Self::Apply(function, a) => function.chain(a, self, a.slope(by)?),
        }
    }

    /// The formula itself, if it is a number of the explanation: a number that has two symbols is two letters.
    pub(crate) fn letter(&self) -> Option<(Number, &Symbol)> {
        match self {
            Self::Number { number, symbol, .. } => Some((*number, symbol)),
            _ => None,
        }
    }

    /// Each letter of the formula, once.
    pub(crate) fn letters(&self) -> Vec<&Self> {
        let mut letters = BTreeMap::new();
        self.collect(&mut letters);
        letters.into_values().collect()
    }

    fn collect<'e>(&'e self, letters: &mut BTreeMap<(Number, &'e str), &'e Self>) {
        match self {
            Self::Number { number, symbol, .. } => {
                letters.insert((*number, &symbol.text), self);
            }
            Self::Constant(_) => {}
            Self::Negative(a) | Self::Power(a, _) | Self::Apply(_, a) => a.collect(letters),
            Self::Sum(parts) | Self::Product(parts) => parts.iter().for_each(|part| part.collect(letters)),
            Self::Quotient(a, b) => {
                a.collect(letters);
                b.collect(letters);
            }
        }
    }

    /// How large the numbers are whose rounding is that of the value: larger than it if they cancel each other.
    pub(crate) fn size(&self) -> f64 {
        match self {
            Self::Number { value, .. } | Self::Constant(value) => value.abs(),
            Self::Negative(a) => a.size(),
            Self::Sum(terms) => terms.iter().map(Self::size).sum(),
            Self::Product(factors) => factors.iter().map(Self::size).product(),
            Self::Quotient(a, b) => {
                let divisor = b.evaluate().abs();
                a.size() / divisor * (b.size() / divisor)
            }
            Self::Power(a, exponent) => a.size().powi(i32::try_from(*exponent).unwrap_or(i32::MAX)),
            Self::Apply(function, a) => {
                let (x, y) = (a.evaluate(), self.evaluate());
                let slope = function.chain(&constant(x), &constant(y), constant(1.0));
                y.abs() + slope.map_or(0.0, |slope| slope.evaluate().abs()) * a.size()
            }
        }
    }

    /// Whether the formula is one number alone, so that there is nothing to work out.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Number { .. } | Self::Constant(_))
    }

    /// The formula with symbols, as text.
    #[must_use]
    pub fn symbols(&self) -> String {
        self.written(Notation::Text, None)
    }

    /// The formula with the numbers put in, of this many significant digits, as text.
    #[must_use]
    pub fn numbers(&self, digits: usize) -> String {
        self.written(Notation::Text, Some(digits))
    }

    /// The formula with symbols, as LaTeX.
    #[must_use]
    pub fn latex_symbols(&self) -> String {
        self.written(Notation::Latex, None)
    }

    /// The formula with the numbers put in, of this many significant digits, as LaTeX.
    #[must_use]
    pub fn latex_numbers(&self, digits: usize) -> String {
        self.written(Notation::Latex, Some(digits))
    }

    /// `digits` asks for numbers instead of symbols.
    pub(crate) fn written(&self, notation: Notation, digits: Option<usize>) -> String {
        self.written_at(true, notation, digits)
    }

    /// `leading` says that no sign stands in front, so that a negative number needs no parentheses.
    fn written_at(&self, leading: bool, notation: Notation, digits: Option<usize>) -> String {
        let minus = notation.pick("−", "-");
        match self {
            Self::Number { symbol, value, .. } => match digits {
                Some(digits) => format::number(*value, digits, notation),
                None => notation.pick(&symbol.text, &symbol.latex).clone(),
            },
            Self::Constant(value) => format::number(*value, digits.unwrap_or(format::DIGITS), notation),
            Self::Negative(a) => format!("{minus}{}", a.within(Binding::Product, false, notation, digits)),
            Self::Sum(terms) => {
                let mut sum = String::new();
                for (index, term) in terms.iter().enumerate() {
                    match term {
                        Self::Negative(a) if index > 0 => {
                            sum += &format!(" {minus} {}", a.within(Binding::Product, false, notation, digits));
                        }
                        _ if index > 0 => {
                            sum += &format!(" + {}", term.within(Binding::Product, false, notation, digits));
                        }
                        _ => sum = term.within(Binding::Sum, leading, notation, digits),
                    }
                }
                if sum.is_empty() { "0".into() } else { sum }
            }
            Self::Product(factors) => {
                let dot = notation.pick(" · ", " \\cdot ");
                let factors = factors.iter().enumerate();
                let written: Vec<String> = factors
                    .map(|(index, factor)| factor.within(Binding::Product, leading && index == 0, notation, digits))
                    .collect();
                if written.is_empty() { "1".into() } else { written.join(dot) }
            }
            Self::Quotient(a, b) => match notation {
                Notation::Text => {
                    let a = a.within(Binding::Product, leading, notation, digits);
                    format!("{a} / {}", b.within(Binding::Atom, false, notation, digits))
                }
                Notation::Latex => {
                    format!("\\frac{{{}}}{{{}}}", a.written(notation, digits), b.written(notation, digits))
                }
            },
            Self::Power(a, exponent) => {
                let exponent = format::power(*exponent, notation);
                let base = a.within(Binding::Atom, false, notation, digits);
                // What ends in an example, a fraction or a power of ten would swallow it, or has no place for it.
                let is_open = match a.as_ref() {
                    Self::Apply(..) | Self::Power(..) => true,
                    Self::Quotient(..) => notation == Notation::Latex,
                    Self::Number { symbol, .. } if digits.is_none() => symbol.text.contains(['⁾', '/', '(', '²']),
                    Self::Number { .. } | Self::Constant(_) => notation == Notation::Text && base.contains('e'),
                    _ => false,
                };
                match is_open && !base.starts_with('(') {
                    true if base.contains("\\frac") => format!("\\left({base}\\right){exponent}"),
                    true => format!("({base}){exponent}"),
                    false => format!("{base}{exponent}"),
                }
            }
            Self::Apply(Function::Abs, a) if notation == Notation::Latex => {
                format!("\\left|{}\\right|", a.written(notation, digits))
            }
            Self::Apply(Function::Sqrt, a) if notation == Notation::Latex => {
                format!("\\sqrt{{{}}}", a.written(notation, digits))
            }
            Self::Apply(Function::Relu, a) => {
                format!("{}({}, 0)", notation.pick("max", "\\max"), a.written(notation, digits))
            }
            Self::Apply(function, a) => format!("{}({})", function.name(notation), a.written(notation, digits)),
        }
    }

    /// The expression in a place where only what binds as tightly may stand without parentheses.
    fn within(&self, place: Binding, leading: bool, notation: Notation, digits: Option<usize>) -> String {
        let binding = match self {
            Self::Sum(terms) if terms.len() > 1 => Binding::Sum,
            Self::Negative(_) => Binding::Sum,
            Self::Product(factors) if factors.len() > 1 => Binding::Product,
            Self::Quotient(..) if notation == Notation::Text => Binding::Product,
            _ => Binding::Atom,
        };
        if binding < place {
            return format!("({})", self.written(notation, digits));
        }
        let written = self.written_at(leading, notation, digits);
        let is_negative = written.starts_with('−') || written.starts_with('-');
        // A power of ten is a product, which takes no other power.
        let is_product = written.contains("\\cdot 10^");
        if (is_negative && !(leading && place < Binding::Atom)) || (is_product && place == Binding::Atom) {
            return format!("({written})");
        }
        written
    }
}

/// The constructors that formulas are written with.
pub(crate) fn constant(value: f64) -> Expression {
    Expression::Constant(value)
}

pub(crate) fn sum(terms: impl IntoIterator<Item = Expression>) -> Expression {
    let mut terms: Vec<_> = terms.into_iter().collect();
    if terms.len() == 1 { terms.remove(0) } else { Expression::Sum(terms) }
}

pub(crate) fn minus(a: Expression, b: Expression) -> Expression {
    Expression::Sum(vec![a, negative(b)])
}

pub(crate) fn negative(a: Expression) -> Expression {
    Expression::Negative(Box::new(a))
}

pub(crate) fn product(factors: impl IntoIterator<Item = Expression>) -> Expression {
    let mut factors: Vec<_> = factors.into_iter().collect();
    if factors.len() == 1 { factors.remove(0) } else { Expression::Product(factors) }
}

/// A product without the factors 1, and with its sign in front.
pub(crate) fn times(factors: impl IntoIterator<Item = Expression>) -> Expression {
    fn take(factor: Expression, kept: &mut Vec<Expression>, is_negative: &mut bool) {
        match factor {
            Expression::Constant(1.0) => {}
            Expression::Constant(-1.0) => *is_negative = !*is_negative,
            Expression::Negative(a) => {
                *is_negative = !*is_negative;
                take(*a, kept, is_negative);
            }
            Expression::Product(factors) => factors.into_iter().for_each(|factor| take(factor, kept, is_negative)),
            factor => kept.push(factor),
        }
    }
    let (mut kept, mut is_negative) = (Vec::new(), false);
    factors.into_iter().for_each(|factor| take(factor, &mut kept, &mut is_negative));
    match (kept.is_empty(), is_negative) {
        (true, false) => constant(1.0),
        (true, true) => constant(-1.0),
        (false, false) => product(kept),
        (false, true) => negative(product(kept)),
    }
}

/// −a, and a itself of −a.
fn opposite(a: Expression) -> Expression {
    match a {
        Expression::Negative(a) => *a,
        a => negative(a),
    }
}

/// a / b with its sign in front.
pub(crate) fn over(a: Expression, b: Expression) -> Expression {
    match a {
        Expression::Negative(a) => negative(quotient(*a, b)),
        a => quotient(a, b),
    }
}

/// The other factors of a product with this one.
fn factor_of(product: Expression, factor: &Expression) -> Expression {
    let without = |a: Expression| match a {
        a if a == *factor => constant(1.0),
        Expression::Product(mut factors) => {
            if let Some(place) = factors.iter().position(|other| other == factor) {
                factors.remove(place);
            }
            times(factors)
        }
        a => a,
    };
    match product {
        Expression::Negative(a) => opposite(without(*a)),
        a => without(a),
    }
}

pub(crate) fn quotient(a: Expression, b: Expression) -> Expression {
    Expression::Quotient(Box::new(a), Box::new(b))
}

/// a / n, and a itself if n is 1.
pub(crate) fn divided(a: Expression, n: f64) -> Expression {
    if n == 1.0 { a } else { quotient(a, constant(n)) }
}

/// c a, and a itself if c is 1.
pub(crate) fn scaled(c: f64, a: Expression) -> Expression {
    if c == 1.0 { a } else { product([constant(c), a]) }
}

pub(crate) fn squared(a: Expression) -> Expression {
    Expression::Power(Box::new(a), 2)
}

pub(crate) fn apply(function: Function, a: Expression) -> Expression {
    Expression::Apply(function, Box::new(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x(value: f64) -> Expression {
        Expression::Number { symbol: Symbol::new("x₁", "x_{1}"), number: Number::Loss, value }
    }

    #[test]
    fn formulas_are_written_with_symbols_and_with_numbers() {
        let cases = [
            (product([x(0.5), x(-0.12)]), "x₁ · x₁", "0.5 · (−0.12)", "0.5 \\cdot (-0.12)"),
            (product([x(-0.5), x(2.0)]), "x₁ · x₁", "−0.5 · 2", "-0.5 \\cdot 2"),
            (minus(constant(1.0), squared(x(-0.5))), "1 − x₁²", "1 − (−0.5)²", "1 - (-0.5)^{2}"),
            (minus(x(1.0), x(-2.0)), "x₁ − x₁", "1 − (−2)", "1 - (-2)"),
            (sum([x(1.0), product([x(-2.0), x(-3.0)])]), "x₁ + x₁ · x₁", "1 + (−2) · (−3)", "1 + (-2) \\cdot (-3)"),
            (product([constant(2.0), minus(x(-1.0), x(2.0))]), "2 · (x₁ − x₁)", "2 · (−1 − 2)", "2 \\cdot (-1 - 2)"),
            (product([x(2.0), minus(constant(1.0), x(2.0))]), "x₁ · (1 − x₁)", "2 · (1 − 2)", "2 \\cdot (1 - 2)"),
            (
                quotient(constant(1.0), sum([constant(1.0), apply(Function::Exp, negative(x(-3.0)))])),
                "1 / (1 + exp(−x₁))",
                "1 / (1 + exp(−(−3)))",
                "\\frac{1}{1 + \\exp(-(-3))}",
            ),
            (squared(apply(Function::Tanh, x(1.0))), "(tanh(x₁))²", "(tanh(1))²", "(\\tanh(1))^{2}"),
            (squared(x(1.5e-9)), "x₁²", "(1.5e−9)²", "(1.5 \\cdot 10^{-9})^{2}"),
            (squared(quotient(x(1.0), x(2.0))), "(x₁ / x₁)²", "(1 / 2)²", "\\left(\\frac{1}{2}\\right)^{2}"),
            (squared(minus(x(1.0), x(3.0))), "(x₁ − x₁)²", "(1 − 3)²", "(1 - 3)^{2}"),
            (apply(Function::Relu, x(-3.0)), "max(x₁, 0)", "max(−3, 0)", "\\max(-3, 0)"),
            (sum([]), "0", "0", "0"),
            (quotient(product([x(2.0), x(3.0)]), constant(4.0)), "x₁ · x₁ / 4", "2 · 3 / 4", "\\frac{2 \\cdot 3}{4}"),
        ];
        for (formula, symbols, numbers, latex) in cases {
            assert_eq!((formula.symbols().as_str(), formula.numbers(6).as_str()), (symbols, numbers));
            assert_eq!(formula.latex_numbers(6), latex);
        }
    }

    #[test]
    fn the_power_of_a_symbol_is_not_read_as_that_of_its_end() {
        let cases = [
            (Symbol::new("h₁⁽²⁾", "h_{1}^{(2)}"), "(h₁⁽²⁾)²", "(h_{1}^{(2)})^{2}"),
            (Symbol::new("J", "J").by(&Symbol::new("w₁", "w_{1}")), "(dJ/dw₁)²", FRACTION),
            (Symbol::new("mean(w)", "\\text{mean}(w)"), "(mean(w))²", "(\\text{mean}(w))^{2}"),
            (Symbol::new("x̂₁", "\\hat{x}_{1}"), "x̂₁²", "\\hat{x}_{1}^{2}"),
        ];
        const FRACTION: &str = "\\left(\\frac{\\partial J}{\\partial w_{1}}\\right)^{2}";
        for (symbol, text, latex) in cases {
            let power = squared(Expression::Number { symbol, number: Number::Loss, value: 0.5 });
            assert_eq!((power.symbols().as_str(), power.latex_symbols().as_str()), (text, latex));
            assert_eq!(power.latex_numbers(6), "0.5^{2}");
        }
    }

    #[test]
    fn functions_are_evaluated() {
        assert_eq!(Function::Sign.evaluate(-0.0), 0.0);
        assert!((Function::NormalCdf.evaluate(1.0) - 0.841_344_746_068_543).abs() < 1e-14);
        assert!((Function::NormalDensity.evaluate(0.0) - 0.398_942_280_401_432_7).abs() < 1e-15);
    }

    #[test]
    fn derivatives_are_those_of_finite_differences() {
        use crate::Function::{Abs, Exp, Ln, NormalCdf, NormalDensity, Relu, Sigmoid, Sqrt, Tanh};
        let formula = |x: Expression| -> Vec<Expression> {
            let of = |function| apply(function, x.clone());
            let one = || constant(1.0);
            vec![
                sum([of(Exp), of(Tanh), of(Sigmoid), of(Abs), of(Relu), one()]),
                product([of(NormalCdf), of(NormalDensity), negative(x.clone())]),
                quotient(of(Tanh), sum([squared(x.clone()), one()])),
                quotient(one(), apply(Sqrt, sum([squared(x.clone()), constant(0.5)]))),
                apply(Ln, sum([one(), apply(Exp, product([constant(-2.0), x.clone()]))])),
                apply(Ln, sum([of(Exp), constant(2.0)])),
                quotient(of(Exp), sum([of(Exp), apply(Exp, product([constant(3.0), x.clone()]))])),
                Expression::Power(Box::new(sum([x.clone(), constant(2.0)])), 3),
            ]
        };
        for at in [-1.3, -0.2, 0.7, 2.0] {
            let (h, by) = (1e-6, Number::Loss);
            let (low, middle, high) = (formula(x(at - h)), formula(x(at)), formula(x(at + h)));
            for ((low, middle), high) in low.iter().zip(&middle).zip(&high) {
                let expected = (high.evaluate() - low.evaluate()) / (2.0 * h);
                let y = Expression::Number {
                    symbol: Symbol::new("y", "y"),
                    number: Number::LearningRate,
                    value: middle.evaluate(),
                };
                for slope in [middle.derivative(by), middle.derivative_of(&y, &x(at))] {
                    assert!((slope.evaluate() - expected).abs() < 1e-8, "{}: {}", middle.symbols(), slope.symbols());
                }
                assert_eq!(middle.derivative(Number::LearningRate), constant(0.0));
            }
        }
        // At the kinks.
        assert_eq!(apply(Relu, x(0.0)).derivative(Number::Loss), constant(0.0));
        assert_eq!(apply(Abs, x(-0.0)).derivative(Number::Loss), constant(0.0));
        // A number that has two symbols is two letters.
        let other = Expression::Number { symbol: Symbol::new("x′₁", "{x'}_{1}"), number: Number::Loss, value: 0.7 };
        let both = product([x(0.7), other.clone()]);
        assert_eq!(both.derivative_of(&constant(0.49), &other).symbols(), "x₁");
        assert_eq!((both.derivative(Number::Loss).symbols(), both.letters().len()), ("x′₁ + x₁".into(), 2));
        // As it is written by hand.
        let (x, by) = (x(0.7), Number::Loss);
        assert_eq!(apply(Tanh, x.clone()).derivative(by).symbols(), "1 − (tanh(x₁))²");
        assert_eq!(squared(minus(x.clone(), constant(0.5))).derivative(by).symbols(), "2 · (x₁ − 0.5)");
        assert_eq!(apply(Ln, sum([constant(1.0), apply(Exp, x)])).derivative(by).symbols(), "σ(x₁)");
    }
}
