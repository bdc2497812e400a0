mod example_number;
mod rule_error;
mod target_kind;
mod words;

use std::io;
use std::path::PathBuf;

use downhill_tensor::Shape;

pub use self::example_number::ExampleNumber;
pub use self::rule_error::RuleError;
pub use self::target_kind::TargetKind;
use self::words::{closing, listed, not_text, on, shown};

/// An error of reading, building or preparing data.
///
/// Every variant carries the values it speaks of and prints as a sentence that says what to do.
/// Examples, features, classes and cells are counted from 0, lines of a file from 1.
/// A message says all that its cause says, so that `source()` is always `None`: the cause is a field of the variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Something is empty that must not be.
    #[error("{what} is empty, but at least one {unit} is needed")]
    Empty {
        /// The thing that is empty, such as `the data set`.
        what: &'static str,
        /// The kind of thing that it should hold, such as `example`.
        unit: &'static str,
    },
    /// The inputs are not a whole number of examples.
    #[error("{length} numbers are not a whole number of examples of shape {shape}, which hold {} each", shape.len())]
    InputLength {
        /// The number of numbers.
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
        /// The number of examples of the data set.
        expected: usize,
        /// The number of examples of this input.
        got: usize,
    },
    /// There are more or fewer targets than the inputs need.
    #[error("{got} targets were given, but {examples} examples with targets of shape {shape} ask for {expected}")]
    TargetLength {
        /// The number of examples that the inputs are.
        examples: usize,
        /// The shape of one example's target.
        shape: Shape,
        /// The number of targets that there should be.
        expected: usize,
        /// The number that there are.
        got: usize,
    },
    /// There is neither one weight for each example nor one for each target.
    #[error(
        "{got} weights were given, but there are {examples} examples with {targets} targets together; \
         give one weight for each example or one for each target"
    )]
    WeightCount {
        /// The number of examples.
        examples: usize,
        /// The number of targets that all examples have together.
        targets: usize,
        /// The number of weights.
        got: usize,
    },
    /// A sampler has more or fewer weights than there are examples.
    #[error("{got} weights were given to draw by, but there are {examples} examples; give one for each example")]
    SampleWeights {
        /// The number of examples.
        examples: usize,
        /// The number of weights.
        got: usize,
    },
    /// An epoch of a sampler is too long.
    #[error("an epoch of {draws} draws does not fit in memory; make it shorter")]
    Draws {
        /// The number of draws.
        draws: usize,
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
        "example {example} has {value} as its {number}; every number must be finite: leave the example out or fill the gap"
    )]
    NonFinite {
        /// The example, or the row of a matrix.
        example: usize,
        /// Which of its numbers.
        number: ExampleNumber,
        /// The number.
        value: f64,
    },
    /// A label is not smaller than the number of classes.
    #[error("label {index} is {label}, but there are {classes} classes, counted from 0")]
    Label {
        /// The place of the label.
        index: usize,
        /// The label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
    /// There are more or fewer names than features or classes.
    #[error("{expected} {what} need as many names, but {got} were given")]
    Names {
        /// The things that are named: `features` or `classes`.
        what: &'static str,
        /// The number of things.
        expected: usize,
        /// The number of names.
        got: usize,
    },
    /// An index lies beyond the last example.
    #[error("example {index} was asked for, but the data set has {examples} examples, counted from 0")]
    Index {
        /// The index.
        index: usize,
        /// The number of examples.
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
        /// The number of folds that was asked for.
        folds: usize,
    },
    /// There are too few examples for every part to get one.
    #[error("{what} has {examples} of the {needed} examples that it needs for every part to get one")]
    TooFew {
        /// The examples that are too few, such as ``class 2 (`virginica`)``.
        what: String,
        /// The number of examples that there are.
        examples: usize,
        /// The number of examples that it needs.
        needed: usize,
    },
    /// There is not one group for each example.
    #[error("{got} groups were given, but there are {examples} examples; give the group of each example")]
    GroupCount {
        /// The number of examples.
        examples: usize,
        /// The number of groups that were given.
        got: usize,
    },
    /// There are too few groups for every part to get one.
    #[error("{needed} groups are needed for every part to get one, but the number of groups is {groups}")]
    TooFewGroups {
        /// The number of different groups.
        groups: usize,
        /// The number of groups that are needed.
        needed: usize,
    },
    /// A fold by time has nothing to train or to validate on.
    #[error(
        "{what} has {examples} examples, too few for {folds} folds by time with a gap of {gap} in front of each; \
         ask for fewer folds or a smaller gap"
    )]
    TimeFolds {
        /// The examples, such as `the data set`.
        what: &'static str,
        /// The number of examples.
        examples: usize,
        /// The number of folds.
        folds: usize,
        /// The number of examples that are left out in front of each fold.
        gap: usize,
    },
    /// The targets are of the other kind.
    #[error("{operation} needs {needed}, but the data set has {got}")]
    TargetKind {
        /// The operation that was asked for, such as `a stratified split`.
        operation: &'static str,
        /// The targets it needs.
        needed: TargetKind,
        /// The targets there are.
        got: TargetKind,
    },
    /// A batch was to have no examples.
    #[error("a batch of 0 examples holds nothing to learn from; its size must be 1 or more")]
    EmptyBatch,
    /// A part of an example has more or fewer numbers than the layout of its source says.
    #[error(
        "an example has {got} {} as its {what}, but the source's layout says {expected}",
        if *got == 1 { "number" } else { "numbers" }
    )]
    ExampleLength {
        /// The part, such as `input 0`.
        what: String,
        /// The number of numbers that the layout says.
        expected: usize,
        /// The number that there are.
        got: usize,
    },
    /// The target of an example is of another kind than the layout of its source says.
    #[error("an example has {got}, but the source's layout says {needed}")]
    ExampleTarget {
        /// The targets that the layout says.
        needed: TargetKind,
        /// Those of the example.
        got: TargetKind,
    },
    /// A source or a transform gave another number of examples than was asked for.
    #[error("{what} gave {got} examples, but {asked} were asked for; this is a fault of its code")]
    ExampleCount {
        /// The source or the transform.
        what: &'static str,
        /// The number of examples that was asked for.
        asked: usize,
        /// The number that there were.
        got: usize,
    },
    /// A source has another number of examples than it said, or had in an earlier epoch.
    #[error(
        "the source has {now} examples in this epoch, but {before} by what it said or had in an earlier one; \
         every epoch must read the same examples, so keep its data as they are while a model trains"
    )]
    SourceChanged {
        /// The number of examples before.
        before: u64,
        /// The number in this epoch.
        now: u64,
    },
    /// A file is no longer as it was when it was opened.
    #[error(
        "the file was changed since it was opened (it had {before} bytes then and has {now} now); \
         keep it as it is while a model trains, or open it again"
    )]
    FileChanged {
        /// The number of bytes that it had.
        before: u64,
        /// The number of bytes that it has.
        now: u64,
    },
    /// A source can be read from its start to its end only.
    #[error("the source can't be read by the places of its examples, but only from its start to its end")]
    NotAddressable,
    /// Sources that differ can't be joined.
    #[error("source {part} can't be joined to the first: it has {what} {got}, and the first {expected}")]
    SourceLayout {
        /// The place of the source in the list.
        part: usize,
        /// The things in which they differ.
        what: &'static str,
        /// Those of the first source.
        expected: String,
        /// Those of this one.
        got: String,
    },
    /// The order of an epoch does not fit in memory.
    #[error("an order of {examples} examples does not fit in memory; read the source without shuffling it")]
    OrderSize {
        /// The number of examples that the source says it has.
        examples: u64,
    },
    /// A file of rows of equal size does not hold a whole number of them.
    #[error(
        "{bytes} bytes of data are not a whole number of rows of {row} bytes; \
         check the shape, the type of the elements and the size of the header"
    )]
    RowBytes {
        /// The number of bytes.
        bytes: u64,
        /// The number of bytes of a row.
        row: u64,
    },
    /// A scaler meets another number of features than it was fitted to.
    #[error("the scaler was fitted to {expected} features, but was given {got}")]
    FeatureCount {
        /// The number of features that it was fitted to.
        expected: usize,
        /// The number of features that it was given.
        got: usize,
    },
    /// A scaler is to map to a range that has no length, or is not finite.
    #[error("a range from {low} to {high} can't be mapped to; give the smaller, finite end first")]
    ScalerRange {
        /// The end that was given first.
        low: f64,
        /// The other end.
        high: f64,
    },
    /// A shape is not that of an image.
    #[error("examples of shape {shape} are no images: they need axes (channels, height, width), none of length 0")]
    ImageShape {
        /// The shape.
        shape: Shape,
    },
    /// Images have nothing to scale.
    #[error("images of {channels} channels with {pixels} pixels each hold nothing to scale, or more than memory does")]
    Pixels {
        /// The number of channels.
        channels: usize,
        /// The number of pixels in each.
        pixels: usize,
    },
    /// A setting of an augmentation is out of its range.
    #[error("the augmentation's `{setting}` is {value}, but {rule}")]
    Augmentation {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// Windows of a time series have no steps.
    #[error("the {setting} of windows is 0, but must be 1 or more")]
    WindowSetting {
        /// The setting that is 0.
        setting: &'static str,
    },
    /// A time series is shorter than a window with its target.
    #[error(
        "a series of {steps} steps holds no window, which takes {needed} with its target; \
         give a longer series, or shorten length, lead or horizon"
    )]
    ShortSeries {
        /// The number of steps of the series.
        steps: usize,
        /// The number of steps of a window with its target.
        needed: usize,
    },
    /// A column to predict lies beyond the last of a time series.
    #[error("column {column} was to be predicted, but the series has {columns} columns, counted from 0")]
    WindowColumn {
        /// The column.
        column: usize,
        /// The number of columns.
        columns: usize,
    },
    /// The windows of a time series take more memory than there is.
    #[error("{windows} windows of {steps} steps and {columns} columns do not fit in memory; lengthen the stride")]
    WindowsSize {
        /// The number of windows.
        windows: usize,
        /// The number of steps of each.
        steps: usize,
        /// The number of columns.
        columns: usize,
    },
    /// Two quantiles have no range between them.
    #[error(
        "the quantiles {low} and {high} enclose no part of the numbers; give two from 0 to 1, the smaller one first"
    )]
    Quantiles {
        /// The quantile that was given first.
        low: f64,
        /// The other.
        high: f64,
    },
    /// A number has no Box-Cox transform.
    #[error(
        "example {example} has {value} as its {number}, but Box-Cox takes numbers above 0 alone; fit Yeo-Johnson instead"
    )]
    NotPositive {
        /// The row of the matrix.
        example: usize,
        /// Which of its numbers.
        number: ExampleNumber,
        /// The number.
        value: f64,
    },
    /// The numbers that a scaler was made of scale nothing.
    #[error("feature {feature} was given {first} and {second}, but {rule}")]
    ScalerParts {
        /// The feature.
        feature: usize,
        /// Its first number: a mean, a median, a power or the smallest value.
        first: f64,
        /// Its second: a scale, a mean or the largest value.
        second: f64,
        /// What they must be.
        rule: &'static str,
    },
    /// The numbers of a feature lie so far apart that their range overflows.
    #[error("feature {feature} has a range that overflows; divide the column by a constant first")]
    FeatureRange {
        /// The feature.
        feature: usize,
    },
    /// An index lies beyond the last row of a table.
    #[error("row {index} was asked for, but the table has {rows} rows, counted from 0")]
    RowIndex {
        /// The index.
        index: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A category is unknown, since it was not among those that the encoding was learnt from.
    #[error("`{value}` is none of the known categories ({})", listed(known))]
    UnknownCategory {
        /// The value.
        value: String,
        /// The categories.
        known: Vec<String>,
    },
    /// A category is named twice in a list where each must be different.
    #[error("the category `{name}` is listed more than once; name each category once")]
    DuplicateCategory {
        /// Its name.
        name: String,
    },
    /// A column is named twice in a list where each must be different.
    #[error("the column `{name}` is listed more than once; name each column once")]
    DuplicateColumn {
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
        /// The number of rows of the table.
        rows: usize,
    },
    /// A column can't follow a rule for missing or unseen values.
    #[error("column `{column}` {problem}")]
    Rule {
        /// The column.
        column: String,
        /// The fault of the rule.
        problem: RuleError,
    },
    /// A cell is empty or holds a marker of a missing value.
    #[error("the value of column `{column}` is missing{}{}; {advice}", on(*line), shown(text))]
    MissingValue {
        /// The line of the file, if the row came from one.
        line: Option<u64>,
        /// The column.
        column: String,
        /// The text of the cell.
        text: String,
        /// The advice that ends the sentence.
        advice: &'static str,
    },
    /// A column has no value from which the missing ones could be filled.
    #[error(
        "column `{column}` has no value at all, so its gaps can't be filled from it; \
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
        /// The text of the cell.
        text: String,
        /// The kind of number that was wanted, such as `f32`.
        kind: &'static str,
    },
    /// A cell of a column of dates can't be read as one.
    #[error(
        "column `{column}` holds `{text}`{}, which is not a date; write it as in `2024-03-31` or `2024-03-31T18:30`, \
         list it as a marker of missing values, or read the column as categorical", on(*line)
    )]
    NotDate {
        /// The line of the file, if the row came from one.
        line: Option<u64>,
        /// The column.
        column: String,
        /// What the cell holds.
        text: String,
    },
    /// A cell can't be encoded.
    #[error("column `{column}`{}: {cause}", on(*line))]
    Cell {
        /// The line of the file, if the row came from one.
        line: Option<u64>,
        /// The column.
        column: String,
        /// The reason why it can't.
        cause: Box<DataError>,
    },
    /// A row has more or fewer cells than the first.
    #[error("line {line} holds {got} instead of {expected} cells; check its delimiters and quotes")]
    RaggedRow {
        /// The line of the file.
        line: u64,
        /// The number of cells that it should have.
        expected: usize,
        /// The number of cells that it has.
        got: usize,
    },
    /// A row of a table that is read part by part has no end within reach.
    #[error("the row that begins on line {line} is longer than {most} bytes; is one of its quotes never closed?")]
    LongRow {
        /// The line of the file.
        line: u64,
        /// The most bytes that a row may have.
        most: usize,
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
        /// The beginning of the text after the quote.
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
        /// The beginning of the text after the closing quote.
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
    /// A character can't separate the cells of a table.
    #[error(
        "the byte {delimiter:#04x} can't separate cells; take an ASCII character that is not a quote or a line break"
    )]
    Delimiter {
        /// The character.
        delimiter: u8,
    },
    /// Something is wrong in a row of a file whose rows have no lines.
    #[error("row {row}: {cause}")]
    Row {
        /// The row, counted from 0.
        row: u64,
        /// The error in the row.
        cause: Box<DataError>,
    },
    /// A Parquet file can't be read.
    #[error("the Parquet file can't be read: {reason}")]
    Parquet {
        /// The reason.
        reason: String,
    },
    /// A file does not start as its format does.
    #[error("this is not {format} data: it starts with the bytes {found:02x?}")]
    Magic {
        /// The format, such as `IDX`.
        format: &'static str,
        /// The bytes that it starts with.
        found: Vec<u8>,
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
        /// The number of bytes that there should be.
        expected: usize,
        /// The number that there are.
        got: usize,
    },
    /// Rows of 0 and 1 would take more memory than there is.
    #[error(
        "{labels} labels as rows of {classes} classes do not fit in memory; are these labels classes, counted from 0?"
    )]
    OneHotSize {
        /// The number of labels.
        labels: usize,
        /// The number of classes.
        classes: usize,
    },
    /// Data go on after their header says that they end.
    #[error(
        "the {format} header speaks of {expected} bytes of data, but more follow; the file is not what its header says"
    )]
    Trailing {
        /// The format.
        format: &'static str,
        /// The number of bytes that there should be.
        expected: usize,
    },
    /// Compressed data are damaged.
    #[error("the gzip data are damaged: {cause}; fetch the file anew")]
    Gzip {
        /// The error of the decoder.
        cause: io::Error,
    },
    /// Numbers of a file can't be labels.
    #[error("element {index} is {value}, but labels are whole numbers from 0 to {}", u32::MAX)]
    NotLabel {
        /// The place of the number.
        index: usize,
        /// The number.
        value: String,
    },
    /// A file that a data set consists of is not there.
    #[error("`{}` is not there; {hint}", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// The way to get it.
        hint: &'static str,
    },
    /// The system can't read.
    #[error("reading failed: {cause}")]
    Io {
        /// The error of the system.
        cause: io::Error,
    },
    /// The system can't write.
    #[error("writing failed: {cause}")]
    Write {
        /// What the system says.
        cause: io::Error,
    },
    /// Something is wrong in a file.
    #[error("`{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error in the file.
        cause: Box<DataError>,
    },
}

impl DataError {
    /// Adds the name of the file that the error is about.
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
