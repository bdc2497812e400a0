use super::date;
use super::hashing::{Hashing, MOST_BUCKETS};
use crate::{DataError, RuleError};

/// A rule for missing values.
///
/// The value that fills a gap is learnt from the table that a schema is fitted to, and is the same for all later rows.
/// Targets are never filled, since an invented target teaches nothing: a rule that fills leaves such rows out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// It is an error that names the line and the column.
    #[default]
    Error,
    /// Its row is left out; [`Schema::dropped`](crate::Schema::dropped) lists such rows.
    Drop,
    /// It becomes the mean of a column of numbers or dates.
    Mean,
    /// It becomes the median of a column of numbers or dates.
    Median,
    /// It becomes the most frequent value: of categories the first among equals, of numbers the smallest, of dates the
    /// earliest.
    MostFrequent,
    /// It is read as if the cell held this text. A category of that name is there even if no cell holds it.
    Constant(String),
    /// It becomes the mean in a column of numbers or dates, and the most frequent category in one of categories.
    Fill,
}

impl Missing {
    /// Makes a [`Constant`](Self::Constant) of a number or a text, such as `Missing::constant(0)`.
    #[must_use]
    pub fn constant(value: impl ToString) -> Self {
        Self::Constant(value.to_string())
    }
}

/// A rule for categories that were not in the table that a schema was fitted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Unseen {
    /// It is an error that names the line, the column and the known categories.
    #[default]
    Error,
    /// It becomes the category `other`, the last feature of the column, or an ordinary category if a cell holds `other`.
    ///
    /// If no row of the fitted table is `other`, training can't tell what it means.
    Other,
    /// All features of the column are 0.
    Zeros,
}

/// A column of a table: its name, and what becomes of missing and unseen values in it.
///
/// A name alone converts to a column; rules that are not set here are those of the [`Columns`](crate::Columns).
///
/// ```
/// use downhill_data::{Column, Columns, Missing, Table, Unseen};
///
/// let table = Table::read("age,town,pay\n20,Ulm,1\nNA,Ulm,2\n40,,3\n90,Bonn,\n".as_bytes())?;
/// let schema = Columns::for_values([Column::new("pay").missing(Missing::Drop)])
///     .numeric([Column::new("age").missing(Missing::Median).indicator()])
///     .categorical([Column::new("town").missing(Missing::constant("none")).unseen(Unseen::Other)])
///     .fit(&table)?;
/// // The row without a target is left out, and `Bonn` with it.
/// assert_eq!(schema.dropped(&table)?[0].to_string(), "line 5, which lacks `pay`");
/// assert_eq!(schema.feature_names(), ["age", "age is missing", "town=Ulm", "town=none", "town=other"]);
/// assert_eq!(schema.transform::<f32>(&[("age", "NA"), ("town", "Bonn")])?, [30.0, 1.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub(crate) name: String,
    missing: Option<Missing>,
    indicator: bool,
    unseen: Option<Unseen>,
}

impl<S: Into<String>> From<S> for Column {
    fn from(name: S) -> Self {
        Self::new(name)
    }
}

impl Column {
    /// Makes a column of this name, without rules.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), missing: None, indicator: false, unseen: None }
    }

    /// Sets what becomes of missing values.
    #[must_use]
    pub fn missing(mut self, rule: Missing) -> Self {
        self.missing = Some(rule);
        self
    }

    /// Adds a feature after those of the column that is 1 if the value is missing and 0 otherwise.
    #[must_use]
    pub fn indicator(mut self) -> Self {
        self.indicator = true;
        self
    }

    /// Sets what becomes of categories that were not there when the schema was fitted.
    #[must_use]
    pub fn unseen(mut self, rule: Unseen) -> Self {
        self.unseen = Some(rule);
        self
    }

    /// Plans what to learn of the column as an input; `missing` and `unseen` are the rules of columns without any.
    pub(crate) fn input(self, kind: Kind, missing: &Missing, unseen: Unseen) -> Result<Plan, DataError> {
        let Self { name, missing: own, indicator, unseen: own_unseen } = self;
        let refuse = |problem| Err(DataError::Rule { column: name.clone(), problem });
        let rule = match (&kind, own.unwrap_or_else(|| missing.clone())) {
            (Kind::Numeric | Kind::Date, Missing::Fill) => Missing::Mean,
            (Kind::Categorical | Kind::Ordinal(_) | Kind::Hashed(_), Missing::Fill) => Missing::MostFrequent,
            (Kind::Categorical | Kind::Ordinal(_) | Kind::Hashed(_), Missing::Mean | Missing::Median) => {
                return refuse(RuleError::NoMean);
            }
            (Kind::Numeric, Missing::Constant(text)) if !text.parse().is_ok_and(f64::is_finite) => {
                return refuse(RuleError::NotNumber { text });
            }
            (Kind::Date, Missing::Constant(text)) if !date::reads_in_any_order(&text) => {
                return refuse(RuleError::NotDate { text });
            }
            (Kind::Ordinal(order), Missing::Constant(text)) if !order.contains(&text) => {
                return refuse(RuleError::NotInOrder { text });
            }
            (_, rule) => rule,
        };
        if indicator && matches!(rule, Missing::Error | Missing::Drop) {
            return refuse(RuleError::NothingToIndicate);
        }
        match (&kind, own_unseen) {
            (Kind::Hashed(hashing), _) if !(1..=MOST_BUCKETS).contains(&hashing.buckets()) => {
                return refuse(RuleError::Buckets { buckets: hashing.buckets(), most: MOST_BUCKETS });
            }
            (Kind::Numeric | Kind::Date, Some(_)) => return refuse(RuleError::NoCategories),
            (Kind::Ordinal(_), Some(Unseen::Other | Unseen::Zeros)) => return refuse(RuleError::OutOfOrder),
            (Kind::Hashed(_), Some(_)) => return refuse(RuleError::NothingUnseen),
            _ => {}
        }
        Ok(Plan { kind, missing: rule, indicator, unseen: own_unseen.unwrap_or(unseen), column: name })
    }

    /// Returns the name of a target, and whether rows without its value are left out.
    pub(crate) fn target(self, missing: &Missing) -> Result<(String, bool), DataError> {
        let refuse = |problem| Err(DataError::Rule { column: self.name.clone(), problem });
        if self.indicator || self.unseen.is_some() {
            return refuse(RuleError::NotAnInput);
        }
        let drop = match &self.missing {
            Some(Missing::Error) => false,
            Some(Missing::Drop) => true,
            Some(_) => return refuse(RuleError::TargetFilled),
            None => *missing != Missing::Error,
        };
        Ok((self.name, drop))
    }
}

/// The kind of a column's cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Numeric,
    Categorical,
    /// With the categories in their order.
    Ordinal(Vec<String>),
    Hashed(Hashing),
    Date,
}

/// A plan of what to learn of a column.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) column: String,
    pub(crate) kind: Kind,
    pub(crate) missing: Missing,
    pub(crate) indicator: bool,
    pub(crate) unseen: Unseen,
}
