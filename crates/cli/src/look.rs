//! What a table holds.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use downhill_data::{Column, Columns, Missing, Table, Unseen};
use serde::Serialize;

use crate::CliError;
use crate::output::short;
use crate::settings::{Settings, Task};

/// The texts that mean a missing value, if none are named.
const MARKERS: [&str; 10] = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?"];

/// The category of a missing value in a column that has some.
const GAP: &str = "(missing)";

/// The most whole numbers of a target that are read as classes.
const MOST_NUMBERED_CLASSES: usize = 10;

/// A column of categories that holds more of them, and fewer rows of each than [`LEAST_ROWS_EACH`], is left out.
const MANY_CATEGORIES: usize = 20;
const LEAST_ROWS_EACH: usize = 4;

/// What a table holds, and what is made of it.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The number of rows.
    pub rows: usize,
    /// The column to predict.
    pub target: String,
    /// What is predicted.
    pub task: Task,
    /// Why the task was chosen.
    pub because: String,
    /// The number of rows without a target, which nothing is learnt from.
    pub without_target: usize,
    /// The other columns, in their order.
    pub columns: Vec<Found>,
    /// The texts that mean a missing value.
    #[serde(skip)]
    pub markers: Vec<String>,
}

/// What one column holds.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The column's name.
    pub column: String,
    /// What its cells are read as.
    pub kind: Kind,
    /// The number of different values that are not missing.
    pub values: usize,
    /// The number of missing values.
    pub missing: usize,
    /// What it holds, for people.
    pub note: String,
}

/// What the cells of a column are read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Numbers.
    Numbers,
    /// Categories.
    Categories,
    /// Dates.
    Dates,
    /// Nothing: the column is left out.
    LeftOut,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Numbers => "numbers",
            Self::Categories => "categories",
            Self::Dates => "dates",
            Self::LeftOut => "left out",
        })
    }
}

/// The cells of a column, counted.
struct Cells<'t> {
    counts: HashMap<&'t str, usize>,
    present: usize,
    missing: usize,
    /// The numbers among the cells; all are if there are as many as are present.
    numbers: usize,
    whole: bool,
    range: (f64, f64),
    /// The first cell that is no number, with its line.
    odd: Option<(&'t str, u64)>,
    /// Whether each is the whole number after the one before.
    counting: bool,
}

impl<'t> Cells<'t> {
    fn of(table: &'t Table, column: &str, markers: &BTreeSet<&str>) -> Result<Self, CliError> {
        let mut cells = Self {
            counts: HashMap::new(),
            present: 0,
            missing: 0,
            numbers: 0,
            whole: true,
            range: (f64::INFINITY, f64::NEG_INFINITY),
            odd: None,
            counting: true,
        };
        let mut last = None;
        for (cell, line) in table.column(column)?.zip(table.lines()) {
            if markers.contains(cell) {
                cells.missing += 1;
                continue;
            }
            cells.present += 1;
            *cells.counts.entry(cell).or_default() += 1;
            match cell.parse::<f64>().ok().filter(|x| x.is_finite()) {
                Some(x) => {
                    cells.numbers += 1;
                    cells.whole &= x.fract() == 0.0;
                    cells.range = (cells.range.0.min(x), cells.range.1.max(x));
                    cells.counting &= last.is_none_or(|last: f64| x == last + 1.0);
                    last = Some(x);
                }
                None => cells.odd = cells.odd.or(Some((cell, line))),
            }
        }
        Ok(cells)
    }

    fn are_numbers(&self) -> bool {
        self.present > 0 && self.numbers == self.present
    }

    fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// The categories, the most frequent first.
    fn common(&self) -> String {
        const SHOWN: usize = 4;
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|&(cell, &count)| (std::cmp::Reverse(count), *cell));
        let names: Vec<String> = counts.iter().take(SHOWN).map(|(cell, _)| shortened(cell)).collect();
        let more = if counts.len() > SHOWN { ", ..." } else { "" };
        names.join(", ") + more
    }
}

/// The start of a text, for a table.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 20;
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN - 3).collect::<String>() + "..."
    }
}

/// Finds out what a table holds, as far as the settings leave it open.
///
/// # Errors
/// Returns an error if no target is named, a named column is not there, the target has fewer than two values, or no
/// column is left to learn from.
pub fn look(table: &Table, settings: &Settings) -> Result<Findings, CliError> {
    let target = settings.target.clone().ok_or_else(|| CliError::NoTarget { available: table.names().to_vec() })?;
    let markers: Vec<String> = match &settings.missing {
        Some(own) => own.iter().map(String::as_str).chain([""]).map(str::to_owned).collect(),
        None => MARKERS.map(str::to_owned).to_vec(),
    };
    let known: BTreeSet<&str> = markers.iter().map(String::as_str).collect();
    let chosen = chosen(table, settings, &target)?;
    let cells = Cells::of(table, &target, &known)?;
    let (task, because) = task(&cells, &target, settings.task)?;
    let without_target = cells.missing;
    let mut columns = Vec::new();
    for column in table.names().iter().filter(|name| **name != target) {
        let cells = Cells::of(table, column, &known)?;
        let (kind, note) = match chosen.get(column.as_str()) {
            Some(Kind::LeftOut) => (Kind::LeftOut, "as asked for".to_owned()),
            Some(&kind) => (kind, "as asked for".to_owned()),
            None => kind(table, column, &cells, &target, &markers)?,
        };
        let (values, missing) = (cells.distinct(), cells.missing);
        columns.push(Found { column: column.clone(), kind, values, missing, note });
    }
    if columns.is_empty() {
        return Err(CliError::NoOtherColumn { target });
    }
    if columns.iter().all(|found| found.kind == Kind::LeftOut) {
        let reasons = columns.iter().map(|found| format!("`{}`: {}", found.column, found.note)).collect();
        return Err(CliError::NothingToLearnFrom { reasons });
    }
    Ok(Findings { rows: table.len(), target, task, because, without_target, columns, markers })
}

/// The columns whose kind the settings choose.
fn chosen<'s>(table: &Table, settings: &'s Settings, target: &str) -> Result<HashMap<&'s str, Kind>, CliError> {
    let _ = table.column(target)?;
    let lists = [
        (&settings.numeric, Kind::Numbers),
        (&settings.categorical, Kind::Categories),
        (&settings.dates, Kind::Dates),
        (&settings.leave_out, Kind::LeftOut),
    ];
    let mut chosen = HashMap::new();
    for (names, kind) in lists {
        for name in names.iter().flatten() {
            let _ = table.column(name)?;
            if name == target {
                return Err(CliError::TargetAsInput { column: name.clone() });
            }
            if chosen.insert(name.as_str(), kind).is_some_and(|before| before != kind) {
                return Err(CliError::TwoKinds { column: name.clone() });
            }
        }
    }
    Ok(chosen)
}

/// Chooses what is predicted, and says why.
fn task(cells: &Cells<'_>, target: &str, wanted: Option<Task>) -> Result<(Task, String), CliError> {
    let values = cells.distinct();
    if values < 2 {
        let value = cells.counts.keys().next().map(|&cell| cell.to_owned());
        return Err(CliError::ConstantTarget { column: target.to_owned(), value });
    }
    let few = values == 2 || (values <= MOST_NUMBERED_CLASSES && cells.present >= 5 * values);
    Ok(match wanted {
        Some(Task::Regression) if !cells.are_numbers() => {
            let (text, line) = cells.odd.unwrap_or_default();
            return Err(CliError::NotNumbers { column: target.to_owned(), text: text.to_owned(), line });
        }
        Some(task) => (task, "as asked for".to_owned()),
        None if !cells.are_numbers() => (Task::Classification, format!("{values} classes: {}", cells.common())),
        None if cells.whole && few => {
            let advice = if values == 2 { "" } else { "; `--task regression` reads them as numbers" };
            (Task::Classification, format!("{values} whole numbers: {}{advice}", cells.common()))
        }
        None => (Task::Regression, format!("numbers from {} to {}", short(cells.range.0), short(cells.range.1))),
    })
}

/// Finds out what a column holds.
fn kind(
    table: &Table,
    column: &str,
    cells: &Cells<'_>,
    target: &str,
    markers: &[String],
) -> Result<(Kind, String), CliError> {
    let values = cells.distinct();
    if cells.present == 0 {
        return Ok((Kind::LeftOut, "every cell is empty".to_owned()));
    }
    if values == 1 && cells.missing == 0 {
        return Ok((Kind::LeftOut, format!("always {}", cells.common())));
    }
    if cells.are_numbers() {
        let counted = values > 10 && cells.counting && cells.whole;
        let name = column.to_lowercase();
        let is_name = ["", "id", "index", "rownames", "row"].contains(&name.as_str()) || name.ends_with("_id");
        if counted || (is_name && cells.whole && values == cells.present && values > 10) {
            return Ok((Kind::LeftOut, "numbers of the rows".to_owned()));
        }
        let whole = if cells.whole { "whole, " } else { "" };
        return Ok((Kind::Numbers, format!("{whole}{} to {}", short(cells.range.0), short(cells.range.1))));
    }
    if values > 1 && are_dates(table, column, target, markers)? {
        let mut sorted: Vec<_> = cells.counts.keys().collect();
        sorted.sort_unstable();
        let example = sorted.first().copied().copied().unwrap_or_default();
        return Ok((Kind::Dates, format!("such as {example}")));
    }
    let mut note = cells.common();
    if let Some((text, line)) = cells.odd {
        let others = cells.present - cells.numbers;
        let is_same = cells.counts.get(text) == Some(&others);
        // A few words among numbers, or one word again and again, are likely to be gaps without a name.
        if cells.numbers * 10 >= cells.present * 9 || (is_same && values > MANY_CATEGORIES) {
            let text = shortened(text);
            note = format!(
                "{others} of {} cells are no numbers, such as `{text}` on line {line}; `--missing {text}`?",
                cells.present
            );
        } else if cells.counts.keys().all(|cell| cell.replace(',', "").parse::<f64>().is_ok()) {
            note += "; a number has a point and no commas";
        }
    }
    if values == cells.present && values > MANY_CATEGORIES {
        return Ok((Kind::LeftOut, format!("every text is another, as in names: {note}")));
    }
    if values > MANY_CATEGORIES && cells.present < values * LEAST_ROWS_EACH {
        return Ok((Kind::LeftOut, format!("{values} texts in {} rows hardly repeat: {note}", cells.present)));
    }
    Ok((Kind::Categories, note))
}

/// Whether the library reads all cells of a column as dates.
fn are_dates(table: &Table, column: &str, target: &str, markers: &[String]) -> Result<bool, CliError> {
    // Most columns are no dates, which their first cell tells.
    let first = table.column(column)?.find(|cell| !markers.iter().any(|marker| marker == cell));
    if !first.is_some_and(|cell| cell.starts_with(|c: char| c.is_ascii_digit())) {
        return Ok(false);
    }
    let columns = Columns::for_class(Column::new(target).missing(Missing::Drop))
        .dates([Column::new(column).missing(Missing::Fill)])
        .missing_markers(markers);
    Ok(columns.fit(table).is_ok())
}

impl Findings {
    /// The rules by which the columns become numbers, to be fitted to the rows to learn from.
    #[must_use]
    pub fn columns(&self) -> Columns {
        let target = Column::new(&*self.target).missing(Missing::Drop);
        let mut columns = match self.task {
            Task::Classification => Columns::for_class(target),
            Task::Regression => Columns::for_values([target]),
        };
        for Found { column, kind, missing, .. } in &self.columns {
            let (column, has_gaps) = (Column::new(column), *missing > 0);
            columns = match kind {
                Kind::LeftOut => columns,
                Kind::Categories if has_gaps => columns.categorical([column.missing(Missing::constant(GAP))]),
                Kind::Categories => columns.categorical([column.missing(Missing::MostFrequent)]),
                Kind::Numbers if has_gaps => columns.numeric([column.missing(Missing::Median).indicator()]),
                Kind::Numbers => columns.numeric([column.missing(Missing::Median)]),
                Kind::Dates if has_gaps => columns.dates([column.missing(Missing::Median).indicator()]),
                Kind::Dates => columns.dates([column.missing(Missing::Median)]),
            };
        }
        columns.unseen(Unseen::Zeros).missing_markers(&self.markers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(header: &str, row: impl Fn(usize) -> String) -> Table {
        let rows: Vec<String> = (0..40).map(row).collect();
        Table::read(format!("{header}\n{}\n", rows.join("\n")).as_bytes()).unwrap()
    }

    fn found(cell: impl Fn(usize) -> String) -> Found {
        let table = table("x,z,y", |row| format!("{},{},{}", cell(row), row % 3, row % 2));
        look(&table, &target("y")).unwrap().columns.swap_remove(0)
    }

    fn target(column: &str) -> Settings {
        Settings { target: Some(column.to_owned()), ..Settings::default() }
    }

    #[test]
    fn each_kind_of_column_is_found() {
        type Cell = fn(usize) -> String;
        let cases: [(&str, Cell); 12] = [
            ("numbers: 0.5 to 39.5", |row| format!("{}.5", (row * 7) % 40)),
            ("numbers: whole, 0 to 4", |row| (row % 5).to_string()),
            ("categories: a, b, c", |row| ["a", "b", "c"][row % 3].to_owned()),
            ("dates: such as 2024-01-01", |row| format!("2024-01-{:02}", row % 28 + 1)),
            ("left out: numbers of the rows", |row| (row + 5).to_string()),
            ("left out: always 7", |_| "7".to_owned()),
            ("left out: every cell is empty", |row| ["", "NA", "?"][row % 3].to_owned()),
            ("left out: every text is another, as in names: n0, n1, n10, n11, ...", |row| format!("n{row}")),
            ("left out: 39 texts in 40 rows hardly repeat: n1, n0, n10, n11, ...", |row| {
                format!("n{}", row.max(1) % 39)
            }),
            ("left out: 10 of 40 cells are no numbers, such as `-` on line 2; `--missing -`?", |row| {
                if row % 4 == 0 { "-".to_owned() } else { (row * 3).to_string() }
            }),
            (
                "left out: 39 texts in 40 rows hardly repeat: 1,5, 0,5, 10,5, 11,5, ...; a number has a point and no commas",
                |row| format!("\"{},5\"", row.max(1) % 39),
            ),
            ("left out: 1 of 40 cells are no numbers, such as `unknown` on line 5; `--missing unknown`?", |row| {
                if row == 3 { "unknown".to_owned() } else { (row * 3).to_string() }
            }),
        ];
        for (expected, cell) in cases {
            let found = found(cell);
            let note = found.note.replace("every text is another, as in names: 1 of", "1 of");
            let text = format!("{}: {}", found.kind, note.replace("31 texts in 40 rows hardly repeat: 10 of", "10 of"));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn gaps_are_counted_and_no_values() {
        let found = found(|row| ["1.5", "NA", "2.5", ""][row % 4].to_owned());
        assert_eq!((found.kind, found.values, found.missing), (Kind::Numbers, 2, 20));
    }

    #[test]
    fn the_task_follows_from_the_cells_of_the_target() {
        let task = |cell: fn(usize) -> String| {
            let table = table("x,y", |row| format!("{},{}", row * 3 % 7, cell(row)));
            let found = look(&table, &target("y")).unwrap();
            (found.task, found.because)
        };
        assert_eq!(task(|row| ["no", "yes"][row % 2].into()), (Task::Classification, "2 classes: no, yes".into()));
        assert_eq!(task(|row| (row % 2).to_string()), (Task::Classification, "2 whole numbers: 0, 1".into()));
        let (classes, because) = task(|row| (row % 4).to_string());
        assert_eq!(classes, Task::Classification);
        assert!(because.ends_with("`--task regression` reads them as numbers"), "{because}");
        assert_eq!(task(|row| row.to_string()), (Task::Regression, "numbers from 0 to 39".into()));
        assert_eq!(task(|row| format!("{}.5", row % 3)), (Task::Regression, "numbers from 0.5 to 2.5".into()));
    }

    #[test]
    fn what_is_asked_for_wins_and_is_checked() {
        let table = table("x,z,y", |row| format!("{},{},{}", row % 5, row % 3, row % 2));
        let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let found = look(&table, &Settings { categorical: names(&["x"]), ..target("y") }).unwrap();
        assert_eq!((found.columns[0].kind, found.columns[1].kind), (Kind::Categories, Kind::Numbers));
        let message = |settings: Settings| look(&table, &settings).unwrap_err().to_string();
        assert!(message(Settings { categorical: names(&["w"]), ..target("y") }).contains("there is no column `w`"));
        assert!(message(target("w")).contains("there is no column `w`"));
        assert!(message(Settings { numeric: names(&["y"]), ..target("y") }).contains("`y` is the target"));
        let twice = Settings { numeric: names(&["x"]), dates: names(&["x"]), ..target("y") };
        assert!(message(twice).contains("`x` is listed as two kinds"));
        assert!(message(Settings { leave_out: names(&["x", "z"]), ..target("y") }).contains("no column is left"));
        assert!(message(Settings::default()).contains("`x`, `z`, `y`"));
        let alone = Table::read("y\na\nb\n".as_bytes()).unwrap();
        assert!(look(&alone, &target("y")).unwrap_err().to_string().contains("`y` is the only column"));
    }

    #[test]
    fn a_target_that_teaches_nothing_is_refused() {
        let constant = table("x,y", |row| format!("{},1", row % 5));
        assert!(look(&constant, &target("y")).unwrap_err().to_string().contains("always holds `1`"));
        let empty = table("x,y", |row| format!("{},", row % 5));
        assert!(look(&empty, &target("y")).unwrap_err().to_string().contains("holds nothing"));
        let words = table("x,y", |row| format!("{},{}", row % 5, ["1", "2", "three"][row % 3]));
        let error = look(&words, &Settings { task: Some(Task::Regression), ..target("y") }).unwrap_err().to_string();
        assert!(error.contains("`three` on line 4"), "{error}");
    }
}
