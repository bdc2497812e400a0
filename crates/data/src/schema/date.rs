use std::f64::consts::TAU;

use downhill_tensor::Scalar;

use crate::{DataError, RuleError};

/// A day of the calendar, and the time on its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// The days since 1970-01-01.
    days: i64,
    /// The seconds since midnight.
    seconds: i64,
}

/// The order in which the numbers between slashes of a column's dates stand, if the year is not the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Order {
    DayFirst,
    MonthFirst,
}

const SECONDS_PER_DAY: i64 = 86_400;

/// Reads the cells of a column as dates: the order of their numbers, each moment, and whether any tells a time.
pub(super) fn read_all<'t>(
    column: &str,
    cells: impl Iterator<Item = (u64, &'t str)> + Clone,
) -> Result<(Order, Vec<Moment>, bool), DataError> {
    let read = |order| {
        let moment = |(line, cell): (u64, &str)| date(column, Some(line), cell, order);
        cells.clone().map(moment).collect::<Result<Vec<Moment>, _>>()
    };
    // What is written with dots or begins with its year reads the same in both orders.
    let (order, moments) = match (read(Order::MonthFirst), read(Order::DayFirst)) {
        (Ok(by_month), Ok(by_day)) if by_month != by_day => {
            let problem = RuleError::AmbiguousDates;
            return Err(DataError::Rule { column: column.to_owned(), problem });
        }
        (Ok(by_month), _) => (Order::MonthFirst, by_month),
        (Err(_), Ok(by_day)) => (Order::DayFirst, by_day),
        (Err(by_month), Err(by_day)) => {
            // The order that reads more of the column is the one that is meant.
            let read = |order| cells.clone().take_while(|&(_, cell)| Moment::read(cell, order).is_some()).count();
            return Err(if read(Order::MonthFirst) > read(Order::DayFirst) { by_month } else { by_day });
        }
    };
    Ok((order, moments, cells.clone().any(|(_, cell)| cell.contains(':'))))
}

/// Reads a cell as a date.
pub(super) fn date(column: &str, line: Option<u64>, cell: &str, order: Order) -> Result<Moment, DataError> {
    let error = || DataError::NotDate { line, column: column.to_owned(), text: cell.to_owned() };
    Moment::read(cell, order).ok_or_else(error)
}

/// Whether a text is a date that has one meaning, whatever the order of a column's dates.
pub(super) fn reads_in_any_order(text: &str) -> bool {
    let [by_month, by_day] = [Order::MonthFirst, Order::DayFirst].map(|order| Moment::read(text, order));
    by_month.is_some() && by_month == by_day
}

/// Writes seconds since the start of 1970 as a date, with its time if it is to be told.
#[cfg(feature = "parquet")]
pub(crate) fn text(seconds: i64, time: bool) -> String {
    Moment { days: seconds.div_euclid(SECONDS_PER_DAY), seconds: seconds.rem_euclid(SECONDS_PER_DAY) }.text(time)
}

/// The names of a date's features.
pub(super) fn feature_names(column: &str, time: bool) -> impl Iterator<Item = String> {
    let names = ["days since 1970", "year, sine", "year, cosine", "week, sine", "week, cosine"];
    let of_time = ["day, sine", "day, cosine"].into_iter().filter(move |_| time);
    names.into_iter().chain(of_time).map(move |name| format!("{column} ({name})"))
}

impl Moment {
    fn read(text: &str, order: Order) -> Option<Self> {
        let (date, time) = match text.split_once(['T', ' ']) {
            Some((date, time)) => (date, Some(time.trim())),
            None => (text, None),
        };
        let separator = date.chars().find(|c| !c.is_ascii_digit())?;
        let mut parts = date.split(separator);
        let (Some(a), Some(b), Some(c), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let (year, month, day) = match (separator, order) {
            ('-' | '/' | '.', _) if a.len() == 4 => (a, b, c),
            ('.', _) | ('/', Order::DayFirst) => (c, b, a),
            ('/', Order::MonthFirst) => (c, a, b),
            _ => return None,
        };
        if year.len() != 4 {
            return None;
        }
        let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
        if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        Some(Self { days: days_since_1970(year, month, day), seconds: time.map_or(Some(0), seconds)? })
    }

    /// Writes the moment so that it is read back as the same, in any order.
    pub(super) fn text(self, time: bool) -> String {
        let (year, month, day) = calendar_date(self.days);
        let date = format!("{year:04}-{month:02}-{day:02}");
        let (hour, minute, second) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        if time { format!("{date}T{hour:02}:{minute:02}:{second:02}") } else { date }
    }

    /// The mean of moments, to the second below.
    pub(super) fn mean(moments: &[Self]) -> Option<Self> {
        let seconds = moments.iter().map(|moment| i128::from(moment.days * SECONDS_PER_DAY + moment.seconds));
        let mean = seconds.sum::<i128>().checked_div_euclid(moments.len() as i128)? as i64;
        Some(Self { days: mean.div_euclid(SECONDS_PER_DAY), seconds: mean.rem_euclid(SECONDS_PER_DAY) })
    }

    /// Appends the numbers that [`feature_names`] names.
    pub(super) fn encode<T: Scalar>(self, time: bool, features: &mut Vec<T>) {
        let mut push = |x: f64| features.push(T::from_f64(x));
        let of_day = self.seconds as f64 / SECONDS_PER_DAY as f64;
        push(self.days as f64 + of_day);
        let (year, _, _) = calendar_date(self.days);
        let (start, next) = (days_since_1970(year, 1, 1), days_since_1970(year + 1, 1, 1));
        let of_year = ((self.days - start) as f64 + of_day) / (next - start) as f64;
        // 1970-01-01 was a Thursday.
        let of_week = ((self.days + 3).rem_euclid(7) as f64 + of_day) / 7.0;
        for turn in [of_year, of_week].into_iter().chain(time.then_some(of_day)) {
            push((turn * TAU).sin());
            push((turn * TAU).cos());
        }
    }
}

/// Reads a number of one to four digits and nothing else.
fn digits(text: &str) -> Option<i64> {
    let well_formed = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { text.parse().ok() } else { None }
}

/// Reads a time of day as seconds. An offset from UTC may follow and is not applied: what people do depends on the clock
/// on their wall.
fn seconds(text: &str) -> Option<i64> {
    let clock = match text.find(['Z', '+', '-']) {
        Some(start) => {
            let (clock, offset) = text.split_at(start);
            let number = offset.strip_prefix(['+', '-']).map(|offset| offset.replace(':', ""));
            let known = offset == "Z"
                || number.is_some_and(|number| [2, 4].contains(&number.len()) && digits(&number).is_some());
            known.then_some(clock)?
        }
        None => text,
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let second = match parts.next() {
        None => 0,
        Some(second) => {
            let (whole, fraction) = second.split_once('.').unwrap_or((second, "0"));
            let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
            digits(whole).filter(|_| is_fraction)?
        }
    };
    // 60 is a leap second.
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    is_time.then_some((hour * 3600 + minute * 60 + second).min(SECONDS_PER_DAY - 1))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts days in the Gregorian calendar; a year that begins in March has its leap day at the end.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469
}

/// The inverse of [`days_since_1970`]: year, month and day.
fn calendar_date(days: i64) -> (i64, i64, i64) {
    // The estimate is at most a year off.
    let mut year = 1970 + (days as f64 / 365.2425).floor() as i64;
    while days_since_1970(year, 1, 1) > days {
        year -= 1;
    }
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|&month| days_since_1970(year, month, 1) <= days).unwrap_or(1);
    (year, month, days - days_since_1970(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::testing::message;
    use crate::{Column, Columns, Missing, Schema, Table};

    fn table(cells: &[&str]) -> Table {
        let rows: String = cells.iter().map(|cell| format!("\"{cell}\",0\n")).collect();
        Table::read(format!("when,y\n{rows}").as_bytes()).unwrap()
    }

    fn fit(cells: &[&str], missing: Missing) -> Result<Schema, DataError> {
        Columns::for_values(["y"]).dates([Column::new("when").missing(missing)]).fit(&table(cells))
    }

    fn days(schema: &Schema, cell: &str) -> f64 {
        schema.transform::<f64>(&[("when", cell)]).unwrap()[0]
    }

    #[test]
    fn every_day_of_four_centuries_is_written_and_read_back() {
        for days in -40 * 365..400 * 365 {
            let moment = Moment { days, seconds: 0 };
            assert_eq!(Moment::read(&moment.text(false), Order::DayFirst), Some(moment));
        }
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 3, 1), 11_017);
        assert_eq!(calendar_date(-719_162), (1, 1, 1));
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        let first_of_march = days_since_1970(2024, 3, 1) as f64;
        for text in
            ["2024-03-01", "2024/03/01", "2024.3.1", "1.3.2024", "2024-03-01T00:00Z", "2024-03-01 00:00:00.5+01:00"]
        {
            assert_eq!(days(&fit(&[text], Missing::Error).unwrap(), text), first_of_march, "{text}");
        }
        assert_eq!(
            days(&fit(&["2024-03-01 18:00"], Missing::Error).unwrap(), "2024-03-01 18:00"),
            first_of_march + 0.75
        );
    }

    #[test]
    fn what_is_no_day_of_the_calendar_is_an_error() {
        let odd = [
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-01-00",
            "24-01-01",
            "2024-01",
            "2024-01-01-01",
            "2024-01-01T25:00",
            "2024-01-01T10:60",
            "2024-01-01T10",
            "2024-01-01T10:00+1",
            "2024-01-01T10:00:",
            "today",
            "+024-01-01",
            "20240101",
            "2024-01-01T",
            "2024-01/01",
            "2024-01-01T10:00:00.",
            "1-3-2024",
        ];
        for text in odd {
            assert_eq!(
                message(fit(&["2024-01-01", text], Missing::Error)),
                format!(
                    "column `when` holds `{text}` on line 3, which is not a date; write it as in `2024-03-31` or \
                     `2024-03-31T18:30`, list it as a marker of missing values, or read the column as categorical"
                )
            );
        }
    }

    #[test]
    fn the_order_of_day_and_month_is_learnt_or_refused_but_never_guessed() {
        let by_day = fit(&["01/02/2024", "13/02/2024"], Missing::Error).unwrap();
        assert_eq!(days(&by_day, "01/02/2024"), days_since_1970(2024, 2, 1) as f64);
        let by_month = fit(&["01/02/2024", "02/13/2024"], Missing::Error).unwrap();
        assert_eq!(days(&by_month, "01/02/2024"), days_since_1970(2024, 1, 2) as f64);
        assert_eq!(
            message(fit(&["01/02/2024", "03/04/2024"], Missing::Error)),
            "column `when` holds dates whose day and month can't be told apart; write the year first, as in `2024-03-31`, or \
             read the column as categorical"
        );
        assert!(message(fit(&["13/02/2024", "02/13/2024"], Missing::Error)).contains("`02/13/2024` on line 3"));
    }

    #[test]
    fn a_date_is_a_place_in_time_in_the_year_and_in_the_week() {
        let schema = fit(&["2024-01-01"], Missing::Error).unwrap();
        let names = ["days since 1970", "year, sine", "year, cosine", "week, sine", "week, cosine"];
        assert_eq!(schema.feature_names(), names.map(|name| format!("when ({name})")));
        // The first of January 2024 was a Monday.
        assert_eq!(schema.transform::<f64>(&[("when", "2024-01-01")]).unwrap(), [19_723.0, 0.0, 1.0, 0.0, 1.0]);
        let july = schema.transform::<f64>(&[("when", "2024-07-02")]).unwrap();
        assert!((july[2] + 1.0).abs() < 1e-12, "{july:?}");
        let timed = fit(&["2024-01-01 06:00"], Missing::Error).unwrap();
        assert_eq!(timed.feature_names().len(), 7);
        let six = timed.transform::<f64>(&[("when", "2024-01-01 06:00")]).unwrap();
        assert!((six[5] - 1.0).abs() < 1e-12 && six[6].abs() < 1e-12, "{six:?}");
    }

    #[test]
    fn gaps_in_dates_are_filled_by_the_rule_of_their_column() {
        let cells = ["2024-01-01", "NA", "2024-01-03", "2024-01-09", "2024-01-01"];
        let filled = |rule| days(&fit(&cells, rule).unwrap(), "") - days_since_1970(2024, 1, 1) as f64;
        assert_eq!(filled(Missing::Mean), 2.0);
        assert_eq!(filled(Missing::Fill), 2.0);
        assert_eq!(filled(Missing::Median), 1.0);
        assert_eq!(filled(Missing::MostFrequent), 0.0);
        assert_eq!(filled(Missing::constant("2024-01-05")), 4.0);
        assert_eq!(
            message(fit(&cells, Missing::constant("soon"))),
            "column `when` can't have its gaps filled with `soon`, which is not a date as in `2024-03-31`"
        );
        assert!(message(fit(&["NA"], Missing::Mean)).contains("no value at all"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_schema_with_dates_survives_a_file() {
        for cells in [["13/02/2024", "NA"], ["2024-01-01 10:30:01", ""]] {
            let schema = fit(&cells, Missing::Fill).unwrap();
            let read: Schema = serde_json::from_str(&serde_json::to_string(&schema).unwrap()).unwrap();
            assert_eq!(read, schema);
            for cell in ["", cells[0], "01/02/2024"] {
                let inputs = |schema: &Schema| schema.transform::<f32>(&[("when", cell)]).unwrap();
                assert_eq!(inputs(&read), inputs(&schema));
            }
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_schema_whose_filling_is_no_date_is_an_error_and_no_panic() {
        let json = serde_json::to_string(&fit(&["2024-01-01", ""], Missing::Fill).unwrap()).unwrap();
        let read: Schema = serde_json::from_str(&json.replace("2024-01-01", "2024-99-01")).unwrap();
        assert!(message(read.transform::<f32>(&[("when", "")])).contains("`2024-99-01`, which is not a date"));
    }
}
