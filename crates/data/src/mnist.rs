use std::path::{Path, PathBuf};

use downhill_tensor::Scalar;
use ndarray::ArrayD;

use crate::{DataError, Dataset, Elements, RawArray, Targets, idx};

/// Reads MNIST, or any other data set in MNIST's four IDX files: the examples to train on and those to test with.
///
/// Inputs are the pixels of an image, row after row, divided by 255;
/// `.reshape([1, 28, 28])` makes them images for convolutions.
/// Each file may be plain or, with `.gz` after its name, compressed.
///
/// `cargo xtask data mnist`, run in this project's repository, fetches the files into `data/mnist`.
///
/// ```no_run
/// let (train, test) = downhill_data::mnist::<f32>("data/mnist")?;
/// assert_eq!((train.len(), test.len(), train.input_shape().len()), (60_000, 10_000, 784));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
///
/// # Errors
/// Returns an error if a file is missing, damaged, or does not belong to the others.
pub fn mnist<T: Scalar>(folder: impl AsRef<Path>) -> Result<(Dataset<T>, Dataset<T>), DataError> {
    let folder = folder.as_ref();
    let (train_pixels, train_labels) = part(folder, TRAIN)?;
    let (test_pixels, test_labels) = part(folder, TEST)?;
    let classes = train_labels.iter().chain(&test_labels).max().map_or(0, |&label| label as usize + 1);
    let dataset = |name: &str, pixels: ArrayD<T>, labels| {
        let images = || {
            let images = Dataset::from_array(pixels, Targets::classes(labels, classes))?;
            let pixels = images.input_shape().len();
            images.reshape([pixels])?.map_inputs(|x| x / T::from_f64(255.0))
        };
        images().map_err(|error: DataError| error.in_file(folder.join(format!("{name}-*"))))
    };
    Ok((dataset(TRAIN, train_pixels, train_labels)?, dataset(TEST, test_pixels, test_labels)?))
}

/// The start of the names of the files.
const TRAIN: &str = "train";
const TEST: &str = "t10k";

/// Reads the images and the labels of one part.
fn part<T: Scalar>(folder: &Path, name: &str) -> Result<(ArrayD<T>, Vec<u32>), DataError> {
    let (path, images) = read(folder, &format!("{name}-images-idx3-ubyte"))?;
    if !matches!(images.elements(), Elements::U8(_)) {
        let reason = "speaks of elements other than bytes, which are no pixels as MNIST's are".into();
        return Err(DataError::Header { format: "IDX", reason }.in_file(path));
    }
    let (path, labels) = read(folder, &format!("{name}-labels-idx1-ubyte"))?;
    let labels = labels.to_labels().map_err(|error| error.in_file(path))?;
    Ok((images.to_array(), labels))
}

/// Reads the file of this name, or the compressed one.
fn read(folder: &Path, name: &str) -> Result<(PathBuf, RawArray), DataError> {
    let plain = folder.join(name);
    let compressed = folder.join(format!("{name}.gz"));
    let path = if plain.exists() || !compressed.exists() { plain } else { compressed };
    if !path.exists() {
        let hint =
            "`cargo xtask data mnist`, run in the repository of downhill, fetches MNIST's four files into `data/mnist`";
        return Err(DataError::MissingFile { path, hint });
    }
    let array = idx::read_path(&path)?;
    Ok((path, array))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn idx_bytes(axes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, axes.len() as u8];
        bytes.extend(axes.iter().flat_map(|axis| axis.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    /// Two images of 2x3 to train on, one to test with.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
        write("train-images-idx3-ubyte", idx_bytes(&[2, 2, 3], &[0, 51, 102, 153, 204, 255, 1, 1, 1, 1, 1, 1]));
        write("train-labels-idx1-ubyte", idx_bytes(&[2], &[1, 0]));
        write("t10k-images-idx3-ubyte", idx_bytes(&[1, 2, 3], &[255; 6]));
        write("t10k-labels-idx1-ubyte", idx_bytes(&[1], &[4]));
        folder
    }

    #[test]
    fn four_files_are_two_data_sets() {
        let folder = folder();
        let (train, test) = mnist::<f64>(folder.path()).unwrap();
        assert_eq!(train.inputs().example(0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!((train.len(), test.len(), train.input_shape().axes()), (2, 1, &[6][..]));
        // The largest label of either part counts.
        assert_eq!((train.classes(), test.classes()), (Some(5), Some(5)));
        assert_eq!(train.reshape([1, 2, 3]).unwrap().inputs().images().dim(), (2, 1, 2, 3));
    }

    #[test]
    fn compressed_files_are_found() {
        let folder = folder();
        let plain = folder.path().join("train-images-idx3-ubyte");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &fs::read(&plain).unwrap()).unwrap();
        fs::write(folder.path().join("train-images-idx3-ubyte.gz"), encoder.finish().unwrap()).unwrap();
        let expected = mnist::<f32>(folder.path()).unwrap();
        fs::remove_file(plain).unwrap();
        assert_eq!(mnist::<f32>(folder.path()).unwrap(), expected);
    }

    #[test]
    fn a_missing_file_says_how_to_get_it() {
        let message = mnist::<f32>("no/such/folder").unwrap_err().to_string();
        assert_eq!(
            message.replace('\\', "/"),
            "`no/such/folder/train-images-idx3-ubyte` is not there; \
             `cargo xtask data mnist`, run in the repository of downhill, fetches MNIST's four files into `data/mnist`"
        );
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let folder = folder();
        fs::write(folder.path().join("t10k-labels-idx1-ubyte"), idx_bytes(&[2], &[1, 1])).unwrap();
        let message = mnist::<f32>(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("t10k-*`: 2 targets were given, but 1 examples with targets of shape scalar ask for 1"),
            "{message}"
        );
        let mut shorts = idx_bytes(&[1, 1, 1], &[0, 1]);
        shorts[2] = 0x0b;
        fs::write(folder.path().join("train-images-idx3-ubyte"), shorts).unwrap();
        let message = mnist::<f32>(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("train-images-idx3-ubyte`: the IDX header speaks of elements other than bytes"),
            "{message}"
        );
    }
}
