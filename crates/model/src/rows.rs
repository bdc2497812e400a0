use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use downhill_data::{Schema, Table};
use downhill_tensor::Scalar;
use ndarray::{Array2, ArrayBase, ArrayRef, CowArray, Data, Dimension, IxDyn};

use crate::ModelError;

/// What a model can be asked about: the inputs of one row or several.
///
/// | what | columns |
/// |---|---|
/// | a reference to a [`Table`] | by name, as the model's schema has learnt them |
/// | a record: pairs `(column, cell)` in an array, slice or `Vec`, or a `BTreeMap` or `HashMap` of them | the same |
/// | records: an array, slice or `Vec` of records | the same |
/// | a reference to an array of `ndarray`, whose first axis counts the rows | features in their order and units |
/// | a tuple of two or three such arrays | one for each input of the network |
///
/// A column and a cell are text, such as `&str` or `String`. Features are numbers before the model scales them.
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

/// The inputs of records, each of columns and their cells.
fn records<'r, T: Scalar, R: IntoIterator<Item = (&'r str, &'r str)>>(
    records: impl Iterator<Item = R>,
    schema: Option<&Schema>,
) -> Result<Vec<CowArray<'static, T, IxDyn>>, ModelError> {
    let schema = needed(schema)?;
    let (mut numbers, mut record, mut rows) = (Vec::new(), Vec::new(), 0);
    for cells in records {
        record.clear();
        record.extend(cells);
        numbers.append(&mut schema.transform(&record)?);
        rows += 1;
    }
    let features = numbers.len().checked_div(rows).unwrap_or_else(|| schema.feature_names().len());
    match Array2::from_shape_vec((rows, features), numbers) {
        Ok(array) => Ok(vec![array.into_dyn().into()]),
        Err(error) => unreachable!("every record has as many features: {error}"),
    }
}

/// The cells of a record whose columns and cells are texts of any kind, such as `String`.
fn cells<'r, K: AsRef<str> + 'r, V: AsRef<str> + 'r>(
    record: impl IntoIterator<Item = (&'r K, &'r V)>,
) -> impl Iterator<Item = (&'r str, &'r str)> {
    record.into_iter().map(|(column, cell)| (column.as_ref(), cell.as_ref()))
}

fn pairs<K: AsRef<str>, V: AsRef<str>>(record: &[(K, V)]) -> impl Iterator<Item = (&str, &str)> {
    cells(record.iter().map(|(column, cell)| (column, cell)))
}

/// One record of a type, and several of them in an array, a slice or a `Vec`.
macro_rules! record {
    ([$($generics:tt)*] $Record:ty, $cells:expr) => {
        impl<T: Scalar, K: AsRef<str>, V: AsRef<str>, $($generics)*> Rows<T> for $Record {
            fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
                records(std::iter::once($cells(self)), schema)
            }
        }

        impl<T: Scalar, K: AsRef<str>, V: AsRef<str>, $($generics)*> Rows<T> for [$Record] {
            fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
                records(self.iter().map(|record| $cells(record)), schema)
            }
        }

        impl<T: Scalar, K: AsRef<str>, V: AsRef<str>, $($generics)*> Rows<T> for Vec<$Record> {
            fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
                self.as_slice().inputs(schema)
            }
        }

        impl<T: Scalar, K: AsRef<str>, V: AsRef<str>, const M: usize, $($generics)*> Rows<T> for [$Record; M] {
            fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
                self.as_slice().inputs(schema)
            }
        }
    };
}

record!([const N: usize] [(K, V); N], pairs);
record!([] Vec<(K, V)>, pairs);
record!([] BTreeMap<K, V>, cells);
record!([S: BuildHasher] HashMap<K, V, S>, cells);

impl<T: Scalar, K: AsRef<str>, V: AsRef<str>> Rows<T> for [(K, V)] {
    fn inputs(&self, schema: Option<&Schema>) -> Result<Vec<CowArray<'_, T, IxDyn>>, ModelError> {
        records(std::iter::once(pairs(self)), schema)
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
