//! Formulas in x and y, with their gradients by the chain rule: each part of a formula is evaluated as a number with its
//! two derivatives.
//!
//! A crate that parses formulas and derives them, `exmex`, brings a machine for regular expressions, which is larger than
//! all the pages.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Error;

/// A value with its derivatives by x and y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dual {
    pub(crate) value: f64,
    pub(crate) slopes: [f64; 2],
}

impl Dual {
    fn constant(value: f64) -> Self {
        Self { value, slopes: [0.0; 2] }
    }

    /// φ(u), by its value and its slope φ'(u).
    fn chain(self, value: f64, slope: f64) -> Self {
        Self { value, slopes: self.slopes.map(|own| slope * own) }
    }

    fn power(self, exponent: Self) -> Self {
        let value = self.value.powf(exponent.value);
        if exponent.slopes == [0.0; 2] {
            let slope =
                if exponent.value == 0.0 { 0.0 } else { exponent.value * self.value.powf(exponent.value - 1.0) };
            return self.chain(value, slope);
        }
        // u^v = e^(v ln u)
        let ln = self.chain(self.value.ln(), 1.0 / self.value);
        (exponent * ln).chain(value, value)
    }
}

impl Add for Dual {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let ([ux, uy], [vx, vy]) = (self.slopes, other.slopes);
        Self { value: self.value + other.value, slopes: [ux + vx, uy + vy] }
    }
}

impl Neg for Dual {
    type Output = Self;

    fn neg(self) -> Self {
        self.chain(-self.value, -1.0)
    }
}

impl Sub for Dual {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Dual {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let ([ux, uy], [vx, vy]) = (self.slopes, other.slopes);
        let (u, v) = (self.value, other.value);
        Self { value: u * v, slopes: [ux * v + u * vx, uy * v + u * vy] }
    }
}

impl Div for Dual {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        self * other.chain(1.0 / other.value, -1.0 / (other.value * other.value))
    }
}

/// A formula that has been read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Formula(Vec<Part>);

/// A part, which takes what the parts in front of it have left.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Number(f64),
    X,
    Y,
    Negative,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Apply(Function),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Sin,
    Cos,
    Tan,
    Exp,
    Ln,
    Sqrt,
    Abs,
    Tanh,
}

const FUNCTIONS: [(&str, Function); 9] = [
    ("sin", Function::Sin),
    ("cos", Function::Cos),
    ("tan", Function::Tan),
    ("exp", Function::Exp),
    ("ln", Function::Ln),
    ("log", Function::Ln),
    ("sqrt", Function::Sqrt),
    ("abs", Function::Abs),
    ("tanh", Function::Tanh),
];

impl Function {
    fn of(self, u: Dual) -> Dual {
        let x = u.value;
        let (value, slope) = match self {
            Self::Sin => (x.sin(), x.cos()),
            Self::Cos => (x.cos(), -x.sin()),
            Self::Tan => (x.tan(), 1.0 + x.tan() * x.tan()),
            Self::Exp => (x.exp(), x.exp()),
            Self::Ln => (x.ln(), 1.0 / x),
            Self::Sqrt => (x.sqrt(), 0.5 / x.sqrt()),
            Self::Abs => (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }),
            Self::Tanh => (x.tanh(), 1.0 - x.tanh() * x.tanh()),
        };
        u.chain(value, slope)
    }
}

/// The longest formula that is read.
const LONGEST: usize = 400;
/// The deepest parentheses.
const DEEPEST: usize = 40;

impl Formula {
    /// Reads a formula such as `(1 - x)^2 + 100 (y - x^2)^2`; a product may be written without its sign.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Err(Error::new("Write a formula in x and y, such as x^2 + 3*y^2."));
        }
        if text.len() > LONGEST {
            return Err(Error::new("A formula may have up to {longest} characters, but this has {count}.")
                .with("longest", LONGEST)
                .with("count", text.len()));
        }
        let mut reader = Reader { text, at: 0, depth: 0, parts: Vec::new() };
        reader.sum()?;
        if let Some(next) = reader.peek() {
            return Err(reader
                .fault("In the formula, at character {place}: `{next}` is not expected.")
                .with("next", next));
        }
        Ok(Self(reader.parts))
    }

    /// The value with its gradient.
    pub(crate) fn at(&self, x: f64, y: f64) -> Dual {
        let mut stack: Vec<Dual> = Vec::new();
        for part in &self.0 {
            let mut take = || stack.pop().unwrap_or(Dual::constant(f64::NAN));
            let result = match part {
                Part::Number(number) => Dual::constant(*number),
                Part::X => Dual { value: x, slopes: [1.0, 0.0] },
                Part::Y => Dual { value: y, slopes: [0.0, 1.0] },
                Part::Negative => -take(),
                Part::Apply(function) => function.of(take()),
                Part::Add | Part::Subtract | Part::Multiply | Part::Divide | Part::Power => {
                    let (second, first) = (take(), take());
                    match part {
                        Part::Add => first + second,
                        Part::Subtract => first - second,
                        Part::Multiply => first * second,
                        Part::Divide => first / second,
                        _ => first.power(second),
                    }
                }
            };
            stack.push(result);
        }
        stack.pop().unwrap_or(Dual::constant(f64::NAN))
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    parts: Vec<Part>,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = self.text.get(self.at..)?;
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.peek();
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(wanted));
        if found {
            self.at += wanted.len();
        }
        found
    }

    /// An error at the place that is read, which the sentence names.
    fn fault(&self, sentence: &'static str) -> Error {
        let place = self.text.get(..self.at).map_or(0, |read| read.chars().count()) + 1;
        Error::new(sentence).with("place", place)
    }

    /// sum: product (+ product | − product)*
    fn sum(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fault("In the formula, at character {place}: the parentheses are too deep."));
        }
        self.product()?;
        loop {
            let part = match self.peek() {
                Some('+') => Part::Add,
                Some('-' | '−') => Part::Subtract,
                _ => break,
            };
            self.skip();
            self.product()?;
            self.parts.push(part);
        }
        self.depth -= 1;
        Ok(())
    }

    /// product: signed (* signed | / signed | power)*
    fn product(&mut self) -> Result<(), Error> {
        self.signed()?;
        loop {
            match self.peek() {
                Some('*' | '·' | '×') => {
                    self.skip();
                    self.signed()?;
                    self.parts.push(Part::Multiply);
                }
                Some('/') => {
                    self.skip();
                    self.signed()?;
                    self.parts.push(Part::Divide);
                }
                Some(next) if next == '(' || next.is_alphanumeric() => {
                    self.power()?;
                    self.parts.push(Part::Multiply);
                }
                _ => return Ok(()),
            }
        }
    }

    /// signed: −* power, so that −x² is −(x²)
    fn signed(&mut self) -> Result<(), Error> {
        let mut negative = false;
        while let Some('-' | '−' | '+') = self.peek() {
            negative ^= self.peek() != Some('+');
            self.skip();
        }
        self.power()?;
        if negative {
            self.parts.push(Part::Negative);
        }
        Ok(())
    }

    /// power: atom (^ signed | ** signed | ² | ³)?, from the right
    fn power(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fault("In the formula, at character {place}: the powers are too deep."));
        }
        self.atom()?;
        let raised = match self.peek() {
            Some('²') => Some(2.0),
            Some('³') => Some(3.0),
            _ => None,
        };
        if let Some(exponent) = raised {
            self.skip();
            self.parts.extend([Part::Number(exponent), Part::Power]);
        } else if self.take("^") || self.take("**") {
            self.signed()?;
            self.parts.push(Part::Power);
        }
        self.depth -= 1;
        Ok(())
    }

    fn atom(&mut self) -> Result<(), Error> {
        let part = match self.peek() {
            Some('(') => {
                self.skip();
                self.sum()?;
                if !self.take(")") {
                    return Err(self.fault("In the formula, at character {place}: a closing parenthesis is missing."));
                }
                return Ok(());
            }
            Some(next) if next.is_ascii_digit() || next == '.' => Part::Number(self.number()?),
            Some('½') => {
                self.skip();
                Part::Number(0.5)
            }
            Some(next) if next.is_alphabetic() => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let end = rest.find(|character: char| !character.is_alphabetic()).unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default();
                if let Some((_, function)) = FUNCTIONS.iter().find(|(name, _)| *name == word) {
                    self.at += end;
                    if self.peek() != Some('(') {
                        return Err(self
                            .fault("In the formula, at character {place}: `{word}` needs its argument in parentheses.")
                            .with("word", word));
                    }
                    self.atom()?;
                    self.parts.push(Part::Apply(*function));
                    return Ok(());
                }
                let part = match word {
                    "pi" | "π" => Part::Number(std::f64::consts::PI),
                    "e" => Part::Number(std::f64::consts::E),
                    "x" => Part::X,
                    "y" => Part::Y,
                    _ => return self.letters(word),
                };
                self.at += end;
                part
            }
            Some(next) => {
                return Err(self
                    .fault("In the formula, at character {place}: `{next}` is not expected.")
                    .with("next", next));
            }
            None => return Err(self.fault("In the formula, at character {place}: something is missing.")),
        };
        self.parts.push(part);
        Ok(())
    }

    /// `xy` is x times y.
    fn letters(&mut self, word: &str) -> Result<(), Error> {
        if !word.chars().all(|letter| letter == 'x' || letter == 'y') {
            return Err(self.fault("In the formula, at character {place}: `{word}` is not known; there are x, y, pi, e, sin, cos, tan, exp, ln, sqrt, abs and tanh.").with("word", word));
        }
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            self.at += first.len_utf8();
            self.parts.push(if first == 'x' { Part::X } else { Part::Y });
        }
        Ok(())
    }

    fn number(&mut self) -> Result<f64, Error> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut end =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        // An exponent, such as 1e-3; `2exp(x)` has none.
        let exponent = rest.get(end..).unwrap_or_default();
        if exponent.starts_with(['e', 'E']) {
            let digits = exponent.get(1..).unwrap_or_default();
            let sign = usize::from(digits.starts_with(['-', '+']));
            let count = digits.get(sign..).unwrap_or_default().bytes().take_while(u8::is_ascii_digit).count();
            if count > 0 {
                end += 1 + sign + count;
            }
        }
        let text = rest.get(..end).unwrap_or_default();
        let number = text.parse().map_err(|_| {
            self.fault("In the formula, at character {place}: `{text}` is no number.").with("text", text)
        })?;
        self.at += end;
        Ok(number)
    }

    fn skip(&mut self) {
        if let Some(next) = self.peek() {
            self.at += next.len_utf8();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_read_as_they_are_written() {
        let value = |text: &str| Formula::read(text).unwrap().at(2.0, 3.0).value;
        assert_eq!(value("x^2 + 3*y^2"), 31.0);
        assert_eq!(value("-x^2"), -4.0);
        assert_eq!(value("½x² + 10y²"), 92.0);
        assert_eq!(value("2 x**2 y³"), 216.0);
        assert_eq!(value("2x y - xy"), 6.0);
        assert_eq!(value("2^3^2"), 512.0);
        assert_eq!(value("1e-1 + 2exp(0)"), 2.1);
        assert_eq!(value("(1 - x)^2 + 100 (y - x^2)^2"), 101.0);
        assert_eq!(value("6/2/3 - -1"), 2.0);
        assert_eq!(value("sqrt(abs(-16)) + ln(e) + cos(pi)"), 4.0);
        assert_eq!(value("x^-1"), 0.5);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for text in [
            "x^2 y + sin(x y)/(1 + y^2)",
            "exp(-x^2 - y^2)",
            "x^y",
            "tanh(x) - ln(y) + sqrt(x)",
            "tan(x/5) abs(y)",
            "cos(x)^3",
        ] {
            let formula = Formula::read(text).unwrap();
            let (x, y, h) = (0.7, 1.3, 1e-6);
            let found = formula.at(x, y).slopes;
            let expected = [
                (formula.at(x + h, y).value - formula.at(x - h, y).value) / (2.0 * h),
                (formula.at(x, y + h).value - formula.at(x, y - h).value) / (2.0 * h),
            ];
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-8, "{text}: {found} {expected}");
            }
        }
    }

    #[test]
    fn what_is_no_formula_is_refused_at_its_place() {
        let told = |text: &str| Formula::read(text).unwrap_err().to_string();
        assert!(told("x + ").contains("something is missing"));
        assert!(told("x + z").contains("character 5: `z`"));
        assert!(told("(x + y").contains("parenthesis"));
        assert!(told("x)").contains("`)`"));
        assert!(told("sin x").contains("parentheses"));
        assert!(told("1.2.3").contains("1.2.3"));
        assert!(told("").contains("Write a formula"));
        assert!(told(&"(".repeat(300)).contains("deep"));
        assert!(told(&"x^".repeat(150)).contains("deep"));
        assert!(told(&"-".repeat(300)).contains("missing"));
        assert!(told(&"x".repeat(1000)).contains("400"));
        assert!(told("x → y").contains("→"));
    }
}
