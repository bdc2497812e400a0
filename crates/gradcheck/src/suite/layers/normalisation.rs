use downhill_layers::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, RmsNorm};
use downhill_tensor::{Shape, Stream};

use super::{any, check, layers};
use crate::suite::{between, choose, size};
use crate::{LayerCheck, check_layer};

// Where numbers are few and nearly equal, a small ε makes functions too steep for differences.

fn epsilon(s: &mut Stream) -> f64 {
    between(s, 0.1, 1.0)
}

/// Examples of at most three axes with this many channels.
fn images(s: &mut Stream, channels: usize) -> Shape {
    match size(s, 3) {
        1 => [channels].into(),
        2 => [channels, size(s, 4)].into(),
        _ => [channels, size(s, 3), size(s, 3)].into(),
    }
}

layers! {
    BatchNorm: |s| {
        let norm = BatchNorm::new().epsilon(epsilon(s));
        let norm = if choose(s, &[true, false]) { norm } else { norm.no_affine() };
        let channels = size(s, 4);
        let x = images(s, channels);
        if choose(s, &[true, true, false]) {
            check(&norm, &[x], s)
        } else {
            check_layer(&norm, &[x], &LayerCheck::new().mode(Mode::Evaluation))
        }
    },
    GroupNorm: |s| {
        let (groups, channels) = (size(s, 3), size(s, 3));
        let norm = GroupNorm::new(groups).epsilon(epsilon(s));
        let norm = if choose(s, &[true, false]) { norm } else { norm.no_affine() };
        check(&norm, &[images(s, groups * channels)], s)
    },
    InstanceNorm: |s| {
        let norm = InstanceNorm::new().epsilon(epsilon(s));
        let norm = if choose(s, &[true, false]) { norm } else { norm.affine() };
        check(&norm, &[[size(s, 3), 1 + size(s, 3), size(s, 3)].into()], s)
    },
    LayerNorm: |s| {
        let x = any(s);
        let norm = LayerNorm::new().axes(size(s, x.rank())).epsilon(epsilon(s));
        let norm = choose(s, &[norm, norm.no_bias(), norm.no_affine()]);
        check(&norm, &[x], s)
    },
    RmsNorm: |s| {
        let x = any(s);
        let norm = RmsNorm::new().axes(size(s, x.rank())).epsilon(epsilon(s));
        let norm = choose(s, &[norm, norm.no_affine()]);
        check(&norm, &[x], s)
    },
}
