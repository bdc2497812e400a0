//! The readers and writers, against files of other programs, damaged files and each other.

mod damage;
mod npy;
mod npz;
mod rust_source;
mod state;
