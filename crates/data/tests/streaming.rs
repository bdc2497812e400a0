//! Memory and speed of streaming a table of numbers.
//!
//! ```sh
//! STREAMED_MB=2000 cargo test --release -p downhill-data --test streaming -- --ignored --nocapture
//! ```
#![cfg(feature = "csv")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use downhill_data::source::{CsvSource, Rows, Source, SourceBatches};
use downhill_data::{Columns, Schema, TableOptions};
use downhill_tensor::Seed;

/// Features of each row, and the target.
const COLUMNS: usize = 11;

/// Writes a table of about this many bytes, with numbers as pandas writes them, and returns its rows.
fn write(path: &Path, bytes: u64) -> u64 {
    let mut stream = Seed(1).stream(0);
    // Some thousand rows again and again: the text is what is read, not what is new in it.
    let mut rows: Vec<String> = Vec::new();
    for _ in 0..5000 {
        let cells: Vec<String> = (0..COLUMNS)
            .map(|column| match column {
                0 => format!("{}", (stream.uniform() * 1000.0) as u32),
                1 => format!("{:.2}", stream.uniform() * 100.0),
                _ => format!("{}", stream.uniform() - 0.5),
            })
            .collect();
        rows.push(cells.join(",") + "\n");
    }
    let mut file = BufWriter::new(File::create(path).unwrap());
    let names: Vec<String> = (0..COLUMNS).map(|column| format!("x{column}")).collect();
    writeln!(file, "{}", names.join(",")).unwrap();
    let (mut written, mut count) = (0, 0);
    for row in rows.iter().cycle() {
        if written >= bytes {
            break;
        }
        file.write_all(row.as_bytes()).unwrap();
        (written, count) = (written + row.len() as u64, count + 1);
    }
    file.flush().unwrap();
    count
}

fn schema(path: &Path) -> Schema {
    let first = TableOptions::new().read_first(1000, File::open(path).unwrap()).unwrap();
    let names: Vec<String> = (1..COLUMNS).map(|column| format!("x{column}")).collect();
    Columns::for_values(["x0"]).numeric(names).fit(&first).unwrap()
}

/// The bytes of memory that this process has in use, on systems that tell.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Reads all batches of an epoch, and returns the examples and the most memory.
fn stream(mut batches: SourceBatches<'_, f32>) -> (u64, u64) {
    let (mut examples, mut most) = (0, 0);
    while let Some(batch) = batches.next_batch().unwrap() {
        let before = examples;
        examples += batch.inputs.examples() as u64;
        if examples / 100_000 > before / 100_000 {
            most = most.max(resident().unwrap_or_default());
        }
    }
    (examples, most)
}

#[test]
fn a_table_is_streamed_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.csv");
    let rows = write(&path, 64 << 20);
    let schema = schema(&path);
    let before = resident();
    let source = CsvSource::open(&path, &TableOptions::new(), &schema).unwrap().threads(2);
    let batches = SourceBatches::shuffled(source, 256, Seed(1)).unwrap().prefetch(4);
    let (examples, most) = stream(batches);
    assert_eq!(examples, rows);
    if let Some(before) = before {
        let grown = most.saturating_sub(before) >> 20;
        assert!(grown < 32, "64 MiB of text took {grown} MiB of memory");
    }
}

#[test]
#[ignore = "it takes the disk space and the minutes that a large file takes"]
fn the_speed_of_parsing() {
    let folder = tempfile::tempdir().unwrap();
    let megabytes = std::env::var("STREAMED_MB").map_or(2000, |text| text.parse().unwrap());
    let path = std::env::var("STREAMED_FILE").map_or(folder.path().join("large.csv"), Into::into);
    let rows = write(&path, megabytes * 1_000_000);
    let bytes = std::fs::metadata(&path).unwrap().len() as f64;
    let schema = schema(&path);
    let source = |threads| CsvSource::open(&path, &TableOptions::new(), &schema).unwrap().threads(threads);
    for threads in [1, 2] {
        let mut best = [f64::INFINITY; 2];
        let mut most = 0;
        for _ in 0..3 {
            // Parsing alone.
            let mut source = source(threads);
            let mut buffer = Rows::<f32>::new(source.layout());
            let (start, mut examples) = (Instant::now(), 0);
            loop {
                buffer.clear();
                source.read(4096, &mut buffer).unwrap();
                if buffer.is_empty() {
                    break;
                }
                examples += buffer.len() as u64;
            }
            best[0] = start.elapsed().as_secs_f64().min(best[0]);
            assert_eq!(examples, rows);
            drop(source);
        }
        for _ in 0..3 {
            let batches = SourceBatches::shuffled(source(threads), 256, Seed(1)).unwrap().prefetch(4);
            let start = Instant::now();
            let (examples, memory) = stream(batches);
            best[1] = start.elapsed().as_secs_f64().min(best[1]);
            most = memory.max(most);
            assert_eq!(examples, rows);
        }
        println!(
            "{threads} threads: {:.0} MB/s parsed, {:.0} MB/s as shuffled batches, {} MiB of memory",
            bytes / 1e6 / best[0],
            bytes / 1e6 / best[1],
            most >> 20
        );
    }
}
