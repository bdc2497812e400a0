use std::io::Write;
use std::path::Path;

use downhill_formats::{Load, Save, Tensors, npz, safetensors};
use downhill_model::Model;

use crate::CliError;
use crate::args::{Cli, Convert};
use crate::commands::export::saved;
use crate::output::check_free;

const KNOWN: &str = ".safetensors, .npz or .downhill";

pub(super) fn convert(args: &Convert, cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    check_free(&args.output, args.force)?;
    let tensors = read(&args.input)?;
    match (ending(&args.output), &args.model) {
        ("safetensors", None) => safetensors::write(&tensors, &args.output)?,
        ("npz", None) => npz::write(&tensors, &args.output)?,
        ("downhill", Some(path)) => filled(&Model::open(path)?, &tensors)?.save(&args.output)?,
        ("downhill", None) => return Err(CliError::NoBase),
        (_, Some(_)) => return Err(CliError::NotModel { path: args.output.clone() }),
        _ => return Err(CliError::UnknownFormat { path: args.output.clone(), known: KNOWN }),
    }
    saved(&args.output, cli, out)
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

/// Reads the tensors of a file; those of a model are its network's.
fn read(path: &Path) -> Result<Tensors<'static>, CliError> {
    match ending(path) {
        "safetensors" => Ok(safetensors::read(path)?),
        "npz" => Ok(npz::read(path)?),
        "downhill" => Ok(Save::new().tensors(Model::open(path)?.network())?),
        _ => Err(CliError::UnknownFormat { path: path.to_owned(), known: KNOWN }),
    }
}

/// The model with other numbers in its network.
fn filled(model: &Model, tensors: &Tensors<'_>) -> Result<Model, CliError> {
    let mut network = model.network().clone();
    Load::new().convert().apply(&mut network, tensors)?;
    let mut builder = Model::builder(network).units(model.units().iter().cloned());
    if let Some(schema) = model.schema() {
        builder = builder.schema(schema.clone());
    }
    if let Some(scaler) = model.input_scaler() {
        builder = builder.input_scaler(scaler.clone());
    }
    if let Some(scaler) = model.target_scaler() {
        builder = builder.target_scaler(scaler.clone());
    }
    for (name, text) in model.notes() {
        builder = builder.note(name, text);
    }
    Ok(builder.build()?)
}
