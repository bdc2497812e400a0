//! Files of each format, written and read.

mod rust_source;
