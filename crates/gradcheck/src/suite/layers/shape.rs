use downhill_layers::{Add, Concat, Flatten, Mean, Multiply, Permute, Reshape, Slice, Sum};
use downhill_tensor::Shape;

use super::{any, check, layers};
use crate::suite::{choose, size};

layers! {
    Add: |s| {
        let shape = any(s);
        let inputs = size(s, 4);
        check(&Add, &vec![shape; inputs], s)
    },
    Concat: |s| {
        let (axis, shape) = (size(s, 2) - 1, [size(s, 4), size(s, 4)]);
        let inputs: Vec<Shape> = (0..size(s, 3)).map(|_| {
            let mut shape = shape;
            shape[axis] = size(s, 4);
            shape.into()
        }).collect();
        check(&Concat::new(axis), &inputs, s)
    },
    Flatten: |s| check(&Flatten, &[any(s)], s),
    Mean: |s| {
        let x = any(s);
        let mean = Mean::new(size(s, x.rank()) - 1);
        check(&choose(s, &[mean, mean.keep_axis()]), &[x], s)
    },
    Multiply: |s| {
        let shape = any(s);
        let inputs = size(s, 4);
        check(&Multiply, &vec![shape; inputs], s)
    },
    Permute: |s| {
        let x = any(s);
        let (first, second) = (size(s, x.rank()) - 1, size(s, x.rank()) - 1);
        if x.rank() == 3 && choose(s, &[true, false]) {
            let order = choose(s, &[[0, 2, 1], [1, 2, 0], [2, 0, 1], [1, 0, 2]]);
            return check(&Permute::new(order), &[x], s);
        }
        check(&Permute::transpose(first, second), &[x], s)
    },
    Reshape: |s| {
        let (rows, columns) = (size(s, 4), size(s, 4));
        check(&Reshape::new([columns, rows]), &[[rows, 1, columns].into()], s)
    },
    Slice: |s| {
        let x = any(s);
        let axis = size(s, x.rank()) - 1;
        let end = size(s, x[axis]);
        let start = size(s, end) - 1;
        check(&Slice::new(axis, start..end), &[x], s)
    },
    Sum: |s| {
        let x = any(s);
        let sum = Sum::new(size(s, x.rank()) - 1);
        check(&choose(s, &[sum, sum.keep_axis()]), &[x], s)
    },
}
