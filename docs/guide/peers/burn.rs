//! The burn side of the chapter "From another library to here", which shows what stands between two anchors:
//! `cargo run --example guide_burn` in `benches/peers/rust`.

// ANCHOR: network
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor};

#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.hidden.forward(x).tanh())
    }
}

fn main() {
    let device = Device::flex().autodiff();
    let mut network = Mlp {
        hidden: LinearConfig::new(2, 3).init(&device),
        output: LinearConfig::new(3, 3).init(&device),
    };
    // A weight lies (inputs, outputs).
    network.hidden.weight =
        Param::from_data([[0.5, 0.2, -0.6], [-0.3, 0.8, 0.1]], &device);
    network.hidden.bias = Some(Param::from_data([0.1, 0.0, -0.2], &device));
    network.output.weight = Param::from_data(
        [[0.4, -0.2, 0.1], [-0.5, 0.7, 0.2], [0.3, 0.6, -0.4]],
        &device,
    );
    network.output.bias = Some(Param::from_data([0.0, 0.1, -0.1], &device));

    let x = Tensor::<2>::from_data(
        [[1.0, 2.0], [-1.0, 0.5], [0.5, -1.5], [-2.0, -1.0]],
        &device,
    );
    let classes = Tensor::<1, Int>::from_data([0, 1, 2, 1], &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();

    let mut losses = Vec::new();
    for _step in 0..21 {
        let loss = cross_entropy.forward(network.forward(x.clone()), classes.clone());
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(0.1, network, gradients);
    }
    assert_eq!(format!("{:.4}", losses[0]), "1.1682");
    assert_eq!(format!("{:.4}", losses[20]), "0.0188");
}
// ANCHOR_END: network
