use downhill_layers::{Affine, Dropout, Flatten, Gelu, LogSoftmax, Relu, Sigmoid, Softmax, Tanh};
use downhill_losses::{MeanSquaredError, Target};
use downhill_network::{
    Block, Frozen, Gated, Named, Network, Repeat, Residual, Shared, TransformerEncoderBlock, branches, sequential,
};
use downhill_tensor::{Batch, Seed, Shape, Stream};

use super::{Entry, Kind, between, choose, size};
use crate::{GradcheckError, Report, check_network};

macro_rules! blocks {
    ($($name:ident: $check:expr),* $(,)?) => {
        pub(super) const ENTRIES: &[Entry] =
            &[$(Entry { name: stringify!($name), kind: Kind::Block, check: $check }),*];
    };
}

blocks! {
    BranchesConcat: |s| {
        let (a, b, c) = (size(s, 4), size(s, 4), size(s, 3));
        let branches = branches![concat 0; sequential![Affine::new(a), Tanh], Affine::new(b), Tanh];
        check(sequential![branches, Affine::new(c), Softmax], [size(s, 4)], s)
    },
    BranchesSum: |s| {
        let width = size(s, 4);
        let branches = branches![sum; sequential![Affine::new(width), Gelu::new()], Affine::new(width), Affine::new(width)];
        check(sequential![Affine::new(3), branches, Sigmoid], [size(s, 4)], s)
    },
    Frozen: |s| {
        let (a, b) = (size(s, 5), size(s, 4));
        let frozen = Frozen(sequential![Affine::new(a), Tanh]);
        check(sequential![Affine::new(a), frozen, Affine::new(b), Frozen(Affine::new(2))], [size(s, 4)], s)
    },
    Gated: |s| {
        let width = size(s, 5);
        let gated = Gated::new(Affine::new(width), sequential![Affine::new(width), Sigmoid]);
        check(sequential![gated, Affine::new(2)], [size(s, 4)], s)
    },
    Named: |s| {
        let hidden = size(s, 5);
        let chain = sequential![Named("body", sequential![Affine::new(hidden), Tanh]), Named("head", Affine::new(2))];
        check(chain, [size(s, 5)], s)
    },
    Repeat: |s| {
        let (width, times) = (size(s, 5), size(s, 4) - 1);
        let block = sequential![Affine::new(width), Tanh];
        check(sequential![Affine::new(width), Repeat::new(times, block)], [size(s, 4)], s)
    },
    Residual: |s| {
        let width = size(s, 5);
        let inner = Residual(sequential![Affine::new(width), Tanh, Dropout::new(0.3)]);
        check(sequential![Affine::new(width), inner, Residual(Tanh), Affine::new(2), LogSoftmax], [size(s, 4)], s)
    },
    Sequential: |s| {
        let hidden = size(s, 6);
        check(sequential![Affine::new(hidden), Relu, Affine::new(hidden), Tanh, Dropout::new(0.5), Flatten], [size(s, 6)], s)
    },
    Shared: |s| {
        let (width, inner) = (size(s, 5), size(s, 4));
        let shared = Shared::new(sequential![Affine::new(inner), Tanh, Affine::new(width)]);
        let branches = branches![sum; shared.clone(), sequential![Tanh, shared.clone()]];
        check(sequential![Affine::new(width), shared, branches, Affine::new(2)], [size(s, 4)], s)
    },
    TransformerEncoderBlock: |s| {
        let (heads, head) = (size(s, 2), 1 + size(s, 2));
        let [norm_first, causal, bias] = [(); 3].map(|()| choose(s, &[true, false]));
        // With a larger ε than is usual, since differences are not exact if a variance is next to nothing.
        let mut block = TransformerEncoderBlock::new(heads, size(s, 4)).activation(Gelu::new()).epsilon(0.1);
        block = block.dropout(choose(s, &[0.0, 0.1, 0.5]));
        if norm_first {
            block = block.norm_first();
        }
        if causal {
            block = block.causal();
        }
        if !bias {
            block = block.no_bias();
        }
        check(sequential![block, Affine::new(2)], [size(s, 4), heads * head], s)
    },
}

/// Checks the gradient of a whole network built from the block, for random data.
fn check(block: impl Block, input: impl Into<Shape>, s: &mut Stream) -> Result<Report, GradcheckError> {
    let input = input.into();
    let network = Network::<f64>::build(input, block, Seed(s.bits().into()))?;
    let examples = size(s, 3);
    let x: Vec<f64> = (0..examples * input.len()).map(|_| between(s, -2.0, 2.0)).collect();
    let target: Vec<f64> = (0..examples * network.output_shape().len()).map(|_| between(s, -1.0, 1.0)).collect();
    let x = Batch::new(&x, examples, input)?;
    check_network(&network, x, Target::Values(&target), &MeanSquaredError::new())
}
