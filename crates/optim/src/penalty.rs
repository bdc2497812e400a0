use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use downhill_tensor::{Scalar, elementwise};

use crate::loops;
use crate::settings::not_negative;
use crate::{ByTrait, EvaluationError, Objective, Segment, SettingError};

/// A term of the objective that grows with the parameters: it pulls them towards 0.
///
/// ```text
/// R(θ) = λ₁ Σ |θᵢ| + λ₂/2 Σ θᵢ²        dR/dθᵢ = λ₁ sign(θᵢ) + λ₂ θᵢ,  with sign(0) = 0
/// ```
///
/// λ₂ alone is what PyTorch calls `weight_decay` of SGD. Keras's `L2(λ)` and scikit-learn's `alpha` leave out the ½,
/// or divide by the number of examples; `ElasticNet` of scikit-learn has λ₁ = alpha · l1_ratio and
/// λ₂ = alpha · (1 − l1_ratio).
/// Unlike a rule's decoupled weight decay, a penalty is part of the value that is minimised.
///
/// It holds for all of θ unless [`except`](Penalty::except) spares some, which needs the segments' names:
/// the trainer [`bind`](Penalty::bind)s them, and so must a custom loop.
/// Frozen segments are spared.
///
/// ```
/// use downhill_optim::Penalty;
/// use downhill_optim::minimize::{ProximalGradient, minimize};
///
/// // (x − 1)² + |x| is least at ½, and (x − 1)² + 3 |x| at 0.
/// let parabola = |x: &[f64], g: &mut [f64]| {
///     g[0] = 2.0 * (x[0] - 1.0);
///     (x[0] - 1.0).powi(2)
/// };
/// let outcome = minimize(parabola, [3.0]).method(ProximalGradient::new(Penalty::l1(1.0))).run()?;
/// assert!((outcome.x[0] - 0.5).abs() < 1e-6);
/// let outcome = minimize(parabola, [3.0]).method(ProximalGradient::new(Penalty::l1(3.0))).run()?;
/// assert_eq!(outcome.x, [0.0]);
/// # Ok::<(), downhill_optim::SettingError>(())
/// ```
///
/// The L1 part has a kink at 0, at which minima lie.
/// Steps along gradients, be it an optimizer's or those of `minimize` on [`Penalty::on`], come near the zeros and swing
/// around them, slowly; a line search fails at the kink.
/// Exact zeros are found by the methods that take the penalty itself:
/// [`ProximalGradient`](crate::minimize::ProximalGradient) and [`OwlQn`](crate::minimize::OwlQn).
///
/// Source: Hoerl & Kennard 1970 (ridge), Tibshirani 1996 (lasso), Zou & Hastie 2005 (elastic net).
#[derive(Clone)]
pub struct Penalty {
    l1: f64,
    l2: f64,
    except: Option<Predicate>,
    /// The ranges that are penalised; all if it is not bound.
    ranges: Option<Vec<Range<usize>>>,
    /// The segments that the ranges were made of.
    segments: Option<Vec<Segment>>,
}

type Predicate = Arc<dyn Fn(&Segment) -> bool + Send + Sync>;

impl Penalty {
    /// Creates λ₁ Σ |θᵢ|: at its minimum some parameters are 0, which only steps made for it reach (see above).
    #[must_use]
    pub fn l1(lambda: f64) -> Self {
        Self::elastic(lambda, 0.0)
    }

    /// Creates λ₂/2 Σ θᵢ²: it keeps parameters small.
    #[must_use]
    pub fn l2(lambda: f64) -> Self {
        Self::elastic(0.0, lambda)
    }

    /// Creates λ₁ Σ |θᵢ| + λ₂/2 Σ θᵢ², which does both.
    #[must_use]
    pub fn elastic(l1: f64, l2: f64) -> Self {
        Self { l1, l2, except: None, ranges: None, segments: None }
    }

    /// Spares the parameters for whose segment `spared` is true.
    #[must_use]
    pub fn except(mut self, spared: impl Fn(&Segment) -> bool + Send + Sync + 'static) -> Self {
        self.except = Some(Arc::new(spared));
        self.segments = None;
        self
    }

    /// Spares what is not a matrix: biases, and the gains of normalisations. Usual practice.
    #[must_use]
    pub fn except_biases(self) -> Self {
        self.except(|segment| segment.shape.rank() < 2)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Returns an error if λ₁ or λ₂ is negative or not finite.
    pub fn check(&self) -> Result<(), SettingError> {
        not_negative("the weight of the L1 penalty", self.l1)?;
        not_negative("the weight of the L2 penalty", self.l2)
    }

    /// Says how θ is divided. Like [`Optimizer::bind`](crate::Optimizer::bind) it may stand before every step.
    pub fn bind(&mut self, segments: &[Segment]) {
        if self.segments.as_deref() == Some(segments) {
            return;
        }
        let spared = |segment: &Segment| segment.frozen || self.except.as_ref().is_some_and(|except| except(segment));
        self.ranges = Some(segments.iter().filter(|s| !spared(s)).map(|segment| segment.range.clone()).collect());
        self.segments = Some(segments.to_vec());
    }

    /// Returns R(θ).
    #[must_use]
    pub fn value<T: Scalar>(&self, theta: &[T]) -> f64 {
        self.parts(theta.len())
            .map(|range| {
                let theta = &theta[range];
                let magnitudes = if self.l1 > 0.0 { loops::magnitudes(theta) } else { 0.0 };
                let squares = if self.l2 > 0.0 { loops::squares(theta) } else { 0.0 };
                self.l1 * magnitudes + 0.5 * self.l2 * squares
            })
            .sum()
    }

    /// Returns R(θ); also adds dR/dθ to `gradient`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add<T: Scalar>(&self, theta: &[T], gradient: &mut [T]) -> f64 {
        assert_eq!(theta.len(), gradient.len(), "a gradient has an entry for each parameter");
        let (l1, l2) = (T::from_f64(self.l1), T::from_f64(self.l2));
        for range in self.parts(theta.len()) {
            loops::pull(&theta[range.clone()], &mut gradient[range], l1, l2);
        }
        self.value(theta)
    }

    /// Applies the proximal map of R: overwrites z with the θ at which R(θ) + ‖θ − z‖²/(2 step) is least.
    ///
    /// ```text
    /// θᵢ = sign(zᵢ) max(|zᵢ| − step λ₁, 0) / (1 + step λ₂)
    /// ```
    pub fn proximal<T: Scalar>(&self, step: f64, z: &mut [T]) {
        let (threshold, shrink) = (T::from_f64(step * self.l1), T::from_f64(1.0 / (1.0 + step * self.l2)));
        for range in self.parts(z.len()) {
            elementwise::map_in_place(&mut z[range], |z| shrink * soft(z, threshold));
        }
    }

    /// Computes the least subgradient of f + R: overwrites `gradient`, which holds ∇f(θ). It is 0 at a minimum, and the steepest
    /// way up from any other point.
    ///
    /// ```text
    /// gᵢ + λ₂ θᵢ + λ₁ sign(θᵢ)  if θᵢ ≠ 0,     sign(gᵢ) max(|gᵢ| − λ₁, 0)  if θᵢ = 0
    /// ```
    ///
    /// # Panics
    /// Panics if the lengths differ.
    pub fn least_subgradient<T: Scalar>(&self, theta: &[T], gradient: &mut [T]) {
        assert_eq!(theta.len(), gradient.len(), "a gradient has an entry for each parameter");
        let (l1, l2) = (T::from_f64(self.l1), T::from_f64(self.l2));
        for range in self.parts(theta.len()) {
            elementwise::update(&theta[range.clone()], &mut gradient[range], |theta, g| least(theta, g, l1, l2));
        }
    }

    /// Returns the largest magnitude in the least subgradient.
    pub(crate) fn least_subgradient_norm<T: Scalar>(&self, theta: &[T], gradient: &[T]) -> f64 {
        let (l1, l2) = (T::from_f64(self.l1), T::from_f64(self.l2));
        let mut norm = 0.0_f64;
        let mut take = |g: T| norm = norm.max(g.abs().to_f64());
        // The ranges are in order, as segments are; what lies between them is not penalised.
        let mut end = 0;
        for range in self.parts(theta.len()).chain(std::iter::once(theta.len()..theta.len())) {
            gradient[end.min(range.start)..range.start].iter().for_each(|&g| take(g));
            end = range.end;
            theta[range.clone()].iter().zip(&gradient[range]).for_each(|(&theta, &g)| take(least(theta, g, l1, l2)));
        }
        norm
    }

    /// Adds the gradient λ₂ θ of the smooth part of R.
    pub(crate) fn add_smooth<T: Scalar>(&self, theta: &[T], gradient: &mut [T]) {
        let l2 = T::from_f64(self.l2);
        for range in self.parts(theta.len()) {
            elementwise::update(&theta[range.clone()], &mut gradient[range], |theta, g| g + l2 * theta);
        }
    }

    /// Calls `each` with each range that is penalised.
    pub(crate) fn for_each_range(&self, len: usize, each: impl FnMut(Range<usize>)) {
        self.parts(len).for_each(each);
    }

    /// Returns λ₁.
    pub(crate) fn weight_of_l1(&self) -> f64 {
        self.l1
    }

    fn parts(&self, len: usize) -> impl Iterator<Item = Range<usize>> {
        let all = self.ranges.is_none().then_some(0..len);
        all.into_iter().chain(self.ranges.iter().flatten().cloned())
    }

    /// Returns the sum of an objective and this penalty, which is an objective itself.
    #[must_use]
    pub fn on<O, K>(self, objective: O) -> Penalized<O, K> {
        Penalized { objective, penalty: self, kind: PhantomData }
    }
}

/// Returns the least of the subgradients of an entry, of which ∇f is g.
fn least<T: Scalar>(theta: T, g: T, l1: T, l2: T) -> T {
    if theta == T::ZERO { soft(g, l1) } else { g + (l1.copysign(theta) + l2 * theta) }
}

/// Returns x, nearer to 0 by the threshold.
fn soft<T: Scalar>(x: T, threshold: T) -> T {
    // Not a number stays so.
    if x.abs() <= threshold { T::ZERO } else { x - threshold.copysign(x) }
}

impl fmt::Debug for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Penalty").field("l1", &self.l1).field("l2", &self.l2).finish_non_exhaustive()
    }
}

/// An objective with a penalty on its parameters: f(θ) + R(θ). Made by [`Penalty::on`].
#[derive(Clone, Debug)]
pub struct Penalized<O, K = ByTrait> {
    objective: O,
    penalty: Penalty,
    kind: PhantomData<K>,
}

impl<O, K> Penalized<O, K> {
    /// Spares what the objective has frozen, and what the penalty excepts, if the objective says how θ is divided.
    fn bind<T: Scalar>(&mut self)
    where
        O: Objective<T, K>,
    {
        let segments = self.objective.segments();
        if !segments.is_empty() {
            self.penalty.bind(segments);
        }
    }
}

impl<T: Scalar, O: Objective<T, K>, K> Objective<T> for Penalized<O, K> {
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<T, EvaluationError> {
        self.bind::<T>();
        let value = self.objective.value_and_gradient(x, gradient)?;
        Ok(value + T::from_f64(self.penalty.add(x, gradient)))
    }

    fn value(&mut self, x: &[T]) -> Result<T, EvaluationError> {
        self.bind::<T>();
        Ok(self.objective.value(x)? + T::from_f64(self.penalty.value(x)))
    }

    fn segments(&self) -> &[Segment] {
        self.objective.segments()
    }
}

#[cfg(test)]
mod tests {
    use downhill_tensor::Shape;

    use super::*;

    fn segment(name: &str, range: Range<usize>, axes: &[usize], frozen: bool) -> Segment {
        Segment::new(name, range, Shape::new(axes).unwrap()).frozen(frozen)
    }

    #[test]
    fn value_and_gradient_are_those_of_the_formula() {
        let penalty = Penalty::elastic(0.5, 2.0);
        let theta = [3.0, -1.0, 0.0];
        let mut gradient = [10.0, 10.0, 10.0];
        let value = penalty.add(&theta, &mut gradient);
        assert_eq!(value, 0.5 * 4.0 + 10.0);
        assert_eq!(penalty.value(&theta), value);
        assert_eq!(gradient, [16.5, 7.5, 10.0]);
    }

    #[test]
    fn what_is_spared_or_frozen_is_not_penalised() {
        let mut penalty = Penalty::l2(1.0).except_biases();
        penalty.bind(&[
            segment("0.weight", 0..2, &[1, 2], false),
            segment("0.bias", 2..4, &[2], false),
            segment("1.weight", 4..6, &[2, 1], true),
        ]);
        let mut gradient = [0.0; 6];
        assert_eq!(penalty.add(&[1.0; 6], &mut gradient), 1.0);
        assert_eq!(gradient, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_penalty_that_is_bound_again_follows_what_is_spared_and_how_theta_is_divided() {
        let segments = [segment("0.weight", 0..2, &[1, 2], false), segment("0.bias", 2..4, &[2], false)];
        let mut penalty = Penalty::l1(1.0);
        for (expected, bound) in [(4.0, &segments[..]), (4.0, &segments), (2.0, &segments[..1])] {
            penalty.bind(bound);
            assert_eq!(penalty.value(&[1.0; 4]), expected);
        }
        let mut penalty = penalty.except(|segment| segment.name == "0.weight");
        penalty.bind(&segments[..1]);
        assert_eq!(penalty.value(&[1.0; 4]), 0.0);
    }

    #[test]
    fn an_objective_that_says_how_it_is_divided_binds_its_penalty() {
        #[derive(Debug)]
        struct Divided(Vec<Segment>);

        impl Objective<f64> for Divided {
            fn value_and_gradient(&mut self, _: &[f64], gradient: &mut [f64]) -> Result<f64, EvaluationError> {
                gradient.fill(0.0);
                Ok(0.0)
            }

            fn segments(&self) -> &[Segment] {
                &self.0
            }
        }

        let segments = vec![
            segment("0.weight", 0..2, &[1, 2], false),
            segment("0.bias", 2..4, &[2], false),
            segment("1.weight", 4..6, &[2, 1], true),
        ];
        let mut objective = Penalty::l2(1.0).except_biases().on(Divided(segments));
        let mut gradient = [f64::NAN; 6];
        assert_eq!(objective.value(&[1.0; 6]).unwrap(), 1.0);
        assert_eq!(objective.value_and_gradient(&[1.0; 6], &mut gradient).unwrap(), 1.0);
        assert_eq!(gradient, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        // A plain function is penalised as a whole.
        let mut plain = Penalty::l2(1.0).on(|_: &[f64], gradient: &mut [f64]| {
            gradient.fill(0.0);
            0.0
        });
        assert_eq!(plain.value_and_gradient(&[1.0; 6], &mut gradient).unwrap(), 3.0);
    }

    #[test]
    fn a_negative_weight_is_refused() {
        let error = Penalty::l1(-1.0).check().unwrap_err();
        assert_eq!(error.to_string(), "the weight of the L1 penalty is -1, but it must be finite and at least 0");
        assert!(Penalty::l2(f64::NAN).check().is_err());
    }
}
