//! Convolutions by a matrix of columns: each output's inputs are written out, and the rest is a product.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::{Axis, Convolution, IN_TURN};
use crate::Scalar;
use crate::product::{Accumulate, product};
use crate::reduce::Gathered;

/// Columns, and twice as many numbers as the weight has.
pub(super) fn scratch_len(convolution: &Convolution) -> usize {
    let weight = convolution.outputs.saturating_mul(convolution.group_sum());
    columns_len(convolution).saturating_add(weight.saturating_mul(2))
}

/// The columns of one group of one example: (terms of a sum, outputs' pixels).
fn columns_len(convolution: &Convolution) -> usize {
    convolution.group_sum().saturating_mul(convolution.output_plane())
}

pub(super) fn forward<T: Scalar>(
    of: &Convolution,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
) {
    let columns = &mut scratch[..columns_len(of)];
    start(y, bias, of.output_plane());
    for (x, y) in x.chunks_exact(of.input_len()).zip(y.chunks_exact_mut(of.output_len())) {
        for ((x, y), weight) in groups(of, x, of.input_len())
            .zip(y.chunks_exact_mut(of.output_len() / of.groups))
            .zip(groups(of, weight, weight.len()))
        {
            write_columns(of, x, columns);
            let weight = matrix(weight, of.group_sum());
            product(weight, matrix(columns, of.output_plane()), Accumulate::Add, matrix_mut(y, of.output_plane()));
        }
    }
}

pub(super) fn input_gradient<T: Scalar>(
    of: &Convolution,
    dy: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    dx: &mut [T],
    scratch: &mut [T],
) {
    let columns = &mut scratch[..columns_len(of)];
    start(dx, bias, of.input_plane());
    for (dy, dx) in dy.chunks_exact(of.output_len()).zip(dx.chunks_exact_mut(of.input_len())) {
        for ((dy, dx), weight) in groups(of, dy, of.output_len())
            .zip(dx.chunks_exact_mut(of.input_len() / of.groups))
            .zip(groups(of, weight, weight.len()))
        {
            let weight = matrix(weight, of.group_sum());
            let (dy, plane) = (matrix(dy, of.output_plane()), of.output_plane());
            product(weight.t(), dy, Accumulate::Overwrite, matrix_mut(columns, plane));
            add_columns(of, columns, dx);
        }
    }
}

pub(super) fn weight_gradient<T: Scalar>(of: &Convolution, x: &[T], dy: &[T], dweight: &mut [T], scratch: &mut [T]) {
    let (columns, rest) = scratch[..scratch_len(of)].split_at_mut(columns_len(of));
    let (sums, lost) = rest.split_at_mut(dweight.len());
    let length = dweight.len() / of.groups;
    let mut gathered = Gathered { totals: dweight, lost };
    gathered.clear();
    sums.fill(T::ZERO);
    let examples = (IN_TURN / of.output_plane()).max(1);
    for (x, dy) in x.chunks(examples * of.input_len()).zip(dy.chunks(examples * of.output_len())) {
        for (x, dy) in x.chunks_exact(of.input_len()).zip(dy.chunks_exact(of.output_len())) {
            for ((x, dy), sums) in
                groups(of, x, of.input_len()).zip(groups(of, dy, of.output_len())).zip(sums.chunks_exact_mut(length))
            {
                write_columns(of, x, columns);
                let columns = matrix(columns, of.output_plane());
                let dy = matrix(dy, of.output_plane());
                product(dy, columns.t(), Accumulate::Add, matrix_mut(sums, of.group_sum()));
            }
        }
        gathered.take(0, sums);
    }
    gathered.finish();
}

fn start<T: Scalar>(y: &mut [T], bias: Option<&[T]>, plane: usize) {
    match bias {
        Some(bias) => y.chunks_exact_mut(plane).zip(bias.iter().cycle()).for_each(|(y, &bias)| y.fill(bias)),
        None => y.fill(T::ZERO),
    }
}

/// The parts of a slice of this length that belong to the groups.
fn groups<'a, T>(of: &Convolution, data: &'a [T], length: usize) -> impl Iterator<Item = &'a [T]> {
    data.chunks_exact(length / of.groups)
}

fn write_columns<T: Scalar>(of: &Convolution, x: &[T], columns: &mut [T]) {
    columns.fill(T::ZERO);
    for_each_row(of, |x_row, column_row, step| {
        for (column, x) in columns[column_row].iter_mut().zip(x[x_row..].iter().step_by(step)) {
            *column = *x;
        }
    });
}

fn add_columns<T: Scalar>(of: &Convolution, columns: &[T], x: &mut [T]) {
    for_each_row(of, |x_row, column_row, step| {
        for (x, column) in x[x_row..].iter_mut().step_by(step).zip(&columns[column_row]) {
            *x += *column;
        }
    });
}

/// Calls `visit` with the first input, the part of the columns and the inputs' step, for each row of pixels of
/// each channel and tap.
fn for_each_row(of: &Convolution, mut visit: impl FnMut(usize, Range<usize>, usize)) {
    let [height, width] = of.axes;
    let mut row = 0;
    for channel in 0..of.channels / of.groups {
        for tap_y in 0..height.kernel {
            for tap_x in 0..width.kernel {
                let columns = reached(width, tap_x);
                for y in reached(height, tap_y).filter(|_| !columns.is_empty()) {
                    let (input_y, input_x) = (input(height, tap_y, y), input(width, tap_x, columns.start));
                    let first = (channel * height.input + input_y) * width.input + input_x;
                    let pixel = row * of.output_plane() + y * width.output;
                    visit(first, pixel + columns.start..pixel + columns.end, width.stride);
                }
                row += 1;
            }
        }
    }
}

/// The outputs for which a tap meets an input.
fn reached(axis: Axis, tap: usize) -> Range<usize> {
    let shift = tap * axis.dilation;
    let first = axis.padding.saturating_sub(shift).div_ceil(axis.stride);
    let end = (axis.input + axis.padding).saturating_sub(shift).div_ceil(axis.stride).min(axis.output);
    first..end
}

fn input(axis: Axis, tap: usize, output: usize) -> usize {
    output * axis.stride + tap * axis.dilation - axis.padding
}

fn matrix<T>(data: &[T], columns: usize) -> ArrayView2<'_, T> {
    match ArrayView2::from_shape((data.len() / columns, columns), data) {
        Ok(view) => view,
        Err(error) => unreachable!("whole rows: {error}"),
    }
}

fn matrix_mut<T>(data: &mut [T], columns: usize) -> ArrayViewMut2<'_, T> {
    match ArrayViewMut2::from_shape((data.len() / columns, columns), data) {
        Ok(view) => view,
        Err(error) => unreachable!("whole rows: {error}"),
    }
}
