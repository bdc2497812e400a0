//! Attention.

use super::{Equations, Layer, Letters, letters, weighted};
use crate::expression::{constant, divided, sum};
use crate::formulas::{softmax, softmax_slope};
use crate::{Expression, Variable};

/// Q = x Wq + bq, K and V likewise, S = Q Kᵀ / √d, P = softmax(S), C = P V, y = C Wo + bo.
pub(super) struct Attention {
    heads: usize,
    width: usize,
    queries: usize,
    keys: usize,
    causal: bool,
    /// The input that keys and values are made of.
    memory: usize,
}

/// The places of the arrays.
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;
const S: usize = 3;
const P: usize = 4;
const C: usize = 5;

impl Attention {
    pub(super) fn of(at: &Layer<'_>) -> Option<Self> {
        let memory = at.at.inputs.len().checked_sub(1)?;
        let (&[queries, width], &[keys, _]) = (at.x_axes(0)?, at.x_axes(memory)?) else { return None };
        let heads = at.count("heads").filter(|&heads| heads > 0 && width % heads == 0 && width > 0 && keys > 0)?;
        let plain = at.is("lengths", "false") && at.is("rotary", "None") && queries > 0;
        plain.then_some(Self { heads, width, queries, keys, causal: at.is("causal", "true"), memory })
    }

    /// The keys that a query sees.
    fn seen(&self, query: usize) -> usize {
        if self.causal { self.keys.min(query + 1) } else { self.keys }
    }

    /// The place of a query and a key among the scores.
    fn score(&self, example: usize, head: usize, query: usize, key: usize) -> usize {
        ((example * self.heads + head) * self.queries + query) * self.keys + key
    }
}

impl Equations for Attention {
    fn arrays(&self) -> Vec<Letters> {
        let (queries, keys) = ([self.queries, self.width], [self.keys, self.width]);
        let scores = [self.heads, self.queries, self.keys];
        let shapes: [(&str, &[usize]); 6] =
            [("Q", &queries), ("K", &keys), ("V", &keys), ("S", &scores), ("P", &scores), ("C", &queries)];
        shapes.into_iter().map(|(letter, axes)| letters(letter, letter, axes)).collect()
    }

    fn inner(&self, at: &Layer<'_>, array: usize, index: usize) -> Option<Expression> {
        let (width, head_width) = (self.width, self.width / self.heads);
        if array <= V {
            let (row, column) = (index / width, array * width + index % width);
            let input = if array == Q { 0 } else { self.memory };
            let weight = |from: usize| at.theta("in_proj_weight", from * 3 * width + column);
            let mut terms = weighted(width, |from| at.x(input, row * width + from), weight)?;
            if at.has("in_proj_bias") {
                terms.push(at.theta("in_proj_bias", column)?);
            }
            return Some(sum(terms));
        }
        if array == C {
            let (row, column) = (index / width, index % width);
            let (example, query) = (row / self.queries, row % self.queries);
            let head = column / head_width;
            let share = |key: usize| at.inner(P, self.score(example, head, query, key));
            let value = |key: usize| at.inner(V, (example * self.keys + key) * width + column);
            return Some(sum(weighted(self.seen(query), share, value)?));
        }
        let (row, key) = (index / self.keys, index % self.keys);
        let (query, rest) = (row % self.queries, row / self.queries);
        let (head, example) = (rest % self.heads, rest / self.heads);
        if array == S {
            let part =
                |array: usize, row: usize| move |index: usize| at.inner(array, row * width + head * head_width + index);
            let (query, key) = (example * self.queries + query, example * self.keys + key);
            let terms = weighted(head_width, part(Q, query), part(K, key))?;
            return Some(divided(sum(terms), (head_width as f64).sqrt()));
        }
        // What is masked has no share.
        if key >= self.seen(query) {
            return Some(constant(0.0));
        }
        let score = |key: usize| at.inner(S, self.score(example, head, query, key));
        let all: Vec<Expression> = (0..self.seen(query)).map(score).collect::<Option<_>>()?;
        Some(softmax(score(key)?, all))
    }

    fn output(&self, at: &Layer<'_>, index: usize) -> Option<Expression> {
        let (row, column) = (index / self.width, index % self.width);
        let weight = |from: usize| at.theta("out_proj.weight", from * self.width + column);
        let mut terms = weighted(self.width, |from| at.inner(C, row * self.width + from), weight)?;
        if at.has("out_proj.bias") {
            terms.push(at.theta("out_proj.bias", column)?);
        }
        Some(sum(terms))
    }

    /// P (δ − P) of a share by the scores of its row.
    fn slope(&self, at: &Layer<'_>, array: Option<usize>, index: usize, by: Variable) -> Option<Expression> {
        match (array, by) {
            (Some(P), Variable::Inner { array: S, index: other }) => {
                Some(softmax_slope(at.inner(P, index)?, at.inner(P, other)?, index == other))
            }
            _ => None,
        }
    }
}
