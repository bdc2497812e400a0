use std::io;
use std::path::PathBuf;

use downhill_tensor::Shape;

/// Why data can't be read, built or prepared.
///
/// Every variant carries the values it speaks of and prints as a sentence that says what to do.
/// Examples, features, classes and cells are counted from 0, lines of a file from 1.
/// A message says all that its cause says, so that `source()` is always `None`: the cause is a field of the variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// There is nothing where something is needed.
    #[error("{what} is empty, but at least one {unit} is needed")]
    Empty {
        /// What is empty, as `the data set`.
        what: &'static str,
        /// What it should hold, as `example`.
        unit: &'static str,
    },
    /// The inputs are not a whole number of examples.
    #[error("{length} numbers are not a whole number of examples of shape {shape}, which hold {} each", shape.len())]
    InputLength {
        /// How many numbers there are.
        length: usize,
        /// The shape of one example.
        shape: Shape,
    },
    /// A further input has another number of examples than the data set.
    #[error(
        "input {input} has {got} examples, but the data set has {expected}; every input needs one row for each example"
    )]
    InputExamples {
        /// Which input, the first of all being 0.
        input: usize,
        /// How many examples the data set has.
        expected: usize,
        /// How many this input has.
        got: usize,
    },
    /// There are more or fewer targets than the inputs need.
    #[error("{got} targets were given, but {examples} examples with targets of shape {shape} ask for {expected}")]
    TargetLength {
        /// How many examples the inputs are.
        examples: usize,
        /// The shape of one example's target.
        shape: Shape,
        /// How many targets there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// There is neither one weight for each example nor one for each target.
    #[error(
        "{got} weights were given, but there are {examples} examples with {targets} targets together; \
         give one weight for each example or one for each target"
    )]
    WeightCount {
        /// How many examples there are.
        examples: usize,
        /// How many targets all examples have together.
        targets: usize,
        /// How many weights there are.
        got: usize,
    },
    /// A weight is negative or not finite.
    #[error("example {example} has the weight {weight}, but weights must be finite and at least 0")]
    Weight {
        /// The example.
        example: usize,
        /// Its weight, or that of one of its targets.
        weight: f64,
    },
    /// All weights are 0.
    #[error("all weights are 0, so that no example counts; give at least one a weight above 0")]
    NoWeight,
    /// The axes of an array can't be an example axis and a [`Shape`].
    #[error(
        "an array of shape {axes:?} can't be split into examples: \
         it needs an axis for the examples, and at most six more, none of length 0"
    )]
    Axes {
        /// The axes.
        axes: Vec<usize>,
    },
    /// Examples can't be seen in another shape.
    #[error("examples of shape {from} hold {} numbers and can't be reshaped to {to}, which holds {}", from.len(), to.len())]
    Reshape {
        /// The shape they have.
        from: Shape,
        /// The shape they were to have.
        to: Shape,
    },
    /// A number is infinite or not a number.
    #[error(
        "example {example} has {value} as its {what}; every number must be finite: leave the example out or fill the gap"
    )]
    NonFinite {
        /// The example, or the row of a matrix.
        example: usize,
        /// Which of its numbers, as ``input 3 (`body_mass_g`)``.
        what: String,
        /// The number.
        value: f64,
    },
    /// A label is not smaller than the number of classes.
    #[error("label {index} is {label}, but there are {classes} classes, counted from 0")]
    Label {
        /// Where the label stands.
        index: usize,
        /// The label.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// There are more or fewer names than things to be named.
    #[error("{expected} {what} need as many names, but {got} were given")]
    Names {
        /// What is named: `features` or `classes`.
        what: &'static str,
        /// How many there are.
        expected: usize,
        /// How many names there are.
        got: usize,
    },
    /// An index lies beyond the last example.
    #[error("example {index} was asked for, but the data set has {examples} examples, counted from 0")]
    Index {
        /// The index.
        index: usize,
        /// How many examples there are.
        examples: usize,
    },
    /// The fraction of a split is not between 0 and 1.
    #[error("the fraction of a split must lie between 0 and 1, both excluded, but is {fraction}")]
    Fraction {
        /// The fraction.
        fraction: f64,
    },
    /// A cross-validation needs two folds or more.
    #[error(
        "a cross-validation needs 2 folds or more, so that there is something to train and to validate on, not {folds}"
    )]
    FoldCount {
        /// How many were asked for.
        folds: usize,
    },
    /// Too few examples for every part to get one.
    #[error("{what} has {examples} of the {needed} examples that it needs for every part to get one")]
    TooFew {
        /// What has too few, as ``class 2 (`virginica`)``.
        what: String,
        /// How many it has.
        examples: usize,
        /// How many it needs.
        needed: usize,
    },
    /// The targets are of the other kind.
    #[error("{operation} needs {needed}, but the data set has {got}")]
    TargetKind {
        /// What was asked for, as `a stratified split`.
        operation: &'static str,
        /// The targets it needs.
        needed: &'static str,
        /// The targets there are.
        got: &'static str,
    },
    /// A batch was to have no examples.
    #[error("a batch of 0 examples holds nothing to learn from; its size must be 1 or more")]
    EmptyBatch,
    /// A scaler meets another number of features than it was fitted to.
    #[error("the scaler was fitted to {expected} features, but was given {got}")]
    FeatureCount {
        /// How many it was fitted to.
        expected: usize,
        /// How many it was given.
        got: usize,
    },
    /// A scaler can't be fitted.
    #[error("{reason}")]
    Scaler {
        /// The whole sentence.
        reason: String,
    },
    /// An index lies beyond the last row of a table.
    #[error("row {index} was asked for, but the table has {rows} rows, counted from 0")]
    RowIndex {
        /// The index.
        index: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// A category that was not there when the encoding was learnt.
    #[error("`{value}` is none of the known categories ({})", listed(known))]
    UnknownCategory {
        /// The value.
        value: String,
        /// The categories.
        known: Vec<String>,
    },
    /// The same category, or the same column, stands twice in a list where each must be different.
    #[error("the {what} `{name}` stands more than once; name each {what} once")]
    Duplicate {
        /// `category` or `column`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A table has no column of this name.
    #[error("there is no column `{column}`; the columns are {}", listed(available))]
    NoColumn {
        /// The name.
        column: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// No row of a table is left to learn from.
    #[error(
        "none of the {rows} rows has all the columns asked for; fill missing values, or leave out the columns that lack most"
    )]
    NoRows {
        /// How many rows the table has.
        rows: usize,
    },
    /// A rule for missing or unseen values that a column can't follow.
    #[error("column `{column}` {reason}")]
    Rule {
        /// The column.
        column: String,
        /// The rest of the sentence.
        reason: String,
    },
    /// A cell is empty or holds a marker of a missing value.
    #[error("the value of column `{column}` is missing{}{}; {advice}", on(*line), shown(text))]
    MissingValue {
        /// The line of the file, if the row came from one.
        line: Option<u64>,
        /// The column.
        column: String,
        /// What the cell holds.
        text: String,
        /// What to do.
        advice: &'static str,
    },
    /// A column has not one value from which the missing ones could be filled.
    #[error(
        "column `{column}` has no value at all, so its gaps can't be filled with one of its own; \
         fill them with `Missing::Constant`, or leave the column out"
    )]
    NothingToFill {
        /// The column.
        column: String,
    },
    /// A cell of a numeric column can't be read as a finite number of the data set's precision.
    #[error(
        "column `{column}` holds `{text}`{}, which is not a finite {kind}; \
         correct it, list it as a marker of missing values, or read the column as categorical", on(*line)
    )]
    NotNumber {
        /// The line of the file, if the row came from one.
        line: Option<u64>,
        /// The column.
        column: String,
        /// What the cell holds.
        text: String,
        /// The kind of number that was wanted, as `f32`.
        kind: &'static str,
    },
    /// A cell can't be encoded.
    #[error("column `{column}`{}: {cause}", on(*line))]
    Cell {
        /// The line of the file, if the row came from one.
        line: Option<u64>,
        /// The column.
        column: String,
        /// What is wrong with it.
        cause: Box<DataError>,
    },
    /// A row has more or fewer cells than the first.
    #[error("line {line} holds {got} instead of {expected} cells; check its delimiters and quotes")]
    RaggedRow {
        /// The line of the file.
        line: u64,
        /// How many cells it should have.
        expected: usize,
        /// How many it has.
        got: usize,
    },
    /// A cell begins with a quote, and the file ends before another.
    #[error(
        "the quote that opens cell {cell} of line {line} (`\"{text}`) is never closed; \
         close it, or if it is part of the text, put the cell in quotes and write the quote twice"
    )]
    OpenQuote {
        /// The line of the file.
        line: u64,
        /// The cell.
        cell: usize,
        /// How the text after the quote begins.
        text: String,
    },
    /// A quoted cell goes on after its closing quote.
    #[error(
        "cell {cell} of line {line} is quoted, but `{text}` follows its closing quote{}; \
         close quotes that were left open, and write a quote within quotes twice", closing(*line, *closed)
    )]
    AfterQuote {
        /// The line of the file that the cell begins on.
        line: u64,
        /// The cell.
        cell: usize,
        /// The line with the closing quote.
        closed: u64,
        /// How the text after the closing quote begins.
        text: String,
    },
    /// A table of one column has a blank line between its rows.
    #[error(
        "line {line} is blank, which in a table of one column is either an empty cell or nothing; \
         write `\"\"` for an empty cell, or take the line out"
    )]
    BlankLine {
        /// The line of the file.
        line: u64,
    },
    /// A cell is not text in UTF-8.
    #[error("cell {cell} of line {line} {}; save the file as text in UTF-8", not_text(*byte))]
    NotText {
        /// The line of the file.
        line: u64,
        /// The cell.
        cell: usize,
        /// The first byte that can't be there.
        byte: u8,
    },
    /// A character that can't separate the cells of a table.
    #[error(
        "the byte {delimiter:#04x} can't separate cells; take an ASCII character that is not a quote or a line break"
    )]
    Delimiter {
        /// The character.
        delimiter: u8,
    },
    /// A file does not start as its format does.
    #[error("this is not {format} data: it starts with {found}")]
    Magic {
        /// The format, as `IDX`.
        format: &'static str,
        /// What it starts with.
        found: String,
    },
    /// A header can't be understood, or asks for what is not supported.
    #[error("the {format} header {reason}")]
    Header {
        /// The format.
        format: &'static str,
        /// The rest of the sentence.
        reason: String,
    },
    /// Data end before their header says.
    #[error("the {format} header speaks of {expected} bytes of data, but only {got} follow; the file is cut short")]
    Truncated {
        /// The format.
        format: &'static str,
        /// How many bytes there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// Rows of 0 and 1 would take more memory than there is.
    #[error(
        "{labels} labels as rows of {classes} classes do not fit in memory; are these labels classes, counted from 0?"
    )]
    OneHotSize {
        /// How many labels there are.
        labels: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// Data go on after their header says that they end.
    #[error(
        "the {format} header speaks of {expected} bytes of data, but more follow; the file is not what its header says"
    )]
    Trailing {
        /// The format.
        format: &'static str,
        /// How many bytes there should be.
        expected: usize,
    },
    /// Compressed data are damaged.
    #[error("the gzip data are damaged: {cause}; fetch the file anew")]
    Gzip {
        /// What the decoder says.
        cause: io::Error,
    },
    /// Numbers of a file can't be labels.
    #[error("element {index} is {value}, but labels are whole numbers from 0 to {}", u32::MAX)]
    NotLabel {
        /// Where the number stands.
        index: usize,
        /// The number.
        value: String,
    },
    /// A file that a data set consists of is not there.
    #[error("`{}` is not there; {hint}", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// How to get it.
        hint: &'static str,
    },
    /// The system can't read.
    #[error("reading failed: {cause}")]
    Io {
        /// What the system says.
        cause: io::Error,
    },
    /// One of the above, in a file.
    #[error("`{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong there.
        cause: Box<DataError>,
    },
}

impl DataError {
    /// The same error, said to have happened in the file `path`.
    #[must_use]
    pub fn in_file(self, path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), cause: Box::new(self) }
    }
}

impl From<io::Error> for DataError {
    fn from(cause: io::Error) -> Self {
        Self::Io { cause }
    }
}

/// The names in backquotes; a long list is cut.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut list: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        list.push(format!("and {} more", names.len() - SHOWN));
    }
    list.join(", ")
}

fn on(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" on line {line}"))
}

/// What a cell holds, if it holds anything.
fn shown(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" (`{text}`)") }
}

fn closing(line: u64, closed: u64) -> String {
    if line == closed { String::new() } else { format!(" on line {closed}") }
}

fn not_text(byte: u8) -> String {
    match byte {
        0 => "holds a NUL byte, as binary files and UTF-16 do".into(),
        _ => format!("is not UTF-8 (the byte {byte:#04x} can't be there)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn a_message_says_its_cause_once() {
        let system = || io::Error::other("the disk is on fire");
        let category = DataError::UnknownCategory { value: "x".into(), known: vec!["y".into()] };
        let errors = [
            DataError::from(system()),
            DataError::Gzip { cause: system() },
            DataError::from(system()).in_file("digits.gz"),
            DataError::Cell { line: Some(3), column: "island".into(), cause: Box::new(category) },
        ];
        for (error, cause) in errors.into_iter().zip(["on fire", "on fire", "on fire", "`x` is none of"]) {
            let message = error.to_string();
            assert_eq!(message.matches(cause).count(), 1, "{message}");
            assert!(error.source().is_none(), "{message}");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let known = (0..15).map(|i| i.to_string()).collect();
        let error = DataError::UnknownCategory { value: "x".into(), known };
        let message = error.to_string();
        assert!(message.ends_with("`10`, `11`, and 3 more)"), "{message}");
    }

    #[test]
    fn a_file_is_named_before_what_is_wrong_in_it() {
        let error = DataError::Empty { what: "the table", unit: "row" }.in_file("some/table.csv");
        assert_eq!(error.to_string(), "`some/table.csv`: the table is empty, but at least one row is needed");
    }
}
