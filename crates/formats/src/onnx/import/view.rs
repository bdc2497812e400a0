//! How the axes of a value in the file lie in a value of the network, whose first axis is always that of the examples.

use std::collections::VecDeque;

use super::constant::count;

/// A part of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// The examples.
    Batch,
    /// A part of an example, by its place among [`View::atoms`].
    Axis(usize),
}

/// A value of the file: a value of the network, and where its axes are there.
///
/// Transposing and reshaping changes only this, so that a layer that puts axes in another order is only needed where
/// another layer asks for an order.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The value of the network.
    pub(super) value: usize,
    /// The lengths of the parts that an example falls into, as they lie in memory; none is 1.
    pub(super) atoms: Vec<usize>,
    /// The axes in the file, each of any number of parts.
    pub(super) dims: Vec<Vec<Atom>>,
    /// Whether it is an input of whole numbers, which can be looked up and moved, but not computed with.
    pub(super) whole: bool,
}

impl View {
    /// A value without axes, which are still to be added.
    pub(super) fn empty(value: usize) -> Self {
        Self { value, atoms: Vec::new(), dims: Vec::new(), whole: false }
    }

    /// A value whose axes are those of an example, with the batch before them if `batch` is set.
    pub(super) fn plain(value: usize, batch: bool, axes: &[usize]) -> Self {
        let mut view = Self::empty(value);
        if batch {
            view.dims.push(vec![Atom::Batch]);
        }
        for &axis in axes {
            let axis = view.add(axis);
            view.dims.push(axis);
        }
        view
    }

    /// Adds an axis behind all others in memory.
    pub(super) fn add(&mut self, length: usize) -> Vec<Atom> {
        if length == 1 {
            return Vec::new();
        }
        self.atoms.push(length);
        vec![Atom::Axis(self.atoms.len() - 1)]
    }

    pub(super) fn rank(&self) -> usize {
        self.dims.len()
    }

    pub(super) fn dim(&self, axis: usize) -> &[Atom] {
        self.dims.get(axis).map_or(&[], Vec::as_slice)
    }

    pub(super) fn size(&self, atom: Atom, batch: usize) -> usize {
        match atom {
            Atom::Batch => batch,
            Atom::Axis(axis) => self.atoms.get(axis).copied().unwrap_or(1),
        }
    }

    /// The length of an axis of the file, where the batch is of this size.
    pub(super) fn length(&self, axis: usize, batch: usize) -> usize {
        let length = self.dim(axis).iter().fold(1usize, |all, &atom| all.saturating_mul(self.size(atom, batch)));
        // As files have lengths.
        length.min(i64::MAX as usize)
    }

    /// The shape in the file.
    pub(super) fn shape(&self, batch: usize) -> Vec<usize> {
        (0..self.rank()).map(|axis| self.length(axis, batch)).collect()
    }

    pub(super) fn has_batch(&self) -> bool {
        self.dims.iter().flatten().any(|&atom| atom == Atom::Batch)
    }

    /// The parts of an axis that lie within an example, by their places.
    pub(super) fn axes(&self, axis: usize) -> Vec<usize> {
        places(self.dim(axis))
    }

    /// All parts but those, in the order of memory.
    pub(super) fn others(&self, without: &[usize]) -> Vec<usize> {
        (0..self.atoms.len()).filter(|atom| !without.contains(atom)).collect()
    }

    /// The number of elements of some parts.
    pub(super) fn product(&self, axes: &[usize]) -> usize {
        axes.iter().filter_map(|&axis| self.atoms.get(axis)).fold(1, |all, &length| all.saturating_mul(length))
    }

    /// The view after the parts of an example have been put in another order in memory.
    pub(super) fn reordered(&self, value: usize, order: &[usize]) -> Self {
        let atoms = order.iter().filter_map(|&axis| self.atoms.get(axis).copied()).collect();
        let place = |axis: usize| order.iter().position(|&other| other == axis).unwrap_or_default();
        Self { value, atoms, dims: self.renamed(place), whole: self.whole }
    }

    fn renamed(&self, place: impl Fn(usize) -> usize) -> Vec<Vec<Atom>> {
        let rename = |&atom: &Atom| match atom {
            Atom::Batch => Atom::Batch,
            Atom::Axis(axis) => Atom::Axis(place(axis)),
        };
        self.dims.iter().map(|dim| dim.iter().map(rename).collect()).collect()
    }

    /// The view without some parts, which have become one number each.
    pub(super) fn without(&self, value: usize, gone: &[usize]) -> Self {
        let kept = self.others(gone);
        let mut dims = self.dims.clone();
        for dim in &mut dims {
            dim.retain(|atom| !matches!(atom, Atom::Axis(axis) if gone.contains(axis)));
        }
        let view = Self { dims, ..self.clone() };
        view.reordered(value, &kept)
    }

    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        let dims = order.iter().map(|&axis| self.dim(axis).to_vec()).collect();
        Self { dims, ..self.clone() }
    }

    /// All elements, in order, in another shape.
    pub(super) fn reshaped(&self, shape: &[usize], batch: usize) -> Result<Self, String> {
        let fail = || {
            let batched = if self.has_batch() { " without a split of the batch axis" } else { "" };
            Err(format!("the shape {:?} can't become {shape:?}{batched}", self.shape(batch)))
        };
        if count(shape).ok() != count(&self.shape(batch)).ok() || shape.contains(&0) {
            return fail();
        }
        // A part, which part of that, and its length.
        let parts = self.dims.iter().flatten().map(|&atom| (atom, 0usize, self.size(atom, batch)));
        let mut parts: VecDeque<_> = parts.collect();
        let mut dims = Vec::new();
        for &length in shape {
            let mut need = length;
            let mut dim = Vec::new();
            while let Some(&(atom, part, size)) = parts.front() {
                if need > 1 && need.is_multiple_of(size) {
                    parts.pop_front();
                    need /= size;
                    dim.push((atom, part, size));
                } else if need > 1 && size.is_multiple_of(need) && atom != Atom::Batch {
                    dim.push((atom, part, need));
                    if let Some(front) = parts.front_mut() {
                        *front = (atom, part + 1, size / need);
                    }
                    need = 1;
                } else {
                    break;
                }
            }
            if need > 1 {
                return fail();
            }
            dims.push(dim);
        }
        if parts.is_empty() { Ok(self.of_parts(dims)) } else { fail() }
    }

    /// Numbers the parts anew; each comes as what it is a part of, which part of that, and its length.
    fn of_parts(&self, dims: Vec<Vec<(Atom, usize, usize)>>) -> Self {
        let key = |&(atom, part, _): &(Atom, usize, usize)| match atom {
            Atom::Batch => None,
            Atom::Axis(axis) => Some((axis, part)),
        };
        let mut all: Vec<_> = dims.iter().flatten().filter_map(|part| Some((key(part)?, part.2))).collect();
        all.sort_unstable();
        let atoms = all.iter().map(|&(_, length)| length).collect();
        let number = |part: &(Atom, usize, usize)| match key(part) {
            None => Atom::Batch,
            Some(key) => Atom::Axis(all.partition_point(|&(other, _)| other < key)),
        };
        let dims = dims.iter().map(|dim| dim.iter().map(number).collect()).collect();
        Self { atoms, dims, ..self.clone() }
    }

    /// Both views with their axes cut into the same parts, if they can be: the shapes must be the same.
    pub(super) fn cut_alike(&self, other: &Self) -> Option<(Self, Self)> {
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for (a, b) in self.dims.iter().zip(&other.dims) {
            let parts = |view: &Self, dim: &[Atom]| -> VecDeque<_> {
                dim.iter().map(|&atom| (atom, 0usize, view.size(atom, 1))).collect()
            };
            let (mut a, mut b) = (parts(self, a), parts(other, b));
            let (mut cut_a, mut cut_b) = (Vec::new(), Vec::new());
            while let (Some(x), Some(y)) = (a.front_mut(), b.front_mut()) {
                if (x.0 == Atom::Batch) != (y.0 == Atom::Batch) {
                    return None;
                }
                let length = x.2.min(y.2);
                if !x.2.is_multiple_of(length) || !y.2.is_multiple_of(length) {
                    return None;
                }
                cut_a.push((x.0, x.1, length));
                cut_b.push((y.0, y.1, length));
                for (rest, parts) in [(*x, &mut a), (*y, &mut b)] {
                    if rest.2 == length {
                        parts.pop_front();
                    } else if let Some(front) = parts.front_mut() {
                        *front = (rest.0, rest.1 + 1, rest.2 / length);
                    }
                }
            }
            if !a.is_empty() || !b.is_empty() {
                return None;
            }
            mine.push(cut_a);
            others.push(cut_b);
        }
        Some((self.of_parts(mine), other.of_parts(others)))
    }
}

/// The parts that lie within an example, by their places.
pub(super) fn places(dim: &[Atom]) -> Vec<usize> {
    let axis = |&atom: &Atom| if let Atom::Axis(axis) = atom { Some(axis) } else { None };
    dim.iter().filter_map(axis).collect()
}
