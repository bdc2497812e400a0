//! The candle side of the chapter "From another library to here", which shows what stands between two anchors:
//! `cargo run --example guide_candle` in `benches/peers/rust`.

// ANCHOR: network
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{
    AdamW, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear, loss, seq,
};

fn main() -> Result<()> {
    let device = Device::Cpu;
    let mut variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &device);
    let network = seq()
        .add(linear(2, 3, builder.pp("0"))?)
        .add_fn(Tensor::tanh)
        .add(linear(3, 3, builder.pp("2"))?);
    // A weight lies (outputs, inputs).
    variables.set_one(
        "0.weight",
        Tensor::new(&[[0.5_f32, -0.3], [0.2, 0.8], [-0.6, 0.1]], &device)?,
    )?;
    variables.set_one("0.bias", Tensor::new(&[0.1_f32, 0.0, -0.2], &device)?)?;
    let weight = [[0.4_f32, -0.5, 0.3], [-0.2, 0.7, 0.6], [0.1, 0.2, -0.4]];
    variables.set_one("2.weight", Tensor::new(&weight, &device)?)?;
    variables.set_one("2.bias", Tensor::new(&[0.0_f32, 0.1, -0.1], &device)?)?;

    let x = Tensor::new(
        &[[1.0_f32, 2.0], [-1.0, 0.5], [0.5, -1.5], [-2.0, -1.0]],
        &device,
    )?;
    let classes = Tensor::new(&[0_u32, 1, 2, 1], &device)?;
    let settings = ParamsAdamW { lr: 0.1, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new(variables.all_vars(), settings)?;

    let mut losses = Vec::new();
    for _step in 0..21 {
        let loss = loss::cross_entropy(&network.forward(&x)?, &classes)?;
        losses.push(loss.to_scalar::<f32>()?);
        optimizer.backward_step(&loss)?;
    }
    assert_eq!(format!("{:.4}", losses[0]), "1.1682");
    assert_eq!(format!("{:.4}", losses[20]), "0.0188");
    // The names and layouts are PyTorch's, so this file is read here as it is.
    variables.save("candle.safetensors")
}
// ANCHOR_END: network
