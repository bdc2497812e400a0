use crate::DataError;

/// What becomes of a missing value.
///
/// What fills a gap is learnt from the table that a schema is fitted to, and is the same for all later rows.
/// Targets are never filled, since an invented target teaches nothing: a rule that fills leaves such rows out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// It is an error that names the line and the column.
    #[default]
    Error,
    /// Its row is left out; [`Schema::dropped`](crate::Schema::dropped) lists such rows.
    Drop,
    /// It becomes the mean of a column of numbers.
    Mean,
    /// It becomes the median of a column of numbers.
    Median,
    /// It becomes the most frequent value: of categories the first among equals, of numbers the smallest.
    MostFrequent,
    /// It is read as if the cell held this text. A category of that name is there even if no cell holds it.
    Constant(String),
    /// It becomes the mean in a column of numbers, and the most frequent category in one of categories.
    Fill,
}

impl Missing {
    /// [`Constant`](Self::Constant) of a number or a text, as `Missing::constant(0)`.
    pub fn constant(value: impl ToString) -> Self {
        Self::Constant(value.to_string())
    }
}

/// What becomes of a category that was not in the table that a schema was fitted to.
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
/// A name is enough where a column is asked for; rules that are not set here are those of the
/// [`Columns`](crate::Columns).
///
/// ```
/// use downhill_data::{Column, Columns, Missing, Table, Unseen};
///
/// let table = Table::read("age,town,pay\n20,Ulm,1\nNA,Ulm,2\n40,,3\n90,Bonn,\n".as_bytes())?;
/// let schema = Columns::for_values([Column::new("pay").missing(Missing::Drop)])
///     .numeric([Column::new("age").missing(Missing::Median).with_indicator()])
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
    /// The column of this name.
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
    pub fn with_indicator(mut self) -> Self {
        self.indicator = true;
        self
    }

    /// Sets what becomes of categories that were not there when the schema was fitted.
    #[must_use]
    pub fn unseen(mut self, rule: Unseen) -> Self {
        self.unseen = Some(rule);
        self
    }

    /// What is to be learnt of the column as an input; `missing` and `unseen` are the rules for columns without their own.
    pub(crate) fn input(self, kind: Kind, missing: &Missing, unseen: Unseen) -> Result<Plan, DataError> {
        let Self { name, missing: own, indicator, unseen: own_unseen } = self;
        let refuse = |reason: String| Err(DataError::Rule { column: name.clone(), reason });
        let rule = match (kind, own.unwrap_or_else(|| missing.clone())) {
            (Kind::Numeric, Missing::Fill) => Missing::Mean,
            (Kind::Categorical, Missing::Fill) => Missing::MostFrequent,
            (Kind::Categorical, Missing::Mean | Missing::Median) => {
                return refuse(
                    "holds categories, which have no mean or median; give it the rule `Missing::MostFrequent`, \
                     `Missing::Constant` or `Missing::Fill`"
                        .into(),
                );
            }
            (Kind::Numeric, Missing::Constant(text)) if !text.parse().is_ok_and(f64::is_finite) => {
                return refuse(format!("can't have its gaps filled with `{text}`, which is not a finite number"));
            }
            (_, rule) => rule,
        };
        if indicator && matches!(rule, Missing::Error | Missing::Drop) {
            return refuse(
                "asks for an indicator, but no rule fills its gaps; give it one, such as `Missing::Fill`, \
                 or leave the indicator out"
                    .into(),
            );
        }
        if own_unseen.is_some() && matches!(kind, Kind::Numeric) {
            return refuse("holds numbers, so that no value is unseen; leave the rule out".into());
        }
        Ok(Plan { kind, missing: rule, indicator, unseen: own_unseen.unwrap_or(unseen), column: name })
    }

    /// The name, and whether rows without the value are left out, if the column is a target.
    pub(crate) fn target(self, missing: &Missing) -> Result<(String, bool), DataError> {
        let refuse = |reason: &str| Err(DataError::Rule { column: self.name.clone(), reason: reason.into() });
        if self.indicator || self.unseen.is_some() {
            return refuse("is a target, which takes neither an indicator nor a rule for unseen values");
        }
        let drop = match &self.missing {
            Some(Missing::Error) => false,
            Some(Missing::Drop) => true,
            Some(_) => return refuse("is a target, whose gaps can't be filled; give it the rule `Missing::Drop`"),
            None => *missing != Missing::Error,
        };
        Ok((self.name, drop))
    }
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Numeric,
    Categorical,
}

/// What is to be learnt of a column.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) column: String,
    pub(crate) kind: Kind,
    pub(crate) missing: Missing,
    pub(crate) indicator: bool,
    pub(crate) unseen: Unseen,
}
