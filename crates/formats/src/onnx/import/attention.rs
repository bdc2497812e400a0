//! Attention, softmax(q kᵀ s) v, which exporters write as products of computed values.

use std::rc::Rc;

use downhill_layers::{Concat, Description, MultiHeadAttention, Pad, Slice};

use super::constant::{Const, Data};
use super::elementwise::Biased;
use super::node::Operator;
use super::plan::Numbers;
use super::view::{Atom, View, places};
use super::{Importer, UNFINISHED, Value, optional, view};

/// Products of queries and keys, (..., queries, keys), perhaps already turned into weights.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    pub(super) node: String,
    q: View,
    /// The keys, (..., keys, width): the other way round than in the product.
    k: View,
    scale: f64,
    causal: bool,
    weights: bool,
}

/// Attention whose heads no map has merged: its output is still the context of the heads, side by side.
#[derive(Debug)]
pub(super) struct Unmerged {
    heads: usize,
    causal: bool,
    inputs: Vec<usize>,
    weight: Rc<Const>,
    bias: Option<Rc<Const>>,
    width: usize,
}

/// A map that makes queries, keys or values: its input, its weight by rows of outputs, and its bias.
struct Source {
    input: usize,
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
    inputs: usize,
}

impl<'a> Importer<'a> {
    /// A product of computed values: the scores of attention.
    pub(super) fn scores(&mut self, node: &Operator<'a>, q: &View, k: &View) -> Result<Value, String> {
        let rank = q.rank();
        if rank < 2 || k.rank() != rank {
            return Err(UNFINISHED.into());
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 1, rank - 2);
        let name = node.node.name.clone();
        let k = k.transposed(&order);
        let scores = Scores { node: name, q: q.clone(), k, scale: 1.0, causal: false, weights: false };
        Ok(Value::Scores(Rc::new(scores)))
    }

    /// Follows scores to the product with the values.
    pub(super) fn on_scores(&mut self, node: &Operator<'a>, inputs: &[Option<Value>]) -> Result<Value, String> {
        let mut scores = None;
        let mut others = Vec::new();
        for value in inputs.iter().flatten() {
            match value {
                Value::Scores(of) if scores.is_none() => scores = Some(Scores::clone(of)),
                other => others.push(other),
            }
        }
        let mut scores = scores.ok_or(UNFINISHED)?;
        let first = matches!(inputs.first(), Some(Some(Value::Scores(_))));
        match (node.kind(), &others[..]) {
            ("Identity" | "Cast" | "CastLike" | "Dropout", _) if first => {}
            ("Mul", &[Value::Const(c)]) if !scores.weights => scores.scale *= c.uniform().ok_or(UNFINISHED)?,
            ("Div", &[Value::Const(c)]) if !scores.weights && first => {
                scores.scale /= c.uniform().ok_or(UNFINISHED)?;
            }
            ("Add", &[Value::Const(c)]) if !scores.weights => scores.causal |= is_causal(c, &scores, self.batch)?,
            // Scores where a mask is true, and a number far below all where it is false, or the other way round.
            ("Where", &[Value::Const(condition), Value::Const(hidden)]) if !scores.weights => {
                let shown = matches!(inputs.get(1), Some(Some(Value::Scores(_))));
                let hidden = hidden.uniform().ok_or(UNFINISHED)?;
                let mask = condition.map(&mut self.budget, |x| if (x != 0.0) == shown { 0.0 } else { hidden })?;
                scores.causal |= is_causal(&mask, &scores, self.batch)?;
            }
            ("Softmax", &[]) if !scores.weights => {
                let rank = scores.q.rank() as i64;
                let axis = node.int("axis", if node.version < 13 { 1 } else { -1 })?;
                if axis != -1 && axis != rank - 1 {
                    return Err("the weights of attention must be those of each query's keys".into());
                }
                scores.weights = true;
            }
            ("MatMul", &[Value::View(v)]) if scores.weights && first => {
                return self.attend(&scores, v).map(Value::View);
            }
            _ => return Err(UNFINISHED.into()),
        }
        Ok(Value::Scores(Rc::new(scores)))
    }

    /// The context of all heads, (..., queries, width of a head).
    fn attend(&mut self, scores: &Scores, v: &View) -> Result<View, String> {
        let rank = scores.q.rank();
        let (q, k) = (&scores.q, &scores.k);
        if v.rank() != rank {
            return Err(UNFINISHED.into());
        }
        // Whether the batch and the heads lie alike, before the last two axes.
        let leads = |x: &View| {
            let atoms = x.dims.iter().take(rank - 2).flatten();
            let sizes = atoms.map(|&atom| if atom == Atom::Batch { None } else { Some(x.size(atom, 1)) });
            // Parts next to each other are one.
            sizes.fold(Vec::new(), |mut all: Vec<Option<usize>>, size| {
                match (all.last_mut(), size) {
                    (Some(Some(last)), Some(size)) => *last *= size,
                    _ => all.push(size),
                }
                all
            })
        };
        if leads(q) != leads(k)
            || leads(q) != leads(v)
            || !q.has_batch() && q.dims.iter().any(|d| d.contains(&Atom::Batch))
        {
            return Err("the batches or heads of queries, keys and values differ".into());
        }
        let lead_parts = |x: &View| -> Vec<usize> { (0..rank - 2).flat_map(|axis| places(x.dim(axis))).collect() };
        let mut arrange = |x: &View| -> Result<(View, [usize; 3]), String> {
            if x.dim(rank - 1).contains(&Atom::Batch) || x.dim(rank - 2).contains(&Atom::Batch) {
                return Err("it attends from example to example".into());
            }
            let (steps, heads, width) = (x.axes(rank - 2), lead_parts(x), x.axes(rank - 1));
            let sizes = [x.product(&steps), x.product(&heads), x.product(&width)];
            let mut x = self.plan.ordered(x, &[&steps[..], &heads, &width].concat())?;
            x.value = self.plan.shaped(x.value, &[sizes[0], sizes[1].saturating_mul(sizes[2])])?;
            Ok((x, sizes))
        };
        let (query, [queries, heads, width]) = arrange(q)?;
        let (key, [keys, _, key_width]) = arrange(k)?;
        let (value, [values, _, value_width]) = arrange(v)?;
        if keys != values || width != key_width || queries == 0 {
            return Err(format!("{queries} queries, {keys} keys and {values} values do not fit together"));
        }
        let factor = scores.scale * (width as f64).sqrt();
        let factor = if (factor - 1.0).abs() < 1e-6 { 1.0 } else { factor };
        let sizes = [heads, width, value_width];
        let made = self.attention(sizes, [query.value, key.value, value.value], factor, scores.causal)?;
        // The parts of the values' heads and widths, and those of the queries' steps.
        let mut y = View::empty(made);
        let of = |y: &mut View, x: &View, atoms: &[Atom]| -> Vec<Atom> {
            atoms
                .iter()
                .flat_map(|&atom| if atom == Atom::Batch { vec![Atom::Batch] } else { y.add(x.size(atom, 1)) })
                .collect()
        };
        let steps = of(&mut y, &query, query.dim(rank - 2));
        let lead: Vec<Vec<Atom>> = (0..rank - 2).map(|axis| of(&mut y, &query, query.dim(axis))).collect();
        let width = y.add(value_width);
        y.dims = [&lead[..], &[steps, width]].concat();
        Ok(y)
    }

    /// The contexts of heads, side by side, of queries, keys and values as (steps, heads · width).
    fn attention(
        &mut self,
        [heads, width, value_width]: [usize; 3],
        [q, k, v]: [usize; 3],
        factor: f64,
        causal: bool,
    ) -> Result<usize, String> {
        let all = heads.saturating_mul(width);
        if width == value_width {
            let sources = [self.source(q)?, self.source(k)?, self.source(v)?];
            let [Some(of_q), Some(of_k), Some(of_v)] = &sources else {
                return self.projected([heads, width, value_width], [q, k, v], factor, causal);
            };
            let fits = |source: &Source| source.inputs == all;
            if of_k.input == of_v.input && fits(of_q) && fits(of_k) && fits(of_v) {
                let mut weight: Vec<f64> = of_q.weight.iter().map(|x| x * factor).collect();
                weight.extend(&of_k.weight);
                weight.extend(&of_v.weight);
                let any_bias = [of_q, of_k, of_v].iter().any(|source| source.bias.is_some());
                let bias = any_bias.then(|| {
                    let each = |source: &Source| source.bias.clone().unwrap_or_else(|| vec![0.0; all]);
                    let mut bias: Vec<f64> = each(of_q).iter().map(|x| x * factor).collect();
                    bias.extend(each(of_k));
                    bias.extend(each(of_v));
                    Rc::new(Const::reals(vec![3 * all], bias))
                });
                let inputs = if of_q.input == of_k.input { vec![of_q.input] } else { vec![of_q.input, of_k.input] };
                let weight = Rc::new(Const::reals(vec![3 * all, all], weight));
                let unmerged = Unmerged { heads, causal, inputs, weight, bias, width: all };
                let value = self.place_attention(&unmerged, None)?;
                self.unmerged.insert(value, unmerged);
                return Ok(value);
            }
        }
        self.projected([heads, width, value_width], [q, k, v], factor, causal)
    }

    /// Places attention, whose heads this map merges; the identity without one.
    fn place_attention(&mut self, parts: &Unmerged, merge: Option<&Numbers>) -> Result<usize, String> {
        let width = parts.width;
        let layer = MultiHeadAttention::new(parts.heads);
        let layer = if parts.causal { layer.causal() } else { layer };
        let mut numbers = vec![Numbers::new("in_proj_weight", &parts.weight)];
        numbers.push(match merge {
            Some(merge) => Numbers { name: "out_proj.weight".into(), ..merge.clone() },
            None => Numbers::new("out_proj.weight", &Rc::new(self.selection(width, width, Some)?)),
        });
        let layer = match &parts.bias {
            None => layer.no_bias(),
            Some(bias) => {
                numbers.push(Numbers::new("in_proj_bias", bias));
                numbers.push(super::elementwise::constant("out_proj.bias", width, 0.0));
                layer
            }
        };
        self.plan.place_with(layer, &parts.inputs, numbers, false)
    }

    /// A map of attention's output becomes its last part, if it keeps the width.
    pub(super) fn merge_heads(
        &mut self,
        value: usize,
        outputs: usize,
        numbers: &[Numbers],
    ) -> Result<Option<usize>, String> {
        let Some(parts) = self.unmerged.remove(&value) else { return Ok(None) };
        if parts.width != outputs {
            return Ok(None);
        }
        let [merge] = numbers else { return Ok(None) };
        let made = self.place_attention(&parts, Some(merge))?;
        let layer = MultiHeadAttention::new(parts.heads);
        let layer: Description = if parts.causal { layer.causal() } else { layer }.into();
        let bias =
            parts.bias.clone().unwrap_or_else(|| Rc::new(Const::filled(vec![3 * parts.width], Data::F64(vec![0.0]))));
        let numbers = vec![
            Numbers::new("in_proj_weight", &parts.weight),
            Numbers::new("in_proj_bias", &bias),
            Numbers { name: "out_proj.weight".into(), ..merge.clone() },
        ];
        let biased =
            Biased { layer, inputs: parts.inputs, numbers, name: "out_proj.bias", bias: None, outputs, first: false };
        self.biased.insert(made, biased);
        Ok(Some(made))
    }

    /// Attention of queries, keys and values that no layer maps: keys and values side by side are the memory, of which
    /// the maps within the layer, which stay as they are, take their parts.
    fn projected(
        &mut self,
        [heads, width, value_width]: [usize; 3],
        [q, k, v]: [usize; 3],
        factor: f64,
        causal: bool,
    ) -> Result<usize, String> {
        let (all, values) = (heads.saturating_mul(width), heads.saturating_mul(value_width));
        let both = width.saturating_add(value_width);
        let whole = all.saturating_add(values);
        let memory = self.plan.place(Concat::new(1), &[k, v])?;
        let x = self.plan.place(Pad::new([0, values]), &[q])?;
        // Of each head, the first `width` places are the query's or the key's, and the first `value_width` the value's.
        let head = |row: usize| (row / both, row % both);
        let key = |row: usize| Some(head(row).0 * width + head(row).1).filter(|_| head(row).1 < width);
        let value =
            |row: usize| Some(all + head(row).0 * value_width + head(row).1).filter(|_| head(row).1 < value_width);
        let stretch = factor * (both as f64 / width as f64).sqrt();
        let of_q = self.selection(whole, whole, key)?.map(&mut self.budget, |x| x * stretch)?;
        let (of_k, of_v) = (self.selection(whole, whole, key)?, self.selection(whole, whole, value)?);
        let weight = Const::concat(&[of_q, of_k, of_v].map(Rc::new), 0, &mut self.budget)?;
        let merge = self.selection(values, whole, |row| Some(row / value_width * both + row % value_width))?;
        let rows = Const::filled(vec![all, whole], Data::F64(vec![0.0])).dense(&mut self.budget)?;
        let merge = Const::concat(&[merge, rows].map(Rc::new), 0, &mut self.budget)?;
        let numbers =
            vec![Numbers::new("in_proj_weight", &Rc::new(weight)), Numbers::new("out_proj.weight", &Rc::new(merge))];
        let layer = MultiHeadAttention::new(heads).no_bias();
        let layer = if causal { layer.causal() } else { layer };
        let y = self.plan.place_with(layer, &[x, memory], numbers, true)?;
        self.plan.place(Slice::new(1, 0..values), &[y])
    }

    /// A matrix whose rows each pick one column, or nothing.
    fn selection(
        &mut self,
        rows: usize,
        columns: usize,
        pick: impl Fn(usize) -> Option<usize>,
    ) -> Result<Const, String> {
        let count = rows.checked_mul(columns).ok_or("its heads are too wide")?;
        self.budget.take(count)?;
        let mut numbers = vec![0.0; count];
        for row in 0..rows {
            if let Some(column) = pick(row) {
                numbers.iter_mut().skip(row * columns + column).take(1).for_each(|x| *x = 1.0);
            }
        }
        Ok(Const::reals(vec![rows, columns], numbers))
    }

    /// The map that makes a value of shape (steps, width), found behind slices and other moves; the identity if it is
    /// none. `None` if what is found would not fit.
    fn source(&mut self, value: usize) -> Result<Option<Source>, String> {
        let shape = self.plan.shape(value);
        let &[_, width] = shape.axes() else { return Ok(None) };
        let identity = |importer: &mut Self| {
            let same = importer.selection(width, width, Some)?;
            let weight = same.real_numbers(&mut importer.budget)?;
            Ok::<_, String>(Some(Source { input: value, weight, bias: None, inputs: width }))
        };
        // Back to the map, by layers that only move numbers or scale all.
        let (mut at, mut moves, mut factor) = (value, Vec::new(), 1.0);
        let (input, weight, bias, outputs) = loop {
            let Some(step) = self.plan.step(at) else { return identity(self) };
            let &[from] = &step.inputs[..] else { return identity(self) };
            match &step.layer {
                Description::Reshape(_) | Description::Permute(_) | Description::Slice(_) => moves.push(at),
                Description::Scale(_) => match step.numbers.first().and_then(|numbers| numbers.values.uniform()) {
                    Some(scale) => factor *= scale,
                    None => return identity(self),
                },
                Description::Affine(_) => {
                    let of = |name: &str| step.numbers.iter().find(|numbers| numbers.name == name).cloned();
                    let outputs = self.plan.shape(at).axes().last().copied().unwrap_or(1);
                    match of("weight") {
                        Some(weight) => break (from, weight, of("bias"), outputs),
                        None => return identity(self),
                    }
                }
                _ => return identity(self),
            }
            at = from;
        };
        // Where each number comes from: the numbers of the map's output are moved as its values would be.
        let whole = self.plan.shape(at);
        self.budget.take(whole.len().saturating_mul(moves.len() + 1))?;
        let places = (0..whole.len() as i64).collect();
        let mut traced = Const::new(whole.axes().to_vec(), Data::Int(places));
        for &moved in moves.iter().rev() {
            let to = self.plan.shape(moved).axes().to_vec();
            let Some(step) = self.plan.step(moved) else { return identity(self) };
            traced = match &step.layer {
                Description::Reshape(_) => traced.reshape(to, &mut self.budget)?,
                layer => match moved_by(layer, &traced, &mut self.budget)? {
                    Some(traced) => traced,
                    None => return identity(self),
                },
            };
        }
        let mut columns = Vec::new();
        for (place, from) in (0..traced.data.len()).map(|place| (place, traced.data.whole(place) as usize)) {
            let (step, column) = (place / width.max(1), place % width.max(1));
            if step == 0 {
                columns.push(from);
            }
            if columns.get(column).map(|first| first + step * outputs) != Some(from) {
                return identity(self);
            }
        }
        let steps = shape.len() / width.max(1);
        if whole.len() != steps.saturating_mul(outputs) {
            return identity(self);
        }
        let inputs = weight.values.shape.iter().product::<usize>() / outputs.max(1);
        self.budget.take(width.saturating_mul(inputs))?;
        let at = |row: usize, column: usize| {
            let place = if weight.transposed { column * outputs + row } else { row * inputs + column };
            factor * weight.values.data.real(place)
        };
        let rows = columns.iter().flat_map(|&row| (0..inputs).map(move |column| (row, column)));
        let weight = rows.map(|(row, column)| at(row, column)).collect();
        let bias = bias.map(|bias| columns.iter().map(|&row| factor * bias.values.data.real(row)).collect());
        let shaped = [steps, inputs];
        let input = self.plan.shaped(input, &shaped)?;
        Ok(Some(Source { input, weight, bias, inputs }))
    }

    /// ONNX's own operator: queries, keys and values, (batch, heads, steps, width) or (batch, steps, heads · width).
    pub(super) fn attention_operator(
        &mut self,
        node: &Operator<'a>,
        inputs: &[Option<Value>],
    ) -> Result<Value, String> {
        let flat = view(inputs, 0)?.rank() == 3;
        let counts = [node.int("q_num_heads", 0)?, node.int("kv_num_heads", 0)?, node.int("kv_num_heads", 0)?];
        let mut parts = Vec::new();
        for (index, heads) in counts.into_iter().enumerate() {
            let x = view(inputs, index)?;
            parts.push(match (&x.shape(self.batch)[..], flat) {
                (&[examples, steps, width], true) => {
                    let heads = usize::try_from(heads).ok().filter(|&n| n > 0).ok_or("it has no number of heads")?;
                    x.reshaped(&[examples, steps, heads, width / heads], self.batch)?.transposed(&[0, 2, 1, 3])
                }
                (_, false) if x.rank() == 4 => x,
                _ => return Err("its inputs have different numbers of axes".into()),
            });
        }
        let [q, k, v] = &parts[..] else { return Err("it lacks an input".into()) };
        if q.length(1, self.batch) != k.length(1, self.batch) {
            return Err("several queries share a head of keys, which no layer does".into());
        }
        if (4..inputs.len()).any(|index| inputs.get(index).is_some_and(Option::is_some)) {
            return Err("keys and values of earlier steps are not supported".into());
        }
        if node.float("softcap", 0.0)? != 0.0 {
            return Err("a cap of its scores is in no layer".into());
        }
        let width = q.length(3, self.batch) as f64;
        let scale = node.float("scale", 1.0 / width.sqrt())?;
        let name = node.node.name.clone();
        let causal = node.int("is_causal", 0)? != 0;
        let mut scores = Scores { node: name, q: q.clone(), k: k.clone(), scale, causal, weights: true };
        if let Some(mask) = optional(inputs, 3)? {
            let mask = match mask.is_whole() {
                // What is false is masked.
                true => Rc::new(mask.map(&mut self.budget, |x| if x == 0.0 { f64::NEG_INFINITY } else { 0.0 })?),
                false => mask,
            };
            scores.causal |= is_causal(&mask, &scores, self.batch)?;
        }
        let context = self.attend(&scores, v)?;
        if !flat {
            return Ok(Value::View(context));
        }
        let context = context.transposed(&[0, 2, 1, 3]);
        let &[examples, steps, heads, width] = &context.shape(self.batch)[..] else {
            return Err("its context has other axes than it should".into());
        };
        context.reshaped(&[examples, steps, heads.saturating_mul(width)], self.batch).map(Value::View)
    }
}

/// Whether a mask hides from each query the keys after it; an error if it hides others, or adds numbers.
fn is_causal(mask: &Const, scores: &Scores, batch: usize) -> Result<bool, String> {
    let rank = scores.q.rank();
    let (queries, keys) = (scores.q.length(rank - 2, batch), scores.k.length(rank - 2, batch));
    if mask.uniform() == Some(0.0) {
        return Ok(false);
    }
    let at = |query: usize, key: usize| {
        let mut index = vec![0; mask.rank()];
        for (from_end, place) in [key, query].into_iter().enumerate() {
            let axis = mask.rank().checked_sub(from_end + 1);
            if let Some(at) = axis.and_then(|axis| index.get_mut(axis)) {
                *at = place;
            }
        }
        mask.at(&index)
    };
    let same_for_all = (0..mask.rank().saturating_sub(2)).all(|axis| mask.stored(axis) == 1);
    let &[.., rows, columns] = &mask.shape[..] else { return Err("a mask of one axis is not supported".into()) };
    // Far below all scores stands for minus infinity.
    let hides = |x: f64| x <= -1e4;
    if same_for_all
        && (rows, columns) == (queries, keys)
        && (0..queries)
            .all(|query| (0..keys).all(|key| if key > query { hides(at(query, key)) } else { at(query, key) == 0.0 }))
    {
        return Ok(true);
    }
    Err("only a mask that hides from each step those after it is in a layer".into())
}

/// Moves the elements of an array as a layer moves those of an example.
fn moved_by(layer: &Description, from: &Const, budget: &mut super::constant::Budget) -> Result<Option<Const>, String> {
    #[derive(serde::Deserialize)]
    struct Order {
        order: Vec<usize>,
    }
    #[derive(serde::Deserialize)]
    struct Range {
        axis: usize,
        start: usize,
        end: usize,
    }
    let settings = crate::settings::Settings::of(layer);
    Ok(match layer {
        Description::Permute(_) => {
            let Order { order } = settings.read()?;
            let rest = order.len()..from.rank();
            Some(from.transpose(&order.into_iter().chain(rest).collect::<Vec<_>>(), budget)?)
        }
        Description::Slice(_) => {
            let Range { axis, start, end } = settings.read()?;
            Some(from.take(axis, &(start..end).collect::<Vec<_>>(), budget)?)
        }
        _ => None,
    })
}
