use downhill_layers::{Cell, Gru, Lstm, Recurrent, Rnn};
use downhill_tensor::{Shape, Stream};

use super::{check, layers};
use crate::suite::{choose, size};
use crate::{GradcheckError, Report};

layers! {
    Gru: |s| recurrent(Gru::new(size(s, 3)), s),
    Lstm: |s| recurrent(Lstm::new(size(s, 3)), s),
    Rnn: |s| {
        let rnn = Rnn::new(size(s, 3));
        let rnn = if choose(s, &[true, false]) { rnn } else { rnn.relu() };
        recurrent(rnn, s)
    },
}

/// Any settings, and a short sequence.
fn recurrent<C: Cell<GATES, STATE, KEPT>, const GATES: usize, const STATE: usize, const KEPT: usize>(
    mut layer: Recurrent<C, GATES, STATE, KEPT>,
    s: &mut Stream,
) -> Result<Report, GradcheckError> {
    let layers = choose(s, &[1, 1, 1, 2, 3]);
    layer = layer.layers(layers);
    if choose(s, &[true, false]) {
        layer = layer.bidirectional();
    }
    if choose(s, &[true, false]) {
        layer = layer.no_bias();
    }
    if layers > 1 {
        layer = layer.dropout(choose(s, &[0.0, 0.5]));
    }
    if choose(s, &[true, false]) {
        layer = layer.last_state();
    }
    let mut inputs: Vec<Shape> = vec![[size(s, 4), size(s, 2)].into()];
    if choose(s, &[true, false]) {
        layer = layer.lengths();
        inputs.push([1].into());
    }
    check(&layer, &inputs, s)
}
