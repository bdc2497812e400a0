//! Axes with labels at a few round numbers.

use std::ops::Range;

use crate::text::{fixed, number, superscript};

/// One axis: what it shows, from where to where, and the numbers that are written along it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) name: String,
    low: f64,
    high: f64,
    is_logarithmic: bool,
    most_labels: usize,
}

/// Beyond these the difference of two numbers may be none.
const FARTHEST: f64 = f64::MAX / 8.0;

impl Axis {
    /// Makes an axis between two numbers; what is no range is made one.
    pub(crate) fn new(name: impl Into<String>, low: f64, high: f64) -> Self {
        let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        let (low, high) = (low.clamp(-FARTHEST, FARTHEST), high.clamp(-FARTHEST, FARTHEST));
        let (low, high) = if low <= high { (low, high) } else { (high, low) };
        let room = (1e-3 * low.abs().max(high.abs())).max(1e-9);
        let (low, high) = if high - low > 1e-6 * room { (low, high) } else { (low - room, high + room) };
        Self { name: name.into(), low, high, is_logarithmic: false, most_labels: 8 }
    }

    /// Makes an axis that holds all numbers that are finite, with a little room around them.
    pub(crate) fn around(name: impl Into<String>, numbers: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extremes(numbers);
        let (low, high) = (low.max(-FARTHEST), high.min(FARTHEST));
        let room = 0.05 * (high - low);
        Self::new(name, low - room, high + room)
    }

    /// Makes an axis as `around` does, which begins at 0.
    pub(crate) fn from_zero(name: impl Into<String>, numbers: impl IntoIterator<Item = f64>) -> Self {
        let (_, high) = extremes(numbers);
        Self::new(name, 0.0, if high > 0.0 { 1.05 * high.min(FARTHEST) } else { 1.0 })
    }

    /// Makes a logarithmic axis that holds all numbers that are finite and above 0.
    pub(crate) fn logarithmic(name: impl Into<String>, numbers: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extremes(numbers.into_iter().filter(|x| *x > 0.0).map(f64::log10));
        let (low, high) = if low.is_finite() { (low, high) } else { (-1.0, 0.0) };
        let room = (0.03 * (high - low)).max(0.02);
        Self { is_logarithmic: true, ..Self::new(name, low - room, high + room) }
    }

    /// Sets the most numbers that are written along it.
    pub(crate) fn labels(mut self, most: usize) -> Self {
        self.most_labels = most.max(1);
        self
    }

    /// The part of the axis at which a number lies, from 0 to 1 if it is on the axis.
    pub(crate) fn part(&self, x: f64) -> f64 {
        let x = if self.is_logarithmic { x.log10() } else { x };
        (x - self.low) / (self.high - self.low)
    }

    /// The number at a part of the axis.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let x = self.low + part * (self.high - self.low);
        if self.is_logarithmic { 10_f64.powf(x) } else { x }
    }

    /// The part of the axis that a number is drawn at, which is at an end if it lies beyond.
    pub(crate) fn drawn(&self, x: f64) -> f64 {
        self.part(x).clamp(0.0, 1.0)
    }

    /// How much it holds: a difference of numbers, or of their powers of ten.
    pub(crate) fn span(&self) -> f64 {
        self.high - self.low
    }

    pub(crate) fn range(&self) -> Range<f64> {
        self.at(0.0)..self.at(1.0)
    }

    /// The parts at which numbers are written, and the numbers.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        if self.is_logarithmic { self.logarithmic_ticks() } else { self.linear_ticks() }
    }

    /// The least step of 1, 2 or 5 times a power of ten that leaves no more labels than fit.
    fn step(&self, span: f64) -> f64 {
        let least = span / self.most_labels as f64;
        let power = 10_f64.powf(least.log10().floor());
        [1.0, 2.0, 5.0]
            .map(|times| times * power)
            .into_iter()
            .find(|step| *step >= least * (1.0 - 1e-9))
            .unwrap_or(10.0 * power)
    }

    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let step = self.step(self.high - self.low);
        let first = (self.low / step - 1e-9).ceil();
        let largest = self.low.abs().max(self.high.abs());
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let is_plain = decimals <= 5 && largest < 1e6;
        (0..=self.most_labels)
            .map(|index| (first + index as f64) * step)
            .filter(|x| *x <= self.high + 1e-9 * step)
            .map(|x| (self.part(x), if is_plain { fixed(x, decimals) } else { number(x, 3) }))
            .collect()
    }

    fn logarithmic_ticks(&self) -> Vec<(f64, String)> {
        let part = |power: f64| (power - self.low) / (self.high - self.low);
        let span = self.high - self.low;
        let (first, last) = (self.low.ceil() as i32, self.high.floor() as i32);
        // All as powers, or all in full.
        let is_plain = first >= -3 && last <= 4;
        let power = |exponent: i32| match exponent {
            0 => "1".to_owned(),
            _ if is_plain => number(10_f64.powi(exponent), 1),
            _ => format!("10{}", superscript(exponent)),
        };
        if span >= 1.8 {
            let step = self.step(span).max(1.0) as i32;
            let is_round = |exponent: &i32| exponent.rem_euclid(step) == 0;
            return (first..=last).filter(is_round).map(|exponent| (part(exponent.into()), power(exponent))).collect();
        }
        // Less than two decades: round numbers within them.
        let times: &[f64] = if span > 0.5 { &[1.0, 2.0, 5.0] } else { &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0] };
        let ticks: Vec<_> = (first - 1..=last)
            .flat_map(|exponent| times.iter().map(move |times| times.log10() + f64::from(exponent)))
            .filter(|exponent| (self.low..=self.high).contains(exponent))
            .map(|exponent| (part(exponent), number(10_f64.powf(exponent), 2)))
            .collect();
        if ticks.len() >= 2 {
            return ticks;
        }
        [0.15, 0.5, 0.85].map(|at| (at, number(self.at(at), 3))).into()
    }
}

fn extremes(numbers: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = numbers.into_iter().filter(|x| x.is_finite());
    finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn labels_are_round_numbers() {
        assert_eq!(labels(&Axis::new("", -2.0, 2.0).labels(5)), ["−2", "−1", "0", "1", "2"]);
        assert_eq!(labels(&Axis::new("", 0.0, 0.31).labels(4)), ["0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(&Axis::new("", 0.0, 1797.0).labels(4)), ["0", "500", "1000", "1500"]);
        assert_eq!(labels(&Axis::logarithmic("", [1e-3, 100.0])), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(&Axis::logarithmic("", [1e-5, 10.0])), ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "1", "10¹"]);
        assert_eq!(labels(&Axis::logarithmic("", [2e-3, 5e-3])), ["0.002", "0.003", "0.004", "0.005"]);
        assert_eq!(labels(&Axis::logarithmic("", [0.05, 0.6])), ["0.05", "0.1", "0.2", "0.5"]);
    }

    #[test]
    fn each_axis_has_a_few_labels_in_their_order_whatever_its_numbers() {
        let ends = [
            (0.0, 0.0),
            (1.0, 1.0),
            (1.0, 1.0 + 1e-12),
            (-1e300, 1e300),
            (f64::MIN, f64::MAX),
            (f64::NAN, 1.0),
            (f64::INFINITY, f64::NEG_INFINITY),
            (2e-300, 1e-310),
            (3.0, 3.000001),
            (-5e-7, 4e-7),
            (123456.0, 7654321.0),
        ];
        for (low, high) in ends {
            for most in [3, 5, 8] {
                for axis in [
                    Axis::new("", low, high),
                    Axis::around("", [low, high]),
                    Axis::from_zero("", [low, high]),
                    Axis::logarithmic("", [low, high]),
                ] {
                    let axis = axis.labels(most);
                    let ticks = axis.ticks();
                    assert!((1..=16).contains(&ticks.len()), "{axis:?}: {ticks:?}");
                    assert!(ticks.iter().all(|(part, _)| (-1e-6..=1.0 + 1e-6).contains(part)), "{axis:?}: {ticks:?}");
                    assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0), "{axis:?}: {ticks:?}");
                    assert!(
                        ticks.iter().all(|(_, label)| !label.contains("NaN") && label.chars().count() < 12),
                        "{ticks:?}"
                    );
                }
            }
        }
    }
}
