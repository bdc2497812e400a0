use std::fmt;
use std::ops::Index;

use crate::ShapeError;

/// The largest rank of a per-example shape.
const MAX_RANK: usize = 6;

/// The most numbers that a shape can count, axes of 0 counted as 1: 2^40 where a `usize` has 64 bits.
/// That is more than any memory holds, and little enough that the sizes a layer works out of a shape don't overflow.
const MOST: usize = usize::MAX >> if usize::BITS == 64 { 24 } else { 4 };

/// The shape of one example, or of one parameter: up to six axes, outermost first.
///
/// The batch axis is never part of it. A `Shape` is `Copy` and never touches the heap.
///
/// A shape is too large if it has 2^40 elements or more (2^28 where a `usize` has 32 bits), axes of 0 counted as 1.
/// [`Shape::new`] refuses one; made from an array it exists, so that an error can name it, but every layer, network and
/// batch refuses it.
///
/// ```
/// use downhill_tensor::Shape;
/// let image = Shape::from([3, 28, 28]);
/// assert_eq!(image.len(), 2352);
/// assert_eq!(image.to_string(), "3x28x28");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    axes: [usize; MAX_RANK],
    rank: usize,
    /// Kept, since a pass asks for it at every turn.
    len: usize,
}

impl Shape {
    /// Makes the shape with these axes, or returns `None` if there are more than six or the shape is [too large](Shape).
    #[must_use]
    pub fn new(axes: &[usize]) -> Option<Self> {
        if axes.len() > MAX_RANK {
            return None;
        }
        let len = count(axes)?;
        let mut all = [1; MAX_RANK];
        all[..axes.len()].copy_from_slice(axes);
        Some(Self { axes: all, rank: axes.len(), len })
    }

    /// Checks that the shape, that of `what`, is not [too large](Shape).
    ///
    /// # Errors
    /// Returns [`ShapeError::TooLarge`] if it is.
    #[inline]
    pub fn check(self, what: &'static str) -> Result<(), ShapeError> {
        if self.len > MOST {
            return Err(ShapeError::TooLarge { what: what.into(), shape: self });
        }
        Ok(())
    }

    /// Whether an example of this shape can be read as one of `other`: they are equal, or one of them is the other
    /// without some of its axes of 1.
    ///
    /// The numbers then lie in one order. Shapes that only have equally many numbers, such as 8x8x3 and 3x8x8, or an
    /// image and its flattened form, mean different things.
    ///
    /// ```
    /// use downhill_tensor::Shape;
    /// let image = Shape::from([1, 28, 28]);
    /// assert!(Shape::from([28, 28]).reads_as(image));
    /// assert!(!Shape::from([28, 28, 1]).reads_as(image));
    /// assert!(!Shape::from([784]).reads_as(image));
    /// ```
    #[must_use]
    pub fn reads_as(self, other: Self) -> bool {
        if self.rank == other.rank {
            return self == other;
        }
        let (long, short) = if self.rank > other.rank { (self, other) } else { (other, self) };
        let mut left = short.axes();
        for &axis in long.axes() {
            match left {
                [first, rest @ ..] if *first == axis => left = rest,
                _ if axis == 1 => {}
                _ => return false,
            }
        }
        left.is_empty()
    }

    /// The axes, outermost first.
    #[must_use]
    #[inline]
    pub fn axes(&self) -> &[usize] {
        &self.axes[..self.rank]
    }

    /// The number of axes.
    #[must_use]
    #[inline]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of elements: the product of the axes, 1 for a rank of zero.
    /// `usize::MAX` if the shape is [too large](Shape).
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a shape is not a collection")]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// The product of the axes, if it can be counted.
#[inline]
fn count(axes: &[usize]) -> Option<usize> {
    let all = axes.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis.max(1)))?;
    (all <= MOST).then(|| axes.iter().product())
}

impl<const RANK: usize> From<[usize; RANK]> for Shape {
    /// Makes the shape with these axes; more than six do not compile. One that is [too large](Shape) is refused where it is
    /// used.
    fn from(axes: [usize; RANK]) -> Self {
        const { assert!(RANK <= MAX_RANK, "a Shape has at most six axes") };
        let mut all = [1; MAX_RANK];
        all[..RANK].copy_from_slice(&axes);
        Self { axes: all, rank: RANK, len: count(&axes).unwrap_or(usize::MAX) }
    }
}

impl Index<usize> for Shape {
    type Output = usize;

    #[inline]
    fn index(&self, axis: usize) -> &usize {
        &self.axes()[axis]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rank == 0 {
            return f.write_str("scalar");
        }
        for (i, axis) in self.axes().iter().enumerate() {
            if i > 0 {
                f.write_str("x")?;
            }
            write!(f, "{axis}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({self})")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Shape {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.axes().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let axes = Vec::<usize>::deserialize(deserializer)?;
        Self::new(&axes).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "a shape has at most {MAX_RANK} axes and fewer than 2^{} elements, but these are {axes:?}",
                MOST.ilog2() + 1
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_product_of_the_axes() {
        assert_eq!(Shape::from([3, 4]).len(), 12);
        assert_eq!(Shape::from([]).len(), 1);
        assert_eq!(Shape::from([3, 0, 2]).len(), 0);
    }

    #[test]
    fn too_many_axes_and_overflow_are_refused() {
        assert_eq!(Shape::new(&[1; 7]), None);
        assert_eq!(Shape::new(&[usize::MAX, 2]), None);
        assert!(Shape::new(&[1; 6]).is_some());
    }

    #[test]
    fn a_shape_that_is_too_large_exists_and_is_refused() {
        // An axis of 0 makes no number of it, but whoever goes over the others would never come to an end.
        for axes in [[usize::MAX, 2, 1, 1], [1 << 62, 1, 0, 5], [1 << 20, 1 << 20, 1, 2], [usize::MAX; 4]] {
            let shape = Shape::from(axes);
            assert_eq!(Shape::new(&axes), None);
            assert_eq!((shape.axes(), shape.len()), (&axes[..], usize::MAX));
            let error = shape.check("the input").unwrap_err();
            assert!(error.to_string().starts_with(&format!("the input has the shape {shape}, which is too large")));
        }
        assert_eq!(Shape::from([1 << 20, (1 << 20) - 1]).check("the input"), Ok(()));
        assert_eq!(Shape::from([0, 1 << 39]).len(), 0);
    }

    #[test]
    fn only_axes_of_one_may_be_missing() {
        let reads = |a: &[usize], b: &[usize]| {
            let (a, b) = (Shape::new(a).unwrap(), Shape::new(b).unwrap());
            assert_eq!(a.reads_as(b), b.reads_as(a));
            a.reads_as(b)
        };
        for (a, b) in [
            (&[28, 28][..], &[1, 28, 28][..]),
            (&[28, 28], &[28, 1, 28]),
            (&[], &[1]),
            (&[1], &[1, 1, 1]),
            (&[1, 5], &[1, 1, 5]),
            (&[5, 1], &[1, 5, 1]),
            (&[3, 4], &[3, 4]),
            (&[0], &[0, 1]),
        ] {
            assert!(reads(a, b), "{a:?} {b:?}");
        }
        for (a, b) in [
            (&[8, 8, 3][..], &[3, 8, 8][..]),
            (&[1, 28, 28], &[28, 28, 1]),
            (&[784], &[1, 28, 28]),
            (&[], &[2]),
            (&[1, 5], &[5, 1]),
            (&[4, 3], &[1, 3, 4]),
            (&[5, 5], &[5]),
            (&[5, 1, 1], &[1, 1]),
        ] {
            assert!(!reads(a, b), "{a:?} {b:?}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serialises_as_a_list() {
        let shape = Shape::from([3, 28, 28]);
        let json = serde_json::to_string(&shape).unwrap();
        assert_eq!(json, "[3,28,28]");
        assert_eq!(serde_json::from_str::<Shape>(&json).unwrap(), shape);
        let error = serde_json::from_str::<Shape>("[1,1,1,1,1,1,1]").unwrap_err();
        assert!(error.to_string().contains("at most 6 axes"), "{error}");
    }
}
