//! The softmax of many positions at once, reduced to what a loss needs.

use std::ops::Range;

use downhill_tensor::Scalar;
use downhill_tensor::reduce::{Totals, lanes};

use crate::classes::Layout;

/// The largest number of positions that go through each step together.
pub(crate) const GROUP: usize = 64;

/// The approximate size of a group of whole rows in numbers, so that they stay in L1.
const TILE: usize = 1024;

/// Adjacent positions: rows, in which the classes of a position are contiguous, or a slice of a panel, in which the
/// numbers of a class are contiguous.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    pub(crate) classes: usize,
    /// The index of the first position.
    pub(crate) position: usize,
    pub(crate) count: usize,
    /// The place of the first position's first class.
    place: usize,
    from_position_to_position: usize,
    from_class_to_class: usize,
}

impl Group {
    /// Returns the place of a position's number for a class.
    #[inline(always)]
    pub(crate) fn place(&self, position: usize, class: usize) -> usize {
        self.place + position * self.from_position_to_position + class * self.from_class_to_class
    }

    fn is_rows(&self) -> bool {
        self.from_class_to_class == 1
    }

    /// Returns the places of the rows, if the classes of a position are contiguous.
    #[inline(always)]
    pub(crate) fn rows(&self) -> Option<impl Iterator<Item = Range<usize>> + Clone + use<>> {
        let Self { classes, count, place, .. } = *self;
        let row = move |p| place + p * classes..place + (p + 1) * classes;
        self.is_rows().then(|| (0..count).map(row))
    }

    /// Calls `visit(position, class, place)` for every number, in the order of their places.
    #[inline(always)]
    pub(crate) fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        if self.is_rows() {
            for p in 0..self.count {
                for c in 0..self.classes {
                    visit(p, c, self.place(p, c));
                }
            }
        } else {
            for c in 0..self.classes {
                for p in 0..self.count {
                    visit(p, c, self.place(p, c));
                }
            }
        }
    }

    /// Multiplies the numbers of each position by its factor.
    #[inline(always)]
    pub(crate) fn scale<T: Scalar>(&self, e: &mut [T], factors: &[T; GROUP]) {
        if let Some(rows) = self.rows() {
            for (row, &factor) in rows.zip(factors) {
                for e in &mut e[row] {
                    *e *= factor;
                }
            }
        } else {
            for c in 0..self.classes {
                for (e, &factor) in e[self.place(0, c)..][..self.count].iter_mut().zip(factors) {
                    *e *= factor;
                }
            }
        }
    }
}

/// An iterator over all positions of predictions, group by group.
pub(crate) struct Groups {
    layout: Layout,
    next: usize,
}

impl Groups {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, next: 0 }
    }
}

impl Iterator for Groups {
    type Item = Group;

    #[inline(always)]
    fn next(&mut self) -> Option<Group> {
        let Layout { classes, inner, .. } = self.layout;
        let position = self.next;
        let left = self.layout.positions().checked_sub(position).filter(|&left| left > 0)?;
        let group = if inner == 1 {
            let count = (TILE / classes.max(1)).clamp(1, GROUP).min(left);
            let place = position * classes;
            Group { classes, position, count, place, from_position_to_position: classes, from_class_to_class: 1 }
        } else {
            let (outer, at) = (position / inner, position % inner);
            let count = GROUP.min(inner - at);
            let place = outer * classes * inner + at;
            Group { classes, position, count, place, from_position_to_position: 1, from_class_to_class: inner }
        };
        self.next += group.count;
        Some(group)
    }
}

/// The largest logits and the sums from which the softmax of a group's positions follows.
pub(crate) struct Softmax<T> {
    largest: [T; GROUP],
    /// Σ e^(y - largest)
    pub(crate) sum: [T; GROUP],
    log_sum: [T; GROUP],
}

impl<T: Scalar> Softmax<T> {
    /// Computes the sums of a group; with `e`, also fills the group's places in it with e^(y - largest).
    #[inline(always)]
    pub(crate) fn new(group: Group, y: &[T], e: Option<&mut [T]>) -> Self {
        let mut softmax = Self { largest: [-T::INFINITY; GROUP], sum: [T::ZERO; GROUP], log_sum: [T::ZERO; GROUP] };
        if group.is_rows() {
            let here = group.place..group.place + group.count * group.classes;
            let mut scratch;
            let e = match e {
                Some(e) => &mut e[here.clone()],
                None if here.len() <= TILE => {
                    scratch = [T::ZERO; TILE];
                    &mut scratch[..here.len()]
                }
                None => &mut [],
            };
            let y = &y[here];
            // A row that is too long for the scratch space is summed as it is read.
            if e.len() == y.len() { softmax.rows(group.classes, y, e) } else { softmax.long_row(y) }
        } else {
            softmax.panel(group, y, e);
        }
        for (log_sum, &sum) in softmax.log_sum[..group.count].iter_mut().zip(&softmax.sum) {
            *log_sum = sum.ln();
        }
        softmax
    }

    /// Computes -ln p of a class whose logit is `y`.
    #[inline(always)]
    pub(crate) fn surprise(&self, position: usize, y: T) -> T {
        self.log_sum[position] - (y - self.largest[position])
    }

    #[inline(always)]
    fn rows(&mut self, classes: usize, y: &[T], e: &mut [T]) {
        for ((y, e), largest) in y.chunks_exact(classes).zip(e.chunks_exact_mut(classes)).zip(&mut self.largest) {
            *largest = max(y);
            for (e, &y) in e.iter_mut().zip(y) {
                *e = y - *largest;
            }
        }
        // One loop over all rows, however short they are.
        for e in &mut *e {
            *e = e.exp();
        }
        for (e, total) in e.chunks_exact(classes).zip(&mut self.sum) {
            *total = sum(e);
        }
    }

    /// Sums a row that is too long for the scratch space.
    #[inline(always)]
    fn long_row(&mut self, y: &[T]) {
        let largest = max(y);
        self.largest[0] = largest;
        self.sum[0] = lanes::map_sum(y, |y| (y - largest).exp());
    }

    #[inline(always)]
    fn panel(&mut self, group: Group, y: &[T], mut e: Option<&mut [T]>) {
        let of_class = |class| group.place(0, class)..group.place(0, class) + group.count;
        for class in 0..group.classes {
            for (largest, &y) in self.largest.iter_mut().zip(&y[of_class(class)]) {
                *largest = largest.max(y);
            }
        }
        let mut scratch = [T::ZERO; GROUP];
        let mut totals = None;
        for first in (0..group.classes).step_by(IN_TURN) {
            for class in first..group.classes.min(first + IN_TURN) {
                let e = match e.as_deref_mut() {
                    Some(e) => &mut e[of_class(class)],
                    None => &mut scratch[..group.count],
                };
                for (e, (&y, &largest)) in e.iter_mut().zip(y[of_class(class)].iter().zip(&self.largest)) {
                    *e = (y - largest).exp();
                }
                for (sum, &e) in self.sum.iter_mut().zip(&*e) {
                    *sum += e;
                }
            }
            if group.classes > IN_TURN {
                totals.get_or_insert(Totals::ZERO).add([self.sum]);
                self.sum = [T::ZERO; GROUP];
            }
        }
        if let Some(totals) = totals {
            [self.sum] = totals.value();
        }
    }
}

/// The number of classes whose exponentials are added in turn; the sums of such blocks are added with compensation.
const IN_TURN: usize = 256;

/// The length below which a row is summed number by number: most lanes would be empty.
const SHORT: usize = 32;

#[inline(always)]
fn max<T: Scalar>(row: &[T]) -> T {
    if row.len() < SHORT { row.iter().fold(-T::INFINITY, |largest, &x| largest.max(x)) } else { lanes::max(row) }
}

#[inline(always)]
fn sum<T: Scalar>(row: &[T]) -> T {
    if row.len() < SHORT { row.iter().fold(T::ZERO, |sum, &x| sum + x) } else { lanes::map_sum(row, |x| x) }
}

/// Computes Σ f(aᵢ, bᵢ).
#[inline(always)]
pub(crate) fn zip_sum<T: Scalar>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    if a.len() < SHORT { a.iter().zip(b).fold(T::ZERO, |sum, (&a, &b)| sum + f(a, b)) } else { lanes::zip_sum(a, b, f) }
}

/// Computes the largest of `y` and the sum of e^(y - largest); with `e`, also fills it with these exponentials.
#[inline(always)]
pub(crate) fn exponentials<T: Scalar>(y: &[T], e: Option<&mut [T]>) -> (T, T) {
    let largest = max(y);
    let Some(e) = e else { return (largest, lanes::map_sum(y, |y| (y - largest).exp())) };
    for (e, &y) in e.iter_mut().zip(y) {
        *e = (y - largest).exp();
    }
    (largest, lanes::map_sum(e, |e| e))
}
