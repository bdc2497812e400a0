use downhill_layers::{Affine, Bilinear, Dropout, Scale, SpatialDropout};

use super::{any, check, layers};
use crate::suite::{between, choose, size};

layers! {
    Affine: |s| {
        let affine = Affine::new(size(s, 9));
        let affine = if choose(s, &[true, false]) { affine } else { affine.no_bias() };
        check(&affine, &[any(s)], s)
    },
    Bilinear: |s| {
        let bilinear = Bilinear::new(size(s, 4));
        let bilinear = choose(s, &[bilinear, bilinear.no_bias()]);
        check(&bilinear, &[[size(s, 4)].into(), [size(s, 4)].into()], s)
    },
    Dropout: |s| check(&Dropout::new(choose(s, &[0.0, 0.3, 0.5, 0.9, 1.0])), &[any(s)], s),
    Scale: |s| check(&Scale::new(between(s, -1.0, 1.0)), &[any(s)], s),
    SpatialDropout: |s| check(&SpatialDropout::new(choose(s, &[0.0, 0.3, 0.5, 0.9, 1.0])), &[any(s)], s),
}
