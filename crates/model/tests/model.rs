//! What a model promises: its file holds all, its answers are the network's, and no file can harm.
#![expect(clippy::needless_borrows_for_generic_args, reason = "a program that keeps its rows borrows them")]

use std::collections::{BTreeMap, HashMap};

use downhill_data::{
    AnyScaler, ChannelScaler, Columns, Dataset, MinMaxScaler, Missing, PowerScaler, RobustScaler, StandardScaler, Table,
};
use downhill_formats::{Tensors, safetensors};
use downhill_layers::{Activation, Affine, BatchNorm, Embedding, Flatten, Gru, Sigmoid, Tanh};
use downhill_losses::{BinaryCrossEntropyWithLogits, Loss, MeanSquaredError, SoftmaxCrossEntropy};
use downhill_model::{Answers, CustomLayers, Model, ModelError};
use downhill_network::{Graph, Network, Shared, sequential};
use downhill_tensor::{Scalar, Seed};
use ndarray::{Array2, array};

const FRUIT: &str = "kind,size,colour,weight\nplum,3,blue,10\napple,7,red,150\nplum,NA,red,12\napple,8,green,170\n";

fn table() -> Table {
    Table::read(FRUIT.as_bytes()).unwrap()
}

/// A classifier of fruit whose answers depend on all of its parts.
fn classifier() -> Model<f64> {
    let schema = Columns::for_class("kind").numeric(["size"]).categorical(["colour"]).missing(Missing::Fill);
    let schema = schema.fit(&table()).unwrap();
    let data: Dataset<f64> = schema.dataset(&table()).unwrap();
    let scaler = StandardScaler::fit(data.inputs().matrix()).unwrap();
    let layers = sequential![Affine::new(5), BatchNorm::new(), Tanh, Affine::new(2)];
    let mut network = Network::build([4], layers, Seed(5)).unwrap();
    network.statistics_mut().iter_mut().enumerate().for_each(|(index, x)| *x = 0.5 + 0.1 * index as f64);
    network.set_meaning(SoftmaxCrossEntropy::new().meaning());
    Model::builder(network).schema(schema).input_scaler(scaler).note("by", "the test").build().unwrap()
}

/// Weight and size from the rest.
fn regressor() -> Model<f64> {
    let schema = Columns::for_values(["weight", "size"]).categorical(["colour", "kind"]).missing(Missing::Drop);
    let schema = schema.fit(&table()).unwrap();
    let data: Dataset<f64> = schema.dataset(&table()).unwrap();
    let scaler = MinMaxScaler::fit_to(-1.0, 1.0, data.target_values().unwrap().matrix()).unwrap();
    let inputs = MinMaxScaler::fit(data.inputs().matrix()).unwrap();
    let mut network = Network::build([data.input_shape().len()], Affine::new(2), Seed(2)).unwrap();
    network.set_meaning(MeanSquaredError::new().meaning());
    let model = Model::builder(network).schema(schema).input_scaler(inputs).target_scaler(scaler);
    model.units(["g", "cm"]).build().unwrap()
}

fn again(model: &Model<f64>) -> Model<f64> {
    Model::from_bytes(&model.to_bytes().unwrap(), &CustomLayers::new()).unwrap()
}

/// The description in a model's file, changed.
fn changed(model: &Model<f64>, change: impl FnOnce(&str) -> String) -> Result<Model<f64>, ModelError> {
    let bytes = model.to_bytes().unwrap();
    let mut tensors: Tensors<'_> = safetensors::from_bytes(&bytes).unwrap();
    let json = change(&tensors.metadata()["downhill.model"]);
    tensors.set_metadata("downhill.model", json);
    Model::from_bytes(&safetensors::to_bytes(&tensors).unwrap(), &CustomLayers::new())
}

#[test]
fn a_file_holds_all_that_an_answer_needs() {
    for model in [classifier(), regressor()] {
        let again = again(&model);
        let (before, after) = (model.predict(&table()), again.predict(&table()));
        let numbers = |answers: &downhill_model::Predictions<'_, f64>| -> Vec<f64> {
            answers.iter().flat_map(|answer| answer.outputs().to_vec()).collect()
        };
        if let (Ok(before), Ok(after)) = (&before, &after) {
            assert_eq!(numbers(before), numbers(after));
            assert!(!numbers(before).is_empty());
        } else {
            // The regressor has rows with gaps, which both refuse in the same words.
            assert_eq!(before.unwrap_err().to_string(), after.unwrap_err().to_string());
        }
        assert_eq!(again.network().parameters(), model.network().parameters());
        assert_eq!(again.network().statistics(), model.network().statistics());
        assert_eq!(again.network().seed(), model.network().seed());
        assert_eq!((again.schema(), again.units()), (model.schema(), model.units()));
        assert_eq!((again.input_scaler(), again.target_scaler()), (model.input_scaler(), model.target_scaler()));
        assert_eq!((again.notes(), again.class_names()), (model.notes(), model.class_names()));
        assert_eq!(again.to_bytes().unwrap(), model.to_bytes().unwrap());
    }
    assert_eq!(again(&classifier()).notes(), &BTreeMap::from([("by".to_owned(), "the test".to_owned())]));
}

#[test]
fn every_scaler_survives_a_file() {
    let rows = array![[1.0, 5.0], [2.0, 7.5], [9.0, 1.25], [30.0, 2.0]];
    let scalers: [AnyScaler; 7] = [
        StandardScaler::fit(rows.view()).unwrap().into(),
        MinMaxScaler::fit_to(-0.3, 0.7, rows.view()).unwrap().into(),
        RobustScaler::fit(rows.view()).unwrap().into(),
        PowerScaler::fit(rows.view()).unwrap().into(),
        PowerScaler::fit_box_cox(rows.view()).unwrap().into(),
        ChannelScaler::from_parts(&[0.1, 0.2], &[0.3, 0.7], 1).unwrap().into(),
        ChannelScaler::from_parts(&[0.1], &[0.3], 2).unwrap().into(),
    ];
    for scaler in scalers {
        let mut network = Network::<f64>::build([2], Affine::new(2), Seed(2)).unwrap();
        network.set_meaning(MeanSquaredError::new().meaning());
        let model = Model::builder(network).input_scaler(scaler.clone()).target_scaler(scaler.clone()).build().unwrap();
        let again = again(&model);
        assert_eq!((again.input_scaler(), again.target_scaler()), (Some(&scaler), Some(&scaler)));
        assert_eq!(again.to_bytes().unwrap(), model.to_bytes().unwrap());
    }
}

#[test]
fn a_model_is_built_anew_of_its_parts() {
    for model in [classifier(), regressor()] {
        assert_eq!(model.clone().into_builder().build().unwrap().to_bytes().unwrap(), model.to_bytes().unwrap());
        // Another network, and all else the same.
        let mut network = model.network().clone();
        network.parameters_mut().fill(0.25);
        let other = model.clone().into_builder().network(network).note("of", "quarters").build().unwrap();
        assert!(other.network().parameters().iter().all(|&x| x == 0.25));
        assert_eq!((other.schema(), other.units(), other.answers()), (model.schema(), model.units(), model.answers()));
        assert_eq!((other.input_scaler(), other.target_scaler()), (model.input_scaler(), model.target_scaler()));
        assert_eq!((other.class_names(), &*other.notes()["of"]), (model.class_names(), "quarters"));
        assert_eq!(other.notes().get("by"), model.notes().get("by"));
        let smaller = Network::build([1], Affine::new(2), Seed(1)).unwrap();
        assert!(matches!(model.into_builder().network(smaller).build(), Err(ModelError::Count { .. })));
    }
}

#[test]
fn a_class_is_answered_with_its_name_and_probability() {
    let model = classifier();
    assert_eq!(model.answers(), Answers::Classes);
    let answers = model.predict(&table()).unwrap();
    let (labels, p) = (answers.labels().unwrap(), answers.probabilities().unwrap());
    assert_eq!(p.dim(), (4, 2));
    for ((answer, label), p) in answers.iter().zip(labels).zip(p.rows()) {
        let class = answer.class().unwrap() as usize;
        assert_eq!((answer.label(), answer.probability()), (Some(label), Some(p[class])));
        assert!((p.sum() - 1.0).abs() < 1e-12 && p[class] >= 0.5);
        assert_eq!(answer.to_string(), format!("{label} ({:.1} %)", 100.0 * p[class]));
    }
    assert!(matches!(answers.values(), Err(ModelError::Answer { wanted: "values", .. })));
}

#[test]
fn values_are_answered_in_their_units() {
    let model = regressor();
    let record = [("colour", "red"), ("kind", "plum")];
    let answer = model.predict_one(&record).unwrap();
    let mut x: Vec<f64> = model.schema().unwrap().transform(&record).unwrap();
    let scale = |scaler: &downhill_data::AnyScaler, j, x| downhill_data::Scaler::scale(scaler, j, x);
    x.iter_mut().enumerate().for_each(|(j, x)| *x = scale(model.input_scaler().unwrap(), j, *x));
    let y = model.network().predict_one(&x).unwrap();
    let unscale = |j: usize| downhill_data::Scaler::unscale(model.target_scaler().unwrap(), j, y[j]);
    assert_eq!(answer.outputs(), [unscale(0), unscale(1)]);
    assert_eq!(answer.to_string(), format!("{} g, {} cm", unscale(0), unscale(1)));
    let answers = model.predict(&record).unwrap();
    assert_eq!(answers.values().unwrap(), array![[unscale(0), unscale(1)]]);
    let error = answers.labels().unwrap_err().to_string();
    assert_eq!(error, "there are no classes: the model answers with values");
}

#[test]
fn tables_records_and_arrays_have_the_same_answers() {
    let model = classifier();
    let by_table = model.predict(&table()).unwrap();
    let records = [
        [("colour", "blue"), ("size", "3")],
        [("colour", "red"), ("size", "7")],
        [("colour", "red"), ("size", "NA")],
        [("colour", "green"), ("size", "8")],
    ];
    let by_records = model.predict(&records).unwrap();
    assert_eq!(by_records.probabilities().unwrap(), by_table.probabilities().unwrap());
    // Records of owned texts, as lists of pairs and as maps, one or several.
    let owned = records.map(|record| record.map(|(column, cell)| (column.to_owned(), cell.to_owned())));
    let lists: Vec<Vec<(String, String)>> = owned.iter().map(|record| record.to_vec()).collect();
    let sorted: Vec<BTreeMap<String, String>> = owned.iter().map(|record| record.clone().into()).collect();
    let hashed = owned.clone().map(HashMap::from);
    let expected = by_table.probabilities().unwrap();
    for answers in [model.predict(&owned), model.predict(&lists), model.predict(&sorted), model.predict(&hashed)] {
        assert_eq!(answers.unwrap().probabilities().unwrap(), expected);
    }
    let first = by_table.iter().next().unwrap();
    for answer in [
        model.predict_one(&owned[0]),
        model.predict_one(&owned[0][..]),
        model.predict_one(&lists[0]),
        model.predict_one(&sorted[0]),
        model.predict_one(&hashed[0]),
    ] {
        assert_eq!(answer.unwrap().outputs(), first.outputs());
    }
    let features: Array2<f64> = model.schema().unwrap().inputs(&table()).unwrap();
    let by_array = model.predict(&features).unwrap();
    assert_eq!(by_array.probabilities().unwrap(), by_table.probabilities().unwrap());
    // Columns first in memory, and a view with its rows turned round.
    let turned = features.t().as_standard_layout().into_owned();
    assert_eq!(model.predict(&turned.t()).unwrap().probabilities().unwrap(), by_table.probabilities().unwrap());
    let mut buffer = model.buffer();
    for (row, answer) in features.rows().into_iter().zip(by_table.iter()) {
        assert_eq!(model.predict_into(row.as_slice().unwrap(), &mut buffer).unwrap(), answer.outputs());
        assert_eq!((buffer.class(), buffer.outputs()), (answer.class(), answer.outputs()));
    }
    let none: [[(&str, &str); 2]; 0] = [];
    assert!(model.predict(&none).unwrap().is_empty());
}

#[test]
fn one_output_is_a_question_of_two_classes() {
    let schema = Columns::for_class("kind").numeric(["weight"]).fit(&table()).unwrap();
    let mut network = Network::<f64>::build([1], Affine::new(1), Seed(1)).unwrap();
    network.parameters_mut().copy_from_slice(&[-1.0, 50.0]);
    network.set_meaning(BinaryCrossEntropyWithLogits::new().meaning());
    let model = again(&Model::builder(network).schema(schema).build().unwrap());
    let answers = model.predict(&table()).unwrap();
    assert_eq!(answers.labels().unwrap(), ["plum", "apple", "plum", "apple"]);
    assert!(answers.iter().all(|answer| answer.probability().unwrap() > 0.99));
    assert_eq!(answers.probabilities().unwrap().dim(), (4, 1));
}

#[test]
fn independent_questions_have_probabilities_and_no_class() {
    let network = Network::<f64>::build([2], sequential![Affine::new(3), Sigmoid], Seed(1)).unwrap();
    let model = again(&Model::builder(network).build().unwrap());
    assert_eq!(model.answers(), Answers::Questions);
    let x = array![[0.5, -1.0]];
    let answers = model.predict(&x).unwrap();
    assert_eq!(answers.probabilities().unwrap(), model.network().predict(&x).unwrap());
    assert!(answers.classes().is_err() && answers.values().is_err());
}

#[test]
fn a_network_of_several_inputs_is_asked_with_a_tuple() {
    let mut graph = Graph::new();
    let (sequence, length) = (graph.input([3, 1]), graph.input([1]));
    let state = graph.apply(Gru::new(4).lengths().last_state(), &[sequence, length]).unwrap();
    let network = Network::<f64>::from_graph(&graph, state, Seed(1)).unwrap();
    let rows = array![[1.0, 2.0, 3.0], [3.0, 2.0, 5.0]];
    let scaler = StandardScaler::fit(rows.view()).unwrap();
    let model = again(&Model::builder(network).input_scaler(scaler.clone()).build().unwrap());
    let mut scaled = rows.clone();
    downhill_data::Scaler::transform(&scaler, scaled.view_mut()).unwrap();
    let lengths = array![[2.0], [3.0]];
    let expected = model.network().predict((&scaled, &lengths)).unwrap();
    assert_eq!(model.predict((&rows, &lengths)).unwrap().values().unwrap(), expected);
    assert!(model.predict(&rows).is_err());
}

#[test]
fn a_model_is_asked_from_many_threads() {
    let model = classifier();
    let expected = model.predict(&table()).unwrap().labels().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                (0..20).for_each(|_| assert_eq!(model.predict(&table()).unwrap().labels().unwrap(), expected))
            });
        }
    });
}

#[test]
fn an_answer_in_a_callers_buffer_allocates_nothing() {
    for model in [classifier(), regressor()] {
        let x = vec![0.5; model.network().input_shapes()[0].len()];
        let mut buffer = model.buffer();
        model.predict_into(&x, &mut buffer).unwrap();
        let info = allocation_counter::measure(|| {
            for _ in 0..10 {
                model.predict_into(&x, &mut buffer).unwrap();
            }
        });
        assert_eq!(info.count_total, 0);
    }
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let network = |outputs| Network::<f64>::build([4], Affine::new(outputs), Seed(1)).unwrap();
    let schema = classifier().schema().unwrap().clone();
    let scaler = |features| StandardScaler::from_parts(&vec![0.0; features], &vec![1.0; features]).unwrap();
    let message = |builder: downhill_model::ModelBuilder<f64>| builder.build().unwrap_err().to_string();
    assert_eq!(
        message(Model::builder(network(3)).schema(schema.clone())),
        "the model has 2 classes in its schema, but its network asks for 3"
    );
    assert!(message(Model::builder(network(2)).input_scaler(scaler(3))).contains("3 features in its scaler"));
    assert!(message(Model::builder(network(2)).target_scaler(scaler(1))).contains("1 targets in its scaler"));
    assert!(message(Model::builder(network(2)).units(["g"])).contains("1 units"));
    assert!(
        message(Model::builder(network(2)).schema(schema).target_scaler(scaler(2))).contains("no units to go back to")
    );
    let bare = Model::builder(network(2)).build().unwrap();
    assert!(bare.predict(&table()).unwrap_err().to_string().contains("give it an array of features"));
    assert!(bare.predict_into(&[1.0; 3], &mut bare.buffer()).is_err());
    assert!(bare.predict_one(&array![[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]).is_err());
}

/// y = a x
#[derive(Clone, Copy, Debug)]
struct Times(f64);

impl Activation for Times {
    fn name(&self) -> &'static str {
        "Times"
    }
    fn value<T: Scalar>(&self, x: T) -> T {
        T::from_f64(self.0) * x
    }
    fn slope<T: Scalar>(&self, _x: T, _y: T) -> T {
        T::from_f64(self.0)
    }
}

#[test]
fn a_network_with_a_custom_layer_is_saved_and_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("custom.downhill");
    let layers =
        CustomLayers::new().register("Times", |times: &Times| times.0.to_string(), |text| text.parse().map(Times));
    let network = || Network::<f64>::build([2], sequential![Affine::new(3), Times(-0.3)], Seed(4)).unwrap();
    let unregistered = Model::builder(network()).build().unwrap().save(&file).unwrap_err();
    assert!(unregistered.to_string().contains("register it with `CustomLayers`"), "{unregistered}");
    let model = Model::builder(network()).custom_layers(layers.clone()).build().unwrap();
    model.save(&file).unwrap();
    let again = Model::<f64>::open_as(&file, &layers).unwrap();
    assert_eq!(
        again.predict(&array![[1.0, 2.0]]).unwrap().values().unwrap(),
        model.predict(&array![[1.0, 2.0]]).unwrap().values().unwrap()
    );
    again.save(&file).unwrap();
    let error = Model::open(&file).unwrap_err().to_string();
    assert!(error.contains("custom.downhill") && error.contains("`Times`, which is not registered"), "{error}");
}

#[test]
fn a_file_of_another_precision_is_converted() {
    let model = classifier();
    let single = Model::<f32>::from_bytes(&model.to_bytes().unwrap(), &CustomLayers::new()).unwrap();
    let cast = model.network().cast::<f32>();
    assert_eq!(single.network().parameters(), cast.parameters());
    assert_eq!(single.input_scaler(), model.input_scaler());
    assert_eq!(single.predict(&table()).unwrap().labels().unwrap(), model.predict(&table()).unwrap().labels().unwrap());
}

#[test]
fn shared_parameters_are_kept_once() {
    let shared = Shared::new(sequential![Affine::new(4), Tanh]);
    let network = Network::<f64>::build([4], sequential![shared.clone(), shared, Affine::new(2)], Seed(1)).unwrap();
    let model = Model::builder(network).build().unwrap();
    let again = again(&model);
    assert_eq!(again.network().parameters(), model.network().parameters());
    assert_eq!(again.network().segments(), model.network().segments());
}

#[test]
fn a_file_without_a_model_and_one_of_a_later_format_are_named() {
    let mut tensors = Tensors::new();
    tensors.push("weight", &[2], [1.0f32, 2.0]).unwrap();
    let bytes = safetensors::to_bytes(&tensors).unwrap();
    let error = Model::<f32>::from_bytes(&bytes, &CustomLayers::new()).unwrap_err().to_string();
    assert!(error.starts_with("this safetensors file holds no model, but 1 tensors alone"), "{error}");
    let later =
        |json: &str| json.replacen("\"format\":1", "\"format\":2,\"novelty\":{}", 1).replace("\"network\"", "\"net\"");
    let error = changed(&classifier(), later).unwrap_err();
    assert!(matches!(error, ModelError::Newer { format: 2, known: 1, .. }), "{error}");
    // What a later library adds without a new format is left out of account.
    assert!(changed(&classifier(), |json| json.replacen('{', "{\"novelty\":[1],", 1)).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let error = Model::open(folder.path().join("none.downhill")).unwrap_err().to_string();
    assert!(error.contains("none.downhill"), "{error}");
}

#[test]
fn a_description_that_asks_for_more_than_the_file_holds_is_refused_before_memory_is() {
    let info = allocation_counter::measure(|| {
        let error = changed(&classifier(), |json| json.replace("\"outputs\":5", "\"outputs\":5000000000")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("description asks for") || error.contains("memory"), "{error}");
    });
    assert!(info.bytes_max < 1 << 20, "{} bytes", info.bytes_max);
    let embedding = Network::<f64>::build([2], sequential![Embedding::new(7, 3), Flatten], Seed(1)).unwrap();
    let model = Model::builder(embedding).build().unwrap();
    let error = changed(&model, |json| json.replace(":7,", ":7000000,")).unwrap_err().to_string();
    assert!(error.contains("description asks for"), "{error}");
}

#[test]
fn damaged_files_never_panic_and_ask_for_little_memory() {
    let mut stream = Seed(7).stream(0);
    for model in [classifier(), regressor()] {
        let whole = model.to_bytes().unwrap();
        for round in 0..1500 {
            let mut bytes = whole.clone();
            if round % 10 == 0 {
                bytes.truncate((stream.uniform() * bytes.len() as f64) as usize);
            }
            for _ in 0..1 + (stream.uniform() * 3.0) as usize {
                let place = (stream.uniform() * bytes.len() as f64) as usize;
                if let Some(byte) = bytes.get_mut(place) {
                    // Digits become other digits more often than anything else, so that sizes and counts change.
                    *byte = if byte.is_ascii_digit() && stream.uniform() < 0.8 {
                        b'0' + (stream.uniform() * 10.0) as u8
                    } else {
                        (stream.uniform() * 256.0) as u8
                    };
                }
            }
            let info = allocation_counter::measure(|| {
                if let Ok(model) = Model::<f64>::from_bytes(&bytes, &CustomLayers::new()) {
                    let _ = model.predict(&table());
                }
            });
            assert!(info.bytes_max < (2 * bytes.len() + (16 << 20)) as u64, "{} bytes", info.bytes_max);
        }
    }
}

#[test]
fn a_message_says_all_that_its_cause_says() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Model::open(folder.path().join("none.downhill")).unwrap_err();
    let cell = classifier().predict(&[("size", "tall"), ("colour", "red")]).unwrap_err();
    let shape = classifier().predict(&array![[1.0]]).unwrap_err();
    for (error, part) in [(missing, "none.downhill"), (cell, "`tall`"), (shape, "4")] {
        assert!(error.to_string().contains(part), "{error}");
        assert!(std::error::Error::source(&error).is_none());
    }
}
