use downhill_layers::{Embedding, LearntPositions, RotaryPositions, SinusoidalPositions};

use super::{any, check, layers};
use crate::suite::{between, choose, size};

layers! {
    Embedding: |s| {
        let (vocabulary, width) = (size(s, 5), size(s, 4));
        let embedding = Embedding::new(vocabulary, width);
        let row = size(s, vocabulary) - 1;
        check(&choose(s, &[embedding, embedding.with_padding(row)]), &[any(s)], s)
    },
    LearntPositions: |s| check(&LearntPositions::new(), &[[size(s, 4), size(s, 4)].into()], s),
    RotaryPositions: |s| {
        let positions = RotaryPositions::new().with_base(between(s, 2.0, 1e4));
        let positions = choose(s, &[positions, positions.interleaved()]);
        let (steps, heads, width) = (size(s, 4), size(s, 3), 2 * size(s, 3));
        let x = choose(s, &[[steps, width].into(), [steps, heads, width].into()]);
        check(&positions, &[x], s)
    },
    SinusoidalPositions: |s| {
        let positions = SinusoidalPositions::new().with_base(between(s, 2.0, 1e4));
        check(&positions, &[[size(s, 4), size(s, 5)].into()], s)
    },
}
