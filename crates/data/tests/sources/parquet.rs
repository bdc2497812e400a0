use std::path::PathBuf;

use downhill_data::source::{ParquetParts, ParquetSource, SourceBatches};
use downhill_data::{Column, Columns, Dataset, Missing, Table, Unseen};
use downhill_tensor::Seed;

use crate::{epoch, failure, message};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn columns() -> Columns {
    Columns::for_class("class")
        .numeric([Column::new("single").missing(Missing::Mean).indicator(), Column::new("double")])
        .numeric(["whole", "small"])
        .numeric([Column::new("flag").missing(Missing::Drop)])
        .categorical([Column::new("kind").missing(Missing::constant("none")).unseen(Unseen::Other)])
        .dates(["day", "time"])
}

#[test]
fn rows_are_those_of_the_same_table_as_text() {
    let table = Table::read_path(fixture("table.csv")).unwrap();
    let schema = columns().fit(&table).unwrap();
    let data: Dataset<f64> = schema.dataset(&table).unwrap();
    let parts = ParquetParts::open(fixture("table.parquet")).unwrap();
    assert_eq!(columns().fit_parts(parts).unwrap(), schema);
    let open = || ParquetSource::<f64>::open(fixture("table.parquet"), &schema).unwrap();
    let mut batches = SourceBatches::sequential(open(), 1000).unwrap();
    let batch = batches.next_batch().unwrap().unwrap();
    assert_eq!((batch.inputs.slice(), batch.targets), (data.inputs().slice(), data.targets()));
    assert_eq!(batches.layout().class_names(), ["c0", "c1"]);

    let make = |depth| SourceBatches::shuffled(open(), 7, Seed(1)).unwrap().shuffle_buffer(30).prefetch(depth);
    let (mut plain, mut ahead) = (make(0), make(3));
    assert_eq!(plain.examples(), None, "the schema leaves rows out");
    for number in [0, 1] {
        plain.start_epoch(number);
        ahead.start_epoch(number);
        assert_eq!(epoch(&mut ahead), epoch(&mut plain));
    }
    assert_eq!(plain.examples(), Some(data.len() as u64));

    let all = Columns::for_values(["double"]).numeric(["whole"]).fit(&table).unwrap();
    let source = ParquetSource::<f64>::open(fixture("table.parquet"), &all).unwrap();
    let mut batches = SourceBatches::sequential(source, 50).unwrap();
    assert_eq!((batches.examples(), batches.batches_per_epoch()), (Some(120), Some(3)));
    assert_eq!(epoch(&mut batches).len(), 3);
}

#[test]
fn what_a_file_lacks_or_a_schema_does_not_know_is_an_error() {
    let table = Table::read_path(fixture("table.csv")).unwrap();
    let open = |schema| ParquetSource::<f64>::open(fixture("table.parquet"), schema);
    let lists = Table::read("list,class\n1,c0\n".as_bytes()).unwrap();
    let schema = Columns::for_class("class").numeric(["list"]).fit(&lists).unwrap();
    assert!(message(open(&schema)).ends_with("there is no column `list`; the columns are `class`"));
    let first = table.select(&[0, 1, 2]).unwrap();
    let schema = Columns::for_class("class").categorical(["kind"]).fit(&first).unwrap();
    let (count, error) = failure(&mut SourceBatches::sequential(open(&schema).unwrap(), 1).unwrap());
    assert_eq!(count, 3);
    assert!(error.contains("row 3: column `kind`: `k3 ü` is none of the known categories"), "{error}");
    let error = message(ParquetParts::open(fixture("table.csv")));
    assert!(error.contains("table.csv`: the Parquet file can't be read:"), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_or_another_table_and_no_panic() {
    let bytes = std::fs::read(fixture("table.parquet")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.parquet");
    let mut errors = 0;
    let mut damaged = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        errors += usize::from(ParquetParts::open(&path).is_err());
        if let Ok(parts) = ParquetParts::open(&path) {
            errors += usize::from(parts.take(1000).any(|part| part.is_err()));
        }
    };
    for length in (0..bytes.len()).step_by(101) {
        damaged(&bytes[..length]);
    }
    for place in (0..bytes.len()).step_by(37) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        damaged(&bytes);
    }
    assert!(errors > bytes.len() / 101, "{errors}");
}
