use downhill_layers::{
    AdaptiveAveragePool1d, AdaptiveAveragePool2d, AveragePool1d, AveragePool2d, GlobalAveragePool, MaxPool1d, MaxPool2d,
};
use downhill_tensor::Stream;

use super::{check, layers};
use crate::suite::{choose, size};

/// A window over one axis.
struct Window {
    length: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

/// One that fits its axis, so that no window holds padding alone.
fn window(s: &mut Stream, dilation: usize) -> Window {
    let (kernel, dilation) = (size(s, 3), size(s, dilation));
    let length = (kernel - 1) * dilation + size(s, 4);
    Window { length, kernel, stride: size(s, 3), padding: size(s, kernel / 2 + 1) - 1, dilation }
}

layers! {
    AdaptiveAveragePool1d: |s| check(&AdaptiveAveragePool1d::new(size(s, 6)), &[[size(s, 3), size(s, 8)].into()], s),
    AdaptiveAveragePool2d: |s| {
        let pool = AdaptiveAveragePool2d::new([size(s, 4), size(s, 4)]);
        check(&pool, &[[size(s, 2), size(s, 5), size(s, 5)].into()], s)
    },
    AveragePool1d: |s| {
        let Window { length, kernel, stride, padding, .. } = window(s, 1);
        let pool = AveragePool1d::new(kernel).stride(stride).padding(padding);
        let pool = if choose(s, &[true, false]) { pool.ceil_mode() } else { pool };
        let pool = if choose(s, &[true, false]) { pool.exclude_padding() } else { pool };
        check(&pool, &[[size(s, 3), length].into()], s)
    },
    AveragePool2d: |s| {
        if choose(s, &[true, false]) {
            return check(&AveragePool2d::new(2), &[[size(s, 2), 1 + size(s, 4), 1 + size(s, 4)].into()], s);
        }
        let (a, b) = (window(s, 1), window(s, 1));
        let pool = AveragePool2d::new([a.kernel, b.kernel]).stride([a.stride, b.stride]);
        let pool = pool.padding([a.padding, b.padding]);
        let pool = if choose(s, &[true, false]) { pool.ceil_mode() } else { pool };
        let pool = if choose(s, &[true, false]) { pool.exclude_padding() } else { pool };
        check(&pool, &[[size(s, 2), a.length, b.length].into()], s)
    },
    GlobalAveragePool: |s| check(&GlobalAveragePool, &[[size(s, 3), size(s, 4), size(s, 4)].into()], s),
    MaxPool1d: |s| {
        let Window { length, kernel, stride, padding, dilation } = window(s, 3);
        let pool = MaxPool1d::new(kernel).stride(stride).padding(padding).dilation(dilation);
        let pool = if choose(s, &[true, false]) { pool.ceil_mode() } else { pool };
        check(&pool, &[[size(s, 3), length].into()], s)
    },
    MaxPool2d: |s| {
        if choose(s, &[true, false]) {
            return check(&MaxPool2d::new(2), &[[size(s, 2), 1 + size(s, 4), 1 + size(s, 4)].into()], s);
        }
        let (a, b) = (window(s, 2), window(s, 2));
        let pool = MaxPool2d::new([a.kernel, b.kernel]).stride([a.stride, b.stride]);
        let pool = pool.padding([a.padding, b.padding]).dilation([a.dilation, b.dilation]);
        let pool = if choose(s, &[true, false]) { pool.ceil_mode() } else { pool };
        check(&pool, &[[size(s, 2), a.length, b.length].into()], s)
    },
}
