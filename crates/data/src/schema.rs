use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use downhill_tensor::Scalar;
use downhill_tensor::reduce::{map_sum, sum};
use ndarray::Array2;

use crate::cells::Row;
use crate::column::{Column, Kind, Missing, Plan, Unseen};
use crate::table::Table;
use crate::{DataError, Dataset, OneHot, Targets};

/// Which columns of a table are inputs, which are targets, and what becomes of missing and unseen values.
///
/// Fit a schema to the rows to train on alone: what fills a gap, and which categories there are, is learnt from them.
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
    inputs: Vec<(Column, Kind)>,
    targets: Vec<Column>,
    target_kind: Kind,
    missing: Missing,
    unseen: Unseen,
    markers: Markers,
}

/// What cells hold whose value is missing.
type Markers = BTreeSet<String>;

impl Columns {
    /// Predicts the class that `column` names: its values become labels in the order of [`OneHot::fit`].
    #[must_use]
    pub fn for_class(column: impl Into<Column>) -> Self {
        Self::new(vec![column.into()], Kind::Categorical)
    }

    /// Predicts the numbers in `columns`.
    #[must_use]
    pub fn for_values<C: Into<Column>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self::new(columns.into_iter().map(Into::into).collect(), Kind::Numeric)
    }

    fn new(targets: Vec<Column>, target_kind: Kind) -> Self {
        let markers = ["", "NA", "N/A", "NaN", "nan", "null"].map(String::from).into();
        let (missing, unseen) = (Missing::Error, Unseen::Error);
        Self { inputs: Vec::new(), targets, target_kind, missing, unseen, markers }
    }

    /// Adds columns of numbers to the inputs: names, or [`Column`]s with their own rules.
    ///
    /// A number is written as in Rust or JSON, with a point. It becomes the nearest one of the data set's precision:
    /// whole numbers beyond 2²⁴ in `f32`, and beyond 2⁵³ in `f64`, are rounded. Read identifiers as categories.
    #[must_use]
    pub fn numeric<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.inputs.extend(columns.into_iter().map(|column| (column.into(), Kind::Numeric)));
        self
    }

    /// Adds columns of categories to the inputs, each as many features as it has categories ([`OneHot`]):
    /// names, or [`Column`]s with their own rules.
    ///
    /// Categories are equal if their texts are: `1` and `1.0` are two.
    #[must_use]
    pub fn categorical<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.inputs.extend(columns.into_iter().map(|column| (column.into(), Kind::Categorical)));
        self
    }

    /// Sets what becomes of missing values in columns without a rule of their own; an error by default.
    ///
    /// A row whose target is missing is left out by every rule but [`Missing::Error`].
    #[must_use]
    pub fn missing(mut self, rule: Missing) -> Self {
        self.missing = rule;
        self
    }

    /// Sets what becomes of unseen categories in inputs without a rule of their own; an error by default.
    ///
    /// A class that was never seen is always an error.
    #[must_use]
    pub fn unseen(mut self, rule: Unseen) -> Self {
        self.unseen = rule;
        self
    }

    /// Sets what a cell holds if its value is missing; by default nothing, `NA`, `N/A`, `NaN`, `nan` or `null`.
    #[must_use]
    pub fn missing_markers<S: Into<String>>(mut self, markers: impl IntoIterator<Item = S>) -> Self {
        self.markers = markers.into_iter().map(Into::into).collect();
        self
    }

    /// Learns categories, and what gaps are filled with, from the rows of a table.
    ///
    /// # Errors
    /// Returns an error if no columns are chosen, one is chosen twice or not there, a rule does not suit its column,
    /// a number can't be read, a value is missing that is neither left out nor filled, or no row is left.
    pub fn fit(self, table: &Table) -> Result<Schema, DataError> {
        let Self { inputs, targets, target_kind, missing, unseen, markers } = self;
        if inputs.is_empty() {
            return Err(DataError::Empty { what: "the list of input columns", unit: "column" });
        }
        if targets.is_empty() {
            return Err(DataError::Empty { what: "the list of target columns", unit: "column" });
        }
        let mut chosen = BTreeSet::new();
        for Column { name, .. } in inputs.iter().map(|(column, _)| column).chain(&targets) {
            if !chosen.insert(name) {
                return Err(DataError::Duplicate { what: "column", name: name.clone() });
            }
        }
        let plans = inputs.into_iter().map(|(column, kind)| column.input(kind, &missing, unseen));
        let plans = plans.collect::<Result<Vec<_>, _>>()?;
        let targets = targets.into_iter().map(|column| {
            let (column, drop) = column.target(&missing)?;
            Ok(Target { column, drop })
        });
        let targets = targets.collect::<Result<Vec<_>, DataError>>()?;
        let needed = plans.iter().filter_map(|plan| match plan.missing {
            Missing::Error => Some((plan.column.as_str(), false)),
            Missing::Drop => Some((plan.column.as_str(), true)),
            _ => None,
        });
        let rows = complete_rows(table, needed.chain(targets.iter().map(Target::needed)), &markers)?;
        let rows: Vec<Row<'_>> = rows.rows().collect();
        let goal = match (target_kind, targets.as_slice()) {
            (Kind::Categorical, [target]) => {
                let place = table.place(&target.column)?;
                let classes = OneHot::fit(rows.iter().map(|row| row.cell(place)))?;
                Goal::Class { target: target.clone(), classes }
            }
            _ => Goal::Values { targets },
        };
        let learn = |plan: Plan| {
            let place = table.place(&plan.column)?;
            Input::learn(plan, rows.iter().map(|row| (row.line(), row.cell(place))), &markers)
        };
        let inputs = plans.into_iter().map(learn).collect::<Result<_, DataError>>()?;
        Ok(Schema { inputs, goal, markers })
    }
}

/// What was learnt of a table: how its cells, and those of later rows, become numbers.
///
/// Keep it with the model (it serialises with the feature `serde`): without it the model's inputs have no meaning.
/// What fills a gap is kept as text, which every format gives back exactly.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Schema {
    inputs: Vec<Input>,
    goal: Goal,
    markers: Markers,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Input {
    column: String,
    gap: Gap,
    indicator: bool,
    encoding: Encoding,
}

/// What becomes of a gap.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Gap {
    Error,
    Drop,
    /// The cell is read as if it held this.
    Fill(String),
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Encoding {
    Numeric,
    Categorical { categories: OneHot, unseen: Unseen },
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Target {
    column: String,
    /// Whether rows without it are left out.
    drop: bool,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Goal {
    Class { target: Target, classes: OneHot },
    Values { targets: Vec<Target> },
}

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

impl Schema {
    /// The columns that inputs are made of, in the order of their features.
    pub fn input_columns(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.column.as_str())
    }

    /// The columns that targets are made of.
    pub fn target_columns(&self) -> impl Iterator<Item = &str> {
        self.targets().iter().map(|target| target.column.as_str())
    }

    /// The name of each input feature: its column's, `column=category`, or `column is missing`.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for Input { column, indicator, encoding, .. } in &self.inputs {
            match encoding {
                Encoding::Numeric => names.push(column.clone()),
                Encoding::Categorical { categories, .. } => {
                    names.extend(categories.categories().iter().map(|category| format!("{column}={category}")));
                }
            }
            names.extend(indicator.then(|| format!("{column} is missing")));
        }
        names
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

    /// The data set of a table: the one that the schema was fitted to, or another with the same columns in any order.
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

    /// The inputs of every row of a table, which needs no targets: (rows, features).
    ///
    /// # Errors
    /// As [`dataset`](Self::dataset), but a missing value that can't be filled is always one.
    pub fn inputs<T: Scalar>(&self, table: &Table) -> Result<Array2<T>, DataError> {
        let inputs = self.encode_rows(table)?;
        let features = inputs.len() / table.len();
        match Array2::from_shape_vec((table.len(), features), inputs) {
            Ok(inputs) => Ok(inputs),
            Err(error) => unreachable!("every row has as many features: {error}"),
        }
    }

    /// The inputs of one new record, given as (column, cell); columns that are not needed may be there.
    ///
    /// # Errors
    /// As [`inputs`](Self::inputs), and if the record has a needed column twice.
    pub fn transform<T: Scalar>(&self, record: &[(&str, &str)]) -> Result<Vec<T>, DataError> {
        let cell = |column: &str| {
            let mut cells = record.iter().filter(|(name, _)| *name == column).map(|(_, cell)| cell.trim());
            match (cells.next(), cells.next()) {
                (Some(cell), None) => Ok(cell),
                (Some(_), Some(_)) => Err(DataError::Duplicate { what: "column", name: column.to_owned() }),
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

impl Input {
    /// What the cells of a column are turned into, given the line and the cell of each row.
    fn learn<'t>(
        plan: Plan,
        cells: impl Iterator<Item = (u64, &'t str)>,
        markers: &Markers,
    ) -> Result<Self, DataError> {
        let Plan { column, kind, missing, indicator, unseen } = plan;
        let nothing = || DataError::NothingToFill { column: column.clone() };
        let present = cells.filter(|(_, cell)| !markers.contains(*cell));
        let (fill, encoding) = match kind {
            Kind::Numeric => {
                let numbers = present.map(|(line, cell)| number(&column, Some(line), cell));
                let mut numbers = numbers.collect::<Result<Vec<f64>, _>>()?;
                let mean = mean(&numbers);
                numbers.sort_by(f64::total_cmp);
                let fill = match missing {
                    Missing::Mean => mean,
                    Missing::Median => median(&numbers),
                    _ => most_frequent(&numbers),
                };
                // The shortest text is read back as the same number.
                (fill.map(|x| format!("{x:?}")), Encoding::Numeric)
            }
            Kind::Categorical => {
                let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
                for (_, cell) in present {
                    *counts.entry(cell).or_default() += 1;
                }
                let constant = if let Missing::Constant(text) = &missing { Some(text.as_str()) } else { None };
                let mut categories =
                    OneHot::fit(counts.keys().copied().chain(constant)).map_err(|_nothing_to_learn| nothing())?;
                // `max_by_key` takes the last among equals, so the order is reversed.
                let by_count = |category: &&String| counts.get(category.as_str()).copied();
                let fill = categories.categories().iter().rev().max_by_key(by_count).cloned();
                if unseen == Unseen::Other && categories.position(OTHER).is_none() {
                    let known = categories.categories().iter().map(String::as_str);
                    categories = OneHot::with_categories(known.chain([OTHER]))?;
                }
                (fill, Encoding::Categorical { categories, unseen })
            }
        };
        let gap = match missing {
            Missing::Error => Gap::Error,
            Missing::Drop => Gap::Drop,
            Missing::Constant(text) => Gap::Fill(text),
            Missing::Mean | Missing::Median | Missing::MostFrequent | Missing::Fill => {
                Gap::Fill(fill.ok_or_else(nothing)?)
            }
        };
        Ok(Self { column, gap, indicator, encoding })
    }

    /// Appends the features of a cell.
    fn encode<T: Scalar>(
        &self,
        line: Option<u64>,
        cell: &str,
        is_missing: bool,
        features: &mut Vec<T>,
    ) -> Result<(), DataError> {
        let Self { column, gap, indicator, encoding } = self;
        let cell = match gap {
            _ if !is_missing => cell,
            Gap::Fill(text) => text,
            Gap::Error => return Err(missing_value(column, line, cell)),
            Gap::Drop => {
                let advice = "the schema leaves such rows out of data sets and has nothing to fill the gap with";
                return Err(DataError::MissingValue { line, column: column.clone(), text: cell.to_owned(), advice });
            }
        };
        match encoding {
            Encoding::Numeric => features.push(number(column, line, cell)?),
            Encoding::Categorical { categories, unseen } => {
                let place = match (categories.position(cell), unseen) {
                    (Some(place), _) => Some(place),
                    (None, Unseen::Error) => {
                        return Err(cell_error(column, line, categories.unknown(cell)));
                    }
                    (None, Unseen::Other) => categories.position(OTHER),
                    (None, Unseen::Zeros) => None,
                };
                let row = 0..categories.categories().len();
                features.extend(row.map(|category| if Some(category) == place { T::ONE } else { T::ZERO }));
            }
        }
        features.extend(indicator.then_some(if is_missing { T::ONE } else { T::ZERO }));
        Ok(())
    }
}

/// The category of [`Unseen::Other`].
const OTHER: &str = "other";

/// The rows that have all the values that are needed; see [`sort_rows`].
fn complete_rows<'n>(
    table: &Table,
    needed: impl Iterator<Item = (&'n str, bool)>,
    markers: &Markers,
) -> Result<Table, DataError> {
    let (kept, _) = sort_rows(table, needed, markers)?;
    if kept.is_empty() { Err(DataError::NoRows { rows: table.len() }) } else { Ok(table.gather(&kept)) }
}

/// Which rows have a value in all columns that need one, and which have none where such rows are left out.
///
/// `needed`: the columns, each with whether rows without a value are left out; otherwise such a row is an error,
/// unless it is left out for another column.
fn sort_rows<'n>(
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

fn missing_value(column: &str, line: Option<u64>, cell: &str) -> DataError {
    let advice = "choose a rule for missing values, such as `Missing::Drop` or `Missing::Fill`";
    DataError::MissingValue { line, column: column.to_owned(), text: cell.to_owned(), advice }
}

fn cell_error(column: &str, line: Option<u64>, cause: DataError) -> DataError {
    DataError::Cell { line, column: column.to_owned(), cause: Box::new(cause) }
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

/// The mean of finite numbers, which is finite too.
fn mean(numbers: &[f64]) -> Option<f64> {
    let count = numbers.len() as f64;
    let total = sum(numbers);
    let mean = if total.is_finite() { total / count } else { map_sum(numbers, |x| x / count) };
    (!numbers.is_empty()).then_some(mean)
}

/// The median of sorted numbers.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = |place: usize| sorted.get(place).copied();
    let last = sorted.len().checked_sub(1)?;
    Some(middle(last / 2)?.midpoint(middle(last.div_ceil(2))?))
}

/// The most frequent of sorted numbers, the smallest among equals.
fn most_frequent(sorted: &[f64]) -> Option<f64> {
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.rev().max_by_key(|run| run.len()).and_then(|run| run.first()).copied()
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
             choose a rule for missing values, such as `Missing::Drop` or `Missing::Fill`"
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
        assert_eq!(
            message(schema.inputs::<f32>(&gap)),
            "the value of column `height` is missing on line 2; \
             the schema leaves such rows out of data sets and has nothing to fill the gap with"
        );
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
        for text in ["one", "1,5", "inf", "-Infinity", "+nan", "1e999", "0x10", "1_000", "1 000", "1e", "--1"] {
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
        let missing = Table::read("x,y\nnan,0\n".as_bytes()).unwrap();
        assert!(
            message(Columns::for_values(["y"]).numeric(["x"]).fit(&missing))
                .starts_with("the value of column `x` is missing on line 2 (`nan`);")
        );
    }

    #[test]
    fn a_number_becomes_the_nearest_one_and_an_identifier_stays_a_category() {
        let table = Table::read("id,y\n9007199254740993,16777217\n9007199254740992,1e-400\n".as_bytes()).unwrap();
        let schema = Columns::for_values(["y"]).numeric(["id"]).fit(&table).unwrap();
        let set: Dataset<f64> = schema.dataset(&table).unwrap();
        assert_eq!(set.into_parts(), (vec![9_007_199_254_740_992.0; 2], Targets::values(vec![16_777_217.0, 0.0], [1])));
        assert_eq!(
            schema.dataset::<f32>(&table).unwrap().into_parts().1,
            Targets::values(vec![16_777_216.0, 0.0], [1])
        );
        let schema = Columns::for_values(["y"]).categorical(["id"]).fit(&table).unwrap();
        assert_eq!(schema.feature_names(), ["id=9007199254740992", "id=9007199254740993"]);
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
            "column `x` has no value at all, so its gaps can't be filled with one of its own; \
             fill them with `Missing::Constant`, or leave the column out"
        );
    }

    fn column(text: &str, column: impl Into<Column>) -> Result<Schema, DataError> {
        let rows: String = text.split(' ').map(|cell| format!("{cell},0\n")).collect();
        let table = Table::read(format!("x,y\n{rows}").as_bytes()).unwrap();
        let (column, columns) = (column.into(), Columns::for_values(["y"]));
        let numeric = text.split(' ').all(|cell| cell == "NA" || cell.parse::<f64>().is_ok());
        if numeric { columns.numeric([column]) } else { columns.categorical([column]) }.fit(&table)
    }

    fn filled(text: &str, rule: Missing) -> Vec<f64> {
        column(text, Column::new("x").missing(rule)).unwrap().transform(&[("x", "NA")]).unwrap()
    }

    #[test]
    fn numbers_are_filled_by_the_rule_of_their_column() {
        let text = "7 NA 1 2 2 7 NA 100";
        assert_eq!(filled(text, Missing::Mean), [119.0 / 6.0]);
        assert_eq!(filled(text, Missing::Fill), [119.0 / 6.0]);
        assert_eq!(filled(text, Missing::Median), [4.5]);
        assert_eq!(filled("3 1 2", Missing::Median), [2.0]);
        assert_eq!(filled("1.7e308 1.6e308", Missing::Median), [1.7e308 / 2.0 + 1.6e308 / 2.0]);
        assert_eq!(filled(text, Missing::MostFrequent), [2.0]);
        assert_eq!(filled("7.0 2 7 NA 2 07", Missing::MostFrequent), [7.0]);
        assert_eq!(filled(text, Missing::constant(-1.5)), [-1.5]);
        assert_eq!(filled("NA NA", Missing::constant(0)), [0.0]);
    }

    #[test]
    fn categories_are_filled_by_the_rule_of_their_column() {
        let text = "b NA a b a NA";
        assert_eq!(filled(text, Missing::MostFrequent), [1.0, 0.0]);
        assert_eq!(filled(text, Missing::Fill), [1.0, 0.0]);
        assert_eq!(filled(text, Missing::constant("b")), [0.0, 1.0]);
        let schema = column(text, Column::new("x").missing(Missing::constant("none"))).unwrap();
        assert_eq!(schema.feature_names(), ["x=a", "x=b", "x=none"]);
        // The category is there even if the fitted table has no gap.
        let schema = column("b a", Column::new("x").missing(Missing::constant("none"))).unwrap();
        assert_eq!(schema.transform::<f32>(&[("x", "")]).unwrap(), [0.0, 0.0, 1.0]);
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
    fn an_indicator_says_what_was_missing() {
        let column_of = |text, rule| column(text, Column::new("x").missing(rule).with_indicator()).unwrap();
        let schema = column_of("1 NA 3", Missing::Mean);
        assert_eq!(schema.feature_names(), ["x", "x is missing"]);
        assert_eq!(schema.transform::<f32>(&[("x", "")]).unwrap(), [2.0, 1.0]);
        assert_eq!(schema.transform::<f32>(&[("x", "5")]).unwrap(), [5.0, 0.0]);
        let schema = column_of("b a", Missing::MostFrequent);
        assert_eq!(schema.feature_names(), ["x=a", "x=b", "x is missing"]);
        assert_eq!(schema.transform::<f32>(&[("x", "nan")]).unwrap(), [1.0, 0.0, 1.0]);
    }

    #[test]
    fn unseen_categories_follow_their_rule() {
        let column_of = |text, rule| column(text, Column::new("x").unseen(rule)).unwrap();
        let green = |schema: &Schema| schema.transform::<f32>(&[("x", "green")]);
        let other = column_of("red blue", Unseen::Other);
        assert_eq!(other.feature_names(), ["x=blue", "x=red", "x=other"]);
        assert_eq!(green(&other).unwrap(), [0.0, 0.0, 1.0]);
        assert_eq!(other.transform::<f32>(&[("x", "red")]).unwrap(), [0.0, 1.0, 0.0]);
        let own = column_of("other red", Unseen::Other);
        assert_eq!((own.feature_names().len(), green(&own).unwrap()), (2, vec![1.0, 0.0]));
        assert_eq!(green(&column_of("red blue", Unseen::Zeros)).unwrap(), [0.0, 0.0]);
        assert!(message(green(&column_of("red blue", Unseen::Error))).contains("`green` is none of"));
        // A gap is not a category that was never seen.
        assert!(
            message(other.transform::<f32>(&[("x", "NA")])).starts_with("the value of column `x` is missing (`NA`)")
        );

        let table = Table::read("x,y,class\na,b,c\n".as_bytes()).unwrap();
        let schema = Columns::for_class("class").categorical(["x", "y"]).unseen(Unseen::Other).fit(&table).unwrap();
        assert_eq!(schema.feature_names(), ["x=a", "x=other", "y=b", "y=other"]);
        let later = Table::read("class,y,x\nd,?,?\n".as_bytes()).unwrap();
        assert_eq!(
            message(schema.dataset::<f32>(&later)),
            "column `class` on line 2: `d` is none of the known categories (`c`)"
        );
    }

    #[test]
    fn rules_that_do_not_suit_their_column_are_refused() {
        let x = |rule| Column::new("x").missing(rule);
        for rule in [Missing::Mean, Missing::Median] {
            assert_eq!(
                message(column("a NA", x(rule))),
                "column `x` holds categories, which have no mean or median; give it the rule \
                 `Missing::MostFrequent`, `Missing::Constant` or `Missing::Fill`"
            );
        }
        for text in ["none", "inf", "nan", ""] {
            assert_eq!(
                message(column("1 NA", x(Missing::constant(text)))),
                format!("column `x` can't have its gaps filled with `{text}`, which is not a finite number")
            );
        }
        for rule in [Missing::Error, Missing::Drop] {
            let message = message(column("1 NA", x(rule).with_indicator()));
            assert!(message.starts_with("column `x` asks for an indicator, but no rule fills its gaps;"), "{message}");
        }
        assert!(
            message(column("1 2", Column::new("x").unseen(Unseen::Zeros))).starts_with("column `x` holds numbers, so")
        );
        let target = |target: Column| {
            let table = Table::read("x,y\n1,2\n".as_bytes()).unwrap();
            message(Columns::for_values([target]).numeric(["x"]).fit(&table))
        };
        assert_eq!(
            target(Column::new("y").missing(Missing::Mean)),
            "column `y` is a target, whose gaps can't be filled; give it the rule `Missing::Drop`"
        );
        for odd in [Column::new("y").with_indicator(), Column::new("y").unseen(Unseen::Other)] {
            assert!(target(odd).starts_with("column `y` is a target, which takes neither an indicator nor a rule for"));
        }
    }

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
        // The median of 1 and 6: what stands in rows that are left out is not learnt from.
        assert_eq!(set.inputs().matrix(), array![[1.0, 1.0], [3.0, 3.5], [6.0, 6.0]]);
        assert_eq!(set.len() + dropped.len(), table.len());

        let schema = Columns::for_values(["y"]).numeric([Column::new("x").missing(Missing::Drop)]);
        let message = message(schema.fit(&table));
        assert!(message.starts_with("the value of column `y` is missing on line 5 (`NA`);"), "{message}");
    }

    #[test]
    fn a_record_names_each_column_once() {
        let schema = columns().missing(Missing::Fill).fit(&flowers()).unwrap();
        let record = [("colour", "red"), ("height", "1"), ("note", "a"), ("note", "b"), ("colour", "blue")];
        assert_eq!(
            message(schema.transform::<f32>(&record)),
            "the column `colour` stands more than once; name each column once"
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
    fn what_fills_a_gap_survives_a_file_to_the_last_bit() {
        let mut stream = downhill_tensor::Seed(3).stream(0);
        for power in -320..=300 {
            let x = stream.uniform() * 10f64.powi(power);
            let schema = column(&format!("{x:?} {x:?} NA"), Column::new("x").missing(Missing::Median)).unwrap();
            let json = serde_json::to_string(&schema).unwrap();
            let read: Schema = serde_json::from_str(&json).unwrap();
            let fill = read.transform::<f64>(&[("x", "")]).unwrap()[0];
            assert_eq!((read, fill.to_bits()), (schema, x.to_bits()), "{x:?}");
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
