//! The loops over time of one direction of one layer.

use std::array::from_fn;

use downhill_tensor::product::{Accumulate, product};
use downhill_tensor::{Divisible, Kernel, Scalar, prefetch};
use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis};

use super::Cell;
use super::lanes::{LANES, Lanes, vectors, vectors_mut};

/// Threads share examples in groups of this many. None is left with one example of several, because a product with one
/// row adds up in another order.
const GROUP: usize = 8;

/// The order of the steps, and where each example ends.
#[derive(Clone, Copy)]
pub(super) struct Traversal<'a, T> {
    /// Whether the order is from the last step to the first.
    pub(super) reverse: bool,
    /// The number of steps of each example, if not all have all.
    pub(super) lengths: Option<&'a [T]>,
}

impl<T: Scalar> Traversal<'_, T> {
    /// The step that comes after `passed` others.
    fn step(self, passed: usize, steps: usize) -> usize {
        if self.reverse { steps - 1 - passed } else { passed }
    }

    /// Whether this example has no such step.
    pub(super) fn is_past_the_end(self, example: usize, step: usize) -> bool {
        self.lengths.is_some_and(|lengths| step as f64 >= lengths[example].to_f64())
    }

    fn split_at(self, example: usize) -> (Self, Self) {
        let (first, second) = self.lengths.map(|lengths| lengths.split_at(example)).unzip();
        (Self { lengths: first, ..self }, Self { lengths: second, ..self })
    }
}

/// Step by step: state ← cell(x W + b, h W + b, state). An example that is past its end keeps its state and gives 0.
pub(super) struct ThroughTime<'a, C, T, const GATES: usize, const STATE: usize, const KEPT: usize> {
    pub(super) cell: &'a C,
    pub(super) traversal: Traversal<'a, T>,
    /// (hidden, GATES·hidden)
    pub(super) w: ArrayView2<'a, T>,
    /// The bias of h W.
    pub(super) b: Accumulate<'a, T>,
    /// (steps, examples, KEPT·hidden): the first GATES·hidden numbers of a row hold x W + b at entry.
    pub(super) kept: ArrayViewMut3<'a, T>,
    /// (steps, examples, hidden)
    pub(super) h: ArrayViewMut3<'a, T>,
    /// (examples, GATES·hidden), scratch space.
    pub(super) from_h: ArrayViewMut2<'a, T>,
    /// (STATE, examples, hidden): the state after the last step at exit.
    pub(super) state: ArrayViewMut3<'a, T>,
}

impl<C: Cell<GATES, STATE, KEPT>, T: Scalar, const GATES: usize, const STATE: usize, const KEPT: usize> Kernel
    for ThroughTime<'_, C, T, GATES, STATE, KEPT>
{
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (steps, examples, hidden) = self.h.dim();
        self.state.fill(T::ZERO);
        for passed in 0..steps {
            let step = self.traversal.step(passed, steps);
            // h W + b. At first h is 0, and the sum needs no terms.
            let terms = if passed == 0 { 0 } else { hidden };
            let (last, _) = self.state.index_axis(Axis(0), 0).split_at(Axis(1), terms);
            product(last, self.w.split_at(Axis(0), terms).0, self.b, self.from_h.view_mut());
            let from_h = contiguous(self.from_h.view());
            let kept = contiguous_mut(self.kept.index_axis_mut(Axis(0), step));
            let h = contiguous_mut(self.h.index_axis_mut(Axis(0), step));
            let mut state = planes::<T, STATE>(&mut self.state);
            for example in 0..examples {
                let row = example * hidden;
                if self.traversal.is_past_the_end(example, step) {
                    h[row..row + hidden].fill(T::ZERO);
                    continue;
                }
                let from_h: [_; GATES] = vectors(&from_h[GATES * row..], hidden);
                let (kept, next) = kept[KEPT * row..].split_at_mut(KEPT * hidden);
                let mut kept: [_; KEPT] = vectors_mut(kept, hidden);
                let mut state = state.each_mut().map(|state| &mut state[row..][..hidden]);
                let h = &mut h[row..][..hidden];
                prefetch(&next[..next.len().min(KEPT * hidden)]);
                for unit in (0..hidden).step_by(LANES) {
                    let x = Lanes::<T, GATES>::load(&kept, unit);
                    let v = Lanes::<T, GATES>::load(&from_h, unit);
                    let mut s = Lanes::<T, STATE>::load(&state, unit);
                    let mut k = Lanes::<T, KEPT>::zero();
                    for lane in 0..LANES {
                        let (state, keep) = self.cell.forward(x.pick(lane), v.pick(lane), s.pick(lane));
                        s.put(lane, state);
                        k.put(lane, keep);
                    }
                    k.store(&mut kept, unit);
                    s.store(&mut state, unit);
                    s.store(&mut [h], unit);
                }
            }
        }
    }
}

impl<C: Cell<GATES, STATE, KEPT>, T: Scalar, const GATES: usize, const STATE: usize, const KEPT: usize> Divisible
    for ThroughTime<'_, C, T, GATES, STATE, KEPT>
{
    fn elements(&self) -> usize {
        groups(self.h.len_of(Axis(1)))
    }

    fn cut(self, group: usize) -> (Self, Self) {
        let example = group * GROUP;
        let Self { cell, w, b, .. } = self;
        let traversal = self.traversal.split_at(example);
        let kept = self.kept.split_at(Axis(1), example);
        let h = self.h.split_at(Axis(1), example);
        let from_h = self.from_h.split_at(Axis(0), example);
        let state = self.state.split_at(Axis(1), example);
        (
            Self { cell, w, b, traversal: traversal.0, kept: kept.0, h: h.0, from_h: from_h.0, state: state.0 },
            Self { cell, w, b, traversal: traversal.1, kept: kept.1, h: h.1, from_h: from_h.1, state: state.1 },
        )
    }
}

/// Back through the steps, in the order opposite to [`ThroughTime`]:
///
/// ```text
/// dJ/dh(t) = dJ/dy(t) + what the step after has left in `dstate`
/// dJ/d(x W + b), dJ/d(h W + b), dJ/d(state before) = cell backward
/// dJ/dh(t−1) += dJ/d(h W + b) Wᵀ
/// ```
///
/// An example that is past its end leaves `dstate` as it is.
pub(super) struct BackThroughTime<'a, C, T, const GATES: usize, const STATE: usize, const KEPT: usize> {
    pub(super) cell: &'a C,
    pub(super) traversal: Traversal<'a, T>,
    /// Wᵀ: (GATES·hidden, hidden)
    pub(super) w_t: ArrayView2<'a, T>,
    /// (steps, examples, KEPT·hidden)
    pub(super) kept: ArrayView3<'a, T>,
    /// (steps, examples, hidden), where the output is the whole sequence.
    pub(super) dy: Option<ArrayView3<'a, T>>,
    /// dJ/d(x W + b): (steps, examples, GATES·hidden)
    pub(super) du: ArrayViewMut3<'a, T>,
    /// dJ/d(h W + b), where it differs: (steps, examples, GATES·hidden)
    pub(super) dv: Option<ArrayViewMut3<'a, T>>,
    /// dJ/d(state): (STATE, examples, hidden), after the last step at entry.
    pub(super) dstate: ArrayViewMut3<'a, T>,
}

impl<C: Cell<GATES, STATE, KEPT>, T: Scalar, const GATES: usize, const STATE: usize, const KEPT: usize> Kernel
    for BackThroughTime<'_, C, T, GATES, STATE, KEPT>
{
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (steps, examples, _) = self.kept.dim();
        let hidden = self.w_t.ncols();
        for passed in (0..steps).rev() {
            let step = self.traversal.step(passed, steps);
            let kept = contiguous(self.kept.index_axis(Axis(0), step));
            let dy = self.dy.as_ref().map(|dy| dy.index_axis(Axis(0), step));
            let du = contiguous_mut(self.du.index_axis_mut(Axis(0), step));
            let mut dv = self.dv.as_mut().map(|dv| contiguous_mut(dv.index_axis_mut(Axis(0), step)));
            let mut dstate = planes::<T, STATE>(&mut self.dstate);
            for example in 0..examples {
                let row = example * hidden;
                let gates = GATES * row..GATES * (row + hidden);
                let du = &mut du[gates.clone()];
                let dv = dv.as_mut().map(|dv| &mut dv[gates]);
                if self.traversal.is_past_the_end(example, step) {
                    du.fill(T::ZERO);
                    dv.into_iter().for_each(|dv| dv.fill(T::ZERO));
                    continue;
                }
                let (kept, next) = kept[KEPT * row..].split_at(KEPT * hidden);
                prefetch(&next[..next.len().min(KEPT * hidden)]);
                let dy = dy.as_ref().map(|dy| contiguous(dy.split_at(Axis(0), example).1.split_at(Axis(0), 1).0));
                let kept: [_; KEPT] = vectors(kept, hidden);
                let mut du: [_; GATES] = vectors_mut(du, hidden);
                let mut dv: Option<[_; GATES]> = dv.map(|dv| vectors_mut(dv, hidden));
                let mut dstate = dstate.each_mut().map(|dstate| &mut dstate[row..][..hidden]);
                for unit in (0..hidden).step_by(LANES) {
                    let k = Lanes::<T, KEPT>::load(&kept, unit);
                    let mut ds = Lanes::<T, STATE>::load(&dstate, unit);
                    let (mut x, mut v) = (Lanes::<T, GATES>::zero(), Lanes::<T, GATES>::zero());
                    if let Some(dy) = dy {
                        ds.add(&Lanes::load(&[dy], unit));
                    }
                    for lane in 0..LANES {
                        let gradient = self.cell.backward(k.pick(lane), ds.pick(lane));
                        x.put(lane, gradient.from_x);
                        if C::SEPARATE_GRADIENTS {
                            v.put(lane, gradient.from_h);
                        }
                        ds.put(lane, gradient.state);
                    }
                    x.store(&mut du, unit);
                    if let Some(dv) = &mut dv {
                        v.store(dv, unit);
                    }
                    ds.store(&mut dstate, unit);
                }
            }
            // Before the first step h is 0, whatever the weights.
            if passed > 0 {
                let dv = self.dv.as_ref().unwrap_or(&self.du).index_axis(Axis(0), step);
                product(dv, self.w_t, Accumulate::Add, self.dstate.index_axis_mut(Axis(0), 0));
            }
        }
    }
}

impl<C: Cell<GATES, STATE, KEPT>, T: Scalar, const GATES: usize, const STATE: usize, const KEPT: usize> Divisible
    for BackThroughTime<'_, C, T, GATES, STATE, KEPT>
{
    fn elements(&self) -> usize {
        groups(self.kept.len_of(Axis(1)))
    }

    fn cut(self, group: usize) -> (Self, Self) {
        let example = group * GROUP;
        let Self { cell, w_t, .. } = self;
        let traversal = self.traversal.split_at(example);
        let kept = self.kept.split_at(Axis(1), example);
        let dy = self.dy.map(|dy| dy.split_at(Axis(1), example)).unzip();
        let du = self.du.split_at(Axis(1), example);
        let dv = self.dv.map(|dv| dv.split_at(Axis(1), example)).unzip();
        let dstate = self.dstate.split_at(Axis(1), example);
        (
            Self { cell, w_t, traversal: traversal.0, kept: kept.0, dy: dy.0, du: du.0, dv: dv.0, dstate: dstate.0 },
            Self { cell, w_t, traversal: traversal.1, kept: kept.1, dy: dy.1, du: du.1, dv: dv.1, dstate: dstate.1 },
        )
    }
}

/// The number of groups of examples; the last takes what is left over.
fn groups(examples: usize) -> usize {
    (examples / GROUP).max(1)
}

/// The numbers of a matrix whose rows lie one after another.
#[inline(always)]
fn contiguous<T>(matrix: ArrayView2<'_, T>) -> &[T] {
    match matrix.to_slice() {
        Some(numbers) => numbers,
        None => unreachable!("{CONTIGUOUS}"),
    }
}

#[inline(always)]
fn contiguous_mut<T>(matrix: ArrayViewMut2<'_, T>) -> &mut [T] {
    match matrix.into_slice() {
        Some(numbers) => numbers,
        None => unreachable!("{CONTIGUOUS}"),
    }
}

const CONTIGUOUS: &str = "some rows of a contiguous matrix are contiguous";

/// The matrices of a state, one after another.
#[inline(always)]
fn planes<'a, T, const N: usize>(state: &'a mut ArrayViewMut3<'_, T>) -> [&'a mut [T]; N] {
    let mut planes = state.outer_iter_mut();
    from_fn(|_| planes.next().map_or(&mut [][..], contiguous_mut))
}
