//! Functions of single numbers, sums, products and affine maps.

use std::ops::Range;
use std::rc::Rc;

use downhill_layers::{
    Add, Affine, Celu, Conv1d, Description, Dropout, Elu, Gelu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh,
    LeakyRelu, LearntPositions, LogSoftmax, MAX_INPUTS, Mish, Multiply, PRelu, Relu, Scale, Selu, Sigmoid, Silu,
    Softmax, Softplus, Softshrink, Softsign, Tanh, Threshold, Upsample,
};

use super::constant::{Const, axis_of, broadcast};
use super::node::Operator;
use super::plan::Numbers;
use super::view::{Atom, View};
use super::{Importer, OPEN_BATCH, Value, known, optional, view};

/// A layer to which a bias can still be added.
#[derive(Debug)]
pub(super) struct Biased {
    /// The layer with a bias.
    pub(super) layer: Description,
    pub(super) inputs: Vec<usize>,
    /// All but the bias.
    pub(super) numbers: Vec<Numbers>,
    /// The name of the bias within the layer.
    pub(super) name: &'static str,
    /// The bias that it has already.
    pub(super) bias: Option<Vec<f64>>,
    /// The numbers of a bias: those of the first axis, or else of the last.
    pub(super) outputs: usize,
    pub(super) first: bool,
}

/// The values of a known array along the parts of an example in which it differs.
struct Spread {
    /// The parts, in the order of memory.
    parts: Vec<usize>,
    values: Rc<Const>,
}

impl<'a> Importer<'a> {
    /// Reads functions of single numbers and what else has one value for each number; `None` for other operators.
    pub(super) fn elementwise(
        &mut self,
        node: &Operator<'a>,
        inputs: &[Option<Value>],
    ) -> Result<Option<Vec<Value>>, String> {
        let x = || view(inputs, 0);
        let value = match node.kind() {
            "Identity" | "CastLike" | "ZipMap" => Value::View(x()?),
            "Cast" => Value::View(self.cast(node, x()?)?),
            "Dropout" => {
                let ratio = match optional(inputs, 1)? {
                    Some(ratio) => ratio.data.real(0),
                    None => node.float("ratio", 0.5)?,
                };
                if optional(inputs, 2)?.is_some_and(|training| training.data.real(0) != 0.0) {
                    return Err("it drops numbers of predictions, too".into());
                }
                return self.map(&x()?, Dropout::new(ratio)).map(|value| Some(vec![value]));
            }
            "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Sum" | "Mean" | "Pow" => self.combine(node, inputs)?,
            "Scaler" => {
                let numbers = |name| node.floats(name).map(Option::unwrap_or_default);
                let (offset, scale) = (numbers("offset")?, numbers("scale")?);
                let each = |numbers: Vec<f64>| Const::reals(vec![numbers.len()], numbers);
                let x = self.add(&x()?, &each(offset.into_iter().map(|x| -x).collect()), "", true)?;
                Value::View(self.multiply(&x, &each(scale), true)?)
            }
            "Neg" => Value::View(self.scale(&x()?, -1.0)?),
            "Abs" => {
                let (x, negative) = (x()?, self.scale(&x()?, -1.0)?);
                let parts = [self.plan.place(Relu, &[x.value])?, self.plan.place(Relu, &[negative.value])?];
                Value::View(View { value: self.plan.place(Add, &parts)?, ..x })
            }
            "PRelu" => {
                let (x, mut slope) = (x()?, known(inputs, 1)?);
                if node.version < 7 && slope.rank() == 1 {
                    slope = Rc::new(from_axis(&slope, 1, x.rank()));
                }
                match slope.uniform().filter(|_| slope.single().is_some()) {
                    Some(_) => {
                        let numbers = vec![Numbers::new("weight", &self.parameter(&slope)?)];
                        let value = self.plan.place_with(PRelu::new(), &[x.value], numbers, false)?;
                        Value::View(View { value, ..x })
                    }
                    None => {
                        let (x, spread) = self.spread(&x, &slope)?;
                        let numbers = vec![Numbers::new("weight", &spread.values)];
                        Value::View(self.by_channel(&x, &spread.parts, PRelu::new().per_channel(), numbers, false)?)
                    }
                }
            }
            "Clip" => {
                let bound = |index, name, open| match optional(inputs, index)? {
                    Some(bound) => Ok::<f64, String>(bound.data.real(0)),
                    None => node.float(name, open),
                };
                let (low, high) = (bound(1, "min", f64::NEG_INFINITY)?, bound(2, "max", f64::INFINITY)?);
                self.clip(&x()?, low, high)?
            }
            "Selu" => {
                let (alpha, gamma) = (node.float("alpha", SELU[0])?, node.float("gamma", SELU[1])?);
                if near(alpha, SELU[0]) && near(gamma, SELU[1]) {
                    self.map(&x()?, Selu)?
                } else {
                    let value = self.plan.place(Elu::new(alpha), &[x()?.value])?;
                    Value::View(self.scale(&View { value, ..x()? }, gamma)?)
                }
            }
            "HardSigmoid" => {
                let (alpha, beta) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
                if near(alpha, 1.0 / 6.0) && near(beta, 0.5) {
                    self.map(&x()?, Hardsigmoid)?
                } else {
                    let line = self.scale(&x()?, alpha)?;
                    let line = self.add(&line, &Const::reals(Vec::new(), vec![beta]), "", true)?;
                    self.map(&line, Hardtanh::new(0.0, 1.0))?
                }
            }
            "Shrink" => match (node.float("bias", 0.0)?, node.float("lambd", 0.5)?) {
                (0.0, lambda) => self.map(&x()?, Hardshrink::new(lambda))?,
                (bias, lambda) if bias == lambda => self.map(&x()?, Softshrink::new(lambda))?,
                (bias, lambda) => {
                    return Err(format!("a bias of {bias} with a lambda of {lambda} is no shrinkage that a layer has"));
                }
            },
            "Swish" if near(node.float("alpha", 1.0)?, 1.0) => self.map(&x()?, Silu)?,
            "Gelu" if node.text("approximate", "none")? == "tanh" => self.map(&x()?, Gelu::tanh())?,
            "Gelu" => self.map(&x()?, Gelu::new())?,
            "Relu" => self.map(&x()?, Relu)?,
            "LeakyRelu" => self.map(&x()?, LeakyRelu::new(node.float("alpha", 0.01)?))?,
            "Elu" => self.map(&x()?, Elu::new(node.float("alpha", 1.0)?))?,
            "Celu" => self.map(&x()?, Celu::new(node.float("alpha", 1.0)?))?,
            "ThresholdedRelu" => self.map(&x()?, Threshold::new(node.float("alpha", 1.0)?, 0.0))?,
            "Sigmoid" => self.map(&x()?, Sigmoid)?,
            "Tanh" => self.map(&x()?, Tanh)?,
            "Softplus" => self.map(&x()?, Softplus::new(1.0))?,
            "Softsign" => self.map(&x()?, Softsign)?,
            "HardSwish" => self.map(&x()?, Hardswish)?,
            "Mish" => self.map(&x()?, Mish)?,
            "Softmax" => self.along(node, &x()?, Softmax.into())?,
            "LogSoftmax" => self.along(node, &x()?, LogSoftmax.into())?,
            _ => return Ok(None),
        };
        Ok(Some(vec![value]))
    }

    /// A function of each number, wherever it lies.
    pub(super) fn map(&mut self, x: &View, layer: impl Into<Description>) -> Result<Value, String> {
        let value = self.plan.place(layer, &[x.value])?;
        Ok(Value::View(View { value, ..x.clone() }))
    }

    fn cast(&self, node: &Operator<'_>, x: View) -> Result<View, String> {
        use crate::onnx::tensor::data_type::{BFLOAT16, DOUBLE, FLOAT, FLOAT16, INT32, INT64};
        let to = node.int("to", 1)?;
        let is = |kinds: &[i32]| kinds.iter().any(|&kind| i64::from(kind) == to);
        // Places in a table stay what they are; what is computed would be rounded.
        if is(&[FLOAT, DOUBLE, FLOAT16, BFLOAT16]) {
            return Ok(View { whole: false, ..x });
        }
        if is(&[INT32, INT64]) && self.plan.is_input(x.value) {
            return Ok(View { whole: true, ..x });
        }
        Err("numbers that are computed stay real numbers".into())
    }

    fn clip(&mut self, x: &View, low: f64, high: f64) -> Result<Value, String> {
        let (low, high) = (low.max(f64::MIN), high.min(f64::MAX));
        // The largest numbers of single precision stand for none.
        let open = f64::from(f32::MAX);
        match (low, high) {
            (0.0, high) if high >= open => self.map(x, Relu),
            (low, high) => self.map(x, Hardtanh::new(low, high)),
        }
    }

    /// A sum, product or the like of values that are known or computed.
    fn combine(&mut self, node: &Operator<'a>, inputs: &[Option<Value>]) -> Result<Value, String> {
        let names = &node.node.input;
        let mut all = inputs.iter().flatten().zip(names);
        let (first, name) = all.next().ok_or("it has no inputs")?;
        let (mut sum, mut name) = (first.clone(), name.as_str());
        for (other, other_name) in all {
            let placed = match (&sum, other) {
                (Value::View(x), Value::Const(c)) if node.version < 7 && node.has("axis") => {
                    Some(Value::from(from_axis(c, axis_of(node.int("axis", 0)?, x.rank())?, x.rank())))
                }
                _ => None,
            };
            let other = placed.as_ref().unwrap_or(other);
            sum = match (sum, other) {
                (Value::View(x), Value::Const(c)) => self.with_known(node.kind(), &x, c, name, false)?,
                (Value::Const(c), Value::View(x)) => self.with_known(node.kind(), x, &c, other_name, true)?,
                (Value::View(x), Value::View(y)) => Value::View(self.with_view(node, &x, y)?),
                (Value::Const(a), Value::Const(b)) if matches!(node.kind(), "Sum" | "Mean") => {
                    Value::from(a.zip(b, &mut self.budget, None::<fn(i64, i64) -> Option<i64>>, |a, b| a + b)?)
                }
                _ => return Err("its inputs can't be combined".into()),
            };
            name = "";
        }
        match (node.kind(), sum) {
            ("Mean", Value::View(x)) => Ok(Value::View(self.scale(&x, 1.0 / names.len().max(1) as f64)?)),
            (_, value) => Ok(value),
        }
    }

    /// An operator of a computed value and a known one, which is the first of the two if `swapped`.
    fn with_known(
        &mut self,
        operator: &str,
        x: &View,
        c: &Rc<Const>,
        name: &'a str,
        swapped: bool,
    ) -> Result<Value, String> {
        let frozen = c.origin.is_none();
        let x = self.spread_out(x, &c.shape)?;
        Ok(Value::View(match (operator, swapped) {
            ("Add" | "Sum" | "Mean", _) => self.add(&x, c, name, frozen)?,
            ("Sub", false) => {
                let negative = c.map(&mut self.budget, |x| -x)?;
                self.add(&x, &negative, name, frozen)?
            }
            ("Sub", true) => {
                let x = self.scale(&x, -1.0)?;
                self.add(&x, c, "", frozen)?
            }
            ("Mul", _) => self.multiply(&x, c, frozen)?,
            ("Div", false) => {
                let inverse = c.map(&mut self.budget, |x| 1.0 / x)?;
                self.multiply(&x, &inverse, frozen)?
            }
            ("Max", _) => {
                let low = c.uniform().ok_or("only one number for all is a bound that a layer has")?;
                return self.clip(&x, low, f64::INFINITY);
            }
            ("Min", _) => {
                let high = c.uniform().ok_or("only one number for all is a bound that a layer has")?;
                return self.clip(&x, f64::NEG_INFINITY, high);
            }
            ("Pow", false) => match c.uniform() {
                Some(1.0) => x,
                Some(power) if (2.0..=MAX_INPUTS as f64).contains(&power) && power.fract() == 0.0 => {
                    let factors = vec![x.value; power as usize];
                    View { value: self.plan.place(Multiply, &factors)?, ..x }
                }
                _ => return Err("only whole powers up to 8 are computed by a layer".into()),
            },
            _ => return Err(format!("{operator} of a known value by a computed one is computed by no layer")),
        }))
    }

    /// An operator of two computed values.
    fn with_view(&mut self, node: &Operator<'_>, x: &View, y: &View) -> Result<View, String> {
        let (x, y) = self.alike(x, y)?;
        let layer: Description = match node.kind() {
            "Add" | "Sum" | "Mean" => Add.into(),
            "Mul" => Multiply.into(),
            "Sub" => {
                let minus = self.scale(&y, -1.0)?;
                return Ok(View { value: self.plan.place(Add, &[x.value, minus.value])?, ..x });
            }
            name @ ("Max" | "Min") => {
                // max(x, y) = x + relu(y − x), and min(x, y) = x − relu(x − y)
                let sign = if name == "Max" { 1.0 } else { -1.0 };
                let minus = self.scale(&x, -1.0)?;
                let difference = View { value: self.plan.place(Add, &[y.value, minus.value])?, ..x.clone() };
                let difference = if sign < 0.0 { self.scale(&difference, sign)? } else { difference };
                let over = View { value: self.plan.place(Relu, &[difference.value])?, ..x.clone() };
                let over = if sign < 0.0 { self.scale(&over, sign)? } else { over };
                return Ok(View { value: self.plan.place(Add, &[x.value, over.value])?, ..x });
            }
            name => return Err(format!("{name} of two computed values is computed by no layer")),
        };
        Ok(View { value: self.plan.place(layer, &[x.value, y.value])?, ..x })
    }

    /// Both views with the same shape, in the file and in memory.
    pub(super) fn alike(&mut self, x: &View, y: &View) -> Result<(View, View), String> {
        let (x, y) = (self.spread_out(x, &y.shape(self.batch))?, self.spread_out(y, &x.shape(self.batch))?);
        let (x, y) = match x.cut_alike(&y) {
            Some(alike) => alike,
            None => {
                let (x, y) = (self.plan.canonical(&x)?, self.plan.canonical(&y)?);
                x.cut_alike(&y).ok_or("the batches of its inputs lie differently among their axes")?
            }
        };
        // The parts of y in the order in which those of x lie in memory.
        let flat = |view: &View| view.dims.iter().flatten().copied().collect::<Vec<_>>();
        let pairs: Vec<(Atom, Atom)> = flat(&x).into_iter().zip(flat(&y)).collect();
        let other = |axis: usize| pairs.iter().find(|pair| pair.0 == Atom::Axis(axis)).map(|pair| pair.1);
        let order: Vec<usize> = (0..x.atoms.len())
            .filter_map(|axis| if let Some(Atom::Axis(other)) = other(axis) { Some(other) } else { None })
            .collect();
        let mut y = self.plan.ordered(&y, &order)?;
        let shape = self.plan.shape(x.value);
        y.value = self.plan.shaped(y.value, shape.axes())?;
        Ok((x, y))
    }

    /// The view with its axes of 1 repeated, so that it has at least the lengths of this shape.
    pub(super) fn spread_out(&mut self, x: &View, shape: &[usize]) -> Result<View, String> {
        let batch = self.batch;
        let whole = broadcast(&x.shape(batch), shape)?;
        let mut dims = vec![Vec::new(); whole.len() - x.rank()];
        dims.extend(x.dims.iter().cloned());
        let mut x = View { dims, ..x.clone() };
        let missing: Vec<usize> =
            (0..x.rank()).filter(|&axis| whole.get(axis) != Some(&x.length(axis, batch))).collect();
        if missing.is_empty() {
            return Ok(x);
        }
        let lengths: Vec<usize> = missing.iter().filter_map(|&axis| whole.get(axis).copied()).collect();
        if lengths.iter().any(|&length| length >= OPEN_BATCH) {
            return Err("what is the same for all examples would have to be repeated along the batch".into());
        }
        // The nearest of one number is that number: so it is repeated.
        let (length, all) = (x.product(&x.others(&[])), lengths.iter().product::<usize>());
        let value = self.plan.shaped(x.value, &[length, 1, 1])?;
        x.value = self.plan.place(Upsample::to_size([1, all]), &[value])?;
        for (&axis, &length) in missing.iter().zip(&lengths) {
            let added = x.add(length);
            x.dims.iter_mut().skip(axis).take(1).for_each(|dim| dim.clone_from(&added));
        }
        Ok(x)
    }

    /// s x for one number s, which stays as it is.
    pub(super) fn scale(&mut self, x: &View, factor: f64) -> Result<View, String> {
        if factor == 1.0 {
            return Ok(x.clone());
        }
        let numbers = vec![Numbers::new("weight", &Rc::new(Const::reals(Vec::new(), vec![factor])))];
        let value = self.plan.place_with(Scale::new(factor), &[x.value], numbers, true)?;
        Ok(View { value, ..x.clone() })
    }

    /// The values of a known array along the parts of the view in which it differs, in the order of memory.
    fn spread(&mut self, x: &View, c: &Const) -> Result<(View, Spread), String> {
        let x = self.spread_out(x, &c.shape)?;
        let lead = x.rank() - c.rank();
        let differs: Vec<usize> = (0..c.rank()).filter(|&axis| c.stored(axis) > 1).collect();
        let mut parts: Vec<usize> = Vec::new();
        for &axis in &differs {
            if x.dim(axis + lead).contains(&Atom::Batch) {
                return Err("a known value that differs from example to example is not supported".into());
            }
            parts.extend(x.axes(axis + lead));
        }
        parts.sort_unstable();
        let shape: Vec<usize> = parts.iter().filter_map(|&part| x.atoms.get(part).copied()).collect();
        let length = super::constant::count(&shape)?;
        self.budget.take(length)?;
        let mut values = Vec::with_capacity(length);
        super::constant::indices(&shape, |index| {
            let at = |part: usize| parts.iter().position(|&other| other == part).and_then(|at| index.get(at)).copied();
            let place = |axis: usize| {
                x.axes(axis + lead).into_iter().fold(0, |place, part| {
                    place * x.atoms.get(part).copied().unwrap_or(1) + at(part).unwrap_or_default()
                })
            };
            let place: Vec<usize> =
                (0..c.rank()).map(|axis| if c.stored(axis) > 1 { place(axis) } else { 0 }).collect();
            values.push(c.at(&place));
        });
        let same = (0..length)
            .all(|place| c.data.real(place).to_bits() == values.get(place).copied().unwrap_or(0.0).to_bits());
        let mut values = Const::reals(vec![length], values);
        if same && c.data.len() == length {
            values.origin.clone_from(&c.origin);
        }
        Ok((x, Spread { parts, values: Rc::new(values) }))
    }

    /// Places a layer that has a number for each channel, where these parts are the channels.
    fn by_channel(
        &mut self,
        x: &View,
        parts: &[usize],
        layer: impl Into<Description>,
        numbers: Vec<Numbers>,
        frozen: bool,
    ) -> Result<View, String> {
        let rest = x.others(parts);
        let (channels, length) = (x.product(parts), x.product(&rest));
        let mut x = self.plan.ordered(x, &[parts, &rest[..]].concat())?;
        let value = self.plan.shaped(x.value, &[channels, length])?;
        x.value = self.plan.place_with(layer, &[value], numbers, frozen)?;
        Ok(x)
    }

    /// a ∘ x for known numbers a.
    pub(super) fn multiply(&mut self, x: &View, factors: &Const, frozen: bool) -> Result<View, String> {
        let x = self.spread_out(x, &factors.shape)?;
        if let Some(factor) = factors.uniform() {
            return self.scale(&x, factor);
        }
        let (x, spread) = self.spread(&x, factors)?;
        let channels = spread.values.shape.iter().product();
        let numbers = vec![Numbers::new("weight", &spread.values)];
        // A depthwise convolution by single numbers.
        let layer = Conv1d::new(channels, 1).groups(channels).no_bias();
        self.by_channel(&x, &spread.parts, layer, numbers, frozen)
    }

    /// x + b for known numbers b; `name` is that of x in the file, if x may get a bias.
    pub(super) fn add(&mut self, x: &View, addends: &Const, name: &'a str, frozen: bool) -> Result<View, String> {
        let x = self.spread_out(x, &addends.shape)?;
        let (x, spread) = self.spread(&x, addends)?;
        if !name.is_empty()
            && self.is_read_once(name)
            && let Some(with_bias) = self.add_bias(&x, &spread)?
        {
            return Ok(with_bias);
        }
        let rest = x.others(&spread.parts);
        if let Some(value) = addends.uniform() {
            if value == 0.0 {
                return Ok(x);
            }
            let numbers = vec![constant("weight", 1, 1.0), constant("bias", 1, value)];
            return self.by_channel(&x, &[], Conv1d::new(1, 1), numbers, true);
        }
        if rest.is_empty() {
            let shape: Vec<usize> = match &x.atoms[..] {
                &[steps, width] => vec![steps, width],
                all => vec![1, all.iter().product()],
            };
            let value = self.plan.shaped(x.value, &shape)?;
            let numbers = vec![Numbers::new("weight", &spread.values)];
            let value = self.plan.place_with(LearntPositions::new(), &[value], numbers, frozen)?;
            return Ok(View { value, ..x });
        }
        let channels = spread.values.shape.iter().product();
        let numbers = vec![constant("weight", channels, 1.0), Numbers::new("bias", &spread.values)];
        self.by_channel(&x, &spread.parts, Conv1d::new(channels, 1).groups(channels), numbers, true)
    }

    /// Adds a bias to the layer that makes the view, if it is one that has such a bias.
    fn add_bias(&mut self, x: &View, spread: &Spread) -> Result<Option<View>, String> {
        let Some(biased) = self.biased.get(&x.value) else { return Ok(None) };
        let count = spread.parts.len();
        let uniform = spread.values.uniform().filter(|_| count == 0);
        let outermost: Vec<usize> = match biased.first {
            true => (0..count).collect(),
            false => (x.atoms.len().saturating_sub(count)..x.atoms.len()).collect(),
        };
        let fits = spread.parts == outermost && x.product(&spread.parts) == biased.outputs;
        if !(fits || (uniform.is_some() && biased.outputs == 1)) {
            return Ok(None);
        }
        let values = match &biased.bias {
            None => Rc::clone(&spread.values),
            Some(bias) => {
                let sum = bias.iter().enumerate().map(|(at, bias)| bias + spread.values.data.real(at)).collect();
                Rc::new(Const::reals(vec![biased.outputs], sum))
            }
        };
        let (layer, inputs) = (biased.layer.clone(), biased.inputs.clone());
        let numbers = [&biased.numbers[..], &[Numbers::new(biased.name, &values)]].concat();
        let value = self.plan.place_with(layer, &inputs, numbers, false)?;
        Ok(Some(View { value, ..x.clone() }))
    }

    /// A layer that works on vectors, along the axis that the operator names; along all from it on, in old versions.
    pub(super) fn along(&mut self, node: &Operator<'_>, x: &View, layer: Description) -> Result<Value, String> {
        let old = node.version < 13;
        let axis = axis_of(node.int("axis", if old { 1 } else { -1 })?, x.rank().max(1))?;
        self.along_axes(x, if old { axis..x.rank() } else { axis..(axis + 1).min(x.rank()) }, layer)
    }

    pub(super) fn along_axes(&mut self, x: &View, axes: Range<usize>, layer: Description) -> Result<Value, String> {
        if axes.clone().any(|axis| x.dim(axis).contains(&Atom::Batch)) {
            return Err("it works along the batch, so that examples would depend on each other".into());
        }
        let parts: Vec<usize> = axes.flat_map(|axis| x.axes(axis)).collect();
        let mut x = self.rows(x, &parts)?;
        x.value = self.plan.place(layer, &[x.value])?;
        Ok(Value::View(x))
    }

    /// The view with these parts as the last axis of its value, in this order.
    pub(super) fn rows(&mut self, x: &View, parts: &[usize]) -> Result<View, String> {
        let rest = x.others(parts);
        let (rows, length) = (x.product(&rest), x.product(parts));
        let mut x = self.plan.ordered(x, &[&rest[..], parts].concat())?;
        x.value = if rest.is_empty() {
            self.plan.shaped(x.value, &[length])?
        } else {
            self.plan.shaped(x.value, &[rows, length])?
        };
        Ok(x)
    }

    pub(super) fn matmul(&mut self, node: &Operator<'a>, inputs: &[Option<Value>]) -> Result<Value, String> {
        match (inputs.first(), inputs.get(1)) {
            (Some(Some(Value::View(x))), Some(Some(Value::Const(w)))) => {
                let matrix = match &w.shape[..] {
                    &[n] => {
                        let w = w.reshape(vec![n, 1], &mut self.budget)?;
                        let mut y = self.affine(x, &Rc::new(w), false, None)?;
                        y.dims.pop();
                        return Ok(Value::View(y));
                    }
                    [ones @ .., k, n] if ones.iter().all(|&n| n == 1) => {
                        let mut matrix = w.reshape(vec![*k, *n], &mut self.budget)?;
                        matrix.origin.clone_from(&w.origin);
                        matrix
                    }
                    _ => return Err("a different matrix for each place is not supported".into()),
                };
                let lead = w.rank().saturating_sub(x.rank());
                let dims = [vec![Vec::new(); lead], x.dims.clone()].concat();
                let x = View { dims, ..x.clone() };
                self.affine(&x, &Rc::new(matrix), false, None).map(Value::View)
            }
            // W x = (xᵀ Wᵀ)ᵀ
            (Some(Some(Value::Const(w))), Some(Some(Value::View(x)))) if w.rank() == 2 && x.rank() >= 2 => {
                let mut order: Vec<usize> = (0..x.rank()).collect();
                order.swap(x.rank() - 1, x.rank() - 2);
                let y = self.affine(&x.transposed(&order), w, true, None)?;
                Ok(Value::View(y.transposed(&order)))
            }
            (Some(Some(Value::View(x))), Some(Some(Value::View(y)))) => self.scores(node, x, y),
            _ => Err("one of its inputs is missing, or a vector on the left".into()),
        }
    }

    /// y = α A B + β C
    pub(super) fn gemm(&mut self, node: &Operator<'a>, inputs: &[Option<Value>]) -> Result<Value, String> {
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let turned = |name: &str| Ok::<bool, String>(node.int(name, 0)? != 0);
        let (turn_a, turn_b) = (turned("transA")?, turned("transB")?);
        let (x, w, turn_x, transposed, swapped) = match inputs.first() {
            Some(Some(Value::Const(a))) => (view(inputs, 1)?, Rc::clone(a), !turn_b, !turn_a, true),
            _ => (view(inputs, 0)?, known(inputs, 1)?, turn_a, turn_b, false),
        };
        if x.rank() != 2 || w.rank() != 2 {
            return Err("its inputs must be matrices".into());
        }
        let x = if turn_x { x.transposed(&[1, 0]) } else { x };
        let w = if alpha == 1.0 { w } else { Rc::new(w.map(&mut self.budget, |x| alpha * x)?) };
        let y = self.affine(&x, &w, transposed, None)?;
        let y = if swapped { y.transposed(&[1, 0]) } else { y };
        match inputs.get(2).and_then(Option::as_ref) {
            None => Ok(Value::View(y)),
            Some(Value::Const(c)) => {
                let c = if beta == 1.0 { Rc::clone(c) } else { Rc::new(c.map(&mut self.budget, |x| beta * x)?) };
                let y = self.spread_out(&y, &c.shape)?;
                let (y, spread) = self.spread(&y, &c)?;
                // No other node can read the product.
                match self.add_bias(&y, &spread)? {
                    Some(y) => Ok(Value::View(y)),
                    None => self.add(&y, &c, "", c.origin.is_none()).map(Value::View),
                }
            }
            Some(Value::View(c)) => {
                let c = self.scale(c, beta)?;
                let (y, c) = self.alike(&y, &c)?;
                Ok(Value::View(View { value: self.plan.place(Add, &[y.value, c.value])?, ..y }))
            }
            Some(_) => Err("its input 2 is none that a layer takes".into()),
        }
    }

    /// x W along the last axis; W is (in, out), or (out, in) if `transposed`.
    pub(super) fn affine(
        &mut self,
        x: &View,
        w: &Rc<Const>,
        transposed: bool,
        bias: Option<Vec<f64>>,
    ) -> Result<View, String> {
        let last = x.rank().checked_sub(1).ok_or("a single number is no vector")?;
        if x.dim(last).contains(&Atom::Batch) {
            return Err("a product along the batch would make examples depend on each other".into());
        }
        let &[first, second] = &w.shape[..] else { return Err("its weight is no matrix".into()) };
        let (ins, outputs) = if transposed { (second, first) } else { (first, second) };
        let parts = x.axes(last);
        if x.product(&parts) != ins {
            return Err(format!("vectors of {} numbers can't be mapped by a matrix of {ins}", x.product(&parts)));
        }
        let rest = x.others(&parts);
        let ordered = self.plan.ordered(x, &[&rest[..], &parts].concat())?;
        let lead: Vec<usize> = match &rest[..] {
            few if few.len() < 6 => few.iter().filter_map(|&part| x.atoms.get(part).copied()).collect(),
            many => vec![x.product(many)],
        };
        let value = self.plan.shaped(ordered.value, &[&lead[..], &[ins]].concat())?;
        let weight = self.parameter(w)?;
        let numbers = vec![Numbers { transposed: !transposed, ..Numbers::new("weight", &weight) }];
        // Where the map merges the heads of attention, it is a part of it.
        if let Some(merged) = self.merge_heads(value, outputs, &numbers)? {
            let mut y = ordered.without(merged, &(rest.len()..ordered.atoms.len()).collect::<Vec<_>>());
            let added = y.add(outputs);
            y.dims.iter_mut().skip(last).for_each(|dim| dim.clone_from(&added));
            return Ok(y);
        }
        let layer = Affine::new(outputs);
        let made = match &bias {
            None => self.plan.place_with(layer.clone().no_bias(), &[value], numbers.clone(), false)?,
            Some(bias) => {
                let bias = Rc::new(Const::reals(vec![outputs], bias.clone()));
                let numbers = [&numbers[..], &[Numbers::new("bias", &bias)]].concat();
                self.plan.place_with(layer.clone(), &[value], numbers, false)?
            }
        };
        let biased =
            Biased { layer: layer.into(), inputs: vec![value], numbers, name: "bias", bias, outputs, first: false };
        self.biased.insert(made, biased);
        let mut y = ordered.without(made, &(rest.len()..ordered.atoms.len()).collect::<Vec<_>>());
        let added = y.add(outputs);
        y.dims.iter_mut().skip(last).for_each(|dim| dim.clone_from(&added));
        Ok(y)
    }
}

/// A known array whose first axis is this one of a value of this rank: so old versions broadcast.
fn from_axis(c: &Const, axis: usize, rank: usize) -> Const {
    let behind = rank.saturating_sub(axis + c.rank());
    c.with_axes((0..c.rank()).map(Some).chain(std::iter::repeat_n(None, behind)))
}

/// A parameter of equal numbers.
pub(super) fn constant(name: &str, count: usize, value: f64) -> Numbers {
    let values = Const::filled(vec![count], super::constant::Data::F64(vec![value]));
    Numbers::new(name, &Rc::new(values))
}

/// α and γ of Selu.
const SELU: [f64; 2] = [1.673_263_242_354_377_2, 1.050_700_987_355_480_5];

/// Whether two numbers are equal in single precision, in which files have them.
pub(super) fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 4.0 * f64::from(f32::EPSILON) * a.abs().max(b.abs())
}
