use downhill_layers::{
    Celu, Elu, Gelu, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu, LogSigmoid, LogSoftmax,
    Mish, PRelu, RRelu, Relu, Relu6, Selu, Sigmoid, Silu, Softmax, Softmin, Softplus, Softshrink, Softsign, Tanh,
    Tanhshrink, Threshold,
};

use super::{any, check, layers};
use crate::suite::{between, choose, size};

layers! {
    Celu: |s| check(&Celu::new(between(s, 0.2, 2.0)), &[any(s)], s),
    Elu: |s| check(&Elu::new(between(s, 0.2, 2.0)), &[any(s)], s),
    Gelu: |s| check(&choose(s, &[Gelu::new(), Gelu::tanh()]), &[any(s)], s),
    Glu: |s| {
        let (axis, mut shape) = (size(s, 3) - 1, [size(s, 3), size(s, 3), size(s, 3)]);
        shape[axis] *= 2;
        let glu = if axis == 2 { Glu::new() } else { Glu::new().axis(axis) };
        check(&glu, &[shape.into()], s)
    },
    Hardshrink: |s| check(&Hardshrink::new(between(s, 0.0, 1.0)), &[any(s)], s),
    Hardsigmoid: |s| check(&Hardsigmoid, &[any(s)], s),
    Hardswish: |s| check(&Hardswish, &[any(s)], s),
    Hardtanh: |s| check(&Hardtanh::new(between(s, -1.5, 0.0), between(s, 0.0, 1.5)), &[any(s)], s),
    Identity: |s| check(&Identity, &[any(s)], s),
    LeakyRelu: |s| check(&LeakyRelu::new(between(s, 0.0, 0.5)), &[any(s)], s),
    LogSigmoid: |s| check(&LogSigmoid, &[any(s)], s),
    LogSoftmax: |s| check(&LogSoftmax, &[any(s)], s),
    Mish: |s| check(&Mish, &[any(s)], s),
    PRelu: |s| check(&choose(s, &[PRelu::new(), PRelu::new().per_channel()]), &[any(s)], s),
    RRelu: |s| check(&choose(s, &[RRelu::default(), RRelu::new(-0.5, 0.9)]), &[any(s)], s),
    Relu: |s| check(&Relu, &[any(s)], s),
    Relu6: |s| check(&Relu6, &[any(s)], s),
    Selu: |s| check(&Selu, &[any(s)], s),
    Sigmoid: |s| check(&Sigmoid, &[any(s)], s),
    Silu: |s| check(&Silu, &[any(s)], s),
    Softmax: |s| check(&Softmax, &[any(s)], s),
    Softmin: |s| check(&Softmin, &[any(s)], s),
    Softplus: |s| check(&Softplus::new(between(s, 0.5, 3.0)), &[any(s)], s),
    Softshrink: |s| check(&Softshrink::new(between(s, 0.0, 1.0)), &[any(s)], s),
    Softsign: |s| check(&Softsign, &[any(s)], s),
    Tanh: |s| check(&Tanh, &[any(s)], s),
    Tanhshrink: |s| check(&Tanhshrink, &[any(s)], s),
    Threshold: |s| check(&Threshold::new(between(s, -0.5, 0.5), between(s, -1.0, 1.0)), &[any(s)], s),
}
