use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use downhill_model::{Answers, Model, ModelError, Prediction};
use serde_json::{Map, Value, json};

use crate::CliError;
use crate::args::{Cli, Predict};
use crate::output::{check_free, in_input, is_stream, open, table_options};

pub(super) fn predict(args: &Predict, cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let model = Model::open(&args.model)?;
    if model.schema().is_none() {
        return Err(CliError::NoColumns);
    }
    let options = table_options(Some(&args.delimiter))?;
    let delimiter =
        if matches!(&*args.delimiter, "tab" | "\\t") { '\t' } else { args.delimiter.chars().next().unwrap_or(',') };
    let input = open(&args.data)?;
    let in_input = in_input(&args.data);
    let to_file = !is_stream(&args.output);
    if to_file {
        check_free(&args.output, args.force)?;
        let canonical = |path: &Path| path.canonicalize().ok();
        let written = canonical(&args.output);
        if written.is_some() && [&args.data, &args.model].map(|path| canonical(path)).contains(&written) {
            // It would be empty before it is read.
            return Err(CliError::OverInput { path: args.output.clone() });
        }
    }
    let mut out: Box<dyn Write> = Box::new(BufWriter::new(out));
    let names = answer_names(&model, args.probabilities)?;
    let mut is_first = true;
    for part in options.chunks(input) {
        let part = part.map_err(&in_input)?;
        let answers = model.predict(&part).map_err(|error| match error {
            ModelError::Data(error) => in_input(error),
            error => CliError::Model(error),
        })?;
        if is_first
            && !cli.json
            && let Some(name) = names.iter().find(|name| part.names().contains(name))
        {
            return Err(CliError::AnswerColumn { column: name.clone() });
        }
        if is_first && to_file {
            // There are answers to write, so that an input which has none leaves no file.
            let file = File::create(&args.output).map_err(|cause| CliError::write(&args.output, cause))?;
            out = Box::new(BufWriter::new(file));
        }
        if is_first && !cli.json {
            write_row(
                &mut out,
                part.names().iter().map(String::as_str).chain(names.iter().map(String::as_str)),
                delimiter,
            )?;
        }
        is_first = false;
        let mut columns = part.names().iter().map(|name| part.column(name)).collect::<Result<Vec<_>, _>>()?;
        for (answer, line) in answers.iter().zip(part.lines()) {
            let (told, probabilities) = told(&model, &answer, args.probabilities);
            if cli.json {
                write_object(&mut out, line, &told, &model, &probabilities)?;
                continue;
            }
            let cells: Vec<&str> = columns.iter_mut().map(|column| column.next().unwrap_or_default()).collect();
            let probabilities: Vec<String> = probabilities.iter().map(f32::to_string).collect();
            let answers = told.iter().chain(&probabilities).map(String::as_str);
            write_row(&mut out, cells.into_iter().chain(answers), delimiter)?;
        }
        // A part may be all that comes for a while.
        out.flush()?;
    }
    Ok(out.flush()?)
}

/// The names of the columns that are appended.
fn answer_names(model: &Model, probabilities: bool) -> Result<Vec<String>, CliError> {
    let targets: Vec<String> = model
        .schema()
        .into_iter()
        .flat_map(|schema| schema.target_columns())
        .map(|target| format!("predicted_{target}"))
        .collect();
    match (model.answers(), probabilities) {
        (Answers::Classes, true) => Ok(targets
            .into_iter()
            .chain(model.class_names().iter().map(|name| format!("probability_{name}")))
            .collect()),
        (_, true) => Err(CliError::Model(ModelError::Answer { wanted: "probabilities", answers: "values" })),
        _ => Ok(targets),
    }
}

/// An answer as cells, and the probability of each class.
fn told(model: &Model, answer: &Prediction<'_, f32>, probabilities: bool) -> (Vec<String>, Vec<f32>) {
    match (model.answers(), answer.class()) {
        (Answers::Classes, Some(class)) => {
            let name = answer.label().map_or_else(|| class.to_string(), str::to_owned);
            let of_classes = match answer.outputs() {
                _ if !probabilities => Vec::new(),
                &[yes] => vec![1.0 - yes, yes],
                all => all.to_vec(),
            };
            (vec![name], of_classes)
        }
        _ => (answer.outputs().iter().map(f32::to_string).collect(), Vec::new()),
    }
}

/// Writes cells so that a table reads them back as they are.
fn write_row<'c>(out: &mut dyn Write, cells: impl Iterator<Item = &'c str>, delimiter: char) -> Result<(), CliError> {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            write!(out, "{delimiter}")?;
        }
        let special = |c: char| c == delimiter || matches!(c, '"' | '\n' | '\r');
        if cell.contains(special) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            write!(out, "{cell}")?;
        }
    }
    Ok(writeln!(out)?)
}

/// Writes an answer as a line of JSON.
fn write_object(
    out: &mut dyn Write,
    line: u64,
    told: &[String],
    model: &Model,
    probabilities: &[f32],
) -> Result<(), CliError> {
    let prediction = match (model.answers(), told) {
        (Answers::Classes, [name]) => json!(name),
        // Values are numbers, as JSON has them.
        (_, values) => values.iter().map(|value| as_json(value)).collect(),
    };
    let prediction = match prediction {
        Value::Array(mut values) if values.len() == 1 => values.pop().unwrap_or_default(),
        other => other,
    };
    let mut object = json!({ "line": line, "prediction": prediction });
    if !probabilities.is_empty() {
        let of_classes: Map<String, Value> =
            model.class_names().iter().cloned().zip(probabilities.iter().map(|p| as_json(&p.to_string()))).collect();
        if let Some(fields) = object.as_object_mut() {
            fields.insert("probabilities".to_owned(), Value::Object(of_classes));
        }
    }
    Ok(writeln!(out, "{object}")?)
}

/// A number with the digits that CSV has: an `f32` as it stands would get those of the nearest `f64`.
fn as_json(number: &str) -> Value {
    number.parse::<f64>().map_or(Value::Null, |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_data::Table;

    #[test]
    fn what_is_written_is_read_back() {
        let rows = [["name", "note"], ["a,b", "say \"hi\""], ["two\nlines", ""], ["6\" nails", "\r"]];
        let mut text = Vec::new();
        for row in rows {
            write_row(&mut text, row.into_iter(), ',').unwrap();
        }
        let table = Table::read(text.as_slice()).unwrap();
        assert_eq!(table.names(), rows[0]);
        assert_eq!(table.column("name").unwrap().collect::<Vec<_>>(), ["a,b", "two\nlines", "6\" nails"]);
        // White space around a cell is no part of it.
        assert_eq!(table.column("note").unwrap().collect::<Vec<_>>(), ["say \"hi\"", "", ""]);
    }
}
