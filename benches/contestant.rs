//! Our side of `cargo xtask bench --peers`: `contestant WORKLOAD THREADS` answers as `peers/common.py` tells, and
//! `contestant --list [REGEX]` names the workloads, and
//! `contestant --onnx WORKLOAD FILE` writes the network of one as the file that other runtimes read.
#![forbid(unsafe_code)]

use std::error::Error;

use downhill::tensor::threads::Threads;
use downhill_benches::{Run, Variant, Workload, serve};
use regex::Regex;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => list(""),
        ["--list", filter] => list(filter),
        ["--onnx", id, file] => Ok(std::fs::write(file, workload(id)?.onnx())?),
        [id, threads] => contend(id, &Threads::new(threads.parse()?)?),
        _ => {
            Err("usage: contestant WORKLOAD THREADS | contestant --list [REGEX] | contestant --onnx WORKLOAD FILE"
                .into())
        }
    }
}

fn list(filter: &str) -> Result<(), Box<dyn Error>> {
    let filter = Regex::new(filter)?;
    for id in Workload::all().iter().map(Workload::id).filter(|id| filter.is_match(id)) {
        println!("{id}");
    }
    Ok(())
}

fn workload(id: &str) -> Result<Workload, String> {
    Workload::named(id).ok_or_else(|| format!("there is no workload {id}"))
}

fn contend(id: &str, threads: &Threads) -> Result<(), Box<dyn Error>> {
    let workload = workload(id)?;
    let values = threads.run(|| workload.values());
    let mut call = Run::of(&workload).map_or_else(|| workload.start(), |run| run.start("fit", threads));
    let call = Box::new(move || {
        std::hint::black_box(call());
    });
    let variant = Variant { peer: "downhill", values, call };
    serve(concat!("downhill ", env!("CARGO_PKG_VERSION")), vec![variant], |call| threads.run(call))
}
