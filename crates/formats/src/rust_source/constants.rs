//! The numbers of a network as text: arrays that hold a row to a line, unless it is long.

use std::fmt::Write;

use downhill_tensor::Scalar;

/// The widest line of an array.
const WIDTH: usize = 100;

/// Numbers in rows of equal length, as PyTorch and files lay them out.
#[derive(Clone, Debug)]
pub(super) struct Matrix<T> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) numbers: Vec<T>,
}

/// A matrix in whole numbers: each row is `scales[row]` times as much.
#[derive(Clone, Debug)]
pub(super) struct Quantised<T> {
    pub(super) scales: Vec<T>,
    pub(super) numbers: Vec<i8>,
}

impl<T: Scalar> Matrix<T> {
    /// Rounds each row to whole numbers from −127 to 127, of which the largest weight is 127; `None` if a number is not
    /// finite.
    pub(super) fn quantised(&self) -> Option<Quantised<T>> {
        let mut quantised = Quantised { scales: Vec::with_capacity(self.rows), numbers: Vec::new() };
        for row in self.numbers.chunks_exact(self.columns.max(1)) {
            if !row.iter().all(|w| w.is_finite()) {
                return None;
            }
            let largest = row.iter().fold(0.0, |largest: f64, w| largest.max(w.to_f64().abs()));
            let scale = T::from_f64(largest / 127.0);
            quantised.scales.push(scale);
            // Of numbers so small that their scale is 0, nothing is left.
            let whole = |w: &T| if scale == T::ZERO { 0.0 } else { (w.to_f64() / scale.to_f64()).round() };
            quantised.numbers.extend(row.iter().map(|w| whole(w).clamp(-127.0, 127.0) as i8));
        }
        Some(quantised)
    }

    /// The array of rows.
    pub(super) fn text(&self, indent: usize) -> String {
        nested(&self.numbers.iter().map(|&w| number(w)).collect::<Vec<_>>(), self.columns, indent)
    }
}

impl<T: Scalar> Quantised<T> {
    /// The array of rows, without the scales.
    pub(super) fn text(&self, columns: usize, indent: usize) -> String {
        nested(&self.numbers.iter().map(i8::to_string).collect::<Vec<_>>(), columns, indent)
    }
}

/// The shortest digits that read back as this number, as a literal of its precision.
pub(super) fn number<T: Scalar>(x: T) -> String {
    if x.is_nan() {
        format!("{}::NAN", T::NAME)
    } else if x.is_finite() {
        format!("{x:?}")
    } else {
        format!("{}::{}INFINITY", T::NAME, if x < T::ZERO { "NEG_" } else { "" })
    }
}

/// `[1.0, 2.0]`, in several lines if it is long.
pub(super) fn flat(items: &[String], indent: usize) -> String {
    let whole = format!("[{}]", items.join(", "));
    if indent + whole.len() < WIDTH {
        return whole;
    }
    let mut text = String::from("[");
    let mut column = WIDTH;
    for item in items {
        if column + item.len() + 2 > WIDTH {
            let _ = write!(text, "\n{:indent$}    {item},", "");
            column = indent + 4 + item.len() + 1;
        } else {
            let _ = write!(text, " {item},");
            column += item.len() + 2;
        }
    }
    let _ = write!(text, "\n{:indent$}]", "");
    text
}

/// `[[1.0, 2.0], [3.0, 4.0]]`, with one row to a line.
fn nested(items: &[String], columns: usize, indent: usize) -> String {
    let mut text = String::from("[\n");
    for row in items.chunks(columns.max(1)) {
        let _ = writeln!(text, "{:indent$}    {},", "", flat(row, indent + 4));
    }
    let _ = write!(text, "{:indent$}]", "");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_reads_back_as_the_same_bits() {
        let special = [0.1, -0.0, 1e-45, f32::MIN_POSITIVE, f32::MAX, 16_777_216.0, 1.0 / 3.0, 1e-7, 123_456.79];
        for x in special {
            assert_eq!(number(x).parse::<f32>().unwrap().to_bits(), x.to_bits(), "{}", number(x));
            let y = f64::from(x) / 3.0;
            assert_eq!(number(y).parse::<f64>().unwrap().to_bits(), y.to_bits(), "{}", number(y));
            assert!(number(x).contains(['.', 'e']), "{} would be a whole number", number(x));
        }
        assert_eq!(number(f32::NEG_INFINITY), "f32::NEG_INFINITY");
        assert_eq!(number(f64::NAN), "f64::NAN");
    }

    #[test]
    fn a_quantised_weight_is_off_by_half_a_step_at_most() {
        let numbers: Vec<f64> = (0..40).map(|i| (f64::from(i) * 0.7).sin() * f64::from(1 + i / 10)).collect();
        let matrix = Matrix { rows: 4, columns: 10, numbers };
        let quantised = matrix.quantised().unwrap();
        assert!(quantised.numbers.contains(&127) || quantised.numbers.contains(&-127));
        for (index, (w, q)) in matrix.numbers.iter().zip(&quantised.numbers).enumerate() {
            let row = &matrix.numbers[index / 10 * 10..][..10];
            let bound = row.iter().fold(0.0, |largest: f64, w| largest.max(w.abs())) / 254.0;
            assert!((w - f64::from(*q) * quantised.scales[index / 10]).abs() <= bound * (1.0 + 1e-12));
        }
        assert!(Matrix { rows: 1, columns: 2, numbers: vec![1.0, f32::NAN] }.quantised().is_none());
        let zeros = Matrix { rows: 1, columns: 2, numbers: vec![0.0, -0.0f32] }.quantised().unwrap();
        assert_eq!((zeros.numbers, zeros.scales), (vec![0, 0], vec![0.0]));
    }

    #[test]
    fn a_long_row_is_broken_before_the_margin() {
        let text = flat(&vec!["-0.12345678".to_owned(); 40], 4);
        assert!(text.lines().count() > 4 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }
}
