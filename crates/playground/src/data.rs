//! Points of two coordinates with a class or a value each.

use std::f64::consts::{PI, TAU};

use downhill_data::{Table, TableOptions};
use downhill_tensor::Seed;
use serde_json::{Value, json};

use crate::Error;
use crate::error::in_range;

/// At most this many points are learnt from.
const MOST: usize = 2000;

/// The points of a page: both coordinates lie in [−1, 1], or a little outside by noise.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Points {
    pub(crate) at: Vec<[f64; 2]>,
    /// The class of each, counted from 0, or its value.
    pub(crate) targets: Vec<f64>,
    /// The number of classes; `None` if targets are values.
    pub(crate) classes: Option<usize>,
}

impl Points {
    /// Draws a data set by its name.
    pub(crate) fn named(name: &str, count: usize, noise: f64, seed: Seed) -> Result<Self, Error> {
        if !(2..=MOST).contains(&count) {
            return Err(Error::new("There must be from 2 to {most} points, but {count} are asked for.")
                .with("most", MOST)
                .with("count", count));
        }
        in_range("The noise", noise, 0.0, 1.0)?;
        type Draw = fn(usize, usize, &mut Random) -> ([f64; 2], f64);
        let (draw, classes): (Draw, Option<usize>) = match name {
            "circles" => (circles, Some(2)),
            "spirals" => (spirals, Some(2)),
            "moons" => (moons, Some(2)),
            "xor" => (xor, Some(2)),
            "three" => (three, Some(3)),
            "waves" => (waves, None),
            "plane" => (plane, None),
            _ => return Err(Error::new("There is no data set of the name `{name}`.").with("name", name)),
        };
        let mut points = Self { classes, ..Self::default() };
        for index in 0..count {
            let mut random = Random(seed, index as u64, 0);
            let ([x, y], target) = draw(index, count, &mut random);
            let moved = [x + noise * random.normal() * 0.2, y + noise * random.normal() * 0.2];
            // Noise on the inputs of a class, on the value of a surface.
            let at = if classes.is_some() { moved } else { [x, y] };
            let target = if classes.is_some() { target } else { target + noise * random.normal() * 0.5 };
            points.at.push(at);
            points.targets.push(target);
        }
        Ok(points)
    }

    /// Takes points with their targets, as drawn or read.
    pub(crate) fn given(points: &[[f64; 3]], are_values: bool) -> Result<Self, Error> {
        if points.len() > MOST {
            return Err(Error::new("There may be up to {most} points, but there are {count}.")
                .with("most", MOST)
                .with("count", points.len()));
        }
        if points.len() < 4 {
            return Err(Error::new("Draw at least four points: some are kept to test with."));
        }
        if points.iter().flatten().any(|number| !number.is_finite() || number.abs() > 1e6) {
            return Err(Error::new("A coordinate or a target is no finite number below a million."));
        }
        let targets: Vec<f64> = points.iter().map(|point| point[2]).collect();
        let classes = if are_values { None } else { Some(count_classes(&targets)?) };
        Ok(Self { at: points.iter().map(|&[x, y, _]| [x, y]).collect(), targets, classes })
    }
}

/// As many classes as the largest asks for, and at least two.
fn count_classes(targets: &[f64]) -> Result<usize, Error> {
    let largest = targets.iter().fold(0.0_f64, |largest, &target| largest.max(target));
    let are_whole = targets.iter().all(|target| target.fract() == 0.0 && *target >= 0.0);
    if !are_whole || largest >= MOST_CLASSES as f64 {
        return Err(Error::new("Classes are whole numbers from 0 to {most}.").with("most", MOST_CLASSES - 1));
    }
    Ok((largest as usize + 1).max(2))
}

/// The most classes, since a page has as many colours.
const MOST_CLASSES: usize = 6;

/// Random numbers of one point: those of another don't depend on how many it draws.
struct Random(Seed, u64, u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.2 += 1;
        self.0.derive(self.1).stream(self.2).uniform()
    }

    /// A number of the normal distribution, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }
}

fn circles(index: usize, _: usize, random: &mut Random) -> ([f64; 2], f64) {
    let class = index % 2;
    let radius = if class == 0 { 0.45 * random.uniform().sqrt() } else { 0.7 + 0.25 * random.uniform() };
    let (sin, cos) = (TAU * random.uniform()).sin_cos();
    ([radius * cos, radius * sin], class as f64)
}

fn spirals(index: usize, count: usize, _: &mut Random) -> ([f64; 2], f64) {
    let class = index % 2;
    let along = (index / 2) as f64 / (count / 2).max(1) as f64;
    let (sin, cos) = (1.4 * along * TAU + class as f64 * PI).sin_cos();
    let radius = 0.05 + 0.9 * along;
    ([radius * sin, radius * cos], class as f64)
}

fn moons(index: usize, _: usize, random: &mut Random) -> ([f64; 2], f64) {
    let class = index % 2;
    let (sin, cos) = (PI * random.uniform()).sin_cos();
    let (x, y) = if class == 0 { (cos - 0.5, sin - 0.25) } else { (0.5 - cos, 0.25 - sin) };
    ([0.6 * x, 0.75 * y], class as f64)
}

fn xor(_: usize, _: usize, random: &mut Random) -> ([f64; 2], f64) {
    let mut coordinate = || {
        let drawn = 2.0 * random.uniform() - 1.0;
        // A gap between the quarters.
        drawn * 0.85 + 0.1 * drawn.signum()
    };
    let at = [coordinate(), coordinate()];
    (at, f64::from(u8::from((at[0] > 0.0) != (at[1] > 0.0))))
}

fn three(index: usize, _: usize, random: &mut Random) -> ([f64; 2], f64) {
    let class = index % 3;
    let (sin, cos) = (TAU * class as f64 / 3.0 + 0.5).sin_cos();
    let (x, y) = (random.normal(), random.normal());
    ([0.55 * cos + 0.14 * x, 0.55 * sin + 0.14 * y], class as f64)
}

fn waves(_: usize, _: usize, random: &mut Random) -> ([f64; 2], f64) {
    let at = [2.0 * random.uniform() - 1.0, 2.0 * random.uniform() - 1.0];
    (at, (3.0 * at[0]).sin() * (2.5 * at[1]).cos())
}

fn plane(_: usize, _: usize, random: &mut Random) -> ([f64; 2], f64) {
    let at = [2.0 * random.uniform() - 1.0, 2.0 * random.uniform() - 1.0];
    (at, 0.6 * at[0] - 0.4 * at[1])
}

/// Reads a table of two inputs and a target, and says what was found: points in [−1, 1], the range that each column of
/// numbers had, and the names of classes, if the target is one.
pub(crate) fn table(text: &[u8]) -> Result<Value, Error> {
    const LARGEST: usize = 2 << 20;
    if text.len() > LARGEST {
        return Err(Error::new("The file has more than 2 MiB; two inputs and a target for some hundred rows will do."));
    }
    let Ok(whole) = std::str::from_utf8(text) else {
        return Err(Error::new("The file is not in UTF-8; a spreadsheet can save it as \"CSV UTF-8\"."));
    };
    // A spreadsheet puts a mark in front, and where a comma is a decimal point, it separates by semicolons.
    let whole = whole.strip_prefix('\u{feff}').unwrap_or(whole);
    if whole.trim().is_empty() {
        return Err(Error::new("The file is empty."));
    }
    let first = whole.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t'].into_iter().find(|&separator| first.contains(separator)).unwrap_or(',');
    let bare = |cell: &str| cell.trim().trim_matches('"').trim().to_owned();
    let has_header = first.split(separator).next().is_some_and(|cell| number(&bare(cell)).is_none());
    let reader = TableOptions::new().delimiter(separator as u8);
    let reader = if has_header { reader } else { reader.no_header() };
    let table = reader.read(whole.as_bytes())?;
    let names = table.names().to_vec();
    let [x, y, target] = match names.as_slice() {
        [x, y, target] => [x, y, target],
        _ => {
            let found = names.len();
            return Err(Error::new("The file must have three columns (two inputs, then the target), but has {found}.")
                .with("found", found));
        }
    };
    if table.len() > MOST {
        return Err(Error::new("The file may have up to {most} rows, but has {count}.")
            .with("most", MOST)
            .with("count", table.len()));
    }
    let columns = [numbers(&table, x)?, numbers(&table, y)?];
    let mut ranges: Vec<Value> = columns.iter().map(|column| json!(range(column))).collect();
    let inputs = columns.map(|column| scaled(&column));
    let (targets, classes) = read_targets(&table, target)?;
    if classes.is_none() {
        ranges.push(json!(range(&numbers(&table, target)?)));
    }
    let at = inputs[0].iter().zip(&inputs[1]).zip(&targets);
    let points: Vec<[f64; 3]> = at.map(|((&x, &y), &target)| [x, y, target]).collect();
    Points::given(&points, classes.is_none())?;
    Ok(json!({ "points": points, "classes": classes, "columns": names, "ranges": ranges }))
}

/// A number, whose decimal point may be a comma.
fn number(cell: &str) -> Option<f64> {
    cell.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite() && number.abs() < 1e12)
}

/// The numbers of a column.
fn numbers(table: &Table, name: &str) -> Result<Vec<f64>, Error> {
    let parse = |(cell, line): (&str, u64)| {
        number(cell).ok_or_else(|| {
            let shown: String = cell.chars().take(40).collect();
            Error::new("Line {line}, column `{name}`: `{shown}` is no finite number.")
                .with("line", line)
                .with("name", name)
                .with("shown", shown)
        })
    };
    table.column(name)?.zip(table.lines()).map(parse).collect()
}

/// Targets, and the names of the classes if they are some.
fn read_targets(table: &Table, name: &str) -> Result<(Vec<f64>, Option<Vec<String>>), Error> {
    let cells: Vec<&str> = table.column(name)?.map(str::trim).collect();
    if let Some((_, line)) = cells.iter().zip(table.lines()).find(|(cell, _)| cell.is_empty()) {
        return Err(Error::new("Line {line}, column `{name}`: the cell is empty.")
            .with("line", line)
            .with("name", name));
    }
    let mut labels: Vec<&str> = cells.clone();
    labels.sort_unstable();
    labels.dedup();
    let are_whole = labels.iter().all(|label| label.parse::<i64>().is_ok());
    let are_numbers = labels.iter().all(|label| number(label).is_some());
    if labels.len() <= MOST_CLASSES && (are_whole || !are_numbers) {
        let place = |cell: &&str| labels.binary_search(cell).map_or(0.0, |place| place as f64);
        return Ok((cells.iter().map(place).collect(), Some(labels.iter().map(|&label| label.to_owned()).collect())));
    }
    if !are_numbers {
        return Err(Error::new(
            "The column `{name}` has {count} different labels; up to {most_classes} classes can be told apart.",
        )
        .with("name", name)
        .with("count", labels.len())
        .with("most_classes", MOST_CLASSES));
    }
    Ok((scaled(&numbers(table, name)?), None))
}

/// The least and the largest number.
fn range(numbers: &[f64]) -> [f64; 2] {
    numbers
        .iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[least, largest], &number| [least.min(number), largest.max(number)])
}

/// Numbers moved to [−1, 1].
fn scaled(numbers: &[f64]) -> Vec<f64> {
    let [least, largest] = range(numbers);
    let half = if largest > least { (largest - least) / 2.0 } else { 1.0 };
    numbers.iter().map(|number| (number - least) / half - if largest > least { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_points_and_more_of_them_change_none() {
        for name in ["circles", "moons", "xor", "three", "waves", "plane"] {
            let points = Points::named(name, 40, 0.1, Seed(3)).unwrap();
            let more = Points::named(name, 80, 0.1, Seed(3)).unwrap();
            assert_eq!(points.at[..], more.at[..40], "{name}");
            assert_ne!(points, Points::named(name, 40, 0.1, Seed(4)).unwrap());
        }
        let spirals = Points::named("spirals", 200, 0.0, Seed(1)).unwrap();
        assert!(spirals.at.iter().flatten().all(|number| number.abs() <= 1.0));
        assert!(Points::named("spirals", 1, 0.0, Seed(1)).is_err() && Points::named("none", 9, 0.0, Seed(1)).is_err());
        assert!(Points::named("xor", 9, f64::NAN, Seed(1)).is_err());
    }

    #[test]
    fn a_table_is_read_with_and_without_a_header() {
        let read = table(b"size,weight,fruit\n1,10,plum\n3,20,apple\n2,15,plum\n5,30,apple\n").unwrap();
        assert_eq!(read["points"][0], json!([-1.0, -1.0, 1.0]));
        assert_eq!(read["classes"], json!(["apple", "plum"]));
        assert_eq!(read["ranges"], json!([[1.0, 5.0], [10.0, 30.0]]));
        for spreadsheet in [
            "\u{feff}size;weight;fruit\n1,5;10;plum\n3;20;apple\n2;15;plum\n4,5;30;apple\n",
            "\u{feff}\"1.5\"\t10\tplum\n3\t20\tapple\n2\t15\tplum\n4.5\t30\tapple\n",
        ] {
            let read = table(spreadsheet.as_bytes()).unwrap();
            assert_eq!((read["points"][0][0].as_f64(), &read["classes"]), (Some(-1.0), &json!(["apple", "plum"])));
            assert_eq!(read["points"].as_array().unwrap().len(), 4);
        }
        let read = table(b"1,10,0.5\n3,20,0.25\n2,15,1.5\n5,30,2.5\n1,1,3.5\n2,2,4.5\n3,3,5.25\n").unwrap();
        assert_eq!(read["classes"], Value::Null);
        assert_eq!(read["points"].as_array().unwrap().len(), 7);
    }

    #[test]
    fn a_table_that_can_t_be_used_is_refused_with_the_reason() {
        let told = |text: &[u8]| table(text).unwrap_err().to_string();
        assert!(told(b"a,b\n1,2\n").contains("three columns"));
        assert!(told(b"a,b,c\n1,x,0\n").contains("`x`"));
        assert!(told(b"a,b,c\n1,inf,0\n").contains("`inf`"));
        assert!(told(b"a,b,c\n1,2,p\n1,2,\n1,2,q\n").contains("Line 3, column `c`: the cell is empty"));
        assert!(told(b" \n").contains("empty"));
        assert!(told(b"a,b,c\n\"1,2,3\n").len() > 10);
        assert!(told(&[0xff; 40]).contains("UTF-8"));
        assert!(told(b"a,b,c\n1,2,p\n1,2,q\n1,2,r\n1,2,s\n1,2,t\n1,2,u\n1,2,v\n").contains("7 different labels"));
        assert!(told(&vec![b'1'; 3 << 20]).contains("2 MiB"));
        assert!(told(b"a,b,c\n1,2,0\n").contains("four points"));
    }
}
