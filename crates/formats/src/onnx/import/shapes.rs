//! Operators that move numbers, and sums along axes.

use std::rc::Rc;

use downhill_layers::{Concat, Embedding, MaxPool1d, MaxPool2d, Mean, Multiply, Pad, PadMode, Slice, Sum};
use downhill_tensor::Init;

use super::constant::{Const, Data, axis_of, count};
use super::fold::{lengths, reshape_target, resolve, shape_slice, split_sizes, squeezed, unsqueezed};
use super::node::{Operator, Run, permutation, ranges};
use super::plan::Numbers;
use super::view::{Atom, View, places};
use super::{Importer, OPEN_BATCH, Value, known, optional, view};

/// The most parts that an axis is cut into, or joined of.
const MOST_PARTS: usize = 4096;

impl<'a> Importer<'a> {
    /// Reads what changes shapes; `None` for other operators.
    pub(super) fn shapes(
        &mut self,
        node: &Operator<'a>,
        inputs: &[Option<Value>],
    ) -> Result<Option<Vec<Value>>, String> {
        let batch = self.batch;
        let x = || view(inputs, 0);
        let all: Vec<Option<Rc<Const>>> = inputs
            .iter()
            .map(|value| if let Some(Value::Const(known)) = value { Some(Rc::clone(known)) } else { None })
            .collect();
        let given = |index: usize| Ok::<bool, String>(optional(inputs, index)?.is_some());
        let value = match node.kind() {
            "Shape" => Value::from(shape_slice(node, &x()?.shape(batch))?),
            "Size" => Value::from(Const::new(Vec::new(), Data::Int(vec![count(&x()?.shape(batch))? as i64]))),
            "Transpose" => Value::View(x()?.transposed(&permutation(node, x()?.rank())?)),
            "Reshape" => {
                let target = reshape_target(node, optional(inputs, 1)?, &mut self.budget)?;
                let shape = resolve(&target, &x()?.shape(batch), node.int("allowzero", 0)? != 0)?;
                Value::View(self.reshape(&x()?, &shape)?)
            }
            "Flatten" => {
                let (shape, rank) = (x()?.shape(batch), x()?.rank() as i64);
                let axis = node.int("axis", 1)?;
                let axis = (if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank) as usize;
                let (before, behind) = shape.split_at(axis);
                Value::View(self.reshape(&x()?, &[count(before)?, count(behind)?])?)
            }
            "Unsqueeze" => {
                let axes = self.axes(node, 1, given(1)?, &all)?;
                let x = x()?;
                let dims = unsqueezed(&axes, x.rank())?.into_iter();
                let dims = dims.map(|axis| axis.map_or_else(Vec::new, |axis| x.dim(axis).to_vec())).collect();
                Value::View(View { dims, ..x })
            }
            "Squeeze" => {
                let axes = self.axes(node, 1, given(1)?, &all)?;
                let mut x = x()?;
                let mut gone = squeezed(&axes, &x.shape(batch))?;
                if axes.is_empty() {
                    gone.retain(|&axis| !x.dim(axis).contains(&Atom::Batch));
                }
                if gone.iter().any(|&axis| x.dim(axis).contains(&Atom::Batch)) {
                    return Err("it removes the batch axis".into());
                }
                let kept = (0..x.rank()).filter(|axis| !gone.contains(axis));
                x.dims = kept.map(|axis| x.dim(axis).to_vec()).collect();
                Value::View(x)
            }
            "Expand" => {
                let shape = lengths(&known(inputs, 1)?.whole_numbers(&mut self.budget)?)?;
                Value::View(self.spread_out(&x()?, &shape)?)
            }
            "Concat" => {
                let views = (0..inputs.len()).map(|index| view(inputs, index)).collect::<Result<Vec<_>, _>>();
                let rank = inputs.iter().flatten().find_map(|value| match value {
                    Value::View(view) => Some(view.rank()),
                    _ => None,
                });
                let axis = axis_of(node.int("axis", 1)?, rank.unwrap_or_default())?;
                match views {
                    Ok(views) => Value::View(self.join(&views, axis)?),
                    Err(_) => Value::View(self.join_known(inputs, axis)?),
                }
            }
            "Slice" => {
                let mut x = x()?;
                for (axis, run) in ranges(node, &all, &x.shape(batch), &mut self.budget)? {
                    x = self.keep(&x, axis, run)?;
                }
                Value::View(x)
            }
            "Split" => return self.split(node, inputs).map(Some),
            "Gather" => match inputs.first() {
                Some(Some(Value::Const(table))) => Value::View(self.look_up(node, table, &view(inputs, 1)?)?),
                _ => Value::View(self.gather(node, &x()?, known(inputs, 1)?.as_ref())?),
            },
            "Tile" => {
                let repeats = lengths(&known(inputs, 1)?.whole_numbers(&mut self.budget)?)?;
                let mut x = x()?;
                if repeats.len() != x.rank() {
                    return Err("it has not one number for each axis".into());
                }
                for (axis, &times) in repeats.iter().enumerate() {
                    if times == 0 || times > MOST_PARTS {
                        return Err(format!("an axis can be repeated from 1 to {MOST_PARTS} times, but not {times}"));
                    }
                    if times > 1 {
                        x = self.join(&vec![x; times], axis)?;
                    }
                }
                Value::View(x)
            }
            "Pad" => Value::View(self.pad_operator(node, inputs)?),
            "DepthToSpace" | "SpaceToDepth" => Value::View(self.blocks(node, &x()?)?),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceSumSquare" => {
                Value::View(self.reduce(node, inputs, &all)?)
            }
            _ => return Ok(None),
        };
        Ok(Some(vec![value]))
    }

    /// All elements in another shape; if axes are cut at other places, in the file's order in memory.
    pub(super) fn reshape(&mut self, x: &View, shape: &[usize]) -> Result<View, String> {
        if let Ok(view) = x.reshaped(shape, self.batch) {
            return Ok(view);
        }
        let x = self.plan.canonical(x)?;
        let all: Vec<Atom> = x.dims.iter().flatten().copied().collect();
        let mut whole = View { whole: x.whole, ..View::empty(x.value) };
        let mut dim = Vec::new();
        for side in all.split(|&atom| atom == Atom::Batch) {
            let length = x.product(&places(side));
            dim.extend(whole.add(length));
            dim.push(Atom::Batch);
        }
        dim.pop();
        whole.dims.push(dim);
        whole.reshaped(shape, self.batch)
    }

    /// The view with an axis as the middle one of three: its number of places, and the view in such an order that the
    /// value has the shape (before, places, behind).
    fn around(&mut self, x: &View, axis: usize) -> Result<(View, usize), String> {
        if x.dim(axis).contains(&Atom::Batch) {
            return Err("it cuts or joins the batch, so that examples would depend on each other".into());
        }
        let parts = x.axes(axis);
        let together = parts.windows(2).all(|pair| matches!(pair, &[a, b] if a + 1 == b));
        let mut x = if together {
            x.clone()
        } else {
            let order = [x.others(&parts), parts.clone()].concat();
            self.plan.ordered(x, &order)?
        };
        let parts = x.axes(axis);
        let first = parts.first().copied().unwrap_or(x.atoms.len());
        let before: Vec<usize> = (0..first).collect();
        let behind: Vec<usize> = (first + parts.len()..x.atoms.len()).collect();
        let shape = [x.product(&before), x.product(&parts), x.product(&behind)];
        x.value = self.plan.shaped(x.value, &shape)?;
        Ok((x, first))
    }

    /// The view, after [`around`](Self::around), whose axis has become one of this length.
    fn with_length(x: &View, axis: usize, first: usize, value: usize, length: usize) -> View {
        let parts = x.axes(axis);
        let mut atoms = x.atoms.clone();
        atoms.splice(first..first + parts.len(), (length != 1).then_some(length));
        let place = |old: usize| if old < first { old } else { old + usize::from(length != 1) - parts.len() };
        let dims = x.dims.iter().enumerate().map(|(at, dim)| {
            if at == axis {
                return if length == 1 { Vec::new() } else { vec![Atom::Axis(first)] };
            }
            dim.iter()
                .map(|&atom| if let Atom::Axis(old) = atom { Atom::Axis(place(old)) } else { Atom::Batch })
                .collect()
        });
        View { value, dims: dims.collect(), atoms, whole: x.whole }
    }

    /// Keeps some places of an axis, at equal distances.
    pub(super) fn keep(&mut self, x: &View, axis: usize, run: Run) -> Result<View, String> {
        let length = x.length(axis, self.batch);
        if run.start == 0 && run.step == 1 && run.count == length {
            return Ok(x.clone());
        }
        if run.count == 0 {
            return Err("it keeps nothing".into());
        }
        if run.step < 1 && run.count > 1 {
            return Err("it reverses an axis, which no layer does".into());
        }
        let (x, first) = self.around(x, axis)?;
        let step = usize::try_from(run.step).unwrap_or(1);
        let end = run.start + (run.count - 1) * step + 1;
        let mut value = self.plan.place(Slice::new(1, run.start..end), &[x.value])?;
        if step > 1 && run.count > 1 {
            // The largest of one number is that number: so those between are left out.
            let pool = MaxPool2d::new(1).stride([step, 1]);
            value = self.plan.place(pool, &[value])?;
        }
        Ok(Self::with_length(&x, axis, first, value, run.count))
    }

    /// Joins values along an axis.
    pub(super) fn join(&mut self, views: &[View], axis: usize) -> Result<View, String> {
        if views.len() > MOST_PARTS {
            return Err(format!("it joins {} values; there can be {MOST_PARTS}", views.len()));
        }
        let mut level = Vec::new();
        for x in views {
            if x.dim(axis).contains(&Atom::Batch) {
                return Err("it joins along the batch, so that there would be more examples".into());
            }
            // In the file's order, with each axis whole on either side of the batch.
            let x = self.plan.canonical(x)?;
            let dims = x.dims.iter().map(|dim| {
                let sides = dim.split(|&atom| atom == Atom::Batch).map(|side| x.product(&places(side)));
                sides.collect::<Vec<_>>()
            });
            let dims: Vec<Vec<usize>> = dims.collect();
            level.push((x, dims));
        }
        let Some((_, first)) = level.first().cloned() else { return Err("it joins nothing".into()) };
        let alike = |dims: &[Vec<usize>]| {
            dims.len() == first.len() && dims.iter().zip(&first).enumerate().all(|(at, (a, b))| at == axis || a == b)
        };
        if !level.iter().all(|(_, dims)| alike(dims)) {
            return Err("its inputs have different shapes beside the axis".into());
        }
        let product = |dims: &[Vec<usize>]| dims.iter().flatten().fold(1usize, |all, &n| all.saturating_mul(n));
        let (before, behind) =
            (product(first.get(..axis).unwrap_or_default()), { product(first.get(axis + 1..).unwrap_or_default()) });
        let mut total = 0usize;
        let mut values = Vec::new();
        for (x, dims) in &level {
            let length = dims.get(axis).and_then(|sides| sides.first()).copied().unwrap_or(1);
            total = total.saturating_add(length);
            values.push(self.plan.shaped(x.value, &[before, length, behind])?);
        }
        // A layer joins at most eight.
        while values.len() > 1 {
            let parts: Vec<Vec<usize>> = values.chunks(8).map(<[usize]>::to_vec).collect();
            values.clear();
            for part in parts {
                values.push(if let &[one] = &part[..] { one } else { self.plan.place(Concat::new(1), &part)? });
            }
        }
        let mut y = View::empty(values.first().copied().unwrap_or_default());
        for (at, sides) in first.iter().enumerate() {
            let mut dim = Vec::new();
            for (side, &length) in sides.iter().enumerate() {
                if side > 0 {
                    dim.push(Atom::Batch);
                }
                dim.extend(y.add(if at == axis { total } else { length }));
            }
            y.dims.push(dim);
        }
        Ok(y)
    }

    /// Joins computed and known values, such as a token before a sequence: room is made for what is known, and then it
    /// is added there.
    fn join_known(&mut self, inputs: &[Option<Value>], axis: usize) -> Result<View, String> {
        let batch = self.batch;
        let views: Vec<&View> = inputs
            .iter()
            .filter_map(|value| if let Some(Value::View(view)) = value { Some(view) } else { None })
            .collect();
        let &[only] = &views[..] else { return Err("several computed values are joined with known ones".into()) };
        let mut shape = only.shape(batch);
        let lead = |value: &Value| match value {
            Value::Const(known) => known.shape.get(axis).copied(),
            Value::View(view) => Some(view.length(axis, batch)),
            _ => None,
        };
        let (mut before, mut behind, mut seen) = (0usize, 0usize, false);
        let mut addends: Vec<Rc<Const>> = Vec::new();
        for value in inputs.iter().flatten() {
            let length = lead(value).ok_or("an input has too few axes")?;
            shape.iter_mut().skip(axis).take(1).for_each(|at| *at = length);
            match value {
                Value::View(_) => seen = true,
                _ if seen => behind += length,
                _ => before += length,
            }
            addends.push(match value {
                Value::Const(known) => Rc::clone(known),
                _ => Rc::new(Const::filled(shape.clone(), Data::F64(vec![0.0]))),
            });
        }
        let known = Const::concat(&addends, axis, &mut self.budget)?;
        let (x, first) = self.around(only, axis)?;
        let length = x.length(axis, batch) + before + behind;
        let padded = self.plan.place(Pad::new([0, 0]).rows([before, behind]), &[x.value])?;
        let padded = Self::with_length(&x, axis, first, padded, length);
        self.add(&padded, &known, "", false)
    }

    fn split(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<Vec<Value>, String> {
        let x = view(inputs, 0)?;
        let axis = axis_of(node.int("axis", 0)?, x.rank())?;
        let length = x.length(axis, self.batch);
        let sizes = match optional(inputs, 1)? {
            Some(sizes) => Some(sizes.whole_numbers(&mut self.budget)?),
            None => node.ints("split")?,
        };
        let sizes = split_sizes(sizes, length, node.node.output.len())?;
        if sizes.len() > MOST_PARTS {
            return Err(format!("it cuts an axis into {} parts; there can be {MOST_PARTS}", sizes.len()));
        }
        let mut start = 0;
        sizes
            .into_iter()
            .map(|count| {
                let run = Run { start, step: 1, count };
                start += count;
                self.keep(&x, axis, run).map(Value::View)
            })
            .collect()
    }

    /// Takes known places of an axis.
    fn gather(&mut self, node: &Operator<'_>, x: &View, at: &Const) -> Result<View, String> {
        let axis = axis_of(node.int("axis", 0)?, x.rank())?;
        let length = x.length(axis, self.batch);
        let found = at.whole_numbers(&mut self.budget)?;
        let found = found.iter().map(|&place| axis_of(place, length)).collect::<Result<Vec<_>, _>>()?;
        let mut runs: Vec<Run> = Vec::new();
        for start in found {
            match runs.last_mut() {
                Some(run) if run.start + run.count == start => run.count += 1,
                _ => runs.push(Run { start, step: 1, count: 1 }),
            }
        }
        if runs.len() > MOST_PARTS {
            return Err(format!("it takes {} ranges; there can be {MOST_PARTS}", runs.len()));
        }
        let parts = runs.into_iter().map(|run| self.keep(x, axis, run)).collect::<Result<Vec<_>, _>>()?;
        let mut taken = match &parts[..] {
            [one] => one.clone(),
            several => self.join(several, axis)?,
        };
        if at.rank() == 0 {
            taken.dims.remove(axis);
        } else if at.rank() > 1 {
            let mut shape = taken.shape(self.batch);
            shape.splice(axis..=axis, at.shape.iter().copied());
            taken = self.reshape(&taken, &shape)?;
        }
        Ok(taken)
    }

    /// Looks up rows of a table.
    fn look_up(&mut self, node: &Operator<'_>, table: &Rc<Const>, at: &View) -> Result<View, String> {
        let &[rows, width] = &table.shape[..] else { return Err("it looks up numbers of what is no matrix".into()) };
        if axis_of(node.int("axis", 0)?, 2)? != 0 {
            return Err("it looks up columns of a table, which no layer does".into());
        }
        let numbers = vec![Numbers::new("weight", &self.parameter(table)?)];
        let layer = Embedding::new(rows, width).init(Init::Zeros);
        let value = self.plan.place_with(layer, &[at.value], numbers, false)?;
        let mut y = View { value, whole: false, ..at.clone() };
        let added = y.add(width);
        y.dims.push(added);
        Ok(y)
    }

    fn pad_operator(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<View, String> {
        let mut x = view(inputs, 0)?;
        let pads = match optional(inputs, 1)? {
            Some(pads) => pads.whole_numbers(&mut self.budget)?,
            None => node.ints(if node.has("pads") { "pads" } else { "paddings" })?.unwrap_or_default(),
        };
        let axes: Vec<usize> = match optional(inputs, 3)? {
            Some(axes) => {
                let axes = axes.whole_numbers(&mut self.budget)?;
                axes.iter().map(|&axis| axis_of(axis, x.rank())).collect::<Result<_, _>>()?
            }
            None => (0..x.rank()).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(format!("it has {} pads for {} axes", pads.len(), axes.len()));
        }
        let value = match optional(inputs, 2)? {
            Some(value) => value.data.real(0),
            None => node.float("value", 0.0)?,
        };
        let mode = match node.text("mode", "constant")? {
            "constant" => PadMode::Constant(value),
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Replicate,
            "wrap" => PadMode::Circular,
            mode => return Err(format!("padding of the mode `{mode}` is not known")),
        };
        let (before, behind) = pads.split_at(axes.len());
        for ((&axis, &before), &behind) in axes.iter().zip(before).zip(behind) {
            let length = x.length(axis, self.batch) as i64;
            // What is less than nothing is cut off.
            let cut = |pad: i64| pad.min(0).saturating_neg();
            if cut(before).saturating_add(cut(behind)) >= length && (before < 0 || behind < 0) {
                return Err("it leaves nothing".into());
            }
            let count = (length - cut(before) - cut(behind)) as usize;
            x = self.keep(&x, axis, Run { start: cut(before) as usize, step: 1, count })?;
            x = self.pad(&x, axis, [before.max(0) as usize, behind.max(0) as usize], &mode)?;
        }
        Ok(x)
    }

    /// Adds numbers at both ends of an axis.
    pub(super) fn pad(&mut self, x: &View, axis: usize, ends: [usize; 2], mode: &PadMode) -> Result<View, String> {
        if ends == [0, 0] {
            return Ok(x.clone());
        }
        let (x, first) = self.around(x, axis)?;
        let length = x.length(axis, self.batch).saturating_add(ends.iter().fold(0, |sum, &n| sum + n.min(OPEN_BATCH)));
        let value = self.plan.place(Pad::new([0, 0]).rows(ends).mode(*mode), &[x.value])?;
        Ok(Self::with_length(&x, axis, first, value, length))
    }

    /// Moves blocks of pixels into channels, or back.
    fn blocks(&mut self, node: &Operator<'_>, x: &View) -> Result<View, String> {
        let batch = self.batch;
        let block = usize::try_from(node.int("blocksize", 1)?).unwrap_or_default();
        let &[examples, channels, rows, columns] = &x.shape(batch)[..] else { return Err("it reads no images".into()) };
        let area = block.checked_mul(block).filter(|&area| area > 0).ok_or("its block size is no size")?;
        if node.kind() == "SpaceToDepth" {
            let (down, across) = (rows / block, columns / block);
            let x = x.reshaped(&[examples, channels, down, block, across, block], batch)?;
            let x = x.transposed(match node.text("mode", "DCR")? {
                "CRD" => &[0, 1, 3, 5, 2, 4],
                _ => &[0, 3, 5, 1, 2, 4],
            });
            return x.reshaped(&[examples, channels.saturating_mul(area), down, across], batch);
        }
        let rest = channels / area;
        let (cut, order) = match node.text("mode", "DCR")? {
            "CRD" => ([examples, rest, block, block, rows, columns], [0, 1, 4, 2, 5, 3]),
            _ => ([examples, block, block, rest, rows, columns], [0, 3, 4, 1, 5, 2]),
        };
        let x = x.reshaped(&cut, batch)?.transposed(&order);
        x.reshaped(&[examples, rest, rows.saturating_mul(block), columns.saturating_mul(block)], batch)
    }

    fn reduce(
        &mut self,
        node: &Operator<'_>,
        inputs: &[Option<Value>],
        all: &[Option<Rc<Const>>],
    ) -> Result<View, String> {
        let x = view(inputs, 0)?;
        let axes = self.axes(node, 1, optional(inputs, 1)?.is_some(), all)?;
        let keep = node.int("keepdims", 1)? != 0;
        let axes: Vec<usize> = match axes.is_empty() {
            true if node.int("noop_with_empty_axes", 0)? != 0 => {
                return if node.kind() == "ReduceSumSquare" { self.square(&x) } else { Ok(x) };
            }
            true => (0..x.rank()).collect(),
            false => axes.iter().map(|&axis| axis_of(axis, x.rank())).collect::<Result<_, _>>()?,
        };
        if axes.iter().any(|&axis| x.dim(axis).contains(&Atom::Batch)) {
            return Err("it works along the batch, so that examples would depend on each other".into());
        }
        let mut parts: Vec<usize> = axes.iter().flat_map(|&axis| x.axes(axis)).collect();
        parts.sort_unstable();
        let x = match node.kind() {
            "ReduceSumSquare" => self.square(&x)?,
            "ReduceMin" => self.scale(&x, -1.0)?,
            _ => x,
        };
        let mut y = match node.kind() {
            "ReduceMax" | "ReduceMin" => self.largest(&x, &parts)?,
            name => {
                // Together in memory, or brought together.
                let together = parts.windows(2).all(|pair| matches!(pair, &[a, b] if a + 1 == b));
                let rest = x.others(&parts);
                let order = if together { x.others(&[]) } else { [&rest[..], &parts[..]].concat() };
                let first = if together { parts.first().copied().unwrap_or(x.atoms.len()) } else { rest.len() };
                let mut x = self.plan.ordered(&x, &order)?;
                let reduced: Vec<usize> = (first..first + parts.len()).collect();
                let before = x.product(&(0..first).collect::<Vec<_>>());
                let length = x.product(&reduced);
                let behind = x.product(&(first + parts.len()..x.atoms.len()).collect::<Vec<_>>());
                x.value = self.plan.shaped(x.value, &[before, length, behind])?;
                let value = match name {
                    "ReduceMean" => self.plan.place(Mean::new(1), &[x.value])?,
                    _ => self.plan.place(Sum::new(1), &[x.value])?,
                };
                x.without(value, &reduced)
            }
        };
        if node.kind() == "ReduceMin" {
            y = self.scale(&y, -1.0)?;
        }
        if !keep {
            let kept = (0..y.rank()).filter(|axis| !axes.contains(axis));
            y.dims = kept.map(|axis| y.dim(axis).to_vec()).collect();
        }
        Ok(y)
    }

    fn square(&mut self, x: &View) -> Result<View, String> {
        Ok(View { value: self.plan.place(Multiply, &[x.value, x.value])?, ..x.clone() })
    }

    /// The largest along these parts of an example.
    pub(super) fn largest(&mut self, x: &View, parts: &[usize]) -> Result<View, String> {
        let rest = x.others(parts);
        let (channels, length) = (x.product(&rest), x.product(parts));
        let x = self.plan.ordered(x, &[&rest[..], parts].concat())?;
        let value = self.plan.shaped(x.value, &[channels, length])?;
        let value = self.plan.place(MaxPool1d::new(length), &[value])?;
        Ok(x.without(value, &(rest.len()..x.atoms.len()).collect::<Vec<_>>()))
    }
}
