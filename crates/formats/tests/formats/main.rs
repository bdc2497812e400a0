//! Files that other programs read and write.

mod onnx_import;
mod zoo;
