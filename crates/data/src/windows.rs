use downhill_tensor::Scalar;
use ndarray::{ArrayView2, Axis};

use crate::{DataError, Dataset, Targets};

/// Overlapping windows of a time series, each an example: `length` steps are the input, and `horizon` steps after them
/// are the target.
///
/// With stride s, lead l and the length n, window i has the steps s·i ... s·i + n − 1 of every column as its input, and
/// the steps s·i + n + l ... s·i + n + l + horizon − 1 of the target columns as its target.
///
/// Windows next to each other share steps, so that a random split would show in training what it is judged on.
/// [`Dataset::time_split`] and [`Dataset::time_folds`] with the gap of [`gap`](Self::gap) leave out the windows that
/// reach from one part into the other. What is learnt of the series, such as a scaler, has to come from its first part,
/// too: split the rows of the series, and make windows of each part.
///
/// ```
/// use downhill_data::Windows;
/// use ndarray::array;
///
/// // Temperature and wind; the temperature of the next two hours from both of the last three.
/// let series = array![[1.0, 0.1], [2.0, 0.2], [3.0, 0.3], [4.0, 0.4], [5.0, 0.5], [6.0, 0.6]];
/// let windows = Windows::new(3).horizon(2).targets([0]);
/// let data = windows.dataset(series.view())?;
/// assert_eq!((data.len(), data.input_shape().axes(), data.target_shape().axes()), (2, &[3, 2][..], &[2, 1][..]));
/// assert_eq!(data.inputs().example(1), [2.0, 0.2, 3.0, 0.3, 4.0, 0.4]);
/// assert_eq!(data.target_values().unwrap().example(1), [5.0, 6.0]);
/// # Ok::<(), downhill_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    length: usize,
    lead: usize,
    horizon: usize,
    stride: usize,
    /// The target columns, if not all.
    targets: Option<Vec<usize>>,
}

impl Windows {
    /// Makes windows of `length` steps from every step on, with the step after them as target.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self { length, lead: 0, horizon: 1, stride: 1, targets: None }
    }

    /// Sets the number of steps to predict; 1 by default.
    #[must_use]
    pub fn horizon(mut self, steps: usize) -> Self {
        self.horizon = steps;
        self
    }

    /// Sets the number of steps between a window and those to predict; 0 by default.
    #[must_use]
    pub fn lead(mut self, steps: usize) -> Self {
        self.lead = steps;
        self
    }

    /// Sets the number of steps from one window to the next; 1 by default.
    #[must_use]
    pub fn stride(mut self, steps: usize) -> Self {
        self.stride = steps;
        self
    }

    /// Sets the columns to predict, counted from 0; all by default.
    #[must_use]
    pub fn targets(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.targets = Some(columns.into_iter().collect());
        self
    }

    /// The number of windows to leave out between two parts, so that no step of the one, input or target, is one of the
    /// other.
    ///
    /// ```
    /// use downhill_data::Windows;
    /// use ndarray::Array2;
    ///
    /// let series = Array2::from_shape_fn((100, 1), |(step, _)| step as f64);
    /// let windows = Windows::new(8).horizon(2);
    /// let (train, test) = windows.dataset(series.view())?.time_split(0.8, windows.gap())?;
    /// let last = train.target_values().unwrap().slice().last().copied();
    /// assert!(last < test.inputs().slice().first().copied());
    /// # Ok::<(), downhill_data::DataError>(())
    /// ```
    #[must_use]
    pub fn gap(&self) -> usize {
        self.span().div_ceil(self.stride.max(1)).saturating_sub(1)
    }

    /// The number of steps from the first of a window's input to the last of its target.
    fn span(&self) -> usize {
        self.length.saturating_add(self.lead).saturating_add(self.horizon)
    }

    /// Makes the data set of a series, whose windows are in the order of time.
    ///
    /// # Shapes
    /// `series`: (steps, columns); an input is (length, columns), as recurrent layers take it, and a target is
    /// (horizon, target columns).
    ///
    /// # Errors
    /// Returns an error if length, horizon or stride are 0, a target column is not there or none is, the series is
    /// shorter than a window with its target, a number is not finite, or the windows do not fit in memory.
    pub fn dataset<T: Scalar>(&self, series: ArrayView2<'_, T>) -> Result<Dataset<T>, DataError> {
        for (setting, steps) in [("length", self.length), ("horizon", self.horizon), ("stride", self.stride)] {
            if steps == 0 {
                return Err(DataError::WindowSetting { setting });
            }
        }
        let (steps, columns) = series.dim();
        let targets = self.targets.clone().unwrap_or_else(|| (0..columns).collect());
        if targets.is_empty() {
            return Err(DataError::Empty { what: "the list of target columns", unit: "column" });
        }
        if let Some(&column) = targets.iter().find(|&&column| column >= columns) {
            return Err(DataError::WindowColumn { column, columns });
        }
        let span = self.span();
        let Some(last) = steps.checked_sub(span) else {
            return Err(DataError::ShortSeries { steps, needed: span });
        };
        let count = last / self.stride + 1;
        let space = |each: usize, columns: usize| {
            let numbers = each.checked_mul(columns).and_then(|each| each.checked_mul(count));
            let mut space = Vec::new();
            match numbers.map(|numbers| space.try_reserve_exact(numbers)) {
                Some(Ok(())) => Ok(space),
                _ => Err(DataError::WindowsSize { windows: count, steps: each, columns }),
            }
        };
        let mut inputs = space(self.length, columns)?;
        let mut values = space(self.horizon, targets.len())?;
        for start in (0..count).map(|window| window * self.stride) {
            let ahead = start + self.length + self.lead;
            inputs.extend(series.slice_axis(Axis(0), (start..start + self.length).into()));
            for step in ahead..ahead + self.horizon {
                values.extend(targets.iter().filter_map(|&column| series.get((step, column))));
            }
        }
        Dataset::new(inputs, [self.length, columns], Targets::values(values, [self.horizon, targets.len()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use downhill_tensor::Seed;
    use ndarray::Array2;

    /// Step t of column c is 100 t + c.
    fn series(steps: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((steps, columns), |(step, column)| (100 * step + column) as f64)
    }

    fn message(windows: &Windows, series: &Array2<f64>) -> String {
        windows.dataset(series.view()).unwrap_err().to_string()
    }

    #[test]
    fn random_windows_are_the_slices_that_they_say() {
        let mut stream = Seed(1).stream(0);
        let mut up_to = |n: usize| 1 + (stream.uniform() * n as f64) as usize;
        for _ in 0..300 {
            let (length, horizon, lead, stride, columns) = (up_to(6), up_to(4), up_to(4) - 1, up_to(5), up_to(3));
            let series = series(length + horizon + lead + up_to(20) - 1, columns);
            let target = up_to(columns) - 1;
            let windows = Windows::new(length).horizon(horizon).lead(lead).stride(stride).targets([target]);
            let data = windows.dataset(series.view()).unwrap();
            assert_eq!(data.len(), (series.nrows() - length - horizon - lead) / stride + 1);
            for i in 0..data.len() {
                let (start, ahead) = (stride * i, stride * i + length + lead);
                let input = series.rows().into_iter().skip(start).take(length).flatten();
                assert!(data.inputs().example(i).iter().eq(input));
                let target = series.column(target).into_iter().skip(ahead).take(horizon);
                assert!(data.target_values().unwrap().example(i).iter().eq(target));
            }
        }
    }

    #[test]
    fn a_gap_leaves_no_step_in_two_parts_and_is_no_longer_than_it_must_be() {
        for (length, horizon, lead, stride) in [(1, 1, 0, 1), (5, 1, 0, 1), (4, 3, 2, 2), (3, 2, 0, 7), (6, 2, 1, 3)] {
            let windows = Windows::new(length).horizon(horizon).lead(lead).stride(stride);
            let data = windows.dataset(series(120, 1).view()).unwrap();
            let shares = |gap: usize| {
                let (train, test) = data.time_split(0.6, gap).unwrap();
                let latest = train.target_values().unwrap().slice().iter().copied().fold(0.0, f64::max);
                latest >= test.inputs().slice()[0]
            };
            assert!(!shares(windows.gap()), "{windows:?}");
            assert!(windows.gap() == 0 || shares(windows.gap() - 1), "{windows:?}");
            for fold in data.time_folds(3, windows.gap()).unwrap() {
                let latest = fold.train.target_values().unwrap().slice().iter().copied().fold(0.0, f64::max);
                assert!(latest < fold.validation.inputs().slice()[0]);
            }
        }
    }

    #[test]
    fn all_columns_are_targets_by_default() {
        let data = Windows::new(2).dataset(series(4, 2).view()).unwrap();
        assert_eq!(data.target_values().unwrap().slice(), [200.0, 201.0, 300.0, 301.0]);
        let reordered = Windows::new(2).targets([1, 0]).dataset(series(4, 2).view()).unwrap();
        assert_eq!(reordered.target_values().unwrap().slice(), [201.0, 200.0, 301.0, 300.0]);
    }

    #[test]
    fn what_makes_no_window_is_refused() {
        let rows = series(5, 2);
        for (windows, setting) in [
            (Windows::new(0), "length"),
            (Windows::new(1).horizon(0), "horizon"),
            (Windows::new(1).stride(0), "stride"),
        ] {
            assert_eq!(message(&windows, &rows), format!("the {setting} of windows is 0, but must be 1 or more"));
        }
        assert_eq!(
            message(&Windows::new(4).horizon(2), &rows),
            "a series of 5 steps holds no window, which takes 6 with its target; \
             give a longer series, or shorten length, lead or horizon"
        );
        for windows in [Windows::new(usize::MAX), Windows::new(1).lead(usize::MAX), Windows::new(1).horizon(usize::MAX)]
        {
            assert!(message(&windows, &rows).contains(&usize::MAX.to_string()));
        }
        assert_eq!(
            message(&Windows::new(1).targets([0, 2]), &rows),
            "column 2 was to be predicted, but the series has 2 columns, counted from 0"
        );
        assert!(message(&Windows::new(1).targets([]), &rows).starts_with("the list of target columns is empty"));
        assert!(message(&Windows::new(1), &series(5, 0)).starts_with("the list of target columns is empty"));
        let mut gap = series(5, 1);
        gap[[2, 0]] = f64::NAN;
        assert!(message(&Windows::new(2), &gap).contains("has NaN as its"));
        assert_eq!(Windows::new(1).stride(usize::MAX).dataset(rows.view()).unwrap().len(), 1);
        assert_eq!(Windows::new(1).stride(0).gap(), 1);
        // As a view of one number a series takes no memory, but its windows do.
        let one = Array2::<f64>::zeros((1, 1));
        let endless = one.broadcast((1 << 40, 1)).unwrap();
        let error = Windows::new(1 << 39).dataset(endless).unwrap_err().to_string();
        assert!(error.starts_with("549755813888 windows of 549755813888 steps and 1 columns do not fit"), "{error}");
    }
}
