use std::collections::{BTreeMap, BTreeSet};

use super::column::{Kind, Missing, Plan};
use super::columns::{Choice, needed};
use super::input::{Input, median, most_frequent, number};
use super::rows::{Markers, sort_rows};
use super::{Columns, Goal, Schema};
use crate::{DataError, OneHot, Table};

impl Columns {
    /// Learns what [`fit`](Self::fit) learns of a table that is read part by part, as [`TableOptions::chunks`] does.
    ///
    /// What is held in memory is what each rule needs: the categories of a column, but none of its numbers, unless gaps
    /// are filled with their median or the most frequent (8 bytes for each), or it is one of dates. A mean may differ
    /// from that of `fit` by rounding.
    ///
    /// [`TableOptions::chunks`]: crate::TableOptions::chunks
    ///
    /// ```
    /// use downhill_data::{Columns, Missing, TableOptions};
    ///
    /// let text = "x,kind,y\n1,a,0\n3,b,0\n,a,0\n";
    /// let columns = Columns::for_values(["y"]).numeric(["x"]).categorical(["kind"]).missing(Missing::Fill);
    /// let schema = columns.clone().fit_parts(TableOptions::new().chunks(text.as_bytes()))?;
    /// assert_eq!(schema, columns.fit(&TableOptions::new().read(text.as_bytes())?)?);
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of `fit`, and those of the parts.
    pub fn fit_parts(self, parts: impl IntoIterator<Item = Result<Table, DataError>>) -> Result<Schema, DataError> {
        let Choice { plans, targets, target_kind, markers } = self.choose()?;
        let mut columns: Vec<Seen> = plans.iter().map(Seen::new).collect();
        let mut classes: BTreeSet<String> = BTreeSet::new();
        let (mut rows, mut kept_rows) = (0usize, 0usize);
        for part in parts {
            let table = part?;
            let (kept, _) = sort_rows(&table, needed(&plans, &targets), &markers)?;
            rows += table.len();
            kept_rows += kept.len();
            let table = table.gather(&kept);
            for (plan, seen) in plans.iter().zip(&mut columns) {
                let place = table.place(&plan.column)?;
                for row in table.rows().filter(|row| !markers.contains(row.cell(place))) {
                    seen.see(&plan.column, row.line(), row.cell(place))?;
                }
            }
            if let (Kind::Categorical, [target]) = (&target_kind, targets.as_slice()) {
                for cell in table.column(&target.column)? {
                    if !classes.contains(cell) {
                        classes.insert(cell.to_owned());
                    }
                }
            }
        }
        if kept_rows == 0 {
            return Err(DataError::NoRows { rows });
        }
        let goal = match (&target_kind, targets.as_slice()) {
            (Kind::Categorical, [target]) => Goal::Class { target: target.clone(), classes: OneHot::fit(classes)? },
            _ => Goal::Values { targets },
        };
        let inputs = plans.into_iter().zip(columns).map(|(plan, seen)| seen.learn(plan, &markers));
        Ok(Schema { inputs: inputs.collect::<Result<_, _>>()?, goal, markers })
    }
}

/// What was seen of a column, as far as its rule needs it.
enum Seen {
    /// Nothing is learnt of the numbers.
    Read,
    Mean(Mean),
    Numbers(Vec<f64>),
    /// The number of rows of each category.
    Categories(BTreeMap<String, usize>),
    /// The first line of each date or category, and its number of rows.
    Lines(BTreeMap<String, (u64, usize)>),
}

impl Seen {
    fn new(plan: &Plan) -> Self {
        match (&plan.kind, &plan.missing) {
            (Kind::Numeric, Missing::Mean) => Self::Mean(Mean::default()),
            (Kind::Numeric, Missing::Median | Missing::MostFrequent) => Self::Numbers(Vec::new()),
            (Kind::Numeric, _) => Self::Read,
            (Kind::Categorical | Kind::Hashed(_), _) => Self::Categories(BTreeMap::new()),
            // An error of one of these names its line.
            (Kind::Ordinal(_) | Kind::Date, _) => Self::Lines(BTreeMap::new()),
        }
    }

    fn see(&mut self, column: &str, line: u64, cell: &str) -> Result<(), DataError> {
        let number = || number::<f64>(column, Some(line), cell);
        match self {
            Self::Read => drop(number()?),
            Self::Mean(mean) => mean.add(number()?),
            Self::Numbers(numbers) => numbers.push(number()?),
            Self::Categories(counts) => match counts.get_mut(cell) {
                Some(count) => *count += 1,
                None => drop(counts.insert(cell.to_owned(), 1)),
            },
            Self::Lines(dates) => match dates.get_mut(cell) {
                Some((_, count)) => *count += 1,
                None => drop(dates.insert(cell.to_owned(), (line, 1))),
            },
        }
        Ok(())
    }

    /// Learns from a few cells what would be learnt from all.
    fn learn(self, plan: Plan, markers: &Markers) -> Result<Input, DataError> {
        let number = |x: Option<f64>| x.map(|x| (0, format!("{x:?}"), 1)).into_iter().collect();
        let cells: Vec<(u64, String, usize)> = match self {
            Self::Read => Vec::new(),
            Self::Mean(mean) => number(mean.value()),
            Self::Numbers(mut numbers) => {
                numbers.sort_by(f64::total_cmp);
                number(match plan.missing {
                    Missing::Median => median(&numbers, |a, b| Some(a.midpoint(b))),
                    _ => most_frequent(&numbers),
                })
            }
            Self::Categories(counts) => {
                // Those that are most frequent come twice, and the others once.
                let most = counts.values().max().copied();
                counts.into_iter().map(|(cell, count)| (0, cell, 1 + usize::from(Some(count) == most))).collect()
            }
            Self::Lines(dates) => {
                let is_filled = !matches!(plan.missing, Missing::Error | Missing::Drop | Missing::Constant(_));
                let cells = dates.into_iter();
                let mut cells: Vec<_> =
                    cells.map(|(cell, (line, count))| (line, cell, if is_filled { count } else { 1 })).collect();
                cells.sort();
                cells
            }
        };
        let cells = cells.iter().flat_map(|(line, cell, count)| std::iter::repeat_n((*line, cell.as_str()), *count));
        Input::learn(plan, cells, markers)
    }
}

/// The mean of finite numbers, added one by one with what each sum has lost (Neumaier 1974).
#[derive(Default)]
struct Mean {
    sum: f64,
    lost: f64,
    /// Σ x / 2⁶⁴, for sums that overflow.
    scaled: f64,
    count: u64,
}

/// By this numbers are made so small that their sum can't overflow.
const SCALE: f64 = (1u128 << 64) as f64;

impl Mean {
    fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        self.lost += if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        self.sum = sum;
        self.scaled += x / SCALE;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        let (total, count) = (self.sum + self.lost, self.count as f64);
        let mean = if total.is_finite() { total / count } else { self.scaled / count * SCALE };
        (self.count > 0).then_some(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, TableOptions, Unseen};

    /// A table with gaps, of which each value of a column is in many rows.
    fn text(rows: usize) -> String {
        let mut text = String::from("x,z,kind,day,class\n");
        for row in 0..rows {
            let gap = |each: usize, cell: String| if row % each == each - 1 { "NA".into() } else { cell };
            let (x, z) = (gap(5, format!("{}", row % 17)), gap(7, format!("{}.5", row % 4)));
            let (kind, day) = (gap(3, format!("k{}", row % 11)), gap(4, format!("2024-03-{:02}", 1 + row % 30)));
            text += &format!("{x},{z},{kind},{day},{}\n", ["a", "b"][row % 2]);
        }
        text
    }

    #[test]
    fn what_is_learnt_of_parts_is_what_is_learnt_of_the_whole() {
        let text = text(30_000);
        let table = Table::read(text.as_bytes()).unwrap();
        let parts = || TableOptions::new().chunks(text.as_bytes());
        assert!(parts().count() > 2);
        for rule in [Missing::Drop, Missing::Fill, Missing::Median, Missing::MostFrequent, Missing::constant("7")] {
            let of_kind = if rule == Missing::Median { Missing::MostFrequent } else { rule.clone() };
            let of_day = if matches!(rule, Missing::Constant(_)) { Missing::Mean } else { rule.clone() };
            let columns = Columns::for_class("class")
                .numeric([Column::new("x").missing(rule.clone()), Column::new("z").missing(rule.clone())])
                .categorical([Column::new("kind").missing(of_kind).unseen(Unseen::Other)])
                .dates([Column::new("day").missing(of_day)]);
            // These sums are exact, so that a mean has no rounding to differ by.
            assert_eq!(columns.clone().fit_parts(parts()).unwrap(), columns.fit(&table).unwrap(), "{rule:?}");
        }
    }

    #[test]
    fn errors_of_parts_are_those_of_the_whole() {
        let fails = |columns: Columns, text: &str| {
            let parts = columns.clone().fit_parts(TableOptions::new().chunks(text.as_bytes()));
            let whole = Table::read(text.as_bytes()).and_then(|table| columns.fit(&table));
            assert_eq!(parts.unwrap_err().to_string(), whole.unwrap_err().to_string());
        };
        let numeric = || Columns::for_values(["y"]).numeric(["x"]);
        let rows = "1,1\n".repeat(100_000);
        for last in ["one,1\n", ",1\n", "1\n", "1,2,3\n", "\"1,2\n", "\"1\"2,3\n"] {
            fails(numeric(), &format!("x,y\n{rows}{last}1,1\n"));
        }
        fails(numeric(), "");
        fails(numeric(), "x,y\n");
        fails(numeric(), "x,z\n1,2\n");
        fails(numeric().missing(Missing::Drop), "x,y\n,2\n1,\n");
        fails(numeric().missing(Missing::Mean), "x,y\n,2\n,1\n");
        fails(Columns::for_values(["y"]).dates(["x"]), "x,y\n1/2/2024,2\n");
        fails(Columns::for_values(["y"]).dates(["x"]), "x,y\n1/2/2024,2\nmay,1\n");
    }

    #[test]
    fn a_mean_is_near_and_does_not_overflow() {
        let mean = |numbers: &[f64]| {
            let mut mean = Mean::default();
            numbers.iter().for_each(|&x| mean.add(x));
            mean.value()
        };
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1e16, 1.0, -1e16, 1.0]), Some(0.5));
        let large = mean(&[1.7e308, 1.7e308, -1.7e308]).unwrap();
        assert!((large / 1.7e308 - 1.0 / 3.0).abs() < 1e-12, "{large}");
    }
}
