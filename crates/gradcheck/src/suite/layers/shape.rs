use downhill_layers::{Add, Concat, Flatten, Reshape};
use downhill_tensor::Shape;

use super::{any, check, layers};
use crate::suite::size;

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
    Reshape: |s| {
        let (rows, columns) = (size(s, 4), size(s, 4));
        check(&Reshape::new([columns, rows]), &[[rows, 1, columns].into()], s)
    },
}
