//! Data sets of any numbers and targets, tables of any text, files of any bytes.

use downhill::data::*;
use downhill::tensor::{Seed, Shape};
use ndarray::Array2;

use crate::answer;
use crate::draw::{Draw, heavy};

fn shape(draw: &mut Draw) -> Shape {
    if draw.chance(0.9) { draw.small_shape() } else { draw.shape() }
}

fn targets(draw: &mut Draw, examples: usize) -> Targets<f64> {
    let len = if draw.chance(0.95) { examples } else { draw.below(9) };
    let labels: Vec<u32> = (0..len).map(|_| if draw.chance(0.97) { draw.below(4) as u32 } else { u32::MAX }).collect();
    match draw.below(6) {
        0 => Targets::classes(labels, draw.size()),
        1 => Targets::named_classes(labels, ["a", "b", "a", ""].into_iter().take(draw.below(5))),
        2 => labels.into(),
        3 => Targets::Classes { labels, shape: shape(draw), classes: draw.size(), names: vec!["x".into()] },
        _ => {
            let shape = shape(draw);
            let numbers = if shape.len() < 1000 { shape.len() * len } else { len };
            Targets::values(draw.numbers(numbers), shape)
        }
    }
}

/// A data set of any kind, if its parts fit.
pub(crate) fn dataset(draw: &mut Draw) -> Option<Dataset<f64>> {
    let (examples, shape) = (draw.below(12), shape(draw));
    let examples = if draw.chance(0.97) { examples } else { draw.size() };
    let len = shape.len().saturating_mul(examples);
    let len = if len < 2_000 { len } else { draw.below(5) };
    let (numbers, targets) = (draw.numbers(len), targets(draw, examples.min(100)));
    draw.note(format!("Dataset::new({examples} x {shape}, {targets:?})"));
    answer(Dataset::new(numbers, shape, targets))
}

pub(crate) fn scene(draw: &mut Draw) {
    match draw.below(6) {
        0 => text(draw),
        1 => bytes(draw),
        2 => categories(draw),
        _ => sets(draw),
    }
}

fn sets(draw: &mut Draw) {
    let Some(mut data) = dataset(draw) else { return };
    for _ in 0..draw.within(1..6) {
        let copy = data.clone();
        let changed = match draw.below(12) {
            0 => {
                let (len, shape) = (draw.below(20), shape(draw));
                draw.note(format!("with_input({len} numbers, {shape})"));
                answer(copy.with_input(draw.numbers(len), shape))
            }
            1 => {
                let near = draw.about(data.input_shape());
                draw.note(format!("reshape({near})"));
                answer(copy.reshape(near))
            }
            2 => {
                let indices: Vec<usize> = (0..draw.below(9)).map(|_| draw.below(12)).collect();
                draw.note(format!("select({indices:?})"));
                answer(copy.select(&indices))
            }
            3 if data.classes().is_some_and(|classes| heavy(classes.saturating_mul(12))) => None,
            3 => {
                draw.note("one_hot_targets");
                answer(copy.one_hot_targets())
            }
            4 => {
                let value = draw.number();
                draw.note(format!("map_inputs(to {value})"));
                answer(copy.map_inputs(|_| value))
            }
            5 => {
                draw.note("with_names, with_feature_names");
                answer(copy.with_feature_names(["a", "b", "a"].into_iter().take(draw.below(4))))
            }
            6 => scaled(draw, copy),
            7 => {
                let fraction = draw.number();
                draw.note(format!("split({fraction}), stratified_split"));
                let split = answer(data.split(fraction, Seed(1)));
                answer(data.stratified_split(fraction, Seed(1)));
                split.map(|(first, _)| first)
            }
            8 => {
                let folds = draw.size();
                draw.note(format!("k_folds({folds}), stratified_k_folds"));
                let all = [answer(data.k_folds(folds, Seed(2))), answer(data.stratified_k_folds(folds, Seed(2)))];
                all.into_iter().flatten().for_each(|folds| assert!(folds.take(5).count() <= 5));
                None
            }
            _ => {
                let size = draw.size();
                draw.note(format!("Batches of {size}"));
                let all = [answer(Batches::sequential(&data, size)), answer(Batches::shuffled(&data, size, Seed(3)))];
                for mut batches in all.into_iter().flatten() {
                    if draw.chance(0.3) {
                        batches = batches.drop_last();
                    }
                    batches.start_epoch(draw.size() as u64);
                    let mut count = 0;
                    while let Some(batch) = batches.next_batch() {
                        assert!(batch.inputs.examples() > 0);
                        count += 1;
                    }
                    assert_eq!(count, batches.batches_per_epoch());
                }
                None
            }
        };
        data = changed.unwrap_or(data);
        draw.note("what it says of itself");
        let (inputs, targets) = (data.inputs(), data.targets());
        assert_eq!(inputs.examples(), data.len());
        assert!(!format!("{targets:?} {:?} {:?}", data.classes(), data.class_names()).is_empty());
        let _ = inputs.matrix();
        let _ = inputs.rows();
        let _ = inputs.array();
    }
}

fn scaled(draw: &mut Draw, data: Dataset<f64>) -> Option<Dataset<f64>> {
    draw.note("scalers");
    if draw.chance(0.5) {
        let scaler = answer(StandardScaler::fit(data.inputs().matrix()))?;
        answer(data.clone().scale_targets(&scaler));
        answer(data.scale_inputs(&scaler))
    } else {
        let scaler = answer(MinMaxScaler::fit_to(draw.number(), draw.number(), data.inputs().matrix()))?;
        let (rows, columns) = (draw.below(3), draw.below(6));
        let mut other = Array2::from_shape_vec((rows, columns), draw.numbers(rows * columns)).ok()?;
        answer(scaler.transform(other.view_mut()));
        answer(scaler.inverse(other.view_mut()));
        answer(data.scale_inputs(&scaler))
    }
}

/// Text that may be a table.
fn text(draw: &mut Draw) {
    let pieces = [
        "a", "b", ",", ",", ",", "\n", "\n", "\r\n", "\"", "1", "2.5", "-3e400", "NaN", "", " ", "\0", "é", ";", "?",
        "x",
    ];
    let mut text = if draw.chance(0.7) { String::from("a,b,c\n1,2,x\n3,4,y\n") } else { String::new() };
    for _ in 0..draw.below(25) {
        text.push_str(draw.pick(&pieces));
    }
    let options = TableOptions::new();
    let options = if draw.chance(0.2) { options.delimiter(draw.pick(b";\t\"\n\0,")) } else { options };
    let options = if draw.chance(0.2) { options.no_header() } else { options };
    draw.note(format!("{options:?}.read({text:?})"));
    let Some(table) = answer(options.read(text.as_bytes())) else { return };
    draw.note("columns and schema");
    answer(table.column(draw.pick(&["a", "b", "0", ""])).map(Iterator::count));
    let names = ["a", "b", "c", "d", "0", "1"];
    let columns = match draw.below(2) {
        0 => Columns::for_class(draw.pick(&names)),
        _ => Columns::for_values([draw.pick(&names), draw.pick(&names)].into_iter().take(draw.below(3))),
    };
    let columns = if draw.chance(0.3) { columns.numeric([draw.pick(&names)]) } else { columns };
    let columns = if draw.chance(0.3) { columns.categorical([draw.pick(&names)]) } else { columns };
    let columns = columns.missing(draw.pick(&[Missing::Error, Missing::Drop, Missing::Fill]));
    let Some(schema) = answer(columns.missing_markers(["?", "NaN"]).fit(&table)) else { return };
    draw.note("dataset, inputs, transform");
    answer(schema.dataset::<f64>(&table));
    answer(schema.inputs::<f64>(&table));
    answer(schema.transform::<f64>(&[("a", "1"), ("b", draw.pick(&["", "x", "7"]))]));
    let other = answer(Table::read("b,a,c\n,,\nx,2,z".as_bytes()));
    if let Some(other) = other {
        answer(schema.inputs::<f64>(&other));
    }
}

/// Bytes that may be an array.
fn bytes(draw: &mut Draw) {
    let mut bytes: Vec<u8> = match draw.below(4) {
        0 => b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }                                                         \n".to_vec(),
        1 => vec![0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6],
        2 => vec![0x1f, 0x8b, 8, 0],
        _ => Vec::new(),
    };
    for _ in 0..draw.below(20) {
        bytes.push(draw.below(256) as u8);
    }
    for _ in 0..draw.below(4) {
        if !bytes.is_empty() {
            let place = draw.below(bytes.len());
            bytes[place] = draw.pick(b"\xff\x00\x01()',9<>");
        }
    }
    draw.note(format!("npy::read and idx::read of {bytes:?}"));
    answer(npy::read(&bytes[..]));
    answer(idx::read(&bytes[..]));
}

fn categories(draw: &mut Draw) {
    let labels: Vec<u32> =
        (0..draw.below(6)).map(|_| if draw.chance(0.9) { draw.below(4) as u32 } else { u32::MAX }).collect();
    let classes = draw.size();
    draw.note(format!("one_hot({labels:?}, {classes})"));
    if !heavy(classes.saturating_mul(labels.len())) {
        answer(one_hot::<f64>(&labels, classes));
    }
    let values: Vec<&str> = (0..draw.below(4)).map(|_| draw.pick(&["a", "b", "", "é"])).collect();
    draw.note(format!("OneHot::fit({values:?}) and with_categories"));
    answer(OneHot::with_categories(values.clone()));
    let Some(encoder) = answer(OneHot::fit(values)) else { return };
    answer(encoder.index("b"));
    answer(encoder.encode::<f64>("a"));
    let len = draw.below(5);
    let _ = encoder.decode(&draw.numbers(len));
}
