//! The checks of the library's own layers, blocks and losses: one entry for each.
//!
//! `cargo xtask gradcheck` runs them and prints a line for each.

use downhill_tensor::{Seed, Stream};

use crate::{GradcheckError, Report};

mod blocks;
mod layers;
mod losses;

/// A check of a layer, block or loss of the library.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name of the layer, block or loss.
    pub name: &'static str,
    /// The kind of what is checked.
    pub kind: Kind,
    check: fn(&mut Stream) -> Result<Report, GradcheckError>,
}

/// The kind of what an [`Entry`] checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A single layer.
    Layer,
    /// A wiring of layers.
    Block,
    /// A loss.
    Loss,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Layer => "layer",
            Self::Block => "block",
            Self::Loss => "loss",
        })
    }
}

impl Entry {
    /// Checks a number of random shapes and settings; the first have a batch of one and axes of length one.
    ///
    /// # Errors
    /// Returns an error if a check could not be made at all.
    pub fn run(&self, shapes: u64) -> Result<Report, GradcheckError> {
        let mut report = Report::new(self.name);
        for shape in 0..shapes {
            report.merge(&(self.check)(&mut Seed(shape).stream(0))?);
        }
        Ok(report)
    }
}

/// Lists all entries: layers first, then blocks, then losses, each in alphabetical order.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut layers = layers::ENTRIES.concat();
    layers.sort_by_key(|entry| entry.name);
    [&layers, blocks::ENTRIES, losses::ENTRIES].concat()
}

/// Draws a size from 1 to `most`.
fn size(stream: &mut Stream, most: usize) -> usize {
    1 + (stream.uniform() * most as f64) as usize
}

/// Draws one of several things.
fn choose<C: Copy>(stream: &mut Stream, among: &[C]) -> C {
    among[size(stream, among.len()) - 1]
}

/// Draws a number between two others.
fn between(stream: &mut Stream, low: f64, high: f64) -> f64 {
    low + (high - low) * stream.uniform()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::TOLERANCE;

    /// The types for which a crate's sources implement a trait, outside their tests.
    fn implementors(source: &Path, traits: &[&str]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for file in fs::read_dir(source).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                found.append(&mut implementors(&path, traits));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for line in code.lines() {
                for implemented in traits {
                    let Some(rest) = line.trim().strip_prefix(implemented) else { continue };
                    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    found.insert(name);
                }
            }
        }
        found
    }

    fn listed(kind: Kind) -> BTreeSet<String> {
        entries().iter().filter(|entry| entry.kind == kind).map(|entry| entry.name.to_owned()).collect()
    }

    #[test]
    fn every_layer_has_an_entry() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../layers/src");
        let mut layers = implementors(&source, &["impl Layer for ", "impl Activation for ", "activation!("]);
        layers.remove("Description"); // stands for all of them
        layers.retain(|name| !name.is_empty() && !name.starts_with('$'));
        layers.extend(downhill_layers::Description::NAMES.iter().map(|&name| name.to_owned()));
        assert_eq!(layers, listed(Kind::Layer));
        assert_eq!(layers.len(), downhill_layers::Description::NAMES.len());
    }

    #[test]
    fn every_loss_has_an_entry() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../losses/src");
        let traits = ["impl Loss for ", "loss_from_evaluate!(", "impl PointwiseLoss for "];
        let mut losses = implementors(&source, &traits);
        losses.retain(|name| !name.is_empty());
        assert!(losses.len() >= 5, "{losses:?}");
        let listed = listed(Kind::Loss);
        let missing: Vec<_> = losses.difference(&listed).collect();
        assert!(missing.is_empty(), "without a gradient check: {missing:?}");
    }

    #[test]
    fn every_block_has_an_entry() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../network/src");
        let text = fs::read_to_string(source.join("block.rs")).unwrap();
        let code = text.lines().filter(|line| line.starts_with("impl"));
        let blocks = code
            .filter_map(|line| line.split_once(" Block for "))
            .map(|(_, block)| block.chars().take_while(|c| c.is_alphanumeric()).collect::<String>());
        let listed = listed(Kind::Block);
        for block in blocks.filter(|block| !["L", "Box"].contains(&block.as_str())) {
            assert!(listed.iter().any(|entry| entry.starts_with(&block)), "{block} has no gradient check");
        }
    }

    #[test]
    fn every_entry_passes() {
        for entry in entries() {
            let report = entry.run(12).unwrap();
            assert!(report.passes(TOLERANCE), "{report}");
        }
    }
}
