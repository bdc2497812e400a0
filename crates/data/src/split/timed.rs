//! Splits by time: what validates comes after what trains.

use std::ops::Range;

use super::{check_enough, check_folds, check_fraction, share};
use crate::DataError;

/// The examples in front of a gap and those after it; an error calls them `what`.
pub(crate) fn time_halves(
    what: &str,
    examples: usize,
    fraction: f64,
    gap: usize,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    check_fraction(fraction)?;
    check_enough(what, examples, gap.saturating_add(2))?;
    let end = share(fraction, examples - gap);
    Ok(((0..end).collect(), (end + gap..examples).collect()))
}

/// For each fold the end of the examples that train, and those that validate.
pub(crate) fn time_folds(
    what: &'static str,
    examples: usize,
    count: usize,
    gap: usize,
) -> Result<Vec<(usize, Range<usize>)>, DataError> {
    check_folds(count)?;
    let window = examples / count.saturating_add(1);
    let first = examples - count.saturating_mul(window);
    if window == 0 || first <= gap {
        return Err(DataError::TimeFolds { what, examples, folds: count, gap });
    }
    let starts = (first..examples).step_by(window);
    Ok(starts.map(|start| (start - gap, start..start + window)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_trains_and_the_future_validates() {
        for (examples, fraction, gap) in [(10, 0.8, 0), (10, 0.8, 3), (2, 0.1, 0), (5, 0.9, 3), (1000, 0.5, 17)] {
            let (first, second) = time_halves("the data set", examples, fraction, gap).unwrap();
            assert_eq!(first, (0..first.len()).collect::<Vec<_>>());
            assert_eq!(second, (first.len() + gap..examples).collect::<Vec<_>>());
            assert!(!first.is_empty() && !second.is_empty());
            let wanted = fraction * (examples - gap) as f64;
            assert!((first.len() as f64 - wanted).abs() <= 0.5 || first.len() == 1 || second.len() == 1);
        }
    }

    #[test]
    fn windows_follow_each_other_to_the_end_and_never_train_on_what_comes_later() {
        for (examples, count, gap) in [(12, 3, 0), (13, 3, 2), (100, 9, 5), (3, 2, 0), (101, 7, 1)] {
            let folds = time_folds("the data set", examples, count, gap).unwrap();
            assert_eq!(folds.len(), count);
            assert_eq!(folds.last().unwrap().1.end, examples);
            assert!(folds.iter().all(|(end, window)| *end > 0 && window.len() == examples / (count + 1)));
            assert!(folds.iter().all(|(end, window)| end + gap == window.start));
            assert!(folds.windows(2).all(|pair| pair[0].1.end == pair[1].1.start));
        }
    }

    #[test]
    fn what_leaves_a_part_empty_is_refused() {
        let message = |count, gap| time_folds("the data set", 10, count, gap).unwrap_err().to_string();
        assert_eq!(
            message(4, 2),
            "the data set has 10 examples, too few for 4 folds by time with a gap of 2 in front of each; \
             ask for fewer folds or a smaller gap"
        );
        assert!(message(10, 0).contains("too few for 10 folds"));
        assert!(message(usize::MAX, usize::MAX).contains("too few for"));
        assert!(message(1, 0).starts_with("a cross-validation needs 2 folds or more"));
        let split = |fraction, gap| time_halves("the table", 10, fraction, gap).unwrap_err().to_string();
        assert_eq!(split(0.5, 9), "the table has 10 of the 11 examples that it needs for every part to get one");
        assert!(split(0.5, usize::MAX).contains(&usize::MAX.to_string()));
        assert!(split(1.0, 0).starts_with("the fraction of a split"));
        assert!(time_folds("the data set", 0, 2, 0).is_err());
    }
}
