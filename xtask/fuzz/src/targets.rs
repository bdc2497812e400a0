//! The readers of files, and what none of them may do whatever it reads: panic, or ask for more memory than twice the
//! file and 16 MiB. The fuzzer sees to it that none takes longer than a second.

use crate::mutate::{self, Random};
use downhill_cli::recipe::Recipe;
use downhill_cli::settings::{Settings, Task};
use downhill_data::{Columns, Schema, StandardScaler, Table, idx, npy};
use downhill_formats::{npz, onnx, safetensors};
use downhill_model::{CustomLayers, Model};
use downhill_network::{NetworkDescription, NetworkState};
use downhill_optim::OptimizerState;

/// A reader of files.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    read: fn(&[u8]),
    /// Changes a file and keeps its structure, or returns nothing if it has none.
    pub(crate) mutate: fn(&[u8], &mut Random) -> Option<Vec<u8>>,
}

impl Target {
    /// Reads a file that may be anything.
    ///
    /// # Panics
    /// Panics if the reader does, or asks for more memory than it may.
    pub(crate) fn check(&self, data: &[u8]) {
        let most = 2 * data.len() as u64 + (16 << 20);
        let asked = allocation_counter::measure(|| (self.read)(data)).bytes_max;
        assert!(
            asked <= most,
            "a file of {} bytes asked for {asked} bytes of memory, but at most for {most}",
            data.len()
        );
    }
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "csv", read: csv, mutate: mutate::text },
    Target { name: "idx", read: idx, mutate: |_, _| None },
    Target { name: "json", read: json, mutate: mutate::text },
    Target { name: "model", read: model, mutate: |data, random| mutate::header(data, 0, 8, random) },
    Target { name: "npy", read: npy, mutate: |data, random| mutate::header(data, 8, 2, random) },
    Target { name: "npz", read: npz, mutate: mutate::archive },
    Target { name: "onnx", read: onnx, mutate: mutate::message },
    Target { name: "safetensors", read: safetensors, mutate: |data, random| mutate::header(data, 0, 8, random) },
    Target { name: "settings", read: settings, mutate: mutate::text },
];

fn csv(data: &[u8]) {
    if let Ok(table) = Table::read(data)
        && let [target, inputs @ ..] = table.names()
        && let Ok(schema) =
            Columns::for_class(target.as_str()).categorical(inputs.iter().map(String::as_str)).fit(&table)
    {
        let _ = schema.dataset::<f32>(&table);
    }
}

fn idx(data: &[u8]) {
    if let Ok(array) = idx::read(data) {
        let _ = (array.to_array::<f32>(), array.to_labels());
    }
}

fn npy(data: &[u8]) {
    if let Ok(array) = npy::read(data) {
        let _ = array.to_labels();
    }
}

fn json(data: &[u8]) {
    if let Ok(description) = serde_json::from_slice::<NetworkDescription>(data) {
        let _ = description.segments(&CustomLayers::new());
    }
    let _ = serde_json::from_slice::<NetworkState<f32>>(data);
    let _ = serde_json::from_slice::<OptimizerState<f32>>(data);
    let _ = serde_json::from_slice::<StandardScaler>(data);
    if let Ok(schema) = serde_json::from_slice::<Schema>(data) {
        let cells: Vec<(&str, &str)> = schema.input_columns().map(|column| (column, "1")).collect();
        let _ = schema.transform::<f32>(&cells);
    }
}

fn model(data: &[u8]) {
    let _ = Model::<f32>::from_bytes(data, &CustomLayers::new());
}

/// Our verdict is that of the `safetensors` crate.
fn safetensors(data: &[u8]) {
    let (ours, theirs) = (safetensors::from_bytes(data), ::safetensors::SafeTensors::deserialize(data));
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}", ours.err());
    if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
        assert_eq!(ours.len(), theirs.len());
        for tensor in ours.iter() {
            let Ok(view) = theirs.tensor(tensor.name()) else { panic!("`{}` is not there", tensor.name()) };
            assert_eq!((view.shape(), view.data()), (tensor.shape(), tensor.bytes()));
        }
    }
}

/// The settings of `downhill train`, and the recipes that they lead to.
fn settings(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(settings) = Settings::parse(text)
    {
        for task in [Task::Classification, Task::Regression] {
            let _ = Recipe::choose(&settings, task, 1000).map(|recipe| recipe.candidates());
        }
    }
}

fn npz(data: &[u8]) {
    let _ = npz::from_bytes(data);
}

fn onnx(data: &[u8]) {
    let _ = onnx::import::<f32>(data);
}
