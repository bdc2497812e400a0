//! The readers and writers, against files of other programs, damaged files and each other.

mod checked;
mod damage;
mod npy;
mod npz;
mod onnx_import;
mod rust_source;
mod state;
mod zoo;
