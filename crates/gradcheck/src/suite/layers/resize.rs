use downhill_layers::{Interpolation, Pad, PadMode, Upsample};

use super::{check, layers};
use crate::suite::{between, choose, size};

layers! {
    Pad: |s| {
        let (rows, columns) = (size(s, 4), size(s, 4));
        let mode = choose(s, &[PadMode::Constant(0.5), PadMode::Reflect, PadMode::Replicate, PadMode::Circular]);
        let most = |length: usize| match mode {
            PadMode::Reflect => length - 1,
            PadMode::Circular => length,
            PadMode::Constant(_) | PadMode::Replicate => 4,
        };
        let mut amounts = |length| [size(s, most(length) + 1) - 1, size(s, most(length) + 1) - 1];
        let pad = Pad::new(amounts(columns)).mode(mode);
        let pad = pad.rows(amounts(rows));
        check(&pad, &[[size(s, 2), rows, columns].into()], s)
    },
    Upsample: |s| {
        let upsample = if choose(s, &[true, false]) {
            Upsample::new([between(s, 1.0, 2.5), choose(s, &[1.0, 2.0, 3.0])])
        } else {
            Upsample::to_size([size(s, 5), size(s, 5)])
        };
        let ways = [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::BilinearAlignedCorners];
        let upsample = upsample.interpolation(choose(s, &ways));
        check(&upsample, &[[size(s, 2), size(s, 3), size(s, 3)].into()], s)
    },
}
