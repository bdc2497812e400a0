use downhill_data::{Schema, Table};
use downhill_tensor::Scalar;
use ndarray::{Array2, ArrayBase, ArrayRef, CowArray, Data, Dimension, IxDyn};

use crate::ModelError;

/// What a model can be asked about: the inputs of one row or several.
///
/// | what | columns |
/// |---|---|
/// | a reference to a [`Table`] | by name, as the model's schema has learnt them |
/// | a record: `[(column, cell); N]`, or a slice or `Vec` of such pairs | the same |
/// | records: a slice or `Vec` of records | the same |
/// | a reference to an array of `ndarray`, whose first axis counts the rows | features in their order and units |
/// | a tuple of two or three such arrays | one for each input of the network |
///
/// A cell is text, as in a table. Features are numbers before the model scales them.
pub trait Rows<T> {
    /// The array of each input, in standard layout, whose first axis counts the rows; features are not scaled yet.
    ///
    /// # Errors
    /// Returns an error if a column is missing or a cell can't be read, or there is no schema to read them by.
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError>;
}

impl<T, R: Rows<T> + ?Sized> Rows<T> for &R {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        (**self).inputs(schema)
    }
}

fn needed(schema: Option<&Schema>) -> Result<&Schema, ModelError> {
    let reason = "the model has none, so that it can't read columns by name; give it an array of features";
    schema.ok_or(ModelError::Part { part: "the schema", reason })
}

impl<T: Scalar> Rows<T> for Table {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        Ok(vec![needed(schema)?.inputs(self)?.into_dyn().into()])
    }
}

/// The inputs of records that are lists of columns and cells.
fn records<'r, T: Scalar>(
    records: impl Iterator<Item = &'r [(&'r str, &'r str)]>,
    schema: Option<&Schema>,
) -> Result<Vec<CowArray<'static, T, IxDyn>>, ModelError> {
    let schema = needed(schema)?;
    let (mut numbers, mut rows) = (Vec::new(), 0);
    for record in records {
        numbers.append(&mut schema.transform(record)?);
        rows += 1;
    }
    let features = numbers.len().checked_div(rows).unwrap_or_else(|| schema.feature_names().len());
    match Array2::from_shape_vec((rows, features), numbers) {
        Ok(array) => Ok(vec![array.into_dyn().into()]),
        Err(error) => unreachable!("every record has as many features: {error}"),
    }
}

impl<T: Scalar> Rows<T> for [(&str, &str)] {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        records(std::iter::once(self), schema)
    }
}

impl<T: Scalar, const N: usize> Rows<T> for [(&str, &str); N] {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        self.as_slice().inputs(schema)
    }
}

impl<T: Scalar> Rows<T> for Vec<(&str, &str)> {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        self.as_slice().inputs(schema)
    }
}

impl<T: Scalar, const N: usize> Rows<T> for [[(&str, &str); N]] {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        records(self.iter().map(<[_; N]>::as_slice), schema)
    }
}

impl<T: Scalar, const N: usize, const M: usize> Rows<T> for [[(&str, &str); N]; M] {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        self.as_slice().inputs(schema)
    }
}

impl<T: Scalar> Rows<T> for [Vec<(&str, &str)>] {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        records(self.iter().map(Vec::as_slice), schema)
    }
}

impl<T: Scalar> Rows<T> for Vec<Vec<(&str, &str)>> {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        self.as_slice().inputs(schema)
    }
}

impl<T: Scalar, D: Dimension> Rows<T> for ArrayRef<T, D> {
    fn inputs(&self, _: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        Ok(vec![self.as_standard_layout().into_dyn()])
    }
}

impl<T: Scalar, S: Data<Elem = T>, D: Dimension> Rows<T> for ArrayBase<S, D> {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        Rows::inputs(&**self, schema)
    }
}

macro_rules! several_inputs {
    ($($Input:ident: $index:tt),*) => {
        impl<T: Scalar, $($Input: Rows<T>),*> Rows<T> for ($($Input,)*) {
            fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
                let mut inputs = Vec::new();
                $(inputs.append(&mut self.$index.inputs(schema)?);)*
                Ok(inputs)
            }
        }
    };
}

several_inputs!(A: 0, B: 1);
several_inputs!(A: 0, B: 1, C: 2);
