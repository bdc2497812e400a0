//! Numbers that are known when a file is read, and the arithmetic that folds them.

use std::rc::Rc;

/// How many numbers may be made while a file is read: a short file can ask for any number.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn of_file(bytes: usize) -> Self {
        Self(bytes / 4 + (1 << 20))
    }

    pub(super) fn take(&mut self, numbers: usize) -> Result<(), String> {
        match self.0.checked_sub(numbers) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None => Err(format!(
                "{numbers} more numbers would be made of it than there is room for; a file may make a quarter as many \
                 as it has bytes, and 2²⁰"
            )),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// Whole numbers of any width, and truth values.
    Int(Vec<i64>),
    Text(Vec<String>),
}

/// An array that is known. Of an axis along which all is the same, one place is stored: so the batch may be an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Const {
    pub(super) shape: Vec<usize>,
    stored: Vec<usize>,
    pub(super) data: Data,
    /// The name in the file, if these are numbers of the file and not of a computation.
    pub(super) origin: Option<Rc<str>>,
}

pub(super) type Folded<T = Const> = Result<T, String>;

/// The number of elements, if it can be counted.
pub(super) fn count(shape: &[usize]) -> Folded<usize> {
    let all = shape.iter().try_fold(1usize, |all, &axis| all.checked_mul(axis));
    // As files have lengths.
    all.filter(|&all| i64::try_from(all).is_ok()).ok_or_else(|| format!("{shape:?} is too large"))
}

/// The place of an axis that may be counted from the end.
pub(super) fn axis_of(axis: i64, rank: usize) -> Folded<usize> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    counted
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("there is no axis {axis} among {rank}"))
}

/// The shape that both become when axes of 1 are repeated.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Folded<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).and_then(|i| shape.get(i).copied());
    (0..rank)
        .map(|axis| match (at(a, axis).unwrap_or(1), at(b, axis).unwrap_or(1)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => Err(format!("the shapes {a:?} and {b:?} can't be combined")),
        })
        .collect()
}

/// Calls `visit` with every index of an array of this shape, in order.
pub(super) fn indices(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        visit(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&axis| index.get(axis) < shape.get(axis).map(|n| n - 1).as_ref())
        else {
            return;
        };
        for (place, at) in index.iter_mut().enumerate().skip(axis) {
            *at = if place == axis { *at + 1 } else { 0 };
        }
    }
}

/// The distance from one place of each axis to the next.
fn strides(stored: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; stored.len()];
    let mut stride = 1;
    for (at, &length) in strides.iter_mut().zip(stored).rev() {
        *at = if length == 1 { 0 } else { stride };
        stride *= length.max(1);
    }
    strides
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::F64(numbers) => numbers.len(),
            Self::Int(numbers) => numbers.len(),
            Self::Text(texts) => texts.len(),
        }
    }

    fn pick(&self, places: &[usize]) -> Self {
        fn pick<T: Clone>(from: &[T], places: &[usize]) -> Vec<T> {
            places.iter().filter_map(|&place| from.get(place).cloned()).collect()
        }
        match self {
            Self::F32(numbers) => Self::F32(pick(numbers, places)),
            Self::F64(numbers) => Self::F64(pick(numbers, places)),
            Self::Int(numbers) => Self::Int(pick(numbers, places)),
            Self::Text(texts) => Self::Text(pick(texts, places)),
        }
    }

    pub(super) fn real(&self, place: usize) -> f64 {
        match self {
            Self::F32(numbers) => numbers.get(place).map_or(0.0, |&x| f64::from(x)),
            Self::F64(numbers) => numbers.get(place).copied().unwrap_or_default(),
            Self::Int(numbers) => numbers.get(place).map_or(0.0, |&x| x as f64),
            Self::Text(_) => 0.0,
        }
    }

    pub(super) fn whole(&self, place: usize) -> i64 {
        match self {
            Self::Int(numbers) => numbers.get(place).copied().unwrap_or_default(),
            _ => self.real(place) as i64,
        }
    }
}

impl Const {
    /// An array with all its numbers; `data` is as long as the shape says.
    pub(super) fn new(shape: Vec<usize>, data: Data) -> Self {
        Self { stored: shape.clone(), shape, data, origin: None }
    }

    pub(super) fn reals(shape: Vec<usize>, numbers: Vec<f64>) -> Self {
        Self::new(shape, Data::F64(numbers))
    }

    pub(super) fn integers(numbers: Vec<i64>) -> Self {
        Self::new(vec![numbers.len()], Data::Int(numbers))
    }

    /// One value everywhere.
    pub(super) fn filled(shape: Vec<usize>, data: Data) -> Self {
        Self { stored: vec![1; shape.len()], shape, data, origin: None }
    }

    pub(super) fn of_file(mut self, name: &str) -> Self {
        self.origin = Some(name.into());
        self
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.data, Data::Int(_))
    }

    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The length along this axis of what is stored: 1 where all is the same.
    pub(super) fn stored(&self, axis: usize) -> usize {
        self.stored.get(axis).copied().unwrap_or(1)
    }

    /// The only value, if all are equal.
    pub(super) fn uniform(&self) -> Option<f64> {
        let first = self.data.real(0);
        let numbers = !matches!(self.data, Data::Text(_)) && self.data.len() > 0 && !self.shape.contains(&0);
        let same = |x: f64| x.to_bits() == first.to_bits() || x == first;
        (numbers && (1..self.data.len()).all(|place| same(self.data.real(place)))).then_some(first)
    }

    /// The only value of an array of one element.
    pub(super) fn single(&self) -> Option<f64> {
        (count(&self.shape) == Ok(1)).then(|| self.data.real(0))
    }

    /// The number at an index of `shape`.
    pub(super) fn at(&self, index: &[usize]) -> f64 {
        self.data.real(self.place(index, &strides(&self.stored)))
    }

    fn place(&self, index: &[usize], strides: &[usize]) -> usize {
        index.iter().zip(strides).map(|(at, stride)| at * stride).sum()
    }

    /// All numbers, in order.
    pub(super) fn dense(&self, budget: &mut Budget) -> Folded {
        if self.stored == self.shape {
            return Ok(self.clone());
        }
        self.select(self.shape.clone(), self.shape.clone(), budget, |index, from| from.copy_from_slice(index))
    }

    pub(super) fn whole_numbers(&self, budget: &mut Budget) -> Folded<Vec<i64>> {
        let dense = self.dense(budget)?;
        Ok((0..dense.data.len()).map(|place| dense.data.whole(place)).collect())
    }

    pub(super) fn real_numbers(&self, budget: &mut Budget) -> Folded<Vec<f64>> {
        let dense = self.dense(budget)?;
        budget.take(dense.data.len())?;
        Ok((0..dense.data.len()).map(|place| dense.data.real(place)).collect())
    }

    /// An array of `stored` of `shape` whose elements `from` finds in this one, by index.
    fn select(
        &self,
        shape: Vec<usize>,
        stored: Vec<usize>,
        budget: &mut Budget,
        mut from: impl FnMut(&[usize], &mut [usize]),
    ) -> Folded {
        let length = count(&stored)?;
        budget.take(length)?;
        let strides = strides(&self.stored);
        let mut places = Vec::with_capacity(length);
        let mut source = vec![0; self.rank()];
        indices(&stored, |index| {
            from(index, &mut source);
            places.push(self.place(&source, &strides));
        });
        Ok(Self { shape, stored, data: self.data.pick(&places), origin: None })
    }

    pub(super) fn expand(&self, to: &[usize]) -> Folded {
        let shape = broadcast(&self.shape, to)?;
        let mut stored = vec![1; shape.len() - self.rank()];
        stored.extend(&self.stored);
        Ok(Self { shape, stored, data: self.data.clone(), origin: None })
    }

    pub(super) fn reshape(&self, shape: Vec<usize>, budget: &mut Budget) -> Folded {
        if count(&shape)? != count(&self.shape)? {
            return Err(format!("an array of shape {:?} can't have the shape {shape:?}", self.shape));
        }
        if self.data.len() == 1 {
            return Ok(Self { stored: vec![1; shape.len()], shape, ..self.clone() });
        }
        let dense = self.dense(budget)?;
        Ok(Self { stored: shape.clone(), shape, data: dense.data, origin: self.origin.clone() })
    }

    /// Removes or adds axes of 1, so that the others are these.
    pub(super) fn with_axes(&self, kept: impl Iterator<Item = Option<usize>>) -> Self {
        let (mut shape, mut stored) = (Vec::new(), Vec::new());
        for axis in kept {
            shape.push(axis.and_then(|axis| self.shape.get(axis)).copied().unwrap_or(1));
            stored.push(axis.and_then(|axis| self.stored.get(axis)).copied().unwrap_or(1));
        }
        Self { shape, stored, data: self.data.clone(), origin: self.origin.clone() }
    }

    pub(super) fn transpose(&self, order: &[usize], budget: &mut Budget) -> Folded {
        let of = |lengths: &[usize]| order.iter().filter_map(|&axis| lengths.get(axis).copied()).collect::<Vec<_>>();
        let (shape, stored) = (of(&self.shape), of(&self.stored));
        let origin = self.origin.clone();
        let transposed = self.select(shape, stored, budget, |index, from| {
            for (&axis, &at) in order.iter().zip(index) {
                if let Some(from) = from.get_mut(axis) {
                    *from = at;
                }
            }
        })?;
        Ok(Self { origin, ..transposed })
    }

    /// Takes these places along an axis.
    pub(super) fn take(&self, axis: usize, places: &[usize], budget: &mut Budget) -> Folded {
        let (mut shape, mut stored) = (self.shape.clone(), self.stored.clone());
        let length = shape.get(axis).copied().unwrap_or(1);
        if let Some(place) = places.iter().find(|&&place| place >= length) {
            return Err(format!("there is no place {place} in an axis of {length}"));
        }
        if let Some(axis) = shape.get_mut(axis) {
            *axis = places.len();
        }
        if self.stored(axis) == 1 && !places.is_empty() {
            return Ok(Self { shape, stored, data: self.data.clone(), origin: None });
        }
        if let Some(axis) = stored.get_mut(axis) {
            *axis = places.len();
        }
        self.select(shape, stored, budget, |index, from| {
            from.copy_from_slice(index);
            if let (Some(from), Some(&at)) = (from.get_mut(axis), index.get(axis)) {
                *from = places.get(at).copied().unwrap_or_default();
            }
        })
    }

    pub(super) fn concat(parts: &[Rc<Self>], axis: usize, budget: &mut Budget) -> Folded {
        let Some(first) = parts.first() else { return Err("there is nothing to join".into()) };
        let (mut shape, mut stored) = (first.shape.clone(), first.stored.clone());
        let mut starts = Vec::new();
        let mut length = 0usize;
        for part in parts {
            let fits = part.rank() == first.rank()
                && part.shape.iter().zip(&first.shape).enumerate().all(|(at, (a, b))| at == axis || a == b);
            if !fits || axis >= part.rank() {
                return Err(format!("the shapes {:?} and {:?} can't be joined", first.shape, part.shape));
            }
            starts.push(length);
            length = part.shape.get(axis).and_then(|&n| length.checked_add(n)).ok_or("the axis is too long")?;
            count(&[length])?;
            stored.iter_mut().zip(&part.stored).for_each(|(stored, &other)| *stored = (*stored).max(other));
        }
        for lengths in [&mut shape, &mut stored] {
            lengths.iter_mut().skip(axis).take(1).for_each(|n| *n = length);
        }
        let total = count(&stored)?;
        budget.take(total)?;
        let all: Vec<_> = parts.iter().map(|part| strides(&part.stored)).collect();
        let mut found = Vec::new();
        indices(&stored, |index| {
            let at = index.get(axis).copied().unwrap_or_default();
            let which = starts.partition_point(|&start| start <= at).saturating_sub(1);
            // Of parts without a place, the one after them begins at the same.
            if let (Some(part), Some(strides), Some(start)) = (parts.get(which), all.get(which), starts.get(which)) {
                let mut index = index.to_vec();
                index.iter_mut().skip(axis).take(1).for_each(|at| *at -= start);
                found.push((which, part.place(&index, strides)));
            }
        });
        let of = |place: &(usize, usize)| parts.get(place.0).map(|part| (&part.data, place.1));
        let data = match &first.data {
            Data::Text(_) => return Err("texts can't be joined".into()),
            _ if parts.iter().all(|part| part.is_whole()) => {
                Data::Int(found.iter().filter_map(of).map(|(data, place)| data.whole(place)).collect())
            }
            _ => Data::F64(found.iter().filter_map(of).map(|(data, place)| data.real(place)).collect()),
        };
        Ok(Self { shape, stored, data, origin: None })
    }

    /// Combines elements, with axes of 1 repeated; whole numbers stay whole with a `whole`.
    pub(super) fn zip(
        &self,
        other: &Self,
        budget: &mut Budget,
        whole: Option<impl Fn(i64, i64) -> Option<i64>>,
        real: impl Fn(f64, f64) -> f64,
    ) -> Folded {
        let shape = broadcast(&self.shape, &other.shape)?;
        let stored = broadcast(&self.stored, &other.stored)?;
        budget.take(count(&stored)?)?;
        let (mine, others) = (strides(&self.stored), strides(&other.stored));
        let mut places = Vec::new();
        indices(&stored, |index| {
            let tail = |rank: usize| index.get(index.len() - rank..).unwrap_or_default();
            places.push((self.place(tail(self.rank()), &mine), other.place(tail(other.rank()), &others)));
        });
        let data = match whole {
            Some(whole) if self.is_whole() && other.is_whole() => {
                let each = places.iter().map(|&(a, b)| whole(self.data.whole(a), other.data.whole(b)));
                Data::Int(each.collect::<Option<_>>().ok_or("a whole number overflows or is divided by 0")?)
            }
            _ => Data::F64(places.iter().map(|&(a, b)| real(self.data.real(a), other.data.real(b))).collect()),
        };
        Ok(Self { shape, stored, data, origin: None })
    }

    /// A function of each element, as real numbers.
    pub(super) fn map(&self, budget: &mut Budget, f: impl Fn(f64) -> f64) -> Folded {
        budget.take(self.data.len())?;
        let numbers = (0..self.data.len()).map(|place| f(self.data.real(place))).collect();
        Ok(Self { data: Data::F64(numbers), origin: None, ..self.clone_shape() })
    }

    /// A function of each element, as whole numbers.
    pub(super) fn map_whole(&self, budget: &mut Budget, f: impl Fn(f64, i64) -> i64) -> Folded {
        budget.take(self.data.len())?;
        let numbers = (0..self.data.len()).map(|place| f(self.data.real(place), self.data.whole(place))).collect();
        Ok(Self { data: Data::Int(numbers), origin: None, ..self.clone_shape() })
    }

    fn clone_shape(&self) -> Self {
        Self { shape: self.shape.clone(), stored: self.stored.clone(), data: Data::Int(Vec::new()), origin: None }
    }

    /// The matrix product of the last two axes; the others must be the same, or 1.
    pub(super) fn matmul(&self, other: &Self, budget: &mut Budget) -> Folded {
        let (&[ref lead @ .., rows, inner], &[ref others @ .., again, columns]) = (&self.shape[..], &other.shape[..])
        else {
            return Err("vectors are not multiplied while a file is read".into());
        };
        if inner != again {
            return Err(format!("matrices of shapes {:?} and {:?} have no product", self.shape, other.shape));
        }
        let lead = broadcast(lead, others)?;
        let shape = [&lead[..], &[rows, columns]].concat();
        if self.uniform() == Some(0.0) || other.uniform() == Some(0.0) {
            return Ok(Self::filled(shape, Data::F64(vec![0.0])));
        }
        let work = count(&shape)?.checked_mul(inner).ok_or("the product is too large")?;
        budget.take(work)?;
        let mut numbers = Vec::new();
        indices(&shape, |index| {
            let at = |of: &Self, row: usize, column: usize| {
                let lead = index.len() - 2;
                let skip = lead - (of.rank() - 2);
                let mut place: Vec<usize> = index.iter().take(lead).skip(skip).copied().collect();
                place.iter_mut().zip(&of.shape).for_each(|(at, &length)| *at = (*at).min(length - 1));
                of.at(&[&place[..], &[row, column]].concat())
            };
            let [.., row, column] = index else { return };
            numbers.push((0..inner).map(|k| at(self, *row, k) * at(other, k, *column)).sum());
        });
        Ok(Self::reals(shape, numbers))
    }
}
