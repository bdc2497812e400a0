//! The readers and writers, against files of other programs, damaged files and each other.

mod damage;
mod npy;
mod npz;
mod state;
//! Files of each format, written and read.
mod rust_source;
