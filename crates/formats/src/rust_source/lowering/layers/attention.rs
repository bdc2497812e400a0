//! Attention.

use downhill_network::StepDescription;
use downhill_tensor::Scalar;

use super::{Sizes, count, text};
use crate::rust_source::constants::number;
use crate::rust_source::lowering::Argument::{Read, Text, Write};
use crate::rust_source::lowering::{Argument, Lowering};
use crate::settings::{Attention, Settings};

impl<T: Scalar> Lowering<'_, T> {
    pub(super) fn attention(
        &mut self,
        settings: &Settings,
        step: &StepDescription,
        sizes: &Sizes<'_>,
    ) -> Result<usize, String> {
        let Attention { heads, bias, causal, lengths, rotary } = settings.read()?;
        let (last, width) = (sizes.inputs.len() - 1, sizes.last());
        let memory = usize::from(sizes.inputs.len() == 2 + usize::from(lengths));
        let steps = |index: usize| sizes.inputs.get(index).and_then(|shape| shape.axes().first().copied()).unwrap_or(1);
        let (queries, keys) = (steps(0), steps(memory));
        let head = width / heads.max(1);
        let (x, m) = (self.input(step, 0), self.input(step, memory));
        let (q, kv, scores) = (self.space(queries * width), self.space(2 * keys * width), self.space(keys));
        let weights = self.weights(step, "in_proj_weight")?;
        let biases = if bias { Some(self.vector(step, "in_proj_bias")?) } else { None };
        // Queries have the first rows of the weights, keys and values the others.
        let part = |range: &str, zeros: usize| -> Vec<Argument> {
            let cut = |argument: &Argument| match argument {
                Text(constant) => Text(format!("{constant}[{range}]")),
                other => other.clone(),
            };
            let bias = biases.as_ref().map_or_else(|| Text(format!("&[0.0; {zeros}]")), cut);
            weights.iter().map(cut).chain([bias]).collect()
        };
        let of_queries = part(&format!("..{width}"), width);
        self.call("affine", [x].into_iter().chain(of_queries).chain([Write(q)]));
        let of_memory = part(&format!("{width}.."), 2 * width);
        self.call("affine", [m].into_iter().chain(of_memory).chain([Write(kv)]));
        if let Some(rotary) = rotary {
            self.rotate(rotary, q, width, width, [queries, head]);
            self.rotate(rotary, kv, 2 * width, width, [keys, head]);
        }
        let present = if lengths { self.length(step, last, 1, keys) } else { count(keys) };
        let scale = Text(number(T::from_f64(1.0 / (head as f64).sqrt())));
        let causal = text(causal.to_string());
        self.call("attend", [Write(q), Read(kv), Write(scores), count(heads), scale, present, causal]);
        let mut arguments = vec![Read(q)];
        arguments.extend(self.weights(step, "out_proj.weight")?);
        arguments.push(if bias { self.vector(step, "out_proj.bias")? } else { Text(format!("&[0.0; {width}]")) });
        Ok(self.make("affine", arguments, sizes.output.len()))
    }
}
