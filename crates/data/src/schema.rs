use std::collections::{BTreeMap, BTreeSet};

use downhill_tensor::Scalar;
use ndarray::Array2;

use crate::table::{Row, Table};
use crate::{DataError, Dataset, OneHot, Targets};

/// Which columns of a table are inputs, which are targets, and what becomes of missing values.
///
/// ```
/// use downhill_data::{Columns, Dataset, Missing, Table};
///
/// let table = Table::read("species,island,mass\nAdelie,Dream,3750\nGentoo,Biscoe,NA\nGentoo,Biscoe,5050\n".as_bytes())?;
/// let schema = Columns::for_class("species")
///     .categorical(["island"])
///     .numeric(["mass"])
///     .missing(Missing::Drop)
///     .fit(&table)?;
/// let data: Dataset<f32> = schema.dataset(&table)?;
/// assert_eq!(data.feature_names(), ["island=Biscoe", "island=Dream", "mass"]);
/// assert_eq!(data.class_names(), ["Adelie", "Gentoo"]);
/// assert_eq!(data.inputs().slice(), [0.0, 1.0, 3750.0, 1.0, 0.0, 5050.0]);
///
/// // A new record is treated as the table was.
/// assert_eq!(schema.transform::<f32>(&[("mass", "4100"), ("island", "Dream")])?, [0.0, 1.0, 4100.0]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Columns {
    features: Vec<(String, Kind)>,
    targets: Vec<String>,
    target_kind: Kind,
    gaps: Gaps,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Numeric,
    Categorical,
}

/// What becomes of a missing value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Missing {
    /// It is an error that names the line and the column.
    #[default]
    Error,
    /// Its row is left out.
    Drop,
    /// A number becomes its column's mean, a category its column's most frequent one (the first among equals);
    /// both are those of the table that the schema was fitted to.
    /// A row whose target is missing is left out: an invented target teaches nothing.
    Fill,
}

/// What is known of gaps.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Gaps {
    missing: Missing,
    markers: BTreeSet<String>,
}

impl Columns {
    /// Predicts the class that `column` names: its values become labels in the order of [`OneHot::fit`].
    #[must_use]
    pub fn for_class(column: impl Into<String>) -> Self {
        Self::new(vec![column.into()], Kind::Categorical)
    }

    /// Predicts the numbers in `columns`.
    #[must_use]
    pub fn for_values<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self::new(columns.into_iter().map(Into::into).collect(), Kind::Numeric)
    }

    fn new(targets: Vec<String>, target_kind: Kind) -> Self {
        let gaps = Gaps { missing: Missing::Error, markers: BTreeSet::from(["".into(), "NA".into()]) };
        Self { features: Vec::new(), targets, target_kind, gaps }
    }

    /// Adds columns of numbers to the inputs.
    #[must_use]
    pub fn numeric<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.features.extend(columns.into_iter().map(|column| (column.into(), Kind::Numeric)));
        self
    }

    /// Adds columns of categories to the inputs, each as many features as it has categories ([`OneHot`]).
    #[must_use]
    pub fn categorical<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.features.extend(columns.into_iter().map(|column| (column.into(), Kind::Categorical)));
        self
    }

    /// What becomes of missing values in the chosen columns; an error by default.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.gaps.missing = missing;
        self
    }

    /// What a cell holds where its value is missing: nothing or `NA` by default.
    #[must_use]
    pub fn missing_markers<S: Into<String>>(mut self, markers: impl IntoIterator<Item = S>) -> Self {
        self.gaps.markers = markers.into_iter().map(Into::into).collect();
        self
    }

    /// Learns categories, and what gaps are filled with, from the rows of a table.
    ///
    /// # Errors
    /// Where no columns are chosen, one is chosen twice or not there, a number can't be read,
    /// a value is missing that is neither left out nor filled, or no row is left.
    pub fn fit(self, table: &Table) -> Result<Schema, DataError> {
        let Self { features, targets, target_kind, gaps } = self;
        if features.is_empty() {
            return Err(DataError::Empty { what: "the list of input columns", unit: "column" });
        }
        if targets.is_empty() {
            return Err(DataError::Empty { what: "the list of target columns", unit: "column" });
        }
        let mut chosen = BTreeSet::new();
        for name in features.iter().map(|(column, _)| column).chain(&targets) {
            if !chosen.insert(name) {
                return Err(DataError::Duplicate { what: "column", name: name.clone() });
            }
        }
        let rows = gaps.complete_rows(table, features.iter().map(|(column, _)| column.as_str()), &targets)?;
        let classes = match (target_kind, targets.as_slice()) {
            (Kind::Categorical, [column]) => {
                let place = table.place(column)?;
                Some(OneHot::fit(rows.iter().map(|row| row.cell(place)))?)
            }
            _ => None,
        };
        let learn = |(column, kind): (String, Kind)| {
            let encoding = gaps.learn(&column, kind, table.place(&column)?, &rows)?;
            Ok(Feature { column, encoding })
        };
        let features = features.into_iter().map(learn).collect::<Result<_, DataError>>()?;
        Ok(Schema { features, targets, classes, gaps })
    }
}

impl Gaps {
    fn is_missing(&self, cell: &str) -> bool {
        self.markers.contains(cell)
    }

    /// The rows that a data set is made of.
    fn complete_rows<'t, 'n>(
        &self,
        table: &'t Table,
        features: impl Iterator<Item = &'n str>,
        targets: &'n [String],
    ) -> Result<Vec<&'t Row>, DataError> {
        let features: Vec<&str> = if self.missing == Missing::Fill { Vec::new() } else { features.collect() };
        let needed: Vec<&str> = features.into_iter().chain(targets.iter().map(String::as_str)).collect();
        let places = table.places(needed.iter().copied())?;
        let mut complete = Vec::new();
        for row in table.rows() {
            match needed.iter().zip(&places).find(|&(_, &place)| self.is_missing(row.cell(place))) {
                None => complete.push(row),
                Some((&column, _)) if self.missing == Missing::Error => {
                    return Err(DataError::MissingValue { line: Some(row.line), column: column.to_owned() });
                }
                Some(_) => {}
            }
        }
        if complete.is_empty() {
            return Err(DataError::NoRows { rows: table.len() });
        }
        Ok(complete)
    }

    /// What the cells of a column are turned into.
    fn learn(&self, column: &str, kind: Kind, place: usize, rows: &[&Row]) -> Result<Encoding, DataError> {
        let cells = || rows.iter().map(|row| (row.line, row.cell(place))).filter(|(_, cell)| !self.is_missing(cell));
        if cells().next().is_none() {
            return Err(DataError::NothingToFill { column: column.to_owned() });
        }
        let fill = self.missing == Missing::Fill;
        match kind {
            Kind::Numeric => {
                let mut mean = 0.0;
                for (count, (line, cell)) in (1u32..).zip(cells()) {
                    let x: f64 = number(column, Some(line), cell)?;
                    // Two quotients: a difference of large numbers might overflow.
                    mean += x / f64::from(count) - mean / f64::from(count);
                }
                Ok(Encoding::Numeric { fill: fill.then_some(mean) })
            }
            Kind::Categorical => {
                let categories = OneHot::fit(cells().map(|(_, cell)| cell))?;
                let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
                for (_, cell) in cells() {
                    *counts.entry(cell).or_default() += 1;
                }
                // `max_by_key` takes the last among equals, so the order is turned round.
                let by_count = |category: &&String| counts.get(category.as_str()).copied();
                let most_frequent = categories.categories().iter().rev().max_by_key(by_count);
                Ok(Encoding::Categorical { fill: most_frequent.filter(|_| fill).cloned(), categories })
            }
        }
    }
}

/// What was learnt of a table: how its cells, and those of later rows, become numbers.
///
/// Keep it beside the model (it serialises with the feature `serde`): without it the model's inputs have no meaning.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Schema {
    features: Vec<Feature>,
    targets: Vec<String>,
    /// The classes of the one target column that holds classes.
    classes: Option<OneHot>,
    gaps: Gaps,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Feature {
    column: String,
    encoding: Encoding,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Encoding {
    Numeric { fill: Option<f64> },
    Categorical { categories: OneHot, fill: Option<String> },
}

impl Schema {
    /// The name of each input feature: its column's, or `column=category`.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for Feature { column, encoding } in &self.features {
            match encoding {
                Encoding::Numeric { .. } => names.push(column.clone()),
                Encoding::Categorical { categories, .. } => {
                    names.extend(categories.categories().iter().map(|category| format!("{column}={category}")));
                }
            }
        }
        names
    }

    /// The name of each class; empty where targets are numbers.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        self.classes.as_ref().map_or(&[], OneHot::categories)
    }

    /// The data set of a table: the one that the schema was fitted to, or another with the same columns.
    ///
    /// # Errors
    /// Where a column is not there, a cell can't be read, holds a category or class that is unknown,
    /// or is missing and neither left out nor filled, or no row is left.
    pub fn dataset<T: Scalar>(&self, table: &Table) -> Result<Dataset<T>, DataError> {
        let rows = self.gaps.complete_rows(table, self.columns(), &self.targets)?;
        let inputs = self.encode_rows(table, rows.iter().copied())?;
        let places = table.places(self.targets.iter().map(String::as_str))?;
        let columns = || self.targets.iter().zip(&places);
        let cells = rows.iter().flat_map(|row| columns().map(|(name, &place)| (name, Some(row.line), row.cell(place))));
        let targets = match &self.classes {
            Some(classes) => {
                let label = |(column, line, cell): (&String, _, &str)| match classes.index(cell) {
                    Ok(index) => Ok(index as u32),
                    Err(source) => Err(cell_error(column, line, source)),
                };
                Targets::named_classes(cells.map(label).collect::<Result<_, _>>()?, classes.categories())
            }
            None => {
                let value = |(column, line, cell): (&String, _, &str)| number(column, line, cell);
                Targets::values(cells.map(value).collect::<Result<_, _>>()?, [self.targets.len()])
            }
        };
        Dataset::with_names(inputs, self.feature_names(), targets)
    }

    /// The inputs of every row of a table, which needs no targets: (rows, features).
    ///
    /// # Errors
    /// As [`dataset`](Self::dataset), but a missing value that can't be filled is always one.
    pub fn inputs<T: Scalar>(&self, table: &Table) -> Result<Array2<T>, DataError> {
        let inputs = self.encode_rows(table, table.rows().iter())?;
        let features = inputs.len() / table.len();
        match Array2::from_shape_vec((table.len(), features), inputs) {
            Ok(inputs) => Ok(inputs),
            Err(error) => unreachable!("every row has as many features: {error}"),
        }
    }

    /// The inputs of one new record, given as (column, cell); columns that are not needed may be there.
    ///
    /// # Errors
    /// As [`inputs`](Self::inputs).
    pub fn transform<T: Scalar>(&self, record: &[(&str, &str)]) -> Result<Vec<T>, DataError> {
        let cell = |column: &str| match record.iter().find(|(name, _)| *name == column) {
            Some((_, cell)) => Ok(cell.trim()),
            None => Err(DataError::NoColumn {
                column: column.to_owned(),
                available: record.iter().map(|&(name, _)| name.to_owned()).collect(),
            }),
        };
        let cells = self.columns().map(cell).collect::<Result<Vec<_>, _>>()?;
        let mut inputs = Vec::new();
        self.encode(None, cells.into_iter(), &mut inputs)?;
        Ok(inputs)
    }

    fn columns(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|feature| feature.column.as_str())
    }

    /// The features of rows of a table, row after row.
    fn encode_rows<'t, T: Scalar>(
        &self,
        table: &Table,
        rows: impl Iterator<Item = &'t Row>,
    ) -> Result<Vec<T>, DataError> {
        let places = table.places(self.columns())?;
        let mut inputs = Vec::new();
        for row in rows {
            self.encode(Some(row.line), places.iter().map(|&place| row.cell(place)), &mut inputs)?;
        }
        Ok(inputs)
    }

    /// Appends the features of a row whose cells are in the order of the features.
    fn encode<'c, T: Scalar>(
        &self,
        line: Option<u64>,
        cells: impl Iterator<Item = &'c str>,
        inputs: &mut Vec<T>,
    ) -> Result<(), DataError> {
        for (Feature { column, encoding }, cell) in self.features.iter().zip(cells) {
            let missing = || DataError::MissingValue { line, column: column.clone() };
            let is_missing = self.gaps.is_missing(cell);
            match encoding {
                Encoding::Numeric { fill } if is_missing => inputs.push(T::of(fill.ok_or_else(missing)?)),
                Encoding::Numeric { .. } => inputs.push(number(column, line, cell)?),
                Encoding::Categorical { categories, fill } => {
                    let category = if is_missing { fill.as_deref().ok_or_else(missing)? } else { cell };
                    let row = categories.encode::<T>(category);
                    inputs.extend(row.map_err(|source| cell_error(column, line, source))?);
                }
            }
        }
        Ok(())
    }
}

fn cell_error(column: &str, line: Option<u64>, source: DataError) -> DataError {
    DataError::Cell { line, column: column.to_owned(), source: Box::new(source) }
}

/// The number in a cell, which must be finite in `T` too.
fn number<T: Scalar>(column: &str, line: Option<u64>, cell: &str) -> Result<T, DataError> {
    cell.parse().ok().map(T::of).filter(|x| x.is_finite()).ok_or_else(|| DataError::NotNumber {
        line,
        column: column.to_owned(),
        text: cell.to_owned(),
        kind: T::NAME,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use ndarray::array;

    const FLOWERS: &str = "colour,height,class\nred,1.5,b\nblue,,a\nred,2.5,\nNA,5,a\n";

    fn flowers() -> Table {
        Table::read(FLOWERS.as_bytes()).unwrap()
    }

    fn columns() -> Columns {
        Columns::for_class("class").numeric(["height"]).categorical(["colour"])
    }

    fn message<V: std::fmt::Debug>(result: Result<V, DataError>) -> String {
        result.unwrap_err().to_string()
    }

    fn labels(set: &Dataset<f64>) -> Vec<u32> {
        let Target::Classes(labels) = set.targets() else { unreachable!() };
        labels.to_vec()
    }

    #[test]
    fn a_missing_value_is_an_error_by_default() {
        assert_eq!(
            message(columns().fit(&flowers())),
            "the value of column `height` is missing on line 3; \
             leave such rows out with `Missing::Drop` or fill the gaps with `Missing::Fill`"
        );
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

    #[test]
    fn gaps_can_be_filled_with_what_the_fitted_table_says() {
        let schema = columns().missing(Missing::Fill).fit(&flowers()).unwrap();
        let set: Dataset<f64> = schema.dataset(&flowers()).unwrap();
        // The mean of 1.5 and 5; blue and red are equally frequent; the row without a class is left out.
        assert_eq!(set.feature_names(), ["height", "colour=blue", "colour=red"]);
        assert_eq!(set.inputs().matrix(), array![[1.5, 0.0, 1.0], [3.25, 1.0, 0.0], [5.0, 1.0, 0.0]]);
        assert_eq!(labels(&set), [1, 0, 0]);
        let other = Table::read("height,colour,class\nNA,NA,b\n".as_bytes()).unwrap();
        assert_eq!(schema.dataset::<f64>(&other).unwrap().inputs().matrix(), array![[3.25, 1.0, 0.0]]);
        assert_eq!(schema.transform::<f64>(&[("colour", " red "), ("height", "")]).unwrap(), [3.25, 0.0, 1.0]);
    }

    #[test]
    fn a_table_without_targets_gives_inputs() {
        let schema = columns().missing(Missing::Fill).fit(&flowers()).unwrap();
        let table = Table::read("colour,height\nred,1\nblue,2\n".as_bytes()).unwrap();
        assert_eq!(schema.inputs::<f64>(&table).unwrap(), array![[1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]);
        assert_eq!(
            message(schema.dataset::<f64>(&table)),
            "there is no column `class`; the columns are `colour`, `height`"
        );
        let schema = columns().missing(Missing::Drop).fit(&flowers()).unwrap();
        let gap = Table::read("colour,height\nred,\n".as_bytes()).unwrap();
        assert!(message(schema.inputs::<f32>(&gap)).starts_with("the value of column `height` is missing on line 2;"));
    }

    #[test]
    fn markers_can_be_chosen() {
        let table = Table::read("x,y\n?,1\nNA,2\n3,4\n".as_bytes()).unwrap();
        let columns = || Columns::for_values(["y"]).missing(Missing::Drop).missing_markers(["?"]);
        assert_eq!(columns().categorical(["x"]).fit(&table).unwrap().feature_names(), ["x=3", "x=NA"]);
        assert_eq!(
            message(columns().numeric(["x"]).fit(&table)),
            "column `x` holds `NA` on line 3, which is not a finite f64; \
             correct it, list it as a marker of missing values, or read the column as categorical"
        );
    }

    #[test]
    fn numbers_are_targets_of_their_own_shape() {
        let table = Table::read("a,b,c\n1,2,3\n4,5,6e0\n".as_bytes()).unwrap();
        let schema = Columns::for_values(["c", "a"]).numeric(["b"]).fit(&table).unwrap();
        let set: Dataset<f32> = schema.dataset(&table).unwrap();
        assert_eq!(set.into_parts(), (vec![2.0, 5.0], Targets::values(vec![3.0, 1.0, 6.0, 4.0], [2])));
        assert!(schema.class_names().is_empty());
    }

    #[test]
    fn what_is_not_a_finite_number_is_an_error() {
        for text in ["one", "1,5", "inf", "nan", "1e400", "0x10"] {
            let table = Table::read(format!("x,y\n\"{text}\",0\n").as_bytes()).unwrap();
            let message = message(Columns::for_values(["y"]).numeric(["x"]).fit(&table));
            assert!(
                message.starts_with(&format!("column `x` holds `{text}` on line 2, which is not a finite f64;")),
                "{message}"
            );
        }
        let table = Table::read("x,y\n1e300,0\n".as_bytes()).unwrap();
        let schema = Columns::for_values(["y"]).numeric(["x"]).fit(&table).unwrap();
        assert!(message(schema.dataset::<f32>(&table)).contains("`1e300` on line 2, which is not a finite f32"));
        assert!(schema.dataset::<f64>(&table).is_ok());
        let schema = Columns::for_values(["x"]).numeric(["y"]).fit(&table).unwrap();
        assert!(message(schema.dataset::<f32>(&table)).contains("`1e300` on line 2, which is not a finite f32"));
    }

    #[test]
    fn the_mean_of_large_numbers_does_not_overflow() {
        let table = Table::read("x,y\n1.7e308,0\n-1.7e308,0\n1.7e308,0\n,0\n".as_bytes()).unwrap();
        let schema = Columns::for_values(["y"]).numeric(["x"]).missing(Missing::Fill).fit(&table).unwrap();
        let mean = schema.transform::<f64>(&[("x", "")]).unwrap()[0];
        assert!((mean / 1.7e308 - 1.0 / 3.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn what_was_never_seen_is_an_error() {
        let schema = columns().missing(Missing::Drop).fit(&flowers()).unwrap();
        assert_eq!(
            message(schema.transform::<f32>(&[("colour", "green"), ("height", "1")])),
            "column `colour`: `green` is none of the known categories (`red`)"
        );
        assert_eq!(
            message(schema.transform::<f32>(&[("height", "1")])),
            "there is no column `colour`; the columns are `height`"
        );
        assert_eq!(
            message(schema.transform::<f32>(&[("colour", "red"), ("height", "tall")])),
            "column `height` holds `tall`, which is not a finite f32; \
             correct it, list it as a marker of missing values, or read the column as categorical"
        );
        let other = Table::read("colour,height,class\nred,1,b\nred,1,c\n".as_bytes()).unwrap();
        assert_eq!(
            message(schema.dataset::<f32>(&other)),
            "column `class` on line 3: `c` is none of the known categories (`b`)"
        );
    }

    #[test]
    fn columns_must_be_chosen_once_and_be_there() {
        let table = flowers();
        let missing = |columns: Columns| message(columns.missing(Missing::Drop).fit(&table));
        assert!(missing(Columns::for_class("class")).starts_with("the list of input columns is empty"));
        assert!(missing(Columns::for_values::<&str>([]).numeric(["height"])).starts_with("the list of target columns"));
        assert_eq!(
            missing(columns().numeric(["class"])),
            "the column `class` stands more than once; name each column once"
        );
        assert_eq!(
            missing(columns().numeric(["weight"])),
            "there is no column `weight`; the columns are `colour`, `height`, `class`"
        );
    }

    #[test]
    fn nothing_to_learn_from_is_an_error() {
        let table = Table::read("x,y\n,1\n,2\n".as_bytes()).unwrap();
        let columns = || Columns::for_values(["y"]).numeric(["x"]);
        assert_eq!(
            message(columns().missing(Missing::Drop).fit(&table)),
            "none of the 2 rows has all the columns asked for; \
             fill missing values, or leave out the columns that lack most"
        );
        assert_eq!(
            message(columns().missing(Missing::Fill).fit(&table)),
            "column `x` has no value at all, so its gaps can't be filled; leave the column out"
        );
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_schema_survives_a_file() {
        for columns in [
            columns().missing(Missing::Fill),
            Columns::for_values(["height"]).categorical(["class"]).missing(Missing::Drop),
        ] {
            let schema = columns.fit(&flowers()).unwrap();
            let json = serde_json::to_string(&schema).unwrap();
            assert_eq!(serde_json::from_str::<Schema>(&json).unwrap(), schema);
        }
    }
}
