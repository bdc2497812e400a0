use std::collections::BTreeSet;

use super::column::{Column, Kind, Missing, Plan, Unseen};
use super::hashing::Hashing;
use super::input::Input;
use super::rows::{Markers, complete_rows};
use super::{Goal, Schema, Target};
use crate::cells::Row;
use crate::{DataError, OneHot, Table};

/// A choice of the columns of a table that are inputs and targets, and of the rules for missing and unseen values.
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

    /// Adds a column of ordered categories to the inputs, each as one number: its place in `order`, counted from 0.
    ///
    /// A category that is not in the order is an error.
    ///
    /// ```
    /// use downhill_data::{Columns, Table};
    /// let shirts = Table::read("size,price\nlarge,9\nsmall,7\n".as_bytes())?;
    /// let schema = Columns::for_values(["price"]).ordinal("size", ["small", "medium", "large"]).fit(&shirts)?;
    /// assert_eq!(schema.transform::<f32>(&[("size", "large")])?, [2.0]);
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    #[must_use]
    pub fn ordinal<S: Into<String>>(mut self, column: impl Into<Column>, order: impl IntoIterator<Item = S>) -> Self {
        self.inputs.push((column.into(), Kind::Ordinal(order.into_iter().map(Into::into).collect())));
        self
    }

    /// Adds columns of categories to the inputs, each as many features as [`Hashing`] has buckets, of which one is 1 (or
    /// −1): for columns of more categories than should be features. Names, or [`Column`]s with their own rules.
    ///
    /// No category is learnt, so that none is unseen.
    ///
    /// ```
    /// use downhill_data::{Columns, Hashing, Table};
    /// let visits = Table::read("page,seconds\n/index,9\n/help,30\n".as_bytes())?;
    /// let schema = Columns::for_values(["seconds"]).hashed(["page"], Hashing::new(4).signed()).fit(&visits)?;
    /// assert_eq!(schema.feature_names()[3], "page (bucket 3)");
    /// let page = schema.transform::<f32>(&[("page", "/never/seen")])?;
    /// assert_eq!(page.iter().map(|x| x.abs()).sum::<f32>(), 1.0);
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    #[must_use]
    pub fn hashed<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>, hashing: Hashing) -> Self {
        self.inputs.extend(columns.into_iter().map(|column| (column.into(), Kind::Hashed(hashing))));
        self
    }

    /// Adds columns of dates to the inputs: names, or [`Column`]s with their own rules.
    ///
    /// A date is written with its year first (`2024-03-31`, `2024/03/31`) or last (`31.3.2024`, `31/3/2024`,
    /// `3/31/2024`), and a time may follow (`2024-03-31T18:30`, `2024-03-31 18:30:00+02:00`), which is read as the clock
    /// shows it: an offset from UTC is not applied. Whether day or month comes first between slashes is learnt from the
    /// column, and is an error if it can't be told.
    ///
    /// It becomes five features: the days since 1970 (with the time as a fraction), and sine and cosine of its place in
    /// the year and of that in the week. If a cell of the fitted table tells a time, sine and cosine of its place in the
    /// day follow.
    #[must_use]
    pub fn dates<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.inputs.extend(columns.into_iter().map(|column| (column.into(), Kind::Date)));
        self
    }

    /// Sets the rule for missing values in columns without one; an error by default.
    ///
    /// A row whose target is missing is left out by every rule but [`Missing::Error`].
    #[must_use]
    pub fn missing(mut self, rule: Missing) -> Self {
        self.missing = rule;
        self
    }

    /// Sets the rule for unseen categories in inputs without one; an error by default.
    ///
    /// A class that was never seen is always an error.
    #[must_use]
    pub fn unseen(mut self, rule: Unseen) -> Self {
        self.unseen = rule;
        self
    }

    /// Sets the texts that mean a missing value; by default an empty cell, `NA`, `N/A`, `NaN`, `nan` or `null`.
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
        let Choice { plans, targets, target_kind, markers } = self.choose()?;
        let rows = complete_rows(table, needed(&plans, &targets), &markers)?;
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
            Input::learn(plan, rows.iter().map(move |row| (row.line(), row.cell(place))), &markers)
        };
        let inputs = plans.into_iter().map(learn).collect::<Result<_, DataError>>()?;
        Ok(Schema { inputs, goal, markers })
    }

    /// Checks that the choice is one, and that each rule suits its column.
    pub(super) fn choose(self) -> Result<Choice, DataError> {
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
                return Err(DataError::DuplicateColumn { name: name.clone() });
            }
        }
        let plans = inputs.into_iter().map(|(column, kind)| column.input(kind, &missing, unseen));
        let plans = plans.collect::<Result<Vec<_>, _>>()?;
        let targets = targets.into_iter().map(|column| {
            let (column, drop) = column.target(&missing)?;
            Ok(Target { column, drop })
        });
        let targets = targets.collect::<Result<Vec<_>, DataError>>()?;
        Ok(Choice { plans, targets, target_kind, markers })
    }
}

/// A choice of columns that was checked.
pub(super) struct Choice {
    pub(super) plans: Vec<Plan>,
    pub(super) targets: Vec<Target>,
    pub(super) target_kind: Kind,
    pub(super) markers: Markers,
}

/// The columns whose values a row needs, and whether rows without them are left out.
pub(super) fn needed<'c>(plans: &'c [Plan], targets: &'c [Target]) -> impl Iterator<Item = (&'c str, bool)> {
    let inputs = plans.iter().filter_map(|plan| match plan.missing {
        Missing::Error => Some((plan.column.as_str(), false)),
        Missing::Drop => Some((plan.column.as_str(), true)),
        _ => None,
    });
    inputs.chain(targets.iter().map(Target::needed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::testing::{column, columns, flowers, message};

    #[test]
    fn a_missing_value_is_an_error_by_default() {
        assert_eq!(
            message(columns().fit(&flowers())),
            "the value of column `height` is missing on line 3; \
             choose a rule for missing values, such as `Missing::Drop` or `Missing::Fill`"
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
    fn columns_must_be_chosen_once_and_be_there() {
        let table = flowers();
        let missing = |columns: Columns| message(columns.missing(Missing::Drop).fit(&table));
        assert!(missing(Columns::for_class("class")).starts_with("the list of input columns is empty"));
        assert!(missing(Columns::for_values::<&str>([]).numeric(["height"])).starts_with("the list of target columns"));
        assert_eq!(
            missing(columns().numeric(["class"])),
            "the column `class` is listed more than once; name each column once"
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
            "column `x` has no value at all, so its gaps can't be filled from it; \
             fill them with `Missing::Constant`, or leave the column out"
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
            let message = message(column("1 NA", x(rule).indicator()));
            assert!(message.starts_with("column `x` asks for an indicator, but no rule fills its gaps;"), "{message}");
        }
        assert!(
            message(column("1 2", Column::new("x").unseen(Unseen::Zeros)))
                .starts_with("column `x` holds no categories, so")
        );
        let target = |target: Column| {
            let table = Table::read("x,y\n1,2\n".as_bytes()).unwrap();
            message(Columns::for_values([target]).numeric(["x"]).fit(&table))
        };
        assert_eq!(
            target(Column::new("y").missing(Missing::Mean)),
            "column `y` is a target, whose gaps can't be filled; give it the rule `Missing::Drop`"
        );
        for odd in [Column::new("y").indicator(), Column::new("y").unseen(Unseen::Other)] {
            assert!(target(odd).starts_with("column `y` is a target, which takes neither an indicator nor a rule for"));
        }
    }
}
