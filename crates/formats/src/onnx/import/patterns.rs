//! Functions that exporters write as several nodes.

use downhill_layers::{Gelu, Hardswish, LogSoftmax, Mish, Silu, Softmax, Softsign};

use super::constant::axis_of;
use super::elementwise::near;
use super::node::Operator;
use super::view::View;
use super::{Importer, Refusal, Value};

impl<'a> Importer<'a> {
    /// Reads a node as the last of several that make one function, if it is such a node.
    pub(super) fn pattern(&mut self, node: Operator<'a>) -> Result<Option<Value>, Refusal> {
        Ok(match node.kind() {
            "Mul" => match self.gated(node)? {
                Some(value) => Some(value),
                None => self.normalised(node)?,
            },
            "Div" => match self.normalised(node)? {
                Some(value) => Some(value),
                None => self.divided(node)?,
            },
            "Log" => self.log_softmax(node)?,
            "Where" => self.without_empty_rows(node),
            _ => None,
        })
    }

    fn maker(&self, name: &str) -> Option<Operator<'a>> {
        let node = self.graph.node.get(*self.makers.get(name)?)?;
        let operator = Operator { node, version: self.version };
        // What casts is between real numbers here.
        if operator.kind() == "Cast" { self.maker_behind_cast(operator) } else { Some(operator) }
    }

    fn maker_behind_cast(&self, mut operator: Operator<'a>) -> Option<Operator<'a>> {
        for _ in 0..8 {
            if operator.kind() != "Cast" {
                return Some(operator);
            }
            let node = self.graph.node.get(*self.makers.get(operator.node.input.first()?.as_str())?)?;
            operator = Operator { node, version: self.version };
        }
        None
    }

    fn made_by(&self, name: &str, operator: &str) -> Option<Operator<'a>> {
        self.maker(name).filter(|maker| maker.kind() == operator)
    }

    fn number(&self, name: &str) -> Option<f64> {
        match self.values.get(name)? {
            Value::Const(known) => known.uniform(),
            _ => None,
        }
    }

    fn computed(&self, name: &str) -> Option<View> {
        match self.values.get(name)? {
            Value::View(view) => Some(view.clone()),
            _ => None,
        }
    }

    /// The only value that an operator applies to another input that is a number, and the number.
    fn with_number(&self, operator: Operator<'a>) -> Option<(&'a str, f64)> {
        let [a, b] = &operator.node.input[..] else { return None };
        match (self.number(a), self.number(b)) {
            (Some(number), None) => Some((b, number)),
            (None, Some(number)) => Some((a, number)),
            _ => None,
        }
    }

    /// Whether two names are the same value.
    fn same(&self, a: &str, b: &str) -> bool {
        let value = |name: &str| self.computed(name).map(|view| view.value);
        a == b || value(a).is_some_and(|a| value(b) == Some(a))
    }

    /// x g(x), written as a product: GELU in both forms, SiLU, hard swish and Mish.
    fn gated(&mut self, node: Operator<'a>) -> Result<Option<Value>, Refusal> {
        // All factors of nested products.
        let mut factor = 1.0;
        let mut leaves: Vec<&'a str> = Vec::new();
        let mut open: Vec<&'a str> = node.node.input.iter().map(String::as_str).collect();
        let mut nodes = 0;
        while let Some(name) = open.pop() {
            nodes += 1;
            if leaves.len() + open.len() > 3 || nodes > 16 {
                return Ok(None);
            }
            match (self.number(name), self.maker(name)) {
                (Some(number), _) => factor *= number,
                (None, Some(maker)) if maker.kind() == "Mul" => {
                    open.extend(maker.node.input.iter().map(String::as_str));
                }
                (None, Some(maker)) if maker.kind() == "Div" => match &maker.node.input[..] {
                    [x, by] if self.number(by).is_some() => {
                        factor /= self.number(by).unwrap_or(1.0);
                        open.push(x);
                    }
                    _ => leaves.push(name),
                },
                _ => leaves.push(name),
            }
        }
        let &[a, b] = &leaves[..] else { return Ok(None) };
        for (x, gate) in [(a, b), (b, a)] {
            let (Some(view), Some(maker)) = (self.computed(x), self.maker(gate)) else { continue };
            let argument = maker.node.input.first().map(String::as_str).unwrap_or_default();
            let value = match maker.kind() {
                "Sigmoid" if factor == 1.0 && self.same(argument, x) => self.map(&view, Silu)?,
                "HardSigmoid"
                    if factor == 1.0
                        && self.same(argument, x)
                        && near(maker.float("alpha", 0.2)?, 1.0 / 6.0)
                        && near(maker.float("beta", 0.5)?, 0.5) =>
                {
                    self.map(&view, Hardswish)?
                }
                "Tanh" if factor == 1.0 => match self.made_by(argument, "Softplus") {
                    Some(softplus) if softplus.node.input.first().is_some_and(|name| self.same(name, x)) => {
                        self.map(&view, Mish)?
                    }
                    _ => continue,
                },
                "Add" if near(factor, 0.5) => match self.with_number(maker) {
                    Some((bent, 1.0)) => match self.maker(bent) {
                        Some(erf) if erf.kind() == "Erf" && self.is_scaled(erf, x, std::f64::consts::FRAC_1_SQRT_2) => {
                            self.map(&view, Gelu::new())?
                        }
                        Some(tanh) if tanh.kind() == "Tanh" && self.is_tanh_of_gelu(tanh, x) => {
                            self.map(&view, Gelu::tanh())?
                        }
                        _ => continue,
                    },
                    _ => continue,
                },
                _ => continue,
            };
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// Whether the argument of an operator is x times this number.
    fn is_scaled(&self, operator: Operator<'a>, x: &str, by: f64) -> bool {
        let inner = operator.node.input.first().and_then(|name| self.maker(name));
        let Some(inner) = inner else { return false };
        let Some((value, number)) = self.with_number(inner) else { return false };
        let number = if inner.kind() == "Div" { 1.0 / number } else { number };
        matches!(inner.kind(), "Mul" | "Div") && self.same(value, x) && near(number, by)
    }

    /// Whether tanh is of √(2/π) (x + 0.044715 x³).
    fn is_tanh_of_gelu(&self, tanh: Operator<'a>, x: &str) -> bool {
        let check = || {
            let scaled = self.made_by(tanh.node.input.first()?, "Mul")?;
            let (sum, factor) = self.with_number(scaled)?;
            let sum = self.made_by(sum, "Add")?;
            let [a, b] = &sum.node.input[..] else { return None };
            let other = if self.same(a, x) { b } else { a };
            let (cube, small) = self.with_number(self.made_by(other, "Mul")?)?;
            let is_cube = match self.maker(cube)? {
                pow if pow.kind() == "Pow" => {
                    let (base, power) = self.with_number(pow)?;
                    self.same(base, x) && power == 3.0
                }
                product if product.kind() == "Mul" => {
                    let [a, b] = &product.node.input[..] else { return None };
                    let square = if self.same(a, x) { b } else { a };
                    let square = self.made_by(square, "Mul")?;
                    square.node.input.iter().all(|name| self.same(name, x))
                }
                _ => false,
            };
            let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
            let outer = (2.0 / std::f64::consts::PI).sqrt();
            Some(is_cube && (self.same(a, x) || self.same(b, x)) && near(small, 0.044_715) && near(factor, outer))
        };
        check() == Some(true)
    }

    /// (x − mean x) / √(mean (x − mean x)² + ε), or without the mean; a scale and a shift after it are nodes of their
    /// own.
    fn normalised(&mut self, node: Operator<'a>) -> Result<Option<Value>, Refusal> {
        let [a, b] = &node.node.input[..] else { return Ok(None) };
        let sides = if node.kind() == "Div" { vec![(a, b)] } else { vec![(a, b), (b, a)] };
        for (over, under) in sides {
            // √v under the line, or 1/√v beside it.
            let root = match node.kind() {
                "Div" => self.made_by(under, "Sqrt"),
                _ => match self.maker(under) {
                    Some(inverse) if inverse.kind() == "Reciprocal" => {
                        inverse.node.input.first().and_then(|name| self.made_by(name, "Sqrt"))
                    }
                    Some(inverse) if inverse.kind() == "Div" => match &inverse.node.input[..] {
                        [one, root] if self.number(one) == Some(1.0) => self.made_by(root, "Sqrt"),
                        _ => None,
                    },
                    _ => None,
                },
            };
            let Some(found) = root.and_then(|root| self.moments(root, over)) else { continue };
            let Moments { x, axis, epsilon, centred } = found;
            let y = self.layer_norm(&x, axis, epsilon, None, None, centred)?;
            return Ok(Some(Value::View(y)));
        }
        Ok(None)
    }

    /// What a root is of, if it is that of the mean square of what `over` names, and ε.
    fn moments(&self, root: Operator<'a>, over: &'a str) -> Option<Moments> {
        let sum = self.made_by(root.node.input.first()?, "Add")?;
        let (mean, epsilon) = self.with_number(sum)?;
        let mean = self.made_by(mean, "ReduceMean")?;
        let square = self.maker(mean.node.input.first()?)?;
        let base = match (square.kind(), &square.node.input[..]) {
            ("Pow", [base, _]) if self.with_number(square).is_some_and(|(_, power)| power == 2.0) => base,
            ("Mul", [a, b]) if a == b => a,
            _ => return None,
        };
        if !self.same(base, over) {
            return None;
        }
        let axes = self.reduced(mean)?;
        let (x, centred) = match self.made_by(over, "Sub") {
            Some(difference) => match &difference.node.input[..] {
                [x, middle] => match self.made_by(middle, "ReduceMean") {
                    Some(mean) if self.same(mean.node.input.first()?, x) && self.reduced(mean)? == axes => {
                        (self.computed(x)?, true)
                    }
                    _ => (self.computed(over)?, false),
                },
                _ => return None,
            },
            None => (self.computed(over)?, false),
        };
        let mut places = axes.iter().map(|&axis| axis_of(axis, x.rank()).ok()).collect::<Option<Vec<_>>>()?;
        places.sort_unstable();
        let axis = *places.first()?;
        (places.into_iter().eq(axis..x.rank())).then_some(Moments { x, axis, epsilon, centred })
    }

    /// The axes of a mean that keeps them.
    fn reduced(&self, mean: Operator<'a>) -> Option<Vec<i64>> {
        if mean.int("keepdims", 1).ok()? == 0 {
            return None;
        }
        match mean.node.input.get(1).and_then(|name| self.values.get(name.as_str())) {
            Some(Value::Const(axes)) => Some((0..axes.data.len()).map(|place| axes.data.whole(place)).collect()),
            _ => mean.ints("axes").ok().flatten(),
        }
    }

    /// x / (1 + |x|), and exp(x − max x) / Σ exp(x − max x).
    fn divided(&mut self, node: Operator<'a>) -> Result<Option<Value>, Refusal> {
        let [over, under] = &node.node.input[..] else { return Ok(None) };
        let Some(below) = self.maker(under) else { return Ok(None) };
        if let ("Add", Some((bent, 1.0)), Some(x)) = (below.kind(), self.with_number(below), self.computed(over)) {
            let of = self.made_by(bent, "Abs").and_then(|abs| abs.node.input.first());
            return match of {
                Some(of) if self.same(of, over) => Ok(Some(self.map(&x, Softsign)?)),
                _ => Ok(None),
            };
        }
        let exponents = || {
            let exp = self.made_by(over, "Exp")?;
            let sum = Some(below).filter(|sum| sum.kind() == "ReduceSum" && sum.node.input.first() == Some(over))?;
            let axes = self.reduced(sum)?;
            let x = exp.node.input.first()?;
            // The largest may be taken from all first.
            let x = match self.made_by(x, "Sub").map(|difference| &difference.node.input[..]) {
                Some([x, largest]) => {
                    let largest = self.made_by(largest, "ReduceMax")?;
                    let same = largest.node.input.first() == Some(x) && self.reduced(largest)? == axes;
                    same.then_some(x)?
                }
                _ => x,
            };
            let (x, &[axis]) = (self.computed(x)?, &axes[..]) else { return None };
            let axis = axis_of(axis, x.rank()).ok()?;
            Some((x, axis))
        };
        match exponents() {
            Some((x, axis)) => Ok(Some(self.along_axes(&x, axis..axis + 1, Softmax.into())?)),
            None => Ok(None),
        }
    }

    fn log_softmax(&mut self, node: Operator<'a>) -> Result<Option<Value>, Refusal> {
        let Some(softmax) = node.node.input.first().and_then(|name| self.made_by(name, "Softmax")) else {
            return Ok(None);
        };
        let Some(x) = softmax.node.input.first().and_then(|name| self.computed(name)) else { return Ok(None) };
        Ok(Some(self.along(&softmax, &x, LogSoftmax.into())?))
    }

    /// Exporters replace the weights of queries that see no key; here each sees one.
    fn without_empty_rows(&self, node: Operator<'a>) -> Option<Value> {
        let [condition, replacement, weights] = &node.node.input[..] else { return None };
        let of = self.made_by(condition, "IsNaN")?.node.input.first()?;
        (of == weights && self.number(replacement).is_some()).then(|| self.values.get(weights.as_str()).cloned())?
    }
}

struct Moments {
    x: View,
    axis: usize,
    epsilon: f64,
    centred: bool,
}
