use std::io::Write;
use std::path::Path;

use downhill_formats::{Load, Save, Tensors, npz, onnx, safetensors};
use downhill_model::Model;

use crate::CliError;
use crate::args::{Cli, Convert};
use crate::commands::export::{CLASSES, saved};
use crate::output::check_free;

/// The endings of files that are read; all but the first are written too.
const READ: &str = ".onnx, .safetensors, .npz or .downhill";
const WRITTEN: &str = ".safetensors, .npz or .downhill";

pub(super) fn convert(args: &Convert, cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    check_free(&args.output, args.force)?;
    if let ("onnx", "downhill", None) = (ending(&args.input), ending(&args.output), &args.model) {
        imported(&args.input)?.save(&args.output)?;
        return saved(&args.output, cli, out);
    }
    let tensors = read(&args.input)?;
    match (ending(&args.output), &args.model) {
        ("safetensors", None) => safetensors::write(&tensors, &args.output)?,
        ("npz", None) => npz::write(&tensors, &args.output)?,
        ("downhill", Some(path)) => filled(Model::open(path)?, &tensors)?.save(&args.output)?,
        ("downhill", None) => return Err(CliError::NoBase),
        (_, Some(_)) => return Err(CliError::NotModel { path: args.output.clone() }),
        _ => return Err(CliError::UnknownFormat { path: args.output.clone(), known: WRITTEN }),
    }
    saved(&args.output, cli, out)
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

/// Reads the tensors of a file; those of a model are its network's.
fn read(path: &Path) -> Result<Tensors<'static>, CliError> {
    match ending(path) {
        "onnx" => Ok(Save::new().tensors(&onnx::open::<f32>(path)?.network)?),
        "safetensors" => Ok(safetensors::read(path)?),
        "npz" => Ok(npz::read(path)?),
        "downhill" => Ok(Save::new().tensors(Model::open(path)?.network())?),
        _ => Err(CliError::UnknownFormat { path: path.to_owned(), known: READ }),
    }
}

/// A model of the network in an ONNX file, whose own notes it keeps, and whose class names if `export` wrote them there.
fn imported(path: &Path) -> Result<Model, CliError> {
    let mut onnx = onnx::open::<f32>(path)?;
    let names = onnx.metadata.iter().find(|(name, _)| name == CLASSES);
    let names: Vec<String> = names.and_then(|(_, names)| serde_json::from_str(names).ok()).unwrap_or_default();
    if onnx.classes.is_none() && names.len() == onnx.network.output_shape().len() {
        onnx.network.set_class_names(names);
    }
    let builder = Model::builder(onnx.network);
    Ok(onnx.metadata.into_iter().fold(builder, |builder, (name, text)| builder.note(name, text)).build()?)
}

/// The model with other numbers in its network.
fn filled(model: Model, tensors: &Tensors<'_>) -> Result<Model, CliError> {
    let mut network = model.network().clone();
    Load::new().convert().apply(&mut network, tensors)?;
    Ok(model.into_builder().network(network).build()?)
}
