//! Histograms as TensorBoard's own summaries make them.

use downhill_tensor::Scalar;

use super::proto::Tensor;

pub(crate) const BUCKETS: usize = 30;

/// The rows (left, right, count) of buckets of one width from the smallest number to the largest. Numbers that are not
/// finite are left out; if all are equal, all buckets are at that number and the last one counts them.
pub(crate) fn histogram<T: Scalar>(numbers: &[T]) -> Tensor {
    let finite = || numbers.iter().map(|x| x.to_f64()).filter(|x| x.is_finite());
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    finite().for_each(|x| (low, high) = (low.min(x), high.max(x)));
    if low > high {
        return Tensor::doubles(&[BUCKETS, 3], [0.0; 3 * BUCKETS]);
    }
    let width = high / BUCKETS as f64 - low / BUCKETS as f64;
    let mut counts = [0_u64; BUCKETS];
    for x in finite() {
        // Within rounding the largest number lies at the end of the last bucket.
        let index = if width > 0.0 { ((x - low) / width) as usize } else { BUCKETS };
        counts[index.min(BUCKETS - 1)] += 1;
    }
    let edge = |index: usize| if index == BUCKETS { high } else { low + index as f64 * width };
    let rows = counts.iter().enumerate().flat_map(|(i, &count)| [edge(i), edge(i + 1), count as f64]);
    Tensor::doubles(&[BUCKETS, 3], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[f64]) -> Vec<[f64; 3]> {
        let content = histogram(numbers).content;
        let numbers: Vec<f64> = content.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        numbers.as_chunks::<3>().0.to_vec()
    }

    #[test]
    fn buckets_have_one_width_and_count_every_finite_number() {
        let numbers: Vec<f64> = (0..=300).map(|i| f64::from(i) / 10.0).collect();
        let rows = rows(&[&numbers[..], &[f64::NAN, f64::INFINITY]].concat());
        assert_eq!((rows.len(), rows[0][0], rows[29][1]), (BUCKETS, 0.0, 30.0));
        assert!(rows.windows(2).all(|pair| pair[0][1] == pair[1][0]));
        assert_eq!(rows.iter().map(|row| row[2]).sum::<f64>(), 301.0);
        assert_eq!(rows[29][2], 11.0, "the largest number is in the last bucket");
    }

    #[test]
    fn edges_are_those_of_numbers_that_are_equal_missing_or_huge() {
        assert!(rows(&[]).iter().all(|row| *row == [0.0; 3]));
        let equal = rows(&[2.0; 5]);
        assert!(equal[..29].iter().all(|row| *row == [2.0, 2.0, 0.0]));
        assert_eq!(equal[29], [2.0, 2.0, 5.0]);
        let huge = rows(&[f64::MIN, 0.0, f64::MAX]);
        assert_eq!((huge[0][0], huge[29][1]), (f64::MIN, f64::MAX));
        assert_eq!(huge.iter().map(|row| row[2]).sum::<f64>(), 3.0);
    }
}
