//! The Rust sides of `cargo xtask bench --peers`: `downhill-peers LIBRARY WORKLOAD THREADS`.
//!
//! `RAYON_NUM_THREADS` says how many threads they use; the task sets it.

#[path = "../../common.rs"]
mod common;
#[cfg(feature = "burn")]
mod with_burn;
#[cfg(feature = "candle")]
mod with_candle;
#[cfg(feature = "tract")]
mod with_tract;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, id, _threads] = arguments.as_slice() else {
        return Err("usage: downhill-peers LIBRARY WORKLOAD THREADS".into());
    };
    let entry = common::Entry::all().into_iter().find(|entry| entry.id() == *id);
    let entry = entry.ok_or_else(|| format!("there is no workload {id}"))?;
    let (version, variant) = match library.as_str() {
        #[cfg(feature = "candle")]
        "candle" => ("candle 0.11.1", with_candle::variant(&entry)?),
        #[cfg(feature = "burn")]
        "burn" => ("burn 0.22.1", with_burn::variant(&entry)),
        #[cfg(feature = "tract")]
        "tract" => ("tract 0.23.9", with_tract::variant(&entry)?),
        _ => return Err(format!("there is no library {library} here").into()),
    };
    common::serve(version, variant.into_iter().collect(), |call| call())
}
