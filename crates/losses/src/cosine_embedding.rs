use downhill_tensor::reduce::{lanes, unit_scale};
use downhill_tensor::{Batch, Scalar, Shape};

use crate::call::compiled;
use crate::domain::{SIGNS_OF_PAIRS, check_signs};
use crate::examples::{ExampleLoss, by_example, part_length};
use crate::hinge::ramp;
use crate::pointwise::TINY;
use crate::reduction::reduction_setting;
use crate::{Loss, Reduction, Target, TargetError, Total, target};

/// A loss that turns alike embeddings towards each other and others apart:
/// $`\ell = 1 - \cos(a, b)`$ for a pair that is alike ($`t = 1`$),
/// $`\max(0, \cos(a, b) - m)`$ for one that is not ($`t = -1`$).
///
/// With $`A = |a|^2 + \varepsilon`$, $`B = |b|^2 + \varepsilon`$ and $`\varepsilon = 10^{-12}`$,
/// ```math
/// \cos(a, b) = \frac{a \cdot b}{\sqrt{A B}}, \qquad
/// \frac{\partial \cos}{\partial a} = \frac{b}{\sqrt{A B}} - \cos(a, b) \frac{a}{A}.
/// ```
///
/// # Shapes
/// The two embeddings lie one after the other along the first axis of an example: of (batch, 2f) the first f numbers
/// are $`a`$, the others $`b`$. There is one target, −1 or 1, for each example.
///
/// # Errors
/// Returns an error if the first axis can't be halved, an example has no numbers, a target is neither −1 nor 1 (PyTorch then adds 0),
/// or there is not one target for each example.
///
/// # Source
/// Like PyTorch's `CosineEmbeddingLoss`.
/// Derivation: `docs/derivations/losses/cosine-embedding.md`.
///
/// ```
/// use downhill_losses::{CosineEmbedding, Loss, Target};
/// use downhill_tensor::Batch;
///
/// // Orthogonal, and then opposite.
/// let y = Batch::new(&[2.0, 0.0, 0.0, 3.0, 1.0, 0.0, -1.0, 0.0], 2, [4])?;
/// let value: f64 = CosineEmbedding::default().value(y, Target::Values(&[1.0, 1.0]))?;
/// assert!((value - 1.5).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct CosineEmbedding {
    margin: f64,
    reduction: Reduction,
}

impl CosineEmbedding {
    /// Makes the loss by which pairs that are not alike should have a cosine of at most `margin`, from −1 to 1.
    ///
    /// PyTorch's default is 0.
    #[must_use]
    pub fn new(margin: f64) -> Self {
        Self { margin, reduction: Reduction::Mean }
    }

    reduction_setting!();
}

impl Loss for CosineEmbedding {
    compiled!(Loss);

    fn evaluate<T: Scalar>(
        &self,
        y: Batch<'_, T>,
        target: Target<'_, T>,
        dy: Option<&mut [T]>,
    ) -> Result<Total, TargetError> {
        let margin = self.margin;
        TargetError::check_setting::<Self>("the margin", margin, (-1.0..=1.0).contains(&margin), "from -1 to 1")?;
        part_length::<Self>(y.shape(), 2, "two embeddings, one after the other along the first axis")?;
        let expected = "one sign for each pair, but received the indices of classes";
        let signs = target::values::<Self, T>(target, expected)?;
        check_signs::<Self, T>(signs, SIGNS_OF_PAIRS).map_err(|error| error.located(1))?;
        by_example(self, y, (target, 1), dy, self.reduction.of_terms(y.examples(), y.examples()))
    }
}

impl ExampleLoss for CosineEmbedding {
    #[inline(always)]
    fn example<T: Scalar>(&self, _shape: Shape, y: &[T], target: Target<'_, T>, dy: Option<&mut [T]>, scale: T) -> T {
        let Target::Values(&[t]) = target else { return T::NAN };
        let (a, mut dy) = (y.split_at(y.len() / 2), dy);
        match self.pair(a, t, dy.as_deref_mut(), scale, (T::ONE, T::ONE)) {
            Some(term) => term,
            None => self.large_pair(a, t, dy, scale),
        }
    }
}

impl CosineEmbedding {
    /// Computes the term of one pair of embeddings, whose lengths are those after a multiplication by powers of two.
    ///
    /// It is `None` if their product overflows.
    #[inline(always)]
    fn pair<T: Scalar>(
        &self,
        (a, b): (&[T], &[T]),
        t: T,
        dy: Option<&mut [T]>,
        scale: T,
        (unit_a, unit_b): (T, T),
    ) -> Option<T> {
        let square = |x, unit| lanes::map_sum(x, |x: T| (x * unit) * (x * unit)) + T::from_f64(TINY) * unit * unit;
        let (aa, bb) = (square(a, unit_a), square(b, unit_b));
        let norms = (aa * bb).sqrt();
        if !norms.is_finite() && unit_a == T::ONE && unit_b == T::ONE {
            return None;
        }
        let cosine = lanes::zip_sum(a, b, |a, b| (a * unit_a) * (b * unit_b)) / norms;
        let (term, slope) =
            if t > T::ZERO { (T::ONE - cosine, -T::ONE) } else { ramp(cosine - T::from_f64(self.margin)) };
        if let Some(dy) = dy {
            let slope = slope * scale;
            let (da, db) = dy.split_at_mut(a.len());
            for ((da, db), (&a, &b)) in da.iter_mut().zip(db).zip(a.iter().zip(b)) {
                let (a, b) = (a * unit_a, b * unit_b);
                *da = slope * (b / norms - cosine * a / aa) * unit_a;
                *db = slope * (a / norms - cosine * b / bb) * unit_b;
            }
        }
        Some(term)
    }

    /// Computes the term of a pair whose squares overflow, or that is not finite.
    #[cold]
    #[inline(never)]
    fn large_pair<T: Scalar>(&self, (a, b): (&[T], &[T]), t: T, dy: Option<&mut [T]>, scale: T) -> T {
        // Never upwards: ε would overflow.
        let unit = |x: &[T]| unit_scale(lanes::norm_max(x)).min(T::from_f64(0.5));
        self.pair((a, b), t, dy, scale, (unit(a), unit(b))).unwrap_or(T::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draw, check, error, evaluate};

    #[test]
    fn gradient() {
        let mut draw = Draw::new(28);
        for (examples, shape) in [(1, [2].into()), (5, [4].into()), (3, [34].into()), (2, Shape::from([2, 3]))] {
            let y = draw.numbers(examples * shape.len(), 0.1, 1.0);
            let target = draw.either(examples, -1.0, 1.0);
            // All cosines are positive, and clear of this margin.
            for loss in [CosineEmbedding::default(), CosineEmbedding::new(-0.5).reduction(Reduction::Sum)] {
                check(&loss, (examples, shape), &y, Target::Values(&target));
            }
        }
    }

    #[test]
    fn the_length_of_embeddings_does_not_matter_even_if_its_square_overflows() {
        let plain = Draw::new(31).numbers(12, -1.0, 1.0);
        for (left, right) in [(1.0, 1e10), (1e10, 1e10), (1e-3, 1e25), (1e20, 1e20), (1e37, 1e37), (1e37, 1e-5)] {
            let scaled = |i: usize, x: f64| f64::from((x * if i < 6 { left } else { right }) as f32);
            let y: Vec<f64> = plain.iter().enumerate().map(|(i, &x)| scaled(i, x)).collect();
            for (loss, t) in [(CosineEmbedding::default(), 1.0), (CosineEmbedding::new(-0.9), -1.0)] {
                let at = (1, Shape::from([12]));
                let (value, dy) = evaluate::<f32>(&loss, at, &y, Target::Values(&[t])).unwrap();
                let (exact, exact_dy) = evaluate::<f64>(&loss, at, &y, Target::Values(&[t])).unwrap();
                assert!((f64::from(value) - exact).abs() < 1e-6, "{left} and {right}: {value} for {exact}");
                for (i, (dy, exact)) in dy.iter().zip(exact_dy).enumerate() {
                    let length = if i < 6 { left } else { right };
                    assert!((f64::from(*dy) - exact).abs() < 1e-6 / length, "{left} and {right}: {dy} for {exact}");
                }
            }
        }
        // Equal vectors are as alike as can be.
        let (value, dy) =
            evaluate::<f32>(&CosineEmbedding::default(), (1, [2].into()), &[1e10; 2], Target::Values(&[1.0])).unwrap();
        assert_eq!((value, dy), (0.0, vec![0.0; 2]));
        for bad in [f64::NAN, f64::INFINITY] {
            let at = (1, Shape::from([4]));
            let y = [bad, 1.0, 1e30, 1.0];
            assert!(evaluate::<f32>(&CosineEmbedding::default(), at, &y, Target::Values(&[1.0])).unwrap().0.is_nan());
        }
    }

    #[test]
    fn of_a_vector_of_zeros_the_cosine_is_0() {
        let at = |t| {
            let y = [0.0, 0.0, 0.0, 1.0];
            evaluate::<f64>(&CosineEmbedding::default(), (1, [4].into()), &y, Target::Values(&[t])).unwrap()
        };
        let (value, dy) = at(1.0);
        assert_eq!((value, dy[0], &dy[2..]), (1.0, 0.0, &[0.0, 0.0][..]));
        assert!((dy[1] / -1e6 - 1.0).abs() < 1e-8);
        // At the kink.
        assert_eq!(at(-1.0), (0.0, vec![0.0; 4]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert_eq!(
            error(&CosineEmbedding::default(), (1, [3].into()), &[0.0; 3], Target::Values(&[1.0])),
            "CosineEmbedding takes two embeddings, one after the other along the first axis, \
             but the predictions have the shape 3"
        );
        assert_eq!(
            error(&CosineEmbedding::default(), (2, [0].into()), &[], Target::Values(&[1.0; 2])),
            "CosineEmbedding takes two embeddings, one after the other along the first axis, \
             but the predictions have the shape 0"
        );
        assert_eq!(
            error(&CosineEmbedding::new(2.0), (1, [2].into()), &[0.0; 2], Target::Values(&[1.0])),
            "CosineEmbedding: the margin is 2, but must be from -1 to 1"
        );
        assert_eq!(
            error(&CosineEmbedding::default(), (1, [2].into()), &[0.0; 2], Target::Values(&[1.0; 2])),
            "the predictions need 1 targets, but there are 2"
        );
    }
}
