use downhill_tensor::Scalar;

use crate::{DataError, Dataset, Targets, idx};

/// `assets/pack_digits.py` makes both from the source that `assets/README.md` names.
static IMAGES: &[u8] = include_bytes!("../assets/digits-images-idx3-ubyte.gz");
static LABELS: &[u8] = include_bytes!("../assets/digits-labels-idx1-ubyte.gz");

/// 1,797 handwritten digits of 8x8 pixels, embedded in the program.
///
/// Inputs are the 64 pixels, row after row, from 0 (paper) to 1 (ink): the file's 0 to 16, divided by 16.
/// `.reshape([1, 8, 8])` makes them images for convolutions.
/// scikit-learn's `load_digits` has the same examples in the same order, not divided.
///
/// Source: Alpaydin and Kaynak (1998), "Optical Recognition of Handwritten Digits",
/// UCI Machine Learning Repository, doi:10.24432/C50P49; licence CC BY 4.0.
///
/// ```
/// let digits = downhill_data::digits::<f32>()?;
/// assert_eq!((digits.len(), digits.input_shape().axes(), digits.classes()), (1797, &[64][..], Some(10)));
/// let images = digits.reshape([1, 8, 8])?;
/// assert_eq!(images.inputs().images().dim(), (1797, 1, 8, 8));
/// # Ok::<(), downhill_data::DataError>(())
/// ```
///
/// # Errors
/// Returns an error if the program is damaged.
pub fn digits<T: Scalar>() -> Result<Dataset<T>, DataError> {
    let images = idx::read(IMAGES)?.to_array();
    let labels = idx::read(LABELS)?.to_labels()?;
    Dataset::from_array(images, Targets::classes(labels, 10))?.reshape([64])?.map_inputs(|x| x / T::from_f64(16.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    #[test]
    fn the_digits_are_those_of_the_source() {
        let digits = digits::<f64>().unwrap();
        // The first line of the source's table.
        let zero = [
            0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0, 0,
            5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0,
        ];
        assert!(digits.inputs().example(0).iter().zip(zero).all(|(&x, pixel)| x * 16.0 == f64::from(pixel)));
        let ink: f64 = digits.inputs().slice().iter().sum();
        assert_eq!(ink * 16.0, 561_718.0);
        let Target::Classes(labels) = digits.targets() else { unreachable!() };
        let count = |class| labels.iter().filter(|&&label| label == class).count();
        assert_eq!(
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
            std::array::from_fn(|class| count(class as u32))
        );
        assert_eq!((&labels[..12], labels[1796]), (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1][..], 8));
    }
}
