//!
//!
//!
//!
//! Networks as ONNX models.

mod proto;
mod tensor;
