//! A model's answers, next to those of its network alone, and the opening of its file.

use std::hint::black_box;

use downhill::formats::onnx;
use downhill::losses::{Loss, Meaning};
use downhill::model::Model;
use downhill::ndarray::Array2;
use downhill::prelude::*;
use downhill::tensor::Outputs;

use crate::common::INPUT;
use crate::workload::{Aim, Call, Workload, data};

/// Sets up what the entry's `call` names: `open`, `values`, `classes`, or `buffer`, which is one class in the caller's
/// buffer; by the network alone if the entry is `bare`.
pub(crate) fn start(workload: &Workload, aim: Aim) -> Call {
    let entry = &workload.entry;
    let (mut network, call) = (workload.network::<f32>(aim), entry.text("call"));
    network.set_meaning(match call {
        "classes" | "buffer" => SoftmaxCrossEntropy::new().meaning(),
        _ => Meaning::new(Outputs::Numbers),
    });
    let x: Vec<f32> = data(INPUT, entry.examples * network.input_shapes()[0].len());
    let rows = Array2::from_shape_vec((entry.examples, x.len() / entry.examples), x.clone()).expect("the shape fits");
    let mut y = vec![0.0; network.output_shape().len()];
    let model = Model::builder(network.clone()).build().expect("the network makes a model");
    let mut buffer = model.buffer();
    match (call, entry.settings["bare"].as_bool().unwrap_or(false)) {
        ("open", _) => {
            let folder = tempfile::tempdir().expect("there is room for a file");
            let path = folder.path().join("opened.downhill");
            model.save(&path).expect("the file can be written");
            Box::new(move || {
                let _kept = &folder;
                opened(&Model::open(&path).expect("the file is a model").into_network(), &rows, aim)
            })
        }
        ("values", false) => Box::new(move || {
            let answers = model.predict(&rows).expect("the rows fit");
            number(answers.values().expect("they are values").as_slice(), aim)
        }),
        ("values", true) => Box::new(move || number(network.predict(&rows).expect("the rows fit").as_slice(), aim)),
        ("classes", false) => Box::new(move || {
            let answers = model.predict(&rows).expect("the rows fit");
            black_box(answers.classes().expect("they are classes"));
            number(answers.probabilities().expect("they are classes").as_slice(), aim)
        }),
        ("classes", true) => Box::new(move || {
            let mut y = network.predict(&rows).expect("the rows fit");
            let mut classes = Vec::with_capacity(y.nrows());
            for mut y in y.rows_mut() {
                classes.push(class(&network, y.as_slice_mut().expect("a row is whole")));
            }
            black_box(&classes);
            number(y.as_slice(), aim)
        }),
        ("buffer", false) => Box::new(move || {
            let y = model.predict_into(&x, &mut buffer).expect("the row fits");
            let number = aim.number(y);
            black_box(buffer.class());
            number
        }),
        ("buffer", true) => Box::new(move || {
            network.predict_into(&x, &mut y).expect("the row fits");
            black_box(class(&network, &mut y));
            aim.number(&y)
        }),
        (call, _) => panic!("a model has no call `{call}`"),
    }
}

/// The class, and its probabilities in place of the network's outputs.
fn class(network: &Network<f32>, y: &mut [f32]) -> u32 {
    network.class_and_probabilities(y).expect("the outputs are logits")
}

fn number(y: Option<&[f32]>, aim: Aim) -> f64 {
    aim.number(y.expect("the array lies as it was made"))
}

/// What was opened is the network, if its answer is.
fn opened(network: &Network<f32>, rows: &Array2<f32>, aim: Aim) -> f64 {
    match aim {
        Aim::Timing => {
            black_box(network);
            0.0
        }
        Aim::Comparing => number(network.predict(rows).expect("the rows fit").as_slice(), aim),
    }
}

impl Workload {
    /// The network of the workload as an ONNX file, for other runtimes.
    ///
    /// # Panics
    /// If the workload has no network.
    #[must_use]
    pub fn onnx(&self) -> Vec<u8> {
        let export = onnx::Export::new().input_names(["x"]).output_name("y");
        export.to_bytes(&self.network::<f32>(Aim::Comparing)).expect("its layers have operators")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_answers_as_its_network_does() {
        let all = Workload::of_suite("model");
        let bare: Vec<&Workload> = all.iter().filter(|workload| workload.entry.settings["bare"] == true).collect();
        assert_eq!(bare.len(), 5);
        for bare in bare {
            let id = bare.id().replace(" of the network", "");
            let through = all.iter().find(|workload| workload.id() == id).expect("each has its model");
            assert_eq!(bare.values(), through.values(), "{id}");
        }
    }

    #[test]
    fn an_opened_model_and_an_onnx_file_answer_alike() {
        let opened = Workload::named("model/784-256-128-10, opened").expect("it is listed");
        let network = onnx::import::<f32>(&opened.onnx()).expect("it is what was exported").network;
        let rows = Array2::from_shape_vec((1, 784), data(INPUT, 784)).expect("the shape fits");
        assert_eq!(super::opened(&network, &rows, Aim::Comparing), opened.values()[0]);
        assert_eq!(
            Workload::named("model/784-256-128-10, values, batch 1").expect("it is listed").values(),
            opened.values()
        );
    }
}
