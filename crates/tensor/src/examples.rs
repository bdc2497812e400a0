use ndarray::{ArrayBase, ArrayRef, ArrayView, ArrayView1, ArrayView2, CowArray, Data, Dimension, IxDyn};

use crate::{Batch, ShapeError};

/// The input of a network or a layer: an array whose first axis counts the examples, or several such arrays.
///
/// | what | for |
/// |---|---|
/// | a reference to an array or a view of `ndarray`, in any layout | one input |
/// | a [`Batch`] | one input |
/// | rows: `[[T; N]; M]`, `Vec<[T; N]>`, `Vec<Vec<T>>` and slices of them | one input of vectors |
/// | numbers: `[T; N]`, `Vec<T>` and slices | one input of one number for each example |
/// | a tuple of up to four of these, or a slice of views | several inputs, in their order |
///
/// ```
/// use downhill_tensor::Examples;
/// use ndarray::array;
///
/// let images = array![[[1.0, 2.0], [3.0, 4.0]]];
/// assert_eq!(images.arrays()?[0].shape(), [1, 2, 2]);
/// assert_eq!(Examples::<f64>::arrays(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])?[0].shape(), [3, 2]);
/// assert_eq!((&images, [[5.0]]).arrays()?.len(), 2);
/// # Ok::<(), downhill_tensor::ShapeError>(())
/// ```
pub trait Examples<T> {
    /// Adds the array of each input to `arrays`, in order.
    ///
    /// # Errors
    /// Returns an error if rows are not equally long.
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError>;

    /// The array of each input, in order.
    ///
    /// # Errors
    /// Returns an error if rows are not equally long.
    fn arrays(&self) -> Result<Vec<CowArray<'_, T, IxDyn>>, ShapeError> {
        let mut arrays = Vec::with_capacity(1);
        self.push_to(&mut arrays)?;
        Ok(arrays)
    }
}

impl<T, E: Examples<T> + ?Sized> Examples<T> for &E {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        (**self).push_to(arrays)
    }
}

impl<T, S: Data<Elem = T>, D: Dimension> Examples<T> for ArrayBase<S, D> {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        arrays.push(self.view().into_dyn().into());
        Ok(())
    }
}

impl<T, D: Dimension> Examples<T> for ArrayRef<T, D> {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        arrays.push(self.view().into_dyn().into());
        Ok(())
    }
}

impl<T> Examples<T> for Batch<'_, T> {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        arrays.push(self.array().into());
        Ok(())
    }
}

impl<T> Examples<T> for [T] {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        arrays.push(ArrayView1::from(self).into_dyn().into());
        Ok(())
    }
}

impl<T, const N: usize> Examples<T> for [[T; N]] {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        arrays.push(ArrayView2::from(self).into_dyn().into());
        Ok(())
    }
}

impl<T: Copy> Examples<T> for [Vec<T>] {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        let expected = self.first().map_or(0, Vec::len);
        if let Some((index, row)) = self.iter().enumerate().find(|(_, row)| row.len() != expected) {
            let what = format!("row {index}, where the first row").into();
            return Err(ShapeError::Length { what, expected, got: row.len() });
        }
        let numbers: Vec<T> = self.iter().flatten().copied().collect();
        let array = ndarray::ArrayD::from_shape_vec(vec![self.len(), expected], numbers);
        arrays.push(array.map_err(|_| ShapeError::Memory { what: "rows".into(), bytes: usize::MAX })?.into());
        Ok(())
    }
}

impl<T, D: Dimension> Examples<T> for [ArrayView<'_, T, D>] {
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        self.iter().try_for_each(|view| view.push_to(arrays))
    }
}

impl<T, E, const N: usize> Examples<T> for [E; N]
where
    [E]: Examples<T>,
{
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        self.as_slice().push_to(arrays)
    }
}

impl<T, E> Examples<T> for Vec<E>
where
    [E]: Examples<T>,
{
    fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
        self.as_slice().push_to(arrays)
    }
}

macro_rules! several_inputs {
    ($($input:ident)*) => {
        impl<T, $($input: Examples<T>),*> Examples<T> for ($($input,)*) {
            #[expect(non_snake_case, reason = "each input bears the name of its type")]
            fn push_to<'a>(&'a self, arrays: &mut Vec<CowArray<'a, T, IxDyn>>) -> Result<(), ShapeError> {
                let ($($input,)*) = self;
                $($input.push_to(arrays)?;)*
                Ok(())
            }
        }
    };
}

several_inputs!(A B);
several_inputs!(A B C);
several_inputs!(A B C D);

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    fn shapes<T>(examples: impl Examples<T>) -> Vec<Vec<usize>> {
        examples.arrays().unwrap().iter().map(|array| array.shape().to_vec()).collect()
    }

    #[test]
    fn arrays_views_batches_and_rows_are_inputs() {
        let x = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let batch = Batch::new(&[1.0, 2.0, 3.0, 4.0], 1, [2, 2]).unwrap();
        assert_eq!(shapes::<f64>(&x), [[2, 3]]);
        assert_eq!(shapes::<f64>(x.t()), [[3, 2]]);
        assert_eq!(shapes::<f64>(x.slice(s![.., ..;2])), [[2, 2]]);
        assert_eq!(shapes::<f64>(&*x), [[2, 3]]);
        assert_eq!(shapes::<f64>(batch), [[1, 2, 2]]);
        assert_eq!(shapes::<f64>([[1.0, 2.0]]), [[1, 2]]);
        assert_eq!(shapes::<f64>([1.0, 2.0]), [[2]]);
        assert_eq!(shapes::<f64>(vec![[1.0], [2.0]]), [[2, 1]]);
        assert_eq!(shapes::<f64>(vec![vec![1.0, 3.0], vec![2.0, 4.0]]), [[2, 2]]);
        assert_eq!(shapes::<f64>((&x, &[[1.0]], batch)), [&[2, 3][..], &[1, 1], &[1, 2, 2]]);
        assert_eq!(shapes::<f64>(&[x.view(), x.view()][..]), [[2, 3], [2, 3]]);
    }

    #[test]
    fn rows_of_unequal_length_are_an_error() {
        let error = Examples::<f64>::arrays(&[vec![1.0, 2.0], vec![3.0]]).unwrap_err();
        assert_eq!(error.to_string(), "row 1, where the first row should hold 2 elements, but holds 1");
    }
}
