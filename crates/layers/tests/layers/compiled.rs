//! Whether each layer's passes are compiled with this crate.

use std::fs;
use std::path::Path;

/// Calls `visit` with the text of every source of this crate.
fn sources(folder: &Path, visit: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, visit);
        } else {
            visit(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_layer_is_compiled_here() {
    let mut layers = 0;
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, source| {
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            let line = line.trim_start();
            if ["impl Layer for ", "impl Activation for ", "impl Cell<"].iter().any(|start| line.starts_with(start)) {
                let first = lines.next().unwrap_or_default().trim_start();
                assert!(first.starts_with("compiled!("), "{}: `{line}` does not begin so", path.display());
                layers += 1;
            }
        }
    });
    assert!(layers > 40, "only {layers} layers were found");
}
