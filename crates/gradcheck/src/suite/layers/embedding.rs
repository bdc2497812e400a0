use downhill_layers::{Embedding, LearntPositions, RotaryPositions, SinusoidalPositions};

use super::{any, check, layers};
use crate::suite::{between, choose, size};

layers! {
    // Without a padding row: what that has for a gradient is 0 by decree and no derivative.
    Embedding: |s| check(&Embedding::new(size(s, 5), size(s, 4)), &[any(s)], s),
    LearntPositions: |s| check(&LearntPositions::new(), &[[size(s, 4), size(s, 4)].into()], s),
    RotaryPositions: |s| {
        let positions = RotaryPositions::new().base(between(s, 2.0, 1e4));
        let positions = choose(s, &[positions, positions.interleaved()]);
        let (steps, heads, width) = (size(s, 4), size(s, 3), 2 * size(s, 3));
        let x = choose(s, &[[steps, width].into(), [steps, heads, width].into()]);
        check(&positions, &[x], s)
    },
    SinusoidalPositions: |s| {
        let positions = SinusoidalPositions::new().base(between(s, 2.0, 1e4));
        check(&positions, &[[size(s, 4), size(s, 5)].into()], s)
    },
}
