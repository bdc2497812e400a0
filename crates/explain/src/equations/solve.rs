//! The numbers between x and y, their derivatives and their gradients.

use downhill_tensor::Shape;

use super::{Equations, Layer, Letters};
use crate::explanation::{Array, Explanation, Inner, Local, LocalDerivative};
use crate::formulas::gives;
use crate::{Expression, Number, Variable};

/// Works out the numbers between x and y of a step, their derivatives and their gradients, if its equations are known and
/// give what the layer itself has computed.
pub(crate) fn solve(all: &mut Explanation, step: usize, most: usize) {
    let Some(at) = Layer::new(all, step) else { return };
    let Some(equations) = at.equations() else { return };
    let (arrays, order) = (equations.arrays(), equations.order(&at));
    if arrays.is_empty() || order.is_empty() || order.len() > most {
        return;
    }
    let Some(inner) = arrays.into_iter().map(|letters| unsolved(letters, all.examples)).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let Some(at) = all.steps.get_mut(step) else { return };
    let before = std::mem::replace(&mut at.local, Local::Equations { inner, derivatives: Vec::new() });
    if solved(all, step, equations.as_ref(), &order, most).is_none()
        && let Some(at) = all.steps.get_mut(step)
    {
        at.local = before;
    }
}

fn unsolved(letters: Letters, examples: usize) -> Option<Inner> {
    let Letters { text, latex, axes, of_batch } = letters;
    let shape = Shape::new(&axes)?;
    let count = if of_batch { shape.len() } else { shape.len() * examples };
    let zeros = Array::new(vec![0.0; count], true);
    Some(Inner { name: text, latex, shape, of_batch, values: zeros.clone(), gradient: zeros })
}

/// The derivatives of one number by each number in its formula.
struct Row {
    /// The array and the place; none for a number of y.
    array: Option<usize>,
    index: usize,
    slopes: Vec<(Variable, f64)>,
}

fn solved(
    all: &mut Explanation,
    step: usize,
    equations: &dyn Equations,
    order: &[(usize, usize)],
    most: usize,
) -> Option<()> {
    let (mut rows, mut count) = (Vec::new(), 0);
    // Forward.
    for &(array, index) in order {
        let (value, row) = {
            let at = Layer::new(all, step)?;
            let formula = equations.inner(&at, array, index)?;
            (formula.evaluate(), slopes(&at, Some(array), index, &formula)?)
        };
        count += row.slopes.len();
        if count > most {
            return None;
        }
        rows.push(row);
        let Local::Equations { inner, .. } = &mut all.steps.get_mut(step)?.local else { return None };
        *inner.get_mut(array)?.values.numbers.get_mut(index)? = value;
    }
    let (outputs, precision) = (all.nodes.get(all.steps.get(step)?.output)?, all.precision.clone());
    for (index, &y) in outputs.values.numbers.iter().enumerate() {
        let at = Layer::new(all, step)?;
        let largest = all.largest(Number::Value { node: at.at.output, index });
        let formula = equations.output(&at, index).filter(|formula| gives(formula, y, largest, &precision))?;
        rows.push(slopes(&at, None, index, &formula)?);
    }
    if rows.iter().map(|row| row.slopes.len()).sum::<usize>() > most {
        return None;
    }
    // Backward: each number gives its gradient, times the derivative, to the numbers of its formula.
    let at = all.steps.get(step)?;
    let zeros = |arrays: &[Array]| arrays.iter().map(|array| vec![Summed::default(); array.numbers.len()]).collect();
    let (mut dx, mut dtheta): (Vec<Vec<Summed>>, Vec<Vec<Summed>>) = (zeros(&at.dx), zeros(&at.dtheta));
    let Local::Equations { inner, .. } = &at.local else { return None };
    let mut gradients: Vec<Vec<Summed>> =
        inner.iter().map(|inner| vec![Summed::default(); inner.values.numbers.len()]).collect();
    for row in rows.iter().rev() {
        let gradient = match row.array {
            None => {
                let sum = *outputs.gradient.numbers.get(row.index)?;
                Summed { sum, size: sum.abs() }
            }
            Some(array) => *gradients.get(array)?.get(row.index)?,
        };
        for &(by, slope) in &row.slopes {
            let to = match by {
                Variable::Input { input, index } => dx.get_mut(input)?.get_mut(index)?,
                Variable::Parameter { parameter, index } => dtheta.get_mut(at.place_of(parameter)?)?.get_mut(index)?,
                Variable::Inner { array, index } => gradients.get_mut(array)?.get_mut(index)?,
            };
            to.sum += gradient.sum * slope;
            to.size += gradient.size * slope.abs();
        }
    }
    let tolerance = if precision == "f32" { 1e-4 } else { 1e-9 };
    // Within the rounding of the largest sum of an array.
    let agree = |arrays: &[Array], got: &[Vec<Summed>]| {
        let agrees = |(array, got): (&Array, &Vec<Summed>)| {
            let size = got.iter().map(|got| got.size).filter(|size| size.is_finite()).fold(0.0, f64::max);
            let mut pairs = array.numbers.iter().zip(got);
            pairs.all(|(own, got)| *own == got.sum || (own - got.sum).abs() <= tolerance * size)
        };
        arrays.iter().zip(got).all(agrees)
    };
    if !agree(&at.dx, &dx) || !agree(&at.dtheta, &dtheta) {
        return None;
    }
    let address = |row: &Row, by: Variable| match row.array {
        None => Number::Derivative { step, output: row.index, by },
        Some(array) => Number::InnerDerivative { step, array, index: row.index, by },
    };
    let addressed = rows.iter().flat_map(|row| row.slopes.iter().map(move |&(by, value)| (address(row, by), value)));
    let mut found: Vec<_> = addressed.map(|(number, value)| LocalDerivative { number, value }).collect();
    found.sort_by_key(|derivative| derivative.number);
    let Local::Equations { inner, derivatives } = &mut all.steps.get_mut(step)?.local else { return None };
    *derivatives = found;
    for (inner, gradient) in inner.iter_mut().zip(gradients) {
        inner.values = Array::new(std::mem::take(&mut inner.values.numbers), true);
        inner.gradient = Array::new(gradient.iter().map(|gradient| gradient.sum).collect(), true);
    }
    Some(())
}

/// A sum of products, and that of their magnitudes.
#[derive(Clone, Copy, Default)]
struct Summed {
    sum: f64,
    size: f64,
}

fn slopes(at: &Layer<'_>, array: Option<usize>, index: usize, formula: &Expression) -> Option<Row> {
    let variable = |letter: &Expression| match letter.letter()?.0 {
        Number::Value { index, .. } => {
            let is_it = |&input: &usize| at.x(input, index).is_some_and(|x| x.letter() == letter.letter());
            Some(Variable::Input { input: (0..at.at.inputs.len()).find(is_it)?, index })
        }
        Number::Parameter { parameter, index } => Some(Variable::Parameter { parameter, index }),
        Number::Inner { array, index, .. } => Some(Variable::Inner { array, index }),
        _ => None,
    };
    // Of y itself the derivative needs no more than the formula.
    let slope = |letter: &Expression| Some((variable(letter)?, formula.derivative_of(formula, letter).evaluate()));
    let slopes = formula.letters().into_iter().map(slope).collect::<Option<_>>()?;
    Some(Row { array, index, slopes })
}
