//! From a table to a data set.
//!
//! * `column.rs`: the rules of one column, and which of them suit it.
//! * `columns.rs`: the choice of columns, and how it is fitted to a table.
//! * `date.rs`: dates as numbers.
//! * `encoder.rs`: rows that are not part of a table.
//! * `hashing.rs`: categories in a fixed number of buckets.
//! * `input.rs`: what is learnt of a column, and how its cells become features.
//! * `parts.rs`: a table larger than memory.
//! * `rows.rs`: which rows have all that they need.
//! * Here: what was learnt, by name, and tables and records that become inputs and targets.

mod column;
mod columns;
mod date;
mod encoder;
mod hashing;
mod input;
mod parts;
mod rows;
#[cfg(test)]
mod testing;

use downhill_tensor::Scalar;
use ndarray::Array2;

pub use self::column::{Column, Missing, Unseen};
pub use self::columns::Columns;
#[cfg(feature = "parquet")]
pub(crate) use self::date::text as date_text;
pub(crate) use self::encoder::Encoder;
pub use self::hashing::Hashing;
pub use self::input::{Encoded, LearntColumn};
use self::input::{Encoding, Gap, Input, cell_error, number};
pub use self::rows::DroppedRow;
use self::rows::{Markers, complete_rows, sort_rows};
use crate::{DataError, Dataset, OneHot, Table, Targets};

/// A description learnt from a table, which turns its cells, and those of later rows, into numbers.
///
/// Keep it with the model (it serialises with the feature `serde`): without it the model's inputs have no meaning.
/// The value that fills a gap is kept as text, which every format gives back exactly.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Schema {
    inputs: Vec<Input>,
    goal: Goal,
    markers: Markers,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
struct Target {
    column: String,
    /// Whether rows without it are left out.
    drop: bool,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
enum Goal {
    Class { target: Target, classes: OneHot },
    Values { targets: Vec<Target> },
}

impl Schema {
    /// The columns that inputs are made of, in the order of their features.
    pub fn input_columns(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.column.as_str())
    }

    /// What was learnt of each input column, in the order of their features.
    ///
    /// ```
    /// # use downhill_data::{Columns, Encoded, Missing, Table};
    /// let table = Table::read("day,size,price\n2024-03-01,3,1\n2024-03-02,NA,7\n".as_bytes())?;
    /// let columns = Columns::for_values(["price"]).dates(["day"]).numeric(["size"]).missing(Missing::Fill);
    /// let schema = columns.fit(&table)?;
    /// let inputs: Vec<_> = schema.inputs_learnt().map(|input| (input.column, input.encoded, input.fill)).collect();
    /// assert_eq!(inputs[0], ("day", Encoded::Date { time: false }, Some("2024-03-01")));
    /// assert_eq!(inputs[1], ("size", Encoded::Number, Some("3.0")));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    pub fn inputs_learnt(&self) -> impl ExactSizeIterator<Item = LearntColumn<'_>> {
        self.inputs.iter().map(Input::learnt)
    }

    /// The texts of cells whose value is missing.
    pub fn missing_markers(&self) -> impl Iterator<Item = &str> {
        self.markers.iter().map(String::as_str)
    }

    /// The columns that targets are made of.
    pub fn target_columns(&self) -> impl Iterator<Item = &str> {
        self.targets().iter().map(|target| target.column.as_str())
    }

    /// The name of each input feature: its column's, `column=category`, `column (bucket 0)`, `column (year, sine)` and
    /// similar of a date, or `column is missing`.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for Input { column, indicator, encoding, .. } in &self.inputs {
            match encoding {
                Encoding::Numeric | Encoding::Ordinal { .. } => names.push(column.clone()),
                Encoding::Hashed { hashing } => {
                    names.extend((0..hashing.buckets()).map(|bucket| format!("{column} (bucket {bucket})")));
                }
                Encoding::Date { time, .. } => names.extend(date::feature_names(column, *time)),
                Encoding::Categorical { categories, .. } => {
                    names.extend(categories.categories().iter().map(|category| format!("{column}={category}")));
                }
            }
            names.extend(indicator.then(|| format!("{column} is missing")));
        }
        names
    }

    /// The number of input features, which are as many as [`feature_names`](Self::feature_names).
    #[must_use]
    pub fn feature_count(&self) -> usize {
        let count = |input: &Input| match &input.encoding {
            Encoding::Numeric | Encoding::Ordinal { .. } => 1,
            Encoding::Hashed { hashing } => hashing.buckets(),
            Encoding::Date { time, .. } => date::feature_names("", *time).count(),
            Encoding::Categorical { categories, .. } => categories.categories().len(),
        };
        self.inputs.iter().map(|input| count(input) + usize::from(input.indicator)).fold(0, usize::saturating_add)
    }

    /// The name of each class; empty if targets are numbers.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        match &self.goal {
            Goal::Class { classes, .. } => classes.categories(),
            Goal::Values { .. } => &[],
        }
    }

    /// The name of a class, as a network tells it; `None` if there is no such class.
    ///
    /// ```
    /// # use downhill_data::{Columns, Table};
    /// let table = Table::read("kind,size\nplum,3\napple,7\n".as_bytes())?;
    /// let schema = Columns::for_class("kind").numeric(["size"]).fit(&table)?;
    /// let names: Vec<_> = [1, 0].into_iter().filter_map(|class| schema.class_name(class)).collect();
    /// assert_eq!((names, schema.class_name(2)), (vec!["plum", "apple"], None));
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    #[must_use]
    pub fn class_name(&self, class: u32) -> Option<&str> {
        self.class_names().get(class as usize).map(String::as_str)
    }

    /// Makes the data set of a table: the one that the schema was fitted to, or another with the same columns in any
    /// order.
    ///
    /// Its examples are the rows of [`complete`](Self::complete).
    ///
    /// # Errors
    /// Returns an error if a column is not there, a cell can't be read, holds a category or class that is unknown,
    /// or is missing and neither left out nor filled, or no row is left.
    pub fn dataset<T: Scalar>(&self, table: &Table) -> Result<Dataset<T>, DataError> {
        let rows = self.complete(table)?;
        let inputs = self.encode_rows(&rows)?;
        let places = table.places(self.target_columns())?;
        let columns = || self.target_columns().zip(&places);
        let cells =
            rows.rows().flat_map(|row| columns().map(move |(name, &place)| (name, row.line(), row.cell(place))));
        let targets = match &self.goal {
            Goal::Class { classes, .. } => {
                let label = |(column, line, cell): (&str, _, &str)| match classes.index(cell) {
                    Ok(index) => Ok(index as u32),
                    Err(cause) => Err(cell_error(column, Some(line), cause)),
                };
                Targets::named_classes(cells.map(label).collect::<Result<_, _>>()?, classes.categories())
            }
            Goal::Values { targets } => {
                let value = |(column, line, cell): (&str, _, &str)| number(column, Some(line), cell);
                Targets::values(cells.map(value).collect::<Result<_, _>>()?, [targets.len()])
            }
        };
        Dataset::with_names(inputs, self.feature_names(), targets)
    }

    /// The rows of a table that [`dataset`](Self::dataset) makes examples of, in their order: for columns that are
    /// neither input nor target, such as the name of each example.
    ///
    /// # Errors
    /// Returns an error if a column is not there, a value is missing and neither left out nor filled, or no row is left.
    pub fn complete(&self, table: &Table) -> Result<Table, DataError> {
        complete_rows(table, self.needed(), &self.markers)
    }

    /// The rows of a table that [`dataset`](Self::dataset) leaves out.
    ///
    /// # Errors
    /// Returns an error if a column is not there, or a value is missing and neither left out nor filled.
    pub fn dropped(&self, table: &Table) -> Result<Vec<DroppedRow>, DataError> {
        Ok(sort_rows(table, self.needed(), &self.markers)?.1)
    }

    /// Makes the inputs of every row of a table, which needs no targets: (rows, features).
    ///
    /// # Errors
    /// Returns the errors of [`dataset`](Self::dataset), and one for every missing value that can't be filled.
    pub fn inputs<T: Scalar>(&self, table: &Table) -> Result<Array2<T>, DataError> {
        let inputs = self.encode_rows(table)?;
        let features = inputs.len() / table.len();
        match Array2::from_shape_vec((table.len(), features), inputs) {
            Ok(inputs) => Ok(inputs),
            Err(error) => unreachable!("every row has as many features: {error}"),
        }
    }

    /// Makes the inputs of one new record, given as (column, cell); columns that are not needed are ignored.
    ///
    /// # Errors
    /// Returns the errors of [`inputs`](Self::inputs), and one if the record has a needed column twice.
    pub fn transform<T: Scalar>(&self, record: &[(&str, &str)]) -> Result<Vec<T>, DataError> {
        let cell = |column: &str| {
            let mut cells = record.iter().filter(|(name, _)| *name == column).map(|(_, cell)| cell.trim());
            match (cells.next(), cells.next()) {
                (Some(cell), None) => Ok(cell),
                (Some(_), Some(_)) => Err(DataError::DuplicateColumn { name: column.to_owned() }),
                (None, _) => Err(DataError::NoColumn {
                    column: column.to_owned(),
                    available: record.iter().map(|&(name, _)| name.to_owned()).collect(),
                }),
            }
        };
        let cells = self.input_columns().map(cell).collect::<Result<Vec<_>, _>>()?;
        let mut inputs = Vec::new();
        self.encode(None, cells.into_iter(), &mut inputs)?;
        Ok(inputs)
    }

    fn targets(&self) -> &[Target] {
        match &self.goal {
            Goal::Class { target, .. } => std::slice::from_ref(target),
            Goal::Values { targets } => targets,
        }
    }

    /// Whether rows are left out if they lack a value.
    #[cfg(feature = "parquet")]
    pub(crate) fn drops_rows(&self) -> bool {
        self.needed().any(|(_, drop)| drop)
    }

    /// The columns whose values an example needs, and whether rows without them are left out.
    fn needed(&self) -> impl Iterator<Item = (&str, bool)> {
        let inputs = self.inputs.iter().filter_map(|input| match input.gap {
            Gap::Error => Some((input.column.as_str(), false)),
            Gap::Drop => Some((input.column.as_str(), true)),
            Gap::Fill(_) => None,
        });
        inputs.chain(self.targets().iter().map(Target::needed))
    }

    /// The features of the rows of a table, row after row.
    fn encode_rows<T: Scalar>(&self, table: &Table) -> Result<Vec<T>, DataError> {
        let places = table.places(self.input_columns())?;
        let mut inputs = Vec::new();
        for row in table.rows() {
            self.encode(Some(row.line()), places.iter().map(|&place| row.cell(place)), &mut inputs)?;
        }
        Ok(inputs)
    }

    /// Appends the features of a row whose cells are in the order of the inputs.
    fn encode<'c, T: Scalar>(
        &self,
        line: Option<u64>,
        cells: impl Iterator<Item = &'c str>,
        features: &mut Vec<T>,
    ) -> Result<(), DataError> {
        for (input, cell) in self.inputs.iter().zip(cells) {
            input.encode(line, cell, self.markers.contains(cell), features)?;
        }
        Ok(())
    }
}

impl Target {
    fn needed(&self) -> (&str, bool) {
        (&self.column, self.drop)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{columns, flowers, message};
    use super::*;
    use crate::Target;
    use ndarray::array;

    fn labels(set: &Dataset<f64>) -> Vec<u32> {
        let Target::Classes(labels) = set.targets() else { unreachable!() };
        labels.to_vec()
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
        assert_eq!(
            message(schema.inputs::<f32>(&gap)),
            "the value of column `height` is missing on line 2; \
             the schema leaves such rows out of data sets and has nothing to fill the gap with"
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
    fn what_fills_a_gap_is_learnt_from_the_fitted_table_alone() {
        let table = |text: &str| Table::read(text.as_bytes()).unwrap();
        let train = table("x,kind,y\n1,a,0\n3,a,0\n,b,0\n");
        let columns = Columns::for_values(["y"]).numeric(["x"]).categorical(["kind"]).missing(Missing::Fill);
        let schema = columns.fit(&train).unwrap();
        let test: Dataset<f64> = schema.dataset(&table("y,kind,note,x\n0,b,?,NA\n0,,?,1000\n")).unwrap();
        assert_eq!(test.inputs().matrix(), array![[2.0, 0.0, 1.0], [1000.0, 1.0, 0.0]]);
    }

    #[test]
    fn a_record_names_each_column_once() {
        let schema = columns().missing(Missing::Fill).fit(&flowers()).unwrap();
        let record = [("colour", "red"), ("height", "1"), ("note", "a"), ("note", "b"), ("colour", "blue")];
        assert_eq!(
            message(schema.transform::<f32>(&record)),
            "the column `colour` is listed more than once; name each column once"
        );
        assert!(schema.transform::<f32>(&record[..4]).is_ok());
    }

    #[test]
    fn a_schema_names_columns_and_classes() {
        let schema = columns().missing(Missing::Fill).fit(&flowers()).unwrap();
        assert_eq!(schema.input_columns().collect::<Vec<_>>(), ["height", "colour"]);
        assert_eq!(schema.target_columns().collect::<Vec<_>>(), ["class"]);
        let names = [0, 1, 2, u32::MAX].map(|class| schema.class_name(class));
        assert_eq!(names, [Some("a"), Some("b"), None, None]);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_schema_survives_a_file() {
        for columns in [
            columns().missing(Missing::Fill).unseen(Unseen::Other),
            Columns::for_values(["height"]).categorical(["class"]).missing(Missing::Drop).unseen(Unseen::Zeros),
        ] {
            let schema = columns.fit(&flowers()).unwrap();
            let json = serde_json::to_string(&schema).unwrap();
            assert_eq!(serde_json::from_str::<Schema>(&json).unwrap(), schema);
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_key_that_no_schema_has_is_an_error() {
        let schema = columns().missing(Missing::Fill).fit(&flowers()).unwrap();
        let json = serde_json::to_string(&schema).unwrap();
        for (key, with) in [("\"markers\"", "\"marker\":[],\"markers\""), ("\"drop\"", "\"kept\":1,\"drop\"")] {
            let error = serde_json::from_str::<Schema>(&json.replacen(key, with, 1)).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_schema_with_one_category_twice_is_refused() {
        let json = serde_json::to_string(&columns().missing(Missing::Fill).fit(&flowers()).unwrap()).unwrap();
        for (good, bad) in [(r#"["blue","red"]"#, r#"["red","red"]"#), (r#"["a","b"]"#, "[]")] {
            assert!(json.contains(good), "{json}");
            assert!(serde_json::from_str::<Schema>(&json.replace(good, bad)).is_err());
        }
    }
}
