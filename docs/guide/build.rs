//! Makes a documented module of each chapter in each language.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable = |name| env::var(name).map_err(io::Error::other);
    let mut modules = String::new();
    for (language, folder) in [("english", "src"), ("korean", "ko/src")] {
        println!("cargo::rerun-if-changed={folder}");
        chapters(&Path::new(&variable("CARGO_MANIFEST_DIR")?).join(folder), language, &mut modules)?;
    }
    fs::write(Path::new(&variable("OUT_DIR")?).join("chapters.rs"), modules)
}

/// Appends a module for each chapter in `folder` and below, its name that of the file behind `prefix`.
fn chapters(folder: &Path, prefix: &str, modules: &mut String) -> io::Result<()> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{prefix}_{}", stem.replace(|c: char| !c.is_alphanumeric(), "_"));
        if path.is_dir() {
            chapters(&path, &name, modules)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            *modules += &format!("#[doc = include_str!({path:?})]\nmod {name} {{}}\n");
        }
    }
    Ok(())
}
