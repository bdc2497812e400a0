/// The most points of a curve: more than a terminal has columns.
const MOST: usize = 1024;

/// A curve of as many values as come: if its points become too many, pairs of them become their mean.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    points: Vec<(f64, f64)>,
    /// The values in a point.
    stride: u64,
    /// The values of the next point: their number and their sums.
    next: (u64, f64, f64),
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), stride: 1, next: (0, 0.0, 0.0) }
    }
}

impl Curve {
    /// Adds a value unless it is not finite.
    pub(crate) fn push(&mut self, x: f64, y: f64) {
        if !y.is_finite() {
            return;
        }
        let (count, sum_x, sum_y) = self.next;
        self.next = (count + 1, sum_x + x, sum_y + y);
        if count + 1 < self.stride {
            return;
        }
        let (count, sum_x, sum_y) = std::mem::take(&mut self.next);
        self.points.push((sum_x / count as f64, sum_y / count as f64));
        if self.points.len() == MOST {
            let mean = |pair: &[(f64, f64); 2]| ((pair[0].0 + pair[1].0) / 2.0, (pair[0].1 + pair[1].1) / 2.0);
            self.points = self.points.as_chunks::<2>().0.iter().map(mean).collect();
            self.stride *= 2;
        }
    }

    pub(crate) fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_has_few_points_that_are_means() {
        let mut curve = Curve::default();
        for i in 0..100_000 {
            curve.push(f64::from(i), f64::from(i % 2));
            assert!(curve.points().len() < MOST);
        }
        assert!(curve.points().len() >= MOST / 2);
        assert!(curve.points().iter().all(|point| point.1 == 0.5));
        assert!(curve.points().windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(curve.points()[0].0, (curve.stride - 1) as f64 / 2.0);
    }

    #[test]
    fn what_is_not_finite_is_no_point() {
        let mut curve = Curve::default();
        [f64::NAN, 1.0, f64::INFINITY].iter().for_each(|y| curve.push(0.0, *y));
        assert_eq!(curve.points(), [(0.0, 1.0)]);
    }
}
