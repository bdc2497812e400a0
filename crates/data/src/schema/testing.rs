//! The table that the tests of several modules start from.

use super::{Column, Columns, Missing, Schema};
use crate::{DataError, Table};

const FLOWERS: &str = "colour,height,class\nred,1.5,b\nblue,,a\nred,2.5,\nNA,5,a\n";

pub(super) fn flowers() -> Table {
    Table::read(FLOWERS.as_bytes()).unwrap()
}

pub(super) fn columns() -> Columns {
    Columns::for_class("class").numeric(["height"]).categorical(["colour"])
}

pub(super) fn message<V: std::fmt::Debug>(result: Result<V, DataError>) -> String {
    result.unwrap_err().to_string()
}

pub(super) fn column(text: &str, column: impl Into<Column>) -> Result<Schema, DataError> {
    let rows: String = text.split(' ').map(|cell| format!("{cell},0\n")).collect();
    let table = Table::read(format!("x,y\n{rows}").as_bytes()).unwrap();
    let (column, columns) = (column.into(), Columns::for_values(["y"]));
    let numeric = text.split(' ').all(|cell| cell == "NA" || cell.parse::<f64>().is_ok());
    if numeric { columns.numeric([column]) } else { columns.categorical([column]) }.fit(&table)
}

pub(super) fn filled(text: &str, rule: Missing) -> Vec<f64> {
    column(text, Column::new("x").missing(rule)).unwrap().transform(&[("x", "NA")]).unwrap()
}
