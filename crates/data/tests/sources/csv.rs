use std::io::{Cursor, Read};

use downhill_data::source::{CsvSource, SourceBatches};
use downhill_data::{Column, Columns, DataError, Dataset, Missing, Schema, Table, TableOptions, Target, Unseen};
use downhill_tensor::{Seed, Stream};

use crate::{epoch, failure, held, message};

fn source(text: &[u8], options: &TableOptions, schema: &Schema, threads: usize) -> Result<CsvSource<f64>, DataError> {
    let text = text.to_vec();
    let open = move || Ok(Cursor::new(text.clone()));
    CsvSource::from_readers(open, options, schema).map(|source| source.threads(threads))
}

/// The examples of a text in order, and the error that ends them: inputs, targets as bits.
fn streamed(
    text: &[u8],
    options: &TableOptions,
    schema: &Schema,
    threads: usize,
) -> (Vec<u64>, Vec<u64>, Option<String>) {
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    let batches = source(text, options, schema, threads).and_then(|source| SourceBatches::sequential(source, 16));
    let mut batches = match batches {
        Ok(batches) => batches,
        Err(error) => return (inputs, targets, Some(error.to_string())),
    };
    loop {
        match batches.next_batch() {
            Ok(Some(batch)) => {
                let (input, target, _, _) = held(batch);
                inputs.extend(input.concat());
                targets.extend(target);
            }
            Ok(None) => return (inputs, targets, None),
            Err(error) => return (inputs, targets, Some(error.to_string())),
        }
    }
}

fn whole(table: &Table, schema: &Schema) -> Result<(Vec<u64>, Vec<u64>), DataError> {
    let data: Dataset<f64> = schema.dataset(table)?;
    let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect();
    let targets = match data.targets() {
        Target::Values(values) => bits(values),
        Target::Classes(labels) => labels.iter().map(|&label| label.into()).collect(),
    };
    Ok((bits(data.inputs().slice()), targets))
}

/// A cell of a kind, written in one of the ways that a table can have it.
fn cell(text: String, style: usize, delimiter: char) -> String {
    match style {
        0 => format!("\"{text}\""),
        1 => format!("  {text}\u{a0} "),
        2 => format!(" \"{text}\" "),
        3 if delimiter != ';' => format!("\"{text}\""),
        _ => text,
    }
}

/// A table of mixed columns with all that a table may have, of about this many bytes.
fn mixed(bytes: usize, delimiter: char, end: &str, seed: u64) -> String {
    let mut stream = Seed(seed).stream(0);
    let mut draw = |below: usize| (stream.uniform() * below as f64) as usize;
    let mut text = format!("a{delimiter}note{delimiter}kind{delimiter}b{delimiter}y{end}");
    while text.len() < bytes {
        let numbers = ["1.5", "-0.1e-3", "NA", "", "123456789.123456789", "7", ".5", "1e22", "2.2250738585072011e-308"];
        let a = cell(numbers[draw(numbers.len())].into(), draw(9), delimiter);
        let note = match draw(12) {
            0 => format!("\"line one{end}line \"\"two\"\"{end}\""),
            1 => format!("\"{delimiter}{delimiter}\""),
            2 => "6\" nails".into(),
            3 => "Grüße".into(),
            _ => "plain".into(),
        };
        let kind = cell(["red", "blue", "größer", "NA"][draw(4)].into(), draw(9), delimiter);
        let b = numbers[draw(2)];
        let y = ["yes", "no", "no", "NA"][draw(4)];
        text += &[&a, &note, &kind, b, y].join(&delimiter.to_string());
        text += end;
        if draw(30) == 0 {
            text += &format!("  {end}{end}");
        }
    }
    text
}

#[test]
fn rows_that_are_streamed_are_those_of_the_whole_table() {
    let columns = |missing: Missing| {
        Columns::for_class(Column::new("y").missing(Missing::Drop))
            .numeric([Column::new("a").missing(missing.clone()), Column::new("b")])
            .categorical([Column::new("kind").missing(Missing::MostFrequent).indicator().unseen(Unseen::Other)])
    };
    for (delimiter, end, bytes) in
        [(',', "\n", 2_100_000), (';', "\r\n", 40_000), ('\t', "\n", 40_000), (',', "\r", 1_100_000)]
    {
        let text = mixed(bytes, delimiter, end, 1);
        // With and without the end of the last line, and with a byte-order mark.
        let cut = text.trim_end_matches(['\r', '\n', ' ']).to_owned();
        let marked = format!("\u{feff}{text}");
        for text in [&text, &cut, &marked] {
            let options = TableOptions::new().delimiter(delimiter as u8);
            let table = options.read(text.as_bytes()).unwrap();
            for missing in [Missing::Drop, Missing::Mean].into_iter().take(if bytes > 2_000_000 { 1 } else { 2 }) {
                let schema = columns(missing).fit(&table).unwrap();
                let (inputs, targets) = whole(&table, &schema).unwrap();
                for threads in [1, 3] {
                    let got = streamed(text.as_bytes(), &options, &schema, threads);
                    assert!(
                        got == (inputs.clone(), targets.clone(), None),
                        "{delimiter:?} {end:?} {threads} {:?}",
                        got.2
                    );
                }
            }
        }
    }
}

#[test]
fn values_are_targets_and_a_header_may_be_missing() {
    let text = "\n \n1,2,3\n4,5,6\n";
    let options = TableOptions::new().no_header();
    let schema = Columns::for_values(["2", "0"]).numeric(["1"]).fit(&options.read(text.as_bytes()).unwrap()).unwrap();
    let mut batches = SourceBatches::sequential(source(text.as_bytes(), &options, &schema, 1).unwrap(), 5).unwrap();
    assert_eq!(batches.layout().feature_names(), ["1"]);
    assert_eq!(batches.batches_per_epoch(), None);
    let batch = batches.next_batch().unwrap().unwrap();
    assert_eq!(batch.inputs.slice(), [2.0, 5.0]);
    assert_eq!(batch.targets, Target::Values(&[3.0, 1.0, 6.0, 4.0]));
    assert_eq!(batches.batches_per_epoch(), Some(1));
}

#[test]
fn the_first_error_of_the_rows_is_the_error() {
    let plain = format!("1.{},2,a\n", "0".repeat(40)).repeat(30_000);
    let lines = 30_001;
    let columns = Columns::for_values(["y"]).numeric(["x"]).categorical(["kind"]);
    let schema = columns.fit(&Table::read("x,y,kind\n1,2,a\n".as_bytes()).unwrap()).unwrap();
    let options = TableOptions::new();
    let faults = [
        ("1,2\n", "line {L} holds 2 instead of 3 cells; check its delimiters and quotes"),
        ("1,2,a,\n", "line {L} holds 4 instead of 3 cells; check its delimiters and quotes"),
        ("\"1\n\",2\n", "line {L} holds 2 instead of 3 cells; check its delimiters and quotes"),
        ("one,2,a\n", "column `x` holds `one` on line {L}, which is not a finite f64;"),
        ("nan,2,a\n", "the value of column `x` is missing on line {L} (`nan`);"),
        ("inf,2,a\n", "column `x` holds `inf` on line {L},"),
        ("1,,a\n", "the value of column `y` is missing on line {L};"),
        ("1,1e999,a\n", "column `y` holds `1e999` on line {L},"),
        ("1,2,b\n", "column `kind` on line {L}: `b` is none of the known categories (`a`)"),
        ("1,2,\"b\n", "the quote that opens cell 2 of line {L}"),
        ("1,2,\"a\"b\n", "cell 2 of line {L} is quoted, but `b` follows its closing quote;"),
        ("1,2,\0\n", "cell 2 of line {L} holds a NUL byte"),
        // Rows of several lines and blank lines count as they should.
        ("\n \n1,2,\"a\"\n\" 1 \",\"\n2\r\n\",a\n,1,a\n", "the value of column `x` is missing on line {L+6};"),
    ];
    for (fault, expected) in faults {
        let text = format!("x,y,kind\n{plain}{fault}{plain}{plain}");
        let expected = expected.replace("{L}", &(lines + 1).to_string()).replace("{L+6}", &(lines + 7).to_string());
        for threads in [1, 2, 4] {
            let mut batches =
                SourceBatches::sequential(source(text.as_bytes(), &options, &schema, threads).unwrap(), 1000).unwrap();
            let (count, message) = failure(&mut batches);
            assert!(message.starts_with(&expected), "{threads} threads: {message}");
            assert_eq!(count, 30, "{fault:?}: the batches in front of it are whole");
        }
    }
    let text = [format!("x,y,kind\n{plain}").as_bytes(), b"1,2,\xff\n"].concat();
    let (inputs, _, error) = streamed(&text, &options, &schema, 2);
    assert!(error.unwrap().starts_with("cell 2 of line 30002 is not UTF-8"));
    assert_eq!(inputs.len(), 2 * 30_000);
}

#[test]
fn a_schema_has_its_markers_even_if_they_are_numbers() {
    let text = "x,y\n1,2\n-999,3\n4,-999\n5,6\n";
    let columns = Columns::for_values(["y"]).numeric(["x"]).missing(Missing::Drop).missing_markers(["-999"]);
    let table = Table::read(text.as_bytes()).unwrap();
    let schema = columns.fit(&table).unwrap();
    let (inputs, targets) = whole(&table, &schema).unwrap();
    assert_eq!(inputs.len(), 2);
    assert_eq!(streamed(text.as_bytes(), &TableOptions::new(), &schema, 1), (inputs, targets, None));
    let text = "x,y\n-999,2\n1,-999\n";
    let none = streamed(text.as_bytes(), &TableOptions::new(), &schema, 1).2.unwrap();
    assert!(none.starts_with("none of the 2 rows has all the columns asked for;"), "{none}");
}

#[test]
fn a_table_that_is_empty_or_without_its_columns_is_an_error() {
    let schema = Columns::for_values(["y"]).numeric(["x"]).fit(&Table::read("x,y\n1,2\n".as_bytes()).unwrap()).unwrap();
    let error = |text: &str| streamed(text.as_bytes(), &TableOptions::new(), &schema, 2).2.unwrap();
    for text in ["", "\n\n", "\u{feff}", "x,y", "x,y\n", "x,y\r\n\r\n"] {
        assert_eq!(error(text), "the table is empty, but at least one row is needed", "{text:?}");
    }
    assert_eq!(error("x,z\n1,2\n"), "there is no column `y`; the columns are `x`, `z`");
    assert_eq!(error("x,y,x\n1,2,3\n"), "the column `x` is listed more than once; name each column once");
    let odd = TableOptions::new().delimiter(b'"');
    assert!(streamed(b"x,y\n1,2\n", &odd, &schema, 1).2.unwrap().starts_with("the byte 0x22 can't separate cells"));
}

/// A reader that fails after some bytes.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(to)? {
            0 => Err(std::io::Error::other("the disk is on fire")),
            count => Ok(count),
        }
    }
}

#[test]
fn what_was_read_before_a_fault_of_the_disk_is_given_first() {
    let schema = Columns::for_values(["y"]).numeric(["x"]).fit(&Table::read("x,y\n1,2\n".as_bytes()).unwrap()).unwrap();
    let text = format!("x,y\n{}", "1,2\n".repeat(1_000_000));
    for threads in [1, 4] {
        let text = text.clone();
        let open = move || Ok(Failing(Cursor::new(text.clone().into_bytes())));
        let source = CsvSource::<f64>::from_readers(open, &TableOptions::new(), &schema).unwrap().threads(threads);
        let (count, message) = failure(&mut SourceBatches::sequential(source, 1000).unwrap());
        assert_eq!(message, "reading failed: the disk is on fire");
        assert!(count > 700, "{count}");
    }
}

#[test]
fn a_row_that_is_larger_than_memory_is_an_error() {
    let schema = Columns::for_values(["y"]).numeric(["x"]).fit(&Table::read("x,y\n1,2\n".as_bytes()).unwrap()).unwrap();
    let open = || Ok("x,y\n1,2\n3,\"".as_bytes().chain(std::io::repeat(b'9')));
    let source = CsvSource::<f64>::from_readers(open, &TableOptions::new(), &schema).unwrap();
    let mut batches = SourceBatches::sequential(source, 1).unwrap();
    let expected = "the row that begins on line 3 is longer than 67108864 bytes; is one of its quotes never closed?";
    assert_eq!(failure(&mut batches), (1, expected.into()));
}

#[test]
fn a_file_is_read_again_in_each_epoch_and_must_stay_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.csv");
    let rows: String = (0..3000).map(|x| format!("{x},{}\n", x % 3)).collect();
    std::fs::write(&path, format!("x,y\n{rows}")).unwrap();
    let options = TableOptions::new();
    let first = options.read_first(100, std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!((first.len(), first.lines().last()), (100, Some(101)));
    let schema = Columns::for_class("y").numeric(["x"]).fit(&first).unwrap();
    let open = |threads| CsvSource::<f64>::open(&path, &options, &schema).unwrap().threads(threads);
    let make = |threads, depth| {
        SourceBatches::shuffled(open(threads), 64, Seed(1)).unwrap().shuffle_buffer(500).prefetch(depth)
    };
    let mut plain = make(1, 0);
    for (threads, depth) in [(2, 0), (4, 3), (1, 2)] {
        let mut other = make(threads, depth);
        for number in [0, 1, 0] {
            plain.start_epoch(number);
            other.start_epoch(number);
            assert_eq!(epoch(&mut other), epoch(&mut plain), "{threads} threads, {depth} ahead");
        }
    }
    assert!(first.select(&[0]).is_ok());
    std::fs::write(&path, format!("x,y\n{}", rows[..rows.len() / 2].trim_end_matches(|c| c != '\n'))).unwrap();
    plain.start_epoch(2);
    let (count, error) = failure(&mut plain);
    assert_eq!(count, 0);
    assert!(error.contains("numbers.csv`: the file was changed since it was opened (it had "), "{error}");
    // As many bytes, but others.
    let mut batches = SourceBatches::sequential(open(1), 64).unwrap();
    epoch(&mut batches);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    batches.start_epoch(1);
    assert!(failure(&mut batches).1.contains("the file was changed since it was opened"));
    std::fs::remove_file(&path).unwrap();
    assert!(
        failure(&mut {
            batches.start_epoch(1);
            batches
        })
        .1
        .contains("numbers.csv`: reading failed")
    );
    assert!(message(CsvSource::<f32>::open(&path, &options, &schema)).contains("numbers.csv`: reading failed"));
}

#[test]
fn the_first_rows_are_a_table() {
    let text = format!("x,y\n{}", "1,2\n".repeat(200_000));
    let read = |rows| TableOptions::new().read_first(rows, text.as_bytes());
    assert_eq!(read(150_000).unwrap().len(), 150_000);
    assert_eq!(read(usize::MAX).unwrap().len(), 200_000);
    assert!(message(read(0)).starts_with("the table is empty"));
    // Faults after these rows don't matter.
    let broken = format!("{text}3\n");
    assert_eq!(TableOptions::new().read_first(3, broken.as_bytes()).unwrap().len(), 3);
    assert!(TableOptions::new().read_first(200_001, broken.as_bytes()).is_err());
}

#[test]
fn numbers_in_single_precision_are_those_of_the_table() {
    let mut stream: Stream = Seed(4).stream(0);
    let rows: String = (0..20_000).map(|_| format!("{:e},{}\n", stream.uniform() * 1e30, stream.uniform())).collect();
    let text = format!("x,y\n{rows}");
    let table = Table::read(text.as_bytes()).unwrap();
    let schema = Columns::for_values(["y"]).numeric(["x"]).fit(&table).unwrap();
    let data: Dataset<f32> = schema.dataset(&table).unwrap();
    let source = CsvSource::<f32>::from_readers(move || Ok(Cursor::new(text.clone())), &TableOptions::new(), &schema);
    let mut batches = SourceBatches::sequential(source.unwrap().threads(2), usize::MAX).unwrap();
    let batch = batches.next_batch().unwrap().unwrap();
    assert_eq!((batch.inputs.slice(), batch.targets), (data.inputs().slice(), data.targets()));
}
