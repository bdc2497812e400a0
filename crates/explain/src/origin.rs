use std::fmt;

use downhill_tensor::Shape;

use crate::explanation::{Explanation, Local, Node, Reader, Step, Targets};
use crate::expression::{constant, product, sum};
use crate::format::{self, DIGITS, Notation};
use crate::formulas::{self, gives};
use crate::losses::Compared;
use crate::{Expression, Number, Symbol, Variable, equations, optimizers};

/// How a number came about: a formula with symbols, and the same formula with the numbers put in.
///
/// Symbols are those of one step: x is what it takes (x′ its second input), y what it makes; superscripts in
/// parentheses count examples. It is printed as `dJ/dw₂₁ = x₁ · dJ/dy₂ = 0.5 · (−0.12) = −0.06`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Origin {
    /// The number's address.
    pub number: Number,
    /// The step whose x, y and parameters the symbols mean; for the loss, the targets and inputs there is none.
    pub step: Option<usize>,
    /// How the number is written.
    pub symbol: Symbol,
    /// What it comes from.
    pub source: Source,
    /// The formula, if there is one; it gives the number within rounding.
    pub formula: Option<Expression>,
    /// The number, as the pass has computed it.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::number"))]
    pub value: f64,
}

/// What a number comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Source {
    /// It was given: an input, a target, a parameter or a learning rate.
    Given,
    /// It follows from other numbers by a formula.
    Formula,
    /// It is 0, as the gradient of a frozen parameter counts.
    Frozen,
    /// A layer computed it, by a rule that is not written here.
    Layer(String),
    /// A loss computed it, by a rule that is not written here.
    Loss(String),
    /// An optimizer computed it, by a rule that is not written here.
    Optimizer(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given"),
            Self::Formula => f.write_str("by the formula"),
            Self::Frozen => f.write_str("since it is frozen"),
            Self::Layer(name) | Self::Loss(name) | Self::Optimizer(name) => write!(f, "as {name} computes it"),
        }
    }
}

impl Origin {
    /// The whole equation as text, with numbers of this many significant digits; 17 show each bit.
    #[must_use]
    pub fn text(&self, digits: usize) -> String {
        self.written(Notation::Text, digits)
    }

    /// The whole equation as LaTeX, with numbers of this many significant digits.
    #[must_use]
    pub fn latex(&self, digits: usize) -> String {
        self.written(Notation::Latex, digits)
    }

    /// Whether the number replaces the one that its symbol stood for.
    pub(crate) fn is_update(&self) -> bool {
        matches!(self.number, Number::Updated { .. } | Number::Remembered { .. })
    }

    fn written(&self, notation: Notation, digits: usize) -> String {
        let parts = self.parts(notation, digits);
        let arrow = if self.is_update() { notation.pick("←", "\\leftarrow") } else { "=" };
        let (first, rest) = parts.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let written = format!("{first} {arrow} {}", rest.join(" = "));
        match (&self.formula, notation) {
            (Some(_), _) => written,
            (None, Notation::Text) => format!("{written}, {}", self.source),
            (None, Notation::Latex) => {
                format!("{written} \\quad \\text{{{}}}", format::escaped(&self.source.to_string()))
            }
        }
    }

    /// The sides of the equation: the symbol, the formula, the formula with numbers, and the number.
    pub(crate) fn parts(&self, notation: Notation, digits: usize) -> Vec<String> {
        let mut parts = vec![notation.pick(&self.symbol.text, &self.symbol.latex).clone()];
        if let Some(formula) = &self.formula {
            let (symbols, numbers) = (formula.written(notation, None), formula.written(notation, Some(digits)));
            if (symbols != parts[0] || self.is_update()) && symbols != numbers {
                parts.push(symbols);
            }
            if !formula.is_number() {
                parts.push(numbers);
            }
        }
        let value = format::number(self.value, digits, notation);
        // A sum of one number is that number.
        if parts.len() < 2 || parts.last() != Some(&value) {
            parts.push(value);
        }
        parts
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(f.precision().unwrap_or(DIGITS)))
    }
}

impl Explanation {
    /// How a number came about, worked out of the others when it is asked for; `None` if the explanation has no such
    /// number.
    ///
    /// A formula is shown if it gives the number within rounding. The sum over a batch has a term for each example.
    /// What one step alone gives back to another comes about in the step that gives it back, so its origin is that of
    /// the product, by the name that it has there: dJ/dx, and not dJ/dy.
    #[must_use]
    pub fn origin(&self, number: Number) -> Option<Origin> {
        let value = self.value(number)?;
        let (step, symbol, source, formula) = match number {
            Number::Loss => {
                let formula = self.compared().and_then(|compared| compared.value());
                let (source, formula) = self.or(formula, number, Source::Loss(self.loss.name.clone()));
                (None, Symbol::new("J", "J"), source, formula)
            }
            Number::Target { .. } | Number::LearningRate => (None, self.symbol(number)?, Source::Given, None),
            Number::Memory { parameter, .. } | Number::Parameter { parameter, .. } => {
                (self.owner(parameter), self.symbol(number)?, Source::Given, None)
            }
            Number::Value { node, index } => match self.maker(node) {
                None => (None, self.symbol(number)?, Source::Given, None),
                Some(step) => self.by_layer(step, number, self.value_formula(step, index, number))?,
            },
            Number::Gradient { node, index } => self.gradient_origin(node, index)?,
            Number::Slope { step, index } => {
                let at = self.steps.get(step)?;
                let (x, y) = (self.x(step, 0, index), self.y(step, index));
                let formula = x.zip(y).and_then(|(x, y)| formulas::slope(&at.layer, &at.settings, x, y));
                self.by_layer(step, number, formula)?
            }
            Number::Derivative { step, output, by } => {
                self.by_layer(step, number, equations::slope(self, step, None, output, by))?
            }
            Number::Inner { step, array, index } => {
                self.by_layer(step, number, equations::inner(self, step, array, index))?
            }
            Number::InnerDerivative { step, array, index, by } => {
                self.by_layer(step, number, equations::slope(self, step, Some(array), index, by))?
            }
            Number::InnerGradient { step, array, index } => {
                self.by_layer(step, number, self.chained(step, Variable::Inner { array, index }))?
            }
            Number::Product { step, input, index } => {
                self.by_layer(step, number, self.product_formula(step, input, index))?
            }
            Number::ParameterProduct { step, parameter, index } => {
                self.by_layer(step, number, self.parameter_formula(step, parameter, index))?
            }
            Number::ParameterGradient { parameter, index } => self.sum_over_steps(parameter, index)?,
            Number::Updated { parameter, index } => {
                let theta = self.number(Number::Parameter { parameter, index })?;
                let formula = match self.parameters.get(parameter)?.stays() {
                    true => Some(theta.clone()),
                    false => optimizers::stepped(self, parameter, index).map(|stepped| stepped.theta),
                };
                self.by_optimizer(parameter, number, theta.evaluate(), formula)?
            }
            Number::Remembered { parameter, slot, index } => {
                let at = self.parameters.get(parameter)?;
                let before = self.number(Number::Memory { parameter, slot, index })?;
                let formula = match at.stays() {
                    true => Some(before.clone()),
                    false => {
                        let stepped = optimizers::stepped(self, parameter, index);
                        let name = &at.memory.get(slot)?.name;
                        let found = stepped.and_then(|stepped| stepped.memory.into_iter().find(|(own, _)| own == name));
                        found.map(|(_, formula)| formula)
                    }
                };
                self.by_optimizer(parameter, number, before.evaluate(), formula)?
            }
        };
        Some(Origin { number, step, symbol, source, formula, value })
    }

    /// A number of a parameter that has a formula, or else is as the optimizer computes it.
    fn by_optimizer(&self, parameter: usize, number: Number, before: f64, known: Option<Expression>) -> Option<Answer> {
        let value = self.value(number)?;
        // A step is small next to θ, so that θ alone would nearly be the number.
        let formula = known.filter(|formula| self.gives_step(formula, before, value));
        let source = match formula {
            Some(_) => Source::Formula,
            None => Source::Optimizer(self.update.as_ref()?.optimizer.clone()),
        };
        Some((self.owner(parameter), self.symbol(number)?, source, formula))
    }

    /// Whether a formula gives the number, and the way to it from the number before.
    fn gives_step(&self, formula: &Expression, before: f64, value: f64) -> bool {
        let (relative, epsilon) =
            if self.precision == "f32" { (1e-5, f64::from(f32::EPSILON)) } else { (1e-8, f64::EPSILON) };
        let (step, got) = (value - before, formula.evaluate() - before);
        let rounding = 4.0 * epsilon * before.abs().max(value.abs());
        formula.evaluate() == value || (step - got).abs() <= relative * step.abs() + rounding
    }

    /// A number of a step that has a formula, or else is as the layer computes it.
    fn by_layer(&self, step: usize, number: Number, formula: Option<Expression>) -> Option<Answer> {
        let (source, formula) = self.or(formula, number, Source::Layer(self.steps.get(step)?.layer.clone()));
        Some((Some(step), self.symbol(number)?, source, formula))
    }

    /// A variable of a step, as its equations have it.
    pub(crate) fn variable(&self, step: usize, by: Variable) -> Option<Expression> {
        match by {
            Variable::Input { input, index } => self.x(step, input, index),
            Variable::Parameter { parameter, index } => self.number(Number::Parameter { parameter, index }),
            Variable::Inner { array, index } => self.number(Number::Inner { step, array, index }),
        }
    }

    /// dJ/d(a variable of a step): what each number gives back in whose equation it stands.
    fn chained(&self, step: usize, variable: Variable) -> Option<Expression> {
        let Local::Equations { derivatives, .. } = &self.steps.get(step)?.local else { return None };
        let above = |number: Number| match number {
            Number::Derivative { output, by, .. } if by == variable => {
                Some(Number::Gradient { node: self.steps.get(step)?.output, index: output })
            }
            Number::InnerDerivative { array, index, by, .. } if by == variable => {
                Some(Number::InnerGradient { step, array, index })
            }
            _ => None,
        };
        let all = derivatives.iter().filter_map(|derivative| Some((above(derivative.number)?, derivative.number)));
        let terms = all.map(|(above, derivative)| Some(product([self.number(above)?, self.number(derivative)?])));
        Some(sum(terms.collect::<Option<Vec<_>>>()?))
    }

    /// Whether a formula gives a number, within rounding.
    fn gives(&self, formula: &Expression, number: Number) -> bool {
        self.value(number).is_some_and(|value| gives(formula, value, self.largest(number), &self.precision))
    }

    /// The formula, if it gives the number, or else the one who computed it.
    fn or(&self, formula: Option<Expression>, number: Number, source: Source) -> (Source, Option<Expression>) {
        match formula.filter(|formula| self.gives(formula, number)) {
            Some(formula) => (Source::Formula, Some(formula)),
            None => (source, None),
        }
    }

    /// What comes from above is what the loss gives back, or a reader, or the sum of what all readers do.
    fn gradient_origin(&self, node: usize, index: usize) -> Option<Answer> {
        let number = Number::Gradient { node, index };
        let readers = &self.nodes.get(node)?.readers;
        if let [reader] = readers[..] {
            let product = self.origin(Number::Product { step: reader.step, input: reader.input, index })?;
            // A step that is not explained may differ, such as one that no gradient reaches.
            if self.gives(&constant(product.value), number) {
                return Some((product.step, product.symbol, product.source, product.formula));
            }
        }
        let step = self.maker(node);
        let symbol = self.symbol(number)?;
        if readers.is_empty() && node == self.loss.node {
            let slope = self.compared().and_then(|compared| compared.slope(index));
            let (source, formula) = self.or(slope, number, Source::Loss(self.loss.name.clone()));
            return Some((None, symbol, source, formula));
        }
        let part = |reader: &Reader| Number::Product { step: reader.step, input: reader.input, index };
        let parts = readers.iter().map(|reader| self.part(reader.step, part(reader)));
        let (source, formula) = self.or(parts.collect::<Option<Vec<_>>>().map(sum), number, Source::Given);
        Some((step, symbol, source, formula))
    }

    /// dJ/dθ is what the one step with this parameter gives back, or the sum of what several do; 0 if it is frozen.
    fn sum_over_steps(&self, parameter: usize, index: usize) -> Option<Answer> {
        let (number, at) = (Number::ParameterGradient { parameter, index }, self.parameters.get(parameter)?);
        let (step, symbol) = (self.owner(parameter), self.symbol(number)?);
        if at.frozen {
            return Some((step, symbol, Source::Frozen, None));
        }
        if let [step] = at.steps[..] {
            let product = self.origin(Number::ParameterProduct { step, parameter, index })?;
            return Some((product.step, product.symbol, product.source, product.formula));
        }
        let parts = at.steps.iter().map(|&step| self.part(step, Number::ParameterProduct { step, parameter, index }));
        let (source, formula) = self.or(parts.collect::<Option<Vec<_>>>().map(sum), number, Source::Given);
        Some((step, symbol, source, formula))
    }

    /// What a step contributes to a sum over steps.
    fn part(&self, step: usize, number: Number) -> Option<Expression> {
        let symbol = self.symbol(number)?.at(self.steps.get(step)?.title());
        Some(Expression::Number { symbol, number, value: self.value(number)? })
    }

    /// The first step to run that uses a parameter.
    fn owner(&self, parameter: usize) -> Option<usize> {
        self.parameters.get(parameter)?.steps.last().copied()
    }

    fn compared(&self) -> Option<Compared<'_>> {
        let node = self.nodes.get(self.loss.node)?;
        // As many examples as the data has.
        let count = node.values.numbers.len();
        if count == 0 || node.shape.len().checked_mul(self.examples) != Some(count) {
            return None;
        }
        let all = |count: usize, number: &dyn Fn(usize) -> Number| {
            (0..count).map(|index| self.number(number(index))).collect::<Option<Vec<_>>>()
        };
        Some(Compared {
            name: &self.loss.name,
            settings: &self.loss.settings,
            y: all(count, &|index| Number::Value { node: self.loss.node, index })?,
            targets: &self.loss.targets,
            t: all(self.loss.targets.len(), &|index| Number::Target { index })?,
            axes: node.shape.axes(),
            examples: self.examples,
            divisor: self.loss.divisor,
        })
    }

    /// y of a step.
    fn value_formula(&self, step: usize, index: usize, number: Number) -> Option<Expression> {
        let at = self.steps.get(step)?;
        match &at.local {
            // y = x W + b
            Local::Affine => {
                let (inputs, outputs) = self.affine(at)?;
                let (row, output) = (index / outputs, index % outputs);
                let mut terms = Vec::new();
                for input in 0..inputs {
                    let x = self.x(step, 0, row * inputs + input)?;
                    terms.push(product([x, self.theta(step, 0, input * outputs + output)?]));
                }
                if at.parameters.len() > 1 {
                    terms.push(self.theta(step, 1, output)?);
                }
                Some(sum(terms))
            }
            Local::Elementwise { .. } => {
                let x = self.x(step, 0, index)?;
                let known = formulas::value(&at.layer, &at.settings, x.clone());
                known.filter(|known| self.gives(known, number)).or_else(|| {
                    // So does what scales, keeps or drops each number.
                    Some(product([self.number(Number::Slope { step, index })?, x]))
                })
            }
            Local::Sum => {
                let inputs = 0..at.inputs.len();
                Some(sum(inputs.map(|input| self.x(step, input, index)).collect::<Option<Vec<_>>>()?))
            }
            Local::Equations { .. } | Local::NotListed => equations::output(self, step, index),
            // What is linear, or of the first degree such as a maximum, is its own Jacobian times x; a bias is added.
            Local::Jacobian { dx, dtheta } => {
                let known = equations::output(self, step, index);
                if let Some(known) = known.filter(|known| self.gives(known, number)) {
                    return Some(known);
                }
                let term = |by| {
                    let slope = self.number(Number::Derivative { step, output: index, by })?;
                    Some(product([slope, self.variable(step, by)?]))
                };
                let mut terms = Vec::new();
                for (input, matrix) in dx.iter().enumerate() {
                    for (column, _) in matrix.row(index) {
                        terms.push(term(Variable::Input { input, index: column })?);
                    }
                }
                let linear = sum(terms.clone());
                if self.gives(&linear, number) {
                    return Some(linear);
                }
                for (&parameter, matrix) in at.parameters.iter().zip(dtheta) {
                    if self.parameters.get(parameter)?.short_name() == "bias" {
                        for (column, _) in matrix.row(index) {
                            terms.push(term(Variable::Parameter { parameter, index: column })?);
                        }
                    }
                }
                Some(sum(terms))
            }
        }
    }

    /// dJ/dx of a step.
    fn product_formula(&self, step: usize, input: usize, index: usize) -> Option<Expression> {
        let at = self.steps.get(step)?;
        match &at.local {
            // dJ/dx = dJ/dy Wᵀ
            Local::Affine => {
                let (inputs, outputs) = self.affine(at)?;
                let (row, input) = (index / inputs, index % inputs);
                let term = |output| {
                    let dy = self.dy(step, row * outputs + output)?;
                    Some(product([dy, self.theta(step, 0, input * outputs + output)?]))
                };
                Some(sum((0..outputs).map(term).collect::<Option<Vec<_>>>()?))
            }
            Local::Elementwise { .. } => {
                Some(product([self.dy(step, index)?, self.number(Number::Slope { step, index })?]))
            }
            Local::Sum => self.dy(step, index),
            Local::Equations { .. } => self.chained(step, Variable::Input { input, index }),
            Local::Jacobian { dx, .. } => {
                let term = |(output, _): (usize, f64)| {
                    let number = Number::Derivative { step, output, by: Variable::Input { input, index } };
                    Some(product([self.dy(step, output)?, self.number(number)?]))
                };
                Some(sum(dx.get(input)?.column(index).map(term).collect::<Option<Vec<_>>>()?))
            }
            Local::NotListed => None,
        }
    }

    /// dJ/dθ of a step.
    fn parameter_formula(&self, step: usize, parameter: usize, index: usize) -> Option<Expression> {
        let at = self.steps.get(step)?;
        let place = at.place_of(parameter)?;
        match &at.local {
            // dJ/dW = xᵀ dJ/dy, dJ/db = Σ dJ/dy
            Local::Affine => {
                let (inputs, outputs) = self.affine(at)?;
                let rows = self.nodes.get(at.output)?.values.numbers.len() / outputs;
                let term = |row| {
                    let dy = self.dy(step, row * outputs + index % outputs)?;
                    match place {
                        0 => Some(product([self.x(step, 0, row * inputs + index / outputs)?, dy])),
                        _ => Some(dy),
                    }
                };
                Some(sum((0..rows).map(term).collect::<Option<Vec<_>>>()?))
            }
            Local::Jacobian { dtheta, .. } => {
                let term = |(output, _): (usize, f64)| {
                    let number = Number::Derivative { step, output, by: Variable::Parameter { parameter, index } };
                    Some(product([self.number(number)?, self.dy(step, output)?]))
                };
                Some(sum(dtheta.get(place)?.column(index).map(term).collect::<Option<Vec<_>>>()?))
            }
            Local::Equations { .. } => self.chained(step, Variable::Parameter { parameter, index }),
            _ => None,
        }
    }

    /// The lengths of the vectors that an affine layer takes and makes.
    fn affine(&self, step: &Step) -> Option<(usize, usize)> {
        let weight = self.parameters.get(*step.parameters.first()?)?;
        match weight.shape.axes() {
            &[inputs, outputs] if inputs > 0 && outputs > 0 => Some((inputs, outputs)),
            _ => None,
        }
    }

    pub(crate) fn x(&self, step: usize, input: usize, index: usize) -> Option<Expression> {
        let number = Number::Value { node: *self.steps.get(step)?.inputs.get(input)?, index };
        let symbol = self.input_symbol(step, input, index)?;
        Some(Expression::Number { symbol, number, value: self.value(number)? })
    }

    fn y(&self, step: usize, index: usize) -> Option<Expression> {
        self.number(Number::Value { node: self.steps.get(step)?.output, index })
    }

    fn dy(&self, step: usize, index: usize) -> Option<Expression> {
        self.number(Number::Gradient { node: self.steps.get(step)?.output, index })
    }

    fn theta(&self, step: usize, place: usize, index: usize) -> Option<Expression> {
        let parameter = *self.steps.get(step)?.parameters.get(place)?;
        self.number(Number::Parameter { parameter, index })
    }

    pub(crate) fn number(&self, number: Number) -> Option<Expression> {
        Some(Expression::Number { symbol: self.symbol(number)?, number, value: self.value(number)? })
    }

    /// How a number is written: what a step takes as its x, and what it makes as its y. `None` if the explanation has no
    /// such number.
    #[must_use]
    pub fn symbol(&self, number: Number) -> Option<Symbol> {
        let j = Symbol::new("J", "J");
        Some(match number {
            Number::Loss => j,
            Number::LearningRate => Symbol::new("η", "\\eta"),
            Number::Target { index } => {
                let node = self.nodes.get(self.loss.node)?;
                match &self.loss.targets {
                    Targets::Values(values) if values.numbers.len() == node.values.numbers.len() => {
                        self.indexed("t", "t", index, node)
                    }
                    Targets::Values(values) => counted("t", index, values.numbers.len()),
                    Targets::Classes(classes) => counted("t", index, classes.len()),
                }
            }
            Number::Value { node, index } => match node.checked_sub(self.inputs()) {
                Some(_) => self.indexed("y", "y", index, self.nodes.get(node)?),
                None => {
                    let (text, latex) = primed(node);
                    self.indexed(&text, &latex, index, self.nodes.get(node)?)
                }
            },
            Number::Gradient { node, index } => j.by(&self.symbol(Number::Value { node, index })?),
            Number::Slope { step, index } => {
                let y = self.symbol(Number::Value { node: self.steps.get(step)?.output, index })?;
                y.by(&self.input_symbol(step, 0, index)?)
            }
            Number::Derivative { step, output, by } => {
                let y = self.symbol(Number::Value { node: self.steps.get(step)?.output, index: output })?;
                y.by(self.variable(step, by)?.letter()?.1)
            }
            Number::Inner { step, array, index } => {
                let inner = self.inner(step, array)?;
                self.lettered(&inner.name, &inner.latex, index, inner.shape, inner.of_batch)
            }
            Number::InnerGradient { step, array, index } => j.by(&self.symbol(Number::Inner { step, array, index })?),
            Number::InnerDerivative { step, array, index, by } => {
                self.symbol(Number::Inner { step, array, index })?.by(self.variable(step, by)?.letter()?.1)
            }
            Number::Memory { parameter, slot, index } | Number::Remembered { parameter, slot, index } => {
                let name = self.parameters.get(parameter)?.memory.get(slot)?.short_name();
                let of = self.symbol(Number::Parameter { parameter, index })?;
                let latex = if name.chars().count() == 1 {
                    name.to_owned()
                } else {
                    format!("\\text{{{}}}", format::escaped(name))
                };
                Symbol::new(format!("{name}({})", of.text), format!("{latex}({})", of.latex))
            }
            Number::Product { step, input, index } => j.by(&self.input_symbol(step, input, index)?),
            Number::Parameter { parameter, index } | Number::Updated { parameter, index } => {
                let at = self.parameters.get(parameter)?;
                let mut indices = format::indices(index, at.shape.axes());
                if at.transposed {
                    indices.reverse();
                }
                let (text, latex) = match at.short_name() {
                    "weight" => ("w".to_owned(), "w".to_owned()),
                    "bias" => ("b".to_owned(), "b".to_owned()),
                    name => (name.to_owned(), format!("\\mathrm{{{}}}", format::escaped(name))),
                };
                Symbol::new(
                    text + &format::subscript(&indices, Notation::Text),
                    latex + &format::subscript(&indices, Notation::Latex),
                )
            }
            Number::ParameterProduct { parameter, index, .. } | Number::ParameterGradient { parameter, index } => {
                j.by(&self.symbol(Number::Parameter { parameter, index })?)
            }
        })
    }

    /// x of a step: x′ for its second input, and so on.
    fn input_symbol(&self, step: usize, input: usize, index: usize) -> Option<Symbol> {
        let node = self.nodes.get(*self.steps.get(step)?.inputs.get(input)?)?;
        let (text, latex) = primed(input);
        Some(self.indexed(&text, &latex, index, node))
    }

    /// A letter with the indices of a number of a node.
    fn indexed(&self, text: &str, latex: &str, index: usize, node: &Node) -> Symbol {
        self.lettered(text, latex, index, node.shape, false)
    }

    /// A letter with the indices of a number, and its example unless the batch has it.
    fn lettered(&self, text: &str, latex: &str, index: usize, shape: Shape, of_batch: bool) -> Symbol {
        let each = shape.len().max(1);
        let indices = format::indices(index % each, shape.axes());
        let example = |notation| match self.examples {
            1 => String::new(),
            _ if of_batch => String::new(),
            _ => format::example(index / each + 1, notation),
        };
        Symbol::new(
            format!("{text}{}{}", format::subscript(&indices, Notation::Text), example(Notation::Text)),
            format!("{latex}{}{}", format::subscript(&indices, Notation::Latex), example(Notation::Latex)),
        )
    }
}

/// The step, the symbol, the source and the formula of an origin.
type Answer = (Option<usize>, Symbol, Source, Option<Expression>);

/// x, x′, x″, ...
fn primed(input: usize) -> (String, String) {
    let latex = if input == 0 { "x".to_owned() } else { format!("{{x{}}}", "'".repeat(input)) };
    (format!("x{}", "′".repeat(input)), latex)
}

fn counted(letter: &str, index: usize, count: usize) -> Symbol {
    let indices = if count == 1 { Vec::new() } else { vec![index + 1] };
    Symbol::new(
        format!("{letter}{}", format::subscript(&indices, Notation::Text)),
        format!("{letter}{}", format::subscript(&indices, Notation::Latex)),
    )
}
