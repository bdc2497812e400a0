use downhill_layers::{Inputs, Mode};
use downhill_losses::{Loss, Target};
use downhill_network::{Network, Purpose};
use downhill_optim::{Objective, Segment};
use downhill_tensor::Batch;

use crate::{GradcheckError, Report, differentiate};

/// Compares dJ/dθ and dJ/dx of a whole network with a loss with finite differences of J, in f64.
///
/// The derivative of frozen parameters must be 0. Inputs that hold whole numbers, such as places in a table or lengths,
/// have no derivative and are left out.
/// A network of another precision is checked as `network.cast::<f64>()`. With many parameters this takes long:
/// every one costs six passes. The report is named `network`.
///
/// ```
/// use downhill_gradcheck::{TOLERANCE, check_network};
/// use downhill_layers::{Affine, Tanh};
/// use downhill_losses::{SoftmaxCrossEntropy, Target};
/// use downhill_network::{Network, sequential};
/// use downhill_tensor::{Batch, Seed};
/// let network = Network::<f64>::build([2], sequential![Affine::new(4), Tanh, Affine::new(3)], Seed(1))?;
/// let x = Batch::new(&[0.5, -1.0, 1.5, 0.2], 2, [2])?;
/// let report = check_network(&network, x, Target::Classes(&[0, 2]), &SoftmaxCrossEntropy::new())?;
/// assert!(report.passes(TOLERANCE), "{report}");
/// # Ok::<(), downhill_gradcheck::GradcheckError>(())
/// ```
///
/// # Errors
/// Returns an error if inputs or targets do not fit.
pub fn check_network<'x>(
    network: &Network<f64>,
    x: impl Into<Inputs<'x, f64>>,
    target: Target<'_, f64>,
    loss: &impl Loss,
) -> Result<Report, GradcheckError> {
    let (x, mode) = (x.into(), Mode::Training { step: 0 });
    let mut workspace = network.workspace(Purpose::TrainingWithInputGradient);
    let theta = network.parameters();
    network.value_and_gradient(theta, x, target, loss, &mut workspace, mode)?;
    let explicit = workspace.gradient().to_vec();
    let mut predicting = network.workspace(Purpose::Prediction);
    let mut value = |theta: &[f64], x: Inputs<'_, f64>| {
        network.value(theta, x, target, loss, &mut predicting, mode).unwrap_or(f64::NAN)
    };
    let mut report = Report::new("network");
    let mut numeric = differentiate(theta, |theta| value(theta, x));
    freeze(network.segments(), &mut numeric);
    report.compare("dJ/dtheta", &explicit, &numeric);
    for (index, input) in x.iter().enumerate().filter(|&(index, _)| !network.holds_whole_numbers(index)) {
        let numeric = differentiate(input.slice(), |moved| {
            let Ok(moved) = Batch::new(moved, input.examples(), input.shape()) else { return f64::NAN };
            let mut x = x;
            x.set(index, moved);
            value(theta, x)
        });
        // An input that the output does not depend on has no gradient.
        let nothing = || vec![0.0; numeric.len()];
        let explicit = workspace.input_gradient(index).map_or_else(nothing, |dx| dx.slice().to_vec());
        report.compare(&format!("dJ/dx{index}"), &explicit, &numeric);
    }
    Ok(report)
}

/// Sets the derivative of what is frozen to 0, whatever the function does there.
fn freeze(segments: &[Segment], numeric: &mut [Option<f64>]) {
    for frozen in segments.iter().filter(|segment| segment.frozen) {
        numeric[frozen.range.clone()].fill(Some(0.0));
    }
}

/// Compares the gradient of any objective with finite differences of its value, in f64.
///
/// The derivative must be 0 in frozen [`segments`](Objective::segments) of the objective. The report is named
/// `objective`.
///
/// ```
/// use downhill_gradcheck::{TOLERANCE, check_objective};
/// let mut bowl = |x: &[f64], g: &mut [f64]| {
///     g.copy_from_slice(&[2.0 * x[0], 6.0 * x[1]]);
///     x[0] * x[0] + 3.0 * x[1] * x[1]
/// };
/// let report = check_objective(&mut bowl, &[1.0, -2.0])?;
/// assert!(report.passes(TOLERANCE), "{report}");
/// # Ok::<(), downhill_gradcheck::GradcheckError>(())
/// ```
///
/// # Errors
/// Returns an error if the objective can't be evaluated at x.
pub fn check_objective<K>(objective: &mut impl Objective<f64, K>, x: &[f64]) -> Result<Report, GradcheckError> {
    let mut report = Report::new("objective");
    let mut explicit = vec![f64::NAN; x.len()];
    objective.value_and_gradient(x, &mut explicit)?;
    let mut numeric = differentiate(x, |x| objective.value(x).unwrap_or(f64::NAN));
    freeze(objective.segments(), &mut numeric);
    report.compare("gradient", &explicit, &numeric);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TOLERANCE;
    use downhill_layers::{Affine, Concat, Embedding, Flatten, Lstm, Tanh};
    use downhill_losses::SoftmaxCrossEntropy;
    use downhill_network::{Graph, NetworkObjective, sequential};
    use downhill_optim::{EvaluationError, Penalty};
    use downhill_tensor::Seed;

    #[test]
    fn all_inputs_are_varied_but_whole_numbers() {
        let mut graph = Graph::new();
        let (sequence, length, age) = (graph.input([4, 2]), graph.input([1]), graph.input([3]));
        let lstm = Lstm::new(3).bidirectional().last_state().lengths();
        let state = graph.apply(lstm, &[sequence, length]).unwrap();
        let both = graph.apply(Concat::new(0), &[state, age]).unwrap();
        let scores = graph.apply(Affine::new(2), &[both]).unwrap();
        let network = Network::<f64>::from_graph(&graph, scores, Seed(1)).unwrap();
        assert_eq!([0, 1, 2, 3].map(|input| network.holds_whole_numbers(input)), [false, true, false, false]);

        let numbers: Vec<f64> = (0..24).map(|i| f64::from(i).sin()).collect();
        let mut x = Inputs::from(Batch::new(&numbers, 3, [4, 2]).unwrap());
        x.set(1, Batch::new(&[4.0, 1.0, 2.0], 3, [1]).unwrap());
        x.set(2, Batch::new(&numbers[..9], 3, [3]).unwrap());
        let report = check_network(&network, x, Target::Classes(&[0, 1, 1]), &SoftmaxCrossEntropy::new()).unwrap();
        assert!(report.passes(TOLERANCE), "{report}");
        assert_eq!((report.derivatives, report.kinks), (network.parameters().len() + 24 + 9, 0));
    }

    #[test]
    fn places_in_a_table_are_no_kinks() {
        let chain = sequential![Embedding::new(5, 3), Flatten, Affine::new(2)];
        let network = Network::<f64>::build([4], chain, Seed(1)).unwrap();
        let x = Batch::new(&[0.0, 4.0, 2.0, 2.0, 1.0, 3.0, 0.0, 0.0], 2, [4]).unwrap();
        let report = check_network(&network, x, Target::Classes(&[0, 1]), &SoftmaxCrossEntropy::new()).unwrap();
        assert!(report.passes(TOLERANCE), "{report}");
        assert_eq!((report.derivatives, report.kinks), (network.parameters().len(), 0));
    }

    #[test]
    fn frozen_parameters_of_an_objective_of_several_inputs_must_have_no_derivative() {
        let mut graph = Graph::new();
        let (a, b) = (graph.input([2]), graph.input([3]));
        let both = graph.apply(Concat::new(0), &[a, b]).unwrap();
        let hidden = graph.frozen(|graph| graph.apply(Affine::new(4), &[both])).unwrap();
        let hidden = graph.apply(Tanh, &[hidden]).unwrap();
        let scores = graph.apply(Affine::new(2), &[hidden]).unwrap();
        let network = Network::<f64>::from_graph(&graph, scores, Seed(1)).unwrap();
        let numbers: Vec<f64> = (0..9).map(|i| f64::from(i).cos()).collect();
        let mut x = Inputs::from(Batch::new(&numbers[..6], 3, [2]).unwrap());
        x.set(1, Batch::new(&numbers, 3, [3]).unwrap());

        let objective = || NetworkObjective::new(&network, x, Target::Classes(&[0, 1, 1]), SoftmaxCrossEntropy::new());
        let report = check_objective(&mut objective(), network.parameters()).unwrap();
        assert!(report.passes(TOLERANCE), "{report}");
        assert_eq!(report.derivatives, network.parameters().len());

        // A penalty learns from its objective what is frozen.
        let report = check_objective(&mut Penalty::l2(0.1).on(objective()), network.parameters()).unwrap();
        assert!(report.passes(TOLERANCE), "{report}");
        // One that pulls at the frozen ones too is found.
        let report = check_objective(&mut Loose(objective()), network.parameters()).unwrap();
        assert!(!report.passes(TOLERANCE), "{report}");
    }

    /// f(θ) + Σ θ² / 2, frozen or not.
    struct Loose<O>(O);

    impl<O: Objective<f64>> Objective<f64> for Loose<O> {
        fn value_and_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Result<f64, EvaluationError> {
            let value = self.0.value_and_gradient(theta, gradient)?;
            gradient.iter_mut().zip(theta).for_each(|(g, theta)| *g += theta);
            Ok(value + theta.iter().map(|theta| theta * theta / 2.0).sum::<f64>())
        }

        fn segments(&self) -> &[Segment] {
            self.0.segments()
        }
    }
}
