use std::path::Path;

use downhill_tensor::Scalar;
use safetensors::{Dtype, SafeTensors};

/// A file of tests/fixtures.
pub(crate) struct Fixture(Vec<u8>);

impl Fixture {
    pub(crate) fn open(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).with_extension("safetensors");
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.tensors().names().into_iter().map(ToString::to_string).collect()
    }

    /// The numbers of a tensor, row by row.
    pub(crate) fn numbers<T: Scalar>(&self, name: &str) -> Vec<T> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::F64 => data.as_chunks().0.iter().map(|&bytes| T::from_f64(f64::from_le_bytes(bytes))).collect(),
            Dtype::F32 => {
                data.as_chunks().0.iter().map(|&bytes| T::from_f64(f32::from_le_bytes(bytes).into())).collect()
            }
            Dtype::U32 => {
                data.as_chunks().0.iter().map(|&bytes| T::from_f64(u32::from_le_bytes(bytes).into())).collect()
            }
            other => panic!("{name} holds {other:?}"),
        }
    }
}
