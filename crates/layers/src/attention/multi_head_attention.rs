use downhill_tensor::product::{Accumulate, product};
use downhill_tensor::reduce::{all_finite, column_sums};
use downhill_tensor::{Batch, BuildError, Gain, Init, Runs, RunsMut, Scalar, Shape, ShapeError, parallel_runs, view};
use ndarray::Axis;

use crate::Extent::{PerBatch, PerExample};
use crate::errors::{check_lengths, wrong_rank};
use crate::{Backward, Dropout, Forward, Inputs, Layer, Parameter, RotaryPositions, Signature};

mod heads;
mod scores;

use self::heads::{Attend, Heads, Masks, Sizes, is_finite};

const NAME: &str = "MultiHeadAttention";

/// Attention with several heads: every position of a sequence takes a weighted mean of the values of all positions,
/// and its query and their keys decide the weights.
///
/// Queries, keys and values are affine maps of the inputs, each cut into `heads` heads of d = width/heads numbers:
///
/// ```text
/// Q = x Wq + bq        K = m Wk + bk        V = m Wv + bv
/// S = Q Kᵀ/√d          P = softmax(S)       C = P V            for each head, softmax over the keys
/// y = C Wo + bo        with the heads of C side by side
/// ```
///
/// With one input, m is x: *self-attention*. With two, x (the queries) attends to m (the memory): *cross-attention*.
///
/// The local derivatives, for each head and from the end backwards:
///
/// ```text
/// dC = dy Woᵀ                    dWo = Cᵀ dy                  dbo = Σ_rows dy
/// dV = Pᵀ dC                     dP = dC Vᵀ
/// dS = P ∘ (dP − Σ_keys P ∘ dP)
/// dQ = dS K/√d                   dK = dSᵀ Q/√d
/// dx = dQ Wqᵀ                    dm = dK Wkᵀ + dV Wvᵀ         (their sum where m is x)
/// dWq = xᵀ dQ   dWk = mᵀ dK   dWv = mᵀ dV                     db = Σ_rows of each
/// ```
///
/// # Masks
/// * [`causal`](Self::causal): query i attends to the keys 0 to i.
/// * [`lengths`](Self::lengths): a further, last input says how many positions of the memory are no padding;
///   no query attends to the rest. At least one is no padding, so that no row is masked throughout.
///
/// What is masked is not read in either pass, even if it is not a number, and has a derivative of 0.
///
/// In self-attention a step of the padding is still a query, as in PyTorch: its y is what it sees of the steps that
/// are no padding, and bo if what it holds makes that not finite. If dJ/dy is 0 there, as a loss that knows of the
/// padding makes it, no derivative depends on what the padding holds.
///
/// # Large numbers
/// P is right also where a score is beyond the range of the precision: the key with the largest score has all the
/// weight unless others are as near to it as rounding can tell.
///
/// # Shapes
/// x is (batch, steps, width), m is (batch, other steps, width), lengths are (batch, 1), y has the shape of x.
/// Parameters are called as in PyTorch's state dicts: `in_proj_weight` is \[Wq Wk Wv\], (width, 3 width) in memory and
/// (3 width, width) in files; `in_proj_bias` is (3 width); `out_proj.weight` and `out_proj.bias` are those of an
/// [`Affine`](crate::Affine) map.
///
/// # Errors
/// Inputs that are no sequences of one width, heads that do not divide the width, and a dropout probability outside
/// \[0, 1\] are errors when the network is built; lengths that are no whole numbers from 1 to the number of steps,
/// when a pass starts.
///
/// # Memory
/// If there are at most 512 keys, or weights are dropped, P is kept for the backward pass: `heads · queries · keys`
/// numbers for each example. Computing it again would take a twentieth longer. If there are more, one number for each
/// query and head is kept, and backward computes P again, so that memory grows with the number of steps and not with
/// its square. Neither holds more than a block of scores in addition.
///
/// # Start
/// As in PyTorch: Glorot's uniform numbers for `in_proj_weight`, uniform in ±1/√width for `out_proj.weight`, and zeros
/// for both biases.
///
/// # Elsewhere
/// Keras has the size of a head as a setting and its own shapes of parameters. PyTorch takes any mask, adds rows to
/// keys and values (`add_bias_kv`, `add_zero_attn`), lets keys and values have their own widths, and can return
/// the weights; this layer doesn't. A causal mask over queries and keys of different number begins at the first of
/// both here, as PyTorch's `is_causal` does; others align the last.
///
/// Source: Vaswani et al. 2017 (arXiv 1706.03762); rotary positions: Su et al. 2021 (arXiv 2104.09864); the blocks and
/// the recomputed weights: Dao et al. 2022 (arXiv 2205.14135).
/// Derivation: `docs/derivations/layers/multi-head-attention.md`.
///
/// ```
/// use downhill_layers::{Layer, MultiHeadAttention};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// // Sequences of three steps, two numbers each; all maps are the identity.
/// let mut attention = MultiHeadAttention::new(1).no_bias().causal().bind::<f64>([3, 2], Seed(1))?;
/// let (q, k, v) = ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]);
/// attention.set("in_proj_weight", [q, k, v].concat())?;
/// attention.set("out_proj.weight", [[1.0, 0.0], [0.0, 1.0]])?;
/// let y = attention.forward([[5.0, 1.0, 40.0, 0.0, 0.0, 0.0]])?;
/// // The first step sees itself alone; the second is most like itself; the third is like none and takes the mean.
/// assert_eq!(y, array![[5.0, 1.0, 40.0, 0.0, 15.0, 1.0 / 3.0]]);
/// # Ok::<(), downhill_tensor::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MultiHeadAttention {
    heads: usize,
    bias: bool,
    causal: bool,
    lengths: bool,
    dropout: f64,
    rotary: Option<RotaryPositions>,
}

impl MultiHeadAttention {
    /// Creates attention with this many heads, with biases, without masks and dropout.
    #[must_use]
    pub fn new(heads: usize) -> Self {
        Self { heads, bias: true, causal: false, lengths: false, dropout: 0.0, rotary: None }
    }

    setters! {
        /// Leaves the biases out.
        no_bias() bias = false;
        /// Masks the keys after each query: query i attends to the keys 0 to i only.
        causal() causal = true;
        /// Takes the lengths as a last input of shape (1): the positions of the memory (of x, in self-attention) that
        /// are no padding.
        ///
        /// PyTorch's `key_padding_mask` says the same with a flag for each position.
        lengths() lengths = true;
        /// Drops each weight of P with this probability in training, and scales the others by 1/(1 − p).
        dropout(probability: f64) dropout = probability;
        /// Turns the heads of Q and K by their [`RotaryPositions`], so that scores depend on how far apart two steps
        /// are.
        rotary_positions(positions: RotaryPositions) rotary = Some(positions);
    }

    /// The index of the memory and that of the lengths among the inputs; the queries are the first.
    fn places(&self, inputs: usize) -> (usize, Option<usize>) {
        let cross = inputs == 2 + usize::from(self.lengths);
        (usize::from(cross), self.lengths.then(|| inputs.saturating_sub(1)))
    }

    /// The sizes of a pass, its queries, its memory, and the masks.
    fn see<'a, T: Scalar>(&self, inputs: &Inputs<'a, T>) -> (Sizes, Batch<'a, T>, Batch<'a, T>, Masks<'a, T>) {
        let (memory, lengths) = self.places(inputs.len());
        let (x, memory) = (inputs[0], inputs[memory]);
        let lengths = lengths.map_or(&[][..], |lengths| inputs[lengths].slice());
        let spoilt = Some(memory).filter(|memory| self.masks() && !all_finite(memory.slice()));
        let sizes = Sizes::new(self, x.shape(), memory.shape());
        (sizes, x, memory, Masks { sizes, lengths, spoilt })
    }

    fn masks(&self) -> bool {
        self.causal || self.lengths
    }

    /// Clears what is kept of those queries, from the `first` of an example on, whose context is not finite, so that a
    /// dJ/dy of 0 gives derivatives of 0 there.
    fn forget<T: Scalar>(
        masks: Masks<'_, T>,
        first: impl Fn(usize) -> usize,
        examples: usize,
        q: &mut [T],
        context: &mut [T],
        kept: &mut [T],
    ) {
        let Sizes { queries, width, heads, .. } = masks.sizes;
        let kept_length = heads * masks.sizes.kept();
        for example in 0..examples {
            let clear = masks.clear(example);
            for query in first(example).min(queries)..queries {
                let row = (example * queries + query) * width..(example * queries + query + 1) * width;
                if is_finite(&context[row.clone()]) {
                    continue;
                }
                q[row.clone()].fill(T::ZERO);
                context[row].fill(T::ZERO);
                let kept = &mut kept[example * kept_length..][..kept_length];
                for head in kept.chunks_exact_mut(masks.sizes.kept()) {
                    masks.sizes.forget(query, clear.max(1), head);
                }
            }
        }
    }

    fn check(&self, x: Shape, memory: Shape) -> Result<(), BuildError> {
        for got in [x, memory] {
            if got.rank() != 2 {
                return Err(wrong_rank(NAME, got, "sequences of shape (steps, width)", "put Reshape before it"));
            }
            if got.len() == 0 {
                return refuse!(NAME, "a sequence of shape {got} is empty; steps and width must be at least 1");
            }
        }
        let (heads, width) = (self.heads, x[1]);
        if memory[1] != width {
            let what = "the inputs of MultiHeadAttention, apart from their steps,".into();
            return Err(ShapeError::Mismatch { what, expected: x, got: memory }.into());
        }
        if heads == 0 || !width.is_multiple_of(heads) {
            return refuse!(NAME, "the width {width} can't be cut into {heads} heads of equal size");
        }
        Dropout::new(self.dropout).check(NAME)?;
        if let Some(rotary) = self.rotary {
            rotary.check(NAME, width / heads)?;
        }
        let steps = x[0].saturating_add(memory[0]);
        let largest = [&[8, steps, width][..], &[3, width, width], &[2, heads, x[0], memory[0]]];
        if largest.iter().any(|axes| Shape::new(axes).is_none()) {
            return refuse!(NAME, "sequences of shapes {x} and {memory} have too many elements");
        }
        Ok(())
    }

    /// The index of Wo among the parameters.
    fn out_weight(&self) -> usize {
        if self.bias { 2 } else { 1 }
    }

    /// The number of elements in the table of rotary positions.
    fn table(&self, sizes: Sizes) -> usize {
        if self.rotary.is_some() { sizes.queries.max(sizes.keys) * sizes.head } else { 0 }
    }

    /// The numbers of an example's memory that are copied if some that are masked are not finite.
    fn copied(&self, sizes: Sizes) -> usize {
        if self.masks() { sizes.keys * sizes.width } else { 0 }
    }

    /// Turns queries (examples · queries, width) and keys, the first half of rows (examples · keys, 2 width).
    fn turn<T: Scalar>(&self, sizes: Sizes, table: &mut [T], q: &mut [T], kv: &mut [T], back: bool) {
        let Some(rotary) = self.rotary else { return };
        let Sizes { queries, keys, width, head, .. } = sizes;
        rotary.fill(table, head);
        rotary.turn(table, head, q, [queries, width, width], back);
        rotary.turn(table, head, kv, [keys, 2 * width, width], back);
    }
}

impl Layer for MultiHeadAttention {
    compiled!();

    fn signature(&self, inputs: &[Shape]) -> Result<Signature, BuildError> {
        let (memory, lengths) = self.places(inputs.len());
        if !(1..=2).contains(&inputs.len().saturating_sub(usize::from(self.lengths))) {
            let expected = if self.lengths {
                "two inputs (a sequence and its length) or three (queries, memory and the length of the memory)"
            } else {
                "one input (self-attention) or two (queries and memory)"
            };
            return Err(ShapeError::Inputs { by: NAME, expected, got: inputs.len() }.into());
        }
        let (x, memory) = (inputs[0], inputs[memory]);
        self.check(x, memory)?;
        let sizes = Sizes::new(self, x, memory);
        let width = sizes.width;
        let glorot = Init::XavierUniform { gain: Gain::Linear };
        let in_weight = Parameter::new("in_proj_weight", [width, 3 * width], glorot).fans(width, 3 * width);
        let out_weight = Parameter::new("out_proj.weight", [width, width], Init::FanInUniform).fans(width, width);
        let mut signature = Signature::new(NAME, x)
            .parameter(in_weight.transposed())
            .parameter_if(self.bias, Parameter::new("in_proj_bias", [3 * width], Init::Zeros))
            .parameter(out_weight.transposed())
            .parameter_if(self.bias, Parameter::new("out_proj.bias", [width], Init::Zeros));
        if let Some(lengths) = lengths {
            check_lengths("the lengths of MultiHeadAttention, one number for each example,", inputs[lengths])?;
            signature = signature.whole_numbers(lengths, 1, sizes.keys);
        }
        Ok(signature
            .saves("q", [sizes.queries, width], PerExample)
            .saves("kv", [sizes.keys, 2 * width], PerExample)
            .saves("context", [sizes.queries, width], PerExample)
            .saves("weights", [sizes.heads, sizes.kept()], PerExample)
            .saves("factor", [], PerBatch) // of the weights that dropout has kept
            .scratch("rotary_table", [self.table(sizes)], PerBatch)
            .scratch("block", [sizes.scratch_len()], PerExample)
            .backward_scratch("dq", [sizes.queries, width], PerExample)
            .backward_scratch("dkv", [sizes.keys, 2 * width], PerExample)
            .backward_scratch("finite_memory", [self.copied(sizes)], PerExample)
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (sizes, x, memory, masks) = self.see(&pass.x);
        let (examples, width) = (x.examples(), sizes.width);
        let (x_rows, memory_rows) = (examples * sizes.queries, examples * sizes.keys);
        let [q, kv, context, kept, factor] = pass.saved.vectors();
        let [table, block] = pass.scratch.vectors();

        // Pass 1, all positions at once: Q = x Wq + bq        (K V) = m (Wk Wv) + (bk bv)
        let (w_q, w_kv) = pass.params.matrix(0).split_at(Axis(1), width);
        let [b_q, b_kv, b_out] = if self.bias {
            let (b_q, b_kv) = pass.params.vector(1).split_at(width);
            [b_q, b_kv, pass.params.vector(3)].map(Accumulate::Bias)
        } else {
            [Accumulate::Overwrite; 3]
        };
        product(x.rows(), w_q, b_q, view::matrix_mut(q, (x_rows, width)));
        product(memory.rows(), w_kv, b_kv, view::matrix_mut(kv, (memory_rows, 2 * width)));

        // Pass 2: rotary positions turn Q and K.
        self.turn(sizes, table, q, kv, false);

        // Pass 3, for each example and head, block by block: S = Q Kᵀ/√d        P = softmax(S)        C = P V
        let dropout = Some(Dropout::new(self.dropout)).filter(|_| sizes.drops && pass.mode.is_training());
        factor[0] = dropout.map_or(T::ONE, |dropout| T::from_f64(dropout.scale()));
        let drop = dropout.map(|dropout| (dropout, pass.random));
        let heads = Heads { sizes, masks, factor: factor[0], drop };
        let parts = (
            Runs::new(q, sizes.query_numbers()),
            Runs::new(kv, sizes.memory_numbers()),
            RunsMut::new(context, sizes.query_numbers()),
            RunsMut::new(kept, sizes.heads * sizes.kept()),
            RunsMut::new(block, sizes.scratch_len()),
        );
        parallel_runs(Attend { heads, first: 0, parts }, sizes.work(examples));

        let crosses = self.places(pass.x.len()).0 > 0;
        if self.lengths && !crosses {
            // Queries of the padding: y is finite there, whatever they hold.
            Self::forget(masks, |example| masks.length(example), examples, q, context, kept);
        }

        // Pass 4, all positions at once: y = C Wo + bo
        product(view::matrix(context, (x_rows, width)), pass.params.matrix(self.out_weight()), b_out, pass.y.rows());
        if masks.spoilt.is_some() {
            // Queries that attend to a key that is not finite.
            let first = |example| match masks.clear(example) {
                clear if clear < masks.length(example) => clear,
                _ => sizes.queries,
            };
            Self::forget(masks, first, examples, q, context, kept);
        }
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (sizes, x, memory, masks) = self.see(&pass.x);
        let (examples, width) = (x.examples(), sizes.width);
        let (x_rows, memory_rows) = (examples * sizes.queries, examples * sizes.keys);
        let [q, kv, context, kept, factor] = pass.saved.vectors();
        let [table, block, dq, dkv, copy] = pass.scratch.vectors();

        // Pass 1, all positions at once; dC lies where dQ will: dC = dy Woᵀ        dWo = Cᵀ dy        dbo = Σ_rows dy
        let (dy, out) = (pass.dy.rows(), self.out_weight());
        product(dy, pass.params.matrix(out).t(), Accumulate::Overwrite, view::matrix_mut(dq, (x_rows, width)));
        let context = view::matrix(context, (x_rows, width));
        product(context.t(), dy, Accumulate::Overwrite, pass.dparams.matrix(out));
        if self.bias {
            column_sums(dy, pass.dparams.vector(3));
        }

        // Pass 2, for each example and head, block by block:
        // dV = Pᵀ dC        dP = dC Vᵀ        dS = P ∘ (dP − Σ_keys P ∘ dP)        dQ = dS K/√d        dK = dSᵀ Q/√d
        let parts = (
            Runs::new(q, sizes.query_numbers()),
            Runs::new(kv, sizes.memory_numbers()),
            Runs::new(kept, sizes.heads * sizes.kept()),
            RunsMut::new(dq, sizes.query_numbers()),
            RunsMut::new(dkv, sizes.memory_numbers()),
            RunsMut::new(block, sizes.scratch_len()),
        );
        let heads = Heads { sizes, masks, factor: factor[0], drop: None };
        parallel_runs(Attend { heads, first: 0, parts }, 2 * sizes.work(examples));

        // Pass 3: rotary positions turn dQ and dK back.
        self.turn(sizes, table, dq, dkv, true);

        // Pass 4, all positions at once: dWq = xᵀ dQ        d(Wk Wv) = mᵀ (dK dV)        db = Σ_rows of each
        let (dq, dkv) = (view::matrix(dq, (x_rows, width)), view::matrix(dkv, (memory_rows, 2 * width)));
        let (dw_q, dw_kv) = pass.dparams.matrix(0).split_at(Axis(1), width);
        let (mut x, mut m) = (x.rows(), memory.rows());
        if masks.spoilt.is_some() {
            // The derivatives of what is masked are 0; but 0 times infinity is not a number.
            copy.copy_from_slice(memory.slice());
            for (example, copy) in copy.chunks_exact_mut(sizes.keys * width).enumerate() {
                let beyond = copy.chunks_exact_mut(width).skip(masks.clear(example));
                beyond.filter(|row| !is_finite(row)).for_each(|row| row.fill(T::ZERO));
            }
            m = view::matrix(copy, (memory_rows, width));
            if self.places(pass.x.len()).0 == 0 {
                x = m;
            }
        }
        product(x.t(), dq, Accumulate::Overwrite, dw_q);
        product(m.t(), dkv, Accumulate::Overwrite, dw_kv);
        if self.bias {
            let (db_q, db_kv) = pass.dparams.vector(1).split_at_mut(width);
            column_sums(dq, db_q);
            column_sums(dkv, db_kv);
        }

        // Pass 5, all positions at once: dx = dQ Wqᵀ        dm = (dK dV) (Wk Wv)ᵀ
        let (w_q, w_kv) = pass.params.matrix(0).split_at(Axis(1), width);
        if let Some(dx) = pass.dx.get(0) {
            product(dq, w_q.t(), Accumulate::Overwrite, dx.rows());
        }
        let (memory, lengths) = self.places(pass.x.len());
        if let Some(dm) = pass.dx.get(memory) {
            let start = if memory == 0 { Accumulate::Add } else { Accumulate::Overwrite };
            product(dkv, w_kv.t(), start, dm.rows());
        }
        if let Some(lengths) = lengths.and_then(|lengths| pass.dx.get(lengths)) {
            lengths.slice().fill(T::ZERO);
        }
    }
}
