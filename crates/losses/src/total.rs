use std::ops::AddAssign;

/// A loss over some examples: the sum of its terms, and what that sum is divided by.
///
/// Totals add up: the total of a data set is the sum of the totals of its batches, however it is cut into them, also
/// where classes have weights or targets are ignored. Averages of averages do not.
///
/// ```
/// use downhill_losses::Total;
///
/// let mut total = Total::mean(6.0, 3.0); // three terms, whose mean is 2
/// total += Total::mean(8.0, 1.0);
/// assert_eq!(total.value(), 3.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    sum: f64,
    /// `None` for a sum that is not divided.
    divisor: Option<f64>,
    /// The summed weight of the terms, whatever the sum is divided by.
    weight: f64,
}

impl Total {
    /// The mean of terms of this sum and this summed weight: their number, if each weighs 1.
    #[must_use]
    pub fn mean(sum: f64, weight: f64) -> Self {
        Self { sum, divisor: Some(weight), weight }
    }

    /// The sum of terms of this summed weight, which is not divided.
    #[must_use]
    pub fn sum(sum: f64, weight: f64) -> Self {
        Self { sum, divisor: None, weight }
    }

    /// The same terms divided by something other than their weight, as a mean over examples of which each has several.
    #[must_use]
    pub fn divided_by(self, divisor: f64) -> Self {
        Self { divisor: Some(divisor), ..self }
    }

    /// The same terms, not divided.
    #[must_use]
    pub fn undivided(self) -> Self {
        Self { divisor: None, ..self }
    }

    /// The same terms, each `weight` times as heavy.
    #[must_use]
    pub fn weighing(self, weight: f64) -> Self {
        let Self { sum, divisor, weight: before } = self;
        Self { sum: weight * sum, divisor: divisor.map(|divisor| weight * divisor), weight: weight * before }
    }

    /// J: the sum divided by the divisor, which is not a number for the mean of no terms.
    #[must_use]
    pub fn value(self) -> f64 {
        self.divisor.map_or(self.sum, |divisor| self.sum / divisor)
    }

    /// What the sum is divided by; 1 for a sum that is not divided.
    #[must_use]
    pub fn divisor(self) -> f64 {
        self.divisor.unwrap_or(1.0)
    }

    /// Whether the value is the sum itself.
    #[must_use]
    pub fn is_sum(self) -> bool {
        self.divisor.is_none()
    }

    /// Whether no term counts: there are no targets, all are ignored, or all weigh nothing.
    /// There is then nothing to learn, and the gradient is 0.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.weight == 0.0
    }

    /// What dJ/dy of the terms is multiplied by: 1 over the divisor, and 0 if no term counts.
    #[must_use]
    pub fn scale(self) -> f64 {
        if self.is_empty() { 0.0 } else { 1.0 / self.divisor() }
    }

    /// The same terms and divisor with another sum.
    #[must_use]
    pub(crate) fn with_sum(self, sum: f64) -> Self {
        Self { sum, ..self }
    }
}

/// The total of both. A sum that is not divided stays one, and so does a total of nothing added to a mean.
impl AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        let untouched = *self == Self::default();
        self.divisor = match (self.divisor, other.divisor) {
            (Some(a), Some(b)) => Some(a + b),
            (None, b) if untouched => b,
            _ => None,
        };
        self.sum += other.sum;
        self.weight += other.weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_whole_is_that_of_its_parts() {
        let mut total = Total::default();
        for (sum, weight) in [(6.0, 3.0), (0.0, 0.0), (8.0, 1.0)] {
            total += Total::mean(sum, weight);
        }
        assert_eq!(total, Total::mean(14.0, 4.0));
        let mut sum = Total::default();
        sum += Total::sum(2.0, 1.0);
        sum += Total::sum(3.0, 4.0);
        assert_eq!((sum.value(), sum.is_sum(), sum.divisor()), (5.0, true, 1.0));
    }

    #[test]
    fn no_terms_have_no_mean_and_no_gradient() {
        let nothing = Total::mean(0.0, 0.0);
        assert!(nothing.is_empty() && nothing.value().is_nan());
        assert_eq!(nothing.scale(), 0.0);
        assert!(Total::sum(0.0, 0.0).is_empty() && !Total::sum(0.0, 2.0).is_empty());
        assert_eq!(Total::mean(0.0, 0.0).divided_by(7.0).scale(), 0.0);
    }
}
