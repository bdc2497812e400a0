//! tract, with the file that this library exports.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::prelude::*;

use crate::common::{Entry, INPUT, Variant, fill, mean_square};

type Plan = Arc<TypedRunnableModel>;

pub(crate) fn variant(entry: &Entry) -> TractResult<Option<Variant>> {
    // What a model makes of its network's outputs is no part of the file.
    let of_the_file = ["open", "values"].contains(&entry.text("call")) && !entry.settings["bare"].is_boolean();
    let Some(file) = std::env::var_os("DOWNHILL_ONNX").filter(|_| entry.suite == "model" && of_the_file) else {
        return Ok(None);
    };
    let shape = [entry.examples, entry.numbers("widths")[0]];
    let x: Vec<f32> = (0..(shape[0] * shape[1]) as u64).map(|index| fill(INPUT, index) as f32).collect();
    let x = Tensor::from_shape(&shape, &x)?;
    let plan = opened(file.as_ref(), shape)?;
    let y = plan.run(tvec!(x.clone().into()))?;
    let y: Vec<f64> = y[0].to_plain_array_view::<f32>()?.iter().map(|&y| f64::from(y)).collect();
    let call: Box<dyn FnMut() + Send> = if entry.text("call") == "open" {
        Box::new(move || {
            black_box(opened(file.as_ref(), shape).expect("it went well before"));
        })
    } else {
        let x = x.into_tvalue();
        Box::new(move || {
            black_box(plan.run(tvec!(x.clone())).expect("it went well before"));
        })
    };
    Ok(Some(Variant { peer: "tract", values: vec![mean_square(y.into_iter())], call }))
}

/// Reads the file and makes it ready to run.
fn opened(file: &Path, shape: [usize; 2]) -> TractResult<Plan> {
    let model = tract_onnx::onnx().model_for_path(file)?.with_input_fact(0, f32::fact(shape).into())?;
    model.into_optimized()?.into_runnable()
}
