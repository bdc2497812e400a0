//! What the Rust sides share, this library's own among them: the workloads, the start of every tensor, and the
//! dialogue with `cargo xtask bench`, which `common.py` describes.

use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use serde_json::{Value, json};

/// A learning rate so small that a step hardly moves: repeated on one batch, the loss would otherwise vanish, and with
/// it the gradient, into numbers so small that processors slow down on them.
pub(crate) const STILL: f64 = 1e-9;

/// The steps whose losses are compared.
pub(crate) const COMPARED: usize = 5;

/// The keys of the tensors that are no parameters; those are counted from 0, in the network's order.
pub(crate) const INPUT: u64 = 1000;
pub(crate) const TARGET: u64 = 1001;

/// One workload of `workloads.json`, with one size of the batch.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) settings: Value,
    pub(crate) suite: String,
    pub(crate) name: String,
    pub(crate) examples: usize,
}

impl Entry {
    /// All that the file lists.
    pub(crate) fn all() -> Vec<Self> {
        let listed: Vec<Value> = serde_json::from_str(include_str!("../workloads.json")).expect("the file is JSON");
        listed.into_iter().flat_map(Self::expand).collect()
    }

    fn expand(settings: Value) -> Vec<Self> {
        let suite = settings["suite"].as_str().expect("a workload has a suite").to_owned();
        let mut batches: Vec<Option<usize>> = numbers(&settings["batches"]).into_iter().map(Some).collect();
        if batches.is_empty() {
            batches.push(None);
        }
        let name = |batch: Option<usize>| {
            let name =
                settings["name"].as_str().or(settings["form"].as_str()).expect("a workload has a name or a form");
            let batch = batch.map_or_else(String::new, |batch| format!(", batch {batch}"));
            let form = settings["form"].as_str();
            let sizes =
                form.map_or_else(String::new, |_| format!(", {} to {}", settings["inputs"], settings["outputs"]));
            format!("{name}{batch}{sizes}")
        };
        let one = |batch: Option<usize>| Self {
            settings: settings.clone(),
            suite: suite.clone(),
            name: name(batch),
            examples: batch.unwrap_or(1),
        };
        batches.into_iter().map(one).collect()
    }

    /// `suite/name`, as tables and files call it.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.suite, self.name)
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.settings[key].as_str().unwrap_or_default()
    }

    pub(crate) fn number(&self, key: &str) -> usize {
        self.settings[key].as_u64().unwrap_or_else(|| panic!("{} states no {key}", self.name)) as usize
    }

    pub(crate) fn numbers(&self, key: &str) -> Vec<usize> {
        numbers(&self.settings[key])
    }

    /// The learning rate of the steps that are compared.
    pub(crate) fn rate(&self) -> f64 {
        self.settings["rate"].as_f64().expect("a workload with an optimizer states its rate")
    }

    /// How many calls are compared.
    pub(crate) fn compared(&self) -> usize {
        if self.settings["optimizer"].is_string() { COMPARED } else { 1 }
    }

    /// The class of each example.
    pub(crate) fn labels(&self, classes: usize) -> Vec<u32> {
        (0..self.examples as u64).map(|index| (fill(TARGET, index) * classes as f64) as u32).collect()
    }
}

fn numbers(list: &Value) -> Vec<usize> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64).map(|number| number as usize).collect()
}

/// The number at `index` of the tensor `key`, uniform in [0, 1), in steps of 2⁻²⁴ so that it is exact in `f32`.
///
/// This is the whole start of every workload, and simple enough that each side computes it for itself:
/// SplitMix64's finalizer of key · 2⁴⁰ + index.
/// Inputs and targets are u, classes ⌊u · classes⌋, parameters [`parameter`].
pub(crate) fn fill(key: u64, index: u64) -> f64 {
    let mut z = ((key << 40) + index).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f64 / (1 << 24) as f64
}

/// The start of a parameter at `index`, counted in PyTorch's shape; gains stand 1 higher.
pub(crate) fn parameter(key: u64, index: u64) -> f64 {
    (2.0 * fill(key, index) - 1.0) / 16.0
}

pub(crate) fn mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.map(|value| value * value).sum::<f64>() / count
}

/// One way of doing the work.
#[allow(missing_debug_implementations, reason = "it is a closure with a name")]
pub struct Variant {
    /// Who does it.
    pub peer: &'static str,
    /// What is compared between those who do it.
    pub values: Vec<f64>,
    /// Does it once.
    pub call: Box<dyn FnMut() + Send>,
}

/// The dialogue; `run` runs the timed loop where its threads are.
///
/// # Errors
/// Returns an error if a request is not as it should be.
pub fn serve(
    library: &str,
    mut variants: Vec<Variant>,
    run: impl Fn(&mut (dyn FnMut() + Send)),
) -> Result<(), Box<dyn Error>> {
    let tell = |v: &Variant| json!({ "peer": v.peer, "library": library, "values": v.values });
    println!("{}", json!({ "variants": variants.iter().map(tell).collect::<Vec<_>>() }));
    let mut estimates = vec![None; variants.len()];
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (index, wanted) = line.split_once(' ').ok_or("a request is a variant and seconds")?;
        let (index, wanted): (usize, f64) = (index.parse()?, wanted.parse()?);
        let call = &mut variants.get_mut(index).ok_or("there is no such variant")?.call;
        let estimate = &mut estimates[index];
        run(&mut || {
            // The first calls make room and warm up.
            let known = estimate.unwrap_or_else(|| repeat(call, 2).min(repeat(call, 2)));
            *estimate = Some(repeat(call, (wanted / known).round().max(1.0) as u64));
        });
        println!("{}", estimates[index].unwrap_or(f64::NAN));
    }
    Ok(())
}

/// The seconds of one call.
fn repeat(call: &mut dyn FnMut(), count: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        call();
    }
    start.elapsed().as_secs_f64() / count as f64
}
