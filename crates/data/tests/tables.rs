//! The tables of the examples, read as a user would.
#![cfg(feature = "csv")]

use std::path::PathBuf;

use downhill_data::{Columns, Dataset, Missing, Scaler, StandardScaler, Table, Target};
use downhill_tensor::Seed;

fn table(name: &str) -> Table {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../downhill/examples/data").join(name);
    Table::read_path(path).unwrap()
}

fn class_counts(set: &Dataset<f64>) -> Vec<usize> {
    let Target::Classes(labels) = set.targets() else { panic!("the targets are classes") };
    let mut counts = vec![0; set.classes().unwrap()];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    counts
}

fn penguins() -> Columns {
    Columns::for_class("species")
        .numeric(["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"])
        .categorical(["island", "sex"])
}

#[test]
fn iris_is_three_equal_classes() {
    let table = table("iris.csv");
    let measures = table.names().iter().filter(|name| *name != "species");
    let schema = Columns::for_class("species").numeric(measures).fit(&table).unwrap();
    let set: Dataset<f64> = schema.dataset(&table).unwrap();
    assert_eq!((set.len(), set.input_shape().len()), (150, 4));
    assert_eq!(set.class_names(), ["setosa", "versicolor", "virginica"]);
    assert_eq!(class_counts(&set), [50, 50, 50]);
    assert_eq!(set.inputs().example(0), [5.1, 3.5, 1.4, 0.2]);
    let means = set.inputs().matrix().mean_axis(ndarray::Axis(0)).unwrap();
    let published = [5.843, 3.057, 3.758, 1.199];
    assert!(means.iter().zip(published).all(|(mean, value)| (mean - value).abs() < 5e-4), "{means}");
}

#[test]
fn penguins_with_gaps_are_left_out() {
    let table = table("penguins.csv");
    let schema = penguins().missing(Missing::Drop).fit(&table).unwrap();
    let set: Dataset<f64> = schema.dataset(&table).unwrap();
    assert_eq!((table.len(), set.len()), (344, 333));
    assert_eq!(set.class_names(), ["Adelie", "Chinstrap", "Gentoo"]);
    assert_eq!(class_counts(&set), [146, 68, 119]);
    let expected = ["island=Biscoe", "island=Dream", "island=Torgersen", "sex=female", "sex=male"];
    assert_eq!(set.feature_names()[4..], expected);
    assert_eq!(set.inputs().example(0), [39.1, 18.7, 181.0, 3750.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn penguins_with_gaps_are_filled() {
    let table = table("penguins.csv");
    let error = penguins().fit(&table).unwrap_err().to_string();
    assert!(error.starts_with("the value of column `bill_length_mm` is missing on line 5;"), "{error}");
    let schema = penguins().missing(Missing::Fill).fit(&table).unwrap();
    let set: Dataset<f64> = schema.dataset(&table).unwrap();
    assert_eq!(class_counts(&set), [152, 68, 124]);
    // Line 5 lacks all measures and the sex; there are 168 males and 165 females.
    let filled = set.inputs().example(3);
    assert!((filled[3] - 4201.754).abs() < 1e-3, "{filled:?}");
    assert_eq!(filled[7..], [0.0, 1.0]);
}

#[test]
fn a_table_goes_all_the_way_to_scaled_parts() {
    let table = table("penguins.csv");
    let schema = penguins().missing(Missing::Drop).fit(&table).unwrap();
    let (train, test) = schema.dataset::<f64>(&table).unwrap().stratified_split(0.75, Seed(1)).unwrap();
    assert_eq!((class_counts(&train), class_counts(&test)), (vec![110, 51, 89], vec![36, 17, 30]));
    let scaler = StandardScaler::fit(train.inputs().matrix()).unwrap();
    assert_eq!(scaler.features(), 9);
    let (train, test) = (train.scale_inputs(&scaler).unwrap(), test.scale_inputs(&scaler).unwrap());
    assert!(train.inputs().matrix().mean_axis(ndarray::Axis(0)).unwrap().iter().all(|mean| mean.abs() < 1e-12));
    assert_eq!(test.feature_names(), schema.feature_names());
}
