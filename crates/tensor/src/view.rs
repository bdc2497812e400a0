//! Contiguous numbers read as an array.
//!
//! As `ndarray`'s own `from_shape` for a row-major matrix, but that a wrong length is a panic and no error: there is
//! one product to compare, and no strides to check.

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};

/// Checks what `ndarray` requires of an unchecked view: as many numbers as there are, and no axis too long to be counted.
#[inline]
fn check(numbers: usize, rows: usize, columns: usize) {
    let countable = numbers.max(rows).max(columns) <= isize::MAX as usize;
    let fits = countable && rows.checked_mul(columns) == Some(numbers);
    assert!(fits, "{FITS}");
}

const FITS: &str = "an array holds as many numbers as its axes say";

/// Views the numbers as a matrix, row by row.
///
/// ```
/// use downhill_tensor::view;
/// assert_eq!(view::matrix(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3))[[1, 0]], 4.0);
/// ```
///
/// # Panics
/// If there are more or fewer numbers than rows times columns.
#[inline]
#[must_use]
pub fn matrix<T>(numbers: &[T], (rows, columns): (usize, usize)) -> ArrayView2<'_, T> {
    check(numbers.len(), rows, columns);
    // SAFETY: the slice holds that many numbers, and is borrowed for as long as the view.
    unsafe { ArrayView2::from_shape_ptr((rows, columns), numbers.as_ptr()) }
}

/// Views the numbers as a mutable matrix, row by row.
///
/// # Panics
/// As for [`matrix`].
#[inline]
#[must_use]
pub fn matrix_mut<T>(numbers: &mut [T], (rows, columns): (usize, usize)) -> ArrayViewMut2<'_, T> {
    check(numbers.len(), rows, columns);
    // SAFETY: as above, and nothing else borrows them.
    unsafe { ArrayViewMut2::from_shape_ptr((rows, columns), numbers.as_mut_ptr()) }
}

/// Views the numbers as an array of three axes, the last of which lies contiguously.
///
/// # Panics
/// If there are more or fewer numbers than the axes say.
#[inline]
#[must_use]
pub fn array3<T>(numbers: &[T], axes: (usize, usize, usize)) -> ArrayView3<'_, T> {
    match ArrayView3::from_shape(axes, numbers) {
        Ok(view) if view.len() == numbers.len() => view,
        _ => panic!("{FITS}"),
    }
}

/// Views the numbers as a mutable array of three axes, the last of which lies contiguously.
///
/// # Panics
/// If there are more or fewer numbers than the axes say.
#[inline]
#[must_use]
pub fn array3_mut<T>(numbers: &mut [T], axes: (usize, usize, usize)) -> ArrayViewMut3<'_, T> {
    let len = numbers.len();
    match ArrayViewMut3::from_shape(axes, numbers) {
        Ok(view) if view.len() == len => view,
        _ => panic!("{FITS}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_one_after_the_other() {
        let mut numbers: Vec<usize> = (0..12).collect();
        matrix_mut(&mut numbers, (3, 4))[[2, 1]] = 90;
        let view = matrix(&numbers, (3, 4));
        assert_eq!(view, ArrayView2::from_shape((3, 4), &numbers).unwrap());
        assert_eq!(view[[2, 1]], 90);
        assert!(view.is_standard_layout());
        for (rows, columns) in [(0, 5), (5, 0), (0, 0), (0, isize::MAX as usize)] {
            assert_eq!(matrix::<f32>(&[], (rows, columns)).dim(), (rows, columns));
        }
    }

    #[test]
    #[should_panic(expected = "as many numbers as its axes say")]
    fn a_wrong_length_is_refused() {
        let _ = matrix(&[1.0; 5], (2, 3));
    }

    #[test]
    #[should_panic(expected = "as many numbers as its axes say")]
    fn a_product_that_overflows_is_refused() {
        let _ = matrix::<f32>(&[], (isize::MAX as usize + 1, 2));
    }
}
