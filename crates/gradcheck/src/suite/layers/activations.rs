use downhill_layers::{Elu, Gelu, Identity, LeakyRelu, LogSoftmax, Relu, Selu, Sigmoid, Silu, Softmax, Softplus, Tanh};

use super::{any, check, layers};
use crate::suite::{between, choose};

layers! {
    Elu: |s| check(&Elu { alpha: between(s, 0.2, 2.0) }, &[any(s)], s),
    Gelu: |s| check(&choose(s, &[Gelu::Erf, Gelu::Tanh]), &[any(s)], s),
    Identity: |s| check(&Identity, &[any(s)], s),
    LeakyRelu: |s| check(&LeakyRelu { negative_slope: between(s, 0.0, 0.5) }, &[any(s)], s),
    LogSoftmax: |s| check(&LogSoftmax, &[any(s)], s),
    Relu: |s| check(&Relu, &[any(s)], s),
    Selu: |s| check(&Selu, &[any(s)], s),
    Sigmoid: |s| check(&Sigmoid, &[any(s)], s),
    Silu: |s| check(&Silu, &[any(s)], s),
    Softmax: |s| check(&Softmax, &[any(s)], s),
    Softplus: |s| check(&Softplus, &[any(s)], s),
    Tanh: |s| check(&Tanh, &[any(s)], s),
}
