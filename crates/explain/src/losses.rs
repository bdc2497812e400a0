//! The formulas of losses, by name. Each is shown only if it gives the number that the loss has computed.

use crate::Function::{Abs, Exp, Ln, Relu, Sigmoid, Sqrt};
use crate::expression::{apply, constant, divided, minus, negative, product, quotient, scaled, squared, sum, times};
use crate::format::{self, Notation};
use crate::formulas::{softmax, softplus};
use crate::printed::{self, Settings};
use crate::{Expression, Targets};

/// What a loss compares: the predictions with their targets, in order.
pub(crate) struct Compared<'e> {
    pub(crate) name: &'e str,
    pub(crate) settings: &'e Settings,
    pub(crate) y: Vec<Expression>,
    pub(crate) targets: &'e Targets,
    /// The targets, numbers or classes.
    pub(crate) t: Vec<Expression>,
    /// The axes of an example's predictions.
    pub(crate) axes: &'e [usize],
    pub(crate) examples: usize,
    pub(crate) divisor: f64,
}

/// One of several equal parts of all.
fn part<A>(all: &[A], index: usize, parts: usize) -> Option<&[A]> {
    let each = all.len().checked_div(parts).filter(|each| each * parts == all.len())?;
    all.get(index * each..(index + 1) * each)
}

/// ln Σ e^y
fn log_sum_exp(y: &[Expression]) -> Expression {
    apply(Ln, sum(y.iter().map(|y| apply(Exp, y.clone()))))
}

/// pᵞ, as a power if γ is 2.
fn power(p: Expression, gamma: f64) -> Expression {
    match gamma {
        0.0 => constant(1.0),
        1.0 => p,
        2.0 => squared(p),
        _ => apply(Exp, product([constant(gamma), apply(Ln, p)])),
    }
}

/// max(z, 0), or its square.
fn shortfall(z: Expression, is_squared: bool) -> Expression {
    let z = apply(Relu, z);
    if is_squared { squared(z) } else { z }
}

/// max(v, ε), whose slope ignores the bound, as that of the loss does.
fn at_least(least: f64, mut v: Expression) -> Expression {
    if let Expression::Number { symbol, value, .. } = &mut v
        && *value < least
    {
        let bound = |notation| format::number(least, format::DIGITS, notation);
        symbol.text = format!("max({}, {})", symbol.text, bound(Notation::Text));
        symbol.latex = format!("\\max({}, {})", symbol.latex, bound(Notation::Latex));
        *value = least;
    }
    v
}

impl Compared<'_> {
    fn set(&self, name: &str) -> Option<f64> {
        printed::number(self.settings, name)
    }

    fn is(&self, name: &str) -> bool {
        printed::is(self.settings, name, "true")
    }

    /// The name of the loss whose terms are weighed, if they are.
    fn rule(&self) -> &str {
        match self.name {
            "Weighted" => self.settings.get("loss").map_or("", String::as_str),
            name => name,
        }
    }

    /// J: the terms, each by its weight if they have any, summed and divided.
    pub(crate) fn value(&self) -> Option<Expression> {
        let mut terms = match self.pointwise() {
            Some(terms) => terms,
            None => {
                let each = (0..self.examples).map(|example| self.example(example));
                each.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()
            }
        };
        if self.name == "Weighted" {
            let weights = self.weights(terms.len())?;
            terms = weights.into_iter().zip(terms).map(|(weight, term)| scaled(weight, term)).collect();
        }
        Some(divided(sum(terms), self.divisor))
    }

    /// The weight of each term.
    fn weights(&self, terms: usize) -> Option<Vec<f64>> {
        let weights = printed::numbers(self.settings, "weights");
        let (own, each) = (weights.len().checked_div(self.examples)?, terms.checked_div(self.examples)?);
        let by_position = printed::is(self.settings, "class_axis", "First");
        let weight = |term: usize| {
            let (example, within) = (term.checked_div(each)?, term % each);
            // A weight belongs to as many neighbouring terms as any other, or to all classes of a position.
            let place = if by_position { within.checked_rem(own)? } else { within * own / each };
            weights.get(example * own + place).copied()
        };
        (0..terms).map(weight).collect()
    }

    /// dJ/dy of one number.
    pub(crate) fn slope(&self, index: usize) -> Option<Expression> {
        let Some(Expression::Number { number, .. }) = self.y.get(index) else { return None };
        // (y − t) / (y (1 − y)), which the derivative has in two parts.
        if self.name == "BinaryCrossEntropy" {
            let (y, t) = (self.y.get(index)?.clone(), self.t.get(index)?.clone());
            let slope = quotient(minus(y.clone(), t), product([y.clone(), minus(constant(1.0), y)]));
            return Some(divided(slope, self.divisor));
        }
        Some(self.value()?.derivative(*number))
    }

    /// The terms of a loss that compares each number with its own target.
    fn pointwise(&self) -> Option<Vec<Expression>> {
        let pairs = self.y.iter().zip(&self.t).enumerate();
        let term = |(index, (y, t)): (usize, (&Expression, &Expression))| self.term(y.clone(), t.clone(), index);
        let fits = self.t.len() == self.y.len() && !self.t.is_empty();
        if fits { pairs.map(term).collect() } else { None }
    }

    /// The term of one number: of several pieces, the one on which it lies.
    fn term(&self, y: Expression, t: Expression, index: usize) -> Option<Expression> {
        let (one, half) = (|| constant(1.0), |a| product([constant(0.5), a]));
        let d = || minus(y.clone(), t.clone());
        let (distance, target) = (y.evaluate() - t.evaluate(), t.evaluate());
        let size = || apply(Abs, d());
        // −1 and 1 if the targets are the classes 0 and 1.
        let sign = || match self.targets {
            Targets::Classes(_) => minus(product([constant(2.0), t.clone()]), one()),
            Targets::Values(_) => t.clone(),
        };
        Some(match self.rule() {
            "MeanSquaredError" => squared(d()),
            "MeanAbsoluteError" => size(),
            "Huber" if distance.abs() > self.set("delta")? => {
                let delta = self.set("delta")?;
                scaled(delta, minus(size(), constant(0.5 * delta)))
            }
            "Huber" => half(squared(d())),
            "SmoothL1" if distance.abs() < self.set("beta")? => half(divided(squared(d()), self.set("beta")?)),
            "SmoothL1" => minus(size(), constant(0.5 * self.set("beta")?)),
            // The logarithm of cosh d.
            "LogCosh" => apply(Ln, divided(sum([apply(Exp, d()), apply(Exp, minus(t.clone(), y.clone()))]), 2.0)),
            "Quantile" if distance < 0.0 => scaled(self.set("q")?, minus(t, y)),
            "Quantile" if distance > 0.0 => scaled(1.0 - self.set("q")?, d()),
            "Quantile" => constant(0.0),
            "PoissonNll" => {
                let term = match self.is("rates") {
                    true => {
                        let rate = sum([y.clone(), constant(self.set("epsilon")?)]);
                        minus(y, product([t.clone(), apply(Ln, rate)]))
                    }
                    false => minus(apply(Exp, y.clone()), product([t.clone(), y])),
                };
                match self.is("full") && target > 1.0 {
                    // t ln t − t + ½ ln 2πt
                    true => {
                        let root = half(apply(Ln, product([constant(std::f64::consts::TAU), t.clone()])));
                        let own = product([t.clone(), apply(Ln, t.clone())]);
                        Expression::Sum(vec![term, own, negative(t), root])
                    }
                    false => term,
                }
            }
            "KlDivergence" if self.is("log_target") => product([apply(Exp, t.clone()), minus(t, y)]),
            "KlDivergence" if target == 0.0 => constant(0.0),
            "KlDivergence" => product([t.clone(), minus(apply(Ln, t), y)]),
            "Hinge" => shortfall(minus(one(), product([sign(), y])), self.is("squared")),
            "SoftMargin" => softplus(negative(product([sign(), y]))),
            "HingeEmbedding" if target > 0.0 => y,
            "HingeEmbedding" => shortfall(minus(constant(self.set("margin")?), y), false),
            // −t ln y − (1 − t) ln(1 − y)
            "BinaryCrossEntropy" => {
                let right = product([t.clone(), apply(Ln, y.clone())]);
                let wrong = product([minus(one(), t), apply(Ln, minus(one(), y))]);
                Expression::Sum(vec![negative(right), negative(wrong)])
            }
            // ln(1 + e^y) − t y, or with a weight for yes: p t ln(1 + e⁻ʸ) + (1 − t) ln(1 + e^y)
            "BinaryCrossEntropyWithLogits" => {
                let weights = printed::numbers(self.settings, "positive_weights");
                match weights.is_empty() {
                    true => minus(softplus(y.clone()), product([t, y])),
                    false => {
                        let yes = product([t.clone(), softplus(negative(y.clone()))]);
                        let weight = *weights.get(self.class_of(index, weights.len())?)?;
                        sum([scaled(weight, yes), product([minus(one(), t), softplus(y)])])
                    }
                }
            }
            "MultiLabelSoftMargin" => {
                let weights = printed::numbers(self.settings, "class_weights");
                let classes = self.classes()?;
                let weight = match weights.is_empty() {
                    true => 1.0,
                    false => *weights.get(self.class_of(index, classes)?)?,
                };
                scaled(weight / classes as f64, minus(softplus(y.clone()), product([t, y])))
            }
            // α (1 − s)ᵞ times the entropy, where s is the probability of what is right
            "BinaryFocal" => {
                let p = || apply(Sigmoid, y.clone());
                let wrong = match target {
                    0.0 => p(),
                    1.0 => apply(Sigmoid, negative(y.clone())),
                    _ => sum([product([p(), minus(one(), t.clone())]), product([minus(one(), p()), t.clone()])]),
                };
                let entropy = minus(softplus(y.clone()), product([t.clone(), y.clone()]));
                let term = times([power(wrong, self.set("gamma")?), entropy]);
                match self.set("alpha") {
                    Some(alpha) => scaled(alpha * target + (1.0 - alpha) * (1.0 - target), term),
                    None => term,
                }
            }
            _ => return None,
        })
    }

    /// The number of classes.
    fn classes(&self) -> Option<usize> {
        if self.is_last() { self.axes.last() } else { self.axes.first() }.copied()
    }

    fn is_last(&self) -> bool {
        printed::is(self.settings, "class_axis", "Last")
    }

    /// The class to which a prediction belongs.
    fn class_of(&self, index: usize, classes: usize) -> Option<usize> {
        let width: usize = self.axes.iter().product();
        let (within, each) = (index % width.max(1), width.checked_div(classes)?);
        if self.is_last() { Some(within % classes) } else { within.checked_div(each) }
    }

    /// The terms of one example, if the loss sees it as a whole.
    fn example(&self, example: usize) -> Option<Vec<Expression>> {
        let y = part(&self.y, example, self.examples)?;
        let t = part(&self.t, example, self.examples)?;
        let half = |part: usize| y.get(part * (y.len() / 2)..(part + 1) * (y.len() / 2));
        let one = || constant(1.0);
        match self.rule() {
            "SoftmaxCrossEntropy" | "NegativeLogLikelihood" | "SoftmaxFocal" | "MultiMargin" => {
                let classes = self.classes()?;
                let positions = y.len().checked_div(classes)?;
                (0..positions).map(|position| self.position(example, position, positions, y)).collect()
            }
            "MultiLabelMargin" => {
                let pairs = t.iter().zip(y).filter(|(t, _)| t.evaluate() == 1.0);
                let against = |right: &Expression| -> Vec<Expression> {
                    let wrong = t.iter().zip(y).filter(|(t, _)| t.evaluate() == 0.0);
                    let term = |(_, wrong): (&Expression, &Expression)| {
                        let gap = minus(one(), right.clone());
                        shortfall(sum([gap, wrong.clone()]), false)
                    };
                    wrong.map(term).collect()
                };
                let terms: Vec<Expression> = pairs.flat_map(|(_, right)| against(right)).collect();
                Some(vec![divided(sum(terms), y.len() as f64)])
            }
            "MarginRanking" => {
                let pairs = half(0)?.iter().zip(half(1)?).zip(t);
                let margin = self.set("margin")?;
                let term = |((a, b), t): ((&Expression, &Expression), &Expression)| {
                    let lead = product([t.clone(), minus(a.clone(), b.clone())]);
                    shortfall(minus(constant(margin), lead), false)
                };
                Some(pairs.map(term).collect())
            }
            "CosineEmbedding" => {
                let (a, b) = (half(0)?, half(1)?);
                let dot = sum(a.iter().zip(b).map(|(a, b)| product([a.clone(), b.clone()])));
                let length = |a: &[Expression]| {
                    let squares = a.iter().map(|a| squared(a.clone()));
                    sum(squares.chain([constant(1e-12)]))
                };
                let cosine = quotient(dot, apply(Sqrt, product([length(a), length(b)])));
                let term = match t.first()?.evaluate() > 0.0 {
                    true => minus(one(), cosine),
                    false => shortfall(minus(cosine, constant(self.set("margin")?)), false),
                };
                Some(vec![term])
            }
            "TripletMargin" => {
                let third = |index: usize| part(y, index, 3);
                let (anchor, positive, negative) = (third(0)?, third(1)?, third(2)?);
                let (epsilon, p) = (self.set("epsilon")?, self.set("power")?);
                let distance = |u: &[Expression], v: &[Expression]| {
                    let gap = |(u, v): (&Expression, &Expression)| {
                        let gap = minus(u.clone(), v.clone());
                        let gap = if epsilon == 0.0 { gap } else { sum([gap, constant(epsilon)]) };
                        power(if p == 2.0 { gap } else { apply(Abs, gap) }, p)
                    };
                    let all = sum(u.iter().zip(v).map(gap));
                    if p == 2.0 { apply(Sqrt, all) } else { power(all, 1.0 / p) }
                };
                let mut far = distance(anchor, negative);
                let swapped = distance(positive, negative);
                if self.is("swap") && swapped.evaluate() < far.evaluate() {
                    far = swapped;
                }
                let lead = minus(distance(anchor, positive), far);
                Some(vec![shortfall(sum([constant(self.set("margin")?), lead]), false)])
            }
            "Dice" => {
                let channels = if self.axes.len() > 1 { *self.axes.first()? } else { 1 };
                (0..channels)
                    .map(|channel| self.overlap(part(y, channel, channels)?, part(t, channel, channels)?))
                    .collect()
            }
            // ½ (ln v + (m − t)² / v)
            "GaussianNll" => {
                let (least, full) = (self.set("epsilon")?, self.is("full"));
                let term = |((mean, variance), t): ((&Expression, &Expression), &Expression)| {
                    let v = || at_least(least, variance.clone());
                    let ratio = quotient(squared(minus(mean.clone(), t.clone())), v());
                    let term = product([constant(0.5), sum([apply(Ln, v()), ratio])]);
                    if full { sum([term, constant(0.5 * std::f64::consts::TAU.ln())]) } else { term }
                };
                Some(half(0)?.iter().zip(half(1)?).zip(t).map(term).collect())
            }
            _ => None,
        }
    }

    /// 1 − (2 Σ y t + s) / (Σ y + Σ t + s) of one channel.
    fn overlap(&self, y: &[Expression], t: &[Expression]) -> Option<Expression> {
        let smoothing = self.set("smoothing")?;
        let own = |a: &Expression| if self.is("squared") { squared(a.clone()) } else { a.clone() };
        let rest = (smoothing != 0.0).then(|| constant(smoothing));
        let both = y.iter().zip(t).map(|(y, t)| product([constant(2.0), y.clone(), t.clone()]));
        let above = sum(both.chain(rest.clone()));
        let below = sum(y.iter().map(own).chain(t.iter().map(own)).chain(rest));
        Some(minus(constant(1.0), quotient(above, below)))
    }

    /// The term of one position that has a score for each class.
    fn position(&self, example: usize, position: usize, positions: usize, y: &[Expression]) -> Option<Expression> {
        let classes = y.len().checked_div(positions)?;
        let place = |class: usize| match self.is_last() {
            true => position * classes + class,
            false => class * positions + position,
        };
        let scores: Vec<Expression> = (0..classes).map(|class| y.get(place(class)).cloned()).collect::<Option<_>>()?;
        let weights = printed::numbers(self.settings, "class_weights");
        let weight = |class: usize| weights.get(class).copied().unwrap_or(1.0);
        let smoothing = self.set("label_smoothing").unwrap_or(0.0);
        let all = || log_sum_exp(&scores);
        // q of a class, times its cross-entropy ln Σ e^y − y
        let entropy = |q: Expression, class: usize| Some(product([q, minus(all(), scores.get(class)?.clone())]));
        let Targets::Classes(given) = self.targets else {
            if self.rule() != "SoftmaxCrossEntropy" {
                return None;
            }
            let term = |class: usize| {
                let t = self.t.get(example * y.len() + place(class))?.clone();
                let q = scaled(1.0 - smoothing, t);
                let q = if smoothing == 0.0 { q } else { sum([q, constant(smoothing / classes as f64)]) };
                entropy(scaled(weight(class), q), class)
            };
            return Some(sum((0..classes).map(term).collect::<Option<Vec<_>>>()?));
        };
        let right = *given.get(example * positions + position)?;
        if self.set("ignored_index") == Some(f64::from(right)) {
            return Some(constant(0.0));
        }
        let right = usize::try_from(right).ok()?;
        let (score, own) = (scores.get(right)?.clone(), weight(right));
        Some(match self.rule() {
            // It is left out.
            _ if own == 0.0 => constant(0.0),
            "SoftmaxCrossEntropy" if smoothing == 0.0 => scaled(own, minus(all(), score)),
            "SoftmaxCrossEntropy" => {
                let term = |class: usize| {
                    let hit = if class == right { 1.0 - smoothing } else { 0.0 };
                    entropy(constant(weight(class) * (hit + smoothing / classes as f64)), class)
                };
                sum((0..classes).map(term).collect::<Option<Vec<_>>>()?)
            }
            "NegativeLogLikelihood" => negative(scaled(own, score)),
            "SoftmaxFocal" => {
                let wrong = minus(constant(1.0), softmax(score.clone(), scores.iter().cloned()));
                scaled(own, times([power(wrong, self.set("gamma")?), minus(all(), score)]))
            }
            "MultiMargin" => {
                let margin = self.set("margin")?;
                let others = scores.iter().enumerate().filter(|(class, _)| *class != right);
                let gap = |(_, other): (usize, &Expression)| {
                    let gap = minus(constant(margin), score.clone());
                    shortfall(sum([gap, other.clone()]), self.is("squared"))
                };
                scaled(own, divided(sum(others.map(gap)), classes as f64))
            }
            _ => return None,
        })
    }
}
