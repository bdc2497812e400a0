//! Operators whose inputs are all known: they are computed while the file is read.

use std::rc::Rc;

use super::constant::{Const, Data, axis_of, count};
use super::node::{Operator, permutation, ranges};
use super::{Importer, Value};

type Answer = Result<Vec<Value>, String>;

impl Importer<'_> {
    /// Computes an operator of known inputs; `None` stands for an input that is left out.
    pub(super) fn fold(&mut self, node: &Operator<'_>, inputs: &[Option<Rc<Const>>]) -> Answer {
        let budget = &mut self.budget;
        let given = |index: usize| inputs.get(index).cloned().flatten();
        let need = |index: usize| given(index).ok_or_else(|| format!("it lacks input {index}"));
        let one = |value: Const| Ok(vec![Value::from(value)]);
        let binary = |index: usize| Ok::<_, String>((need(0)?, need(index)?));
        match node.kind() {
            "Identity" | "Dropout" | "CastLike" => one(need(0)?.as_ref().clone()),
            "Constant" => one(constant(node)?),
            "ConstantOfShape" => {
                let shape = lengths(&need(0)?.whole_numbers(budget)?)?;
                let value = match node.tensor("value")? {
                    Some(value) => value.data,
                    None => Data::F32(vec![0.0]),
                };
                one(Const::filled(shape, value))
            }
            "Shape" => one(shape_slice(node, &need(0)?.shape)?),
            "Size" => one(Const::new(Vec::new(), Data::Int(vec![count(&need(0)?.shape)? as i64]))),
            "Cast" => one(cast(need(0)?.as_ref(), node.int("to", 1)?, budget)?),
            "Add" => binary(1).and_then(|(a, b)| one(a.zip(&b, budget, Some(i64::checked_add), |a, b| a + b)?)),
            "Sub" => binary(1).and_then(|(a, b)| one(a.zip(&b, budget, Some(i64::checked_sub), |a, b| a - b)?)),
            "Mul" => binary(1).and_then(|(a, b)| one(a.zip(&b, budget, Some(i64::checked_mul), |a, b| a * b)?)),
            // Towards 0, as the reference does.
            "Div" => binary(1).and_then(|(a, b)| one(a.zip(&b, budget, Some(i64::checked_div), |a, b| a / b)?)),
            "Mod" => binary(1).and_then(|(a, b)| {
                one(a.zip(&b, budget, Some(|a: i64, b: i64| a.checked_rem_euclid(b)), f64::rem_euclid)?)
            }),
            "Pow" => binary(1).and_then(|(a, b)| {
                let whole = |a: i64, b: i64| a.checked_pow(u32::try_from(b).ok()?);
                one(a.zip(&b, budget, Some(whole), f64::powf)?)
            }),
            "Min" => binary(1).and_then(|(a, b)| one(a.zip(&b, budget, Some(|a: i64, b| Some(a.min(b))), f64::min)?)),
            "Max" => binary(1).and_then(|(a, b)| one(a.zip(&b, budget, Some(|a: i64, b| Some(a.max(b))), f64::max)?)),
            "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" | "Xor" => {
                let (a, b) = binary(1)?;
                let truth = compare(node.kind());
                let numbers =
                    a.zip(&b, budget, Some(|a: i64, b: i64| Some(i64::from(truth(a as f64, b as f64)))), {
                        |a, b| f64::from(u8::from(truth(a, b)))
                    })?;
                one(numbers.map_whole(budget, |x, _| x as i64)?)
            }
            "Not" => one(need(0)?.map_whole(budget, |x, _| i64::from(x == 0.0))?),
            "IsNaN" => one(need(0)?.map_whole(budget, |x, _| i64::from(x.is_nan()))?),
            "Neg" | "Abs" if need(0)?.is_whole() => {
                let negate = node.kind() == "Neg";
                one(need(0)?.map_whole(budget, |_, x| if negate { x.saturating_neg() } else { x.saturating_abs() })?)
            }
            "Floor" | "Ceil" | "Round" if need(0)?.is_whole() => one(need(0)?.as_ref().clone()),
            name if function(name).is_some() => {
                let f = function(name).unwrap_or(|x| x);
                one(need(0)?.map(budget, f)?)
            }
            "Where" => {
                let (condition, a, b) = (need(0)?, need(1)?, need(2)?);
                let mut picked = |of: &Const, take: bool| {
                    condition.zip(of, budget, None::<fn(i64, i64) -> Option<i64>>, move |c, x| {
                        if (c != 0.0) == take { x } else { 0.0 }
                    })
                };
                let (yes, no) = (picked(&a, true)?, picked(&b, false)?);
                let chosen = yes.zip(&no, budget, None::<fn(i64, i64) -> Option<i64>>, |a, b| a + b)?;
                one(if a.is_whole() && b.is_whole() { chosen.map_whole(budget, |x, _| x as i64)? } else { chosen })
            }
            "Gather" => {
                let (table, places) = (need(0)?, need(1)?);
                let axis = axis_of(node.int("axis", 0)?, table.rank())?;
                let length = table.shape.get(axis).copied().unwrap_or(1);
                let found = places.whole_numbers(budget)?;
                let found = found.iter().map(|&at| axis_of(at, length)).collect::<Result<Vec<_>, _>>()?;
                let taken = table.take(axis, &found, budget)?;
                // The places have a shape of their own.
                let mut shape = taken.shape.clone();
                shape.splice(axis..=axis, places.shape.iter().copied());
                if places.rank() == 0 {
                    one(taken.with_axes((0..taken.rank()).filter(|&at| at != axis).map(Some)))
                } else if places.rank() == 1 {
                    one(taken)
                } else {
                    one(taken.reshape(shape, budget)?)
                }
            }
            "Concat" => {
                let parts = inputs.iter().flatten().cloned().collect::<Vec<_>>();
                let rank = parts.first().map_or(0, |part| part.rank());
                one(Const::concat(&parts, axis_of(node.int("axis", 0)?, rank)?, budget)?)
            }
            "Unsqueeze" => {
                let x = need(0)?;
                let axes = self.axes(node, 1, given(1).is_some(), inputs)?;
                one(x.with_axes(unsqueezed(&axes, x.rank())?.into_iter()))
            }
            "Squeeze" => {
                let x = need(0)?;
                let axes = self.axes(node, 1, given(1).is_some(), inputs)?;
                let gone = squeezed(&axes, &x.shape)?;
                one(x.with_axes((0..x.rank()).filter(|axis| !gone.contains(axis)).map(Some)))
            }
            "Slice" => {
                let mut x = need(0)?.as_ref().clone();
                for (axis, run) in ranges(node, inputs, &x.shape.clone(), budget)? {
                    budget.take(run.count)?;
                    x = x.take(axis, &run.places().collect::<Vec<_>>(), budget)?;
                }
                one(x)
            }
            "Split" => {
                let x = need(0)?;
                let axis = axis_of(node.int("axis", 0)?, x.rank())?;
                let length = x.shape.get(axis).copied().unwrap_or(1);
                let sizes = match given(1) {
                    Some(sizes) => Some(sizes.whole_numbers(budget)?),
                    None => node.ints("split")?,
                };
                let mut start = 0;
                let mut parts = Vec::new();
                for size in split_sizes(sizes, length, node.node.output.len())? {
                    budget.take(size)?;
                    parts.push(Value::from(x.take(axis, &(start..start + size).collect::<Vec<_>>(), budget)?));
                    start += size;
                }
                Ok(parts)
            }
            "Transpose" => {
                let x = need(0)?;
                one(x.transpose(&permutation(node, x.rank())?, budget)?)
            }
            "Reshape" => {
                let (x, shape) = (need(0)?, reshape_target(node, given(1), budget)?);
                let shape = resolve(&shape, &x.shape, node.int("allowzero", 0)? != 0)?;
                one(x.reshape(shape, budget)?)
            }
            "Flatten" => {
                let x = need(0)?;
                let axis = node.int("axis", 1)?.clamp(-(x.rank() as i64), x.rank() as i64);
                let axis = if axis < 0 { axis + x.rank() as i64 } else { axis } as usize;
                let (before, behind) = x.shape.split_at(axis.min(x.rank()));
                one(x.reshape(vec![count(before)?, count(behind)?], budget)?)
            }
            "Expand" => {
                let shape = lengths(&need(1)?.whole_numbers(budget)?)?;
                one(need(0)?.expand(&shape)?)
            }
            "Range" => {
                let (start, limit, delta) = (need(0)?, need(1)?, need(2)?);
                let whole = start.is_whole() && limit.is_whole() && delta.is_whole();
                let [start, limit, delta] = [start, limit, delta].map(|x| x.data.real(0));
                let length = ((limit - start) / delta).ceil().max(0.0);
                if !length.is_finite() {
                    return Err(format!("a range from {start} to {limit} in steps of {delta} has no end"));
                }
                budget.take(length as usize)?;
                let numbers = (0..length as usize).map(|at| start + at as f64 * delta);
                let shape = vec![length as usize];
                one(match whole {
                    true => Const::new(shape, Data::Int(numbers.map(|x| x as i64).collect())),
                    false => Const::reals(shape, numbers.collect()),
                })
            }
            "Trilu" => {
                let (x, offset) = (need(0)?.dense(budget)?, given(1).map_or(0, |k| k.data.whole(0)));
                let upper = node.int("upper", 1)? != 0;
                let &[.., rows, columns] = &x.shape[..] else { return Err("a matrix is needed".into()) };
                let keeps = |place: usize| {
                    let (row, column) = ((place / columns % rows) as i64, (place % columns) as i64);
                    let diagonal = column.saturating_sub(row);
                    if upper { diagonal >= offset } else { diagonal <= offset }
                };
                budget.take(x.data.len())?;
                let kept = (0..x.data.len()).map(|place| if keeps(place) { x.data.real(place) } else { 0.0 });
                one(Const::reals(x.shape.clone(), kept.collect()))
            }
            "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" => {
                let (x, axes) = (need(0)?, self.axes(node, 1, given(1).is_some(), inputs)?);
                if !axes.is_empty() && axes.len() < x.rank() {
                    return Err("only all of an array that is known is reduced while a file is read".into());
                }
                let numbers = x.whole_numbers(&mut self.budget)?;
                if !x.is_whole() {
                    return Err("only whole numbers are reduced while a file is read".into());
                }
                let all = match node.kind() {
                    "ReduceProd" => numbers.iter().try_fold(1i64, |all, &x| all.checked_mul(x)),
                    "ReduceSum" => numbers.iter().try_fold(0i64, |all, &x| all.checked_add(x)),
                    "ReduceMax" => numbers.iter().copied().max(),
                    _ => numbers.iter().copied().min(),
                };
                let shape = if node.int("keepdims", 1)? == 0 { Vec::new() } else { vec![1; x.rank()] };
                one(Const::new(shape, Data::Int(vec![all.ok_or("the result is too large, or there is none")?])))
            }
            "MatMul" => one(need(0)?.matmul(need(1)?.as_ref(), budget)?),
            name => Err(format!("{name} of values that are known is not computed while a file is read")),
        }
    }

    /// The axes that an operator works on: its attribute, or an input from some version on; none if neither is there.
    pub(super) fn axes(
        &mut self,
        node: &Operator<'_>,
        input: usize,
        given: bool,
        inputs: &[Option<Rc<Const>>],
    ) -> Result<Vec<i64>, String> {
        match inputs.get(input).cloned().flatten().filter(|_| given) {
            Some(axes) => axes.whole_numbers(&mut self.budget),
            None => Ok(node.ints("axes")?.unwrap_or_default()),
        }
    }
}

/// Functions of one number, by operator.
fn function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "Sqrt" => f64::sqrt,
        "Exp" => f64::exp,
        "Log" => f64::ln,
        "Neg" => |x| -x,
        "Abs" => f64::abs,
        "Floor" => f64::floor,
        "Ceil" => f64::ceil,
        "Round" => f64::round_ties_even,
        "Reciprocal" => |x| 1.0 / x,
        "Sin" => f64::sin,
        "Cos" => f64::cos,
        "Sigmoid" => |x| 1.0 / (1.0 + (-x).exp()),
        "Tanh" => f64::tanh,
        "Relu" => |x| x.max(0.0),
        _ => return None,
    })
}

fn compare(name: &str) -> fn(f64, f64) -> bool {
    match name {
        "Equal" => |a, b| a == b,
        "Less" => |a, b| a < b,
        "Greater" => |a, b| a > b,
        "LessOrEqual" => |a, b| a <= b,
        "GreaterOrEqual" => |a, b| a >= b,
        "And" => |a, b| a != 0.0 && b != 0.0,
        "Or" => |a, b| a != 0.0 || b != 0.0,
        _ => |a, b| (a != 0.0) != (b != 0.0),
    }
}

/// The value of a `Constant` node, whichever attribute holds it.
fn constant(node: &Operator<'_>) -> Result<Const, String> {
    if let Some(value) = node.tensor("value")? {
        return Ok(value);
    }
    if let Some(value) = node.ints("value_ints")? {
        return Ok(Const::integers(value));
    }
    if let Some(value) = node.floats("value_floats")? {
        return Ok(Const::reals(vec![value.len()], value));
    }
    if node.has("value_int") {
        return Ok(Const::new(Vec::new(), Data::Int(vec![node.int("value_int", 0)?])));
    }
    if node.has("value_float") {
        return Ok(Const::reals(Vec::new(), vec![node.float("value_float", 0.0)?]));
    }
    Err("it holds no tensor and no number".into())
}

/// Whole numbers as lengths of axes.
pub(super) fn lengths(numbers: &[i64]) -> Result<Vec<usize>, String> {
    let length = |&n: &i64| usize::try_from(n).map_err(|_| format!("an axis can't have the length {n}"));
    numbers.iter().map(length).collect()
}

/// The part of a shape that `Shape` asks for.
pub(super) fn shape_slice(node: &Operator<'_>, shape: &[usize]) -> Result<Const, String> {
    let rank = shape.len() as i64;
    let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (bound(node.int("start", 0)?), bound(node.int("end", rank)?));
    let part = shape.get(start..end.max(start)).unwrap_or_default();
    Ok(Const::integers(part.iter().map(|&length| length as i64).collect()))
}

fn cast(x: &Const, to: i64, budget: &mut super::constant::Budget) -> Result<Const, String> {
    use crate::onnx::tensor::data_type::{BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, STRING};
    let float = |kind: i32| i64::from(kind) == to;
    if float(STRING) {
        return Err("texts are not computed while a file is read".into());
    }
    if [FLOAT, DOUBLE, FLOAT16, BFLOAT16].into_iter().any(float) {
        return if x.is_whole() { x.map(budget, |x| x) } else { Ok(x.clone()) };
    }
    match float(BOOL) {
        true => x.map_whole(budget, |x, _| i64::from(x != 0.0)),
        false => x.map_whole(budget, |_, x| x),
    }
}

/// The target of a `Reshape`: an input, or in the first version an attribute.
pub(super) fn reshape_target(
    node: &Operator<'_>,
    input: Option<Rc<Const>>,
    budget: &mut super::constant::Budget,
) -> Result<Vec<i64>, String> {
    match input {
        Some(shape) => shape.whole_numbers(budget),
        None => node.ints("shape")?.ok_or_else(|| "its shape is not known when the file is read".into()),
    }
}

/// The shape that a `Reshape` asks for, with -1 for what is left and 0 for the length that is there.
pub(super) fn resolve(target: &[i64], from: &[usize], zero_is_zero: bool) -> Result<Vec<usize>, String> {
    let mut shape = Vec::new();
    let mut open = None;
    for (axis, &length) in target.iter().enumerate() {
        shape.push(match length {
            0 if !zero_is_zero => {
                *from.get(axis).ok_or_else(|| format!("axis {axis} of {from:?} is to be kept, but is not there"))?
            }
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            length => usize::try_from(length).map_err(|_| format!("{target:?} is no shape"))?,
        });
    }
    if let Some(open) = open {
        let (all, rest) = (count(from)?, count(&shape)?);
        if rest == 0 || all % rest > 0 {
            return Err(format!("an array of shape {from:?} can't have the shape {target:?}"));
        }
        shape.iter_mut().skip(open).take(1).for_each(|length| *length = all / rest);
    }
    Ok(shape)
}

/// The lengths that a `Split` cuts an axis into, which are as even as can be if it names none.
pub(super) fn split_sizes(sizes: Option<Vec<i64>>, length: usize, outputs: usize) -> Result<Vec<usize>, String> {
    let sizes = match sizes {
        Some(sizes) => lengths(&sizes)?,
        None => {
            let each = length.div_ceil(outputs.max(1));
            (0..outputs).map(|at| length.saturating_sub(at.saturating_mul(each)).min(each)).collect()
        }
    };
    let sum = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
    if sum == Some(length) { Ok(sizes) } else { Err(format!("an axis of {length} can't be cut into {sizes:?}")) }
}

/// The axes after an `Unsqueeze`, each with the axis that it was.
pub(super) fn unsqueezed(axes: &[i64], rank: usize) -> Result<Vec<Option<usize>>, String> {
    let new = rank + axes.len();
    let added = axes.iter().map(|&axis| axis_of(axis, new)).collect::<Result<Vec<_>, _>>()?;
    let mut old = 0..rank;
    Ok((0..new).map(|axis| if added.contains(&axis) { None } else { old.next() }).collect())
}

/// The axes that a `Squeeze` removes: those that it names, or all of length 1.
pub(super) fn squeezed(axes: &[i64], shape: &[usize]) -> Result<Vec<usize>, String> {
    if axes.is_empty() {
        return Ok((0..shape.len()).filter(|&axis| shape.get(axis) == Some(&1)).collect());
    }
    let gone = axes.iter().map(|&axis| axis_of(axis, shape.len())).collect::<Result<Vec<_>, _>>()?;
    match gone.iter().find(|&&axis| shape.get(axis) != Some(&1)) {
        Some(axis) => Err(format!("axis {axis} of {shape:?} is not 1, and can't be removed")),
        None => Ok(gone),
    }
}
