//! Sums over one axis of each example, for `Sum` and `Mean`.

use downhill_tensor::reduce::lanes;
use downhill_tensor::{BuildError, Over, Runs, RunsMut, Scalar, Shape, Sweep, parallel_runs};

use crate::errors::length_of;
use crate::{Backward, Forward, Signature, single_input};

/// The signature of a sum over an axis of one input; `keep` keeps the axis, with the length 1.
pub(super) fn signature(by: &'static str, inputs: &[Shape], axis: usize, keep: bool) -> Result<Signature, BuildError> {
    let x = single_input(by, inputs)?;
    if length_of(axis, by, x)? == 0 {
        return refuse!(by, "axis {axis} of an example of shape {x} holds nothing");
    }
    let mut axes = x.axes().to_vec();
    if keep {
        axes[axis] = 1;
    } else {
        axes.remove(axis);
    }
    let Some(output) = Shape::new(&axes) else { unreachable!("a part of a shape is a shape") };
    Ok(Signature::new(by, output).backward_without_y().backward_without_x())
}

/// The number of addends, and how many sums lie side by side.
fn sizes(x: Shape, axis: usize) -> (usize, usize) {
    (x[axis], x.axes()[axis + 1..].iter().product())
}

/// y = Σ x / divisor, where the divisor is a function of the number of addends.
pub(super) fn forward<T: Scalar>(pass: &mut Forward<'_, T>, axis: usize, divisor: impl Fn(usize) -> usize) {
    let x = pass.x[0];
    let (count, within) = sizes(x.shape(), axis);
    let parts = (Runs::new(x.slice(), count * within), RunsMut::new(pass.y.slice(), within));
    parallel_runs(Over(Add { within, divisor: T::from_f64(divisor(count) as f64) }, parts), x.slice().len());
}

/// dx = dy / divisor, for each of the addends.
pub(super) fn backward<T: Scalar>(pass: &mut Backward<'_, T>, axis: usize, divisor: impl Fn(usize) -> usize) {
    let Some(dx) = pass.dx.get(0) else { return };
    let (count, within) = sizes(dx.shape(), axis);
    let work = dx.slice().len();
    let parts = (Runs::new(pass.dy.slice(), within), RunsMut::new(dx.slice(), count * within));
    parallel_runs(Over(Spread { within, divisor: T::from_f64(divisor(count) as f64) }, parts), work);
}

#[derive(Clone, Copy)]
struct Add<T> {
    within: usize,
    divisor: T,
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Add<T> {
    #[inline(always)]
    fn sweep(self, (x, y): (Runs<'_, T>, RunsMut<'_, T>)) {
        for (x, y) in x.iter().zip(y.iter_mut()) {
            if let [y] = y {
                *y = lanes::map_sum(x, |x| x);
            } else {
                let (first, rest) = x.split_at(self.within);
                y.copy_from_slice(first);
                for x in rest.chunks_exact(self.within) {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y += x;
                    }
                }
            }
            for y in y {
                *y /= self.divisor;
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Spread<T> {
    within: usize,
    divisor: T,
}

impl<T: Scalar> Sweep<(Runs<'_, T>, RunsMut<'_, T>)> for Spread<T> {
    #[inline(always)]
    fn sweep(self, (dy, dx): (Runs<'_, T>, RunsMut<'_, T>)) {
        for (dy, dx) in dy.iter().zip(dx.iter_mut()) {
            if let [dy] = dy {
                dx.fill(*dy / self.divisor);
            } else {
                for dx in dx.chunks_exact_mut(self.within) {
                    for (dx, &dy) in dx.iter_mut().zip(dy) {
                        *dx = dy / self.divisor;
                    }
                }
            }
        }
    }
}
