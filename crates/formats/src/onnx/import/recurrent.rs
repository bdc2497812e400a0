//! LSTM, GRU and RNN.

use std::rc::Rc;

use downhill_layers::{Description, Gru, Lstm, Rnn};

use super::constant::{Const, Data};
use super::elementwise::constant;
use super::node::{Operator, Run};
use super::plan::Numbers;
use super::view::{Atom, View};
use super::{Importer, Value, known, optional, view};

impl<'a> Importer<'a> {
    /// A recurrent layer: its sequence, and the last states of h.
    pub(super) fn recurrent(&mut self, node: &Operator<'a>, inputs: &[Option<Value>]) -> Result<Vec<Value>, String> {
        let batch_first = node.int("layout", 0)? != 0;
        let x = view(inputs, 0)?;
        if x.rank() != 3 {
            return Err("its input is no batch of sequences".into());
        }
        let (steps_axis, batch_axis) = if batch_first { (1, 0) } else { (0, 1) };
        let lead = x.dim(batch_axis).to_vec();
        if lead.iter().any(|&atom| atom != Atom::Batch) || (lead.is_empty() && x.has_batch()) {
            return Err("the axis of its examples must be the batch, and nothing else".into());
        }
        // The order of the gates in the file, for each of the layer's.
        let gates: &[usize] = match node.kind() {
            "LSTM" => &[0, 2, 3, 1],
            "GRU" => &[1, 0, 2],
            _ => &[0],
        };
        self.check_settings(node, inputs)?;
        let steps = x.length(steps_axis, self.batch);
        let order = [x.axes(steps_axis), x.axes(2)].concat();
        let sequence = self.plan.ordered(&x, &order)?;
        let features = x.length(2, self.batch);
        let value = self.plan.shaped(sequence.value, &[steps, features])?;
        let (w, r, b) = (known(inputs, 1)?, known(inputs, 2)?, optional(inputs, 3)?);
        let (&[directions, rows, _], &[_, _, hidden]) = (&w.shape[..], &r.shape[..]) else {
            return Err("its weights have not three axes".into());
        };
        let direction = node.text("direction", "forward")?;
        let backwards = direction == "reverse";
        if directions != if direction == "bidirectional" { 2 } else { 1 } || rows != hidden.saturating_mul(gates.len())
        {
            return Err(format!("its weights of shapes {:?} and {:?} do not fit together", w.shape, r.shape));
        }
        let mut numbers = Vec::new();
        for direction in 0..directions {
            let suffix = if direction == 1 { "_reverse" } else { "" };
            for (name, from) in [("weight_ih_l0", &w), ("weight_hh_l0", &r)] {
                let part = self.gates(from, direction, gates, hidden, 0)?;
                numbers.push(Numbers::new(&format!("{name}{suffix}"), &Rc::new(part)));
            }
            for (half, name) in ["bias_ih_l0", "bias_hh_l0"].into_iter().enumerate() {
                if let Some(b) = &b {
                    let part = self.gates(b, direction, gates, hidden, half)?;
                    numbers.push(Numbers::new(&format!("{name}{suffix}"), &Rc::new(part)));
                }
            }
        }
        if backwards {
            // A layer that only reads from the end is the second half of one that reads from both.
            let zeros: Vec<Numbers> = numbers
                .iter()
                .map(|numbers| constant(&numbers.name, numbers.values.shape.iter().product(), 0.0))
                .collect();
            numbers.iter_mut().for_each(|numbers| numbers.name.push_str("_reverse"));
            numbers.extend(zeros);
        }
        let directions = if backwards { 2 } else { directions };
        let plain = b.is_none();
        let lengths = match inputs.get(4) {
            Some(Some(Value::View(lengths))) if self.plan.shape(lengths.value).axes() == [1] => Some(lengths.value),
            Some(Some(Value::View(_))) => {
                return Err("the lengths of its sequences are not one for each example".into());
            }
            _ => None,
        };
        let read_by = [&[value][..], lengths.as_slice()].concat();
        let build = |last: bool| -> Description {
            macro_rules! recurrent {
                ($layer:expr) => {{
                    let mut layer = $layer;
                    if directions == 2 {
                        layer = layer.bidirectional();
                    }
                    if plain {
                        layer = layer.no_bias();
                    }
                    if lengths.is_some() {
                        layer = layer.lengths();
                    }
                    if last { layer.last_state() } else { layer }.into()
                }};
            }
            match node.kind() {
                "LSTM" => recurrent!(Lstm::new(hidden)),
                "GRU" => recurrent!(Gru::new(hidden)),
                _ if activations(node).first().is_some_and(|f| f == "Relu") => recurrent!(Rnn::new(hidden).relu()),
                _ => recurrent!(Rnn::new(hidden)),
            }
        };
        let uses = &self.uses;
        let read = |index: usize| node.node.output.get(index).is_some_and(|name| uses.contains_key(name.as_str()));
        let (reads_all, reads_state) = (read(0), read(1));
        let build_all = reads_all || !reads_state;
        let mut states = Vec::new();
        if build_all {
            // Y is (steps, directions, batch, hidden), or (batch, steps, directions, hidden).
            let value = self.plan.place_with(build(false), &read_by, numbers.clone(), false)?;
            let mut y = View::empty(value);
            let (steps, directions, hidden) = (y.add(steps), y.add(directions), y.add(hidden));
            y.dims = if batch_first {
                vec![lead.clone(), steps, directions, hidden]
            } else {
                vec![steps, directions, lead.clone(), hidden]
            };
            states.push(y);
        }
        // With lengths, the last step is another one in each example, and a layer of its own gives it.
        let state = if build_all && (lengths.is_none() || !reads_state) {
            // The last step of one direction, and the first of the other.
            let whole = states.first().cloned().ok_or("there is no sequence")?;
            let (steps_at, directions_at) = if batch_first { (1, 2) } else { (0, 1) };
            let mut parts = Vec::new();
            for (direction, start) in [steps - 1, 0].into_iter().take(directions).enumerate() {
                let one = self.keep(&whole, directions_at, Run { start: direction, step: 1, count: 1 })?;
                parts.push(self.keep(&one, steps_at, Run { start, step: 1, count: 1 })?);
            }
            let mut h = match &parts[..] {
                [one] => one.clone(),
                both => self.join(both, directions_at)?,
            };
            h.dims.remove(steps_at);
            h
        } else {
            let value = self.plan.place_with(build(true), &read_by, numbers, false)?;
            let mut h = View::empty(value);
            let (directions, hidden) = (h.add(directions), h.add(hidden));
            h.dims = if batch_first { vec![lead, directions, hidden] } else { vec![directions, lead, hidden] };
            h
        };
        let mut both = [states.pop().unwrap_or_else(|| state.clone()), state];
        if backwards {
            let at = [if batch_first { 2 } else { 1 }, if batch_first { 1 } else { 0 }];
            for (view, at) in both.iter_mut().zip(at) {
                let axis = if view.rank() == 4 { at } else { usize::from(batch_first) };
                *view = self.keep(view, axis, Run { start: 1, step: 1, count: 1 })?;
            }
        }
        Ok(both.map(Value::View).into())
    }

    fn check_settings(&mut self, node: &Operator<'_>, inputs: &[Option<Value>]) -> Result<(), String> {
        let zero = |value: Option<Rc<Const>>| value.is_none_or(|value| value.uniform() == Some(0.0));
        let steps = view(inputs, 0)?;
        let length = steps.length(if node.int("layout", 0)? != 0 { 1 } else { 0 }, self.batch);
        let lengths = if let Some(Some(Value::View(_))) = inputs.get(4) { None } else { optional(inputs, 4)? };
        if lengths.is_some_and(|lengths| lengths.uniform() != Some(length as f64)) {
            return Err("lengths of its sequences that are known when the file is read are not supported".into());
        }
        if !zero(optional(inputs, 5)?) || !zero(optional(inputs, 6)?) || !zero(optional(inputs, 7)?) {
            return Err("it starts from a state, or has peepholes, that are not 0".into());
        }
        if node.has("clip") || node.int("input_forget", 0)? != 0 {
            return Err("cells with a clip or with coupled gates are in no layer".into());
        }
        if node.kind() == "GRU" && node.int("linear_before_reset", 0)? == 0 {
            return Err(
                "its reset gate scales h before the product (linear_before_reset is 0), which no layer does".into()
            );
        }
        let functions = activations(node);
        let usual: &[&str] = match node.kind() {
            "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
            "GRU" => &["Sigmoid", "Tanh"],
            _ => &["Tanh"],
        };
        let relu = node.kind() == "RNN" && functions.iter().all(|f| f == "Relu");
        if !relu && !functions.chunks(usual.len()).all(|functions| functions == usual) {
            return Err(format!("its functions {functions:?} are in no layer"));
        }
        Ok(())
    }

    /// The gates of one direction in the order of the layer: of a weight, or of one half of a bias.
    fn gates(
        &mut self,
        from: &Const,
        direction: usize,
        gates: &[usize],
        hidden: usize,
        half: usize,
    ) -> Result<Const, String> {
        let rows = gates.iter().flat_map(|&gate| {
            let start = (half * gates.len() + gate) * hidden;
            start..start + hidden
        });
        let rows: Vec<usize> = rows.collect();
        self.budget.take(rows.len())?;
        let one = from.take(0, &[direction], &mut self.budget)?.take(1, &rows, &mut self.budget)?;
        let shape = one.shape.get(1..).unwrap_or_default().to_vec();
        let part = one.reshape(shape, &mut self.budget)?.dense(&mut self.budget)?;
        Ok(match part.data {
            Data::Text(_) => return Err("its weights are texts".into()),
            _ => part,
        })
    }
}

fn activations(node: &Operator<'_>) -> Vec<String> {
    node.texts("activations")
}
