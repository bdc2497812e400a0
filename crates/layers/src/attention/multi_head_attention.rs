use std::ops::Range;

use downhill_tensor::product::{Start, product};
use downhill_tensor::reduce::column_sums;
use downhill_tensor::{
    Batch, Divisible, Gain, Init, Kernel, Runs, RunsMut, Scalar, Shape, ShapeError, elementwise, parallel_runs,
    prefetch, vectorized,
};
use ndarray::{ArrayBase, ArrayView2, ArrayViewMut2, Axis, Ix2, RawData, Slice};

use crate::{Backward, Dropout, Forward, Inputs, Layer, Parameter, RotaryPositions, Signature, Streams};

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
/// * [`with_lengths`](Self::with_lengths): a further, last input tells how many positions of the memory are there;
///   the rest is padding that no query attends to. At least one is there, so that no row is masked throughout.
///
/// What is masked has the weight 0, and a derivative of 0.
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
/// Where there are at most 512 keys, or weights are dropped, P is kept for the way back: `heads · queries · keys` numbers
/// for each example. Computing it again would take a twentieth longer. Where there are more, one number for each query
/// and head is kept, and backward computes P again, so that memory grows with the number of steps and not with its
/// square. Neither way holds more than a block of scores beside it.
///
/// # Start
/// As in PyTorch: Glorot's uniform numbers for `in_proj_weight`, uniform in ±1/√width for `out_proj.weight`, and zeros
/// for both biases.
///
/// # Elsewhere
/// Keras has the size of a head as a setting and its own shapes of parameters. PyTorch takes any mask, adds rows to
/// keys and values (`add_bias_kv`, `add_zero_attn`), lets keys and values have widths of their own, and can return
/// the weights; this layer doesn't. A causal mask over queries and keys of different number begins at the first of
/// both here, as PyTorch's `is_causal` does; others align the last.
///
/// Source: Vaswani et al. 2017 (arXiv 1706.03762); rotary positions: Su et al. 2021 (arXiv 2104.09864); the blocks and
/// the recomputed weights: Dao et al. 2022 (arXiv 2205.14135).
///
/// ```
/// use downhill_layers::{Layer, MultiHeadAttention};
/// use downhill_tensor::Seed;
/// use ndarray::array;
///
/// // Sequences of three steps, two numbers each; all maps are the identity.
/// let mut attention = MultiHeadAttention::new(1).without_bias().causal().bind::<f64>([3, 2], Seed(1))?;
/// attention.set("in_proj_weight", &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])?;
/// attention.set("out_proj.weight", &[1.0, 0.0, 0.0, 1.0])?;
/// let y = attention.forward(array![[5.0, 1.0, 40.0, 0.0, 0.0, 0.0]].view())?;
/// // The first step sees itself alone; the second is most like itself; the third is like none and takes the mean.
/// assert_eq!(y, array![[5.0, 1.0, 40.0, 0.0, 15.0, 1.0 / 3.0]]);
/// # Ok::<(), downhill_tensor::ShapeError>(())
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
    /// Attention with this many heads, with biases, without masks and dropout.
    #[must_use]
    pub fn new(heads: usize) -> Self {
        Self { heads, bias: true, causal: false, lengths: false, dropout: 0.0, rotary: None }
    }

    /// Without biases.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// Query i attends to the keys 0 to i only: no position sees what comes after it.
    #[must_use]
    pub fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// Takes a further, last input of shape (1): how many positions of the memory (of x, in self-attention) are there.
    ///
    /// PyTorch's `key_padding_mask` says the same with a flag for each position.
    #[must_use]
    pub fn with_lengths(mut self) -> Self {
        self.lengths = true;
        self
    }

    /// Drops each weight of P with this probability in training, and scales the others by 1/(1 − p).
    #[must_use]
    pub fn with_dropout(mut self, probability: f64) -> Self {
        self.dropout = probability;
        self
    }

    /// Turns the heads of Q and K by their [`RotaryPositions`], so that scores depend on how far apart two steps are.
    #[must_use]
    pub fn with_rotary_positions(mut self, positions: RotaryPositions) -> Self {
        self.rotary = Some(positions);
        self
    }

    /// Which input is the memory, and which holds the lengths; the queries are the first.
    fn places(&self, inputs: usize) -> (usize, Option<usize>) {
        let cross = inputs == 2 + usize::from(self.lengths);
        (usize::from(cross), self.lengths.then(|| inputs.saturating_sub(1)))
    }

    /// What a pass sees: the sizes, the queries, the memory, and the lengths (none where all keys are there).
    fn see<'a, T: Scalar>(&self, inputs: &Inputs<'a, T>) -> (Sizes, Batch<'a, T>, Batch<'a, T>, &'a [T]) {
        let (memory, lengths) = self.places(inputs.count());
        let (x, memory) = (inputs[0], inputs[memory]);
        let lengths = lengths.map_or(&[][..], |lengths| inputs[lengths].slice());
        (Sizes::new(self, x.shape(), memory.shape()), x, memory, lengths)
    }

    fn check(&self, x: Shape, memory: Shape) -> Result<(), ShapeError> {
        let fail = |reason| Err(ShapeError::Setting { by: NAME, reason });
        for got in [x, memory] {
            if got.rank() != 2 {
                let expected = "sequences of shape (steps, width)";
                return Err(ShapeError::Rank { by: NAME, expected, got, hint: "put Reshape before it" });
            }
            if got.len() == 0 {
                return fail(format!("a sequence of shape {got} is empty; steps and width must be at least 1"));
            }
        }
        let (heads, width) = (self.heads, x[1]);
        if memory[1] != width {
            let what = "the inputs of MultiHeadAttention, apart from their steps,".into();
            return Err(ShapeError::Mismatch { what, expected: x, got: memory });
        }
        if heads == 0 || !width.is_multiple_of(heads) {
            return fail(format!("the width {width} can't be cut into {heads} heads of equal size"));
        }
        Dropout::new(self.dropout).check(NAME)?;
        if let Some(rotary) = self.rotary {
            rotary.check(NAME, width / heads)?;
        }
        let steps = x[0].saturating_add(memory[0]);
        let largest = [&[8, steps, width][..], &[3, width, width], &[2, heads, x[0], memory[0]]];
        if largest.iter().any(|axes| Shape::new(axes).is_none()) {
            return fail(format!("sequences of shapes {x} and {memory} have too many elements"));
        }
        Ok(())
    }

    /// Which parameter is Wo.
    fn out_weight(&self) -> usize {
        if self.bias { 2 } else { 1 }
    }

    /// How many numbers the table of rotary positions holds.
    fn table(&self, sizes: Sizes) -> usize {
        if self.rotary.is_some() { sizes.queries.max(sizes.keys) * sizes.head } else { 0 }
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
    fn signature(&self, inputs: &[Shape]) -> Result<Signature, ShapeError> {
        let (memory, lengths) = self.places(inputs.len());
        if !(1..=2).contains(&inputs.len().saturating_sub(usize::from(self.lengths))) {
            let expected = if self.lengths {
                "two inputs (a sequence and its length) or three (queries, memory and the length of the memory)"
            } else {
                "one input (self-attention) or two (queries and memory)"
            };
            return Err(ShapeError::Inputs { by: NAME, expected, got: inputs.len() });
        }
        let (x, memory) = (inputs[0], inputs[memory]);
        self.check(x, memory)?;
        let sizes = Sizes::new(self, x, memory);
        let width = sizes.width;
        let glorot = Init::XavierUniform { gain: Gain::Linear };
        let in_weight = Parameter::new("in_proj_weight", [width, 3 * width], glorot).fans(width, 3 * width);
        let out_weight = Parameter::new("out_proj.weight", [width, width], Init::FanInUniform).fans(width, width);
        let mut signature = Signature::new(NAME, x).parameter(in_weight.transposed());
        if self.bias {
            signature = signature.parameter(Parameter::new("in_proj_bias", [3 * width], Init::Zeros));
        }
        signature = signature.parameter(out_weight.transposed());
        if self.bias {
            signature = signature.parameter(Parameter::new("out_proj.bias", [width], Init::Zeros));
        }
        if let Some(lengths) = lengths {
            let (expected, got) = (Shape::from([1]), inputs[lengths]);
            if got != expected {
                let what = "the lengths of MultiHeadAttention, one number for each example,".into();
                return Err(ShapeError::Mismatch { what, expected, got });
            }
            signature = signature.whole_numbers(lengths, 1, sizes.keys);
        }
        let saved = sizes.saved();
        Ok(signature
            .saves(saved.iter().sum(), 1)
            .scratch(saved[0] + saved[1] + sizes.room(), self.table(sizes))
            .backward_without_y())
    }

    fn forward<T: Scalar>(&self, pass: &mut Forward<'_, T>) {
        let (sizes, x, memory, lengths) = self.see(&pass.x);
        let (examples, width) = (x.examples(), sizes.width);
        let [q, kv, context, _] = sizes.saved().map(|length| length * examples);
        let (q, rest) = pass.saved.split_at_mut(q);
        let (kv, rest) = rest.split_at_mut(kv);
        let (context, rest) = rest.split_at_mut(context);
        let Some((factor, kept)) = rest.split_last_mut() else { return };
        let (table, room) = pass.scratch.split_at_mut(self.table(sizes));

        // Q = x Wq + bq        (K V) = m (Wk Wv) + (bk bv)
        let (w_q, w_kv) = pass.params.matrix(0).split_at(Axis(1), width);
        let [b_q, b_kv, b_out] = if self.bias {
            let (b_q, b_kv) = pass.params.vector(1).split_at(width);
            [b_q, b_kv, pass.params.vector(3)].map(Start::Row)
        } else {
            [Start::Zero; 3]
        };
        product(x.rows(), w_q, b_q, matrix_mut(q, width));
        product(memory.rows(), w_kv, b_kv, matrix_mut(kv, 2 * width));
        self.turn(sizes, table, q, kv, false);

        // C = softmax(Q Kᵀ/√d) V
        let dropout = Some(Dropout::new(self.dropout)).filter(|_| sizes.drops && pass.mode.is_training());
        *factor = dropout.map_or(T::ONE, |dropout| T::of(dropout.scale()));
        let drop = dropout.map(|dropout| (dropout, pass.random));
        let heads = Heads { sizes, lengths, factor: *factor, drop };
        let [q_length, kv_length, context_length, kept_length] = sizes.saved();
        let parts = (
            Runs::new(q, q_length),
            Runs::new(kv, kv_length),
            RunsMut::new(context, context_length),
            RunsMut::new(kept, kept_length),
            RunsMut::new(room, sizes.room()),
        );
        parallel_runs(Attend { heads, first: 0, parts }, sizes.work(examples));

        // y = C Wo + bo
        product(matrix(context, width), pass.params.matrix(self.out_weight()), b_out, pass.y.rows());
    }

    fn backward<T: Scalar>(&self, pass: &mut Backward<'_, T>) {
        let (sizes, x, memory, lengths) = self.see(&pass.x);
        let (examples, width) = (x.examples(), sizes.width);
        let [q, kv, context, _] = sizes.saved().map(|length| length * examples);
        let (q, rest) = pass.saved.split_at(q);
        let (kv, rest) = rest.split_at(kv);
        let (context, rest) = rest.split_at(context);
        let Some((&factor, kept)) = rest.split_last() else { return };
        let (table, rest) = pass.scratch.split_at_mut(self.table(sizes));
        let (dq, rest) = rest.split_at_mut(q.len());
        let (dkv, room) = rest.split_at_mut(kv.len());

        // dC = dy Woᵀ        dWo = Cᵀ dy        dbo = Σ_rows dy
        let (dy, out) = (pass.dy.rows(), self.out_weight());
        product(dy, pass.params.matrix(out).t(), Start::Zero, matrix_mut(dq, width));
        product(matrix(context, width).t(), dy, Start::Zero, pass.dparams.matrix(out));
        if self.bias {
            column_sums(dy, pass.dparams.vector(3));
        }

        // From dC to dQ, which takes its place, and (dK dV).
        let [q_length, kv_length, _, kept_length] = sizes.saved();
        let parts = (
            Runs::new(q, q_length),
            Runs::new(kv, kv_length),
            Runs::new(kept, kept_length),
            RunsMut::new(dq, q_length),
            RunsMut::new(dkv, kv_length),
            RunsMut::new(room, sizes.room()),
        );
        let heads = Heads { sizes, lengths, factor, drop: None };
        parallel_runs(Attend { heads, first: 0, parts }, 2 * sizes.work(examples));
        self.turn(sizes, table, dq, dkv, true);

        // dWq = xᵀ dQ        d(Wk Wv) = mᵀ (dK dV)        db = Σ_rows of each
        let (dq, dkv) = (matrix(dq, width), matrix(dkv, 2 * width));
        let (dw_q, dw_kv) = pass.dparams.matrix(0).split_at(Axis(1), width);
        product(x.rows().t(), dq, Start::Zero, dw_q);
        product(memory.rows().t(), dkv, Start::Zero, dw_kv);
        if self.bias {
            let (db_q, db_kv) = pass.dparams.vector(1).split_at_mut(width);
            column_sums(dq, db_q);
            column_sums(dkv, db_kv);
        }

        // dx = dQ Wqᵀ        dm = (dK dV) (Wk Wv)ᵀ
        let (w_q, w_kv) = pass.params.matrix(0).split_at(Axis(1), width);
        if let Some(dx) = pass.dx.get(0) {
            product(dq, w_q.t(), Start::Zero, dx.rows());
        }
        let (memory, lengths) = self.places(pass.x.count());
        if let Some(dm) = pass.dx.get(memory) {
            let start = if memory == 0 { Start::Existing } else { Start::Zero };
            product(dkv, w_kv.t(), start, dm.rows());
        }
        if let Some(lengths) = lengths.and_then(|lengths| pass.dx.get(lengths)) {
            lengths.slice().fill(T::ZERO);
        }
    }
}

/// How large everything is in one pass.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    queries: usize,
    keys: usize,
    width: usize,
    heads: usize,
    /// The size of a head, d.
    head: usize,
    causal: bool,
    drops: bool,
}

/// P is kept for the way back where a query has at most so many weights.
const KEEP: usize = 512;

/// About so many scores are computed at a time, so that they stay in the second cache.
const BLOCK: usize = 64 * 1024;

/// Queries are taken in multiples of this many: whole tiles of every product kernel.
const TILE: usize = 48;

/// Scores of this many queries side by side are worked on at once, where there are so many.
const WIDE: usize = 32;

/// Elsewhere of this many.
const STRIP: usize = 8;

impl Sizes {
    fn new(layer: &MultiHeadAttention, x: Shape, memory: Shape) -> Self {
        let &MultiHeadAttention { heads, causal, dropout, .. } = layer;
        let width = x[1];
        Self { queries: x[0], keys: memory[0], width, heads, head: width / heads, causal, drops: dropout > 0.0 }
    }

    /// Whether P is kept for the way back; else it is computed again.
    fn keeps_weights(self) -> bool {
        self.drops || self.keys <= KEEP
    }

    /// How many numbers one head of one example keeps beside Q, K, V and C: P, or ln Σ exp of the scores of each query.
    fn kept(self) -> usize {
        if self.keeps_weights() { self.queries.next_multiple_of(STRIP) * self.keys } else { self.queries }
    }

    /// How many numbers one example keeps: Q, (K V), C, and the above.
    fn saved(self) -> [usize; 4] {
        [self.queries * self.width, 2 * self.keys * self.width, self.queries * self.width, self.heads * self.kept()]
    }

    /// How many queries are seen to at a time.
    fn block(self) -> usize {
        (BLOCK / self.keys).max(1).next_multiple_of(TILE).min(self.queries)
    }

    fn blocks(self) -> impl DoubleEndedIterator<Item = Range<usize>> {
        let block = self.block();
        (0..self.queries.div_ceil(block)).map(move |index| index * block..((index + 1) * block).min(self.queries))
    }

    /// The room for one example: a block of dP, and one of weights that are not kept as products need them.
    fn room(self) -> usize {
        let blocks = if self.drops || !self.keeps_weights() { 2 } else { 1 };
        blocks * self.block().next_multiple_of(STRIP) * self.keys
    }

    /// How many keys some queries attend to, where `there` are there.
    fn visible(self, queries: &Range<usize>, there: usize) -> usize {
        if self.causal { there.min(queries.end) } else { there }
    }

    /// Gives a weight of 0 to the keys that come after a query.
    fn mask<T: Scalar>(self, queries: &Range<usize>, scores: &mut [T]) {
        if self.causal {
            let rows = scores.chunks_exact_mut(queries.len().next_multiple_of(STRIP)).skip(queries.start);
            for (before, row) in rows.enumerate() {
                row[..before].fill(-T::INFINITY);
            }
        }
    }

    /// Where a head lies in the rows of Q, K or V.
    fn columns(self, head: usize) -> Range<usize> {
        head * self.head..(head + 1) * self.head
    }

    /// 1/√d
    fn scale<T: Scalar>(self) -> T {
        T::of(1.0 / (self.head as f64).sqrt())
    }

    /// Simple operations on the way forward.
    fn work(self, examples: usize) -> usize {
        examples.saturating_mul(self.queries * self.keys).saturating_mul(2 * self.width)
    }
}

/// What all heads of all examples need to know.
#[derive(Clone, Copy)]
struct Heads<'a, T> {
    sizes: Sizes,
    /// Empty where all keys are there.
    lengths: &'a [T],
    /// What weights that are not dropped are multiplied by.
    factor: T,
    /// How they are dropped, on the way forward.
    drop: Option<(Dropout, Streams)>,
}

/// Some examples, the `first` of which has this number in its batch, on the way that the parts belong to.
struct Attend<'a, T, P> {
    heads: Heads<'a, T>,
    first: usize,
    parts: P,
}

impl<T: Scalar, P: downhill_tensor::Parts> Divisible for Attend<'_, T, P>
where
    Self: Kernel<Output = ()>,
{
    fn len(&self) -> usize {
        self.parts.len()
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        let Self { heads, first, parts } = self;
        let (left, right) = parts.split_at(middle);
        (Self { heads, first, parts: left }, Self { heads, first: first + middle, parts: right })
    }
}

/// Q, (K V), C, what is kept, room.
type AheadParts<'a, T> = (Runs<'a, T>, Runs<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>);

/// Q, (K V), what is kept, dC and then dQ, (dK dV), room.
type BackParts<'a, T> = (Runs<'a, T>, Runs<'a, T>, Runs<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>, RunsMut<'a, T>);

impl<T: Scalar> Kernel for Attend<'_, T, AheadParts<'_, T>> {
    type Output = ();

    fn run(self) {
        let (q, kv, context, kept, room) = self.parts;
        // One after the other, examples share the room of the first, which stays in the cache.
        let Some(room) = room.iter_mut().next() else { return };
        let examples = q.iter().zip(kv.iter()).zip(context.iter_mut()).zip(kept.iter_mut());
        for (index, (((q, kv), context), kept)) in examples.enumerate() {
            self.heads.ahead(self.first + index, q, kv, context, kept, room);
        }
    }
}

impl<T: Scalar> Kernel for Attend<'_, T, BackParts<'_, T>> {
    type Output = ();

    fn run(self) {
        let (q, kv, kept, dq, dkv, room) = self.parts;
        let Some(room) = room.iter_mut().next() else { return };
        let examples = q.iter().zip(kv.iter()).zip(kept.iter()).zip(dq.iter_mut().zip(dkv.iter_mut()));
        for (index, (((q, kv), kept), (dq, dkv))) in examples.enumerate() {
            self.heads.back(self.first + index, q, kv, kept, dq, dkv, room);
        }
    }
}

// Scores, and all that is made of them, lie transposed: (keys, queries). A sum over keys then adds whole vectors,
// however few keys there are. Rows are as long as a multiple of STRIP; what is beyond the last query is never read
// but to be worked on together with the rest.

impl<T: Scalar> Heads<'_, T> {
    /// How many keys of an example are there.
    fn there(&self, example: usize) -> usize {
        let keys = self.sizes.keys;
        self.lengths.get(example).map_or(keys, |length| (length.to_f64() as usize).clamp(1, keys))
    }

    /// C = softmax(Q Kᵀ/√d) V, for all heads of one example.
    fn ahead(&self, example: usize, q: &[T], kv: &[T], context: &mut [T], kept: &mut [T], room: &mut [T]) {
        let sizes = self.sizes;
        let Sizes { keys, width, .. } = sizes;
        let there = self.there(example);
        [q, kv].into_iter().for_each(prefetch);
        let (q, (k, v)) = (matrix(q, width), matrix(kv, 2 * width).split_at(Axis(1), width));
        let mut context = matrix_mut(context, width);
        let drop = self.drop.map(|(dropout, random)| (dropout, random.seed().derive(example as u64)));
        let mut drawn = 0;
        for (head, kept) in kept.chunks_exact_mut(sizes.kept()).enumerate() {
            let columns = sizes.columns(head);
            for queries in sizes.blocks() {
                let (row, visible) = (queries.len().next_multiple_of(STRIP), sizes.visible(&queries, there));
                let (scores, spare) = room.split_at_mut(row * keys);
                let (p, log_sums) = if sizes.keeps_weights() {
                    (&mut kept[queries.start * keys..][..row * visible], &mut [][..])
                } else {
                    (&mut scores[..row * visible], &mut kept[queries.clone()])
                };
                let q = part(q, queries.clone(), columns.clone());
                let [k, v] = [k, v].map(|all| part(all, 0..visible, columns.clone()));
                // Sᵀ = K Qᵀ
                product(k, q.t(), Start::Zero, part(matrix_mut(p, row), 0..visible, 0..queries.len()));
                sizes.mask(&queries, p);
                // P = softmax(S/√d)
                vectorized(Softmax { scale: sizes.scale(), row, p, log_sums });
                let weights = match drop {
                    Some((dropout, seed)) => {
                        let weights = &mut spare[..row * visible];
                        dropout.draw(weights, seed, drawn);
                        drawn += weights.len();
                        elementwise::update(p, weights, |p, m| p * m);
                        // Backward knows a dropped weight by its sign.
                        elementwise::update(weights, p, |w, p| if w == T::ZERO { -p } else { p });
                        &*weights
                    }
                    None => &*p,
                };
                // C = P V
                let weights = part(matrix(weights, row), 0..visible, 0..queries.len());
                product(weights.t(), v, Start::Zero, part(context.view_mut(), queries, columns.clone()));
            }
        }
    }

    /// From dC, in `dq`, to dQ in its place and (dK dV), for all heads of one example.
    #[expect(clippy::too_many_arguments, reason = "one for each matrix")]
    fn back(&self, example: usize, q: &[T], kv: &[T], kept: &[T], dq: &mut [T], dkv: &mut [T], room: &mut [T]) {
        let &Heads { sizes, factor, .. } = self;
        let Sizes { keys, width, .. } = sizes;
        let there = self.there(example);
        [q, kv, kept, dq].into_iter().for_each(prefetch);
        let (q, (k, v)) = (matrix(q, width), matrix(kv, 2 * width).split_at(Axis(1), width));
        let mut dq = matrix_mut(dq, width);
        let (mut dk, mut dv) = matrix_mut(dkv, 2 * width).split_at(Axis(1), width);
        for (head, kept) in kept.chunks_exact(sizes.kept()).enumerate() {
            let columns = sizes.columns(head);
            // The last block sees the most keys, so it comes first: the others add to what it begins.
            let mut start = Start::Zero;
            for queries in sizes.blocks().rev() {
                let (row, visible) = (queries.len().next_multiple_of(STRIP), sizes.visible(&queries, there));
                let (dp, spare) = room.split_at_mut(row * keys);
                let dp = &mut dp[..row * visible];
                let seen = |all| part(all, 0..visible, 0..queries.len());
                let q = part(q, queries.clone(), columns.clone());
                let [k, v] = [k, v].map(|all| part(all, 0..visible, columns.clone()));
                let dc = part(dq.view_mut(), queries.clone(), columns.clone());
                let [(dk, mut dk_beyond), (dv, mut dv_beyond)] = [&mut dk, &mut dv]
                    .map(|all| part(all.view_mut(), 0..keys, columns.clone()).split_at(Axis(0), visible));
                // dPᵀ = V dCᵀ
                product(v, dc.t(), Start::Zero, part(matrix_mut(dp, row), 0..visible, 0..queries.len()));
                // P as it is, and as the product took it.
                let (p, weights) = if !sizes.keeps_weights() {
                    let p = &mut spare[..row * visible];
                    product(k, q.t(), Start::Zero, part(matrix_mut(p, row), 0..visible, 0..queries.len()));
                    sizes.mask(&queries, p);
                    vectorized(Again { scale: sizes.scale(), row, log_sums: &kept[queries.clone()], p });
                    (&*p, &*p)
                } else if sizes.drops {
                    let (p, weights) = (&kept[queries.start * keys..][..row * visible], &mut spare[..row * visible]);
                    vectorized(Dropped { factor, p, weights, dp });
                    (p, &*weights)
                } else {
                    let p = &kept[queries.start * keys..][..row * visible];
                    (p, p)
                };
                // dV = Pᵀ dC
                product(seen(matrix(weights, row)), dc.view(), start, dv);
                // dS/√d, in the place of dP
                vectorized(ScoreGradient { scale: sizes.scale(), row, p, dp });
                let ds = seen(matrix(dp, row));
                // dQ = dS K/√d, in the place of dC        dK = dSᵀ Q/√d
                product(ds.t(), k, Start::Zero, dc);
                product(ds, q, start, dk);
                if let Start::Zero = start {
                    dk_beyond.fill(T::ZERO);
                    dv_beyond.fill(T::ZERO);
                    start = Start::Existing;
                }
            }
        }
    }
}

/// P = softmax(S/√d) over the keys, in place.
struct Softmax<'a, T> {
    scale: T,
    /// The length of a row.
    row: usize,
    /// (keys, queries)
    p: &'a mut [T],
    /// ln Σ exp of the scores of each query, where it is wanted.
    log_sums: &'a mut [T],
}

impl<T: Scalar> Kernel for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let wide = self.row / WIDE * WIDE;
        for first in (0..wide).step_by(WIDE) {
            self.strip::<WIDE>(first);
        }
        for first in (wide..self.row).step_by(STRIP) {
            self.strip::<STRIP>(first);
        }
    }
}

impl<T: Scalar> Softmax<'_, T> {
    #[inline(always)]
    fn strip<const N: usize>(&mut self, first: usize) {
        let Self { scale, row, p, log_sums } = self;
        let mut largest = [-T::INFINITY; N];
        for p in strips::<_, N>(p, *row, first) {
            for i in 0..N {
                largest[i] = p[i].max(largest[i]);
            }
        }
        let mut sums = [T::ZERO; N];
        for p in strips_mut::<_, N>(p, *row, first) {
            for i in 0..N {
                p[i] = ((p[i] - largest[i]) * *scale).exp();
                sums[i] += p[i];
            }
        }
        let inverse = sums.map(|sum| T::ONE / sum);
        for p in strips_mut::<_, N>(p, *row, first) {
            for i in 0..N {
                p[i] *= inverse[i];
            }
        }
        for (log_sum, (largest, sum)) in log_sums.iter_mut().skip(first).zip(largest.into_iter().zip(sums)) {
            *log_sum = largest * *scale + sum.ln();
        }
    }
}

/// The same weights again, from scores and from ln Σ exp of the scores of each query.
struct Again<'a, T> {
    scale: T,
    row: usize,
    log_sums: &'a [T],
    p: &'a mut [T],
}

impl<T: Scalar> Kernel for Again<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for p in self.p.chunks_exact_mut(self.row) {
            for (p, &log_sum) in p.iter_mut().zip(self.log_sums) {
                *p = (*p * self.scale - log_sum).exp();
            }
        }
    }
}

/// Takes dropped weights out of P and of dP; their signs tell which they are.
struct Dropped<'a, T> {
    factor: T,
    p: &'a [T],
    weights: &'a mut [T],
    dp: &'a mut [T],
}

impl<T: Scalar> Kernel for Dropped<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((&p, weight), dp) in self.p.iter().zip(self.weights).zip(self.dp) {
            let dropped = T::ONE.copysign(p) < T::ZERO;
            *weight = if dropped { T::ZERO } else { self.factor * p };
            *dp = if dropped { T::ZERO } else { self.factor * *dp };
        }
    }
}

/// dS/√d = P ∘ (dP − Σ_keys P ∘ dP)/√d, in the place of dP.
struct ScoreGradient<'a, T> {
    scale: T,
    row: usize,
    p: &'a [T],
    dp: &'a mut [T],
}

impl<T: Scalar> Kernel for ScoreGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let wide = self.row / WIDE * WIDE;
        for first in (0..wide).step_by(WIDE) {
            self.strip::<WIDE>(first);
        }
        for first in (wide..self.row).step_by(STRIP) {
            self.strip::<STRIP>(first);
        }
    }
}

impl<T: Scalar> ScoreGradient<'_, T> {
    #[inline(always)]
    fn strip<const N: usize>(&mut self, first: usize) {
        let Self { scale, row, p, dp } = self;
        let mut sums = [T::ZERO; N];
        for (p, dp) in strips::<_, N>(p, *row, first).zip(strips::<_, N>(dp, *row, first)) {
            for i in 0..N {
                // Where weights are dropped, their signs tell which.
                sums[i] += p[i].abs() * dp[i];
            }
        }
        for (p, dp) in strips::<_, N>(p, *row, first).zip(strips_mut::<_, N>(dp, *row, first)) {
            for i in 0..N {
                dp[i] = p[i].abs() * (dp[i] - sums[i]) * *scale;
            }
        }
    }
}

/// N numbers of every row, the `first` and those after it.
#[inline(always)]
fn strips<T, const N: usize>(rows: &[T], row: usize, first: usize) -> impl Iterator<Item = &[T; N]> {
    rows.chunks_exact(row).filter_map(move |row| row[first..].first_chunk())
}

#[inline(always)]
fn strips_mut<T, const N: usize>(rows: &mut [T], row: usize, first: usize) -> impl Iterator<Item = &mut [T; N]> {
    rows.chunks_exact_mut(row).filter_map(move |row| row[first..].first_chunk_mut())
}

/// (rows, columns)
fn matrix<T>(data: &[T], columns: usize) -> ArrayView2<'_, T> {
    match ArrayView2::from_shape((data.len() / columns, columns), data) {
        Ok(view) => view,
        Err(error) => unreachable!("the signature has counted these numbers: {error}"),
    }
}

/// (rows, columns), to be written
fn matrix_mut<T>(data: &mut [T], columns: usize) -> ArrayViewMut2<'_, T> {
    match ArrayViewMut2::from_shape((data.len() / columns, columns), data) {
        Ok(view) => view,
        Err(error) => unreachable!("the signature has counted these numbers: {error}"),
    }
}

/// Some rows and columns of a matrix.
fn part<S: RawData>(mut all: ArrayBase<S, Ix2>, rows: Range<usize>, columns: Range<usize>) -> ArrayBase<S, Ix2> {
    all.slice_axis_inplace(Axis(0), Slice::from(rows));
    all.slice_axis_inplace(Axis(1), Slice::from(columns));
    all
}
