use std::fs;
use std::io::Write;
use std::path::Path;

use downhill_formats::onnx;
use downhill_formats::rust_source::RustSource;
use downhill_formats::{npz, safetensors};
use downhill_model::{Answers, Model};
use serde_json::json;

use crate::CliError;
use crate::args::{Cli, Export, Format};
use crate::folded::{InputScaler, folded};
use crate::output::{GOOD, bytes, check_free, styled, write_json};

/// The entry of an ONNX model's metadata that holds the names of its classes.
pub(super) const CLASSES: &str = "classes";

pub(super) fn export(args: &Export, cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let format = args.format.or_else(|| by_name(&args.output));
    let known = ".onnx, .safetensors, .npz or .rs, or name the format by `--format`";
    let format = format.ok_or_else(|| CliError::UnknownFormat { path: args.output.clone(), known })?;
    if args.int8 && format != Format::Rust {
        return Err(CliError::Int8);
    }
    check_free(&args.output, args.force)?;
    let model = Model::open(&args.model)?;
    let network = if args.bare || matches!(format, Format::Safetensors | Format::Npz) {
        model.network().clone()
    } else {
        folded(&model, if args.int8 { InputScaler::Layer } else { InputScaler::Weights })?
    };
    match format {
        Format::Safetensors => safetensors::save(&network, &args.output)?,
        Format::Npz => npz::save(&network, &args.output)?,
        Format::Onnx => {
            let output = match (args.bare, model.answers()) {
                (true, _) => "output",
                (false, Answers::Values) => "value",
                _ => "probabilities",
            };
            let mut export = onnx::Export::new().input_names(["features"]).output_name(output);
            if let Some(schema) = model.schema() {
                // Whoever opens the file alone finds there what its numbers mean.
                export = export.metadata("features", list(&schema.feature_names())?);
                export = export.metadata("targets", list(&schema.target_columns().collect::<Vec<_>>())?);
            }
            if !model.class_names().is_empty() {
                export = export.metadata(CLASSES, list(&model.class_names())?);
            }
            export.save(&network, &args.output)?;
        }
        Format::Rust => {
            let mut source = RustSource::new();
            if let Some(name) = args.model.file_stem() {
                source = source.name(name.to_string_lossy());
            }
            let source = if args.int8 { source.int8() } else { source };
            let text = source.render(&network)?;
            fs::write(&args.output, text).map_err(|cause| CliError::write(&args.output, cause))?;
        }
    }
    saved(&args.output, cli, out)
}

fn by_name(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "onnx" => Some(Format::Onnx),
        "safetensors" => Some(Format::Safetensors),
        "npz" => Some(Format::Npz),
        "rs" => Some(Format::Rust),
        _ => None,
    }
}

fn list(names: &impl serde::Serialize) -> Result<String, CliError> {
    serde_json::to_string(names).map_err(|error| CliError::Stream(error.into()))
}

/// Says that a file was written.
pub(super) fn saved(path: &Path, cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let size = fs::metadata(path).map_err(|cause| CliError::read(path, cause))?.len();
    if cli.json {
        return write_json(out, &json!({ "file": path, "bytes": size }));
    }
    Ok(writeln!(out, "{} ({})", styled(GOOD, format!("Wrote {}", path.display())), bytes(size))?)
}
