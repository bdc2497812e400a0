use std::collections::BTreeSet;
use std::fmt;

use crate::{DataError, Table};

/// The texts of cells whose value is missing.
pub(super) type Markers = BTreeSet<String>;

/// A row of a table that a schema leaves out, since it lacks a value.
///
/// ```
/// # use downhill_data::{Columns, Missing, Table};
/// let table = Table::read("x,y\n1,2\n,3\n".as_bytes())?;
/// let schema = Columns::for_values(["y"]).numeric(["x"]).missing(Missing::Drop).fit(&table)?;
/// for row in schema.dropped(&table)? {
///     assert_eq!(format!("left out: {row}"), "left out: line 3, which lacks `x`");
/// }
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedRow {
    /// The row of the table, counted from 0.
    pub row: usize,
    /// The line of the file that it starts on, counted from 1.
    pub line: u64,
    /// The first column whose value is missing and whose rule is to leave such rows out.
    pub column: String,
}

impl fmt::Display for DroppedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, which lacks `{}`", self.line, self.column)
    }
}

/// Selects the rows that have all the values that are needed; see [`sort_rows`].
pub(super) fn complete_rows<'n>(
    table: &Table,
    needed: impl Iterator<Item = (&'n str, bool)>,
    markers: &Markers,
) -> Result<Table, DataError> {
    let (kept, _) = sort_rows(table, needed, markers)?;
    if kept.is_empty() { Err(DataError::NoRows { rows: table.len() }) } else { Ok(table.gather(&kept)) }
}

/// Sorts the rows into those that have all the values that are needed and those that are left out.
///
/// `needed`: the columns, each with whether rows without a value are left out; otherwise such a row is an error,
/// unless it is left out for another column.
pub(super) fn sort_rows<'n>(
    table: &Table,
    needed: impl Iterator<Item = (&'n str, bool)>,
    markers: &Markers,
) -> Result<(Vec<usize>, Vec<DroppedRow>), DataError> {
    let place = |(column, drop)| Ok((column, drop, table.place(column)?));
    let needed = needed.map(place).collect::<Result<Vec<(&str, bool, usize)>, DataError>>()?;
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for (index, row) in table.rows().enumerate() {
        let gaps = || needed.iter().filter(|&&(_, _, place)| markers.contains(row.cell(place)));
        if let Some(&(column, _, _)) = gaps().find(|&&(_, drop, _)| drop) {
            dropped.push(DroppedRow { row: index, line: row.line(), column: column.to_owned() });
        } else if let Some(&(column, _, place)) = gaps().next() {
            return Err(missing_value(column, Some(row.line()), row.cell(place)));
        } else {
            kept.push(index);
        }
    }
    Ok((kept, dropped))
}

pub(super) fn missing_value(column: &str, line: Option<u64>, cell: &str) -> DataError {
    let advice = "choose a rule for missing values, such as `Missing::Drop` or `Missing::Fill`";
    DataError::MissingValue { line, column: column.to_owned(), text: cell.to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::testing::{columns, flowers, message};
    use crate::{Column, Columns, Dataset, Missing};
    use ndarray::array;

    #[test]
    fn rows_that_are_left_out_are_listed_and_the_others_keep_their_names() {
        let table =
            Table::read("name,x,z,y\np,1,1,1\nq,NA,1,1\nr,3,,3\ns,4,4,NA\nt,,,5\nu,6,6,6\n".as_bytes()).unwrap();
        let schema = Columns::for_values([Column::new("y").missing(Missing::Drop)])
            .numeric([Column::new("x").missing(Missing::Drop)])
            .numeric([Column::new("z").missing(Missing::Median)])
            .fit(&table)
            .unwrap();
        let dropped: Vec<_> =
            schema.dropped(&table).unwrap().into_iter().map(|row| (row.row, row.line, row.column)).collect();
        assert_eq!(dropped, [(1, 3, "x".into()), (3, 5, "y".into()), (4, 6, "x".into())]);
        let complete = schema.complete(&table).unwrap();
        assert_eq!(complete.column("name").unwrap().collect::<Vec<_>>(), ["p", "r", "u"]);
        let set: Dataset<f64> = schema.dataset(&table).unwrap();
        // The median of 1 and 6: rows that are left out are not learnt from.
        assert_eq!(set.inputs().matrix(), array![[1.0, 1.0], [3.0, 3.5], [6.0, 6.0]]);
        assert_eq!(set.len() + dropped.len(), table.len());

        let schema = Columns::for_values(["y"]).numeric([Column::new("x").missing(Missing::Drop)]);
        let message = message(schema.fit(&table));
        assert!(message.starts_with("the value of column `y` is missing on line 5 (`NA`);"), "{message}");
    }

    #[test]
    fn rows_with_gaps_can_be_left_out() {
        let schema = columns().missing(Missing::Drop).fit(&flowers()).unwrap();
        let set: Dataset<f64> = schema.dataset(&flowers()).unwrap();
        // `blue` and the class `a` are in rows that are left out, and so are no categories.
        assert_eq!(set.inputs().matrix(), array![[1.5, 1.0]]);
        assert_eq!((set.class_names(), set.feature_names()), (&["b".to_owned()][..], &schema.feature_names()[..]));
        assert_eq!(schema.feature_names(), ["height", "colour=red"]);
    }
}
