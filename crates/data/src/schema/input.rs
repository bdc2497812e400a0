use std::collections::BTreeMap;

use downhill_tensor::Scalar;
use downhill_tensor::reduce::{map_sum, sum};

use super::column::{Kind, Missing, Plan, Unseen};
use super::date::{self, Moment, Order};
use super::hashing::Hashing;
use super::rows::{Markers, missing_value};
use crate::{DataError, OneHot};

/// An input column, and how its cells become features.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) struct Input {
    pub(super) column: String,
    pub(super) gap: Gap,
    pub(super) indicator: bool,
    pub(super) encoding: Encoding,
}

/// The rule for gaps, with what fills them.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) enum Gap {
    Error,
    Drop,
    /// The cell is read as if it held this.
    Fill(String),
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub(super) enum Encoding {
    Numeric,
    Categorical {
        categories: OneHot,
        unseen: Unseen,
    },
    Ordinal {
        categories: OneHot,
    },
    Hashed {
        hashing: Hashing,
    },
    /// With the order of the numbers between slashes, and whether a time of day is a feature.
    Date {
        order: Order,
        time: bool,
    },
}

/// What a schema has learnt of an input column.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LearntColumn<'s> {
    /// The name of the column.
    pub column: &'s str,
    /// What its cells become.
    pub encoded: Encoded<'s>,
    /// What a missing value is read as; `None` if it can't be filled.
    pub fill: Option<&'s str>,
    /// Whether a feature says that the value is missing.
    pub indicator: bool,
}

/// What the cells of a column become.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoded<'s> {
    /// A number.
    Number,
    /// A feature for each of the categories.
    Categories {
        /// The categories, in the order of their features.
        known: &'s [String],
        /// What becomes of others.
        unseen: Unseen,
    },
    /// The place of a category in the order of these.
    Ordered {
        /// The categories, the first of which is 0.
        known: &'s [String],
    },
    /// A feature for each bucket that categories are hashed into.
    Hashed {
        /// The buckets.
        hashing: Hashing,
    },
    /// The features of a date.
    Date {
        /// Whether its time of day is a feature.
        time: bool,
    },
}

impl Input {
    pub(super) fn learnt(&self) -> LearntColumn<'_> {
        let encoded = match &self.encoding {
            Encoding::Numeric => Encoded::Number,
            Encoding::Categorical { categories, unseen } => {
                Encoded::Categories { known: categories.categories(), unseen: *unseen }
            }
            Encoding::Ordinal { categories } => Encoded::Ordered { known: categories.categories() },
            Encoding::Hashed { hashing } => Encoded::Hashed { hashing: *hashing },
            Encoding::Date { time, .. } => Encoded::Date { time: *time },
        };
        let fill = if let Gap::Fill(text) = &self.gap { Some(text.as_str()) } else { None };
        LearntColumn { column: &self.column, encoded, fill, indicator: self.indicator }
    }

    /// Learns what the cells of a column are turned into, given the line and the cell of each row.
    pub(super) fn learn<'t>(
        plan: Plan,
        cells: impl Iterator<Item = (u64, &'t str)> + Clone,
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
                    Missing::Median => median(&numbers, |a, b| Some(a.midpoint(b))),
                    _ => most_frequent(&numbers),
                };
                // The shortest text is read back as the same number.
                (fill.map(|x| format!("{x:?}")), Encoding::Numeric)
            }
            Kind::Categorical => {
                let counts = counts(present.map(|(_, cell)| cell));
                let constant = if let Missing::Constant(text) = &missing { Some(text.as_str()) } else { None };
                let mut categories =
                    OneHot::fit(counts.keys().copied().chain(constant)).map_err(|_nothing_to_learn| nothing())?;
                let fill = most_frequent_category(&categories, &counts);
                if unseen == Unseen::Other && categories.position(OTHER).is_none() {
                    let known = categories.categories().iter().map(String::as_str);
                    categories = OneHot::with_categories(known.chain([OTHER]))?;
                }
                (fill, Encoding::Categorical { categories, unseen })
            }
            Kind::Ordinal(order) => {
                let categories = OneHot::with_categories(order)?;
                for (line, cell) in present.clone() {
                    categories.index(cell).map_err(|cause| cell_error(&column, Some(line), cause))?;
                }
                let counts = counts(present.map(|(_, cell)| cell));
                (most_frequent_category(&categories, &counts), Encoding::Ordinal { categories })
            }
            Kind::Hashed(hashing) => {
                let counts = counts(present.map(|(_, cell)| cell));
                let categories = OneHot::fit(counts.keys().copied()).ok();
                let fill = categories.and_then(|categories| most_frequent_category(&categories, &counts));
                (fill, Encoding::Hashed { hashing })
            }
            Kind::Date => {
                let (order, mut moments, time) = date::read_all(&column, present)?;
                moments.sort_unstable();
                let fill = match missing {
                    Missing::Mean => Moment::mean(&moments),
                    Missing::Median => median(&moments, |a, b| Moment::mean(&[a, b])),
                    _ => most_frequent(&moments),
                };
                (fill.map(|moment| moment.text(time)), Encoding::Date { order, time })
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
    pub(super) fn encode<T: Scalar>(
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
            Encoding::Date { order, time } => date::date(column, line, cell, *order)?.encode(*time, features),
            Encoding::Numeric => features.push(number(column, line, cell)?),
            Encoding::Ordinal { categories } => {
                let place = categories.index(cell).map_err(|cause| cell_error(column, line, cause))?;
                features.push(T::from_f64(place as f64));
            }
            Encoding::Hashed { hashing } => {
                let (bucket, sign) = hashing.bucket(cell);
                let row = 0..hashing.buckets();
                features.extend(row.map(|place| if place == bucket { T::from_f64(sign) } else { T::ZERO }));
            }
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

pub(super) fn cell_error(column: &str, line: Option<u64>, cause: DataError) -> DataError {
    DataError::Cell { line, column: column.to_owned(), cause: Box::new(cause) }
}

/// The number in a cell, which must be finite in `T` too.
pub(super) fn number<T: Scalar>(column: &str, line: Option<u64>, cell: &str) -> Result<T, DataError> {
    cell.parse().ok().map(T::from_f64).filter(|x| x.is_finite()).ok_or_else(|| DataError::NotNumber {
        line,
        column: column.to_owned(),
        text: cell.to_owned(),
        kind: T::NAME,
    })
}

/// How often each category occurs.
fn counts<'t>(cells: impl Iterator<Item = &'t str>) -> BTreeMap<&'t str, usize> {
    let mut counts = BTreeMap::new();
    for cell in cells {
        *counts.entry(cell).or_default() += 1;
    }
    counts
}

/// The most frequent category that occurs, the first among equals.
fn most_frequent_category(categories: &OneHot, counts: &BTreeMap<&str, usize>) -> Option<String> {
    let count = |category: &&String| counts.get(category.as_str()).copied();
    // `max_by_key` takes the last among equals, so the order is reversed.
    let found = categories.categories().iter().rev().filter(|category| count(category).is_some()).max_by_key(count);
    found.cloned()
}

/// The mean of finite numbers, which is finite too.
fn mean(numbers: &[f64]) -> Option<f64> {
    let count = numbers.len() as f64;
    let total = sum(numbers);
    let mean = if total.is_finite() { total / count } else { map_sum(numbers, |x| x / count) };
    (!numbers.is_empty()).then_some(mean)
}

/// The median of sorted values: what lies between the two in the middle.
pub(super) fn median<V: Copy>(sorted: &[V], between: impl Fn(V, V) -> Option<V>) -> Option<V> {
    let middle = |place: usize| sorted.get(place).copied();
    let last = sorted.len().checked_sub(1)?;
    between(middle(last / 2)?, middle(last.div_ceil(2))?)
}

/// The most frequent of sorted values, the smallest among equals.
pub(super) fn most_frequent<V: Copy + PartialEq>(sorted: &[V]) -> Option<V> {
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.rev().max_by_key(|run| run.len()).and_then(|run| run.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::testing::{column, filled, message};
    use crate::{Column, Columns, Dataset, Schema, Table, Targets};

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
    fn an_indicator_says_what_was_missing() {
        let column_of = |text, rule| column(text, Column::new("x").missing(rule).indicator()).unwrap();
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

    fn sizes(text: &str, column: impl Into<Column>) -> Result<Schema, DataError> {
        let rows: String = text.split(' ').map(|cell| format!("{cell},0\n")).collect();
        let table = Table::read(format!("x,y\n{rows}").as_bytes()).unwrap();
        Columns::for_values(["y"]).ordinal(column, ["small", "medium", "large"]).fit(&table)
    }

    #[test]
    fn ordered_categories_become_their_places() {
        let schema = sizes("large small", "x").unwrap();
        assert_eq!((schema.feature_names(), schema.feature_count()), (vec!["x".to_owned()], 1));
        let places = ["small", "medium", "large"].map(|size| schema.transform::<f32>(&[("x", size)]).unwrap());
        assert_eq!(places, [[0.0], [1.0], [2.0]]);
        assert!(
            message(schema.transform::<f32>(&[("x", "huge")]))
                .starts_with("column `x`: `huge` is none of the known categories (`small`, `medium`, `large`)")
        );
        assert!(message(sizes("large tiny", "x")).starts_with("column `x` on line 3: `tiny` is none of the known"));

        let filled = |text, rule| sizes(text, Column::new("x").missing(rule).indicator()).unwrap();
        for (text, expected) in [("large NA large small", 2.0), ("large NA medium", 1.0)] {
            for rule in [Missing::Fill, Missing::MostFrequent] {
                assert_eq!(filled(text, rule).transform::<f64>(&[("x", "")]).unwrap(), [expected, 1.0]);
            }
        }
        assert_eq!(filled("NA", Missing::constant("medium")).transform::<f64>(&[("x", "NA")]).unwrap(), [1.0, 1.0]);
        let refused = |column: Column| message(sizes("large", column));
        assert_eq!(
            refused(Column::new("x").missing(Missing::constant("tiny"))),
            "column `x` can't have its gaps filled with `tiny`, which is not in its order of categories"
        );
        assert!(refused(Column::new("x").missing(Missing::Median)).contains("have no mean or median"));
        for rule in [Unseen::Other, Unseen::Zeros] {
            assert!(refused(Column::new("x").unseen(rule)).contains("in which others have no place"));
        }
        assert!(sizes("large", Column::new("x").unseen(Unseen::Error)).is_ok());
        assert!(message(sizes("NA", Column::new("x").missing(Missing::Fill))).contains("has no value at all"));
        let table = Table::read("x,y\na,0\n".as_bytes()).unwrap();
        let ordered = |order: &[&str]| message(Columns::for_values(["y"]).ordinal("x", order.to_vec()).fit(&table));
        assert!(ordered(&["a", "a"]).starts_with("the category `a` is listed more than once"));
        assert!(ordered(&[]).starts_with("the list of categories is empty"));
    }

    #[test]
    fn hashed_categories_fill_one_bucket_each() {
        let hashed = |text: &str, column: Column, hashing| {
            let rows: String = text.split(' ').map(|cell| format!("{cell},0\n")).collect();
            let table = Table::read(format!("x,y\n{rows}").as_bytes()).unwrap();
            Columns::for_values(["y"]).hashed([column], hashing).fit(&table)
        };
        let hashing = Hashing::new(8).signed();
        let schema = hashed("a b b NA", Column::new("x").missing(Missing::Fill).indicator(), hashing).unwrap();
        assert_eq!((schema.feature_count(), schema.feature_names().len()), (9, 9));
        assert_eq!(schema.feature_names()[7..], ["x (bucket 7)", "x is missing"]);
        for category in ["a", "b", "never seen"] {
            let row = schema.transform::<f64>(&[("x", category)]).unwrap();
            let (bucket, sign) = hashing.bucket(category);
            assert!(row.iter().enumerate().all(|(place, x)| *x == if place == bucket { sign } else { 0.0 }));
        }
        // The most frequent category.
        let (gap, b) = (schema.transform::<f64>(&[("x", "")]), schema.transform::<f64>(&[("x", "b")]));
        assert_eq!(gap.unwrap()[..8], b.unwrap()[..8]);
        let refused = |column, hashing| message(hashed("a", column, hashing));
        assert!(refused(Column::new("x").unseen(Unseen::Error), hashing).contains("so that no category is unseen"));
        assert!(refused(Column::new("x").missing(Missing::Mean), hashing).contains("have no mean or median"));
        for buckets in [0, usize::MAX] {
            let message = refused(Column::new("x"), Hashing::new(buckets));
            assert!(message.starts_with(&format!("column `x` can't be hashed into {buckets} buckets")), "{message}");
        }
        assert!(hashed("NA", Column::new("x").missing(Missing::constant("none")), hashing).is_ok());
        assert!(message(hashed("NA", Column::new("x").missing(Missing::Fill), hashing)).contains("no value at all"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_schema_that_was_saved_before_is_read_and_new_encodings_survive_a_file() {
        let old = r#"{"inputs":[
            {"column":"size","gap":{"Fill":"3.5"},"indicator":true,"encoding":"Numeric"},
            {"column":"colour","gap":"Error","indicator":false,
             "encoding":{"Categorical":{"categories":["blue","red"],"unseen":"Zeros"}}},
            {"column":"day","gap":"Drop","indicator":false,"encoding":{"Date":{"order":"DayFirst","time":false}}}],
            "goal":{"Values":{"targets":[{"column":"price","drop":true}]}},"markers":["","NA"]}"#;
        let schema: Schema = serde_json::from_str(old).unwrap();
        let record = [("size", "NA"), ("colour", "red"), ("day", "2024-01-01")];
        assert_eq!(schema.transform::<f64>(&record).unwrap()[..4], [3.5, 1.0, 0.0, 1.0]);
        assert_eq!((schema.feature_count(), schema.feature_names().len()), (9, 9));

        let table = Table::read("x,z,y\nb,q,0\na,r,1\n".as_bytes()).unwrap();
        let columns = Columns::for_values(["y"]).ordinal("x", ["a", "b"]).hashed(["z"], Hashing::new(5).signed());
        let schema = columns.fit(&table).unwrap();
        let json = serde_json::to_string(&schema).unwrap();
        let read: Schema = serde_json::from_str(&json).unwrap();
        assert_eq!((&read, read.inputs::<f64>(&table).unwrap()), (&schema, schema.inputs::<f64>(&table).unwrap()));
        for buckets in ["0", "99999999999"] {
            let json = json.replace("\"buckets\":5", &format!("\"buckets\":{buckets}"));
            assert!(serde_json::from_str::<Schema>(&json).is_err(), "{json}");
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
}
