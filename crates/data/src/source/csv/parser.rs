use downhill_tensor::Scalar;

use crate::DataError;
use crate::cells::{Cells, RowReader};
use crate::schema::Encoder;
use crate::source::Rows;

/// How much text was parsed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parsed {
    pub(super) lines: u64,
    pub(super) rows: usize,
}

/// Makes examples of whole rows that begin on a line.
///
/// Rows of the usual kind are split and read where they lie; any other is read as [`Table`](crate::Table) does.
/// After an error, `rows` has the examples in front of it.
pub(super) fn parse<T: Scalar>(
    bytes: &[u8],
    delimiter: u8,
    width: usize,
    first_line: u64,
    encoder: &Encoder,
    rows: &mut Rows<T>,
) -> Result<Parsed, DataError> {
    // What is not text is found by the careful way, with its line.
    let text = str::from_utf8(bytes).ok().filter(|_| !bytes.contains(&0)).unwrap_or_default();
    let mut usual: Vec<&str> = Vec::with_capacity(width);
    let mut careful = Cells::of_width(width);
    let mut reader = RowReader::new(bytes, delimiter, first_line);
    let (mut place, mut line, mut count) = (0, first_line, 0);
    while place < bytes.len() {
        if let Some(end) = split(text, place, delimiter, width, &mut usual) {
            (place, line, count) = (end, line + 1, count + 1);
            let cell = |at: usize| usual.get(at).copied().unwrap_or_default();
            push(encoder, line - 1, cell, rows)?;
            continue;
        }
        reader.go_to(bytes.get(place..).unwrap_or_default(), line);
        careful.clear();
        let is_row = reader.read(&mut careful)?;
        (place, line) = (bytes.len() - reader.rest().len(), reader.line());
        if is_row {
            count += 1;
            let row = careful.row(0);
            push(encoder, row.line(), |at| row.cell(at), rows)?;
        }
    }
    Ok(Parsed { lines: line - first_line, rows: count })
}

/// Appends the example of a row, if the schema does not leave it out.
fn push<'c, T: Scalar>(
    encoder: &Encoder,
    line: u64,
    cell: impl Fn(usize) -> &'c str + Copy,
    rows: &mut Rows<T>,
) -> Result<(), DataError> {
    let len = rows.len;
    let Some(input) = rows.inputs.first_mut() else { return Ok(()) };
    match encoder.encode(Some(line), cell, &mut input.values, &mut rows.targets) {
        Ok(kept) => {
            rows.len += usize::from(kept);
            Ok(())
        }
        Err(error) => {
            rows.truncate(len);
            Err(error)
        }
    }
}

/// Splits the row that begins at a place into its cells and returns its end; `None` if there is anything unusual, such as
/// a quoted cell with a quote or a line break in it, or another number of cells than `width`, as a blank line has: a
/// schema has an input and a target, and so two columns at least.
fn split<'t>(text: &'t str, mut start: usize, delimiter: u8, width: usize, cells: &mut Vec<&'t str>) -> Option<usize> {
    let bytes = text.as_bytes();
    cells.clear();
    loop {
        let rest = bytes.get(start..)?;
        let (content, end) = match rest {
            [b'"', quoted @ ..] => {
                let length = quoted.iter().position(|byte| matches!(byte, b'"' | b'\n' | b'\r'))?;
                if quoted.get(length) != Some(&b'"') {
                    return None;
                }
                (start + 1..start + 1 + length, start + length + 2)
            }
            _ => {
                let ends = |&byte: &u8| byte == delimiter || byte == b'\n' || byte == b'\r';
                let end = start + rest.iter().position(ends).unwrap_or(rest.len());
                (start..end, end)
            }
        };
        let is_quoted = content.start > start;
        let content = text.get(content)?;
        // Most cells have no space to remove.
        let is_trim = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
        let cell = content.as_bytes();
        let cell = if is_trim(cell.first()) && is_trim(cell.last()) { content } else { content.trim() };
        if !is_quoted && cell.starts_with('"') {
            return None;
        }
        cells.push(cell);
        let next = match bytes.get(end..)? {
            [byte, ..] if *byte == delimiter => {
                start = end + 1;
                continue;
            }
            [b'\n', ..] => end + 1,
            [b'\r', b'\n', ..] => end + 2,
            [] => end,
            _ => return None,
        };
        return (cells.len() == width).then_some(next);
    }
}
