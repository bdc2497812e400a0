//! The tables of the examples, read as a user would.
#![cfg(feature = "csv")]

use std::path::PathBuf;

use downhill_data::{Column, Columns, Dataset, Missing, Scaler, StandardScaler, Table, Target, Unseen};
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
    assert!(error.starts_with("the value of column `bill_length_mm` is missing on line 5 (`NA`);"), "{error}");
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

/// A table of the islands where penguins were found, and what they are.
fn table_of(rows: &str) -> Table {
    Table::read(format!("island,flipper_length_mm,sex,species\n{rows}").as_bytes()).unwrap()
}

#[test]
fn nothing_of_the_test_rows_is_learnt() {
    let table = table("penguins.csv");
    let (train, test) = table.stratified_split("species", 0.75, Seed(1)).unwrap();
    assert_eq!((train.len(), test.len()), (114 + 51 + 93, 38 + 17 + 31));
    let schema = Columns::for_class("species")
        .numeric([Column::new("flipper_length_mm").missing(Missing::Mean).indicator()])
        .numeric([Column::new("body_mass_g").missing(Missing::Median)])
        .categorical([Column::new("island").unseen(Unseen::Other)])
        .categorical([Column::new("sex").missing(Missing::constant("unknown"))])
        .fit(&train)
        .unwrap();
    let expected = [
        "flipper_length_mm",
        "flipper_length_mm is missing",
        "body_mass_g",
        "island=Biscoe",
        "island=Dream",
        "island=Torgersen",
        "island=other",
        "sex=female",
        "sex=male",
        "sex=unknown",
    ];
    assert_eq!(schema.feature_names(), expected);
    let record = [("flipper_length_mm", "NA"), ("body_mass_g", ""), ("island", "Mars"), ("sex", "NA")];
    let filled = schema.transform::<f64>(&record).unwrap();

    let known = |column: &str| -> Vec<f64> {
        train.column(column).unwrap().filter(|&cell| cell != "NA").map(|cell| cell.parse().unwrap()).collect()
    };
    let flippers = known("flipper_length_mm");
    // Whole millimetres are summed exactly.
    assert_eq!(filled[0], flippers.iter().sum::<f64>() / flippers.len() as f64);
    let mut masses = known("body_mass_g");
    masses.sort_by(f64::total_cmp);
    assert_eq!(filled[2], (masses[(masses.len() - 1) / 2] + masses[masses.len() / 2]) / 2.0);
    assert_eq!((filled[1], &filled[3..]), (1.0, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0][..]));

    let (train, test): (Dataset<f64>, Dataset<f64>) = (schema.dataset(&train).unwrap(), schema.dataset(&test).unwrap());
    assert_eq!((class_counts(&train), class_counts(&test)), (vec![114, 51, 93], vec![38, 17, 31]));
    assert_eq!(train.inputs().examples() + test.inputs().examples(), 344);
}

#[test]
fn a_cross_validation_fits_a_schema_for_each_fold() {
    let table = table("penguins.csv");
    let mut means = Vec::new();
    for fold in table.k_folds(4, Seed(2)).unwrap() {
        let columns = Columns::for_class("species").numeric(["flipper_length_mm"]).missing(Missing::Mean);
        let schema = columns.fit(&fold.train).unwrap();
        assert_eq!(schema.dataset::<f32>(&fold.validation).unwrap().len(), 86);
        means.push(schema.transform::<f64>(&[("flipper_length_mm", "")]).unwrap()[0]);
    }
    means.dedup();
    assert_eq!(means.len(), 4);
}

#[test]
fn rows_left_out_are_listed_with_their_lines() {
    let table = table("penguins.csv");
    let schema = penguins().missing(Missing::Drop).fit(&table).unwrap();
    let dropped = schema.dropped(&table).unwrap();
    assert_eq!(dropped.len(), 344 - 333);
    let lines: Vec<u64> = dropped.iter().map(|row| row.line).collect();
    assert_eq!(lines, [5, 10, 11, 12, 13, 49, 180, 220, 258, 270, 273]);
    assert_eq!(dropped[0].to_string(), "line 5, which lacks `bill_length_mm`");
    assert_eq!(dropped[1].to_string(), "line 10, which lacks `sex`");
    let years: Vec<&str> = dropped.iter().map(|row| table.column("year").unwrap().nth(row.row).unwrap()).collect();
    assert_eq!(years.len() + schema.complete(&table).unwrap().column("year").unwrap().len(), table.len());
}

#[cfg(feature = "serde")]
#[test]
fn a_schema_opened_later_says_the_same() {
    let table = table("penguins.csv");
    let (train, test) = table.split(0.8, Seed(4)).unwrap();
    let schema = penguins().missing(Missing::Fill).fit(&train).unwrap();
    let json = serde_json::to_string(&schema).unwrap();
    let opened: downhill_data::Schema = serde_json::from_str(&json).unwrap();
    assert_eq!(opened, schema);
    assert_eq!(opened.dataset::<f64>(&test).unwrap(), schema.dataset::<f64>(&test).unwrap());
    let names: Vec<_> = (0..3).filter_map(|class| opened.class_name(class)).collect();
    assert_eq!(names, ["Adelie", "Chinstrap", "Gentoo"]);
}

#[test]
fn a_table_read_later_may_have_its_columns_in_another_order_but_not_lack_one() {
    let columns = Columns::for_class("species").numeric(["flipper_length_mm"]).categorical(["island", "sex"]);
    let schema = columns.fit(&table_of("Dream,180,male,Adelie\nBiscoe,190,female,Gentoo\n")).unwrap();
    let later = Table::read("species,sex,year,island,flipper_length_mm\nGentoo,male,2009,Biscoe,200\n".as_bytes());
    let set: Dataset<f32> = schema.dataset(&later.unwrap()).unwrap();
    assert_eq!(set.inputs().slice(), [200.0, 1.0, 0.0, 0.0, 1.0]);
    let lacking = Table::read("species,island,flipper_length_mm\nGentoo,Biscoe,200\n".as_bytes()).unwrap();
    assert_eq!(
        schema.dataset::<f32>(&lacking).unwrap_err().to_string(),
        "there is no column `sex`; the columns are `species`, `island`, `flipper_length_mm`"
    );
    assert_eq!(
        schema.dataset::<f32>(&table_of("Mars,1,male,Adelie\n")).unwrap_err().to_string(),
        "column `island` on line 2: `Mars` is none of the known categories (`Biscoe`, `Dream`)"
    );
}
