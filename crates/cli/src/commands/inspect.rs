use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use downhill_data::{Encoded, LearntColumn, Unseen};
use downhill_model::{Answers, Model};
use serde_json::{Value, json};

use crate::CliError;
use crate::args::{Cli, Inspect};
use crate::output::{TITLE, bytes, printable, styled, write_json, write_table};

/// How long the time of an answer is measured.
const MEASURED: Duration = Duration::from_millis(50);

pub(super) fn inspect(args: &Inspect, cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let model = Model::open(&args.model)?;
    let size = fs::metadata(&args.model).map_err(|cause| CliError::read(&args.model, cause))?.len();
    let seconds = seconds_per_row(&model)?;
    if cli.json {
        return write_json(out, &as_json(args, &model, size, seconds));
    }
    writeln!(out, "{}", styled(TITLE, args.model.display()))?;
    writeln!(out, "{}\n", printable(&answers(&model)))?;
    if let Some(schema) = model.schema() {
        let features = schema.feature_names();
        let count = schema.inputs_learnt().len();
        writeln!(out, "{}", styled(TITLE, format!("Columns: {count}, which become {} features", features.len())))?;
        let rows: Vec<Vec<String>> = schema.inputs_learnt().map(|input| described(&input)).collect();
        write_table(out, &["column", "read as", "a missing value is", "features"], &rows)?;
        writeln!(out)?;
    }
    writeln!(out, "{}", styled(TITLE, "Layers"))?;
    for line in model.network().summary().to_string().lines() {
        writeln!(out, "  {}", printable(line.trim_end()))?;
    }
    let parameters = model.network().summary().parameters();
    writeln!(out, "\n{} {parameters} parameters, {} in the file", styled(TITLE, "Size:"), bytes(size))?;
    let time = match seconds {
        Some(seconds) if seconds < 1e-3 => {
            format!("{:.1} µs for the numbers of one row, on this machine", seconds * 1e6)
        }
        Some(seconds) => format!("{:.1} ms for the numbers of one row, on this machine", seconds * 1e3),
        None => "not measured, since the network has several inputs".to_owned(),
    };
    writeln!(out, "{} {time}", styled(TITLE, "Time:"))?;
    writeln!(out, "{} downhill {}", styled(TITLE, "Made by:"), printable(model.library_version()))?;
    for (name, text) in model.notes() {
        writeln!(out, "{} {}", styled(TITLE, printable(&format!("{name}:"))), printable(text))?;
    }
    Ok(())
}

fn target(model: &Model) -> String {
    let targets: Vec<String> = model
        .schema()
        .into_iter()
        .flat_map(|schema| schema.target_columns())
        .map(|target| format!("`{target}`"))
        .collect();
    if targets.is_empty() { "its outputs".to_owned() } else { targets.join(", ") }
}

/// What the model answers, as a sentence.
fn answers(model: &Model) -> String {
    let target = target(model);
    match (model.answers(), model.class_names()) {
        (Answers::Classes, []) => {
            format!("Tells {target}, one of {} classes.", model.network().output_shape().len().max(2))
        }
        (Answers::Classes, names) => format!("Tells {target}, one of {} classes: {}.", names.len(), names.join(", ")),
        (Answers::Values, _) => match model.units() {
            [] => format!("Tells {target}, a number."),
            units => format!("Tells {target}, a number in {}.", units.join(", ")),
        },
        _ => format!("Answers {} independent questions.", model.network().output_shape().len()),
    }
}

fn described(input: &LearntColumn<'_>) -> Vec<String> {
    let missing = match (input.fill, input.indicator) {
        (Some(fill), true) => format!("read as {fill}, and noted"),
        (Some(fill), false) => format!("read as {fill}"),
        (None, _) => "an error".to_owned(),
    };
    let (kind, features) = match &input.encoded {
        Encoded::Number => ("a number".to_owned(), 1),
        Encoded::Date { time } => ("a date".to_owned(), if *time { 7 } else { 5 }),
        Encoded::Categories { known, unseen } => {
            let others = match unseen {
                Unseen::Zeros => "; others are none of them",
                Unseen::Other => "; others are `other`",
                _ => "; others are an error",
            };
            (format!("one of {}{others}", shortened(known)), known.len())
        }
        Encoded::Ordered { known } => (format!("a place in {}", shortened(known)), 1),
        Encoded::Hashed { hashing } => ("a category, hashed".to_owned(), hashing.buckets()),
        _ => (String::new(), 0),
    };
    vec![input.column.to_owned(), kind, missing, (features + usize::from(input.indicator)).to_string()]
}

fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// The shortest time that an answer to one row of numbers takes, among many; none if there are several inputs.
fn seconds_per_row(model: &Model) -> Result<Option<f64>, CliError> {
    let shape = model.network().input_shapes();
    let [input] = shape.as_slice() else {
        return Ok(None);
    };
    let (features, mut buffer) = (vec![0.0_f32; input.len()], model.buffer());
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < MEASURED {
        const REPEATS: u32 = 16;
        let one = Instant::now();
        for _ in 0..REPEATS {
            model.predict_into(&features, &mut buffer)?;
        }
        best = best.min(one.elapsed().as_secs_f64() / f64::from(REPEATS));
    }
    Ok(Some(best))
}

fn as_json(args: &Inspect, model: &Model, size: u64, seconds: Option<f64>) -> Value {
    let columns: Vec<Value> = model
        .schema()
        .into_iter()
        .flat_map(|schema| schema.inputs_learnt())
        .map(|input| {
            let (kind, categories) = match &input.encoded {
                Encoded::Categories { known, .. } => ("categories", Some(*known)),
                Encoded::Ordered { known } => ("ordered", Some(*known)),
                Encoded::Hashed { .. } => ("hashed", None),
                Encoded::Date { .. } => ("dates", None),
                _ => ("numbers", None),
            };
            json!({
                "column": input.column,
                "kind": kind,
                "categories": categories,
                "missing-is": input.fill,
                "missing-is-noted": input.indicator,
            })
        })
        .collect();
    let segments = model.network().segments().iter();
    let arrays: Vec<Value> =
        segments.map(|segment| json!({ "name": segment.name, "numbers": segment.range.len() })).collect();
    let answers = match model.answers() {
        Answers::Classes => "classes",
        Answers::Values => "values",
        _ => "questions",
    };
    json!({
        "file": args.model,
        "bytes": size,
        "downhill": model.library_version(),
        "answers": answers,
        "classes": model.class_names(),
        "units": model.units(),
        "targets": model.schema().map(|schema| schema.target_columns().collect::<Vec<_>>()),
        "columns": columns,
        "features": model.schema().map(|schema| schema.feature_names()),
        "parameters": model.network().parameters().len(),
        "arrays": arrays,
        "seconds-per-row": seconds,
        "notes": model.notes(),
    })
}
