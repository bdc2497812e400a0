use downhill_tensor::Scalar;

use super::input::{Encoding, Input, cell_error, number};
use super::rows::missing_value;
use super::{Goal, Schema};
use crate::table::Header;
use crate::{DataError, Targets};

/// A schema that knows the places of its columns, and so makes examples of rows one by one.
///
/// What it makes is what [`Schema::dataset`] makes of a table of the same rows.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    schema: Schema,
    /// The place of each input column, and of each target column.
    inputs: Vec<usize>,
    targets: Vec<usize>,
    /// Whether a cell that reads as a finite number can't be a marker of a missing value.
    numbers_are_present: bool,
}

/// Something in a row that must be looked at with care: a gap, or what can't be read.
struct Unusual;

impl Encoder {
    pub(crate) fn new(schema: Schema, header: &Header) -> Result<Self, DataError> {
        let inputs = schema.input_columns().map(|column| header.place(column)).collect::<Result<_, _>>()?;
        let targets = schema.target_columns().map(|column| header.place(column)).collect::<Result<_, _>>()?;
        let numbers_are_present = !schema.markers.iter().any(|marker| finite::<f64>(marker).is_some());
        Ok(Self { schema, inputs, targets, numbers_are_present })
    }

    /// Appends the features and the targets of a row, or returns `false` if the schema leaves it out.
    /// After an error, features and targets may have some of the row at their end.
    pub(crate) fn encode<'c, T: Scalar>(
        &self,
        line: Option<u64>,
        cell: impl Fn(usize) -> &'c str + Copy,
        features: &mut Vec<T>,
        targets: &mut Targets<T>,
    ) -> Result<bool, DataError> {
        let (feature_count, target_count) = (features.len(), targets.len());
        if self.encode_usual(cell, features, targets).is_ok() {
            return Ok(true);
        }
        features.truncate(feature_count);
        match targets {
            Targets::Values { values, .. } => values.truncate(target_count),
            Targets::Classes { labels, .. } => labels.truncate(target_count),
        }
        self.encode_any(line, cell, features, targets)
    }

    /// Encodes a row in which all is present and known, with as few questions as can be.
    fn encode_usual<'c, T: Scalar>(
        &self,
        cell: impl Fn(usize) -> &'c str,
        features: &mut Vec<T>,
        targets: &mut Targets<T>,
    ) -> Result<(), Unusual> {
        let present = |cell: &'c str| if self.schema.markers.contains(cell) { Err(Unusual) } else { Ok(cell) };
        let number = |cell: &'c str| {
            let x = finite(cell).ok_or(Unusual)?;
            if !self.numbers_are_present {
                present(cell)?;
            }
            Ok(x)
        };
        for (input, &place) in self.schema.inputs.iter().zip(&self.inputs) {
            if let Input { encoding: Encoding::Numeric, indicator, .. } = input {
                features.push(number(cell(place))?);
                features.extend(indicator.then_some(T::ZERO));
            } else {
                input.encode(None, present(cell(place))?, false, features).map_err(|_| Unusual)?;
            }
        }
        match (&self.schema.goal, targets) {
            (Goal::Class { classes, .. }, Targets::Classes { labels, .. }) => {
                for &place in &self.targets {
                    let class = classes.position(present(cell(place))?).ok_or(Unusual)?;
                    labels.push(class as u32);
                }
            }
            (_, Targets::Values { values, .. }) => {
                for &place in &self.targets {
                    values.push(number(cell(place))?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Encodes any row as [`Schema::dataset`] does, with its errors.
    fn encode_any<'c, T: Scalar>(
        &self,
        line: Option<u64>,
        cell: impl Fn(usize) -> &'c str + Copy,
        features: &mut Vec<T>,
        targets: &mut Targets<T>,
    ) -> Result<bool, DataError> {
        let Self { schema, inputs, targets: places, .. } = self;
        let places_by_name = || schema.input_columns().zip(inputs).chain(schema.target_columns().zip(places));
        let place = |column: &str| places_by_name().find(|(name, _)| *name == column).map_or(0, |(_, &place)| place);
        let gaps = || schema.needed().filter(|(column, _)| schema.markers.contains(cell(place(column))));
        if gaps().any(|(_, drop)| drop) {
            return Ok(false);
        }
        if let Some((column, _)) = gaps().next() {
            return Err(missing_value(column, line, cell(place(column))));
        }
        schema.encode(line, inputs.iter().map(|&place| cell(place)), features)?;
        for (column, &place) in schema.target_columns().zip(places) {
            match (&schema.goal, &mut *targets) {
                (Goal::Class { classes, .. }, Targets::Classes { labels, .. }) => {
                    let index = classes.index(cell(place)).map_err(|cause| cell_error(column, line, cause))?;
                    labels.push(index as u32);
                }
                (_, Targets::Values { values, .. }) => values.push(number(column, line, cell(place))?),
                _ => {}
            }
        }
        Ok(true)
    }
}

/// The number that a cell holds, if it is finite in `T`.
fn finite<T: Scalar>(cell: &str) -> Option<T> {
    cell.parse().ok().map(T::from_f64).filter(|x| x.is_finite())
}
