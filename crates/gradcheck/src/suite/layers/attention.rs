use downhill_layers::{FinitePadding, MultiHeadAttention, RotaryPositions};
use downhill_tensor::Shape;

use super::{check, layers};
use crate::suite::{choose, size};

layers! {
    // Of finite numbers: others have no difference to compare with.
    FinitePadding: |s| check(&FinitePadding, &[[size(s, 4), size(s, 3)].into(), [1].into()], s),
    MultiHeadAttention: |s| {
        let (heads, head) = (size(s, 3), size(s, 3));
        let width = heads * head;
        let mut layer = MultiHeadAttention::new(heads);
        let mut inputs: Vec<Shape> = vec![[size(s, 4), width].into()];
        let mut either = || choose(s, &[true, false]);
        let [bias, causal, cross, lengths, dropout, rotary] = [(); 6].map(|()| either());
        if !bias {
            layer = layer.no_bias();
        }
        if causal {
            layer = layer.causal();
        }
        if cross {
            inputs.push([size(s, 4), width].into());
        }
        if lengths {
            layer = layer.lengths();
            inputs.push([1].into());
        }
        if dropout {
            layer = layer.dropout(choose(s, &[0.3, 0.7, 1.0]));
        }
        if rotary && head % 2 == 0 {
            let positions = RotaryPositions::new().base(choose(s, &[10.0, 10_000.0]));
            layer = layer.rotary_positions(choose(s, &[positions, positions.interleaved()]));
        }
        check(&layer, &inputs, s)
    },
}
