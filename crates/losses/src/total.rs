use std::fmt;
use std::ops::AddAssign;

/// The loss of a number of examples, as the sum of its terms and the divisor of that sum.
///
/// Totals add up: the total of a data set is the sum of the totals of its batches, however it is cut into them, also
/// if classes have weights or targets are ignored. Averages of averages do not.
///
/// A loss of several parts, such as [`MultiTask`](crate::MultiTask), has a sum and a divisor for each.
///
/// ```
/// use downhill_losses::Total;
///
/// let mut total = Total::mean(6.0, 3.0); // three terms, whose mean is 2
/// total += Total::mean(8.0, 1.0);
/// assert_eq!(total.value(), 3.5);
/// ```
#[derive(Clone, Copy)]
pub struct Total(Parts);

#[derive(Clone, Copy)]
#[expect(clippy::large_enum_variant, reason = "a total does not allocate")]
enum Parts {
    /// The one part that most losses have, cheaper to make than an array.
    One(Quotient),
    /// Any number of parts; none in a new total.
    Several { parts: [Quotient; Total::MOST_PARTS], count: usize },
}

/// One part of a total, with its sum or still without it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Quotient {
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    sum: f64,
    /// The divisor; `None` for a sum that is not divided.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    divisor: Option<f64>,
    /// The summed weight of the terms, whatever the sum is divided by.
    #[cfg_attr(feature = "serde", serde(with = "downhill_tensor::exact::text"))]
    weight: f64,
}

impl Quotient {
    pub(crate) fn mean(sum: f64, weight: f64) -> Self {
        Self { sum, divisor: Some(weight), weight }
    }

    pub(crate) fn sum(sum: f64, weight: f64) -> Self {
        Self { sum, divisor: None, weight }
    }

    pub(crate) fn divided_by(self, divisor: f64) -> Self {
        Self { divisor: Some(divisor), ..self }
    }

    pub(crate) fn weighing(self, weight: f64) -> Self {
        Self {
            sum: weight * self.sum,
            divisor: self.divisor.map(|divisor| weight * divisor),
            weight: weight * self.weight,
        }
    }

    /// Sets the summed weight of the terms, and keeps sum and divisor.
    pub(crate) fn weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// Makes the total of terms whose sum this is.
    pub(crate) fn total(self, sum: f64) -> Total {
        Total(Parts::One(Self { sum, ..self }))
    }

    pub(crate) fn scale(self) -> f64 {
        if self.weight == 0.0 { 0.0 } else { 1.0 / self.divisor.unwrap_or(1.0) }
    }

    fn value(self) -> f64 {
        self.divisor.map_or(self.sum, |divisor| self.sum / divisor)
    }
}

impl Total {
    /// The largest number of parts that a loss may have.
    pub const MOST_PARTS: usize = 8;

    #[inline]
    fn parts(&self) -> &[Quotient] {
        match &self.0 {
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Several { parts, count } => &parts[..*count],
        }
    }

    fn parts_mut(&mut self) -> &mut [Quotient] {
        match &mut self.0 {
            Parts::One(part) => std::slice::from_mut(part),
            Parts::Several { parts, count } => &mut parts[..*count],
        }
    }

    fn each(mut self, change: impl Fn(Quotient) -> Quotient) -> Self {
        self.parts_mut().iter_mut().for_each(|part| *part = change(*part));
        self
    }

    /// Makes the mean of terms from their sum and their summed weight, which is their number if each has weight 1.
    #[must_use]
    pub fn mean(sum: f64, weight: f64) -> Self {
        Self(Parts::One(Quotient::mean(sum, weight)))
    }

    /// Makes the sum of terms of this summed weight, which is not divided.
    #[must_use]
    pub fn sum(sum: f64, weight: f64) -> Self {
        Self(Parts::One(Quotient::sum(sum, weight)))
    }

    /// Sets a divisor other than the weight of the terms, such as the number of examples if each has several terms.
    #[must_use]
    pub fn divided_by(self, divisor: f64) -> Self {
        self.each(|part| part.divided_by(divisor))
    }

    /// Removes the divisor.
    #[must_use]
    pub fn undivided(self) -> Self {
        self.each(|part| Quotient { divisor: None, ..part })
    }

    /// Multiplies the weight of each term by `weight`.
    #[must_use]
    pub fn weighing(self, weight: f64) -> Self {
        self.each(|part| part.weighing(weight))
    }

    /// Computes J, the sum divided by the divisor, which is not a number for the mean of no terms.
    ///
    /// If there are several parts it is the sum of their values; a part without any term that counts adds nothing,
    /// unless no part has one.
    #[must_use]
    #[inline]
    pub fn value(self) -> f64 {
        if let Parts::One(part) = self.0 {
            return part.value();
        }
        let empty = self.is_empty();
        self.parts().iter().filter(|part| empty || part.weight != 0.0).map(|part| part.value()).sum()
    }

    /// Returns the divisor of the sum, or of the first of several parts; 1 for a sum that is not divided.
    #[must_use]
    pub fn divisor(self) -> f64 {
        self.parts().first().and_then(|part| part.divisor).unwrap_or(1.0)
    }

    /// Tells whether the divisors of all parts are one multiple of the divisors of `other`.
    ///
    /// If so, the gradients of both, each times its divisor, add up to that of the sum. A part without any term that
    /// counts in only one of the two prevents it.
    #[must_use]
    pub fn is_in_proportion_to(self, other: Self) -> bool {
        let equal = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
        let own = |part: &Quotient| part.divisor.unwrap_or(1.0);
        let mut pairs = self.parts().iter().zip(other.parts());
        pairs.all(|(a, b)| equal(own(a) * other.divisor(), own(b) * self.divisor()))
    }

    /// Tells whether the value is the sum itself.
    #[must_use]
    pub fn is_sum(self) -> bool {
        self.parts().iter().all(|part| part.divisor.is_none())
    }

    /// Tells whether no term counts: there are no targets, all are ignored, or all have weight 0.
    ///
    /// There is then nothing to learn, and the gradient is 0.
    #[must_use]
    #[inline]
    pub fn is_empty(self) -> bool {
        self.parts().iter().all(|part| part.weight == 0.0)
    }

    /// Tells whether there are several parts, each with its own divisor, so that no single number scales the gradient.
    #[must_use]
    pub fn has_parts(self) -> bool {
        self.parts().len() > 1
    }

    /// Returns the factor of dJ/dy of the terms: 1 over the divisor, and 0 if no term counts.
    #[must_use]
    pub fn scale(self) -> f64 {
        if self.is_empty() { 0.0 } else { 1.0 / self.divisor() }
    }

    /// Returns the bytes of all parts, from which [`from_le_bytes`](Total::from_le_bytes) makes the same total, such as in
    /// another process.
    #[must_use]
    pub fn to_le_bytes(self) -> Vec<u8> {
        let numbers = |part: &Quotient| {
            [part.sum, f64::from(u8::from(part.divisor.is_some())), part.divisor.unwrap_or(0.0), part.weight]
        };
        self.parts().iter().flat_map(numbers).flat_map(f64::to_le_bytes).collect()
    }

    /// Makes the total of which these are the bytes; `None` if they are those of no total.
    #[must_use]
    pub fn from_le_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let numbers: Vec<f64> = numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let (read, other) = numbers.as_chunks::<4>();
        if !rest.is_empty() || !other.is_empty() {
            return None;
        }
        let part = |&[sum, divided, divisor, weight]: &[f64; 4]| {
            let divisor = (divided != 0.0).then_some(divisor);
            Quotient { sum, divisor, weight }
        };
        if let [only] = read {
            return Some(Self(Parts::One(part(only))));
        }
        let (mut parts, count) = ([Quotient::default(); Self::MOST_PARTS], read.len());
        parts.get_mut(..count)?.iter_mut().zip(read).for_each(|(place, read)| *place = part(read));
        Some(Self(Parts::Several { parts, count }))
    }

    /// Adds `factor` times the value of `other` to the value, as parts with their own divisors, and tells whether there
    /// was room for them.
    pub(crate) fn join(&mut self, other: Self, factor: f64) -> bool {
        let mut joined = [Quotient::default(); Self::MOST_PARTS];
        let (first, end) = (self.parts().len(), self.parts().len() + other.parts().len());
        let Some(others) = joined.get_mut(first..end) else { return false };
        others.copy_from_slice(other.each(|part| Quotient { sum: factor * part.sum, ..part }).parts());
        joined[..first].copy_from_slice(self.parts());
        self.0 = Parts::Several { parts: joined, count: end };
        true
    }
}

impl Default for Total {
    fn default() -> Self {
        Self(Parts::Several { parts: Default::default(), count: 0 })
    }
}

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

/// Adds sums and divisors. A sum that is not divided stays one; a total of nothing changes nothing.
impl AddAssign for Total {
    fn add_assign(&mut self, mut other: Self) {
        if self.parts().len() < other.parts().len() {
            std::mem::swap(self, &mut other);
        }
        for (part, other) in self.parts_mut().iter_mut().zip(other.parts()) {
            part.divisor = part.divisor.zip(other.divisor).map(|(a, b)| a + b);
            part.sum += other.sum;
            part.weight += other.weight;
        }
    }
}

/// As the list of its parts, so that a run that goes on adds to the same bits.
#[cfg(feature = "serde")]
impl serde::Serialize for Total {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.parts().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Total {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Vec::<Quotient>::deserialize(deserializer)?;
        if let [part] = read[..] {
            return Ok(Self(Parts::One(part)));
        }
        let (mut parts, count) = ([Quotient::default(); Self::MOST_PARTS], read.len());
        let room = parts.get_mut(..count);
        room.ok_or_else(|| serde::de::Error::invalid_length(count, &"at most 8 parts"))?.copy_from_slice(&read);
        Ok(Self(Parts::Several { parts, count }))
    }
}

impl fmt::Debug for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Total ")?;
        f.debug_list().entries(self.parts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "serde")]
    #[test]
    fn totals_are_saved_to_the_same_bits() {
        let mut parts = Total::mean(0.1, 3.0);
        assert!(parts.join(Total::sum(f64::NAN, 1e-300), 2.0));
        for total in [Total::default(), Total::mean(0.1 + 0.2, 7.0), Total::sum(-0.0, 0.0), parts] {
            let text = serde_json::to_string(&total).unwrap();
            let read: Total = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{read:?}"), format!("{total:?}"), "{text}");
        }
        let nine = serde_json::to_string(&vec![Quotient::default(); 9]).unwrap();
        assert!(serde_json::from_str::<Total>(&nine).is_err());
    }

    #[test]
    fn totals_have_the_same_bits_after_they_were_bytes() {
        let mut parts = Total::mean(0.1, 3.0);
        assert!(parts.join(Total::sum(f64::NAN, 1e-300), 2.0));
        for total in [Total::default(), Total::mean(0.1 + 0.2, 7.0), Total::sum(-0.0, 0.0), parts] {
            let bytes = total.to_le_bytes();
            assert_eq!(format!("{:?}", Total::from_le_bytes(&bytes)), format!("{:?}", Some(total)));
            assert!(bytes.is_empty() || Total::from_le_bytes(&bytes[1..]).is_none());
        }
        assert_eq!(Total::from_le_bytes(&Total::mean(1.0, 1.0).to_le_bytes().repeat(9)), None);
    }

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
    fn a_total_of_nothing_changes_nothing() {
        for total in [Total::mean(6.0, 3.0), Total::sum(6.0, 3.0), Total::mean(6.0, 3.0).divided_by(2.0)] {
            let (mut before, mut after) = (Total::default(), total);
            before += total;
            after += Total::default();
            assert_eq!((before, after), (total, total));
        }
    }

    #[test]
    fn no_terms_have_no_mean_and_no_gradient() {
        let nothing = Total::mean(0.0, 0.0);
        assert!(nothing.is_empty() && nothing.value().is_nan());
        assert_eq!(nothing.scale(), 0.0);
        assert!(Total::sum(0.0, 0.0).is_empty() && !Total::sum(0.0, 2.0).is_empty());
        assert_eq!(Total::mean(0.0, 0.0).divided_by(7.0).scale(), 0.0);
    }

    #[test]
    fn parts_keep_their_own_divisors() {
        let batch = |first: Total, second: Total| {
            let mut total = Total::default();
            assert!(total.join(first, 1.0) && total.join(second, 0.5));
            total
        };
        let mut total = batch(Total::mean(6.0, 2.0), Total::mean(8.0, 1.0));
        assert_eq!(total.value(), 3.0 + 4.0);
        // No term of the second part counts here.
        let half = batch(Total::mean(2.0, 2.0), Total::mean(0.0, 0.0));
        assert!((half.value(), half.is_empty(), half.has_parts()) == (1.0, false, true));
        total += half;
        assert_eq!(total.value(), 8.0 / 4.0 + 4.0);
        assert!(batch(Total::mean(0.0, 0.0), Total::mean(0.0, 0.0)).value().is_nan());
        let mut full = total;
        for _ in 2..Total::MOST_PARTS {
            assert!(full.join(Total::sum(1.0, 1.0), 1.0));
        }
        assert!(!full.join(Total::sum(1.0, 1.0), 1.0));
    }

    #[test]
    fn divisors_are_in_proportion_if_one_number_takes_all_to_the_others() {
        let parts = |first: Total, second: Total| {
            let mut total = Total::default();
            assert!(total.join(first, 1.0) && total.join(second, 1.0));
            total
        };
        let (mean, sum) = (|weight| Total::mean(1.0, weight), Total::sum(1.0, 1.0));
        assert!(parts(mean(2.0), mean(6.0)).is_in_proportion_to(parts(mean(1.0), mean(3.0))));
        assert!(parts(sum, sum).is_in_proportion_to(parts(sum, sum)));
        assert!(mean(2.0).is_in_proportion_to(mean(7.0)) && mean(2.0).is_in_proportion_to(Total::default()));
        for (first, second) in
            [(mean(2.0), mean(2.0)), (mean(2.0), sum), (mean(0.0), mean(3.0)), (mean(1.0), mean(0.0))]
        {
            assert!(!parts(first, second).is_in_proportion_to(parts(mean(1.0), mean(3.0))), "{first:?} {second:?}");
        }
    }

    #[test]
    fn parts_that_only_one_total_has_stay_as_they_are() {
        let joined = |parts: &[Total]| {
            let mut total = Total::default();
            parts.iter().for_each(|&part| assert!(total.join(part, 1.0)));
            total
        };
        let (first, second) = (Total::mean(6.0, 2.0), Total::mean(8.0, 1.0));
        assert_eq!(joined(&[first]), first);
        for (mut total, other) in [(joined(&[first, second]), first), (first, joined(&[first, second]))] {
            total += other;
            assert_eq!(total, joined(&[Total::mean(12.0, 4.0), second]));
        }
    }
}
