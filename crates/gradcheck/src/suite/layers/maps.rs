use downhill_layers::{Affine, Dropout};

use super::{any, check, layers};
use crate::suite::{choose, size};

layers! {
    Affine: |s| {
        let affine = Affine::new(size(s, 9));
        let affine = if choose(s, &[true, false]) { affine } else { affine.without_bias() };
        check(&affine, &[any(s)], s)
    },
    Dropout: |s| check(&Dropout::new(choose(s, &[0.0, 0.3, 0.5, 0.9, 1.0])), &[any(s)], s),
}
