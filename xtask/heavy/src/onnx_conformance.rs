//! `cargo xtask onnx-conformance`: the ONNX project's own test cases, read as networks and run.
//!
//! `xtask/interop/onnx_cases.py` writes them. A case passes if each of its outputs of real numbers is right, in one of the ways
//! of reading it: with different inputs of the model as inputs of the network, and with the first or the second axis as
//! the batch or with a whole input as one example. It is listed, with the reason, if it can't be read in any way. A result that is
//! wrong in any way, and a panic, fail the task.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use downhill::layers::{Inputs, Mode};
use downhill::ndarray::{ArrayD, IxDyn};
use downhill::network::{Network, Purpose};
use downhill::tensor::Batch;
use downhill_formats::onnx::Import;
use safetensors::SafeTensors;

use crate::Result;

/// Runs the cases that a folder holds.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder that `xtask/interop/onnx_cases.py` has written.
    folder: PathBuf,
    /// Only cases whose name contains this.
    #[arg(long)]
    name: Option<String>,
    /// Prints the reason of every case that can't be read, and not only how many there are of each operator.
    #[arg(long)]
    reasons: bool,
    /// The number of node cases, and of stored models, that have to pass.
    #[arg(long, default_values_t = [0, 0], num_args = 2)]
    least: Vec<usize>,
}

/// What came of a case; the worst of all ways of reading it if it is wrong, and else the best.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Passes,
    Listed(String),
    Wrong(String),
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    std::panic::set_hook(Box::new(|_| {}));
    let mut wrong = 0;
    let mut short = Vec::new();
    for (group, least) in ["node", "stored"].into_iter().zip(&arguments.least) {
        let mut verdicts: BTreeMap<String, (String, Verdict)> = BTreeMap::new();
        let mut files: Vec<PathBuf> =
            fs::read_dir(arguments.folder.join(group))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        for path in files {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let case = file.split('.').next().unwrap_or_default().to_owned();
            if arguments.name.as_ref().is_some_and(|name| !case.contains(name.as_str())) {
                continue;
            }
            let (operators, verdict) = variant(&path)?;
            match verdicts.get_mut(&case) {
                None => _ = verdicts.insert(case, (operators, verdict)),
                Some((_, worst)) => *worst = join(worst.clone(), verdict),
            }
        }
        let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for (case, (operators, verdict)) in &verdicts {
            let [passes, all] = counts.entry(operators).or_default();
            *all += 1;
            match verdict {
                Verdict::Passes => *passes += 1,
                Verdict::Listed(reason) if arguments.reasons => println!("  {case}: {reason}"),
                Verdict::Listed(_) => {}
                Verdict::Wrong(what) => {
                    wrong += 1;
                    println!("  {case} IS WRONG: {what}");
                }
            }
        }
        println!("{group} cases that pass, by operator:");
        for (operators, [passes, all]) in counts.iter().filter(|(_, counts)| counts[0] > 0 || arguments.reasons) {
            println!("  {passes:>4} of {all:>3}  {operators}");
        }
        let passes: usize = counts.values().map(|counts| counts[0]).sum();
        println!("{group}: {passes} of {} pass\n", verdicts.len());
        if passes < *least {
            short.push(format!("{passes} {group} cases pass, but {least} have to"));
        }
    }
    match (wrong, &short[..]) {
        (0, []) => Ok(()),
        (0, short) => Err(short.join("; ").into()),
        _ => Err(format!("{wrong} cases give wrong results").into()),
    }
}

/// One verdict of two: nothing makes a wrong result good, and a way that passes is enough.
fn join(a: Verdict, b: Verdict) -> Verdict {
    match (a, b) {
        (wrong @ Verdict::Wrong(_), _) | (_, wrong @ Verdict::Wrong(_)) => wrong,
        (Verdict::Passes, _) | (_, Verdict::Passes) => Verdict::Passes,
        (_, last) => last,
    }
}

/// A case with some of its inputs as data: its operators, and what came of it.
fn variant(path: &Path) -> Result<(String, Verdict)> {
    let bytes = fs::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let operators = metadata.get("operators").cloned().unwrap_or_default();
    let tensors = SafeTensors::deserialize(&bytes)?;
    let model = tensors.tensor("model")?.data().to_vec();
    let array = |name: &str| -> Result<ArrayD<f32>> {
        let tensor = tensors.tensor(name)?;
        let numbers = tensor.data().as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32);
        Ok(ArrayD::from_shape_vec(IxDyn(tensor.shape()), numbers.collect())?)
    };
    let mut names: Vec<String> = tensors.names().into_iter().map(str::to_owned).collect();
    names.sort();
    let inputs = names.iter().filter(|name| name.starts_with("input:")).map(|name| array(name));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let mut outputs = Vec::new();
    for name in &names {
        if let Some(output) = name.strip_prefix("output:") {
            outputs.push((output.to_owned(), array(name)?));
        }
    }
    let mut verdict = Verdict::Listed("it was not tried".into());
    let tolerance = metadata.get("tolerance").and_then(|text| text.parse().ok()).ok_or("it tells no tolerance")?;
    for (number, batch) in [Some(0), Some(1), None].into_iter().enumerate() {
        let attempt = catch_unwind(AssertUnwindSafe(|| attempt(&model, &inputs, &outputs, batch, tolerance)));
        let one = attempt.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Verdict::Wrong(format!("it panics: {}", text.unwrap_or_else(|| "without words".into())))
        });
        verdict = if number == 0 { one } else { join(verdict, one) };
    }
    Ok((operators, verdict))
}

/// Reads and runs a model for each of its outputs.
fn attempt(
    model: &[u8],
    inputs: &[ArrayD<f32>],
    outputs: &[(String, ArrayD<f32>)],
    batch: Option<usize>,
    tolerance: f32,
) -> Verdict {
    if batch.is_some_and(|axis| inputs.iter().any(|input| input.ndim() <= axis)) {
        return Verdict::Listed("an input has no axis for the examples".into());
    }
    for (name, expected) in outputs {
        let mut import = Import::new().output(name);
        import = match batch {
            Some(axis) => import.batch_axis_of_all(axis),
            None => import.without_batch(),
        };
        let imported = match import.read::<f32>(model) {
            Ok(imported) => imported,
            Err(error) => return Verdict::Listed(error.to_string()),
        };
        if batch.is_some() && imported.batch_axis.is_none() {
            return Verdict::Listed("the examples are no axis of its output".into());
        }
        let expected = first(expected, imported.batch_axis);
        let network = imported.network;
        let y = match predict(&network, inputs, batch) {
            Ok(y) => y,
            Err(error) => return Verdict::Wrong(format!("`{name}` can't be computed: {error}")),
        };
        if y.len() != expected.len() {
            return Verdict::Wrong(format!("`{name}` has {} numbers, not {}", y.len(), expected.len()));
        }
        for (place, (&y, &expected)) in y.iter().zip(&expected).enumerate() {
            let same = y == expected || (y.is_nan() && expected.is_nan());
            let near = (y - expected).abs() <= tolerance * expected.abs().max(1.0);
            if !(same || near) {
                return Verdict::Wrong(format!("number {place} of `{name}` is {y}, but should be {expected}"));
            }
        }
    }
    Verdict::Passes
}

/// The array with this axis before the others.
fn first(array: &ArrayD<f32>, axis: Option<usize>) -> ArrayD<f32> {
    let mut axes: Vec<usize> = (0..array.ndim()).collect();
    if let Some(axis) = axis {
        axes.remove(axis);
        axes.insert(0, axis);
    }
    array.view().permuted_axes(IxDyn(&axes)).as_standard_layout().into_owned()
}

fn predict(network: &Network<f32>, inputs: &[ArrayD<f32>], batch: Option<usize>) -> Result<Vec<f32>> {
    let mut x = Inputs::empty();
    let inputs: Vec<ArrayD<f32>> = inputs.iter().map(|input| first(input, batch)).collect();
    for (index, (input, shape)) in inputs.iter().zip(network.input_shapes()).enumerate() {
        let examples = batch.map_or(1, |_| input.shape()[0]);
        x.set(index, Batch::new(input.as_slice().unwrap_or_default(), examples, shape)?);
    }
    let mut workspace = network.workspace(Purpose::Prediction);
    let y = network.forward(network.parameters(), x, &mut workspace, Mode::Evaluation)?;
    Ok(y.slice().to_vec())
}
