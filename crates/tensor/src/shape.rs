use std::fmt;
use std::ops::Index;

/// The largest rank of a per-example shape.
const MAX_RANK: usize = 6;

/// The shape of one example, or of one parameter: up to six axes, outermost first.
///
/// The batch axis is never part of it. A `Shape` is `Copy` and never touches the heap.
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
    /// The shape with these axes, or `None` where there are more than six
    /// or their product overflows.
    #[must_use]
    pub fn new(axes: &[usize]) -> Option<Self> {
        if axes.len() > MAX_RANK {
            return None;
        }
        let len = axes.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis))?;
        let mut all = [1; MAX_RANK];
        all[..axes.len()].copy_from_slice(axes);
        Some(Self { axes: all, rank: axes.len(), len })
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
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a shape is not a collection")]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl<const RANK: usize> From<[usize; RANK]> for Shape {
    /// The shape with these axes; more than six do not compile.
    fn from(axes: [usize; RANK]) -> Self {
        const { assert!(RANK <= MAX_RANK, "a Shape has at most six axes") };
        let mut all = [1; MAX_RANK];
        all[..RANK].copy_from_slice(&axes);
        Self { axes: all, rank: RANK, len: axes.iter().product() }
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
                usize::BITS
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
